"""Several outputs in one reply: refused where they were asked for, and said where they come all the same."""

from __future__ import annotations

import pytest
from contract_runs import Run
from difficult import EACH, Said, holds
from scripted import json_reply, serve, usage
from stream_kinds import CHOICES, cases

from loadcell.errors import UsageError

Kinds = dict[tuple[str, str], Said]


@pytest.mark.parametrize(("api", "name"), cases(CHOICES))
def test_the_first_output_is_measured(kinds: Kinds, api: str, name: str) -> None:
    holds(kinds[api, name], CHOICES[name], busy=True)


@pytest.mark.parametrize(("api", "name"), cases(CHOICES))
def test_several_outputs_are_said(kinds: Kinds, api: str, name: str) -> None:
    result = kinds[api, name].result
    assert result.replies is not None and result.replies.several_outputs == EACH
    (check,) = [one for one in result.verdict.checks if one.name == "several_outputs"]
    assert check.word == "SUSPECT" and "figures are of the first of each" in check.says
    assert kinds[api, name].texts == {"word " * 10}


def test_several_unstreamed(run: Run) -> None:
    words = "one two three four five six seven eight nine ten"
    choices = [{"index": i, "message": {"content": words}, "finish_reason": "stop"} for i in range(2)]
    reply = json_reply({"choices": choices, "usage": usage(20)})
    with serve(lambda _: [reply], probe=lambda _: [reply]) as server:
        ran = run(server.url, requests=2, stream=False)
    assert {(row["output_tokens"], row["token_source"], row["outputs"]) for row in ran.rows} == {(10, "tokenizer", 2)}
    assert ran.result.replies is not None and ran.result.replies.several_outputs == 2


@pytest.mark.parametrize("n", [2, "2", 2.0, True, [2]])
def test_several_are_refused_before_the_load(run: Run, n: object) -> None:
    with serve() as server, pytest.raises(UsageError, match="one output a request"):
        run(server.url, requests=4, extra_body={"n": n})
    assert not server.received


@pytest.mark.parametrize("n", [1, None])
def test_one_is_not(run: Run, n: int | None) -> None:
    with serve() as server:
        assert run(server.url, requests=2, extra_body={"n": n}).statuses == ["ok"] * 2

"""No count of tokens is trusted alone: that is taken which the others bear out, and what disagrees is said."""

from __future__ import annotations

import numpy as np
import pytest
from contract_runs import Run
from difficult import EACH, Said, holds
from known import output, sse, tokens
from scripted import DONE, Received, Step, delta, event, json_reply, serve, usage
from stream_kinds import COUNTS, cases

Kinds = dict[tuple[str, str], Said]
APIS = pytest.mark.parametrize("api", ["chat", "completions"])
WRONG = {
    "usage a tenth": (4, 40), "usage tenfold": (100, 10), "usage doubled": (20, 10),
    "usage tenfold, odd words": (100, 10), "running usage stuck at 1": (1, 10),
}  # fmt: skip
TEN = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(("api", "name"), cases(COUNTS))
def test_counts(kinds: Kinds, api: str, name: str) -> None:
    holds(kinds[api, name], COUNTS[name], busy=True)


@APIS
@pytest.mark.parametrize("name", COUNTS)
def test_the_events_hold_the_tokens_of_their_reply(kinds: Kinds, api: str, name: str) -> None:
    """What each event holds goes into tokens/s: it sums up to the reply's count, or is not known."""
    said = kinds[api, name]
    parts = list(said.recording.chunks(("request", "tokens")))
    for row in said.rows:
        held = np.concatenate([part["tokens"][part["request"] == row["request"]].astype(float) for part in parts])
        assert held.size == COUNTS[name].chunks
        assert np.isnan(held).all() or held.sum() == row["output_tokens"]


@APIS
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_usage_is_said(kinds: Kinds, api: str, name: str) -> None:
    result = kinds[api, name].result
    claimed, came = WRONG[name]
    (check,) = [one for one in result.verdict.checks if one.name == "usage"]
    assert check.word == "SUSPECT"
    counted = f"{claimed} output token{'s' if claimed > 1 else ''}"
    assert f"usage counts {counted} a reply where {came} came" in check.says
    found = result.replies
    assert found is not None and (found.usage_apart, found.usage_tokens, found.counted_tokens) == (EACH, claimed, came)


@APIS
@pytest.mark.parametrize("name", [name for name in COUNTS if name not in WRONG and "stuck" not in name])
def test_what_agrees_is_not_blamed(kinds: Kinds, api: str, name: str) -> None:
    checks = {check.name: check for check in kinds[api, name].result.verdict.checks}
    assert {checks[one].word for one in ("usage", "token_closure", "long_outputs", "several_outputs")} <= {
        "VALID",
        None,
    } or (name == "usage with reasoning that is not sent" and checks["long_outputs"].word == "SUSPECT")


@APIS
def test_without_usage_who_counted_comes_first(kinds: Kinds, api: str) -> None:
    result = kinds[api, "usage absent"].result
    assert result.notes[0].startswith(
        f"the server sends no usage: the output tokens of {EACH} replies are their events"
    )


@APIS
def test_reasoning_that_is_not_sent_is_said(kinds: Kinds, api: str) -> None:
    said = kinds[api, "usage with reasoning that is not sent"]
    assert {row["first_tokens"] for row in said.rows} == {6}
    assert any("reasoning that is not in the stream, 5 tokens a reply" in note for note in said.result.notes)


def whole(claimed: int) -> bytes:
    choice = {"index": 0, "message": {"content": TEN}, "finish_reason": "length"}
    return json_reply({"choices": [choice], "usage": usage(claimed)})


@pytest.mark.parametrize(
    ("claimed", "expected"), [(10, (10, "usage")), (14, (14, "usage")), (2, (10, "tokenizer")), (90, (10, "tokenizer"))]
)
def test_unstreamed(run: Run, claimed: int, expected: tuple[int, str]) -> None:
    with serve(lambda _: [whole(claimed)], probe=lambda _: [whole(claimed)]) as server:
        ran = run(server.url, requests=4, stream=False, ignore_eos=False, output_tokens=10)
    assert {(row["output_tokens"], row["token_source"]) for row in ran.rows} == {expected}
    assert {row["usage_tokens"] for row in ran.rows} == {claimed}


def test_a_tokenizer_of_ones_own_does_not_blame_the_server(run: Run) -> None:
    """Four tokens an event and no usage: the tokenizer counts more than was asked, within what it may be off."""

    def script(_: Received) -> list[Step]:
        words = tokens(5, 0.01, 0.002, event(delta(content="antidisestablishment ")))
        return sse(*words, output(event(delta(finish="length"))), DONE)

    with serve(script, probe=script) as server:
        ran = run(server.url, requests=30, ignore_eos=False, output_tokens=20)
    (counted,) = {row["output_tokens"] for row in ran.rows}
    assert 20 < counted <= 32 and ran.result.methodology.token_source == {"tokenizer": 30}
    (check,) = [one for one in ran.result.verdict.checks if one.name == "long_outputs"]
    assert check.word == "VALID"
    assert ran.result.notes[0].startswith("the server sends no usage: the output tokens of 30 replies are counted over")

"""The end of a stream is judged by what its finish reason says, not by its being there."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from contract_runs import Run
from difficult import EACH, Said, holds
from known import sse, tokens
from rich.console import Console
from scripted import DONE, Received, Step, delta, event, json_reply, serve, usage, usage_event
from stream_kinds import ENDS, GAVE_UP, GOOD, cases

from loadcell.report.run import print_result, print_short, run_markdown, run_page
from loadcell.report.words import words_for

Kinds = dict[tuple[str, str], Said]
APIS = pytest.mark.parametrize("api", ["chat", "completions"])


@pytest.mark.parametrize(("api", "name"), cases(ENDS))
def test_ends(kinds: Kinds, api: str, name: str) -> None:
    holds(kinds[api, name], ENDS[name], busy=True)


@APIS
@pytest.mark.parametrize("reason", GAVE_UP)
def test_what_was_given_up_fails_in_the_servers_words(kinds: Kinds, api: str, reason: str) -> None:
    said = kinds[api, f"finish_reason {reason} after 3"]
    assert {row["error"] for row in said.rows} == {f"the server gave its output up: finish_reason {reason}"}
    (failure,) = (
        said.result.errors
        if len(said.result.errors) == 1
        else [one for one in said.result.errors if one.kind == "gave_up"]
    )
    assert failure.advice and "log" in failure.advice


@APIS
def test_an_object_fails_in_its_message(kinds: Kinds, api: str) -> None:
    words = {row["error"] for row in kinds[api, "object with a message"].rows}
    assert words == {"the server gave its output up: finish_reason abort: KV cache exhausted"}


@pytest.mark.parametrize("reason", ["abort", {"type": "error", "message": "KV cache exhausted"}])
def test_the_same_unstreamed(run: Run, reason: Any) -> None:
    choice = {"index": 0, "message": {"content": "one two three"}, "finish_reason": reason}
    reply = json_reply({"choices": [choice], "usage": usage(3)})
    with serve(lambda _: [reply]) as server:
        ran = run(server.url, requests=2, stream=False)
    assert ran.kinds() == {"gave_up": 2}
    words = "abort" if isinstance(reason, str) else "error: KV cache exhausted"
    assert {row["error"] for row in ran.rows} == {f"the server gave its output up: finish_reason {words}"}


def test_shares_of_several_reasons_are_shown(run: Run) -> None:
    """In the console, on the page, in Markdown and in the JSON."""

    def script(request: Received) -> list[Step]:
        reason = "content_filter" if request.number % 10 == 9 else "length"
        return sse(*tokens(3, 0.005, 0.001), event(delta(finish=reason)) + event(usage_event(3)), DONE)

    with serve(script) as server:
        result = run(server.url, requests=40, output_tokens=3).result
    assert msgspec.to_builtins(result)["replies"]["ended_by"] == {
        "length": {"requests": 36, "share": 0.9}, "content_filter": {"requests": 4, "share": 0.1}
    }  # fmt: skip
    words = "length 90 %, content_filter 10 %"
    console = Console(width=120, file=io.StringIO())
    for show in (print_result, print_short):
        show(result, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count(f"ended by: {words}") == 2
    assert words in run_markdown(result, words_for("en")).replace("\\", "")
    assert words in run_page(result, None, words_for("en"))


@APIS
@pytest.mark.parametrize("reason", GOOD)
def test_the_shares_of_reasons_are_told(kinds: Kinds, api: str, reason: str) -> None:
    found = kinds[api, f"finish_reason {reason}"].result.replies
    assert found is not None
    assert {name: (one.requests, one.share) for name, one in found.ended_by.items()} == {reason.lower(): (EACH, 1.0)}

"""The end of a stream is judged by what its finish reason says, not by its being there."""

from __future__ import annotations

import pytest
from difficult import EACH, Said, holds
from stream_kinds import ENDS, GAVE_UP, GOOD, cases

Kinds = dict[tuple[str, str], Said]
APIS = pytest.mark.parametrize("api", ["chat", "completions"])


@pytest.mark.parametrize(("api", "name"), cases(ENDS))
def test_ends(kinds: Kinds, api: str, name: str) -> None:
    holds(kinds[api, name], ENDS[name])


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


@APIS
@pytest.mark.parametrize("reason", GOOD)
def test_the_shares_of_reasons_are_told(kinds: Kinds, api: str, reason: str) -> None:
    found = kinds[api, f"finish_reason {reason}"].result.replies
    assert found is not None
    assert {name: (one.requests, one.share) for name, one in found.ended_by.items()} == {reason.lower(): (EACH, 1.0)}

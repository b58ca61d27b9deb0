"""Random streams of every API through replies, fed in every way."""

from __future__ import annotations

import fuzz_replies
import pytest
from spoken import SPOKEN

from loadcell.core import Tape
from loadcell.protocol import Reply

STREAMS, PARTS = 8_000, 8


@pytest.mark.parametrize("part", range(PARTS))
def test_every_api_is_heard_alike_however_its_bytes_fall(part: int, thorough: None) -> None:
    assert fuzz_replies.first_wrong(part * STREAMS // PARTS, STREAMS // PARTS) is None


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above could not fail."""

    def deaf(_: Reply, tape: Tape, most: int) -> None:
        tape.pieces(most)

    monkeypatch.setattr(Reply, "take", deaf)
    assert fuzz_replies.first_wrong(0, 1) == 0


@pytest.mark.parametrize("api", SPOKEN)
def test_a_cut_that_goes_unseen_is_found(monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    def hopeful(reply: Reply, read: int) -> None:
        reply.give_up(read)
        reply.failure = None

    monkeypatch.setattr(Reply, "close", hopeful)
    assert fuzz_replies.is_wrong(list(SPOKEN).index(api))

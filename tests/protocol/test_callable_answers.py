"""What a callable's pieces say, read as any API's events are."""

from __future__ import annotations

import msgspec
import pytest

from loadcell.kinds import KIND_ANSWER, KIND_EMPTY, KIND_FINISH, KIND_REASONING, KIND_TOOL, KIND_USAGE
from loadcell.protocol import count, dialect_of, evidence
from loadcell.protocol.callable import CALLABLE, Piece, Spoken


def heard(*pieces: object, streamed: bool = True) -> Spoken:
    found = Spoken()
    found.take(pieces, streamed=streamed)
    found.judge()
    return found


def test_each_piece_is_an_event_of_its_kind() -> None:
    last = Piece("d", output_tokens=9, prompt_tokens=4, cached_tokens=2, finish="stop")
    found = heard("a", "", Piece("b", kind="reasoning"), Piece("c", kind="tool"), last)
    kinds = [KIND_ANSWER, KIND_EMPTY, KIND_REASONING, KIND_TOOL, KIND_ANSWER | KIND_USAGE | KIND_FINISH]
    assert list(found.kinds) == kinds
    assert list(found.reads) == [0, 1, 2, 3, 4]
    assert list(found.sizes) == [1, 0, 1, 1, 1]
    assert (found.text(), found.bytes, found.finish_reason, found.failure) == ("bcad", 4, "stop", None)
    assert found.usage is not None
    assert (found.usage.output_tokens, found.usage.prompt_tokens, found.usage.cached_tokens) == (9, 4, 2)


@pytest.mark.parametrize(
    ("pieces", "tokens", "source"),
    [
        ((*["w"] * 5, Piece(output_tokens=5)), 5, "usage"),
        ((Piece("ab", tokens=2), Piece("c", tokens=1)), 3, "ids"),
        ((*["w"] * 5, Piece(finish="length")), 5, "events"),
        (("w", "w"), 2, "chunks"),
        ((Piece("ab", tokens=2), "c"), 2, "chunks"),
    ],
)
def test_tokens_are_counted_as_those_of_servers(pieces: tuple[object, ...], tokens: int, source: str) -> None:
    told, _ = evidence(heard(*pieces), 5)
    assert count(told)[:2] == (tokens, source)


def test_of_a_whole_answer_no_token_has_a_time() -> None:
    found = heard(Piece("a b c", tokens=3, output_tokens=3), streamed=False)
    assert (found.tokens, found.token_source, found.streamed) == ([None], None, False)
    told, _ = evidence(found, 3)
    assert count(told)[:2] == (3, "usage")


def test_half_a_character_spoils_nothing() -> None:
    found = heard("a\ud800")
    assert (found.text(), found.failure) == ("a?", None)


def test_the_dialect_hears_a_piece_as_json_alike() -> None:
    pieces = [Piece("a"), Piece("b", kind="reasoning", tokens=3), Piece(output_tokens=4, finish="stop")]
    told = list(CALLABLE.hear([msgspec.json.encode(piece) for piece in pieces], None))
    assert [one.kind for one in told] == [KIND_ANSWER, KIND_REASONING, 0]
    assert (told[1].thought, told[1].tokens, told[2].finish) == ("b", 3, "stop")
    assert told[2].usage is not None and told[2].usage.output_tokens == 4
    assert CALLABLE.whole(msgspec.json.encode(pieces[0])).answer == "a"
    (odd,) = CALLABLE.hear([b'{"text": 5}'], None)
    assert odd.failure is not None


def test_its_body_holds_the_arguments_of_a_call() -> None:
    dialect = dialect_of("callable")
    prefix = dialect.prefix("m", True, dialect.form, {"mode": "fast"})
    assert msgspec.json.decode(dialect.body(prefix, "hi", 7, dialect.form.max_tokens_field)) == {
        "mode": "fast", "prompt": "hi", "max_tokens": 7,
    }  # fmt: skip
    own = dialect.body(prefix, b'{"prompt": "hi", "mode": "slow"}', 7, "max_tokens")
    assert msgspec.json.decode(own)["mode"] == "slow"

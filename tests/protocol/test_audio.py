"""Replies that are audio, in every form that servers write: OpenAI's speech as bytes and as events (2025), WAV with and
without a size in its header (as ffmpeg writes it to a pipe), and raw PCM."""

from __future__ import annotations

import json
from typing import Any

import pytest
from heard import DONE, NO_SIZE, delta, ds64, framed, sse, wav
from hypothesis import given
from hypothesis import strategies as st

from loadcell.protocol import dialect_of, reply_to
from loadcell.protocol.audio import AudioReply

SPEECH = dialect_of("speech")
MP3 = b"\xff\xfb\x90\x64" + bytes(3000)
LIST = b"LIST" + (4).to_bytes(4, "little") + b"INFO"
GZIPPED = b"\x1f\x8b\x08\x00" + bytes(4796)
"""Raw PCM that begins like something packed."""
FORMS: dict[str, tuple[bytes, str, str, int | None]] = {
    "wav": (wav(0.25), "audio/wav", "wav", 250_000_000),
    "wav, stereo, 44.1 kHz": (wav(0.5, hertz=44_100, channels=2), "audio/wav", "wav", 500_000_000),
    "wav of floats": (wav(0.1, bits=32, form=3), "audio/x-wav", "wav", 100_000_000),
    "wav without a size": (wav(0.2, named=NO_SIZE), "audio/wav", "wav", 200_000_000),
    "wav of size 0": (wav(0.2, named=0), "audio/wav", "wav", 200_000_000),
    "wav with chunks around": (wav(0.2, before=LIST, after=LIST), "audio/wav", "wav", 200_000_000),
    "wav of another name": (wav(0.2, mark=b"RF64", named=NO_SIZE), "application/octet-stream", "wav", 200_000_000),
    "wav where pcm was asked for": (wav(0.2, hertz=16_000), "audio/pcm", "pcm", 200_000_000),
    "wav without a type": (wav(0.2), "", "wav", 200_000_000),
    "RF64": (wav(0.2, mark=b"RF64", first=ds64(9600), named=NO_SIZE) + LIST, "audio/wav", "wav", 200_000_000),
    "RF64 without a size": (wav(0.2, mark=b"RF64", first=ds64(0), named=NO_SIZE), "audio/wav", "wav", 200_000_000),
    "two wavs": (wav(0.2) + wav(0.3, hertz=16_000), "audio/wav", "wav", 500_000_000),
    "wavs without sizes": (wav(0.2, named=NO_SIZE) * 2 + wav(0.1, named=0), "audio/wav", "wav", 500_000_000),
    "wavs with chunks between": (wav(0.2, after=LIST) * 2, "audio/wav", "wav", 400_000_000),
    "a wav and one of an unknown rate": (wav(0.2) + wav(0.2, form=7, hertz=0), "audio/wav", "wav", None),
    "events of a wav each": (delta(wav(0.2)) + delta(wav(0.3)) + DONE, "text/event-stream", "wav", 500_000_000),
    "pcm": (bytes(4800), "audio/pcm", "pcm", 100_000_000),
    "pcm that looks packed": (GZIPPED, "audio/pcm", "pcm", 100_000_000),
    "pcm that nobody asked for": (bytes(4800), "audio/pcm", "wav", None),
    "pcm without a type": (bytes(4800), "", "pcm", 100_000_000),
    "pcm as bytes": (bytes(4800), "application/octet-stream", "pcm", 100_000_000),
    "mp3 where pcm was asked for": (MP3, "audio/mpeg", "pcm", None),
    "pcm of a rate of its own": (bytes(4800), "audio/L16; rate=16000", "pcm", None),
    "mp3": (MP3, "audio/mpeg", "mp3", None),
    "events of wav": (sse(wav(0.25)), "text/event-stream", "wav", 250_000_000),
    "events of wav without a size": (sse(wav(0.2, named=NO_SIZE), pieces=7), "text/event-stream", "wav", 200_000_000),
    "events of a header by itself": (delta(wav(0.2)[:44]) + delta(wav(0.2)[44:]) + DONE,
                                     "text/event-stream; charset=utf-8", "wav", 200_000_000),
    "events of pcm": (sse(bytes(4800)), "text/event-stream", "pcm", 100_000_000),
    "events of mp3": (sse(MP3), "text/event-stream", "mp3", None),
}  # fmt: skip
every_form = pytest.mark.parametrize("name", FORMS)


def reply_of(pieces: list[bytes], asked: str = "wav", *, close: bool = False) -> AudioReply:
    reply = reply_to(SPEECH, (1, 1))
    assert isinstance(reply, AudioReply)
    reply.asked(json.dumps({"input": "x", "response_format": asked}).encode())
    for number, piece in enumerate(pieces):
        reply.feed([piece], number)
    if close:
        reply.close(len(pieces) - 1)
    return reply


def said(reply: AudioReply) -> Any:
    return reply.failure, reply.sound.bytes, reply.sound.lasts_ns, reply.usage, reply.done


@every_form
@given(data=st.data())
def test_any_split_of_the_bytes_says_the_same_and_any_cut_has_failed(name: str, data: st.DataObject) -> None:
    body, media, asked, lasts_ns = FORMS[name]
    whole = framed(body, media, chunks=data.draw(st.sampled_from([0, 700, 100_000])))
    places = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
    parts = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    at_once, split = reply_of([whole], asked), reply_of(parts, asked)
    assert at_once.closed and split.closed and split.failure is None
    assert said(split) == said(at_once) and split.sound.lasts_ns == lasts_ns
    assert split.text() == "" and split.token_source is None and set(split.tokens) == {None}
    if media.startswith("text/"):
        assert bytes(split.kinds) == bytes(at_once.kinds)
    last = (
        whole.rindex(b"}") if media.startswith("text/") else len(whole) - 1
    )  # an end mark ends a stream, as in any API
    cut = reply_of([whole[: data.draw(st.integers(1, last))]], asked, close=True)
    assert cut.failure is not None


@given(size=st.integers(0, 44))
def test_sound_begins_after_the_header_of_a_wav(size: int) -> None:
    whole = framed(wav(0.1))
    begin = whole.index(b"RIFF")
    reply = reply_of([whole[: begin + size], whole[begin + size : begin + 60], whole[begin + 60 :]])
    assert reply.failure is None and reply.outputs().find(1) == (1 if size else 0), "after its first read or two"
    assert reply.reads[reply.outputs().find(1)] == 1
    assert reply.reads[reply.outputs().rfind(1)] == 2


@pytest.mark.parametrize(
    ("whole", "kind", "words"),
    [
        (framed(wav(0.1)[:-100]), "cut", "the audio ended after 4,700 of the 4,800 bytes that its WAV header names"),
        (framed(wav(0.1)[:30]), "cut", "the audio ended inside its WAV header, after 30 bytes"),
        (framed(wav(0.1) + wav(0.1)[:-100]), "cut", "the audio ended after 4,700 of the 4,800 bytes"),
        (framed(wav(0.1) + wav(0.1)[:30]), "cut", "the audio ended inside its WAV header, after 30 bytes"),
        (framed(wav(0.1, mark=b"RF64", first=ds64(9600), named=NO_SIZE)), "cut",
         "the audio ended after 4,800 of the 9,600 bytes that its WAV header names"),
        (framed(wav(0)), "empty", "the reply holds no audio"),
        (framed(b""), "empty", "the reply holds no audio"),
        (framed(DONE, "text/event-stream"), "empty", "the reply holds no audio"),
        (framed(sse(wav(0.1)[:-100]), "text/event-stream"), "cut", "the audio ended after 4,700 of the 4,800 bytes"),
        (framed(b'{"error": {"message": "no voice nova"}}', "application/json"), "stream_error", "no voice nova"),
        (framed(b'{"error": {"message": "no voice nova"}}', "audio/wav"), "stream_error", "no voice nova"),
        (framed(b'{"detail": "no memory"}', "application/json"), "protocol", "the reply has no audio: no memory"),
        (framed(b"<html><title>Busy</title></html>", "text/html"), "html", 'the reply is an HTML page, "Busy"'),
        (framed(b"<!DOCTYPE html><title>Bad gateway</title>", "application/octet-stream"), "html", "Bad gateway"),
        (framed(b" <html><body>Busy</body></html>", "audio/wav"), "html", "Busy"),
        (framed(b"Internal Server Error", "application/octet-stream"), "protocol",
         "the reply has no audio: Internal Server Error"),
        (framed("Кончилась память".encode(), "audio/mpeg"), "protocol", "the reply has no audio: Кончилась память"),
        (framed(b"Internal Server Error", "", length=False), "protocol", "Internal Server Error"),
        (framed(b'\n {"error": "no memory"}', "audio/mpeg"), "stream_error", "no memory"),
        (framed(b'[{"error": "no memory"}]', "audio/mpeg"), "protocol", "the reply has no audio: no memory"),
        (framed(b'{"error": "no memory", "trace": "%b"}' % (b"x" * 90_000), "audio/wav"), "stream_error", "no memory"),
        (framed(b"no memory " * 200_000, "audio/wav"), "protocol", "the reply has no audio: no memory no memory"),
        (framed(b" \n", "audio/wav"), "empty", "the reply holds no audio"),
        (framed(sse(b"no memory"), "text/event-stream"), "protocol", "the reply has no audio: no memory"),
        (framed(b'data: {"type": "speech.audio.delta", "audio": "AAAA"}\n\ndata: {"error": {"message": "died"}}\n\n',
                "text/event-stream"), "stream_error", "died"),
        (framed(b'data: {"type": "speech.audio.delta", "audio": "%%"}\n\n', "text/event-stream"), "invalid_json",
         "the audio of an event is not base64"),
        (framed(delta(wav(0.1)), "text/event-stream"), "cut",
         "the stream ended without speech.audio.done"),
        (framed(b'data: {"choices": []}\n\n', "text/event-stream"), "protocol", "the reply has no audio"),
        (framed(wav(0.1), length=False)[:-1], "cut", "nothing tells a whole reply from a cut one"),
        (framed(wav(0.1, named=NO_SIZE), length=False), "cut", "nothing tells a whole reply from a cut one"),
        (framed(MP3, "audio/mpeg", length=False), "cut", "nothing tells a whole reply from a cut one"),
    ],
)  # fmt: skip
def test_what_is_no_whole_audio_has_failed_in_words(whole: bytes, kind: str, words: str) -> None:
    for pieces in ([whole], [whole[:70], whole[70:]], [bytes([one]) for one in whole] if len(whole) < 500 else [whole]):
        failure = reply_of(pieces, close=True).failure
        assert failure is not None and failure[0] == kind and words in failure[1]


def test_a_header_that_names_its_size_ends_a_body_without_one() -> None:
    reply = reply_of([framed(wav(0.1), length=False)], close=True)
    assert reply.failure is None and reply.sound.lasts_ns == 100_000_000


def test_usage_tells_the_text_and_the_end_may_be_a_mark() -> None:
    reply = reply_of([framed(sse(wav(0.1)), "text/event-stream")])
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (14, None)
    body = delta(wav(0.1)) + b"data: [DONE]\n\n"
    assert reply_of([framed(body, "text/event-stream")]).failure is None

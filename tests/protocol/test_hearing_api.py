"""Transcriptions and translations: forms out, transcripts in, by OpenAI's reference and in vLLM's form."""

from __future__ import annotations

import email
import json
from email.message import Message
from typing import Any

import pytest
from spoken import HEAD, LAST, SPOKEN, at_once, chunk, event, streamed

from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER, KIND_DONE
from loadcell.load.target import make_target
from loadcell.media import Attachment
from loadcell.protocol import Reply
from loadcell.protocol.openai.hearing import BOUNDARY, TRANSCRIPTIONS, TRANSLATIONS
from loadcell.spec import Endpoint

CLIP = Attachment("audio", "wav", b"RIFF\x00\r\n--\xff\x00WAVE")


def form_of(stream: bool = True, clip: Attachment = CLIP, usage: bool = True, **extra: Any) -> dict[str, list[Message]]:
    """The parts of a body by name, as a library reads them that is not ours."""
    form = TRANSCRIPTIONS.form._replace(usage=usage)
    body = TRANSCRIPTIONS.body(TRANSCRIPTIONS.prefix("whisper-1", stream, form, extra), clip, 9, "max_tokens")
    head = f"Content-Type: {TRANSCRIPTIONS.content_type}\r\n\r\n".encode()
    parts: dict[str, list[Message]] = {}
    for part in email.message_from_bytes(head + body).get_payload():
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        parts.setdefault(str(name), []).append(part)
    return parts


def said(part: Message) -> bytes:
    return bytes(part.get_payload(decode=True))  # type: ignore[arg-type]


def test_a_request_is_a_form_with_its_file() -> None:
    parts = form_of(language="en", temperature=0, **{"timestamp_granularities[]": ["word", "segment"]})
    fields = {name: [said(part).decode() for part in found] for name, found in parts.items() if name != "file"}
    assert fields == {
        "model": ["whisper-1"], "response_format": ["json"], "stream": ["true"], "stream_include_usage": ["true"],
        "language": ["en"], "temperature": ["0"], "timestamp_granularities[]": ["word", "segment"],
    }  # fmt: skip
    (file,) = parts["file"]
    assert said(file) == CLIP.data
    assert (file.get_filename(), file.get_content_type()) == ("audio.wav", "audio/wav")
    assert set(form_of(stream=False)) == {"model", "response_format", "file"}
    assert "stream_include_usage" not in form_of(usage=False)
    assert said(form_of(response_format="verbose_json")["response_format"][0]) == b"verbose_json"


def test_a_file_or_a_field_that_no_form_can_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="holds the boundary of the form"):
        form_of(clip=Attachment("audio", "mp3", b"x" + BOUNDARY))
    with pytest.raises(UsageError, match="cannot be sent as a field of a form"):
        form_of(prompt=f"a {BOUNDARY.decode()}")
    with pytest.raises(UsageError, match=r"asks for response_format srt: what can be read is json, verbose_json"):
        make_target(Endpoint(url="http://x", api="transcriptions", extra_body={"response_format": "srt"}), None)


def test_what_is_null_is_left_out() -> None:
    assert set(form_of(stream=False, language=None, prompt=[None])) == {"model", "response_format", "file"}
    assert "response_format" not in form_of(response_format=None)


@pytest.mark.parametrize(
    ("extra", "stream", "words"),
    [
        ({"file": "x"}, True, "endpoint.extra_body holds file: --audio-seconds and --audio-dir say what is sent"),
        ({"stream": False}, True, "asks for stream: false, and replies are expected in events: .* give --no-stream"),
        ({"stream": True}, False, "asks for stream: true, and replies are expected whole: .* give --stream"),
    ],
)
def test_fields_that_another_setting_decides_are_refused(extra: dict[str, Any], stream: bool, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_target(Endpoint(url="http://x", api="transcriptions", stream=stream, extra_body=extra), None)
    agreed = {"stream": stream, "response_format": None}
    assert make_target(Endpoint(url="http://x", api="transcriptions", stream=stream, extra_body=agreed), None)


def test_its_head_names_the_form() -> None:
    target = make_target(Endpoint(url="http://x", api="translations"), None)
    head = target.post_head(stream=True, content_type=TRANSLATIONS.content_type)
    assert head.startswith(b"POST /v1/audio/translations HTTP/1.1\r\n")
    assert b"Content-Type: multipart/form-data; boundary=%b\r\n" % BOUNDARY in head
    plain = make_target(Endpoint(url="http://x"), None).post_head(stream=True)
    assert b"Content-Type: application/json\r\n" in plain


def test_a_stream_of_openai_is_its_deltas_and_ends_with_done() -> None:
    spoken = SPOKEN["transcriptions"]
    reply = streamed(TRANSCRIPTIONS, [spoken.token("I see"), spoken.token(" skies"), *spoken.end])
    assert (reply.text(), reply.failure, reply.done) == ("I see skies", None, True)
    assert bytes(reply.kinds)[:2] == bytes([KIND_ANSWER] * 2) and not reply.outputs()[2]
    assert reply.usage is not None and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (14, 7)
    cut = Reply(TRANSCRIPTIONS)
    cut.feed([HEAD + chunk(event(spoken.token("I see"))) + LAST], 0)
    assert cut.failure is not None and cut.failure[0] == "cut"


def test_a_piece_of_long_audio_does_not_end_a_stream_of_vllm() -> None:
    spoken = SPOKEN["translations, vLLM's"]
    values = [spoken.token("one"), spoken.end[0], spoken.token(" two"), *spoken.end]
    reply = streamed(TRANSLATIONS, values, spoken.mark + b"\n\n")
    assert (reply.text(), reply.failure, reply.finish_reason) == ("one two", None, "stop")
    cut = Reply(TRANSLATIONS)
    cut.feed([HEAD + b"".join(chunk(event(value)) for value in values[:2])], 0)
    cut.close(0)
    assert cut.failure is not None and cut.failure[0] == "cut", "its first reason is not the end"


@pytest.mark.parametrize(
    ("value", "text", "usage"),
    [
        ({"text": "hello", "usage": {"type": "duration", "seconds": 4}}, "hello", None),
        ({"text": "hello", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 3}}, "hello", (14, 3)),
        ({"task": "transcribe", "language": "english", "duration": 8.47, "text": "hi", "segments": []}, "hi", None),
        ({"text": ""}, "", None),
    ],
)
def test_a_whole_transcript_is_an_answer_even_of_silence(value: Any, text: str, usage: Any) -> None:
    reply = at_once(TRANSCRIPTIONS, value)
    assert (reply.failure, reply.text()) == (None, text)
    assert list(reply.outputs()) == [1]
    found = reply.usage and (reply.usage.prompt_tokens, reply.usage.output_tokens)
    assert found == usage


def test_a_stream_of_silence_is_an_answer_too() -> None:
    reply = streamed(TRANSCRIPTIONS, [{"type": "transcript.text.done", "text": ""}])
    assert reply.failure is None and bytes(reply.kinds) == bytes([KIND_ANSWER | KIND_DONE])


def test_the_text_of_the_end_is_the_answer_where_no_delta_came() -> None:
    end = {"type": "transcript.text.done", "text": "I see skies"}
    alone = streamed(TRANSCRIPTIONS, [end])
    assert (alone.failure, alone.text(), list(alone.outputs())) == (None, "I see skies", [1])
    delta = {"type": "transcript.text.delta", "delta": "I see skies"}
    after = streamed(TRANSCRIPTIONS, [delta, end])
    assert (after.failure, after.text(), list(after.outputs())) == (None, "I see skies", [1, 0])
    parted = Reply(TRANSCRIPTIONS)  # all in one read, and by batches, say the same
    parted.feed([HEAD + chunk(event(delta) * 40 + event(end)) + LAST], 0)
    assert parted.failure is None and parted.text() == "I see skies" * 40


def test_an_error_in_an_event_of_the_stream_is_a_failure() -> None:
    spoken = SPOKEN["transcriptions"]
    end = {"type": "transcript.text.done", "text": "I see", "error": {"message": "out of memory"}}
    reply = streamed(TRANSCRIPTIONS, [spoken.token("I see"), end])
    assert reply.failure == ("stream_error", "out of memory")
    assert streamed(TRANSCRIPTIONS, [spoken.token("I see"), end | {"error": None}]).failure is None


@pytest.mark.parametrize("value", [{"error": {"message": "no audio"}}, {"words": "hello"}])
def test_what_is_no_transcript_is_a_failure(value: Any) -> None:
    assert at_once(TRANSCRIPTIONS, value).failure is not None


def test_a_server_that_refuses_the_usage_is_asked_without() -> None:
    form, note = TRANSCRIPTIONS.without(TRANSCRIPTIONS.form, "unknown field: stream_include_usage", False) or (None, "")
    assert form is not None and not form.usage and "sends no usage" in str(note)
    assert TRANSCRIPTIONS.without(TRANSCRIPTIONS.form, "no such model", False) is None


def test_models_that_hear_come_first() -> None:
    page = json.dumps({"data": [{"id": "llama"}, {"id": "openai/whisper-small"}]}).encode()
    assert TRANSCRIPTIONS.listed(page) == ["openai/whisper-small", "llama"]

"""The engine's transcriptions and translations: forms in, known numbers of words out, and what it refuses."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import pytest
from engine_client import Engine, Reply, Start

pytestmark = pytest.mark.usefixtures("alone")

FAST = ("--ttft", "2ms", "--itl", "0.2ms")


def wav(seconds: float, rate: int = 8_000) -> bytes:
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * int(rate * seconds)))
    return into.getvalue()


def ask(engine: Engine, file: bytes | None, path: str = "transcriptions", **fields: str) -> Reply:
    parts = [f'form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if file is not None:
        parts.append(b'form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n' + file)
    body = b"".join(b"--xyz\r\nContent-Disposition: %b\r\n" % part for part in parts) + b"--xyz--\r\n"
    headers = {"Content-Type": 'multipart/form-data; boundary="xyz"'}
    return engine.ask("POST", f"/v1/audio/{path}", body, headers)


def test_a_second_is_three_words_and_fifty_tokens(start: Start) -> None:
    engine = start(*FAST)
    told = ask(engine, wav(2.5), model="loadcell-engine").json()
    assert len(told["text"].split()) == round(3 * 2.5) and told["usage"] == {"type": "duration", "seconds": 3}
    lines = ask(engine, wav(2), "translations", stream="true", stream_include_usage="true").body.split(b"\n\n")
    events: list[Any] = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    assert {event["object"] for event in events} == {"translation.chunk"}
    words = [choice["delta"]["content"] for event in events for choice in event["choices"]]
    assert len("".join(words).split()) == 6 and b"data: [DONE]" in lines
    assert events[-1]["usage"]["prompt_tokens"] == 100 and events[-1]["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize(
    ("file", "fields", "status", "words"),
    [
        (None, {}, 400, "a file of audio is required"),
        (b"ID3 no wav", {}, 400, "only WAV is heard here"),
        (wav(1), {"model": "other"}, 404, "does not exist"),
    ],
)
def test_what_it_cannot_hear_is_refused(
    start: Start, file: bytes | None, fields: dict[str, str], status: int, words: str
) -> None:
    reply = ask(start(*FAST), file, **fields)
    assert reply.status == status and words in reply.json()["error"]["message"]


def test_a_body_that_is_no_form_is_refused(start: Start) -> None:
    reply = start(*FAST).ask("POST", "/v1/audio/transcriptions", b"{", {"Content-Type": "application/json"})
    assert reply.status == 400 and "multipart/form-data" in reply.json()["error"]["message"]

"""The engine's speech and images: their forms, their known timing, and what they refuse."""

from __future__ import annotations

import base64
import io
import json
import wave
from typing import Any

import pytest
from engine_client import Engine, Reply, Start

from loadcell.engine.media import SECONDS_A_WORD

pytestmark = pytest.mark.usefixtures("alone")

SPEECH, IMAGES = "/v1/audio/speech", "/v1/images/generations"


def ask(engine: Engine, path: str, request_id: str = "", **fields: Any) -> Reply:
    headers = {"X-Request-Id": request_id} if request_id else {}
    return engine.ask("POST", path, json.dumps(fields).encode(), headers)


def test_a_text_is_spoken_as_long_as_its_words_take(start: Start) -> None:
    reply = ask(start("--ttft", "2ms"), SPEECH, input="three short words", voice="alloy", response_format="wav")
    assert reply.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(reply.body)) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(3 * SECONDS_A_WORD)


def test_as_many_images_are_made_as_are_asked_for(start: Start) -> None:
    engine = start("--ttft", "2ms")
    for fields, images in (({}, 1), ({"n": 3}, 3)):
        data = ask(engine, IMAGES, prompt="a cat", size="64x64", **fields).json()["data"]
        assert len(data) == images and all(base64.b64decode(one["b64_json"])[1:4] == b"PNG" for one in data)


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        (SPEECH, {"response_format": "wav"}, "input: a text is required"),
        (SPEECH, {"input": "a"}, "response_format: this server makes wav alone"),
        (SPEECH, {"input": "a", "response_format": "wav", "stream_format": "sse"}, "stream_format: this server sends"),
        (IMAGES, {"prompt": " "}, "prompt: a text is required"),
        (IMAGES, {"prompt": "a", "n": 11}, "n must be from 1 to 10, got 11"),
        (IMAGES, {"prompt": "a", "stream": True}, "stream: partial images are not made here"),
    ],
)
def test_what_it_does_not_make_is_refused(start: Start, path: str, fields: dict[str, Any], words: str) -> None:
    reply = ask(start("--ttft", "2ms"), path, **fields)
    assert reply.status == 400 and words in reply.json()["error"]["message"]

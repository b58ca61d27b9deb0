"""Loads that carry images and audio, against servers of known timing: what is sent, and what a Result says of it."""

from __future__ import annotations

import base64
import email
import io
import json
import wave
from pathlib import Path
from typing import Any

import duckdb
import plain_figures as plain
import pytest
from contract_runs import Ran, Run, ask
from scripted import DONE, Received, Step, delta, event, json_reply, serve, stream, token, usage

from loadcell.cli.main import main
from loadcell.errors import EndpointError
from loadcell.load.preflight import PROBE_PROMPT

TEXT_TOKENS, IMAGE_TOKENS = 13, 85
JUDGED = (0, 4)
"""Exit codes of a run that was made: on a busy machine its figures may be none."""


def images_in(request: Received) -> list[bytes]:
    content = request.json()["messages"][-1]["content"]
    urls = [part["image_url"]["url"] for part in content if isinstance(part, dict) and part["type"] == "image_url"]
    return [base64.b64decode(url.partition(";base64,")[2]) for url in urls]


def seeing(request: Received) -> list[Step]:
    """A server that counts 85 tokens an image, 13 of a template and one a word."""
    content = request.json()["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[-1]["text"]
    words = 3 if text == PROBE_PROMPT else len(text.split())
    prompt = TEXT_TOKENS + words + IMAGE_TOKENS * len(images_in(request))
    tokens = [piece for _ in range(4) for piece in (0.004, event(token()))]
    told = event({"id": "x", "choices": [], "usage": usage(4, prompt)})
    return stream(0.02, *tokens, event(delta(finish="length")), told, DONE)


def clip_of(request: Received) -> tuple[dict[str, str], float]:
    """The fields of a form, and the seconds of its file, as libraries read them that are not ours."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parts: Any = email.message_from_bytes(head + request.body).get_payload()
    named = {part.get_param("name", header="content-disposition"): part for part in parts}
    with wave.open(io.BytesIO(named.pop("file").get_payload(decode=True))) as file:
        seconds = file.getnframes() / file.getframerate()
    return {name: part.get_payload() for name, part in named.items()}, seconds


def hearing(request: Received) -> list[Step]:
    """OpenAI's form: 20 ms, and 20 ms a second of audio."""
    fields, seconds = clip_of(request)
    if fields.get("stream") != "true":
        return [0.02 + 0.02 * seconds, json_reply({"text": "so it is", "usage": {"type": "duration", "seconds": 1}})]
    end = {"type": "transcript.text.done", "text": "so it is", "usage": {"input_tokens": 9, "output_tokens": 3}}
    said = [event({"type": "transcript.text.delta", "delta": text}) for text in ("so", " it", " is")]
    return stream(0.02 + 0.01 * seconds, said[0], 0.005 * seconds, said[1], 0.005 * seconds, said[2], 0.001, event(end))


def translating(request: Received) -> list[Step]:
    """vLLM's form, of audio in two pieces."""
    _, seconds = clip_of(request)

    def of(text: str, finish: str | None = None) -> bytes:
        choice = {"delta": {"content": text}, "finish_reason": finish}
        return event({"id": "trsl-1", "object": "translation.chunk", "created": 1, "model": "m", "choices": [choice]})

    told = event({"object": "translation.chunk", "choices": [], "usage": usage(3, 30)})
    return stream(
        0.02 + 0.02 * seconds, of("so"), 0.005, of(" it", "stop"), 0.005, of(" is"), of("", "stop"), told, DONE
    )


def amounts(ran: Ran, column: str, low_ns: float, high_ns: float) -> float:
    """What ok requests carried between two times, by the part of their lives: from the Parquet, by no line of ours."""
    planned = dict(duckdb.sql(f"select request, {column} from '{ran.folder}/schedule.parquet'").fetchall())
    found = 0.0
    for row in plain.read(ran.folder, "requests"):
        if row["status"] == "ok" and row["counted"] is not False:
            begin, end = row["send_start_ns"], row["end_ns"]
            found += max(0, min(end, high_ns) - max(begin, low_ns)) / (end - begin) * planned[row["request"]]
    return found


def test_a_chat_with_images_is_measured_as_a_chat(run: Run, alone: None) -> None:
    with serve(seeing, probe=seeing) as server:
        ran = run(server.url, requests=40, images="uniform:1,3", image_size="40x30,20x60", input_tokens="40")
    assert ran.statuses == ["ok"] * 40
    media, seen = ran.result.input_media, [images_in(request) for request in server.load]
    total = [image for images in seen for image in images]
    assert len(set(total)) == len(total) and {len(images) for images in seen} == {1, 2, 3}
    assert media is not None and media.input_images_per_s is not None
    for row, request in zip(ran.rows, sorted(server.load, key=lambda one: one.number), strict=True):
        sent = len(images_in(request))
        assert row["input_tokens"] == 40, "the text alone, the template in it"
        assert row["prompt_tokens"] == 40 + IMAGE_TOKENS * sent
        assert row["bytes_sent"] > len(request.body)
        assert row["first_any_ns"] - row["send_start_ns"] > 20e6
    rates, columns = ran.result.throughput, ran.recording.schedule(("images", "image_pixels", "input_audio_s"))
    assert columns["images"].tolist() == [len(images_in(one)) for one in sorted(server.load, key=lambda r: r.number)]
    assert (columns["image_pixels"] == 1200 * columns["images"]).all()
    low, high = (rates.from_s or 0) * 1e9, (rates.to_s or 0) * 1e9
    assert media.input_images_per_s.value == pytest.approx(amounts(ran, "images", low, high) / (high - low) * 1e9)
    assert media.server_tokens == pytest.approx(40 + IMAGE_TOKENS * (media.input_images or 0))
    assert ran.manifest.effective["template_tokens"] == TEXT_TOKENS, "no image was counted as one"
    (check,) = [check for check in ran.result.verdict.checks if check.name == "prompt_tokens"]
    assert check.word is None and "40 were planned as text, the rest is images and audio" in check.says


def test_the_probe_carries_what_the_load_carries_and_is_not_counted(run: Run) -> None:
    with serve(seeing, probe=seeing) as server:
        found = ask(server.url, images="2", image_size="16x16")
    probed = [images_in(request) for request in server.probes]
    assert [len(images) for images in probed] == [2, 0]
    assert found.probe_tokens == TEXT_TOKENS + 3, "of the text alone"

    def blind(request: Received) -> list[Step]:
        return [json_reply({"error": {"message": "this model takes no images"}}, 400)]

    with serve(blind, probe=blind) as server, pytest.raises(EndpointError, match="this model takes no images"):
        ask(server.url, images="1", image_size="16x16")


@pytest.mark.parametrize("streamed", [True, False])
def test_a_transcription_has_a_real_time_factor(run: Run, alone: None, streamed: bool) -> None:
    with serve(hearing, probe=hearing) as server:
        ran = run(server.url, requests=120, api="transcriptions", audio_seconds="uniform:0.5,2", stream=streamed,
                  extra_body={"language": "en"})  # fmt: skip
    assert ran.statuses == ["ok"] * 120
    assert all(request.path == "/v1/audio/transcriptions" for request in server.load + server.probes)
    sent = [clip_of(request) for request in sorted(server.load, key=lambda one: one.number)]
    fields = {"model": "scripted-model", "response_format": "json", "language": "en"}
    assert sent[0][0] == fields | ({"stream": "true", "stream_include_usage": "true"} if streamed else {})
    seconds = ran.recording.schedule(("input_audio_s",))["input_audio_s"].tolist()
    assert seconds == pytest.approx([length for _, length in sent])
    media, rates, latency = ran.result.input_media, ran.result.throughput, ran.result.latency
    assert media is not None and media.input_rtf is not None and media.input_audio_s_per_s is not None
    truth = [
        (row["last_ns"] - row["send_start_ns"]) / 1e9 / length for row, length in zip(ran.rows, seconds, strict=True)
    ]
    window = ran.result.methodology.window
    inside = [
        factor for factor, row in zip(truth, ran.rows, strict=True)
        if window.start_s * 1e9 - 1 <= row["send_start_ns"] <= window.end_s * 1e9 + 1
    ]  # fmt: skip
    summary = media.input_rtf.service
    assert summary.n == len(inside) and summary.mean == pytest.approx(sum(inside) / len(inside))
    assert summary.p50.value == pytest.approx(plain.nearest_rank(inside, 0.5))
    assert summary.p90.value == pytest.approx(plain.nearest_rank(inside, 0.9))
    assert all(factor > 0.019 + 0.02 / length for factor, length in zip(truth, seconds, strict=True))
    low, high = (rates.from_s or 0) * 1e9, (rates.to_s or 0) * 1e9
    assert media.input_audio_s_per_s.value == pytest.approx(
        amounts(ran, "input_audio_s", low, high) / (high - low) * 1e9
    )
    for row in ran.rows:
        assert (row["input_tokens"], row["asked_tokens"], row["output_tokens"]) == (None, None, 3)
        assert (row["first_any_ns"] is None) != streamed
    assert (latency["ttft_ms"].service.n, latency["itl_ms"].service.n) == (
        (len(inside), 2 * len(inside)) if streamed else (0, 0)
    )
    assert (media.text_tokens, rates.input_tokens_per_s is None) == (None, not streamed)


def test_a_translation_in_the_form_of_vllm(run: Run, alone: None) -> None:
    with serve(translating, probe=translating) as server:
        ran = run(server.url, requests=20, api="translations", audio_seconds="0.5")
    assert ran.statuses == ["ok"] * 20
    assert all(request.path == "/v1/audio/translations" for request in server.load)
    assert {(row["output_tokens"], row["prompt_tokens"], row["finish_reason"]) for row in ran.rows} == {(3, 30, "stop")}
    assert ran.result.latency["itl_ms"].service.n == 2 * ran.result.latency["ttft_ms"].service.n


def test_it_is_shown_everywhere(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(hearing, probe=hearing) as server:
        ran = run(server.url, requests=60, api="transcriptions", audio_seconds="0.1", keep_text=True)
    for words in ([], ["--full"], ["--md"]):
        main(["report", str(ran.folder), *words])
        shown = " ".join(capsys.readouterr().out.split())
        assert "s of audio/s" in shown and "RTF in" in shown and "0.1 s of audio a request" in shown, words
        assert "tokens in" not in shown
    main(["report", str(ran.folder), "--json"])
    found = json.loads(capsys.readouterr().out)["input_media"]
    assert found["input_rtf"]["service"]["p50"]["value"] > 0.1 and found["input_audio_s"] == pytest.approx(0.1)
    main(["report", str(ran.folder), "--csv"])
    lines = {line.split(",")[0] for line in capsys.readouterr().out.splitlines()}
    assert {"input_rtf", "input_audio_s_per_s", "input_audio_s"} <= lines
    main(["report", str(ran.folder), "--html"])
    assert "s of audio/s" in (ran.folder / "report.html").read_text()
    main(["query", "select round(sum(input_audio_s), 3) as s from schedule", str(ran.folder), "--csv"])
    assert capsys.readouterr().out.split()[-1] == "6.0"
    (text,) = plain.read(ran.folder, "text")[:1]
    assert text["content"] == "so it is" and 'name="response_format"' in text["body"]


def test_a_recorded_run_goes_again_and_a_folder_is_asked_for(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    from loadcell.workload.media import clip

    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(clip(200, np.random.default_rng(0)))
    with serve(hearing, probe=hearing) as server:
        ran = run(server.url, requests=4, api="transcriptions", audio_dir=str(tmp_path / "clips"))
        assert {row["status"] for row in ran.rows} == {"ok"}
        assert main(["run", str(ran.folder), "--output", str(tmp_path / "no")]) == 2
        assert f"would send the audio in {tmp_path / 'clips'}" in capsys.readouterr().err
        assert main(["run", str(ran.folder), "--trust", "--output", str(tmp_path / "again")]) in JUDGED
        assert len(server.load) == 8 and len({request.body for request in server.load}) == 1
    with serve(seeing, probe=seeing) as server:
        words = ["--api", "chat", "--set", f"endpoint.url={server.url}", "--requests", "2", "--output-tokens", "4"]
        assert main(["run", str(ran.folder), *words, "--output", str(tmp_path / "chat")]) in JUDGED
        assert all("input_audio" not in request.body.decode() for request in server.load)


def test_a_body_that_the_kernel_does_not_take_at_once_says_when_it_was_begun(run: Run) -> None:
    """What a large body takes on its way is the request's own time, and no doubt about when it was sent."""
    with serve(hearing, probe=hearing) as server:
        ran = run(server.url, requests=6, concurrency=1, api="transcriptions", audio_seconds="300", timeout_s=30,
                  stream=False)  # fmt: skip
    assert ran.statuses == ["ok"] * 6
    assert all(row["bytes_sent"] > 9_000_000 for row in ran.rows)
    begun = [row for row in plain.read(ran.folder, "requests") if row["begun_ns"] is not None]
    assert begun and all(row["send_start_ns"] < row["begun_ns"] < row["send_end_ns"] for row in begun)

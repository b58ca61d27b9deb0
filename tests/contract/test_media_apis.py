"""Loads of APIs that make audio and images, against servers of known timing, and against servers that err."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import plain_figures as plain
import pytest
from contract_runs import Run, short_spec
from heard import DONE, NO_SIZE, delta, framed, wav
from scripted import HANG, LAST_CHUNK, SSE_HEAD, Received, Step, chunked, json_reply, serve
from small_engine import engine
from test_apis import truth_of

from loadcell.cli.main import main
from loadcell.engine.media import SECONDS_A_WORD
from loadcell.errors import UsageError
from loadcell.metrics import build_result
from loadcell.metrics.interval import INTERVAL_DEFINITION
from loadcell.spec import Slo, build_spec, with_defaults
from loadcell.workload import plan

MS = 1e6
HEAD_S, FIRST_S, NEXT_S, STEPS = 0.02, 0.03, 0.02, 3
SECONDS = 0.4
NEVER = ("TTFT", "TTFA", "TPOT", "ITL", "output tokens", "tokens out", "inputs/s")
AUDIO_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
Script = Callable[[Received], list[Step]]


def seconds_of(request: Received) -> float:
    """How long what a request asks for lasts: a text of more words lasts longer."""
    return round(SECONDS + 0.01 * len(request.json()["input"].split()), 3)


def spoken(request: Received) -> list[Step]:
    """A WAV in chunks: its header 20 ms after the request, sound 30 ms later and three times more, 20 ms apart."""
    whole = wav(seconds_of(request), named=NO_SIZE)
    sound = whole[44:]
    size = -(-len(sound) // (STEPS + 1))
    steps: list[Step] = [HEAD_S, AUDIO_HEAD % b"audio/wav" + chunked(whole[:44]), FIRST_S, chunked(sound[:size])]
    for i in range(size, len(sound), size):
        steps += [NEXT_S, chunked(sound[i : i + size])]
    return [*steps, LAST_CHUNK]


def streamed(request: Received) -> list[Step]:
    """The same in events, of raw PCM."""
    sound = wav(seconds_of(request))[44:]
    size = -(-len(sound) // (STEPS + 1))
    steps: list[Step] = [HEAD_S + FIRST_S, SSE_HEAD % b"" + chunked(delta(sound[:size]))]
    for i in range(size, len(sound), size):
        steps += [NEXT_S, chunked(delta(sound[i : i + size]))]
    return [*steps, chunked(DONE), LAST_CHUNK]


def painted(request: Received) -> list[Step]:
    """As many images as are asked for, 10 ms and 10 ms each after the request."""
    images = [{"b64_json": "iVBORw0KGgo="} for _ in range(request.json().get("n", 1))]
    return [0.01 + 0.01 * len(images), json_reply({"created": 1, "data": images})]


SPEECH: dict[str, tuple[Script, dict[str, Any]]] = {
    "bytes": (spoken, {}),
    "events": (streamed, {"stream_format": "sse", "response_format": "pcm"}),
}


@pytest.mark.parametrize("form", SPEECH)
def test_audio_is_timed_and_measured_as_its_server_made_it(run: Run, alone: None, form: str) -> None:
    script, extra = SPEECH[form]
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=40, concurrency=2, api="speech", input_tokens="uniform:4,30", extra_body=extra)
        texts = {request.number: request for request in server.load}
    assert ran.statuses == ["ok"] * 40, ran.result.errors
    first, e2e = HEAD_S + FIRST_S, HEAD_S + FIRST_S + STEPS * NEXT_S
    for row in ran.rows:
        assert row["audio_ns"] == round(seconds_of(texts[row["request"]]) * 1e9)
        assert row["first_audio_ns"] - row["send_start_ns"] >= first * 1e9 - MS
        assert row["last_ns"] - row["send_start_ns"] >= e2e * 1e9 - MS
        assert row["output_chunks"] == STEPS + 1 and row["inputs"] == row["results"] == 1
        for name in (
            "output_tokens",
            "usage_tokens",
            "token_source",
            "first_any_ns",
            "first_answer_ns",
            "first_tokens",
        ):
            assert row[name] is None, name
        assert row["prompt_tokens"] == (14 if form == "events" else None)
    latency = ran.result.latency
    assert set(latency) == {"e2e_ms", "first_audio_ms", "rtf"}
    assert latency["first_audio_ms"].service.p50.value == pytest.approx(first * 1e3, abs=10)
    assert latency["e2e_ms"].service.p50.value == pytest.approx(e2e * 1e3, abs=15)
    made = np.array([seconds_of(request) for request in texts.values()])
    assert latency["rtf"].service.mean == pytest.approx(np.mean(e2e / made), rel=0.15)
    assert len({row["connection"] for row in ran.rows}) == 2, "each end was seen, and its connection used again"


@pytest.mark.parametrize("api", ["speech", "images"])
def test_a_load_is_what_the_engine_says_it_was(run: Run, alone: None, api: str) -> None:
    extra = {"n": 3} if api == "images" else {}
    with engine("--ttft", "12ms", "--prefill-rate", "10000", "--slots", "4") as url:
        ran = run(url, requests=40, concurrency=4, input_tokens="uniform:4,30", api=api, extra_body=extra)
        truth = truth_of(url)
    assert ran.statuses == ["ok"] * 40 and [record["outcome"] for record in truth] == ["ok"] * 40
    for row, record in zip(ran.rows, truth, strict=True):
        words = record["prompt_tokens"]
        assert row["audio_ns"] == (round(words * SECONDS_A_WORD * 1e9) if api == "speech" else None)
        assert row["results"] == (3 if api == "images" else 1) and row["input_tokens"] == words
    took = np.array([record["end_ns"] - record["arrival_ns"] for record in truth])
    assert ran.result.latency["e2e_ms"].service.mean == pytest.approx(took.mean() / MS, abs=3)


def test_images_are_those_of_the_replies(run: Run, alone: None) -> None:
    with serve(painted, probe=painted) as server:
        ran = run(server.url, requests=40, concurrency=2, api="images", extra_body={"n": 3, "size": "256x256"})
    assert ran.statuses == ["ok"] * 40 and {row["results"] for row in ran.rows} == {3}
    assert set(ran.result.latency) == {"e2e_ms"}
    assert ran.result.latency["e2e_ms"].service.p50.value == pytest.approx(40, abs=10)
    assert {row["first_audio_ns"] for row in ran.rows} == {row["audio_ns"] for row in ran.rows} == {None}


@pytest.mark.parametrize("api", ["speech", "images"])
def test_figures_agree_with_the_files(run: Run, tmp_path: Path, api: str) -> None:
    """Once more from the Parquet, by no line of the project's."""
    script = spoken if api == "speech" else painted
    rows = [{"prompt": "a", "n": n} for n in (1, 2, 4)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked: dict[str, Any] = {"input_tokens": "uniform:4,60"} if api == "speech" else {"prompts": str(file)}
    with serve(script, probe=script) as server:
        ran = run(server.url, api=api, concurrency=3, duration_s=3.0, **asked)
    rates = ran.result.throughput
    low, high = (rates.from_s or 0) * 1e9, (rates.to_s or 0) * 1e9
    made = requests = 0.0
    factors, firsts = [], []
    window = ran.result.methodology.window
    for row in plain.read(ran.folder, "requests"):
        if row["status"] != "ok" or row["counted"] is False:
            continue
        begin, end = row["send_start_ns"], row["end_ns"]
        part = max(0, min(end, high) - max(begin, low)) / (end - begin)
        requests += part
        made += part * (row["results"] if api == "images" else row["audio_ns"] / 1e9)
        if api == "speech" and window.start_s <= begin / 1e9 <= window.end_s:
            factors.append((row["last_ns"] - begin) / row["audio_ns"])
            firsts.append((row["first_audio_ns"] - begin) / MS)
    found = rates.images_per_s if api == "images" else rates.audio_s_per_s
    assert found == pytest.approx(made / (high - low) * 1e9, rel=1e-9)
    assert rates.requests_per_s == pytest.approx(requests / (high - low) * 1e9, rel=1e-9)
    assert rates.inputs_per_s is None and rates.output_tokens_per_s is None
    interval, budget = (
        (rates.images_interval, rates.images_budget)
        if api == "images"
        else (rates.audio_s_interval, rates.audio_s_budget)
    )
    assert interval is not None and budget is not None and found is not None
    assert interval.low < found < interval.high and budget.low <= found <= budget.high
    if api == "speech":
        rtf, first = (ran.result.latency[name].service for name in ("rtf", "first_audio_ms"))
        assert rtf.n == len(factors) and rtf.mean == pytest.approx(np.mean(factors), rel=1e-9)
        assert rtf.p50.value == pytest.approx(plain.nearest_rank(factors, 0.5), rel=1e-9)
        assert first.p50.value == pytest.approx(plain.nearest_rank(firsts, 0.5), rel=1e-9)
        assert rtf.p50.budget is not None and rtf.p50.budget.low <= (rtf.p50.value or 0) <= rtf.p50.budget.high


def test_what_is_sent(run: Run) -> None:
    with serve(spoken, probe=spoken) as server:
        run(server.url, requests=3, api="speech", input_tokens="12", model="m", extra_body={"voice": "nova"})
        assert {request.headers["accept"] for request in server.load} == {"*/*"}
        for request in server.load + server.probes:
            assert request.path == "/v1/audio/speech"
            body = request.json()
            assert body | {"input": ""} == {"model": "m", "voice": "nova", "input": "", "response_format": "wav"}
        assert len({request.json()["input"] for request in server.load}) == 3
    with serve(painted, probe=painted) as server:
        run(server.url, requests=2, api="images", input_tokens="12", model="m", extra_body={"n": 2, "size": "64x64"})
        for request in server.load + server.probes:
            assert request.path == "/v1/images/generations"
            assert request.json() | {"prompt": ""} == {"model": "m", "n": 2, "size": "64x64", "prompt": ""}


@pytest.mark.parametrize(
    ("api", "row", "sent"),
    [
        ("speech", "one text", {"input": "one text", "voice": "alloy", "response_format": "wav"}),
        ("speech", {"text": "one", "voice": "nova"}, {"input": "one", "voice": "nova", "response_format": "wav"}),
        ("speech", {"body": {"input": 'a "voice": b', "response_format": "pcm"}, "url": "/v1/audio/speech"},
         {"input": 'a "voice": b', "voice": "alloy", "response_format": "pcm"}),
        ("images", "a cat", {"prompt": "a cat"}),
        ("images", {"prompt": "a cat", "n": 2, "size": "64x64"}, {"prompt": "a cat", "n": 2, "size": "64x64"}),
    ],
)  # fmt: skip
def test_rows_of_a_file_pass_as_they_are(run: Run, tmp_path: Path, api: str, row: Any, sent: dict[str, Any]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    script = spoken if api == "speech" else painted
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=2, concurrency=1, api=api, model="m", prompts=str(file))
        assert [request.json() for request in server.load] == [sent | {"model": "m"}] * 2
    assert ran.statuses == ["ok"] * 2 and {row["results"] for row in ran.rows} == {sent.get("n", 1)}


# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["speech", "images"])
def test_every_view_shows_what_there_is_and_nothing_of_text(
    run: Run, capsys: pytest.CaptureFixture[str], api: str
) -> None:
    script, shown, columns = {
        "speech": (spoken, ("E2E", "First audio", "RTF, s/s", "s of audio/s"), {"first_audio", "rtf", "audio_s_per_s"}),
        "images": (painted, ("E2E", "images/s"), {"images_per_s"}),
    }[api]
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=40, concurrency=4, api=api, e2e_ms=1000)
    said = " ".join([*ran.result.verdict.reasons, *ran.result.notes])
    assert not any(name in said for name in NEVER), said
    folder = str(ran.folder)
    for words in (["report", folder], ["report", folder, "--full"], ["report", folder, "--md"]):
        main(words)
        out = capsys.readouterr().out.replace(INTERVAL_DEFINITION, "")
        assert all(name in out for name in shown), out
        assert not any(name in out for name in NEVER), out
    main(["report", folder, "--csv"])
    named = {line.partition(",")[0] for line in capsys.readouterr().out.splitlines()}
    assert columns <= named and not named & {"ttft", "ttfa", "tpot", "itl", "output_tokens_per_s", "inputs_per_s"}
    main(["report", folder, "--html"])
    page = (ran.folder / "report.html").read_text()
    capsys.readouterr()
    assert all(name in page for name in shown)
    asked = "select count(rtf) as factors, count(first_audio_ms) as firsts, count(ttft_ms) as tokens from requests"
    main(["query", asked, folder, "--json"])
    heard = 40 if api == "speech" else 0
    assert json.loads(capsys.readouterr().out) == [{"factors": heard, "firsts": heard, "tokens": 0}]


def test_audio_of_an_unknown_length_is_said_and_never_zero(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def mp3(_: Received) -> list[Step]:
        return [framed(b"\xff\xfb\x90\x64" + bytes(4000), "audio/mpeg")]

    with serve(mp3, probe=mp3) as server:
        ran = run(server.url, requests=10, api="speech", extra_body={"response_format": "mp3"})
    assert ran.statuses == ["ok"] * 10 and {row["audio_ns"] for row in ran.rows} == {None}
    assert ran.result.throughput.audio_s_per_s is None and ran.result.latency["rtf"].service.n == 0
    assert ran.result.latency["first_audio_ms"].service.n == 10
    note = "10 ok replies do not tell how long their audio lasts: no RTF of theirs; WAV tells, and raw PCM"
    assert note in ran.result.notes
    main(["report", str(ran.folder)])
    assert "n/a s of audio/s" in capsys.readouterr().out


def test_two_runs_are_compared_and_searched_by_what_they_have(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(spoken, probe=spoken) as server:
        one, other = (run(server.url, requests=120, concurrency=8, api="speech", salt="a") for _ in "ab")
        main(["sweep", server.url, "--api", "speech", "--input-tokens", "8", "--concurrency", "1,2", "--requests", "12",
              "--output", str(tmp_path / "grid"), "--no-html", "--json"])  # fmt: skip
        grid = json.loads(capsys.readouterr().out)
    main(["compare", str(one.folder), str(other.folder), "--json", "--force"])
    told = json.loads(capsys.readouterr().out)
    keys = {f"{change['metric']}.{change['stat']}" for pair in told["pairs"] for change in pair["changes"]}
    assert {"e2e.p50", "first_audio.p50", "rtf.p50", "rtf.geomean", "audio_s_per_s.mean", "requests_per_s.mean"} <= keys
    assert not any(key.startswith(("ttft", "tpot", "itl", "output", "inputs", "images")) for key in keys)
    points = [stage["point"] for stage in grid["stages"]]
    assert all(point["audio_s_per_s"] and point["first_audio_ms"] and not point["ttft_ms"] for point in points)
    for words in (["report", str(tmp_path / "grid")], ["report", str(tmp_path / "grid"), "--csv"]):
        main(words)
        shown = capsys.readouterr().out
        assert ("s of audio/s" in shown and "First audio" in shown) or "first_audio_p50_ms" in shown
        assert not any(name in shown for name in ("TTFT", "Tokens/s", "output tokens/s")), shown


# --- what goes wrong --------------------------------------------------------------------------------------------------


def _cut(*steps: Step) -> Script:
    return lambda _: [*steps, HANG] if steps[-1] == HANG else [*steps, "close"]


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        (_cut(framed(wav(0.1))[:-50]), "cut", "the connection ended before the reply did"),
        (_cut(framed(wav(0.1), chunks=900)[:-5]), "cut", "the connection ended before the reply did"),
        (lambda _: [framed(wav(0.1)[:-50])], "cut", "bytes that its WAV header names"),
        (lambda _: [framed(wav(0))], "empty", "the reply holds no audio"),
        (lambda _: [json_reply({"error": {"message": "no voice alloy"}})], "stream_error", "no voice alloy"),
        (lambda _: [json_reply({"error": {"message": "too long"}}, 400)], "http_400", "too long"),
    ],
)  # fmt: skip
def test_audio_that_is_not_whole_has_failed(run: Run, script: Script, kind: str, words: str) -> None:
    with serve(script, probe=spoken) as server:
        ran = run(server.url, requests=6, api="speech", max_failures=1.0)
    assert ran.kinds() == {kind: 6} and words in (ran.result.errors[0].sample or "")
    assert ran.result.throughput.audio_s_per_s in (None, 0)


def test_fewer_images_than_were_asked_for_have_failed(run: Run) -> None:
    def fewer(request: Received) -> list[Step]:
        images = [{"url": "http://x/y.png"} for _ in range(request.json()["n"] - request.number % 2)]
        return [json_reply({"data": images})]

    with serve(fewer, probe=painted) as server:
        ran = run(server.url, requests=10, api="images", extra_body={"n": 3}, max_failures=1.0)
    assert ran.kinds() == {"results": 5}
    assert ran.result.errors[0].sample == "the reply holds 2 results where 3 were asked for"


@pytest.mark.parametrize(
    ("api", "tree", "words"),
    [
        ("speech", {"endpoint": {"stream": True}}, "endpoint.stream: the speech API generates no text, whether its "
         "audio comes in events says stream_format in endpoint.extra_body"),
        ("images", {"endpoint": {"stream": True}}, "endpoint.stream: the images API generates no text, its reply"),
        ("speech", {"workload": {"output_tokens": "9"}}, "workload.output_tokens: the speech API generates no text"),
        ("speech", {"workload": {"inputs": "4"}}, "workload.inputs: the speech API takes one text a request"),
        ("images", {"workload": {"query_tokens": "4"}}, "workload.query_tokens: the images API has no query"),
        ("images", {"slo": {"first_audio_ms": 500}}, "an SLO on first audio is of --api speech: limit TTFT or E2E"),
        ("chat", {"slo": {"first_audio_ms": 500}}, "an SLO on first audio is of --api speech: limit TTFT or E2E"),
        ("speech", {"slo": {"ttft_ms": 500}}, "an SLO on TTFT is of generated tokens, and this API generates none"),
        ("speech", {"endpoint": {"extra_body": {"n": 2}}}, "endpoint.extra_body asks for several outputs (n: 2)"),
        ("chat", {"endpoint": {"extra_body": {"n": 2}}}, "endpoint.extra_body asks for several outputs (n: 2)"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_in_words(api: str, tree: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"endpoint": {"url": "http://localhost:8000", "api": api}}
    with pytest.raises(UsageError) as caught:
        build_spec({section: given.get(section, {}) | tree.get(section, {}) for section in {*given, *tree}})
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"prompt": "x"}, "endpoint.extra_body holds prompt: the workload makes what is sent there"),
        ({"n": 0}, "endpoint.extra_body asks for 0 images (n): write a whole number from 1 on"),
        ({"stream": True}, "endpoint.extra_body asks for partial images: a job is measured whole"),
    ],
)
def test_further_fields_that_no_job_can_have_are_refused(run: Run, extra: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        run("http://127.0.0.1:1", requests=1, api="images", extra_body=extra)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("api", "row", "words"),
    [
        ("speech", {"input": ["a", "b"]}, "its 'input' must be a text, found"),
        ("images", {"messages": []}, 'nothing to send: it must have "prompt"; found messages'),
        ("images", {"prompt": "a", "n": "two"}, 'asks for two images (n)'),
        ("speech", {"body": {"input": "a"}, "url": "/v1/embeddings"}, "is a request for /v1/embeddings, the run for"),
    ],
)  # fmt: skip
def test_rows_that_no_server_takes_are_refused_in_words(tmp_path: Path, api: str, row: Any, words: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError) as caught:
        plan(with_defaults(short_spec("http://localhost:1", api=api, prompts=str(file), requests=1)))
    assert words in str(caught.value) and str(caught.value).startswith(f"{file}:1: ")


def test_a_spec_can_be_given_again_and_a_recording_judged_by_e2e(run: Run) -> None:
    spec = build_spec({"endpoint": {"url": "localhost:1", "api": "speech"}})
    assert spec.workload.inputs == "1" and build_spec(msgspec.to_builtins(spec)) == spec
    with serve(painted, probe=painted) as server:
        ran = run(server.url, requests=4, api="images")
    with pytest.raises(UsageError, match="an SLO on TTFT"):
        build_result(ran.recording, Slo(ttft_ms=500))
    assert build_result(ran.recording, Slo(e2e_ms=500)).goodput is not None


def test_a_limit_on_the_first_audio_judges_a_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def late(request: Received) -> list[Step]:
        return [0.3 if request.number % 4 == 0 else 0.0, *spoken(request)]

    with serve(late, probe=spoken) as server:
        ran = run(server.url, requests=20, concurrency=1, api="speech", first_audio_ms=250)
    good = ran.result.goodput
    assert good is not None and good.good == 15 and good.limits["first_audio_ms"].met == 15
    assert good.attainment_budget is not None and good.attainment_budget.low <= 0.75 <= good.attainment_budget.high
    main(["report", str(ran.folder), "--slo", "first-audio=1s"])
    assert "First audio ≤ 1,000 ms: 100 %" in capsys.readouterr().out

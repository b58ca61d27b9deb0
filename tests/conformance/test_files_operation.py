"""Defects 61 to 67: what is written, what must not be, and what one failure may do."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from contract_runs import Ran, Run
from difficult import REFUSED
from known import Witness, reply
from scripted import HANG, RESET, Received, Scripted, Step, event, json_reply, serve, stream, token

from loadcell.cli.main import main
from loadcell.metrics import Result, build_result
from loadcell.recording.read import open_recording
from loadcell.report import to_csv, to_json
from loadcell.spec import Spec, build_spec
from loadcell.workload import load_tokenizer, plan

pytestmark = pytest.mark.usefixtures("alone")

KEY, HEADER = "sk-conformance-key-31415", "header-secret-27182"


def strictly(text: str | bytes) -> Any:
    """JSON by the letter: no NaN, no Infinity, no key twice."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        assert len(found) == len(pairs), "a key stands twice"
        return found

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once)


@dataclass
class Hopeless:
    """A run of the command in which every request fails, to a server that echoes all that it is sent."""

    code: int
    out: str
    errors: str
    folder: Path
    server: Scripted


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> Hopeless:
    def script(request: Received) -> list[Step]:
        said = {"error": {"message": json.dumps(request.headers)}}
        return [[json_reply(said, 500)], stream(event(token()), event(said)), [RESET]][request.number % 3]

    folder, out, errors = tmp_path_factory.mktemp("hopeless") / "run", io.StringIO(), io.StringIO()
    words = ["--concurrency", "2", "--requests", "6", "--input-tokens", "8", "--header", f"X-Team={HEADER}"]
    with pytest.MonkeyPatch.context() as patch, serve(script) as server:
        patch.setenv("OPENAI_API_KEY", KEY)
        with redirect_stdout(out), redirect_stderr(errors):
            code = main(["run", server.url, *words, "--output", str(folder), "--json"])
    return Hopeless(code, out.getvalue(), errors.getvalue(), folder, server)


def test_61_the_result_is_json_by_the_letter(hopeless: Hopeless) -> None:
    printed = strictly(hopeless.out)
    result = build_result(open_recording(hopeless.folder))
    text = to_json(result)
    read = msgspec.json.decode(text, type=Result, strict=True)
    assert msgspec.structs.replace(read, phrases={}) == result  # what writes it adds these
    assert strictly(text)["counts"] == printed["counts"]
    assert set(strictly(text)) == set(printed) == set(Result.__struct_fields__)
    for file in hopeless.folder.glob("*.json"):
        strictly(file.read_bytes())


def test_62_a_run_in_which_all_fails_is_written(hopeless: Hopeless) -> None:
    assert hopeless.code != 0
    assert "Traceback" not in hopeless.errors
    printed = json.loads(hopeless.out)
    assert printed["counts"]["run"] == {"planned": 6, "ok": 0, "failed": 6, "cancelled": 0, "unsent": 0, "abandoned": 0}
    assert {failure["kind"] for failure in printed["errors"]} == {"http_500", "stream_error", "reset"}
    result = build_result(open_recording(hopeless.folder))
    for latency in result.latency.values():
        assert (latency.service.n, latency.service.mean, latency.service.max) == (0, None, None)
    assert to_csv(result)
    assert main(["report", str(hopeless.folder)]) == hopeless.code


def contents(folder: Path) -> Iterator[str]:
    """Every byte of every file, and every cell of every table."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield file.read_bytes().decode("latin-1")
        if file.suffix == ".parquet":
            with duckdb.connect() as database:
                yield str(database.sql(f"select * from '{file}'").fetchall())


def test_63_the_api_key_is_nowhere(hopeless: Hopeless) -> None:
    assert {request.headers["authorization"] for request in hopeless.server.load} == {f"Bearer {KEY}"}
    assert {request.headers["x-team"] for request in hopeless.server.load} == {HEADER}
    for text in (*contents(hopeless.folder), hopeless.out, hopeless.errors):
        assert KEY not in text and HEADER not in text


def test_64_a_recording_tells_all_that_it_takes_to_run_it_again(kept: tuple[Scripted, Witness, Ran]) -> None:
    """Its spec alone gives the same schedule and the same bodies; so does the spec inside the saved result."""
    server, _, ran = kept
    specs = [
        msgspec.json.decode((ran.folder / "spec.json").read_bytes(), type=Spec),
        build_spec(json.loads(to_json(ran.result))["methodology"]["spec"]),
    ]
    sent = {request.number: request.json()["messages"][0]["content"] for request in server.load}
    for spec in specs:
        again = plan(spec)
        assert again.schedule.hash == ran.manifest.schedule_hash == ran.result.methodology.schedule_hash
        assert dict(enumerate(again.prompts)) == sent
    environment = ran.result.methodology.environment
    assert environment and ran.result.loadcell and ran.result.run.started_at


def test_64_a_saved_result_is_run_again_byte_for_byte(tmp_path: Path) -> None:
    saved, out = tmp_path / "result.json", io.StringIO()
    words = ["--requests", "4", "--concurrency", "2", "--seed", "5", "--input-tokens", "normal:20,5", "--json"]
    with serve() as server, redirect_stdout(out):
        main(["run", server.url, *words, "--output", str(tmp_path / "first")])
        saved.write_text(out.getvalue())
        first = {request.number: request.body for request in server.load}
        server.received.clear()
        main(["run", str(saved), "--output", str(tmp_path / "second")])
        second = {request.number: request.body for request in server.load}
    assert len(first) == 4 and first == second


def test_65_results_are_small_and_hold_no_bodies(kept: tuple[Scripted, Witness, Ran]) -> None:
    """48 requests of 60 tokens each."""
    server, _, ran = kept
    text = to_json(ran.result).decode()
    bare = msgspec.structs.replace(ran.result)
    assert (
        len(msgspec.json.format(msgspec.json.encode(bare), indent=2)) < 80_000
    )  # a figure has its interval and budget
    assert len(text) < 100_000  # each sentence with what it was made of; nothing in it grows with the requests
    assert sum(file.stat().st_size for file in ran.folder.iterdir()) < 200_000
    prompts = [request.json()["messages"][0]["content"] for request in server.load]
    for content in (*contents(ran.folder), text):
        assert "word word" not in content
        assert not any(prompt in content for prompt in prompts)


def test_66_a_failed_request_ends_no_user(run: Run) -> None:
    """One user meets every kind of failure, and goes on after each."""
    troubles: list[list[Step]] = [
        [REFUSED], [RESET], [HANG], [json_reply(b"", 429)], [b"SSH-2.0\r\n", HANG],
        stream(event(token()), RESET), stream(event({"error": "no"})), stream(b"data: [DONE]\n\n"),
    ]  # fmt: skip

    def script(request: Received) -> list[Step]:
        return reply(1) if request.number % 2 else troubles[request.number // 2]

    with serve(script) as server:
        ran = run(server.url, requests=16, concurrency=1, timeout_s=0.3)
    assert [request.number for request in server.load] == list(range(16))
    assert ran.statuses == ["failed", "ok"] * 8
    assert ran.manifest.state == "complete"


def test_67_a_local_tokenizer_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path to a file or to its folder; whatever would ask the hub has nobody to ask."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    packed = resources.files("loadcell.workload").joinpath("data", "smollm2.tokenizer.json.gz").read_bytes()
    (tmp_path / "tokenizer.json").write_bytes(gzip.decompress(packed))
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path / "tokenizer.json"), str(tmp_path), "./tokenizer.json", "."):
        assert load_tokenizer(name).count("four words of text") == 4

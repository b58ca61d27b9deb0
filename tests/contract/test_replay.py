"""`loadcell run RESULT`: the same requests again, and clear words on what is not the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import Scripted, serve
from small_engine import engine

import loadcell.load.ending
from loadcell.cli.main import main
from loadcell.recording.read import open_recording
from loadcell.spec import Workload

SHORT = ("--requests", "6", "--concurrency", "2", "--input-tokens", "8", "--output-tokens", "4", "--ramp", "0")
Load = Callable[..., tuple[int, str, str]]


@pytest.fixture
def load(capsys: pytest.CaptureFixture[str]) -> Load:
    """`loadcell run`: exit code, standard output, standard error. A disturbed machine may call the run INVALID."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["run", *map(str, words)])
        out, err = capsys.readouterr()
        return {4: 0}.get(code, code), out, " ".join(err.split())

    return run


def bodies(server: Scripted, since: int = 0) -> list[bytes]:
    """What was sent, in the order of the schedule."""
    return [request.body for request in sorted(server.load[since:], key=lambda request: request.number)]


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def notes(folder: Path) -> str:
    return "\n".join(open_recording(folder).manifest.notes)


def test_the_same_bytes_again(tmp_path: Path, load: Load) -> None:
    """From the folder and from the saved JSON, which an INVALID run has too."""
    first = tmp_path / "first"
    with serve() as server:
        code, out, _ = load(server.url, *SHORT, "--output", first, "--json")
        assert code == 0
        (tmp_path / "first.json").write_text(out)
        sent = bodies(server)
        assert len(sent) == 6
        for number, source in enumerate((first, tmp_path / "first.json"), 1):
            again = tmp_path / f"again{number}"
            code, _, err = load(source, "--output", again)
            assert code == 0
            assert bodies(server, 6 * number) == sent
            hash_ = open_recording(first).manifest.schedule_hash
            assert f"same schedule (hash {hash_[:16]})" in err
            assert "not as recorded" not in err and "changed" not in err
            assert "same schedule" in notes(again) and open_recording(first).manifest.id in notes(again)
            assert open_recording(again).spec == open_recording(first).spec


def test_an_open_loop_again(tmp_path: Path, load: Load) -> None:
    words = ("--rate", "100", "--requests", "8", "--input-tokens", "8", "--output-tokens", "4", "--seed", "3")
    with serve() as server:
        load(server.url, *words, "--output", tmp_path / "a")
        _, _, err = load(tmp_path / "a", "--output", tmp_path / "b")
    assert "same schedule" in err
    planned = [open_recording(tmp_path / name).schedule(("planned_ns",))["planned_ns"].tolist() for name in "ab"]
    assert planned[0] == planned[1]


def test_flags_go_over_it(tmp_path: Path, load: Load) -> None:
    with serve() as server:
        load(server.url, *SHORT, "--output", tmp_path / "a")
        code, _, err = load(tmp_path / "a", "--requests", "3", "--slo", "ttft=2s", "--output", tmp_path / "b")
    assert code == 0
    assert "changed by flags: load.requests 6 -> 3, slo.ttft_ms none -> 2000" in err
    assert "another schedule than the recorded one" in err and "the spec was changed" in err
    assert "load.requests 6 -> 3" in notes(tmp_path / "b")
    assert open_recording(tmp_path / "b").manifest.planned == 3


def test_a_rate_makes_an_open_loop_of_a_closed_one(tmp_path: Path, load: Load) -> None:
    """The users of the closed loop were never meant as a cap."""
    with serve() as server:
        load(server.url, *SHORT, "--output", tmp_path / "a")
        load(tmp_path / "a", "--rate", "100", "--output", tmp_path / "b")
        load(tmp_path / "a", "--rate", "100", "--concurrency", "2", "--output", tmp_path / "c")
    free, capped = (open_recording(tmp_path / name).spec.load for name in "bc")
    assert (free.rate, free.concurrency, free.ramp_s) == (100, None, 0)
    assert (capped.rate, capped.concurrency) == (100, 2)


def test_it_may_change_between_apis_that_generate_and_those_that_do_not(tmp_path: Path, load: Load) -> None:
    """Nobody gave what only the recorded API has; what is given by hand is refused as ever."""
    with engine("--ttft", "2ms", "--itl", "1ms") as url:
        for target, api, folder in ((url, "chat", "a"), ("a", "embeddings", "b"), ("b", "chat", "c")):
            words = SHORT if folder == "a" else ()
            asked = url if folder == "a" else tmp_path / target
            code, _, err = load(asked, *words, "--api", api, "--output", tmp_path / folder)
            assert code == 0, err
        assert load(tmp_path / "a", "--api", "rerank", "--output", tmp_path / "d")[0] == 0
        assert load(tmp_path / "d", "--api", "embeddings", "--inputs", "3", "--output", tmp_path / "e")[0] == 0
        code, _, err = load(tmp_path / "a", "--api", "embeddings", "--output-tokens", "4")
        assert code == 2 and "workload.output_tokens: the embeddings API generates no text" in err
    specs = [open_recording(tmp_path / name).spec for name in "abcde"]
    assert [spec.endpoint.stream for spec in specs] == [True, False, True, False, False]
    assert [spec.workload.output_tokens for spec in specs] == ["4", None, Workload().output_tokens, None, None]
    assert [spec.workload.inputs for spec in specs] == [None, "1", None, "10", "3"]
    assert [spec.workload.query_tokens for spec in specs] == [None, None, None, "16", None]
    assert {spec.load.requests for spec in specs} == {6} and {spec.workload.input_tokens for spec in specs} == {"8"}


def test_headers_must_be_given_again(tmp_path: Path, load: Load) -> None:
    with serve() as server:
        load(server.url, *SHORT, "--output", tmp_path / "a", "--header", "X-Team=blue-secret")
        code, out, err = load(tmp_path / "a", "--output", tmp_path / "b")
        assert (code, out) == (2, "")
        assert "the header X-Team" in err and "--header X-Team=VALUE" in err
        assert not (tmp_path / "b").exists() and len(server.load) == 6
        code, _, err = load(tmp_path / "a", "--output", tmp_path / "b", "--header", "x-team=red-secret")
        assert code == 0 and "red-secret" not in err + notes(tmp_path / "b")
        assert server.load[-1].headers["x-team"] == "red-secret"
        code, _, err = load(tmp_path / "a", "--output", tmp_path / "c", "--set", "endpoint.headers={}")
        assert code == 0 and "endpoint.headers X-Team -> none" in err
        assert "x-team" not in server.load[-1].headers


def test_credentials_of_the_url_must_be_given_again(tmp_path: Path, load: Load) -> None:
    with serve() as server:
        url = server.url.replace("http://", "http://me:pass-word@")
        load(url, *SHORT, "--output", tmp_path / "a")
        code, _, err = load(tmp_path / "a", "--output", tmp_path / "b")
        assert code == 2 and "--set endpoint.url=URL" in err and "pass-word" not in err
        code, _, err = load(tmp_path / "a", "--output", tmp_path / "b", "--set", f"endpoint.url={url}")
    assert code == 0 and "same schedule" in err and "pass-word" not in err
    assert "changed by flags" not in err


def test_a_prompt_file_that_changed_or_went(tmp_path: Path, load: Load) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "one two three"}\n{"prompt": "four five six"}\n')
    with serve() as server:
        load(server.url, *SHORT, "--prompts", prompts, "--output", tmp_path / "a")
        assert "same schedule" in load(tmp_path / "a", "--trust", "--output", tmp_path / "b")[2]
        prompts.write_text('{"prompt": "one two three"}\n{"prompt": "four five"}\n')
        _, _, err = load(tmp_path / "a", "--trust", "--output", tmp_path / "c")
        for said in (err, notes(tmp_path / "c")):
            assert "NOT THE SAME SCHEDULE" in said and "prompts_sha256" in said
        prompts.write_text('{"prompt": "one two three"}\n{"prompt": "four five two"}\n')
        _, _, err = load(tmp_path / "a", "--trust", "--output", tmp_path / "e")  # of the same length
        for said in (err, notes(tmp_path / "e")):
            assert "NOT THE SAME BYTES" in said and "prompts_sha256" in said
        prompts.unlink()
        code, _, err = load(tmp_path / "a", "--trust", "--output", tmp_path / "d")
    assert code == 2 and f"used the file {prompts}, which is not here: give --prompts FILE" in err


def test_what_is_other_is_said_before_the_load(tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machine, versions, workers, model, negotiation and schedule."""
    first = tmp_path / "a"
    with serve() as server:
        load(server.url, *SHORT, "--output", first)
        manifest = open_recording(first).manifest
        change(
            first / "environment.json",
            python="2.7.1",
            host="elsewhere",
            cores=1000,
            loadcell="0.0.1",
            libraries={"numpy": "1.0"},
        )
        effective = manifest.effective | {"model": "other-model", "ignore_eos": False}
        change(first / "recording.json", workers=7, effective=effective, schedule_hash="f" * 64)
    sent_before: list[int] = []
    with serve() as server:

        def say(*lines: str) -> None:
            sent_before.append(len(server.load))
            sys.stderr.write("\n".join(lines))

        monkeypatch.setattr("loadcell.cli.progress.say", say)
        code, _, err = load(first, "--output", tmp_path / "b", "--set", f"endpoint.url={server.url}")
    assert (code, sent_before) == (0, [0])
    for words in (
        "not as recorded: Python: 3.",
        "was 2.7.1",
        "machine: ",
        "was elsewhere",
        "was 1000",
        "loadcell: ",
        "was 0.0.1",
        "numpy: ",
        "was 1.0",
        "workers: 1, was 7",
        "model: scripted-model, was other-model",
        "ignore_eos: yes, was no",
        f"was {'f' * 16}",
        "changed by flags: endpoint.url",
    ):
        assert words in err, words
    shown = notes(tmp_path / "b")
    assert "not as recorded: workers: 1, was 7" in shown and "not as recorded: model" in shown


def test_another_schedule_is_loud(tmp_path: Path, load: Load) -> None:
    with serve() as server:
        load(server.url, *SHORT, "--output", tmp_path / "a")
        change(tmp_path / "a" / "recording.json", schedule_hash="0" * 64)
        _, _, err = load(tmp_path / "a", "--output", tmp_path / "b")
    assert "NOT THE SAME SCHEDULE" in err and "NOT THE SAME SCHEDULE" in notes(tmp_path / "b")
    assert "numpy" in err


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("gone.json", None, "there is no recording or saved result at"),
        ("gone/run", None, "there is no recording or saved result at"),
        ("other.json", '{"backend": "vllm", "request_throughput": 1}', "neither a URL, nor the folder of a recording"),
        ("other.json", "[1, 2]", "neither a URL"),
        ("other.json", "not json", "neither a URL"),
        ("other.json", b"\xff\xfe\x00", "neither a URL"),
        ("new.json", '{"format": 99, "loadcell": "9.0", "methodology": 1}', "upgrade loadcell"),
        ("half.json", '{"format": 2, "loadcell": "0.1", "methodology": {"spec": 1}, "run": {}}', "is damaged"),
        ("many.json", '{"format": 1, "loadcell": "0.1", "runs": []}', "a summary of several runs"),
        ("recording.json", '{"format": 2, "loadcell": "0.1", "id": "x"}', "tells no methodology"),
    ],
)
def test_paths_that_are_nothing(tmp_path: Path, load: Load, name: str, text: str | bytes | None, says: str) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = load(file)
    assert code in (1, 2) and out == ""
    assert says in err and err.startswith("loadcell: ")


def test_folders_that_are_no_recording(tmp_path: Path, load: Load) -> None:
    assert "it has no recording.json" in load(tmp_path)[2]
    with serve() as server:
        load(server.url, *SHORT, "--output", tmp_path / "runs" / "a")
        code, _, err = load(tmp_path / "runs")
        assert code == 2 and f"loadcell run {tmp_path / 'runs' / 'a'}" in err
        code, _, err = load(tmp_path / "runs" / "a", "--spec", "x.yaml")
        assert code == 2 and "leave out --spec" in err


def test_a_run_that_ended_by_itself_lasts_as_long_again(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loadcell.load.ending, "LEAST_DURATION_S", 0.6)
    short = ("--concurrency", "2", "--input-tokens", "8", "--output-tokens", "4", "--ramp", "0")
    with serve() as server:
        code, out, _ = load(server.url, *short, "--output", tmp_path / "a", "--json")
        assert code == 0
        (tmp_path / "a.json").write_text(out)
        first = open_recording(tmp_path / "a")
        length_s = first.manifest.effective["duration_s"]
        assert first.spec.load.duration_s is None and first.spec.load.duration_most_s == 300
        assert 0.6 <= length_s < 5
        monkeypatch.setattr(loadcell.load.ending, "LEAST_DURATION_S", 60.0)
        for number, source in enumerate((tmp_path / "a", tmp_path / "a.json")):
            _, _, err = load(source, "--output", tmp_path / f"again{number}")
            again = open_recording(tmp_path / f"again{number}").manifest
            assert again.effective["duration_s"] == length_s and again.window_end_ns == round(length_s * 1e9)
            assert "same schedule" in err and "changed" not in err and "not as recorded" not in err
        load(tmp_path / "a", "--requests", "5", "--output", tmp_path / "b")
        load(tmp_path / "a", "--duration", "0.3s", "--output", tmp_path / "c")
    few, brief = (open_recording(tmp_path / name) for name in "bc")
    assert (few.spec.load.requests, few.spec.load.duration_s, few.spec.load.duration_most_s) == (5, None, None)
    assert few.manifest.planned == 5
    assert (brief.spec.load.duration_s, brief.spec.load.duration_most_s) == (0.3, None)


def test_an_older_run_is_run_again_without_keeping_its_load_on(tmp_path: Path, load: Load) -> None:
    words = ("--duration", "0.3s", "--concurrency", "2", "--input-tokens", "8", "--output-tokens", "4", "--ramp", "0")
    with serve() as server:
        load(server.url, *words, "--output", tmp_path / "a")
        spec, manifest = (json.loads((tmp_path / "a" / name).read_text()) for name in ("spec.json", "recording.json"))
        for name in ("keep_load", "duration_most_s"):
            del spec["load"][name]
        for name in ("keep_load", "duration_s"):
            del manifest["effective"][name]
        change(tmp_path / "a" / "spec.json", load=spec["load"])
        change(tmp_path / "a" / "recording.json", format=4, effective=manifest["effective"])
        _, _, err = load(tmp_path / "a", "--output", tmp_path / "b")
    again = open_recording(tmp_path / "b")
    assert "same schedule" in err and "changed" not in err
    assert again.manifest.effective["keep_load"] is False
    assert again.requests(("counted",))["counted"].all()
    assert again.spec.workload.output_tokens == "4"

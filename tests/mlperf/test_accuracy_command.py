"""`loadcell mlperf accuracy` as a person runs it, against a server that knows the answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted import Received, Scripted, Step, clean_pieces, json_reply, serve, stream

from loadcell.cli.main import main
from loadcell.mlperf.accuracy.replies import recorded_replies
from loadcell.mlperf.datasets import find_dataset
from loadcell.mlperf.model import FOOTNOTE, UNVERIFIED, Accuracy
from loadcell.mlperf.rules import find_rules
from loadcell.workload.loadgen import accuracy_traffic
from loadcell.workload.tokenizer import load_tokenizer

pytestmark = pytest.mark.usefixtures("processes")

BENCHMARK = ("--benchmark", "llama2-70b-99.9", "--scenario", "server", "--look-alike")
RULES = find_rules(None, "llama2-70b-99.9", "server")
DATASET = find_dataset(RULES, None, look_alike=True, samples=None, accuracy=True)
N = len(DATASET.samples)
ANSWERS = {json.dumps(sample.messages): sample.reference or "" for sample in DATASET.samples}
TOKENIZER = load_tokenizer("smollm2")
NUMBERS = {json.dumps(sample.messages): number for number, sample in enumerate(DATASET.samples)}


def asked(request: Received) -> int:
    return NUMBERS[json.dumps(request.json()["messages"])]


def right(request: Received) -> list[Step]:
    """The reference, as one event; 294 tokens by the usage, the others of reasoning that is not shown."""
    answer = ANSWERS.get(json.dumps(request.json()["messages"]), "hello")
    pieces = clean_pieces(1, 0.0, 0.0, answer)
    thought = 294 - TOKENIZER.count(answer)
    counts = f'"completion_tokens_details": {{"reasoning_tokens": {thought}}}, "completion_tokens": 294'.encode()
    pieces[-2] = pieces[-2].replace(b'"completion_tokens": 1', counts)  # type: ignore[union-attr]
    return stream(*pieces)


@contextmanager
def knowing(script: Callable[[Received], list[Step]] = right) -> Iterator[Scripted]:
    with serve(script, probe=right) as server:
        yield server


def run(*words: object) -> int:
    return main(["mlperf", "accuracy", *map(str, words)])


def read(folder: Path) -> Accuracy:
    return msgspec.json.decode((folder / "accuracy.json").read_bytes(), type=Accuracy)


def test_a_right_server_passes_in_loadgens_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pass"
    with knowing() as server:
        assert run(server.url, *BENCHMARK, "--concurrency", 1, "--output", folder, "--shared-host") == 0
    order = accuracy_traffic(RULES.seeds, N, "server", equal_issue=True).samples
    assert [asked(request) for request in server.load] == order.tolist()
    body = server.load[0].json()
    assert body["max_tokens"] == RULES.max_output_tokens
    assert body["temperature"] == 0
    found = read(folder)
    assert found.passed
    assert found.scores == {"ROUGE1": 100.0, "ROUGE2": 100.0, "ROUGEL": 100.0, "TOKENS_PER_SAMPLE": 294.0}
    shown = capsys.readouterr().out
    assert "GATE PASSED" in shown
    assert UNVERIFIED in " ".join(shown.split())
    assert " ".join(shown.split()).count(FOOTNOTE) == 1
    assert "not comparable" in shown
    assert max(map(len, shown.splitlines()[:-1])) <= 80  # the last is a path

    (folder / "accuracy.json").unlink()
    assert run(folder, "--json") == 0
    assert read(folder) == found == msgspec.json.decode(capsys.readouterr().out, type=Accuracy)


def test_only_what_has_no_reply_is_asked_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, broken = tmp_path / "pass", {3, 7, 8}

    def failing(request: Received) -> list[Step]:
        return [json_reply({"error": "no"}, 500)] if asked(request) in broken else right(request)

    with knowing(failing) as server:
        assert run(server.url, *BENCHMARK, "--output", folder, "--shared-host") == 4
        first = read(folder)
        assert (first.missing, first.scored, first.passed) == (3, N - 3, False)
        assert "--resume" in " ".join(capsys.readouterr().out.split())
        seen, broken = len(server.load), set()
        assert run(folder, "--resume", "--shared-host") == 0
        assert sorted(asked(request) for request in server.load[seen:]) == [3, 7, 8]
        seen = len(server.load)
        assert run(folder, "--resume", "--shared-host") == 0  # all is there
        assert len(server.load) == seen
    assert read(folder).passed
    assert len(recorded_replies(folder)) == N


def test_an_interrupted_pass_goes_on(tmp_path: Path) -> None:
    folder, slow = tmp_path / "pass", True

    def script(request: Received) -> list[Step]:
        return [0.2, *right(request)] if slow else right(request)

    with knowing(script) as server:
        flags = (*BENCHMARK, "--concurrency", "2", "--output", str(folder), "--shared-host")
        process = subprocess.Popen(
            [sys.executable, "-m", "loadcell", "mlperf", "accuracy", server.url, *flags],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while len(server.load) < 5 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 130, told
        assert f"to go on: loadcell mlperf accuracy {folder} --resume" in told
        had = {reply.sample for reply in recorded_replies(folder)}
        assert 0 < len(had) < N
        seen, slow = len(server.load), False
        assert run(folder, "--resume", "--shared-host") == 0
        assert {asked(request) for request in server.load[seen:]} == set(range(N)) - had
    assert read(folder).passed


def test_the_gate_fails_honestly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(request: Received) -> list[Step]:
        return stream(*clean_pieces(3, 0.0, 0.0, "zzz "))

    with knowing(wrong) as server:
        assert run(server.url, *BENCHMARK, "--output", tmp_path / "pass", "--shared-host") == 4
    shown = " ".join(capsys.readouterr().out.split())
    assert "GATE FAILED" in shown
    assert "failed: ROUGE1 is 0; at least 44.3868 is asked (99.9 % of 44.4312)" in shown
    assert "TOKENS_PER_SAMPLE is 3;" in shown


# --- replies from elsewhere ------------------------------------------------------------------------------------------


def lines(path: Path, **more: Any) -> Path:
    rows = ({"sample": i, "text": s.reference, "tokens": 294} | more for i, s in enumerate(DATASET.samples))
    path.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    return path


def test_replies_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "replies.jsonl")
    assert run("--replies", file, *BENCHMARK, "--output", tmp_path / "scored") == 0
    assert read(tmp_path / "scored").passed
    capsys.readouterr()
    assert run("--replies", lines(file, text="wrong"), *BENCHMARK, "--json") == 4
    assert json.loads(capsys.readouterr().out)["scores"]["ROUGE1"] == 0.0


def test_replies_of_loadgens_accuracy_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Token ids of four bytes in hex, decoded by the model's tokenizer."""
    tokenizer = load_tokenizer("smollm2").backend
    entries = []
    for number, sample in enumerate(DATASET.samples):
        ids = tokenizer.encode(sample.reference or "", add_special_tokens=False).ids
        data = b"".join(i.to_bytes(4, "little") for i in ids).hex().upper()
        entries.append({"seq_id": number, "qsl_idx": number, "data": data, "token_data": "", "token_count": len(ids)})
    log = tmp_path / "mlperf_log_accuracy.json"
    log.write_text(json.dumps([*entries, entries[0]]))
    assert run("--replies", log, *BENCHMARK) == 2
    assert "--tokenizer" in capsys.readouterr().err
    assert run("--replies", log, *BENCHMARK, "--tokenizer", "smollm2", "--json") == 4  # too few tokens each
    found = msgspec.json.decode(capsys.readouterr().out, type=Accuracy)
    assert found.scores["ROUGE1"] == 100.0
    assert [finding.rule for finding in found.findings if finding.ok is False] == ["accuracy-gate TOKENS_PER_SAMPLE"]
    assert any(finding.rule == "repeated-replies" for finding in found.findings)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no replies"),
        ("[]", "name the model's tokenizer"),
        ('{"sample": 0}', "replies.jsonl:1"),
        ('{"sample": 0, "text": "a"}\n{"sample": "b"', "replies.jsonl:2"),
        ('{"sample": 0, "text": 5}', '{"sample": 0, "text": "...", "tokens": 128}'),
        ("\x00\xff", "replies.jsonl:1"),
    ],
)
def test_bad_files_of_replies(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_bytes(text.encode("latin-1"))
    assert run("--replies", file, *BENCHMARK) == 2
    assert says in capsys.readouterr().err


# --- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("http://127.0.0.1:9", "--benchmark", "lama", "--scenario", "server"), "llama3.1-8b"),
        (("http://127.0.0.1:9", "--benchmark", "llama3.1-8b"), "--scenario"),
        (("http://127.0.0.1:9", "--benchmark", "whisper", "--scenario", "offline"), "audio"),
        (("http://127.0.0.1:9", *BENCHMARK, "--concurrency", "0"), "--concurrency"),
        (("http://127.0.0.1:9", *BENCHMARK, "--resume"), "--resume goes on"),
        (("http://127.0.0.1:9", *BENCHMARK, "--slo", "chat"), "--slo"),
        (("--replies", "nowhere.jsonl", *BENCHMARK), "nowhere.jsonl"),
        (("--replies", "nowhere.jsonl", "http://127.0.0.1:9"), "leave out"),
        ((), "name the endpoint"),
        (("http://127.0.0.1:9", *BENCHMARK, "--run-code=on"), "unisolated"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    assert says in capsys.readouterr().err


def test_folders_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 1
    assert "accuracy-plan.json" in capsys.readouterr().err


def test_another_data_set_or_endpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, folder = tmp_path / "data.jsonl", tmp_path / "pass"
    rows = [{"messages": s.messages, "reference": s.reference} for s in DATASET.samples[:4]]
    data.write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
    flags = (*BENCHMARK[:-1], "--dataset", data, "--samples", 4, "--output", folder, "--shared-host")
    with knowing() as server:
        assert run(server.url, *flags) == 0
        assert run(server.url, *flags) == 2
        assert "--resume" in capsys.readouterr().err
        assert run(server.url, *flags, "--resume", "--model", "other") == 2
        assert "endpoint.model" in capsys.readouterr().err
    assert run(folder, "--benchmark", "llama3.1-8b") == 2
    data.write_bytes(b"\n".join(map(msgspec.json.encode, rows[::-1])))
    assert run(folder) == 2
    assert "is not the data set" in capsys.readouterr().err
    data.unlink()
    assert run(folder) == 2


def test_the_passes_of_all_scenarios_ask_every_sample_once(tmp_path: Path) -> None:
    for scenario in ("offline", "interactive", "singlestream"):
        with knowing() as server:
            words = ("--benchmark", "llama2-70b-99.9", "--scenario", scenario, "--look-alike", "--shared-host")
            assert run(server.url, *words, "--output", tmp_path / scenario, "--json") == 0
        assert sorted(map(asked, server.load)) == list(range(N))


def test_replies_of_speech_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Audio cannot be sent from here; what was heard elsewhere can be scored."""
    pytest.importorskip("whisper_normalizer")
    data, file = tmp_path / "dev-all-repack.json", tmp_path / "replies.jsonl"
    data.write_text(json.dumps([{"transcript": "MISTER BROWN CANNOT COME"}, {"transcript": "GOOD MORNING"}]))
    file.write_text('{"sample": 1, "text": "Good morning."}\n{"sample": 0, "text": "Mr. Brown can not come"}\n')
    words = ("--benchmark", "whisper", "--scenario", "offline", "--dataset", data, "--samples", 2)
    assert run("--replies", file, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["scores"] == {"ACCURACY": 100.0}


def test_a_pass_that_could_not_begin_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "pass"
    assert run("http://127.0.0.1:1", *BENCHMARK, "--output", folder) == 1
    assert "cannot connect" in capsys.readouterr().err
    assert not folder.parent.exists()


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("x")
    assert run("http://127.0.0.1:1", *BENCHMARK, "--output", tmp_path) == 1
    assert "already holds files" in capsys.readouterr().err

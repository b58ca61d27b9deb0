"""Recordings that were cut short, of another version, or none: clear words, and never a zero for what is missing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from contract_runs import run_once
from scripted import RESET, serve

from loadcell.cli.main import main
from loadcell.metrics import model
from loadcell.recording import methodology, schema

Copy = Callable[[], Path]
Show = Callable[..., tuple[int, Any, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good recording of twelve requests of four tokens, in an open loop."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with serve() as server:
        run_once(server.url, folder, requests=12, rate=200, ttft_ms=5000)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Copy:
    """A copy of it, to be spoiled."""

    def make() -> Path:
        shutil.copytree(whole, tmp_path / "run")
        return tmp_path / "run"

    return make


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """`loadcell report`: its exit code, its JSON (None if it printed none) and what it says on standard error."""

    def report(folder: Path, *words: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = main(["report", str(folder), "--json", *words])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return report


def change(file: Path, **values: Any) -> None:
    """Change a file; that it was changed is not to be told by checksums."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    manifest = json.loads((file.parent / "recording.json").read_text())
    (file.parent / "recording.json").write_text(json.dumps(manifest | {"files": None, "sha256": None}))


def cut(file: Path, share: float = 0.5) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def only(folder: Path, kind: str) -> Path:
    """The one part of a kind."""
    (part,) = folder.glob(f"{kind}-*.parquet")
    return part


RATES = ("requests_per_s", "output_tokens_per_s", "input_tokens_per_s", "chunks_per_token")


def assert_no_latency(result: Any, *metrics: str) -> None:
    for metric in metrics:
        summary = result["latency"][metric]["service"]
        assert (summary["n"], summary["mean"], summary["max"]) == (0, None, None), metric
        assert {summary[p]["value"] for p in ("p50", "p90", "p95", "p99", "p99_9")} == {None}, metric


def test_the_whole_one_is_fine(whole: Path, show: Show) -> None:
    code, result, err = show(whole, "--force")
    assert (result["counts"]["run"]["ok"], err) == (12, "")
    assert code in (0, 4)  # a disturbed machine may be late
    assert result["latency"]["itl_ms"]["service"]["n"] == 36


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_requests_part_cut_short(copy: Copy, show: Show, share: float) -> None:
    folder = copy()
    cut(only(folder, "requests"), share)
    code, result, _ = show(folder, "--force")
    assert code == 4 and result["verdict"]["word"] == "INVALID"
    assert any("requests-0-00000.parquet" in reason for reason in result["invalid"])
    assert_no_latency(result, "ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
    assert [result["throughput"][name] for name in RATES] == [None] * 4
    counts = result["counts"]["run"]
    assert (counts["planned"], counts["ok"], counts["failed"]) == (12, 0, 12)
    assert [(e["kind"], e["count"]) for e in result["errors"]] == [("lost", 12)]


def test_an_invalid_one_shows_its_figures_and_its_word(
    copy: Copy, show: Show, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy()
    cut(only(folder, "chunks"))
    code, result, _ = show(folder)
    assert (code, result["withheld"], result["verdict"]["word"]) == (4, False, "INVALID")
    assert result["latency"]["ttft_ms"]["service"]["n"] == result["counts"]["run"]["ok"] == 12
    assert main(["report", str(folder)]) == 4
    shown = capsys.readouterr().out
    assert "TTFT" in shown and "INVALID" in shown and "chunks-0-00000.parquet" in shown


@pytest.mark.parametrize("lost", [cut, Path.unlink], ids=["cut", "gone"])
def test_events_that_are_missing(copy: Copy, show: Show, lost: Callable[[Path], None]) -> None:
    """TTFT and E2E come from the requests; what needs the events is not known, and not 0."""
    folder = copy()
    lost(only(folder, "chunks"))
    code, result, _ = show(folder, "--force")
    assert code == 4
    assert any("48 received events are missing" in reason for reason in result["invalid"])
    assert result["latency"]["ttft_ms"]["service"]["n"] == 12
    assert_no_latency(result, "itl_ms")
    rates = result["throughput"]
    assert rates["output_tokens_per_s"] is None and rates["output_tokens_interval"] is None
    assert rates["requests_per_s"] is not None  # how many ended in time is the machine's
    instrument = result["instrument"]
    assert (instrument["merged_share"], instrument["read_lag"]["p50_ms"]) == (None, None)


def test_a_missing_audit(copy: Copy, show: Show) -> None:
    folder = copy()
    (folder / "audit-0.json").unlink()
    _, result, _ = show(folder, "--force")
    assert result["verdict"]["word"] != "VALID"
    assert result["counts"]["run"]["ok"] == 12
    instrument = result["instrument"]
    assert (instrument["reads"], instrument["reads_without_stamp"], instrument["cpu_us_per_token"]) == (None,) * 3
    connections = instrument["connections"]
    assert [connections[name] for name in ("failed", "no_ports", "no_descriptors", "min_rtt_ms")] == [None] * 4


def test_a_run_that_never_said_that_it_ended(copy: Copy, show: Show) -> None:
    folder = copy()
    change(folder / "recording.json", state="running", ended_ns=None)
    _, result, _ = show(folder, "--force")
    assert (result["run"]["state"], result["run"]["duration_s"]) == ("running", None)
    assert "the run did not end: 12 requests recorded up to its last flush" in result["notes"]


def test_no_request_at_all(copy: Copy, show: Show) -> None:
    folder = copy()
    for pattern in ("requests-*", "chunks-*", "audit-*", "host.json"):
        for file in folder.glob(pattern):
            file.unlink()
    change(folder / "recording.json", state="interrupted", ended_ns=1000)
    code, result, _ = show(folder, "--force")
    assert code == 1
    assert result["counts"]["run"] == {
        "planned": 12, "ok": 0, "failed": 0, "cancelled": 0, "unsent": 12, "abandoned": 0,
    }  # fmt: skip
    assert_no_latency(result, "ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
    assert [result["throughput"][name] for name in RATES] == [None] * 4
    assert result["concurrency"]["mean"] is None
    host = result["instrument"]["host"]
    assert (host["steal_share"], host["server"], result["instrument"]["read_lag"]["p50_ms"]) == (None, None, None)


def test_no_success(tmp_path: Path, show: Show) -> None:
    with serve(lambda _: [RESET]) as server:
        run_once(server.url, tmp_path / "run", requests=4, ttft_ms=5000)
    code, result, _ = show(tmp_path / "run", "--force")
    assert code == 1
    assert result["counts"]["run"]["failed"] == 4
    assert_no_latency(result, "ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")
    assert (result["throughput"]["chunks_per_token"], result["instrument"]["cpu_us_per_token"]) == (None, None)
    assert result["goodput"]["attainment"]["value"] == 0.0  # four misses of four: this zero was measured


def words_of(show: Show, folder: Path) -> str:
    """What `loadcell report` says of something that it cannot read: one line, exit code 1, no output."""
    code, result, err = show(folder)
    assert (code, result, err.count("\n"), err.startswith("loadcell: ")) == (1, None, 1, True)
    return err


def test_a_missing_schedule(copy: Copy, show: Show) -> None:
    folder = copy()
    (folder / "schedule.parquet").unlink()
    assert "has no schedule.parquet" in words_of(show, folder)


def test_a_schedule_cut_short(copy: Copy, show: Show) -> None:
    folder = copy()
    cut(folder / "schedule.parquet")
    said = words_of(show, folder)
    assert "damaged" in said and "schedule.parquet" in said


@pytest.mark.parametrize("name", ["recording.json", "spec.json", "environment.json", "audit-0.json"])
def test_json_cut_short(copy: Copy, show: Show, name: str) -> None:
    folder = copy()
    cut(folder / name)
    assert f"{name} is damaged" in words_of(show, folder)


NEW_COLUMNS = ("server_queue_ns", "server_prefill_ns", "server_decode_ns")
OLD_AUDIT = ("worker", "issued", "reads", "reads_without_stamp", "clock_steps", "longest_turn_ns", "cpu_s", "died")


def without_budgets(tree: Any) -> Any:
    """The figures alone: what the clock readings leave open depends on how many of them a recording has."""
    if not isinstance(tree, dict):
        return tree
    return {name: without_budgets(value) for name, value in tree.items() if not name.endswith("budget")}


def test_a_recording_of_format_1(copy: Copy, show: Show) -> None:
    """What it has is shown as ever; what it lacks is missing."""
    folder = copy()
    _, now, _ = show(folder, "--force")
    part = only(folder, "requests")
    with duckdb.connect() as database:
        database.execute(f"create table old as select * exclude ({', '.join(NEW_COLUMNS)}) from '{part}'")
        database.execute(f"copy old to '{part}' (format parquet)")
    spec = json.loads((folder / "spec.json").read_text())
    for section, key in (("run", "repetition"), ("run", "shared_host"), ("endpoint", "metrics_url")):
        del spec[section][key]
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "host.json").unlink()
    audit = json.loads((folder / "audit-0.json").read_text())
    (folder / "audit-0.json").write_text(json.dumps({name: audit[name] for name in OLD_AUDIT if name in audit}))
    change(folder / "recording.json", format=1)
    _, old, _ = show(folder, "--force")
    for same in ("latency", "throughput", "counts", "steady", "goodput"):
        assert without_budgets(old[same]) == without_budgets(now[same]), same
    was, is_now = (one["latency"]["itl_ms"]["service"]["mean_budget"] for one in (old, now))
    assert was["low"] <= is_now["low"], "an older recording bounds its times less closely"
    assert (old["server"], old["instrument"]["host"]["server"]) == ([], None)
    worker = old["instrument"]["workers"][0]
    assert [worker[name] for name in ("busy_share", "core_wait_share", "longest_stall_ms")] == [None] * 3


def test_a_recording_of_a_newer_format(copy: Copy, show: Show) -> None:
    """Whatever else it may hold."""
    folder = copy()
    change(folder / "recording.json", format=schema.FORMAT + 1, loadcell="9.0", notes={"not": "a list"})
    assert f"by loadcell 9.0 in format {schema.FORMAT + 1}" in words_of(show, folder)
    assert "upgrade loadcell" in words_of(show, folder)


def test_what_is_no_recording(tmp_path: Path, whole: Path, show: Show) -> None:
    saved = tmp_path / "result.json"
    saved.write_text(json.dumps(show(whole)[1]))
    assert show(saved)[1] == show(whole)[1]  # a saved result is shown as it is
    saved.write_text('{"request_throughput": 12.5}')
    assert "is not a loadcell result" in words_of(show, saved)
    assert "there is no such folder" in words_of(show, tmp_path / "nothing")
    other = tmp_path / "other"
    other.mkdir()
    assert "it has no recording.json" in words_of(show, other)
    (other / "recording.json").write_text('{"backend": "vllm", "request_throughput": 12.5}')
    assert "not a loadcell file" in words_of(show, other)
    (other / "recording.json").write_bytes(b"\x00\xff not text")
    assert "not a loadcell file" in words_of(show, other)


@contextmanager
def nobody() -> Iterator[None]:
    """Without the rights of root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_copy(whole: Path) -> Iterator[Path]:
    """A copy in a folder that everybody may enter."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    shutil.copytree(whole, place / "run")
    yield place / "run"
    (place / "run").chmod(0o755)
    shutil.rmtree(place)


@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_a_folder_without_permission(open_copy: Path, show: Show, mode: int) -> None:
    show(open_copy)  # everything is imported before the rights are dropped
    open_copy.chmod(mode)
    with nobody():
        assert "Permission denied" in words_of(show, open_copy)


def test_files_without_permission(open_copy: Path, show: Show) -> None:
    show(open_copy)
    part = only(open_copy, "requests")
    part.chmod(0)
    with nobody():
        code, result, _ = show(open_copy, "--force")
    assert code == 4 and any(part.name in reason for reason in result["invalid"])
    assert_no_latency(result, "ttft_ms")
    (open_copy / "recording.json").chmod(0)
    with nobody():
        assert "Permission denied" in words_of(show, open_copy)


def test_the_formats_agree() -> None:
    assert methodology.RESULT_FORMAT == model.FORMAT

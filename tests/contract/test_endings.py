"""How a run ends that does not end by itself: Ctrl-C, killed processes, a full disk. The recording stays readable."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from contract_runs import Run
from scripted import HANG, Received, Scripted, Step, clean, delta, event, serve, stream, token

from loadcell.cli.main import main
from loadcell.errors import RecordingError
from loadcell.metrics import Result, build_result
from loadcell.recording.read import open_recording

pytestmark = pytest.mark.usefixtures("alone")


class Command:
    """`loadcell run` as a process of its own."""

    shell: tuple[str, ...] = ()
    """What starts it."""

    def __init__(self, stack: ExitStack, folder: Path, *words: str, **environment: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [
                *self.shell,
                sys.executable,
                "-m",
                "loadcell",
                "run",
                *words,
                "--input-tokens",
                "8",
                "--output",
                str(folder),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        stack.enter_context(self.process)
        stack.callback(self.process.kill)

    def workers(self) -> list[int]:
        """Processes that it started."""
        words = ["ps", "-o", "pid=", "--ppid", str(self.process.pid)]
        found = subprocess.run(words, check=True, capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def end(self) -> tuple[int, str, str]:
        out, errors = self.process.communicate(timeout=20)
        return self.process.returncode, out, errors

    def result(self) -> Result:
        result = build_result(open_recording(self.folder))
        counts = result.counts.run
        assert counts.planned == counts.ok + counts.failed + counts.cancelled + counts.unsent
        return result

    def state(self) -> str:
        state: str = json.loads((self.folder / "recording.json").read_bytes())["state"]
        return state


Start = Callable[..., Command]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def start(stack: ExitStack, tmp_path: Path) -> Start:
    return lambda *words, **environment: Command(stack, tmp_path / "run", *words, **environment)


def wait_for(condition: Callable[[], Any]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit, "it did not come"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for stays as a zombie where there is no init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@contextmanager
def some_answered() -> Iterator[Scripted]:
    """A server that answers the first eight requests and then keeps silent."""
    with serve(lambda request: clean() if request.number < 8 else [HANG]) as server:
        yield server


def test_ctrl_c_ends_the_run_and_keeps_what_was_measured(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    with some_answered() as server:
        command = start(server.url, "--concurrency", "4", "--requests", "100")
        wait_for(lambda: len(server.load) >= 12)
        command.process.send_signal(signal.SIGINT)
        code, out, errors = command.end()
    assert code == 130
    assert errors == ""
    counts = command.result().counts.run
    assert (counts.planned, counts.ok, counts.failed, counts.cancelled, counts.unsent) == (100, 8, 0, 4, 88)
    assert command.state() == "interrupted"
    assert "interrupted" in out
    assert main(["report", str(command.folder)]) in (0, 4)
    assert "100 planned = 8 ok + 0 failed + 4 cancelled + 88 unsent" in capsys.readouterr().out


def test_termination_is_answered_like_ctrl_c(start: Start) -> None:
    with some_answered() as server:
        command = start(server.url, "--rate", "200", "--duration", "60s")
        wait_for(lambda: len(server.load) >= 40)  # 0.2 s: the first eight have been read
        command.process.terminate()
        code, _, errors = command.end()
    assert (code, errors) == (130, "")
    assert command.state() == "interrupted"
    counts = command.result().counts.run
    assert counts.cancelled >= 1 and counts.unsent >= 1 and 1 <= counts.ok <= 8


class InBackground(Command):
    """As a shell script starts what it puts into the background: with Ctrl-C ignored."""

    shell = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")


def test_in_the_background_ctrl_c_stays_ignored_and_termination_ends_the_run(stack: ExitStack, tmp_path: Path) -> None:
    with some_answered() as server:
        command = InBackground(stack, tmp_path / "run", server.url, "--concurrency", "4", "--requests", "100")
        wait_for(lambda: len(server.load) >= 12)
        command.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert command.process.poll() is None and command.state() == "running"
        command.process.terminate()
        code, _, errors = command.end()
    assert (code, command.state()) == (130, "interrupted")
    assert errors == (
        "loadcell: Ctrl-C is ignored, as whoever started this asked (background jobs are); to end it and keep what is "
        f"recorded: kill {command.process.pid}\n"
    )
    assert command.result().counts.run.ok == 8


def test_in_the_background_termination_ends_what_comes_before_the_load(stack: ExitStack, tmp_path: Path) -> None:
    with serve(models=lambda _: [HANG]) as server:
        command = InBackground(stack, tmp_path / "run", server.url, "--requests", "10")
        wait_for(lambda: server.received)
        command.process.terminate()
        code, _, errors = command.end()
    assert code == 130
    assert errors.endswith("loadcell: interrupted\n")


def test_ctrl_c_twice_ends_at_once(start: Start) -> None:
    """The second one comes while a stopped worker cannot end by itself."""
    with some_answered() as server:
        command = start(server.url, "--concurrency", "4", "--requests", "100", "--workers", "2")
        wait_for(lambda: len(server.load) >= 12)
        workers = command.workers()
        os.kill(workers[0], signal.SIGSTOP)
        command.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert command.process.poll() is None
        command.process.send_signal(signal.SIGINT)
        code, _, errors = command.end()
    assert (code, errors) == (130, "loadcell: interrupted\n")
    assert len(workers) == 2
    assert all(gone(pid) for pid in workers)
    assert command.state() == "interrupted"
    assert command.result().counts.run.planned == 100


@pytest.mark.parametrize("when", ["asking", "connecting"])
def test_ctrl_c_before_the_load(start: Start, when: str) -> None:
    silent = {"models": lambda _: [HANG]} if when == "asking" else {}
    with serve(**silent) as server:  # type: ignore[arg-type]
        command = start(server.url, "--requests", "10")
        wait_for(lambda: server.received if when == "asking" else (command.folder / "recording.json").exists())
        workers = command.workers()
        command.process.send_signal(signal.SIGINT)
        code, _, errors = command.end()
    assert code == 130
    assert errors in ("", "loadcell: interrupted\n")
    assert all(gone(pid) for pid in workers)


def test_a_killed_worker_makes_the_run_invalid(start: Start) -> None:
    with some_answered() as server:
        command = start(server.url, "--concurrency", "4", "--requests", "100", "--workers", "2")
        wait_for(lambda: len(server.load) >= 12)
        os.kill(command.workers()[0], signal.SIGKILL)
        code, out, errors = command.end()
    assert (code, errors) == (4, "")
    result = command.result()
    assert result.run.state == "broken"
    assert re.search(r"worker \d died \(signal 9 \(SIGKILL\)\)", result.invalid[0])
    assert "INVALID" in out
    counts = result.counts.run
    assert counts.planned == 100
    assert counts.ok >= 1, "what the other worker measured is there"
    assert {failure.kind for failure in result.errors} == {"lost"}


def test_workers_end_when_the_parent_is_killed(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    with some_answered() as server:
        command = start(server.url, "--concurrency", "4", "--requests", "100", "--workers", "2")
        wait_for(lambda: len(server.load) >= 12)
        workers = command.workers()
        command.process.kill()
        command.process.wait()
        wait_for(lambda: all(gone(pid) for pid in workers))
    assert command.state() == "running"
    result = command.result()
    assert result.counts.run.ok == 8
    assert main(["report", str(command.folder)]) in (0, 4)
    assert "the run did not end" in " ".join(capsys.readouterr().out.split())


def test_nothing_is_left_behind(run: Run) -> None:
    """Neither drafts nor bodies; the files are those of the schema."""
    with serve() as server:
        ran = run(server.url, requests=4)
    names = {re.sub(r"\d+", "N", file.name) for file in ran.folder.iterdir()}
    assert names == {
        "recording.json", "spec.json", "environment.json", "host.json", "schedule.parquet",
        "requests-N-N.parquet", "chunks-N-N.parquet", "audit-N.json",
        "sources.json", "looks-N.parquet", "series-N.parquet",
    }  # fmt: skip


# --- the disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many KiB."""
    mounted: list[Path] = []

    def mount(kib: int) -> Path:
        folder = tmp_path / f"disk{kib}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, leave_kib: int = 0) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - leave_kib * 1024))


@pytest.mark.parametrize("kib", [4, 12, 24])
def test_a_disk_that_is_full_before_the_load(
    small_disk: Callable[[int], Path], capsys: pytest.CaptureFixture[str], kib: int
) -> None:
    """Wherever the room ends before the load, one line says so."""
    disk = small_disk(64)
    fill(disk, leave_kib=kib)
    words = ["--requests", "400", "--input-tokens", "8", "--output", str(disk / "run")]
    with serve() as server:
        assert main(["run", server.url, *words]) == 1
        assert server.load == []
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert re.search(r"loadcell: cannot (write|make) .*(space|No space)", errors)


@pytest.mark.parametrize("usage", [True, False])
def test_a_disk_that_fills_during_the_load(start: Start, small_disk: Callable[[int], Path], usage: bool) -> None:
    """The run stops, says why, and is invalid; a text that waits for the tokenizer fills the disk in the same way."""
    disk = small_disk(2048)
    filled: list[int] = []

    def script(request: Received) -> list[Step]:
        if request.number == 40 and not filled:
            filled.append(1)
            fill(disk)
        text = os.urandom(2000).hex()
        return clean(4, text=text) if usage else stream(event(token(text)), event(delta(finish="stop")))

    with serve(script) as server, ExitStack() as stack:
        words = ("--concurrency", "4", "--requests", "400", "--keep-text")
        command = Command(stack, disk / "run", server.url, *words)
        code, _, errors = command.end()
    assert "Traceback" not in errors
    assert code in (1, 4)
    assert re.search("space", errors + " ".join(json.loads((disk / "run" / "recording.json").read_bytes())["invalid"]))


# --- the folder ------------------------------------------------------------------------------------------------------


def test_a_folder_that_holds_files_is_refused_before_the_server_is_asked(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run0").mkdir()
    (tmp_path / "run0" / "precious").touch()
    with serve() as server, pytest.raises(RecordingError, match=r"already holds files.*--output"):
        run(server.url, requests=2)
    assert server.received == []


def test_an_empty_folder_is_taken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run0").mkdir()
    with serve() as server:
        assert run(server.url, requests=1, concurrency=1).statuses == ["ok"]


def test_a_file_in_the_place_of_the_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run0").touch()
    with serve() as server, pytest.raises(RecordingError, match="--output"):
        run(server.url, requests=2)


@pytest.mark.parametrize("folder", ["/proc/run", "/dev/null/run"])
def test_a_place_that_cannot_be_written(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:
        assert main(["run", server.url, "--requests", "2", "--output", folder]) == 1
    assert re.fullmatch(r"loadcell: cannot (write to|make) /.*give --output another folder\n", capsys.readouterr().err)


def test_a_refused_endpoint_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot connect"):
        run("http://127.0.0.1:9", requests=2)
    assert list(tmp_path.iterdir()) == []

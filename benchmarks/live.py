"""The live display: what it costs while a load runs, in the command's own process and in a load process."""

from __future__ import annotations

import fcntl
import mmap
import os
import pty
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

from common import LOADCELL, engine, work_folder
from tables import Row, Table, at_most

from loadcell.load.live import Live, tell
from loadcell.recording.schema import MISSING

_BAR = 1.0
_USERS, _ITL_MS, _TOKENS = 64, 10, 64
_NOTES = (
    f"CPU time of the command's own process, all its threads, while {_USERS} users stream {1000 // _ITL_MS} tokens/s "
    "each: from 3 s after its start to 2 s before the end of sending, by the kernel's count (schedstat), in percent of "
    "a core. The load processes are not in it. In a file: standard error goes to a file, which gets a line every ten "
    "seconds. On a terminal: a pseudo-terminal of 100 columns, which is read at once.",
    "An ended request: counted once for the display in the memory that a load process shares, after its rows are "
    "written; nothing is counted when a token comes.",
)


def measure(quick: bool) -> list[Table]:
    """One table: the parent with and without a terminal, and what a load process does for it."""
    seconds = 7.0 if quick else 20.0
    table = Table("Live display", ("what", "cost"), notes=_NOTES)
    with (
        engine("--slots", str(_USERS), "--ttft", "50ms", "--itl", f"{_ITL_MS}ms") as target,
        work_folder() as folder,
    ):
        plain = _parent_share(target.url, folder / "file", seconds, terminal=False)
        drawn = _parent_share(target.url, folder / "terminal", seconds, terminal=True)
    table.rows.append(Row(("the command, its progress in a file", f"{plain:.2f} % of a core")))
    table.rows.append(Row(("the command, its progress on a terminal", f"{drawn:.2f} % of a core")))
    table.rows.append(at_most("the display: their difference", drawn - plain, _BAR, "% of a core"))
    table.rows.append(
        Row(("an ended request, in its load process", f"{_tell_us(20_000 if quick else 200_000):.2f} µs"))
    )
    return [table]


def _parent_share(url: str, folder: Path, seconds: float, *, terminal: bool) -> float:
    """Percent of a core that `loadcell run` itself takes while its load runs."""
    words = [*LOADCELL, "run", url, "--concurrency", str(_USERS), "--duration", f"{seconds:g}", "--input-tokens", "64"]
    words += ["--output-tokens", str(_TOKENS), "--set", "run.shared_host=true", "--output", str(folder), "--json"]
    with tempfile.TemporaryFile() as log:
        main, side = pty.openpty() if terminal else (None, log.fileno())
        if main is not None:
            fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=side,
            env=os.environ | {"TERM": "xterm-256color"},
        )  # fmt: skip
        if main is not None:
            os.close(side)
            threading.Thread(target=_drain, args=(main,), daemon=True).start()
        time.sleep(3)
        start, before = time.perf_counter(), _cpu_ns(process.pid)
        time.sleep(seconds - 5)
        share = (_cpu_ns(process.pid) - before) / (time.perf_counter() - start) / 1e9
        if process.wait() not in (0, 4):  # 4: called invalid by its audit, which is not what is measured here
            raise RuntimeError(f"loadcell run ended with status {process.returncode}")
    return share * 100


def _drain(main: int) -> None:
    """Read what is drawn until the other side is closed."""
    try:
        while os.read(main, 1 << 16):
            pass
    except OSError:  # how Linux says so
        os.close(main)


def _cpu_ns(pid: int) -> int:
    """Time on a core of all threads of a process."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _tell_us(times: int) -> float:
    """CPU time of counting one request."""
    row = {"status": "ok", "planned_ns": 0, "ready_ns": MISSING, "send_start_ns": 50_000, "conn_start_ns": MISSING,
           "first_any_ns": 60_000_000, "last_ns": 700_000_000, "output_tokens": 64}  # fmt: skip
    with tempfile.TemporaryFile() as file:
        file.truncate(max(Live.size(1), mmap.PAGESIZE))
        cells = Live(file.fileno(), 1).cells(0)
        start = time.thread_time()
        for _ in range(times):
            tell(cells, row, 66)
        return (time.thread_time() - start) / times * 1e6

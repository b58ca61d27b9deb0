"""What a person sees while a load runs: its words at any width, and real runs on a terminal and into a file."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from contract_runs import Run, short_spec
from hypothesis import given
from hypothesis import strategies as st
from scripted import HANG, clean, serve

from loadcell.cli.liveview import LOG_COLUMNS, block, log_line
from loadcell.cli.progress import lines_due
from loadcell.load import Progress, run_load
from loadcell.load.live import Live, tell
from loadcell.load.progress import Figures, Meter
from loadcell.recording.schema import MISSING
from loadcell.recording.write import MISSING_INT

pytestmark = pytest.mark.usefixtures("alone")

OPEN = Progress(
    "load", 42.1, 720, 60.0, 520, 503, 2, 15, 90_000, due=522, sends_end_s=59.9, longest_stall_ms=1.23,
    recent=Figures(10.0, 123, 212.4, 480.2, 12.4, 12.5, 12.3, 3204.1, 0.34),
    whole=Figures(42.1, 503, 209.0, 512.0, 12.4, 12.5, 12.3, 3101.0, 0.31), on_time_share=0.9997, timed=500,
)  # fmt: skip
CLOSED = Progress(
    "load", 3700.0, 9000, None, 4500, 4400, 0, 64, 90_000, users=64, longest_stall_ms=61.2, timed=4400,
    recent=Figures(12.0, 100, 21_240.0, 48_020.0, 1.2, None, 1.25, 3204.1, 0.84), on_time_share=0.97,
)  # fmt: skip


def text(now: Progress, width: int, *head: str) -> list[str]:
    return ["".join(words for words, _ in line) for line in block(now, head, width)]


def styles(now: Progress) -> dict[str, str]:
    return {words: style for line in block(now, (), 100) for words, style in line}


def test_an_open_loop_in_a_hundred_columns() -> None:
    assert text(OPEN, 100) == [
        "0:42 of 1:00 · 70 % · 18 s left  ━━━━━━━━━━━━━━━━━━━━━─────────",
        "requests   503 ok · 2 failed · 15 in flight · sent 12.4 of 12.5 requests/s · 2 wait to be sent",
        "last 10 s  TTFT p50 212 ms · p99 480 ms · 3,204 tokens/s · 12.3 requests/s",
        "so far     TTFT p50 209 ms · p99 512 ms · 3,101 tokens/s · 12.3 requests/s",
        "audit      on time 99.97 % · longest stall 1.23 ms · client busy 34 %",
    ]


def test_a_stage_of_a_sweep_in_eighty_columns() -> None:
    assert text(CLOSED, 80, "stage 3/9", "64 users", "bisect") == [
        "stage 3/9 · 64 users · bisect · 1:01:40 · 49 % · 61 min left  ━━━━━━━━─────────",
        "requests   4,400 of 9,000 ok · 0 failed · 64 of 64 in flight",
        "last 12 s  TTFT p50 21.2 s · p99 48.0 s · 3,204 tokens/s · 1.25 requests/s",
        "audit      on time 97 % · longest stall 61.2 ms · client busy 84 %",
    ]


def test_a_narrow_terminal_wraps_what_it_shows() -> None:
    assert text(OPEN, 40) == [
        "0:42 of 1:00 · 18 s left",
        "requests: 503 ok · 2 failed",
        "15 in flight",
        "sent 12.4 of 12.5 requests/s",
        "2 wait to be sent",
        "last 10 s: TTFT p50 212 ms · p99 480 ms",
        "3,204 tokens/s · 12.3 requests/s",
        "audit: on time 99.97 %",
        "longest stall 1.23 ms",
        "client busy 34 %",
    ]


def test_the_audit_is_coloured_by_what_is_usual() -> None:
    fine, bad = styles(OPEN), styles(CLOSED)
    assert (fine["on time 99.97 %"], fine["longest stall 1.23 ms"], fine["client busy 34 %"]) == ("", "", "")
    assert (bad["on time 97 %"], bad["longest stall 61.2 ms"], bad["client busy 84 %"]) == (
        "yellow",
        "yellow",
        "yellow",
    )
    one = Progress("load", 1.0, due=10, on_time_share=0.9, timed=10)
    assert styles(one)["on time 90 %"] == "", "one send of few is no trouble"
    some = Progress("load", 1.0, due=100, on_time_share=0.92, timed=100)
    assert styles(some)["on time 92 %"] == "yellow"
    assert (fine["2 failed"], bad["0 failed"]) == ("red", "dim")


def test_the_end_of_a_load() -> None:
    def course(**fields: object) -> str:
        return text(Progress("load", **fields), 100)[0]  # type: ignore[arg-type]

    assert course(elapsed_s=61.0, duration_s=60.0, sends_end_s=60.0, in_flight=12).startswith(
        "1:01 of 1:00 · 100 % · draining 12"
    )
    kept = course(elapsed_s=61.0, sends_end_s=60.0, in_flight=12, awaited=3, kept=True)
    assert kept.startswith("1:01 of 1:00 · 100 % · keeping the load on for 3 replies")
    assert "draining 3" in course(elapsed_s=5.0, planned=40, issued=40, in_flight=3)
    assert "stopping" in course(elapsed_s=5.0, planned=40, issued=20, in_flight=3, stopping=True)
    assert course(elapsed_s=5.0) == "0:05", "where nothing tells the end, nothing is said of it"


def test_before_the_first_request_ended() -> None:
    lines = text(Progress("load", 3.0, users=4, in_flight=4, duration_s=60.0, recent=Figures(3.0)), 80)
    assert "last 3 s   no output came" in lines
    lines = text(Progress("load", 3.0, users=4, recent=Figures(3.0, tokens_per_s=120.0, ended_per_s=0.0)), 80)
    assert "last 3 s   120 tokens/s · 0 requests/s" in lines
    assert log_line(Progress("load", 5.0, users=4, in_flight=4)) == "0:05, 0 ok, 0 failed, 4/4 in flight"


def test_the_line_of_a_log() -> None:
    assert log_line(OPEN) == (
        "0:42, 503 ok, 2 failed, sent 12.4/12.5/s, TTFT p50 212 p99 480 ms, 3204 tok/s, audit ok, 18 s left"
    )
    assert log_line(CLOSED, ["stage 3/9", "64 users", "bisect", "all in 20 min"]) == (
        "stage 3/9, 64 users, 1:01:40, 4400 ok, 0 failed, TTFT p50 21.2 p99 48.0 s, 3204 tok/s, busy 84 %"
    ), "what troubles most goes before what is fine"
    assert log_line(Progress("check"), ["stage 1"]) == "stage 1, asking the endpoint ..."
    waits = Progress("check", 2.0, duration_s=10.0, says="cannot connect: Connection refused (nothing listens there)")
    assert log_line(waits, width=60) == "waiting 2 of 10 s: cannot connect: Connection refused (n ..."


COUNT = st.integers(0, 10**12)
FIGURE = st.none() | st.floats(0, 1e12)
FIGURES = st.none() | st.builds(
    Figures, st.floats(0.1, 1e6), COUNT, FIGURE, FIGURE, FIGURE, FIGURE, FIGURE, FIGURE, st.none() | st.floats(0, 1)
)
PROGRESS = st.builds(
    Progress,
    stage=st.sampled_from(["check", "prepare", "start", "load", "load", "finish"]),
    elapsed_s=st.floats(0, 10**7), planned=st.none() | COUNT, duration_s=st.none() | st.floats(1e-3, 10**7),
    issued=COUNT, ok=COUNT, failed=COUNT, in_flight=COUNT, events=COUNT, cancelled=COUNT, users=st.none() | COUNT,
    due=st.none() | COUNT, sends_end_s=st.none() | st.floats(0, 10**7), stopping=st.booleans(),
    streamed=st.booleans(), recent=FIGURES, whole=FIGURES, on_time_share=st.none() | st.floats(0, 1),
    timed=COUNT, longest_stall_ms=FIGURE,
)  # fmt: skip
HEADS = st.lists(st.text(max_size=50), max_size=4)


@given(PROGRESS, HEADS, st.sampled_from([20, 40, 59, 60, 80, 100, 140]))
def test_no_line_is_wider_than_the_terminal(now: Progress, head: list[str], width: int) -> None:
    from rich.cells import cell_len

    lines = text(now, width, *head)
    assert all(cell_len(line) < width and line.isprintable() for line in lines)
    if width >= 40:  # what matters is there at any width
        shown = " ".join(" ".join(lines).split())
        assert f"{now.ok:,}" in shown and f"{now.failed:,} failed" in shown
        assert now.recent is None or not now.recent.ended or "p50" in shown


@given(PROGRESS, HEADS)
def test_a_line_of_a_log_is_ascii_and_short(now: Progress, head: list[str]) -> None:
    line = log_line(now, head)
    assert 0 < len(line) <= LOG_COLUMNS and line.isascii() and line.isprintable()


def test_when_a_log_gets_its_lines() -> None:
    due = [s for s in range(1, 1000) if lines_due(s) > lines_due(s - 1)]
    assert due == [5, *range(10, 301, 10), *range(330, 1000, 30)]


@pytest.mark.parametrize(("load", "loop"), [({"rate": 100.0}, "open"), ({"concurrency": 8}, "closed")])
def test_the_live_latency_is_that_of_the_result(run: Run, load: dict[str, float], loop: str, tmp_path: Path) -> None:
    """Told again from the rows of a run, the bins give the percentiles of its result; both loops have their anchor."""
    with serve(lambda request: clean(ttft_s=0.01 + 0.001 * (request.number % 20))) as server:
        ran = run(server.url, requests=150, warmup_s=0, **load)
    file = tmp_path / "block"
    file.write_bytes(bytes(Live.size(1)))
    with file.open("r+b") as opened:
        live = Live(opened.fileno(), 1)
        for row in ran.rows:
            counts = ("output_tokens", "first_tokens")
            told = {k: (MISSING_INT if k in counts else MISSING) if v is None else v for k, v in row.items()}
            tell(live.cells(0), told, 4)
        _, whole = Meter(live, None).figures(10**9)
    latency = ran.result.latency["ttft_ms"]
    truth = latency.service if loop == "closed" else latency.response
    assert whole is not None and truth is not None and truth.p50.value is not None
    assert whole.ended == 150
    assert whole.p50_ms == pytest.approx(truth.p50.value, rel=0.03)  # the result's quantile lies between two samples
    assert whole.tokens_per_s == sum(row["output_tokens"] for row in ran.rows)


def test_what_a_watcher_is_shown(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with serve(lambda _: clean()) as server:
        run_load(short_spec(server.url, rate=100, duration_s=1.5), tmp_path / "open", seen.append)
    assert list(dict.fromkeys(now.stage for now in seen)) == ["check", "prepare", "start", "load", "finish"]
    last = [now for now in seen if now.stage == "load" and now.recent is not None][-1]
    assert last.due is not None and abs(last.issued - last.due) <= 5
    assert last.sends_end_s is not None and last.sends_end_s <= 1.5 and last.users is None
    assert last.recent is not None and last.recent.p50_ms is not None and last.recent.sent_per_s is not None
    assert 10 < last.recent.p50_ms < 1000
    assert last.recent.sent_per_s == pytest.approx(last.recent.due_per_s, rel=0.1)
    assert last.on_time_share is not None and last.longest_stall_ms is not None
    assert last.recent.busy_share is not None and 0 < last.recent.busy_share < 1


# --- real runs -------------------------------------------------------------------------------------------------------


class Screen:
    """As much of a terminal as rich and we make use of; fails on what it does not know."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0
        self.cursor = True
        self.drawn = ""

    def feed(self, data: str) -> None:
        for control, mark, final, char in re.findall(r"\x1b\[([?\d;]*)()([A-Za-z])|([^\x1b])", data):
            self._char(char) if char else self._control(control + mark, final)

    def _char(self, char: str) -> None:
        self.drawn += char
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            self.rows += [[]] * (self.row >= len(self.rows))
            self.rows[self.row] = list(self.rows[self.row])
        else:
            assert char.isprintable(), repr(char)
            line = self.rows[self.row]
            line += [" "] * (self.column + 1 - len(line))
            line[self.column] = char
            self.column += 1

    def _control(self, words: str, final: str) -> None:
        if final in "hl" and words == "?25":
            self.cursor = final == "h"
        elif final == "A":
            self.row -= int(words or 1)
            assert self.row >= 0
        elif final == "K":
            self.rows[self.row] = [] if words == "2" else self.rows[self.row][: self.column]
        else:
            assert final == "m", (words, final)

    @property
    def shown(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.rows).strip("\n")


class OnTerminal:
    """A command whose standard error is a terminal of its own; its standard output goes to a file."""

    def __init__(self, folder: Path, *words: str, columns: int = 100, **environment: str) -> None:
        self.main, side = pty.openpty()
        self.resize(columns)
        self.out = folder / "stdout"
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "loadcell", *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=side, env=kept | {"TERM": "xterm-256color"} | environment,
            )  # fmt: skip
        os.close(side)
        self.raw = b""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.main, 65536)
            except OSError:  # the other end is closed
                return
            if not data:
                return
            self.raw += data

    def wait_for(self, words: str) -> None:
        limit = time.monotonic() + 30
        while words not in self.raw.decode(errors="replace"):
            assert time.monotonic() < limit and self.process.poll() is None, self.raw
            time.sleep(0.02)

    def end(self) -> tuple[int, Screen]:
        code = self.process.wait(30)
        self.reader.join(30)
        screen = Screen()
        screen.feed(self.raw.decode())
        return code, screen


@contextmanager
def on_terminal(folder: Path, *words: str, columns: int = 100, **environment: str) -> Iterator[OnTerminal]:
    command = OnTerminal(folder, *words, columns=columns, **environment)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
        command.process.wait()
        command.reader.join()
        os.close(command.main)


def words_for(url: str, folder: Path, *more: str) -> tuple[str, ...]:
    return ("run", url, "--input-tokens", "8", "--output-tokens", "4", "--workers", "1", "--no-html",
            "--output", str(folder / "run"), *more)  # fmt: skip


@pytest.mark.parametrize("columns", [100, 40])
def test_a_run_on_a_terminal_leaves_it_clean(tmp_path: Path, columns: int) -> None:
    with serve(lambda _: clean()) as server:
        words = words_for(server.url, tmp_path, "--rate", "40", "--duration", "2s")
        with on_terminal(tmp_path, *words, columns=columns) as command:
            code, screen = command.end()
    assert code in (0, 4)
    assert screen.shown == "" and screen.cursor and screen.column == 0
    for words_shown in ("asking the endpoint", "TTFT p50", "on time", "tokens/s", "writing the recording"):
        assert words_shown in screen.drawn
    assert "TTFT" in command.out.read_text() and "left" not in command.out.read_text()


def test_a_sweep_on_a_terminal_names_its_stages(tmp_path: Path) -> None:
    with serve(lambda _: clean()) as server:
        words = ("sweep", *words_for(server.url, tmp_path)[1:], "--concurrency", "1,2", "--duration", "1s")
        with on_terminal(tmp_path, *words) as command:
            code, screen = command.end()
    assert code in (0, 4)
    assert screen.shown == "" and screen.cursor and screen.column == 0
    assert "stage 1/2 · 1 user · all in " in screen.drawn and "stage 2/2 · 2 users · all in " in screen.drawn
    assert command.out.read_text().startswith("   1  1 user: "), "what stays is on standard output"


def test_ctrl_c_leaves_a_clean_terminal(tmp_path: Path) -> None:
    with serve(lambda request: clean() if request.number < 8 else [HANG]) as server:
        words = words_for(server.url, tmp_path, "--concurrency", "4", "--requests", "100")
        with on_terminal(tmp_path, *words) as command:
            command.wait_for("8 of 100 ok")
            command.resize(60)
            command.wait_for("requests/s")
            command.process.send_signal(signal.SIGINT)
            code, screen = command.end()
    assert code == 130
    assert screen.cursor and screen.column == 0 and screen.shown in ("", "loadcell: interrupted")
    assert "Traceback" not in screen.drawn


def test_ctrl_c_twice_shows_the_cursor_again(tmp_path: Path) -> None:
    with serve(lambda _: [HANG]) as server:
        words = words_for(server.url, tmp_path, "--concurrency", "2", "--requests", "100")
        with on_terminal(tmp_path, *words) as command:
            command.wait_for("2 of 2 in flight")
            tasks = subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(command.process.pid)], capture_output=True, text=True, check=True
            )
            os.kill(int(tasks.stdout.split()[0]), signal.SIGSTOP)  # it cannot end by itself
            command.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            command.process.send_signal(signal.SIGINT)
            code, screen = command.end()
    assert code == 130
    assert screen.cursor and screen.shown in ("", "loadcell: interrupted") and "Traceback" not in screen.drawn


def test_without_colour_there_is_none(tmp_path: Path) -> None:
    with serve(lambda _: clean()) as server:
        words = words_for(server.url, tmp_path, "--rate", "40", "--duration", "1s")
        with on_terminal(tmp_path, *words, NO_COLOR="1") as command:
            code, screen = command.end()
    assert code in (0, 4) and screen.shown == ""
    assert not re.search(rb"\x1b\[[\d;]*3[0-7]m", command.raw), "bold and dim are no colours"


def test_a_dumb_terminal_gets_no_control_characters(tmp_path: Path) -> None:
    with serve(lambda _: clean()) as server:
        words = words_for(server.url, tmp_path, "--rate", "20", "--duration", "1s")
        with on_terminal(tmp_path, *words, TERM="dumb") as command:
            code, _ = command.end()
    assert (code in (0, 4), command.raw) == (True, b""), "short runs are silent"


def test_a_file_gets_plain_lines(tmp_path: Path) -> None:
    with serve(lambda _: clean()) as server, (tmp_path / "log").open("wb") as log:
        words = words_for(server.url, tmp_path, "--concurrency", "2", "--duration", "6s", "--json")
        done = subprocess.run(
            [sys.executable, "-m", "loadcell", *words], stdout=subprocess.DEVNULL, stderr=log, check=False
        )
    assert done.returncode in (0, 4)
    said = (tmp_path / "log").read_text()
    assert re.fullmatch(
        r"0:05, \d+ ok, 0 failed, [012]/2 in flight, TTFT p50 [\d.]+ p99 [\d.]+ ms, .*\d+ tok/s.*\n", said
    )
    assert len(said) <= LOG_COLUMNS + 1 and said.isascii() and "\x1b" not in said and "\r" not in said


def test_tokens_and_first_tokens_are_shown_as_they_arrive(tmp_path: Path) -> None:
    """Four requests of 60 tokens, 25 ms apart after 0.2 s: before the first of them ends, all is known of them."""
    seen: list[Progress] = []
    with serve(lambda _: clean(60, ttft_s=0.2, gap_s=0.025)) as server:
        run_load(short_spec(server.url, concurrency=4, requests=4, output_tokens="60", ramp_s=0), tmp_path, seen.append)
    early = [now for now in seen if now.whole is not None and 0.9 < now.whole.span_s < 1.5 and not now.ok]
    assert early
    for now in early:
        whole = now.whole
        assert whole is not None and whole.ended == 4 and whole.p50_ms is not None and whole.tokens_per_s is not None
        assert 195 < whole.p50_ms < 300
        at_s = [number * 0.0255 + 0.2 for number in range(60)]  # each gap takes a little longer than it should
        came = 4 * sum(at < whole.span_s - 0.1 for at in at_s)  # counted five times a second, looked at four times
        assert 0.75 * came < whole.tokens_per_s * whole.span_s < 1.3 * came


def test_what_came_of_a_request_is_counted_once(tmp_path: Path) -> None:
    """In the air, landed, ended: at the end of the load the tokens are those of the replies."""
    seen: list[Progress] = []
    with serve(lambda _: clean(20, gap_s=0.01)) as server:
        run_load(short_spec(server.url, concurrency=3, requests=30, output_tokens="20"), tmp_path, seen.append)
    last = [now.whole for now in seen if now.whole is not None][-1]
    assert last.tokens_per_s is not None
    assert last.tokens_per_s * last.span_s == pytest.approx(600, rel=0.1)
    assert 25 <= last.ended <= 30, "so are the first tokens; the last look may come before the last of them"

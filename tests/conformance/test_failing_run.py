"""A run of which most fails says since when and why, and ends; one of which little fails says it and goes on."""

from __future__ import annotations

import io
import itertools
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_runs import Ran, run_once, short_spec
from rich.console import Console
from scripted import MODEL, Received, Script, Step, clean, json_reply, serve

from loadcell.cli.liveview import block, log_line
from loadcell.cli.main import main
from loadcell.load import Progress
from loadcell.load.failing import FailureWatch
from loadcell.load.live import Count, Live, tell_first
from loadcell.load.progress import Failing
from loadcell.metrics import Result
from loadcell.onset import BEYOND_DOUBT, evidence, onset
from loadcell.report.run import print_short

pytestmark = pytest.mark.usefixtures("alone")

LOOPS: dict[str, dict[str, Any]] = {
    "closed": {"concurrency": 4},
    "open": {"rate": 16.0, "arrivals": "constant"},
}
REFUSED = json_reply({"error": {"message": "the key has expired"}}, 401)
LATER = json_reply({"error": "slow down"}, 429, b"Retry-After: 20\r\n")
TOKENS_S = 0.02 + 3 * 0.07
"""What a good reply of `slow` takes."""


def slow() -> list[Step]:
    return clean(4, ttft_s=0.02, gap_s=0.07)


def from_then(seconds: float, answer: bytes, until: float = float("inf")) -> Script:
    """Good replies, but `answer` between two times since the first request."""
    first: list[float] = []

    def script(_: Received) -> list[Step]:
        first.append(time.monotonic())
        return [answer] if seconds <= first[-1] - first[0] < until else slow()

    return script


def short_words(result: Result) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_short(result, console)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


Runs = dict[str, Ran]


def in_both(make: Callable[[], Script], folder: Path, **fields: Any) -> Runs:
    found = {}
    for name, loop in LOOPS.items():
        with serve(make()) as server:
            found[name] = run_once(server.url, folder / name, **loop, **fields)
    return found


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A key that expires 1.5 s after the start of a run of 60 s."""
    return in_both(lambda: from_then(1.5, REFUSED), tmp_path_factory.mktemp("expired"), duration_s=60.0)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """13 % of the requests are refused."""

    def make() -> Script:
        count = itertools.count()
        return lambda _: [LATER] if next(count) % 8 == 3 else slow()

    return in_both(make, tmp_path_factory.mktemp("limited"), requests=64)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_key_that_expires_ends_the_run_which_says_since_when_and_why(expired: Runs, loop: str) -> None:
    result = expired[loop].result
    assert result.run.state == "complete" and result.run.stopped is not None
    assert result.run.stopped.kind == "failures"
    assert 6.0 < result.run.stopped.at_s < 30.0
    assert result.failing is not None
    assert result.failing.since_s == pytest.approx(1.5, abs=0.8) and result.failing.share > 0.95
    assert result.verdict.word == "INVALID"
    assert re.search(r"every request failed since [1-3]\.?\d* s: HTTP 401: the key", result.verdict.reasons[0])
    assert "HTTP 401: the key has expired" in result.verdict.reasons[0]
    assert "--api-key-env" in result.verdict.reasons[0]
    failures = next(check for check in result.verdict.checks if check.name == "failures")
    assert "HTTP 401: the key has expired" in failures.says
    assert "Ended early after" in (said := short_words(result)) and "every request failed since" in said


def test_failures_have_the_same_verdict_in_both_loops(expired: Runs, limited: Runs) -> None:
    """Failures weigh alike: a user whose request failed does not come back at once, to fail again and again."""
    for runs in (expired, limited):
        words = {
            loop: [(c.name, c.word) for c in ran.result.verdict.checks if c.name in ("failures", "given up")]
            for loop, ran in runs.items()
        }
        shares = {loop: ran.result.counts.run.failed / ran.result.counts.run.planned for loop, ran in runs.items()}
        assert words["open"] == words["closed"] != []
        assert shares["open"] == pytest.approx(shares["closed"], abs=0.15), shares


@pytest.mark.parametrize("loop", LOOPS)
def test_some_failures_are_told_with_their_words_and_end_nothing(limited: Runs, loop: str) -> None:
    result = limited[loop].result
    assert result.run.stopped is None and result.failing is None
    assert (result.counts.run.ok, result.counts.run.failed) == (56, 8)
    check = next(check for check in result.verdict.checks if check.name == "failures")
    assert check.word == "SUSPECT" and check.value == pytest.approx(8 / 64, abs=0.05)
    assert "HTTP 429: slow down (Retry-After: 20)" in check.says


def test_an_outage_that_passes_ends_nothing_and_weighs_alike_in_both_loops(tmp_path: Path) -> None:
    """1.5 s of 7 s: a fifth of the requests."""
    runs = in_both(lambda: from_then(2, LATER, 3.5), tmp_path, duration_s=7.0)
    shares = [ran.result.counts.run.failed / ran.result.counts.run.planned for ran in runs.values()]
    assert all(ran.result.run.stopped is None for ran in runs.values())
    assert shares == pytest.approx([1.5 / 7] * 2, abs=0.12)


def test_max_failures_100_percent_never_ends_a_run(tmp_path: Path) -> None:
    with serve(from_then(0.5, REFUSED)) as server:
        ran = run_once(server.url, tmp_path / "run", duration_s=7.5, max_failures=1.0)
    assert ran.result.run.stopped is None and ran.result.verdict.word == "INVALID"
    assert ran.result.methodology.window.end_s > 7


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_dies_ends_the_run_soon(tmp_path: Path, loop: str) -> None:
    """Its process goes, and with it all its connections; nobody listens any more."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sockets: list[socket.socket] = []

    def talk(sock: socket.socket) -> None:
        try:
            while data := sock.recv(65536):
                if data.startswith(b"GET"):
                    sock.sendall(json_reply({"data": [{"id": MODEL}]}))
                    continue
                if begun and time.monotonic() - begun[0] > 1.5:
                    die()
                    return
                if b"x-request-id" in data.lower() and not begun:
                    begun.append(time.monotonic())
                for step in clean(4, gap_s=0.05):
                    time.sleep(step) if isinstance(step, float) else sock.sendall(step)  # type: ignore[arg-type]
        except OSError:
            return

    def die() -> None:
        for sock in (listener, *sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                sock.close()

    def accept() -> None:
        while True:
            try:
                sockets.append(listener.accept()[0])
            except OSError:
                return
            threading.Thread(target=talk, args=(sockets[-1],), daemon=True).start()

    begun: list[float] = []
    threading.Thread(target=accept, daemon=True).start()
    ran = run_once(url, tmp_path / "run", duration_s=90.0, **LOOPS[loop])
    stopped = ran.result.run.stopped
    assert stopped is not None and stopped.kind == "failures"
    assert stopped.at_s < 30 and "refused" in stopped.reason
    assert ran.result.failing is not None and ran.result.failing.since_s < 5
    assert ran.result.verdict.word == "INVALID"


def test_where_nothing_succeeds_the_verdict_is_the_servers_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = json_reply({"error": {"message": "maximum context length is 16 tokens"}}, 400)
    words = ["--requests", "4", "--concurrency", "2", "--output-tokens", "4", "--input-tokens", "8", "--no-html"]
    with serve(lambda _: [answer]) as server:
        code = main(["run", server.url, *words, "--output", str(tmp_path / "run")])
    said = " ".join(capsys.readouterr().out.split())
    assert code in (1, 4)
    assert "no request succeeded: HTTP 400: maximum context length is 16 tokens" in said
    assert said.count("give fewer --input-tokens") >= 1 and "the schedule ran out" not in said


# --- what is shown meanwhile -----------------------------------------------------------------------------------------


def progress(**fields: Any) -> Progress:
    return Progress("load", 12.0, duration_s=60.0, issued=90, ok=40, failed=50, in_flight=8, users=8, **fields)


def shown(now: Progress) -> tuple[str, str]:
    return "\n".join("".join(text for text, _ in line) for line in block(now, (), 100)), log_line(now)


def test_the_live_line_says_since_when_and_why() -> None:
    block, line = shown(progress(failing=Failing(50, 50, 3.2, "HTTP 401: no key"), on_time_share=1.0, timed=90))
    for text in (block, line):
        assert "every request fails since 0:03" in text and "HTTP 401: no key" in text
    assert "audit ok" not in line
    block, line = shown(progress(failing=Failing(13, 100, None, "HTTP 429: slow down")))
    for text in (block, line):
        assert "13 % of requests fail" in text and "since" not in text and "HTTP 429: slow down" in text


def test_the_live_line_says_that_users_wait() -> None:
    block, line = shown(progress(silent=8, silent_s=12.3, on_time_share=1.0, timed=90))
    for text in (block, line):
        assert "8 users wait since 12 s" in text
    assert "audit ok" not in line
    _, line = shown(progress(silent=1, silent_s=12.3))
    assert "1 user waits since 12 s" in line
    assert "audit ok" in shown(progress(on_time_share=1.0, timed=90))[1]


def test_users_that_hang_are_counted_while_the_load_runs(tmp_path: Path) -> None:
    from loadcell.load import run_load

    told: list[Progress] = []
    with serve(lambda _: [*clean(4)[:3], 7.5, *clean(4)[3:]]) as server:
        run_load(short_spec(server.url, concurrency=3, requests=3, timeout_s=30), tmp_path / "run", told.append)
    assert max(now.silent for now in told) == 3
    assert 5 < max(now.silent_s for now in told) < 30


# --- the rule --------------------------------------------------------------------------------------------------------


def test_noise_ends_no_run() -> None:
    """At exactly the share allowed, asked after each of 2,000 requests, fewer than 1 run in 100 ends."""
    rng = np.random.default_rng(7)
    ended = 0
    for _ in range(300):
        failed = np.cumsum(rng.random(2000) < 0.5)
        looks = range(1, 2001, 7)
        ended += any(evidence(n - int(failed[n - 1]), int(failed[n - 1]), 0.5) >= BEYOND_DOUBT for n in looks)
    assert ended <= 3


@pytest.mark.parametrize(
    ("ok", "failed", "share", "ends"),
    [(0, 14, 0.5, True), (0, 9, 0.5, False), (87, 13, 0.5, False), (435, 65, 0.05, True), (95, 5, 0.05, False),
     (0, 1, 0.0, True), (5, 0, 0.0, False), (10, 90, 0.5, True), (45, 55, 0.5, False)],
)  # fmt: skip
def test_how_many_failures_leave_no_doubt(ok: int, failed: int, share: float, ends: bool) -> None:
    assert (evidence(ok, failed, share) >= BEYOND_DOUBT) is ends


@pytest.mark.parametrize(
    ("failed", "place"),
    [("0" * 40 + "1" * 40, 40), ("0" * 40 + "1" * 2, None), ("1" * 40 + "0" * 40, None), ("01" * 60, None),
     ("0000000100" * 6 + "1111011111" * 4, 60), ("1" * 30, None), ("", None)],
)  # fmt: skip
def test_since_when_there_are_more_failures(failed: str, place: int | None) -> None:
    bad = np.array([int(one) for one in failed], dtype=int)
    assert onset(1 - bad, bad) == place


def watched(tmp_path: Path, seconds: int, second: Callable[[int, memoryview], None]) -> Any:
    """The order to end a load of which a worker counts so, second by second."""
    file = tmp_path / "live"
    file.write_bytes(bytes(Live.size(1)))
    with file.open("r+b") as opened:
        live = Live(opened.fileno(), 1)
        live.tell_failure(0, "http_429", "slow down")
        watch = FailureWatch(live, 0.5)
        for now in range(1, seconds):
            second(now, live.cells(0))
            watch.look(now * 1_000_000_000)
            if stop := watch.stop(now * 1_000_000_000):
                return now, stop
    return None


def test_streams_that_go_on_stand_against_the_failures(tmp_path: Path) -> None:
    """Eight users are served for 40 s, eight are refused every 10 s: half of them, which is no more than allowed."""

    def second(now: int, cells: memoryview) -> None:
        if now == 1:
            for _ in range(8):
                tell_first(cells, 1_000_000)
        cells[Count.AIR_READS] += 80
        cells[Count.FAILED] += 8 if now % 10 == 0 else 0

    assert watched(tmp_path, 41, second) is None

    def silent(now: int, cells: memoryview) -> None:
        cells[Count.FAILED] += 8 if now % 5 == 0 else 0

    now, stop = watched(tmp_path, 60, silent)
    assert now <= 12 and stop.kind == "failures" and stop.cancel
    assert stop.reason == f"every request failed since {4 if now > 5 else now} s: HTTP 429: slow down"


@pytest.mark.parametrize(("text", "share"), [("50%", 0.5), ("0.2", 0.2), ("100%", 1.0), ("0", 0.0)])
def test_the_share_as_people_write_it(text: str, share: float, tmp_path: Path) -> None:
    from loadcell.spec import field_from_text

    assert field_from_text("load.max_failures", text, "--max-failures") == share


@pytest.mark.parametrize("text", ["half", "50", "5%5"])
def test_a_share_that_cannot_be(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "http://127.0.0.1:9", "--max-failures", text, "--wait-ready", "0"]) == 2
    assert "50%" in capsys.readouterr().err

"""`loadcell watch`, against the engine and against servers that are not there."""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from golden_cases import a_quiet_run
from small_engine import engine

from loadcell.cli import run as cli_run
from loadcell.cli.main import main
from loadcell.cli.watch_tell import Event, Page, exposition, lines, post, summary
from loadcell.metrics import Result

pytestmark = pytest.mark.usefixtures("processes")
LOAD = ("--requests", "30", "--concurrency", "2", "--output-tokens", "5")


@pytest.fixture
def posted() -> Iterator[tuple[str, list[Any]]]:
    """A server that takes what is posted to it, and its URL; under /full it has no room."""
    taken: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            full = self.path == "/full"
            if not full:
                taken.append(json.loads(body))
            self.send_response(507 if full else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    server.server_close()


@pytest.fixture
def quiet(tmp_path: Path) -> Result:
    return a_quiet_run(tmp_path / "quiet")


def test_rounds_are_kept_printed_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with engine() as url:
        words = ["watch", url, "--every", "1s", "--times", "3", "--keep", "2", "--output", "w", "--json", *LOAD]
        assert main(words) in (0, 4)  # 4 where the machine was too busy to measure on
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["round"] for each in out] == [1, 2, 3]
    assert all(each["verdict"] and not each["changes"] and not each["error"] for each in out)
    assert sorted(each.name for each in (tmp_path / "w").iterdir() if each.name.isdecimal()) == ["2", "3"]
    with duckdb.connect("watch.duckdb") as database:
        failed = database.execute("select round, value from figures where name = 'failed.share' order by round")
        assert failed.fetchall() == [(1, 0), (2, 0), (3, 0)]
        kept = database.execute("select value from figures where name = 'e2e.p50' and round = 3").fetchall()
    told = json.loads(_report(tmp_path / "w" / "3", capsys))["latency"]["e2e_ms"]["service"]["p50"]["value"]
    assert kept in ([], [(told,)])  # none where the machine was too busy for its clock readings


def _report(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    main(["report", str(folder), "--json"])
    return capsys.readouterr().out


def test_an_outage_is_told_once_and_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, posted: tuple[str, list[Any]]
) -> None:
    monkeypatch.chdir(tmp_path)
    hook, taken = posted
    flags = ["--every", "1s", "--wait-ready", "0", "--webhook", hook, *LOAD]
    assert main(["watch", "http://127.0.0.1:9", "--times", "3", *flags]) == 1
    assert len(taken) == 1 and "cannot connect" in taken[0]["error"] and "FAILED" in taken[0]["text"]
    with duckdb.connect("watch.duckdb") as database:
        assert database.execute("select count(*) from rounds where error like 'cannot connect%'").fetchall() == [(3,)]


def test_a_change_ends_the_watch_and_is_posted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    posted: tuple[str, list[Any]],
    quiet: Result,
) -> None:
    """The loads are made up: what they show has a step of 20 % at round 31."""
    import msgspec

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda _: None)
    rounds = iter(range(1000))
    latency = quiet.latency["ttft_ms"]
    assert latency.service is not None
    service = latency.service

    def run_once(*_: object, **__: object) -> tuple[Result, None]:
        number = next(rounds)
        value = (50 if number < 30 else 60) * (1 + 0.004 * ((7 * number) % 11 - 5))
        one = msgspec.structs.replace(service, p50=msgspec.structs.replace(service.p50, value=value))
        found = quiet.latency | {"ttft_ms": msgspec.structs.replace(latency, service=one)}
        return msgspec.structs.replace(quiet, latency=found), None

    monkeypatch.setattr(cli_run, "run_once", run_once)
    hook, taken = posted
    words = ["watch", "http://127.0.0.1:9", "--every", "1s", "--times", "60", "--until-change", "--webhook", hook]
    assert main(words) == 6
    out = capsys.readouterr()
    assert "CHANGED TTFT p50: 50 -> 59." in out.out and "worse) since round 31" in out.out
    [told] = taken
    assert told["changes"][0]["figure"] == "ttft.p50" and told["changes"][0]["since"] == 31
    assert next(rounds) < 45
    assert "at most one false alarm in 1,000 rounds" in out.err


def test_the_page_is_prometheus_text(quiet: Result) -> None:
    event = Event(7, "2026-01-01T00:00:00+00:00", "http://k:secret@h:1", quiet, [], None)
    with Page("127.0.0.1", 0) as page:
        page.show(event)
        with urllib.request.urlopen(page.url, timeout=10) as reply:
            text = reply.read().decode()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(page.url.replace("/metrics", "/x"), timeout=10)
    assert "loadcell_watch_rounds_total 1\n" in text and "loadcell_watch_up 1\n" in text
    service = quiet.latency["ttft_ms"].service
    assert service is not None
    assert f'loadcell_watch_figure{{figure="ttft.p50",unit="ms"}} {service.p50.value!r}\n' in text
    down = exposition(event._replace(why="refused", result=None), {"rounds": 2})
    assert "loadcell_watch_up 0" in down and "figure" not in down
    assert "secret" not in json.dumps(summary(event, lines(event))) and "round 7  VALID" in lines(event)[0]


def test_a_webhook_that_does_not_take_it_is_said(posted: tuple[str, list[Any]]) -> None:
    assert "507" in str(post(f"{posted[0]}/full", {}))
    assert "refused" in str(post("http://127.0.0.1:9/", {})).lower()


def test_a_webhook_is_not_waited_for_and_may_answer_anything() -> None:
    """A server that says nothing, and one that speaks no HTTP."""
    ended = threading.Event()
    for said, told in ((b"", r"no answer in 0.3 s|timed out"), (b"220 mail.example ESMTP\r\n", "220 mail.example")):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer(server: socket.socket = server, said: bytes = said) -> None:
                with server.accept()[0] as one:
                    one.sendall(said)
                    one.recv(1 << 16)
                    ended.wait(30)

            ended.clear()
            thread = threading.Thread(target=answer)
            thread.start()
            assert re.search(
                told, str(post(f"http://127.0.0.1:{server.getsockname()[1]}/", {}, 0.3 if not said else 30))
            )
            ended.set()
            thread.join()


def test_what_a_server_says_of_a_failure_is_one_plain_line(quiet: Result) -> None:
    event = Event(7, "2026-01-01T00:00:00+00:00", "http://h:1", None, [], "no\n::error::\x1b[31mred")
    [line] = lines(event)
    assert "\n" not in line and "\x1b" not in line and "FAILED" in line


def test_a_scraper_that_leaves_is_no_trouble(quiet: Result, capfd: pytest.CaptureFixture[str]) -> None:
    with Page("127.0.0.1", 0) as page:
        page._server.handle_error(None, None)  # outside of any error: nothing to tell
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            page._server.handle_error(None, ("127.0.0.1", 1))
    assert "BrokenPipe" not in capfd.readouterr().err


def test_rounds_of_a_client_that_could_not_measure_are_no_all_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quiet: Result
) -> None:
    import msgspec

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda _: None)
    verdict = msgspec.structs.replace(quiet.verdict, word="INVALID")
    bad = msgspec.structs.replace(quiet, verdict=verdict)
    monkeypatch.setattr(cli_run, "run_once", lambda *_, **__: (bad, None))
    assert main(["watch", "http://127.0.0.1:9", "--every", "1s", "--times", "3"]) == 4
    assert "no round could be judged" in capsys.readouterr().err


def test_rounds_that_are_left_out_are_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from loadcell.cli.watch import _turns

    now = iter([100.0, 103.0, 112.0, 145.0, 152.0])
    slept: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    monkeypatch.setattr("time.sleep", slept.append)
    turns = _turns(10)
    for _ in range(4):
        next(turns)
    assert slept == [7, 8, 5, 8]
    assert capsys.readouterr().err == "loadcell: a round took longer than --every: 2 left out\n"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--every", "0.2s"], "give 1 s at least"),
        (["--every", "1m", "--times", "0"], "--times '0': write a whole number from 1"),
        (["--every", "1m", "--webhook", "hooks.example"], "is no http or https URL"),
        (["--every", "1m", "--webhook", "http://hooks.example:x/"], "is no http or https URL"),
        (["--every", "1m", "--webhook", "http://me:pass@hooks.example/"], "a user and a password in it are not sent"),
        (["--every", "1m", "--port", "http"], "--port 'http'"),
        (["--every", "1m", "--port", "70000"], "--port 70000: cannot listen"),
        ([], "--every"),
    ],
)
def test_wrong_flags_are_said_before_the_first_load(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["watch", "http://127.0.0.1:9", *flags]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

"""What happens to the output after a load, or what a server says at its end, costs neither the page nor the words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from scripted import Received, Step, clean, json_reply, serve

from loadcell.cells import harmless
from loadcell.cli.main import main
from loadcell.cli.output import Output

LOADCELL = (sys.executable, "-m", "loadcell")
SHORT = ("--requests", "4", "--input-tokens", "8", "--output-tokens", "4", "--workers", "1")


def run(url: str, folder: Path, *words: str, shell: str = "", env: dict[str, str] | None = None) -> Any:
    """A run in a process of its own; `shell` is what stands behind it on a command line."""
    line = [*LOADCELL, "run", url, *SHORT, "--output", str(folder), *words]
    command = ["bash", "-o", "pipefail", "-c", f'"$@" {shell}', "bash", *line]
    return subprocess.run(
        command if shell else line, capture_output=True, encoding="utf-8", errors="replace", check=False,
        env=os.environ | (env or {}), timeout=120,
    )  # fmt: skip


def whole_page(folder: Path) -> bool:
    page = folder / "report.html"
    return page.exists() and page.read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same run with nothing wrong: its exit code is what the others are held to."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    with serve() as server:
        done = run(server.url, folder)
    assert whole_page(folder) and "TTFT" in done.stdout and done.returncode in (0, 4)
    return done


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_that_lacks_characters(encoding: str, tmp_path: Path) -> None:
    with serve() as server:
        done = run(server.url, tmp_path / "run", env={"PYTHONIOENCODING": f"{encoding}:strict"})
    assert done.returncode in (0, 4) and "Traceback" not in done.stderr
    assert "TTFT" in done.stdout and whole_page(tmp_path / "run")


def test_json_in_ascii_means_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "run-µ-é"
    with serve() as server:
        run(server.url, folder, "--json")
    spoilt = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    words = [*LOADCELL, "report", str(folder), "--json"]
    ascii_, plain_ = (subprocess.run(words, capture_output=True, check=False, env=env) for env in (spoilt, os.environ))
    assert ascii_.stdout.isascii() and json.loads(ascii_.stdout) == json.loads(plain_.stdout)


@pytest.mark.parametrize(
    ("shell", "says"),
    [(">&-", "cannot write the output: it is closed"), (">/dev/full", "No space left on device"), ("| true", "")],
)
def test_an_output_that_cannot_be_written(shell: str, says: str, tmp_path: Path) -> None:
    with serve() as server:
        done = run(server.url, tmp_path / "run", shell=shell)
    assert whole_page(tmp_path / "run") and (tmp_path / "run" / "recording.json").exists()
    assert says in done.stderr and "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert done.returncode in ((1, 4) if says else (0, 4))


def test_a_closed_standard_error(tmp_path: Path) -> None:
    with serve() as server:
        done = run(server.url, tmp_path / "run", shell="2>&-")
    assert done.returncode in (0, 4) and "TTFT" in done.stdout and whole_page(tmp_path / "run")


@pytest.mark.parametrize("value", ["1e308", "-1e308", "1e400", "NaN", "+Inf", "-Inf", "1e-320"])
def test_a_metrics_page_of_any_number(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:generation_tokens_total",
             "vllm:time_to_first_token_seconds_sum", "vllm:time_to_first_token_seconds_count")  # fmt: skip
    count = iter(range(10**6))

    def page(request: Received) -> list[Step]:
        if "metrics" not in request.path:
            return [json_reply({"data": [{"id": "m"}]})]
        number = next(count)
        text = "".join(f'{name}{{model_name="m"}} {value if number % 2 else number}\n' for name in names).encode()
        return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text]

    with serve(lambda _: clean(4, ttft_s=0.05), models=page) as server:
        code = main(["run", server.url, *SHORT, "--observe-every", "60ms", "--output", str(tmp_path / "run")])
    assert code in (0, 4) and whole_page(tmp_path / "run")
    assert "TTFT" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "run"), "--json"]) in (0, 4)
    json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000


@pytest.mark.parametrize("where", ["models", "event", "error", "whole"])
def test_json_of_any_depth(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def reply(request: Received) -> list[Step]:
        ways: dict[str, list[Step]] = {
            "event": [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
                      b"data: " + DEEP + b"\n\n", "close"],
            "error": [b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                      % len(DEEP) + DEEP],
            "whole": [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                      % len(DEEP) + DEEP],
        }  # fmt: skip
        return ways.get(where, clean()) if request.number % 2 else clean()

    models = (
        (lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(DEEP) + DEEP]) if where == "models" else None
    )
    with serve(reply, models=models) as server:
        words = ["--model", "m"] if where == "models" else []
        code = main(["run", server.url, *SHORT, *words, "--max-failures", "100%", "--output", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert code in (0, 4) and "Traceback" not in said.err and whole_page(tmp_path / "run")


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Where there is no room any more for the page: its words, the result all the same, and the run's own exit code."""
    from loadcell.cli import pages

    class Args:
        lang, json, csv, md = "en", False, False, False

    def no_room(_: object) -> Path:
        from loadcell.report.files import write_text

        return write_text(Path("/dev/full/report.html"), "page")

    err = StringIO()
    from contextlib import redirect_stderr

    with redirect_stderr(err):
        pages.leave_page(Args(), no_room)  # type: ignore[arg-type]
    assert err.getvalue().startswith("loadcell: no page: cannot write /dev/full/report.html")


# --- what a build log would obey -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["::error::x\n"], ": :error::x\n"),
        (["  ::add-mask::x"], "  : :add-mask::x"),
        (["a\n\t::set-output name=a::b\r::x"], "a\n\t: :set-output name=a::b\r: :x"),
        (["a ::b std::c [::1]:80\n"], "a ::b std::c [::1]:80\n"),
        (["a", "::b\n", "::c"], "a::b\n: :c"),
        ([":", ":error::x"], ": :error::x"),
        (["  ", "::x", "\n  :", ":y"], "  : :x\n  : :y"),
        (["\u00a0\u2003::x"], "\u00a0\u2003: :x"),
        (["x ##[error]y ##vso[a]"], "x ## [error]y ##vso[a]"),
        (['{"a": "##[error] ::x"}'], '{"a": "##\\u005berror] ::x"}'),
    ],
)
def test_commands_of_a_build_log_are_broken_up(written: list[str], shown: str) -> None:
    stream = StringIO()
    out = Output(stream)
    for text in written:
        out.write(text)
    assert stream.getvalue() == shown


def test_words_of_a_server_give_no_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "::error file=app.js,line=1::broken ##[error]x\n::add-mask::e\r\n::stop-commands::t"
    with serve(lambda _: [json_reply({"error": {"message": said}}, 500)], probe=lambda _: clean()) as server:
        main(["run", server.url, *SHORT, "--output", str(tmp_path / "run")])
        refused = main(["run", server.url, *SHORT, "--model", "::error::x", "--output", str(tmp_path / "run")])
    assert refused in (1, 2)
    out, err = capsys.readouterr()
    for line in (out + err).splitlines():
        assert not line.strip().startswith("::") and "##[" not in line


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1+1", "'=1+1"), ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"), ("-2+3", "'-2+3"), ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"), ("\r=1", "'\r=1"), ("-1.5", "-1.5"), ("+3e5", "+3e5"), (-2, -2), (None, None),
        ("a=b", "a=b"), ("-", "'-"), ("", ""),
    ],
)  # fmt: skip
def test_cells_that_begin_a_formula_get_an_apostrophe(cell: Any, shown: Any) -> None:
    assert harmless(cell) == shown


def test_csv_of_a_query_holds_no_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:
        main(["run", server.url, *SHORT, "--output", str(tmp_path / "run"), "--no-html"])
    capsys.readouterr()
    sql = "select '=HYPERLINK(1)' as a, '-5' as b, -5 as c, '+x' as d from runs"
    assert main(["query", sql, str(tmp_path / "run"), "--csv"]) == 0
    assert capsys.readouterr().out == "a,b,c,d\n'=HYPERLINK(1),-5,-5,'+x\n"

"""What a first user meets: help that fits, flags that exist, output that cannot be written, Ctrl-C."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import serve

import loadcell
from loadcell.cli import compare, run
from loadcell.cli.main import COMMANDS, GROUPS, functions_of, main
from loadcell.compare import MEASURES

ROOT = Path(loadcell.__file__).parent
EVERY = [command for command in COMMANDS if command not in GROUPS]
EVERY += [f"{group} {member}" for group, members in GROUPS.items() for member in members]
OF_OTHERS = {
    "--cache-ram", "--disable-radix-cache", "--no-enable-prefix-caching", "--per-request-spec-decode-metrics",
    "--slot-save-path",
}  # fmt: skip
"""Flags of servers that advice names."""


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"loadcell {command}")
    functions_of(command)[0](parser)
    return parser


@pytest.mark.parametrize("command", EVERY)
def test_help_fits_a_terminal_of_80_columns(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in parser_of(command).format_help().splitlines() if len(line) > 80] == []


def test_help_waits_for_no_library() -> None:
    words = "\n".join(f"main({[*command.split(), '--help']})" for command in [*EVERY, *GROUPS])
    heavy = "{'numpy', 'scipy', 'duckdb', 'rich'} & set(sys.modules)"
    code = (
        "import sys\nfrom loadcell.cli import main as m\n"
        "def main(words):\n    try: m.main(words)\n    except SystemExit: pass\n"
        f"{words}\nsys.exit(str({heavy}) if {heavy} else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_gates_in_the_help_are_those_there_are() -> None:
    def unfolded(word: str) -> list[str]:
        parts = [part.strip("{}").split(",") for part in word.split(".")]
        return [".".join(pair) for pair in itertools.product(*parts)]

    assert sorted(key for word in compare.GATED.split() for key in unfolded(word)) == sorted(MEASURES)


def test_flags_that_advice_names_exist() -> None:
    """Advice is given by the audit, by errors and by notes: every flag in any string of the source is one of ours."""
    known = OF_OTHERS | {flag for command in EVERY for flag in parser_of(command)._option_string_actions}
    rooms = ("metrics", "load", "compare", "mlperf", "published")
    text = "\n".join(file.read_text() for room in rooms for file in (ROOT / room).rglob("*.py"))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert "--shared-host" in named and named <= known


def test_a_declared_shared_host_is_in_the_spec() -> None:
    args = parser_of("run").parse_args(["http://h", "--shared-host"])
    assert run.read_spec(args).run.shared_host is True


@pytest.mark.parametrize(
    ("words", "seconds", "requests"),
    [([], None, 0), (["--warmup", "0"], 0.0, 0), (["--warmup", "5s"], 5.0, 0), (["--warmup", "20"], None, 20)],
)
def test_no_warmup_is_not_the_default(words: list[str], seconds: float | None, requests: int) -> None:
    load = run.read_spec(parser_of("run").parse_args(["http://h", *words])).load
    assert (load.warmup_s, load.warmup_requests) == (seconds, requests)


def test_repeats_into_a_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    with serve() as server:
        assert main(["run", server.url, "--requests", "1", "--repeat", "2", "--output", str(tmp_path / "file")]) == 1
    assert "give --output another folder" in capsys.readouterr().err


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "run"
    with serve() as server:
        main(["run", server.url, "--requests", "2", "--concurrency", "1", "--output-tokens", "3",
              "--output", str(folder)])  # fmt: skip
    return folder


def _loadcell(*words: str | Path, stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadcell", *map(str, words)]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize("form", [["--force"], ["--json"], ["--csv"]])
def test_a_reader_that_goes_away_is_no_failure(recorded: Path, form: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = _loadcell("report", recorded, *form, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("form", [["--force"], ["--json"]])
def test_a_full_disk_is_said_in_one_line(recorded: Path, form: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = _loadcell("report", recorded, *form, stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "loadcell: cannot write the output: No space left on device\n"


def test_ctrl_c_while_a_library_is_imported_ends_with_130(recorded: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'duckdb': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"from loadcell.cli.main import main\nsys.exit(main(['report', {str(recorded)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "loadcell: interrupted\n")

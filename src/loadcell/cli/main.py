"""The `loadcell` command: picks the command's file, parses its flags, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import atexit
import errno
import gc
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from keyword import iskeyword
from typing import NoReturn

from loadcell import __version__
from loadcell.cli.interrupts import answer_interrupts, left_at_once
from loadcell.cli.output import Output, streams
from loadcell.errors import LoadcellError, UsageError, nearest

COMMANDS = {
    "run": "put a load on an endpoint and report what came back",
    "sweep": "vary the load: a grid, or the highest load that holds an SLO",
    "report": "show the result of a recording again",
    "import": "read the results of other tools as recordings",
    "compare": "compare runs: what differs, and how sure that is",
    "check": "a gate for CI: PASS, FAIL or INCONCLUSIVE against a baseline",
    "duel": "the same requests to two endpoints in turns: which is faster",
    "watch": "the same load again and again: its history, and what changed",
    "selftest": "measure the error and the limits of this machine as a client",
    "vllm-bench": "the same flags as vllm bench serve, and its result file",
    "audit": "run another tool against a known truth: its bias and its cost",
    "query": "ask recordings in SQL",
    "export": "write recordings as the files of other tools: vLLM, AIPerf, OTLP, ...",
    "mlperf": "MLPerf-style runs: scenarios, accuracy gates, checks, exports, curves",
    "trace": "traces of real traffic: list, describe, anonymize",
    "published": "published MLPerf results, cleaned, with their sources",
    "scenarios": "the named workloads of --scenario, and all that each fixes",
    "serve": "serve an OpenAI-compatible engine of known timing",
}

GROUPS = {
    "mlperf": {
        "run": "run a scenario by a round's rules: VALID or INVALID, and why",
        "accuracy": "the accuracy pass, by the benchmark's own metric and gate",
        "check": "apply the written submission checks to a folder",
        "export": "write a run in the layouts of other tools",
        "curve": "the curve over concurrency of MLPerf Endpoints",
        "loadgen": "let the genuine LoadGen drive our client (extra: loadgen)",
    },
    "trace": {
        "list": "the traces that come with the package",
        "describe": "rate, burstiness, lengths, sessions and sharing of a trace",
        "anonymize": "your own logs as a trace without their text",
    },
}
"""Commands of commands: `loadcell mlperf run` lives in cli/mlperf_run.py."""
_OTHERS = ("mlperf check", "mlperf export", "mlperf loadgen")
"""Short ones that live together in cli/mlperf_others.py, each by its functions configure_check and run_check."""

_READERS = ("report", "compare", "query", "published", "scenarios", "mlperf check", "trace list", "trace describe")
"""Commands that only read: there is nothing to put in order when they are interrupted."""
_QUICK = (*_READERS, "import", "export", "mlperf export", "trace anonymize", "serve")
"""Commands that leave no recording behind when they are ended."""
_GARBAGE = 200_000
"""Objects more than before, at which garbage is looked for: all that is imported, which stays, are no more."""
_ASKS_HELP = ("-h", "--help", "help")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_HELP = """\
usage: loadcell COMMAND ...

The benchmark for LLM inference that says how wrong it may be.

commands:
{commands}

options:
  --version  print the version, and whether the compiled core is missing
  -h, --help

`loadcell COMMAND --help` tells more. To begin:
  loadcell run http://localhost:8000
"""
_GROUP_HELP = """\
usage: loadcell {group} COMMAND ...

{about}

commands:
{commands}

`loadcell {group} COMMAND --help` tells more.
"""


def functions_of(command: str) -> tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]:
    """What adds the flags of a command, and what runs it."""
    file, end = re.sub("[ -]", "_", command) + "_" * iskeyword(command), ""
    if command in _OTHERS:
        group, _, member = command.partition(" ")
        file, end = f"{group}_others", f"_{member}"
    module = importlib.import_module(f"loadcell.cli.{file}")
    return getattr(module, f"configure{end}"), getattr(module, f"run{end}")


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError and names the nearest flag to a wrong one."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nTry: {self.prog} --help")

    def parse_all(self, words: list[str]) -> argparse.Namespace:
        """As `parse_args`, with the flags of other tools, and a suggestion for an unknown one."""
        own = self._option_string_actions
        if "--set" in own and any(word.startswith("-") and word.partition("=")[0] not in own for word in words):
            from loadcell.cli.foreign import translated

            words, notes = translated(words, own)
            if notes:
                sys.stderr.write(f"loadcell: {'; '.join(notes)}\n")
        found, unknown = self.parse_known_args(words)
        if unknown:
            word = unknown[0].partition("=")[0]
            what = "flag" if word.startswith("-") else "argument"
            self.error(f"unknown {what} {word}{nearest(word, self._option_string_actions)}")
        return found


def main(words: list[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 done, 1 failed, 2 wrong usage, 3 a suspect run where that was asked to matter, 4 an invalid run, 5 no answer:
    a search undecided, a check INCONCLUSIVE; 6 a check that FAILs; 130 interrupted.
    """
    if words is None:
        words = sys.argv[1:]
        _settle()
    with streams() as out:
        code = _answered(words, out)
        out.flush()
        if out.failed is None or isinstance(out.failed, BrokenPipeError):  # nobody wants to read on, as with `head`
            return code
        sys.stderr.write(f"loadcell: cannot write the output: {out.failed.strerror}\n")
        return code or 1


def _settle() -> None:
    """What holds for a process that does one command. A short one would spend a sixth of its CPU time on this else."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy, which would start a thread for every core
    gc.set_threshold(_GARBAGE)
    atexit.register(gc.freeze)  # nothing is looked through once more at the end


def _answered(words: list[str], out: Output) -> int:
    """Run one command, and say what went wrong; its exit code."""
    try:
        return _run(words, out)
    except LoadcellError as error:
        from loadcell.grammar import one

        sys.stderr.write(f"loadcell: {one(_without_secrets(str(error), words))}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("loadcell: interrupted\n")
        return 130
    except BrokenPipeError as error:
        out.failed = out.failed or error
        return 0
    except OSError as error:
        if error is not out.failed and (error.errno not in _NO_ROOM or error.filename is not None):
            raise
        out.failed = out.failed or error
        return 1


def _without_secrets(text: str, words: list[str]) -> str:
    """An error without the keys that were typed: what is said of a wrong flag or URL may repeat it."""
    from loadcell.secrets import bare_urls, of_words, scrub

    return bare_urls(scrub(text, sorted(of_words(words), key=len, reverse=True)))


def _without_core() -> str:
    """A line where the hot path runs in Python, and why."""
    from loadcell.compiled import opened

    library, why = opened()
    says = "" if library else str(why[0]).format(*why[1:])
    return says and f"The hot path runs in Python, without the compiled core: {says}\n"


def _listed(commands: Mapping[str, str]) -> str:
    width = max(map(len, commands))
    return "\n".join(f"  {name:{width}}  {text}" for name, text in commands.items())


def _run(words: list[str], out: Output) -> int:
    command = words[0] if words else "--help"
    if command in _ASKS_HELP:
        sys.stdout.write(_HELP.format(commands=_listed(COMMANDS)))
        return 0
    if command in ("--version", "-V"):
        sys.stdout.write(f"loadcell {__version__}\n{_without_core()}")
        return 0
    if command not in COMMANDS:
        what = "flag" if command.startswith("-") else "command"
        raise UsageError(f"unknown {what} {command}{nearest(command, COMMANDS)}; there are: {', '.join(COMMANDS)}")
    words = words[1:]
    if command in GROUPS:
        group, members = command, GROUPS[command]
        member = words[0] if words else "--help"
        if member in _ASKS_HELP:
            sys.stdout.write(_GROUP_HELP.format(group=group, about=f"{COMMANDS[group]}.", commands=_listed(members)))
            return 0
        if member not in members:
            raise UsageError(
                f"unknown command {group} {member}{nearest(member, members)}; there are: {', '.join(members)}"
            )
        command, words = f"{group} {member}", words[1:]
    configure, run = functions_of(command)
    parser = Parser(prog=f"loadcell {command}", allow_abbrev=False)
    configure(parser)
    args = parser.parse_all(words)
    answer_interrupts(told=command not in _QUICK)
    out.raising = command in _READERS
    with left_at_once() if command in _READERS else nullcontext():
        return run(args)

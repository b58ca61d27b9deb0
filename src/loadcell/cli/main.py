"""The `loadcell` command: picks the command's file, parses its flags, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import NoReturn

from loadcell import __version__
from loadcell.errors import LoadcellError, UsageError, nearest

COMMANDS = {
    "run": "put a load on an endpoint and report what came back",
    "report": "show the result of a recording again",
    "compare": "compare runs: what differs, and how sure that is",
    "selftest": "measure the error and the limits of this machine as a client",
    "serve": "serve an OpenAI-compatible engine of known timing",
}

_HELP = """\
usage: loadcell COMMAND ...

The benchmark for LLM inference that says how wrong it may be.

commands:
{commands}

options:
  --version  print the version
  -h, --help

`loadcell COMMAND --help` tells more. To begin:
  loadcell run http://localhost:8000
"""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError and names the nearest flag to a wrong one."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nTry: {self.prog} --help")

    def parse_all(self, words: list[str]) -> argparse.Namespace:
        """As `parse_args`, with a suggestion for an unknown flag."""
        found, unknown = self.parse_known_args(words)
        if unknown:
            word = unknown[0].partition("=")[0]
            what = "flag" if word.startswith("-") else "argument"
            self.error(f"unknown {what} {word}{nearest(word, self._option_string_actions)}")
        return found


def main(words: list[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0 done, 1 failed, 2 wrong usage, 3 a suspect run where that was asked to matter, 4 an invalid run, 130 interrupted.
    """
    words = sys.argv[1:] if words is None else words
    try:
        return _run(words)
    except LoadcellError as error:
        sys.stderr.write(f"loadcell: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("loadcell: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str]) -> int:
    command = words[0] if words else "--help"
    if command in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        lines = (f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
        sys.stdout.write(_HELP.format(commands="\n".join(lines)))
        return 0
    if command in ("--version", "-V"):
        sys.stdout.write(f"loadcell {__version__}\n")
        return 0
    if command not in COMMANDS:
        what = "flag" if command.startswith("-") else "command"
        raise UsageError(f"unknown {what} {command}{nearest(command, COMMANDS)}; there are: {', '.join(COMMANDS)}")
    module = importlib.import_module(f"loadcell.cli.{command}")
    parser = Parser(prog=f"loadcell {command}", allow_abbrev=False)
    module.configure(parser)
    code: int = module.run(parser.parse_all(words[1:]))
    return code

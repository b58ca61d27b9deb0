"""`loadcell audit`: what another tool reports of a load whose truth is known, and what that costs."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import LoadcellError, UsageError

if TYPE_CHECKING:
    from loadcell.audit.model import Audit, Load
    from loadcell.audit.run import Tool

_EXAMPLES = """\
examples:
  loadcell audit 'mytool --url {base_url} --out {output} -c {concurrency}'
  loadcell audit vllm-rs --venv ~/venvs/vllm --load 64x200 --ours
  loadcell audit --list
  loadcell audit --all --venvs ~/venvs --install --write field.md

exit codes: 0 done, whatever was found; 1 a tool's figures could not be had;
2 wrong usage; 130 interrupted
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell audit`."""
    parser.usage = "loadcell audit COMMAND|RECIPE [flags]"
    parser.description = (
        "Run any other tool against the embedded engine, in a process of its own on this\n"
        "machine, and hold what it reports against what was so: bias of TTFT, ITL, TPOT,\n"
        "E2E and rates, failures that it takes for success, CPU time a token.\n\n"
        "In COMMAND, {url} {base_url} {host} {port} {model} {tokenizer} {concurrency}\n"
        "{requests} {input_tokens} {output_tokens} {output} are filled in: {url} is\n"
        "http://127.0.0.1:PORT, {base_url} the same with /v1, {output} a folder for the\n"
        "tool's result files, which are read as `loadcell import` reads them."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("tool", nargs="?", metavar="COMMAND|RECIPE", help="a command line in quotes, or a known tool")
    load = parser.add_argument_group("load")
    load.add_argument("--load", metavar="CxT", help="streams x output tokens of a reply (default: 8x50)")
    load.add_argument("--concurrency", type=int, metavar="N", help="streams, each with one request at a time")
    load.add_argument("--requests", type=int, metavar="N", help="requests (default: 8 for each stream)")
    load.add_argument("--input-tokens", type=int, metavar="N", help="tokens of a prompt (default: 128)")
    load.add_argument("--output-tokens", type=int, metavar="N", help="tokens of a reply")
    load.add_argument("--ttft", metavar="TIME", help="time of the engine to the first token (default: 50ms)")
    load.add_argument("--itl", metavar="TIME", help="time of the engine between tokens (default: 10ms)")
    what = parser.add_argument_group("audit")
    what.add_argument("--no-faults", action="store_true", help="leave out the load in which the engine fails at times")
    what.add_argument("--ours", action="store_true", help="run Loadcell at the same load, too")
    what.add_argument("--timeout", metavar="TIME", help="end the tool after this (default: 3 min and 3 times the load)")
    known = parser.add_argument_group("known tools")
    known.add_argument("--list", action="store_true", help="list them: version, how to install, command")
    known.add_argument("--venv", metavar="DIR", help="virtual environment that the tool of a recipe is in")
    known.add_argument("--all", action="store_true", help="audit all of them, and Loadcell")
    known.add_argument("--only", metavar="NAMES", help="with --all: these, as in vllm-rs,aiperf")
    known.add_argument("--venvs", metavar="DIR", help="with --all: folder with a virtual environment a tool")
    known.add_argument("--install", action="store_true", help="make the virtual environments that are not there (pip)")
    out = parser.add_argument_group("output")
    out.add_argument("--json", action="store_true", help="print the audit as JSON")
    out.add_argument("--write", metavar="FILE", help="write it as a Markdown page")
    out.add_argument("--output", metavar="DIR", help="keep what the tools wrote and printed, and audit.json, here")


def run(args: argparse.Namespace) -> int:
    """Audit and print; 0 if the figures of every tool could be had."""
    if args.list:
        return _list(args.json)
    from loadcell.audit.run import audit
    from loadcell.cli.selftest import ended_by_signals, warn_if_busy
    from loadcell.recording.claim import refuse_files

    if args.output:
        refuse_files(Path(args.output))
    load, timeout_s = _load(args), _seconds("--timeout", args.timeout)
    tools, missing = _tools(args)
    warn_if_busy()
    with _folder(args.output) as folder, ended_by_signals():
        found = audit(tools, load, folder, _say, faults=not args.no_faults, with_ours=args.ours or args.all,
                      timeout_s=timeout_s, missing=missing)  # fmt: skip
        _keep(found, args.output)
    _show(found, args)
    return 0 if tools and all(any(one.off is not None for one in tool.bias) for tool in found.tools) else 1


def _load(args: argparse.Namespace) -> Load:
    from loadcell.audit.model import Load

    streams, tokens = _named_load(args.load)
    concurrency = _given(args.concurrency, streams)
    values = {
        "concurrency": concurrency,
        "requests": _given(args.requests, 8 * concurrency),
        "output_tokens": _given(args.output_tokens, tokens),
        "input_tokens": _given(args.input_tokens, 128),
    }
    for name, value in values.items():
        least = 2 if name == "output_tokens" else 1
        if value < least:
            raise UsageError(f"--{name.replace('_', '-')} {value}: give {least} or more")
    ttft_s, itl_s = _seconds("--ttft", args.ttft), _seconds("--itl", args.itl)
    return Load(**values, ttft_ms=1e3 * (ttft_s or 0.05), itl_ms=1e3 * (itl_s or 0.01))


def _given(value: int | None, usual: int) -> int:
    return usual if value is None else value


def _named_load(text: str | None) -> tuple[int, int]:
    streams, _, tokens = (text or "8x50").lower().replace("\N{MULTIPLICATION SIGN}", "x").partition("x")
    if not (streams.strip().isdigit() and tokens.strip().isdigit()):
        raise UsageError(f"--load {text}: write streams x output tokens, as in 8x50")
    return int(streams), int(tokens)


def _seconds(flag: str, text: str | None) -> float | None:
    if text is None:
        return None
    from loadcell.spec import parse_duration_s

    try:
        found = parse_duration_s(text)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from None
    if found <= 0:
        raise UsageError(f"{flag} {text}: give more than 0")
    return found


def _tools(args: argparse.Namespace) -> tuple[list[Tool], dict[str, str]]:
    """What is to be audited, and what cannot be."""
    from loadcell.audit.recipes import install, recipe_of, recipes
    from loadcell.audit.run import tool_of_command, tool_of_recipe

    if args.all:
        if args.tool:
            raise UsageError(f"--all and {args.tool}: name one of them; --only takes some of all")
        if not args.venvs:
            raise UsageError("--all needs --venvs DIR: the folder with the tools' virtual environments")
        names = [name.strip() for name in args.only.split(",")] if args.only else list(recipes())
        found, missing = [], {}
        for name in names:
            recipe, venv = recipe_of(name), Path(args.venvs).absolute() / name
            try:
                if args.install:
                    install(recipe, venv, _say)
                found.append(tool_of_recipe(name, recipe, venv))
            except LoadcellError as error:
                missing[name] = str(error)
                _say(f"{recipe.title} is left out: {error}")
        return found, missing
    if not args.tool:
        raise UsageError("name a tool: a command line in quotes, or one of " + ", ".join(recipes()))
    if "{" in args.tool or " " in args.tool.strip():
        return [tool_of_command(args.tool)], {}
    recipe, there = recipe_of(args.tool), Path(args.venv).absolute() if args.venv else None
    if args.install:
        if there is None:
            raise UsageError("--install needs --venv DIR: the virtual environment to make")
        install(recipe, there, _say)
    return [tool_of_recipe(args.tool, recipe, there)], {}


@contextmanager
def _folder(output: str | None) -> Iterator[Path]:
    """Where the tools write: a folder that stays, or one that goes."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="loadcell-audit-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    from loadcell.recording.claim import claimed

    folder = Path(output).absolute()
    with claimed(folder):
        yield folder
    shutil.rmtree(folder / "tokenizer", ignore_errors=True)


def _keep(found: Audit, output: str | None) -> None:
    from loadcell.report.tables import to_json

    if output is not None:
        (Path(output) / "audit.json").write_bytes(to_json(found))


def _show(found: Audit, args: argparse.Namespace) -> None:
    from loadcell.report.audit import audit_page
    from loadcell.report.tables import to_json
    from loadcell.report.view.audit import audit_sections

    if args.write:
        try:
            Path(args.write).write_text(audit_page(found), encoding="utf-8")
        except OSError as error:
            raise LoadcellError(f"cannot write {args.write}: {error.strerror}") from None
        _say(f"written: {args.write}")
    if args.json:
        sys.stdout.write(to_json(found).decode())
        return
    from loadcell.cli.terminal import Terminal
    from loadcell.report.render.terminal import show

    show(audit_sections(found), Terminal())


def _list(as_json: bool) -> int:
    from loadcell.audit.recipes import recipes

    if as_json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(recipes()), indent=2).decode() + "\n")
        return 0
    from loadcell.cli.terminal import Terminal
    from loadcell.report.render.terminal import show
    from loadcell.report.view.audit import recipes_section

    known = {name: (one.title, one.version, one.install, one.command) for name, one in recipes().items()}
    show([recipes_section(known)], Terminal())
    return 0


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()

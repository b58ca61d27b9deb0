"""An audit: a tool under a load whose truth is known, and again where the engine fails now and then."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loadcell import __version__
from loadcell.audit import ours
from loadcell.audit.command import filled, found_program, values_of, words_of
from loadcell.audit.known import LATENCIES, RATES, STATS, injected, seen, told_apart, true_figures
from loadcell.audit.model import Audit, Audited, Cost, Faults, Load, Off
from loadcell.audit.process import PRINTED_MOST, Ran, environment_of, run_tool, tail
from loadcell.audit.recipes import OFFLINE, Recipe, installed_version, program_in
from loadcell.audit.reported import Figures, Reading, read_files
from loadcell.audit.tokenizer import write_tokenizer
from loadcell.errors import LoadcellError, UsageError
from loadcell.load.host import allowed_cores
from loadcell.selftest.store import this_machine
from loadcell.selftest.truth import Truth
from loadcell.selftest.witness import engine

MODEL = "loadcell-engine"
START_S = 180.0
"""For a tool to start and to end, beside the load itself."""
_OTHERS = 16
"""Slots of the engine beyond the load's, for what a tool asks besides."""
FAULTS = ("--error-rate", "0.22", "--cut-rate", "0.11", "--stream-error-rate", "0.06", "--short-rate", "0.035",
          "--seed", "181", "--trouble-after", "8")  # fmt: skip
"""With this seed no two sets of kinds have the same sum in 60 to 90 requests, so that the number that a tool counts as
failed tells which kinds it noticed. What it asks before its load is spared."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Tool:
    """A tool to be audited."""

    name: str
    title: str
    words: list[str]
    """Its command line, with places."""
    version: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    first_on_path: Sequence[Path] = ()
    program: str | None = None
    """Its program, where that is not the first word."""
    notes: Sequence[str] = ()
    here: bool = False
    """Whether it runs where this process is, since its words may name files there."""
    read: Callable[[Path, Sequence[Truth]], Reading] = read_files
    fine: Sequence[int] = (0,)
    """Exit codes of a run that came to its end."""


@dataclass(frozen=True)
class Pass:
    """A tool's way through one load."""

    ran: Ran
    records: list[Truth]
    told: str
    """The end of what it printed."""


def tool_of_command(command: str) -> Tool:
    """Any tool, by its command line."""
    words = words_of(command)
    told = [word for word in words[1:] if not word.startswith("-")] if Path(words[0]).name.startswith("python") else []
    program = re.sub(r"[^\w.+-]", "_", Path((told or words)[0]).name)[:40]
    return Tool(program, program, words, here=True)


def tool_of_recipe(name: str, recipe: Recipe, venv: Path | None) -> Tool:
    """One by its recipe, in a virtual environment or on the PATH; UsageError if it is not there."""
    words, path, program, version = words_of(recipe.command, recipe.files.values()), [], None, recipe.version
    if venv is not None:
        found = program_in(recipe, venv)
        if found is None:
            raise UsageError(f"{recipe.package} is not in {venv}: {install_line(recipe)}")
        path, program = [found.parent, venv / "bin"], str(found)
        version = installed_version(recipe, venv) or version
    environment = {**OFFLINE, **recipe.environment}
    return Tool(name, recipe.title, words, version, recipe.files, environment, path, program, recipe.notes)


def install_line(recipe: Recipe) -> str:
    """What to type to have it."""
    return " && ".join(f"pip install {shlex.join(words)}" for words in recipe.install)


def audit(
    tools: Sequence[Tool],
    load: Load,
    folder: Path,
    say: Say,
    *,
    faults: bool = True,
    with_ours: bool = False,
    timeout_s: float | None = None,
    missing: Mapping[str, str] | None = None,
) -> Audit:
    """Audit the tools, one after the other. What they write stays in `folder`, a folder for each; `missing` are
    recipes that could not be run, each with the reason.

    UsageError if one cannot be started; what goes wrong later is among its problems. KeyboardInterrupt once all that
    was started has ended.
    """
    tokenizer = str(write_tokenizer(folder / "tokenizer"))
    found = [_audited(tool, load, folder / tool.name, tokenizer, say, faults, timeout_s) for tool in tools]
    own = None
    if with_ours:
        own = _audited(_ours(), load, folder / "loadcell", tokenizer, say, faults, timeout_s)
    machine = {key: value for key, value in this_machine(False).items() if key not in ("tls", "core", "loadcell")}
    return Audit(
        measured_at=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        machine={**machine, "load_average": round(os.getloadavg()[0], 2)},
        load=load,
        tools=found,
        ours=own,
        missing=dict(missing or {}),
        loadcell=__version__,
    )


def _ours() -> Tool:
    return Tool("loadcell", "Loadcell", words_of(ours.COMMAND), __version__, notes=ours.NOTES, read=ours.read_recording,
                fine=ours.FINE)  # fmt: skip


def _audited(
    tool: Tool, load: Load, folder: Path, tokenizer: str, say: Say, faults: bool, timeout_s: float | None
) -> Audited:
    say(f"{tool.title}: {load.name}, {load.requests} requests, about {load.seconds:.0f} s and its start-up")
    went = _pass(tool, load, folder / "load", tokenizer, (), timeout_s)
    reading, unread = _read(tool, folder / "load", went.records)
    problems = _problems(tool, went) + unread
    tokens = sum(len(one.tokens_ns) for one in went.records)
    if not went.records:
        problems.append("no request of it reached the engine")
    cost = Cost(
        wall_s=went.ran.wall_s, cpu_s=went.ran.cpu_s, cpu_us_per_token=went.ran.cpu_s * 1e6 / tokens if tokens else None
    )
    return Audited(
        name=tool.name,
        title=tool.title,
        version=tool.version,
        command=shlex.join(tool.words),
        load=load,
        bias=_bias(reading.figures, true_figures(reading.measured)),
        seen=seen(went.records, len(reading.measured), reading.rule, went.ran.started_ns) if went.records else None,
        cost=cost,
        ok=reading.ok,
        failed=reading.failed,
        faults=_faults(tool, load, folder / "faults", tokenizer, say, timeout_s) if faults and went.records else None,
        problems=problems,
        notes=[*tool.notes, *([reading.says] if reading.says else [])],
    )


def _pass(tool: Tool, load: Load, folder: Path, tokenizer: str, flags: Sequence[str], timeout_s: float | None) -> Pass:
    """One load against an engine of its own; UsageError if the tool is not there."""
    output = folder / "output"
    output.mkdir(parents=True)
    environment = environment_of(tool.environment, tool.first_on_path)
    program = tool.program if tool.program and Path(tool.program).name == tool.words[0] else None
    hint = "" if tool.here else f": loadcell audit {tool.name} --venv DIR --install makes an environment with it"
    program = program or found_program(tool.words[0], environment["PATH"], hint)
    times = ("--ttft", f"{load.ttft_ms:g}ms", "--itl", f"{load.itl_ms:g}ms")
    slots = ("--slots", str(load.concurrency + _OTHERS), "--model", MODEL)
    cores = allowed_cores()[1:]  # the engine has the first to itself
    with engine(*slots, *times, *flags) as target:
        values = values_of(target.url, load, tokenizer, output, MODEL)
        for name, text in tool.files.items():
            (output / name).write_text(filled(text, values), encoding="utf-8")
        words = [program, *(filled(word, values) for word in tool.words[1:])]
        limit = timeout_s or START_S + 3 * load.seconds
        ran = run_tool(words, folder, environment, limit, cores, tool.here)
        records = target.records()
    return Pass(ran, records, tail(folder))


def _problems(tool: Tool, went: Pass) -> list[str]:
    ran, said = went.ran, f"; its last words: {went.told}" if went.told else ""
    if ran.error:
        return [f"it could not be started: {ran.error}"]
    if ran.flooded:
        return [f"it was ended after it had printed {PRINTED_MOST >> 30} GiB{said}"]
    if ran.timed_out:
        return [f"it was ended after {ran.wall_s:.0f} s: --timeout gives it longer{said}"]
    found = [] if ran.status in tool.fine else [f"it ended with status {ran.status}{said}"]
    if ran.left:
        found.append(f"it left {ran.left} process{'es' if ran.left > 1 else ''} behind, which were ended")
    return found


def _read(tool: Tool, folder: Path, records: Sequence[Truth]) -> tuple[Reading, list[str]]:
    """What it reports, and why nothing is known of that."""
    try:
        return tool.read(folder, records), []
    except LoadcellError as error:
        measured, rule = told_apart(records, None)
        return Reading(measured=measured, rule=rule), [f"its figures are not known: {error}"]


def _bias(figures: Figures, true: Mapping[tuple[str, str | None], float]) -> list[Off]:
    keys: list[tuple[str, str | None]] = [*itertools.product(LATENCIES, STATS), *((rate, None) for rate in RATES)]
    return [_off(key, figures.get(key), true.get(key)) for key in keys]


def _off(key: tuple[str, str | None], told: tuple[float, bool] | None, true: float | None) -> Off:
    units = {"requests_per_s": "requests/s", "output_tokens_per_s": "tokens/s"}
    value, from_rows = told or (None, False)
    off = None if value is None or true is None else value - true
    return Off(
        metric=key[0],
        stat=key[1],
        unit=units.get(key[0], "ms"),
        reported=value,
        true=true,
        off=off,
        share=off / true if off is not None and true else None,
        from_rows=from_rows,
    )


def _faults(tool: Tool, load: Load, folder: Path, tokenizer: str, say: Say, timeout_s: float | None) -> Faults:
    short = msgspec.structs.replace(
        load, concurrency=min(load.concurrency, 8), requests=64, output_tokens=min(load.output_tokens, 20)
    )
    say(f"{tool.title}: the same, with faults")
    went = _pass(tool, short, folder, tokenizer, FAULTS, timeout_s)
    reading, unread = _read(tool, folder, went.records)
    met, failed = injected(went.records), reading.failed
    return Faults(
        load=short,
        injected=met,
        requests=len(went.records),
        ok=reading.ok,
        failed=failed,
        unnoticed=None if failed is None else sum(met.values()) - failed,
        noticed=noticed(met, failed),
        says="; ".join([*_problems(tool, went), *unread]),
    )


def noticed(met: Mapping[str, int], failed: int | None) -> list[str] | None:
    """The kinds whose numbers add up to what the tool counts as failed; None unless there is one such set."""
    kinds = [kind for kind, number in met.items() if number]
    sets = [
        some for n in range(len(kinds) + 1) for some in itertools.combinations(kinds, n)
        if sum(met[kind] for kind in some) == failed
    ]  # fmt: skip
    return list(sets[0]) if len(sets) == 1 else None

"""`loadcell duel`: the same requests to two endpoints in turns, and which of them is faster."""

from __future__ import annotations

import argparse
import copy
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from loadcell.cli.compare import GATED, LEAST_OF_DUEL, add_comparing, parse_share, show_duel
from loadcell.cli.pages import add_page, check_lang
from loadcell.errors import EndpointError, LoadcellError, UsageError
from loadcell.recording.claim import output_folder

if TYPE_CHECKING:
    from loadcell.compare import DuelPlan
    from loadcell.spec import Spec

_NOT_HERE = ("--requests", "--duration", "--warmup", "--stop-when-saturated", "--keep-load", "--also")
"""Flags of a run that a duel decides itself."""
_ABOUT = """\
Send the same requests to two endpoints in turns, A B B A, while the other side
rests, and say which is faster: better, worse, no difference that matters, or
too little data. Each request is compared with its twin; what drifts meanwhile
meets both sides alike."""
_EPILOG = """\
A is the baseline. Every turn is recorded in the folder (--output, default
duels/TIME) as a run of its own; `loadcell report FOLDER` shows the duel again.
Ctrl-C ends it and judges the turns that ended; the same command with --resume
goes on. The two may be the same endpoint: then nothing should differ.

gates, as in `loadcell compare`: --fail-if "e2e.geomean>+2%"
  {measures}

exit codes: 0 done; 1 a gate failed, not comparable, or an endpoint cannot be
asked; 2 wrong usage; 4 most turns are INVALID; 130 interrupted

examples:
  loadcell duel http://old:8000 http://new:8000
  loadcell duel http://a:8000 http://b:8000 --concurrency 4 --min-effect 0.5%
  loadcell duel http://a:8000 http://b:8000 --rate 8 --output-tokens 256
  loadcell duel http://a:8000 http://a:8000 --set-b endpoint.model=other
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from loadcell.cli.run import add_spec_flags

    parser.usage = "loadcell duel [A B] [flags]"
    parser.description = _ABOUT
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG.format(measures=GATED)
    parser.add_argument("a", nargs="?", metavar="A", help="base URL of the baseline (default: as of `loadcell run`)")
    parser.add_argument("b", nargs="?", metavar="B", help="base URL of the other (default: another that is found)")
    duel = parser.add_argument_group("duel")
    duel.add_argument("--requests", metavar="N", help="requests a side (default: 300, and 12 turns at least)")
    duel.add_argument("--turn", metavar="N", help="requests of a turn (default: 5 a user; at --rate, those of 5 s)")
    duel.add_argument(
        "--set-b", action="append", metavar="A.B=C", help="set a field of the spec of B alone (repeatable)"
    )
    duel.add_argument("--resume", action="store_true", help="go on with the duel in --output")
    add_spec_flags(parser, but=_NOT_HERE).add_argument(
        "--output", metavar="DIR", help="folder of the duel (default: duels/TIME)"
    )
    add_comparing(parser.add_argument_group("judging"))
    add_page(parser, "report.html in the duel's folder")


def run(args: argparse.Namespace) -> int:
    """Run the duel and print what it tells. Returns 0; 1 by its gates; 4 if most turns are INVALID; 130 if stopped."""
    from loadcell.compare import DUEL, parse_gate
    from loadcell.compare.duel import couples_of

    check_lang(args)
    parse_share(args.min_effect or LEAST_OF_DUEL)  # what is wrong in these is said before anything is sent
    for gate in args.fail_if:
        parse_gate(gate)
    specs = specs_of(args)
    if args.resume and (args.output is None or not DUEL.there(Path(args.output))):
        raise UsageError("--resume goes on with a duel: name its folder with --output")
    with output_folder(args.output, "duels") as folder:
        with DUEL.own(folder, resume=args.resume):
            turn = whole_number(args.turn, "--turn") or usual_turn(specs["A"])
            couples = couples_of(whole_number(args.requests, "--requests"), turn)
            stopped = fight(begin(specs, models_of(specs), turn, couples, folder), specs, folder)
        if stopped is not None:
            sys.stderr.write(f"loadcell: {stopped.why}; --resume --output {folder} goes on\n")
        try:
            code = show_duel(args, folder)
        except LoadcellError as error:
            if stopped is None:
                raise
            sys.stderr.write(f"loadcell: {error}\n")
            return stopped.code
        return code if stopped is None else stopped.code


def specs_of(args: argparse.Namespace, *, endless: bool = False) -> dict[str, Spec]:
    """The Spec of each side, its load with all defaults but its end; `endless` leaves out one that is given."""
    import msgspec

    from loadcell.cli.run import read_spec
    from loadcell.spec import with_defaults

    given = copy.copy(args)
    found: dict[str, Spec] = {}
    for side, url in (("A", args.a), ("B", args.b)):
        given.target = url
        given.set = [*(args.set or []), *((args.set_b or []) if side == "B" else [])]
        spec = read_spec(given, but=[one.endpoint.url for one in found.values()])
        ends = {"load.duration_s": spec.load.duration_s, "load.requests": spec.load.requests}
        wrong = [name for name, value in ends.items() if value is not None and not endless]
        if len(spec.dealt) > 1:
            raise UsageError(
                "a duel is of one endpoint and one model a side: leave classes.also and classes.models out"
            )
        if spec.load.rate_series is not None:
            raise UsageError("a duel takes turns at one load: leave out load.rate_series")
        if spec.trace.name is not None:
            raise UsageError("a duel takes turns at one load: leave the trace out")
        if wrong or spec.loadgen.scenario is not None:
            what = wrong[0] if wrong else "loadgen.scenario"
            raise UsageError(f"a duel ends by its requests (--requests, --turn): take {what} out of the spec")
        without = {"duration_s": None, "requests": None, "warmup_s": 0.0, "warmup_requests": 0}
        load = msgspec.structs.replace(with_defaults(spec).load, **without)
        repetition = spec.run.repetition + (
            side == "B" and spec.endpoint.url == found["A"].endpoint.url
        )  # a cache must not know the twin's prompt
        seeds = msgspec.structs.replace(spec.run, repetition=repetition)
        found[side] = msgspec.structs.replace(spec, load=load, run=seeds)
    return found


def models_of(specs: dict[str, Spec]) -> list[str]:
    """The model of each side, which is said; EndpointError if one cannot be asked."""
    from loadcell.spec import redact

    models = [_model(name, spec) for name, spec in specs.items()]
    for (name, spec), model in zip(specs.items(), models, strict=True):
        sys.stderr.write(f"{name}: {redact(spec).endpoint.url}, model {model}\n")
    return models


def usual_turn(spec: Spec) -> int:
    """Requests of a turn, unless it is told otherwise."""
    from loadcell.compare.duel import turn_length

    return turn_length(spec.load.concurrency, spec.load.rate, _requests_each(spec))


def begin(specs: dict[str, Spec], models: list[str], turn: int, couples: int, folder: Path) -> DuelPlan:
    """The plan of a new duel, written into its folder; or that of the one which is to go on."""

    from loadcell.compare.duel import DUEL, DuelPlan
    from loadcell.load.fleet import new_salt
    from loadcell.spec import redact, with_fields

    a, b = map(redact, specs.values())
    if specs["A"].workload.prompts is None and specs["A"].run.salt is None:
        known = DUEL.read(folder) if DUEL.there(folder) else None  # it goes on with the texts that it drew
        salt = new_salt() if known is None else known.a.run.salt
        a, b = (with_fields(one, {"run.salt": salt}) for one in (a, b))
    return DUEL.keep(folder, DuelPlan(a=a, b=b, turn=turn, couples=couples, models=models))


def _requests_each(spec: Spec) -> float:
    """Requests of a session, on average; of an agent those of its own steps; 1 where each is alone or a file tells."""
    from loadcell.sessions import ALL
    from loadcell.spec import parse_lengths

    asked = spec.agent.steps if spec.agent.any else spec.sessions.turns
    return 1.0 if asked is None or asked == ALL else parse_lengths(asked).mean


def _model(name: str, spec: Spec) -> str:
    """The model that an end serves, asked before anything else is sent; EndpointError if it cannot be asked."""
    from loadcell.load.preflight import preflight
    from loadcell.load.target import make_target, secrets_for
    from loadcell.secrets import scrub

    key = os.environ.get(spec.endpoint.api_key_env)
    target = make_target(spec.endpoint, key)
    secrets = secrets_for(spec, target, key)
    try:
        return scrub(preflight(spec, target).model, secrets)
    except EndpointError as error:
        raise EndpointError(f"{name}: {scrub(str(error), secrets)}") from None


def whole_number(text: str | None, flag: str) -> int | None:
    if text is not None and (not text.isdecimal() or not int(text)):
        raise UsageError(f"{flag} {text!r}: write a number of requests, as in {flag} 300")
    return None if text is None else int(text)


class Stopped(NamedTuple):
    """What ended a duel before its last turn."""

    code: int
    why: str


def fight(plan: DuelPlan, specs: dict[str, Spec], folder: Path) -> Stopped | None:
    """Run every turn that is not recorded yet. What ended the duel before that, else None."""
    from loadcell.cli.run import run_once
    from loadcell.compare.duel import turns_of
    from loadcell.recording.campaign import keep_whole

    turns = list(turns_of(plan, folder))
    for number, turn in enumerate(turns, 1):
        if keep_whole(turn.folder):
            continue
        code, why = 130, "interrupted"
        try:
            spec = _turn_spec(specs[turn.side], plan, turn.couple, folder)
            result, _ = run_once(spec, turn.folder, None, head=(f"turn {number} of {len(turns)}: {turn.side}",))
            if result.run.state != "interrupted":
                continue
        except KeyboardInterrupt:
            pass
        except LoadcellError as error:
            code, why = error.exit_code, f"{turn.side}: {error}"
        return Stopped(code, f"turn {number} of {len(turns)}: {why}")
    return None


def _turn_spec(spec: Spec, plan: DuelPlan, couple: int, folder: Path) -> Spec:
    """The run of a turn: both turns of a couple have one seed and one salt, so the same lengths, times and texts."""
    import msgspec

    load = msgspec.structs.replace(spec.load, requests=plan.turn)
    seeds = msgspec.structs.replace(spec.run, seed=spec.run.seed + couple, salt=plan.a.run.salt)
    workload = spec.workload
    if workload.prompts is not None:
        prompts = _file_of(folder, couple)
        if not prompts.exists():
            _deal(spec, plan, folder)
        workload = msgspec.structs.replace(workload, prompts=str(prompts))
    return msgspec.structs.replace(spec, load=load, run=seeds, workload=workload)


def _file_of(folder: Path, couple: int) -> Path:
    return folder / f"prompts-{couple + 1:03}.jsonl"


def _deal(spec: Spec, plan: DuelPlan, folder: Path) -> None:
    """Write the prompts of each couple into a file of their own: those of the spec's file, in rounds."""
    from loadcell.workload.files import lines_of

    lines = lines_of(spec)
    for couple in range(plan.couples):
        mine = (lines[(couple * plan.turn + i) % len(lines)] + b"\n" for i in range(plan.turn))
        _file_of(folder, couple).write_bytes(b"".join(mine))

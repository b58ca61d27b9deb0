"""`loadcell run --repeat`: the same spec several times, and what differs between the runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadcell.cli.pages import PAGE
from loadcell.errors import LoadcellError
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.metrics import Repeats, Result
    from loadcell.report.words import Words


def run_repeats(
    spec: Spec,
    folder: Path,
    count: int,
    one_run: Callable[[Spec, Path, bool], Result],
    *,
    as_json: bool,
    strict: bool,
    words: Words,
) -> int:
    """Run `spec` `count` times into `folder`/1, /2, ..., each with the prompts of another repetition; exit code.

    `one_run` gets the spec, the folder, and whether it is the first. What ended before an interruption or an error is
    kept and summarised. The folder is claimed by who calls.
    """
    out = sys.stderr if as_json else sys.stdout
    results: list[Result] = []
    code, why = None, ""
    for number in range(1, count + 1):
        run = msgspec.structs.replace(spec.run, repetition=spec.run.repetition + number - 1)
        try:
            result = one_run(msgspec.structs.replace(spec, run=run), folder / str(number), number == 1)
            interrupted = result.run.state == "interrupted"
        except KeyboardInterrupt:
            interrupted = True
        except LoadcellError as error:
            if not results:
                raise
            code, why = error.exit_code, str(error)
            break
        if interrupted:
            code, why = 130, f"interrupted; what was recorded of run {number} is not part of the summary"
            break
        results.append(result)
        from loadcell.report.view.repeats import run_line

        out.write(run_line(result, number, count, words) + "\n")
        out.flush()
    if why:
        sys.stderr.write(f"loadcell: run {number} of {count}: {why}\n")
    if results:
        worst = _summarise(results, count, folder, words, as_json=as_json, strict=strict)
        code = worst if code is None else code
    return code or 0


def _summarise(results: list[Result], count: int, folder: Path, words: Words, *, as_json: bool, strict: bool) -> int:
    from loadcell.cli.results import exit_code
    from loadcell.cli.terminal import Terminal
    from loadcell.metrics import build_repeats
    from loadcell.report import to_json
    from loadcell.report.render.terminal import show
    from loadcell.report.view.repeats import repeats_section

    together: Repeats = build_repeats(results, asked=count)
    if as_json:
        sys.stdout.write(to_json(together).decode())
    else:
        sys.stdout.write("\n")
        show([repeats_section(together, words)], Terminal())
        last = f" to {folder}/{len(results)}" if len(results) > 1 else ""
        sys.stdout.write(f" Recorded in {folder}/1{last}; to see one again: loadcell report {folder}/1\n")
        if (folder / "1" / PAGE).exists():
            sys.stdout.write(f" Pages: {PAGE} in each\n")
    codes = {exit_code(result, strict=strict) for result in results}
    return next(code for code in (4, 1, 3, 0) if code in codes)

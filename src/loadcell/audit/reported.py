"""What a tool reports: the figures that it states, else what follows from the times of requests that it wrote."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from loadcell.audit.known import LATENCIES, RATES, STATS, percentiles, told_apart
from loadcell.errors import UsageError
from loadcell.interop.model import Request, Run
from loadcell.selftest.truth import Truth

Figures = dict[tuple[str, str | None], tuple[float, bool]]
"""(metric, statistic) to its value, in ms or a second, and whether it was computed of rows."""
_OF_RATES = (None, "mean")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a tool reports, and which requests of the engine it is about."""

    figures: Figures = field(default_factory=dict)
    ok: int | None = None
    failed: int | None = None
    """Requests, as the tool counts them."""
    measured: list[Truth]
    rule: str
    """How they were told from the others."""
    says: str = ""
    """What it says of itself."""


def read_files(folder: Path, records: Sequence[Truth]) -> Reading:
    """Of the files in `output` below; LoadcellError if they are not those of one run."""
    run = run_in(folder / "output")
    ok, failed = counted(run)
    measured, rule = told_apart(records, ok)
    return Reading(figures=reported_figures(run), ok=ok, failed=failed, measured=measured, rule=rule)


def run_in(folder: Path) -> Run:
    """The one run that the tool wrote files of somewhere in `folder`.

    UsageError if there is none, there are several, or what there is cannot be read.
    """
    from loadcell.interop.read import read_runs

    if not folder.exists():
        raise UsageError(f"the tool wrote nothing to {folder.name}")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if not names:
        raise UsageError("the tool wrote no file to {output}: give its command the flag that says where results go")
    refused: str | None = None
    for place in _places(folder):
        try:
            runs = read_runs(place)
        except UsageError as error:
            refused = refused or str(error)
            continue
        if len(runs) == 1:
            return runs[0]
        if runs:
            raise UsageError(f"{place} holds {len(runs)} runs: an audit is of one load, so let the tool make one")
    if refused:
        raise UsageError(refused)
    raise UsageError(f"no result of a tool that is known was found: there are only {', '.join(names[:5])}")


def _places(folder: Path) -> list[Path]:
    """The folder, those below it, then the files: the higher, the sooner."""
    below = sorted(folder.rglob("*"), key=lambda path: (path.is_file(), len(path.parts), str(path)))
    return [folder, *(path for path in below if not path.name.startswith("."))]


def reported_figures(run: Run) -> Figures:
    """All that can be had of the figures that an audit asks for."""
    found = _told(run)
    lacking = [metric for metric in LATENCIES if any((metric, stat) not in found for stat in STATS)]
    if lacking and run.details is not None:
        for key, value in _of_rows(run.details(), lacking).items():
            found.setdefault(key, (value, True))
    return found


def counted(run: Run) -> tuple[int | None, int | None]:
    """Requests that went well and that failed, as the tool counts them; None what it does not say."""
    ok, failed = run.ok, run.failed
    if run.details is not None and (ok is None or failed is None):
        by_status = Counter(request.status for request in run.details())
        ok = by_status["ok"] if ok is None else ok
        failed = by_status["failed"] if failed is None else failed
    return ok, failed


def _told(run: Run) -> Figures:
    found: Figures = {}
    for told in run.told:
        metric = (told.metric or "").removesuffix("_ms")
        if metric in LATENCIES and told.stat in STATS and (ms := told.ms) is not None:
            found.setdefault((metric, told.stat), (ms, False))
        elif metric in RATES and told.stat in _OF_RATES and (rate := told.a_second) is not None:
            found.setdefault((metric, None), (rate, False))
    return found


def _of_rows(requests: Iterable[Request], metrics: Iterable[str]) -> dict[tuple[str, str | None], float]:
    values = {metric: array("d") for metric in LATENCIES}
    for one in requests:
        if one.status != "ok":
            continue
        sent, last, tokens = one.sent_s or 0.0, one.last_s, one.output_tokens
        if one.first_s is not None:
            values["ttft"].append((one.first_s - sent) * 1e3)
        if last is not None:
            values["e2e"].append((last - sent) * 1e3)
        if one.first_s is not None and last is not None and tokens is not None and tokens > 1:
            values["tpot"].append((last - one.first_s) * 1e3 / (tokens - 1))
        if one.chunks_s is not None:
            values["itl"].extend((np.diff(np.asarray(one.chunks_s)) * 1e3).tolist())
    found: dict[tuple[str, str | None], float] = {}
    for metric in metrics:
        found |= percentiles(metric, np.asarray(values[metric]))
    return found

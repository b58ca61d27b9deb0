"""A sweep on the console: the answer of a search first, then its stages, what they say together, and what to know."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from loadcell.report.curves import bars, curve_lines
from loadcell.report.lines import UNITS, Line, ask_label, section, span_words
from loadcell.report.search import answer_lines, promise
from loadcell.report.stages import server_table, stage_notes, stage_table
from loadcell.report.text import MISSING, figure, found_alone, percent, plain
from loadcell.search.model import Stage, Sweep

_NARROW = 80


def print_sweep(sweep: Sweep, console: Console, folder: Path | None = None) -> None:
    """Print the sweep; `folder` names where it lies."""
    console.print(render_sweep(sweep, console.width))
    if folder is not None:  # unbroken, so that it can be copied
        for line in _where(sweep, folder):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(Padding(Text(_last_line(sweep)), (0, 0, 0, 1)))


def render_sweep(sweep: Sweep, width: int = _NARROW) -> RenderableType:
    """The sweep for a terminal of 80 columns or more; plain text where there is no terminal."""
    width = max(width, _NARROW)
    blocks: list[RenderableType] = []
    if sweep.found is not None:
        blocks.append(section(answer_lines(sweep, sweep.found)))
    blocks.append(section(_measured(sweep)))
    if sweep.stages:
        notes = "\n".join(stage_notes(sweep))
        blocks += [stage_table(sweep, width), Padding(Text(notes, style="dim"), (0, 0, 0, 1))]
    drawn = bars(sweep, width)
    told = server_table(sweep)
    blocks += [block for block in (drawn, told) if block is not None]
    lines = [*curve_lines(sweep), *_findings(sweep)]
    if lines:
        blocks.append(section(lines))
    return Group(*(part for block in blocks for part in (block, Text())))


def _measured(sweep: Sweep) -> Iterator[Line]:
    """What was swept, against what."""
    plan = sweep.plan
    endpoint, workload = plan.spec.endpoint, plan.spec.workload
    yield "Target", plain(f"{endpoint.url} · {endpoint.api} · model {endpoint.model or _MODEL}")
    varied = {path.removeprefix("workload.") for changes in plan.stages for path in changes}
    tokens_in = "varied" if "input_tokens" in varied else workload.input_tokens
    tokens_out = "varied" if "output_tokens" in varied else workload.output_tokens
    source = f"prompts of {workload.prompts}" if workload.prompts else f"{tokens_in} tokens in"
    arrivals = f" · {plan.spec.load.arrivals} arrivals" if plan.axis == "load.rate" else ""
    yield "Workload", plain(f"{source}, {tokens_out} tokens out{arrivals}")
    if plan.mode == "grid":
        over = UNITS.get(str(plan.axis), "fields of the spec")
        count = f"{len(sweep.stages)} of {sweep.planned}" if sweep.planned != len(sweep.stages) else f"{sweep.planned}"
        yield "Grid", f"{count} stages over {over}, {span_words(plan.stage_s)} each"
        if plan.spec.slo.limits:
            yield "SLO", promise(plan)


_MODEL = "(the server's first)"


def _findings(sweep: Sweep) -> Iterator[Line]:
    for i, finding in enumerate(sweep.findings):
        yield ("" if i else "Notes"), plain(finding, 600)


def _where(sweep: Sweep, folder: Path) -> Iterator[str]:
    yield f" Recorded in {folder}; to see it again: loadcell report {folder}"
    if sweep.stages:
        shown = next((stage for stage in reversed(sweep.stages) if stage.point), sweep.stages[-1])
        yield f" One stage: loadcell report {folder / shown.folder}"
    if not finished(sweep):
        yield f" To go on: loadcell sweep {folder} --resume"
    yield ""


def finished(sweep: Sweep) -> bool:
    """Whether every stage that was to be run has been."""
    whole = all(stage.state == "complete" for stage in sweep.stages)
    if sweep.found is not None:
        return whole and sweep.found.word != "unfinished"
    return whole and (sweep.planned is None or len(sweep.stages) >= sweep.planned)


def _last_line(sweep: Sweep) -> str:
    """How many stages, how long, and what they are worth."""
    words = Counter(stage.point.verdict if stage.point else "without figures" for stage in sweep.stages)
    worth = ", ".join(f"{count} {word}" for word, count in words.items())
    count = len(sweep.stages)
    took = "" if sweep.took_s is None else f" in {span_words(sweep.took_s)}"
    return f"{count} stage{'' if count == 1 else 's'}{took}{f': {worth}' if worth else ''}"


def stage_line(axis: str | None, stage: Stage) -> str:
    """One stage as it ends, in lines of at most 80 columns: its load, what came out, and why it ended."""
    ask, point, trial = stage.ask, stage.point, stage.trial
    unit = "" if ask.level is None else _SHORT.get(str(axis), "") if ask.level != 1 else _SHORT_ONE.get(str(axis), "")
    head = f" {ask.number:>3}  {ask_label(ask)}{unit}{'' if ask.phase == 'grid' else f' {ask.phase}'}"
    why = plain(stage.ended or ("" if stage.state == "complete" else stage.state), 120)
    if point is None:
        return _wrapped(f"{head}: no figures: {why}")
    told = ask.phase != "floor" and stage.state == "complete"  # one user alone, or a part, is no test of the SLO
    judged = trial if told else None
    invalid = point.verdict == "INVALID" and bool(point.reasons)
    reason = f": {plain(found_alone(point.reasons[0]), 120)}" if invalid else ""
    known = {name: e.value for name, e in point.ttft_ms.items() if e.value is not None and name in ("p50", "p99")}
    ttft = ", ".join(f"{name} {figure(value, 3)}" for name, value in known.items())
    parts = [
        f"{judged.answer}, {percent(judged.attainment.value)} of {judged.judged:,}" if judged else "",
        f"TTFT {f'{ttft} ms' if ttft else MISSING}",
        "" if judged else f"{figure(point.output_tokens_per_s, 4)} tokens/s",
        "" if point.verdict == "VALID" else f"{point.verdict}{reason}",
        why.partition(":")[0] if judged else "",  # its answer says the rest
    ]
    line = _wrapped(f"{head}: {' · '.join(filter(None, parts))}")
    return line if judged or not why else f"{line}\n{_wrapped(f'      {why}')}"


_SHORT = {"load.rate": "/s", "load.concurrency": " users"}
_SHORT_ONE = {"load.rate": "/s", "load.concurrency": " user"}


def _wrapped(line: str) -> str:
    return textwrap.fill(line, _NARROW, subsequent_indent=" " * 6, break_long_words=False, break_on_hyphens=False)

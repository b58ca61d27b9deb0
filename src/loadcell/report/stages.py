"""The stages of a sweep as tables: what each was asked and what it showed, and what the server told meanwhile."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator

from rich.table import Table
from rich.text import Text

from loadcell.metrics.interval import PERMILLE, shown_from
from loadcell.metrics.model import Estimate
from loadcell.report.lines import UNITS, ask_label, bare_table, numbers
from loadcell.report.text import MISSING, NO_REASON, figure, percent, plain
from loadcell.search.model import Stage, Sweep

_WIDE = 110
"""Columns from which on why a stage ended stands in its row; else a mark says that it did."""
_STATES = {"interrupted": "CUT", "broken": "BROKEN", "running": "NO END"}
_STYLES = {"VALID": "green", "SUSPECT": "yellow", "INVALID": "bold red", "pass": "green", "fail": "red"}
_REASON = 200
_NAMED = 2
"""Kinds of reasons that are quoted; the others stand in the stages' own reports."""
_DIGITS = re.compile(r"\d[\d.,]*")


def stage_table(sweep: Sweep, width: int) -> Table:
    """Two lines a stage: p50 over p99, requests/s over tokens/s, tokens/s a user over goodput."""
    judged = any(stage.trial for stage in sweep.stages)
    table = bare_table()
    table.add_column(Text("  #"), no_wrap=True, justify="right")
    table.add_column(Text(f"{UNITS.get(str(sweep.plan.axis), 'load')}\n{'phase' if judged else ''}".strip()),
                     overflow="fold", max_width=24)  # fmt: skip
    if judged:
        table.add_column(Text("answer\nattained"), no_wrap=True)
    for title in ("TTFT\nms", "TPOT\nms", "ITL\nms", "req/s\ntokens/s", "a user\ngoodput"):
        table.add_column(Text(title), justify="right", no_wrap=True)
    table.add_column(Text("verdict"), no_wrap=True)
    wide = width >= _WIDE
    if wide:
        table.add_column(Text("ended"), overflow="fold")
    for stage in sweep.stages:
        table.add_row(*_cells(sweep, stage, judged), *([_ended(stage)] if wide else []))
    return table


def _cells(sweep: Sweep, stage: Stage, judged: bool) -> Iterator[str | Text]:
    yield f"{stage.ask.number}"
    yield f"{ask_label(stage.ask)}\n{stage.ask.phase}" if judged else ask_label(stage.ask)
    if judged:
        yield _answer(stage, sweep.plan.target)
    point = stage.point
    latencies = (None,) * 3 if point is None else (point.ttft_ms, point.tpot_ms, point.itl_ms)
    for latency in latencies:
        yield "\n".join(_shown(latency, name) for name in ("p50", "p99"))
    if point is None:
        yield from [f"{MISSING}\n{MISSING}"] * 2
    else:
        yield f"{figure(point.requests_per_s, 4)}\n{figure(point.output_tokens_per_s, 4)}"
        good = MISSING if point.goodput is None else figure(point.goodput.goodput_per_s, 4)
        yield f"{figure(point.tokens_per_s_per_user, 4)}\n{good}"
    yield _word(stage).append(f"\n{_marks(sweep, stage)}")


def _shown(latency: dict[str, Estimate] | None, name: str) -> str:
    if not latency or name not in latency:
        return MISSING
    mark = "+" if latency[name].open else ""
    return f"{figure(latency[name].value, 4, grouped=False)}{mark}"


def _answer(stage: Stage, target: float | None) -> Text:
    if stage.trial is None or stage.state != "complete":
        return Text(f"{MISSING}\n{MISSING}")
    share = stage.trial.attainment.value
    if stage.ask.phase == "floor":  # one user alone is no test of the SLO
        return Text(f"\n{percent(share)}")
    return Text.assemble((stage.trial.answer, _STYLES.get(stage.trial.answer, "")), f"\n{percent(share, target)}")


def _word(stage: Stage) -> Text:
    """What the stage is worth: that it is no whole stage, or else its verdict."""
    if stage.state != "complete":
        return Text(_STATES.get(stage.state, stage.state.upper()), style="bold red")
    word = MISSING if stage.point is None else stage.point.verdict
    return Text(word, style=_STYLES.get(word, ""))


def _marks(sweep: Sweep, stage: Stage) -> str:
    number = stage.ask.number
    marks = {
        "P": number in sweep.curves.pareto,
        "K": any(knee.stage == number for knee in sweep.curves.knees),
        "Q": stage.point is not None and stage.point.stable is False,
        "E": stage.ended is not None and stage.state == "complete" and stage.point is not None,
    }
    return " ".join(mark for mark, true in marks.items() if true)


def _ended(stage: Stage) -> str:
    return "" if stage.ended is None else plain(stage.ended, _REASON)


# --- what stands below the table ------------------------------------------------------------------------------------


def stage_notes(sweep: Sweep) -> list[str]:
    """What the cells mean, which could not be had and why, and what is wrong with which stage."""
    marks = {mark for stage in sweep.stages for mark in _marks(sweep, stage).split()}
    means = {
        "P": "P Pareto front",
        "K": "K knee",
        "Q": "Q the queue grows",
        "E": f"E ended early: {'decided, ' if sweep.found else ''}its queue grew, or its requests failed",
    }
    legend = (
        "Latencies: p50, below it p99. a user: output tokens/s that one user sees (1 / median TPOT). "
        "goodput: requests/s that kept to every limit."
    )
    shown = "; ".join(text for mark, text in means.items() if mark in marks)
    return [
        f"{legend} {shown}{'.' if shown else ''}".strip(),
        *_not_estimable(sweep),
        *_bad(sweep),
    ]


def _not_estimable(sweep: Sweep) -> Iterator[str]:
    """Why a p99 of TTFT is missing or has no upper end; the other latencies go along with it."""
    missing: list[int] = []
    open_: dict[int, list[int]] = defaultdict(list)
    caveats: dict[str, list[int]] = defaultdict(list)
    withheld: dict[str, list[int]] = defaultdict(list)
    for stage in sweep.stages:
        estimate = None if stage.point is None else stage.point.ttft_ms.get("p99")
        if estimate is None:
            continue
        if estimate.withheld:
            withheld[estimate.withheld].append(stage.ask.number)
        elif estimate.caveat:
            caveats[estimate.caveat].append(stage.ask.number)
        elif estimate.open:
            open_[estimate.needs or 0].append(stage.ask.number)
        elif estimate.value is None and estimate.needs:
            missing.append(stage.ask.number)
    if missing:
        yield f"p99 n/a in {numbers(missing)}: fewer than {shown_from(PERMILLE['p99']):,} requests."
    for needs, group in open_.items():
        yield (
            f"+: p99 is at least so much in {numbers(group)}: it has an upper end from {needs:,} independent requests."
        )
    for why, group in withheld.items():
        yield f"p99 withheld in {numbers(group)}: {plain(why, _REASON)}."
    for why, group in caveats.items():
        yield f"p99 without an interval in {numbers(group)}: {plain(why, _REASON)}."
    if sweep.stages and not sweep.plan.spec.slo.limits:
        yield "goodput n/a: no SLO was given (--slo)."


def _bad(sweep: Sweep) -> Iterator[str]:
    """Stages whose verdict is not VALID. Why a stage is INVALID or cut stands among the sweep's findings."""
    points = [(stage.ask.number, stage.point) for stage in sweep.stages if stage.point is not None]
    if bad := [number for number, point in points if point.verdict == "INVALID"]:
        yield f"INVALID: {numbers(bad)}."
    doubtful: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, point in points:
        if point.verdict == "SUSPECT":
            reason = plain(point.reasons[0], _REASON) if point.reasons else NO_REASON
            doubtful[_DIGITS.sub("#", reason)].append((number, reason))  # alike but for their figures
    kinds = sorted(doubtful.values(), key=len, reverse=True)
    for group in kinds[:_NAMED]:
        first = f"stage {group[0][0]}: " if len({reason for _, reason in group}) > 1 else ""
        yield f"SUSPECT: {numbers(number for number, _ in group)}: {first}{group[0][1]}"
    if rest := [number for group in kinds[_NAMED:] for number, _ in group]:
        yield f"SUSPECT: {numbers(rest)}: each one's own report says why"


# --- what the server told --------------------------------------------------------------------------------------------


def _busy(share: float | None) -> str:
    """The use of a machine's CPU, which its own counters tell to some thousandths."""
    return percent(None if share is None else round(share, 3))


_SERIES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "requests_running": ("running", figure),
    "requests_waiting": ("waiting", figure),
    "kv_cache_use": ("KV cache", percent),
    "prefix_cache_hit_share": ("cache hits", percent),
    "preemptions": ("preempted/s", figure),
    "gpu_use": ("GPU use", percent),
    "gpu_power_watts": ("GPU W", figure),
    "client_cpu_share": ("client CPU", percent),
    "cpu_share": ("its machine", _busy),
}
"""Series of the server that are shown, in this order: title, and how a value is written."""


def server_table(sweep: Sweep) -> Table | None:
    """Means of what the server and its machine told, a row a stage; None where nobody told anything."""
    points = [(stage, stage.point) for stage in sweep.stages if stage.point is not None]
    names = [name for name in _SERIES if any(point.server.get(name) is not None for _, point in points)]
    energy = any(point.energy is not None and point.energy.valid for _, point in points)
    if not names and not energy:
        return None
    table = bare_table()
    table.add_column(Text("  #"), justify="right", no_wrap=True)
    table.add_column(Text("server, mean"), overflow="fold", max_width=24)
    axis = sweep.plan.axis
    for name in names:
        table.add_column(Text(_SERIES[name][0]), justify="right", overflow="fold")
    if energy:
        table.add_column(Text("J/token"), justify="right", no_wrap=True)
    for stage, point in points:
        cells = [_SERIES[name][1](point.server.get(name)) for name in names]
        joules = point.energy.joules_per_output_token if point.energy and point.energy.valid else None
        table.add_row(
            str(stage.ask.number),
            ask_label(stage.ask) if axis else "",
            *cells,
            *([figure(joules, 3)] if energy else []),
        )
    return table

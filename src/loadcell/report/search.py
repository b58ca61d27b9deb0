"""The answer of a search in words and figures: what holds, what fails, what breaks first, and what else was seen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from loadcell.report.lines import NO_QUEUE, TITLES, UNITS, Line, load_figure, load_words, numbers
from loadcell.report.render.terminal import WORD_STYLES
from loadcell.report.text import MISSING, figure, percent, plain, share_with_interval
from loadcell.search.model import End, Found, Plan, Stable, Sweep
from loadcell.search.soundness import invalid_ends, rests_on, stage_word, unanswered

_SAYS = 600
"""Most characters of foreign words on a line."""


def answer_lines(sweep: Sweep, found: Found) -> Iterator[Line]:
    """Label and text of each line; the answer first."""
    plan = sweep.plan
    yield "Search", f"highest load ({UNITS.get(str(plan.axis), 'load')}) that holds {promise(plan)}"
    why = unanswered(sweep)
    says = headline(plan, found)
    yield "Answer", Text(says if why is None else f"{why}; by them it {says}", style="bold")
    yield from _warnings(sweep)
    if found.binding is not None:
        yield "Breaks first", TITLES.get(found.binding, found.binding)
    ends = [(name, end) for name, end in (("holds", found.low), ("fails", found.high)) if end is not None]
    for i, (name, end) in enumerate(ends):
        yield ("" if i else "Attainment"), f"{_end(name, end, found)}"
    if plan.axis == "load.rate":
        yield from _stable(plan, found.stable)
    yield "Floor", _floor(found)
    for i, finding in enumerate(found.findings):
        yield ("" if i else "Findings"), Text(plain(finding, _SAYS), style="yellow")


def promise(plan: Plan) -> str:
    """The SLO of a plan in words, with the share of requests that must keep to it where there is one."""
    limits = plan.spec.slo.limits.items()
    words = ", ".join(f"{TITLES.get(name, name)} ≤ {value:,g} ms" for name, value in limits) or "no SLO"
    return words if plan.target is None else f"{words} for {percent(plan.target)} of requests"


def headline(plan: Plan, found: Found) -> str:
    """The bracket in one line; what the search says itself where there is none."""
    low, high = found.low, found.high
    if low is None or high is None or found.likely is not None:
        return plain(found.says, _SAYS)
    apart = "" if found.width is None else f" ({figure(found.width * 100, 2)} % apart)"
    text = f"holds up to {load_words(plan, low.level)}, fails at {load_figure(high.level)}{apart}"
    return text if found.word == "bracketed" else f"{found.word}: {text}"


def _warnings(sweep: Sweep) -> Iterator[Line]:
    """What the answer rests on that may not be trusted."""
    assert sweep.found is not None
    bad = invalid_ends(sweep)
    if bad:
        yield "", Text.assemble((" INVALID ", WORD_STYLES["INVALID"]), f" the answer rests on {numbers(bad)}, INVALID")
    ends = rests_on(sweep.found)
    doubtful = [
        stage.ask.number for stage in sweep.stages if stage.ask.number in ends and stage_word(stage) == "SUSPECT"
    ]
    if doubtful:
        says = f" the answer rests on {numbers(doubtful)}, SUSPECT"
        yield "", Text.assemble((" SUSPECT ", WORD_STYLES["SUSPECT"]), says)


def _end(name: str, end: End, found: Found) -> str:
    kept = f"{share_with_interval(end.attainment, found.target)} of {end.judged:,} requests"
    missed = TITLES.get(str(end.binding), end.binding)
    parts = [
        f"{load_figure(end.level)} {name}: {kept} ({numbers(end.stages)})",
        f"goodput {figure(end.goodput_per_s, 3)} requests/s",
        *([f"mostly missed: {missed}"] if end.binding not in (None, found.binding) else []),
    ]
    return " · ".join(parts)


def _stable(plan: Plan, stable: Stable) -> Iterator[Line]:
    """The highest stable load, which is not the SLO's."""
    if stable.low is None and stable.high is None:
        yield "Stable load", f"{MISSING}: no stage could tell whether its queue stays bounded"
        return
    parts = [
        "" if stable.low is None else f"the queue stays bounded up to {load_words(plan, stable.low)}",
        NO_QUEUE if stable.high is None else f"it grows at {load_figure(stable.high)}",
        "" if stable.served_per_s is None else f"carries {figure(stable.served_per_s, 3)} requests/s with a queue",
    ]
    yield "Stable load", " · ".join(filter(None, parts))


def _floor(found: Found) -> str:
    known = {name: value for name, value in found.floor_ms.items() if value is not None}
    if not known:
        return f"{MISSING}: one user alone was not measured"
    figures = " · ".join(f"{TITLES.get(name, name)} {figure(value, 3)} ms" for name, value in known.items())
    return f"one user alone, medians: {figures}"

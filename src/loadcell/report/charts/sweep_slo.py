"""Charts of what a sweep says of its SLO: attainment by load, and how a search went."""

from __future__ import annotations

from loadcell.metrics.model import Share
from loadcell.report.charts.drawing import (
    Encoding,
    Row,
    dots,
    intervals,
    line,
    rule,
    styled,
    tip,
    view,
    words_at,
    y_of,
)
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.pieces import stack
from loadcell.report.charts.stages import Axis, about, colours, rows, x_encoding, x_title
from loadcell.report.words import Words
from loadcell.search.model import Point, Stage, Sweep, load_words

ANSWERS = {"pass": ("good", "circle"), "fail": ("bad", "cross"), "undecided": ("doubt", "diamond")}
"""Style and shape of each answer: told apart without colour too."""
VERDICTS = {"VALID": ("one", "circle"), "SUSPECT": ("one", "triangle-up"), "INVALID": ("bad", "cross")}
_ZOOM_BELOW = 0.9
"""Lowest attainment below which the neighbourhood of the target gets a view of its own."""
_NEAR = 5
"""That view reaches so many times the share of misses that the target allows."""


def attainment(sweep: Sweep, axis: Axis, words: Words) -> Chart:
    """Share of requests that kept to every limit, with its interval, by load; the bracket shaded."""
    found, target = sweep.found, sweep.plan.target
    title = words.say("SLO attainment by load")
    drawn = rows(sweep.stages, axis, words, lambda stage, point: _attained(stage, point, words))
    if not drawn:
        told = words.say("no stage tells a share of requests that kept to the SLO")
        why = told if sweep.plan.spec.slo.limits else words.say("no SLO was given (--slo)")
        return Chart(name="attainment", title=title, says="", alt="", spec=None, missing=why)
    shares = [row["share"] for row in drawn]
    lowest = min(row["low"] if row["low"] is not None else row["share"] for row in drawn)
    bottom = max(0.0, min(lowest, target if target is not None else 1.0) - 0.02)
    kept = words.metric("slo_attainment").title
    near = None if target is None or target >= 1 else 1 - _NEAR * (1 - target)
    zoomed = near is not None and lowest < _ZOOM_BELOW < near and any(share >= near for share in shares)
    views = [_view(sweep, axis, words, drawn, kept, bottom, 90 if zoomed else 240, last=not zoomed)]
    if zoomed and near is not None:
        closer = [row for row in drawn if row["share"] >= near]
        views.append(_view(sweep, axis, words, closer, words.say("Near the target"), near, 150, last=True, first=False))
    says = words.say("Each mark is a stage, its line the 95 % interval.")
    if found is not None and found.low is not None and found.high is not None:
        says += " " + words.say("Shaded: between the highest load that holds the SLO and the lowest that does not.")
    alt = words.say(
        "{count} stages; attainment from {low} to {high}.",
        count=str(len(drawn)),
        low=words.percent(min(shares)),
        high=words.percent(max(shares)),
    )
    alt = f"{alt} {words.say(found.says)}" if found else alt
    return Chart(
        name="attainment", title=title, says=says, alt=alt, spec=stack(views, spacing=34), terms=["slo_attainment"]
    )


def _view(
    sweep: Sweep,
    axis: Axis,
    words: Words,
    drawn: list[Row],
    title: str,
    bottom: float,
    height: int,
    *,
    last: bool,
    first: bool = True,
) -> Spec:
    """Attainment from `bottom` up."""
    target = sweep.plan.target
    x = x_encoding(axis, words, last=last)
    y = {
        "field": "share",
        "type": "quantitative",
        "axis": {"title": None, "format": ".4~%"},
        "scale": {"domain": [bottom, 1.0], "nice": False, "zero": False, "clamp": True},
    }
    layers: list[Spec] = _bracket(sweep, axis, words, x)
    if target is not None:
        asks = words.say("target {share}", share=words.percent(target))
        below = {"baseline": "top", "dy": 4}
        layers += [
            rule("y", target, "limit"),
            words_at(asks, "limit-label", x={"value": 4}, y={"datum": target}, **below),
        ]
    tooltip = tip(
        *about(
            words,
            ("shown", words.say("Attainment, 95 % interval")),
            ("judged", words.say("Requests")),
            *([("answer_words", words.say("Answer"))] if sweep.found else []),
        )
    )
    place = {"x": x, "y": y, "tooltip": tooltip}
    layers.append(intervals(x, "quiet-line"))
    items: list[tuple[str, str]] = []
    if sweep.found is not None:
        layers += styled("answer", ANSWERS, place, drawn)
        present = {row["answer"] for row in drawn} if first else set()
        items = [
            (f"{_SIGNS[answer]} {answer_words(answer, words)}", f"{style}-label")
            for answer, (style, _) in ANSWERS.items()
            if answer in present
        ]
    elif axis.series:
        layers.append(dots(place | colours(axis)))
    else:
        layers += styled("word", VERDICTS, place, drawn)
    return view(title, layers, drawn, height, items)


_SIGNS = {"pass": "●", "fail": "✚", "undecided": "◆"}


def _attained(stage: Stage, point: Point, words: Words) -> Row | None:
    share: Share | None
    answer = None
    if stage.trial is not None:
        share, judged = stage.trial.attainment, stage.trial.judged
        answer = stage.trial.answer
    else:
        share, judged = (point.goodput.attainment, point.goodput.planned) if point.goodput else (None, 0)
    if share is None or share.value is None:
        return None
    between = ""
    if share.low is not None and share.high is not None:
        between = f" [{words.percent(share.low)}, {words.percent(share.high)}]"
    return {
        "share": share.value, "low": share.low, "high": share.high, "shown": f"{words.percent(share.value)}{between}",
        "judged": words.count(judged), "answer": answer, "answer_words": answer_words(answer, words),
    }  # fmt: skip


def answer_words(answer: str | None, words: Words) -> str:
    """An answer of a stage in words; nothing if there is none."""
    told = {"pass": words.say("holds"), "fail": words.say("fails"), "undecided": words.say("undecided")}
    return told.get(str(answer), "")


def _bracket(sweep: Sweep, axis: Axis, words: Words, x: Encoding) -> list[Spec]:
    """The bracket shaded; its loads in the tooltip."""
    found = sweep.found
    if found is None or axis.field is None:
        return []
    near = found.likely
    low, high = (None if end is None else end.level for end in (found.low, found.high))
    if near is not None and near.low is not None and near.high is not None:
        low, high = near.low, near.high
    else:
        near = None
    if low is None or high is None:
        return []
    shown = {name: words.number(load_words(sweep.plan, end)) for name, end in (("low", low), ("high", high))}
    says = (
        words.say("likely between {low} and {high}", **shown)
        if near
        else words.say("holds at {low}, fails at {high}", **shown)
    )
    return [
        {
            "data": {"values": [{"load": low, "to": high, "says": says}]},
            "mark": {"type": "rect", "style": "band"},
            "encoding": {"x": x, "x2": {"field": "to"}, "tooltip": tip(("says", words.say("Bracket")))},
        }
    ]


def in_time(sweep: Sweep, axis: Axis, words: Words) -> Chart:
    """How a search went: the load of each stage in turn, and what it answered."""
    title = words.say("How the search went")
    drawn = rows(sweep.stages, axis, words, lambda stage, _: _turn(stage, words))
    drawn = [row for row in drawn if "load" in row]
    if not drawn:
        why = words.say("no stage of the search has a load")
        return Chart(name="stages-in-time", title=title, says="", alt="", spec=None, missing=why)
    x = {
        "field": "stage",
        "type": "ordinal",
        "axis": {"title": words.say("Stage, in the order in which they ran"), "labelAngle": 0, "grid": False},
    }
    y = y_of((row["load"] for row in drawn), "load", format=",.4~r")
    tooltip = tip(
        *about(
            words,
            ("phase", words.say("Phase")),
            ("answer_words", words.say("Answer")),
            ("shown", words.say("Attainment")),
            ("judged", words.say("Requests")),
            ("says", words.say("Finding")),
        )
    )
    layers = [
        *_ends(sweep, words),
        line({"x": x, "y": y}, "quiet"),
        *styled("answer", ANSWERS, {"x": x, "y": y, "tooltip": tooltip}, drawn),
    ]
    counts = {name: sum(row["answer"] == name for row in drawn) for name in ANSWERS}
    parts = {
        "pass": words.say("{count} held", count=str(counts["pass"])),
        "fail": words.say("{count} failed", count=str(counts["fail"])),
        "undecided": words.say("{count} undecided", count=str(counts["undecided"])),
    }
    told = ", ".join(parts[name] for name in ANSWERS if counts[name])
    says = words.say(
        "The search doubles the load until it fails, then halves the gap. Each mark is a stage: a dot held the SLO, a "
        "cross did not, a diamond could not be told."
    )
    return Chart(
        name="stages-in-time",
        title=title,
        says=says,
        alt=words.say("{count} stages with a load: {told}.", count=str(len(drawn)), told=told),
        spec=stack([view(x_title(axis, words), layers, drawn, 220)]),
    )


def _turn(stage: Stage, words: Words) -> Row | None:
    trial = stage.trial
    if trial is None:
        return None
    answer = trial.answer if stage.state == "complete" else "undecided"
    return {
        "answer": answer, "answer_words": answer_words(answer, words), "phase": phase_words(stage.ask.phase, words),
        "shown": words.percent(trial.attainment.value), "judged": words.count(trial.judged),
        "says": words.say(trial.says),
    }  # fmt: skip


def phase_words(phase: str, words: Words) -> str:
    """A phase of a search in a word or two."""
    return {
        "grid": words.say("grid"),
        "floor": words.say("one user alone"),
        "ramp": words.say("doubling"),
        "bisect": words.say("halving the gap"),
        "measure": words.say("beside the limit"),
        "confirm": words.say("an end again"),
    }[phase]


def _ends(sweep: Sweep, words: Words) -> list[Spec]:
    """The ends of the bracket across the view."""
    found = sweep.found
    layers: list[Spec] = []
    if found is None:
        return layers
    ends = ((found.low, "good", words.say("holds"), "top"), (found.high, "bad", words.say("fails"), "bottom"))
    for end, style, verb, baseline in ends:
        if end is not None:
            says = f"{verb}: {words.number(load_words(sweep.plan, end.level))}"
            off = {"baseline": baseline, "dy": 4 if baseline == "top" else -4}
            layers.append(rule("y", end.level, f"{style}-line"))
            layers.append(words_at(says, f"{style}-label", x={"value": 4}, y={"datum": end.level}, **off))
    return layers

"""Why a tool's figure is not ours: from our definition to its own in steps that add up, each in a line."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loadcell.interop.views.definitions import Definition, Dist, Rules
from loadcell.interop.views.figures import SCALARS, SCALE, Taken, Totals, rules_of, samples
from loadcell.interop.views.model import Difference
from loadcell.interop.views.seen import Seen
from loadcell.interop.views.statistics import statistics
from loadcell.metrics import Result, Summary
from loadcell.phrases import joined, phrase
from loadcell.spec import Slo

OURS = {
    "ttft": Rules(formula="ttft"),
    "ttfa": Rules(first="answer", formula="ttft"),
    "itl": Rules(formula="gaps"),
    "tpot": Rules(formula="paced"),
    "ntpot": Rules(formula="from_start"),
    "e2e": Rules(formula="e2e"),
}
"""Our definitions (`metrics.glossary`) in the same terms."""
_STATS = (50.0, 99.0)
_FIELDS: dict[str, tuple[str, ...]] = {
    "failures": ("takes", "takes_empty", "zero_ttft", "least"), "formula": ("formula",), "weights": ("weighted",),
    "start": ("start",), "first": ("first",), "end": ("end",), "gaps": ("gaps",), "tokens": ("tokens",),
    "percentile": ("percentile", "ddof"),
}  # fmt: skip
"""Steps in their order, and the rules that each changes."""
_USES: dict[str, tuple[str, ...]] = {
    "ttft": ("start", "first"), "ttft_of_several": ("start", "first", "tokens"), "e2e": ("start", "end"),
    "gaps": ("gaps",), "token_gaps": ("gaps", "tokens"), "after_first": ("first", "end", "tokens"),
    "after_first_1ms": ("first", "end", "tokens"), "whole_ns_after_first": ("first", "end", "tokens"),
    "apart": ("first", "tokens"), "from_start": ("start", "tokens"), "whole": ("start", "end", "tokens"),
    "lines": ("start",), "over_all": ("first", "tokens"),
}  # fmt: skip
"""Steps that a formula knows of; the others cannot change it."""

_ANY = ("failures", "formula", "weights", "percentile")
_SAYS: dict[tuple[str, object], str] = {
    ("start", "send"): phrase("its clock starts at the send, ours when the request was due"),
    ("start", "call"): phrase("its clock starts at the call of its HTTP library: a connection that is opened is in it"),
    ("start", "fresh"): phrase("its clock starts at the call, and each request opens a connection of its own: that is "
                               "in it, as far as ours opened any"),
    ("start", "due"): phrase("its clock starts when the request was due"),
    ("first", "choices"): phrase("its first event may be empty: a role alone counts, as does a finish event"),
    ("first", "answer"): phrase("its first event has visible text: reasoning and tool calls do not count"),
    ("end", "choices"): phrase("it ends with the last event that has a choice: the finish event is in it"),
    ("end", "stream"): phrase("it ends with the stream: the finish event, usage and [DONE] are in it"),
    ("gaps", "choices"): phrase("empty events and the finish event make gaps too"),
    ("gaps", "answer"): phrase("gaps are between events with visible text"),
    ("formula", "after_first"): phrase("time after the first event over tokens - 1, however many came with the first"),
    ("formula", "after_first_1ms"): phrase("time after the first event over tokens - 1, however many came with the "
                                           "first; none where that time is under 1 ms"),
    ("formula", "whole_ns_after_first"): phrase("time after the first event over tokens - 1, in whole ns"),
    ("formula", "apart"): phrase("first to last output over tokens - 1, however many came with the first"),
    ("formula", "from_start"): phrase("start to last output over all tokens"),
    ("formula", "over_all"): phrase("first to last output over all tokens"),
    ("formula", "whole"): phrase("the whole time of the request over all tokens"),
    ("formula", "lines"): phrase("start to last output over the events that have a choice: TTFT is in it"),
    ("formula", "token_gaps"): phrase("tokens of one event share its stamp: gaps of 0 between them"),
    ("formula", "ttft_of_several"): phrase("replies of one token have none"),
    ("weights", True): phrase("a request weighs as much as it has tokens"),
    ("percentile", "linear"): phrase("percentiles lie between samples, ours are samples (rank ceil(p n))"),
    ("percentile", "lower"): phrase("percentiles are the sample at floor(p (n - 1)), ours that at rank ceil(p n)"),
    ("percentile", "floor"): phrase("percentiles are the sample at floor(p n) from 0, ours that at rank ceil(p n)"),
    ("percentile", "step"): phrase("percentiles are the first value at which the distribution reaches p"),
    ("window", "load"): phrase("rates are over the time from the start of the load to the end of the last reply, ramp "
                               "and drain in it; ours while the load was on"),
    ("window", "valid"): phrase("rates are over the time from the first send to the last output of a success, ramp and "
                                "drain in it; ours while the load was on"),
    ("window", "attempts"): phrase("rates are over the time from the first start to the last end of any request, "
                                   "failed ones too; ours while the load was on"),
    ("window", "last_issued"): phrase("rates are over the time until the request issued last is done, whatever is "
                                      "still under way then, and one request less counts; ours while the load was on"),
}  # fmt: skip
_OURS_GOOD = phrase("ours by the response time in an open loop, of all planned requests")
_GOOD = {
    "goodput_per_s": phrase("good by its own figures, over the time of its rates; {}", _OURS_GOOD),
    "goodput_of_successes": phrase("good by its own figures, over the time of its successes; {}", _OURS_GOOD),
    "good_of_sent": phrase("good by its own figures, of the requests that were sent; {}", _OURS_GOOD),
    "good_of_ended": phrase("good by its own figures, of successes and failures; {}", _OURS_GOOD),
}
_SOURCES = {
    "usage": phrase("the server's usage"), "text": phrase("a tokenizer over the text"),
    "asked": phrase("the number that was asked for"), "events": phrase("the number of events"),
    "choices": phrase("the number of events with a choice"), "ours": phrase("our count"),
}  # fmt: skip


def differences(
    seen: Seen, result: Result, definition: Definition, tool: str, api: str, slo: Slo | None = None
) -> list[Difference]:
    """All of a tool's figures that are near one of ours."""
    found: list[Difference] = []
    done: set[str | None] = {None}
    for dist in definition.dists:
        if dist.metric not in done:
            done.add(dist.metric)
            found += _of_latency(seen, result, definition, tool, api, dist)
    found += _of_rates(seen, result, definition, tool, api)
    return [*found, *_of_goodput(seen, result, definition, tool, api, slo)]


def summary_of(result: Result, metric: str) -> Summary | None:
    """Ours, from the anchor that counts first: the planned time in an open loop. None where another tool told it."""
    latency = result.latency.get(f"{metric}_ms")
    found = None if latency is None else latency.response or latency.service
    return None if found is None or found.told else found


def rate_of(result: Result, metric: str) -> float | None:
    """A rate of ours; None where another tool told it."""
    return None if metric in (result.throughput.told or ()) else getattr(result.throughput, metric, None)


def ours(result: Result, metric: str, which: str | float) -> float | None:
    """A statistic of ours in ms; None where a Result has none."""
    summary = summary_of(result, metric)
    if summary is None:
        return None
    if isinstance(which, float):
        estimate = getattr(summary, f"p{which:g}".replace(".", "_"), None)
        return None if estimate is None else float(estimate.value) if estimate.value is not None else None
    value: float | None = getattr(summary, {"std": "sd"}.get(which, which), None)
    return value


def our_rules(metric: str, loop: str) -> Rules:
    """Our definition of a latency; in a closed loop nothing is due before it is sent."""
    return OURS[metric] if loop == "open" else OURS[metric]._replace(start="send")


def _of_latency(
    seen: Seen, result: Result, definition: Definition, tool: str, api: str, dist: Dist
) -> Iterator[Difference]:
    assert dist.metric is not None
    if summary_of(result, dist.metric) is None:
        return
    now, goal = our_rules(dist.metric, seen.loop), rules_of(definition, api, dist)
    before = {f"p{which:g}": ours(result, dist.metric, which) for which in _STATS}

    def step(name: str, says: str, rules: Rules) -> Difference:
        nonlocal before
        values, weights = samples(seen, rules, tool)
        after = dict(zip(before, map(_ms, statistics(values, weights, _STATS, rules)), strict=True))
        change = {stat: _less(after[stat], before[stat]) for stat in after}
        before = after
        return Difference(metric=dist.metric or "", figure=dist.stem, step=name, says=says, unit="ms", change=change)

    yield step("requests", phrase("all requests of the run count, its warm-up too; ours those of the window"), now)
    for name, fields in _FIELDS.items():
        old = now
        now = now._replace(**{field: getattr(goal, field) for field in fields})
        if now == old or name not in (*_ANY, *_USES.get(goal.formula, ())):
            continue
        if (says := _says(name, seen, old, now)) is not None:
            yield step(name, says, now)


def _says(name: str, seen: Seen, old: Rules, now: Rules) -> str | None:
    """The line of a step; None for one that needs none."""
    if name == "failures":
        return _unnoticed(seen, now)
    if name == "tokens":
        return _counted(now)
    value = getattr(now, {"weights": "weighted"}.get(name, name))
    return _SAYS.get((name, value)) if value != getattr(old, {"weights": "weighted"}.get(name, name)) else None


def _unnoticed(seen: Seen, rules: Rules) -> str | None:
    """What it counts as a success and we do not, and the other way; None where it had none of these."""
    taken, says = Taken(seen, rules), []
    if taken.unnoticed.any():
        kinds = sorted({str(kind) for kind in seen.fault[taken.unnoticed]})
        says.append(phrase("successes there, failures here: {} ({})", int(taken.unnoticed.sum()), ", ".join(kinds)))
    if (dropped := int((taken.dropped & seen.ok).sum())) != 0:
        says.append(phrase("replies of one token, which it drops: {}", dropped))
    return joined("; ", says) if says else None


def _counted(rules: Rules) -> str:
    return phrase("tokens: {}", _first_of([_SOURCES[source] for source in rules.tokens]))


def _first_of(sources: list[str]) -> str:
    said = sources[-1]
    for source in reversed(sources[:-1]):
        said = phrase("{}, else {}", source, said)
    return said


def _of_rates(seen: Seen, result: Result, definition: Definition, tool: str, api: str) -> Iterator[Difference]:
    """Rates: first over the tool's time, then with what it counts as a success, then with its tokens."""
    goal = rules_of(definition, api)
    for key, name in definition.scalars.items():
        compute, unit, metric = SCALARS[name]
        value = None if metric is None else rate_of(result, metric)
        if metric is None or not metric.endswith("_per_s") or value is None:
            continue
        now = goal._replace(takes=frozenset(), takes_empty=frozenset(), least=0, tokens=("ours",))
        before: float | None = value
        steps = {"window": _SAYS["window", definition.window], "failures": _unnoticed(seen, goal)}
        if "tokens" in unit:
            steps["tokens"] = _counted(goal)
        for step, says in steps.items():
            now = now if step == "window" else now._replace(**{f: getattr(goal, f) for f in _FIELDS[step]})
            after = compute(Totals(Taken(seen, now, tool), definition))
            if says is not None:
                change = {"value": _less(after, before)}
                yield Difference(metric=metric, figure=key, step=step, says=says, unit=unit, change=change)
            before = after


def _of_goodput(
    seen: Seen, result: Result, definition: Definition, tool: str, api: str, slo: Slo | None
) -> Iterator[Difference]:
    """From ours to theirs in one step: what is good, of how many, over which time."""
    if result.goodput is None:
        return
    before = {"goodput_per_s": result.goodput.goodput_per_s, "attainment": result.goodput.attainment.value}
    totals = Totals(Taken(seen, rules_of(definition, api), tool), definition, slo)
    for key, name in definition.scalars.items():
        compute, unit, metric = SCALARS[name]
        if metric in before and (says := _GOOD.get(name)) is not None:
            change = {"value": _less(compute(totals), before[metric])}
            yield Difference(metric=metric, figure=key, step="goodput", says=says, unit=unit, change=change)


def _ms(value: float | None) -> float | None:
    return None if value is None else value * SCALE["ms"]


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None or np.isnan(after - before) else after - before

"""Several runs of one spec: what the samples within a run explain, and what only shows between runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from loadcell.metrics.checks_budget import spoilt
from loadcell.metrics.glossary import COMPARED, GLOSSARY, interval_of, made_of
from loadcell.metrics.headline import reasons_of, word_of
from loadcell.metrics.limits import figure_name
from loadcell.metrics.model import Estimate, Interval, Latency, Result, Share, Word
from loadcell.phrases import Phrase, phrase
from loadcell.published_schema import json_schema

Doc = msgspec.Meta
FORMAT = 1
"""Version of the JSON of Repeats."""
ENOUGH = 3
"""Runs from which on the spread between them tells something."""
_Z975, _Z95 = 1.959963984540054, 1.6448536269514722
_T975 = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139,
)  # fmt: skip
"""97.5 % points of Student's t with 1 to 10 degrees of freedom."""


class OneRun(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs."""

    id: str
    started_at: str
    state: str
    repetition: Annotated[int | None, Doc(description="its prompts: those of another repetition are other texts")]
    verdict: Word
    reasons: list[str]
    ok: int
    planned: int


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over all runs."""

    metric: str
    title: str
    anchor: Annotated[str, Doc(description='response, service, or "" where a figure has no anchor')]
    statistic: str
    unit: str
    values: Annotated[list[float | None], Doc(description="by run; null where that run cannot tell it")]
    median: Annotated[float | None, Doc(description="over the runs; null if any of them cannot tell it")]
    within: Annotated[
        float | None, Doc(description="median over the runs of the half width of their 95 % interval; null if none")
    ]
    between_sd: Annotated[float | None, Doc(description="standard deviation of the runs' values; null below 2 runs")]
    between_range: Annotated[float | None, Doc(description="largest value less smallest")]
    within_share: Annotated[float | None, Doc(description="`within` over the median")]
    sd_share: Annotated[float | None, Doc(description="`between_sd` over the median")]
    range_share: Annotated[float | None, Doc(description="`between_range` over the median")]
    next_low: Annotated[
        float | None,
        Doc(description="95 % prediction interval of one more such run, by the spread between runs; null below 3 runs"),
    ] = None
    next_high: float | None = None
    dominates: Annotated[
        str | None,
        Doc(
            description="runs: they differ more than the samples within a run explain; samples: no more; null: no word"
        ),
    ]


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one spec together."""

    format: int = FORMAT
    loadcell: str
    asked: Annotated[int | None, Doc(description="runs that were asked for")]
    runs: list[OneRun]
    verdict: Annotated[Word, Doc(description="the worst of the runs")]
    figures: list[Repeated]
    says: Annotated[list[str], Doc(description="what the spread tells, in words")]
    phrases: Annotated[
        dict[str, Phrase], Doc(description="of each sentence above with values: its key and those, for other languages")
    ] = {}


def build_repeats(results: Sequence[Result], *, asked: int | None = None) -> Repeats:
    """Runs of one spec (one or more) in the order in which they ran.

    A figure that any run cannot tell is not estimable. Of one that is INVALID by its own budget in some runs, the
    others speak; `says` names those.
    """
    words = [word_of(result) for result in results]
    verdict: Word = "INVALID" if "INVALID" in words else "SUSPECT" if "SUSPECT" in words else "VALID"
    figures, marks = [], []
    for figure in _figures(results):
        good = [result for result in results if not spoilt(result, figure.metric, figure.anchor, figure.statistic)]
        if good and len(good) < len(results):
            out = ", ".join(str(i) for i, result in enumerate(results, 1) if all(result is not one for one in good))
            marks.append(
                phrase(
                    "{} {} is without run {}: its error budget there is INVALID", figure.title, figure.statistic, out
                )
            )
        told = _repeated(figure, good or results)
        values = iter(told.values)
        by_run = [next(values) if not good or any(result is one for one in good) else None for result in results]
        figures.append(msgspec.structs.replace(told, values=by_run))
    return Repeats(
        loadcell=results[0].loadcell,
        asked=asked,
        runs=[_one(result, word) for result, word in zip(results, words, strict=True)],
        verdict=verdict,
        figures=figures,
        says=[*_alike(results), *_says(figures, len(results)), *marks],
    )


def _one(result: Result, word: Word) -> OneRun:
    return OneRun(
        id=result.run.id,
        started_at=result.run.started_at,
        state=result.run.state,
        repetition=result.methodology.spec.run.repetition,
        verdict=word,
        reasons=reasons_of(result),
        ok=result.counts.run.ok,
        planned=result.counts.run.planned,
    )


class _Told(NamedTuple):
    """What one run tells of a figure: its value and the half width of its 95 % interval."""

    value: float | None
    half: float | None


class _Figure(NamedTuple):
    metric: str
    title: str
    anchor: str
    statistic: str
    unit: str
    of: Callable[[Result], _Told]


def _figures(results: Sequence[Result]) -> Iterator[_Figure]:
    for name in COMPARED:
        entry = next((r.latency[name] for r in results if name in r.latency), None)
        if entry is None:
            continue
        for anchor in ("service",) if entry.response is None else ("response", "service"):
            for statistic in ("p50", "p99"):
                yield _Figure(name, entry.title, anchor, statistic, entry.unit, _percentile(name, anchor, statistic))
    for name, interval in (
        ("requests_per_s", "requests_interval"),
        *((name, interval_of(name)) for name in dict.fromkeys(made_of(r.methodology.spec) for r in results)),
    ):
        yield _Figure(name, GLOSSARY[name].title, "", "mean", GLOSSARY[name].unit, _rate(name, interval))
    judged = next((r.goodput.anchor for r in results if r.goodput is not None), None)
    if judged is not None:
        yield _Figure("goodput", GLOSSARY["goodput"].title, judged, "mean", GLOSSARY["goodput"].unit, _goodput)
        yield _Figure("slo_attainment", GLOSSARY["slo_attainment"].title, judged, "all", "share", _attainment)


def _percentile(name: str, anchor: str, statistic: str) -> Callable[[Result], _Told]:
    def told(result: Result) -> _Told:
        entry: Latency | None = result.latency.get(name)
        summary = None if entry is None else getattr(entry, anchor)
        if summary is None:
            return _Told(None, None)
        estimate: Estimate = getattr(summary, statistic)
        return _Told(estimate.value, _half(estimate))

    return told


def _rate(name: str, interval: str) -> Callable[[Result], _Told]:
    return lambda result: _Told(getattr(result.throughput, name), _half(getattr(result.throughput, interval)))


def _goodput(result: Result) -> _Told:
    return _Told(None if result.goodput is None else result.goodput.goodput_per_s, None)


def _attainment(result: Result) -> _Told:
    if result.goodput is None:
        return _Told(None, None)
    return _Told(result.goodput.attainment.value, _half(result.goodput.attainment))


def _half(interval: Estimate | Interval | Share | None) -> float | None:
    """Half the width of an interval; None if there is none or an end is open."""
    if interval is None or interval.low is None or interval.high is None:
        return None
    return (interval.high - interval.low) / 2


def _repeated(figure: _Figure, results: Sequence[Result]) -> Repeated:
    import statistics

    told = [figure.of(result) for result in results]
    values = [t.value for t in told]
    known = [value for value in values if value is not None]
    halves = [t.half for t in told if t.half is not None]
    whole = len(known) == len(results)
    median = statistics.median(known) if whole else None
    within = statistics.median(halves) if whole and len(halves) == len(results) else None
    several = whole and len(known) > 1
    sd = statistics.stdev(known) if several else None
    extent = max(known) - min(known) if several else None
    next_low, next_high = next_run(known, whole=1.0 if figure.unit == "share" else None) if whole else (None, None)
    at_an_end = figure.unit == "share" and not {0.0, 1.0}.isdisjoint(known)  # an interval is no normal one there
    return Repeated(
        metric=figure.metric,
        title=figure.title,
        anchor=figure.anchor,
        statistic=figure.statistic,
        unit=figure.unit,
        values=values,
        median=median,
        within=within,
        between_sd=sd,
        between_range=extent,
        within_share=_share(within, median),
        sd_share=_share(sd, median),
        range_share=_share(extent, median),
        next_low=next_low,
        next_high=next_high,
        dominates=None if at_an_end else dominating(sd, within, len(results)),
    )


def next_run(values: Sequence[float], *, whole: float | None = None) -> tuple[float | None, float | None]:
    """95 % prediction interval of one more run like these, within 0 and `whole`; (None, None) below three runs.

    mean ± t sd sqrt(1 + 1/n), Student's t of n - 1 degrees (Hahn and Meeker, Statistical Intervals, 4.7): for runs that
    are normal and independent, as those of one spec in a row are taken to be. Unlike the interval of one run it holds
    what restarts and caches do.
    """
    import statistics

    n = len(values)
    if n < ENOUGH:
        return None, None
    half = _t_975(n - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / n)
    mean = statistics.fmean(values)
    return max(0.0, mean - half), mean + half if whole is None else min(whole, mean + half)


def _t_975(degrees: int) -> float:
    """97.5 % point of Student's t, beyond the table by Cornish and Fisher's expansion: within 0.001."""
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    z = _Z975
    terms = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return z + float(sum(term / degrees**power for power, term in enumerate(terms, 1)))


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / abs(whole)


def dominating(sd: float | None, within: float | None, runs: int) -> str | None:
    """ "runs" or "samples": whether runs differ by more than the intervals within them explain.

    If samples were all, the runs' values would scatter with the standard deviation that the interval stands for, s =
    within / 1.96, and (runs - 1) sd^2 / s^2 would be chi-square with runs - 1 degrees of freedom. "runs" where it is
    beyond the 95 % point of that. None without a spread or an interval, and below three runs.
    """
    if sd is None or within is None or runs < ENOUGH:
        return None
    return "runs" if sd > within / _Z975 * math.sqrt(_chi2_95(runs - 1) / (runs - 1)) else "samples"


def _chi2_95(degrees: int) -> float:
    """95 % point of chi-square, by Wilson and Hilferty (1931): within 1 % from two degrees of freedom on."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + _Z95 * math.sqrt(spread)) ** 3)


def _alike(results: Sequence[Result]) -> Iterator[str]:
    """What was not the same in all runs although the spec was."""
    first, came_of = results[0].methodology, _settings(results[0])
    for number, result in enumerate(results[1:], 2):
        other, now = result.methodology, _settings(result)
        differing = [
            phrase("{} {} instead of {}", name, now.get(name), came_of.get(name))
            for name in sorted({*came_of, *now})
            if came_of.get(name) != now.get(name)
        ]
        if differing:
            yield phrase("run {} was not like run 1: {}", number, ", ".join(differing))
        same = other.bodies_hash is not None and other.bodies_hash == first.bodies_hash
        if first.spec.workload.prompts is None and same:
            yield phrase(
                "run {} sent the same prompts as run 1: a prefix cache of the server may have answered them", number
            )


def _settings(result: Result) -> dict[str, Any]:
    """What came of the negotiation, without what is each run's own: what follows from the E2E of its probe too."""
    own = {"salt", "token_ratio", "ramp_s", "duration_s", "rows", "connections_by_address"}
    effective = result.methodology.effective
    addresses = ", ".join(sorted(effective.get("connections_by_address") or ()))
    return {key: value for key, value in effective.items() if key not in own} | {"addresses": addresses}


def _says(figures: Sequence[Repeated], runs: int) -> Iterator[str]:
    if not figures:
        return
    if runs < ENOUGH:
        yield phrase("{} runs cannot tell how runs differ: repeat {} times or more", runs, ENOUGH)
        return
    names = {word: [_name(f) for f in figures if f.dominates == word] for word in ("runs", "samples")}
    if names["runs"]:
        yield phrase(
            "runs differ more than the samples within a run explain: restart or cache effects. Judge by the spread "
            "between runs, not by the interval of one: {}",
            ", ".join(names["runs"]),
        )
    if names["samples"]:
        yield phrase("the samples within a run explain how runs differ: {}", ", ".join(names["samples"]))
    if not names["runs"] and not names["samples"]:
        yield phrase("whether runs differ more than their samples explain cannot be told: no interval within the runs")


def _name(figure: Repeated) -> str:
    return figure_name(figure.title, figure.anchor, figure.statistic if figure.statistic.startswith("p") else "")


def repeats_schema() -> dict[str, Any]:
    """JSON Schema of Repeats."""
    return json_schema(Repeats, "repeats", FORMAT)

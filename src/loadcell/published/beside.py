"""One measured run beside published MLPerf results: figures, ratios, and all that keeps them from being alike.

Nothing is refused here: what makes a comparison weak is said. A ratio is a derived figure of an unverified one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Literal

import msgspec

from loadcell import __version__
from loadcell.errors import UsageError
from loadcell.published.find import find
from loadcell.published.model import (
    SCENARIO_NAMES,
    TRADEMARK,
    Derived,
    Doc,
    Ranked,
    Ranking,
    Registry,
    Source,
    lower_is_better,
)
from loadcell.published.query import Question

FORMAT = 1
UNVERIFIED = "not verified by MLCommons"
FOOTNOTE = (
    "Unverified: the measured figure was not reviewed by MLCommons Association and is no MLPerf result. The published "
    "ones were reviewed, and were measured by other methods; ratios are derived figures."
)
Limits = Callable[[str, str, str], Mapping[str, float | None]]
"""From round, benchmark and scenario to the rule's limits in ms; empty where the rules are not known."""
_SAME_UNIT = {"queries/s": "samples/s"}
"""A query of Server is one sample."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The run, as far as it can stand beside published results."""

    path: str
    kind: Literal["recording", "MLPerf-style run"]
    verified: Literal[False] = False
    round: str | None = None
    benchmark: str | None = None
    scenario: str | None = None
    model: str | None
    verdict: Annotated[str, Doc(description="by the rules of the round, or of the recording alone")]
    reasons: Annotated[list[str], Doc(description="why, where it is not VALID")]
    figures: Annotated[dict[str, float | None], Doc(description="by unit")]
    names: Annotated[dict[str, str], Doc(description="by unit: which figure it is")]
    accelerators: Annotated[int | None, Doc(description="that serve the endpoint; null: the run does not say")]
    comparable: Annotated[bool, Doc(description="false: a quick run, or one of look-alike data")] = True
    p99_ttft_ms: float | None = None
    p99_tpot_ms: float | None = None
    weaknesses: Annotated[list[str], Doc(description="what else keeps it from being alike, in words")] = []


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """Measured over published; for latencies below 1 is faster."""

    total: Derived | None
    per_accelerator: Derived | None


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A ranking, the measured figure in its unit, and a ratio for each of its rows."""

    ranking: Ranking
    value: Annotated[float | None, Doc(description="null: the run has no figure of this unit")]
    name: str | None
    per_accelerator: Derived | None
    ratios: list[Ratio]
    caveats: list[str]


class PublishedComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A run beside published results."""

    format: int = FORMAT
    loadcell: str
    asked: str
    measured: Measured
    beside: list[Beside]
    caveats: list[str]
    notes: list[str]
    sources: list[Source]
    footnote: str = FOOTNOTE
    trademark: str = TRADEMARK


def filled(question: Question, measured: Measured, registry: Registry) -> Question:
    """The question with benchmark and scenario of the run where it names none; UsageError unless both are single."""
    benchmarks, scenarios = question.benchmarks, question.scenarios
    if not benchmarks and measured.benchmark:
        benchmarks = frozenset({measured.benchmark})
    if not scenarios and measured.scenario:
        scenarios = frozenset({measured.scenario})
    families = sorted({row.family for row in registry.rows if row.benchmark in benchmarks})
    if len(families) != 1:
        one = f"{', '.join(families)} all match" if families else "the run does not say which"
        known = ", ".join(sorted({row.family for row in registry.rows}))
        raise UsageError(f'name one benchmark, as in --published "8xH200 llama2-70b server": {one}; there are: {known}')
    if len(scenarios) != 1:
        known = ", ".join(SCENARIO_NAMES)
        raise UsageError(f'name one scenario, as in --published "{families[0]} server"; there are: {known}')
    return replace(question, benchmarks=benchmarks, scenarios=scenarios)


def beside_published(
    measured: Measured, registry: Registry, question: Question, limits: Limits, top: int | None = 10
) -> PublishedComparison:
    """The run beside the rows that the question asks for; LoadcellError where there are none."""
    found = find(registry, filled(question, measured, registry), top=top)
    return PublishedComparison(
        loadcell=__version__,
        asked=found.asked,
        measured=measured,
        beside=[_beside(measured, ranking, limits) for ranking in found.rankings],
        caveats=list(_caveats(measured)),
        notes=found.notes,
        sources=found.sources,
    )


# --- figures ---------------------------------------------------------------------------------------------------------


def _beside(measured: Measured, ranking: Ranking, limits: Limits) -> Beside:
    unit = _SAME_UNIT.get(ranking.unit, ranking.unit)
    value = measured.figures.get(unit)
    per = None
    if value is not None and measured.accelerators and not lower_is_better(unit):
        per = Derived(value=value / measured.accelerators, unit=f"{ranking.unit} per accelerator")
    return Beside(
        ranking=ranking,
        value=value,
        name=measured.names.get(unit),
        per_accelerator=per,
        ratios=[_ratio(value, per, one) for one in ranking.rows],
        caveats=list(_ranking_caveats(measured, ranking, value, limits)),
    )


def _ratio(value: float | None, per: Derived | None, one: Ranked) -> Ratio:
    total = None if value is None else Derived(value=value / one.row.result, unit="measured over published")
    each = None
    if per is not None and one.per_accelerator is not None:
        each = Derived(value=per.value / one.per_accelerator.value, unit="measured over published, per accelerator")
    return Ratio(total=total, per_accelerator=each)


# --- caveats ---------------------------------------------------------------------------------------------------------


def _caveats(measured: Measured) -> Iterator[str]:
    """What keeps the run from being alike, whatever it stands beside."""
    if measured.verdict != "VALID":
        why = f": {'; '.join(measured.reasons[:3])}" if measured.reasons else ""
        yield f"the measured run is {measured.verdict}{why}"
    yield from measured.weaknesses
    if measured.kind == "recording":
        yield (
            "the recording is no MLPerf-style run: its data set, output lengths, arrivals, length and accuracy are its "
            "own; loadcell mlperf run applies the rules of a benchmark"
        )
    if measured.accelerators is None:
        yield "how many accelerators serve the endpoint is not known: give --accelerators N for figures per accelerator"
    yield "software, precision and tuning differ: each published row names its own; compare per accelerator with care"


def _ranking_caveats(measured: Measured, ranking: Ranking, value: float | None, limits: Limits) -> Iterator[str]:
    """What keeps the run from being like the rows of one ranking."""
    if value is None:
        needs = "; a latency needs one user in a closed loop" if ranking.lower_is_better else ""
        yield f"the run has no figure in {ranking.unit} to set beside these{needs}"
    others = {one.row.accelerators for one in ranking.rows} - {measured.accelerators}
    if measured.accelerators and others and not ranking.lower_is_better:
        counts = ", ".join(str(count or "none") for count in sorted(others, key=lambda count: count or 0))
        yield f"{measured.accelerators} accelerators measured, {counts} published: totals are not of one size"
    if measured.kind != "recording":
        yield from _differences(measured, ranking)
    if ranking.division == "open":
        yield "open division: its models and data may differ from the benchmark's"
    yield from _windows(measured, ranking)
    if measured.kind == "recording" and ranking.benchmarks:
        yield from _limits(measured, limits(ranking.rounds[-1], ranking.benchmarks[0], ranking.scenario))


def _differences(measured: Measured, ranking: Ranking) -> Iterator[str]:
    for name, mine, theirs in (
        ("round", measured.round, ranking.rounds),
        ("benchmark", measured.benchmark, ranking.benchmarks),
        ("scenario", measured.scenario, [ranking.scenario]),
    ):
        if mine not in theirs:
            yield f"another {name}: {mine} measured, {' and '.join(theirs)} published"


def _windows(measured: Measured, ranking: Ranking) -> Iterator[str]:
    if ranking.scenario in ("server", "interactive") and measured.kind == "recording":
        yield (
            "published Server and Interactive figures divide all output by the time at which the query issued last was "
            "complete, which may be up to 1.4 times the rate of the whole run; the measured one is that of its window"
        )
    if ranking.scenario == "offline" and measured.kind == "recording":
        yield "Offline sends all samples at once: a measured rate below saturation says little about the server"


def _limits(measured: Measured, limits: Mapping[str, float | None]) -> Iterator[str]:
    """Whether the measured p99 keep to the benchmark's limits; early stopping, which asks for more, is not applied."""
    for name, field, value in (
        ("TTFT", "ttft_ms", measured.p99_ttft_ms),
        ("TPOT", "tpot_ms", measured.p99_tpot_ms),
    ):
        limit = limits.get(field)
        if limit is not None:
            got = "cannot be estimated" if value is None else f"is {value:,.4g} ms"
            word = "" if value is None else " (inside)" if value <= limit else " (BEYOND it)"
            yield f"the p99 of {name} {got}; the limit of the benchmark is {limit:,g} ms{word}"


def exit_code(comparison: PublishedComparison) -> int:
    """4 where the measured run is INVALID, else 0."""
    return 4 if comparison.measured.verdict == "INVALID" else 0

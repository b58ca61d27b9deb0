"""The few figures of an entry that stand in its row of the listing."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from loadcell.metrics import Result, reasons_of, word_of
from loadcell.metrics.model import Word
from loadcell.search import Sweep
from loadcell.search.soundness import unanswered

FIGURES = ("ttft_p50_ms", "ttft_p99_ms", "output_tokens_per_s", "goodput_per_s", "attainment")
_WORDS: tuple[Word, ...] = ("VALID", "SUSPECT", "INVALID")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run, or of runs or stages together. Null: not measured."""

    word: Word | None = None
    reasons: list[str] = []
    says: str | None = None
    """What a sweep found, in words."""
    stage: int | None = None
    """Of a sweep: the stage that made most output tokens/s, which is then `output_tokens_per_s`."""
    ok: int | None = None
    failed: int | None = None
    ttft_p50_ms: float | None = None
    """Response time in an open loop, service time in a closed one, like the SLO."""
    ttft_p99_ms: float | None = None
    output_tokens_per_s: float | None = None
    goodput_per_s: float | None = None
    attainment: float | None = None
    trouble: str | None = None
    """Why nothing can be told, in words."""


def of_result(result: Result) -> Figures:
    """Of one run: counts of all of it, figures of its window."""
    word, counts = word_of(result), result.counts.run
    told = Figures(word=word, reasons=reasons_of(result), ok=counts.ok, failed=counts.failed)
    ttft = result.latency.get("ttft_ms")
    summary = None if ttft is None else ttft.service if ttft.response is None else ttft.response
    good = result.goodput
    return msgspec.structs.replace(
        told,
        ttft_p50_ms=None if summary is None else summary.p50.value,
        ttft_p99_ms=None if summary is None else summary.p99.value,
        output_tokens_per_s=result.throughput.output_tokens_per_s,
        goodput_per_s=None if good is None else good.goodput_per_s,
        attainment=None if good is None else good.attainment.value,
    )


def of_repeats(runs: Sequence[Figures]) -> Figures:
    """Medians over the runs, as `metrics.build_repeats` has them: null where a run cannot tell."""
    troubled = next((run.trouble for run in runs if run.trouble is not None), None)
    if troubled is not None:
        return Figures(trouble=troubled)
    word = worst([run.word for run in runs])
    known: dict[str, Any] = {name: _median([getattr(run, name) for run in runs]) for name in FIGURES}
    return Figures(
        word=word,
        reasons=_once(reason for run in runs for reason in run.reasons),
        ok=sum(run.ok or 0 for run in runs),
        failed=sum(run.failed or 0 for run in runs),
        **known,
    )


def of_duel(turns: Sequence[Figures]) -> Figures:
    """Of both sides together no more than how many requests there were; what they differ by is on its page."""
    return msgspec.structs.replace(of_repeats(turns), **dict.fromkeys(FIGURES))


def of_sweep(sweep: Sweep) -> Figures:
    """Its worst verdict, its answer, and the highest output tokens/s of a stage that is not INVALID."""
    points = [(stage.ask.number, stage.point) for stage in sweep.stages if stage.point is not None]
    rates = [
        (point.output_tokens_per_s, number)
        for number, point in points
        if point.verdict != "INVALID" and point.output_tokens_per_s is not None
    ]
    highest, stage = max(rates, default=(None, None))
    found = sweep.found
    return Figures(
        word=worst([point.verdict for _, point in points]),
        reasons=_once(reason for _, point in points for reason in point.reasons),
        says=None if found is None else unanswered(sweep) or found.says,
        output_tokens_per_s=highest,
        stage=stage,
    )


def worst(words: Sequence[Word | None]) -> Word | None:
    """The worst of some verdicts; None without any."""
    return max((word for word in words if word is not None), key=_WORDS.index, default=None)


def _once(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None

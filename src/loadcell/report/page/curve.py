"""The page of a curve over concurrency, in English."""

from __future__ import annotations

from collections.abc import Sequence

from loadcell.mlperf.curve.model import Curve, PointRun
from loadcell.mlperf.curve.regions import NAMES
from loadcell.mlperf.model import FOOTNOTE, Finding
from loadcell.report.charts.curve import curve_chart
from loadcell.report.method import sections, typed_command
from loadcell.report.mlperf_curve import grouped, marks, steady_words, title, user_words
from loadcell.report.render.html import render
from loadcell.report.text import MISSING, figure
from loadcell.report.words import words_for

HEAD = (
    "Users", "Region", "Tokens/s in all", "a user", "TTFT p90, ms", "TPOT p90, ms", "Requests", "Issued for, s",
    "Steady state", "Measurement",
)  # fmt: skip
_ORDER = ((False, "failed", "invalid"), (None, "not judged", "suspect"), (True, "held", "valid"))


def curve_page(curve: Curve, *, source: str = "") -> str:
    """One HTML file that tells a curve to a person who was not there; `source` names its folder in commands."""
    words, plan = words_for("en"), curve.plan
    return render(
        "curve.html",
        words,
        [curve_chart(curve)],
        curve=curve,
        plan=plan,
        title=title(plan),
        marks=marks(plan),
        started=min((one.started_at for one in curve.points if one.started_at), default=""),
        regions=", ".join(
            f"{NAMES[name]} {low}-{high}" if low <= high else f"{NAMES[name]} empty"
            for name in list(NAMES)[:-1]
            for low, high in [getattr(plan.regions, name)]
        ),
        head=HEAD,
        rows=[_cells(one, on=i in curve.steps) for i, one in enumerate(curve.points)],
        doubts=[(one.point.concurrency, words) for one in curve.points for words in _doubts(one)],
        findings=_findings(curve.findings),
        footnote=FOOTNOTE,
        resume=typed_command("loadcell", "mlperf", "curve", source, "--resume") if source else None,
        spec=sections(plan.spec, words),
    )


def _cells(one: PointRun, *, on: bool) -> list[str]:
    point = one.point
    offline = f" ({point.offline} Offline)" if point.offline else ""
    return [
        f"{MISSING if point.concurrency is None else f'{point.concurrency:,}'}{' *' if on else ''}",
        f"{NAMES[one.planned.region]}{offline}",
        figure(point.system_tps),
        user_words(one),
        figure(point.ttft_p90_ms),
        figure(point.tpot_p90_ms),
        f"{one.run.completed:,}" + (f" + {one.run.failed:,} failed" if one.run.failed else ""),
        figure(point.issue_span_s),
        steady_words(one),
        one.instrument,
    ]


def _doubts(one: PointRun) -> list[str]:
    steady = one.point.steady
    said = [f"{steady.verdict}: {steady.says}"] if steady is not None else []
    return [*said, *(f"{one.instrument}: {reason}" for reason in one.instrument_reasons), *one.notes]


def _findings(findings: Sequence[Finding]) -> list[tuple[str, str, Finding]]:
    """Word, its style and the finding; what failed first."""
    return [(word, kind, one) for ok, word, kind in _ORDER for one in grouped(findings) if one.ok is ok]

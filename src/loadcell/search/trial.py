"""What a stage of a search says about the SLO: while it runs, to end it in time, and afterwards from its recording."""

from __future__ import annotations

import math

import numpy as np

from loadcell.load.steer import AT_LIMIT, Outcome, Steer, Stop, View
from loadcell.metrics import Result
from loadcell.metrics.checks_budget import word_of_figure
from loadcell.metrics.goodput import limited_ns
from loadcell.metrics.interval import wilson
from loadcell.metrics.rows import Floats, Rows, read_rows
from loadcell.phrases import phrase
from loadcell.recording.read import Recording
from loadcell.recording.schema import Stopped
from loadcell.search.evidence import ENDS_EARLY, SETTLES, Evidence, decide, dependence, futile, weigh
from loadcell.search.judged import Judged, judged_of, margin_of
from loadcell.search.model import Ask, Plan, Trial
from loadcell.search.saturation import saturation_steer
from loadcell.spec import Slo, Spec

FAILURES = "failures"
"""Name of the limit that a failed request breaks."""
CLIENT_CHECKS = {"unsent", "arrivals", "concurrency", "exhaustion"}
"""Checks that tell of the client and its machine, not of the server."""


# --- while it runs ---------------------------------------------------------------------------------------------------


def steer_of(spec: Spec, plan: Plan, ask: Ask) -> Steer | None:
    """Ends a stage once its test has decided, or its queue grows beyond doubt; None where it runs to its end.

    `spec` is the stage's own. After a pass what is in the air is awaited; after a fail it is given up.
    """
    if not ask.stops:
        return None
    saturated = saturation_steer(ask.warmup_s) if spec.load.rate is not None else None
    look = _Looks(spec.slo, plan, ask)

    def steer(view: View) -> Stop | None:
        return look.at(view) or (saturated(view) if saturated is not None else None)

    return steer


class _Looks:
    """The looks at one stage so far."""

    def __init__(self, slo: Slo, plan: Plan, ask: Ask) -> None:
        assert plan.target is not None
        self._target, self._ask, self._slo = plan.target, ask, slo
        self._first: int | None = None
        """The first request that counts; None during the warm-up."""
        self._next = ask.least_requests

    def at(self, view: View) -> Stop | None:
        """The order to stop, if there is reason to; looked for only when there are some more outcomes."""
        warmup_ns = (self._ask.warmup_s or 0.0) * 1e9
        if self._first is None:
            if view.now_ns < warmup_ns:
                return None
            # A closed loop plans no times: what was sent by the end of the warm-up is left out.
            self._first = view.issued if view.planned_ns is None else int(np.searchsorted(view.planned_ns, warmup_ns))
        known = known_until(view, self._slo)
        codes = view.outcomes[self._first : known]
        if codes.size < self._next:
            return None
        self._next = math.ceil(1.08 * codes.size)
        overdue = codes == Outcome.PENDING
        found = weigh(np.where(overdue, Outcome.FAILED, codes).astype(np.uint8), self._target, self._ask.together)
        if found.answer != "undecided":
            end = None if view.planned_ns is None or known >= view.planned_ns.size else int(view.planned_ns[known])
            cancel = found.answer == "fail" and end is not None
            return Stop("decided", phrase("decided: {}", _words(found, self._target)), cancel, end)
        most = 0 if view.planned_ns is None else view.planned_ns.size - self._first
        if most and self._ask.phase in ENDS_EARLY and futile(found, self._target, most):
            return Stop(
                "decided", phrase("too near to the boundary to be decided: {}", _words(found, self._target)), False
            )
        return None


def known_until(view: View, slo: Slo) -> int:
    """Number of the first request, in the order of the plan, whose outcome is not known yet.

    An unbroken row of outcomes from the start: those that end soon must not be counted before those that take long. A
    pending request that cannot keep to the limits any more is known to miss them.
    """
    pending = view.outcomes == Outcome.PENDING
    deadline = _deadline_ns(view, slo)
    if deadline is not None:
        pending &= deadline > view.now_ns
    first = int(np.argmax(pending))
    return first if pending[first] else int(pending.size)


def _deadline_ns(view: View, slo: Slo) -> Floats | None:
    """When each request must have ended at the latest to keep to the limits; None where they do not tell."""
    if view.planned_ns is None:
        return None
    spans_ms: list[Floats | float] = []
    if slo.e2e_ms is not None:
        spans_ms.append(slo.e2e_ms)
    if slo.ttft_ms is not None and slo.tpot_ms is not None:
        spans_ms.append(slo.ttft_ms + slo.tpot_ms * np.maximum(view.output_tokens - 1, 0))
    if not spans_ms:
        return None
    earliest: Floats = view.planned_ns + np.minimum.reduce(np.broadcast_arrays(*spans_ms)) * 1e6
    return earliest


# --- afterwards ------------------------------------------------------------------------------------------------------


def trial_of(recording: Recording, result: Result, plan: Plan, ask: Ask) -> Trial:
    """What the recording of a stage says. `result` is its own.

    Of a stage that was cut off, it is what was due before the first request without an outcome.
    """
    assert plan.target is not None
    rows, slo = read_rows(recording), recording.spec.slo
    margins = _margins(rows, slo, recording.manifest.loop)
    judged = judged_of(recording, rows, margins, slo, ask)
    codes = judged.codes
    if ask.phase == "floor":
        found = weigh(codes, plan.target)
    else:
        found = decide(codes, plan.target, ask.together, ask.least_requests)
    stopped = recording.manifest.stopped
    saturated = stopped is not None and stopped.kind == "saturated"
    given_up = stopped is not None and stopped.kind == "failures"
    stable = False if saturated else result.steady.stable
    if saturated or given_up:
        found = found._replace(for_pass=min(found.for_pass, -SETTLES), for_fail=max(found.for_fail, SETTLES))
    elif recording.manifest.loop == "open" and stable is False and ask.phase != "floor":
        found = found._replace(for_pass=min(found.for_pass, 0.0))
    missed = int(np.count_nonzero(codes > AT_LIMIT))
    vif = max(ask.together, dependence(codes))
    return Trial(
        answer="undecided" if ask.phase == "floor" else found.answer,
        judged=codes.size,
        missed=missed,
        attainment=wilson(codes.size - missed, codes.size, codes.size / vif),
        pass_evidence=found.for_pass,
        fail_evidence=found.for_fail,
        dependence=vif,
        stable=stable,
        binding=_binding(rows, margins, judged),
        margin=None if ask.phase == "floor" or stable is False else margin_of(recording, rows, judged, plan.target),
        cut_out=judged.cut_out,
        sound=_is_sound(result),
        says=_says(stopped, found, plan.target),
    )


def _says(stopped: Stopped | None, found: Evidence, target: float) -> str:
    if stopped is not None and stopped.kind == "saturated":
        return phrase("the queue grows: no limit can hold")
    if stopped is not None and stopped.kind == "failures":
        return stopped.reason
    return _words(found, target)


def _is_sound(result: Result) -> bool:
    """Whether the load was the one asked for, and who kept to the limits is known: other figures may be bent."""
    good = result.goodput
    budget = None if good is None else good.attainment_budget
    if budget is not None and word_of_figure(1.0, budget, ms=False) == "INVALID":
        return False
    return not any(check.word == "INVALID" and check.name in CLIENT_CHECKS for check in result.verdict.checks)


def _margins(rows: Rows, slo: Slo, loop: str) -> dict[str, Floats]:
    """Each limited figure over its limit; infinite where an ok request does not show it."""
    figures = limited_ns(rows, loop)
    return {
        name: np.where(np.isnan(figures[name]), np.inf, figures[name]) / (limit_ms * 1e6)
        for name in figures
        if (limit_ms := getattr(slo, name)) is not None
    }


def _binding(rows: Rows, margins: dict[str, Floats], judged: Judged) -> str | None:
    """The limit that most requests missed; None if none did."""
    ok = judged.members & rows.ok
    misses = {name: int(np.count_nonzero(ok & (margin > 1))) for name, margin in margins.items()}
    misses[FAILURES] = int(np.count_nonzero(judged.members & ~rows.ok)) + judged.unsent
    name = max(misses, key=lambda name: misses[name])
    return name if misses[name] else None


_WORDS = {
    "pass": phrase("{:,} of {:,} requests kept to the SLO, more than {:.4g} % will"),
    "fail": phrase("{:,} of {:,} requests kept to the SLO, less than {:.4g} % will"),
    "undecided": phrase("{:,} of {:,} requests kept to the SLO, not clear whether more or less than {:.4g} % will"),
}


def _words(found: Evidence, target: float) -> str:
    return phrase(_WORDS[found.answer], found.judged - found.missed, found.judged, target * 100)

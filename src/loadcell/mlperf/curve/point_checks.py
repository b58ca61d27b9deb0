"""The checks that look at one point of a curve each, by their official names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from loadcell.mlperf.curve.model import CurvePoint, Stated, Steady
from loadcell.mlperf.findings import held, judged
from loadcell.mlperf.model import Finding
from loadcell.mlperf.rules.forms import EndpointsRules


class Judged(NamedTuple):
    """What a rule says of a point."""

    ok: bool | None
    says: str


class PointRule(NamedTuple):
    name: str
    judge: Callable[[CurvePoint, EndpointsRules], Judged | None]
    """None where the rule does not concern the point."""
    advice: str


def judge_points(points: Sequence[CurvePoint], rules: EndpointsRules) -> Iterator[Finding]:
    """For each rule one finding where it holds at every point that it concerns, else one for each where it does not."""
    for rule in POINT_RULES:
        found = [(point, one) for point in points if (one := rule.judge(point, rules)) is not None]
        bad = [(point, one) for point, one in found if not one.ok]
        for point, one in bad:
            at = "" if point.concurrency is None else f"at concurrency {point.concurrency}: "
            yield judged(rule.name, one.ok, f"{at}{one.says}", point.where, rule.advice)
        if found and not bad:
            same = len({one.says for _, one in found}) == 1
            yield held(rule.name, found[0][1].says if same else f"holds at all {len(found)} points")


# --- how it was run --------------------------------------------------------------------------------------------------


def _load_pattern(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    wanted = "agentic_inference" if point.agentic else "concurrency"
    if point.offline == "dedicated":
        wanted = "concurrency or a burst"
        ok = point.load_pattern in ("concurrency", "max_throughput", "burst")
    else:
        ok = point.load_pattern == wanted
    if point.load_pattern is None:
        return Judged(None, "the load pattern is not told")
    return Judged(ok, f"load pattern {point.load_pattern}; {wanted} is needed")


def _duration(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    if point.offline == "dedicated":
        return None  # everything is issued at once
    if point.concurrency is None:
        return Judged(None, "the concurrency is not told")
    least = rules.min_duration_at(point.concurrency, agentic=point.agentic)
    span = point.issue_span_s
    if span is None:
        if point.duration_s is not None and point.duration_s < least:
            return Judged(False, f"the run took {point.duration_s:.4g} s; requests must be issued for {least} s")
        return Judged(None, f"over which time requests were issued is not told; at least {least} s are needed")
    return Judged(span >= least, f"requests were issued for {span:.4g} s; at least {least} s are needed")


def _queries(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    least = rules.min_query_count.get(point.dataset or "", point.dataset_size)
    if least is None or point.completed is None:
        what = "how many requests completed" if least is not None else f"the size of data set {point.dataset}"
        return Judged(None, f"{what} is not known")
    return Judged(point.completed >= least, f"{point.completed:,} requests completed; {least:,} are needed")


def _model(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    if point.model is None:
        return Judged(None, "the model is not told")
    return Judged(
        point.model in rules.allowed_models, f"model {point.model}; allowed: {', '.join(rules.allowed_models)}"
    )


def _warmup(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    if point.warmup is None:
        return Judged(None, "nothing is told of a warm-up; it is optional, and must be disclosed")
    return Judged(True, "the warm-up is disclosed")


def _salt(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    warmup = point.warmup
    if warmup is None or not warmup.requests_issued or warmup.salted:
        return None
    if warmup.data_source is None or point.dataset is None:
        return Judged(None, "it is not told what the warm-up sent")
    return Judged(warmup.data_source != point.dataset, f"the warm-up sent {warmup.data_source} without a salt")


# --- steady state ----------------------------------------------------------------------------------------------------


def _steady_valid(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    steady = point.steady
    if steady is None:
        return None if point.offline == "dedicated" else Judged(None, "the steady state was not looked for")
    wrong = [] if steady.verdict in rules.steady_verdict else [f"verdict {steady.verdict!r} is none"]
    if steady.status is None:
        wrong.append(
            f"no official status goes with {steady.verdict} here" + (f": {steady.says}" if steady.says else "")
        )
    elif steady.status not in rules.steady_status:
        wrong.append(f"status {steady.status!r} is none")
    window = steady.window
    if window is not None and not 0 <= window.super_pass_start < window.super_pass_end:
        wrong.append(f"window {window.super_pass_start} to {window.super_pass_end} is none")
    if window is None and steady.status == "windowable":
        wrong.append("windowable without a window")
    return Judged(not wrong, "; ".join(wrong) or f"{steady.status}, {steady.verdict}")


def _steady_consistent(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    steady, least = point.steady, rules.min_trend_super_passes
    if steady is None or steady.status != "windowable":
        return None
    length = None if steady.window is None else steady.window.super_pass_end - steady.window.super_pass_start
    drifts = steady.verdict in ("drifting_up", "drifting_down", "not found")
    drifts = drifts or any(trend.gating and trend.state not in (None, "Plateau") for trend in steady.trends)
    ok = length is not None and length >= least and not drifts
    return Judged(ok, f"windowable with {length} super-passes, {steady.verdict}; {least} and no drift are needed")


def _word(steady: Steady) -> str:
    return steady.status or steady.verdict


def _steady_basis(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    if point.steady is None or point.steady_basis is None:
        return None
    ok = point.steady.basis == point.steady_basis
    return Judged(
        ok, f"figures are of the {point.steady_basis}; {_word(point.steady)} asks for the {point.steady.basis}"
    )


# --- figures ---------------------------------------------------------------------------------------------------------


def _accounting(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    if point.issued is None or point.completed is None or point.failed is None:
        return Judged(None, "issued, completed and failed requests are not all told")
    ok = point.completed + point.failed == point.issued
    return Judged(ok, f"{point.completed:,} completed + {point.failed:,} failed, {point.issued:,} issued")


def _near(stated: float | None, follows: float | None, rules: EndpointsRules, what: str) -> Judged | None:
    """A figure that a file states beside what follows from its counts."""
    if stated is None:
        return None
    if not follows:
        return Judged(None, f"{what} {stated:,.6g} is stated, and there is nothing to compare it with")
    off = abs(stated - follows) / abs(follows)
    near = off <= rules.tolerances.stored_vs_derived_relative
    return Judged(near, f"{what} {stated:,.6g} is stated, {follows:,.6g} follows from the counts: {off:.2%} off")


def _told(point: CurvePoint) -> Stated:
    return point.stated or Stated()


def _stated_duration(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    return _near(_told(point).duration_s, point.duration_s, rules, "a duration of")


def _stated_tokens(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    return _near(_told(point).output_tokens, point.output_tokens, rules, "output tokens:")


def _stated_tps(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    tokens, duration_s = point.output_tokens, point.duration_s
    follows = tokens / duration_s if tokens is not None and duration_s else None
    return _near(_told(point).system_tps, follows, rules, "system_tps")


def _stated_tpot(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    return _near(_told(point).tpot_p90_ms, point.tpot_p90_ms, rules, "p90 of TPOT, ms:")


def _stated_user(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    p90 = point.tpot_p90_ms
    return _near(_told(point).tps_per_user, 1000 / p90 if p90 else None, rules, "tps_per_user")


# --- files -----------------------------------------------------------------------------------------------------------


def _summary(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    if point.has_summary is None:
        return None
    return Judged(point.has_summary, f"result_summary.json is {'there' if point.has_summary else 'missing'}")


def _dirname(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    if point.dirname_concurrency is None or point.concurrency is None:
        return None
    ok = point.dirname_concurrency == point.concurrency
    return Judged(ok, f"the folder says r{point.dirname_concurrency}, the point {point.concurrency}")


# --- accuracy --------------------------------------------------------------------------------------------------------


def _accuracy_gate(point: CurvePoint, _: EndpointsRules) -> Judged | None:
    if point.accuracy_passed is None or point.agentic:
        return None
    return Judged(point.accuracy_passed, f"the accuracy gate {'holds' if point.accuracy_passed else 'fails'}")


def _accuracy_count(point: CurvePoint, rules: EndpointsRules) -> Judged | None:
    if point.accuracy_passed is None or point.agentic:
        return None
    least = rules.accuracy_gates.get(point.model or "", {}).get("samples")
    if least is None or point.accuracy_samples is None:
        return Judged(None, "the number of samples, or how many the model needs, is not known")
    return Judged(
        point.accuracy_samples >= least, f"accuracy of {point.accuracy_samples:,} samples; {least:,} are needed"
    )


POINT_RULES = (
    PointRule("load-pattern", _load_pattern, "use a fixed concurrency; Poisson arrivals are not valid on a curve"),
    PointRule("point-duration", _duration, "run more passes over the data set"),
    PointRule("min-query-count", _queries, "run whole passes over the data set until none fails"),
    PointRule(
        "model-name-valid", _model, "curves are defined for these models alone; a Loadcell curve of others is a trial"
    ),
    PointRule("warmup-present", _warmup, "write down what was sent before the point, also if it was nothing"),
    PointRule("warmup-salt", _salt, "warm up with other prompts, or salt them: a cache would know the samples"),
    PointRule("steady-state-valid", _steady_valid, "run more passes, or find out what changed meanwhile"),
    PointRule("steady-state-consistency", _steady_consistent, "a window needs four super-passes without a drift"),
    PointRule(
        "steady-state-basis", _steady_basis, "take the figures from the window if windowable, else from the whole run"
    ),
    PointRule("metric-consistency-duration", _stated_duration, "write what was measured"),
    PointRule("metric-consistency-accounting", _accounting, "no request may be counted twice, or not at all"),
    PointRule("metric-consistency-output-tokens", _stated_tokens, "write what was measured"),
    PointRule("metric-consistency-system-tps", _stated_tps, "system_tps is output tokens / duration"),
    PointRule("metric-consistency-tpot-p90", _stated_tpot, "write what was measured"),
    PointRule("metric-consistency-tps-per-user", _stated_user, "tps_per_user is 1000 / p90 TPOT in ms"),
    PointRule(
        "accuracy-gate", _accuracy_gate, "the replies are not good enough at this point: loadcell mlperf accuracy"
    ),
    PointRule("accuracy-sample-count", _accuracy_count, "score the whole data set"),
    PointRule("result-summary-present", _summary, "write result_summary.json"),
    PointRule("point-dirname-concurrency", _dirname, "name the folder r<concurrency>"),
)

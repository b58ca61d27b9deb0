"""What a run of LoadGen is worth by our own word: its log, and what we saw of the same run ourselves.

LoadGen does not know that a request can fail: it takes whatever ends for a reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell import __version__
from loadcell.mlperf.files.loadgen_logs import DETAIL, Detail, read_detail
from loadcell.mlperf.findings import judged
from loadcell.mlperf.model import Delay, Driven, Finding, Queries
from loadcell.mlperf.score import score
from loadcell.mlperf.settings import kind, loadgen_of
from loadcell.mlperf.wheel.model import ROW, Drive, Heard
from loadcell.recording.schema import MISSING
from loadcell.workload.loadgen import Traffic, accuracy_traffic, single_stream_count, traffic_of

_UNTOLD_RATE = 1000.0
"""Queries per second that LoadGen expects of SingleStream if nobody tells it."""
Times = NDArray[np.int64]


def judge(asked: Drive, heard: Heard, notes: list[str], folder: Path, scrub: Callable[[str], str]) -> Driven:
    """The report of a run; `scrub` takes secrets out of what the server said."""
    rows = heard.rows
    columns, queries = None, None
    findings = [_of_the_run(heard, scrub)]
    if rows is not None:
        columns = dict(zip(ROW, rows.T, strict=True))
        expected = _expected(asked, columns)
        queries = _queries(columns, expected)
        findings += [*_of_the_log(asked, folder), _of_the_requests(heard, columns, scrub)]
        findings.append(_of_the_order(columns, expected))
    return Driven(
        loadcell=__version__,
        loadgen=asked.loadgen,
        mode="accuracy" if asked.accuracy else "performance",
        plan=asked.plan,
        settings=asked.settings,
        started_at=asked.started_at,
        state=heard.state,
        verdict="VALID" if all(finding.ok for finding in findings) else "INVALID",
        findings=sorted(findings, key=lambda finding: finding.ok is True),
        score=None if queries is None or asked.accuracy else score(queries, asked.plan.rules),
        delays={} if columns is None else _delays(columns, queries),
        failures=heard.ended.failures,
        errors={kind: scrub(words) for kind, words in heard.ended.errors.items()},
        token_sources=heard.ended.token_sources,
        id_sources=heard.ended.id_sources,
        tokenizer=asked.spec.workload.tokenizer,
        endpoint=[scrub(note) for note in notes],
    )


# --- findings ---------------------------------------------------------------------------------------------------------


def _of_the_run(heard: Heard, scrub: Callable[[str], str]) -> Finding:
    whole = heard.state == "complete"
    says = "LoadGen came to its end" if whole else scrub(heard.why or "LoadGen did not come to its end")
    advice = "its logs are incomplete and cannot be gone on with: run it again"
    return judged("run-complete", whole, says, advice=advice)


def _of_the_log(asked: Drive, folder: Path) -> Iterator[Finding]:
    """What LoadGen itself says: the words of its log are its own."""
    detail = read_detail(folder / DETAIL)
    says = f"LoadGen logged {len(detail.errors)} errors" + "".join(f": {words}" for words in detail.errors[:1])
    yield judged("num-errors", not detail.errors, says, DETAIL, f"every one of them stands in {DETAIL}")
    if not asked.accuracy:
        yield _validity(detail)


_MUST = {
    "result_min_duration_met": ("the minimum duration", "offline: raise --expected-qps, which sizes the one query"),
    "result_min_queries_met": ("the minimum count", "let it run longer"),
    "result_perf_constraints_met": ("the limits on latencies", "lower --target-qps, or make the server faster"),
    "early_stopping_met": ("early stopping", "send more queries, or at a lower rate, so that fewer are late"),
}
"""What LoadGen asks of a run, by key of its log: its name, and what to change."""


def _validity(detail: Detail) -> Finding:
    validity = detail.text("result_validity")
    missed = [words for key, words in _MUST.items() if detail.truth(key) is False]
    says = f"LoadGen calls the run {validity}" if validity else "LoadGen's log has no result_validity"
    says += f": it missed {' and '.join(name for name, _ in missed)}" if missed else ""
    advice = "; ".join(cure for _, cure in missed) or None
    return judged("result-validity", validity == "VALID", says, DETAIL, advice)


def _of_the_requests(heard: Heard, columns: dict[str, Times], scrub: Callable[[str], str]) -> Finding:
    total, failed = len(columns["ok"]), int(np.count_nonzero(columns["ok"] == 0))
    kinds = ", ".join(f"{count} {kind}" for kind, count in heard.ended.failures.items())
    first = next((scrub(words) for words in heard.ended.errors.values()), "")
    says = f"{failed:,} of {total:,} requests failed"
    says += f" ({kinds}; {first}), which LoadGen takes for replies of no tokens" if failed else ""
    advice = "the figures in its logs are wrong for it: cure the failures, and run it again"
    return judged("failed-requests", not failed, says, advice=advice)


def _of_the_order(columns: dict[str, Times], expected: Traffic) -> Finding:
    same = np.array_equal(columns["sample"], expected.samples)
    says = "LoadGen issued the samples that follow from the seeds, in their order"
    says = says if same else "LoadGen issued other samples than those of the seeds"
    advice = "this build of LoadGen draws otherwise than 6.0.17 does: its traffic is another"
    return judged("sample-order", same, says, advice=advice)


# --- the same run, as we saw it ---------------------------------------------------------------------------------------


def _expected(asked: Drive, columns: dict[str, Times]) -> Traffic:
    """The traffic that follows from the plan, as long as what was issued where a closed loop ended by time."""
    plan, rules, loadgen = asked.plan, asked.plan.rules, loadgen_of(asked.plan.rules)
    n, equal_issue = rules.performance_sample_count, rules.equal_issue
    rate = plan.target_qps if loadgen.scenario == "server" else None
    if asked.accuracy:
        return accuracy_traffic(rules.seeds, n, kind(rules.scenario), equal_issue=equal_issue, rate=rate)
    if loadgen.scenario == "singlestream":
        least = single_stream_count(
            min_queries=rules.min_queries, min_duration_s=rules.min_duration_s,
            expected_rate=plan.expected_qps or _UNTOLD_RATE, n=n, equal_issue=equal_issue,
        )  # fmt: skip
        loadgen = msgspec.structs.replace(loadgen, min_queries=least)
    return traffic_of(loadgen, n, rate=rate, rows=len(columns["sample"]))


def _queries(columns: dict[str, Times], expected: Traffic) -> Queries | None:
    """The run at the sockets; None where nothing was issued, or it was not scheduled as we know.

    LoadGen does not tell when it started: in Server that is taken from the query which it issued with the least delay.
    """
    issued = columns["issued_ns"]
    if not len(issued):
        return None
    scheduled = issued
    if expected.scheduled_ns is not None:
        if len(expected.scheduled_ns) != len(issued):
            return None
        scheduled = expected.scheduled_ns + (issued - expected.scheduled_ns).min()
    start = scheduled[0]
    return Queries(
        query=columns["query"],
        sample=columns["sample"],
        scheduled_ns=scheduled - start,
        issued_ns=issued - start,
        first_ns=np.where(columns["first_ns"] == MISSING, np.nan, columns["first_ns"] - start),
        end_ns=columns["end_ns"] - start,
        tokens=columns["tokens"].astype(np.float64),
        ok=columns["ok"] == 1,
    )


def _delays(columns: dict[str, Times], queries: Queries | None) -> dict[str, Delay]:
    pairs = {
        "issue to send": ("issued_ns", "sent_ns"),
        "first token to LoadGen": ("first_ns", "told_first_ns"),
        "end to LoadGen": ("end_ns", "told_end_ns"),
    }
    delays = {}
    for name, (before, after) in pairs.items():
        seen = (columns[before] != MISSING) & (columns[after] != MISSING) & (columns["ok"] == 1)
        if seen.any():
            delays[name] = _delay(columns[after][seen] - columns[before][seen])
    if queries is not None and (queries.issued_ns != queries.scheduled_ns).any():
        delays["schedule to issue"] = _delay(queries.issued_ns - queries.scheduled_ns)
    return delays


def _delay(values_ns: Times) -> Delay:
    p50, p99, most = (float(value) / 1000 for value in np.percentile(values_ns, [50, 99, 100]))
    return Delay(p50_us=round(p50, 1), p99_us=round(p99, 1), max_us=round(most, 1))

"""The figures of classes: recomputed from the Parquet by other means, and adding up to those of the whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import duckdb
import msgspec
import numpy as np
import pytest
from made import MS, events_of, failed_request, ok_request

from loadcell.errors import RecordingError
from loadcell.metrics import build_result
from loadcell.metrics.model import Counts, Group, Result
from loadcell.recording.read import Recording
from loadcell.spec import Slo

Make = Callable[..., Recording]
CLASSES = {"also": ["http://b:1"], "slo_of": {"b:1": "ttft=70ms,tpot=22ms"}}
TOLD = [
    {"name": name, "endpoint": name, "url": f"http://{name}", "model": "m", "share": 0.5, "addresses": ["10.0.0.1"],
     "ignore_eos": True, "reuse_connections": True}
    for name in ("localhost:8000", "b:1")
]  # fmt: skip


def drawn(seed: int, rows: int = 400) -> list[dict[str, Any]]:
    """Requests of two classes of different speed, some of which failed or were given up, at random."""
    rng = np.random.default_rng(seed)
    found = []
    for request in range(rows):
        kind = int(rng.random() < 0.4)
        start_ms = request * 50 + float(rng.random())
        more = {"class": kind, "address": f"10.0.0.{1 + kind}", "planned_ns": round(request * 50 * MS)}
        if rng.random() < 0.1:
            found.append(failed_request(request, "http_500", start_ms=start_ms, **more))
            continue
        start, tokens = round(start_ms * MS), int(rng.integers(2, 12))
        first = start + round((50 + 25 * kind + rng.exponential(8)) * MS)
        last = first + round((20 + 3 * kind + rng.normal(0, 1)) * MS) * (tokens - 1)
        more |= {"first_any_ns": first, "first_answer_ns": first, "last_ns": last, "end_ns": last + MS}
        row = ok_request(request, start_ms=start_ms, tokens=tokens, **more)
        found.append(row | ({"status": "cancelled"} if rng.random() < 0.02 else {}))
    return found


def built(make: Make, rows: list[dict[str, Any]], planned: int | None = None, **more: Any) -> Recording:
    times = [50.0 * request for request in range(planned or len(rows))]
    kinds = [row["class"] for row in rows] + [request % 2 for request in range(len(rows), len(times))]
    settings: dict[str, Any] = {
        "planned": times, "loop": "open", "load": {"rate": 20.0, "warmup_s": 2.0, "duration_s": len(times) * 0.05},
        "classes": CLASSES, "slo": {"ttft_ms": 60.0}, "kinds": kinds,
        "effective": {"model": "m", "classes": TOLD}, "window_end_ns": round(len(times) * 50 * MS),
    }  # fmt: skip
    events = [event for row in rows if row["status"] != "failed" for event in events_of(row)]
    return make(rows, events=events, **settings | more)


def each(group: Group, name: str) -> float | None:
    summary = group.latency[name].response or group.latency[name].service
    return summary.p50.value


def added(groups: list[Group], extent: str) -> Counts:
    counts = [msgspec.structs.astuple(getattr(group.counts, extent)) for group in groups]
    return Counts(**dict(zip(Counts.__struct_fields__, map(sum, zip(*counts, strict=True)), strict=True)))


@pytest.fixture(scope="module")
def recording(make: Make) -> Recording:
    return built(make, drawn(1))


@pytest.fixture(scope="module")
def result(recording: Recording) -> Result:
    return build_result(recording)


def test_counts_and_rates_add_up_to_those_of_all(result: Result) -> None:
    assert len(result.classes) == 2
    assert added(result.classes, "run") == result.counts.run
    assert added(result.classes, "window") == result.counts.window
    for name in ("requests_per_s", "output_tokens_per_s", "input_tokens_per_s"):
        whole = getattr(result.throughput, name)
        assert math.isclose(sum(getattr(group.throughput, name) for group in result.classes), whole, rel_tol=1e-12)
    assert result.goodput is not None
    goods = [group.goodput for group in result.classes]
    assert sum(one.good or 0 for one in goods if one) == result.goodput.good
    assert sum(one.goodput_per_s or 0 for one in goods if one) == pytest.approx(result.goodput.goodput_per_s, rel=1e-12)


def test_figures_are_those_of_the_parquet(recording: Recording, result: Result) -> None:
    window = result.methodology.window
    files = str(recording.path / "requests-*.parquet")
    ask = f"""
        select class, list((first_any_ns - planned_ns) / 1e6 order by 1) as ttft,
            list((last_ns - planned_ns) / 1e6 order by 1) as e2e,
            list((last_ns - first_any_ns) / 1e6 / (output_tokens - 1)) filter (output_tokens > 1) as tpot,
            count(*) filter ((first_any_ns - planned_ns) / 1e6 <= case class when 0 then 60 else 70 end
                and (class = 0 or (last_ns - first_any_ns) / 1e6 / (output_tokens - 1) <= 22)) as good
        from '{files}'
        where status = 'ok' and planned_ns between {window.start_s * 1e9} and {window.end_s * 1e9}
        group by class order by class
    """
    answers = duckdb.sql(ask).fetchall()
    for group, (_, ttft, e2e, tpot, good) in zip(result.classes, answers, strict=True):
        for name, values in (("ttft_ms", ttft), ("e2e_ms", e2e), ("tpot_ms", tpot)):
            summary = group.latency[name].response or group.latency[name].service
            assert summary.n == len(values)
            for percentile, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
                expected = sorted(values)[math.ceil(share * len(values)) - 1]
                value = getattr(summary, percentile).value
                assert value == pytest.approx(expected) if len(values) >= 1 / (1 - share) else value is None
        assert group.goodput is not None and group.goodput.good == good


def test_each_request_is_held_against_the_limits_of_its_class(recording: Recording, result: Result) -> None:
    goods = [group.goodput for group in result.classes]
    assert [None if one is None else sorted(one.limits) for one in goods] == [["ttft_ms"], ["tpot_ms", "ttft_ms"]]
    assert result.goodput is not None and result.goodput.limits == {}  # they differ: each class tells its own
    budget = result.goodput.attainment_budget
    assert budget is not None and result.goodput.attainment.value is not None
    assert budget.low <= result.goodput.attainment.value <= budget.high
    other = build_result(recording, Slo(ttft_ms=60.0))  # one for all, asked afterwards
    assert [one.goodput and sorted(one.goodput.limits) for one in other.classes] == [["ttft_ms"]] * 2
    assert other.goodput is not None and list(other.goodput.limits) == ["ttft_ms"]


def test_the_true_distribution_of_each_class_is_found(make: Make) -> None:
    """Truth: TTFT of class k is 50 + 25 k ms and an exponential of 8 ms. Intervals of its median hold it."""
    held = {0: 0, 1: 0}
    runs = 20
    for seed in range(runs):
        found = build_result(built(make, drawn(100 + seed, 300))).classes
        for kind, group in enumerate(found):
            estimate = group.latency["ttft_ms"].service.p50
            truth = 50 + 25 * kind + 8 * math.log(2)
            assert estimate.low is not None and estimate.high is not None
            held[kind] += estimate.low <= truth <= estimate.high
    assert min(held.values()) >= 0.8 * runs, held  # 95 % each: 15 of 20 or fewer come once in 3,000


def test_requests_without_a_row_are_counted_in_their_class(make: Make) -> None:
    rows = [row for row in drawn(3) if row["request"] not in (17, 18, 200)]
    audits = [{"issued": len(rows) + 2, "beyond": 0}]  # two were started and lost, the others never sent
    kinds = [row["class"] for row in drawn(3)] + [request % 2 for request in range(400, 410)]
    result = build_result(built(make, rows, planned=410, kinds=kinds, audits=audits, state="broken"))
    assert result.counts.run.unsent == 11 and result.counts.run.failed >= 2
    assert added(result.classes, "run") == result.counts.run
    assert added(result.classes, "window") == result.counts.window
    assert [group.counts.run.planned for group in result.classes] == [kinds.count(0), kinds.count(1)]


def test_who_failed_is_named(make: Make) -> None:
    rows = [row | ({} if row["class"] == 0 or row["status"] != "ok" else {"status": "failed", "error_kind": "reset"})
            for row in drawn(4) if row["status"] != "cancelled"]  # fmt: skip
    rows = [row for row in rows if row["class"] == 1 or row["status"] == "ok"]
    numbered = [row | {"request": i, "planned_ns": i * 50 * MS} for i, row in enumerate(rows)]
    result = build_result(built(make, numbered))
    says = [check.says for check in result.verdict.checks if check.name == "class"]
    failed = result.counts.run.failed
    assert says == [f"every request of b:1 failed ({failed} of {failed} failures)"]
    assert result.classes[1].latency["ttft_ms"].service.n == 0 and sum(result.classes[1].failures.values()) == failed


def test_addresses_of_one_name_stand_beside_each_other(make: Make) -> None:
    rows = [row | {"class": 0, "address": f"10.0.0.{row['request'] % 3}"} for row in drawn(5)]
    effective = {"model": "m", "connections_by_address": {f"10.0.0.{i}": 2 for i in range(3)}}
    result = build_result(built(make, rows, classes={}, kinds=None, effective=effective))
    assert [group.name for group in result.addresses] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    assert added(result.addresses, "run") == result.counts.run and result.classes == []


def test_a_recording_that_does_not_tell_of_its_classes_is_damaged(make: Make) -> None:
    with pytest.raises(RecordingError, match="classes"):
        build_result(built(make, drawn(6), effective={"model": "m"}))
    with pytest.raises(RecordingError, match="classes"):
        build_result(built(make, [row | {"class": 7} for row in drawn(6)]))


def test_an_older_recording_has_one_class(make: Make) -> None:
    rows = [{name: value for name, value in row.items() if name not in ("class", "address")} for row in drawn(7)]
    result = build_result(make(rows))
    assert result.classes == [] and result.addresses == []


def test_slow_readers_and_those_who_left_count_in_a_class_as_in_the_whole(make: Make) -> None:
    """A tenth reads slowly, a tenth leaves after its first output; of a class as of all."""
    rows, plan = drawn(7), []
    for i, row in enumerate(rows):
        plan.append({"read_tokens_per_s": 1.0 if i % 10 == 3 else None})
        if row["status"] != "ok":
            continue
        if i % 10 == 3:
            row |= {name: row[name] + 5000 * MS for name in ("first_any_ns", "first_answer_ns", "last_ns", "end_ns")}
        elif i % 10 == 4:
            row |= {"status": "abandoned", "gave_up": "tokens"}
    users = {"slow_readers": "10%@1t/s", "cancel": ["10%@1t"]}
    result = build_result(built(make, rows, carried=plan, behaviour=users))
    assert result.goodput is not None
    for name in ("ttft_ms", "e2e_ms", "tpot_ms"):
        groups = [group.latency[name].service for group in result.classes]
        assert sum(one.n for one in groups) == result.latency[name].service.n
        assert max(one.max or 0 for one in groups) == result.latency[name].service.max
    parts = [group.goodput for group in result.classes]
    assert sum(one.planned for one in parts if one) == result.goodput.planned
    assert sum(group.counts.window.ok for group in result.classes) == result.counts.window.ok

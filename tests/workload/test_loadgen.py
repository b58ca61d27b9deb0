"""LoadGen's traffic against golden vectors: replayed on the wheel, or logged in published runs (tests/mlperf/data)."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadcell.errors import UsageError
from loadcell.spec import LoadGen
from loadcell.workload import loadgen
from loadcell.workload.loadgen import Seeds, traffic_of

VECTORS: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "mlperf" / "data" / "golden_vectors.json.gz").read_bytes())
)
Case = dict[str, Any]


def cases(kind: str) -> pytest.MarkDecorator:
    found = VECTORS[kind]["cases"]
    return pytest.mark.parametrize("case", found, ids=[case.get("name", str(n)) for n, case in enumerate(found)])


def sha256(values: NDArray[np.int64]) -> str:
    return hashlib.sha256(",".join(map(str, values.tolist())).encode()).hexdigest()


def seeds_of(case: Case) -> Seeds:
    return Seeds(
        qsl=case["qsl_rng_seed"],
        sample_index=case["sample_index_rng_seed"],
        schedule=case.get("schedule_rng_seed", 0),
    )


# --- generator --------------------------------------------------------------------------------------------------------


@cases("mt19937")
def test_outputs_are_those_of_the_twister(case: Case) -> None:
    draws = loadgen.outputs(case["seed"])
    assert [next(draws) for _ in range(8)] == case["first8"]


def test_the_ten_thousandth_output_is_the_one_that_the_standard_fixes() -> None:
    draws = loadgen.outputs(5489)
    assert [next(draws) for _ in range(10_000)][-1] == 4123659995


@cases("bounded_int")
def test_bounded_integers(case: Case) -> None:
    draws = loadgen.outputs(case["seed"])
    assert [loadgen.bounded(draws, case["n"]) for _ in range(12)] == case["first12"]


@cases("shuffle")
def test_shuffles(case: Case) -> None:
    items = list(range(case["n"]))
    loadgen.shuffle(items, loadgen.outputs(case["seed"]))
    if "permutation" in case:
        assert items == case["permutation"]
    else:
        assert sha256(np.array(items)) == case["sha256"]


@given(n=st.integers(0, 300), seed=st.integers(0, 2**64))
def test_a_shuffle_loses_nothing(n: int, seed: int) -> None:
    items = list(range(n))
    loadgen.shuffle(items, loadgen.outputs(seed))
    assert sorted(items) == list(range(n))


@pytest.mark.parametrize("name", VECTORS["rounds"])
def test_gaps_and_loaded_sets_of_a_round(name: str) -> None:
    vectors = VECTORS["rounds"][name]
    state = np.random.RandomState(vectors["schedule_rng_seed"] & 0xFFFF_FFFF)
    gaps = loadgen.gaps_ns(state, 1.0, 10_000)
    assert gaps[:10].tolist() == vectors["gap_ns_at_1qps_first10"]
    assert gaps.sum() == vectors["gap_ns_at_1qps_sum10000"]
    for n, expected in vectors["qsl_order"].items():
        assert sha256(loadgen.loaded_set(vectors["qsl_rng_seed"], int(n))) == expected["sha256"]


def test_gaps_do_not_rest_on_the_last_bit_of_numpys_logarithm(monkeypatch: pytest.MonkeyPatch) -> None:
    def gaps(rate: float) -> list[int]:
        return loadgen.gaps_ns(np.random.RandomState(3), rate, 50_000).tolist()  # type: ignore[no-any-return]

    real, log = [gaps(rate) for rate in (0.001, 40_000.0)], np.log
    monkeypatch.setattr(np, "log", lambda x: np.nextafter(log(x), 0))
    assert [gaps(rate) for rate in (0.001, 40_000.0)] == real


def test_older_versions_load_a_part_of_the_shuffled_data_set() -> None:
    whole = loadgen.loaded_set(7, 100)
    assert loadgen.loaded_set(7, 30, dataset_size=100).tolist() == whole[:30].tolist()
    assert sorted(loadgen.loaded_set(7, 30).tolist()) == list(range(30))


# --- scenarios --------------------------------------------------------------------------------------------------------


def server(case: Case) -> loadgen.Traffic:
    return loadgen.server_traffic(
        seeds_of(case),
        case["dataset_size"],
        case["target_qps"],
        min_queries=case["min_query_count"],
        min_duration_s=case["min_duration_ms"] / 1e3,
        equal_issue=case["equal_issue"],
    )


@cases("server")
def test_server(case: Case) -> None:
    traffic = server(case)
    assert traffic.scheduled_ns is not None
    assert len(traffic.samples) == len(traffic.scheduled_ns) == case["query_count"]
    assert traffic.duration_ns == case["generated_query_duration_ns"]
    assert traffic.samples[:16].tolist() == case["order_first16"]
    assert sha256(traffic.samples) == case["order_sha256"]
    assert sha256(traffic.scheduled_ns) == case["schedule_sha256"]


@cases("offline")
def test_offline(case: Case) -> None:
    n, equal_issue = case["dataset_size"], case["equal_issue"]
    count = loadgen.offline_count(
        min_samples=case["min_query_count"],
        min_duration_s=case["min_duration_ms"] / 1e3,
        expected_rate=case["expected_qps"],
        n=n,
        equal_issue=equal_issue,
    )
    assert count == case["sample_count"]
    traffic = loadgen.offline_traffic(seeds_of(case), n, samples=count, equal_issue=equal_issue)
    assert sha256(traffic.samples) == case["order_sha256"]


@cases("single_stream")
def test_single_stream(case: Case) -> None:
    n, equal_issue = case["dataset_size"], case["equal_issue"]
    count = loadgen.single_stream_count(
        min_queries=case["min_query_count_requested"],
        min_duration_s=case["min_duration_ms"] / 1e3,
        expected_rate=1e9 / case["expected_latency_ns"],
        n=n,
        equal_issue=equal_issue,
    )
    assert count == case["min_query_count_effective"]
    traffic = loadgen.single_stream_traffic(
        seeds_of(case), n, rows=case["order_length"], min_queries=count, equal_issue=equal_issue
    )
    assert sha256(traffic.samples) == case["order_sha256"]


@cases("multi_stream")
def test_multi_stream(case: Case) -> None:
    count = case["min_query_count"]
    traffic = loadgen.multi_stream_traffic(seeds_of(case), case["dataset_size"], queries=count, min_queries=count)
    assert sha256(traffic.samples) == case["order_sha256"]


@cases("accuracy_mode")
def test_accuracy_mode(case: Case) -> None:
    traffic = loadgen.accuracy_traffic(
        seeds_of(case), case["dataset_size"], case["scenario"].lower(), equal_issue=case["equal_issue"]
    )
    assert sha256(traffic.samples) == case["order_sha256"]


@cases("endpoints_client")
def test_the_endpoints_client_has_an_order_of_its_own(case: Case) -> None:
    n = case["dataset_size"]
    asked = LoadGen(scenario="endpoints", sample_index_seed=case["dataloader_random_seed"])
    traffic = loadgen.traffic_of(asked, n, rate=None, rows=2 * n)
    assert sha256(traffic.samples[:n]) == case["pass1_sha256"]
    assert traffic.samples[n : n + 8].tolist() == case["pass2_first8"]


# --- published runs ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("thorough")
def test_counts_and_durations_of_all_published_runs() -> None:
    runs = VECTORS["published_runs"]["cases"]
    assert len(runs) == 279
    for case in runs:
        due_ns = loadgen.server_schedule(
            VECTORS["rounds"][case["round"]]["schedule_rng_seed"],
            case["target_qps"],
            case["dataset_size"],
            min_queries=case["min_query_count"],
            min_duration_ns=case["min_duration_ms"] * 10**6,
            equal_issue=case["equal_issue"],
        )
        got = (len(due_ns) - 1, int(due_ns[-1]))
        assert got == (case["query_count"], case["generated_query_duration_ns"]), case["log"]


def test_the_smallest_published_run_of_each_data_set_sends_every_sample_equally_often() -> None:
    smallest: dict[tuple[str, int], Case] = {}
    for case in sorted(VECTORS["published_runs"]["cases"], key=lambda case: -case["query_count"]):
        if case["equal_issue"]:
            smallest[case["round"], case["dataset_size"]] = case
    assert len(smallest) == 12
    for case in smallest.values():
        traffic = server(VECTORS["rounds"][case["round"]] | case)
        assert traffic.duration_ns == case["generated_query_duration_ns"]
        assert len(set(np.bincount(traffic.samples).tolist())) == 1, case["log"]


# --- of a Spec --------------------------------------------------------------------------------------------------------

SEEDS = Seeds(qsl=1, sample_index=2, schedule=3)


def section(scenario: Any, **more: Any) -> LoadGen:
    return LoadGen(scenario=scenario, qsl_seed=1, sample_index_seed=2, schedule_seed=3, **more)


def test_the_traffic_of_a_spec_is_that_of_its_scenario() -> None:
    got = traffic_of(section("server", min_queries=25), 10, rate=2000.0, rows=0)
    assert (len(got.samples), got.duration_ns) == (30, 12585540)
    got = traffic_of(section("offline", equal_issue=False), 10, rate=None, rows=25)
    assert got.samples.tolist() == loadgen.offline_traffic(SEEDS, 10, samples=25, equal_issue=False).samples.tolist()
    got = traffic_of(section("singlestream", min_queries=20), 10, rate=None, rows=57)
    assert len(got.samples) == 57
    got = traffic_of(section("multistream", min_queries=3), 10, rate=None, rows=19)
    assert (
        got.samples.tolist() == loadgen.multi_stream_traffic(SEEDS, 10, queries=3, min_queries=3).samples[:19].tolist()
    )


@pytest.mark.parametrize("scenario", ["server", "offline", "singlestream", "multistream"])
def test_accuracy_mode_of_a_spec_sends_each_sample(scenario: Any) -> None:
    rows = loadgen.accuracy_count(10, scenario)
    got = traffic_of(section(scenario, mode="accuracy"), 10, rate=None, rows=rows)
    assert len(got.samples) == rows == (16 if scenario == "multistream" else 10)
    assert set(got.samples.tolist()) == set(range(10))
    assert got.scheduled_ns is None
    paced = traffic_of(section(scenario, mode="accuracy"), 10, rate=100.0, rows=0) if scenario == "server" else got
    assert paced.samples.tolist() == got.samples.tolist()
    assert (paced.scheduled_ns is not None) == (scenario == "server")


@pytest.mark.parametrize(
    ("loadgen_section", "n", "rate", "rows", "says"),
    [
        (section("server"), 10, None, 0, "load.rate"),
        (section("server"), 10, 0.0, 0, "target rate"),
        (section("server"), 10, float("nan"), 0, "target rate"),
        (section("server", min_duration_s=600.0), 10, 1e9, 0, "10,000,000"),
        (section("server", min_queries=0), 10, 1.0, 0, "minimum of 0"),
        (section("server", min_duration_s=-1.0), 10, 1.0, 0, "minimum duration"),
        (section("offline"), 0, None, 10, "0 samples"),
        (section("offline"), 10, None, 20_000_000, "10,000,000"),
        (section("singlestream", mode="accuracy"), 10, None, 9, "load.requests to 10"),
        (LoadGen(), 10, None, 10, "loadgen.scenario"),
    ],
)
def test_what_cannot_be_is_refused(loadgen_section: LoadGen, n: int, rate: float | None, rows: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        traffic_of(loadgen_section, n, rate=rate, rows=rows)

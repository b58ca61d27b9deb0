"""Defects 23 to 38: what is sent, when, and how it is told."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_runs import Ran, Run, run_once, short_spec
from known import Witness, fault, lies_in, reply
from numpy.typing import NDArray
from scripted import Received, Scripted, Step, clean, delta, event, serve, stream, token, usage

import loadcell
from loadcell.errors import UsageError
from loadcell.spec import build_spec, parse_arrivals, spec_fields, with_defaults
from loadcell.workload import load_tokenizer, plan
from loadcell.workload.arrivals import planned_ns

pytestmark = pytest.mark.usefixtures("alone")

POISSON, CONSTANT = parse_arrivals("poisson"), parse_arrivals("constant")
Kept = tuple[Scripted, Witness, Ran]
URL = "http://127.0.0.1:9"


def planned(**fields: Any) -> Any:
    """The plan of a short spec."""
    return plan(with_defaults(short_spec(URL, **fields)))


def prompt_of(request: Received) -> str:
    text: str = request.json()["messages"][0]["content"]
    return text


# --- a server that stalls --------------------------------------------------------------------------------------------

STALL_S, SERVICE_S, STALLED = 0.4, 0.01, 3


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scripted, Ran]:
    """24 requests, planned 20 ms apart, one at a time; each takes 10 ms, but one of the first 400 ms."""

    def script(request: Received) -> list[Step]:
        return reply(1, first_s=STALL_S if request.number == STALLED else SERVICE_S)

    with serve(script) as server:
        folder = tmp_path_factory.mktemp("stalled") / "run"
        return server, run_once(server.url, folder, rate=50.0, arrivals="constant", requests=24, concurrency=1)


def test_23_latency_starts_at_the_planned_time(stalled: tuple[Scripted, Ran]) -> None:
    """Response time is at least Lindley's recursion for these service times; service time knows nothing of the wait."""
    _, ran = stalled
    end_s, least_s = 0.0, []
    for number in range(24):
        due_s = number / 50
        end_s = max(end_s, due_s) + (STALL_S if number == STALLED else SERVICE_S)
        least_s.append(end_s - due_s)
    ttft = ran.result.latency["ttft_ms"]
    assert ttft.response is not None and ttft.response.mean is not None and ttft.service.mean is not None
    assert ttft.response.mean >= 1000 * float(np.mean(least_s)) > 150
    rows = ran.rows
    others = [row["first_any_ns"] - row["send_start_ns"] for row in rows if row["request"] != STALLED]
    assert float(np.median(others)) < 0.1e9  # those who waited in the client were served as quickly as the others
    waits = [row["send_start_ns"] - row["planned_ns"] for row in rows]
    assert ttft.response.mean - ttft.service.mean == pytest.approx(float(np.mean(waits)) / 1e6, abs=0.01)
    assert [row["planned_ns"] for row in rows] == [number * 20_000_000 for number in range(24)]


def test_24_a_rate_that_was_not_delivered_is_said(stalled: tuple[Scripted, Ran]) -> None:
    _, ran = stalled
    audit = ran.result.instrument
    assert audit.send_lateness.max_ms is not None and audit.send_lateness.max_ms > 300
    assert audit.on_time_share is not None and audit.on_time_share < 0.5
    assert ran.result.methodology.spec.load.rate == 50.0
    assert audit.arrivals.planned_rate == pytest.approx(50)
    assert audit.arrivals.sent_rate is not None and audit.arrivals.sent_rate < 40
    assert {check.name: check.word for check in ran.result.verdict.checks}["arrivals"] == "SUSPECT"
    assert any("50 planned" in reason for reason in ran.result.verdict.reasons)


def test_25_a_cap_drops_nothing(stalled: tuple[Scripted, Ran]) -> None:
    server, ran = stalled
    assert [request.number for request in server.load] == list(range(24))
    counts = ran.result.counts.run
    assert (counts.planned, counts.ok, counts.unsent) == (24, 24, 0)


# --- the arrival process ---------------------------------------------------------------------------------------------


def gap_cv(times_ns: NDArray[Any]) -> float:
    gaps = np.diff(times_ns)
    return float(gaps.std() / gaps.mean())


def dispersion(times_ns: NDArray[Any]) -> float:
    """Variance over mean of the arrivals in each second."""
    counts = np.bincount(times_ns // 10**9)[:-1]
    return float(counts.var() / counts.mean())


@pytest.fixture(scope="module")
def poisson(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """200 requests at 200/s by four workers."""
    with serve(lambda _: clean(1, ttft_s=0.005)) as server:
        folder = tmp_path_factory.mktemp("poisson") / "run"
        return run_once(server.url, folder, rate=200.0, requests=200, workers=4, output_tokens=1)


def test_26_poisson_is_poisson_whatever_the_number_of_workers(poisson: Ran) -> None:
    times = planned_ns(POISSON, 200.0, seed=0, duration_s=1000.0)
    assert gap_cv(times) == pytest.approx(1, abs=0.02)
    assert dispersion(times) == pytest.approx(1, abs=0.15)
    assert np.count_nonzero(times % 10**9 == 0) == 0  # no arrival on the whole second
    for workers in (1, 4):
        slices = [times[worker::workers] for worker in range(workers)]
        assert len(np.unique(np.concatenate(slices))) > 0.999 * len(times)
    alone = planned(rate=200.0, requests=200, workers=1, output_tokens=1).schedule
    rows = poisson.rows
    assert [row["planned_ns"] for row in rows] == alone.planned_ns.tolist()
    assert poisson.manifest.schedule_hash == alone.hash
    assert {row["worker"] for row in rows} == {0, 1, 2, 3}
    told = poisson.result.instrument.arrivals
    assert told.planned_gap_cv is not None and 0.8 < told.planned_gap_cv < 1.2


def test_27_constant_is_constant() -> None:
    for rate in (3.0, 50.0, 333.0):
        times = planned_ns(CONSTANT, rate, seed=0, duration_s=100.0)
        assert gap_cv(times) < 1e-6
        assert len(times) == pytest.approx(100 * rate, abs=1)


def test_28_the_count_keeps_its_variance() -> None:
    """Poisson counts have the variance of their mean; scaled to N/rate they would have none."""
    runs = [planned_ns(POISSON, 20.0, seed=seed, duration_s=5.0) for seed in range(200)]
    counts = np.array([len(times) for times in runs])
    assert counts.mean() == pytest.approx(100, abs=3)
    assert counts.var() == pytest.approx(100, rel=0.35)
    last = np.array([planned_ns(POISSON, 20.0, seed=seed, requests=100)[-1] for seed in range(200)]) / 1e9
    assert last.std() == pytest.approx(0.5, rel=0.25)


def test_29_sends_neither_drift_nor_tick(poisson: Ran) -> None:
    """Lateness does not grow, and is less than that of a 10 ms tick (5 ms in the middle)."""
    late_ms = np.array([row["send_start_ns"] - row["planned_ns"] for row in poisson.rows]) / 1e6
    assert late_ms.min() >= 0
    assert np.median(late_ms) < 4
    assert np.median(late_ms[-50:]) - np.median(late_ms[:50]) < 3


CLOCK_STEP = """
import mmap, time
plain_ns, plain = time.time_ns, time.time
with open({flag!r}) as file:
    moved = mmap.mmap(file.fileno(), 1, access=mmap.ACCESS_READ)
time.time_ns = lambda: plain_ns() + 3_600_000_000_000 * moved[0]
time.time = lambda: plain() + 3600 * moved[0]

from loadcell.core.native import NativeReader
turn = NativeReader.turn
def skewed(self, until_ns, *, wait):
    self._of.skew = 3_600_000_000_000 * moved[0]
    return turn(self, until_ns, wait=wait)
NativeReader.turn = skewed
"""
"""In either form. A call that took longer than the two clocks may differ by would look like a step itself."""


def test_30_a_step_of_the_wall_clock_moves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers' wall clock jumps by an hour in mid-run; what the kernel stamped by the old one is not believed."""
    flag, witness = tmp_path / "later", Witness()
    flag.write_bytes(b"\0")
    fault(monkeypatch, tmp_path, CLOCK_STEP.format(flag=str(flag)))

    def script(request: Received) -> list[Step]:
        if request.number == 4:
            with flag.open("r+b") as file:
                file.write(b"\1")
        return reply(4, first_s=0.03, gap_s=0.01)

    with serve(witness(script)) as server:
        ran = run(server.url, rate=20.0, arrivals="constant", requests=10)
    rows = ran.rows
    assert ran.statuses == ["ok"] * 10
    assert ran.result.instrument.workers[0].clock_steps == 1
    bounds = witness.bounds_ms(rows, witness.t0_ns(rows))
    assert lies_in(ran.result.latency["ttft_ms"].service.mean, bounds["ttft"], 10)
    assert lies_in(ran.result.latency["e2e_ms"].service.mean, bounds["e2e"], 10)
    assert max(row["send_start_ns"] - row["planned_ns"] for row in rows) < 0.5e9


# --- randomness and prompts ------------------------------------------------------------------------------------------

HASHES = """
import hashlib
from loadcell.spec import build_spec, with_defaults
from loadcell.workload import plan
tree = {"endpoint": {"url": "http://x"}, "load": {"rate": 5.0, "requests": 50},
        "workload": {"input_tokens": "lognormal:50,0.5", "output_tokens": "uniform:5,50"}, "run": {"seed": 7}}
made = plan(with_defaults(build_spec(tree)))
print(made.schedule.hash, hashlib.sha256("\\0".join(made.prompts).encode()).hexdigest())
"""


def test_31_three_processes_plan_the_same() -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", HASHES], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONHASHSEED": seed}
        )
        for seed in ("0", "1", "random")
    ]
    said = {child.communicate(timeout=60)[0] for child in children}
    assert len(said) == 1 and re.fullmatch(r"[0-9a-f]{64} [0-9a-f]{64}\n", said.pop())


def test_32_a_range_has_one_meaning() -> None:
    """LO to HI, both included, all equally often."""
    lengths = planned(
        concurrency=1, requests=4000, input_tokens="uniform:5,14", output_tokens="uniform:80,120"
    ).schedule
    assert set(lengths.input_tokens.tolist()) == set(range(5, 15))
    assert (lengths.output_tokens.min(), lengths.output_tokens.max()) == (80, 120)
    assert lengths.output_tokens.mean() == pytest.approx(100, abs=1)
    with pytest.raises(UsageError, match="LO comes before HI"):
        planned(concurrency=1, requests=1, input_tokens="uniform:14,5")


class Cache:
    """A server with a prefix cache: it tells how much of each prompt it had seen, in blocks of 4 words."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def __call__(self, request: Received) -> list[Step]:
        words = prompt_of(request).split()
        prefixes = [" ".join(words[:end]) for end in range(4, len(words) + 1, 4)]
        hits = sum(prefix in self.known for prefix in prefixes)
        self.known.update(prefixes)
        told = usage(1, prompt=len(words)) | {"prompt_tokens_details": {"cached_tokens": 4 * hits}}
        return stream(event(token()), event(delta(finish="stop") | {"usage": told}))


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scripted, Ran, Ran, Ran]:
    """Twice with one seed and salt, then with one of its own, to a server that remembers; it sees the probes too."""
    cache, folder = Cache(), tmp_path_factory.mktemp("cached")
    with serve(cache, probe=cache) as server:
        first, second, fresh = (
            run_once(server.url, folder / str(n), requests=40, concurrency=4, input_tokens="uniform:8,60",
                     output_tokens=1, **salt)
            for n, salt in enumerate(({"salt": "one"}, {"salt": "one"}, {}))
        )  # fmt: skip
    return server, first, second, fresh


def test_33_prompts_have_the_asked_length(cached: tuple[Scripted, Ran, Ran, Ran]) -> None:
    server, first, _, _ = cached
    count = load_tokenizer("smollm2").count
    asked = {row["request"]: row["input_tokens"] for row in first.rows}
    assert [count(prompt_of(request)) for request in server.load] == [asked[request.number] for request in server.load]
    assert min(asked.values()) >= 8 and max(asked.values()) <= 60
    long = planned(concurrency=1, requests=2, input_tokens="1024")
    assert [count(prompt) for prompt in long.prompts] == [1024, 1024]


def test_34_a_warm_prefix_cache_is_said_and_a_repetition_has_other_prompts(
    cached: tuple[Scripted, Ran, Ran, Ran],
) -> None:
    _, first, second, fresh = cached
    shares = [ran.result.instrument.tokens.cached_share for ran in (first, second, fresh)]
    assert shares[0] is not None and shares[0] < 0.01
    assert shares[1] is not None and shares[1] > 0.8
    assert shares[2] is not None and shares[2] < 0.01  # another salt: the same lengths of other prompts
    words = [{check.name: check.word for check in ran.result.verdict.checks} for ran in (first, second, fresh)]
    assert [checks["cached_prompts"] for checks in words] == ["VALID", "SUSPECT", "VALID"]
    assert len({ran.manifest.schedule_hash for ran in (first, second, fresh)}) == 1
    assert any("cache" in reason for reason in second.result.verdict.reasons)
    tree = {"endpoint": {"url": URL}, "load": {"requests": 50}, "workload": {"input_tokens": "16"}}
    texts = [
        set(plan(with_defaults(build_spec(tree | {"run": {"repetition": repetition}}))).prompts)
        for repetition in (0, 1)
    ]
    assert len(texts[0]) == 50 and texts[0].isdisjoint(texts[1])


def test_35_prompts_share_no_prefix_by_accident() -> None:
    """The longest common prefix of any two of 2,000 prompts: next to each other when sorted."""
    prompts = sorted(planned(concurrency=1, requests=2000, input_tokens="uniform:20,80").prompts)
    longest = 0
    for one, other in itertools.pairwise(prompts):
        pairs = list(zip(one.split(), other.split(), strict=False))
        longest = max(longest, next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs)))
    assert longest <= 4


def test_36_nothing_of_the_load_is_asked_before_it(cached: tuple[Scripted, Ran, Ran, Ran]) -> None:
    server, first, _, _ = cached
    load = [prompt_of(request) for request in server.load[:40]]
    assert len(set(load)) == 40
    assert server.probes
    for probe in server.probes:
        assert not any(prompt.startswith(prompt_of(probe)) for prompt in load)
    assert first.result.instrument.tokens.cached_share == 0


def test_37_as_many_requests_as_asked_and_never_more_users(kept: Kept) -> None:
    server, witness, ran = kept
    assert sorted(request.number for request in server.load) == list(range(48))
    assert ran.result.counts.run.planned == 48
    assert witness.most_active <= 12
    assert ran.result.concurrency.max == 12


def test_38_every_option_is_read_and_none_is_taken_in_silence() -> None:
    folder = Path(loadcell.__file__).parent
    source = "".join(file.read_text() for file in folder.rglob("*.py") if file.parent.name != "spec")
    names = {path.rpartition(".")[2] for path in spec_fields()}
    assert {name for name in names if not re.search(rf'[."]{name}\b', source)} == set()
    for tree in ({"load": {"use_beam_search": True}}, {"workload": {"osl_distribution": "fixed"}}, {"timestamps": {}}):
        with pytest.raises(UsageError, match="unknown"):
            build_spec({"endpoint": {"url": URL}} | tree)

"""The verdict: each line of the audit turns it at its limits, with figure, limit and advice in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made import MS, build, ok_request

from loadcell.metrics import Bias, Calibration, Check, Counts, Result, Summary, Verdict, build_result
from loadcell.metrics.checks_load import failure_notes
from loadcell.metrics.model import Budget, Feeding, Goodput, ServerPart, ServerSide, Share, StoppedEarly
from loadcell.metrics.verdict import judge
from loadcell.recording.read import Recording

Make = Callable[..., Recording]
replace = msgspec.structs.replace

_AUDIT = {
    "issued": 400, "cpu_s": 0.01, "reads": 4000, "reads_without_stamp": 0, "clock_steps": 0, "gc_pause_max_ns": 0,
    "busy_ns_by_s": [10 * MS] * 5, "stalls": [], "core_wait_ns": 0, "load_ns": 5_000 * MS, "switches_involuntary": 0,
    "connect_failures": 0, "no_ports": 0, "no_descriptors": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """An open loop in which nothing is wrong: TTFT 50 ms, ITL 20 ms."""
    rows = [ok_request(i, start_ms=10 * i, planned_ns=10 * i * MS, ready_ns=None, asked_tokens=10) for i in range(400)]
    recording = build(
        tmp_path_factory.mktemp("good") / "run", rows, loop="open", planned=[10.0 * i for i in range(400)],
        audits=[_AUDIT],
        effective={"model": "m", "ramp_s": 0.0, "ignore_eos": True, "reuse_connections": True},
    )  # fmt: skip
    host = {"steal_share": 0.0, "server": "elsewhere"}
    return build_result(replace_recording(recording, host=host))


def replace_recording(recording: Recording, **fields: Any) -> Recording:
    return type(recording)(**{**recording.__dict__, **fields})


def named(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def with_instrument(result: Result, part: str = "", **fields: Any) -> Result:
    own = result.instrument
    if part == "worker":
        own = replace(own, workers=[replace(own.workers[0], **fields)])
    elif part:
        own = replace(own, **{part: replace(getattr(own, part), **fields)})
    else:
        own = replace(own, **fields)
    return replace(result, instrument=own)


def test_a_good_run_is_valid_and_says_nothing(good: Result) -> None:
    assert good.verdict.word == "VALID", good.verdict.reasons
    assert good.verdict.reasons == []
    assert {check.word for check in good.verdict.checks} <= {"VALID", None}


# Check, where its figure stands, a figure that is VALID, SUSPECT and INVALID (None: it never is).
_LIMITS = [
    ("clock_steps", "worker", "clock_steps", 1, 2, None),
    ("connections", "connections", "new", 4, 5, None),
    ("exhaustion", "connections", "no_ports", 0, 4, 5),
    ("token_closure", "tokens", "difference_share", 0.001, 0.02, 0.021),
    ("short_outputs", "tokens", "short_share", 0.01, 0.02, None),
    ("long_outputs", "tokens", "long_share", 0.01, 0.02, None),
    ("cached_prompts", "tokens", "cached_share", 0.1, 0.11, None),
    ("prompt_tokens", "tokens", "prompt_ratio", 1.04, 1.06, None),
    ("gaps", "arrivals", "sent_gap_cv", 0.1, 0.11, None),
]
# Symptom, where its figure stands, one that is usual and one that is not.
_SYMPTOMS = [
    ("busy", "worker", "busy_share", 0.5, 0.51),
    ("stall", "", "longest_stall_ms", 5.0, 51.0),
    ("core_wait", "worker", "core_wait_share", 0.02, 0.11),
    ("switches", "worker", "switches_per_s", 1000.0, 1001.0),
    ("steal", "host", "steal_share", 0.01, 0.06),
    ("send_lateness", "send_lateness", "p99_ms", 1.0, 1.1),
    ("on_time", "", "on_time_share", 0.991, 0.98),
    ("read_lag", "read_lag", "p99_ms", 1.0, 20.0),
    ("merged", "", "merged_by_client_share", 0.001, 0.021),
    ("stamps", "", "reads_without_stamp", 4, 5),
]


@pytest.mark.parametrize(("name", "part", "field", "valid", "suspect", "invalid"), _LIMITS, ids=[x[0] for x in _LIMITS])
def test_limits(good: Result, name: str, part: str, field: str, valid: Any, suspect: Any, invalid: Any) -> None:
    for value, word in ((valid, "VALID"), (suspect, "SUSPECT"), (invalid, "INVALID")):
        if value is None:
            continue
        verdict = judge(with_instrument(good, part, **{field: value}))
        assert (verdict.word, named(verdict, name).word) == (word, word), value
        if word != "VALID":
            assert len(verdict.reasons) == 1
            assert "(limit " in verdict.reasons[0] and str(named(verdict, name).advice) in verdict.reasons[0]


@pytest.mark.parametrize(("name", "part", "field", "usual", "odd"), _SYMPTOMS, ids=[x[0] for x in _SYMPTOMS])
def test_a_symptom_is_noted_and_judges_nothing(
    good: Result, name: str, part: str, field: str, usual: Any, odd: Any
) -> None:
    for value, word in ((usual, "VALID"), (odd, "NOTED")):
        verdict = judge(with_instrument(good, part, **{field: value}))
        found = named(verdict, name)
        assert (verdict.word, verdict.reasons, found.word) == ("VALID", [], word), value
        assert (found.advice is not None) is (word == "NOTED") and "(usual: up to " in found.says


def with_endpoint(result: Result, **fields: Any) -> Result:
    spec = result.methodology.spec
    spec = replace(spec, endpoint=replace(spec.endpoint, **fields))
    return replace(result, methodology=replace(result.methodology, spec=spec))


def test_reads_without_a_stamp_have_the_advice_of_where_they_came_from(good: Result) -> None:
    bare = with_instrument(good, reads_without_stamp=4000)
    assert named(judge(bare), "stamps").advice == "measure from Linux, where the kernel stamps every read"
    local = with_endpoint(bare, url="http+unix://%2Frun%2Fserver.sock/v1")
    assert "load the server over TCP" in str(named(judge(local), "stamps").advice)


def test_a_share_of_ttft_is_spoken_of_only_where_there_is_one(good: Result) -> None:
    late = with_instrument(good, on_time_share=0.98)
    assert "1 % of TTFT" in named(judge(late), "on_time").says
    says = named(judge(with_endpoint(late, stream=False)), "on_time").says
    assert says.startswith("client late or early by more than 1 ms, on 2 % of sends"), says


@pytest.mark.parametrize(("name", "part", "field"), [x[:3] for x in (*_LIMITS, *_SYMPTOMS) if x[0] != "send_lateness"])
def test_a_missing_figure_is_not_judged(good: Result, name: str, part: str, field: str) -> None:
    found = with_instrument(good, part, **{field: None})
    if name == "read_lag":
        found = with_instrument(found, part, max_ms=None)
    if name in ("connections",):
        found = with_instrument(good, part, new=0, reused=0)
    verdict = judge(found)
    assert named(verdict, name).word is None
    assert verdict.word == "VALID"


def with_ttft(result: Result, summary: Summary) -> Result:
    """The result with another distribution of TTFT from the send."""
    ttft = replace(result.latency["ttft_ms"], service=summary)
    return replace(result, latency=result.latency | {"ttft_ms": ttft})


def with_budget(result: Result, name: str, low: float, high: float) -> Result:
    """The result with the budget of a figure of TTFT (50 ms) at other ends."""
    summary, budget = result.latency["ttft_ms"].service, Budget(low=low, high=high)
    if name in ("mean", "max", "sd"):
        return with_ttft(result, replace(summary, **{f"{name}_budget": budget}))
    return with_ttft(result, replace(summary, **{name: replace(getattr(summary, name), budget=budget)}))


@pytest.mark.parametrize("name", ["mean", "p50", "p90", "p99"])
def test_a_budget_too_wide_turns_the_word(good: Result, name: str) -> None:
    """TTFT is 50 ms throughout: 1 % are 0.5 ms, 5 % are 2.5 ms."""
    for low, word in ((49.51, "VALID"), (49.49, "SUSPECT"), (47.51, "SUSPECT"), (47.49, "INVALID")):
        verdict = judge(with_budget(good, name, low, 50.0))
        assert (verdict.word, named(verdict, "ttft_budget").word) == (word, word), low
        if word != "VALID":
            (reason,) = verdict.reasons
            assert reason.startswith(
                f"TTFT service {name} of 50 ms is {low:.4g} ms to 50 ms by the client's clock readings"
            )


@pytest.mark.parametrize("name", ["p99_9", "max", "sd", "p95"])
def test_what_lies_further_out_turns_no_word(good: Result, name: str) -> None:
    assert judge(with_budget(good, name, 1.0, 50.0)).word == "VALID"


def test_a_tenth_of_a_millisecond_is_always_allowed(good: Result) -> None:
    summary = good.latency["ttft_ms"].service
    tiny = replace(summary.p50, value=0.5, budget=Budget(low=0.41, high=0.5))
    assert judge(with_ttft(good, replace(summary, p50=tiny))).word == "VALID"
    tiny = replace(tiny, budget=Budget(low=0.39, high=0.5))
    assert judge(with_ttft(good, replace(summary, p50=tiny))).word == "INVALID"


def test_a_rate_and_the_attainment_are_judged_too(good: Result) -> None:
    rates = good.throughput
    assert rates.requests_per_s is not None
    slow = replace(rates, requests_budget=Budget(low=rates.requests_per_s, high=rates.requests_per_s * 1.02))
    verdict = judge(replace(good, throughput=slow))
    assert verdict.word == "SUSPECT" and verdict.reasons[0].startswith("Requests/s of ")
    kept = Goodput(
        anchor="response", planned=400, good=388, goodput_per_s=97.0, limits={},
        attainment=Share(value=0.97, low=0.95, high=0.98), attainment_budget=Budget(low=0.97, high=0.99),
    )  # fmt: skip
    verdict = judge(replace(good, goodput=kept))
    assert verdict.word == "SUSPECT" and verdict.reasons[0].startswith("Attainment of 97.0 % is 97.0 % to 99.0 %")


def test_the_worst_symptom_explains_a_budget(good: Result) -> None:
    wide = with_budget(good, "p50", 40.0, 50.0)
    assert "client has little to do" in judge(wide).reasons[0]
    busy = with_instrument(with_instrument(wide, "worker", busy_share=0.9), longest_stall_ms=51.0)
    (reason,) = judge(busy).reasons
    assert "a load process was busy for 90 % of the time (usual: up to 50 %)" in reason
    assert "--workers" in reason or "halve the rate" in reason
    stalled = with_instrument(busy, longest_stall_ms=2000.0)  # of 4 s
    assert "stood still for 2,000 ms" in judge(stalled).reasons[0]


def test_figures_that_nothing_bounds_are_suspect(good: Result) -> None:
    bare = {
        name: replace(entry, service=replace(entry.service, mean_budget=None)) for name, entry in good.latency.items()
    }
    verdict = judge(replace(good, latency=bare))
    assert verdict.word == "SUSPECT" and "does not bound its times" in verdict.reasons[0]


def test_what_is_usual_follows_the_latencies_measured(good: Result) -> None:
    """A lateness of 8 ms is nothing beside a TTFT of one second."""
    late = with_instrument(good, "send_lateness", p99_ms=8.0)
    assert named(judge(late), "send_lateness").word == "NOTED"
    summary = good.latency["ttft_ms"].service
    slow = with_ttft(late, replace(summary, p50=replace(summary.p50, value=1000.0)))
    assert named(judge(slow), "send_lateness").word == "VALID"


def test_the_worst_word_wins_and_its_reason_comes_first(good: Result) -> None:
    verdict = judge(
        with_instrument(with_budget(good, "p50", 10.0, 50.0), "host", server="same cores", taken_share=0.03)
    )
    assert verdict.word == "INVALID"
    assert verdict.reasons[0].startswith("TTFT service p50 of 50 ms is 10 ms to 50 ms")
    assert "--shared-host" in verdict.reasons[1]


def test_advice_names_workers_only_where_there_are_cores_for_them(good: Result) -> None:
    def advice(cores: int) -> str | None:
        method = replace(good.methodology, environment={"cores_allowed": cores})
        busy = with_instrument(replace(good, methodology=method), "worker", busy_share=0.4)
        return named(judge(with_instrument(busy, "read_lag", p99_ms=20.0)), "read_lag").advice

    assert advice(8) == "use --workers 2 or halve the rate"
    assert advice(2) == "halve the rate, or load from a machine with more cores"


def test_a_client_with_little_to_do_is_not_told_to_do_less(good: Result) -> None:
    late = named(judge(with_instrument(good, "send_lateness", p99_ms=8.0)), "send_lateness").advice
    assert late is not None and late.startswith("the client has little to do, so keep other work off")


def test_users_missing_for_their_failures_are_not_sent_to_a_longer_run(good: Result) -> None:
    closed = replace(
        good,
        methodology=replace(good.methodology, loop="closed"),
        concurrency=replace(good.concurrency, asked=4, mean=0.4),
    )
    assert "longer --duration" in str(named(judge(closed), "concurrency").advice)
    failed = replace(closed.counts.window, ok=10, failed=390)
    failing = replace(closed, counts=replace(closed.counts, window=failed))
    assert str(named(judge(failing), "concurrency").advice).endswith("see the errors")


def test_a_tenth_of_failures_is_suspect_not_invalid_by_the_users_that_they_idled(good: Result) -> None:
    closed = replace(
        good,
        methodology=replace(good.methodology, loop="closed"),
        concurrency=replace(good.concurrency, asked=8, mean=6.689),
        steady=replace(good.steady, method="asked"),
    )
    failed = replace(closed.counts.window, ok=360, failed=40)
    failing = judge(replace(closed, counts=replace(closed.counts, window=failed)))
    assert (named(failing, "failures").word, named(failing, "concurrency").word) == ("SUSPECT", "SUSPECT")
    assert named(judge(closed), "concurrency").word == "INVALID"


@pytest.mark.parametrize(
    ("server", "declared", "taken", "word"),
    [
        ("elsewhere", False, None, "VALID"), ("other cores", False, None, "VALID"),
        ("other cores", False, 0.4, "VALID"), ("same cores", False, None, None),
        ("same cores", False, 0.009, "VALID"), ("same cores", False, 0.011, "SUSPECT"),
        ("this machine", False, 0.011, "SUSPECT"), ("same cores", True, 0.3, "VALID"), (None, False, None, None),
    ],
)  # fmt: skip
def test_what_a_load_took_from_a_server_beside_it_counts_not_where_it_runs(
    good: Result, server: str | None, declared: bool, taken: float | None, word: str
) -> None:
    by = "the CPU time of the load"
    verdict = judge(with_instrument(good, "host", server=server, declared=declared, taken_share=taken, taken_by=by))
    check = named(verdict, "shared_host")
    assert check.word == word
    assert taken is None or by in check.says


def test_failures_never_pass_unseen(good: Result) -> None:
    inside = good.counts.window

    def verdict(failed: int) -> Verdict:
        counts = replace(good.counts, window=replace(inside, ok=inside.ok - failed, failed=failed))
        return judge(replace(good, counts=counts))

    assert (inside.planned, [verdict(n).word for n in (20, 21, 200, 201)]) == (
        400, ["VALID", "SUSPECT", "SUSPECT", "INVALID"],
    )  # fmt: skip
    assert "5.2 % of requests failed" in verdict(21).reasons[0]
    assert "rates and latencies are of those that succeeded" in verdict(201).reasons[0]
    none = replace(good.counts, run=replace(good.counts.run, ok=0, failed=400))
    assert judge(replace(good, counts=none)).word == "INVALID"


@pytest.mark.parametrize(("failed", "told"), [(4, False), (5, True), (20, True), (21, False)])
def test_few_failures_are_a_note(failed: int, told: bool) -> None:
    """Above one percent a reader must know; above five the verdict says it."""
    counts = Counts(planned=400, ok=400 - failed, failed=failed, cancelled=0, unsent=0)
    found = failure_notes(counts, 12.0)
    assert bool(found) == told
    if told:
        share = f"{failed / 4:.2g} %"
        assert found == [
            f"{share} of requests failed, which received 12 tokens/s: rates and latencies are of those that succeeded"
        ]


def test_the_template_in_the_cache_is_left_out_where_it_is_known(good: Result) -> None:
    known = replace(good, methodology=replace(good.methodology, effective={"prompts_counted_by": "server"}))
    for share, word in ((0.02, "VALID"), (0.021, "SUSPECT")):
        verdict = judge(with_instrument(known, "tokens", cached_share=0.3, cached_beyond_share=share))
        assert named(verdict, "cached_prompts").word == word


def test_unsent_requests_turn_it(good: Result) -> None:
    one = replace(good.counts, window=replace(good.counts.window, planned=10_000, unsent=1))
    many = replace(good.counts, window=replace(good.counts.window, planned=10_000, unsent=11))
    assert (judge(replace(good, counts=one)).word, judge(replace(good, counts=many)).word) == ("SUSPECT", "INVALID")


def test_a_rate_that_was_not_delivered(good: Result) -> None:
    verdict = judge(with_instrument(good, "arrivals", planned_rate=100.0, sent_rate=58.0))
    assert verdict.word == "INVALID"
    assert "58 requests/s sent in the window for 100 planned" in verdict.reasons[0]


def test_a_cap_that_holds_requests_back_is_not_the_machine(good: Result) -> None:
    """Of 19 requests/s planned a cap of 3 let 3.5 through; the advice was a machine with more cores."""
    capped = replace(good, concurrency=replace(good.concurrency, asked=3))
    arrivals = replace(good.instrument.arrivals, planned_rate=19.0, sent_rate=3.5)
    verdict = judge(replace(capped, instrument=replace(capped.instrument, arrivals=arrivals)))
    found = next(check for check in verdict.checks if check.name == "arrivals")
    assert found.word == "SUSPECT" and found.advice and "--concurrency" in found.advice and "cores" not in found.advice


def test_waiting_for_the_cap_is_no_lateness_of_the_instrument(good: Result) -> None:
    capped = replace(good, concurrency=replace(good.concurrency, asked=4))
    verdict = judge(with_instrument(with_instrument(capped, "send_lateness", p99_ms=900.0), on_time_share=0.1))
    assert verdict.word == "VALID"
    assert named(verdict, "send_lateness").word is None


def test_a_closed_loop_must_reach_its_concurrency(good: Result) -> None:
    closed = replace(good, methodology=replace(good.methodology, loop="closed"))
    words = {
        mean: judge(replace(closed, concurrency=replace(good.concurrency, asked=100, mean=mean))).word
        for mean in (99.0, 98.0, 94.0)
    }
    assert words == {99.0: "VALID", 98.0: "SUSPECT", 94.0: "INVALID"}


def test_a_queue_that_grows_is_suspect(good: Result) -> None:
    says = "the queue grows by 3.1 requests/s"
    verdict = judge(replace(good, steady=replace(good.steady, stable=False, says=says)))
    assert verdict.word == "SUSPECT" and verdict.reasons[0].startswith(f"unstable: {says}: ")


def test_what_the_run_says_against_itself_makes_it_invalid(good: Result) -> None:
    assert judge(replace(good, invalid=["worker 1 died"])).reasons[0].startswith("worker 1 died")


def test_a_run_without_its_audit_is_suspect(make: Make) -> None:
    rows = [ok_request(i, start_ms=10 * i) for i in range(400)]
    verdict = build_result(make(rows)).verdict
    assert verdict.word == "SUSPECT" and "own counters are missing" in verdict.reasons[0]


def test_a_proxy_is_said(good: Result) -> None:
    method = replace(good.methodology, effective=good.methodology.effective | {"proxy": "http://p:3128"})
    assert "http://p:3128" in judge(replace(good, methodology=method)).reasons[0]


@pytest.mark.parametrize(
    ("loop", "ends"), [("open", "response times include the connect"), ("closed", "no latency includes the connect")]
)
def test_a_server_that_keeps_no_connection_is_said(good: Result, loop: str, ends: str) -> None:
    """Each request opens its own, however many that are: no share of them is judged."""
    method = replace(good.methodology, loop=loop, effective=good.methodology.effective | {"reuse_connections": False})
    used = replace(good.instrument.connections, new=400, reused=0)
    check = named(judge(with_instrument(replace(good, methodology=method), connections=used)), "connections")
    assert check.word == "VALID" and check.says.endswith(ends)


@pytest.mark.parametrize(("late", "word"), [(4, "VALID"), (5, "SUSPECT"), (None, None)])
def test_requests_that_were_made_too_late(good: Result, late: int | None, word: str | None) -> None:
    """Of 400."""
    feeding = Feeding(made=400, bytes=1, cpu_s=0.1, late=late, wait_s=None)
    check = named(judge(with_instrument(good, feeding=feeding)), "requests_made")
    assert check.word == word
    assert late is None or check.says.startswith(f"{late} of 400 requests were sent late")


def with_own_ttft(result: Result, *sides: tuple[str, float, float]) -> Result:
    part = ServerPart(mean_ms=None, p50_ms=None, p99_ms=None, share=None)
    told = [
        ServerSide(
            source=source, requests=400, ttft_ms=ttft, queue=part, prefill=part, unattributed=part, own_ttft_ms=own
        )
        for source, ttft, own in sides
    ]
    return replace(result, server=told)


@pytest.mark.parametrize(
    ("ttft", "own", "word"),
    [
        (50.0, 45.0, "VALID"), (50.1, 45.0, "SUSPECT"), (45.0, 50.1, "SUSPECT"), (220.0, 200.0, "VALID"),
        (221.0, 200.0, "SUSPECT"), (180.0, 200.0, "VALID"), (179.0, 200.0, "SUSPECT"),
    ],
)  # fmt: skip
def test_the_servers_own_ttft(good: Result, ttft: float, own: float, word: str) -> None:
    """Of its page where that tells it, else of its replies; 10 % apart at most, or 5 ms."""
    check = named(judge(with_own_ttft(good, ("vLLM metrics", 50.0, 9.0), ("Prometheus", ttft, own))), "server_ttft")
    assert check.word == word
    assert check.says.startswith(
        f"TTFT was {ttft:.4g} ms mean at the client and {own:.4g} ms by the server's own clock"
    )


@pytest.mark.parametrize(("kind", "told"), [("failures", True), ("saturated", False), ("decided", False)])
def test_a_load_that_its_failures_ended_is_invalid(good: Result, kind: str, told: bool) -> None:
    stopped = StoppedEarly(kind=kind, at_s=2.0, reason="too many failed", cancelled=True)
    checks = judge(replace(good, run=replace(good.run, stopped=stopped))).checks
    found = [(check.word, check.says) for check in checks if check.name == "given up"]
    assert found == [("INVALID", "the load was ended because of its failures: too many failed")] * told


@pytest.mark.parametrize(
    ("p50", "p99", "word"), [(0.1, 0.6, "VALID"), (0.6, 0.5, "SUSPECT"), (-0.6, 0.5, "SUSPECT"), (0.1, 0.7, "SUSPECT")]
)
def test_the_self_test_judges_where_its_bias_is_beyond_the_budget(
    good: Result, p50: float, p99: float, word: str
) -> None:
    """TTFT is 50 ms: up to 0.5 ms beyond the budget (0.1 ms below at p99) and the 0.02 ms between the processes."""
    known = Calibration(
        measured_at="2026-01-01", streams=64, tokens_per_s=6400, workers=1,
        bias={"ttft": Bias(p50=0.01, p99=0.1, p50_ms=p50, p99_ms=p99)}, cpu_us_per_token=14.0,
        limits_tokens_per_s={"1 %": 6400.0}, ratio=1.0,
    )  # fmt: skip
    found = with_budget(replace(good, calibration=known), "p99", 49.9, 50.0)
    assert judge(found).word == word


@pytest.mark.parametrize(("unsent", "says"), [(0, "the run ended early"), (3, "early: 3 planned requests were left")])
def test_an_early_end_names_what_was_left_if_anything(good: Result, unsent: int, says: str) -> None:
    left = replace(good.counts, window=replace(good.counts.window, unsent=unsent))
    ended = replace(good, run=replace(good.run, state="interrupted"), counts=left)
    assert named(judge(ended), "unsent").says.endswith(says)


def test_the_failures_say_what_they_got(good: Result) -> None:
    counts = replace(good.counts, window=replace(good.counts.window, ok=300, failed=100))
    failing = replace(good, counts=counts, throughput=replace(good.throughput, failed_tokens_per_s=250.0))
    assert named(judge(failing), "failures").says == (
        "25 % of requests failed, which received 250 tokens/s (limit 5 %)"
    )

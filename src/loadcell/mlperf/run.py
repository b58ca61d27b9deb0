"""A performance run from its plan to its Outcome: probe, search, run, and run again where only the size was wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec

from loadcell.errors import EndpointError
from loadcell.load import run_load
from loadcell.mlperf.folder import OUTCOME, PERFORMANCE, PROBE, PROMPTS, RUN
from loadcell.mlperf.model import Outcome, RunPlan
from loadcell.mlperf.outcome import outcome
from loadcell.mlperf.peak import next_rate
from loadcell.mlperf.planning import Planned, size
from loadcell.mlperf.settings import expected_tokens
from loadcell.mlperf.wish import Probed, Wish
from loadcell.recording.campaign import keep_whole, set_aside
from loadcell.recording.read import Recording, dump_json, open_recording
from loadcell.search import saturation_steer
from loadcell.spec import Load, LoadGen, Spec
from loadcell.workload.loadgen import SAMPLES_PER_QUERY

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch

_PROBE_USERS, _PROBE_S, _PROBE_TOKENS = 32, 2.0, 128
_PROBE_ALONE = 3
"""Offline: users and time of the probe; else requests one after the other (of eight users, rounds)."""
_CHARACTERS_A_TOKEN = 4
_LONGEST_PROMPT = 4096
_EXTENSIONS = 3
"""Offline runs that were too short are run again so often: each of them took less than the minimum duration."""
_HEADROOM = 1.1
"""A longer run of more requests at once is faster than the one that it is sized by."""


def probe(plan: RunPlan, spec: Spec, folder: Path, watch: Watch) -> Probed:
    """What a few synthetic requests show, about as long as those of prompts.jsonl; recorded in `folder`/probe.

    None of the samples is sent, so that no cache knows them when the run begins. EndpointError if no request succeeds.
    """
    scenario, most = plan.rules.scenario, plan.rules.max_output_tokens or _PROBE_TOKENS
    load: dict[str, Any] = {
        "timeout_s": spec.load.timeout_s,
        "connect_timeout_s": spec.load.connect_timeout_s,
        "ramp_s": 0.0,
        "keep_load": False,
    }
    if scenario == "offline":
        users = min(_PROBE_USERS, spec.load.concurrency or 1)
        load |= {"concurrency": users, "duration_s": _PROBE_S}
    else:
        users = SAMPLES_PER_QUERY if scenario == "multistream" else 1
        load |= {"concurrency": users, "requests": _PROBE_ALONE * users, "lockstep": users > 1}
    workload = {
        "prompts": None,
        "input_tokens": str(_prompt_tokens(folder / PROMPTS)),
        "output_tokens": str(min(most, _PROBE_TOKENS)),
    }
    small = msgspec.structs.replace(
        spec,
        load=Load(**load),
        loadgen=LoadGen(),
        workload=msgspec.structs.replace(spec.workload, **workload),
        run=msgspec.structs.replace(spec.run, workers=1, keep_text=False),
    )
    home = folder / PROBE
    if home.exists():
        set_aside(home)
    if run_load(small, home, watch).state == "interrupted":
        raise KeyboardInterrupt
    return _read_probe(open_recording(home), plan)


def _prompt_tokens(prompts: Path) -> int:
    """About how long a prompt is."""
    data = prompts.read_bytes()
    return max(1, min(_LONGEST_PROMPT, len(data) // max(1, data.count(b"\n")) // _CHARACTERS_A_TOKEN))


def _read_probe(recording: Recording, plan: RunPlan) -> Probed:
    """Rate and latency, stretched to the outputs that the benchmark is expected to have."""
    table = recording.requests(("status", "error", "send_start_ns", "end_ns", "output_tokens"))
    good = table["status"] == "ok"
    if not good.any():
        why = next((str(text) for text in table["error"] if text), "nothing was sent")
        raise EndpointError(f"no request of the probe before the run succeeded: {why}")
    starts, ends = table["send_start_ns"][good], table["end_ns"][good]
    tokens = table["output_tokens"][good].mean()
    asked, probed = expected_tokens(plan.rules), min(plan.rules.max_output_tokens or _PROBE_TOKENS, _PROBE_TOKENS)
    stretch = asked / tokens if asked and asked > probed and tokens > 0 else 1.0
    span_s = float(ends.max() - starts.min()) / 1e9
    latency_s = median((ends - starts).tolist()) / 1e9
    return Probed(int(good.sum()) / span_s / stretch, latency_s * stretch)


def needs_probe(plan: RunPlan, wish: Wish) -> bool:
    """Whether the size or the time of the run follows from how fast the endpoint is, and nobody said."""
    return plan.rules.scenario in ("offline", "singlestream", "multistream") and wish.expected_qps is None


def run_performance(planned: Planned, folder: Path, watch: Watch, *, selftest: dict[str, Any] | None = None) -> Outcome:
    """Run what the plan asks for into `folder`/performance, unless it is there in full, and judge it.

    Writes outcome.json. An interrupted run has an outcome too, which says so.
    """
    home = folder / PERFORMANCE
    if not keep_whole(home):
        load = planned.spec.load
        steer = saturation_steer(None) if load.stop_when_saturated and load.rate is not None else None
        run_load(planned.spec, home, watch, selftest=selftest, steer=steer)
    return judge_again(folder)


def judge_again(folder: Path) -> Outcome:
    """The outcome of the recorded run, written to outcome.json too."""
    found = outcome(folder)
    dump_json(folder / OUTCOME, found)
    return found


def run_until_sized(
    planned: Planned,
    folder: Path,
    watch: Watch,
    wish: Wish,
    say: Callable[[str], None],
    *,
    selftest: dict[str, Any] | None = None,
) -> Outcome:
    """As `run_performance`; a run that was too short, or whose rate from a search was too high, is set aside and run
    again, which `say` is told and the plan's history keeps."""
    while True:
        RUN.write(folder, planned.plan)
        found = run_performance(planned, folder, watch, selftest=selftest)
        again = None if found.state != "complete" else next_size(planned.plan, found)
        if again is None:
            return found
        rate, why = again
        set_aside(folder / PERFORMANCE)
        history = [*planned.plan.history, why]
        plan = msgspec.structs.replace(planned.plan, history=history)
        planned = size(plan, planned.spec, wish, rate)
        say(f"{why}; once more: {load_words(planned.plan)}")


def next_size(plan: RunPlan, found: Outcome) -> tuple[float, str] | None:
    """The rate by which the run is to be sized anew, and in words why; None if it may stand as it is."""
    if plan.find_peak:
        return next_rate(plan, found)
    score, least_s = found.score, plan.rules.min_duration_s
    took_s = None if score.end_ns is None else score.end_ns / 1e9
    short = plan.rules.scenario == "offline" and took_s is not None and took_s < least_s
    if not short or score.failed or not took_s or len(plan.history) >= _EXTENSIONS:
        return None
    rate = score.samples / took_s
    words = f"{score.samples:,} samples took {took_s:.3g} s, less than the {least_s:g} s that the rule asks for"
    return rate * _HEADROOM, words


def load_words(plan: RunPlan) -> str:
    """What will be sent, and about how long it takes."""
    load, rules = plan.spec.load, plan.rules
    users = load.concurrency
    what = {
        "offline": f"{load.requests or 0:,} samples at once, {users or 0:,} connections",
        "singlestream": f"{load.min_requests or 0:,} queries or more, one after the other",
        "multistream": f"{(load.min_requests or 0) // (users or 1):,} queries or more of {users or 1} samples each",
    }.get(rules.scenario, f"{plan.queries or 0:,} queries at {plan.target_qps or 0:g}/s")
    if plan.eta_s is None:
        return what
    return f"{what}, about {span_words(plan.eta_s)}"


def span_words(seconds: float) -> str:
    """A length of time, as in 42 s, 3 min 12 s or 1 h 05 min."""
    whole = max(1, round(seconds))
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 7200 else f"{whole // 3600} h {whole // 60 % 60:02d} min"

"""What cannot be asked for, said before anything is done."""

from __future__ import annotations

import math

from loadcell.agents import check_agent
from loadcell.apis import CALLABLE, IMAGES, IN_PYTHON, check_api
from loadcell.behaviour import check_behaviour
from loadcell.errors import UsageError
from loadcell.inputs import check_inputs, check_limits
from loadcell.lengths import parse_lengths
from loadcell.media import check_media
from loadcell.prefix import check_cache, check_prefix
from loadcell.replaying import check_replay
from loadcell.sessions import check_sessions, check_talking
from loadcell.spec.model import Load, Spec, Workload
from loadcell.spec.notation import parse_arrivals
from loadcell.spec.series import parse_series

_LEAST_LOOK_S = 0.05
_LONGEST_MEAN = 1e7


def checked(spec: Spec) -> Spec:
    """The Spec, if it can be; UsageError says what cannot."""
    _check(spec)
    return spec


def _check(spec: Spec) -> None:
    """UsageError says what of it cannot be."""
    _check_parts(spec)
    _check_series(spec)
    _check_numbers(spec)
    _check_end(spec.load)
    if spec.workload.too_long == "drop" and spec.workload.prompts is None and spec.trace.name is None:
        raise UsageError(
            "workload.too_long drop leaves out prompts of a file: planned lengths are clipped (--too-long clip)"
        )
    _check_outputs(spec)
    _check_loadgen(spec)
    _check_trace(spec)
    if len(spec.dealt) > 1 and (spec.loadgen.scenario is not None or spec.endpoint.api == CALLABLE):
        what = "a Python callable" if spec.loadgen.scenario is None else f"loadgen.scenario {spec.loadgen.scenario}"
        raise UsageError(f"{what} is a load of one endpoint and one model: leave out classes.also and classes.models")


def _check_parts(spec: Spec) -> None:
    """What the parts of a Spec say of themselves, and of those that they cannot be beside."""
    load = spec.load
    if not spec.endpoint.url.startswith(IN_PYTHON):
        check_api(spec.endpoint.api, "endpoint.api")
    elif spec.endpoint.api != CALLABLE:
        raise UsageError(f"{spec.endpoint.url} is a Python callable: it is loaded by loadcell.run(fn, ...) in Python")
    workload = spec.workload
    for lengths in (workload.input_tokens, workload.output_tokens, workload.inputs, workload.query_tokens):
        if lengths is not None:
            _check_mean(lengths)
    if not check_media(spec.media, spec.endpoint.api, workload.input_tokens, workload.output_tokens):
        check_inputs(
            spec.endpoint.api,
            streamed=spec.endpoint.stream,
            output_tokens=workload.output_tokens,
            inputs=workload.inputs,
            query_tokens=workload.query_tokens,
            prompts=workload.prompts,
        )
    check_talking(
        spec.sessions,
        generates=workload.generates and not workload.hears,
        carries=spec.media.any,
        called=spec.endpoint.api == CALLABLE,
    )
    if not spec.agent.any:  # it says what belongs together itself
        check_sessions(
            spec.sessions,
            spec.endpoint.api,
            prompts=workload.prompts,
            http=spec.endpoint.http,
            load=load,
            loadgen=spec.loadgen.scenario,
        )
    check_agent(
        spec.agent,
        spec.sessions,
        load=load,
        workload=workload,
        carries=spec.media.any,
        called=spec.endpoint.api == CALLABLE,
        loadgen=spec.loadgen.scenario,
        http=spec.endpoint.http,
    )
    check_prefix(spec.prefix, spec.endpoint.api, generates=workload.generates, own=_own_beginnings(spec))
    check_cache(load.cache, load.cache_reset, spec.endpoint.api)
    if load.cache == "warm" and (spec.sessions.any or spec.agent.any):
        raise UsageError("load.cache warm: turns fill the cache for those after them: write cold or as-is")
    for one in spec.dealt:
        check_limits(one.slo.limits, spec.endpoint.api, generates=workload.generates)
    check_behaviour(
        spec.behaviour,
        http=spec.endpoint.http,
        streams=spec.endpoint.stream and workload.generates,
        called=spec.endpoint.api == CALLABLE,
        sticky=spec.sessions.sticky,
    )
    parse_arrivals(load.arrivals)


def _check_numbers(spec: Spec) -> None:
    """UsageError for a number that cannot be, whatever the others are."""
    load = spec.load
    positive = {
        "load.concurrency": load.concurrency, "load.rate": load.rate, "load.requests": load.requests,
        "load.duration_s": load.duration_s, "load.timeout_s": load.timeout_s,
        "load.duration_most_s": load.duration_most_s,
        "load.connect_timeout_s": load.connect_timeout_s, "load.min_requests": load.min_requests,
        "run.workers": spec.run.workers, "run.memory_mb": spec.run.memory_mb,
        "workload.token_ratio": spec.workload.token_ratio, "workload.context_tokens": spec.workload.context_tokens,
        "endpoint.gpus": spec.endpoint.gpus,
        "slo.ttft_ms": spec.slo.ttft_ms, "slo.tpot_ms": spec.slo.tpot_ms, "slo.e2e_ms": spec.slo.e2e_ms,
        "slo.first_audio_ms": spec.slo.first_audio_ms,
    }  # fmt: skip
    for name, value in positive.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name} is {value:g}: it must be more than 0")
    for name, low in (("load.warmup_s", load.warmup_s or 0), ("load.warmup_requests", load.warmup_requests),
                      ("load.ramp_s", load.ramp_s or 0), ("load.wait_ready_s", load.wait_ready_s),
                      ("run.seed", spec.run.seed),
                      ("workload.template_tokens", spec.workload.template_tokens or 0),
                      ("loadgen.min_duration_s", spec.loadgen.min_duration_s),
                      ("loadgen.min_queries", spec.loadgen.min_queries),
                      ("run.repetition", spec.run.repetition), ("observe.every_s", spec.observe.every_s)):  # fmt: skip
        if not (low >= 0 and math.isfinite(low)):
            raise UsageError(f"{name} is {low:g}: it must be 0 or more")
    if not 0 <= load.max_failures <= 1:
        raise UsageError(f"load.max_failures is {load.max_failures:g}: write a share of requests, as in 50% or 0.5")
    if 0 < spec.observe.every_s < _LEAST_LOOK_S:
        raise UsageError(
            f"observe.every_s is {spec.observe.every_s:g}: to look more often than every {_LEAST_LOOK_S:g} s would "
            "disturb the load; 0 turns it off"
        )


def _check_end(load: Load) -> None:
    """UsageError for ends of a run that contradict each other, or leave nothing of it."""
    warmup_s = load.warmup_s or 0.0
    if load.duration_s is not None and warmup_s >= load.duration_s:
        raise UsageError(f"the warm-up ({warmup_s:g} s) leaves nothing of the duration ({load.duration_s:g} s)")
    if load.duration_s is not None and load.duration_most_s is not None and load.duration_s > load.duration_most_s:
        raise UsageError(
            f"the duration ({load.duration_s:g} s) is more than load.duration_most_s ({load.duration_most_s:g} s): "
            "leave the latter out"
        )
    if load.duration_s is None and load.duration_most_s is not None and warmup_s >= load.duration_most_s:
        raise UsageError(
            f"the warm-up ({warmup_s:g} s) leaves nothing of the time of sending ({load.duration_most_s:g} s at most): "
            "give a longer --duration"
        )
    if load.requests is not None and load.warmup_requests >= load.requests:
        raise UsageError(f"the warm-up ({load.warmup_requests} requests) leaves nothing of {load.requests} requests")
    if load.warmup_s and load.warmup_requests:
        raise UsageError("give the warm-up as a time or as a number of requests, not both")
    if load.rate is not None and (load.lockstep or load.min_requests is not None):
        raise UsageError("load.lockstep and load.min_requests are of closed loops: leave out them or the rate")
    if load.min_requests is not None and (load.duration_s is None or load.requests is not None):
        raise UsageError("load.min_requests goes with a duration, and without a number of requests")


def _check_mean(lengths: str) -> None:
    """UsageError if a law of lengths cannot be, or its file cannot be read, or it is longer than any run plans."""
    if not parse_lengths(lengths).mean <= _LONGEST_MEAN:
        raise UsageError(f"{lengths!r} is longer than any length on average: choose a smaller spread")


def _check_series(spec: Spec) -> None:
    """UsageError if a rate that varies is asked for with what needs one that does not."""
    load = spec.load
    if load.rate_series is None:
        return
    parse_series(load.rate_series)
    if load.rate is None:
        raise UsageError("load.rate_series is of an open loop: leave out load.rate, or give the mean to scale it to")
    if load.ramp_s:
        raise UsageError("load.ramp_s: a rate series begins as it says: leave out the ramp, or write one, as 0..10@5s")
    if load.stop_when_saturated:
        raise UsageError(
            "load.stop_when_saturated: while the rate is meant to rise, a growing queue cannot be told from it: leave "
            "it out, or give a steady --rate"
        )
    if spec.loadgen.scenario is not None:
        raise UsageError(f"loadgen.scenario {spec.loadgen.scenario} plans its own times: leave out load.rate_series")


def _own_beginnings(spec: Spec) -> str | None:
    """Which prompts of the run begin in a way of their own; None where they may begin as asked."""
    talks = spec.prefix.groups is None and spec.prefix.hit_share is None
    ways = (
        (spec.workload.prompts is not None, "prompts of a file"),
        (spec.media.any, "prompts with images or audio"),
        (spec.agent.any, "calls of agents (agent.system_tokens)"),
        (spec.sessions.any and not talks, "turns of sessions (but for --system-tokens)"),
    )
    return next((words for has, words in ways if has), None)


def _check_outputs(spec: Spec) -> None:
    """Of several outputs in one reply, each would have latencies of its own: only one is measured."""
    for key in ("n", "best_of", "num_return_sequences"):
        asked = spec.endpoint.extra_body.get(key)
        if key == "n" and spec.endpoint.api == IMAGES:  # a job makes several, and is measured whole
            continue
        if asked is not None and (asked is True or asked != 1):
            raise UsageError(
                f"endpoint.extra_body asks for several outputs ({key}: {asked}): one output a request is measured; "
                f"leave {key} out and send more requests"
            )


def _check_loadgen(spec: Spec) -> None:
    """UsageError if LoadGen's traffic is asked for with a load that it cannot have."""
    scenario, load = spec.loadgen.scenario, spec.load
    if scenario is None:
        return
    if spec.workload.prompts is None:
        raise UsageError(f"loadgen.scenario {scenario} sends the samples of a file: name it with workload.prompts")
    if spec.workload.too_long != "refuse":
        raise UsageError(f"loadgen.scenario {scenario} sends every sample as it is: leave --too-long out")
    if spec.loadgen.mode == "performance" and (scenario == "server") != (load.rate is not None):
        wrong = "needs a rate" if scenario == "server" else "is a closed loop: it has no rate"
        raise UsageError(f"loadgen.scenario {scenario} {wrong}")
    if scenario == "server" and load.rate is not None and (load.requests, load.duration_s) != (None, None):
        raise UsageError("loadgen.scenario server ends by loadgen.min_queries and min_duration_s: leave load's end out")


def _check_trace(spec: Spec) -> None:
    """UsageError if a trace is asked for with what it brings itself, or with a load that cannot have one."""
    check_replay(spec.trace)
    name, workload, load = spec.trace.name, spec.workload, spec.load
    if name is None:
        return
    other = {
        "--prompts": workload.prompts, "loadgen.scenario": spec.loadgen.scenario, "media": spec.media.any or None,
        "--lengths": workload.lengths, "--turns": spec.sessions.turns, "--think": spec.sessions.think,
        "agent.steps": spec.agent.steps, "prefix": spec.prefix.any or None,
        "the callable": True if spec.endpoint.api == CALLABLE else None,
        "load.lockstep": load.lockstep or None, "load.rate_series": load.rate_series,
    }  # fmt: skip
    for what, value in other.items():
        if value is not None:
            raise UsageError(f"a trace brings its own requests: leave out {what} or --trace")
    if load.cache == "warm":
        raise UsageError("load.cache warm is of beginnings that are asked for: a trace is replayed cold or as-is")
    if load.stop_when_saturated:
        raise UsageError(
            "load.stop_when_saturated: the rate of a trace varies, and a growing queue cannot be told from that: leave "
            "it out"
        )
    if load.ramp_s and spec.open_loop:
        raise UsageError("load.ramp_s: a trace begins as it did: leave out the ramp")
    if not workload.generates or workload.hears:
        raise UsageError("a trace is of requests that generate text: this API generates none, leave --trace out")
    for field in ("input_tokens", "output_tokens"):
        if getattr(workload, field) != getattr(Workload(), field):
            flag = f"--{field.replace('_', '-')}"
            raise UsageError(f"a trace brings its own lengths: leave {flag} out; --max-{flag[2:]} N limits them")
    if load.rate is not None and spec.trace.scale != 1:
        raise UsageError("trace.scale and --rate both say how much of a trace is sent: give one of them")

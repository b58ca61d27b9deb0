"""What cannot be asked for, said before anything is done."""

from __future__ import annotations

import math

from loadcell.apis import CALLABLE, IMAGES, IN_PYTHON, check_api
from loadcell.behaviour import check_behaviour
from loadcell.errors import UsageError
from loadcell.inputs import check_inputs, check_limits
from loadcell.lengths import parse_lengths
from loadcell.media import check_media
from loadcell.spec.model import Spec
from loadcell.spec.notation import parse_arrivals

_LEAST_LOOK_S = 0.05


def checked(spec: Spec) -> Spec:
    """The Spec, if it can be; UsageError says what cannot."""
    _check(spec)
    return spec


def _check(spec: Spec) -> None:
    load = spec.load
    if not spec.endpoint.url.startswith(IN_PYTHON):
        check_api(spec.endpoint.api, "endpoint.api")
    elif spec.endpoint.api != CALLABLE:
        raise UsageError(f"{spec.endpoint.url} is a Python callable: it is loaded by loadcell.run(fn, ...) in Python")
    workload = spec.workload
    for lengths in (workload.input_tokens, workload.output_tokens, workload.inputs, workload.query_tokens):
        if lengths is not None:
            parse_lengths(lengths)
    if not check_media(spec.media, spec.endpoint.api, workload.input_tokens, workload.output_tokens):
        check_inputs(
            spec.endpoint.api,
            streamed=spec.endpoint.stream,
            output_tokens=workload.output_tokens,
            inputs=workload.inputs,
            query_tokens=workload.query_tokens,
            prompts=workload.prompts,
        )
    for one in spec.dealt:
        check_limits(one.slo.limits, spec.endpoint.api, generates=workload.generates)
    check_behaviour(
        spec.behaviour,
        http=spec.endpoint.http,
        streams=spec.endpoint.stream and workload.generates,
        called=spec.endpoint.api == CALLABLE,
    )
    parse_arrivals(load.arrivals)
    positive = {
        "load.concurrency": load.concurrency, "load.rate": load.rate, "load.requests": load.requests,
        "load.duration_s": load.duration_s, "load.timeout_s": load.timeout_s,
        "load.duration_most_s": load.duration_most_s,
        "load.connect_timeout_s": load.connect_timeout_s, "load.min_requests": load.min_requests,
        "run.workers": spec.run.workers, "run.memory_mb": spec.run.memory_mb,
        "workload.token_ratio": spec.workload.token_ratio,
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
    _check_outputs(spec)
    _check_loadgen(spec)
    if len(spec.dealt) > 1 and (spec.loadgen.scenario is not None or spec.endpoint.api == CALLABLE):
        what = "a Python callable" if spec.loadgen.scenario is None else f"loadgen.scenario {spec.loadgen.scenario}"
        raise UsageError(f"{what} is a load of one endpoint and one model: leave out classes.also and classes.models")


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
    if spec.loadgen.mode == "performance" and (scenario == "server") != (load.rate is not None):
        wrong = "needs a rate" if scenario == "server" else "is a closed loop: it has no rate"
        raise UsageError(f"loadgen.scenario {scenario} {wrong}")
    if scenario == "server" and load.rate is not None and (load.requests, load.duration_s) != (None, None):
        raise UsageError("loadgen.scenario server ends by loadgen.min_queries and min_duration_s: leave load's end out")

"""What the server and its machine tell."""

from __future__ import annotations

from typing import Annotated

import msgspec

Doc = msgspec.Meta


class ServerPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of TTFT."""

    mean_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    share: Annotated[float | None, Doc(description="its mean over the mean TTFT of these requests")]


class ServerSide(msgspec.Struct, frozen=True, kw_only=True):
    """Where TTFT went, by the server's own word."""

    source: Annotated[str, Doc(description="who tells: vLLM metrics, llama.cpp timings or Prometheus")]
    requests: Annotated[int, Doc(description="requests that it tells of")]
    ttft_ms: Annotated[float | None, Doc(description="mean TTFT of these requests at the client, from the send")]
    queue: ServerPart
    prefill: ServerPart
    unattributed: Annotated[ServerPart, Doc(description="TTFT less queue and prefill: front end, network and client")]
    own_ttft_ms: Annotated[
        float | None,
        Doc(description="mean TTFT by the server's own clock, over the same requests; null: untold, or of others too"),
    ] = None
    notes: list[str] = []


class WhereTtft(msgspec.Struct, frozen=True, kw_only=True):
    """Where TTFT went, by the source that tells most; the parts add up to the client's mean TTFT of these requests."""

    source: Annotated[str, Doc(description="who tells the server's parts")]
    requests: int
    ttft_ms: float
    parts: Annotated[
        dict[str, ServerPart],
        Doc(
            description="in order, of: queue, prefill, front_end, network_and_client; a name holds several where they "
            "cannot be told apart, joined by a plus sign"
        ),
    ]


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's page gained from before the load to after it, over the whole run."""

    restarted: Annotated[bool, Doc(description="its process began anew, or its counters went down or away")]
    pool_before: Annotated[float | None, Doc(description="size of its KV cache, in its own unit")]
    pool_after: float | None
    own_requests: Annotated[int, Doc(description="requests that this run sent, beyond its end too")]
    own_inputs: Annotated[int | None, Doc(description="their inputs, where the API generates nothing")] = None
    own_output_tokens: Annotated[float | None, Doc(description="their output tokens; null if not all are known")]
    gained: Annotated[
        dict[str, float | None], Doc(description="by quantity, in one vocabulary; null: not known, as after a restart")
    ]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A source that was watched beside the load: did it answer?"""

    name: str
    kind: Annotated[str, Doc(description="prometheus, nvml or host")]
    engine: Annotated[str | None, Doc(description="whose names it speaks: vLLM, SGLang, DCGM, ...; null: unknown ones")]
    looks: Annotated[int, Doc(description="times that it was asked while the load ran")]
    failed: Annotated[int, Doc(description="of these: without a usable answer")]
    longest_gap_s: Annotated[float | None, Doc(description="longest time without an answer; null without any")]
    says: Annotated[str | None, Doc(description="what is wrong with it, in words; null: nothing")]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity of the server or its machine over the run, over all replicas that told it."""

    title: str
    unit: str
    kind: Annotated[str, Doc(description="gauge, or rate: what a counter gained a second")]
    sources: Annotated[list[str], Doc(description="names of the sources that told it")]
    mean: Annotated[float | None, Doc(description="over the window, time-weighted; null where it cannot be known")]
    min: float | None
    max: float | None
    gained: Annotated[float | None, Doc(description="counters: increase over the window; null: unknown, or a gauge")]
    t_s: Annotated[list[float], Doc(description="seconds since the start of the load, at most 400 points")]
    values: Annotated[list[float | None], Doc(description="at these times; null where nobody told it")]


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Electrical energy of the accelerators over the window, from their power or energy counters."""

    source: str
    gpus: int
    mean_watts: float | None
    joules: float | None
    joules_per_output_token: float | None
    joules_per_request: float | None
    valid: Annotated[bool, Doc(description="false: gaps, edges or other work make it no measurement; see `says`")]
    says: Annotated[str, Doc(description="how it was measured, or why it is not valid, in words")]


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What was watched beside the load, on the same clock."""

    sources: list[Watched]
    series: Annotated[dict[str, Series], Doc(description="by name, in one vocabulary for all engines")]
    energy: Annotated[Energy | None, Doc(description="null where no source tells power or energy")]
    restarted: Annotated[list[str], Doc(description="sources whose counters started anew while the load ran")] = []
    notes: list[str] = []

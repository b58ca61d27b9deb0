"""The forms of what a recording tells as JSON: a file of another form is an error that names it and the field.

What is not known by name stays as it is. A field that is missing was not told.
"""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import msgspec

from loadcell.phrases import Phrase

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A number of things, bytes or nanoseconds."""
Seconds = Annotated[float, msgspec.Meta(ge=0, lt=1e12)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class AuditForm(TypedDict, total=False):
    """audit-W.json, as `load.audit.Audit` makes it."""

    worker: Count
    cpu: Count | None
    issued: Count | None
    beyond: Count
    reads: Count
    reads_without_stamp: Count
    mixed_reads: Count
    clock_steps: Count
    stamps_dropped: Count
    load_ns: Count
    busy_ns_by_s: list[Count]
    longest_turn_ns: Count
    stalls: list[tuple[Count, Count]]
    core_wait_ns: Count | None
    signing_ns: Count
    late_bodies: Count
    body_wait_ns: Count
    wordless: Count
    connections_before: Count
    connections_opened: Count
    connect_failures: Count
    no_ports: Count
    no_descriptors: Count
    min_rtt_ns: Count | None
    idle_closed: Count
    gc_pauses: Count
    gc_pause_max_ns: Count
    exhausted: bool
    cpu_s: Seconds
    cpu_system_s: Seconds
    switches_voluntary: Count
    switches_involuntary: Count
    memory_peak_bytes: Count
    died: str | None
    phrases: dict[str, Phrase]


class _Sharing(TypedDict, total=False):
    load_ns: Count
    server_threads: Count
    server_wait_ns: int | None
    pressure_ns: int | None
    parent_cpu_ns: Count


class _Throttled(TypedDict):
    periods: Count
    throttled: Count
    throttled_ns: Count


class _Feeder(TypedDict):
    cpu_ns: Count
    rows: Count
    bytes: Count


class HostForm(TypedDict, total=False):
    """host.json."""

    steal_share: Share | None
    throttled: _Throttled | None
    server: str | None
    sharing: _Sharing | None
    feeder: _Feeder | None


class EnvironmentForm(TypedDict, total=False):
    """environment.json, as `load.environment` makes it."""

    loadcell: str
    command: list[str] | None
    python: str
    libraries: dict[str, str]
    host: str | None
    system: str
    machine: str
    cpu: str | None
    cores: Count | None
    cores_allowed: Count | None
    cores_quota: Share | None
    affinity: list[Count] | None
    governor: str | None
    cgroup_cpu_max: str | None
    clock_source: str | None
    clock_synchronized: bool | None
    descriptor_limit: int | None
    port_range: str | None
    memory_bytes: Count | None
    load_average: Seconds | None


class ClassForm(TypedDict):
    """What is told of a class: an endpoint with a model."""

    name: str
    endpoint: str
    url: str
    model: str | None
    share: Share
    addresses: list[str]
    ignore_eos: bool
    reuse_connections: bool


class ChangeForm(TypedDict):
    """What was done to a trace."""

    what: str
    rows: Count
    words: str


class TraceForm(TypedDict, total=False):
    """What is told of a trace that was replayed."""

    name: str
    kind: str
    source: str | None
    sha256: str | None
    rows: Count
    sent: Count
    sessions: Count | None
    length_s: Seconds | None
    block_tokens: Count | None
    changes: list[ChangeForm]


class EffectiveForm(TypedDict, total=False):
    """`effective` of recording.json."""

    url: str | None
    called_by: str | None
    address: str | None
    proxy: str | None
    model: str | None
    ignore_eos: bool | None
    include_usage: bool | None
    max_tokens_field: str | None
    reuse_connections: bool | None
    tokenizer: str | None
    tokenizer_packaged: bool | None
    prompts_sha256: str | None
    lengths_sha256: dict[str, str]
    salt: str | None
    template_tokens: Share | None
    token_ratio: Share | None
    prompts_counted_by: str | None
    not_counted_by_server: str | None
    workers: Count | None
    ramp_s: Seconds | None
    duration_s: Seconds | None
    keep_load: bool | None
    rows: Count | None
    imported_from: str | None
    classes: list[ClassForm]
    trace: TraceForm
    connections_by_address: dict[str, Count]


def decode(data: bytes, form: Any, *, whole: bool = False) -> Any:
    """JSON as `form`; with `whole` as plain data, its unknown fields too.

    msgspec.DecodeError names what is wrong and the field.
    """
    try:
        told = msgspec.json.decode(data, type=form)
        return msgspec.json.decode(data) if whole else told
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None

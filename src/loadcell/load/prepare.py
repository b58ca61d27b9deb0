"""What a run needs before its load: its folder, its schedule, the bodies of its requests, the jobs of its workers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell import __version__
from loadcell.core import form
from loadcell.core.clock import HAS_KERNEL_STAMPS
from loadcell.errors import RecordingError, UsageError
from loadcell.load.calibrate import PromptCount
from loadcell.load.host import allowed_cores
from loadcell.load.job import Job, Slice
from loadcell.load.machine import usable_cores
from loadcell.load.preflight import Endpoint
from loadcell.load.spool import SEGMENTS, write_all
from loadcell.load.target import Target
from loadcell.load.ways import Way, heads_of, lanes_of
from loadcell.phrases import phrase
from loadcell.protocol import dialect_of
from loadcell.recording.schema import MISSING, Manifest
from loadcell.recording.write import nameless_file
from loadcell.secrets import scrub, scrub_sentence
from loadcell.sessions import ALL, parse_times
from loadcell.spec import Load, Spec, default_ramp_s, keeps_load, parse_lengths
from loadcell.workload import AttachedPrompts, Plan, file_of, gapped
from loadcell.workload.arrivals import peak_rate
from loadcell.workload.lengths import length_digests
from loadcell.workload.schedule import Schedule

_POOL_MOST = 1024
_LOAD_A_WORKER = 128
"""Users, or requests a second, that are given to one worker where there are cores for more."""
_WORKERS_MOST = 8
_FILL_BYTES = 1 << 20


@dataclass(frozen=True)
class Files:
    """Descriptors of the nameless files of a run, which its processes inherit."""

    live: int
    outcomes: int
    places: int
    segments: list[int]

    def all(self) -> tuple[int, ...]:
        return (self.live, self.outcomes, self.places, *self.segments)


@contextmanager
def nameless_files(folder: Path) -> Iterator[Files]:
    """The files of a run, on the disk of its folder; gone however this process ends."""
    with ExitStack() as stack:
        live, outcomes, places, *segments = (
            stack.enter_context(nameless_file(folder, buffering=0)).fileno() for _ in range(3 + SEGMENTS)
        )
        yield Files(live, outcomes, places, segments)


def worker_count(spec: Spec) -> int:
    """Load processes: as asked, else half of the cores that affinity and quota allow, as far as the load needs them.

    On two or three cores one worker measures better than two, for the server lives there too.
    """
    users, asked = spec.load.concurrency, spec.run.workers
    if asked and users and asked > users:
        raise UsageError(f"{asked} workers cannot share {users} users: give --workers {users} at most")
    if spec.load.lockstep:  # users that wait for each other live in one process
        return 1
    turns, rate = spec.sessions.turns or spec.agent.steps, peak_rate(spec.load)
    each = 1.0 if turns in (None, ALL) else parse_lengths(turns).mean
    needed = math.ceil((each * rate if rate else users or 1) / _LOAD_A_WORKER)
    return asked or max(1, min(usable_cores() // 2, _WORKERS_MOST, needed, users or needed))


def with_ramp(spec: Spec, found: Endpoint) -> Spec:
    """The Spec with its ramp, which follows from the probe where nobody asked for one."""
    load = spec.load
    if load.ramp_s is not None:
        return spec
    free = spec.loadgen.scenario is None and not load.lockstep and (load.concurrency or 1) > 1
    e2e_s = found.e2e_s(spec.workload.mean_output_tokens) if free else None
    if e2e_s is not None and spec.sessions.think is not None:  # users come round so often
        e2e_s += parse_times(spec.sessions.think).mean
    return msgspec.structs.replace(spec, load=msgspec.structs.replace(load, ramp_s=default_ramp_s(load, e2e_s)))


def make_manifest(
    spec: Spec,
    target: Target,
    found: Endpoint,
    planned: Plan,
    workers: int,
    secrets: list[str],
    count: PromptCount | None,
) -> Manifest:
    """The manifest of a run that is about to begin; `count` says how its synthetic prompts are counted."""
    endpoint = spec.endpoint
    notes = [*found.notes, *planned.notes]
    stamped = HAS_KERNEL_STAMPS and target.socket_path is None
    if target.socket_path is not None:
        notes.append(phrase("a unix socket has no receive stamps of the kernel: times were taken when the client read"))
    elif not stamped:
        notes.append(phrase("this platform has no kernel receive stamps: times were taken when the client read"))
    core, why_python = form()
    if target.http == "2":
        core, why_python = "Python", phrase("HTTP/2 is read in Python alone")
    if why_python:
        notes.append(phrase("the hot path ran in Python, without the compiled core: {}", why_python))
    if target.http == "2":
        notes.append(
            phrase(
                "HTTP/2: the streams of a load process share connections. A time is that of the read that brought the "
                "bytes, and a read may bring those of several requests: how much earlier they can have come is in the "
                "error budget"
            )
        )
    proxy = target.proxy if target.proxy else None
    if proxy:
        notes.append(phrase("requests went through the proxy {} that the environment sets", proxy))
    elif not target.tls and target.socket_path is None and os.environ.get("HTTP_PROXY", "").strip():
        notes.append(
            phrase("HTTP_PROXY in capitals is not used, as in curl: a proxy for http:// is named by http_proxy")
        )
    effective: dict[str, Any] = {
        "url": target.url,
        "address": str(found.address[1][0]),
        "proxy": proxy,
        "model": scrub(found.model, secrets) or None,
        "ignore_eos": found.form.ignore_eos,
        "include_usage": found.form.usage and endpoint.stream,
        "max_tokens_field": None if spec.workload.output_tokens is None else found.form.max_tokens_field,
        "reuse_connections": found.reuse,
    }
    clock = "kernel" if stamped else "user"
    return manifest_of(spec, planned, workers, secrets, count, effective, notes, clock=clock, core=core)


def manifest_of(
    spec: Spec,
    planned: Plan,
    workers: int,
    secrets: list[str],
    count: PromptCount | None,
    found: dict[str, Any],
    notes: list[str],
    *,
    clock: str,
    core: str | None,
) -> Manifest:
    """The manifest of a run that is about to begin; `found` are the effective settings of what is loaded."""
    schedule, load = planned.schedule, spec.load
    now = datetime.now(UTC).astimezone()
    if load.stop_when_saturated and schedule.loop == "closed":
        says = phrase("a closed loop has no queue that could grow: stop_when_saturated has no meaning in it")
        notes = [*notes, says]
    effective: dict[str, Any] = {
        **found,
        "tokenizer": planned.tokenizer.name,
        "tokenizer_packaged": planned.tokenizer.packaged,
        "prompts_sha256": None if (file := file_of(planned.prompts)) is None else file.digest().hex(),
        **({"lengths_sha256": digests} if (digests := length_digests(spec.workload)) else {}),
        **_prompt_settings(spec, count, secrets),
        "workers": workers,
        "ramp_s": load.ramp_s,
        "duration_s": load.duration_s,
        "keep_load": keeps_load(spec),
        "rows": len(schedule),
        **({} if planned.trace is None else {"trace": planned.trace}),
    }
    if planned.context is not None:
        effective |= {"context_tokens": planned.context.tokens, "context_by": planned.context.by}
    return Manifest(
        loadcell=__version__,
        id=f"{now:%Y%m%d-%H%M%S}-{os.urandom(3).hex()}",
        started_at=now.isoformat(timespec="seconds"),
        loop=schedule.loop,
        planned=schedule.planned,
        workers=workers,
        schedule_hash=schedule.hash,
        clock=clock,
        core=core,
        window_end_ns=None if load.min_requests is not None else planned_end_ns(load),
        effective=effective,
        notes=[scrub_sentence(note, secrets) for note in notes],
    )


def planned_end_ns(load: Load) -> int | None:
    """When sending ends by the plan at the latest, since the start; None where a number of requests ends it."""
    end_s = load.duration_most_s if load.duration_s is None and load.requests is None else load.duration_s
    return None if end_s is None else int(end_s * 1e9)


def _prompt_settings(spec: Spec, count: PromptCount | None, secrets: list[str]) -> dict[str, Any]:
    """What synthetic prompts, images and audio follow from besides the seed; nothing of it for what files hold."""
    if count is None:
        return {"salt": spec.run.salt} if spec.media.made else {}
    return {
        "salt": spec.run.salt,
        "template_tokens": count.template_tokens,
        "token_ratio": count.token_ratio,
        "prompts_counted_by": count.by,
        "not_counted_by_server": None if count.why is None else scrub_sentence(count.why, secrets),
    }


def schedule_columns(planned: Plan) -> dict[str, Any]:
    """The schedule as a recording holds it."""
    schedule, file = planned.schedule, file_of(planned.prompts)
    texts = not isinstance(planned.prompts, AttachedPrompts) or planned.prompts.texts is not None
    return {
        "request": range(len(schedule)),
        "planned_ns": _times(schedule),
        "input_tokens": schedule.input_tokens if texts else None,
        "output_tokens": schedule.output_tokens if texts and schedule.wanted is None else None,
        "inputs": None if schedule.wanted is None else schedule.wanted[0],
        "results": None if schedule.wanted is None else schedule.wanted[1],
        "class": schedule.kinds,
        "prompt": None if file is None else file.lines,
        "images": schedule.media.images,
        "image_pixels": schedule.media.pixels,
        "input_audio_s": schedule.media.audio_s,
        "session": None if schedule.sessions is None else schedule.sessions.session,
        "turn": None if schedule.sessions is None else schedule.sessions.turn,
        "delay_ns": schedule.delay_ns,
        "shared_tokens": schedule.shared_tokens,
        **({} if schedule.behaved is None else schedule.behaved._asdict()),
    }


def _times(schedule: Schedule) -> NDArray[np.int64] | None:
    times = schedule.planned_ns
    return times if times is None or schedule.sessions is None else np.where(times < 0, MISSING, times)


def waits_columns(schedule: Schedule) -> dict[str, Any] | None:
    """What waits for what, as a recording holds it; None without sessions."""
    if schedule.sessions is None:
        return None
    waits = schedule.sessions.waits
    return {"request": np.repeat(np.arange(len(waits)), waits.counts), "waits_for": waits.values}


def fill(fd: int, size: int) -> None:
    """Give a file its room now: on a full disk, a page of a sparse file would end the process that touches it."""
    try:
        for offset in range(0, size, _FILL_BYTES):
            write_all(fd, bytes(min(_FILL_BYTES, size - offset)), offset)
    except OSError as error:
        raise RecordingError(f"cannot write the recording: {error.strerror}; free some space") from None


def slice_of(spec: Spec, worker: int, workers: int, planned: Plan, files: Files, e2e_s: float | None) -> Slice:
    """The requests, the users and the times of one worker; `e2e_s` is what a request takes, as far as is known."""
    load, schedule = spec.load, planned.schedule
    closed = schedule.loop == "closed"
    # Users and caps are dealt out like requests: worker w has those with number w, w + W, ...
    mine = range(worker, load.concurrency or 0, workers)
    spread_ns = (load.ramp_s or 0.0) * 1e9 / max(load.concurrency or 1, 1)
    return Slice(
        worker=worker,
        workers=workers,
        outcomes_fd=files.outcomes,
        rows=len(schedule),
        requests=load.requests if closed else None,
        users=len(mine) if closed else None,
        cap=len(mine) if load.concurrency and not closed else None,
        starts_ns=[int(user * spread_ns) for user in mine] if closed else [],
        end_ns=planned_end_ns(load),
        keep=keeps_load(spec),
        least=load.min_requests or 0,
        lockstep=load.lockstep,
        e2e_ns=int(1e9 * (e2e_s or 0.0)),
        timeout_s=load.timeout_s,
        slos=[one.slo for one in spec.dealt],
        keep_text=spec.run.keep_text,
        sessions=schedule.sessions is not None,
        pauses=schedule.sessions is None and schedule.delay_ns is not None,
    )


def make_job(
    spec: Spec,
    folder: Path,
    worker: int,
    workers: int,
    manifest: Manifest,
    ways: Sequence[Way],
    asked: Sequence[Endpoint],
    planned: Plan,
    files: Files,
    secrets: list[str],
) -> Job:
    """What one worker is told; `asked` is what was found out about each way."""
    load, schedule, cores, found = spec.load, planned.schedule, allowed_cores(), asked[0]
    guess = load.concurrency if load.concurrency else math.ceil(peak_rate(load) or 1)
    mine = slice_of(spec, worker, workers, planned, files, found.e2e_s(float(schedule.output_tokens.mean())))
    return Job(
        **msgspec.structs.asdict(mine),
        folder=str(folder),
        run_id=manifest.id,
        lanes=lanes_of(
            ways, asked, guess, workers, min(_POOL_MOST, max(1, len(range(worker, len(schedule), workers))))
        ),
        heads=heads_of(ways, asked),
        api=spec.endpoint.api,
        live_fd=files.live,
        places_fd=files.places,
        segments=files.segments,
        memory_bytes=int(spec.run.memory_mb * 1e6),
        gaps=gapped(planned.prompts),
        messages=dialect_of(spec.endpoint.api).talks,
        sticky=spec.sessions.sticky,
        tokenizer=spec.workload.tokenizer,
        secrets=secrets,
        # The highest cores: interrupts and busy neighbours tend to live on the lowest.
        cpu=cores[-1 - worker] if len(cores) > workers else None,
        behaves=schedule.behaved is not None,
    )

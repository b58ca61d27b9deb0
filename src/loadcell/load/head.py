"""The request bodies that are made before the clock starts, and what is left to the feeder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from loadcell.errors import RecordingError
from loadcell.load.ahead import first_rows, likely_rows
from loadcell.load.bodies import Source
from loadcell.load.feeder import Feed
from loadcell.load.fit import check_bodies, check_disk, recording_bytes
from loadcell.load.host import allowed_cores
from loadcell.load.job import Job
from loadcell.load.live import Live
from loadcell.load.preflight import Endpoint, prefix_of
from loadcell.load.prepare import Files, fill, planned_end_ns
from loadcell.load.progress import Making, Progress
from loadcell.load.spool import PLACE_BYTES, Spool
from loadcell.spec import Spec
from loadcell.workload import AttachedPrompts, Plan

_LONGEST_NS, _LEAST_BYTES = 700_000_000, 32 << 20
"""Where a pace is only guessed, bodies are made for no longer than this; and up to this size in any case."""
_LONGEST_ATTACHED_NS = 20_000_000_000
"""Of bodies with images or audio, which take a hundred times as long: to make them beside the load would disturb it."""
_MOST_ATTACHED_BYTES = 1 << 30
"""Nor are more of these made before it than so much, but for those of the first 20 s."""
_TELL_NS = 200_000_000


def many(source: Source) -> bool:
    """Whether there are more bodies than will be made before the load, as far as the first of them tell."""
    return not source.shared and source.size(len(source)) > _LEAST_BYTES


def make_head(
    folder: Path,
    live: Live,
    files: Files,
    spec: Spec,
    found: Endpoint,
    planned: Plan,
    source: Source,
    watch: Callable[[Progress], None],
) -> tuple[int, int]:
    """Make the bodies of the first 20 s; returns (rows made, rows that the plan or the probe suggests)."""
    times, rows = planned.schedule.starts_ns, len(source)
    users = planned.schedule.rows_of(spec.load.concurrency or 1)
    mean = float(planned.schedule.output_tokens.mean())
    suggested = first_rows(times, users, found.e2e_s(mean), planned_end_ns(spec.load))
    wanted = min(rows, users if suggested is None else suggested)
    least = wanted if times is not None else min(users, wanted)
    sent = likely_rows(planned.schedule.planned, rows, users, found.e2e_s(mean), planned_end_ns(spec.load))
    told = planned.schedule.planned is not None or spec.load.duration_s is not None
    if told and isinstance(source.prompts, AttachedPrompts):  # all of the run, as far as there is time
        wanted = max(wanted, sent)
    check_bodies(spec.load.concurrency, source.size(1))
    check_disk(folder, rows * PLACE_BYTES + source.size(least) + recording_bytes(sent, mean), "the recording")
    fill(files.places, rows * PLACE_BYTES)
    spool = Spool(files.segments, files.places, live)
    began = time.monotonic()

    def tell(row: int, size: int) -> None:
        passed_s = time.monotonic() - began
        left_s = passed_s * (wanted - row) / row if row else None
        watch(Progress("prepare", passed_s, making=Making(row, max(row, wanted), size, left_s)))

    _spool_head(source, spool, wanted, least, tell)
    return spool.row, wanted


def source_of(spec: Spec, asked: Sequence[tuple[Spec, Endpoint]], planned: Plan) -> Source:
    """What the bodies of a run are made of; `asked` are the classes as they are asked, and what was found out."""
    forms = [(prefix_of(one, found), found.form.max_tokens_field) for one, found in asked]
    schedule = planned.schedule
    return Source(spec.endpoint.api, forms, planned.prompts, schedule.output_tokens, schedule.kinds)


def _spool_head(source: Source, spool: Spool, wanted: int, least: int, tell: Callable[[int, int], None]) -> None:
    """Make the bodies that are to be there before the clock starts: `wanted` rows, but for no longer than a second
    beyond the `least` (20 s and 1 GiB, where they carry images or audio); and further ones as far as they are few
    bytes, so that most runs need nobody who makes them meanwhile. `tell` is told (rows, bytes) some times a second."""
    began = told = time.monotonic_ns()
    attached = isinstance(source.prompts, AttachedPrompts)
    longest_ns = _LONGEST_ATTACHED_NS if attached else _LONGEST_NS
    try:
        for payload in source.bodies(0):
            now = time.monotonic_ns()
            enough = now - began > longest_ns or (spool.row >= wanted and spool.bytes >= _LEAST_BYTES)
            enough = enough or (attached and spool.bytes > _MOST_ATTACHED_BYTES)
            if spool.row >= least and enough:
                break
            spool.again(payload) if isinstance(payload, int) else spool.add(payload)
            if now - told > _TELL_NS:
                told = now
                tell(spool.row, spool.bytes)
        spool.flush()
    except OSError as error:
        raise RecordingError(f"cannot write the request bodies: {error.strerror}; free some space") from None


def make_feed(
    spec: Spec, source: Source, planned: Plan, first: int, suggested: int, files: Files, jobs: Sequence[Job]
) -> Feed:
    """What the process is told that makes the bodies from `first` on while the load runs."""
    pinned = {job.cpu for job in jobs}
    return Feed(
        source=source,
        first=first,
        workers=len(jobs),
        live_fd=files.live,
        places_fd=files.places,
        segments=files.segments,
        in_order=planned.schedule.sessions is None and planned.schedule.delay_ns is None,
        planned_ns=planned.schedule.starts_ns,
        users=planned.schedule.rows_of(spec.load.concurrency or 1),
        suggested=suggested,
        end_ns=planned_end_ns(spec.load),
        keep=spec.run.keep_text,
        cores=[core for core in allowed_cores() if core not in pinned],
    )

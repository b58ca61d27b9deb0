"""One run from Spec to recording: prepare everything, start the workers, watch them, close the recording."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import msgspec

from loadcell import __version__
from loadcell.errors import EndpointError, RecordingError, UsageError
from loadcell.load.audit import Audit
from loadcell.load.clock import HAS_KERNEL_STAMPS
from loadcell.load.environment import allowed_cores, environment
from loadcell.load.job import Job
from loadcell.load.live import Count, Live
from loadcell.load.preflight import Endpoint, prefix_of, preflight
from loadcell.load.target import Target, make_target
from loadcell.protocol import PATHS, body
from loadcell.recording.read import dump_json
from loadcell.recording.schema import MISSING, SCHEDULE, Manifest
from loadcell.recording.write import write_table
from loadcell.spec import Spec, redact, secrets_of, with_defaults
from loadcell.workload import Plan, plan

_START_DELAY_NS = 50_000_000
_POOL_MOST = 1024
_LOAD_A_WORKER = 128
"""Users, or requests a second, that are given to one worker where there are cores for more."""
_WORKERS_MOST = 8


@dataclass
class Progress:
    """What a watcher is shown a few times a second."""

    stage: str
    """check, prepare, load or finish."""
    elapsed_s: float = 0.0
    planned: int | None = None
    duration_s: float | None = None
    issued: int = 0
    ok: int = 0
    failed: int = 0
    in_flight: int = 0
    events: int = 0


Watch = Callable[[Progress], None]


@dataclass
class _Crew:
    """The worker processes of a run."""

    live: Live
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)


def run_load(spec: Spec, folder: Path, watch: Watch) -> Manifest:
    """Run the load that `spec` asks for and record it in `folder`; returns the manifest as written.

    KeyboardInterrupt during the load ends it cleanly and is taken (the manifest says "interrupted"); a second one kills
    the workers and is raised. UsageError, EndpointError or RecordingError say why nothing was measured.
    """
    spec = with_defaults(spec)
    api_key = os.environ.get(spec.endpoint.api_key_env)
    secrets = secrets_of(spec, api_key)
    target = make_target(spec.endpoint, api_key)
    workers = _workers(spec)
    _check_folder(folder)
    watch(Progress("check"))
    found = preflight(spec, target)
    watch(Progress("prepare"))
    planned = plan(spec)
    _make_folder(folder)
    manifest = _manifest(spec, target, found, planned, workers, secrets)
    dump_json(folder / "spec.json", redact(spec))
    dump_json(folder / "environment.json", environment())
    dump_json(folder / "recording.json", manifest)
    _write_schedule(planned, folder)
    with tempfile.TemporaryFile(dir=folder) as bodies, tempfile.TemporaryFile(dir=folder) as block:
        _spool_bodies(spec, found, planned, bodies)
        block.truncate(Live.size(workers))
        crew = _Crew(Live(block.fileno(), workers))
        jobs = [
            _job(spec, folder, w, workers, manifest, target, found, planned, (block.fileno(), bodies.fileno()), secrets)
            for w in range(workers)
        ]
        with _signals(crew.live) as interrupts:
            try:
                _start(crew, jobs)
                _watch_load(crew, manifest, spec, watch, interrupts)
            except BaseException:
                _kill(crew)
                raise
            finally:
                watch(Progress("finish"))
                _close(crew, manifest, folder)
    return manifest


def _workers(spec: Spec) -> int:
    """Load processes: as asked, else half of the cores that may be used as far as the load needs them.

    On two or three cores one worker measures better than two, for the server lives there too.
    """
    users, asked = spec.load.concurrency, spec.run.workers
    if asked and users and asked > users:
        raise UsageError(f"{asked} workers cannot share {users} users: give --workers {users} at most")
    needed = math.ceil((spec.load.rate or users or 1) / _LOAD_A_WORKER)
    return asked or max(1, min(len(allowed_cores()) // 2, _WORKERS_MOST, needed, users or needed))


def _check_folder(folder: Path) -> None:
    """RecordingError now, not after the endpoint was asked, if the folder cannot take a recording."""
    if folder.is_dir() and any(folder.iterdir()):
        raise RecordingError(f"{folder} already holds files: give --output a new folder")
    parent = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise RecordingError(f"cannot write to {parent}: give --output another folder")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"cannot make {folder}: {error.strerror}; give --output another folder") from None


def _manifest(spec: Spec, target: Target, found: Endpoint, planned: Plan, workers: int, secrets: list[str]) -> Manifest:
    schedule, endpoint = planned.schedule, spec.endpoint
    now = datetime.now(UTC).astimezone()
    notes = [*found.notes, *planned.notes]
    if not HAS_KERNEL_STAMPS:
        notes.append("this platform has no kernel receive stamps: times were taken when the client read")
    proxy = target.proxy if target.proxy else None
    if proxy:
        notes.append(f"requests went through the proxy {proxy} that the environment sets")
    effective: dict[str, Any] = {
        "url": target.origin + target.prefix + PATHS[endpoint.api],
        "address": str(found.address[1][0]),
        "proxy": proxy,
        "model": _scrub(found.model, secrets),
        "ignore_eos": found.ignore_eos,
        "include_usage": found.include_usage and endpoint.stream,
        "max_tokens_field": found.max_tokens_field,
        "tokenizer": planned.tokenizer.name,
        "tokenizer_packaged": planned.tokenizer.packaged,
        "workers": workers,
        "ramp_s": spec.load.ramp_s,
        "rows": len(schedule),
    }
    return Manifest(
        loadcell=__version__,
        id=f"{now:%Y%m%d-%H%M%S}-{os.urandom(3).hex()}",
        started_at=now.isoformat(timespec="seconds"),
        loop=schedule.loop,
        planned=schedule.planned,
        workers=workers,
        schedule_hash=schedule.hash,
        clock="kernel" if HAS_KERNEL_STAMPS else "user",
        window_end_ns=None if spec.load.duration_s is None else int(spec.load.duration_s * 1e9),
        effective=effective,
        notes=[_scrub(note, secrets) for note in notes],
    )


def _scrub(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "<redacted>")
    return text


def _write_schedule(planned: Plan, folder: Path) -> None:
    schedule, rows = planned.schedule, len(planned.schedule)
    times = array("q", [MISSING]) * rows if schedule.planned_ns is None else schedule.planned_ns
    columns = {
        "request": range(rows),
        "planned_ns": times,
        "input_tokens": schedule.input_tokens,
        "output_tokens": schedule.output_tokens,
    }
    write_table(folder / "schedule.parquet", SCHEDULE, columns)


def _spool_bodies(spec: Spec, found: Endpoint, planned: Plan, file: IO[bytes]) -> None:
    """Write every request body to a nameless file, then their offsets: memory stays bounded, and no prompt stays."""
    prefix, api, field_name = prefix_of(spec, found), spec.endpoint.api, found.max_tokens_field
    offsets = array("q", [0])
    end = 0
    try:
        for prompt, most in zip(planned.prompts, planned.schedule.output_tokens.tolist(), strict=True):
            end += file.write(body(api, prefix, prompt, most, field_name))
            offsets.append(end)
        file.write(offsets.tobytes())
        file.flush()
    except OSError as error:
        raise RecordingError(f"cannot write the request bodies: {error.strerror}; free some space") from None


def _job(
    spec: Spec,
    folder: Path,
    worker: int,
    workers: int,
    manifest: Manifest,
    target: Target,
    found: Endpoint,
    planned: Plan,
    descriptors: tuple[int, int],
    secrets: list[str],
) -> Job:
    load, schedule, cores = spec.load, planned.schedule, allowed_cores()
    closed = schedule.loop == "closed"
    # Users and caps are dealt out like requests: worker w has those with number w, w + W, ...
    mine = range(worker, load.concurrency or 0, workers)
    spread_ns = (load.ramp_s or 0.0) * 1e9 / max(load.concurrency or 1, 1)
    guess = load.concurrency if load.concurrency else math.ceil(load.rate or 1)
    return Job(
        folder=str(folder),
        worker=worker,
        workers=workers,
        run_id=manifest.id,
        target=target,
        address=found.address,
        api=spec.endpoint.api,
        stream=spec.endpoint.stream,
        live_fd=descriptors[0],
        bodies_fd=descriptors[1],
        rows=len(schedule),
        requests=load.requests if closed else None,
        users=len(mine) if closed else None,
        cap=len(mine) if load.concurrency and not closed else None,
        pool=min(math.ceil(guess / workers), _POOL_MOST, max(1, len(range(worker, len(schedule), workers)))),
        starts_ns=[int(user * spread_ns) for user in mine] if closed else [],
        end_ns=manifest.window_end_ns,
        timeout_s=load.timeout_s,
        connect_timeout_s=load.connect_timeout_s,
        keep_text=spec.run.keep_text,
        tokenizer=spec.workload.tokenizer,
        secrets=secrets,
        # The highest cores: interrupts and busy neighbours tend to live on the lowest.
        cpu=cores[-1 - worker] if len(cores) > workers else None,
    )


# --- the processes ---------------------------------------------------------------------------------------------------


@contextmanager
def _signals(live: Live) -> Iterator[list[int]]:
    """Take Ctrl-C and termination as the sign to stop; the list grows by one for each."""
    taken: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)

    def take(number: int, _: object) -> None:
        taken.append(number)
        live.stop = True

    before = [signal.signal(kind, take) for kind in kinds]
    try:
        yield taken
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _start(crew: _Crew, jobs: list[Job]) -> None:
    """Start the workers and wait until each has its connections; EndpointError if one cannot."""
    for job in jobs:
        process = subprocess.Popen(
            [sys.executable, "-m", "loadcell.load.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C on the terminal is for this process alone
            pass_fds=(job.live_fd, job.bodies_fd),
        )
        crew.processes.append(process)
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(job))
            process.stdin.close()
        except BrokenPipeError:
            raise RecordingError("a load process died as it started; its error stands above") from None
    for process in crew.processes:
        assert process.stdout is not None
        line = process.stdout.readline()
        answer = json.loads(line) if line else {"error": "a load process died as it started"}
        if "error" in answer:
            raise EndpointError(answer["error"])
    crew.live.t0_ns = time.monotonic_ns() + _START_DELAY_NS


def _watch_load(crew: _Crew, manifest: Manifest, spec: Spec, watch: Watch, interrupts: list[int]) -> None:
    """Show progress until every worker has ended."""
    live = crew.live
    while any(process.poll() is None for process in crew.processes):
        elapsed_s = max(0.0, (time.monotonic_ns() - live.t0_ns) / 1e9)
        counts = {c: live.total(c) for c in Count}
        watch(
            Progress(
                "load",
                elapsed_s,
                manifest.planned,
                spec.load.duration_s,
                counts[Count.ISSUED],
                counts[Count.OK],
                counts[Count.FAILED],
                counts[Count.IN_FLIGHT],
                counts[Count.EVENTS],
            )
        )
        if interrupts:
            manifest.state = "interrupted"
        if len(interrupts) > 1:
            raise KeyboardInterrupt
        if any(process.poll() not in (None, 0) for process in crew.processes):
            live.stop = True
        time.sleep(0.05)


def _kill(crew: _Crew) -> None:
    for process in crew.processes:
        process.kill()


def _close(crew: _Crew, manifest: Manifest, folder: Path) -> None:
    """Say in the manifest how the run ended; write the audit of workers that could not."""
    manifest.ended_ns = time.monotonic_ns() - crew.live.t0_ns if crew.live.t0_ns else None
    for worker, process in enumerate(crew.processes):
        code = process.wait()
        assert process.stdout is not None
        process.stdout.close()
        file = folder / f"audit-{worker}.json"
        if file.exists():
            audit = json.loads(file.read_bytes())
            if audit["died"]:
                manifest.state = "broken"
                manifest.invalid.append(f"worker {worker} could not write its data: {audit['died']}")
            if audit["exhausted"]:
                manifest.notes.append(
                    "the schedule ran out before the time did: give --requests with more than this run sent"
                )
        elif crew.live.t0_ns and manifest.state != "interrupted":
            issued = crew.live.cells(worker)[Count.ISSUED]
            died = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit status {code}"
            manifest.state = "broken"
            manifest.invalid.append(f"worker {worker} died ({died}); its requests since its last flush are lost")
            dump_json(file, Audit(worker, None, issued=issued, died=died).as_dict())
    if manifest.state == "running":
        manifest.state = "complete"
    dump_json(folder / "recording.json", manifest)

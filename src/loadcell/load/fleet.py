"""One run from Spec to recording: prepare everything, start the workers, watch them, close the recording."""

from __future__ import annotations

import json
import secrets as randomness
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import EndpointError
from loadcell.load import feeder
from loadcell.load.cache import prepare_cache
from loadcell.load.calibrate import PromptCount, count_prompts, counted
from loadcell.load.context import server_of
from loadcell.load.crew import Crew
from loadcell.load.ending import OwnEnd, ran_out
from loadcell.load.environment import environment
from loadcell.load.failing import FailureWatch, lengths_of
from loadcell.load.fit import check_fit
from loadcell.load.head import make_feed, make_head, many, source_of
from loadcell.load.host import Place, allowed_cores, core_ticks, raise_descriptor_limit, steal_share
from loadcell.load.job import Job
from loadcell.load.live import Count, Live, outcomes_of
from loadcell.load.machine import Throttling, throttled, throttling
from loadcell.load.neighbours import Neighbours, neighbours
from loadcell.load.observe import Watched, observing
from loadcell.load.preflight import Endpoint, ask_briefly, preflight
from loadcell.load.prepare import (
    fill,
    make_job,
    make_manifest,
    nameless_files,
    schedule_columns,
    waits_columns,
    with_ramp,
    worker_count,
)
from loadcell.load.progress import EVERY_NS, Meter, Progress
from loadcell.load.scrape import scrape
from loadcell.load.sharing import Sharing
from loadcell.load.sources import find_sources
from loadcell.load.steer import Steer, Stop, View
from loadcell.load.steering import Steering
from loadcell.load.target import Target
from loadcell.load.ways import ask_others, pages_of, place_of_ways, secrets_of_ways, told_of, ways_of
from loadcell.phrases import phrase
from loadcell.recording import write as recording
from loadcell.recording.claim import claimed
from loadcell.recording.schema import Manifest
from loadcell.recording.seal import seal
from loadcell.secrets import scrub, scrub_sentence
from loadcell.spec import Spec, with_defaults
from loadcell.workload import Vocabulary, plan, replay_of, vocabulary_of

_START_DELAY_NS = 50_000_000
_SALT_BYTES = 4
LOOK_S = 0.125
"""Time between two looks at the load; its end is seen at once."""


Watch = Callable[[Progress], None]
Review = Callable[[Manifest, dict[str, Any]], list[str]]
"""Looks at the manifest and the environment of a run before its load; returns notes that its result must show."""


@dataclass
class LoadCrew(Crew):
    """The processes of a run, and who looks on."""

    beside: Neighbours = field(kw_only=True)
    server: Place | None = None
    sharing: Sharing | None = None
    """Counts of what the load takes from a server on this machine; None where there is none."""
    steering: Steering | None = None
    failures: FailureWatch | None = None
    own_end: OwnEnd | None = None
    ticks_before: tuple[int, int] | None = None
    """Clock ticks of the cores when the load began."""
    throttling_before: Throttling = field(default_factory=dict)
    watched: list[Watched] = field(default_factory=list)

    def look(self) -> None:
        """To be called often while the load runs: what fails, who steers, who shares the machine, its own end."""
        if self.failures is not None:
            self.failures.look(max(0, time.monotonic_ns() - self.live.t0_ns))
        for one in (self.steering, self.sharing, self.own_end, self.beside):
            if one is not None:
                one.look()


def run_load(
    spec: Spec,
    folder: Path,
    watch: Watch,
    selftest: dict[str, Any] | None = None,
    review: Review | None = None,
    steer: Steer | None = None,
) -> Manifest:
    """Run the load that `spec` asks for and record it in `folder`; returns the manifest as written.

    `selftest` is this machine's self-test, to be kept with the recording. `steer` looks at the load some times a second
    and may end it; to answer `load.stop_when_saturated` is the caller's part (`search.saturation_steer`).
    KeyboardInterrupt during the load ends it cleanly and is taken (the manifest says "interrupted"); a second one kills
    the workers and is raised. UsageError, EndpointError or RecordingError say why nothing was measured.
    """
    spec = asked_for = salted(with_defaults(spec))
    if (replay := replay_of(spec)) is not None:  # a rate and lengths, which many ask for
        spec = replay.filled(spec)
    ways = ways_of(spec)
    target, secrets = ways[0].target, secrets_of_ways(ways)
    workers = worker_count(spec)
    raise_descriptor_limit()
    check_fit(spec, workers)
    with (
        claimed(folder),
        neighbours(target.origin) as beside,
        nameless_files(folder) as files,
    ):
        fill(files.live, Live.size(workers))
        crew = LoadCrew(Live(files.live, workers), beside=beside)
        try:
            crew.start(files.all(), folder)  # they load their libraries while the endpoint is asked
            watch(Progress("check"))
            found = _ask(ways[0].spec, target, secrets, watch)
            asked = ask_others(ways, found, lambda spec, target: _ask(spec, target, secrets, watch))
            target = target.of_model(found.model)
            watch(Progress("prepare"))
            spec, count, words = _count_prompts(spec, target, found)
            every = [(way.spec, way.target, one) for way, one in zip(ways, asked, strict=True)]
            server = server_of([(spec, target, found), *every[1:]])
            planned = plan(_named(spec, found.model), words, replay, server)
            written = spec if replay is None else replay.asked(spec, asked_for)
            spec = with_ramp(spec, found)
            manifest = make_manifest(spec, target, found, planned, workers, secrets, count)
            if len(ways) > 1:
                manifest.effective["classes"], notes = told_of(ways, asked, secrets)
                manifest.notes += notes
            source = source_of(spec, [(way.spec, one) for way, one in zip(ways, asked, strict=True)], planned)
            manifest.bodies_hash = source.hash(len(source) - planned.schedule.beyond)
            if many(source):
                crew.feeder = feeder.start(files.all())  # it loads its libraries while the first bodies are made
            made, suggested = make_head(folder, crew.live, files, spec, found, planned, source, watch)
            if spec.load.cache != "as-is":
                manifest.effective["cache"], notes = prepare_cache(spec, ways, asked, planned, watch)
                manifest.notes += [scrub_sentence(note, secrets) for note in notes]
            machine = environment(secrets)
            if review is not None:
                manifest.notes += [scrub_sentence(note, secrets) for note in review(manifest, machine)]
            recording.begin(
                folder, manifest, written, machine, schedule_columns(planned), selftest, waits_columns(planned.schedule)
            )
            fill(files.outcomes, len(planned.schedule))
            outcomes = outcomes_of(files.outcomes, len(planned.schedule))
            lengths = lengths_of(planned.schedule)
            crew.failures = failures = FailureWatch(crew.live, spec.load.max_failures, lengths)

            def steered(view: View) -> Stop | None:
                return failures.stop(view.now_ns) or (None if steer is None else steer(view))

            crew.steering = Steering(steered, crew.live, outcomes, planned.schedule, manifest)
            crew.own_end = OwnEnd(spec, crew.live, planned.schedule, manifest)
            jobs = [
                make_job(spec, folder, w, workers, manifest, ways, asked, planned, files, secrets)
                for w in range(workers)
            ]
            if made < len(source):
                crew.feeder = crew.feeder or feeder.start(files.all())
                crew.feed = make_feed(spec, source, planned, made, suggested, files, jobs)
            elif crew.feeder is not None:
                feeder.dismiss(crew.feeder)
                crew.feeder = None
            pinned = {job.cpu for job in jobs if job.cpu is not None}
            crew.server, near = place_of_ways(ways, asked, pinned or set(allowed_cores()))
            if crew.server not in (None, "elsewhere"):
                crew.sharing = Sharing(near)
            pages, notes = pages_of(ways, asked, secrets)
            if not spec.classes.also:  # of several servers, what one says of its own requests is not of the load
                notes += scrape(spec.endpoint, target, found.address, folder / "server-before.prom", secrets)
            has_page = (folder / "server-before.prom").exists()
            manifest.notes += notes
            crew.watched, notes = find_sources(spec, target, found.address, has_page, crew.server, secrets, pages)
            manifest.notes += notes
            meter = Meter(crew.live, planned.schedule.times_ns)
            try:
                _drive(crew, jobs, manifest, spec, folder, watch, meter)
                if has_page:
                    with signals_stop(crew.live):  # there is nothing left to stop
                        notes = scrape(spec.endpoint, target, found.address, folder / "server-after.prom", secrets)
                    manifest.notes += notes
            finally:
                seal(folder, manifest)  # last, and once: it reads every file
        finally:
            crew.kill()
    return manifest


def new_salt() -> str:
    """A salt that no run had before."""
    return randomness.token_hex(_SALT_BYTES)


def salted(spec: Spec) -> Spec:
    """The Spec with a salt for what is synthetic in it, drawn anew where it has none: no cache knows what they are."""
    unsalted = spec.workload.prompts is not None and not spec.media.made
    if unsalted or spec.run.salt is not None:
        return spec
    return msgspec.structs.replace(spec, run=msgspec.structs.replace(spec.run, salt=new_salt()))


def _named(spec: Spec, model: str) -> Spec:
    """The Spec with the model that is asked for, which lines of a file may name too."""
    return msgspec.structs.replace(spec, endpoint=msgspec.structs.replace(spec.endpoint, model=model or None))


def _count_prompts(spec: Spec, target: Target, found: Endpoint) -> tuple[Spec, PromptCount | None, Vocabulary | None]:
    """The Spec with how its synthetic prompts are counted, that, and their words; those of a file stay as they are."""
    if spec.workload.prompts is not None or spec.workload.hears:
        return spec, None, None
    words = vocabulary_of(spec)
    count = count_prompts(spec, found, words, partial(ask_briefly, spec, target, found))
    return counted(spec, count), count, words


def _ask(spec: Spec, target: Target, secrets: list[str], watch: Watch) -> Endpoint:
    """The preflight; what a server echoes of what it was sent is taken out of its errors."""

    def waiting(why: str, waited_s: float) -> None:
        watch(Progress("check", waited_s, duration_s=spec.load.wait_ready_s, says=scrub(why, secrets)))

    try:
        return preflight(spec, target, waiting)
    except EndpointError as error:
        raise EndpointError(scrub(str(error), secrets)) from None


def _drive(
    crew: LoadCrew, jobs: list[Job], manifest: Manifest, spec: Spec, folder: Path, watch: Watch, meter: Meter
) -> None:
    """Start the load, watch it, and close the recording, however it ends."""
    with signals_stop(crew.live) as interrupts:
        try:
            _start(crew, jobs, watch)
            with observing(crew.watched, folder, crew.live.t0_ns, spec.observe.every_s, manifest.notes):
                _watch_load(crew, manifest, spec, watch, interrupts, meter)
                # The last look at what is watched is not part of the run.
                manifest.ended_ns = max(0, time.monotonic_ns() - crew.live.t0_ns)
                if crew.sharing is not None:
                    crew.sharing.end()
        except BaseException:
            crew.kill()
            raise
        finally:
            watch(Progress("finish"))
            if interrupts:
                manifest.state = "interrupted"
            close_run(crew, manifest, folder)


@contextmanager
def signals_stop(live: Live) -> Iterator[list[int]]:
    """Take Ctrl-C and termination as the sign to stop; the list grows by one for each. What is ignored stays so."""
    taken: list[int] = []
    kinds = [kind for kind in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(kind) != signal.SIG_IGN]

    def take(number: int, _: object) -> None:
        taken.append(number)
        live.stop = True

    before = [signal.signal(kind, take) for kind in kinds]
    try:
        yield taken
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _start(crew: LoadCrew, jobs: list[Job], watch: Watch) -> None:
    """Give the workers their jobs and wait until each has its connections; EndpointError if one cannot."""
    crew.tell(jobs)
    watch(Progress("start"))
    crew.wait_ready(jobs[0].secrets)
    crew.ticks_before, crew.throttling_before = core_ticks(allowed_cores()), throttling()
    if crew.sharing is not None:
        crew.sharing.begin()
    crew.live.t0_ns = time.monotonic_ns() + _START_DELAY_NS


def _watch_load(
    crew: LoadCrew, manifest: Manifest, spec: Spec, watch: Watch, interrupts: list[int], meter: Meter
) -> None:
    """Show progress until every worker has ended."""
    live, shown_ns = crew.live, 0
    crew.beside.look()
    while any(process.poll() is None for process in crew.processes):
        now = time.monotonic_ns()
        crew.look()
        if now - shown_ns >= EVERY_NS:  # figures cost CPU that a server here may miss
            shown_ns = now
            watch(progress_of(meter, crew, manifest, spec))
        if len(interrupts) > 1:
            raise KeyboardInterrupt
        if any(process.poll() not in (None, 0) for process in crew.all()):
            live.stop = True
        crew.await_end(LOOK_S)


def progress_of(meter: Meter, crew: LoadCrew, manifest: Manifest, spec: Spec) -> Progress:
    """What there is to show of the load now."""
    live = crew.live
    now = max(0, time.monotonic_ns() - live.t0_ns)
    recent, whole = meter.figures(now)
    counts, load = meter.counts(), spec.load
    due, beyond = meter.due(now, manifest.planned), counts[Count.BEYOND]
    likely = None if crew.own_end is None else crew.own_end.likely_ns()
    last = meter.last_ns if manifest.window_end_ns is None or load.requests is not None else None
    planned = None if crew.own_end is not None and crew.own_end.unknown else manifest.window_end_ns
    ends_ns = [end for end in (planned, last, live.end_ns or None, likely) if end is not None]
    timed = 0 if due is not None and load.concurrency is not None else counts[Count.TIMED]  # a cap makes sends wait
    return Progress(
        "load",
        now / 1e9,
        manifest.planned,
        load.duration_s,
        counts[Count.ISSUED] - beyond,
        counts[Count.OK],
        counts[Count.FAILED],
        counts[Count.IN_FLIGHT],
        counts[Count.EVENTS],
        counts[Count.CANCELLED],
        counts[Count.ABANDONED],
        users=load.concurrency if due is None else None,
        due=due,
        sends_end_s=min(ends_ns) / 1e9 if ends_ns else None,
        awaited=counts[Count.LEFT],
        kept=beyond > 0,
        stopping=live.stop,
        streamed=spec.endpoint.stream,
        generates=spec.workload.generates,
        recent=recent,
        whole=whole,
        on_time_share=1 - counts[Count.OFF_TIME] / timed if timed else None,
        timed=timed,
        longest_stall_ms=meter.longest_stall_ms(),
        failing=None if crew.failures is None else crew.failures.shown,
        silent=counts[Count.SILENT],
        silent_s=meter.longest_silence_s(),
        beside=crew.beside.now,
    )


def close_run(crew: LoadCrew, manifest: Manifest, folder: Path) -> None:
    """Say in the manifest how the run ended; write the audit of workers that could not."""
    if manifest.ended_ns is None and crew.live.t0_ns:
        manifest.ended_ns = max(0, time.monotonic_ns() - crew.live.t0_ns)
    if crew.steering is not None:
        crew.steering.close()
    if crew.own_end is not None:
        crew.own_end.close()
    manifest.notes[:0] = crew.beside.notes()  # the first: one screen shows no more
    opened: dict[str, int] = {}
    wordless = 0
    stolen = steal_share(crew.ticks_before, core_ticks(allowed_cores()))
    for worker, process in enumerate(crew.processes):
        code = process.wait()
        file = folder / f"audit-{worker}.json"
        if file.exists():
            audit = json.loads(file.read_bytes())
            for address, count in audit.get("connections_by_address", {}).items():
                opened[address] = opened.get(address, 0) + count
            wordless += audit.get("wordless", 0)
            if audit["died"]:
                manifest.state = "broken"
                manifest.invalid.append(phrase("worker {} could not write its data: {}", worker, audit["died"]))
            if audit["exhausted"]:
                manifest.notes.append(ran_out(crew.live))
        elif code and crew.live.t0_ns:
            cells = crew.live.cells(worker)
            died = (
                phrase("signal {} ({})", -code, signal.Signals(-code).name)
                if code < 0
                else phrase("exit status {}", code)
            )
            if manifest.state != "interrupted":
                manifest.state = "broken"
                manifest.invalid.append(
                    phrase("worker {} died ({}); its requests since its last flush are lost", worker, died)
                )
            issued, beyond = cells[Count.ISSUED], cells[Count.BEYOND]
            told = {"worker": worker, "issued": issued, "beyond": beyond, "died": died}
            recording.write_audit(folder, worker, told)
    if crew.feeder is not None and crew.feeder.poll() and manifest.state != "interrupted":
        manifest.state = "broken"
        manifest.invalid.append(feeder.said(crew.feeder) or "")
    if wordless:
        words = phrase("{:,} replies had no visible text: later turns carry empty ones in their place", wordless)
        manifest.notes.append(words)
    if opened:
        manifest.effective["connections_by_address"] = opened
    if len(opened) > 1 and "classes" not in manifest.effective:
        shares = ", ".join(f"{address} ({count})" for address, count in opened.items())
        manifest.notes.append(
            phrase("the host has {} addresses; connections went to each in turn: {}", len(opened), shares)
        )
    if manifest.state == "running" and not crew.live.t0_ns:
        manifest.state = "broken"
        manifest.invalid.append(phrase("the load did not begin"))
    elif manifest.state == "running":
        manifest.state = "complete"
    live = crew.live
    made = crew.feeder and {"cpu_ns": live.feeder_cpu_ns, "rows": live.feeder_rows, "bytes": live.feeder_bytes}
    host = {
        "steal_share": stolen,
        "throttled": throttled(crew.throttling_before, throttling()),
        "server": crew.server,
        "sharing": crew.sharing and crew.sharing.told,
        "feeder": made,
    }
    recording.end(folder, manifest, host)

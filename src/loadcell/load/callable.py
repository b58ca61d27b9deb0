"""The load of a Python callable: the schedule, the rows and the recording of any load, without a server or processes.

The thread that asked for the run conducts it (`conductor.py`); the callable runs in other threads, or on a loop
(`callers.py`).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic_ns

from loadcell.apis import IN_PYTHON
from loadcell.errors import EndpointError, UsageError
from loadcell.load.calibrate import PromptCount, count_prompts, counted
from loadcell.load.call import Call
from loadcell.load.callers import Caller, Fn, InThreads, OnLoop, declared_async
from loadcell.load.conductor import Conductor
from loadcell.load.ending import OwnEnd
from loadcell.load.environment import environment
from loadcell.load.failing import FailureWatch
from loadcell.load.fleet import LOOK_S, LoadCrew, Watch, close_run, progress_of, salted, signals_stop
from loadcell.load.head import source_of
from loadcell.load.host import allowed_cores, core_ticks
from loadcell.load.live import Live, outcomes_of
from loadcell.load.machine import tasks_left, throttling
from loadcell.load.neighbours import neighbours
from loadcell.load.observe import observing
from loadcell.load.preflight import PROBE_PROMPT, Endpoint
from loadcell.load.prepare import fill, manifest_of, nameless_files, schedule_columns, slice_of, with_ramp
from loadcell.load.progress import Meter, Progress
from loadcell.load.sources import local_sources
from loadcell.load.steer import Steer, Stop, View
from loadcell.load.steering import Steering
from loadcell.phrases import phrase
from loadcell.protocol.callable import CALLABLE
from loadcell.protocol.said import Said
from loadcell.recording import write as recording
from loadcell.recording.claim import claimed
from loadcell.recording.schema import MISSING, Manifest
from loadcell.recording.seal import seal
from loadcell.spec import Spec, secrets_of, with_defaults, with_fields
from loadcell.workload import Plan, plan, vocabulary_of

_START_DELAY_NS, _SHOWN_NS = 50_000_000, 1_000_000_000
_PROBED_PIECES, _PROBED_S = 16, 3.0
"""Of the answer to the probe so many pieces are waited for, or those that come in this time."""
_ENGINES = {
    "vllm": "vllm", "sglang": "sglang", "transformers": "transformers", "torch": "torch",
    "llama_cpp": "llama-cpp-python", "xllamacpp": "xllamacpp", "mlx_lm": "mlx-lm", "tensorrt_llm": "tensorrt-llm",
    "ctranslate2": "ctranslate2", "onnxruntime_genai": "onnxruntime-genai", "openvino_genai": "openvino-genai",
}  # fmt: skip
"""Packages whose versions are recorded, by the modules that show that they are loaded."""


def run_callable(
    fn: Fn, spec: Spec, folder: Path, watch: Watch = lambda _: None, steer: Steer | None = None
) -> Manifest:
    """Put the load that `spec` asks for on a Python callable and record it in `folder`, as `run_load` does on a server.

    Returns the manifest as written. KeyboardInterrupt, here or raised by `fn`, ends the load and keeps what was
    recorded; a second one here is raised. EndpointError says that `fn` failed when it was tried.
    """
    spec = salted(with_defaults(spec))
    _check_threads(spec)
    secrets = sorted(secrets_of(spec, None), key=len, reverse=True)
    with claimed(folder), neighbours(spec.endpoint.url) as beside, nameless_files(folder) as files:
        watch(Progress("check"))
        probe = _Probe(fn, spec)
        try:
            found = probe.look()
            spec = with_fields(spec, {"endpoint.stream": probe.streamed})
            spec, count, planned = _planned(spec, found, probe)
            watch(Progress("prepare"))
            asked, spec = spec, with_ramp(spec, found)
            manifest = _manifest(spec, found, planned, probe.caller, secrets, count)
            machine = environment(secrets)
            machine["libraries"] |= dict(_engines())
            recording.begin(folder, manifest, asked, machine, schedule_columns(planned))
            fill(files.live, Live.size(1))
            fill(files.outcomes, len(planned.schedule))
            crew = LoadCrew(Live(files.live, 1), beside=beside, server="this process")
            crew.failures = failures = FailureWatch(crew.live, spec.load.max_failures)

            def steered(view: View) -> Stop | None:
                return failures.stop(view.now_ns) or (None if steer is None else steer(view))

            outcomes = outcomes_of(files.outcomes, len(planned.schedule))
            crew.steering = Steering(steered, crew.live, outcomes, planned.schedule, manifest)
            crew.own_end = OwnEnd(spec, crew.live, planned.schedule, manifest)
            if spec.observe.every_s:
                crew.watched, notes = local_sources(spec, here=True)
                manifest.notes += notes
            mine = slice_of(spec, 0, 1, planned, files, found.e2e_s(float(planned.schedule.output_tokens.mean())))
            try:
                with recording.nameless_file(folder, "w+") as uncounted:
                    load = Conductor(
                        mine, spec, crew.live, planned, probe.caller, probe.back, folder, uncounted, secrets
                    )
                    meter = Meter(crew.live, planned.schedule.times_ns)
                    _drive(load, crew, manifest, spec, folder, watch, meter)
            finally:
                seal(folder, manifest)
        finally:
            probe.caller.close()
    return manifest


def _check_threads(spec: Spec) -> None:
    users, left = spec.load.concurrency, tasks_left()
    if users is not None and left is not None and users > left:
        raise UsageError(
            f"{users:,} calls at once may need as many threads, and this container allows {max(left, 0):,} more: lower "
            "the concurrency, or raise its limit (pids.max)"
        )


def _engines() -> Iterator[tuple[str, str]]:
    """Versions of the engines that this process has loaded."""
    for module in _ENGINES.keys() & sys.modules.keys():
        try:
            yield module, version(_ENGINES[module])
        except PackageNotFoundError:  # it lies on the path without having been installed
            yield module, str(getattr(sys.modules[module], "__version__", "unknown"))


class _Probe:
    """A callable before its load: how it is called, and what its first calls tell."""

    def __init__(self, fn: Fn, spec: Spec) -> None:
        self._fn, self._spec = fn, spec
        self.back: SimpleQueue[Call] = SimpleQueue()
        self.streamed = True
        """Whether the answer to the first call came in pieces."""
        self.caller: Caller = OnLoop(fn, self.back) if declared_async(fn) else InThreads(fn, self.back, 1)

    def look(self) -> Endpoint:
        """Make one call like the load's; EndpointError if it fails."""
        spec = self._spec
        found = Endpoint([], spec.endpoint.model or spec.endpoint.url.removeprefix(IN_PYTHON), CALLABLE.form)
        found.no_usage = phrase("the callable tells no prompt tokens")
        tokens = max(1, round(spec.workload.mean_output_tokens))
        call = self._call(PROBE_PROMPT, tokens, brief=True)
        if call.awaits:
            self.caller.close()
            self.caller = OnLoop(self._fn, self.back)
            call = self._call(PROBE_PROMPT, tokens, brief=True)
        stamps = call.hear()
        if call.interrupts:
            raise KeyboardInterrupt
        if (failure := call.failure or call.reply.failure) is not None:
            raise EndpointError(f"the callable failed when it was tried, before the load: {failure[1]}")
        self.streamed = call.streamed
        came = [stamp for stamp, holds in zip(stamps, call.reply.outputs(), strict=True) if holds]
        found.probe_first_s = (came[0] - call.send_start_ns) / 1e9
        found.probe_token_s = (came[-1] - came[0]) / 1e9 / (len(came) - 1) if len(came) > 1 else 0.0
        return found

    def ask(self, prompt: str, what: str) -> Said | str:
        """The answer to a prompt, of one token, or why there is none: nothing here fails a run."""
        call = self._call(prompt, 1)
        call.hear()
        failure = call.failure or call.reply.failure
        return call.reply if failure is None else phrase("{} failed: {}", what, failure[1])

    def _call(self, prompt: str, tokens: int, *, brief: bool = False) -> Call:
        """A call that has ended; a `brief` one is left after some pieces."""
        call = Call(0, MISSING, MISSING, 0, tokens, prompt, dict(self._spec.endpoint.extra_body))
        self.caller.begin(call)
        began = time.monotonic()
        while True:
            try:
                return self.back.get(timeout=0.01)
            except Empty:
                passed_s, came = time.monotonic() - began, len(call.stamps)
                call.over = brief and (came >= _PROBED_PIECES or (came > 0 and passed_s > _PROBED_S))
                if passed_s > self._spec.load.timeout_s:
                    self.caller.give_up(call)
                    raise EndpointError(
                        f"the callable did not answer within {passed_s:.3g} s when it was tried (timeout_s)"
                    ) from None


def _planned(spec: Spec, found: Endpoint, probe: _Probe) -> tuple[Spec, PromptCount | None, Plan]:
    """The Spec with how its synthetic prompts are counted, that, and what is to be sent."""
    if spec.workload.prompts is not None:
        return spec, None, plan(spec)
    words, asked = vocabulary_of(spec), spec.workload
    if asked.template_tokens is None or asked.token_ratio is None:
        short = probe.ask(PROBE_PROMPT, phrase("a short probe"))
        if isinstance(short, str):
            found.no_usage = short
        elif short.usage is not None:
            found.probe_tokens = short.usage.prompt_tokens
    count = count_prompts(spec, found, words, probe.ask)
    spec = counted(spec, count)
    return spec, count, plan(spec, words)


def _manifest(
    spec: Spec, found: Endpoint, planned: Plan, caller: Caller, secrets: list[str], count: PromptCount | None
) -> Manifest:
    notes = [
        phrase("a Python callable was loaded in the load's own process: both share its interpreter and its cores"),
        *found.notes,
        *planned.notes,
    ]
    effective = {"url": spec.endpoint.url, "model": found.model, "called_by": caller.says}
    manifest = manifest_of(spec, planned, 1, secrets, count, effective, notes, clock="user", core=None)
    source = source_of(spec, [(spec, found)], planned)
    manifest.bodies_hash = source.hash(len(source) - planned.schedule.beyond)
    return manifest


def _drive(
    load: Conductor, crew: LoadCrew, manifest: Manifest, spec: Spec, folder: Path, watch: Watch, meter: Meter
) -> None:
    """Run the load, look at it, and close the recording, however it ends."""
    main = threading.current_thread() is threading.main_thread()  # signals are for that alone
    stops: AbstractContextManager[list[int]] = signals_stop(crew.live) if main else nullcontext([])
    shown_ns = looked_ns = stopped = 0
    with stops as interrupts:

        def look(now: int) -> None:
            nonlocal shown_ns, looked_ns
            if len(interrupts) > 1:
                raise KeyboardInterrupt
            if now - looked_ns > LOOK_S * 1e9:
                looked_ns = now
                crew.look()
            if now - shown_ns > _SHOWN_NS:
                shown_ns = now
                watch(progress_of(meter, crew, manifest, spec))

        try:
            watch(Progress("start"))
            load.prepare()
            crew.ticks_before, crew.throttling_before = core_ticks(allowed_cores()), throttling()
            crew.live.t0_ns = t0_ns = monotonic_ns() + _START_DELAY_NS
            with observing(crew.watched, folder, t0_ns, spec.observe.every_s, manifest.notes):
                load.run(t0_ns, look)
                manifest.ended_ns = max(0, monotonic_ns() - t0_ns)
            stopped = len(interrupts)
            load.wait(manifest, lambda: len(interrupts) > stopped)
        except BaseException as error:
            manifest.state = "interrupted" if isinstance(error, KeyboardInterrupt) else "broken"
            raise
        finally:
            watch(Progress("finish"))
            if stopped or load.interrupted:
                manifest.state = "interrupted"
            crew.sharing = load.end(manifest)
            close_run(crew, manifest, folder)

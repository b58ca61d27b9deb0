"""A run of LoadGen from its plan to loadcell.json: prepare, start the child, watch it, read what is left."""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from loadcell.errors import EndpointError, RecordingError, UsageError
from loadcell.load import Progress
from loadcell.load.fleet import Watch
from loadcell.load.preflight import Endpoint, prefix_of, preflight
from loadcell.load.target import make_target, secrets_for
from loadcell.mlperf.model import Driven
from loadcell.mlperf.planning import Planned
from loadcell.mlperf.wheel.judge import judge
from loadcell.mlperf.wheel.model import ROW, Drive, Heard, Job, Message
from loadcell.mlperf.wheel.settings import settings_of
from loadcell.protocol import dialect_of
from loadcell.recording.read import dump_json
from loadcell.recording.write import nameless_file
from loadcell.secrets import scrub
from loadcell.spec import Spec, with_defaults
from loadcell.workload.files import read_prompts

REPORT = "loadcell.json"
COMMAND = (sys.executable, "-m", "loadcell.mlperf.wheel.process")
_POOL_MOST = 1024


def wheel_version() -> str:
    """The version of the installed LoadGen; UsageError says how to get it."""
    if importlib.util.find_spec("mlperf_loadgen") is None:
        raise UsageError(
            "the genuine LoadGen is not installed: pip install 'loadcell[loadgen]' (wheels: Linux on x86-64, "
            "macOS on arm64 and Windows, CPython 3.10 to 3.13); without it: loadcell mlperf run sends the same traffic"
        )
    return version("mlcommons-loadgen")


def drive(planned: Planned, folder: Path, watch: Watch, *, accuracy: bool = False) -> Driven:
    """Let LoadGen run the plan against its endpoint; its logs and loadcell.json lie in `folder` then.

    KeyboardInterrupt ends it, is taken, and leaves no summary: LoadGen cannot end early. UsageError, EndpointError or
    RecordingError say why nothing was measured.
    """
    asked = Drive(
        plan=planned.plan,
        spec=with_defaults(planned.spec),
        accuracy=accuracy,
        settings=settings_of(planned.plan, accuracy=accuracy),
        loadgen=wheel_version(),
        started_at=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
    )
    if asked.tells_first and not asked.spec.endpoint.stream:
        raise UsageError("LoadGen is told of first tokens, which only a stream shows: leave out --no-stream")
    if asked.spec.endpoint.http != "1.1" or asked.spec.endpoint.auth != "key":
        raise UsageError(
            "the client of the genuine LoadGen speaks HTTP/1.1 and signs nothing: leave out --http and --auth"
        )
    driven = _measure(asked, folder, watch)
    dump_json(folder / REPORT, driven)
    return driven


def _measure(asked: Drive, folder: Path, watch: Watch) -> Driven:
    api_key = os.environ.get(asked.spec.endpoint.api_key_env)
    target = make_target(asked.spec.endpoint, api_key)
    secrets = secrets_for(asked.spec, target, api_key)
    try:
        watch(Progress("check"))
        found = preflight(asked.spec, target)
        with nameless_file(folder) as bodies, nameless_file(folder) as rows, _pipe() as (hear, tell):
            watch(Progress("prepare"))
            samples = _write_bodies(asked.spec, found, bodies)
            job = Job(
                settings=asked.settings,
                samples=samples,
                logs=str(folder.resolve()),
                target=target.of_model(found.model),
                addresses=found.addresses,
                api=asked.spec.endpoint.api,
                stream=asked.spec.endpoint.stream,
                reuse=found.reuse,
                cap=asked.cap,
                pool=_pool(asked) if found.reuse else 0,
                timeout_s=asked.spec.load.timeout_s,
                connect_timeout_s=asked.spec.load.connect_timeout_s,
                tell_first=asked.tells_first,
                keep=asked.accuracy,
                tokenizer=asked.spec.workload.tokenizer,
                run_id=f"loadgen-{os.urandom(3).hex()}",
                bodies_fd=bodies.fileno(),
                rows_fd=rows.fileno(),
                messages_fd=tell.fileno(),
            )
            watch(Progress("start"))
            heard = _run_child(asked, job, hear, tell, watch)
            rows.seek(0)
            if data := rows.read():
                heard.rows = np.frombuffer(data, np.int64).reshape(-1, len(ROW))
    except EndpointError as error:
        raise EndpointError(scrub(str(error), secrets)) from None
    watch(Progress("finish"))
    return judge(asked, heard, found.notes, folder, lambda words: scrub(words, secrets))


def _write_bodies(spec: Spec, found: Endpoint, file: IO[bytes]) -> int:
    """Write the request bodies, a sample each, then where each starts and the last stops; returns their number."""
    assert spec.workload.prompts is not None
    prompts = read_prompts(spec)
    body, prefix = dialect_of(spec.endpoint.api).body, prefix_of(spec, found)
    most = int(spec.workload.mean_output_tokens)
    places = array("q", [0])
    try:
        for prompt, own in zip(prompts.prompts, prompts.output_tokens.tolist(), strict=True):
            size = file.write(body(prefix, prompt, own or most, found.form.max_tokens_field))
            places.append(places[-1] + size)
        file.write(places.tobytes())
        file.flush()
    except OSError as error:
        raise RecordingError(f"cannot write the request bodies: {error.strerror}; free some space") from None
    return len(prompts)


def _pool(asked: Drive) -> int:
    """Connections to open before LoadGen starts."""
    at_once = asked.cap or asked.plan.target_qps or asked.plan.rules.samples_per_query
    return min(math.ceil(at_once), _POOL_MOST)


# --- the child --------------------------------------------------------------------------------------------------------


@contextmanager
def _pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    out, into = os.pipe()
    with os.fdopen(out, "rb") as hear, os.fdopen(into, "wb") as tell:
        yield hear, tell


def _run_child(asked: Drive, job: Job, hear: IO[bytes], tell: IO[bytes], watch: Watch) -> Heard:
    """Start the child, give it the job, and listen until it has ended. EndpointError if it could not begin."""
    heard = Heard()
    child = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        process_group=0,  # Ctrl-C on the terminal is for this process alone
        pass_fds=(job.bodies_fd, job.rows_fd, job.messages_fd),
        stdout=subprocess.DEVNULL,
    )
    try:
        tell.close()  # so that the pipe ends with the child
        assert child.stdin is not None
        try:
            child.stdin.write(msgspec.json.encode(job))
            child.stdin.close()
        except BrokenPipeError:
            raise RecordingError("LoadGen's process died as it started; its error stands above") from None
        for line in hear:
            heard.take(msgspec.json.decode(line, type=Message))
            if heard.error:
                raise EndpointError(heard.error)
            if heard.last is not None:
                watch(_progress(asked, job, heard.last))
        code = child.wait()
        if heard.state == "running":
            heard.state, heard.why = "died", _how(code)
    except KeyboardInterrupt:
        heard.state, heard.why = "interrupted", "the run was interrupted"
    finally:
        child.kill()
        child.wait()
    return heard


def _how(code: int) -> str:
    died = f"by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"with exit status {code}"
    return f"LoadGen's process ended {died} before the run did"


def _progress(asked: Drive, job: Job, now: Message) -> Progress:
    rules = asked.plan.rules
    closed = rules.scenario in ("singlestream", "multistream") and not asked.accuracy
    return Progress(
        "load",
        now.elapsed_s,
        job.samples if asked.accuracy else asked.spec.load.requests or asked.plan.queries,
        rules.min_duration_s if closed else None,
        now.issued,
        now.done - now.failed,
        now.failed,
        now.in_flight,
        now.tokens,
    )

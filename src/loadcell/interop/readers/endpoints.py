"""The MLPerf Endpoints client: result_summary.json of a run, and its events as requests where the log is there.

Keys: mlcommons/endpoints 0.1.0, core/record.py, docs/OUTPUT_STRUCTURE.md. Times are ns of the monotonic clock, taken in
the client's main process: a request begins as it is issued, before it reaches the process that sends it, and its output
counts as it comes back from there. Failed requests are counted as completed, and in its latencies. Texts of the
log are never kept, so what it tokenises of them is not known per request.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec

from loadcell.interop.document import documents, load
from loadcell.interop.model import Request, Run
from loadcell.interop.readers.common import (
    NO_ROWS,
    UNTOLD,
    bad,
    beginning,
    has,
    number,
    packed,
    text,
    typed,
    untold,
    whole,
    within,
)
from loadcell.interop.readers.meaning import Meaning, brief, kind_of, stat, told
from loadcell.interop.readers.yaml_text import load_yaml
from loadcell.mlperf.files.endpoints import LoadPattern, ResultSummary, RunConfig
from loadcell.phrases import phrase
from loadcell.secrets import bare_url

SUMMARY, EVENTS, CONFIG = "result_summary.json", "events.jsonl", "config.yaml"
_SERIES = {"ttft": "ttft_ms", "tpot": "tpot_ms", "latency": "e2e_ms"}
_RATES = {"qps": Meaning("requests/s", "requests_per_s"), "tps": Meaning("tokens/s", "output_tokens_per_s")}
_APIS = {"openai": "chat", "openai_completions": "completions", "sglang": "sglang"}
_SLACK = 20_000
"""Events of a sample may stand this far behind its last: the log is slightly out of order."""


class _Event(msgspec.Struct):
    event_type: str
    timestamp_ns: Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
    sample_uuid: str = ""
    conversation_id: str | None = None
    turn: int | None = None
    data: tuple[str | None, str | None] | None = None
    """Kind and words of an error; of anything else nothing is kept."""


class _Sample(msgspec.Struct):
    issued: int
    first: int | None = None
    done: int | None = None
    others: array[int] | None = None
    error: tuple[str | None, str | None] | None = None
    conversation: str | None = None
    turn: int | None = None
    closes: int = 0
    """Number of the event after which nothing more of it comes."""


class _Log(msgspec.Struct):
    """What a first pass over the events found."""

    zero: int
    marked: bool
    """Whether it says when performance was measured; else all of it counts."""
    again: int
    """Requests that were issued more than once."""


def matches(path: Path) -> bool:
    """Whether it is a folder of a run, its summary or its events."""
    if path.is_dir():
        return _summary_of(path) is not None or _is_events(packed(path / EVENTS))
    return _is_summary(path) or _is_events(path)


def read(path: Path) -> list[Run]:
    """The run."""
    home = path if path.is_dir() else path.parent.parent if path.parent.name == "performance" else path.parent
    summary = _summary_of(path) if path.is_dir() else path if _is_summary(path) else None
    events = packed(home / EVENTS) if path.is_dir() else path
    run = _of_summary(summary) if summary is not None else Run(tool="endpoints", schema="", files=[], name="run")
    if summary is None:
        run.missing += untold(UNTOLD, "version")
    _configure(run, home / CONFIG)
    if events.is_file() and _is_events(events):
        _add_events(run, events)
    else:
        run.missing += untold(NO_ROWS, "requests")
    return [run]


def _summary_of(folder: Path) -> Path | None:
    places = (folder / "performance" / SUMMARY, folder / SUMMARY, *sorted(folder.glob("result_summary*.json*")))
    return next((file for file in map(packed, places) if _is_summary(file)), None)


def _is_summary(file: Path) -> bool:
    return file.is_file() and has(beginning(file), "n_samples_issued", "n_samples_completed", "duration_ns")


def _is_events(file: Path) -> bool:
    first = beginning(file) if file.is_file() else ""
    return first.startswith("{") and has(first[:4096], "event_type", "timestamp_ns", "sample_uuid")


def _of_summary(file: Path) -> Run:
    tree = load(file)
    found = typed(tree, ResultSummary, file)
    pattern = (found.run_config or RunConfig()).load_pattern or LoadPattern()
    completed, failed = found.n_samples_completed, found.n_samples_failed
    window_ns = number(found.legacy_loadgen_window_duration_ns or found.duration_ns)
    opened = pattern.type == "poisson"
    run = Run(
        tool="endpoints",
        version=found.version,
        schema="result summary",
        files=[file],
        name=_name(pattern),
        loop="open" if opened else None if pattern.type is None else "closed",
        rate=number(pattern.target_qps) if opened else None,
        concurrency=None if opened else pattern.target_concurrency,
        arrivals="poisson" if opened else None,
        seed=(found.run_config or RunConfig()).scheduler_random_seed,
        planned=found.n_samples_issued,
        ok=None if completed is None else completed - (failed or 0),
        failed=failed,
        window_s=None if window_ns is None else window_ns / 1e9,
        told=told(tree, _meaning),
    )
    if found.legacy_loadgen_window_duration_ns:
        run.notes.append(phrase("its rates divide all requests and tokens by the time until the one issued last was "
                                "done"))  # fmt: skip
    if failed:
        run.notes.append(phrase("failed requests are among its completed ones, and in its latencies"))
    if found.complete is False:
        run.notes.append(phrase("the client says that the run did not end: {}", found.state or "-"))
    if found.generator is not None:
        run.notes.append(phrase("this summary is an export of Loadcell's, not the client's own"))
    return run


def _name(pattern: LoadPattern) -> str:
    if pattern.type == "poisson" and pattern.target_qps:
        return f"rate-{pattern.target_qps:g}"
    return f"concurrency-{pattern.target_concurrency}" if pattern.target_concurrency else pattern.type or "run"


def _meaning(key: str) -> Meaning | None:
    if key in _RATES:
        return _RATES[key]
    series, _, rest = key.partition(".")
    if series in _SERIES or series.endswith("_sequence_lengths"):
        kind, _, at = rest.partition(".") if "percentiles." in rest else ("", "", rest)
        # its median is another figure than its 50th percentile, which is that of a sample
        which = None if kind.startswith("early") or at == "median" else stat(at)
        unit = "ns" if series in _SERIES else "tokens"
        return Meaning(unit, _SERIES.get(series) if which else None, which)
    if key.endswith("duration_ns"):
        return Meaning("ns")
    return Meaning("requests") if series.startswith(("n_samples", "finish_reason")) else None


def _configure(run: Run, file: Path) -> None:
    """What config.yaml tells beside: model, server, streaming, how long."""
    tree = load_yaml(file) if file.is_file() else None
    if within(tree, "model_params") is None:
        return
    model, endpoint = within(tree, "model_params"), within(tree, "endpoint_config")
    runtime = within(tree, "settings", "runtime")
    url = text(within(endpoint, "endpoints", 0))
    streaming = within(model, "streaming")
    run.files.append(file)
    run.model = text(within(model, "name"))
    run.tokenizer = text(within(model, "tokenizer_name"))
    run.url = bare_url(url) if url else None
    run.api = _APIS.get(text(within(endpoint, "api_type")) or "")
    run.stream = streaming if isinstance(streaming, bool) else {"on": True, "off": False}.get(text(streaming) or "")
    run.requests = whole(within(runtime, "n_samples_to_issue"))
    least_ms = number(within(runtime, "min_duration_ms"))
    run.duration_s = least_ms / 1e3 if least_ms and run.requests is None else None


def _add_events(run: Run, events: Path) -> None:
    log = _look(events)
    run.files.append(events)
    run.schema = "result summary, events" if run.schema else "events"
    run.tested = False
    run.details = partial(_requests, events, log.zero, log.marked)
    run.derived = ["chunks: recv_first and recv_non_first", "last_ns: the last of the chunks, where all are logged"]
    run.fields = {"sent_s": "sample.issued", "first_s": "sample.recv_first", "end_s": "sample.complete"}
    if run.ok is None:
        states = [request.status for request in run.details()]
        run.planned, run.ok, run.failed = len(states), states.count("ok"), states.count("failed")
    run.missing += [
        *untold(phrase("the log has the actual times, not the planned"), "planned_ns"),
        *untold(phrase("it counts tokens of the texts, which are not kept"), "output_tokens", "input_tokens"),
    ]
    if log.again:
        run.notes.append(phrase("{} requests were sent again: their times count from the last send", log.again))


def _look(events: Path) -> _Log:
    marked, times, seen = False, {True: array("q"), False: array("q")}, {True: set[str](), False: set[str]()}
    for event, tracked in _events(events):
        marked = marked or event.event_type == "session.start_performance_tracking"
        if event.event_type == "sample.issued":
            times[tracked].append(event.timestamp_ns)
            seen[tracked].add(event.sample_uuid)
    issued = times[marked]
    if not issued:
        raise bad(events, "event_type", "no sample.issued among them: nothing was measured")
    return _Log(min(issued), marked, len(issued) - len(seen[marked]))


def _events(file: Path) -> Iterator[tuple[_Event, bool]]:
    """The events, each with whether performance was being measured."""
    tracked = False
    for line, tree in documents(file, each={"data": _error_of}):
        event = typed(tree, _Event, file, f"line {line}:")
        if event.event_type == "session.start_performance_tracking":
            tracked = True
        elif event.event_type == "session.stop_performance_tracking":
            tracked = False
        yield event, tracked


def _error_of(data: Any) -> list[str | None] | None:
    if not isinstance(data, dict) or "error_type" not in data:
        return None
    return [text(data.get("error_type")), brief(data.get("error_message"))]


def _requests(file: Path, zero: int, marked: bool) -> Iterator[Request]:
    samples: dict[str, _Sample] = {}
    done: deque[str] = deque()
    for number_of, (event, tracked) in enumerate(_events(file)):
        sample = samples.get(event.sample_uuid)
        if sample is None and event.event_type == "sample.issued" and (tracked or not marked):
            samples[event.sample_uuid] = _Sample(
                event.timestamp_ns, conversation=event.conversation_id or None, turn=event.turn
            )
        elif sample is not None:
            _take(sample, event)
            if event.event_type == "sample.complete" and not sample.closes:
                sample.closes = number_of + _SLACK
                done.append(event.sample_uuid)
        while done and samples[done[0]].closes <= number_of:
            yield _request(samples.pop(done.popleft()), zero)
    yield from (_request(sample, zero) for sample in samples.values())


def _take(sample: _Sample, event: _Event) -> None:
    at = event.timestamp_ns
    if event.event_type == "sample.issued":  # sent again
        sample.issued = at
    elif event.event_type == "sample.recv_first":
        sample.first = at
    elif event.event_type == "sample.recv_non_first":
        sample.others = sample.others if sample.others is not None else array("q")
        sample.others.append(at)
    elif event.event_type == "sample.complete":
        sample.done = at
    elif event.event_type.startswith("error."):
        sample.error = event.data or (None, None)


def _request(sample: _Sample, zero: int) -> Request:
    stamps = [] if sample.first is None else [sample.first, *sorted(sample.others or ())]
    chunks = array("d", ((at - zero) / 1e9 for at in stamps)) if sample.others and stamps else None
    failed = sample.error is not None
    words = sample.error or (None, None)
    return Request(
        status="failed" if failed else "ok" if sample.done is not None else "cancelled",
        sent_s=(sample.issued - zero) / 1e9,
        first_s=None if sample.first is None else (sample.first - zero) / 1e9,
        last_s=chunks[-1] if chunks else None,
        end_s=None if sample.done is None else (sample.done - zero) / 1e9,
        chunks_s=chunks,
        error_kind=_kind(*words) if failed else None,
        error=(words[1] or words[0]) if failed else None,
        session=sample.conversation,
        turn=sample.turn,
    )


def _kind(kind: str | None, words: str | None) -> str:
    found = kind_of(kind)
    return found if found != "told" else kind_of(words)

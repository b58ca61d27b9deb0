"""GenAI-Perf: NAME_genai_perf.json (the summary), and NAME.json of perf_analyzer, which holds every response.

A response of perf_analyzer is one read: it may hold several events, or a part of one. As GenAI-Perf does, parts are
joined to what they belong to, and responses without output do not count.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadcell.interop import document
from loadcell.interop.model import Missing, Request, Run
from loadcell.interop.readers.common import (
    NO_ROWS,
    UNTOLD,
    bad,
    beginning,
    files,
    first,
    has,
    measured,
    normal,
    number,
    paired,
    text,
    unique,
    untold,
    whole,
    within,
)
from loadcell.interop.readers.metric_objects import told_of
from loadcell.phrases import phrase
from loadcell.secrets import bare_url

_SUMMARY = 32 << 20
_APIS = {"chat": "chat", "completions": "completions", "embeddings": "embeddings"}
_NANO = 1e9
_WHOLE = ("text_output", "output_ids", "data")
"""What holds the output of Triton's replies, and of embeddings."""
_OUTPUT = ("content", "reasoning_content", "reasoning", "tool_calls", "text")


class _Row(NamedTuple):
    """A request in ns: when it was sent, what of it had output, the end, and what the server said of it."""

    sent: int | None
    outputs: array[int]
    end: int | None
    tokens: int | None
    error: str | None
    session: str | None


class _Heard:
    """What one response of perf_analyzer holds."""

    __slots__ = ("error", "output", "tokens")

    def __init__(self) -> None:
        self.output = False
        self.tokens: int | None = None
        self.error: str | None = None

    def take(self, event: Any) -> None:
        """What one event of it says, or a whole reply."""
        if not isinstance(event, dict):
            return
        self.output = self.output or _has_output(event)
        if event.get("usage"):
            self.tokens = first(whole(within(event, "usage", "completion_tokens")), self.tokens)
        if (error := event.get("error")) and self.error is None:
            self.error = first(text(within(error, "message")), text(error), "error")


def matches(path: Path) -> bool:
    """Whether it is a summary of GenAI-Perf or what perf_analyzer wrote for it, or a folder with one."""
    return any(_is_summary(file) or _is_raw(file) for file in files(path, ".json"))


def read(path: Path) -> list[Run]:
    """A run for each experiment of perf_analyzer, with its summary where there is one; or for a summary alone."""
    found = paired(path, (_is_summary, _is_raw), _name)
    return [run for name, (summary, raw) in found.items() for run in _runs(name, summary, raw)]


def _name(file: Path) -> str:
    return re.sub(r"\.json(\.gz)?$", "", file.name).removesuffix("_genai_perf")


def _is_summary(path: Path) -> bool:
    begun = beginning(path)
    if not re.match(r'\s*\{\s*"', begun) or not has(begun, "unit", "avg", "request_latency"):
        return False
    whole_file = beginning(path, _SUMMARY)
    return has(whole_file, "input_config") and not any(has(whole_file, k) for k in ("was_cancelled", "aiperf_version"))


def _is_raw(path: Path) -> bool:
    begun = beginning(path)
    return re.match(r"\s*\{", begun) is not None and has(begun, "experiments", "requests")


def _runs(name: str, summary_file: Path | None, raw: Path | None) -> list[Run]:
    summary = {} if summary_file is None else document.load(summary_file)
    if raw is None:
        return [_summed(name, summary, [summary_file] if summary_file else [])]
    tree = document.load(raw, each={"experiments.*.requests.*": _slim})
    experiments = within(tree, "experiments")
    if not isinstance(experiments, list) or not experiments:
        raise bad(raw, "experiments", "expected a list of experiments")
    alone = len(experiments) == 1  # a summary is of one of them, and does not say of which
    runs = []
    for i, experiment in enumerate(experiments):
        told = summary if alone else {}
        run = _summed(
            name if alone else f"{name}-{i}", told, [raw, *([summary_file] if alone and summary_file else [])]
        )
        _with_requests(run, raw, experiment, f"experiments.{i}", tree)
        runs.append(run)
    for run, named in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = named
    return runs


def _summed(name: str, summary: dict[str, Any], paths: list[Path]) -> Run:
    """What the summary tells; `input_config` was flat before 0.0.13."""
    config = within(summary, "input_config")
    endpoint, given = within(config, "endpoint"), within(config, "input")
    stimulus = within(config, "perf_analyzer", "stimulus")
    rate = number(first(within(stimulus, "request_rate"), within(config, "request_rate")))
    users = whole(first(within(stimulus, "concurrency"), within(config, "concurrency")))
    measurement = within(config, "perf_analyzer", "measurement")
    counted = within(measurement, "num") if within(measurement, "mode") == "request_count" else None
    stream = first(within(endpoint, "streaming"), within(config, "streaming"))
    url = text(first(within(endpoint, "url"), within(config, "u"), within(config, "url")))
    notes = [phrase("GenAI-Perf's inter_token_latency is TPOT, a value a request")] if summary else []
    if summary:
        notes.append(phrase("GenAI-Perf's request rate counts all requests, those without output too"))
    sessions = within(summary, "sessions")
    told = list(told_of(summary))
    for session, figures in sessions.items() if isinstance(sessions, dict) else ():
        told += told_of(figures if isinstance(figures, dict) else {}, f"sessions.{session}.")
    return Run(
        tool="genai-perf",
        schema="GenAI-Perf summary",
        tested=False,
        files=paths,
        name=name,
        api=_APIS.get(text(first(within(endpoint, "type"), within(config, "endpoint_type"))) or ""),
        stream=stream if isinstance(stream, bool) else None,
        url=None if url is None else bare_url(url),
        model=text(
            first(within(config, "model_names", 0), within(config, "model", 0), within(config, "formatted_model_name"))
        ),
        tokenizer=text(first(within(config, "tokenizer", "name"), within(config, "tokenizer"))),
        loop="open" if rate is not None else "closed" if users is not None else None,
        rate=rate,
        concurrency=users,
        requests=whole(first(counted, within(config, "request_count"), within(config, "num_prompts"))),
        seed=whole(first(within(given, "random_seed"), within(config, "random_seed"))),
        input_tokens=normal(
            first(within(given, "synthetic_tokens", "mean"), within(config, "synthetic_input_tokens_mean")),
            first(within(given, "synthetic_tokens", "stddev"), within(config, "synthetic_input_tokens_stddev")),
        ),
        output_tokens=normal(
            first(within(given, "output_tokens", "mean"), within(config, "output_tokens_mean")),
            first(within(given, "output_tokens", "stddev"), within(config, "output_tokens_stddev")),
        ),
        ok=whole(within(summary, "request_count", "avg")),
        told=told,
        notes=notes,
        missing=untold(UNTOLD, "version") + ([] if paths and not summary else untold(NO_ROWS, "requests")),
    )


def _with_requests(run: Run, path: Path, experiment: Any, at: str, tree: Any) -> None:
    given = within(experiment, "requests")
    if not isinstance(given, list):
        raise bad(path, f"{at}.requests", "expected a list of requests")
    rows = [_row(path, f"{at}.requests.{i}", row) for i, row in enumerate(given)]
    mode, value = text(within(experiment, "experiment", "mode")), number(within(experiment, "experiment", "value"))
    if mode == "concurrency":
        run.loop, run.concurrency = "closed", first(run.concurrency, whole(value))
    elif mode == "request_rate":
        run.loop, run.rate = "open", first(run.rate, value)
    if value is not None and mode and within(tree, "experiments", 1) is not None:
        run.name = f"{mode}-{value:g}"
    sent = [row.sent for row in rows if row.sent is not None]
    zero, last = min(sent, default=0), max((row.outputs[-1] for row in rows if len(row.outputs)), default=None)
    streamed = any(len(row.outputs) > 1 for row in rows)
    run.schema = "perf_analyzer profile export" + (" and GenAI-Perf summary" if run.told else "")
    run.stream = first(run.stream, streamed)
    run.window_s = None if last is None else (last - zero) / _NANO
    run.planned = len(rows)
    run.ok, run.failed = sum(_ok(row) for row in rows), sum(not _ok(row) for row in rows)
    run.details = partial(_requests, rows, zero, streamed)
    run.fields = {"sent_s": "timestamp", "first_s": "response_timestamps", "end_s": "response_timestamps"}
    run.missing = untold(UNTOLD, "version", "planned_ns", "first_answer_ns", "chunks.tokens")
    if not any(row.tokens is not None for row in rows):
        why = phrase("the file holds texts, which are not counted, and no usage of the server")
        run.missing.append(Missing(field="output_tokens", why=why))
    silent = sum(not len(row.outputs) and row.error is None for row in rows)
    if silent:
        run.notes.append(phrase("requests without output, which count as failed here: {}", silent))


def _slim(row: Any) -> Any:
    """A request without its texts; what stands where a number should be stays, to be named."""
    if not isinstance(row, dict):
        return row
    stamps, outputs = row.get("response_timestamps"), row.get("response_outputs")
    session = text(within(row, "request_inputs", "session_id"))
    if not isinstance(stamps, list) or not isinstance(outputs, list) or len(stamps) != len(outputs):
        return row.get("timestamp"), None, None, session
    return row.get("timestamp"), stamps, _heard(outputs), session


def _row(path: Path, at: str, slim: Any) -> _Row:
    if not isinstance(slim, tuple):
        raise bad(path, at, "expected an object")
    timestamp, stamps, heard, session = slim
    if heard is None:
        raise bad(path, f"{at}.response_timestamps", "expected a list as long as response_outputs")
    times = [_stamp(stamp, path, f"{at}.response_timestamps.{i}") for i, stamp in enumerate(stamps)]
    outputs = array("q", [time for time, one in zip(times, heard, strict=True) if one.output and time is not None])
    return _Row(
        sent=_stamp(timestamp, path, f"{at}.timestamp"),
        outputs=outputs,
        end=max((time for time in times if time is not None), default=None),
        tokens=next((one.tokens for one in reversed(heard) if one.tokens is not None), None),
        error=next((one.error for one in heard if one.error is not None), None),
        session=session,
    )


def _stamp(value: Any, path: Path, at: str) -> int | None:
    """A time in ns, exact: floats of this size are not."""
    found = measured(value, path, at)
    if found is not None and not 0 <= found < 2**63:
        raise bad(path, at, f"{value!r:.40} is no time in ns")
    return None if found is None else int(value)


def _heard(outputs: list[Any]) -> list[_Heard]:
    """What each response holds: events are of the one in which they begin, as GenAI-Perf has it."""
    pieces = [within(each, "response") if isinstance(each, dict) and "response" in each else each for each in outputs]
    found = [_Heard() for _ in pieces]
    stream, starts = "", []
    for piece in pieces:
        said = piece if isinstance(piece, str) else ""
        if stream and not stream.endswith("\n") and said.startswith("data:"):
            stream += "\n"
        starts.append(len(stream))
        stream += said
    if not re.search(r"(?m)^data:", stream):  # whole replies, or Triton's objects
        for each, piece in zip(found, pieces, strict=True):
            each.take(_json(piece))
        return found
    at = 0
    for line in stream.split("\n"):
        if line.startswith("data:"):
            found[bisect_right(starts, at) - 1].take(_json(line[5:]))
        at += len(line) + 1
    return found


def _json(piece: Any) -> Any:
    """What a text holds; None where it is no JSON."""
    try:
        return msgspec.json.decode(piece) if isinstance(piece, str) else piece
    except (msgspec.DecodeError, RecursionError):
        return None


def _has_output(event: dict[str, Any]) -> bool:
    choices = event.get("choices")
    if not choices:
        return any(event.get(key) for key in _WHOLE)
    choice = choices[0] if isinstance(choices, list) and isinstance(choices[0], dict) else {}
    said = choice.get("delta") or choice.get("message") or choice
    return isinstance(said, dict) and any(said.get(key) for key in _OUTPUT)


def _ok(row: _Row) -> bool:
    return row.error is None and len(row.outputs) > 0


def _requests(rows: list[_Row], zero: int, streamed: bool) -> Iterator[Request]:
    for row in sorted(rows, key=lambda row: zero if row.sent is None else row.sent):
        times = array("d", [(time - zero) / _NANO for time in row.outputs])
        ok = _ok(row)
        yield Request(
            status="ok" if ok else "failed",
            sent_s=None if row.sent is None else (row.sent - zero) / _NANO,
            first_s=times[0] if len(times) and streamed else None,
            last_s=times[-1] if len(times) else None,
            end_s=None if row.end is None else (row.end - zero) / _NANO,
            chunks_s=times if len(times) and streamed else None,
            output_tokens=row.tokens,
            token_source=None if row.tokens is None else "usage",
            error_kind=None if ok else "stream_error" if row.error else "told",
            error=row.error,
            session=row.session,
        )

"""The tables that SQL over recordings sees: their columns, what these mean, and how they are made of the files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from loadcell.kinds import KIND_OUTPUT
from loadcell.recording.database import parquet, quoted
from loadcell.recording.schema import CHUNKS, FILED, LOOKS, REQUESTS, SCHEDULE, SERIES, TEXT, TOKENS, WAITS, Column

_DUE = "coalesce(r.planned_ns, case when w.w_open then r.ready_ns end)"
"""When a request of an open loop was to be sent: as planned, of one that waits for others as soon as it could be."""


class Derived(NamedTuple):
    """A column that is computed where it is read. Latencies are NULL unless the request is ok, as in a Result."""

    column: Column
    sql: str


def _latency(name: str, end: str, title: str = "", *, per_token: bool = False) -> tuple[Derived, ...]:
    """One latency by both anchors, and by the one that limits are judged by."""

    def derived(suffix: str, start: str, doc: str) -> Derived:
        ns = f"(r.{end} - {start})::double"
        ns = f"{ns} / case when {_OUTPUT} >= 1 then {_OUTPUT} end" if per_token else ns
        column = Column(f"{name}{suffix}_ms", "DOUBLE", f"{title or name.upper()}, {doc}; NULL unless ok")
        return Derived(column, f"case when r.status = 'ok' then {ns} / 1e6 end")

    return (
        derived("", f"coalesce({_DUE}, r.send_start_ns)", "by the anchor of the SLO: response time in an open "
                "loop, service time in a closed one"),
        derived("_response", _DUE, "from the planned time, or from when what it waits for had ended and its delay had "
                "passed; NULL in a closed loop"),
        derived("_service", "r.send_start_ns", "from the actual send"),
    )  # fmt: skip


def _seconds(name: str, ns: str, doc: str) -> Derived:
    return Derived(Column(name, "DOUBLE", f"{doc}, in seconds since the start of the load"), f"r.{ns} / 1e9")


# A count that was settled after the run replaces the one that stood in for it.
_OUTPUT = "coalesce(t.output_tokens, r.output_tokens)"
_SOURCE = "case when t.output_tokens is null then r.token_source else coalesce(t.token_source, 'tokenizer') end"
_FIRST = "coalesce(t.first_tokens, r.first_tokens)"
# What came together with the first event came at its time. That holds what the server tells, else its share where it is
# as large as the others, else one token; the other events share the rest. A stream that was collected is read up to its
# last burst but one, for the last is cut short.
_REST = (
    f"({_OUTPUT} - coalesce({_FIRST}, case when r.output_chunks = 1 or r.first_events is not null "
    f"then {_OUTPUT}::double / r.output_chunks else 1 end))"
)
_PACED_EVENTS = "(r.output_chunks - greatest(coalesce(r.first_events, 1), 1) - coalesce(r.last_events, 0))"
_LATER_TOKENS = (
    f"(case when r.output_chunks > 1 then {_REST}::double * {_PACED_EVENTS} / (r.output_chunks - 1) else {_REST} end)"
)
_SETTLED = {
    "output_tokens": _OUTPUT, "token_source": _SOURCE, "first_tokens": _FIRST, "counted": "coalesce(r.counted, true)",
    "text_tokens": "coalesce(t.text_tokens, t.output_tokens)",
    "later_tokens": f"case when r.first_any_ns is not null then {_LATER_TOKENS} end",
}  # fmt: skip
"""`later_tokens`: output tokens after the first output, up to `pace_end_ns`; NULL if unknown or not streamed."""
LEAST_LATER = 0.999
"""Later tokens that make a pace: one, or shares of events that add up to it."""
_ANCHOR = f"coalesce({_DUE}, r.send_start_ns, r.ready_ns, r.end_ns)"
WINDOW_START = "w_start_ns"
"""Column of the table of windows: a plan that names it needs them."""

DERIVED = (
    Derived(
        Column("in_window", "BOOLEAN", "whether the result counts it: its anchor lies in the window, warm-up left out"),
        f"{_ANCHOR} between w.{WINDOW_START} and w.w_end_ns and r.request >= w.w_first and coalesce(r.counted, true)",
    ),
    _seconds("planned_s", "planned_ns", "planned time; NULL in a closed loop"),
    _seconds("sent_s", "send_start_ns", "send"),
    _seconds("first_output_s", "first_any_ns", "first event with output"),
    _seconds("last_output_s", "last_ns", "last event with output"),
    _seconds("ended_s", "end_ns", "end of the response, or of the attempt"),
    *_latency("ttft", "first_any_ns"),
    *_latency("ttfa", "first_answer_ns"),
    Derived(
        Column("tpot_ms", "DOUBLE", "TPOT; NULL unless ok, streamed and with a token after the first chunk"),
        "case when r.status = 'ok' and r.first_any_ns is not null and "
        f"{_LATER_TOKENS} >= {LEAST_LATER} then (coalesce(r.pace_end_ns, r.last_ns) - r.first_any_ns)::double "
        f"/ {_LATER_TOKENS} / 1e6 end",
    ),
    *_latency("ntpot", "last_ns", per_token=True),
    *_latency("e2e", "last_ns"),
    *_latency("first_audio", "first_audio_ns", "first audio"),
    Derived(
        Column("rtf", "DOUBLE", "E2E for each second of audio, by the anchor of the SLO; NULL unless ok and known"),
        "case when r.status = 'ok' and r.audio_ns > 0 then "
        f"(r.last_ns - coalesce({_DUE}, r.send_start_ns))::double / r.audio_ns end",
    ),
    Derived(
        Column("send_lateness_ms", "DOUBLE", "send less planned time, or less the time its user was ready"),
        "(r.send_start_ns - coalesce(r.planned_ns, r.ready_ns)) / 1e6",
    ),
)
"""Of the requests, by the formulas of the glossary (docs/metrics.md)."""

RUN = Column("run", "VARCHAR", "folder of the recording; names the run in every table")

RUNS = (
    RUN,
    Column("id", "VARCHAR", "id of the run"),
    Column("started_at", "TIMESTAMP", "start, UTC"),
    Column("state", "VARCHAR", "complete, interrupted, broken, or running (it never said that it ended)"),
    Column("loadcell", "VARCHAR", "version that recorded it"),
    Column("format", "INTEGER", "format of the recording"),
    Column("sweep", "VARCHAR", "folder of the sweep that it is a stage of; NULL outside of one"),
    Column("stage", "INTEGER", "number of the stage in its sweep"),
    Column("url", "VARCHAR", "endpoint, without credentials"),
    Column("api", "VARCHAR", "the API, as chat or messages"),
    Column("model", "VARCHAR", "model that was loaded"),
    Column("loop", "VARCHAR", "open or closed"),
    Column("rate", "DOUBLE", "open loop: requests/s asked for"),
    Column("concurrency", "INTEGER", "closed loop: users; open loop: cap on requests in flight"),
    Column("arrivals", "VARCHAR", "open loop: arrival process"),
    Column("duration_s", "DOUBLE", "time asked for; NULL without one"),
    Column("planned", "BIGINT", "requests that the run meant to send; NULL where a closed loop runs for a time"),
    Column("lasted_s", "DOUBLE", "from the start of the load to its end; NULL if it did not end"),
    Column("input_length", "VARCHAR", "tokens of a prompt asked for, as in 512 or normal:512,64"),
    Column("output_length", "VARCHAR", "tokens of an output asked for, likewise"),
    Column("slo_ttft_ms", "DOUBLE", "limit on TTFT; NULL without one"),
    Column("slo_tpot_ms", "DOUBLE", "limit on TPOT"),
    Column("slo_e2e_ms", "DOUBLE", "limit on E2E"),
    Column("slo_first_audio_ms", "DOUBLE", "limit on the first audio"),
    Column("seed", "BIGINT", "seed of arrivals and lengths, and with the salt of prompts"),
    Column("salt", "VARCHAR", "what synthetic prompts follow from besides the seed; NULL for those of a file"),
    Column("workers", "INTEGER", "load processes"),
    Column("clock", "VARCHAR", "who stamped the received events: kernel, user or mixed"),
    Column("schedule_hash", "VARCHAR", "equal where requests of the same lengths were planned at the same times"),
    Column("bodies_hash", "VARCHAR", "equal where the same bytes were to be sent; NULL in older recordings"),
    Column("invalid", "VARCHAR[]", "reasons, known when the run ended, why no figure of it may be trusted"),
    Column("notes", "VARCHAR[]", "what a reader must know"),
    Column("spec", "JSON", "everything asked for, secrets removed"),
    Column("effective", "JSON", "settings after defaults and negotiation"),
    Column("environment", "JSON", "machine, system, versions, server"),
)
AUDITS = (
    RUN,
    Column("worker", "INTEGER", "load process"),
    Column("audit", "JSON", "what it says of itself"),
)
TOLD = (
    RUN,
    Column("key", "VARCHAR", "where it stands in the tool's file, keys joined by dots"),
    Column("value", "DOUBLE", "as it stands there; NULL where the tool had none"),
    Column("unit", "VARCHAR", "of the value"),
    Column("metric", "VARCHAR", "the figure of ours that means the same, or nearest; NULL where there is none"),
    Column("stat", "VARCHAR", "mean, p50, p99, ...; NULL for one that is no statistic"),
)
_OUTPUT_EVENT = Column("output", "BOOLEAN", "whether the event carries output: text, reasoning or a tool call")
_SOURCES = (
    Column("source_kind", "VARCHAR", "prometheus, nvml or host"),
    Column("source_name", "VARCHAR", "URL of the page, GPU driver, or this machine"),
)
SOURCES = (RUN, Column("source", "INTEGER", "from 0"), *_SOURCES)

_CLASSES = (
    Column("class_name", "VARCHAR", "class: its endpoint, its model, or MODEL@ENDPOINT where both differ"),
    Column("class_endpoint", "VARCHAR", "its endpoint"),
    Column("class_model", "VARCHAR", "its model; NULL where the path alone chooses it"),
)
CLASSES = (RUN, Column("class", "INTEGER", "from 0"), *_CLASSES)
_OF_CLASS = "left join _classes k on r.run = k.run and coalesce(r.class, 0) = k.class"

TABLES: dict[str, tuple[Column, ...]] = {
    "runs": RUNS,
    "requests": (RUN, *REQUESTS, *(derived.column for derived in DERIVED), *_CLASSES),
    "chunks": (RUN, *CHUNKS, _OUTPUT_EVENT),
    "schedule": (RUN, *SCHEDULE, *_CLASSES),
    "waits": (RUN, *WAITS),
    "looks": (RUN, *LOOKS, *_SOURCES),
    "series": (RUN, *SERIES, *_SOURCES),
    "text": (RUN, *TEXT),
    "audits": AUDITS,
    "told": TOLD,
}
"""Every table and its columns, in order."""
ABOUT = {
    "runs": "one row a recording",
    "requests": "one row a request that ended",
    "chunks": "one row a received event, of every request",
    "schedule": "one row a planned request (a closed loop that runs for a time plans more than it sends)",
    "waits": "one row for each request that a planned one waits for: the turns of a chat, the calls of a task",
    "looks": "one row a look at a source beside the load, answered or not",
    "series": "one row a value that a look brought, by the source's own names",
    "text": "one row a request whose prompt and response were kept (--keep-text)",
    "audits": "one row a load process: the instrument's own counters",
    "told": "one row a figure that another tool told of its run, where a recording was imported",
}
"""What a row is, by table."""
PARTS = {
    "requests": ("requests-*.parquet", "tokens-*.parquet"),
    "chunks": ("chunks-*.parquet",),
    "schedule": ("schedule.parquet",),
    "waits": ("waits.parquet",),
    "looks": ("looks-*.parquet",),
    "series": ("series-*.parquet",),
    "text": ("text-*.parquet",),
}
"""Files of a recording that make up a table, as patterns."""


def select_of(table: str, files: Sequence[Sequence[str]]) -> str:
    """The SELECT that makes a table of the files of its patterns, in the order of PARTS.

    Requests need a table `_windows` (run, w_start_ns, w_end_ns, w_first, w_open) beside it, they and the schedule
    `_classes`; looks and series `_sources`.
    """
    classes = ", ".join(f"k.{column.name}" for column in _CLASSES)
    if table == "requests":
        return requests_of(files[0], files[1], f"left join _windows w on r.run = w.run {_OF_CLASS}", f", {classes}")
    rows, columns = rows_of(FILED[table], files[0], run=True), ", ".join(f"r.{c.name}" for c in (RUN, *FILED[table]))
    if table == "chunks":
        return f"select {columns}, kind & {KIND_OUTPUT} > 0 as output from {rows} r"
    if table == "schedule":
        return f"select {columns}, {classes} from {rows} r {_OF_CLASS}"
    if table in ("looks", "series"):
        named = ", ".join(f"s.{column.name}" for column in _SOURCES)
        return f"select {columns}, {named} from {rows} r left join _sources s using (run, source)"
    return f"select {columns} from {rows} r"


def requests_of(requests: Sequence[str], tokens: Sequence[str], windows: str, more: str = "") -> str:
    """The SELECT of the table of requests: parts of requests, and of tokens counted after their run.

    `windows` joins them, as `w`, to the window of their run; `more` is what else is picked of what it joins.
    """
    columns = settled(c.name for c in REQUESTS)
    derived, rows = [f"{one.sql} as {one.column.name}" for one in DERIVED], settled_rows(requests, tokens, run=True)
    return f"select r.run, {', '.join([*columns, *derived])}{more} from {rows} {windows}"


def settled(names: Iterable[str]) -> list[str]:
    """Columns of `settled_rows` in SQL: each as it stands with what was settled of its request after the run."""
    return [f"{_SETTLED.get(name, f'r.{name}')} as {name}" for name in names]


def settled_rows(requests: Sequence[str], tokens: Sequence[str], *, run: bool = False) -> str:
    """The requests (`r`), each with what was settled of it after the run (`t`); of several recordings, with `run`."""
    own = " and r.run = t.run" if run else ""
    rows, counted = rows_of(REQUESTS, requests, run=run), rows_of(TOKENS, tokens, run=run)
    return f"{rows} r left join {counted} t on r.request = t.request{own}"


def rows_of(table: Sequence[Column], files: Sequence[str | Path], *, run: bool = False) -> str:
    """The rows of files, with every column of `table`: NULL where a file lacks it; with `run` their folder as such."""
    names = ", ".join(f"null::{column.sql} as {column.name}" for column in ((RUN, *table) if run else table))
    empty = f"select {names} where false"
    if not files:
        return f"({empty})"
    source, columns = parquet(*files), "*"
    if run:
        source = source.removesuffix(")") + ", filename = true)"
        columns = "* exclude (filename), regexp_replace(filename, '/[^/]*$', '') as run"
    return f"({empty} union all by name select {columns} from {source})"


def literal(text: str) -> str:
    """A string in SQL."""
    return f"'{quoted(text)}'"

"""EvalScope perf: a folder a run, with a row a request in SQLite, a summary, percentiles, throughput and arguments.

Columns and formulas: evalscope 1.14.1, evalscope/perf/utils/{db_util,benchmark_util,workload_timeline}.py. A request
starts just before the HTTP client is called; events are stamped after their JSON is parsed; its latency ends at the
last event with JSON, usage included. Texts and pickled replies of the table are never read.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
import tempfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import UsageError
from loadcell.interop.document import is_packed, load, opened
from loadcell.interop.model import Missing, Request, Run, Told
from loadcell.interop.readers.common import NO_ROWS, UNTOLD, bad, beginning, has, number, typed, untold, whole
from loadcell.interop.readers.meaning import Meaning, api_of, from_the_slow_end, stat, told
from loadcell.phrases import phrase
from loadcell.secrets import bare_url

_KEYS = {
    "summary": ("Req Throughput (req/s)", "Test Duration (s)"), "percentiles": ("Percentiles", "Latency (s)"),
    "arguments": ("tokenizer_path", "number", "parallel"), "workload": ("n_samples", "wall_time_s", "rows"),
}  # fmt: skip
"""What each file of a run begins with, whatever it is called."""
_TABLE = ("SQLite format 3\0", "CREATE TABLE", "completed_time")
"""The same of the table of requests: SQLite keeps the statement that made it in its first page."""
_MOST_FILES = 1000
_NEEDED = ("start_time", "completed_time", "success", "inter_token_latencies", "first_chunk_latency", "latency",
           "prompt_tokens", "completion_tokens")  # fmt: skip
_LATENCIES = {"TTFT": "ttft_ms", "ITL": "itl_ms", "TPOT": "tpot_ms", "Latency": "e2e_ms"}
_RATES = {
    "Req Throughput (req/s)": Meaning("requests/s", "requests_per_s"),
    "Output Throughput (tok/s)": Meaning("tokens/s", "output_tokens_per_s"),
    "Input Throughput (tok/s)": Meaning("tokens/s", "input_tokens_per_s", zero=False),
    "Total Throughput (tok/s)": Meaning("tokens/s", "total_tokens_per_s"),
    "KV Cache Hit Rate (%)": Meaning("%", "prefix_cache_hit_share"),
}
_UNITS = {"req/s": "requests/s", "tok/s": "tokens/s"}
_ASKED = ("Concurrency", "Request Rate (req/s)")


class _Row(msgspec.Struct):
    start_time: float
    success: int
    completed_time: float | None = None
    inter_token_latencies: str | None = None
    first_chunk_latency: float | None = None
    latency: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    is_stream: int | None = None


class _Arguments(msgspec.Struct):
    """benchmark_args.json, without keys and headers."""

    model: str | None = None
    url: str | None = None
    tokenizer_path: str | None = None
    number: Any = None
    parallel: Any = None
    rate: Any = None
    open_loop: bool | None = None
    duration: float | None = None
    seed: int | None = None
    stream: bool | None = None
    dataset: str | None = None
    min_prompt_length: Any = None
    max_prompt_length: Any = None
    min_tokens: Any = None
    max_tokens: Any = None
    multi_turn: bool | None = None
    warmup_num: Any = None


def matches(path: Path) -> bool:
    """Whether it is a folder of a run, one of several, or a file of one."""
    return bool(_folders(path))


def read(path: Path) -> list[Run]:
    """A run for each folder with results."""
    places = _folders(path)
    return [_run(place, named=len(places) > 1) for place in places]


def _folders(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if _role(path) in ("summary", "percentiles", "rows") else []
    runs = [
        folder for folder in (path, *sorted(path.glob("*_number_*"))) if {"summary", "rows"} & _files(folder).keys()
    ]
    return runs[:1] if runs[:1] == [path] else runs


def _files(path: Path) -> dict[str, Path]:
    """The files of a run by what they hold: those of a folder, or a file and those beside it."""
    folder = path.parent if path.is_file() else path
    there = sorted(each for each in islice(folder.iterdir(), _MOST_FILES) if each.is_file())
    found = {role: each for each in reversed(there) if (role := _role(each)) is not None}
    own = _role(path) if path.is_file() else None
    return found if own is None else found | {own: path}


def _role(path: Path) -> str | None:
    begun = beginning(path)
    if begun.startswith(_TABLE[0]):
        return "rows" if all(word in begun for word in _TABLE) else None
    return next((role for role, keys in _KEYS.items() if has(begun, *keys)), None)


def _run(place: Path, *, named: bool) -> Run:
    files = _files(place)
    rows = files.get("rows")
    summary = _document(files.get("summary"), dict)
    arguments = typed(_document(files.get("arguments"), dict), _Arguments, files.get("arguments", place))
    parallel, rate = whole(arguments.parallel), number(arguments.rate)
    asked = whole(arguments.max_tokens)
    run = Run(
        tool="evalscope",
        schema="perf, SQLite" if rows is not None else "perf, summary",
        tested=not arguments.multi_turn,
        files=[file for role in (*_KEYS, "rows") if (file := files.get(role)) is not None],
        name=place.name if named or parallel is None else f"parallel-{parallel}",
        api=api_of(arguments.url),
        stream=arguments.stream,
        url=bare_url(arguments.url) if arguments.url else None,
        model=arguments.model,
        tokenizer=arguments.tokenizer_path,
        loop=None if arguments.open_loop is None else "open" if arguments.open_loop else "closed",
        rate=rate if rate is not None and rate > 0 else None,
        concurrency=None if arguments.open_loop else parallel,
        arrivals="poisson" if arguments.open_loop and rate is not None and rate > 0 else None,
        requests=whole(arguments.number),
        duration_s=number(arguments.duration),
        seed=arguments.seed,
        input_tokens=_lengths(arguments.min_prompt_length, arguments.max_prompt_length)
        if arguments.dataset == "random"
        else None,
        output_tokens=None if asked is None else str(asked),
        planned=whole(arguments.number),
        ok=whole(summary.get("Success Requests")),
        failed=whole(summary.get("Failed Requests")),
        window_s=number(summary.get("Test Duration (s)")),
        told=[
            *told({key: _told(value) for key, value in summary.items() if key not in _ASKED}, _of_summary),
            *_percentiles(files.get("percentiles")),
            *_workload(files.get("workload")),
        ],
    )
    if rows is None:
        run.missing += untold(NO_ROWS, "requests")
    else:
        _add_rows(run, rows, asked)
    _say(run, arguments)
    return run


def _add_rows(run: Run, rows: Path, asked: int | None) -> None:
    with _database(rows) as database:
        first, count, ok = database.execute("SELECT min(start_time), count(*), sum(success = 1) FROM result").fetchone()
    if count and number(first) is None:
        raise bad(rows, "result.start_time", "no times: the table is damaged, or of another version")
    if run.ok is None or run.failed is None:
        run.ok, run.failed = ok or 0, count - (ok or 0)
    run.details = lambda: _requests(rows, float(first or 0.0), asked)
    run.fields = {"sent_s": "start_time", "first_s": "first_chunk_latency", "end_s": "completed_time",
                  "chunks_s": "inter_token_latencies"}  # fmt: skip
    run.derived = [
        "first_any_ns: start_time and first_chunk_latency", "chunks: first_any_ns and inter_token_latencies",
        "last_ns: the last of the chunks",
    ]  # fmt: skip


def _say(run: Run, arguments: _Arguments) -> None:
    said = [
        ("planned_ns", phrase("no schedule is written")), ("version", UNTOLD),
    ]  # fmt: skip
    if run.details is not None:
        said += [
            ("error", phrase("the file does not say why a request failed")),
            ("token_source", phrase("the server's usage where it came, else counted by the tool: not told which")),
            ("first_answer_ns", phrase("content and reasoning are not told apart")),
        ]  # fmt: skip
    run.missing += [Missing(field=field, why=why) for field, why in said]
    if run.loop == "closed" and run.rate is not None:
        run.notes.append(phrase("sends were paced at a rate, but never more at once than its concurrency"))
    if whole(arguments.warmup_num):
        run.notes.append(phrase("warm-up requests may stand among the rows"))


def _document(path: Path | None, kind: type) -> Any:
    """The document at `path`, empty where there is no such file."""
    tree = kind() if path is None else load(path)
    if path is not None and not isinstance(tree, kind):
        raise bad(path, "", f"it is no {'object' if kind is dict else 'list'}, so not of EvalScope perf")
    return tree


def _lengths(least: Any, most: Any) -> str | None:
    low, high = whole(least), whole(most)
    if low is None or high is None:
        return None
    return str(low) if low == high else f"uniform:{low},{high}"


def _of_summary(key: str) -> Meaning | None:
    if key in _RATES:
        return _RATES[key]
    name, _, unit = key.removesuffix(")").partition(" (")
    if name.startswith("Avg ") and name[4:] in _LATENCIES:
        return Meaning(unit, _LATENCIES[name[4:]], "mean", zero=False)
    counted = "tokens" if name.endswith("Tokens") else "requests" if name.endswith("Requests") else ""
    return Meaning(_UNITS.get(unit, unit) or counted, None, "mean" if name.startswith("Avg ") else None)


def _told(value: Any) -> Any:
    """A figure of the summary, where -1 stands for none."""
    return math.nan if value == -1 else value


def _percentiles(path: Path | None) -> list[Told]:
    found: list[Told] = []
    for position, row in enumerate(_document(path, list)):
        if not isinstance(row, dict) or not isinstance(row.get("Percentiles"), str):
            assert path is not None
            raise bad(path, f"{position}.Percentiles", "no name of a percentile")
        at = row["Percentiles"]
        found += told({at: {key: value for key, value in row.items() if key != "Percentiles"}}, _of_percentile)
    return found


def _of_percentile(key: str) -> Meaning | None:
    at, _, column = key.partition("%.") if "%." in key else key.partition(".")
    name, _, unit = column.removesuffix(")").partition(" (")
    which = stat(at)
    if name in _LATENCIES:
        return Meaning(unit, _LATENCIES[name], which, zero=False)
    if name == "Decode":
        return Meaning("tokens/s", "user_tokens_per_s", from_the_slow_end(which))
    return Meaning(_UNITS.get(unit, unit) or ("tokens" if name.endswith("tokens") else ""), None, which)


def _workload(path: Path | None) -> list[Told]:
    tree = _document(path, dict)
    rows = tree.get("rows", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        assert path is not None
        raise bad(path, "rows", "no list of objects")
    by_name = {str(row.get("metric")): row for row in rows}
    # 0 stands also for a server that tells nothing of its cache, and then new prompt tokens are all
    return told({"rows": by_name}, lambda key: Meaning("tokens/s", zero="Cached Prompt" not in key))


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    """The table of a run, opened to read; a packed one is unpacked into a file that is removed."""
    with tempfile.TemporaryDirectory(prefix="loadcell-import-") as folder:
        plain = path
        if is_packed(path):
            plain = Path(folder) / "rows.db"
            try:
                with opened(path) as packed, plain.open("wb") as file:
                    shutil.copyfileobj(packed, file, 2**20)
            except (OSError, EOFError, zlib.error) as error:
                raise UsageError(f"cannot unpack {path}: {error}") from None
        try:
            connection = sqlite3.connect(f"{plain.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
            try:
                has = {row[1] for row in connection.execute("PRAGMA table_info(result)")}
                lost = [name for name in _NEEDED if name not in has]
                if lost:
                    raise bad(
                        path, "result", f"no column {', '.join(lost)}: not of EvalScope perf, or of another version"
                    )
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise UsageError(f"{path} is damaged: {error}") from None


def _requests(path: Path, zero: float, asked: int | None) -> Iterator[Request]:
    with _database(path) as database:
        has = {row[1] for row in database.execute("PRAGMA table_info(result)")}
        names = [name for name in _Row.__struct_fields__ if name in has]
        cursor = database.execute(f"SELECT {', '.join(names)} FROM result ORDER BY start_time")
        for position, values in enumerate(cursor):
            row = typed(dict(zip(names, values, strict=True)), _Row, path, f"result[{position}]")
            yield _request(row, zero, asked, path, position)


def _request(row: _Row, zero: float, asked: int | None, path: Path, position: int) -> Request:
    sent = row.start_time - zero
    failed = row.success != 1
    end = number(row.completed_time)
    first = number(row.first_chunk_latency) or None  # it begins as 0.0
    gaps = _gaps(row.inter_token_latencies, path, position)
    streamed = row.is_stream == 1 or (row.is_stream is None and bool(gaps))
    chunks = array("d", accumulate(gaps, initial=sent + first)) if streamed and first is not None else None
    tokens = whole(row.completion_tokens)
    return Request(
        status="failed" if failed else "ok",
        sent_s=sent,
        first_s=chunks[0] if chunks else None,
        last_s=chunks[-1] if chunks else None,
        end_s=None if end is None or end < row.start_time else end - zero,
        chunks_s=chunks,
        input_tokens=whole(row.prompt_tokens),
        asked_tokens=asked,
        output_tokens=None if chunks and not tokens else tokens,
        token_source="unknown",
        error_kind="told" if failed else None,
    )


def _gaps(text: str | None, path: Path, position: int) -> list[float]:
    try:
        return msgspec.convert(json.loads(text or "[]"), list[float])
    except ValueError:
        raise bad(path, f"result[{position}].inter_token_latencies", "no list of numbers") from None

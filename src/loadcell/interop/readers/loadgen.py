"""MLPerf LoadGen: the detail log, else the summary, as one run; requests where the run was told to write a trace.

Keys, formulas and defects: loadgen 6.0.17 (results.cc, logging.cc), and docs/mlperf.md. Latency and first token count
from the scheduled time; percentiles are element floor(n p). Rates of Server divide all tokens by the time until the
query that was issued last is done. LoadGen knows no failures: every sample counts.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from loadcell.errors import UsageError
from loadcell.interop.document import opened
from loadcell.interop.model import Request, Run
from loadcell.interop.readers.common import NO_ROWS, UNTOLD, bad, beginning, packed, unique, untold
from loadcell.interop.readers.meaning import Meaning, moment, stat, told
from loadcell.mlperf.files.loadgen_logs import (
    DETAIL,
    MARKERS,
    OURS,
    SUMMARY,
    Detail,
    Summary,
    read_detail,
    read_summary,
)
from loadcell.phrases import phrase

L = TypeVar("L", Detail, Summary)
TRACE = "mlperf_log_trace.json"
_WHOLE_TRACE = b'"LastTrace"'
_BANNER = "MLPerf Results Summary"
_IN = ("", "*/", "*/*/")
"""How deep runs may lie below a folder: performance/run_1 is one of a submission."""
_SPAN = re.compile(
    rb'"name":"(Sample|Token)".*"ph":"b".*"ts":(-?[\d.]+),"args":\{"sample_seq":(\d+).*'
    rb'"issue_start_ns":(-?\d+),"complete_ns":(-?\d+)'
)
_MOST_NS = 2**56
"""A mean over negative values is printed as 2^64/n: no time of a run is as long."""
_FIGURES = (
    (r"result_(min|max|mean|[\d.]+)(?:_percentile)?_latency_ns", "ns", "e2e_ms"),
    (r"result_first_token_(min|max|mean|[\d.]+)(?:_percentile)?_latency_ns", "ns", "ttft_ms"),
    (r"result_time_(?:per|to)_output_token_(min|max|mean|[\d.]+)(?:_percentile_ns)?", "ns", "tpot_ms"),
    (r"result_completed_samples_per_sec|result_samples_per_second", "requests/s", "requests_per_s"),
    (r"result_qps_with_loadgen_overhead", "requests/s", "requests_per_s"),
    (r"result_(?:completed_)?tokens_per_second", "tokens/s", "output_tokens_per_s"),
    (r"result_token_throughput_with_loadgen_overhead", "tokens/s", None),
    (r"result_token_throughput", "tokens/ns", None),
    (r"result_scheduled_samples_per_sec|result_qps_without_loadgen_overhead", "requests/s", None),
    (r"result_query_count|result_overlatency_query_count|num_errors", "", None),
    (r"early_stopping_latency_(?:ss|ms)", "ns", None),
)
_LINES = (
    (r"(Min|Max|Mean) latency \(ns\)|([\d.]+) percentile latency \(ns\)", "ns", "e2e_ms"),
    (r"(Min|Max|Mean) First Token latency \(ns\)|([\d.]+) percentile first token latency \(ns\)", "ns", "ttft_ms"),
    (r"(Min|Max|Mean) Time (?:per|to) Output Token \(ns\)|([\d.]+) percentile time to output token \(ns\)", "ns",
     "tpot_ms"),
    (r"Completed samples per second|Samples per second|QPS w/ loadgen overhead", "requests/s", "requests_per_s"),
    (r"Completed tokens per second|Tokens per second", "tokens/s", "output_tokens_per_s"),
    (r"TPS w/o? loadgen overhead", "tokens/s", None),
    (r"Scheduled samples per second|QPS w/o loadgen overhead", "requests/s", None),
)  # fmt: skip
"""The same of the summary, by its labels."""
_LOOPS = {"Server": "open", "SingleStream": "closed", "MultiStream": "closed", "Offline": "closed"}


def matches(path: Path) -> bool:
    """Whether it is a log, or a folder with some."""
    return bool(_folders(path)) if path.is_dir() else _is_detail(path) or _is_summary(path)


def read(path: Path) -> list[Run]:
    """A run for each folder with logs, or for the log itself."""
    if path.is_file():
        return [_run(path if _is_detail(path) else None, path if _is_summary(path) else None, path.parent)]
    runs = []
    for folder in _folders(path):
        detail, summary = packed(folder / DETAIL), packed(folder / SUMMARY)
        run = _run(detail if detail.is_file() else None, summary if summary.is_file() else None, folder)
        run.name = "-".join((*folder.relative_to(path).parts, run.name))
        runs.append(run)
    for run, name in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = name
    return runs


def _folders(path: Path) -> list[Path]:
    for within in _IN:
        found = {file.parent for name in (DETAIL, SUMMARY) for file in path.glob(f"{within}{name}*")}
        mine = [one for one in sorted(found) if _is_detail(packed(one / DETAIL)) or _is_summary(packed(one / SUMMARY))]
        if mine:
            return mine
    return []


def _is_detail(file: Path) -> bool:
    return beginning(file, 4096).startswith(MARKERS)


def _is_summary(file: Path) -> bool:
    return _BANNER in beginning(file, 4096)


def _run(detail_file: Path | None, summary_file: Path | None, folder: Path) -> Run:
    trace = packed(folder / TRACE)
    has_trace = trace.is_file() and trace.stat().st_size > 0
    logs = [file for file in (detail_file, summary_file) if file is not None]
    summary = _sound(read_summary, summary_file) if summary_file is not None else None
    run = _of_summary(summary) if summary is not None else Run(tool="mlperf", schema="", files=[], name="")
    if detail_file is not None:
        run = _of_detail(_sound(read_detail, detail_file))
    run.files = [*logs, *([trace] if has_trace else [])]
    run.missing += untold(phrase("LoadGen knows no failures: every sample counts"), "failed")
    if not run.told:
        run.notes.append(phrase("an accuracy run: LoadGen writes no figures of its speed"))
    if has_trace:
        _add_trace(run, trace)
    else:
        run.missing += untold(NO_ROWS, "requests")
    return run


def _sound(read_log: Callable[[Path], L], file: Path) -> L:
    """A log, unpacked; UsageError says what is wrong with one that is damaged."""
    with tempfile.TemporaryDirectory(prefix="loadcell-import-") as folder:
        plain = file
        if file.suffix == ".gz":
            plain = Path(folder) / file.name.removesuffix(".gz")
            try:
                with opened(file) as packed_log, plain.open("wb") as unpacked:
                    shutil.copyfileobj(packed_log, unpacked)
            except (OSError, EOFError, zlib.error) as error:
                raise UsageError(f"cannot unpack {file}: {error}") from None
        log = read_log(plain)
    wrong = [found for found in log.problems if found.ok is False and found.rule != "log-repeated"]
    if wrong:
        raise UsageError(f"{file}: {wrong[0].says}" + (f": {wrong[0].advice}" if wrong[0].advice else ""))
    return log


def _of_detail(log: Detail) -> Run:
    scenario = log.text("effective_scenario") or log.text("requested_scenario") or ""
    each, count = log.integer("effective_samples_per_query") or 1, log.integer("result_query_count")
    samples = None if count is None else count * each
    rate = log.number("effective_target_qps") if scenario == "Server" else None
    run = Run(
        tool="mlperf",
        version=log.text("loadgen_version"),
        schema="detail log",
        files=[],
        name=_name(scenario, rate),
        started_at=moment(log.text("test_datetime")),
        stream=True if "result_first_token_mean_latency_ns" in log.values else None,
        loop=_LOOPS.get(scenario),  # type: ignore[arg-type]
        rate=rate,
        concurrency={"SingleStream": 1, "MultiStream": each}.get(scenario),
        arrivals="poisson" if scenario == "Server" else None,
        requests=each if scenario == "Offline" else None,
        duration_s=_seconds(log.number("effective_min_duration_ms"), 1e-3),
        seed=log.integer("effective_schedule_rng_seed"),
        planned=samples,
        ok=samples,
        window_s=_window(log, scenario, samples),
        told=told({key: _figure(key, value) for key, value in log.values.items()}, partial(_meaning, _FIGURES)),
    )
    reason = (log.text("result_invalid_reason") or "").strip()
    _say(run, scenario, log.text("result_validity"), reason, log.integer("num_errors"))
    if log.marker == OURS:
        run.notes.append(phrase("these logs are an export of Loadcell's, not LoadGen's own"))
    return run


def _of_summary(log: Summary) -> Run:
    scenario = log.figures.get("Scenario", "")
    asked = {key: found for key, value in log.parameters.items() if (found := _number(value)) is not None}
    rate = asked.get("target_qps") if scenario == "Server" else None
    each = int(asked.get("samples_per_query", 1))
    figures = {key: found for key, value in log.figures.items() if (found := _number(value)) is not None}
    seed = log.parameters.get("schedule_rng_seed", "")
    run = Run(
        tool="mlperf",
        schema="summary",
        files=[],
        name=_name(scenario, rate),
        stream=True if any("First Token" in label for label in figures) else None,
        loop=_LOOPS.get(scenario),  # type: ignore[arg-type]
        rate=rate,
        concurrency={"SingleStream": 1, "MultiStream": each}.get(scenario),
        arrivals="poisson" if scenario == "Server" else None,
        requests=each if scenario == "Offline" else None,
        duration_s=_seconds(asked.get("min_duration (ms)"), 1e-3),
        seed=int(seed) if seed.isdecimal() else None,
        told=told(figures, partial(_meaning, _LINES)),
        missing=untold(UNTOLD, "version", "ok"),
    )
    _say(run, scenario, log.figures.get("Result is"), "", log.errors)
    return run


def _say(run: Run, scenario: str, validity: str | None, reason: str, errors: int | None) -> None:
    if scenario == "Server":
        run.notes.append(phrase("LoadGen's rates divide all tokens by the time until the query issued last was done"))
    if validity == "INVALID":
        run.notes.append(phrase("LoadGen calls the run invalid: {}", reason) if reason
                         else phrase("LoadGen calls the run invalid"))  # fmt: skip
    if errors:
        run.notes.append(phrase("LoadGen logged {} errors", errors))


def _name(scenario: str, rate: float | None) -> str:
    return "-".join(filter(None, (scenario.lower() or "run", f"rate-{rate:g}" if rate else "")))


def _seconds(value: float | None, scale: float) -> float | None:
    return value * scale if value else None


def _window(log: Detail, scenario: str, samples: int | None) -> float | None:
    """Server: until the query issued last was done; Offline: the longest latency."""
    per_s, longest = log.number("result_completed_samples_per_sec"), log.number("result_max_latency_ns")
    if scenario == "Server" and samples is not None and per_s:
        return (samples - 1) / per_s
    return _seconds(longest, 1e-9) if scenario == "Offline" else None


def _figure(key: str, value: Any) -> Any:
    """A figure, but not what its defects write: times below 0, and a mean of such."""
    broken = key.endswith(("_ns", "_min", "_max", "_mean")) and isinstance(value, int | float)
    return float("nan") if broken and not 0 <= value < _MOST_NS else value


def _number(words: str) -> float | None:
    try:
        return float(words)
    except ValueError:
        return None


def _meaning(table: tuple[tuple[str, str, str | None], ...], key: str) -> Meaning | None:
    for pattern, unit, metric in table:
        if found := re.fullmatch(pattern, key):
            word = next((group for group in found.groups() if group), None)
            return Meaning(unit, metric, stat(word) if word else None)
    return None


class _Span(msgspec.Struct):
    """What a trace tells of a sample, in ns: planned since the trace's origin, the others since planned."""

    planned: int
    issued: int
    done: int
    first: int | None = None


def _add_trace(run: Run, trace: Path) -> None:
    zero, count = None, 0
    for span in _spans(trace):
        zero = span.planned if zero is None else min(zero, span.planned)
        count += 1
    if zero is None:
        raise bad(trace, "traceEvents", "no sample among them")
    run.schema += ", trace"
    run.details = partial(_requests, trace, zero, run.loop == "open")
    run.derived = ["send_start_ns, first_any_ns and end_ns: the planned time and what passed since then"]
    if run.ok is None:
        run.ok = run.planned = count
    elif count != run.ok:
        run.notes.append(phrase("the log counts {} samples, the trace {}", run.ok, count))
    if run.loop == "open":
        run.missing += untold(phrase("the trace of Server does not tell which sample a first token is of"),
                              "first_any_ns")  # fmt: skip
    run.fields = {"planned_s": "ts", "sent_s": "issue_start_ns", "end_s": "complete_ns"}


def _requests(trace: Path, zero: int, planned: bool) -> Iterator[Request]:
    for span in _spans(trace):
        at = span.planned - zero
        yield Request(
            status="ok",
            planned_s=at / 1e9 if planned else None,
            sent_s=(at + span.issued) / 1e9,
            first_s=None if span.first is None else (at + span.first) / 1e9,
            end_s=(at + span.done) / 1e9,
        )


def _spans(trace: Path) -> Iterator[_Span]:
    """The samples in the order of their ends. The trace is no JSON: some of its strings are quoted twice."""
    firsts: dict[bytes, int] = {}
    last = False
    try:
        with opened(trace) as file:
            for line in file:
                last = last or _WHOLE_TRACE in line
                if found := _SPAN.search(line):
                    name, planned, sample, issued, done = found.groups()
                    if name == b"Token":
                        firsts[sample] = int(done)
                    else:
                        ns = round(float(planned) * 1000)
                        yield _Span(ns, int(issued), int(done), firsts.pop(sample, None))
    except (OSError, EOFError) as error:
        raise UsageError(f"cannot read {trace}: {error}") from None
    if not last:
        raise bad(trace, "", "it is cut short: take the whole trace, or take it away from the logs")

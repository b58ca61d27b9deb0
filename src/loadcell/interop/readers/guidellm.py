"""GuideLLM: benchmarks.json or .yaml, a run for each of its benchmarks, from 0.1 on.

Its reports changed their form at 0.2, 0.4, 0.5 (metadata version 1) and 0.7 (version 2). Where a distribution has no
value it is all zeros; those of TPOT (its inter_token_latency_ms) are weighted by tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from loadcell.errors import UsageError
from loadcell.interop import document
from loadcell.interop.model import Missing, Run, Told
from loadcell.interop.readers.common import (
    NO_EVENTS,
    NO_ROWS,
    UNTOLD,
    at_utc,
    bad,
    beginning,
    figures,
    files,
    first,
    has,
    number,
    stat_of,
    text,
    unique,
    whole,
    within,
)
from loadcell.interop.readers.guidellm_load import asked, strategy_of
from loadcell.interop.readers.guidellm_rows import FORMS, NAMED, NEW, STATUS, Row, requests_of, rows_of, slim
from loadcell.phrases import phrase

_TESTED = ("report of 0.2", "report of 0.4")
_GROUPS = ("successful", "errored", "incomplete", "total")
_MOST_YAML = 64 << 20
_MEANINGS = {
    "time_to_first_token_ms": "ttft_ms",
    "time_to_first_output_token_ms": "ttfa_ms",
    "inter_token_latency_ms": "tpot_ms",
    "time_per_output_token_ms": "ntpot_ms",
    "request_latency": "e2e_ms",
}
_RATES = {
    "requests_per_second": "requests_per_s",
    "output_tokens_per_second": "output_tokens_per_s",
    "prompt_tokens_per_second": "input_tokens_per_s",
    "tokens_per_second": "total_tokens_per_s",
    "request_goodput": "goodput",
    "slo_attainment": "slo_attainment",
    "request_concurrency": "concurrency",
}
"""Those whose mean over the run is a figure of ours; their percentiles are of something else."""
_SECONDS = ("request_latency", "request_scheduled_latency")
_UNITS = (
    ("_ms", "ms"), ("_avg", "s"), ("_delay", "s"), ("requests_per_second", "requests/s"), ("goodput", "requests/s"),
    ("tokens_per_second", "tokens/s"), ("tokens_per_iteration", "tokens"), ("token_count", "tokens"),
    ("concurrency", "requests"), ("requests", "requests"),
)  # fmt: skip


def matches(path: Path) -> bool:
    """Whether it is a report of GuideLLM, or a folder with one."""
    return any(_is_report(file) for file in _reports(path))


def read(path: Path) -> list[Run]:
    """A run for each benchmark of each report."""
    return [run for file in _reports(path) if _is_report(file) for run in _runs(file)]


def _reports(path: Path) -> list[Path]:
    return files(path, ".json", ".yaml", ".yml")


def _is_report(path: Path) -> bool:
    begun = beginning(path)
    if re.match(r"\s*\{", begun):
        signs = (("guidellm_version",), ("scheduler_state",), ("run_stats",), ("mode", "results"))
        return has(begun, "benchmarks") and any(has(begun, *keys) for keys in signs)
    top = re.search(r"(?m)^(metadata|args|config|benchmarks):", begun)
    sign = r"(?m)^\W*(guidellm_version|scheduler_state|run_stats|decode_times|inter_token_latency_ms):"
    return top is not None and re.search(sign, begun) is not None


def _runs(path: Path) -> list[Run]:
    report = _report(path)
    benchmarks = within(report, "benchmarks")
    if not isinstance(benchmarks, list):
        raise bad(path, "benchmarks", "expected a list of benchmarks")
    version = within(report, "metadata", "version")
    if version not in (None, 1, 2):
        raise bad(path, "metadata.version", f"report version {version!r} of GuideLLM is not known; 1 and 2 are")
    runs = []
    for i, found in enumerate(benchmarks):
        nested = within(found, "benchmarks")  # 0.1: a report of reports
        if isinstance(nested, list):
            at = f"benchmarks.{i}.benchmarks"
            runs += [_run(path, found, inner, f"{at}.{j}") for j, inner in enumerate(nested)]
        else:
            runs.append(_run(path, report, found, f"benchmarks.{i}"))
    if not runs:
        raise bad(path, "benchmarks", "the report holds no benchmark")
    for run, name in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = name
    return runs


def _report(path: Path) -> Any:
    lists = [f"requests.{group}" for group in ("successful", "errored", "incomplete")] + ["results", "errors"]
    rows = [f"benchmarks.*.{nested}{name}.*" for nested in ("", "benchmarks.*.") for name in lists]
    if re.match(r"\s*\{", beginning(path)):
        unused = ("benchmarks.*.concurrencies", "benchmarks.*.benchmarks.*.concurrencies")
        return document.load(path, without=unused, each=dict.fromkeys(rows, slim))
    import yaml

    if path.stat().st_size > _MOST_YAML:
        raise UsageError(f"{path} is larger than YAML is read here ({_MOST_YAML >> 20} MB): give the report as JSON")
    try:
        with document.opened(path) as file:
            written = file.read()
        if not written.endswith(b"\n"):  # what is left of a file that was cut is often whole YAML
            raise UsageError(f"{path} is no whole YAML: its last line has no end")
        return yaml.load(written, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, OSError, EOFError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no whole YAML: {' '.join(str(error).split())}") from None


def _run(path: Path, report: Any, bench: Any, at: str) -> Run:
    rows = rows_of(path, bench, at)
    strategy = strategy_of(report, bench)
    version = text(within(report, "metadata", "guidellm_version"))
    schema = _schema(report, bench)
    if schema is None:
        raise bad(path, at, "is no benchmark of a form that is known")
    totals = first(within(bench, "metrics", "request_totals"), within(bench, "request_totals"))
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "failed", "cancelled")}
    for group in ("successful", "errored", "incomplete"):
        counts[STATUS[group]] = first(whole(within(totals, group)), counts[STATUS[group]])
    stamps = [time for row in rows for time in (row.start, row.planned if strategy.loop == "open" else None) if time]
    zero = min(stamps, default=None)
    run = Run(
        tool="guidellm",
        version=version,
        schema=schema,
        tested=schema in _TESTED or (version or "").startswith(("0.6.", "0.8.")),
        files=[path],
        name=strategy.name,
        started_at=at_utc(first(zero, number(within(bench, "start_time")))),
        planned=whole(within(bench, "scheduler_state", "created_requests")),
        ok=counts["ok"],
        failed=counts["failed"],
        cancelled=counts["cancelled"],
        window_s=number(within(bench, "duration")) or None,
        told=list(_told(bench, schema)),
        notes=list(_notes(bench, rows, schema, version)),
        **asked(report, bench, strategy, next((row.kind for row in rows if row.kind), None)),
    )
    run.missing = list(_missing(run, rows, sum(counts.values())))
    form = FORMS.get(schema, NEW)
    run.fields = {name: getattr(form, field) for name, field in NAMED.items() if getattr(form, field)}
    if rows:
        run.details = partial(requests_of, rows, zero or 0.0, strategy.loop == "open")
    if schema == "report of 0.1":
        run.derived = [
            phrase("first_any_ns: send_start_ns and first_token_time"),
            phrase("last_ns: first_any_ns and the sum of decode_times"),
            phrase("chunks: first_any_ns and the sums of decode_times"),
        ]
    return run


def _schema(report: Any, bench: Any) -> str | None:
    if (version := within(report, "metadata", "version")) is not None:
        return f"report {version}"
    for sign, since in (("scheduler_state", "0.4"), ("run_stats", "0.2"), ("mode", "0.1")):
        if within(bench, sign) is not None:
            return f"report of {since}"
    return None


def _told(bench: Any, schema: str) -> Iterator[Told]:
    """Every figure; groups without a request and times that are all zero are missing."""
    for root, tree in (("", within(bench, "metrics")), ("scheduler_metrics", within(bench, "scheduler_metrics"))):
        for name, found in _distributions(tree if isinstance(tree, dict) else {}, root):
            if name.startswith("scheduler_metrics.") and name.endswith("_time"):
                continue  # a time of day
            yield from _figures_of(name, found, schema)


def _distributions(tree: dict[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    for key, found in tree.items():
        name = f"{at}.{key}" if at else key
        if isinstance(found, dict) and not {"mean", "successful"} & found.keys():
            yield from _distributions(found, name)
        else:
            yield name, found


def _figures_of(name: str, found: Any, schema: str) -> Iterator[Told]:
    metric = name.rpartition(".")[2]
    unit = next((unit for end, unit in _UNITS if metric.endswith(end)), "s" if metric in _SECONDS else "")
    meaning = None if schema == "report of 0.2" and metric == "time_per_output_token_ms" else _MEANINGS.get(name)
    for group in _GROUPS if isinstance(found, dict) and set(_GROUPS) & found.keys() else ("",):
        values = within(found, group) if group else found
        count = within(values, "count")
        if count == 0:
            yield Told(key=f"{name}.{group}.count", value=0.0, stat="count")
            continue
        is_none = unit in ("ms", "s") and within(values, "max") == 0
        ours = meaning if group in ("successful", "") else None
        for key, value in figures(values):
            key = key.removeprefix("percentiles.")
            parts = [name, "" if group == "successful" and key else group, key]
            stat = _stat(key)
            rate = _RATES.get(name) if group in ("successful", "") and key in ("mean", "") else None
            yield Told(
                key=".".join(filter(None, parts)),
                value=None if is_none and key != "count" else value,
                unit="" if key == "count" else unit,
                metric=rate or (ours if stat is not None else None),
                stat=None if rate else stat,
            )


def _stat(key: str) -> str | None:
    """p001 is 0.1 %, p999 is 99.9 %."""
    if re.fullmatch(r"p\d{2,3}", key):
        return f"p{int(key[1:3]) + (int(key[3]) / 10 if len(key) == 4 else 0):g}"
    return stat_of(key) if key and "." not in key else None


def _notes(bench: Any, rows: list[Row], schema: str, version: str | None) -> Iterator[str]:
    if schema != "report of 0.1":
        yield phrase("GuideLLM's inter_token_latency_ms is TPOT; its percentiles are weighted by tokens, in steps")
        yield phrase("GuideLLM's request_latency runs to the end of the stream, E2E to the last output")
        if schema == "report of 0.2":
            yield phrase(
                "time_per_output_token_ms of GuideLLM before 0.4 divides the time after the first token by all"
            )
        else:
            yield phrase(
                "time_per_output_token_ms of GuideLLM since 0.4 is NTPOT; its percentiles are weighted by tokens"
            )
    if version is not None and not re.match(r"0\.[0-7](\.|$)", version):
        yield phrase("GuideLLM's times begin when the head of a request is on its way: connecting is no part of TTFT")
    else:
        yield phrase("GuideLLM's times begin with the call: connecting is a part of TTFT")
    processed = whole(within(bench, "scheduler_state", "processed_requests"))
    kept = whole(within(bench, "metrics", "request_totals", "total"))
    if processed is not None and kept is not None and processed > kept:
        yield phrase("requests of the warm-up and the cool-down, which GuideLLM left out: {}", processed - kept)
    without = sum(row.status == "ok" and row.first is None for row in rows)
    if 0 < without < len(rows):
        yield phrase("ok requests without a first token, which count as 0 in GuideLLM's own TTFT: {}", without)


def _missing(run: Run, rows: list[Row], total: int) -> Iterator[Missing]:
    if run.schema != "report of 0.1":
        yield Missing(field="chunks", why=NO_EVENTS)
    if not rows:
        yield Missing(field="requests", why=NO_ROWS)
    elif len(rows) < total:
        yield Missing(field="requests", why=phrase("the file holds a sample of them: {} of {}", len(rows), total))
    if rows and run.loop != "open":
        yield Missing(field="planned_ns", why=phrase("nothing was planned: each request waited for another"))
    if rows and not any(row.answer is not None for row in rows):
        yield Missing(field="first_answer_ns", why=UNTOLD)
    source = phrase("GuideLLM takes the server's count, else the number asked for, and does not say which")
    yield Missing(field="token_source", why=source)
    if run.version is None:
        yield Missing(field="version", why=UNTOLD)

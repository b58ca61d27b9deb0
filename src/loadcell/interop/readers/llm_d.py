"""The Benchmark Report of llm-d, v0.1, v0.2 and v0.2.1: a YAML or JSON file a run or stage, of whatever tool made it.

Its schema: interop/data/br_v0_2_1_json_schema.json; v0.1 by llm-d-benchmark's native_to_br0_1.py. Each statistic names
its own unit. What a figure means is up to the tool that the report was made of, which it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from loadcell.interop.document import load
from loadcell.interop.model import Run, Told
from loadcell.interop.readers.common import (
    HEAD,
    NO_ROWS,
    UNTOLD,
    at_utc,
    bad,
    beginning,
    number,
    text,
    typed,
    unique,
    untold,
    within,
)
from loadcell.interop.readers.meaning import Meaning, moment, stat, told
from loadcell.interop.readers.yaml_text import load_yaml
from loadcell.phrases import phrase

_VERSIONS = ("0.1", "0.2", "0.2.1")
_ENDINGS = (".yaml", ".yml", ".json")
_LATENCIES = {
    "request_latency": "e2e_ms", "normalized_time_per_output_token": "ntpot_ms", "time_per_output_token": "tpot_ms",
    "time_to_first_token": "ttft_ms", "inter_token_latency": "itl_ms",
}  # fmt: skip
_RATES = {
    "request_rate": "requests_per_s", "output_token_rate": "output_tokens_per_s",
    "input_token_rate": "input_tokens_per_s", "requests_per_sec": "requests_per_s",
    "output_tokens_per_sec": "output_tokens_per_s", "input_tokens_per_sec": "input_tokens_per_s",
    "total_token_rate": "total_tokens_per_s", "total_tokens_per_sec": "total_tokens_per_s",
}  # fmt: skip
_TIMES = {"s": "s", "ms": "ms", "s/token": "s", "ms/token": "ms"}
_UNITS = {"queries/s": "requests/s", "percent": "%", "count": "", "seconds": "s"}
_LAWS = {"fixed": "{value:g}", "gaussian": "normal:{value:g},{std_dev:g}", "uniform": "uniform:{min:g},{max:g}"}
_NAMED = re.compile(r'^\s{0,2}"?(\w+)"?:', re.MULTILINE)


class _Lengths(msgspec.Struct):
    distribution: str | None = None
    value: float | None = None
    std_dev: float | None = None
    min: float | None = None
    max: float | None = None


class _Standard(msgspec.Struct):
    tool: str | None = None
    tool_version: str | None = None
    stage: int | None = None
    input_seq_len: _Lengths | None = None
    output_seq_len: _Lengths | None = None
    rate_qps: float | None = None
    concurrency: float | None = None


class _Requests(msgspec.Struct):
    total: int | None = None
    failures: int | None = None
    incomplete: int | None = None


def matches(path: Path) -> bool:
    """Whether it is a report, or a folder with some."""
    return bool(_reports(path))


def read(path: Path) -> list[Run]:
    """A run for each report."""
    runs = [_run(file) for file in _reports(path)]
    for run, name in zip(runs, unique([run.name for run in runs]), strict=True):
        run.name = name
    return runs


def _reports(path: Path) -> list[Path]:
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in inside if file.is_file() and _is_report(file)]


def _is_report(file: Path) -> bool:
    if not file.name.removesuffix(".gz").endswith(_ENDINGS):
        return False
    begun = beginning(file)
    keys = set(_NAMED.findall(begun)) if begun.lstrip()[:1] != "{" else set(re.findall(r'"(\w+)":', begun))
    if "metrics" in keys:
        return {"scenario", "version"} <= keys and "latency:" in begun.replace('"', "")
    known = {"version", "run"} <= keys or len(begun) >= HEAD  # keys are sorted: those may be far behind
    return "results" in keys and known and ("request_performance" in begun or "uid" in keys)


def _run(file: Path) -> Run:
    tree = load(file) if beginning(file).lstrip()[:1] == "{" else load_yaml(file)
    if not isinstance(tree, dict):
        raise bad(file, "", "it is no object: it is cut, or no report of llm-d")
    version = str(tree.get("version"))
    if version not in _VERSIONS:
        raise bad(file, "version", f"{version} is none of {', '.join(_VERSIONS)}")
    key = "metrics" if version == "0.1" else "results"
    if not isinstance(tree.get(key), dict):
        raise bad(file, key, "no object: it is cut, or of another version")
    run = _old(tree, file) if version == "0.1" else _new(tree, file)
    run.schema = f"Benchmark Report v{version}"
    run.missing += untold(NO_ROWS, "requests")
    return run


def _new(tree: dict[str, Any], file: Path) -> Run:
    load_of = typed(
        within(tree, "scenario", "load", "standardized") or {}, _Standard, file, "scenario.load.standardized"
    )
    results = tree["results"]
    counts = typed(within(results, "request_performance", "aggregate", "requests") or {}, _Requests, file,
                   "results.request_performance.aggregate.requests")  # fmt: skip
    run = _started(file, load_of, counts)
    run.started_at = moment(within(tree, "run", "time", "start"))
    run.model = next(_models(tree), None)
    run.told = _figures(_without(results, "time_series"), file, "results")
    if within(results, "observability", "components") or within(results, "request_performance", "time_series"):
        run.notes.append(phrase("its figures of single components of the server, and its time series, are not read"))
    return run


def _models(tree: dict[str, Any]) -> Iterator[str]:
    stack = within(tree, "scenario", "stack")
    for part in stack if isinstance(stack, list) else ():
        name = within(part, "standardized", "model", "name")
        if isinstance(name, str):
            yield name


def _old(tree: dict[str, Any], file: Path) -> Run:
    asked = within(tree, "scenario", "load", "args") or {}
    load_of = _Standard(
        tool=within(tree, "scenario", "load", "name"),
        stage=within(tree, "scenario", "load", "metadata", "stage"),
        rate_qps=number(within(asked, "request_rate")),
        concurrency=number(within(asked, "max_concurrency")),
    )
    load_of = typed(msgspec.to_builtins(load_of), _Standard, file, "scenario.load")
    counts = typed(within(tree, "metrics", "requests") or {}, _Requests, file, "metrics.requests")
    run = _started(file, load_of, counts)
    run.started_at = at_utc(number(within(tree, "metrics", "time", "start")))
    run.window_s = number(within(tree, "metrics", "time", "duration"))
    run.model = text(within(tree, "scenario", "model", "name"))
    run.told = _figures(_without(tree["metrics"], "time"), file, "metrics")
    return run


def _started(file: Path, load_of: _Standard, counts: _Requests) -> Run:
    rate, users = number(load_of.rate_qps), number(load_of.concurrency)
    name = f"rate-{rate:g}" if rate else f"concurrency-{users:g}" if users else file.name.partition(".")[0]
    run = Run(
        tool="llm-d",
        schema="",
        tested=False,
        files=[file],
        name=name if load_of.stage is None else f"stage-{load_of.stage}-{name}",
        loop="open" if rate else "closed" if users else None,
        rate=rate,
        concurrency=None if users is None else int(users),
        input_tokens=_lengths(load_of.input_seq_len),
        output_tokens=_lengths(load_of.output_seq_len),
        planned=counts.total,
        ok=None if counts.total is None else counts.total - (counts.failures or 0) - (counts.incomplete or 0),
        failed=counts.failures,
        cancelled=counts.incomplete,
    )
    if load_of.tool is None:
        run.missing += untold(UNTOLD, "the tool that measured")
    else:
        tool = " ".join(filter(None, (load_of.tool, load_of.tool_version)))
        run.notes.append(phrase("its figures are those of {}, by that tool's definitions", tool))
    return run


def _lengths(law: _Lengths | None) -> str | None:
    form = None if law is None else _LAWS.get(law.distribution or "")
    values = {} if law is None else {key: number(value) for key, value in msgspec.structs.asdict(law).items()
                                     if key != "distribution"}  # fmt: skip
    asked = re.findall(r"\{(\w+):", form or "")
    return form.format(**values) if form and all(values[key] is not None for key in asked) else None


def _without(tree: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        key: _without(value, name) if isinstance(value, dict) else value for key, value in tree.items() if key != name
    }


def _figures(tree: dict[str, Any], file: Path, at: str) -> list[Told]:
    """Each number with the unit that its statistics declare."""
    return told(tree, partial(_meaning, tree, file, at))


def _meaning(tree: dict[str, Any], file: Path, at: str, key: str) -> Meaning | None:
    *above, name = key.split(".")
    group = above[-1] if above else ""
    unit = text(within(tree, *above, "units"))
    if group in _LATENCIES:
        if unit not in _TIMES:
            raise bad(file, f"{at}.{'.'.join(above)}.units", f"{unit} is none of {', '.join(_TIMES)}")
        ours = "request_performance" in above or above[0] == "latency"
        return Meaning(_TIMES[unit], _LATENCIES[group] if ours else None, stat(name))
    if name in _RATES and group == "throughput":
        return Meaning("requests/s" if name.startswith("requests") else "tokens/s", _RATES[name])
    if group in _RATES:
        whole = name == "mean"  # of the run; the others are of parts of it
        return Meaning(
            _UNITS.get(unit or "", unit or ""), _RATES[group] if whole else None, None if whole else stat(name)
        )
    if group.endswith(("_length", "tokens_per_session")):
        return Meaning("tokens", None, stat(name))
    return Meaning(_UNITS.get(unit or "", unit or ""), None, stat(name))

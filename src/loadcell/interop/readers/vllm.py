"""`vllm bench serve`: results of its Python and its Rust client, of sweeps, of pooling and of several turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from loadcell.errors import UsageError
from loadcell.interop import document
from loadcell.interop.model import Missing, Request, Run, Told
from loadcell.interop.readers.vllm_rows import FIELDS, LEFT_OUT, Collecting, check_lengths, requests_of
from loadcell.phrases import phrase

_NEVER = ("warmup.json",)
_ENDINGS = (".pytorch.json", ".failure.json")
_APIS = {
    "openai-chat": "chat", "openai-audio": "transcriptions", "openai-responses": "responses",
    "openai-embeddings": "embeddings", "openai-embeddings-chat": "embeddings", "openai-embeddings-clip": "embeddings",
    "openai-embeddings-vlm2vec": "embeddings", "infinity-embeddings": "embeddings", "vllm-pooling": "pooling",
    "vllm-rerank": "rerank", "openai": "completions", "openai-completions": "completions", "vllm": "completions",
    "lmdeploy": "completions", "scalellm": "completions", "sglang": "completions", "llama.cpp": "completions",
    "tgi": "tgi", "tensorrt-llm": "triton",
}  # fmt: skip
_METRICS = {"ttft": "ttft_ms", "tpot": "tpot_ms", "itl": "itl_ms", "e2el": "e2e_ms"}
_RATES = {
    "request_throughput": ("requests/s", "requests_per_s"),
    "request_goodput": ("requests/s", "goodput"),
    "input_throughput": ("tokens/s", "input_tokens_per_s"),
    "output_throughput": ("tokens/s", "output_tokens_per_s"),
    "total_token_throughput": ("tokens/s", "total_tokens_per_s"),
    "max_output_tokens_per_s": ("tokens/s", None),
    "input_sequence_throughput": ("sequences/s", None),
    "duration": ("s", None),
    "completed": ("requests", None),
    "failed": ("requests", None),
    "max_concurrent_requests": ("requests", None),
    "total_input_tokens": ("tokens", None),
    "total_output_tokens": ("tokens", None),
    "total_input_sequences": ("sequences", None),
    "total_input": ("tokens", None),
    "rtfx": ("s/s", None),
    "spec_decode_acceptance_rate": ("%", None),
}
_ASKED = ("num_prompts", "burstiness", "max_concurrency", "request_rate", "max_model_len", "run_number", "best_of",
          "start_rps", "end_rps", "num_conversations", "turns_per_conversation", "multi_turn_concurrency",
          "inter_turn_delay_ms")  # fmt: skip
"""Numbers that were asked for: no figures."""
_OF_ONE = re.compile(r"(mean|median|std|p[\d.]+|max|min)_(.+)_ms")
_STEADY = re.compile(r"(mean|median|p\d+)_(ttft|tpot)_ms")
_DATE = "%Y%m%d-%H%M%S"


def matches(path: Path) -> bool:
    """Whether a file is a result of it, or a folder holds some."""
    if path.is_dir():
        return next(_files(path), None) is not None
    found = document.head(path)
    return _is_result(found[0] if isinstance(found, list) and found else found)


def read(path: Path) -> list[Run]:
    """Every run of a file (one, or with --append-result several) or of a folder. UsageError says what is damaged."""
    files = list(_files(path)) if path.is_dir() else [path]
    folder = path if path.is_dir() else None
    runs = [run for file in files for run in _read_file(file, folder, kept=len(files) == 1)]
    _name_apart(runs)
    return runs


def _is_result(tree: Any) -> bool:
    if not isinstance(tree, dict) or "tokenizer_id" not in tree or "benchmark_start_time_unix" in tree:
        return False
    return "endpoint_type" in tree or ("backend" in tree and "num_prompts" in tree)


def _files(folder: Path) -> Iterator[Path]:
    """Results right in a folder, or those of a sweep below it."""
    found = sorted(folder.glob("**/run=*.json*")) or sorted(folder.iterdir())
    for file in found:
        plain = file.is_file() and file.name not in _NEVER and not file.name.endswith(_ENDINGS)
        if plain and isinstance(tree := document.head(file), dict) and _is_result(tree):
            yield file


def _read_file(file: Path, folder: Path | None, *, kept: bool) -> Iterator[Run]:
    """The runs of a file. Its arrays are kept for when the requests are asked for, or read again then."""
    for number, tree in enumerate(_trees(file)):
        reading = _Reading(tree, file, folder)
        yield reading.run(partial(requests_of, tree, relative=reading.rust) if kept else partial(_again, file, number))


def _again(file: Path, number: int) -> Iterator[Request]:
    tree = next(islice(_trees(file), number, None))
    return requests_of(tree, relative=_Reading(tree, file, None).rust)


def _trees(file: Path) -> Iterator[dict[str, Any]]:
    """The results that a file holds, one after the other, with their arrays made small."""
    listed = isinstance(document.head(file), list)
    prefix = "*." if listed else ""
    without, each = [f"{prefix}{name}" for name in LEFT_OUT], Collecting(file).each(prefix)
    for line, found in document.documents(file, without=without, each=each):
        for tree in found if listed else [found]:
            if not _is_result(tree):
                raise UsageError(f"{file}: line {line} is no result of vllm bench serve: it has no tokenizer_id")
            yield tree


def _name_apart(runs: list[Run]) -> None:
    """Give runs of one name a number each."""
    names = [run.name for run in runs]
    for number, run in enumerate(runs, 1):
        if names.count(run.name) > 1:
            run.name = f"{number:02d}-{run.name}"


class _Reading:
    """One result object on its way to a Run."""

    def __init__(self, tree: dict[str, Any], file: Path, folder: Path | None) -> None:
        self.tree, self.file, self.folder = tree, file, folder
        date = str(tree.get("date", ""))
        self.rust = date.endswith("Z") or "steady_state" in tree or "max_model_len" in tree
        self.turns = tree.get("mode") == "multi_turn"
        self.pooling = "total_input_sequences" in tree
        self.early = "endpoint_type" not in tree
        self.sweep = file.name.startswith("run=")
        self.detailed = tree.get("ttfts") is not None or tree.get("start_times") is not None
        self.rows = check_lengths(tree, file)

    def run(self, details: Callable[[], Iterator[Request]]) -> Run:
        tree = self.tree
        rate, users = self._rate(), self._number("multi_turn_concurrency" if self.turns else "max_concurrency")
        asked = self._whole("num_prompts")
        closed = rate is None
        ok, failed = self._whole("completed"), self._whole("failed")
        lasted = self._number("duration")
        made = Run(
            tool="vllm-rs" if self.rust else "vllm",
            schema=self._schema(),
            tested=not (self.turns or self.pooling or self.early or self.sweep or (self.rust and self.detailed)),
            files=[self.file],
            name=self._name(rate, users),
            started_at=self._started(lasted),
            api=_APIS.get(str(tree.get("endpoint_type") or tree.get("backend"))),
            stream=not self.pooling,
            model=tree.get("model_id"),
            tokenizer=tree.get("tokenizer_id"),
            loop="closed" if closed else "open",
            rate=rate,
            concurrency=int(users) if users else asked if closed else None,
            arrivals=None if closed else self._arrivals(),
            requests=asked,
            planned=asked,
            ok=ok,
            failed=failed if failed is not None or asked is None or ok is None else asked - ok,
            window_s=lasted,
            placed=tree.get("start_times") is not None or not self.rows,
            details=details if self.rows else None,
            told=list(self._told(not ok)),
            missing=list(self._missing(closed)),
            notes=list(self._notes(closed, users)),
            fields=dict(FIELDS),
        )
        if made.started_at is not None:
            made.derived.append(phrase("started_at: the date, less the duration"))
        if self.detailed and tree.get("latencies") is None:
            made.derived.append(phrase("last_ns: the first output, and the sum of the gaps"))
        if self.detailed:
            made.derived.append(phrase("chunks: the first output, and running sums of the gaps"))
        return made

    def _schema(self) -> str:
        client = "before 2025" if self.early else "Rust client" if self.rust else "Python client"
        kinds = ((self.turns, "several turns"), (self.pooling, "pooling"), (self.sweep, "sweep"),
                 (self.detailed, "--save-detailed"))  # fmt: skip
        return ", ".join(["bench serve", client, *(words for has, words in kinds if has)])

    def _name(self, rate: float | None, users: float | None) -> str:
        if self.sweep and self.folder is not None:
            return "-".join(self.file.relative_to(self.folder).with_suffix("").parts)
        parts = [str(self.tree.get("label") or self.tree.get("backend") or "vllm")]
        parts += [f"{rate:g}qps"] if rate is not None else []
        return "-".join(parts + ([f"concurrency{users:g}"] if users else []))

    def _rate(self) -> float | None:
        """Requests per second; None where they are sent as fast as it goes."""
        value = self.tree.get("request_rate")
        if value in (None, "inf") or value == float("inf"):
            return None
        return self._number("request_rate")

    def _arrivals(self) -> str | None:
        if self.tree.get("ramp_up_strategy"):
            return None
        shape = self._number("burstiness")
        if shape is None or shape == 1:
            return "poisson"
        return "constant" if shape == float("inf") else f"gamma:{shape**-0.5:.4g}" if shape > 0 else None

    def _started(self, lasted: float | None) -> datetime | None:
        """The file is dated when the run has ended."""
        text = str(self.tree.get("date", ""))
        try:
            ended = datetime.fromisoformat(text) if self.rust else datetime.strptime(text, _DATE)
        except ValueError:
            return None
        return ended - timedelta(seconds=lasted or 0.0)

    def _number(self, key: str) -> float | None:
        value = self.tree.get(key)
        if value is None or isinstance(value, int | float):
            return value
        raise UsageError(f"{self.file}: {key} is {value!r}, where a number should stand")

    def _whole(self, key: str) -> int | None:
        value = self._number(key)
        if value is not None and (value != value or value < 0 or value != int(value)):
            raise UsageError(f"{self.file}: {key} is {value:g}: it counts requests")
        return None if value is None else int(value)

    def _told(self, nothing: bool) -> Iterator[Told]:
        """Every figure of the file. Where no request succeeded, its zeros stand for missing."""
        none = {key[5:-3] for key, value in self.tree.items() if key.startswith("mean_") and value == 0}
        for key, value in _numbers(self.tree):
            if key in _ASKED:
                continue
            found = _OF_ONE.fullmatch(key)
            if key in _RATES:
                unit, metric = _RATES[key]
                gone = nothing and key not in ("completed", "failed", "duration")
                yield Told(key=key, value=None if gone else value, unit=unit, metric=metric)
            elif found is not None:
                stat, of = found.groups()
                gone = nothing or of in none
                yield Told(key=key, value=None if gone else value, unit="ms", metric=_METRICS.get(of),
                           stat="p50" if stat == "median" else stat)  # fmt: skip
            else:
                yield Told(key=key, value=value, unit="ms" if key.endswith("_ms") else "")
        yield from _steady(self.tree.get("steady_state"))
        for number, turn in enumerate(self.tree.get("per_turn_metrics") or []):
            for key, value in _numbers(turn) if isinstance(turn, dict) else ():
                unit = "ms" if key.endswith("_ms") else ""
                yield Told(key=f"per_turn_metrics.{number}.{key}", value=value, unit=unit)

    def _missing(self, closed: bool) -> Iterator[Missing]:
        yield Missing(field="version", why=phrase("vLLM does not write which it is"))
        yield Missing(
            field="planned_ns", why=phrase("the file has no schedule; queue times count from the start of a task")
        )
        yield Missing(
            field="run.seed", why=phrase("neither the seed nor the data set nor the command line is in the file")
        )
        if not self.rows:
            yield Missing(field="requests", why=phrase("the file holds summaries only: run it with --save-detailed"))
            yield Missing(field="chunks", why=phrase("the file holds summaries only: run it with --save-detailed"))
        elif not self.detailed:
            why = phrase("without --save-detailed the file has E2E latencies of its requests and nothing else")
            for field in ("send_start_ns", "first_any_ns", "chunks", "output_tokens"):
                yield Missing(field=field, why=why)
        if self.rows and self.detailed:
            yield Missing(field="chunks.tokens", why=phrase("gaps are of events, whose tokens nobody wrote"))
            yield Missing(
                field="prompt_tokens", why=phrase("input_lens are usage or vLLM's own count, which is not told")
            )

    def _notes(self, closed: bool, users: float | None) -> Iterator[str]:
        if not closed:
            yield phrase("vLLM scales its arrivals so that the last falls on requests / rate: gaps are not independent")
        if self.tree.get("ramp_up_strategy"):
            how, low, high = (self.tree.get(key) for key in ("ramp_up_strategy", "start_rps", "end_rps"))
            yield phrase("the rate ramped up ({}) from {} to {} requests/s", how, low, high)
        if closed and not users:
            yield phrase("all requests were sent at once: as many users as requests")
        if self.turns:
            yield phrase("a file of several turns does not tell which request belongs to which conversation")
        if self.rows and self.rust:
            yield phrase("the Rust client counts the event with the finish reason as output: E2E and TPOT run to it")
        if self.rows:
            yield phrase("errors that come inside a stream count as success in vLLM's client")


def _numbers(tree: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The figures of an object: numbers, and the null of a goodput that was not asked for."""
    for key, value in tree.items():
        if (isinstance(value, int | float) and not isinstance(value, bool)) or (value is None and key in _RATES):
            finite = value is not None and value == value and abs(value) != float("inf")
            yield key, value if finite else None


def _steady(tree: Any) -> Iterator[Told]:
    """Figures of the Rust client's own window, in which its concurrency was at least 95 % of the asked one."""
    if not isinstance(tree, dict):
        return
    for key, value in _numbers(tree):
        found = _STEADY.fullmatch(key)
        unit = "ms" if found is not None else _RATES.get(key, ("", None))[0]
        stat = None if found is None else "p50" if found[1] == "median" else found[1]
        yield Told(key=f"steady_state.{key}", value=value, unit=unit, stat=stat)
    for key, value in _numbers(tree.get("window") or {}):
        yield Told(key=f"steady_state.window.{key}", value=value, unit="s" if key.endswith("_s") else "")
    for number, pair in enumerate(tree.get("percentiles_ttft_ms") or []):
        yield Told(key=f"steady_state.percentiles_ttft_ms.{number}.1", value=pair[1], unit="ms", stat=f"p{pair[0]:g}")

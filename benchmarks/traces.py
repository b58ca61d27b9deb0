"""Traces: how long reading, describing and anonymizing take, by format."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from common import work_folder
from tables import Row, Table, at_most

_BAR_S = 10.0
_NOTES = (
    "Made files of as many rows, read once with warm file caches on one core. The bar is of 1,000,000 rows of CSV.",
)


def measure(quick: bool) -> list[Table]:
    """One table."""
    from loadcell.traces.describe import describe
    from loadcell.traces.read import read_trace

    rows = 20_000 if quick else 1_000_000
    table = Table(f"Traces of {rows:,} rows", ("what", "seconds"), notes=_NOTES)
    with work_folder() as folder:
        for name, text, is_csv in _files(rows):
            path = folder / name
            path.write_bytes(
                gzip.compress("".join(text).encode(), 1) if name.endswith(".gz") else "".join(text).encode()
            )
            took = _timed(lambda path=path: read_trace(path))  # type: ignore[misc]
            table.rows.append(
                at_most(f"read {name}", took, _BAR_S, "s") if is_csv else Row((f"read {name}", f"{took:.2f} s"))
            )
        trace = read_trace(folder / "mooncake.jsonl")
        table.rows.append(Row(("describe mooncake.jsonl", f"{_timed(lambda: describe(trace)):.2f} s")))
        logged = min(rows, 100_000)
        took = _timed(lambda: _anonymize(_log(folder, logged)))
        table.rows.append(Row((f"anonymize {logged:,} requests of 600 characters", f"{took:.2f} s")))
    return [table]


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _files(rows: int) -> Iterator[tuple[str, Iterator[str], bool]]:
    rng = np.random.default_rng(1)
    at = np.cumsum(rng.exponential(0.02, rows)).tolist()
    size, out = rng.integers(1, 4000, rows).tolist(), rng.integers(1, 500, rows).tolist()
    plain = [f"{t:.4f},{i},{o}\n" for t, i, o in zip(at, size, out, strict=True)]
    yield "plain.csv", iter(["t,in,out\n", *plain]), True
    yield "plain.csv.gz", iter(["t,in,out\n", *plain]), True
    dates = (np.datetime64("2024-05-12", "us") + (np.array(at) * 1e6).astype("timedelta64[us]")).astype(str).tolist()
    azure = (f"{date}+00:00,{i},{o}\n" for date, i, o in zip(dates, size, out, strict=True))
    yield "azure.csv", iter(["TIMESTAMP,ContextTokens,GeneratedTokens\n", *azure]), True
    burst = (f"{t:.0f}.0,ChatGPT,{i},{o},9,API log\n" for t, i, o in zip(at, size, out, strict=True))
    yield "burstgpt.csv", iter(["Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n", *burst]), True
    yield "mooncake.jsonl", (
        f'{{"timestamp": {t * 1000:.0f}, "input_length": 1000, "output_length": {o}, "hash_ids": [{i}, {r + 4000}]}}\n'
        for r, (t, i, o) in enumerate(zip(at, size, out, strict=True))
    ), False  # fmt: skip


def _log(folder: Path, rows: int) -> Path:
    path = folder / "log.jsonl"
    lines = (json.dumps({"t": i, "prompt": f"number {i % 1000} of many " * 25, "out": 5}) + "\n" for i in range(rows))
    path.write_text("".join(lines))
    return path


def _anonymize(path: Path) -> None:
    from loadcell.traces.anonymize import anonymized
    from loadcell.workload.tokenizer import load_tokenizer

    backend = load_tokenizer("smollm2").backend

    def encode(texts: object) -> Iterator[list[int]]:
        return (each.ids for each in backend.encode_batch(list(texts), add_special_tokens=False))  # type: ignore[call-overload]

    anonymized([path], encode, block_tokens=16)

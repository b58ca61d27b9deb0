"""Whatever is cut, or has anything in place of a value, is refused by its name or read as something sound."""

from __future__ import annotations

import gzip
import json
import math
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_read_hf_ib as hf
import yaml
from example_logs import DETAIL, ENDPOINTS, EXAMPLES, SERVER, SUMMARY
from example_logs import put as put_logs
from foreign import PEERS, of_its_types, sound
from made_events import put as put_events
from made_lifecycle import put as put_lifecycle

from loadcell.errors import UsageError
from loadcell.interop.readers import endpoints, evalscope, genai_bench, hf_ib, inference_perf, llm_d, loadgen

_ODD = (None, "word", "", -1, 0, math.nan, math.inf, 1e300, 2**70, True, [], {}, [1], {"a": 1}, [{"a": "b"}])
_ROUNDS = 25


def evalscope_folder(folder: Path) -> Path:
    for file in (PEERS / "evalscope").glob("benchmark_*.json"):
        shutil.copy(file, folder)
    shutil.copy(PEERS / "evalscope" / "workload_throughput.json", folder)
    return folder


def genai_folder(folder: Path) -> Path:
    for file in (PEERS / "genai_bench").iterdir():
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        (folder / file.name.removesuffix(".gz")).write_bytes(data)
    return folder


def lifecycle_folder(folder: Path) -> Path:
    put_lifecycle(folder)
    return folder


def events_folder(folder: Path) -> Path:
    put_events(folder, n=12)
    return folder


def summary_folder(folder: Path) -> Path:
    shutil.copy(EXAMPLES / ENDPOINTS / "result_summary.trimmed.json", folder / "result_summary.json")
    return folder


def report_folder(folder: Path) -> Path:
    shutil.copy(Path(__file__).parents[1] / "data" / "llm_d" / "br_v0_2_1_example.yaml", folder)
    return folder


def hf_folder(folder: Path) -> Path:
    return hf.put(folder, hf.tree(hf.result("throughput", "ConstantVUs"), hf.result("c", "ConstantArrivalRate", 2.0)))


def logs_folder(folder: Path) -> Path:
    return put_logs(SERVER, folder, DETAIL, SUMMARY)


MADE: dict[str, tuple[Any, Callable[[Path], Path]]] = {
    "evalscope": (evalscope, evalscope_folder), "genai_bench": (genai_bench, genai_folder),
    "inference_perf": (inference_perf, lifecycle_folder), "endpoints": (endpoints, events_folder),
    "endpoints, summary": (endpoints, summary_folder), "llm_d": (llm_d, report_folder), "hf_ib": (hf_ib, hf_folder),
    "loadgen": (loadgen, logs_folder),
}  # fmt: skip
FILES = [
    ("evalscope", "benchmark_summary.json"), ("evalscope", "benchmark_args.json"),
    ("evalscope", "benchmark_percentile.json"), ("evalscope", "workload_throughput.json"),
    ("genai_bench", "D128_50_text-to-text_num_concurrency_8_time_5s.json"), ("genai_bench", "experiment_metadata.json"),
    ("inference_perf", "stage_0_lifecycle_metrics.json"), ("inference_perf", "per_request_lifecycle_metrics.json"),
    ("inference_perf", "config.yaml"), ("endpoints", "events.jsonl"), ("endpoints", "config.yaml"),
    ("endpoints, summary", "result_summary.json"), ("llm_d", "br_v0_2_1_example.yaml"),
    ("hf_ib", "t_t_2025-01-02-03-04-05.json"), ("loadgen", DETAIL),
]  # fmt: skip


def taken(module: Any, folder: Path) -> None:
    """It is not known, refused, or sound: there is nothing else."""
    try:
        for run in module.read(folder) if module.matches(folder) else []:
            of_its_types(run)
            for told in run.told:
                assert told.value is None or math.isfinite(told.value)
            if run.details is not None:
                for request in run.details():
                    assert request.status in ("ok", "failed", "cancelled")
    except UsageError as error:
        assert str(folder) in str(error)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Where values stand, as holder and key."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from places(value)


def parsed(text: str, name: str) -> tuple[list[Any], Callable[[list[Any]], str]]:
    """The documents of a file, and how they are written."""
    if name.endswith(".yaml"):
        return [yaml.load(text, yaml.CSafeLoader)], lambda trees: yaml.dump(trees[0], Dumper=yaml.CSafeDumper)
    if name == DETAIL:
        lines = [json.loads(line.partition(" ")[2]) for line in text.splitlines()]
        return lines, lambda trees: "".join(f":::MLLOG {json.dumps(tree)}\n" for tree in trees)
    if name.endswith("l"):
        return [json.loads(line) for line in text.splitlines()], lambda trees: "\n".join(map(json.dumps, trees))
    return [json.loads(text)], lambda trees: json.dumps(trees[0])


@pytest.mark.parametrize(("what", "name"), FILES)
def test_anything_in_place_of_a_value(tmp_path: Path, what: str, name: str, thorough: None) -> None:
    module, make = MADE[what]
    folder = make(tmp_path)
    path = next(folder.rglob(name))
    text, dice = path.read_text(), random.Random(name)
    for _ in range(_ROUNDS):
        trees, written = parsed(text, name)
        found = list(places(trees))
        for holder, key in dice.sample(found, min(dice.choice((1, 1, 3)), len(found))):
            odd = dice.choice(_ODD)
            holder[key] = json.loads(json.dumps(odd)) if isinstance(odd, list | dict) else odd
        path.write_text(written(trees))
        taken(module, folder)


@pytest.mark.parametrize(("what", "name"), FILES)
def test_cut_anywhere(tmp_path: Path, what: str, name: str, thorough: None) -> None:
    module, make = MADE[what]
    folder = make(tmp_path)
    path = next(folder.rglob(name))
    data, dice = path.read_bytes(), random.Random(name)
    for _ in range(_ROUNDS):
        path.write_bytes(data[: dice.randrange(len(data))])
        taken(module, folder)


def test_anything_in_place_of_a_cell(tmp_path: Path, thorough: None) -> None:
    folder = evalscope_folder(tmp_path)
    path = folder / "benchmark_data.db"
    data = gzip.decompress((PEERS / "evalscope" / "benchmark_data.db.gz").read_bytes())
    dice = random.Random(4)
    for _ in range(_ROUNDS):
        path.write_bytes(data)
        column = dice.choice(("start_time", "success", "completed_time", "inter_token_latencies", "is_stream",
                              "first_chunk_latency", "latency", "prompt_tokens", "completion_tokens"))  # fmt: skip
        odd = dice.choice((None, "word", "", -1, 0, 1e300, 2**40, b"\0\1", "[1, null]", "[NaN]", '{"a": 1}', "[1e999]"))
        with sqlite3.connect(path) as database:
            database.execute(f"UPDATE result SET {column} = ? WHERE rowid = {dice.randint(1, 64)}", (odd,))
        database.close()
        taken(evalscope, folder)
        position = dice.randrange(len(data))
        path.write_bytes(data[:position] + bytes([dice.randrange(256)]) + data[position + 1 :])
        taken(evalscope, folder)


def test_untouched_they_are_all_sound(tmp_path: Path) -> None:
    for name, (module, make) in MADE.items():
        folder = tmp_path / name
        folder.mkdir()
        runs = module.read(make(folder))
        assert runs and all(map(sound, runs)), name

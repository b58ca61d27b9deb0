"""Schedules of a million requests, and how fast prompts are made.

`python schedules.py schedule FOLDER ROWS SPEC` plans the load of a JSON spec and writes schedule.parquet;
`python schedules.py prompts TOKENS SIZE BLOCKS` makes prompts and prints tokens a second of CPU time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import cores, work_folder
from processes import watch
from tables import Row, Table, at_most

from loadcell.load.prepare import schedule_columns
from loadcell.recording.write import write_part
from loadcell.spec import build_spec
from loadcell.traces import Ragged
from loadcell.workload import SyntheticPrompts, load_tokenizer, plan
from loadcell.workload.blocks import BlockPrompts
from loadcell.workload.prompts import stable_words

_REQUESTS = 1_000_000
_BAR_S, _BAR_MB, _BAR_TOKENS = 20.0, 600.0, 5e6
_MADE_TOKENS = 60_000_000
_BLOCKS, _WORDS = 4096, 512
_SERIES = "10@1m,50@1m,50..10@30s"
_LOADS: dict[str, dict[str, Any]] = {
    "Poisson, 512 tokens": {"load": {"rate": 1000}},
    "gamma, lognormal lengths, clipped": {
        "load": {"rate": 1000, "arrivals": "gamma:2"},
        "workload": {"input_tokens": "lognormal:1000,1,16..32000", "output_tokens": "lognormal:200,1,1..4000"},
    },
    "a series of rates in bursts, pairs of arXiv": {
        "load": {"rate": 1000, "rate_series": _SERIES, "arrivals": "bursts:2s,8s,20%"},
        "workload": {"lengths": "arxiv"},
    },
    "two models, a mixture": {
        "load": {"rate": 1000},
        "workload": {"input_tokens": "mixture:0.7*normal:200,50+0.3*lognormal:3000,1"},
        "classes": {"models": ["a=0.7", "b=0.3"]},
    },
    "prompts of 1 to 4 words, which repeat": {"load": {"rate": 1000}, "workload": {"input_tokens": "uniform:1,4"}},
}
_PROMPTS = {"512 tokens": (512, 0), "32 tokens": (32, 0), "8 blocks of 512": (512, 8), "100 blocks of 16": (16, 100)}
_NOTES = (
    "A schedule: from the start of the process to the end of writing schedule.parquet, imports and the packaged "
    "vocabulary included; no body is made. RSS: the kernel's high-water mark of the process; 1 MB is 10^6 bytes.",
    "Prompts: tokens over CPU time of the process that makes them, the slowest of as many as there are cores, all at "
    "work together.",
)


def measure(quick: bool) -> list[Table]:
    """One table of schedules, one of prompts."""
    rows = 20_000 if quick else _REQUESTS
    planned = Table(f"Schedules of {rows:,} requests", ("what", "measured"), notes=_NOTES[:1])
    with work_folder() as folder:
        for number, (name, tree) in enumerate(_LOADS.items()):
            (own := folder / str(number)).mkdir()
            words = [sys.executable, __file__, "schedule", str(own), str(rows), json.dumps(tree)]
            done = watch(words, own / "out")
            done.check()
            size_mb = (own / "schedule.parquet").stat().st_size / 1e6
            planned.rows.extend(
                [
                    at_most(f"{name}: planned and written in", done.wall_s, _BAR_S, "s"),
                    at_most(f"{name}: peak RSS", done.peak_rss_bytes / 1e6, _BAR_MB, "MB", 0),
                    Row((f"{name}: on disk", f"{size_mb:.1f} MB")),
                ]
            )
    made = Table("Prompts made", ("what", "processes", "million tokens a second of a core"), notes=_NOTES[1:])
    for name, (size, blocks) in _PROMPTS.items():
        rates = _together(_MADE_TOKENS // (30 if quick else 1), size, blocks)
        least = min(rates)
        made.rows.append(
            Row(
                (name, str(len(rates)), f"{least / 1e6:.1f}"), f">= {_BAR_TOKENS / 1e6:g} million", least >= _BAR_TOKENS
            )
        )
    return [planned, made]


def _together(tokens: int, size: int, blocks: int) -> list[float]:
    """Tokens a second of a core in each of as many processes as there are cores."""
    words = [sys.executable, __file__, "prompts", str(tokens), str(size), str(blocks)]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in cores()]
    found = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError("a process that makes prompts failed")
    return [float(text) for text in found]


def _schedule(folder: Path, rows: int, tree: dict[str, Any]) -> None:
    load = {**tree["load"], "requests": rows}
    spec = build_spec({**tree, "load": load, "endpoint": {"url": "http://127.0.0.1:1"}, "run": {"salt": "benchmark"}})
    write_part(folder, "schedule", schedule_columns(plan(spec)))


def _prompts(tokens: int, size: int, blocks: int) -> float:
    words = tuple(stable_words(load_tokenizer("smollm2"))[:_WORDS])
    rows = tokens // (size * max(blocks, 1))
    texts = SyntheticPrompts(words, np.full(_BLOCKS if blocks else rows, size, np.int32), 1)
    prompts: SyntheticPrompts | BlockPrompts = texts
    if blocks:
        numbers = np.random.default_rng(1).integers(0, _BLOCKS, rows * blocks)
        prompts = BlockPrompts(texts, Ragged(numbers, np.arange(blocks, rows * blocks + 1, blocks)))
    begun, made = time.process_time(), 0
    for text in prompts:
        made += text.count(" ") + 1
    spent_s = time.process_time() - begun
    if made != rows * size * max(blocks, 1):
        raise RuntimeError(f"{made:,} words were made instead of {rows * size * max(blocks, 1):,}")
    return made / spent_s


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "schedule":
        _schedule(Path(words[0]), int(words[1]), json.loads(words[2]))
    else:
        sys.stdout.write(f"{_prompts(*map(int, words))}\n")

"""Importing large files of other tools: memory and CPU."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from common import work_folder
from tables import Row, Table, at_most

_ROWS, _EVENTS = 220_000, 200
_IMPORT = """\
import resource, sys
from loadcell.cli.main import main
code = main(["import", *sys.argv[1:]])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss * 1024, used.ru_utime + used.ru_stime, file=sys.stderr)
sys.exit(code)
"""
_NOTES = (
    "vLLM bench serve, Python client, --save-detailed: 220,000 requests of 200 events in one object. Peak RSS by the "
    "kernel, of the whole command. 1 MB is 10^6 bytes.",
)


def measure(quick: bool) -> list[Table]:
    """One table."""
    with work_folder() as folder:
        file = folder / "large.json"
        write_vllm(file, 2_000 if quick else _ROWS, _EVENTS)
        command = [sys.executable, "-c", _IMPORT, str(file), "--output", str(folder / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, cpu_s = map(float, done.stderr.split()[-2:])
        size = file.stat().st_size
    table = Table("A large file of vLLM's", ("what", "measured"), notes=_NOTES)
    table.rows.append(Row(("its size", f"{size / 1e6:.0f} MB")))
    table.rows.append(at_most("peak RSS", peak / 1e6, 1000, "MB", 0))
    table.rows.append(Row(("CPU", f"{cpu_s:.1f} s")))
    return [table]


def write_vllm(file: Path, rows: int, events: int) -> None:
    """A result of vLLM's Python client with its arrays, written piece by piece."""
    rng = random.Random(1)
    gaps = [[0.01 + rng.random() * 1e-3 for _ in range(events - 1)] for _ in range(64)]
    arrays = {
        "input_lens": ["282"], "output_lens": [str(events)], "ttfts": ["0.05"],
        "itls": [f"[{', '.join(map(repr, each))}]" for each in gaps],
        "latencies": [repr(0.05 + sum(each)) for each in gaps],
        "start_times": None,
        "generated_texts": ['"' + " the" * (events // 8) + '"'], "errors": ['""'],
    }  # fmt: skip
    head = (
        '{"date": "20260102-030405", "endpoint_type": "openai-chat", "backend": "openai-chat", "label": null, '
        f'"model_id": "m", "tokenizer_id": "t", "num_prompts": {rows}, "request_rate": "inf", "burstiness": 1.0, '
        f'"max_concurrency": 64, "duration": {rows / 25!r}, "completed": {rows}, "failed": 0'
    )
    with file.open("w", encoding="utf-8") as out:
        out.write(head)
        for name, values in arrays.items():
            out.write(f', "{name}": [')
            for row in range(rows):
                out.write(", " if row else "")
                out.write(repr(8000 + row / 25) if values is None else values[row % len(values)])
            out.write("]")
        out.write(', "mean_ttft_ms": 50.0}')

"""Replays: what the bodies of Mooncake's traces share, how bursty Azure's code trace is when it is sent, and how long
it takes to plan a million requests of a trace."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from common import engine, run_loadcell, work_folder
from numpy.typing import NDArray
from tables import Row, Table

from loadcell.load.bodies import Source
from loadcell.recording.read import open_recording
from loadcell.spec import build_spec, with_defaults
from loadcell.traces import Trace
from loadcell.workload import Plan, plan
from loadcell.workload.replay import replayed

sys.path.append(str(Path(__file__).parents[1] / "tests" / "kit"))
_KIT: Any = import_module("known_sharing")
"""The tests count so too, by no code that is judged."""

_SHARES = {"mooncake-conversation": 0.366, "mooncake-synthetic": 0.640}
_BLOCK, _SHARE_OFF = 512, 0.001
_INDEX, _INDEX_OFF, _BIN_S = 71.6, 0.05, 10.0
_PLAN_S, _PLAN_MB, _ROWS = 20.0, 600.0, 1_000_000
_SHARE_NOTES = (
    "Every body of the run as it is sent, completions: its prompt is cut into blocks of 512 words, a token each, and "
    "each block is hashed with all before it. A hit is a block that an earlier body has, the first miss ending the "
    "match: an infinite cache. Over all blocks.",
)
_BURST_NOTES = (
    "Variance over mean of the counts in 10 s. Sends: just before the first byte is given to the kernel, in the "
    "trace's busiest 5 minutes, outputs of one token, against the embedded engine.",
)
_PLAN_NOTES = (
    "Columns alone, of a made trace: window, caps, a thinning and a superposition. Memory: peak of the process.",
)


def measure(quick: bool) -> list[Table]:
    """Three tables."""
    shares = Table("Hit share of the bodies sent", ("trace", "requests", "blocks", "hits", "share"), notes=_SHARE_NOTES)
    for name, bar in _SHARES.items():
        shares.rows.append(_shared(name, bar, 200 if quick else None))
    bursts = Table("Azure's code trace", ("what", "requests", "index at 10 s"), notes=_BURST_NOTES)
    bursts.rows.extend(_bursts(quick))
    return [shares, bursts, _planning(_ROWS // 10 if quick else _ROWS)]


def _plan(trace: str, load: dict[str, int] | None = None) -> Plan:
    tree = {"endpoint": {"url": "http://127.0.0.1:1", "api": "completions"}, "trace": {"name": trace}}
    workload = {"template_tokens": 0, "token_ratio": 1.0}
    return plan(with_defaults(build_spec({**tree, "load": load or {}, "workload": workload, "run": {"salt": "s"}})))


def _prompts(source: Source) -> Iterator[list[bytes]]:
    for body in source.bodies(0):
        assert isinstance(body, bytes)
        yield _KIT.beginnings(msgspec.json.decode(body)["prompt"].split(" "), _BLOCK)


def _shared(name: str, bar: float, requests: int | None) -> Row:
    made = _plan(name, {"requests": requests} if requests else None)
    source = Source("completions", [(b'{"model":"m"', "max_tokens")], made.prompts, made.schedule.output_tokens)
    hits, total, _ = _KIT.hits_of(_prompts(source))
    share = hits / total
    return Row(
        (name, f"{len(source):,}", f"{total:,}", f"{hits:,}", f"{share:.2%}"),
        f"{bar:.1%}",
        abs(share - bar) <= _SHARE_OFF,
    )


def _index(times_s: NDArray[np.float64]) -> float:
    counts = np.histogram(times_s, np.arange(0, times_s.max(), _BIN_S))[0]
    return float(counts.var(ddof=1) / counts.mean())


def _bursts(quick: bool) -> Iterator[Row]:
    whole = _plan("azure-code").schedule.planned_ns
    assert whole is not None
    index = _index(whole / 1e9)
    yield Row(("planned, all of it", f"{len(whole):,}", f"{index:.2f}"), f"{_INDEX:g}", abs(index / _INDEX - 1) < 0.01)
    window = "busiest:40s" if quick else "busiest:5m"
    flags = ("--trace", "azure-code", "--trace-window", window, "--max-output-tokens", "1", "--max-input-tokens", "256")
    with engine("--slots", "256", "--ttft", "5ms", "--itl", "1ms") as target, work_folder() as folder:
        outcome = run_loadcell(target, folder / "r", *flags)
        table = open_recording(outcome.folder).requests(("planned_ns", "send_start_ns"))
    planned, sent = (_index(table[name] / 1e9) for name in ("planned_ns", "send_start_ns"))
    rows = f"{len(table['planned_ns']):,}"
    yield Row((f"planned, {window}", rows, f"{planned:.2f}"), "", None)
    yield Row((f"sent, {window}", rows, f"{sent:.2f}"), "within 5 %", abs(sent / planned - 1) <= _INDEX_OFF)


def _planning(rows: int) -> Table:
    rng = np.random.default_rng(0)
    trace = Trace(
        name="made",
        kind="plain",
        t_s=np.sort(rng.uniform(0, 86_400, rows)),
        input_tokens=rng.integers(1, 4000, rows).astype(np.int32),
        output_tokens=rng.integers(1, 500, rows).astype(np.int32),
    )
    table = Table("Planning a trace", ("requests", "s", "MB"), notes=_PLAN_NOTES)
    for scale in (0.9, 1.1):
        asked = {"name": "made", "window": "..20h", "scale": scale * 1.2, "max_input_tokens": 2000}
        tree = {"endpoint": {"url": "http://127.0.0.1:1"}, "trace": asked, "run": {"salt": "s"}}
        spec = with_defaults(build_spec(tree))
        began = time.perf_counter()
        made = plan(spec, replay=replayed(spec, trace))
        took = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = (f"{len(made.schedule):,}", f"{took:.2f}", f"{peak:.0f}")
        table.rows.append(Row(figures, f"<= {_PLAN_S:g} s, {_PLAN_MB:g} MB", took <= _PLAN_S and peak <= _PLAN_MB))
    return table

"""Memory: a million requests recorded, reported and drawn, and a live load that does not grow."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
from pathlib import Path

import msgspec
from common import HERE, INVALID, LOADCELL, WORK, check_clean, engine, work_folder
from compiled import NotCompiled, known_server
from processes import EVERY_S, Watched, tree, watch
from tables import Row, Table, at_most

from loadcell.load.worker import FLUSH_NS

_REQUESTS = 1_000_000
_TOKENS = 128
_BAR_MB = 1000.0
_BAR_GROWTH = 1.1
_STREAMS, _RATE, _TURNS = 1400, 20, 2
_BAR_LOAD_MB, _BAR_COMMAND_MB = 120.0, 200.0
_DISK_BYTES = 4_000_000_000
_NOTES = (
    "PSS: sum over the tree of processes of the proportional set size (/proc/PID/smaps_rollup), sampled four times a "
    "second; shared pages count once. RSS: the kernel's high-water mark of the largest single process. 1 MB is 10^6 "
    "bytes. Pages of files in the kernel's cache are not counted.",
    "Synthetic recording: written through the recording's own writer in parts of the size that a worker writes, with "
    "jittered stamps. What a live load of this size needs beside that is shown by the two runs below it.",
    "Growth: mean PSS of the last third of the load over that of its first third, from the first part written on.",
)


def measure(quick: bool) -> list[Table]:
    """One table."""
    table = Table("Memory and a million requests", ("what", "measured"), notes=_NOTES)
    with work_folder() as folder:
        table.rows.extend(_recorded(folder, 2_000 if quick else _REQUESTS))
    table.rows.extend(_live(2_000 if quick else 60_000))
    table.rows.extend(_streams(20 if quick else _STREAMS))
    table.rows.extend(_interrupted(5_000 if quick else _REQUESTS, 1.0 if quick else 10.0))
    return [table]


def _recorded(work: Path, requests: int) -> list[Row]:
    """Write a recording of that size into a new folder of `work`, then report it."""
    free = shutil.disk_usage(WORK).free
    if free < _DISK_BYTES:
        raise RuntimeError(f"{WORK} has {free / 1e9:.1f} GB free: this needs {_DISK_BYTES / 1e9:g} GB")
    script = str(Path(__file__).with_name("synthetic.py"))
    folder = work / "recording"
    written = watch([sys.executable, script, str(folder), str(requests), str(_TOKENS)], work / "out")
    written.check()
    size_mb = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    reported = watch([*LOADCELL, "report", str(folder), "--json"], work / "result.json")
    reported.check()
    counts = msgspec.json.decode((work / "result.json").read_bytes())["counts"]["run"]
    if counts["ok"] != requests:
        raise RuntimeError(f"of {requests} recorded requests the report finds {counts}")
    page = work / "page.html"
    drawn = watch([*LOADCELL, "report", str(folder), "--html", "--output", str(page)], work / "written")
    drawn.check()
    what = f"{requests:,} requests x {_TOKENS} tokens"
    return [
        Row((f"{what}: on disk", f"{size_mb:,.0f} MB")),
        Row((f"{what}: written in", f"{written.wall_s:,.1f} s")),
        at_most(f"{what}: written, peak PSS", written.peak_pss_bytes / 1e6, _BAR_MB, "MB", 0),
        at_most(f"{what}: reported, peak PSS", reported.peak_pss_bytes / 1e6, _BAR_MB, "MB", 0),
        at_most(f"{what}: reported, peak RSS", reported.peak_rss_bytes / 1e6, _BAR_MB, "MB", 0),
        at_most(f"{what}: reported in", reported.wall_s, 60.0, "s", 1),
        at_most(f"{what}: page, written in", drawn.wall_s, 30.0, "s", 1),
        at_most(f"{what}: page, peak PSS", drawn.peak_pss_bytes / 1e6, _BAR_MB, "MB", 0),
        at_most(f"{what}: page, size", page.stat().st_size / 1e6, 3.0, "MB"),
    ]


def _live(requests: int) -> list[Row]:
    """A live load in few, fat events, so that it has many requests in a short time."""
    with engine("--slots", "64", "--ttft", "20ms", "--itl", "4ms", "--tokens-per-chunk", "16") as target:
        found, _ = _watch_load(target.url, requests, None)
    found.check()
    loaded = _of_the_load(found)
    third = len(loaded) // 3
    growth = statistics.mean(loaded[-third:]) / statistics.mean(loaded[:third])
    what = f"live, {requests:,} requests x {_TOKENS} tokens"
    return [
        Row((f"{what}: took", f"{found.wall_s:,.1f} s")),
        at_most(f"{what}: peak PSS, all processes", found.peak_pss_bytes / 1e6, _BAR_MB, "MB", 0),
        at_most(f"{what}: growth", growth, _BAR_GROWTH, "x"),
    ]


def _streams(streams: int) -> list[Row]:
    """Many streams at once, of the server in C."""
    flags = ("--concurrency", str(streams), "--requests", str(_TURNS * streams), "--output-tokens", "200", "--json")
    try:
        with known_server(20, 1e3 / _RATE) as target, work_folder() as folder:
            command = [*LOADCELL, "run", target.url, *flags, "--output", str(folder / "r")]
            found = watch([*command, *HERE], folder / "result.json")
            check_clean(msgspec.json.decode((folder / "result.json").read_bytes()))
    except NotCompiled as error:
        return [Row((f"{streams:,} streams", str(error)))]
    if found.status not in (0, INVALID):
        found.check()
    what = f"{streams:,} streams x {_RATE}/s"
    loading = max(sample.pss_bytes for sample in found.samples[: -len(found.samples) // 4] if sample.processes > 1)
    return [
        at_most(f"{what}: most PSS while it loads, all processes", loading / 1e6, _BAR_LOAD_MB, "MB", 0),
        at_most(f"{what}: peak PSS, all processes", found.peak_pss_bytes / 1e6, _BAR_COMMAND_MB, "MB", 0),
    ]


def _interrupted(requests: int, after_s: float) -> list[Row]:
    """A schedule of that many requests, with its bodies, whose load is interrupted soon."""
    with engine("--slots", "64", "--ttft", "20ms", "--itl", "4ms", "--tokens-per-chunk", "16") as target:
        found, began_s = _watch_load(target.url, requests, after_s)
    found.check(130)
    what = f"schedule of {requests:,} requests, load interrupted after {after_s:g} s"
    return [
        Row((f"{what}: prepared in", f"{began_s:,.1f} s")),
        at_most(f"{what}: peak PSS, all processes", found.peak_pss_bytes / 1e6, _BAR_MB, "MB", 0),
    ]


def _watch_load(url: str, requests: int, interrupt_after_s: float | None) -> tuple[Watched, float]:
    """A run, sampled; interrupted so long after its load process appeared. Also when that was, in seconds."""
    began_s = 0.0

    def each(pid: int, elapsed_s: float) -> None:
        nonlocal began_s, interrupt_after_s
        began_s = began_s or (elapsed_s if _children(pid) else 0.0)
        if interrupt_after_s is not None and began_s and elapsed_s - began_s > interrupt_after_s:
            os.kill(pid, signal.SIGINT)
            interrupt_after_s = None

    with work_folder() as folder:
        sizes = ("--input-tokens", "32", "--output-tokens", str(_TOKENS), "--requests", str(requests))
        flags = (*sizes, "--concurrency", "64", "--workers", "1", "--output", str(folder / "r"), "--json")
        command = [*LOADCELL, "run", url, *flags]
        found = watch(command, folder / "result.json", each)
        check_clean(msgspec.json.decode((folder / "result.json").read_bytes()))
        return found, began_s


def _children(pid: int) -> bool:
    """Whether a process has children: those of a run are its load processes, or about to be."""
    return len(tree(pid)) > 1


def _of_the_load(found: Watched) -> list[int]:
    """Sizes while the load process was there: the command alone prepares before and reports afterwards.

    Without those before the first part was written, if there are others: until then the buffers fill.
    """
    sizes = [sample.pss_bytes for sample in found.samples if sample.processes > 1]
    filling = round(FLUSH_NS / 1e9 / EVERY_S)
    return sizes[filling:] if len(sizes) > 2 * filling else sizes

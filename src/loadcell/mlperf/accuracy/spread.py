"""Grading many replies at once: on all cores where there are enough of them to be worth it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from loadcell.mlperf.accuracy.graders import Item, Row, grade, is_program
from loadcell.mlperf.accuracy.programs import RunCode

_ALONE = 2_000_000
"""Characters of replies and references that one process grades in some seconds."""
_CHUNK = 64


def grade_all(
    grader: str, items: Sequence[Item], metrics: Sequence[str], run_code: RunCode, told: Callable[[int], None]
) -> list[Row]:
    """The rows of all `items`, in their order; `told` hears how many more are graded."""
    size = 1 if is_program(grader) else _CHUNK
    chunks = [items[at : at + size] for at in range(0, len(items), size)]
    rows: list[Row] = []
    for found in _graded(grader, chunks, metrics, run_code):
        rows += found
        told(len(found))
    return rows


def _graded(
    grader: str, chunks: Sequence[Sequence[Item]], metrics: Sequence[str], run_code: RunCode
) -> Iterator[list[Row]]:
    pool = _pool(grader, chunks)
    if pool is None:
        yield from (grade(grader, chunk, metrics, run_code) for chunk in chunks)
        return
    count = len(chunks)
    with pool:
        yield from pool.map(grade, [grader] * count, chunks, [metrics] * count, [run_code] * count)


def _pool(grader: str, chunks: Sequence[Sequence[Item]]) -> Executor | None:
    """Threads for programs, which run in processes of their own; processes for much text; else None.

    Fresh processes, not forked ones: there may be threads here. Mathematics needs a main thread, for its alarm.
    """
    cores = os.cpu_count() or 1
    if is_program(grader):
        return ThreadPoolExecutor(min(cores, len(chunks)))
    length = sum(len(reply) + len(sample.reference or "") for chunk in chunks for reply, sample in chunk)
    main = threading.current_thread() is threading.main_thread()
    if (length < _ALONE and main) or (main and cores == 1):
        return None
    return ProcessPoolExecutor(min(cores, len(chunks)), mp_context=get_context("spawn"))

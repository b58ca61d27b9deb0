from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import build, failed_request, ok_request

from loadcell.compare import sides
from loadcell.recording.read import Recording

MS = 1_000_000
Make = Callable[..., Path]


def lognormal_run(folder: Path, *, n: int, seed: int, slower: float = 1.0, failed: int = 0, **more: Any) -> Recording:
    """A closed loop of n requests of 4 tokens, 10 ms apart: TTFT and the gaps lognormal round 50 and 20 ms.

    `slower` multiplies every latency; the last `failed` requests fail.
    """
    rng = np.random.default_rng(seed)
    ttft = rng.lognormal(np.log(50 * slower), 0.3, n)
    tpot = rng.lognormal(np.log(20 * slower), 0.2, n)
    rows = []
    for i in range(n - failed):
        start = round(i * 10 * MS)
        first = start + round(ttft[i] * MS)
        last = first + 3 * round(tpot[i] * MS)
        stamps = {"first_any_ns": first, "first_answer_ns": first, "last_ns": last, "end_ns": last + MS}
        rows.append(ok_request(i, start_ms=i * 10, tokens=4, **stamps))
    rows += [failed_request(i, "timeout", start_ms=i * 10) for i in range(n - failed, n)]
    return build(folder, rows, **({"id": folder.name} | more))


@pytest.fixture(scope="session", autouse=True)
def _each_recording_is_read_once() -> Iterator[None]:
    """Recordings do not change here once they are made: what was read of one is kept."""
    patch = pytest.MonkeyPatch()
    patch.setattr(sides, "load_run", cache(sides.load_run))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a recording by `lognormal_run` and returns its folder; the seed follows from its name.

    The same name with the same settings is the same recording: tests must not change it.
    """
    tops: dict[str, Path] = {}

    def make(name: str, **more: Any) -> Path:
        key = repr((name.split("/")[0], sorted(more.items())))
        top = tops[key] = tops.get(key) or tmp_path_factory.mktemp("made")
        folder = top / name
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            lognormal_run(folder, **({"n": 400, "seed": sum(name.encode()), "id": name} | more))
        return folder

    return make

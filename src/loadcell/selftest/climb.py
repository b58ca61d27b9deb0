"""A self-test, load by load: heavier until the client or the engine can do no more, and again where limits rest on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from loadcell.metrics import Rung, SelfTest
from loadcell.recording.claim import claimed
from loadcell.selftest import ladder, limits
from loadcell.selftest.ladder import Step
from loadcell.selftest.measure import Watch, measure
from loadcell.selftest.store import this_machine
from loadcell.selftest.witness import make_certificate

_TIMES = 2
_DISTURBED_MOST = 2
_PROXIES = ("no_proxy", "NO_PROXY")


def run_selftest(quick: bool, workers: int | None, tls: bool, output: Path | None, watch: Watch) -> SelfTest:
    """Measure this machine. Recordings are kept under `output` if it is given.

    KeyboardInterrupt, raised once the load and the engine have ended; LoadcellError if a load cannot be made.
    """
    with _folder(output) as folder, _no_proxy():
        certificate = make_certificate(folder) if tls else None
        rungs = _measure_all(
            ladder.QUICK if quick else ladder.LADDER,
            1 if quick else _TIMES,
            lambda step, number: measure(step, workers, certificate, folder / f"{number:02}", watch),
        )
    return SelfTest(
        measured_at=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        machine=this_machine(tls),
        quick=quick,
        tls=tls,
        rungs=rungs,
        limits={str(percent): limits.highest(rungs, percent) for percent in limits.LEVELS},
    )


def _measure_all(steps: Sequence[Step], times: int, one: Callable[[Step, int], Rung]) -> list[Rung]:
    """Climb; then measure again what was disturbed, and what the limits rest on until each was measured `times`.

    `one` measures a load; it is given a number that counts the measurements.
    """
    rungs: list[Rung] = []
    count = 0

    def again(place: int) -> Rung:
        nonlocal count
        count += 1
        return one(steps[place], count)

    while len(rungs) < len(steps) and not limits.climbed(rungs):
        rungs.append(again(len(rungs)))
    if times > 1:
        for place in limits.disturbed(rungs)[:_DISTURBED_MOST]:
            rungs[place] = again(place)
    while places := limits.unconfirmed(rungs, times):
        for place in places:
            rungs[place] = limits.worse(rungs[place], again(place))
    return rungs


@contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    """Where the recordings go: a folder that stays, or one that goes."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="loadcell-selftest-") as name:
            yield Path(name)
    else:
        with claimed(output):
            yield output


@contextmanager
def _no_proxy() -> Iterator[None]:
    """Whatever the environment says, the engine of this machine is asked directly."""
    before = {name: os.environ.get(name) for name in _PROXIES}
    os.environ.update(dict.fromkeys(_PROXIES, "127.0.0.1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

"""What a self-test says: each load with its bias, then what this machine can measure. In English."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from loadcell.metrics import Bias, Highest, Rung, SelfTest, engine_full
from loadcell.report.text import MISSING, figure
from loadcell.report.view.blocks import Cell, Column, Fact, Facts, Section, Table, fact, figured

_METRICS = {"ttft": "TTFT", "itl": "ITL", "e2e": "E2E"}
_TIMES = "\N{MULTIPLICATION SIGN}"
_ENDS = {
    "client": "",
    "engine": "or more: the engine itself ends there",
    "ladder": "or more: nothing heavier was tried",
}
_LEGEND = (
    f"Load: streams {_TIMES} tokens/s of each. Bias: reported less true, in % and in ms; the truth is the engine's, of "
    "the same requests. Below asked tokens/s: got. Below CPU µs a token: events merged by the client. Of loads "
    "measured more than once, each figure is the worst. Within: 1 %, 2 %, 5 % also ask for a client that is busy for "
    "50, 65, 80 % of the time at most."
)


def selftest_section(selftest: SelfTest, levels: Sequence[int | None]) -> Section:
    """Each load and the limits; `levels` are the limits in percent that its rungs keep, None for none."""
    columns = [
        Column("Load", "left"), Column("Asked", under="tok/s"), Column("", "left"),
        *(column for title in _METRICS.values() for column in (Column(title, under="%"), Column("", under="ms"))),
        Column("µs", under="merged"), Column("Within"),
    ]  # fmt: skip
    rows = [list(_cells(rung, level)) for rung, level in zip(selftest.rungs, levels, strict=True)]
    facts = Facts([*_limits(selftest), ("Machine", [Cell(part, tone="dim") for part in _machine(selftest)])])
    return Section("selftest", "Self-test", [Table(columns, rows, [_LEGEND], stacked=True), facts])


def _cells(rung: Rung, level: int | None) -> Iterator[Cell]:
    times = "" if rung.measured == 1 else f"{rung.measured} times"
    yield Cell(f"{rung.streams}{_TIMES}{rung.rate:g}/s", under=times)
    yield figured(f"{rung.asked_tokens_per_s:,.0f}", under=f"{rung.tokens_per_s:,.0f}")
    yield Cell("p50", tone="dim", under="p99")
    for metric in _METRICS:
        bias = rung.bias.get(metric) or Bias(p50=None, p99=None, p50_ms=None, p99_ms=None)
        yield figured(_points(bias.p50), under=_points(bias.p99))
        yield figured(_ms(bias.p50_ms), under=_ms(bias.p99_ms))
    merged = rung.merged_by_client_share
    yield figured(figure(rung.cpu_us_per_token, 3), under=MISSING if merged is None else f"{merged * 100:.2f}%")
    if engine_full(rung):
        yield Cell("engine", tone="dim", under="full")
    elif rung.failed:
        yield figured(f"{rung.failed:,}", tone="bad", under="failed")
    else:
        yield Cell("> 5 %", tone="bad") if level is None else Cell(f"{level} %", tone="good" if level == 1 else "care")


def _points(share: float | None) -> str:
    """Signed percent, without its sign of percent."""
    return _signed(None if share is None else 100 * share, 2 if share is None or abs(share) < 1 else 0)


def _ms(value: float | None) -> str:
    return _signed(value, 3 if value is None or abs(value) < 10 else 1 if abs(value) < 1000 else 0)


def _signed(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{round(value, digits) or 0.0:+.{digits}f}"


def _limits(selftest: SelfTest) -> Iterator[Fact]:
    """The highest load within each limit, and whether the client could do more."""
    for level, limit in selftest.limits.items():
        if limit.tokens_per_s is None:
            lightest = limit.ends == "client"
            says = "nothing: not even the lightest load" if lightest else "unknown: the engine was too slow"
        else:
            more = _ENDS[limit.ends]
            load = f"{limit.tokens_per_s:,.0f} tokens/s ({limit.streams} {_TIMES} {figure(limit.rate, 3)}/s)"
            says = f"{load} {more}" if more else f"up to {load}"
        yield fact(f"Within {level} %", says)


def _machine(selftest: SelfTest) -> Iterator[str]:
    machine = selftest.machine
    yield str(machine.get("cpu") or "unknown CPU")
    yield f"{machine['cores_allowed']} cores" if machine.get("cores_allowed") else "cores unknown"
    if workers := sorted({rung.workers for rung in selftest.rungs}):
        span = "-".join(map(str, dict.fromkeys((workers[0], workers[-1]))))
        yield f"{span} load process{'es' if workers[-1] > 1 else ''}"
    yield str(machine.get("system"))
    yield f"Python {machine.get('python')}"
    yield f"loadcell {machine.get('loadcell')}"
    if core := machine.get("core"):
        yield f"hot path {core}"
    if selftest.tls:
        yield "TLS"
    if selftest.quick:
        yield "quick: few and short loads, measured once"


def stored_section(found: Sequence[tuple[Path, SelfTest]], own: Collection[Path]) -> Section:
    """What is kept; the files of this machine as it is now have a mark."""
    rows = [
        [
            Cell(f"{selftest.measured_at[:16]}{' *' if file in own else ''}"),
            *(figured(_short(selftest.limits.get(level))) for level in ("1", "2", "5")),
            Cell(
                " ".join([*(["TLS"] if selftest.tls else []), *(["quick"] if selftest.quick else [])]),
                under="Python" if selftest.machine.get("core") == "Python" else "",
            ),
            Cell(file.name),
        ]
        for file, selftest in found
    ]
    columns = [Column("Measured at", "left"), *map(Column, ("<= 1 %", "<= 2 %", "<= 5 %")), Column("", "left"),
               Column("File", "left")]  # fmt: skip
    below = "Highest tokens/s within such a bias. * this machine as it is now. Python: without the compiled core."
    return Section("stored", "Kept", [Table(columns, rows, [below])])


def _short(limit: Highest | None) -> str:
    if limit is None or limit.tokens_per_s is None:
        return MISSING
    return f"{'≥ ' if limit.ends != 'client' else ''}{limit.tokens_per_s:,.0f}"

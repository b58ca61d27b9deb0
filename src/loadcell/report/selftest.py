"""A self-test as people look at it: each load with its bias, then what this machine can measure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadcell.metrics import Bias, Highest, Rung, SelfTest, engine_full
from loadcell.report.lines import bare_table
from loadcell.report.text import MISSING, figure, plain

_METRICS = {"ttft": "TTFT", "itl": "ITL", "e2e": "E2E"}
_TIMES = "\N{MULTIPLICATION SIGN}"
_ENDS = {
    "client": "",
    "engine": "or more: the engine itself ends there",
    "ladder": "or more: nothing heavier was tried",
}


def print_selftest(selftest: SelfTest, levels: Sequence[int | None], console: Console) -> None:
    """Print a self-test; `levels` are the limits in percent that its rungs keep, None for none."""
    console.print(_rungs(selftest, levels))
    console.print(
        Text(
            "Load: streams \N{MULTIPLICATION SIGN} tokens/s of each. "
            "Bias: reported less true, in % and in ms; the truth is the engine's, of the same requests. "
            "Below asked tokens/s: got. Below CPU µs a token: events merged by the client. "
            "Of loads measured more than once, each figure is the worst. "
            "Within: 1 %, 2 %, 5 % also ask for a client that is busy for 50, 65, 80 % of the time at most.",
            style="dim",
        )
    )
    console.print(_limits(selftest))


def _rungs(selftest: SelfTest, levels: Sequence[int | None]) -> Table:
    table = bare_table(1)
    table.add_column("Load\n", no_wrap=True)
    table.add_column("Asked\ntok/s", justify="right", no_wrap=True)
    table.add_column("\n", no_wrap=True)
    for title in _METRICS.values():
        table.add_column(f"{title}\n%     ms", justify="right", no_wrap=True)
    table.add_column("µs\nmerged", justify="right", no_wrap=True)
    table.add_column("Within\n", justify="right", no_wrap=True)
    for rung, level in zip(selftest.rungs, levels, strict=True):
        table.add_row(
            Text(f"{rung.streams}{_TIMES}{rung.rate:g}/s\n{_times(rung)}"),
            f"{rung.asked_tokens_per_s:,.0f}\n{rung.tokens_per_s:,.0f}",
            Text("p50\np99", style="dim"),
            *(_bias(rung.bias.get(metric)) for metric in _METRICS),
            f"{figure(rung.cpu_us_per_token, 3)}\n{_share(rung.merged_by_client_share)}",
            _word(rung, level),
        )
    return table


def _times(rung: Rung) -> str:
    return "" if rung.measured == 1 else f"{rung.measured} times"


def _bias(bias: Bias | None) -> str:
    if bias is None:
        return MISSING
    return f"{_points(bias.p50)} {_ms(bias.p50_ms)}\n{_points(bias.p99)} {_ms(bias.p99_ms)}"


def _points(share: float | None) -> str:
    """Signed percent in 6 characters, without its sign of percent."""
    if share is None:
        return f"{MISSING:>6}"
    digits = 0 if abs(share) >= 1 else 2
    return f"{round(share * 100, digits) or 0.0:+6.{digits}f}"


def _ms(value: float | None) -> str:
    if value is None:
        return f"{MISSING:>6}"
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{round(value, digits) or 0.0:+6.{digits}f}"


def _share(share: float | None) -> str:
    return MISSING if share is None else f"{share * 100:.2f}%"


def _word(rung: Rung, level: int | None) -> Text:
    if engine_full(rung):
        return Text("engine\nfull", style="dim")
    if rung.failed:
        return Text(f"{rung.failed:,}\nfailed", style="red")
    return (
        Text("> 5 %", style="red") if level is None else Text(f"{level} %", style="green" if level == 1 else "yellow")
    )


def _limits(selftest: SelfTest) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("", "")
    for level, limit in selftest.limits.items():
        grid.add_row(f"Within {level} %", limit_in_words(limit))
    machine = selftest.machine
    cores = machine.get("cores_allowed")
    workers = sorted({rung.workers for rung in selftest.rungs})
    facts = [
        str(machine.get("cpu") or "unknown CPU"),
        f"{cores} cores" if cores else "cores unknown",
        f"{'-'.join(map(str, {workers[0]: 0, workers[-1]: 0}))} load process{'es' if workers[-1] > 1 else ''}"
        if workers
        else "",
        str(machine.get("system")),
        f"Python {machine.get('python')}",
        f"loadcell {machine.get('loadcell')}",
        *(["TLS"] if selftest.tls else []),
        *(["quick: few and short loads, measured once"] if selftest.quick else []),
    ]
    grid.add_row("Machine", Text(plain(" · ".join(filter(None, facts))), style="dim"))
    return grid


def limit_in_words(limit: Highest) -> str:
    """The highest load, and whether the client could do more."""
    if limit.tokens_per_s is None:
        return "nothing: not even the lightest load" if limit.ends == "client" else "unknown: the engine was too slow"
    more = _ENDS[limit.ends]
    load = f"{limit.tokens_per_s:,.0f} tokens/s ({limit.streams} {_TIMES} {figure(limit.rate, 3)}/s)"
    return f"up to {load}" if not more else f"{load} {more}"


def print_stored(found: Sequence[tuple[Path, SelfTest]], own: Collection[Path], console: Console) -> None:
    """Print what is kept; the files of this machine as it is now have a mark."""
    table = bare_table(1)
    for title in (" ", "Measured at", "<= 1 %", "<= 2 %", "<= 5 %", "", "File"):
        table.add_column(title, justify="right" if "%" in title else "left", no_wrap=True)
    for file, selftest in found:
        kind = " ".join([*(["TLS"] if selftest.tls else []), *(["quick"] if selftest.quick else [])])
        limits = (selftest.limits.get(level) for level in ("1", "2", "5"))
        cells = (MISSING if limit is None else _short(limit) for limit in limits)
        table.add_row("*" if file in own else "", selftest.measured_at[:16], *cells, kind, file.name)
    console.print(table)
    console.print(Text("Highest tokens/s within such a bias. * this machine as it is now.", style="dim"))


def _short(limit: Highest) -> str:
    if limit.tokens_per_s is None:
        return MISSING
    return f"{'≥ ' if limit.ends != 'client' else ''}{limit.tokens_per_s:,.0f}"

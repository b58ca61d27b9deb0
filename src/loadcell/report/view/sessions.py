"""What is said of sessions: what became of them, how long they took and on what, and their turns beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Estimate, Result, Summary
from loadcell.metrics.model import Sessions, Turn
from loadcell.report.text import MISSING, ends
from loadcell.report.view.blocks import Block, Cell, Column, Fact, Table, fact, figured
from loadcell.report.view.figures import bracketed, estimated
from loadcell.report.words import Words
from loadcell.spec import LIMITED

_SHOWN = ("p50", "p90", "p99")
_MS_A_SECOND = 1e3


def of_tasks(result: Result) -> bool:
    """Whether its sessions are called tasks: those of agents, and those that branch."""
    return result.methodology.spec.agent.any or (result.sessions is not None and result.sessions.tasks)


def talks(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """What became of the sessions, and how long they took."""
    found, t = result.sessions, words.say
    if found is None:
        return
    title = t("Tasks") if of_tasks(result) else t("Sessions")
    unsent = found.unsent_turns
    parts = [
        t("{n} begun", n=words.count(found.begun)),
        t("{n} whole", n=words.count(found.whole)),
        *([t("{n} ended by a failure", n=words.count(found.failed))] if found.failed else []),
        *([t("{n} given up by their users", n=words.count(found.abandoned))] if found.abandoned else []),
        *([t("{n} unfinished", n=words.count(found.unfinished))] if found.unfinished else []),
        t("{n} tasks/s" if of_tasks(result) else "{n} sessions/s", n=words.figure(found.sessions_per_s))
        + bracketed(found.sessions_interval, words),
    ]
    yield fact(title, *parts)
    if not short:
        more = [
            t("{n} requests each", n=words.figure(found.turns, 3)),
            t("{n} in progress", n=words.figure(found.in_progress)),
        ]
        if unsent.after_failure or unsent.after_abandoned or unsent.at_end:
            more.append(
                t("turns not sent: {a} after a failure, {c} after one that was given up, {b} at the end",
                  a=words.count(unsent.after_failure), c=words.count(unsent.after_abandoned),
                  b=words.count(unsent.at_end))
            )  # fmt: skip
        yield fact("", *more)
    if found.time is not None:
        yield fact(t("Time of a task") if of_tasks(result) else t("Time of a session"), *_times(found.time, words))
    if found.busy is not None and found.path is not None and found.path.delays > 0 and not short:
        yield fact(t("without delays"), *_times(found.busy, words))
    yield from _path(found, words)


def _times(summary: Summary, words: Words) -> Iterator[str]:
    for name in _SHOWN:
        estimate: Estimate = getattr(summary, name)
        if estimate.value is not None:
            yield f"{name} {_seconds(estimate, words)}"
    if all(getattr(summary, name).value is None for name in _SHOWN):
        yield MISSING


def _seconds(estimate: Estimate, words: Words) -> str:
    value, low, high = (None if x is None else x / _MS_A_SECOND for x in (estimate.value, estimate.low, estimate.high))
    interval = ""
    if low is not None and high is not None:
        interval = f" {words.interval(*(words.number(end) for end in ends(low, high)))}"
    return f"{words.figure(value)} s{interval}"


def _path(found: Sessions, words: Words) -> Iterator[Fact]:
    t, path = words.say, found.path
    if path is None:
        return
    yield fact(
        t("Critical path"),
        t("calls {share}", share=words.percent(path.calls)),
        t("delays {share}", share=words.percent(path.delays)),
        t("client late {share}", share=words.percent(path.late)),
        t("{n} calls in a row", n=words.figure(path.length, 3)),
        *([t("all calls take {n} times those on it", n=words.figure(path.parallel, 3))] if found.tasks else []),
    )


def turns_table(result: Result, words: Words, *, short: bool = False) -> Iterator[Block]:
    """The figures of each turn; nothing where there are no sessions, or one turn alone."""
    found, t = result.sessions, words.say
    if found is None or not found.by_turn or found.deepest < 2:
        return
    names = [name for name in LIMITED if name in found.by_turn[0].latency]
    if short:
        yield _short(found, names, words)
        return
    cached = any(one.cached_share is not None for one in found.by_turn)
    columns = [
        Column(t("Turn"), "left"), Column("ok"), Column(t("input tokens")),
        *([Column(t("from cache"))] if cached else []), Column(t("Latency, ms"), "left"), *map(Column, _SHOWN),
    ]  # fmt: skip
    rows = []
    for one in found.by_turn:
        for name in names:
            latency = one.latency[name]
            summary = latency.response or latency.service
            rows.append([
                *_head(one, words), *([figured(words.percent(one.cached_share))] if cached else []),
                Cell(latency.title, under=t("response time") if latency.response else ""),
                *(estimated(getattr(summary, p), words, "", summary.n, p).cell() for p in _SHOWN),
            ])  # fmt: skip
    yield Table(columns, rows, stacked=True)


def _short(found: Sessions, names: list[str], words: Words) -> Table:
    t = words.say
    columns = [Column(t("Turn"), "left"), Column("ok"), Column(t("input tokens"))]
    for name in names:
        title = found.by_turn[0].latency[name].title
        columns += [Column(f"{title} {one}", wide=name != "ttft_ms") for one in ("p50", "p99")]
    rows = []
    for one in found.by_turn:
        cells = _head(one, words)
        for name in names:
            summary = one.latency[name].response or one.latency[name].service
            cells += [figured(estimated(getattr(summary, p), words).value) for p in ("p50", "p99")]
        rows.append(cells)
    return Table(columns, rows)


def _head(one: Turn, words: Words) -> list[Cell]:
    name = str(one.first) if one.first == one.last else f"{one.first}\N{EN DASH}{one.last}"
    return [
        Cell(name),
        Cell(words.count(one.requests), kind="figure", tone="bad" if one.failed else ""),
        figured(words.figure(one.input_tokens, 3)),
    ]

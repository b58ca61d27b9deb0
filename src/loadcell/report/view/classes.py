"""What the classes of a run (endpoints, models), or the addresses of an endpoint, did: beside each other, in tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadcell.metrics import Result
from loadcell.metrics.model import Group
from loadcell.report.text import plain
from loadcell.report.view.blocks import Block, Cell, Column, Table, figured
from loadcell.report.view.figures import estimated, rate, share_in_brackets
from loadcell.report.words import Words
from loadcell.spec import LIMITED

_NAME = 80
"""Most characters of a name."""
_SHOWN = ("p50", "p90", "p99")


def short_tables(result: Result, words: Words) -> Iterator[Table]:
    """One line a class, and one an address."""
    for title, groups in _kinds(result, words):
        yield _short(title, groups, words)


def tables(result: Result, words: Words) -> Iterator[Block]:
    """All that is known of them."""
    for title, groups in _kinds(result, words):
        yield _accounts(title, groups, words)
        yield _latencies(title, groups, words)


def _kinds(result: Result, words: Words) -> Iterator[tuple[str, Sequence[Group]]]:
    for title, groups in ((words.say("Class"), result.classes), (words.say("Address"), result.addresses)):
        if groups:
            yield title, groups


def _name(group: Group) -> Cell:
    under = "" if group.share is not None else plain(group.endpoint, _NAME)
    return Cell(plain(group.name, _NAME), kind="code", under=under)


def _ok(group: Group, words: Words) -> Cell:
    run = group.counts.run
    return Cell(f"{words.count(run.ok)}/{words.count(run.planned)}", kind="figure", tone="bad" if run.failed else "")


def _short(title: str, groups: Sequence[Group], words: Words) -> Table:
    """Of each latency the median and the tail, without intervals: they are in the whole report."""
    names = [name for name in LIMITED if name in groups[0].latency]
    columns = [Column(title, "left"), Column(words.say("ok"))]
    for name in names:
        columns += [Column(f"{groups[0].latency[name].title} {one}", wide=name == "tpot_ms") for one in ("p50", "p99")]
    judged = any(group.goodput is not None for group in groups)
    columns += [Column("SLO")] if judged else []
    rows = []
    for group in groups:
        cells = [_name(group), _ok(group, words)]
        for name in names:
            summary = group.latency[name].response or group.latency[name].service
            cells += [figured(estimated(getattr(summary, one), words).value) for one in ("p50", "p99")]
        good = group.goodput
        cells += [figured("" if good is None else words.percent(good.attainment.value))] if judged else []
        rows.append(cells)
    return Table(columns, rows)


def _accounts(title: str, groups: Sequence[Group], words: Words) -> Table:
    t = words.say
    generates = any(group.throughput.output_tokens_per_s is not None for group in groups)
    columns = [
        Column(title, "left"), Column(t("share asked")), Column(t("requests")), Column("ok"), Column(t("failed")),
        Column(t("requests/s")), *([Column(t("output tokens/s"))] if generates else []), Column("SLO", "left"),
    ]  # fmt: skip
    rows = []
    for group in groups:
        run, rates, good = group.counts.run, group.throughput, group.goodput
        failed = ", ".join(
            f"{words.count(n)} \N{MULTIPLICATION SIGN} {plain(kind, _NAME)}" for kind, n in group.failures.items()
        )
        output = rate(rates.output_tokens_per_s, rates.output_tokens_interval, "", words).cell()
        rows.append([
            _name(group),
            figured("" if group.share is None else words.percent(group.share)),
            figured(words.count(run.planned)),
            figured(words.count(run.ok)),
            Cell(words.count(run.failed), kind="figure", tone="bad" if run.failed else "", under=failed),
            rate(rates.requests_per_s, rates.requests_interval, "", words).cell(),
            *([output] if generates else []),
            Cell("" if good is None else share_in_brackets(good.attainment, words)),
        ])  # fmt: skip
    return Table(columns, rows, stacked=True)


def _latencies(title: str, groups: Sequence[Group], words: Words) -> Table:
    columns = [Column(title, "left"), Column(words.say("Latency, ms"), "left"), *map(Column, _SHOWN)]
    rows = []
    for group in groups:
        for latency in group.latency.values():
            summary = latency.response or latency.service
            under = words.say("response time") if latency.response else ""
            rows.append([
                _name(group),
                Cell(latency.title, under=under),
                *(estimated(getattr(summary, one), words, "", summary.n, one).cell() for one in _SHOWN),
            ])  # fmt: skip
    return Table(columns, rows, stacked=True)

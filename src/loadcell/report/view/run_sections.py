"""The sections of a run's report, as Markdown and the page show them."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.apis import CALLABLE
from loadcell.metrics import Result, word_of
from loadcell.report.detail.model import Detail
from loadcell.report.view import classes, instrument, latency, observed
from loadcell.report.view import run as said
from loadcell.report.view.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Command,
    Facts,
    Fold,
    Note,
    Section,
    Table,
    View,
    figured,
    told,
)
from loadcell.report.view.figures import moment
from loadcell.report.view.imported import told_table
from loadcell.report.view.media import carried
from loadcell.report.view.method import again, asked_for, command_of, machine, typed_command
from loadcell.report.view.sessions import of_tasks, talks, turns_table
from loadcell.report.words import Words

MARKDOWN = ("summary", "errors", "notes", "latency", "told", "sessions", "classes", "method")
PAGE = ("summary", "latency", "told", "sessions", "classes", "course", "drivers", "audit", "errors", "method", "notes")
_WORST_SHOWN, _FAILURES = 10, 40
_PLACED = {"time-parts", "ladder", "ecdf", "timeline", "ttft-by-input", "ttft-by-turn", "itl-by-concurrency", "stalls",
           "server"}  # fmt: skip
"""Charts that a section names; any other stands with what drives the times."""


def run_view(result: Result, detail: Detail | None, words: Words, source: str, drawn: frozenset[str]) -> View:
    """The report of a run: `detail` where its recording is at hand, `drawn` the charts that there are.

    `source` names the folder or file in the commands.
    """
    t, model = words.say, said.model_of(result)
    summary = _summary(result, detail, words, source, drawn)
    sections = {
        "summary": summary,
        "latency": _latency(result, words, drawn),
        "told": _told(result, words),
        "sessions": _sessions(result, words, drawn),
        "classes": _classes(result, words),
        "course": _course(result, detail, words, drawn),
        "drivers": _drivers(result, words, drawn),
        "audit": Section("audit", t("Audit"), [instrument.checks(result, words),
                                               Facts(list(instrument.instrument(result, words)))]),
        "errors": _errors(result, words),
        "method": _method(result, words, source),
        "notes": _notes(result, detail, words),
    }  # fmt: skip
    return View(
        title=f"{model or t('Run')} · {t(word_of(result))}",
        eyebrow=f"{t('Imported load test') if result.imported else t('Load test')} · {moment(result.run.started_at)}",
        heading=summary.title,
        parts={name: [section] for name, section in sections.items() if section is not None},
        loadcell=result.loadcell,
    )


def _charts(drawn: frozenset[str], *names: str) -> Iterator[Chart]:
    return (Chart(name) for name in names if name in drawn)


def _summary(result: Result, detail: Detail | None, words: Words, source: str, drawn: frozenset[str]) -> Section:
    t = words.say
    model = said.model_of(result) or t("model unknown")
    blocks: list[Block] = [
        said.tiles(result, words),
        Facts([*said.head(result, words, short=True), *carried(result, words), *said.slo(result, words)]),
    ]
    if result.goodput is None and (result.imported is None or result.imported.details):
        limits = "ttft=500ms,tpot=30ms" if result.methodology.spec.workload.generates else "e2e=500ms"
        judge = typed_command("loadcell", "report", source or "DIR", "--slo", limits)
        says = t("No SLO was given. A recording can be judged by one at any time, without a new load")
        blocks += [Command(says, judge)] if judge else []
    blocks += _charts(drawn, "time-parts")
    if drawn and detail is None:
        blocks.append(Note([t("Charts of distributions and of the course of the run need the recording.")]))
    title = ", ".join([model, *said.load_words(result, words)])
    return Section("summary", title, blocks, said.verdict(result, words))


def _latency(result: Result, words: Words, drawn: frozenset[str]) -> Section:
    t = words.say
    blocks: list[Block] = [
        *_charts(drawn, "ladder"),
        latency.latency_table(result.latency, words, latency.below(result, words), least=True),
        *_charts(drawn, "ecdf"),
    ]
    if result.whole_run is not None:
        whole = latency.latency_table(result.whole_run.latency, words, least=True)
        blocks.append(Fold(t("The whole run, warm-up and drain included"), [whole]))
    return Section("latency", t("Latency"), blocks, detail=True)


def _told(result: Result, words: Words) -> Section | None:
    found = told_table(result, words)
    return None if found is None else Section("told", words.say("What the tool told"), [found], detail=True)


def _sessions(result: Result, words: Words, drawn: frozenset[str]) -> Section | None:
    facts = list(talks(result, words))
    if not facts:
        return None
    title = words.say("Tasks") if of_tasks(result) else words.say("Sessions")
    return Section("sessions", title, [Facts(facts), *_charts(drawn, "ttft-by-turn"), *turns_table(result, words)])


def _classes(result: Result, words: Words) -> Section | None:
    blocks = list(classes.tables(result, words))
    return Section("classes", words.say("By endpoint and model"), blocks) if blocks else None


def _course(result: Result, detail: Detail | None, words: Words, drawn: frozenset[str]) -> Section:
    t, seen = words.say, result.observed
    rates = [*said.throughput(result, words), *said.course(result, words)]
    blocks: list[Block] = [Note([told(result.steady.says, words)]), *_charts(drawn, "timeline"), Facts(rates)]
    blocks += _charts(drawn, "stalls")
    worst = [] if detail is None or detail.stalls is None else detail.stalls.worst[:_WORST_SHOWN]
    if worst:
        titles = (
            t("ended at"),
            t("request"),
            t("before event"),
            t("others at that moment"),
            t("read late by the client"),
        )
        rows = [
            [figured(words.figure(one.gap_ms), unit="ms"), figured(words.figure(one.at_s), unit="s"),
             *(figured("" if n is None else str(n)) for n in (one.request, one.event, one.others)),
             Cell(t("yes") if one.by_client else t("no"))]
            for one in worst
        ]  # fmt: skip
        blocks.append(Table([Column(t("Worst stalls"), "left"), *map(Column, titles)], rows))
    blocks += _charts(drawn, "server")
    if seen is not None:
        blocks += [observed.observed_table(seen, words)] if seen.series else []
        blocks.append(Facts(list(observed.observed(result, words))))
    return Section("course", t("Over time"), blocks)


def _drivers(result: Result, words: Words, drawn: frozenset[str]) -> Section | None:
    t = words.say
    found = [*said.bottleneck(result, words), *observed.server(result, words)]
    none = t("No server told where TTFT went: queue or prefill.")
    blocks: list[Block]
    if not result.methodology.spec.workload.generates:  # there is no TTFT
        blocks = [*_charts(drawn, *sorted(drawn - _PLACED)), *([Facts(found)] if found else [])]
        return Section("drivers", t("What drives it"), blocks) if blocks else None
    blocks = [
        *_charts(drawn, "ttft-by-input", "itl-by-concurrency", *sorted(drawn - _PLACED)),
        *([Facts(found)] if found else []),
    ]
    blocks += [] if result.where_ttft or result.imported else [Note([none])]
    return Section("drivers", t("What drives it"), blocks) if blocks else None


def _method(result: Result, words: Words, source: str) -> Section:
    t = words.say
    ours = result.imported is None and result.methodology.spec.endpoint.api != CALLABLE  # only Python can call it
    again_from = source if ours else ""
    commands = (
        (t("Run it again, as recorded"), again_from and typed_command("loadcell", "run", again_from)),
        (t("It was started by"), command_of(result)),
    )
    how = [*said.head(result, words), *said.counted(result, words), *said.identity(result, words)]
    return Section(
        "method",
        t("Method"),
        [
            *again(words, source),
            *(Command(label, text) for label, text in commands if text),
            Facts(how),
            asked_for(result.methodology.spec, words, result.methodology.effective, told=result.imported is not None),
            Fold(t("The machine that measured"), [Facts(list(machine(result, words)))]),
        ],
        detail=True,
    )


def _errors(result: Result, words: Words) -> Section:
    rows = list(said.errors(result, words, _FAILURES))
    failed = result.counts.run.failed > 0  # of an import that tells no more of them
    none = Note(
        [words.say("Its files do not tell why requests failed.") if failed else words.say("No request failed.")]
    )
    return Section("errors", words.say("Errors"), [Facts(rows) if rows else none])


def _notes(result: Result, detail: Detail | None, words: Words) -> Section | None:
    t = words.say
    rows = list(said.notes(result, words))
    if detail is not None:
        for label, lines in ((t("What is missing"), detail.missing), (t("How the charts were drawn"), detail.thinned)):
            rows += [("" if i else label, [Cell(told(line, words))]) for i, line in enumerate(lines)]
    return Section("notes", t("Notes"), [Facts(rows)]) if rows else None

"""What several runs of one spec say: a line each, then how they differ."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Repeated, Repeats, Result, reasons_of, word_of
from loadcell.metrics.glossary import made_of
from loadcell.report.text import found_alone, plain, sentence
from loadcell.report.view.blocks import TONES, Block, Cell, Column, Note, Section, Table, Verdict, figured, told
from loadcell.report.view.run import made_words
from loadcell.report.words import Words

_REASON = 120
"""Characters of a reason in the line of a run."""


def run_line(result: Result, number: int, count: int, words: Words) -> str:
    """One run in one line."""
    t, word, reasons = words.say, word_of(result), reasons_of(result)
    said = told(found_alone(reasons[0]), words) if word != "VALID" and reasons else ""
    generates = result.methodology.spec.workload.generates
    latency = result.latency["ttft_ms" if generates else "e2e_ms"]
    summary = latency.service if latency.response is None else latency.response
    run = t("run {n} of {all}", n=words.count(number), all=words.count(count))
    return (
        f" {run}: {latency.title} p50 {words.figure(summary.p50.value)} p99 {words.figure(summary.p99.value)} ms · "
        f"{_made(result, words)} · {t(word)}"
        f"{f': {plain(said, _REASON)}' if said else ''}"
    )


def _made(result: Result, words: Words) -> str:
    spec = result.methodology.spec
    if spec.workload.generates:
        return f"{words.figure(result.throughput.output_tokens_per_s)} tokens/s"
    return made_words(result.throughput, made_of(spec), words)


def repeats_section(together: Repeats, words: Words) -> Section:
    """The table of all runs."""
    t = words.say
    both = {row.metric for row in together.figures if row.anchor == "response"}
    heads = (t("median"), t("within"), t("sd"), t("next run"), t("runs differ"))
    note = t(
        "Median over the runs. Within: half width of a run's own 95 % interval, median of the runs. Sd: standard "
        "deviation of the runs' values. Both in % of the median. Next run: where one more such run lies, 95 times of "
        "100 (t, by the spread between runs). The last column says whether the runs differ more than the samples "
        "within a run explain (chi-square, 95 %)."
    )
    rows = [list(_cells(row, row.metric in both, words)) for row in together.figures]
    blocks: list[Block] = [Table([Column(t("Figure"), "left"), *map(Column, heads)], rows, [note])] if rows else []
    blocks.append(Note([sentence(told(says, words)) for says in together.says]))
    return Section("repeats", _title(together, words), blocks, Verdict(t(together.verdict), TONES[together.verdict]))


def _title(together: Repeats, words: Words) -> str:
    t, done, asked = words.say, len(together.runs), together.asked or len(together.runs)
    runs = t("{n} runs", n=words.count(done))
    if done < asked:
        runs = t("{n} of {all} runs", n=words.count(done), all=words.count(asked))
    bad = [
        f"{t('run {n}', n=str(i))} {t(run.verdict)}" for i, run in enumerate(together.runs, 1) if run.verdict != "VALID"
    ]
    if bad:
        return f"{runs}: {', '.join(bad)}"
    return t("{runs}, every one VALID", runs=runs) if done > 1 else runs


def _cells(row: Repeated, both: bool, words: Words) -> Iterator[Cell]:
    t, missing = words.say, words.figure(None)
    differ = {"runs": t("more"), "samples": t("no more"), None: missing}
    anchor = {"response": t("resp."), "service": t("serv.")}.get(row.anchor, "") if both else ""
    statistic = row.statistic if row.statistic.startswith("p") else ""
    yield Cell(f"{' '.join(filter(None, [t(row.title), anchor, statistic]))}, {t(row.unit)}")
    yield figured(words.figure(row.median))
    yield figured(missing if row.within_share is None else f"± {words.percent(row.within_share)}")
    yield figured(words.percent(row.sd_share))
    known = row.next_low is not None and row.next_high is not None
    ends = (words.figure(end, 3) for end in (row.next_low, row.next_high))
    yield figured("\N{EN DASH}".join(ends) if known else missing)
    yield Cell(differ[row.dominates], tone="care" if row.dominates == "runs" else "")

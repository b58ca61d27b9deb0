"""The latencies of a run as a table, and what has to be known of its figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from loadcell.metrics import Estimate, Latency, Result, Summary
from loadcell.metrics.glossary import LATENCIES
from loadcell.metrics.imported import NOT_TOLD, TOLD, UNPLACED, placed
from loadcell.metrics.interval import PERMILLE, shown_from
from loadcell.report.text import figure
from loadcell.report.view.blocks import Cell, Column, Table, figured
from loadcell.report.view.figures import averaged, estimated
from loadcell.report.words import Words
from loadcell.spec import LIMITED

PERCENTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}
_WORTH_LESS = 0.95
"""A sample is said to be worth less than its number where the effective one is below this part of it."""
_INFINITE = "\N{INFINITY}"


def latency_table(
    latency: dict[str, Latency], words: Words, below: Iterable[str] = (), *, least: bool = False
) -> Table:
    """One row a metric, by both anchors where there are two: figures, and below each its interval or what it lacks.

    With `least` the smallest sample stands below the largest.
    """
    t, shown = words.say, percentiles_of(latency)
    rows = []
    for name, anchor, summary in _summaries(latency):
        term = name.removesuffix("_ms")
        title = " ".join(filter(None, [_title(latency[name]), _anchor(anchor, words)]))
        mean = averaged(summary, words)
        spread = "" if summary.sd is None else f"{t('sd')} {words.figure(summary.sd, 3)}"
        rows.append([
            Cell(title, term=term, under=_samples(summary, words)),
            figured(mean.value, under="\n".join(filter(None, [mean.under, spread]))),
            *(_estimate(summary, one, words, scale=_scale(name, summary)) for one in shown),
            figured(words.figure(summary.max), under=_least(summary, words) if least else ""),
        ])  # fmt: skip
    columns = [Column(t("Latency, ms"), "left"), Column(t("mean")), *map(Column, shown.values()), Column(t("max"))]
    return Table(columns, rows, list(below), stacked=True)


def short_table(result: Result, words: Words) -> Table | None:
    """The latencies of one screen; None without any sample."""
    rows = []
    for name in _short(result.latency):
        latency = result.latency[name]
        summary = latency.response or latency.service
        if not (summary.n or summary.told or summary.p50.withheld):
            continue
        rows.append([
            Cell(_title(latency), under=_marked(latency, words)),
            averaged(summary, words).cell(),
            *(_estimate(summary, one, words, scale=_scale(name, summary))
              for one in ("p50", "p90", "p99")),
            figured(words.figure(summary.max)),
        ])  # fmt: skip
    titles = (words.say("mean"), "p50", "p90", "p99", words.say("max"))
    columns = [Column(words.say("Latency, ms"), "left"), *map(Column, titles)]
    return Table(columns, rows, list(short_below(result, words)), stacked=True) if rows else None


def _marked(latency: Latency, words: Words) -> str:
    """What stands below its name: from where it is measured, or that the tool told it."""
    return words.say("response time") if latency.response else words.say("told") if latency.service.told else ""


def _title(latency: Latency) -> str:
    """Its name in a table of milliseconds."""
    return latency.title if latency.unit == "ms" else f"{latency.title}, {latency.unit}"


def _short(latency: dict[str, Latency]) -> tuple[str, ...]:
    """TPOT, and NTPOT where it is all that is known of the pace."""
    none = "tpot_ms" in latency and latency["tpot_ms"].service.p50.withheld
    shown = ("ttft_ms", "itl_ms", "tpot_ms", *(["ntpot_ms"] if none else []), "first_audio_ms", "e2e_ms", "rtf")
    return tuple(name for name in shown if name in latency)


def percentiles_of(latency: dict[str, Latency]) -> dict[str, str]:
    """The percentiles of a table, by name: p99.9 only where some distribution has samples for it."""
    far = any(summary.p99_9.value is not None for _, _, summary in _summaries(latency))
    return {name: title for name, title in PERCENTILES.items() if name != "p99_9" or far}


def latency_rows(latency: dict[str, Latency], words: Words) -> Iterator[tuple[str, Summary]]:
    """Every distribution with its title; TTFA only where it is not TTFT."""
    for name, anchor, summary in _summaries(latency):
        yield f"{latency[name].title} {_anchor(anchor, words)}".strip(), summary


def _summaries(latency: dict[str, Latency]) -> Iterator[tuple[str, str, Summary]]:
    """Name of the metric, its anchor where there are two, and the distribution."""
    same = "ttfa_ms" in latency and latency["ttfa_ms"].service == latency["ttft_ms"].service
    for name in LATENCIES:
        if name not in latency or (name == "ttfa_ms" and same):
            continue
        entry = latency[name]
        if entry.response is not None:
            yield name, "response", entry.response
        yield name, "service" if entry.response else "", entry.service


def _anchor(anchor: str, words: Words) -> str:
    return {"response": words.say("response time"), "service": words.say("service time")}.get(anchor, "")


def _scale(name: str, summary: Summary) -> float | None:
    """What the budget of a figure is a part of where not of itself: of a burst, most gaps are nothing."""
    return summary.mean if name == "itl_ms" else None


def _estimate(summary: Summary, name: str, words: Words, *, scale: float | None = None) -> Cell:
    return estimated(getattr(summary, name), words, "", summary.n, name, marked=True, scale=scale).cell()


def _samples(summary: Summary, words: Words) -> str:
    if summary.told:
        return words.say("told")
    worth = [words.say("worth {n}", n=words.count(int(summary.effective or 0)))] if _worth_less(summary) else []
    return "\n".join([f"n={words.count(summary.n)}", *worth])


def _worth_less(summary: Summary) -> bool:
    return summary.effective is not None and summary.effective < _WORTH_LESS * summary.n


def _least(summary: Summary, words: Words) -> str:
    return "" if summary.min is None else f"{words.say('min')} {words.figure(summary.min)}"


# --- below the table -------------------------------------------------------------------------------------------------


def short_below(result: Result, words: Words) -> Iterator[str]:
    """What stands below the figures of one screen."""
    shown = (result.latency[name].response or result.latency[name].service for name in _short(result.latency))
    some_open = any(getattr(summary, name).open for summary in shown for name in ("p50", "p90", "p99"))
    more = words.say("+: at least so much, more samples give an upper end.") if some_open else ""
    none = _no_interval(result, words)
    yield none or f"{words.say('Below each figure: its 95 % interval.')} {more}".strip()
    yield from outside(result, words)


def _no_interval(result: Result, words: Words) -> str:
    """Why no figure of an import has an interval; nothing where they have."""
    if placed(result.imported):
        return ""
    told = all(one.service.told for one in result.latency.values() if one.service.n or one.service.told)
    return words.say("No intervals: {why}.", why=words.say(TOLD if told else UNPLACED))


def below(result: Result, words: Words) -> Iterator[str]:
    """What the figures start from, what stands below them, and which could not be estimated."""
    t, rows = words.say, list(latency_rows(result.latency, words))
    anchor = (
        t("Response time starts at the planned time, service time at the actual send.")
        if result.methodology.loop == "open"
        else t("Service time, from the actual send: a closed loop cannot show the queueing that it prevents.")
    )
    if result.imported is not None and not any(one.response for one in result.latency.values()):
        anchor = t("Service time, from the actual send: the files have no schedule to measure from.")
    worth = t("Worth: how many independent samples these are worth.") if any(_worth_less(s) for _, s in rows) else ""
    if none := _no_interval(result, words):
        yield none if none == words.say("No intervals: {why}.", why=words.say(TOLD)) else f"{anchor} {none}"
    else:
        yield f"{anchor} {t('Below each figure: its 95 % interval.')} {worth}".strip()
    yield from _open(rows, words)
    yield from _without(rows, result.latency, words)
    failing = [f"{title} {found}" for title, s in rows if (found := _failing(s, words))]
    if failing:
        n = words.count(max(summary.failed for _, summary in rows))
        yield t("With the {n} failed as infinitely late: {figures}", n=n, figures=" · ".join(failing))
    yield from outside(result, words)
    unitless = {one.title for one in result.latency.values() if one.unit != "ms"}
    bounds = [f"{title} ≤ {words.figure(s.p99.bound)} ms" for title, s in rows
              if s.p99.bound is not None and title not in unitless]  # fmt: skip
    if bounds:
        yield f"{t('MLPerf early stopping, p99 at 99 % confidence:')} {' · '.join(bounds)}"


def outside(result: Result, words: Words) -> Iterator[str]:
    """The maxima that lie outside of the window."""
    if result.whole_run is None:
        return
    found = []
    for name in (name for name in LIMITED if name in result.latency):
        inside, whole = (of[name].response or of[name].service for of in (result.latency, result.whole_run.latency))
        if whole.max is not None and figure(whole.max) != figure(inside.max):
            title, most, within = result.latency[name].title, words.figure(whole.max), words.figure(inside.max or 0.0)
            found.append(
                words.say("{title} {whole} ms (in the window {inside})", title=title, whole=most, inside=within)
            )
    if found:
        yield f"{words.say('Maxima of the whole run, outside of the window:')} {' · '.join(found)}"


def _open(rows: list[tuple[str, Summary]], words: Words) -> Iterator[str]:
    """Percentiles whose interval has no upper end, and what would close it."""
    estimates = {shown: [getattr(summary, name) for _, summary in rows] for name, shown in PERCENTILES.items()}
    found = {shown: [e for e in group if e.open] for shown, group in estimates.items()}
    needs = [
        words.say("{p} {n} (these: {these})", p=shown, n=words.count(max(e.needs or 0 for e in group)),
                  these=words.count(min(int(e.effective or 0) for e in group)))
        for shown, group in found.items()
        if group
    ]  # fmt: skip
    if needs:
        yield words.say(
            "+: at least so much, for an upper end takes more independent samples: {needs}.", needs=", ".join(needs)
        )


def _without(rows: list[tuple[str, Summary]], latency: dict[str, Latency], words: Words) -> Iterator[str]:
    t = words.say
    groups: dict[str, list[str]] = defaultdict(list)
    for title, summary in rows:
        for name, shown in percentiles_of(latency).items():
            estimate: Estimate = getattr(summary, name)
            if estimate.caveat in (UNPLACED, TOLD) or estimate.withheld == NOT_TOLD:  # said of all
                continue
            if why := lacking(estimate, shown, words):
                groups[why].append(title)
            elif estimate.value is None and summary.n:
                n = words.count(shown_from(PERMILLE[name]))
                groups[t("{p} n/a: fewer than {n} samples, see max", p=shown, n=n)].append(title)
    for why, titles in groups.items():
        distinct = list(dict.fromkeys(titles))
        yield why if len(distinct) == len(rows) else f"{why}: {', '.join(distinct)}"


def lacking(estimate: Estimate, shown: str, words: Words) -> str:
    """Why a percentile is withheld, or has no interval; nothing if it is neither."""
    t = words.say
    if estimate.withheld:
        return t("{p} withheld ({why})", p=shown, why=t(estimate.withheld))
    return t("no intervals ({why})", why=t(estimate.caveat)) if estimate.caveat else ""


def _failing(summary: Summary, words: Words) -> str:
    """p50, p90 and p99 with failures as infinite, as in "p50 20.1 p99 ∞"; nothing without failures."""
    shown = ((name, summary.with_failures.get(name)) for name in ("p50", "p90", "p99"))
    return " ".join(f"{name} {_INFINITE if one.infinite else words.figure(one.value)}" for name, one in shown if one)

"""A sweep as GitHub-flavoured Markdown: the answer of a search first, then its stages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from loadcell.metrics import Estimate
from loadcell.report.charts.stages import load_words as stage_load
from loadcell.report.github import bullets, code, folded, joined, prose, section, table
from loadcell.report.lines import ask_label, load_figure
from loadcell.report.render.markdown import MARKS
from loadcell.report.text import MISSING
from loadcell.report.view.blocks import TONES
from loadcell.report.view.figures import count, share
from loadcell.report.view.run import limit_words
from loadcell.report.words import Words
from loadcell.search.model import End, Plan, Stage, Sweep

_REASONS = 5
_DIGITS = re.compile(r"\d[\d.,]*")


def sweep_markdown(sweep: Sweep, words: Words, *, source: str = "") -> str:
    """The sweep: the answer of a search first, then its stages."""
    plan, found = sweep.plan, sweep.found
    endpoint = plan.spec.endpoint
    title = words.say("Search") if found else words.say("Sweep")
    model = code(endpoint.model or endpoint.url, 80)
    blocks = [f"### {title}: {model}", _promise(plan, words)]
    if found is not None:
        ends = [(end, text) for end, text in ((found.low, words.say("holds")), (found.high, words.say("fails"))) if end]
        blocks += [
            f"**{prose(words.say(found.says))}**",
            bullets(_end(plan, end, text, words) for end, text in ends),
            bullets(prose(words.say(finding)) for finding in found.findings),
        ]
    if sweep.stages:
        blocks += [_stages(sweep, words), words.say("Latencies: p50 / p99."), bullets(_doubts(sweep, words))]
    blocks.append(section(words.say("Notes"), (prose(words.say(finding)) for finding in sweep.findings)))
    rows = [
        (words.say("Target"), code(endpoint.url)),
        (words.say("Seed"), code(plan.seed)),
        (words.say("Recorded by"), code(f"loadcell {plan.loadcell}")),
        (words.say("Computed by"), code(f"loadcell {sweep.loadcell}")),
        *([(words.say("See it again"), code(f"loadcell report {source}"))] if source else []),
    ]
    blocks.append(folded(words.say("How it was measured"), bullets(f"{label}: {text}" for label, text in rows)))
    return joined(blocks)


def _promise(plan: Plan, words: Words) -> str:
    """The SLO, with the share of requests that must keep to it where there is one."""
    limits = [limit_words(name, value, words) for name, value in plan.spec.slo.limits.items()]
    if not limits:
        return ""
    asks = ", ".join(limits)
    if plan.target is None:
        return f"{words.say('SLO')}: {asks}"
    return words.say("SLO: {limits} for {share} of the requests", limits=asks, share=words.percent(plan.target))


def _end(plan: Plan, end: End, says: str, words: Words) -> str:
    kept = share(end.attainment, words)
    judged = words.say("{n} requests", n=count(end.judged, words))
    return f"{stage_load(plan, end.level, words)} {says}: {kept.value} [{kept.under}], {judged}"


def _stages(sweep: Sweep, words: Words) -> str:
    judged = sweep.found is not None
    head = [
        "#",
        {"load.rate": words.say("Load, requests/s"), "load.concurrency": words.say("Load, users")}.get(
            str(sweep.plan.axis), words.say("Load")
        ),
        *([words.say("Answer"), words.say("Attainment")] if judged else []),
        *("TTFT, ms", "TPOT, ms", "E2E, ms"),
        words.say("Requests/s"),
        words.say("Output tokens/s"),
        words.say("Goodput"),
        words.say("Verdict"),
    ]
    return table(head, (list(_stage(sweep, stage, judged, words)) for stage in sweep.stages), "lrl" if judged else "lr")


def _stage(sweep: Sweep, stage: Stage, judged: bool, words: Words) -> Iterator[str]:
    ask, point, trial = stage.ask, stage.point, stage.trial
    yield str(ask.number)
    named = code(ask_label(ask), 80) if ask.level is None else words.number(load_figure(ask.level))
    yield words.say("one user alone") if ask.phase == "floor" else named
    if judged:
        told = trial if ask.phase != "floor" and stage.state == "complete" else None
        yield {"pass": words.say("holds"), "fail": words.say("fails"), "undecided": words.say("undecided")}.get(
            told.answer if told else "", MISSING
        )
        yield words.percent(trial.attainment.value if trial else None)
    for latency in (point.ttft_ms, point.tpot_ms, point.e2e_ms) if point else ({}, {}, {}):
        yield " / ".join(words.figure(_value(latency, name)) for name in ("p50", "p99"))
    good = point.goodput.goodput_per_s if point and point.goodput else None
    for rate in (point.requests_per_s, point.output_tokens_per_s, good) if point else (None, None, None):
        yield words.figure(rate)
    word = point.verdict if point else MISSING
    state = {
        "complete": "",
        "interrupted": words.say("interrupted"),
        "running": words.say("without an end"),
    }.get(stage.state, words.say("broken off"))
    yield f"{MARKS[TONES[word]] if word in TONES else ''} {words.say(word)}{f' ({state})' if state else ''}".strip()


def _doubts(sweep: Sweep, words: Words) -> Iterator[str]:
    """Why stages are SUSPECT, those alike but for their figures together. Why they are INVALID, the notes say."""
    alike: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for stage in sweep.stages:
        if stage.point is not None and stage.point.verdict == "SUSPECT" and stage.point.reasons:
            reason = stage.point.reasons[0]
            alike[_DIGITS.sub("#", reason)].append((stage.ask.number, reason))
    for group in sorted(alike.values(), key=len, reverse=True)[:_REASONS]:
        numbers = ", ".join(str(number) for number, _ in group)
        yield f"{words.say('SUSPECT')} ({words.say('stages')} {numbers}): {prose(words.say(group[0][1]))}"


def _value(latency: dict[str, Estimate], name: str) -> float | None:
    return latency[name].value if name in latency else None

"""What an MLPerf-style run says: what failed and what to change first, then the figures. In English."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shlex import quote

from loadcell.mlperf.judge import fails
from loadcell.mlperf.model import (
    FOOTNOTE,
    UNVERIFIED,
    Accuracy,
    Driven,
    EarlyStopping,
    Finding,
    Outcome,
    Rules,
    RunPlan,
    Score,
)
from loadcell.mlperf.model import Block as Spread
from loadcell.report.text import MISSING, figure, figure_beside
from loadcell.report.view.blocks import (
    TONES,
    Block,
    Cell,
    Column,
    Command,
    Fact,
    Facts,
    Note,
    Section,
    Table,
    Tone,
    Verdict,
    View,
    fact,
    figured,
    listed,
)
from loadcell.report.view.figures import moment
from loadcell.report.view.method import asked_for, target
from loadcell.report.words import Words
from loadcell.spec import Spec

EN = Words("en")
TERMINAL = ("summary", "figures", "rules", "footnote", "again")
PAGE = ("summary", "figures", "accuracy", "rules", "method", "footnote")
_PERCENTILES = {"50.00": "p50", "90.00": "p90", "97.00": "p97", "99.00": "p99"}
_TITLES = {"ttft": "TTFT", "tpot": "TPOT", "latency": "Latency"}
_MANY_SUBSETS = 12
_NOT_COMPARABLE = "look-alike samples"


def outcome_view(found: Outcome, folder: Path | None = None, accuracy: Accuracy | None = None) -> View:
    """The outcome, with its accuracy if there is one; `folder` names where it lies in the commands."""
    plan, name = found.plan, title(found.plan.rules)
    blocks: list[Block] = [Facts(list(_figures(found))), _latencies(found.score, plan.rules)]
    proofs = [Cell(_proof(test), tone="" if test.met else "bad") for test in found.score.early_stopping]
    reasons = [Cell(mark, tone="care") for mark in (marks(plan), _part(found.state)) if mark]
    reasons += [finding_cell(one, "bad") for one in found.findings if fails(one)]
    how = list(_how(found))
    return View(
        title=name,
        eyebrow=moment(found.started_at),
        heading=name,
        parts={
            "summary": [Section("summary", name, [], Verdict(found.verdict, TONES[found.verdict], "", reasons))],
            "figures": [Section("figures", "Figures", [*blocks, Facts(listed("Early stop", proofs))])],
            "accuracy": [] if accuracy is None else [accuracy_section(accuracy)],
            "rules": [Section("rules", "Rules", [Facts([*_others(found.findings), *how])])],
            **closing(plan.spec, list(_again(found, folder)) if folder else []),
        },
        loadcell=found.loadcell,
    )


def closing(spec: Spec, again: list[Command]) -> dict[str, list[Section]]:
    """The last parts of a report: what to type, what was asked for, what it is worth."""
    return {
        "method": [Section("method", "Method", [*again, asked_for(spec, EN)])],
        "footnote": [Section("footnote", "Unverified", [Note([FOOTNOTE])])],
        "again": [Section("again", "", again)],
    }


# --- the head --------------------------------------------------------------------------------------------------------


def title(rules: Rules) -> str:
    """What was run, never without the word that says what it is worth."""
    return f"MLPerf-style {rules.benchmark} {rules.scenario}, {rules.round} - {UNVERIFIED}"


def marks(plan: RunPlan) -> str:
    """Why a run compares with nothing, in brackets; nothing if it may."""
    words = [*(["quick"] if plan.quick else []), *([_NOT_COMPARABLE] if plan.look_alike else [])]
    return f"({', '.join(words)}: not comparable)" if words else ""


def _part(state: str) -> str:
    return "" if state == "complete" else f"{state.upper()}: these figures are of a part of the run"


# --- findings --------------------------------------------------------------------------------------------------------


def finding_cell(finding: Finding, tone: Tone) -> Cell:
    """A finding with its rule in this tone, its place and its advice."""
    where = f"({finding.where})" if finding.where else ""
    return Cell(finding.rule, tone=tone, unit=where, more=finding.says, advice=finding.advice or "")


def findings_facts(findings: Sequence[Finding]) -> Facts:
    """Failed ones with their advice, those that could not be judged, and in one line what holds."""
    failed = listed("Failed", (finding_cell(finding, "bad") for finding in findings if fails(finding)))
    return Facts([*failed, *_others(findings)])


def _others(findings: Sequence[Finding]) -> Iterator[Fact]:
    """What could not be judged, and what holds."""
    unjudged = (one for one in findings if one.ok is None and not fails(one))
    yield from listed("To know", (finding_cell(one, "care") for one in unjudged))
    yield from held(findings)


def held(findings: Iterable[Finding]) -> Iterator[Fact]:
    """In one line what holds."""
    if rules := dict.fromkeys(finding.rule for finding in findings if finding.ok):
        yield "Held", [Cell(rule, tone="good") for rule in rules]


# --- figures ---------------------------------------------------------------------------------------------------------


def _figures(found: Outcome) -> Iterator[Fact]:
    score, plan = found.score, found.plan
    headline = Cell(f"{figure(score.headline)} {score.headline_unit}", tone="strong")
    yield "Score", [headline, Cell(score.headline_name), Cell("unverified", tone="care")]
    if plan.rules.scenario not in ("singlestream", "multistream"):
        yield from listed("Throughput", _throughput(score))
    queries = f"{score.queries:,} {'query' if score.queries == 1 else 'queries'}"
    tokens = MISSING if score.tokens is None else f"{score.tokens:,}"
    yield (
        "Samples",
        [
            Cell(f"{score.samples:,} sent in {queries}"),
            Cell(f"{score.failed:,} failed", tone="bad" if score.failed else ""),
            Cell(f"{plan.samples:,} of the data set"),
            Cell(f"{tokens} output tokens"),
        ],
    )


def _throughput(score: Score) -> Iterator[Cell]:
    """Both windows by their names, and what tells them apart."""
    for name, tokens, samples in (
        ("LoadGen's window", score.tokens_per_s_loadgen, score.samples_per_s_loadgen),
        ("full run", score.tokens_per_s_run, score.samples_per_s_run),
    ):
        yield Cell(name, more=f"{figure(tokens)} tokens/s · {figure(samples)} samples/s")
    apart = "LoadGen's window ends with the query that was issued last, the full run with the last to complete"
    yield Cell(apart, tone="dim")
    if score.scheduled_samples_per_s is not None:
        yield Cell(f"scheduled: {figure(score.scheduled_samples_per_s)} samples/s", tone="dim")


def _latencies(score: Score, rules: Rules) -> Table:
    """One row a latency, beside it its limit."""
    limited = rules.percentile is not None and any((rules.ttft_ms, rules.tpot_ms, rules.latency_ms))
    last = [Column(f"limit p{(rules.percentile or 0) * 100:g}")] if limited else []
    rows = [
        [Cell(name), *_cells(spread, limit_ms, rules),
         *([figured("" if limit_ms is None else f"< {limit_ms:,g}")] if limited else [])]
        for name, spread, limit_ms in (
            ("TTFT", score.ttft, rules.ttft_ms), ("TPOT", score.tpot, rules.tpot_ms),
            ("Latency", score.latency, rules.latency_ms), ("of a query", score.query_latency, None),
        )
        if spread is not None or limit_ms is not None
    ]  # fmt: skip
    return Table([Column("Latency, ms", "left"), *map(Column, (*_PERCENTILES.values(), "max")), *last], rows)


def _cells(spread: Spread | None, limit_ms: float | None, rules: Rules) -> Iterator[Cell]:
    if spread is None:
        yield from [figured(MISSING, tone="dim")] * (len(_PERCENTILES) + 1)
        return
    judged = None if rules.percentile is None else f"{rules.percentile * 100:.2f}"
    for name in _PERCENTILES:
        value_ms, limit = spread.percentiles_ns[name] / 1e6, limit_ms if name == judged else None
        late = limit is not None and value_ms >= limit
        yield figured(figure_beside(value_ms, limit), tone="bad" if late else "")
    yield figured(figure(spread.max_ns / 1e6))


def _proof(test: EarlyStopping) -> str:
    """What the queries prove about one percentile, with a confidence of 99 %."""
    name = f"{_TITLES[test.of]} p{test.percentile * 100:g}"
    if test.limit_ns is None:
        if test.estimate_ns is None:
            return f"{name}: no bound from {test.n:,} queries, {test.needed:,} are needed"
        return f"{name} ≤ {figure(test.estimate_ns / 1e6)} ms with 99 % confidence, from {test.n:,} queries"
    over = f"{test.over or 0:,} of {test.n:,} beyond {test.limit_ns / 1e6:,g} ms"
    if test.met:
        return f"{name} within its limit with 99 % confidence: {over}, {test.needed:,} would do"
    return f"{name} not proved: {over} take {test.needed:,} queries, {test.more:,} more if all of those are in time"


# --- how it was made -------------------------------------------------------------------------------------------------


def _how(found: Outcome) -> Iterator[Fact]:
    plan = found.plan
    yield from listed("Before", map(Cell, plan.history))
    yield fact("Data set", plan.dataset, f"sha256 {plan.dataset_sha256[:16]}")
    yield target(plan.spec.endpoint, EN)
    yield fact("Run", found.started_at, f"loadcell {found.loadcell}", "loads and times as LoadGen's, without it")


def _again(found: Outcome, folder: Path) -> Iterator[Command]:
    """Where it lies, and what can be done with it."""
    at = quote(str(folder))
    yield Command(f"Recorded in {folder}; the client's own report", f"loadcell report {quote(f'{folder}/performance')}")
    if found.state != "complete":
        return
    if not (folder / "accuracy.json").exists():
        data = "" if found.plan.look_alike else " [--dataset PATH]"
        yield Command("Accuracy", f"loadcell mlperf run {at} --resume --accuracy{data}")
    yield Command("Check", f"loadcell mlperf check {at}")
    yield Command("Export", f"loadcell mlperf export {at} --format endpoints")


# --- accuracy --------------------------------------------------------------------------------------------------------


def accuracy_section(found: Accuracy) -> Section:
    """The accuracy of a run: the gate bound by bound, what to do, what to know."""
    words: dict[bool | None, tuple[str, Tone]] = {
        True: ("held", "good"), False: ("failed", "bad"), None: ("not judged", "bad"),
    }  # fmt: skip
    gates = [one for one in found.findings if _is_gate(one)]
    smaller = any(finding.rule == "comparable" for finding in found.findings)
    why = _NOT_COMPARABLE if found.look_alike else "a smaller pass"
    reasons = [Cell(f"({why}: not comparable)", tone="care")] if smaller else []
    reasons += [Cell(words[one.ok][0], tone=words[one.ok][1], more=one.says) for one in gates]
    advice = dict.fromkeys(one.advice for one in gates if one.advice and one.ok is not True)
    rows = [
        *listed("To do", (Cell(f"→ {each}") for each in advice)),
        *_replies(found),
        *listed("To know", (finding_cell(one, "care") for one in found.findings if not _is_gate(one))),
    ]
    word, tone = ("GATE PASSED", "good") if found.passed else ("GATE FAILED", "bad")
    name = f"MLPerf-style accuracy of {found.benchmark} {found.scenario}, {found.round} - {UNVERIFIED}"
    return Section("accuracy", name, [Facts(rows)], Verdict(word, tone, "", reasons))  # type: ignore[arg-type]


def _is_gate(finding: Finding) -> bool:
    return finding.rule.startswith("accuracy-gate") or finding.rule == "accuracy-sample-count"


def _replies(found: Accuracy) -> Iterator[Fact]:
    words = [f"{found.scored:,} of {found.samples:,} samples scored"]
    words += [f"{found.empty:,} empty"] if found.empty else []
    words += [f"{found.missing:,} missing (they count as wrong)"] if found.missing else []
    if found.tokens_per_sample is not None:
        words.append(f"{found.tokens_per_sample:,.1f} output tokens each")
    yield fact("Replies", *words)
    if found.subsets:
        shown = [f"{subset} {score:.2f} %" for subset, score in found.subsets.items()]
        more = len(shown) - _MANY_SUBSETS
        yield fact("Right", *shown[:_MANY_SUBSETS], *([f"and {more} more subsets"] if more > 0 else []))


# --- a run of LoadGen ------------------------------------------------------------------------------------------------

_WHOSE = {
    "server": "server",
    "tokenizer": "tokenizer {} from the text, which is inexact",
    "none": "nobody: they are empty",
}


def driven_sections(found: Driven, folder: Path) -> list[Section]:
    """What is said of a run that the genuine LoadGen made."""
    rules, score = found.plan.rules, found.score
    name = f"MLPerf-style {rules.benchmark} {rules.scenario}, {rules.round}, {found.mode} - {UNVERIFIED}"
    smaller = ["smaller than the rules ask: not comparable"] if found.plan.quick else []
    rows = [*findings_facts(found.findings).rows]
    made_by = f"by the genuine LoadGen {found.loadgen}"
    rows.append(fact("Load", made_by, f"system under test: loadcell {found.loadcell}"))
    if score is not None and score.headline is not None:
        rows.append(fact("At sockets", f"{score.headline:,.6g} {score.headline_unit}", score.headline_name))
        spreads = {"TTFT": score.ttft, "TPOT": score.tpot, "latency": score.latency}
        rows += [("", [Cell(one, more=_few(spread))]) for one, spread in spreads.items() if spread is not None]
    if found.id_sources:
        sources = found.id_sources.items()
        shown = (f"{count:,} by the {_WHOSE[whose]}".format(found.tokenizer) for whose, count in sources)
        rows.append(("Token ids", [Cell("in mlperf_log_accuracy.json", more=", ".join(shown))]))
    delays = [
        [Cell(one), *(figured(f"{value:,.0f}") for value in (delay.p50_us, delay.p99_us, delay.max_us))]
        for one, delay in found.delays.items()
    ]
    columns = [Column("What our side added to LoadGen's latencies, µs", "left"), *map(Column, ("p50", "p99", "max"))]
    own = f"{folder}/mlperf_log_summary.txt is LoadGen's own word; loadcell.json is ours."
    verdict = Verdict(found.verdict, TONES[found.verdict], "", [Cell(mark, tone="care") for mark in smaller])
    return [
        Section("summary", name, [Facts(rows), *([Table(columns, delays)] if delays else []), Note([own])], verdict),
        Section(
            "footnote", "", [Note([found.footnote]), Command("Check", f"loadcell mlperf check {quote(str(folder))}")]
        ),
    ]


def _few(spread: Spread) -> str:
    p50, p99 = (spread.percentiles_ns[key] / 1e6 for key in ("50.00", "99.00"))
    return f"p50 {p50:,.2f} ms, p99 {p99:,.2f} ms"

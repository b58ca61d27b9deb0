"""The outcome of an MLPerf-style run on the console: what failed and what to change first, then the figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadcell.mlperf.judge import fails
from loadcell.mlperf.model import (
    FOOTNOTE,
    UNVERIFIED,
    Block,
    Driven,
    EarlyStopping,
    Finding,
    Outcome,
    Rules,
    RunPlan,
    Score,
)
from loadcell.report.lines import LABEL_WIDTH, Line, section
from loadcell.report.render.terminal import WORD_STYLES
from loadcell.report.text import MISSING, figure, figure_beside, plain

_SAYS = 600
_PERCENTILES = {"50.00": "p50", "90.00": "p90", "97.00": "p97", "99.00": "p99"}
_TITLES = {"ttft": "TTFT", "tpot": "TPOT", "latency": "Latency"}


def print_outcome(found: Outcome, console: Console, folder: Path | None = None) -> None:
    """Print the outcome; `folder` names where it lies, so that the next commands can be copied."""
    console.print(render_outcome(found))
    if folder is not None:
        for line in _next(found, folder):
            console.print(Text(f" {line}"), soft_wrap=True)


def render_outcome(found: Outcome) -> RenderableType:
    """The outcome for a terminal of 80 columns or more."""
    failed = [finding for finding in found.findings if fails(finding)]
    blocks: list[RenderableType] = [Padding(_head(found), (0, 0, 0, 1))]
    if failed:
        blocks.append(section(finding_lines("Failed", failed, "red")))
    blocks += [section(_figures(found)), _latencies(found.score, found.plan.rules)]
    if found.score.early_stopping:
        blocks.append(section(_proofs(found)))
    blocks.append(section([*_rest(found.findings), *_how(found)]))
    blocks.append(Padding(Text(FOOTNOTE, style="dim"), (0, 0, 0, 1)))
    return Group(*(part for block in blocks for part in (block, Text())))


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print findings: failed ones with their advice, those that could not be judged, and in one line what holds."""
    failed = [finding for finding in findings if fails(finding)]
    console.print(section([*finding_lines("Failed", failed, "red"), *_rest(findings)]))


# --- the head --------------------------------------------------------------------------------------------------------


def title(rules: Rules) -> str:
    """What was run, never without the word that says what it is worth."""
    return f"MLPerf-style {rules.benchmark} {rules.scenario}, {rules.round} - {UNVERIFIED}"


def marks(plan: RunPlan) -> str:
    """Why a run compares with nothing, in brackets; nothing if it may."""
    words = [*(["quick"] if plan.quick else []), *(["look-alike samples"] if plan.look_alike else [])]
    return f"({', '.join(words)}: not comparable)" if words else ""


def _head(found: Outcome) -> Text:
    text = Text.assemble((f" {found.verdict} ", WORD_STYLES[found.verdict]), " ", (title(found.plan.rules), "bold"))
    if mark := marks(found.plan):
        text.append(f"\n{mark}", style="yellow")
    if found.state != "complete":
        text.append(f"\n{found.state.upper()}: these figures are of a part of the run", style="yellow")
    return text


# --- findings --------------------------------------------------------------------------------------------------------


def finding_lines(label: str, findings: Iterable[Finding], style: str, says: int = _SAYS) -> Iterator[Line]:
    """Findings below one label, each with its rule in `style`, its place and its advice."""
    for i, finding in enumerate(findings):
        where = f" ({plain(finding.where)})" if finding.where else ""
        text = Text.assemble((finding.rule, style), f"{where}: {plain(finding.says, says)}")
        yield (
            ("" if i else label),
            text.append(f"\n→ {plain(finding.advice, says)}") if finding.advice else text,
        )


def held_line(findings: Iterable[Finding]) -> Iterator[Line]:
    """In one line what holds."""
    if held := dict.fromkeys(finding.rule for finding in findings if finding.ok):
        yield "Held", Text(", ".join(held), style="green")


def _rest(findings: Sequence[Finding]) -> Iterator[Line]:
    """What could not be judged, and what holds."""
    unjudged = (finding for finding in findings if finding.ok is None and not fails(finding))
    yield from finding_lines("To know", unjudged, "yellow")
    yield from held_line(findings)


# --- figures ---------------------------------------------------------------------------------------------------------


def _figures(found: Outcome) -> Iterator[Line]:
    score, plan = found.score, found.plan
    value = Text.assemble((f"{figure(score.headline)} {score.headline_unit}", "bold"), f" · {score.headline_name}")
    yield "Score", value.append(" · unverified", style="yellow")
    if plan.rules.scenario not in ("singlestream", "multistream"):
        yield from _throughput(score, plan.rules)
    failed = Text(f"{score.failed:,} failed", style="red" if score.failed else "")
    tokens = MISSING if score.tokens is None else f"{score.tokens:,}"
    yield (
        "Samples",
        Text.assemble(
            f"{score.samples:,} sent in {score.queries:,} {'query' if score.queries == 1 else 'queries'}, ", failed,
            f" · {plan.samples:,} of the data set · {tokens} output tokens",
        ),
    )  # fmt: skip


def _throughput(score: Score, rules: Rules) -> Iterator[Line]:
    """Both windows by their names, and what tells them apart."""
    windows = (
        ("LoadGen's window", score.tokens_per_s_loadgen, score.samples_per_s_loadgen),
        ("full run", score.tokens_per_s_run, score.samples_per_s_run),
    )
    for i, (name, tokens, samples) in enumerate(windows):
        yield ("" if i else "Throughput"), f"{name:16}  {figure(tokens)} tokens/s · {figure(samples)} samples/s"
    apart = "LoadGen's window ends with the query that was issued last, the full run with the last to complete"
    yield "", Text(apart, style="dim")
    if score.scheduled_samples_per_s is not None:
        yield "", Text(f"scheduled: {figure(score.scheduled_samples_per_s)} samples/s", style="dim")


def _latencies(score: Score, rules: Rules) -> Table:
    """One row a latency, beside it its limit."""
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" Latency, ms"), no_wrap=True, min_width=LABEL_WIDTH)
    for name in (*_PERCENTILES.values(), "max"):
        table.add_column(name, justify="right", no_wrap=True)
    limited = rules.percentile is not None and any((rules.ttft_ms, rules.tpot_ms, rules.latency_ms))
    if limited and rules.percentile is not None:
        table.add_column(f"limit p{rules.percentile * 100:g}", justify="right", no_wrap=True)
    rows = (
        ("TTFT", score.ttft, rules.ttft_ms), ("TPOT", score.tpot, rules.tpot_ms),
        ("Latency", score.latency, rules.latency_ms), ("of a query", score.query_latency, None),
    )  # fmt: skip
    for name, block, limit_ms in rows:
        if block is not None or limit_ms is not None:
            limits = [Text("" if limit_ms is None else f"< {limit_ms:,g}")] if limited else []
            table.add_row(Text(f" {name}", style="bold"), *_cells(block, limit_ms, rules), *limits)
    return table


def _cells(block: Block | None, limit_ms: float | None, rules: Rules) -> list[Text]:
    if block is None:
        return [Text(MISSING, style="dim") for _ in (*_PERCENTILES, "max")]
    judged = None if rules.percentile is None else f"{rules.percentile * 100:.2f}"
    cells = []
    for name in _PERCENTILES:
        value_ms = block.percentiles_ns[name] / 1e6
        held = limit_ms if name == judged else None
        late = held is not None and value_ms >= held
        cells.append(Text(figure_beside(value_ms, held).replace(",", ""), style="red" if late else "cyan"))
    return [*cells, Text(figure(block.max_ns / 1e6, grouped=False))]


def _proofs(found: Outcome) -> Iterator[Line]:
    for i, test in enumerate(found.score.early_stopping):
        yield ("" if i else "Early stop"), Text(_proof(test), style="" if test.met else "red")


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


def _how(found: Outcome) -> Iterator[Line]:
    plan, endpoint = found.plan, found.plan.spec.endpoint
    for i, words in enumerate(plan.history):
        yield ("" if i else "Before"), plain(words, _SAYS)
    yield "Data set", plain(f"{plan.dataset} · sha256 {plan.dataset_sha256[:16]}")
    model = endpoint.model or "(the server's first)"
    yield "Target", plain(f"{endpoint.url} · {endpoint.api} · model {model}")
    yield "Run", plain(f"{found.started_at} · loadcell {found.loadcell} · loads and times as LoadGen's, without it")


def _next(found: Outcome, folder: Path) -> Iterator[str]:
    """Where it lies, and what can be done with it."""
    yield f"Recorded in {folder}; the client's own report: loadcell report {folder / 'performance'}"
    if found.state != "complete":
        return
    if not (folder / "accuracy.json").exists():
        data = "" if found.plan.look_alike else " [--dataset PATH]"
        yield f"Accuracy: loadcell mlperf run {folder} --resume --accuracy{data}"
    yield f"Check: loadcell mlperf check {folder} · export: loadcell mlperf export {folder} --format endpoints"


# --- a run of LoadGen ------------------------------------------------------------------------------------------------


def driven_lines(driven: Driven, folder: Path) -> Iterator[str]:
    """What is said of a run that the genuine LoadGen made."""
    rules = driven.plan.rules
    smaller = " (smaller than the rules ask: not comparable)" if driven.plan.quick else ""
    yield f"MLPerf-style {rules.benchmark} {rules.scenario}, {rules.round}, {driven.mode} - {UNVERIFIED}{smaller}"
    yield f"load by the genuine LoadGen {driven.loadgen}, system under test: loadcell {driven.loadcell}"
    yield ""
    yield f"{driven.verdict}"
    for finding in driven.findings:
        yield f"  {'ok ' if finding.ok else 'BAD'} {finding.says}"
        if finding.advice:
            yield f"      {finding.advice}"
    yield from _at_sockets(driven)
    if driven.delays:
        yield ""
        yield "What our side added to LoadGen's latencies (us)    p50      p99      max"
        for name, delay in driven.delays.items():
            yield f"  {name:<44}{delay.p50_us:>8,.0f} {delay.p99_us:>8,.0f} {delay.max_us:>8,.0f}"
    if driven.id_sources:
        shown = ", ".join(f"{count:,} by the {_WHOSE[whose]}" for whose, count in driven.id_sources.items())
        yield ""
        yield f"token ids in mlperf_log_accuracy.json: {shown.format(driven.tokenizer)}"
    yield ""
    yield f"{folder}/mlperf_log_summary.txt is LoadGen's own word; loadcell.json is ours."
    yield f"next: loadcell mlperf check {folder}"
    yield ""
    yield driven.footnote


_WHOSE = {
    "server": "server",
    "tokenizer": "tokenizer {} from the text, which is inexact",
    "none": "nobody: they are empty",
}


def _at_sockets(driven: Driven) -> Iterator[str]:
    """The same run at the sockets."""
    score = driven.score
    if score is None or score.headline is None:
        return
    yield ""
    yield f"at the sockets: {score.headline:,.6g} {score.headline_unit} ({score.headline_name})"
    for name, found in (("TTFT", score.ttft), ("TPOT", score.tpot), ("latency", score.latency)):
        if found is not None:
            p50, p99 = (found.percentiles_ns[key] / 1e6 for key in ("50.00", "99.00"))
            yield f"  {name:<8} p50 {p50:,.2f} ms, p99 {p99:,.2f} ms"

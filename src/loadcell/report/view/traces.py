"""What a trace holds, and which come with the package. In English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadcell.grammar import one
from loadcell.report.text import figure, percent, sentence
from loadcell.report.view.blocks import Block, Cell, Column, Command, Fact, Facts, Note, Section, Table, fact, figured
from loadcell.traces.anonymize import Disclosure
from loadcell.traces.describe import Arrivals, Description, SessionFigures, Sharing, Spread
from loadcell.traces.model import Change
from loadcell.traces.named import Named


def named_sections(traces: Mapping[str, Named]) -> list[Section]:
    """The packaged traces."""
    rows: list[Fact] = []
    for name, each in traces.items():
        span = [] if each.span_s is None else [duration(each.span_s)]
        rate = [] if each.rate is None else [f"{figure(each.rate, 3)} requests/s"]
        rows += [fact(name, f"{each.requests:,} requests", *span, *rate, each.licence), fact("", each.about)]
    blocks: list[Block] = [
        Facts(rows),
        Command("What one holds", "loadcell trace describe azure-code"),
        Command("Or a file", "loadcell trace describe FILE"),
    ]
    return [Section("traces", "", blocks)]


def description_sections(found: Description) -> list[Section]:
    """The figures of a trace."""
    rows: list[Fact] = [fact("Trace", found.name, f"format {found.kind}", one(f"{found.requests:,} requests"))]
    rows += [fact("Source", found.source)] if found.source else []
    rows += _arrivals(found.arrivals, found.requests) if found.arrivals else [fact("Times", "none: lengths alone")]
    rows += _sessions(found.sessions) if found.sessions else []
    rows += _sharing(found.sharing) if found.sharing else []
    sizes = {"input tokens": found.input_tokens, "output tokens": found.output_tokens}
    if found.sessions:
        sizes["turns of a session"] = found.sessions.turns
        if found.sessions.delay_s:
            sizes["delay before a turn, s"] = found.sessions.delay_s
    below = [] if found.correlation is None else [f"Correlation of input and output: {found.correlation:.2f}"]
    columns = [Column("", "left"), *map(Column, ("mean", "p50", "p99", "max"))]
    blocks: list[Block] = [Facts(rows), Table(columns, [_sized(*each) for each in sizes.items()], below)]
    blocks += [Note([sentence(words) for words in found.changes])] if found.changes else []
    return [Section("trace", "", blocks)]


def duration(seconds: float) -> str:
    """As a person says it: 57 min, 24 h."""
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{figure(seconds / size, 3)} {unit}"
    return f"{figure(seconds, 3)} s"


def _arrivals(found: Arrivals, requests: int) -> list[Fact]:
    rate = [] if found.rate is None else [f"{figure(found.rate, 3)} requests/s on average"]
    own = [f"{found.requests:,} that wait for no other"] if found.requests < requests else []
    rows = [fact("Arrivals", *own, duration(found.span_s), *rate)]
    if found.gap_cv is not None:
        silence = f"longest silence {duration(found.longest_silence_s or 0.0)}"
        rows.append(fact("Gaps", f"CV {figure(found.gap_cv, 3)}", f"{percent(found.together)} within 10 ms", silence))
    if shown := _by_width(found.dispersion):
        rows.append(fact("Dispersion", *shown, "a Poisson process has 1"))
    if shown := _by_width(found.peak_over_mean):
        rows.append(fact("Peak over mean", *shown))
    if found.bin_s is not None:
        rows.append(fact("Quantised", f"times come in steps of {found.bin_s:g} s: gaps and bursts below that are none"))
    return rows


def _by_width(found: Mapping[str, float | None]) -> Sequence[str]:
    return [f"{figure(value, 3)} at {width} s" for width, value in found.items() if value is not None]


def _sessions(found: SessionFigures) -> list[Fact]:
    joins = [f"{found.joins:,} for several"] if found.joins else []
    return [fact("Sessions", f"{found.sessions:,}", one(f"{found.waiting:,} requests wait for a reply"), *joins)]


def _sharing(found: Sharing) -> list[Fact]:
    hits = f"{percent(found.hit_share)} of them cached by a prefix cache without bounds"
    return [
        fact("Sharing", f"{found.blocks:,} blocks of {found.block_tokens} tokens", f"{found.distinct:,} distinct", hits)
    ]


def _sized(name: str, found: Spread) -> list[Cell]:
    return [Cell(name), *(figured(figure(value)) for value in (found.mean, found.p50, found.p99, found.max))]


def disclosure_sections(found: Disclosure, changes: Sequence[Change], path: str) -> list[Section]:
    """What an anonymized trace still gives away."""
    lines = [
        "The trace holds no text, name or id. It still gives away:",
        *(f"- {line}" for line in _given_away(found)),
    ]
    facts = Facts([fact("Trace", path, one(f"{found.requests:,} requests"))])
    blocks: list[Block] = [facts, Note([*(sentence(change.words) for change in changes)]), Note(lines)]
    return [Section("anonymized", "", [block for block in blocks if not isinstance(block, Note) or block.lines])]


def _given_away(found: Disclosure) -> list[str]:
    exact = "as exactly as the log has them: --round-s 1 blurs them"
    step = exact if found.step_s is None else f"to {found.step_s:g} s"
    unique = f"{found.unique_lengths:,} of {found.requests:,} requests have an input and output length of their own"
    lines = [
        f"when requests came, since the first, {step}; who has a log of the same traffic can find it again",
        f"lengths: {unique}",
    ]
    if found.sharing:
        lines.append(f"which prompts begin alike, and for how long: {found.sharing:,} begin like an earlier one")
    if found.sessions:
        own = f"{found.unique_turns:,} of them with a number of turns of its own"
        lines.append(one(f"which requests belong together: {found.sessions:,} sessions, {own}"))
    if found.hashed:
        lines.append("blocks by their keyed hashes: who has the key can try whether a text was among the prompts")
    return lines

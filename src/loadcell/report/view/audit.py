"""What an audit says: a tool's figures beside the truth, or the tools of a field beside each other. In English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from loadcell.audit.model import Audit, Audited, Faults, Load, Off
from loadcell.report.text import MISSING, figure
from loadcell.report.view.blocks import Block, Cell, Column, Fact, Facts, Section, Table, Tone, fact, figured

_METRICS = {
    "ttft": "TTFT", "itl": "ITL", "tpot": "TPOT", "e2e": "E2E", "requests_per_s": "Requests/s",
    "output_tokens_per_s": "Tokens/s",
}  # fmt: skip
_LATENCIES = ("ttft", "itl", "tpot", "e2e")
_FAULTS = {"http_500": "HTTP 500", "cut": "cut connection", "error_event": "error event", "short": "stream without end"}
_TIMES = "\N{MULTIPLICATION SIGN}"
_BIAS = (
    "Off: reported less true. The truth is the engine's own, of the same requests: from the kernel's receive time of a "
    "request to just before each send; percentiles by linear interpolation; rates from the first arrival to the last "
    "end."
)
_FIELD = (
    "Off: reported less true, at p50 and below at p99, in ms; of tokens/s in % of the truth. The truth is the engine's "
    "own, of the same requests. Missed: requests that met a fault and are not among those that the tool counts as "
    "failed, of all that met one. CPU: of all processes of the command, start-up and report included, over the tokens "
    "sent. Wall: from start to exit; below, until the first request."
)


def audit_sections(audit: Audit, *, whole: bool = False) -> list[Section]:
    """One tool with every figure, or several beside each other and what there is to say of each; `whole` with every
    figure of those, too."""
    if len(audit.tools) == 1 and not audit.missing:
        tool = audit.tools[0]
        rows = [*_facts(tool, audit.ours), *_loads(audit.load), _machine(audit)]
        blocks: list[Block] = [*_known_figures(tool, audit.ours), Facts(rows)]
        return [Section("audit", _title(tool), blocks, headed=True)]
    each = [*audit.tools, *([audit.ours] if audit.ours else [])]
    return [field_section(audit), *(_section(tool, whole) for tool in each)]


def _section(tool: Audited, whole: bool) -> Section:
    figures = _known_figures(tool, None) if whole else []
    return Section(tool.name, _title(tool), [*figures, Facts(list(_facts(tool, None)))], headed=True)


def _known_figures(tool: Audited, ours: Audited | None) -> list[Block]:
    """Every figure, where the truth at least is known."""
    return [_figures(tool, ours)] if any(one.true is not None for one in tool.bias) else []


def field_section(audit: Audit) -> Section:
    """A row a tool; Loadcell last."""
    columns = [
        Column("Tool", "left"), Column("", "left"),
        *(Column(_METRICS[metric], under="ms") for metric in _LATENCIES),
        Column("Tok/s", under="%"), Column("Faults", under="missed"), Column("CPU", under="µs/tok"),
        Column("Wall s", under="first"),
    ]  # fmt: skip
    rows = [list(_row(tool)) for tool in (*audit.tools, *([audit.ours] if audit.ours else []))]
    facts = Facts([*_loads(audit.load), _machine(audit), *(_left_out(audit.missing))])
    return Section("field", "The field", [Table(columns, rows, [_FIELD], stacked=True), facts], headed=True)


def recipes_section(known: Mapping[str, tuple[str, str, Sequence[Sequence[str]], str]]) -> Section:
    """The tools that are known, by name: title, version, what pip installs, command."""
    rows: list[Fact] = []
    for name, (title, version, installs, command) in known.items():
        rows.append(fact(name, f"{title} {version}"))
        rows.extend(("", [Cell(f"pip install {' '.join(words)}", kind="code")]) for words in installs)
        rows.append(("", [Cell(command, kind="code", tone="dim")]))
    return Section("recipes", "Known tools", [Facts(rows)])


# --- one tool ---------------------------------------------------------------------------------------------------------


def _title(tool: Audited) -> str:
    return f"{tool.title} {tool.version or ''}".strip()


def _figures(tool: Audited, ours: Audited | None) -> Table:
    beside = {(one.metric, one.stat): one for one in ours.bias} if ours else {}
    columns = [Column("", "left"), *map(Column, ("Reported", "True", "Off", "Off %"))]
    if ours:
        columns += [Column("Ours off"), Column("Ours %")]
    rows = []
    for one in tool.bias:
        mine = beside.get((one.metric, one.stat))
        rows.append([
            Cell(f"{_METRICS[one.metric]} {one.stat or ''}".strip(), label=""),
            figured(figure(one.reported, 5), unit="" if one.reported is None else one.unit if one.unit == "ms" else "",
                    tone="dim" if one.from_rows else ""),
            figured(figure(one.true, 5)), *_offs(one), *(_offs(mine) if mine else []),
        ])  # fmt: skip
    below = [_BIAS]
    if any(one.from_rows for one in tool.bias):
        below.append("Dim: the tool does not state it; it is of the times of requests that it wrote.")
    return Table(columns, rows, below)


def _offs(one: Off) -> list[Cell]:
    return [figured(_signed(one.off, _digits(one.off))), figured(_percent(one.share))]


def _facts(tool: Audited, ours: Audited | None) -> Iterator[Fact]:
    yield from _problems(tool)
    if seen := tool.seen:
        yield fact("Seen", f"{_many(seen.arrived, 'request')} on {_many(seen.connections, 'connection')}",
                   f"at most {seen.most_at_once:,} at once",
                   f"first after {figure(seen.first_request_s, 3)} s")  # fmt: skip
        yield fact("Truth of", f"{_many(seen.measured, 'request')}: {seen.rule}")
    if tool.ok is not None or tool.failed is not None:
        yield fact("Counted", f"{_number(tool.ok)} ok", f"{_number(tool.failed)} failed, by the tool")
    yield from _cost(tool, ours)
    if tool.faults:
        yield from _faults("Faults", tool.faults)
        if ours and ours.faults:
            yield fact("", f"Loadcell: {_unnoticed(ours.faults)} missed")
    for note in tool.notes:
        yield fact("Note", note)


def _cost(tool: Audited, ours: Audited | None) -> Iterator[Fact]:
    if tool.cost is None:
        return
    yield fact("Cost", *_costs(tool))
    if ours and ours.cost:
        yield fact("", f"Loadcell: {', '.join(_costs(ours))}")


def _costs(tool: Audited) -> Iterator[str]:
    if tool.cost:
        yield f"CPU {figure(tool.cost.cpu_us_per_token, 3)} µs a token ({figure(tool.cost.cpu_s, 3)} s)"
        yield f"wall {figure(tool.cost.wall_s, 3)} s"


def _faults(label: str, faults: Faults) -> Iterator[Fact]:
    met = ", ".join(f"{number} {_FAULTS[kind]}" for kind, number in faults.injected.items())
    yield fact(label, f"of {faults.requests} requests met: {met}")
    if faults.failed is not None:
        told = f"the tool counts {faults.failed} as failed, {_number(faults.ok)} as ok"
        by = [_FAULTS[kind] for kind in faults.noticed or ()]
        yield fact("", told, *([f"that is every {' and '.join(by)}, by the numbers"] if by else []))
        if faults.unnoticed is not None:
            said = f"{_unnoticed(faults)} missed"
            if faults.unnoticed < 0:
                said = f"it counts {-faults.unnoticed} more as failed than met a fault"
            yield "", [Cell(said, tone=_tone(faults.unnoticed))]
    if faults.says:
        yield "", [Cell(faults.says, tone="care")]


def _tone(unnoticed: int) -> Tone:
    return "bad" if unnoticed > 0 else "care" if unnoticed < 0 else "good"


def _unnoticed(faults: Faults | None) -> str:
    if faults is None or faults.unnoticed is None:
        return MISSING
    return f"{faults.unnoticed} of {sum(faults.injected.values())}"


def _problems(tool: Audited) -> Iterator[Fact]:
    for i, problem in enumerate(tool.problems):
        yield ("" if i else "Problem", [Cell(problem, tone="bad")])


def _loads(load: Load) -> Iterator[Fact]:
    yield fact(
        "Load",
        f"{load.concurrency} streams {_TIMES} {load.output_tokens} tokens",
        f"{load.requests:,} requests of {load.input_tokens} input tokens",
        f"TTFT {load.ttft_ms:g} ms, ITL {load.itl_ms:g} ms",
    )


def _machine(audit: Audit) -> Fact:
    machine = audit.machine
    parts = [
        audit.measured_at, str(machine.get("cpu") or "unknown CPU"),
        f"{machine.get('cores_allowed') or '?'} cores, one of them the engine's", str(machine.get("system")),
        f"Python {machine.get('python')}", f"load average at the end {machine.get('load_average')}",
        f"loadcell {audit.loadcell}",
    ]  # fmt: skip
    return "Measured", [Cell(part, tone="dim") for part in parts]


# --- several ----------------------------------------------------------------------------------------------------------


def _row(tool: Audited) -> Iterator[Cell]:
    off = {(one.metric, one.stat): one for one in tool.bias}
    yield Cell(tool.name, under=tool.version or "")
    yield Cell("p50", tone="dim", under="p99")
    for metric in _LATENCIES:
        p50, p99 = off.get((metric, "p50")), off.get((metric, "p99"))
        yield figured(_ms(p50), under=_ms(p99))
    rate = off.get(("output_tokens_per_s", None))
    yield figured(_percent(rate.share if rate else None))
    unnoticed = tool.faults.unnoticed if tool.faults else None
    of = f"of {sum(tool.faults.injected.values())}" if tool.faults else ""
    yield figured(_number(unnoticed), under=of, tone="" if unnoticed is None else _tone(unnoticed))
    yield figured(figure(tool.cost.cpu_us_per_token, 3) if tool.cost else MISSING)
    first = figure(tool.seen.first_request_s, 3) if tool.seen else MISSING
    yield figured(figure(tool.cost.wall_s, 3) if tool.cost else MISSING, under=first)


def _left_out(missing: Mapping[str, str]) -> Iterator[Fact]:
    for i, (name, why) in enumerate(missing.items()):
        yield fact("" if i else "Left out", f"{name}: {why}")


# --- figures ----------------------------------------------------------------------------------------------------------


def _ms(one: Off | None) -> str:
    return MISSING if one is None else _signed(one.off, _digits(one.off))


def _digits(value: float | None) -> int:
    return 2 if value is None or abs(value) < 10 else 1 if abs(value) < 1000 else 0


def _percent(share: float | None) -> str:
    return _signed(None if share is None else 100 * share, 2 if share is None or abs(share) < 1 else 0)


def _signed(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{round(value, digits) or 0.0:+.{digits}f}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _number(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"

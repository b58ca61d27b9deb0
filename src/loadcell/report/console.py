"""A Result on the console: loud first what spoils it, then what was measured, how it went, and how it was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadcell.metrics import GLOSSARY, Estimate, Latency, Limit, Result, Spread, Summary
from loadcell.report.text import MISSING, accounts, figure, percent, plain, share_with_interval

_PERCENTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}
_LABEL_WIDTH = 13
_WIDE_INTERVAL = 9
"""Characters of an interval that fit a column at 80; a longer one is broken at its dash."""
_DASH, _TIMES = "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"


def print_result(result: Result, console: Console) -> None:
    """Print the Result."""
    console.print(render(result))


def render(result: Result) -> RenderableType:
    """The Result for a terminal of 80 columns or more; plain text where there is no terminal."""
    blocks: list[RenderableType] = []
    if result.invalid or result.run.state != "complete":
        blocks.append(_section(_warnings(result)))
    blocks += [
        _section(_measured(result)),
        _latency_table(result),
        Padding(Text(_latency_note(result), style="dim"), (0, 0, 0, 1)),
        _section(_figures(result)),
    ]
    if result.errors or result.notes:
        blocks.append(_section([*_errors(result), *_notes(result)]))
    blocks.append(_section(_methodology(result), style="dim"))
    return Group(*(part for block in blocks for part in (block, Text())))


Line = tuple[str, str | Text]


def _section(lines: Iterator[Line] | list[Line], style: str = "") -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=_LABEL_WIDTH, style="bold", no_wrap=True)
    grid.add_column(overflow="fold", style=style)
    for label, text in lines:
        grid.add_row(Text(f" {label}"), text if isinstance(text, Text) else Text(text))
    return grid


def _warnings(result: Result) -> Iterator[Line]:
    for reason in result.invalid:
        yield "", Text.assemble((" INVALID ", "bold white on red"), f" {plain(reason)}")
    if result.run.state != "complete":
        state = {"running": "NO END"}.get(result.run.state, result.run.state.upper())
        yield "", Text.assemble((f" {state} ", "bold black on yellow"), " these figures are of a part of the run")


def _measured(result: Result) -> Iterator[Line]:
    method, spec, effective = result.methodology, result.methodology.spec, result.methodology.effective
    endpoint, workload = spec["endpoint"], spec["workload"]
    model = effective.get("model") or endpoint["model"] or "(the server's first)"
    streamed = "streamed" if endpoint["stream"] else "not streamed"
    yield "Target", plain(f"{endpoint['url']} · {endpoint['api']}, {streamed} · model {model}")
    yield "Load", _load(method.loop, spec["load"])
    source = f"prompts of {workload['prompts']}" if workload["prompts"] else f"{workload['input_tokens']} tokens in"
    yield "Workload", plain(f"{source}, {workload['output_tokens']} tokens out · counted by {method.tokenizer}")
    window = method.window
    yield "Window", f"{figure(window.start_s)} to {figure(window.end_s)} s, {window.reason}"
    run, inside = result.counts.run, result.counts.window
    yield "Requests", Text(accounts(run), style="" if run.ok == run.planned else "yellow")
    if inside != run:
        yield "In window", accounts(inside)


def _load(loop: str, load: dict[str, Any]) -> str:
    users = load["concurrency"]
    if loop == "open":
        parts = [f"open loop, {load['rate'] or 0:g} requests/s, {load['arrivals']}"]
        parts += [f"at most {users:,} in flight"] if users else []
    else:
        parts = [f"closed loop, {users or 1:,} user{'s' if users and users > 1 else ''}"]
    parts += [f"{load['requests']:,} requests"] if load["requests"] else []
    parts += [f"{load['duration_s']:g} s"] if load["duration_s"] else []
    return " · ".join(parts)


# --- latency ---------------------------------------------------------------------------------------------------------


def _latency_table(result: Result) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), pad_edge=False, header_style="bold")
    table.add_column(Text(" Latency, ms"), no_wrap=True, min_width=_LABEL_WIDTH)
    for title in (*_PERCENTILES.values(), "max"):
        table.add_column(title, justify="right", overflow="fold")
    for title, summary in _latency_rows(result.latency):
        cells = [_cell(getattr(summary, name)) for name in _PERCENTILES]
        label = Text.assemble((f" {title}", "bold"), (f"\n n={summary.n:,}", "dim"))
        table.add_row(label, *cells, Text(figure(summary.max, grouped=False)))
    return table


def _latency_rows(latency: dict[str, Latency]) -> Iterator[tuple[str, Summary]]:
    same = latency["ttft_ms"].service == latency["ttfa_ms"].service
    for name in ("ttft_ms", "ttfa_ms", "itl_ms", "tpot_ms", "e2e_ms"):
        entry = latency[name]
        if name == "ttfa_ms" and same:
            continue
        if entry.response is None:
            yield entry.title, entry.service
        else:
            yield f"{entry.title} response", entry.response
            yield f"{entry.title} service", entry.service


def _cell(estimate: Estimate) -> Text:
    if estimate.value is None:
        return Text.assemble((MISSING, "dim"), (f"\nn<{estimate.needs:,}" if estimate.needs else "", "dim"))
    return Text.assemble((figure(estimate.value, grouped=False), "cyan"), (f"\n{_interval(estimate)}", "dim"))


def _interval(estimate: Estimate) -> str:
    low, high = (None if end is None else figure(end, 3, grouped=False) for end in (estimate.low, estimate.high))
    if high is None:
        return MISSING if low is None else f"≥{low}"
    if low is None:
        return f"≤{high}"
    text = f"{low}{_DASH}{high}"
    return text if len(text) <= _WIDE_INTERVAL else f"{low}{_DASH}\n{high}"


def _latency_note(result: Result) -> str:
    anchor = (
        "Response time starts at the planned time, service time at the actual send."
        if result.methodology.loop == "open"
        else "Service time, from the actual send: a closed loop cannot show the queueing that it prevents."
    )
    itl = result.latency["itl_ms"].service
    bare = any(e.value is not None and e.high is None for e in (getattr(itl, name) for name in _PERCENTILES))
    few = " An interval of ITL needs as many requests." if bare else ""
    return f"{anchor} Below each figure: its 95 % interval, or the samples that it needs.{few}"


# --- figures ---------------------------------------------------------------------------------------------------------


def _figures(result: Result) -> Iterator[Line]:
    rates = result.throughput
    yield (
        "Throughput",
        f"{figure(rates.requests_per_s)} requests/s · {figure(rates.output_tokens_per_s)} output tokens/s · "
        f"{figure(rates.input_tokens_per_s)} input tokens/s",
    )
    yield "Per user", _per_user(result)
    if result.goodput is not None:
        good = result.goodput
        yield (
            "Goodput",
            f"{figure(good.goodput_per_s)} requests/s · {share_with_interval(good.attainment)} of {good.planned:,} "
            f"planned requests kept to every limit ({good.anchor} time)",
        )
        for name, limit in good.limits.items():
            yield "", _limit(name, limit)
    yield "Concurrency", _concurrency(result)
    yield "Instrument", _instrument(result)


def _per_user(result: Result) -> str:
    rate = result.throughput.user_tokens_per_s
    chunks = result.throughput.chunks_per_token
    reached = " · ".join(
        f"{figure(rate[name].value, 3)} tokens/s or more for {share}"
        for name, share in (("p50", "50 %"), ("p90", "90 %"), ("p99", "99 %"))
        if rate[name].value is not None
    )
    return f"{reached or MISSING}{'' if chunks is None else f' · {figure(chunks, 3)} chunks per token'}"


def _limit(name: str, limit: Limit) -> str:
    title = GLOSSARY[name.removesuffix("_ms")].title
    return f"{title} ≤ {limit.limit_ms:,g} ms: {limit.note or share_with_interval(limit.attainment)}"


def _concurrency(result: Result) -> str:
    flight = result.concurrency
    parts = [] if flight.asked is None else [f"asked {flight.asked:,}"]
    if flight.mean is None:
        parts.append("mean n/a: nothing was sent between ramp and drain")
    else:
        share = (
            f" ({percent(flight.mean / flight.asked)})" if flight.asked and result.methodology.loop != "open" else ""
        )
        parts.append(
            f"mean {figure(flight.mean)}{share} from {figure(flight.mean_from_s, 3)} to {figure(flight.mean_to_s, 3)} s"
        )
    return " · ".join([*parts, f"max {flight.max:,}"])


def _instrument(result: Result) -> str:
    audit = result.instrument
    parts = [
        f"clock {audit.clock}",
        f"read lag {_spread(audit.read_lag)}",
        f"sent late by {_spread(audit.send_lateness)}",
        f"merged reads {percent(audit.merged_share)}, by the client {percent(audit.merged_by_client_share)}",
    ]
    if audit.reads_without_stamp:
        parts.append(f"{audit.reads_without_stamp:,} reads stamped by the client's clock")
    turns = [worker.longest_turn_ms for worker in audit.workers if worker.longest_turn_ms is not None]
    if turns:
        parts.append(f"longest turn {figure(max(turns), 3)} ms")
    if audit.cpu_us_per_token is not None:
        parts.append(f"{figure(audit.cpu_us_per_token, 3)} µs CPU a token")
    return " · ".join(parts)


def _spread(spread: Spread) -> str:
    """The 99th percentile, or the maximum where there are too few samples for it."""
    name, value = ("p99", spread.p99_ms) if spread.p99_ms is not None else ("max", spread.max_ms)
    return MISSING if value is None else f"{name} {figure(value, 3)} ms"


# --- what went wrong, and how it was done ----------------------------------------------------------------------------


def _errors(result: Result) -> Iterator[Line]:
    for i, failure in enumerate(result.errors):
        text = Text.assemble((f"{failure.count:,} {_TIMES} {failure.kind}", "red"))
        if failure.sample:
            text.append(f': "{plain(failure.sample)}"')
        if failure.advice:
            text.append(f"\n→ {failure.advice}")
        yield ("" if i else "Errors"), text


def _notes(result: Result) -> Iterator[Line]:
    for i, note in enumerate(result.notes):
        yield ("" if i else "Notes"), plain(note)


def _methodology(result: Result) -> Iterator[Line]:
    method = result.methodology
    for i, (section, values) in enumerate(method.spec.items()):
        settings = " ".join(f"{key}={_setting(value)}" for key, value in values.items())
        yield ("" if i else "Method"), plain(f"{section}: {settings}", limit=600)
    if method.effective:
        settings = " ".join(f"{key}={_setting(value)}" for key, value in method.effective.items())
        yield "", plain(f"effective: {settings}", limit=600)
    yield (
        "",
        f"output tokens from: {_sources(method.token_source)} · prompt tokens from: "
        + _sources(method.prompt_token_source),
    )
    yield "", f"percentile: {method.percentile}"
    yield "", f"interval: {method.interval}"
    run = result.run
    yield (
        "Run",
        plain(
            f"{run.id} · {run.started_at} · seed {method.seed} · schedule {method.schedule_hash[:16]} · "
            f"recorded by loadcell {run.loadcell}, computed by {result.loadcell}"
        ),
    )


def _setting(value: Any) -> str:
    if value is None or value == {} or value == "":
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _sources(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items()) or "none"

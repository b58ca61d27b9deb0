"""A Result on the console: what spoils it, what was measured, how it went, how it was done, and the verdict last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from loadcell.metrics import GLOSSARY, Limit, Result
from loadcell.metrics.checks_window import cold_says
from loadcell.report.audit import (
    WORD_STYLE,
    audit_lines,
    calibration_line,
    delivery_lines,
    instrument_line,
    verdict_line,
)
from loadcell.report.budget import budget_lines
from loadcell.report.latencies import latency_note, latency_table
from loadcell.report.lines import Line, section
from loadcell.report.observed import observed_lines
from loadcell.report.server import server_lines
from loadcell.report.text import (
    MISSING,
    accounts,
    between,
    beyond,
    ended_by,
    figure,
    percent,
    plain,
    share_with_interval,
)
from loadcell.report.timeline import timeline

_TIMES = "\N{MULTIPLICATION SIGN}"
_NARROW = 80


def print_result(result: Result, console: Console, folder: object = None) -> None:
    """Print the Result; `folder` names where its recording lies."""
    console.print(render(result, console.width))
    if folder is not None:  # unbroken, so that it can be copied
        again = f" Recorded in {folder}; to see it again: loadcell report {folder}\n"
        console.print(again, soft_wrap=True, markup=False, highlight=False)
    console.print(Padding(verdict_line(result.verdict), (0, 0, 0, 1)))


def render(result: Result, width: int = _NARROW) -> RenderableType:
    """The Result but for its verdict, for a terminal of 80 columns or more; plain text where there is no terminal."""
    blocks: list[RenderableType] = []
    if result.invalid or result.run.state != "complete":
        blocks.append(section(warning_lines(result)))
    blocks.append(section(_measured(result)))
    if result.concurrency.series:
        blocks.append(Text("\n".join(f" {line}" for line in timeline(result, max(width, _NARROW) - 2)), style="dim"))
    blocks += [
        latency_table(result),
        Padding(Text(latency_note(result), style="dim"), (0, 0, 0, 1)),
        section(_figures(result)),
    ]
    if beside := list(observed_lines(result)):
        blocks.append(section(beside))
    blocks.append(section(_instrument(result)))
    if result.errors or result.notes:
        blocks.append(section([*error_lines(result), *_notes(result)]))
    blocks.append(section([*_methodology(result), *_run(result)], style="dim"))
    return Group(*(part for block in blocks for part in (block, Text())))


def warning_lines(result: Result) -> Iterator[Line]:
    """What must be known before any figure is read."""
    for reason in result.invalid:
        yield "", Text.assemble((" INVALID ", WORD_STYLE["INVALID"]), f" {plain(reason)}")
    if result.run.state != "complete":
        state = {"running": "NO END"}.get(result.run.state, result.run.state.upper())
        says = next(iter(result.notes), "these figures are of a part of the run")  # how it ended comes first
        yield "", Text.assemble((f" {state} ", WORD_STYLE["SUSPECT"]), f" {plain(says)}")


def _measured(result: Result) -> Iterator[Line]:
    method = result.methodology
    yield "Target", target_words(result)
    yield "Load", load_words(method.loop, method.spec["load"], method.effective)
    yield "Workload", plain(f"{workload_words(result)} · counted by {method.tokenizer}")
    window = method.window
    yield "Window", f"{figure(window.start_s)} to {figure(window.end_s)} s, {window.reason}"
    if result.run.stopped is not None:
        stopped = result.run.stopped
        left = "; what was in flight was given up" if stopped.cancelled else ""
        yield "Ended early", Text(plain(f"after {figure(stopped.at_s, 3)} s: {stopped.reason}{left}"), style="yellow")
    if result.steady.says:
        yield "Steady state", Text(plain(result.steady.says), style="yellow" if result.steady.stable is False else "")
    if result.steady.cold_start is not None:
        yield "Cold start", Text(cold_says(result.steady.cold_start), style="yellow")
    run, inside = result.counts.run, result.counts.window
    yield "Requests", Text(accounts(run), style="" if run.ok == run.planned else "yellow")
    if ended := ended_by(result.replies):
        yield "", ended
    if inside != run:
        yield "In window", accounts(inside)
    if result.counts.beyond:
        yield "Beyond", beyond(result.counts)


def target_words(result: Result) -> str:
    """Which server, API and model were measured."""
    method, endpoint = result.methodology, result.methodology.spec["endpoint"]
    model = method.effective.get("model") or endpoint["model"] or "(the server's first)"
    streamed = "streamed" if endpoint["stream"] else "not streamed"
    return plain(f"{endpoint['url']} · {endpoint['api']}, {streamed} · model {model}")


def workload_words(result: Result) -> str:
    """What was asked of the model."""
    workload = result.methodology.spec["workload"]
    source = f"prompts of {workload['prompts']}" if workload["prompts"] else f"{workload['input_tokens']} tokens in"
    return f"{source}, {workload['output_tokens']} tokens out"


def load_words(loop: str, load: dict[str, Any], effective: dict[str, Any]) -> str:
    """How much was asked, and for how long."""
    users = load["concurrency"]
    if loop == "open":
        parts = [f"open loop, {load['rate'] or 0:g} requests/s, {load['arrivals']}"]
        parts += [f"at most {users:,} in flight"] if users else []
    else:
        parts = [f"closed loop, {users or 1:,} user{'s' if users and users > 1 else ''}"]
    parts += [f"{load['requests']:,} requests"] if load["requests"] else []
    parts += [f"{load['duration_s']:g} s"] if load["duration_s"] else []
    own_s = None if load["duration_s"] or load["requests"] else effective.get("duration_s")
    parts += [f"{own_s:.4g} s (ended by itself, {load['duration_most_s']:g} s at most)"] if own_s else []
    return " · ".join(parts)


# --- figures ---------------------------------------------------------------------------------------------------------


def _figures(result: Result) -> Iterator[Line]:
    rates = result.throughput
    yield (
        "Throughput",
        f"{figure(rates.requests_per_s)} requests/s{between(rates.requests_interval)} · "
        f"{figure(rates.output_tokens_per_s)} output tokens/s{between(rates.output_tokens_interval)} · "
        f"{figure(rates.input_tokens_per_s)} input tokens/s",
    )
    yield "Per user", _per_user(result)
    if (gap := result.token_gap) is not None:  # beside ITL, which here is the time between groups of tokens
        yield (
            "Per token",
            f"p50 {figure(gap.p50_ms, 3)} ms, p99 {figure(gap.p99_ms, 3)} ms: ITL over the tokens of its event",
        )
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
    yield from _whole_run(result)
    yield from _run_rates(result)
    if result.bottleneck is not None:
        yield "Bottleneck", plain(result.bottleneck)
    yield from server_lines(result)


def _whole_run(result: Result) -> Iterator[Line]:
    """The main figures with warm-up and drain, so that nobody needs to wonder what the window does."""
    whole = result.whole_run
    if whole is None:
        return
    parts = []
    for name in ("ttft_ms", "tpot_ms", "e2e_ms"):
        latency = whole.latency[name]
        summary = latency.response or latency.service
        found = (("p50", summary.p50.value), ("p99", summary.p99.value), ("max", summary.max))
        parts.append(f"{latency.title} {' '.join(f'{name} {figure(value)}' for name, value in found)} ms")
    yield "Whole run", " · ".join([*parts, f"{figure(whole.throughput.output_tokens_per_s)} output tokens/s"])


def _run_rates(result: Result) -> Iterator[Line]:
    found = result.run_rates
    if found is not None and found.seconds is not None:
        rates = (
            f"{figure(found.requests_per_s)} requests/s",
            f"{figure(found.output_tokens_per_s)} output tokens/s",
            f"{figure(found.total_tokens_per_s)} tokens/s in and out",
        )
        span = f"over the {figure(found.seconds)} s from the first send to the last reply"
        yield "Other tools", f"would say {' · '.join(rates)}: {span}"


def _instrument(result: Result) -> Iterator[Line]:
    for i, line in enumerate(budget_lines(result)):
        yield ("" if i else "Error budget"), plain(line)
    yield "Instrument", instrument_line(result)
    yield from delivery_lines(result)
    if result.calibration is not None:
        yield "Self-test", calibration_line(result.calibration)
    for i, text in enumerate(audit_lines(result.verdict)):
        yield ("" if i else "Audit"), text


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
    parts.append(f"max {flight.max:,}")
    if result.steady.littles_ratio is not None:
        parts.append(f"{percent(result.steady.littles_ratio)} of rate \N{MULTIPLICATION SIGN} time in system (Little)")
    return " · ".join(parts)


# --- what went wrong, and how it was done ----------------------------------------------------------------------------


def error_lines(result: Result, most: int | None = None) -> Iterator[Line]:
    """Kinds of failures with their number, the server's words and what to do; at most so many."""
    for i, failure in enumerate(result.errors[:most]):
        text = Text.assemble((f"{failure.count:,} {_TIMES} {failure.kind}", "red"))
        if failure.sample:
            text.append(f': "{plain(failure.sample)}"')
        if failure.advice:
            text.append(f"\n→ {failure.advice}")
        yield ("" if i else "Errors"), text
    if most is not None and len(result.errors) > most:
        yield "", f"and {len(result.errors) - most} more kinds: --full"


def _notes(result: Result) -> Iterator[Line]:
    for i, note in enumerate(result.notes):
        yield ("" if i else "Notes"), plain(note)


def _methodology(result: Result) -> Iterator[Line]:
    method = result.methodology
    for i, (part, values) in enumerate(method.spec.items()):
        settings = " ".join(f"{key}={_setting(value)}" for key, value in values.items())
        yield ("" if i else "Method"), plain(f"{part}: {settings}", limit=600)
    if method.effective:
        settings = " ".join(f"{key}={_setting(value)}" for key, value in method.effective.items())
        yield "", plain(f"effective: {settings}", limit=600)
    yield (
        "",
        f"output tokens from: {_sources(method.token_source)} · prompt tokens from: "
        + _sources(method.prompt_token_source),
    )
    yield "", "percentile: nearest rank · interval: 95 %, distribution-free, allows for dependence (docs/metrics.md)"


def _run(result: Result) -> Iterator[Line]:
    run, method = result.run, result.methodology
    salt = f" · salt {method.effective['salt']}" if method.effective.get("salt") else ""
    yield (
        "Run",
        plain(
            f"{run.id} · {run.started_at} · seed {method.seed}{salt} · schedule {method.schedule_hash[:16]} · "
            f"methodology {method.fingerprint[:16]} · "
            f"recorded by loadcell {run.loadcell}, computed by {result.loadcell}"
        ),
    )
    if not run.sealed:
        yield "", "no checksums in the recording: that its files are as the run wrote them cannot be told"


def _setting(value: Any) -> str:
    if value is None or value == {} or value == "":
        return "-"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _sources(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items()) or "none"

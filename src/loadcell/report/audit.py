"""The instrument and the verdict as lines for the console."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from loadcell.metrics import Calibration, Check, Result, Spread, Verdict
from loadcell.report.text import MISSING, figure, percent, plain

WORD_STYLE = {"VALID": "bold white on green", "SUSPECT": "bold black on yellow", "INVALID": "bold white on red"}
_COLOUR = {"SUSPECT": "yellow", "INVALID": "red"}
_REASONS_SHOWN = 2


def instrument_line(result: Result) -> str:
    """What the instrument says of itself, in one line."""
    audit = result.instrument
    parts = [
        f"clock {audit.clock}",
        f"read lag {_spread(audit.read_lag)}",
        f"sent late by {_spread(audit.send_lateness)}",
        f"merged reads {percent(audit.merged_share)}, by the client {percent(audit.merged_by_client_share)}",
    ]
    if audit.reads_without_stamp:
        parts.append(f"{audit.reads_without_stamp:,} reads stamped by the client's clock")
    if audit.longest_stall_ms:
        parts.append(f"longest stall {figure(audit.longest_stall_ms, 3)} ms")
    busy = [worker.busy_share for worker in audit.workers if worker.busy_share is not None]
    if busy:
        parts.append(f"busy {percent(max(busy))}")
    if (made := audit.feeding) is not None:
        late = "" if made.late is None else f", {made.late:,} late"
        parts.append(f"{made.made:,} requests made meanwhile for {figure(made.cpu_s, 2)} s CPU{late}")
    if audit.cpu_us_per_token is not None:
        parts.append(f"{figure(audit.cpu_us_per_token, 3)} µs CPU a token")
    return " · ".join(parts)


def delivery_lines(result: Result) -> Iterator[tuple[str, str]]:
    """Arrivals, connections and tokens: what was delivered against what was planned."""
    sent, used, tokens = result.instrument.arrivals, result.instrument.connections, result.instrument.tokens
    if sent.planned_rate is not None:
        pairs = (
            ("requests/s", sent.planned_rate, sent.sent_rate),
            ("gap CV", sent.planned_gap_cv, sent.sent_gap_cv),
            ("dispersion over 1 s", sent.planned_dispersion_1s, sent.sent_dispersion_1s),
            ("over 10 s", sent.planned_dispersion_10s, sent.sent_dispersion_10s),
        )
        shown = [f"{name} {figure(a, 3)} / {figure(b, 3)}" for name, a, b in pairs if a is not None]
        yield "Arrivals", f"planned / sent: {' · '.join(shown)} · KS distance of the gaps {figure(sent.ks_distance, 2)}"
    parts = [f"{used.reused:,} requests on open ones, {used.new:,} on new ones"]
    parts += [f"{name} {_spread(spread)}" for name, spread in (("TCP", used.tcp), ("TLS", used.tls)) if spread.n]
    parts += [f"least round trip {figure(used.min_rtt_ms, 2)} ms"] if used.min_rtt_ms is not None else []
    parts += [f"{count:,} {what}" for count, what in ((used.resets, "lost"), (used.failed, "not opened")) if count]
    yield "Connections", " · ".join(parts)
    found = (
        ("counted against usage", tokens.difference_share),
        ("outputs shorter than asked", tokens.short_share),
        ("longer", tokens.long_share),
        ("prompt tokens from a cache", tokens.cached_share),
        ("without the chat template's", tokens.cached_beyond_share if tokens.cached_share else None),
    )
    shown = [f"{name} {percent(share)}" for name, share in found if share is not None]
    if tokens.prompt_ratio is not None:
        shown.append(f"prompts {percent(tokens.prompt_ratio)} of the tokens planned (template included)")
    if shown:
        yield "Tokens", " · ".join(shown)


def calibration_line(known: Calibration) -> str:
    """What the self-test of this machine found at the nearest load."""
    bias = " · ".join(
        f"{metric.upper()} {_signed(b.p50)} at p50, {_signed(b.p99)} at p99" for metric, b in known.bias.items()
    )
    limits = ", ".join(
        f"within {name} % up to {limit:,.0f}" for name, limit in known.limits_tokens_per_s.items() if limit is not None
    )
    tail = f" · this machine measures {limits} tokens/s" if limits else ""
    day = known.measured_at[:10]
    return f"of {day}, at {known.streams:,} streams and {known.tokens_per_s:,.0f} tokens/s: {bias}{tail}"


def _signed(share: float | None) -> str:
    return MISSING if share is None else f"{round(share * 100, 2) or 0.0:+.2f} %"


def audit_lines(verdict: Verdict) -> Iterator[Text]:
    """Every check that is not VALID, the worst first, then symptoms, how many are VALID, which could not be judged."""
    bad = [check for word in ("INVALID", "SUSPECT") for check in verdict.checks if check.word == word]
    for check in bad:
        yield _check_line(check)
    for check in verdict.checks:
        if check.word == "NOTED":
            yield Text(f"noted: {plain(check.says, 600)}", style="dim")
    valid = sum(check.word == "VALID" for check in verdict.checks)
    unjudged = [check.name for check in verdict.checks if check.word is None]
    more = f"; not judged: {', '.join(name.replace('_', ' ') for name in unjudged)}" if unjudged else ""
    yield Text(f"{valid} {'other ' if bad else ''}checks VALID{more}", style="dim")


def _check_line(check: Check) -> Text:
    text = Text.assemble((str(check.word), _COLOUR[str(check.word)]), f" {plain(check.says, 600)}")
    return text.append(f"\n→ {check.advice}") if check.advice else text


def verdict_line(verdict: Verdict) -> Text:
    """The last line of every result."""
    line = Text.assemble((f" {verdict.word} ", WORD_STYLE[verdict.word]), " ")
    if not verdict.reasons:
        return line.append("every check is within its limits")
    line.append("; ".join(plain(reason, 600) for reason in verdict.reasons[:_REASONS_SHOWN]))
    more = len(verdict.reasons) - _REASONS_SHOWN
    return line.append(f"; and {more} more, see Audit") if more > 0 else line


def _spread(spread: Spread) -> str:
    """The 99th percentile, or the maximum where there are too few samples for it."""
    name, value = ("p99", spread.p99_ms) if spread.p99_ms is not None else ("max", spread.max_ms)
    return MISSING if value is None else f"{name} {figure(value, 3)} ms"

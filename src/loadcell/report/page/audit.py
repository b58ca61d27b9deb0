"""The audit, the instrument and what went on beside the load, for the page of a run."""

from __future__ import annotations

import msgspec

from loadcell.metrics import Calibration, Check, Observed, Result, Series
from loadcell.report.page.figures import asked, count, spread
from loadcell.report.text import MISSING
from loadcell.report.words import Words

_RANK = {"INVALID": 0, "SUSPECT": 1, "NOTED": 2, "VALID": 3, None: 4}
Rows = list[tuple[str, str]]


class Judged(msgspec.Struct, frozen=True):
    """One check of the audit: figures in words."""

    name: str
    word: str | None
    says: str
    advice: str | None
    value: str
    limit: str
    beyond: str


def judged(result: Result, words: Words) -> list[Judged]:
    """Every check, the worst first."""
    checks = sorted(result.verdict.checks, key=lambda check: _RANK[check.word])
    return [_judged(check, words) for check in checks]


def _judged(check: Check, words: Words) -> Judged:
    value = _amount(check.value, check.unit, words)
    limit, beyond = (_limit(x, check.unit, words) for x in (check.limit, check.invalid_beyond))
    return Judged(check.name, check.word, check.says, check.advice, value, limit, beyond)


def _amount(value: float | None, unit: str, words: Words) -> str:
    if value is None:
        return ""
    if unit == "share":
        return words.percent(value)
    return f"{words.figure(value, 2 if abs(value) < 100 else 3)} {words.say(unit)}".strip()


def _limit(value: float | None, unit: str, words: Words) -> str:
    if value is None:
        return ""
    return (
        words.percent(value) if unit == "share" else f"{asked(float(f'{value:.3g}'), words)} {words.say(unit)}".strip()
    )


def instrument_rows(result: Result, words: Words) -> Rows:
    """What the instrument says of itself; labels are terms of the glossary or words."""
    audit = result.instrument
    rows = [
        (words.say("Clock"), audit.clock),
        ("read_lag", spread(audit.read_lag, words)),
        ("send_lateness", spread(audit.send_lateness, words)),
        (words.say("Sent within 1 ms of their time"), words.percent(audit.on_time_share)),
        ("merged", words.say("{share}, by the client {ours}", share=words.percent(audit.merged_share),
                                                 ours=words.percent(audit.merged_by_client_share))),
        (words.say("Longest stall of the client"), f"{words.figure(audit.longest_stall_ms, 3)} ms"),
        ("cpu_us_per_token", f"{words.figure(audit.cpu_us_per_token, 3)} µs"),
    ]  # fmt: skip
    busy = [worker.busy_share for worker in audit.workers if worker.busy_share is not None]
    if busy:
        rows.append((words.say("Busiest load process"), words.percent(max(busy))))
    if audit.reads_without_stamp:
        rows.append((words.say("Reads stamped by the client's clock"), count(audit.reads_without_stamp, words)))
    if audit.backward_stamps:
        rows.append((words.say("Stamps that went backward"), count(audit.backward_stamps, words)))
    return [*rows, *_delivery(result, words)]


def _delivery(result: Result, words: Words) -> Rows:
    """Connections and tokens: what was delivered against what was planned."""
    used, tokens = result.instrument.connections, result.instrument.tokens
    rows = [(words.say("Requests on open connections"), count(used.reused, words)),
            (words.say("Requests on new connections"), count(used.new, words))]  # fmt: skip
    rows += [(name, spread(found, words)) for name, found in (("TCP", used.tcp), ("TLS", used.tls)) if found.n]
    if used.min_rtt_ms is not None:
        rows.append((words.say("Least round trip"), f"{words.figure(used.min_rtt_ms, 2)} ms"))
    rows += [
        (label, count(number, words))
        for label, number in (
            (words.say("Connections lost"), used.resets),
            (words.say("Connections not opened"), used.failed),
        )
        if number
    ]
    rows += [
        (label, words.percent(share))
        for label, share in (
            (words.say("Tokens counted against usage, difference"), tokens.difference_share),
            (words.say("Outputs shorter than asked"), tokens.short_share),
            (words.say("Outputs longer than asked"), tokens.long_share),
            (words.say("Prompt tokens against those planned"), tokens.prompt_ratio),
            (words.say("Prompt tokens from a cache"), tokens.cached_share),
            (words.say("The same without the chat template's"), tokens.cached_beyond_share),
            (words.say("CPU time taken by the hypervisor"), result.instrument.host.steal_share),
        )
        if share is not None
    ]
    return rows


def arrival_rows(result: Result, words: Words) -> list[tuple[str, str, str]]:
    """Arrivals: what, planned, sent; none in a closed loop."""
    sent = result.instrument.arrivals
    if sent.planned_rate is None:
        return []
    pairs = (
        (words.say("Requests/s"), sent.planned_rate, sent.sent_rate),
        (words.say("Variation of the gaps (CV)"), sent.planned_gap_cv, sent.sent_gap_cv),
        (words.say("Dispersion over 1 s"), sent.planned_dispersion_1s, sent.sent_dispersion_1s),
        (words.say("Dispersion over 10 s"), sent.planned_dispersion_10s, sent.sent_dispersion_10s),
        (words.say("KS distance of the gaps"), None, sent.ks_distance),
    )
    return [
        (label, "" if planned is None else words.figure(planned, 3), words.figure(found, 3))
        for label, planned, found in pairs
        if planned is not None or found is not None
    ]


def calibration_rows(known: Calibration, words: Words) -> list[tuple[str, str, str]]:
    """What the self-test found at the nearest load: metric, reported less true at p50 and at p99."""
    return [(name.upper(), _signed(bias.p50, words), _signed(bias.p99, words)) for name, bias in known.bias.items()]


def _signed(share: float | None, words: Words) -> str:
    if share is None:
        return MISSING
    return f"{'+' if share > 0 else '-' if share < 0 else ''}{words.percent(abs(share))}"


def observed_rows(seen: Observed, words: Words) -> list[list[str]]:
    """A row for each series of the server and the machine: title and unit, mean, least, most, gained, by whom."""
    return [
        [f"{words.say(one.title)} ({words.say(one.unit)})" if one.unit != "share" else words.say(one.title),
         *(_seen(value, one, words) for value in (one.mean, one.min, one.max)),
         "" if one.gained is None else count(round(one.gained), words), _whose(seen, one)]
        for one in seen.series.values()
    ]  # fmt: skip


def _seen(value: float | None, one: Series, words: Words) -> str:
    if value is None:
        return MISSING
    if one.unit == "share":
        return words.percent(value)
    return count(int(value), words) if value.is_integer() else words.figure(value, 3)


def _whose(seen: Observed, one: Series) -> str:
    engines = {source.name: source.engine or source.name for source in seen.sources}
    return ", ".join(dict.fromkeys(engines.get(name, name) for name in one.sources))


def energy_rows(seen: Observed, words: Words) -> Rows:
    """Energy of the accelerators over the window; none where nobody tells it."""
    energy = seen.energy
    if energy is None:
        return []
    figures = (
        (words.say("Mean power"), energy.mean_watts, "W"),
        (words.say("Energy an output token"), energy.joules_per_output_token, "J"),
        (words.say("Energy a request"), energy.joules_per_request, "J"),
    )
    rows = [(label, f"{words.figure(value, 3)} {unit}") for label, value, unit in figures if value is not None]
    says = words.say("How it was measured") if energy.valid else words.say("No valid measurement")
    return [(words.say("GPUs"), count(energy.gpus, words)), *rows, (says, energy.says)]

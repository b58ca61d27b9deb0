"""What the instrument says of itself, and the checks that it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Calibration, Check, Result
from loadcell.metrics.checks_budget import ALONE, JUDGED, figures_of
from loadcell.report.budget import budget_text
from loadcell.report.text import MISSING
from loadcell.report.view.blocks import TONES, Cell, Column, Fact, Table, Tone, fact, figured, told
from loadcell.report.view.figures import asked, left_open_words, spread
from loadcell.report.view.imported import client
from loadcell.report.view.latency import PERCENTILES, latency_rows
from loadcell.report.words import Words

_RANK = {"INVALID": 0, "SUSPECT": 1, "NOTED": 2, "VALID": 3, None: 4}


def instrument(result: Result, words: Words) -> Iterator[Fact]:
    """Clock, lags, connections, tokens: what was measured with, and what was delivered against what was planned."""
    if result.imported is not None:
        yield from client(result.imported, words)
        yield from _delivery(result, words)
        return
    for i, line in enumerate(_budgets(result, words)):
        yield fact("" if i else words.say("Error budget"), line)
    yield words.say("Instrument"), list(_itself(result, words))
    yield from _delivery(result, words)
    if result.calibration is not None:
        yield fact(words.say("Self-test"), *_calibration(result.calibration, words))


def _budgets(result: Result, words: Words) -> Iterator[str]:
    """A line for each latency and one for the rates: what the instrument leaves open of what is judged, then marks."""
    t = words.say
    for title, summary in latency_rows(result.latency, words):
        found = figures_of(summary)
        known = [(name, *found[name]) for name in JUDGED]
        told = [
            f"{t(name)} {budget_text(v, b, words.number)}" for name, v, b in known if v is not None and b is not None
        ]
        marks = [
            f"{t(PERCENTILES.get(name, name))} {words.figure(found[name][0])} {left}"
            for name in ALONE
            if (left := left_open_words(*found[name], words, summary.mean))
        ]
        if told:
            yield f"{title}: {' · '.join([*told, *marks])}"
    rates = result.throughput
    pairs = (
        ("requests/s", rates.requests_per_s, rates.requests_budget),
        ("output tokens/s", rates.output_tokens_per_s, rates.output_tokens_budget),
        ("inputs/s", rates.inputs_per_s, rates.inputs_budget),
        ("images/s", rates.images_per_s, rates.images_budget),
        ("s of audio/s", rates.audio_s_per_s, rates.audio_s_budget),
    )
    told = [f"{t(name)} {budget_text(v, b, words.number)}" for name, v, b in pairs if v is not None and b is not None]
    if told:
        yield " · ".join(told)


def _itself(result: Result, words: Words) -> Iterator[Cell]:
    t, audit = words.say, result.instrument

    def of(label: str, text: str, term: str = "") -> Cell:
        return Cell(text, label=label, term=term)

    yield of(t("clock"), audit.clock)
    if result.methodology.core is not None:
        yield of(t("hot path"), result.methodology.core)
    yield of(t("read lag"), spread(audit.read_lag, words), "read_lag")
    yield of(t("sent late by"), spread(audit.send_lateness, words), "send_lateness")
    if audit.on_time_share is not None:
        yield of(t("sent within 1 ms of their time"), words.percent(audit.on_time_share))
    shares = (words.percent(share) for share in (audit.merged_share, audit.merged_by_client_share))
    yield of(t("merged reads"), t("{share}, by the client {ours}", **dict(zip(("share", "ours"), shares, strict=True))),
             "merged")  # fmt: skip
    if audit.reads_without_stamp:
        yield Cell(t("{n} reads stamped by the client's clock", n=words.count(audit.reads_without_stamp)))
    if audit.backward_stamps:
        yield Cell(t("{n} stamps that went backward", n=words.count(audit.backward_stamps)))
    if audit.longest_stall_ms:
        yield of(t("longest stall"), f"{words.figure(audit.longest_stall_ms, 3)} ms")
    busy = [worker.busy_share for worker in audit.workers if worker.busy_share is not None]
    if busy:
        yield of(t("busy"), words.percent(max(busy)))
    if (made := audit.feeding) is not None:
        cpu_s = words.figure(made.cpu_s, 2)
        yield Cell(t("{n} requests made meanwhile for {s} s CPU", n=words.count(made.made), s=cpu_s))
        if made.late is not None:
            yield Cell(t("{n} of them late", n=words.count(made.late)))
    if audit.cpu_us_per_token is not None:
        yield Cell(t("{n} µs CPU a token", n=words.figure(audit.cpu_us_per_token, 3)), term="cpu_us_per_token")
    if audit.host.steal_share is not None:
        yield of(t("CPU time taken by the hypervisor"), words.percent(audit.host.steal_share))


def _delivery(result: Result, words: Words) -> Iterator[Fact]:
    """Arrivals, connections and tokens."""
    t, itself = words.say, result.instrument
    sent, used, tokens = itself.arrivals, itself.connections, itself.tokens
    if sent.planned_rate is not None:
        pairs = (
            (t("requests/s"), sent.planned_rate, sent.sent_rate),
            (t("gap CV"), sent.planned_gap_cv, sent.sent_gap_cv),
            (t("dispersion over 1 s"), sent.planned_dispersion_1s, sent.sent_dispersion_1s),
            (t("over 10 s"), sent.planned_dispersion_10s, sent.sent_dispersion_10s),
        )
        shown = [f"{name} {words.figure(a, 3)} / {words.figure(b, 3)}" for name, a, b in pairs if a is not None]
        distance = t("KS distance of the gaps {n}", n=words.figure(sent.ks_distance, 2))
        yield fact(t("Arrivals"), f"{t('planned / sent:')} {shown[0]}", *shown[1:], distance)
    parts = [t("{n} requests on open ones, {m} on new ones", n=words.count(used.reused), m=words.count(used.new))]
    parts += [f"{name} {spread(took, words)}" for name, took in (("TCP", used.tcp), ("TLS", used.tls)) if took.n]
    parts += [t("least round trip {n} ms", n=words.figure(used.min_rtt_ms, 2))] if used.min_rtt_ms is not None else []
    parts += [t("{n} lost", n=words.count(used.resets))] if used.resets else []
    parts += [t("{n} not opened", n=words.count(used.failed))] if used.failed else []
    if used.new or used.reused or used.failed:
        yield fact(t("Connections"), *parts)
    found = (
        (t("counted against usage {share}"), tokens.difference_share),
        (t("outputs shorter than asked {share}"), tokens.short_share),
        (t("longer {share}"), tokens.long_share),
        (t("prompt tokens from a cache {share}"), tokens.cached_share),
        (t("without the chat template's {share}"), tokens.cached_beyond_share if tokens.cached_share else None),
        (t("prompts {share} of the tokens planned (template included)"), tokens.prompt_ratio),
    )
    shown = [says.format(share=words.percent(share)) for says, share in found if share is not None]
    if shown:
        yield fact(t("Tokens"), *shown)


def _calibration(known: Calibration, words: Words) -> Iterator[str]:
    """What the self-test of this machine found at the nearest load."""
    t = words.say
    n, rate = words.count(known.streams), words.count(round(known.tokens_per_s))
    yield t("of {day}, at {n} streams and {rate} tokens/s", day=known.measured_at[:10], n=n, rate=rate)
    for metric, bias in known.bias.items():
        p50, p99 = (_signed(share, words) for share in (bias.p50, bias.p99))
        yield t("{metric} reported less true: {p50} at p50, {p99} at p99", metric=metric.upper(), p50=p50, p99=p99)
    limits = [(name, limit) for name, limit in known.limits_tokens_per_s.items() if limit is not None]
    for name, limit in limits:
        yield t("within {n} % up to {rate} tokens/s", n=name, rate=words.count(round(limit)))


def _signed(share: float | None, words: Words) -> str:
    return MISSING if share is None else words.number(f"{round(share * 100, 2) or 0.0:+.2f} %")


# --- the audit -------------------------------------------------------------------------------------------------------


def audit(result: Result, words: Words) -> Iterator[Fact]:
    """Every check that is not VALID, the worst first, then symptoms, how many are VALID, which could not be judged."""
    t, checks = words.say, sorted(result.verdict.checks, key=lambda check: _RANK[check.word])
    bad = [check for check in checks if check.word in ("INVALID", "SUSPECT")]
    cells = [Cell(told(check.says, words), word=t(str(check.word)), tone=_tone(check),
                  advice=told(check.advice or "", words)) for check in bad]  # fmt: skip
    cells += [Cell(told(check.says, words), tone="dim") for check in checks if check.word == "NOTED"]
    valid = words.count(sum(check.word == "VALID" for check in checks))
    says = t("{n} other checks VALID", n=valid) if bad else t("{n} checks VALID", n=valid)
    unjudged = ", ".join(check.name.replace("_", " ") for check in checks if check.word is None)
    cells.append(Cell(f"{says}; {t('not judged: {names}', names=unjudged)}" if unjudged else says, tone="dim"))
    yield from (("" if i else t("Audit"), [cell]) for i, cell in enumerate(cells))


def _tone(check: Check) -> Tone:
    return TONES.get(str(check.word), "dim")


def checks(result: Result, words: Words) -> Table:
    """Every check with its figure and its limits, the worst first."""
    t = words.say
    rows = [
        [
            Cell(t(check.word or "not judged"), tone=_tone(check)),
            Cell(told(check.says, words), advice=told(check.advice or "", words)),
            figured(_amount(check.value, check.unit, words)),
            *(figured(_limit(limit, check.unit, words)) for limit in (check.limit, check.invalid_beyond)),
        ]
        for check in sorted(result.verdict.checks, key=lambda check: _RANK[check.word])
    ]
    columns = [Column(t("Word"), "left"), Column(t("Finding"), "left"), *map(Column, (t("figure"), t("limit"),
                                                                                   t("INVALID beyond")))]  # fmt: skip
    return Table(columns, rows, [t("Checks of the instrument and of the run; the worst word is the verdict.")])


def _amount(value: float | None, unit: str, words: Words) -> str:
    if value is None:
        return ""
    if unit == "share":
        return words.percent(value)
    return f"{words.figure(value, 2 if abs(value) < 100 else 3)} {words.say(unit)}".strip()


def _limit(value: float | None, unit: str, words: Words) -> str:
    if value is None or unit == "share":
        return _amount(value, unit, words)
    return f"{asked(float(f'{value:.3g}'), words)} {words.say(unit)}".strip()

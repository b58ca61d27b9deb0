"""What the Result of a recording may say that another tool's files became, and what nobody can know of it.

One function takes away what those files cannot show, and one puts in what the tool itself told where nothing could be
computed: no other module needs to ask where a recording comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from loadcell.metrics.glossary import FIELDS, GLOSSARY
from loadcell.metrics.interval import PERMILLE, spread_ms
from loadcell.metrics.latency import user_rates
from loadcell.metrics.model import (
    Concurrency,
    Counts,
    CountsOf,
    Delivered,
    Estimate,
    Goodput,
    Latency,
    Result,
    Sessions,
    Share,
    Steady,
    Summary,
    Throughput,
    Window,
)
from loadcell.metrics.rows import Rows
from loadcell.metrics.steady import caveats, with_caveat
from loadcell.phrases import joined, phrase
from loadcell.recording.imported import Imported, Told

UNPLACED = phrase("without send times nobody can tell how far requests depend on each other")
TOLD = phrase("told by the tool, not computed here")
NOT_TOLD = phrase("not told")
TOGETHER = 0.1
"""Share of events that came together with the one before from which on a note tells of it."""
NO_CLOCK = phrase("each request has a zero of its own, so nothing is known of the load over time")
NO_ROWS = phrase("there are no requests, so nothing is known of the load over time")
NO_REQUESTS = phrase("cannot be judged: there are no requests")
UNKNOWN = "unknown"
"""The loop of a run whose files do not tell it."""
_EMPTY: Any = np.empty(0)
_RATES = ("requests_per_s", "output_tokens_per_s", "input_tokens_per_s", "total_tokens_per_s", "inputs_per_s",
          "images_per_s", "audio_s_per_s")  # fmt: skip
_FIELDS = {
    "planned_ns": phrase("planned times"), "send_start_ns": phrase("send times"), "sent_s": phrase("send times"),
    "first_any_ns": phrase("times of the first output"), "last_ns": phrase("times of the last output"),
    "end_ns": phrase("times of the end"), "first_answer_ns": phrase("times of the first visible answer"),
    "chunks": phrase("times of the events"), "chunks.tokens": phrase("tokens of each event"),
    "asked_tokens": phrase("output tokens asked for"), "started_at": phrase("when it began"),
    "zone of started_at": phrase("its time zone"), "arrivals": phrase("arrivals"), "tokenizer": phrase("tokenizer"),
    "api": phrase("API"), "stream": phrase("whether replies were streamed"),
    "requests": phrase("the requests"), "seed": phrase("seed"),
    "prompts": phrase("prompts"), "version": phrase("version"), "rate": phrase("rate"),
    "concurrency": phrase("concurrency"), "loop": phrase("whether the loop is open or closed"),
    "input_tokens": phrase("input tokens"), "output_tokens": phrase("output tokens"),
    "prompt_tokens": phrase("prompt tokens by the server"), "error": phrase("what failures said"),
    "cached_tokens": phrase("cached tokens"), "reasoning_tokens": phrase("reasoning tokens"),
    "url": phrase("the server's URL"), "model": phrase("model"), "duration_s": phrase("duration"),
}  # fmt: skip
"""What a reader calls a thing that files do not tell; others go by their own name."""

replace = msgspec.structs.replace


def placed(imported: Imported | None) -> bool:
    """Whether the requests of a recording stand on one clock."""
    return imported is None or (imported.placed and imported.details)


def tallied(imported: Imported | None) -> bool:
    """Whether it is known how many requests succeeded."""
    return imported is None or imported.details or imported.ok is not None


def named(imported: Imported) -> str:
    """The tool and its version, as people say it."""
    return f"{imported.title} {imported.version}" if imported.version else imported.title


def missing_words(imported: Imported) -> list[str]:
    """What its files do not tell, each once."""
    return list(dict.fromkeys(_called(one.field) for one in imported.missing))


def _called(field: str) -> str:
    return _FIELDS.get(field) or _FIELDS.get(field.rpartition(".")[2], field)


def untold(imported: Imported | None, field: str) -> bool:
    """Whether the files of an import do not tell a field of the Spec, so that a default stands there."""
    return imported is not None and any(one.field == field for one in imported.missing)


def own_fingerprint(fingerprint: str, imported: Imported, run: str) -> str:
    """Of one run of some files: nobody knows whether it asked the same prompts as another, imported or measured."""
    text = "\n".join([fingerprint, imported.tool, run, *sorted(imported.files.values())])
    return hashlib.sha256(text.encode()).hexdigest()


def of_import(result: Result, imported: Imported, rows: Rows) -> Result:
    """The Result of an import, out of that which its rows alone give: what cannot be known is taken out, and what the
    tool told is put where nothing was computed."""
    known = _without_client(replace(result, imported=imported), imported, scheduled=rows.scheduled)
    if not placed(imported):
        known = _without_time(known, NO_CLOCK if imported.details else NO_ROWS)
    known = _with_told(known, imported)
    notes = [*_notes(known, imported, result.delivered, rows), *known.notes]
    return replace(known, notes=list(dict.fromkeys(notes)), counts=_accounted(known, imported))


# --- taken out -------------------------------------------------------------------------------------------------------


def _without_client(result: Result, imported: Imported, *, scheduled: bool) -> Result:
    """Without what only its own client, or a schedule, could tell."""
    itself, good, method = result.instrument, result.goodput, result.methodology
    none, tokens = spread_ms(_EMPTY), itself.tokens
    counted = not method.token_source.keys() & {"asked", "unknown"}
    arrivals = itself.arrivals
    if not scheduled:
        arrivals = replace(arrivals, **dict.fromkeys(arrivals.__struct_fields__))
    whole = result.whole_run
    return replace(
        result,
        latency=result.latency if scheduled else _service(result.latency),
        whole_run=whole if scheduled or whole is None else replace(whole, latency=_service(whole.latency)),
        goodput=good if scheduled or good is None else replace(good, anchor="service"),
        delivered=None,
        replies=None,
        sessions=result.sessions and _talks(result.sessions, scheduled=scheduled),
        instrument=replace(
            itself,
            read_lag=none,
            send_lateness=itself.send_lateness if scheduled else none,
            on_time_share=itself.on_time_share if scheduled else None,
            merged_share=None,
            merged_by_client_share=None,
            arrivals=arrivals,
            connections=replace(itself.connections, new=0, reused=0),
            tokens=replace(
                tokens,
                prompt_ratio=None,
                short_share=tokens.short_share if counted else None,
                long_share=tokens.long_share if counted else None,
            ),
        ),
        methodology=replace(
            method,
            loop=method.loop if imported.loop is not None else UNKNOWN,
            fingerprint=own_fingerprint(method.fingerprint, imported, result.run.id),
        ),
    )


def _talks(found: Sessions, *, scheduled: bool) -> Sessions:
    """Sessions without what only a plan tells, of what waits for what; and by turn where the file numbers these."""
    numbered = found.deepest > 1 or (found.turns or 0) <= 1
    by_turn = [replace(one, latency=one.latency if scheduled else _service(one.latency)) for one in found.by_turn]
    return replace(found, path=None, by_turn=by_turn if numbered else [])


def _service(latency: dict[str, Latency]) -> dict[str, Latency]:
    return {name: replace(one, response=None) for name, one in latency.items()}


def _alone(latency: Latency) -> Latency:
    """Without what its samples are worth together."""
    return replace(latency, service=replace(latency.service, effective=None))


def _without_time(result: Result, why: str) -> Result:
    """Without all that needs a clock that the requests share."""
    rates, good = result.throughput, result.goodput
    gone = {
        name: None for name in Throughput.__struct_fields__ if name not in ("chunks_per_token", "user_tokens_per_s")
    }
    return replace(
        result,
        latency=with_caveat({name: _alone(one) for name, one in _service(result.latency).items()}, UNPLACED),
        throughput=replace(
            rates, **gone, user_tokens_per_s=caveats(rates.user_tokens_per_s, UNPLACED)
        ),
        goodput=good and _untimed(good, rows_there=why == NO_CLOCK),
        run=replace(result.run, duration_s=None),
        steady=Steady(
            method="whole", warmup_s=None, drain_s=None, stable=None, growth_per_s=Estimate(), says=why,
        ),
        change={},
        whole_run=None,
        run_rates=None,
        sessions=None,
        behaved=None,
        failing=None,
        input_media=None,
        concurrency=Concurrency(
            asked=result.concurrency.asked, mean=None, mean_from_s=None, mean_to_s=None, max=None, series_step_s=None,
            series=[],
        ),
        methodology=replace(result.methodology, window=Window(start_s=0.0, end_s=0.0, reason=why)),
    )  # fmt: skip


def _untimed(good: Goodput, *, rows_there: bool) -> Goodput:
    """Goodput without its rate, and without intervals, which ask how far misses come in runs; nothing without rows."""

    def alone(share: Share) -> Share:
        return replace(share, low=None, high=None)

    if not rows_there:
        none = Share(value=None, low=None, high=None)
        limits = {name: replace(one, met=None, attainment=none, note=NO_REQUESTS) for name, one in good.limits.items()}
        return replace(good, good=None, goodput_per_s=None, attainment=none, limits=limits)
    limits = {name: replace(one, attainment=alone(one.attainment)) for name, one in good.limits.items()}
    return replace(good, goodput_per_s=None, attainment=alone(good.attainment), limits=limits)


# --- put in ----------------------------------------------------------------------------------------------------------


def _with_told(result: Result, imported: Imported) -> Result:
    """With the figures that the tool told where none could be computed, marked so."""
    by_metric: dict[str, list[Told]] = {}
    for one in imported.told:
        if one.metric is not None and one.value is not None:
            by_metric.setdefault(one.metric.removesuffix("_ms"), []).append(one)
    latency = dict(result.latency)
    for metric, told in by_metric.items():
        name = FIELDS.get(metric, metric)
        known = latency.get(name)
        if known is not None and not known.service.n and (summary := _summary(told, GLOSSARY[metric].unit)):
            latency[name] = replace(known, service=summary, response=None)
    rates = result.throughput
    values = {
        name: value
        for name in _RATES
        if getattr(rates, name) is None
        for value in (_rate(by_metric.get(name, ())),)
        if value is not None
    }
    rates = replace(rates, **values, told=list(values) or None)
    tpot = latency.get("tpot_ms")
    if tpot is not None and tpot.service.told:
        rates = replace(rates, user_tokens_per_s=caveats(user_rates(tpot.service), TOLD))
    return replace(result, latency=latency, throughput=rates)


def _rate(told: Sequence[Told]) -> float | None:
    """The first of these rates that is a mean, a second; None where there is none of a known unit."""
    return next((rate for one in told if one.stat in (None, "mean") and (rate := one.a_second) is not None), None)


def _summary(told: list[Told], unit: str) -> Summary | None:
    """A distribution of what was told of it; None where nothing of it is a figure of ours."""
    stats: dict[str, float] = {}
    for one in told:
        value = one.ms if unit == "ms" else one.value
        if value is not None and one.stat is not None:
            stat = one.stat.replace(".", "_")
            stats.setdefault({"median": "p50", "std": "sd", "stddev": "sd"}.get(stat, stat), value)
    if not stats.keys() & {"mean", "sd", "min", "max", *PERMILLE}:
        return None
    estimates: dict[str, Any] = {
        name: Estimate(value=stats[name], caveat=TOLD) if name in stats else Estimate(withheld=NOT_TOLD)
        for name in PERMILLE
    }
    others: dict[str, Any] = {name: stats.get(name) for name in ("mean", "sd", "min", "max")}
    return Summary(n=0, effective=None, told=True, **others, **estimates)


def _accounted(result: Result, imported: Imported) -> CountsOf:
    """The accounts with the requests that the tool counted and has no rows of."""
    run, window = result.counts.run, result.counts.window
    more = {name: max(0, (getattr(imported, name) or 0) - getattr(run, name)) for name in ("ok", "failed", "cancelled")}

    def added(counts: Counts) -> Counts:
        amounts = {name: getattr(counts, name) + n for name, n in more.items()}
        ended = sum(amounts.values()) + counts.abandoned
        planned = max(counts.planned, ended) if imported.details else ended
        return Counts(**amounts, abandoned=counts.abandoned, planned=planned, unsent=planned - ended)

    whole = result.steady.method == "whole"
    return replace(result.counts, run=added(run), window=added(window) if whole else window)


# --- said ------------------------------------------------------------------------------------------------------------


def _notes(result: Result, imported: Imported, stream: Delivered | None, rows: Rows) -> Iterator[str]:
    if not imported.tested:
        yield phrase(
            "the form {} was read by its description, untested against a real file: hold some figures against the "
            "tool's own",
            imported.schema,
        )
    if result.throughput.told or any(one.service.told for one in result.latency.values()):
        yield phrase(
            'figures marked "told" are those of {}, by its own definitions: they have no interval and no budget',
            named(imported),
        )
    if imported.details:
        yield from _of_rows(imported, stream, rows)
    if imported.missing:
        yield phrase("not in its files: {}", joined("; ", (phrase("{} ({})", *one) for one in _why(imported))))
    if imported.derived:
        yield phrase("computed of other columns: {}", joined("; ", imported.derived))


def _of_rows(imported: Imported, stream: Delivered | None, rows: Rows) -> Iterator[str]:
    if asked := rows.token_source.get("asked"):
        yield phrase(
            "the output tokens of {:,} requests are those that were asked for, counted by nobody: TPOT, NTPOT and "
            "tokens/s are as doubtful",
            asked,
        )
    if unsure := rows.token_source.get("unknown"):
        yield phrase("nothing tells who counted the output tokens of {:,} requests", unsure)
    untimed = int(np.count_nonzero(np.isnan(rows.send_start) & np.isnan(rows.end)))
    if untimed and placed(imported):
        yield phrase("{:,} requests have no times: they count as if sent with the one before them", untimed)
    bare = int(np.count_nonzero(rows.ok & rows.bare))
    if bare and placed(imported):
        yield phrase(
            "{:,} replies have no times of their events: their tokens are spread evenly from first to last output", bare
        )
    if stream is not None and stream.together_share is not None and stream.together_share > TOGETHER:
        yield phrase(
            "{:.0%} of events have the time of the one before: they were sent so, or its client read them together",
            stream.together_share,
        )


def _why(imported: Imported) -> Iterator[tuple[str, str]]:
    for one in imported.missing:
        yield _called(one.field), one.why

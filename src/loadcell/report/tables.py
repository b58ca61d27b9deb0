"""A Result as files: JSON for programs, CSV in long form for spreadsheets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from loadcell.cells import harmless
from loadcell.metrics import GLOSSARY, Estimate, Latency, Result, Share, word_of
from loadcell.metrics.glossary import COMPARED, OF_TEXT, interval_of, latencies_of, made_of
from loadcell.metrics.model import InputMedia
from loadcell.phrases import phrases

if TYPE_CHECKING:
    from loadcell.search.model import Stage, Sweep

CSV_COLUMNS = ("metric", "anchor", "statistic", "unit", "value", "low", "high", "n", "open", "needs")
Row = tuple[Any, ...]
"""Up to as many values as there are columns; those that are left out are empty."""


def to_json(document: msgspec.Struct | list[Any]) -> bytes:
    """A Result, a Sweep or their like as indented JSON: keys in the schema's order, numbers finite or null.

    With what its sentences were made of, where it has a field for that.
    """
    if isinstance(document, msgspec.Struct) and "phrases" in document.__struct_fields__:
        document = msgspec.structs.replace(document, phrases=phrases(document))
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def to_csv(result: Result) -> str:
    """One line a figure. A figure that could not be measured has an empty value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([*map(harmless, row), *[None] * (len(CSV_COLUMNS) - len(row))] for row in _rows(result))
    return out.getvalue()


def _rows(result: Result) -> Iterator[Row]:
    yield "verdict", "", word_of(result), "", None, None, None, None
    for metric, latency in result.latency.items():
        yield from _summaries(metric.removesuffix("_ms"), latency)
    yield from _rates(result)
    yield from _chunks(result)
    yield from _goodput(result)
    yield from _classes(result)
    yield from _sessions(result)
    for extent, counts in (("run", result.counts.run), ("window", result.counts.window)):
        for name in counts.__struct_fields__:
            yield "requests", extent, name, "requests", getattr(counts, name), None, None, None
    for name in ("beyond", "beyond_failed"):
        yield "requests", "run", name, "requests", getattr(result.counts, name), None, None, None
    flight = result.concurrency
    for statistic, value in (("asked", flight.asked), ("mean", flight.mean), ("max", flight.max)):
        yield "concurrency", "", statistic, "requests", value, None, None, None
    yield from _instrument(result)
    yield from _observed(result)
    for one in result.imported.told if result.imported is not None else ():
        yield "told", one.key, one.stat or "", one.unit, one.value, None, None, None


def _summaries(name: str, latency: Latency) -> Iterator[Row]:
    for anchor, summary in (("response", latency.response), ("service", latency.service)):
        if summary is not None:
            anchor = "told" if summary.told else anchor
            for statistic in ("p50", "p90", "p95", "p99", "p99_9"):
                yield _estimate(name, anchor, statistic, latency.unit, getattr(summary, statistic), summary.n)
            within = summary.mean_interval
            low, high = (None, None) if within is None else (within.low, within.high)
            yield name, anchor, "mean", latency.unit, summary.mean, low, high, summary.n
            for statistic in ("sd", "min", "max"):
                yield name, anchor, statistic, latency.unit, getattr(summary, statistic), None, None, summary.n
            for statistic, one in summary.with_failures.items():
                known = math.inf if one.infinite else one.value
                n = summary.n + summary.failed
                yield name, anchor, f"{statistic}_with_failures", latency.unit, known, None, None, n


def _rates(result: Result) -> Iterator[Row]:
    rates = result.throughput
    spec = result.methodology.spec
    names = ["requests_per_s", made_of(spec), "input_tokens_per_s"]
    for name in [*names, "chunks_per_token"] if spec.workload.generates else names:
        span = getattr(rates, interval_of(name), None)
        low, high = (None, None) if span is None else (span.low, span.high)
        origin = "told" if name in (rates.told or ()) else ""
        yield name, origin, "mean", GLOSSARY[name].unit, getattr(rates, name), low, high, None
    if result.input_media is not None:
        yield from _media(result.input_media)
    if result.cache is not None:
        name, unit = "prefix_cache_hit_share", "share"
        yield name, "", "intended", unit, result.cache.intended_share, None, None, None
        for one in result.cache.reported:
            yield name, one.source, "reported", unit, one.share, None, None, one.requests
            yield name, one.source, "difference", unit, one.difference, None, None, one.requests
    samples = result.latency["tpot_ms"].service.n if "tpot_ms" in result.latency else None
    for statistic, estimate in rates.user_tokens_per_s.items():
        yield _estimate("user_tokens_per_s", "", statistic, "tokens/s", estimate, samples)


def _media(found: InputMedia) -> Iterator[Row]:
    """What requests carried."""
    for name, unit in (("input_images", "images"), ("input_megapixels", "megapixels"), ("input_audio_s", "s"),
                       ("sent_bytes", "bytes")):  # fmt: skip
        if (value := getattr(found, name)) is not None:
            yield name, "", "mean", unit, value, None, None, None
    for name in ("input_images_per_s", "input_audio_s_per_s"):
        rate = getattr(found, name)
        if rate is not None:
            low, high = (None, None) if rate.interval is None else (rate.interval.low, rate.interval.high)
            yield name, "", "mean", GLOSSARY[name].unit, rate.value, low, high, None
    if found.input_rtf is not None:
        yield from _summaries("input_rtf", found.input_rtf)


def _chunks(result: Result) -> Iterator[Row]:
    """Tokens an event, ITL by token, and what was guessed, by each source."""
    if (found := result.tokens_per_chunk) is not None:
        for statistic, value in (("mean", found.mean), ("p50", found.p50), ("p90", found.p90), ("max", found.max)):
            yield "tokens_per_chunk", "", statistic, "tokens", value, None, None, found.chunks
        yield "tokens_per_chunk", "", "several", "share", found.several_share, None, None, found.chunks
    if (by_token := result.itl_by_token) is not None:
        for statistic in ("mean", "p50", "p90", "p99", "max"):
            value = getattr(by_token, f"{statistic}_ms")
            yield "itl_by_token", "", statistic, "ms", value, None, None, round(by_token.tokens)
    for one in result.speculation:
        yield "acceptance_rate", one.source, "all", "share", one.acceptance_rate, None, None, one.draft_tokens
        yield "acceptance_length", one.source, "mean", "tokens", one.acceptance_length, None, None, one.steps


def _goodput(result: Result) -> Iterator[Row]:
    good = result.goodput
    if good is None:
        return
    yield "goodput", good.anchor, "mean", "requests/s", good.goodput_per_s, None, None, good.planned
    yield _share("slo_attainment", good.anchor, "all", good.attainment, good.planned)
    for name, limit in good.limits.items():
        anchor = "" if name == "tpot_ms" else good.anchor
        yield _share("slo_attainment", anchor, f"{name}<={limit.limit_ms:g}", limit.attainment, good.planned)


def _classes(result: Result) -> Iterator[Row]:
    """The figures of each class and address, their metrics named `ttft of NAME`."""
    for group in (*result.classes, *result.addresses):
        of = f" of {group.name}"
        for metric, latency in group.latency.items():
            for anchor, summary in (("response", latency.response), ("service", latency.service)):
                for statistic in ("p50", "p90", "p99") if summary is not None else ():
                    assert summary is not None
                    name, one = metric.removesuffix("_ms") + of, getattr(summary, statistic)
                    yield _estimate(name, anchor, statistic, latency.unit, one, summary.n)
        for name in ("requests_per_s", made_of(result.methodology.spec), "input_tokens_per_s"):
            span = getattr(group.throughput, interval_of(name), None)
            low, high = (None, None) if span is None else (span.low, span.high)
            yield name + of, "", "mean", GLOSSARY[name].unit, getattr(group.throughput, name), low, high, None
        if (good := group.goodput) is not None:
            yield f"goodput{of}", good.anchor, "mean", "requests/s", good.goodput_per_s, None, None, good.planned
            yield _share(f"slo_attainment{of}", good.anchor, "all", good.attainment, good.planned)
        for extent, counts in (("run", group.counts.run), ("window", group.counts.window)):
            for name in counts.__struct_fields__:
                yield f"requests{of}", extent, name, "requests", getattr(counts, name), None, None, None


def _sessions(result: Result) -> Iterator[Row]:
    """The figures of sessions; those of turns are named `ttft of turn 2`, or `ttft of turns 2-3`."""
    found = result.sessions
    if found is None:
        return
    for name in ("begun", "whole", "failed", "abandoned", "unfinished"):
        yield "sessions", "run", name, "sessions", getattr(found, name), None, None, None
    for name in found.unsent_turns.__struct_fields__:
        yield "unsent_turns", "run", name, "requests", getattr(found.unsent_turns, name), None, None, None
    span = found.sessions_interval
    low, high = (None, None) if span is None else (span.low, span.high)
    yield "sessions_per_s", "", "mean", GLOSSARY["sessions_per_s"].unit, found.sessions_per_s, low, high, None
    yield "sessions", "", "in_progress", "sessions", found.in_progress, None, None, None
    for name, summary in (("session_time", found.time), ("session_time_without_delays", found.busy)):
        for statistic in ("p50", "p90", "p95", "p99") if summary is not None else ():
            assert summary is not None
            yield _estimate(name, "", statistic, "ms", getattr(summary, statistic), summary.n)
    if (path := found.path) is not None:
        for name, unit in (("calls", "share"), ("delays", "share"), ("late", "share"), ("length", "calls"),
                           ("parallel", "")):  # fmt: skip
            yield "critical_path", "", name, unit, getattr(path, name), None, None, None
    for one in found.by_turn:
        of = f" of turn {one.first}" if one.first == one.last else f" of turns {one.first}-{one.last}"
        for metric, latency in one.latency.items():
            for anchor, summary in (("response", latency.response), ("service", latency.service)):
                for statistic in ("p50", "p90", "p99") if summary is not None else ():
                    assert summary is not None
                    name = metric.removesuffix("_ms") + of
                    yield _estimate(name, anchor, statistic, latency.unit, getattr(summary, statistic), summary.n)
        yield f"input_tokens{of}", "", "mean", "tokens", one.input_tokens, None, None, one.requests
        yield f"cached_prompts{of}", "", "all", "share", one.cached_share, None, None, one.requests
        yield f"requests{of}", "window", "failed", "requests", one.failed, None, None, None


def _instrument(result: Result) -> Iterator[Row]:
    audit = result.instrument
    for name, spread in (("send_lateness", audit.send_lateness), ("read_lag", audit.read_lag)):
        for statistic in ("min", "p50", "p99", "max"):
            yield name, "", statistic, "ms", getattr(spread, f"{statistic}_ms"), None, None, spread.n
    yield "merged", "", "all", "share", audit.merged_share, None, None, audit.events
    yield "merged", "", "client", "share", audit.merged_by_client_share, None, None, audit.events
    for check in result.verdict.checks:
        yield "check", check.name, check.word or "", check.unit, check.value, None, check.limit, None
    yield "cpu_us_per_token", "", "mean", "µs", audit.cpu_us_per_token, None, None, None


def _observed(result: Result) -> Iterator[Row]:
    """What was watched beside the load; `n` of a source is how often it answered."""
    seen = result.observed
    if seen is None:
        return
    for name, one in seen.series.items():
        for statistic in ("mean", "min", "max"):
            yield "server", name, statistic, one.unit, getattr(one, statistic), None, None, None
        if one.kind == "rate":
            yield "server", name, "gained", one.unit.removesuffix("/s"), one.gained, None, None, None
    if seen.energy is not None:
        units = {"mean_watts": "W", "joules": "J", "joules_per_output_token": "J", "joules_per_request": "J"}
        for name, unit in units.items():
            yield "energy", seen.energy.source, name, unit, getattr(seen.energy, name), None, None, seen.energy.gpus
        yield "energy", seen.energy.source, "valid" if seen.energy.valid else "not valid", "", None, None, None, None
    for source in seen.sources:
        answered = source.looks - source.failed
        yield "source", source.name, "longest gap", "s", source.longest_gap_s, None, None, answered


def _estimate(metric: str, anchor: str, statistic: str, unit: str, estimate: Estimate, n: int | None) -> Row:
    end = (str(estimate.open).lower(), estimate.needs)  # an open end is none, and `needs` samples would close it
    return metric, anchor, statistic, unit, estimate.value, estimate.low, estimate.high, n, *end


def _share(metric: str, anchor: str, statistic: str, share: Share, n: int) -> Row:
    return metric, anchor, statistic, "share", share.value, share.low, share.high, n


# --- sweeps ----------------------------------------------------------------------------------------------------------

_POINT = (
    "requests", "failed_share", "concurrency", "requests_per_s", "inputs_per_s", "images_per_s", "audio_s_per_s",
    "output_tokens_per_s",
    "tokens_per_s_per_gpu",
    "tokens_per_s_per_user",
)  # fmt: skip


def sweep_csv(sweep: Sweep) -> str:
    """One line a stage. A figure that could not be measured has an empty value."""
    rows = sweep_rows(sweep)
    names = dict.fromkeys(name for row in rows for name in row) or dict.fromkeys(("stage", "phase", "load"))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: harmless(cell) for name, cell in row.items()} for row in rows)
    return out.getvalue()


def sweep_rows(sweep: Sweep) -> list[dict[str, Any]]:
    """The stages by column; a stage may lack columns of the server's figures that others have."""
    return [dict(_stage(sweep, stage)) for stage in sweep.stages]


def _stage(sweep: Sweep, stage: Stage) -> Iterator[tuple[str, Any]]:
    ask, point, trial = stage.ask, stage.point, stage.trial
    yield from (("stage", ask.number), ("phase", ask.phase), ("axis", sweep.plan.axis), ("load", ask.level))
    yield "changes", " ".join(f"{path}={'' if value is None else value}" for path, value in ask.changes.items())
    yield from (("folder", stage.folder), ("started_at", stage.started_at), ("state", stage.state))
    yield from (("took_s", stage.took_s), ("ended", stage.ended))
    yield "answer", trial and trial.answer
    for name, share in (
        ("attainment", trial and trial.attainment),
        ("slo_attainment", point and point.goodput and point.goodput.attainment),
    ):
        yield from ((f"{name}{end}", getattr(share, key, None)) for end, key in _ENDS)
    yield from ((name, trial and getattr(trial, name)) for name in ("judged", "missed", "binding"))
    yield from (("verdict", point and point.verdict), ("stable", point and point.stable))
    yield "reason", point.reasons[0] if point and point.reasons else None
    yield from ((name, point and getattr(point, name)) for name in _POINT)
    span = point and point.output_tokens_interval
    yield from ((f"output_tokens_per_s{end}", getattr(span, key, None)) for end, key in _ENDS[1:])
    own = latencies_of(sweep.plan.spec)
    for name in (name for name in COMPARED if name in OF_TEXT or name in own):
        for statistic in ("p50", "p90", "p99"):
            estimate = getattr(point, name).get(statistic) if point else None
            for end, key in _ENDS:
                yield f"{name.removesuffix('_ms')}_{statistic}{end}_ms", getattr(estimate, key, None)
            for key in ("open", "needs"):
                yield f"{name.removesuffix('_ms')}_{statistic}_{key}", getattr(estimate, key, None)
    yield "goodput_per_s", point and point.goodput and point.goodput.goodput_per_s
    yield "joules_per_output_token", point and point.energy and point.energy.joules_per_output_token
    yield "pareto", ask.number in sweep.curves.pareto
    yield from ((f"server_{name}", value) for name, value in sorted((point.server if point else {}).items()))


_ENDS = (("", "value"), ("_low", "low"), ("_high", "high"))

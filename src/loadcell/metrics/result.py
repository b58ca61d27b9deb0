"""From a recording to its Result."""

from __future__ import annotations

import msgspec
import numpy as np

from loadcell import __version__
from loadcell.errors import UsageError
from loadcell.metrics.accounting import Accounts, Unrecorded, account, unrecorded, window_counts
from loadcell.metrics.concurrency import concurrency
from loadcell.metrics.events import itl_summary, scan_events
from loadcell.metrics.goodput import goodput
from loadcell.metrics.instrument import instrument
from loadcell.metrics.interval import INTERVAL_DEFINITION, PERCENTILE_DEFINITION
from loadcell.metrics.latency import latencies
from loadcell.metrics.model import CountsOf, Methodology, Result, Run
from loadcell.metrics.rows import Mask, Rows, read_rows
from loadcell.metrics.throughput import throughput
from loadcell.metrics.window import Span, anchors, extent_ns, pick_window
from loadcell.recording.read import Recording
from loadcell.spec import Slo


def build_result(recording: Recording, slo: Slo | None = None, window_s: tuple[float, float] | None = None) -> Result:
    """The Result of a recording, under another SLO or window (seconds since the start of the load) if given.

    The same recording gives the same Result. A window that holds no request is a UsageError.
    """
    manifest, load = recording.manifest, recording.spec.load
    rows = read_rows(recording)
    accounts = account(manifest, recording.audits, rows)
    missing = _missing(recording, accounts, rows)
    anchor = anchors(rows, manifest.loop)
    last_planned = float(missing.planned[-1]) if missing.planned.size else 0.0
    span = pick_window(manifest, load, rows, anchor, last_planned, window_s)
    members = span.holds(anchor) & (rows.request >= span.first_request)
    lost, unsent = missing.inside(span.start, span.end, whole_run=not span.chosen)
    counts = CountsOf(run=accounts.counts, window=window_counts(rows, members, lost, unsent))
    extent = extent_ns(manifest, rows)
    if span.chosen and not counts.window.planned:
        raise UsageError(
            f"--window {span.start / 1e9:g},{span.end / 1e9:g} holds no request: "
            f"the run goes from 0 to {extent / 1e9:g} s"
        )
    events = scan_events(recording, rows, members, span)
    ok = members & rows.ok
    latency = latencies(rows, ok, manifest.loop, itl_summary(recording, rows, members, events))
    return Result(
        loadcell=__version__,
        run=Run(
            id=manifest.id,
            started_at=manifest.started_at,
            state=manifest.state,
            duration_s=None if manifest.ended_ns is None else manifest.ended_ns / 1e9,
            loadcell=manifest.loadcell,
        ),
        invalid=[*manifest.invalid, *_damage(recording), *accounts.invalid],
        notes=[*_state_notes(recording, rows), *manifest.notes, *_figure_notes(rows, ok)],
        counts=counts,
        latency=latency,
        throughput=throughput(rows, ok, span, events, latency["tpot_ms"].service),
        goodput=goodput(rows, ok, counts.window, span, slo or recording.spec.slo, manifest.loop),
        concurrency=concurrency(
            rows,
            span,
            extent,
            float(manifest.effective.get("ramp_s") or 0.0),
            manifest.window_end_ns,
            load.concurrency,
        ),
        instrument=instrument(manifest.clock, manifest.loop, recording.audits, rows, members, events),
        errors=accounts.errors,
        methodology=_methodology(recording, rows, span),
    )


def _missing(recording: Recording, accounts: Accounts, rows: Rows) -> Unrecorded:
    if recording.manifest.loop != "open":
        return unrecorded(accounts, rows, np.empty(0), np.empty(0))
    schedule = recording.schedule(("request", "planned_ns"))
    return unrecorded(accounts, rows, schedule["request"], schedule["planned_ns"].astype(np.float64))


def _damage(recording: Recording) -> list[str]:
    if not recording.damaged:
        return []
    return [f"parts of the recording cannot be read, what they held is missing: {', '.join(recording.damaged)}"]


def _state_notes(recording: Recording, rows: Rows) -> list[str]:
    texts = {
        "interrupted": f"the run was interrupted: {len(rows):,} requests had ended",
        "broken": f"the run broke off: {len(rows):,} requests were recorded",
        "running": f"the run did not end: {len(rows):,} requests recorded up to its last flush",
    }
    state = recording.manifest.state
    died = [f"worker {a.get('worker')} died: {a['died']}" for a in recording.audits if a.get("died")]
    return [*([texts[state]] if state in texts else []), *died]


_CACHED_SHARE = 0.1
"""A chat template's own part of a prompt may well be cached; more than this is no accident."""


def _figure_notes(rows: Rows, ok: Mask) -> list[str]:
    assumed = ok & rows.streamed & np.isnan(rows.first_tokens) & (rows.output_chunks > 1)
    unknown = ok & np.isnan(rows.output_tokens)
    texts = {
        "TPOT takes the first chunk of {:,} requests as one token: the server does not tell": assumed,
        "{:,} ok requests have no output token count: no TPOT, NTPOT or tokens/s of theirs": unknown,
        "{:,} replies were not streamed: no TTFT, ITL or TPOT; their tokens count when the body was complete": ok
        & ~rows.streamed,
    }
    notes = [text.format(int(mask.sum())) for text, mask in texts.items() if mask.any()]
    if rows.token_source.get("chunks"):
        notes.append(f"chunks stand for tokens in {rows.token_source['chunks']:,} requests: nothing told their count")
    told = ok & ~np.isnan(rows.cached_tokens) & (rows.prompt_tokens > 0)
    cached = float(rows.cached_tokens[told].sum() / rows.prompt_tokens[told].sum()) if told.any() else 0.0
    if cached > _CACHED_SHARE:
        notes.append(
            f"the server took {cached:.0%} of the prompt tokens from its cache: prompts that repeat, or a --seed that "
            "it has seen before, are answered faster than new ones"
        )
    return notes


def _methodology(recording: Recording, rows: Rows, span: Span) -> Methodology:
    manifest, spec = recording.manifest, recording.spec
    by_server = int(np.count_nonzero(~np.isnan(rows.prompt_tokens)))
    sources = {"usage": by_server, "planned": len(rows) - by_server}
    return Methodology(
        spec=msgspec.to_builtins(spec),
        effective=manifest.effective,
        loop=manifest.loop,
        seed=spec.run.seed,
        workers=manifest.workers,
        schedule_hash=manifest.schedule_hash,
        tokenizer=str(manifest.effective.get("tokenizer", spec.workload.tokenizer)),
        clock=manifest.clock,
        window=span.published(),
        token_source=rows.token_source,
        prompt_token_source={name: count for name, count in sources.items() if count},
        percentile=PERCENTILE_DEFINITION,
        interval=INTERVAL_DEFINITION,
        environment=recording.environment,
    )

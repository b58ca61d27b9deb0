"""From a recording to its Result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from loadcell import __version__
from loadcell.apis import AUDIO
from loadcell.errors import UsageError
from loadcell.inputs import check_limits
from loadcell.metrics.accounting import Accounts, Unrecorded, account, unrecorded, window_counts, without_row
from loadcell.metrics.behaved import behaved, behaved_notes, came, timed
from loadcell.metrics.bottleneck import bottleneck
from loadcell.metrics.budget import attainment_budget, with_budgets, with_rate_budgets
from loadcell.metrics.cache import cache
from loadcell.metrics.calibration import nearest_calibration
from loadcell.metrics.change import changes
from loadcell.metrics.checks_load import failure_notes
from loadcell.metrics.classes import Parts, addresses, classes, judged_by_class, told_classes
from loadcell.metrics.cold import cold_start
from loadcell.metrics.concurrency import concurrency
from loadcell.metrics.counters import counters, page_parts
from loadcell.metrics.early import Early
from loadcell.metrics.events import Listener, Received, itl_summaries, scan_events
from loadcell.metrics.failing import failing
from loadcell.metrics.fingerprint import fingerprint
from loadcell.metrics.full_load import all_at_once, drained_share, e2e_lasted, full_load
from loadcell.metrics.glossary import latencies_of, made_of
from loadcell.metrics.goodput import goodput
from loadcell.metrics.imported import of_import, placed
from loadcell.metrics.input_media import input_media
from loadcell.metrics.instrument import instrument
from loadcell.metrics.interval import INTERVAL_DEFINITION, PERCENTILE_DEFINITION, summarise_array
from loadcell.metrics.latency import latencies
from loadcell.metrics.model import (
    CountsOf,
    Delivered,
    Latency,
    Methodology,
    NamedScenario,
    Result,
    Run,
    StoppedEarly,
    Throughput,
    Verdict,
    WholeRun,
)
from loadcell.metrics.observed import observe
from loadcell.metrics.repeated import repeat_notes
from loadcell.metrics.replies import replies, reply_notes
from loadcell.metrics.rows import Mask, Rows, read_rows
from loadcell.metrics.run_rates import run_rates
from loadcell.metrics.server import server_sides, where_ttft
from loadcell.metrics.session_plan import lives, read_plan, settled_ns, turns_of, users_left_ns, waiting
from loadcell.metrics.sessions import in_progress, session_notes, sessions
from loadcell.metrics.speculation import speculation
from loadcell.metrics.steady import caveat_of, caveats, steady, with_caveat
from loadcell.metrics.step import IN_STEP, in_step, says_in_step
from loadcell.metrics.stream import delivered, goodput_without_pace, rates_without_pace, without_pace
from loadcell.metrics.throughput import throughput
from loadcell.metrics.varying import NO_INTERVAL, UNTOLD, held, is_scripted, replays, without_intervals
from loadcell.metrics.verdict import judge
from loadcell.metrics.window import Span, anchors, end_of_sending, extent_ns, pick_window, whole_run
from loadcell.phrases import phrase
from loadcell.recording.read import Recording
from loadcell.recording.schema import Manifest
from loadcell.spec import LIMITED, Slo, Spec, says_changed, scenario_of
from loadcell.spec import changes as changes_of_scenario

_TOTAL = ("total_tokens_per_s", "total_tokens_budget")
_CACHED_TOLD = 0.1
"""Above this share of a file's prompt tokens from a cache, a note tells of it."""


def build_result(
    recording: Recording,
    slo: Slo | None = None,
    window_s: tuple[float, float] | None = None,
    *,
    listener: Listener | None = None,
) -> Result:
    """The Result of a recording, under another SLO or window (seconds since the start of the load) if given.

    A `listener` is shown what is read for it, and changes nothing.
    The same recording gives the same Result. A window that holds no request is a UsageError.
    """
    manifest, load = recording.manifest, recording.spec.load
    scripted = is_scripted(load, manifest.loop, manifest.effective)
    generates, replayed = recording.spec.workload.generates, replays(manifest.loop, manifest.effective)
    limits = [one.slo for one in recording.spec.dealt] if slo is None else [slo]
    for one in limits:
        check_limits(one.limits, recording.spec.endpoint.api, generates=generates)
    if window_s is not None and not placed(recording.imported):
        raise UsageError(
            f"--window needs send times on one clock: the files that {recording.path} comes from have none"
        )
    rows = read_rows(recording)
    told = told_classes(recording, rows)
    accounts, missing = _accounts(recording, rows)
    anchor = anchors(rows, manifest.loop)
    last_planned = _last_planned(missing)
    plan = read_plan(recording, rows)
    sent_until = end_of_sending(manifest, load, rows, anchor, last_planned)[0]
    settled = settled_ns(plan, _load_ended(rows, sent_until))
    span = pick_window(manifest, load, rows, anchor, last_planned, window_s, settled)
    whole = whole_run(manifest, load, rows, anchor, last_planned)
    members = span.members(rows, anchor)
    lost, unsent = missing.inside(span.start, span.end, whole_run=not span.chosen)
    counts = CountsOf(
        run=accounts.counts,
        window=window_counts(rows, members, lost, unsent),
        beyond=int(np.count_nonzero(~rows.counted)),
        beyond_failed=rows.beyond_failed,
    )
    extent = extent_ns(manifest, rows)
    if span.chosen and not counts.window.planned:
        raise UsageError(
            f"--window {span.start / 1e9:g},{span.end / 1e9:g} holds no request: "
            f"the run goes from 0 to {extent / 1e9:g} s"
        )
    full = full_load(
        span, manifest, recording.spec, rows, sent_until, sessions=None if plan is None else users_left_ns(plan)
    )
    ramp_s = float(manifest.effective.get("ramp_s") or 0.0)
    flight = concurrency(rows, full, extent, ramp_s, load.concurrency)
    talking = None if plan is None else in_progress(lives(plan, _load_ended(rows, sent_until)), full)
    thinks = plan is None and recording.spec.sessions.think is not None  # nobody knows how many users pause
    users = flight if plan is None and not thinks else msgspec.structs.replace(flight, mean=talking)
    state = msgspec.structs.replace(
        steady(
            rows,
            anchor,
            missing.planned,
            span,
            extent,
            manifest.loop,
            users,
            manifest.stopped,
            held(load, min(span.end, span.sent_until), replayed=replayed),
            settled,
        ),
        in_step=None if load.lockstep else in_step(rows, members, span, manifest.loop, load.concurrency),
        drained_share=drained_share(rows, members, span, recording.spec),
        loaded_e2e=e2e_lasted(full, manifest, load, rows),
        cold_start=None
        if load.lockstep or all_at_once(recording.spec)
        else cold_start(rows, anchor, members, load.concurrency or 1),
    )
    why = caveat_of(state)
    if why is not None:  # lives grow with the queue: their parts inside are more than what the server did
        full = replace(full, by_end=True)
    same = all((s.start, s.end, s.first_request) == (whole.start, whole.end, whole.first_request) for s in (span, full))
    own, judged = timed(rows), members & ~rows.slow  # the times of slow readers are not the server's
    events, every = scan_events(recording, own, judged, full, None if same else whole, len(told))
    ok = members & rows.ok
    views = [(members, full, events)] + ([(rows.counted, whole, every)] if every is not None else [])
    lost_events = int(np.nansum(rows.output_chunks[rows.streamed])) - events.read
    came_in = delivered(events) if recording.spec.endpoint.stream else None
    stream = came_in if recording.imported is None else None  # the tool's own client may have merged its events
    failed = (counts.window.failed, counts.run.failed)
    (latency, rates), *all_of_it = _figures(
        recording, rows, views, events.early, failed, why, stream, lost_events > 0, listener
    )
    judged_counts = counts.window if judged is members else window_counts(rows, judged, lost, unsent)
    good = goodput_without_pace(goodput(own, judged, judged_counts, full, limits, manifest.loop), stream)
    good = good and attainment_budget(good, own, judged, limits, events.early, manifest.loop)
    parts = Parts(recording, members, span, full, accounts, missing, events, stream, why, lost_events > 0)
    groups = classes(parts, rows, told, limits)

    def of_part(chosen: Mask, lost: int) -> dict[str, Latency]:
        judged, first = chosen & own.ok, came(rows, chosen)
        found = latencies(rows, judged, manifest.loop, summarise_array(np.empty(0)), lost, first)
        found = with_budgets(found, rows, judged, events.early, Received(), manifest.loop, first)
        names = [name for name in LIMITED if name in latencies_of(recording.spec)]
        return without_pace(with_caveat({name: found[name] for name in names}, why), stream)

    ended = _load_ended(rows, sent_until)
    talks = sessions(plan, rows, members, span, full, ended, settled, of_part, why)
    sides, seen = server_sides(recording, rows, ok), observe(recording, full, extent, rates)
    said = replies(recording, rows, ok) if generates else None
    counted = counters(recording, rows)
    anew = counted is not None and counted.restarted
    turn = None if plan is None else turns_of(plan, len(rows))
    changed = changes(rows, ok, span, generates=generates, turn=turn)
    manners = behaved(recording, rows, members, latency.get("ttft_ms"), seen)
    unjudged = Result(
        loadcell=__version__,
        run=Run(
            id=manifest.id,
            started_at=manifest.started_at,
            state=manifest.state,
            duration_s=None if manifest.ended_ns is None else manifest.ended_ns / 1e9,
            loadcell=manifest.loadcell,
            stopped=_stopped(manifest),
            sealed=recording.altered is not None,
        ),
        verdict=Verdict(word="VALID", reasons=[], checks=[]),
        invalid=[*manifest.invalid, *_damage(recording, lost_events), *accounts.invalid],
        notes=[
            *_state_notes(recording, rows),
            *reply_notes(said, str(manifest.effective.get("tokenizer", recording.spec.workload.tokenizer))),
            *manifest.notes,
            *repeat_notes(recording, rows),
            *failure_notes(counts.window, rates.failed_tokens_per_s),
            *behaved_notes(manners),
            *([named.says] if (named := _scenario(recording.spec, manifest.effective)) and named.changed else []),
            *_figure_notes(rows, ok, recording.spec, imported=recording.imported is not None),
            *([NO_INTERVAL] if scripted else []),
            *_step_notes(rows, ok, state.in_step),
            *session_notes(talks),
        ],
        counts=counts,
        steady=state,
        change=dict.fromkeys(changed, UNTOLD) if scripted else changed,
        replies=said,
        delivered=came_in,
        latency=latency,
        tokens_per_chunk=events.chunks.per_chunk(rows, ok),
        itl_by_token=events.chunks.by_token(),
        speculation=speculation(rows, ok, page_parts(recording), seen, restarted=anew) if generates else [],
        throughput=rates,
        goodput=judged_by_class(good, groups),
        classes=groups,
        addresses=addresses(parts, rows, told),
        whole_run=WholeRun(latency=all_of_it[0][0], throughput=all_of_it[0][1]) if all_of_it else None,
        run_rates=run_rates(rows),
        sessions=talks,
        input_media=input_media(recording, rows, ok, full, events.early, counts.window.failed, why),
        cache=cache(recording, rows, ok, counted),
        concurrency=flight,
        instrument=instrument(recording, own, judged, span, events, members),
        server=sides,
        where_ttft=where_ttft(sides),
        counters=counted,
        behaved=manners,
        observed=seen,
        calibration=nearest_calibration(recording.selftest, flight.mean, rates.output_tokens_per_s, manifest.workers),
        errors=accounts.errors,
        failing=failing(rows),
        methodology=_methodology(recording, rows, span),
    )
    if recording.imported is not None:
        unjudged = of_import(unjudged, recording.imported, rows)
    return msgspec.structs.replace(unjudged, verdict=judge(unjudged), bottleneck=bottleneck(unjudged))


def find_window(recording: Recording) -> Span:
    """The window of a recording's Result; no event is read for it."""
    manifest, rows = recording.manifest, read_rows(recording)
    _, missing = _accounts(recording, rows)
    anchor, load, last_planned = anchors(rows, manifest.loop), recording.spec.load, _last_planned(missing)
    sent_until = end_of_sending(manifest, load, rows, anchor, last_planned)[0]
    settled = settled_ns(read_plan(recording, rows), _load_ended(rows, sent_until))
    return pick_window(manifest, load, rows, anchor, last_planned, None, settled)


def _load_ended(rows: Rows, sent_until: float) -> float:
    """When the last request was sent, those that kept the load on included, or the sending ended after it."""
    return float(np.nanmax(rows.send_start, initial=sent_until))


def _last_planned(missing: Unrecorded) -> float:
    return float(missing.planned[-1]) if missing.planned.size else 0.0


def _figures(
    recording: Recording,
    rows: Rows,
    views: Sequence[tuple[Mask, Span, Received]],
    early: Early,
    failed: Sequence[int],
    why: str | None,
    stream: Delivered | None,
    partial: bool,
    listener: Listener | None,
) -> list[tuple[dict[str, Latency], Throughput]]:
    """Latencies and rates of each view: its requests, its window and what it received; how many `failed` in each.

    Where the recording has a part of the events only, nobody knows when the other tokens came: no output tokens/s.
    """
    figures = []
    loop, clock = recording.manifest.loop, recording.manifest.clock
    own = timed(rows)
    itls = itl_summaries(recording, own, [(members & own.ok, received) for members, _, received in views], listener)
    for (members, span, received), lost, itl in zip(views, failed[: len(views)], itls, strict=True):
        ok, first = members & own.ok, came(rows, members)
        latency = latencies(rows, ok, loop, itl, lost, first)
        latency = with_budgets(latency, rows, ok, early, received, loop, first)
        rates = throughput(rows, members & rows.ok, span, received, latency["tpot_ms"].service, made_of(recording.spec))
        if is_scripted(recording.spec.load, loop, recording.manifest.effective):
            rates = without_intervals(rates)
        rates = with_rate_budgets(rates, rows, span, early, received, loop, clock)
        if partial:
            none = dict.fromkeys((*(f"output_tokens_{x}" for x in ("per_s", "interval", "budget")), *_TOTAL))
            rates = msgspec.structs.replace(rates, **none)
        users = caveats(rates.user_tokens_per_s, why)
        rates = rates_without_pace(msgspec.structs.replace(rates, user_tokens_per_s=users), stream)
        latency = {name: latency[name] for name in latencies_of(recording.spec)}
        if not recording.spec.workload.generates:
            rates = msgspec.structs.replace(rates, failed_tokens_per_s=None, user_tokens_per_s={})
        figures.append((without_pace(with_caveat(latency, why), stream), rates))
    return figures


def _accounts(recording: Recording, rows: Rows) -> tuple[Accounts, Unrecorded]:
    """Where every planned request went, and those without a row."""
    manifest, later, planned = recording.manifest, waiting(recording), np.empty(0)
    if manifest.loop == "open":
        schedule = recording.schedule(("request", "planned_ns"))
        times = schedule["planned_ns"].astype(np.float64)
        planned = without_row(manifest, rows, schedule["request"].astype(np.int64), times, later)
    accounts = account(manifest, recording.audits, rows, planned.size)
    return accounts, unrecorded(accounts, rows, planned, later)


def _damage(recording: Recording, lost_events: int) -> Iterator[str]:
    if recording.damaged:
        yield phrase(
            "parts of the recording cannot be read, what they held is missing: {}", ", ".join(recording.damaged)
        )
    if recording.altered:
        yield phrase(
            "files are not as the run wrote them, by its checksums (the disk erred, or somebody changed them): {}",
            ", ".join(recording.altered),
        )
    if lost_events > 0:
        yield phrase("{:,} received events are missing from the recording", lost_events)


def _stopped(manifest: Manifest) -> StoppedEarly | None:
    told = manifest.stopped
    if told is None:
        return None
    return StoppedEarly(kind=told.kind, at_s=told.at_ns / 1e9, reason=told.reason, cancelled=told.cancelled)


def _state_notes(recording: Recording, rows: Rows) -> list[str]:
    texts = {
        "interrupted": phrase(
            "the run was interrupted: {:,} requests had ended", int((rows.ok | rows.failed | rows.abandoned).sum())
        ),
        "broken": phrase("the run broke off: {:,} requests were recorded", len(rows)),
        "running": phrase("the run did not end: {:,} requests recorded up to its last flush", len(rows)),
    }
    state = recording.manifest.state
    died = [phrase("worker {} died: {}", a.get("worker"), a["died"]) for a in recording.audits if a.get("died")]
    lost = ", ".join(recording.damaged_beside)
    beside = (
        [phrase("of what was watched beside the load, files cannot be read and are left out: {}", lost)] if lost else []
    )
    return [*([texts[state]] if state in texts else []), *died, *beside]


def _figure_notes(rows: Rows, ok: Mask, spec: Spec, *, imported: bool) -> list[str]:
    assumed = ok & rows.streamed & np.isnan(rows.first_tokens) & (rows.output_chunks > 1)
    unknown = ok & np.isnan(rows.output_tokens)
    whole = ok & ~rows.streamed
    texts = [
        (phrase("TPOT takes the first chunk of {:,} requests as one token: the server does not tell"), assumed),
        (phrase("{:,} ok requests have no output token count: no TPOT, NTPOT or tokens/s of theirs"), unknown),
        (phrase("{:,} replies were not streamed: no TTFT, ITL or TPOT; their tokens count when the body was complete"),
         whole),
    ]  # fmt: skip
    if not spec.workload.generates:
        key = phrase("{:,} ok replies do not tell how long their audio lasts: no RTF of theirs; WAV tells, and raw PCM")
        texts = [(key, ok & np.isnan(rows.audio))] if spec.endpoint.api == AUDIO else []
    notes = [phrase(key, int(mask.sum())) for key, mask in texts if mask.any()]
    if rows.token_source.get("chunks"):
        notes.append(
            phrase("chunks stand for tokens in {:,} requests: nothing told their count", rows.token_source["chunks"])
        )
    told = ok & ~np.isnan(rows.cached_tokens) & (rows.prompt_tokens > 0)
    cached = float(rows.cached_tokens[told].sum() / rows.prompt_tokens[told].sum()) if told.any() else 0.0
    if cached > _CACHED_TOLD and (imported or spec.workload.prompts is not None):  # else the verdict says it
        notes.append(
            phrase(
                "the server took {:.0%} of the prompt tokens from its cache: prompts that repeat are answered "
                "faster than new ones",
                cached,
            )
        )
    return notes


def _step_notes(rows: Rows, ok: Mask, together: float | None) -> list[str]:
    if together is None or together < IN_STEP:
        return []
    return [says_in_step(together, int(rows.asked_tokens[ok][0]))]


def _methodology(recording: Recording, rows: Rows, span: Span) -> Methodology:
    manifest, spec = recording.manifest, recording.spec
    by_server = int(np.count_nonzero(~np.isnan(rows.prompt_tokens)))
    planned = int(np.count_nonzero(np.isnan(rows.prompt_tokens) & ~np.isnan(rows.input_tokens)))
    sources = {"usage": by_server, "planned": planned}
    return Methodology(
        fingerprint=fingerprint(spec, manifest.effective, manifest.schedule_hash),
        spec=spec,
        effective=manifest.effective,
        loop=manifest.loop,
        scenario=_scenario(spec, manifest.effective),
        seed=spec.run.seed,
        workers=manifest.workers,
        schedule_hash=manifest.schedule_hash,
        bodies_hash=manifest.bodies_hash,
        tokenizer=str(manifest.effective.get("tokenizer", spec.workload.tokenizer)),
        clock=manifest.clock,
        core=manifest.core,
        window=span.published(),
        token_source=rows.token_source,
        prompt_token_source={name: count for name, count in sources.items() if count},
        percentile=PERCENTILE_DEFINITION,
        interval=INTERVAL_DEFINITION,
        environment=recording.environment,
    )


def _scenario(spec: Spec, effective: dict[str, Any]) -> NamedScenario | None:
    """The named scenario of a run, and what it changed of it."""
    asked = spec.workload.scenario
    if asked is None:
        return None
    scenario = scenario_of(spec)
    if scenario is None:
        name, _, version = asked.partition("@")
        number = int(version) if version.isdecimal() else 0
        says = phrase("scenario {}: this version of loadcell has it not, and cannot tell what the run changed", asked)
        return NamedScenario(name=name, version=number, says=says)
    found = changes_of_scenario(spec, scenario, effective)
    says = phrase("scenario {} v{}, as it is", scenario.name, scenario.version)
    return NamedScenario(
        name=scenario.name,
        version=scenario.version,
        changed=[one.path for one in found],
        says=says_changed(scenario, found) if found else says,
    )

"""A recording as another tool would have shown it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from loadcell.errors import UsageError, nearest
from loadcell.interop.views.definitions import TOOLS, definition_of
from loadcell.interop.views.differ import differences, ours, rate_of, summary_of
from loadcell.interop.views.figures import POOLED, SCALARS, SCALE, Taken, Totals, rules_of, samples
from loadcell.interop.views.model import Figure, ShownAs
from loadcell.interop.views.seen import Seen, see
from loadcell.interop.views.statistics import statistics
from loadcell.metrics import Result
from loadcell.phrases import phrase, phrases
from loadcell.recording.imported import Missing, Told
from loadcell.recording.read import Recording
from loadcell.spec import Slo


def shown_as(recording: Recording, result: Result, tool: str, slo: Slo | None = None) -> ShownAs:
    """The view of a recording and its Result by a tool of `definitions.TOOLS`, held against the limits that it ran with
    or others; UsageError for another tool."""
    seen, api = see(recording), recording.spec.endpoint.api
    api = api if isinstance(api, str) else "template"
    definition = definition_of(known(tool), seen.schema if seen.made_by == tool else None)
    told = recording.imported.told if recording.imported is not None and recording.imported.tool == tool else []
    shown = ShownAs(
        tool=tool,
        title=definition.title,
        version=definition.version,
        recording=recording.manifest.id,
        made_by=None if recording.imported is None else recording.imported.tool,
        figures=with_ours(figures(seen, tool, api, slo or recording.spec.slo), result, told),
        differences=differences(seen, result, definition, tool, api, slo or recording.spec.slo),
        missing=list(_missing(seen, tool, api)),
        notes=[*definition.notes, *(() if seen.made_by == tool else definition.lacks), *_notes(seen, tool, api)],
    )
    return ShownAs(**{name: getattr(shown, name) for name in shown.__struct_fields__} | {"phrases": phrases(shown)})


def known(tool: str) -> str:
    """The tool, if there is a view of it; UsageError else."""
    if tool not in TOOLS:
        raise UsageError(f"--as {tool!r} is not known: {', '.join(TOOLS)}{nearest(tool, TOOLS)}")
    return tool


def figures(seen: Seen, tool: str, api: str = "chat", slo: Slo | None = None) -> list[Figure]:
    """What the tool's result would hold, in its order: a figure that cannot be told is None."""
    definition, found = definition_of(tool, seen.schema if seen.made_by == tool else None), []
    summary = seen.made_by is not None and not len(seen)
    totals = Totals(Taken(seen, rules_of(definition, api), tool), definition, slo)
    for key, name in definition.scalars.items():
        compute, unit, metric = SCALARS[name]
        value = None if summary else compute(totals)
        found.append(Figure(key=key, value=_finite(value), unit=unit, metric=metric))
    for dist in definition.dists:
        rules = rules_of(definition, api, dist)
        values, weights = samples(seen, rules, tool)
        words = dist.stats or definition.stats
        numbers = statistics(values, weights, list(words.values()), rules)
        for (word, which), value in zip(words.items(), numbers, strict=True):
            scale = 1.0 if which == "count" else SCALE[dist.unit]
            found.append(
                Figure(
                    key=definition.key.format(stem=dist.stem, stat=word).replace("{stat}", word),
                    value=_finite(None if value is None else value * scale),
                    unit="" if which == "count" else dist.unit,
                    metric=None if which in ("count", "sum") else dist.metric,
                    stat=which if isinstance(which, str) else f"p{which:g}",
                )
            )
    return found


def with_ours(found: list[Figure], result: Result, told: list[Told]) -> list[Figure]:
    """The figures with ours beside them, and what the tool itself told."""
    by_key = {one.key: one for one in told}
    return [
        Figure(
            key=one.key,
            value=one.value,
            unit=one.unit,
            metric=one.metric,
            stat=one.stat,
            ours=_ours(one, result),
            told=_told(one, by_key.get(one.key)),
        )
        for one in found
    ]


def _told(figure: Figure, told: Told | None) -> float | None:
    """What the tool wrote, in the unit of the view."""
    if told is None or told.value is None:
        return None
    if told.unit != figure.unit and {told.unit, figure.unit} <= {"s", "ms", "ns"}:
        return told.value / SCALE[told.unit] * SCALE[figure.unit]
    return told.value


def _ours(figure: Figure, result: Result) -> float | None:
    if figure.metric is None:
        return None
    if figure.stat is not None:
        which = float(figure.stat[1:]) if figure.stat.startswith("p") else figure.stat
        value = ours(result, figure.metric, which) if summary_of(result, figure.metric) is not None else None
        return None if value is None else value / 1e3 * SCALE[figure.unit]
    if figure.metric in ("ok", "failed", "planned"):
        return float(getattr(result.counts.run, figure.metric) or 0)
    if result.goodput is not None and figure.metric in ("goodput_per_s", "attainment"):
        found = getattr(result.goodput, figure.metric)
        return getattr(found, "value", found)  # type: ignore[no-any-return]
    return rate_of(result, figure.metric)


def _missing(seen: Seen, tool: str, api: str) -> Iterator[Missing]:
    """What this recording lacks for a tool."""
    rules, formulas = rules_of(TOOLS[tool], api), {dist.formula for dist in TOOLS[tool].dists}
    if not len(seen):
        yield Missing(field="requests", why=phrase("the recording has no requests: only what the tool told"))
        return
    for field, values, why in (
        ("send_start_ns", seen.sent, phrase("there are no send times: nothing that starts there, and no rate")),
        ("first_any_ns", seen.first_any, phrase("there is no first output: no TTFT")),
        ("last_ns", seen.last, phrase("there is no last output")),
        ("end_ns", seen.end, phrase("there is no end of the stream")),
        ("output_tokens", seen.ours, phrase("nobody counted output tokens")),
    ):
        if seen.ok.any() and np.isnan(values[seen.ok]).all():
            yield Missing(field=field, why=why)
    counted = seen.made_by == tool and not np.isnan(seen.chunks).all()
    if not seen.events.place.size and (formulas & {*POOLED} or ("lines" in formulas and not counted)):
        yield Missing(field="chunks", why=phrase("there are no events: no gaps between them"))
    if not seen.placed:
        yield Missing(field="window", why=phrase("each request has its own clock: a time over all of them is as told"))
    if seen.made_by is not None and "choices" in (rules.first, rules.end, rules.gaps):
        why = phrase("the file does not tell empty events and finish events from output: its first and last stand in")
        yield Missing(field="chunks.kind", why=why)
    told = seen.usage if "usage" in rules.tokens else np.full(len(seen), np.nan)
    if "text" in rules.tokens and seen.made_by != tool and (np.isnan(told) & np.isnan(seen.text) & seen.ok).any():
        yield Missing(field="text_tokens", why=phrase("no tokenizer counted the replies: our count stands in"))


def _notes(seen: Seen, tool: str, api: str) -> Iterator[str]:
    """What to know of this recording under these rules."""
    rules = rules_of(TOOLS[tool], api)
    taken = Taken(seen, rules, tool)
    if taken.unseen.any():
        empty = int(taken.unseen.sum())
        yield (
            phrase("failed replies without any output that count as successes there, with a TTFT of 0: {}", empty)
            if rules.zero_ttft
            else phrase("failed replies without any output that count as successes there, without a TTFT: {}", empty)
        )
    if rules.first == "answer" and not taken.own and (taken.visible < 1).any():
        yield phrase(
            "it does not count reasoning and tool calls: of {} replies the tokens are cut by their share of the events",
            int((taken.visible < 1).sum()),
        )
    opened = seen.connected - seen.connect
    if rules.start == "fresh" and seen.made_by is None:
        known = opened[~np.isnan(opened)]
        if known.size:
            ms = float(np.median(known)) / 1e6
            yield phrase("opening a connection took {} ms (median of {}): it adds so much to each TTFT of a tool that "
                         "opens one a request", f"{ms:.3g}", int(known.size))  # fmt: skip
        else:
            yield phrase("no request opened a connection here: what that costs is not in these figures")
    if seen.early_empty and rules.first == "output":
        yield phrase(
            "empty events before the first output: {}; whether they named a role is not recorded, and none counts",
            seen.early_empty,
        )


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value

"""Images and audio that requests carried: how much of it, how fast it was taken, and how long audio took beside its
own length."""

from __future__ import annotations

import msgspec
import numpy as np

from loadcell.metrics.budget import Bounds, amount_budget, bounds, budgeted
from loadcell.metrics.early import Early
from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.interval import rate_interval, summarise_array
from loadcell.metrics.latency import in_send_order
from loadcell.metrics.life import deviation_of_lives, requests_in
from loadcell.metrics.model import InputMedia, Latency, MediaRate
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.metrics.steady import with_caveat
from loadcell.metrics.throughput import widened
from loadcell.metrics.window import Span
from loadcell.recording.read import Recording

_NS = 1e9
_COLUMNS = ("request", "images", "image_pixels", "input_audio_s")


def input_media(
    recording: Recording, rows: Rows, ok: Mask, span: Span, early: Early, failed: int, caveat: str | None
) -> InputMedia | None:
    """What the ok requests of the window carried; None where no request of the run carries any.

    `span` is that of the rates; `failed` others were in the window. The real-time factor is of APIs that take audio
    alone: elsewhere E2E is not the time that audio takes.
    """
    media = recording.spec.media
    if not media.any:
        return None
    planned = recording.schedule(_COLUMNS)
    place = np.searchsorted(planned["request"], rows.request)
    images, pixels, audio_s = (planned[name].astype(np.float64)[place] for name in _COLUMNS[1:])
    sent_bytes = recording.requests(("bytes_sent",))["bytes_sent"].astype(np.float64)
    loop = recording.manifest.loop

    def rate(each: Floats) -> MediaRate | None:
        return None if np.isnan(each).all() else _rate(recording, rows, np.nan_to_num(each), span, early)

    found = InputMedia(
        input_images=_mean(images, ok),
        input_megapixels=_mean(pixels / 1e6, ok),
        input_audio_s=_mean(audio_s, ok),
        sent_bytes=_mean(sent_bytes, ok),
        text_tokens=_mean(rows.input_tokens, ok),
        server_tokens=_mean(rows.prompt_tokens, ok),
        input_images_per_s=rate(images),
        input_audio_s_per_s=rate(audio_s),
    )
    if not recording.spec.workload.hears:
        return found
    factor = _real_time_factor(rows, ok, audio_s, early, loop, failed)
    return msgspec.structs.replace(found, input_rtf=with_caveat({"input_rtf": factor}, caveat)["input_rtf"])


def _mean(values: Floats, chosen: Mask) -> float | None:
    known = values[chosen & ~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _rate(recording: Recording, rows: Rows, each: Floats, span: Span, early: Early) -> MediaRate | None:
    """So much of each ok request a second, counted as requests/s counts requests."""
    length_s = span.length_s
    if length_s is None or not len(rows):
        return None
    chosen = rows.ok & rows.sent
    amounts = requests_in(rows, chosen, span, each)
    inside = int(np.count_nonzero(rows.ok & (rows.send_start <= span.end) & (rows.end >= span.start)))
    value = float(amounts.sum()) / length_s
    apart = deviation_of_lives(rows, chosen, span, each) / length_s
    manifest = recording.manifest
    return MediaRate(
        value=value,
        interval=widened(rate_interval(amounts, length_s, inside), value, apart),
        budget=amount_budget(value, each, rows, span, early, manifest.loop, manifest.clock),
    )


def _real_time_factor(rows: Rows, ok: Mask, audio_s: Floats, early: Early, loop: str, failed: int) -> Latency:
    """E2E over the seconds of audio of each request, from both anchors."""
    places = in_send_order(rows, ok)
    metric = GLOSSARY["input_rtf"]
    service, response = ((rows.last - anchor) / audio_s for anchor in (rows.send_start, rows.planned))
    found = Latency(
        title=metric.title,
        unit=metric.unit,
        service=summarise_array(service[places], _NS, failed),
        response=summarise_array(response[places], _NS, failed) if loop == "open" else None,
    )
    if not early.known:
        return found
    times = bounds(rows, early, loop)["e2e_ms"]
    low_high = [one and Bounds(one.low / audio_s / 1e3, one.high / audio_s / 1e3) for one in times]
    assert low_high[0] is not None
    return msgspec.structs.replace(
        found,
        service=budgeted(found.service, low_high[0], ok),
        response=found.response and low_high[1] and budgeted(found.response, low_high[1], ok),
    )

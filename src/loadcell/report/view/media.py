"""What is said of images and audio that requests carried."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Result
from loadcell.metrics.model import InputMedia
from loadcell.report.view.blocks import Cell, Fact, fact
from loadcell.report.view.figures import bracketed, estimated
from loadcell.report.words import Words
from loadcell.spec import Media

_SHORT = ("p50", "p90", "p99")
_FULL = ("p50", "p90", "p95", "p99", "p99_9")


def media_words(media: Media, words: Words) -> Iterator[str]:
    """What requests were to carry, as it was asked for."""
    t = words.say
    if media.image_dir is not None:
        yield t("{n} images of {folder} a request", n=media.images or "1", folder=media.image_dir)
    elif media.images is not None:
        size, form = media.image_size or "512x512", media.image_format or "jpeg"
        yield t("{n} images a request, {size}, {form}", n=media.images, size=size, form=form)
    if media.audio_dir is not None:
        yield t("a clip of {folder} a request", folder=media.audio_dir)
    elif media.audio_seconds is not None:
        yield t("{s} s of audio a request", s=media.audio_seconds)


def carried(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """How much of images and audio requests carried, how fast it was taken, and the real-time factor."""
    found = result.input_media
    if found is None:
        return
    t = words.say
    rates = []
    if (images := found.input_images_per_s) is not None:
        rates.append(t("{n} images/s", n=words.figure(images.value)) + bracketed(images.interval, words))
    if (audio := found.input_audio_s_per_s) is not None:
        rates.append(t("{n} s of audio/s", n=words.figure(audio.value)) + bracketed(audio.interval, words))
    if rates:
        yield fact(t("Media in"), *rates, *([] if short else _each(found, words)))
    if short and (each := list(_each(found, words))):
        yield fact("", *each)
    yield from _factor(result, words, short=short)


def _each(found: InputMedia, words: Words) -> Iterator[str]:
    """What a request carried, on average."""
    t = words.say
    if found.input_images is not None:
        n, size = words.figure(found.input_images), words.figure(found.input_megapixels)
        yield t("{n} images and {m} megapixels a request", n=n, m=size)
    if found.input_audio_s is not None:
        yield t("{s} s of audio a request", s=words.figure(found.input_audio_s))
    if found.sent_bytes is not None:
        yield t("{n} MB sent a request", n=words.figure(found.sent_bytes / 1e6, 3))
    if found.text_tokens is not None and found.server_tokens is not None:
        yield t(
            "{n} input tokens by the server, {m} planned as text",
            n=words.figure(found.server_tokens, 4),
            m=words.figure(found.text_tokens, 4),
        )


def _factor(result: Result, words: Words, *, short: bool) -> Iterator[Fact]:
    factor = None if result.input_media is None else result.input_media.input_rtf
    if factor is None:
        return
    summary = factor.response or factor.service
    title = words.metric("input_rtf").title
    cells = []
    for name in _SHORT if short else _FULL:
        one = estimated(getattr(summary, name), words, unit="", n=summary.n, name=name)
        between = f" [{one.under}]" if one.under and one.known else ""
        cells.append(Cell(f"{name.replace('_', '.')} {one.value}{between}"))
    ends = [
        Cell(words.say("mean {n}", n=words.figure(summary.mean))),
        Cell(f"{words.say('max')} {words.figure(summary.max)}"),
    ]
    anchor = Cell(words.say("response time")) if factor.response else Cell(words.say("service time"))
    yield title, [*cells, *ends, *([] if short else [anchor])]

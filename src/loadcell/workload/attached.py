"""Prompts with images and audio beside their text, in the form of their API; or audio alone."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadcell.apis import Api
from loadcell.errors import UsageError
from loadcell.media import Attachment, Media
from loadcell.phrases import phrase
from loadcell.workload.facts import Facts
from loadcell.workload.files import FilePrompts
from loadcell.workload.media import Attached, attachments_of, plan_clips, plan_images, weights_of_rows
from loadcell.workload.prompts import SyntheticPrompts
from loadcell.workload.schedule import MediaColumns

_PROBE_SEED = 1 << 200
"""Of what the probe carries where it is made: another than any load has."""


@dataclass(frozen=True, eq=False)
class AttachedPrompts:
    """Prompts of requests that carry images or audio, made while they are read; reading again gives the same."""

    api: Api
    texts: SyntheticPrompts | FilePrompts | None
    """None where audio is all that is sent."""
    images: Attached | None
    clips: Attached | None
    rows: int

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[bytes | Attachment]:
        return self.select(np.arange(self.rows))

    def select(self, rows: NDArray[np.integer[Any]]) -> Iterator[bytes | Attachment]:
        """The prompts of `rows`, in that order, without making the others."""
        texts = repeat("") if self.texts is None else self.texts.select(rows)
        for row, text in zip(rows.tolist(), texts, strict=False):
            attached = [one for of in (self.images, self.clips) if of is not None for one in attachments_of(of, row)]
            yield attached[0] if self.texts is None else with_parts(text, attached, self.api)

    def columns(self) -> MediaColumns:
        """What each request carries."""
        images, clips = self.images, self.clips
        return MediaColumns(
            None if images is None else np.diff(images.ends, prepend=0).astype(np.int32),
            None if images is None else weights_of_rows(images),
            None if clips is None else weights_of_rows(clips),
        )

    def facts(self, rows: int) -> Facts:
        """What the first `rows` prompts follow from."""
        texts = Facts([], []) if self.texts is None else self.texts.facts(rows)
        return texts._replace(attached=self._attached(rows))

    def _attached(self, rows: int) -> Iterator[bytes]:
        for of in (self.images, self.clips):
            if of is not None and rows:
                yield of.ends[:rows].astype("<i8").tobytes()
                yield from of.facts(int(of.ends[rows - 1]))


def attach(
    api: Api, media: Media, texts: SyntheticPrompts | FilePrompts | None, rows: int, seed: int, content_seed: int,
    notes: list[str],
) -> AttachedPrompts:  # fmt: skip
    """The prompts of a run with what they are to carry; `notes` takes what must be known. UsageError says what cannot
    be."""
    if isinstance(texts, FilePrompts):
        for line in np.unique(texts.lines).tolist():
            if "messages" not in msgspec.json.decode(texts.file.prompts[line]):
                where = texts.file.rows.where(int(texts.file.places[line]))
                raise UsageError(f"{where}: has no messages that images or audio could be added to: leave these out")
    images = plan_images(media, rows, seed, content_seed, notes)
    clips = plan_clips(media, rows, seed, content_seed, notes)
    if texts is not None:
        notes.append(
            phrase("input tokens as planned are those of the text alone: images and audio are in the server's count")
        )
    return AttachedPrompts(api, texts, images, clips, rows)


def probe_with(api: Api, media: Media, text: str) -> bytes | Attachment:
    """A short prompt that carries what those of a load do; UsageError says what cannot be."""
    hears = text == ""
    images, clips = (make(media, 1, _PROBE_SEED, _PROBE_SEED, []) for make in (plan_images, plan_clips))
    attached = [one for of in (images, clips) if of is not None for one in attachments_of(of, 0)]
    return attached[0] if hears else with_parts(text, attached, api)


def with_parts(text: str | bytes, attached: list[Attachment], api: Api) -> bytes:
    """The fields of a body with attachments before its text, or before what the last message of a user says."""
    parts: list[Any] = [msgspec.Raw(_part(one, api)) for one in attached]
    if isinstance(text, str):
        content = [*parts, {"type": "text", "text": text}]
        return msgspec.json.encode({"messages": [{"role": "user", "content": content}]})
    fields: dict[str, Any] = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    messages: list[Any] = msgspec.json.decode(fields["messages"], type=list[msgspec.Raw])
    at = next((i for i in reversed(range(len(messages))) if _role(messages[i]) == "user"), None)
    if at is None:
        messages.append({"role": "user", "content": parts})
    else:  # all but its content stays as it is written
        last = msgspec.json.decode(messages[at], type=dict[str, msgspec.Raw])
        said = msgspec.json.decode(last.get("content", b"null")) or []
        whole = [{"type": "text", "text": said}] if isinstance(said, str) else said
        messages[at] = last | {"content": [*parts, *whole]}
    fields["messages"] = messages
    return msgspec.json.encode(fields)


def _role(message: msgspec.Raw) -> Any:
    return msgspec.json.decode(message).get("role")


def _part(one: Attachment, api: Api) -> bytes:
    """An attachment as a part of a message's content."""
    data = b2a_base64(one.data, newline=False)
    if api == "messages":
        return b'{"type":"image","source":{"type":"base64","media_type":"%b","data":"%b"}}' % (one.mime.encode(), data)
    if one.kind == "image":
        return b'{"type":"image_url","image_url":{"url":"data:%b;base64,%b"}}' % (one.mime.encode(), data)
    return b'{"type":"input_audio","input_audio":{"data":"%b","format":"%b"}}' % (data, one.form.encode())

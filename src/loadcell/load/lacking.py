"""Whether a reply has what its API needs, before a load of such replies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from loadcell.errors import EndpointError
from loadcell.protocol import Dialect, Reply
from loadcell.protocol.dialect import Heard

_NOT_FOUND = ("empty", "protocol", "cut")
"""Failures of a reply in which something is missing."""


def overheard(dialect: Dialect) -> tuple[Dialect, list[bytes]]:
    """The dialect, and the JSON of all replies in it from now on."""
    told: list[bytes] = []

    def hear(payloads: list[bytes], index: int | None) -> Iterator[Heard]:
        told.extend(payloads)
        return dialect.hear(payloads, index)

    def whole(payload: bytes) -> Heard:
        told.append(payload)
        return dialect.whole(payload)

    return replace(dialect, hear=hear, whole=whole), told


def check_reply(dialect: Dialect, told: list[bytes], reply: Reply, notes: list[str]) -> None:
    """EndpointError if a reply lacks what its API needs, as far as it was read; what else it lacks goes to `notes`."""
    if not reply.good or (reply.failure is not None and reply.failure[0] not in _NOT_FOUND):
        return
    wrong, noted = dialect.missed(told, reply.streamed, reply.ended if reply.complete else None)
    if wrong:
        raise EndpointError(f"{wrong[0]}; correct that")
    notes += noted

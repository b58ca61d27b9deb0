"""Where TTFT went, as one line for the console."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Result
from loadcell.metrics.model import WhereTtft
from loadcell.report.text import figure, percent, plain

PARTS = {
    "queue": "queue",
    "prefill": "prefill",
    "front_end": "front end",
    "network_and_client": "network and client",
    "prefill+front_end": "prefill and front end",
    "front_end+network_and_client": "front end, network and client",
    "queue+front_end+network_and_client": "queue, front end, network and client",
}
"""Parts of TTFT as people read them; several that cannot be told apart are one."""
_SAID = ("by the server itself TTFT was", "the server does not tell how long a request queued")
"""Begins of notes that the parts say themselves."""


def server_lines(result: Result) -> Iterator[tuple[str, str]]:
    """Label and text: one line for all sources, then what a reader must know of it. No line where nobody tells."""
    found = result.where_ttft
    if found is None:
        return
    yield "TTFT goes to", plain(where_words(found), 400)
    yield from (("", plain(note)) for note in where_notes(result))


def where_words(found: WhereTtft) -> str:
    """The parts in their order, each with its share, and whose word they are."""
    parts = " \N{MIDDLE DOT} ".join(
        f"{PARTS[name]} {figure(part.mean_ms, 3)} ({percent(part.share)})" for name, part in found.parts.items()
    )
    requests = f"{found.requests:,} request{'' if found.requests == 1 else 's'}"
    return f"mean {figure(found.ttft_ms, 3)} ms = {parts}, by {found.source} of {requests}"


def where_notes(result: Result) -> list[str]:
    """What the source of the line says besides; without what the line says itself."""
    chosen = None if result.where_ttft is None else result.where_ttft.source
    return [
        note for side in result.server if side.source == chosen for note in side.notes if not note.startswith(_SAID)
    ]

"""Where TTFT went, by the server's own word, in lines for the console."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics import Result
from loadcell.metrics.model import ServerPart, ServerSide
from loadcell.report.text import MISSING, figure, percent, plain


def server_lines(result: Result) -> Iterator[tuple[str, str]]:
    """Label and text of each line: one a source, its notes below, once each. No line where nobody tells."""
    said: set[str] = set()
    for i, side in enumerate(result.server):
        yield ("" if i else "Server"), _parts(side)
        yield from (("", plain(note)) for note in side.notes if note not in said)
        said.update(side.notes)


def _parts(side: ServerSide) -> str:
    """The means, with their shares, and whose word they are."""
    named = {"queue": side.queue, "prefill": side.prefill, "unattributed": side.unattributed}
    parts = ", ".join(text for name, part in named.items() if (text := _part(name, part)))
    whole = "" if side.ttft_ms is None else f"TTFT was {figure(side.ttft_ms, 3)} ms mean: "
    requests = f"{side.requests:,} request{'' if side.requests == 1 else 's'}"
    return f"{whole}{parts or MISSING}{'' if whole or not parts else ' ms mean'} · by {side.source} of {requests}"


def _part(name: str, part: ServerPart) -> str | None:
    if part.mean_ms is None:
        return None
    share = "" if part.share is None else f" ({percent(part.share)})"
    return f"{figure(part.mean_ms, 3)} {name}{share}"

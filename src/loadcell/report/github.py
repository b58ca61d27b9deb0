"""GitHub-flavoured Markdown that shows words from outside as words, never as markup, a link or a mention."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from loadcell.report.text import plain

_BREAK = "\u200b"
"""A space of no width: behind it nothing is joined to a link, a mention or a reference."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(r"[\\`*_{}\[\]|~$!&<>]")
_LINKED = re.compile(r"(://|www\.|mailto:|xmpp:|[@#]|\bGH-)", re.IGNORECASE)
_FIRST = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))|^(?=[-+=])")
"""What would begin a list or underline a heading at the start of a line."""
_HASH = re.compile(r"\b(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{7,40}\b", re.IGNORECASE)
"""What GitHub would take for a commit: letters and digits."""


def prose(text: object, limit: int = 800) -> str:
    """A sentence that may hold words from outside, on one line, as text and nothing else."""
    words = plain(text, limit)
    words = _LINKED.sub(lambda m: f"{m[0]}{_BREAK}" if m[0] != "://" else f":{_BREAK}//", words)
    words = _HASH.sub(lambda m: _BREAK.join(re.findall(".{1,6}", m[0])), words)
    words = escaped(words)
    return _FIRST.sub(lambda m: f"{m[1]}\\" if m[1] else "\\", words)


def escaped(text: str) -> str:
    """A line without markup, all else of it as it is."""
    return _MARKUP.sub(lambda m: _ENTITIES.get(m[0], f"\\{m[0]}"), text)


def code(text: object, limit: int = 300) -> str:
    """Words from outside as they are, in code, on one line; they may stand in a table too."""
    words = plain(text, limit)
    if not words.strip():
        return "\N{EN DASH}"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", words)), default=0))
    space = " " if words.startswith("`") or words.endswith("`") else ""
    return f"{fence}{space}{words}{space}{fence}".replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "l") -> str:
    """A table of cells that are Markdown already; `align` has an l or r a column, and r for those it does not name."""
    marks = [":--" if side == "l" else "--:" for side in align.ljust(len(head), "r")]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))


def bullets(lines: Iterable[str]) -> str:
    """A list of lines that are Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def folded(title: str, inside: str) -> str:
    """What opens at a click; `title` is ours."""
    return f"<details><summary>{title}</summary>\n\n{inside}\n\n</details>"


def joined(blocks: Iterable[str]) -> str:
    """Blocks as one document; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block) + "\n"

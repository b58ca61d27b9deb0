"""What figures and words of other tools mean here: units, our metric and statistic, APIs, classes of failures."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from loadcell.interop.model import Told
from loadcell.interop.readers.common import figures, stat_of
from loadcell.secrets import bare_words

_WORDS = 300
"""Letters kept of what a tool says of a failure: some bring whole replies."""
_STATS = ("mean", "std", "min", "max", "sum", "mode")
_PERCENTILE = re.compile(r"p?(\d+(?:\.\d+)?)%?")
_APIS = {
    "/chat/completions": "chat", "/completions": "completions", "/responses": "responses", "/messages": "messages",
    "/embeddings": "embeddings", "/rerank": "rerank",
}  # fmt: skip
_KINDS = (
    ("timeout", "timeout"), ("timedout", "timeout"), ("connector", "connect"), ("connectionrefused", "connect"),
    ("connecterror", "connect"), ("connectionerror", "connect"), ("serverdisconnected", "cut"),
    ("connectionreset", "cut"), ("payload", "cut"),
)  # fmt: skip


class Meaning(NamedTuple):
    """What a figure of another tool is: its unit, the nearest one of ours, and which statistic."""

    unit: str = ""
    metric: str | None = None
    stat: str | None = None
    zero: bool = True
    """False: the tool writes 0 where it has none."""


def told(tree: Any, meaning: Callable[[str], Meaning | None], at: str = "") -> list[Told]:
    """Every number in `tree`, as the tool wrote it, with what `meaning` says of its path of keys; None drops one."""
    found = []
    for key, value in figures(tree, at):
        says = meaning(key)
        if says is not None:
            gone = not says.zero and value == 0
            found.append(
                Told(key=key, value=None if gone else value, unit=says.unit, metric=says.metric, stat=says.stat)
            )
    return found


def stat(word: str) -> str | None:
    """A statistic as we call it: mean, std, min, max, p99.9; None for a word that is none."""
    word = stat_of(word.lower())
    if word in _STATS:
        return word
    found = _PERCENTILE.fullmatch(word)
    return f"p{float(found[1]):g}" if found else None


def from_the_slow_end(name: str | None) -> str | None:
    """A percentile of rates, which tools count from the slow end up, as ours of `user_tokens_per_s`: p99 is the rate
    that 99 % reach, their p1."""
    return f"p{100 - float(name[1:]):g}" if name is not None and name.startswith("p") else name


def api_of(url: str | None) -> str | None:
    """The API that a URL belongs to, by the end of its path; None where that tells nothing."""
    path = (url or "").split("?")[0].rstrip("/")
    return next((api for end, api in _APIS.items() if path.endswith(end)), None)


def brief(words: Any) -> str | None:
    """What a tool said of a failure, in one short line without credentials."""
    if words is None or words == "":
        return None
    line = bare_words(" ".join(str(words)[: 4 * _WORDS].split()))
    return line if len(line) <= _WORDS else f"{line[:_WORDS]}…"


def kind_of(words: str | None) -> str:
    """The class of a failure where the tool's words name it for sure, else `told`."""
    low = re.sub(r"[\s_]", "", (words or "").lower())
    return next((kind for sign, kind in _KINDS if sign in low), "told")


def moment(words: Any) -> datetime | None:
    """A time in ISO 8601 with its zone; None for another, and for one without a zone, which names no moment."""
    try:
        found = datetime.fromisoformat(words) if isinstance(words, str) else words
    except ValueError:
        return None
    return found if isinstance(found, datetime) and found.tzinfo is not None else None

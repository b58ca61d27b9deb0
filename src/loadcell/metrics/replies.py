"""What the replies say of themselves: why they ended, in which fields their output came, and who counted it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from loadcell.metrics.model import Ended, Replies
from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.phrases import phrase
from loadcell.recording.read import Recording

NO_REASON = phrase("no reason")
_COLUMNS = (
    "finish_reason", "usage_tokens", "reasoning_tokens", "outputs", "other_fields", "first_field", "token_source",
)  # fmt: skip


def replies(recording: Recording, rows: Rows, ok: Mask) -> Replies | None:
    """Of the ok requests of the window; None without any."""
    if not ok.any():
        return None
    table: dict[str, Any] = {name: column[ok] for name, column in recording.requests(_COLUMNS).items()}
    usage, source = table["usage_tokens"].astype(np.float64), table["token_source"]
    known = not np.isnan(table["outputs"].astype(np.float64)).all()
    count, hidden = rows.output_tokens[ok], table["reasoning_tokens"].astype(np.float64)
    told = np.isnan(usage) | (usage == 0)
    apart = ~told & (source != "usage") & ~np.isnan(count) & (usage != count)
    unsent = (hidden > 0) & (rows.first_tokens[ok] > hidden)
    reasons = Counter(NO_REASON if not reason else str(reason) for reason in table["finish_reason"])
    return Replies(
        ended_by={name: Ended(requests=n, share=n / int(np.count_nonzero(ok))) for name, n in reasons.most_common()},
        several_outputs=int(np.count_nonzero(table["outputs"].astype(np.float64) > 1)),
        other_fields=_fields(table["other_fields"]),
        first_fields=_fields(table["first_field"]),
        without_usage=dict(Counter(str(one) for one in source[told] if one is not None)) if known else {},
        usage_apart=int(np.count_nonzero(apart)) if known else None,
        usage_tokens=_mean(usage, apart),
        counted_tokens=_mean(count, apart),
        hidden=int(np.count_nonzero(unsent)),
        hidden_tokens=_mean(hidden, unsent),
    )


def reply_notes(found: Replies | None, tokenizer: str) -> Iterator[str]:
    """What a reader must know of the replies: who counted comes first."""
    if found is None:
        return
    for source, says in _NO_USAGE.items():
        if found.without_usage.get(source):
            yield phrase(says, *(f"{found.without_usage[source]:,}", tokenizer)[: says.count("{}")])
    if found.hidden:
        yield phrase(
            "usage counts reasoning that is not in the stream, {:,.0f} tokens a reply: it is "
            "counted as made before the first output, so TTFT holds its time and TPOT does not",
            found.hidden_tokens,
        )
    if found.other_fields:
        yield phrase(
            "text came in fields that are not known to hold output: {}; it counts as "
            "output that is not the visible answer",
            names_of(found.other_fields),
        )


_NO_USAGE = {
    "tokenizer": phrase(
        "the server sends no usage: the output tokens of {} replies are counted over their text by the "
        "tokenizer {}, which need not be the server's"
    ),
    "events": phrase(
        "the server sends no usage: the output tokens of {} replies are their events, a token each, which the "
        "length asked for or the text by the tokenizer {} bears out"
    ),
    "stream": phrase("the server sends no usage: the output tokens of {} replies are the running counts in the stream"),
    "ids": phrase("the server sends no usage: the output tokens of {} replies are those that each event lists"),
}


def names_of(fields: dict[str, int]) -> str:
    """Fields with the replies that have them."""
    return ", ".join(f"{name} ({count:,})" for name, count in fields.items())


def _fields(column: Any) -> dict[str, int]:
    names = Counter(name for value in column if value for name in str(value).split(", "))
    return dict(names.most_common(8))


def _mean(values: Floats, chosen: Mask) -> float | None:
    return float(values[chosen].mean()) if chosen.any() else None

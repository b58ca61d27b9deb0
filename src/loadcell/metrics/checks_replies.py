"""The checks of what replies say of themselves: do their counts agree, and is what they bring what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics.limits import Limits, grade, number
from loadcell.metrics.model import Check, Replies, Result
from loadcell.metrics.replies import names_of
from loadcell.phrases import phrase

LIMITS = {
    "usage": Limits(phrase("replies whose usage neither their events nor their text bear out"), "share", 0.01, None),
    "several_outputs": Limits(
        phrase("replies that hold several outputs, of which the first is measured"), "share", 0.0, None
    ),
    "first_field": Limits(
        phrase("replies whose first output came in a field not known to hold output"), "share", 0.01, None
    ),
}


def _replies(result: Result) -> Iterator[Check]:
    found, ok = result.replies, result.counts.window.ok
    if found is None or not ok:
        return
    told = found.usage_apart is not None and sum(found.without_usage.values()) < ok
    apart = found.usage_apart / ok if told and found.usage_apart is not None else None
    several, first = found.several_outputs / ok, sum(found.first_fields.values()) / ok
    yield grade(
        result,
        "usage",
        apart,
        _usage_says(found, apart),
        phrase("tokens are counted by what came, which events and text agree on: see what the server counts"),
        limits=LIMITS["usage"],
    )
    yield grade(
        result,
        "several_outputs",
        several,
        phrase("{} of replies hold several outputs: figures are of the first of each", number(several, "share")),
        phrase("ask for one output a request, and for more requests instead"),
        limits=LIMITS["several_outputs"],
    )
    yield grade(
        result,
        "first_field",
        first,
        _field_says(found, first),
        phrase("TTFT is the time of that field: see what the server sends in it"),
        limits=LIMITS["first_field"],
    )


def _usage_says(found: Replies, apart: float | None) -> str:
    if found.usage_tokens is None or found.counted_tokens is None:
        return phrase("usage counts other output tokens than came, in {} of replies", number(apart, "share"))
    return phrase(
        "usage counts {} output tokens a reply where {} came, in {} of replies",
        number(found.usage_tokens, "", 4), number(found.counted_tokens, "", 4), number(apart, "share"),
    )  # fmt: skip


def _field_says(found: Replies, first: float | None) -> str:
    says = phrase(
        "the first output of {} of replies came in a field that is not known to hold output", number(first, "share")
    )
    return phrase("{}: {}", says, names_of(found.first_fields)) if found.first_fields else says


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_replies,)

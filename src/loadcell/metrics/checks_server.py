"""The checks of the server's side: did it change, did its stream come through, did it do what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics.glossary import GLOSSARY
from loadcell.metrics.limits import Limits, label
from loadcell.metrics.model import Change, Check, Result

LIMITS: dict[str, Limits] = {}
FINDINGS = {
    "change": "SUSPECT where the median of TTFT or TPOT rose or fell by 5 % or more through the window, beyond noise",
}


def _change(result: Result) -> Iterator[Check]:
    queue_grows = result.steady.stable is False and result.steady.growth_per_s.value is not None
    judged = {
        name: found
        for name, found in result.change.items()
        if found.kind is not None and not (queue_grows and name == "ttft_ms")  # the queue's own check says it
    }
    changed = {name: found for name, found in judged.items() if found.kind != "none"}
    for name, found in changed.items():
        yield label("change", "SUSPECT", change_says(name, found), _CHANGE_ADVICE)
    if not changed:
        yield (
            label("change", "VALID", "TTFT and TPOT held through the window")
            if judged
            else label("change", None, "too few requests to tell whether the server changed under the load")
        )


_CHANGE_ADVICE = (
    "one figure does not stand for both parts: look for throttling, a cache that fills or others on the server, and "
    "give the part that is meant by --warmup or --window"
)


def change_says(name: str, found: Change) -> str:
    """A change in words, with the figures of both parts."""
    title, share = GLOSSARY[name.removesuffix("_ms")].title, f"{abs(found.share or 0):.0%}".replace("%", " %")
    did = "rose" if (found.share or 0) > 0 else "fell"
    before, after = f"{found.before_ms:.4g}", f"{found.after_ms:.4g}"
    if found.kind == "step":
        return f"{title} {did} by {share} at {found.at_s:.3g} s: p50 {before} ms before, {after} ms after"
    return f"{title} {did} by {share} through the window: p50 {before} ms at first, {after} ms at last"


# Causes come before effects: the first reason is the one that is read.
CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_change,)

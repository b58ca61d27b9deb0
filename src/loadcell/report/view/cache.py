"""What is said of the server's prefix cache: what prompts share, and what it had of them."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.metrics.model import Cache, HitShare, Result
from loadcell.prefix import Prefix
from loadcell.report.view.blocks import Fact, fact
from loadcell.report.words import Words


def prefix_words(prefix: Prefix, words: Words) -> Iterator[str]:
    """What prompts were to share, as it was asked for."""
    t = words.say
    if prefix.system_tokens is not None:
        yield t("a system prompt of {n} tokens", n=words.count(prefix.system_tokens))
    groups = prefix.groups or 1
    if prefix.tokens is not None:
        several = t("{k} groups that share {n} tokens", k=words.count(groups), n=prefix.tokens)
        yield several if groups > 1 else t("all share {n} tokens", n=prefix.tokens)
    if prefix.hit_share is not None:
        share = words.percent(prefix.hit_share)
        several = t("{k} groups that share {p} of the input", k=words.count(groups), p=share)
        yield several if groups > 1 else t("all share {p} of the input", p=share)
    if prefix.zipf:
        yield t("drawn by 1/k^{s}", s=f"{prefix.zipf:g}")


def cached(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """The hit shares: intended, and reported by each witness; none where there is nothing to tell."""
    t, found = words.say, result.cache
    if found is None:
        return
    parts = []
    if found.intended_share is not None:
        parts.append(t("{p} of the input is shared by plan", p=words.percent(found.intended_share)))
    for one in found.reported[:1] if short else found.reported:
        share = words.percent(one.share)
        by_usage = t("{p} from the cache by usage", p=share)
        by = by_usage if one.source == "usage" else t("{p} from the cache by the server's page", p=share)
        parts.append(by + _apart(one, found, words))
    if not found.reported:
        parts.append(t("the server does not tell what its cache had"))
    if found.state != "as-is":
        parts.append(t("emptied before the load") if found.state == "cold" else t("warmed before the load"))
    if not short and found.intended_in_blocks is not None:
        n = words.count(found.block_tokens)
        parts.append(t("{p} in blocks of {n} tokens", p=words.percent(found.intended_in_blocks), n=n))
    yield fact(t("Prefix cache"), *parts)


def _apart(one: HitShare, found: Cache, words: Words) -> str:
    """How far a reported share is from that intended of the same requests, in points."""
    if one.difference is None:
        return ""
    points = words.number(f"{round(100 * one.difference, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}"))
    planned = words.percent(one.intended)
    if planned == words.percent(found.intended_share):
        return f" ({words.say('{change} points', change=points)})"
    return f" ({words.say('{change} points: of its requests {p} was planned', change=points, p=planned)})"

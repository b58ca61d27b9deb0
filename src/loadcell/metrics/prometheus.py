"""A server's means over a run, from its Prometheus page before and after it.

A histogram's mean is what its sum gained over what its count gained. Names and meanings: docs.vllm.ai "Metrics",
docs.sglang.io "Production Metrics", llama.cpp's tools/server/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from loadcell.phrases import phrase
from loadcell.recording.exposition import read_samples

_SERVERS = ("vllm:", "sglang:", "llamacpp:")
Page = dict[str, dict[str, float]]
"""Values by name and labels."""


class PageMeans(NamedTuple):
    """What the pages tell of a request's time, means in milliseconds; None where they do not tell."""

    source: str
    requests: int | None
    """Requests that the server counted."""
    queue_ms: float | None
    prefill_ms: float | None
    ttft_ms: float | None
    """From a request's arrival at the server to its first token, by the server's own clock."""
    notes: list[str]


def page_means(before: str, after: str, answered: int, prompt_tokens: float) -> Iterator[PageMeans]:
    """Means by each server that the pages tell of.

    `answered` requests of this run got output, and had `prompt_tokens` to process in all (NaN if not known).
    """
    old, new = read_page(before), read_page(after)
    yield from _vllm(old, new)
    yield from _sglang(old, new)
    yield from _llama(old, new, answered, prompt_tokens)


def read_page(text: str) -> Page:
    """The samples of the known servers; lines that are none are left out."""
    page: Page = {}
    for name, labels, value in read_samples(text):
        if name.startswith(_SERVERS):
            page.setdefault(name, {})[labels] = value
    return page


def gained(old: Page, new: Page, name: str) -> float | None:
    """What a counter gained, over all its labels; None if neither page has it.

    NaN if it cannot be known: a value is no number, or went down or away because the server started anew.
    """
    before, after = old.get(name, {}), new.get(name, {})
    gains = [after.get(labels, math.nan) - before.get(labels, 0.0) for labels in {**before, **after}]
    if not gains:
        return None
    return sum(gains) if all(0 <= gain < math.inf for gain in gains) else math.nan


def _mean_ms(old: Page, new: Page, name: str) -> float | None:
    """Mean of what a histogram in seconds gained; None without it or without samples, NaN if it cannot be known."""
    total_s, count = gained(old, new, f"{name}_sum"), gained(old, new, f"{name}_count")
    return None if total_s is None or not count else total_s / count * 1e3


def _vllm(old: Page, new: Page) -> Iterator[PageMeans]:
    name = "vllm:time_to_first_token_seconds"  # from the arrival at the front end, which the other two do not see
    queue = _mean_ms(old, new, "vllm:request_queue_time_seconds")
    prefill, ttft = _mean_ms(old, new, "vllm:request_prefill_time_seconds"), _mean_ms(old, new, name)
    notes = []
    if queue is not None and prefill is not None and ttft is not None:
        front = round(ttft - queue - prefill, 2) or 0.0
        notes = [
            phrase("by the server itself TTFT was {:.2f} ms mean, of which {:.2f} ms in its front end", ttft, front)
        ]
    yield from _told(phrase("vLLM Prometheus"), gained(old, new, f"{name}_count"), queue, prefill, ttft, notes)


def _sglang(old: Page, new: Page) -> Iterator[PageMeans]:
    name = "sglang:time_to_first_token_seconds"
    queue, ttft = _mean_ms(old, new, "sglang:queue_time_seconds"), _mean_ms(old, new, name)
    prefill = None if queue is None or ttft is None else ttft - queue
    notes = [phrase("prefill is the server's own TTFT less its queue: its front end is in it")]
    yield from _told(phrase("SGLang Prometheus"), gained(old, new, f"{name}_count"), queue, prefill, ttft, notes)


def _llama(old: Page, new: Page, answered: int, prompt_tokens: float) -> Iterator[PageMeans]:
    """llama.cpp counts prompts' seconds and tokens, not requests.

    Its timings of each reply hold the time of the whole batch; the counter may hold that once for all prompts in it.
    """
    total_s, tokens = (gained(old, new, f"llamacpp:prompt_{what}_total") for what in ("seconds", "tokens"))
    if total_s is None or not answered:
        return
    notes = [
        phrase(
            "prefill is the server's time for prompts over the {:,} requests of this run, for it counts none; "
            "prompts that it processed together may share that time",
            answered,
        )
    ]
    if tokens is not None and tokens > 1.01 * prompt_tokens:
        notes.append(
            phrase(
                "the server processed {:,.0f} prompt tokens more than those of this run: others "
                "load it too, and their time is in this mean",
                tokens - prompt_tokens,
            )
        )
    yield from _told(phrase("llama.cpp Prometheus"), None, None, total_s / answered * 1e3, None, notes)


def _told(
    source: str,
    count: float | None,
    queue: float | None,
    prefill: float | None,
    ttft: float | None,
    notes: list[str],
) -> Iterator[PageMeans]:
    """The means if there are any; those that cannot be known become None, with a note."""
    if queue is None and prefill is None:
        return
    if any(value is not None and not math.isfinite(value) for value in (count, queue, prefill)):
        notes = [
            phrase("the server's counters went down, vanished or were no numbers: did it start anew during the run?")
        ]
    requests = _finite(count)
    yield PageMeans(
        source, None if requests is None else round(requests), _finite(queue), _finite(prefill), _finite(ttft), notes
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

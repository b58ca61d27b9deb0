"""Was the load the one that was asked for: sent against planned, tokens against those asked, failures, and a cache.

These say nothing of how well the stamps are: a figure may be exact and be of another load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.advice import failure_words
from loadcell.context import told_too_long
from loadcell.metrics.limits import Limits, grade, label, number
from loadcell.metrics.model import Check, Counts, InputMedia, Result
from loadcell.phrases import phrase

LIMITS = {
    "failures": Limits(phrase("requests of the window that failed"), "share", 0.05, 0.5),
    "unsent": Limits(phrase("planned requests of the window that were never sent"), "share", 0.0, 0.001),
    "arrivals": Limits(phrase("difference of the sent from the planned rate in the window"), "share", 0.005, 0.02),
    "gaps": Limits(phrase("open loop: coefficient of variation of the gaps, sent against planned"), "", 0.1, None),
    "concurrency": Limits(phrase("closed loop: mean concurrency over that asked for"), "share", 0.99, 0.95, least=True),
    "prompt_tokens": Limits(
        phrase("synthetic prompts: tokens by the server against those planned"), "share", 0.05, None
    ),
    "short_outputs": Limits(
        phrase("outputs shorter than asked, where the server was asked for all"), "share", 0.01, None
    ),
    "long_outputs": Limits(phrase("outputs longer than asked"), "share", 0.01, None),
    "cached_prompts": Limits(
        phrase("prompt tokens that the server took from a cache, synthetic prompts, its template's part left out"),
        "share",
        0.02,
        None,
    ),
}
FINDINGS = {
    "no success": "INVALID where no request succeeded",
    "given up": "INVALID where the load was ended because more than `load.max_failures` of its requests failed",
}
_WHY_MOST = 160
"""Characters of a failure in a reason."""
FAILURES_TOLD = 0.01
"""Above this share of failures a note tells of them."""
_TEMPLATE_UNKNOWN = 0.1
"""Of the prompt tokens may come from a cache where the template's part is not known: it may well be cached."""


# --- what became of the requests -------------------------------------------------------------------------------------


def failed_words(counts: Counts, failed_tokens_per_s: float | None) -> str:
    """The failures in words, with what they got."""
    share = counts.failed / counts.planned if counts.planned else None
    failed = phrase("{} of requests failed", number(share, "share"))
    return (
        phrase("{}, which received {}", failed, number(failed_tokens_per_s, "tokens/s"))
        if failed_tokens_per_s
        else failed
    )


def failure_notes(counts: Counts, failed_tokens_per_s: float | None) -> list[str]:
    """Failures too few for the verdict, but not for a reader."""
    share = counts.failed / counts.planned if counts.planned else 0.0
    if not FAILURES_TOLD < share <= LIMITS["failures"].valid:
        return []
    return [phrase("{}: rates and latencies are of those that succeeded", failed_words(counts, failed_tokens_per_s))]


def _why(result: Result) -> tuple[str, str | None]:
    """The most frequent failure, in the server's words; and what to do about it."""
    if not result.errors:
        return "", None
    most = result.errors[0]
    words, stopped = failure_words(most.kind, most.sample), result.run.stopped
    if stopped is not None and stopped.kind == "failures" and told_too_long(most.kind, most.sample or ""):
        return stopped.reason, most.advice  # with the arithmetic
    return words if len(words) <= _WHY_MOST else f"{words[: _WHY_MOST - 1]}…", most.advice


def _because(says: str, why: str) -> str:
    return phrase("{}: {}", says, why) if why else says


def _failures(result: Result) -> Iterator[Check]:
    inside, whole = result.counts.window, result.counts.run
    why, advice = _why(result)
    if whole.planned and not whole.ok:
        yield label(
            "no success", "INVALID", _because(phrase("no request succeeded"), why), advice or phrase("see the errors")
        )
        return
    stopped, since = result.run.stopped, result.failing
    if stopped is not None and stopped.kind == "failures":
        ended = phrase("the load was ended because of its failures")
        yield label("given up", "INVALID", _because(ended, stopped.reason), advice)
    says = failed_words(inside, result.throughput.failed_tokens_per_s)
    if since is not None:
        says = phrase("{}; {} of them from {:.3g} s on", says, number(since.share, "share"), since.since_s)
    yield grade(
        result,
        "failures",
        inside.failed / inside.planned if inside.planned else None,
        _because(says, why),
        phrase("rates and latencies are of those that succeeded: see the errors"),
        limits=LIMITS["failures"],
    )


_HELD_BACK = phrase(
    "the cap on concurrency held requests back, and response times hold what they waited: raise --concurrency, or "
    "lower --rate"
)
_IN_TIME = phrase("keep other work off this machine, or load from one with more cores")

# --- sent against planned --------------------------------------------------------------------------------------------


def capped(result: Result) -> bool:
    """An open loop whose requests may wait in the client for a free place: by design, they are late then."""
    return result.methodology.loop == "open" and result.concurrency.asked is not None


def lockstep(result: Result) -> bool:
    """Users who send together, one after the other in one process: the last is late by what the others took, and its
    response time tells of it."""
    return result.methodology.spec.load.lockstep


def _sent(result: Result) -> Iterator[Check]:
    inside, audit = result.counts.window, result.instrument
    unsent = inside.unsent / inside.planned if inside.planned else None
    if result.run.state in ("interrupted", "running"):
        says = phrase("the run ended early")
        if inside.unsent:
            says = phrase("the run ended early: {:,} planned requests were left", inside.unsent)
        yield label("unsent", "SUSPECT", says, phrase("its figures are of the part that ran"))
        return
    yield grade(
        result,
        "unsent",
        unsent,
        phrase("{:,} planned requests were never sent", inside.unsent),
        _IN_TIME,
        limits=LIMITS["unsent"],
    )
    planned, sent = audit.arrivals.planned_rate, audit.arrivals.sent_rate
    if planned and sent is not None:
        edge = 2 / inside.planned
        yield grade(
            result,
            "arrivals",
            abs(sent / planned - 1),
            phrase("{:,.4g} requests/s sent in the window for {:,.4g} planned", sent, planned),
            _HELD_BACK if capped(result) else phrase("the load was not the one asked for: {}", _IN_TIME),
            limits=LIMITS["arrivals"],
            slack=(edge, edge),
            fatal=not capped(result),  # a cap that holds requests back was asked for; response times tell of it
        )
    wanted, had = audit.arrivals.planned_gap_cv, audit.arrivals.sent_gap_cv
    if result.methodology.loop == "open" and not capped(result):
        apart = None if wanted is None or had is None else abs(had - wanted)
        sent_words, planned_words, apart_words = (number(one, "") for one in (had, wanted, apart))
        yield grade(
            result,
            "gaps",
            apart,
            phrase(
                "gaps between sends vary by {} of their mean, planned {}: {} apart",
                sent_words,
                planned_words,
                apart_words,
            ),
            phrase("bursts and pauses were not those planned: {}", _IN_TIME),
            limits=LIMITS["gaps"],
        )


def _longer(result: Result) -> str:
    made = result.instrument.feeding
    if made is not None and made.late:
        return phrase("users waited for their requests to be made: see how many were sent late for that")
    load = result.methodology.spec.load
    if load.requests and not load.duration_s:
        return phrase("give more --requests, so that ramp and drain weigh less")
    return phrase("give a longer --duration, so that ramp and drain weigh less")


def _level(result: Result) -> Iterator[Check]:
    flight = result.concurrency
    if result.methodology.loop == "open" or not flight.asked:
        return
    if lockstep(result):
        yield label("concurrency", None, phrase("concurrency: users wait for each other, so not all are in flight"))
        return
    if result.methodology.spec.loadgen.scenario == "offline":
        yield label(
            "concurrency", None, phrase("concurrency: everything is sent at once, and the drain is part of the run")
        )
        return
    talks = result.sessions
    if talks is None and result.methodology.spec.sessions.think is not None:
        yield label("concurrency", None, phrase("concurrency: users pause between requests, so not all are in flight"))
        return
    mean = flight.mean if talks is None else talks.in_progress
    reached = None if mean is None else mean / flight.asked
    key = phrase("{} of {:,} users were in flight on average")
    if talks is not None:
        key = phrase("{} of {:,} users had a session in progress on average")
    inside = result.counts.window
    failing = inside.failed > FAILURES_TOLD * inside.planned
    yield grade(
        result,
        "concurrency",
        reached,
        phrase(key, number(mean, "", 4), flight.asked),
        phrase("users whose requests failed were not in flight: see the errors") if failing else _longer(result),
        limits=LIMITS["concurrency"],
        # A run too short for its users is said to be so (lasted), and failures have limits of their own.
        fatal=result.steady.method not in ("whole", "chosen") and not failing,
    )


# --- tokens ----------------------------------------------------------------------------------------------------------


def _prompts(result: Result) -> Iterator[Check]:
    """Tokens of prompts against those planned. Prompts of a file are what they are: nothing was planned of them."""
    if result.methodology.spec.workload.prompts is not None:
        return
    if (carried := result.input_media) is not None:
        yield from _with_media(carried)
        return
    ratio, effective = result.instrument.tokens.prompt_ratio, result.methodology.effective
    if ratio is None:
        by = result.methodology.tokenizer
        says = phrase("prompt tokens: the server does not count them; lengths are by the tokenizer {}", by)
        yield label("prompt_tokens", None, says)
        return
    if effective.get("prompts_counted_by") == "tokenizer" and effective.get("not_counted_by_server"):
        advice = phrase(
            "how the server counts could not be learnt before the load ({}): "
            "say it with --set workload.template_tokens=N --set workload.token_ratio=R, or name its --tokenizer",
            effective["not_counted_by_server"],
        )
    else:
        advice = phrase("lengths are not those asked for: prompts near the chat template's own length cannot be made")
    yield grade(
        result,
        "prompt_tokens",
        abs(ratio - 1),
        phrase("prompts have {} of the tokens planned, by the server's count", number(ratio, "share")),
        advice,
        limits=LIMITS["prompt_tokens"],
    )


def _with_media(carried: InputMedia) -> Iterator[Check]:
    """Of requests with images or audio nobody planned the whole count: it is told, and not judged."""
    if carried.text_tokens is None:
        return
    if carried.server_tokens is None:
        says = phrase("prompt tokens: the server does not count them, so that those of images and audio are not known")
    else:
        says = phrase(
            "the server counted {} prompt tokens a request; {} were planned as text, the rest is images and audio",
            number(carried.server_tokens, "", 4),
            number(carried.text_tokens, "", 4),
        )
    yield label("prompt_tokens", None, says)


def _outputs(result: Result) -> Iterator[Check]:
    tokens = result.instrument.tokens
    full = result.methodology.effective.get("ignore_eos") is True
    yield grade(
        result,
        "short_outputs",
        tokens.short_share if full else None,
        phrase("{} of outputs are shorter than asked", number(tokens.short_share, "share")),
        phrase("the work is not the one planned: see why the server stops early (context length, stop words)"),
        limits=LIMITS["short_outputs"],
    )
    yield grade(
        result,
        "long_outputs",
        tokens.long_share,
        phrase("{} of outputs are longer than asked", number(tokens.long_share, "share")),
        phrase("the server does not keep to the limit on tokens: see which field it reads"),
        limits=LIMITS["long_outputs"],
    )


def _cache(result: Result) -> Iterator[Check]:
    if page_tells_cache(result):
        return  # judged by the server's counters, beside the others of these
    tokens, shares = result.instrument.tokens, shares_by_plan(result)
    share = tokens.cached_share if tokens.cached_beyond_share is None else tokens.cached_beyond_share
    if shares and tokens.cached_beyond_share is None:  # what they share is in it: what is more in sum is known
        share = None if tokens.cached_share is None else max(0.0, beyond_plan(result, "usage"))
    says = phrase("the server took {} of the prompt tokens from its cache", number(share, "share"))
    yield grade(
        result,
        "cached_prompts",
        # what turns of a session share is meant to come from a cache
        share if result.methodology.spec.workload.prompts is None and result.sessions is None else None,
        phrase("{}, beside those that prompts share by plan", says) if shares else says,
        cached_advice(result),
        limits=LIMITS["cached_prompts"],
        slack=cached_slack(result),
    )


def shares_by_plan(result: Result) -> bool:
    """Whether prompts share anything by plan."""
    return result.cache is not None and bool(result.cache.intended_share)


def beyond_plan(result: Result, source: str) -> float:
    """Share of the prompt tokens that a cache had and that were not planned to be in it, in sum, by a witness."""
    told = [] if result.cache is None else result.cache.reported
    return next((one.difference for one in told if one.source == source and one.difference is not None), 0.0)


def cached_advice(result: Result) -> str:
    """What to do about prompts that a cache knows."""
    if result.methodology.spec.load.cache == "cold":
        return phrase(
            "its cache was emptied before the load, and prompts that it knows are answered faster: see who else asks "
            "it, what second cache it has, and leave out --salt"
        )
    return phrase("prompts that it knows are answered faster: leave out --salt, or give another, or restart the server")


def page_tells_cache(result: Result) -> bool:
    """Whether the server's page alone tells how much of synthetic prompts came from its cache."""
    told = result.counters
    return (
        result.sessions is None
        and result.instrument.tokens.cached_share is None
        and result.methodology.spec.workload.prompts is None
        and told is not None
        and told.gained.get("prefix_cache_hits") is not None
        and bool(told.gained.get("prefix_cache_queries"))
    )


def cached_slack(result: Result) -> tuple[float, float]:
    """What the limit on cached prompts gives at least: more where nobody counted the chat template."""
    known = result.methodology.effective.get("prompts_counted_by") in ("server", "spec")
    return (0.0 if known else _TEMPLATE_UNKNOWN, 0.0)


CHECKS: tuple[Callable[[Result], Iterator[Check]], ...] = (_failures, _sent, _level, _prompts, _outputs, _cache)

"""What was asked for, in words: when requests came, and what each held."""

from __future__ import annotations

from loadcell.apis import AUDIO, IMAGES
from loadcell.metrics import Result
from loadcell.metrics.imported import UNKNOWN
from loadcell.metrics.varying import replays
from loadcell.report.text import plain
from loadcell.report.view.cache import prefix_words
from loadcell.report.view.figures import asked
from loadcell.report.view.media import media_words
from loadcell.report.words import Words
from loadcell.sessions import ALL
from loadcell.spec import Load, Spec, parse_series


def replayed_words(words: Words) -> str:
    """The load of a trace."""
    return words.say("open loop, at the times of the trace")


def load_words(result: Result, words: Words) -> list[str]:
    """The load: its loop, its rate or users, and its end."""
    t, load, sessions = words.say, result.methodology.spec.load, result.methodology.spec.sessions
    users = load.concurrency
    if result.methodology.loop == "open" and load.rate is None and result.imported is not None:
        parts = [t("open loop, its rate not told")]
    elif result.methodology.loop == "open":
        drawn = load.rate_series and load.rate is not None  # then the rate is a mean, with all the digits of a quotient
        found = words.figure(load.rate) if drawn and load.rate else asked(load.rate or 0.0, words)
        if replays("open", result.methodology.effective):
            parts = [replayed_words(words)]
            parts += [t("scaled to {rate} requests/s", rate=found)] if load.rate else []
        elif sessions.any:
            parts = [t("open loop, {rate} sessions/s, {arrivals}", rate=found, arrivals=load.arrivals)]
        elif result.methodology.spec.agent.any:
            parts = [t("open loop, {rate} tasks/s, {arrivals}", rate=found, arrivals=load.arrivals)]
        else:
            parts = [t("open loop, {rate} requests/s, {arrivals}", rate=found, arrivals=load.arrivals)]
        parts += [_series_words(load, words)] if load.rate_series else []
    elif result.methodology.loop == UNKNOWN:
        parts = [t("open or closed loop: not told")]
    else:
        parts = [t("closed loop, {n} users", n=words.count(users or 1))]
    if users and result.methodology.loop in ("open", UNKNOWN):
        parts.append(t("at most {n} in flight", n=words.count(users)))
    if sessions.turns is not None:
        whole = sessions.turns == ALL
        parts.append(t("all turns of a conversation") if whole else t("{n} turns a session", n=sessions.turns))
    if result.methodology.spec.agent.steps is not None:
        parts.append(t("{n} steps a task", n=result.methodology.spec.agent.steps))
    if sessions.think is not None:
        parts.append(t("pauses {law}", law=sessions.think))
    if result.methodology.spec.behaviour.any:
        parts.append(t("users who give up or read slowly"))
    if load.requests:
        parts.append(t("{n} requests", n=words.count(load.requests)))
    length_s = result.methodology.effective.get("duration_s")
    if load.duration_s:
        parts.append(t("{s} s", s=asked(load.duration_s, words)))
    elif length_s and not load.requests and load.duration_most_s:
        most = asked(load.duration_most_s, words)
        parts.append(t("{s} s (ended by itself, {most} s at most)", s=words.figure(length_s, 4), most=most))
    return parts


def _series_words(load: Load, words: Words) -> str:
    """A rate that was meant to vary."""
    series = parse_series(load.rate_series or "")
    series = series.scaled(load.rate or series.mean)
    return words.say(
        "a rate of {low} to {high} requests/s in a series of {s} s",
        low=asked(series.least, words),
        high=asked(series.peak, words),
        s=asked(series.length_s, words),
    )


def workload_words(spec: Spec, words: Words) -> str:
    """What was asked of the server: in tokens, and what requests carried besides."""
    text = [] if spec.workload.hears else [_text_words(spec, words)]
    return ", ".join([*text, *prefix_words(spec.prefix, words), *media_words(spec.media, words)])


def _text_words(spec: Spec, words: Words) -> str:
    workload = spec.workload
    if not workload.generates:
        return _inputs_words(spec, words)
    out = workload.output_tokens or ""
    if spec.trace.name is not None:
        return words.say("lengths of the trace {name}", name=plain(spec.trace.name, 60))
    if workload.prompts:
        return words.say("prompts of {file}, {n} tokens out", file=workload.prompts, n=out)
    if workload.lengths:
        return words.say("input and output lengths of {file}, in pairs", file=workload.lengths)
    if spec.sessions.any:
        return words.say("{n} more tokens in a turn, {m} tokens out", n=workload.input_tokens or "", m=out)
    return words.say("{n} tokens in, {m} tokens out", n=workload.input_tokens or "", m=out)


def _inputs_words(spec: Spec, words: Words) -> str:
    """What was asked of an API that generates no text."""
    workload = spec.workload
    if workload.prompts:
        return words.say("inputs of {file}", file=workload.prompts)
    each = {"n": workload.inputs or "", "m": workload.input_tokens or ""}
    if workload.query_tokens is not None:
        return words.say("a query of {q} tokens and {n} documents of {m}", q=workload.query_tokens, **each)
    if spec.endpoint.api in (AUDIO, IMAGES):
        return words.say("a text of {m} tokens", m=each["m"])
    return words.say("{n} inputs a request, {m} tokens each", **each)

"""What a run says: what was asked of which server, how fast it was, what went wrong, how it was measured."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from loadcell.apis import AUDIO, IMAGES
from loadcell.metrics import Counts, Estimate, Failure, Limit, Result, RunRates, Throughput, word_of
from loadcell.metrics.checks_budget import only_budgets
from loadcell.metrics.checks_window import cold_says
from loadcell.metrics.glossary import COMPARED, GLOSSARY, interval_of, made_of
from loadcell.metrics.imported import TOLD, UNKNOWN, placed, tallied, untold
from loadcell.metrics.varying import replays
from loadcell.report.text import MISSING, plain
from loadcell.report.view.behaved import behaved
from loadcell.report.view.blocks import TONES, Cell, Fact, Tiles, Tone, Verdict, fact, figured, told
from loadcell.report.view.cache import cached, prefix_words
from loadcell.report.view.chunks import chunks
from loadcell.report.view.figures import asked, bracketed, estimated, rate, share_in_brackets
from loadcell.report.view.imported import as_told, marked, origin
from loadcell.report.view.media import media_words
from loadcell.report.view.traced import changes_of, traced
from loadcell.report.words import Words
from loadcell.sessions import ALL
from loadcell.spec import LIMITED, Load, Spec, parse_series

_WORST_FIRST = ("INVALID", "SUSPECT")
_TOLD_FIRST = ("stability", "class", "failures")
"""Checks that say what the server did stand before those of the instrument, among those of one word."""
_PLAIN_ENDS = ({"length"}, {"stop"}, {"no reason"})
"""Where all replies ended like that, one screen does not tell it."""
_TIMES = "\N{MULTIPLICATION SIGN}"
_REASONS = 3
"""Reasons of the verdict that are seen at first."""
_LACKING = 6
"""Things that the files of an import do not tell, on one screen."""
_TEXT = 300
"""Most characters of what a server said."""


# --- what was asked --------------------------------------------------------------------------------------------------


def model_of(result: Result) -> str | None:
    """The model that was asked for; None where that was left to the server and is not known."""
    method = result.methodology
    model = method.effective.get("model") or method.spec.endpoint.model
    return None if model is None else str(model)


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


def head(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """What was measured, how much of it counts, and what became of the requests."""
    t, method, run = words.say, result.methodology, result.counts.run
    endpoint, workload, window = method.spec.endpoint, method.spec.workload, method.window
    form = [] if not workload.generates else [t("streamed") if endpoint.stream else t("not streamed")]
    model = t("model {name}", name=model_of(result) or t("(the server's first)"))
    target = Cell(endpoint.url, kind="code")
    if untold(result.imported, "endpoint.url"):
        target = Cell(t("server not told"))
    several = [Cell(t("{n} endpoints or models in all", n=words.count(len(result.classes))))] if result.classes else []
    yield from origin(result, words, _LACKING if short else None)
    yield t("Target"), [target, Cell(", ".join([str(endpoint.api), *form])), Cell(model), *several]
    if (named := method.scenario) is not None:
        yield t("Scenario"), [Cell(told(named.says, words), tone="care" if named.changed else "")]
    load, asked_of = load_words(result, words), as_told(result)
    work = t("lengths not told") if asked_of is None else workload_words(asked_of, words)
    span = t(
        "{a} to {b} s",
        a=words.figure(window.start_s, 3 if short else 4),
        b=words.figure(window.end_s, 3 if short else 4),
    )
    if short:
        counted = [t("{n} requests", n=words.count(result.counts.window.planned))]
        counted = counted if result.counts.window != run else []
        within = [", ".join([t("window {span}", span=span), *counted])] if placed(result.imported) else []
        yield fact(t("Load"), *load, work, *within)
    else:
        yield fact(t("Load"), *load)
        counted_by = [] if result.imported else [t("counted by {name}", name=method.tokenizer)]
        yield fact(t("Workload"), work, *counted_by)
        yield fact(t("Window"), f"{span}, {told(window.reason, words)}" if placed(result.imported) else MISSING)
    yield from traced(result, words, short=short)
    if (stopped := result.run.stopped) is not None:
        left = "; " + t("what was in flight was given up") if stopped.cancelled else ""
        after = t("after {s} s", s=words.figure(stopped.at_s, 3))
        yield t("Ended early"), [Cell(f"{after}: {told(stopped.reason, words)}{left}", tone="care")]
    if result.steady.says and not short:
        tone: Tone = "care" if result.steady.stable is False else ""
        yield t("Steady state"), [Cell(told(result.steady.says, words), tone=tone)]
    if result.steady.cold_start is not None:
        yield t("Cold start"), [Cell(told(cold_says(result.steady.cold_start), words), tone="care")]
    known = accounts(run, words) if tallied(result.imported) else t("not told")
    yield t("Requests"), [Cell(known, tone="" if run.ok == run.planned else "care")]
    yield from behaved(result, words, short=short)
    ended = {} if result.replies is None else result.replies.ended_by
    if ended and not (short and ended.keys() in _PLAIN_ENDS):
        shares = (f"{told(plain(name, 40), words)} {words.percent(one.share)}" for name, one in ended.items())
        yield fact("", t("ended by: {reasons}", reasons=", ".join(shares)))
    if not short:
        if result.counts.window != run:
            yield fact(t("In window"), accounts(result.counts.window, words))
        if result.counts.beyond:
            n, failed = (words.count(n) for n in (result.counts.beyond, result.counts.beyond_failed))
            kept_on = t(
                "{beyond} more requests kept the load on until the last counted reply; {failed} of them failed",
                beyond=n,
                failed=failed,
            )
            yield fact(t("Beyond"), kept_on)


def accounts(counts: Counts, words: Words) -> str:
    """What became of the planned requests."""
    if counts.abandoned:
        return words.say(
            "{planned} planned = {ok} ok + {failed} failed + {abandoned} abandoned + {cancelled} cancelled + "
            "{unsent} unsent",
            **{name: words.count(getattr(counts, name)) for name in Counts.__struct_fields__},
        )
    return words.say(
        "{planned} planned = {ok} ok + {failed} failed + {cancelled} cancelled + {unsent} unsent",
        **{name: words.count(getattr(counts, name)) for name in Counts.__struct_fields__},
    )


# --- what came -------------------------------------------------------------------------------------------------------


def tiles(result: Result, words: Words) -> Tiles:
    """How fast: latencies with their p50 and p99, then rates."""
    t, rates, flight = words.say, result.throughput, result.concurrency
    found = []
    for name in (name for name in (*COMPARED, "rtf") if name in result.latency):
        latency = result.latency[name]
        summary = latency.response or latency.service
        under = t("response time") if latency.response else t("told") if summary.told else ""
        cells = [estimated(getattr(summary, shown), words, latency.unit, summary.n, shown).cell(label=shown)
                 for shown in ("p50", "p99")]  # fmt: skip
        found.append((_titled(name.removesuffix("_ms"), words, under), cells))
    generates = result.methodology.spec.workload.generates
    for name in (made_of(result.methodology.spec), "requests_per_s"):
        interval = getattr(rates, interval_of(name))
        figure = rate(getattr(rates, name), interval, t(words.metric(name).unit), words)
        found.append((_titled(name, words, t("told") if name in (rates.told or ()) else ""), [figure.cell()]))
    if generates:
        user = rates.user_tokens_per_s.get("p50")
        reached = figured(MISSING) if user is None else estimated(user, words, t("tokens/s")).cell()
        under = f"{t('told')} p50" if user is not None and user.caveat == TOLD else "p50"
        found.append((_titled("user_tokens_per_s", words, under), [reached]))
    ok, planned = (words.count(n) for n in (result.counts.window.ok, result.counts.window.planned))
    under = t("{ok} of {planned} requests ok", ok=ok, planned=planned) if tallied(result.imported) else ""
    mean = figured(words.figure(flight.mean, 3), unit=t("in flight, mean"), under=under)
    return Tiles([*found, (_titled("concurrency", words), [mean])])


def _titled(term: str, words: Words, under: str = "") -> Cell:
    return Cell(words.metric(term).title, term=term, under=under)


def throughput(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """Requests and tokens a second, of all and of a user."""
    t, rates, generates = words.say, result.throughput, result.methodology.spec.workload.generates
    hears, made = result.methodology.spec.workload.hears, made_of(result.methodology.spec)
    parts = [
        t("{n} requests/s", n=words.figure(rates.requests_per_s))
        + bracketed(rates.requests_interval, words)
        + marked(rates, "requests_per_s", words),
        made_words(rates, made, words)
        + bracketed(getattr(rates, interval_of(made)), words)
        + marked(rates, made, words),
    ]
    if not generates:
        yield fact(t("Throughput"), *parts, _taken(result, words))
        return
    if short:
        yield fact(t("Throughput"), *parts)
        user = rates.user_tokens_per_s.get("p50")
        reached = (
            [t("a user gets {n} tokens/s at p50", n=words.figure(user.value, 3)) + _of_told(user, words)]
            if user and user.value
            else []
        )
        both = (
            []
            if rates.total_tokens_per_s is None and (hears or result.imported)
            else [_in_and_out(rates.total_tokens_per_s, words) + marked(rates, "total_tokens_per_s", words)]
        )
        yield from [fact("", *both, *reached)] if both or reached else []
        yield from chunks(result, words, short=True)
        yield from cached(result, words, short=True)
        return
    taken = [] if rates.input_tokens_per_s is None and hears else [_taken(result, words)]
    yield fact(t("Throughput"), *parts, *taken)
    yield fact(t("Per user"), *_per_user(rates, words))
    yield from chunks(result, words)
    yield from cached(result, words)


def made_words(rates: Throughput, made: str, words: Words) -> str:
    """The rate of what the API makes, by its field."""
    n = words.figure(getattr(rates, made))
    said = {
        "output_tokens_per_s": words.say("{n} output tokens/s", n=n),
        "inputs_per_s": words.say("{n} inputs/s", n=n),
        "images_per_s": words.say("{n} images/s", n=n),
        "audio_s_per_s": words.say("{n} s of audio/s", n=n),
    }
    return said[made]


def _taken(result: Result, words: Words) -> str:
    """The rate of input tokens, and whether the server told none of them."""
    n = words.figure(result.throughput.input_tokens_per_s)
    if result.imported is None and set(result.methodology.prompt_token_source) == {"planned"}:
        return words.say("{n} input tokens/s, as planned", n=n)
    return words.say("{n} input tokens/s", n=n) + marked(result.throughput, "input_tokens_per_s", words)


def _in_and_out(tokens_per_s: float | None, words: Words) -> str:
    return words.say("{n} tokens/s in and out", n=words.figure(tokens_per_s))


def _of_told(user: Estimate, words: Words) -> str:
    return f" ({words.say('told')})" if user.caveat == TOLD else ""


def _per_user(rates: Throughput, words: Words) -> Iterator[str]:
    known = [
        words.say(
            "{n} tokens/s or more for {share}", n=words.figure(rates.user_tokens_per_s[name].value, 3), share=share
        )
        + _of_told(rates.user_tokens_per_s[name], words)
        for name, share in (("p50", "50 %"), ("p90", "90 %"), ("p99", "99 %"))
        if name in rates.user_tokens_per_s and rates.user_tokens_per_s[name].value is not None
    ]
    yield from known or [MISSING]
    if rates.chunks_per_token is not None:
        yield words.say("{n} chunks per token", n=words.figure(rates.chunks_per_token, 3))


def slo(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """How many requests kept to the SLO, and to each of its limits."""
    t, good = words.say, result.goodput
    if good is None:
        return
    kept = t(
        "{share} of {planned} planned requests kept to every limit",
        share=share_in_brackets(good.attainment, words),
        planned=words.count(good.planned),
    )
    anchor = t("response time") if good.anchor == "response" else t("service time")
    goodput = Cell(t("{n} requests/s", n=words.figure(good.goodput_per_s)), label=words.metric("goodput").title,
                   term="goodput")  # fmt: skip
    yield "SLO", [Cell(kept)] if short else [Cell(f"{kept} ({anchor})"), goodput]
    if good.limits:  # those in which classes differ are told by class
        yield fact("", *(_limit(name, limit, words, short) for name, limit in good.limits.items()))


def limit_words(name: str, limit_ms: float, words: Words) -> str:
    """A limit of the SLO, as in TTFT ≤ 400 ms."""
    return f"{GLOSSARY[name.removesuffix('_ms')].title} ≤ {asked(limit_ms, words)} ms"


def _limit(name: str, limit: Limit, words: Words, short: bool) -> str:
    kept = limit.attainment
    share = words.percent(kept.value) if short else share_in_brackets(kept, words)
    found = told(limit.note, words) if limit.note else share
    return f"{limit_words(name, limit.limit_ms, words)}: {found}"


def course(result: Result, words: Words) -> Iterator[Fact]:
    """How many were in flight, what the whole run shows, and what other tools would say of it."""
    t, flight, generates = words.say, result.concurrency, result.methodology.spec.workload.generates
    parts = [] if flight.asked is None else [t("asked {n}", n=words.count(flight.asked))]
    if flight.max is None:
        yield fact(t("Concurrency"), *parts, MISSING)
        return
    if flight.mean is None:
        parts.append(t("mean n/a: nothing was sent between ramp and drain"))
    else:
        part = flight.asked and result.methodology.loop != "open"
        share = f" ({words.percent(flight.mean / flight.asked)})" if part and flight.asked else ""
        span = t("from {a} to {b} s", a=words.figure(flight.mean_from_s, 3), b=words.figure(flight.mean_to_s, 3))
        parts.append(f"{t('mean {n}', n=words.figure(flight.mean))}{share} {span}")
    parts.append(t("max {n}", n=words.count(flight.max)))
    if (ratio := result.steady.littles_ratio) is not None:
        parts.append(
            t("{share} of rate \N{MULTIPLICATION SIGN} time in system (Little's law)", share=words.percent(ratio))
        )
    yield fact(t("Concurrency"), *parts)
    if (whole := result.whole_run) is not None:
        parts = []
        for name in (name for name in LIMITED if name in whole.latency):
            latency = whole.latency[name]
            summary = latency.response or latency.service
            figures = (("p50", summary.p50.value), ("p99", summary.p99.value), (t("max"), summary.max))
            parts.append(f"{latency.title} {' '.join(f'{name} {words.figure(ms)}' for name, ms in figures)} ms")
        yield fact(t("Whole run"), *parts, made_words(whole.throughput, made_of(result.methodology.spec), words))
    found = result.run_rates
    if found is not None and found.seconds is not None:
        yield fact(
            t("Other tools"),
            t("would say {n} requests/s", n=words.figure(found.requests_per_s)),
            *(_made_by_others(found, words) if generates else ()),
            t("over {s} s, from the first send to the last reply", s=words.figure(found.seconds)),
        )


def _made_by_others(found: RunRates, words: Words) -> Iterator[str]:
    yield words.say("{n} output tokens/s", n=words.figure(found.output_tokens_per_s))
    yield _in_and_out(found.total_tokens_per_s, words)


def bottleneck(result: Result, words: Words) -> Iterator[Fact]:
    """What takes the time."""
    if result.bottleneck is not None:
        yield fact(words.say("Bottleneck"), told(result.bottleneck, words))


# --- what went wrong -------------------------------------------------------------------------------------------------


def findings(result: Result, words: Words) -> list[Cell]:
    """Why the result goes by its word: what spoils it, then what the audit found, worst first; each once.

    Of a latency by both anchors only the response time, which is the one shown, where both are off; what to do stands
    once where several share it.
    """
    checks = result.verdict.checks
    named = {(check.word, check.name) for check in checks}
    bad = [
        check
        for check in checks
        if check.word in _WORST_FIRST
        and (check.word, f"{check.name.removesuffix('budget')}response_budget") not in named
    ]
    bad.sort(key=lambda check: (_WORST_FIRST.index(str(check.word)), check.name not in _TOLD_FIRST))
    spoils = [why for why in result.invalid if not any(check.says.startswith(why) for check in bad)]
    advice = [check.advice if later is None or later.advice != check.advice else None
              for check, later in zip_longest(bad, bad[1:])]  # fmt: skip
    return [
        *(Cell(told(why, words)) for why in spoils),
        *(Cell(told(check.says, words), advice=told(do or "", words)) for check, do in zip(bad, advice, strict=True)),
    ]


def verdict(result: Result, words: Words) -> Verdict:
    """The word of the result, what it means, and why."""
    word = word_of(result)
    found = findings(result, words)
    rest = words.say("and {n} more", n=words.count(len(found) - _REASONS))
    return Verdict(words.say(word), TONES[word], verdict_words(result, words), found, _REASONS, rest)


def verdict_words(result: Result, words: Words) -> str:
    """What the verdict means, after what is to be said of a run that did not end by itself."""
    t = words.say
    state = {
        "complete": "",
        "interrupted": t("This run was interrupted: its figures are of the part that ran."),
        "running": t("This run never said that it ended: its figures are of the part that was recorded."),
    }.get(result.run.state, t("This run broke off: its figures are of the part that ran."))
    meaning = {
        "VALID": t("Every check is within its limits."),
        "SUSPECT": t("The figures can be used with care."),
        "INVALID": t("Do not use the figures that are named here.")
        if only_budgets(result)
        else t("Do not use these figures."),
    }[word_of(result)]
    return f"{state} {meaning}".strip()


def warnings(result: Result, words: Words) -> Iterator[Fact]:
    """What must be known before any figure is read."""
    t = words.say
    for reason in result.invalid:
        yield "", [Cell(told(reason, words), word=t("INVALID"), tone="bad")]
    if result.run.state != "complete":
        state = {"running": t("NO END"), "interrupted": t("INTERRUPTED")}.get(result.run.state, t("BROKEN"))
        says = next(iter(result.notes), "these figures are of a part of the run")  # how it ended comes first
        yield "", [Cell(told(says, words), word=state, tone="care")]


def errors(result: Result, words: Words, most: int | None = None) -> Iterator[Fact]:
    """Kinds of failures with their number, the server's words and what to do; at most so many."""

    def line(one: Failure) -> Cell:
        said = one.sample or ""
        sample = f'"{plain(told(said, words) if " " in said else said, _TEXT)}"' if said else ""
        kind = f"{words.count(one.count)} {_TIMES} {plain(one.kind, 80)}"
        return Cell(kind, tone="bad", more=sample, advice=told(one.advice or "", words))

    for i, failure in enumerate(result.errors[:most]):
        yield ("" if i else words.say("Errors")), [line(failure)]
    if most is not None and len(result.errors) > most:
        yield fact("", words.say("and {n} more kinds: --full", n=words.count(len(result.errors) - most)))


def notes(result: Result, words: Words, most: int | None = None) -> Iterator[Fact]:
    """What has to be known besides."""
    said = set(changes_of(result))  # beside the trace that they are of
    left = [note for note in result.notes if note not in said]
    for i, note in enumerate(left[:most]):
        yield fact("" if i else words.say("Notes"), told(note, words))
    if most is not None and len(left) > most:
        yield fact("", words.say("and {n} more", n=words.count(len(left) - most)))


# --- how it was done -------------------------------------------------------------------------------------------------


def counted(result: Result, words: Words, *, short: bool = False) -> Iterator[Fact]:
    """How the figures came to be; `short` without the definitions."""
    t, method = words.say, result.methodology
    if short:
        yield fact(
            t("Method"), t("percentiles: nearest rank"), t("intervals: 95 %, distribution-free, allow for dependence")
        )
    else:
        yield fact(t("Percentiles"), told(method.percentile, words))
        yield fact(t("Intervals"), told(method.interval, words))
    prompts = method.prompt_token_source
    if result.imported is not None:  # what nobody planned here was counted by the tool
        prompts = {told("the tool", words) if name == "planned" else name: n for name, n in prompts.items()}
    sources = [(t("prompt tokens by"), prompts)]
    if method.spec.workload.generates:
        sources.insert(0, (t("output tokens by"), method.token_source))
    counted_by = [f"{label} {_sources(found, words)}" for label, found in sources]
    processes = [] if result.imported else [t("load processes: {n}", n=words.count(method.workers))]
    yield fact(t("Counted"), *counted_by, *processes)


def _sources(counts: dict[str, int], words: Words) -> str:
    return ", ".join(f"{told(name, words)} ({words.count(n)})" for name, n in counts.items()) or words.say("none")


def identity(result: Result, words: Words, digits: int | None = None) -> Iterator[Fact]:
    """Which run this is: what pins it down, so many digits of each hash."""
    t, run, method = words.say, result.run, result.methodology
    salt = method.effective.get("salt")
    pinned = {
        t("schedule"): method.schedule_hash,
        t("bodies"): method.bodies_hash,
        t("methodology"): method.fingerprint,
    }
    yield (
        t("Run"),
        [
            Cell(run.id, kind="code"),
            Cell(run.started_at, kind="code"),
            *([] if not placed(result.imported) else [Cell(t("lasted {s} s", s=words.figure(run.duration_s)))]),
            *([] if result.imported else [Cell(t("seed {n}", n=str(method.seed)))]),
            *([Cell(t("salt {salt}", salt=str(salt)))] if salt else []),
            *(Cell(name[:digits], kind="code", label=label) for label, name in pinned.items() if name),
            Cell(t("recorded by loadcell {a}, computed by {b}", a=run.loadcell, b=result.loadcell)),
        ],
    )
    if not run.sealed:
        yield fact("", t("no checksums in the recording: that its files are as the run wrote them cannot be told"))

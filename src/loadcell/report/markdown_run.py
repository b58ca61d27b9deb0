"""A run as GitHub-flavoured Markdown: the verdict first."""

from __future__ import annotations

from collections.abc import Iterable

from loadcell.metrics import GLOSSARY, Result, reasons_of, word_of
from loadcell.report.github import bullets, code, folded, joined, prose, section, table
from loadcell.report.page.figures import Figure, count, estimated, share
from loadcell.report.page.latencies import latency_rows, percentile_names, rate_rows
from loadcell.report.page.method import command_of, identity_rows, method_rows
from loadcell.report.page.overview import load_words, model_of, slo_answer, state_words, verdict_words, workload_words
from loadcell.report.words import Words

_PICKED = ("p50", "p90", "p99")
"""Percentiles of the table of latencies."""
_REASONS = 5
_SAID = 160
"""Characters of a reply's error."""
_TIMES = "\N{MULTIPLICATION SIGN}"
MARKS = {"VALID": "✅", "SUSPECT": "⚠️", "INVALID": "❌"}


def run_markdown(result: Result, words: Words, *, source: str = "") -> str:
    """The Result as it is. `source` is the folder that commands name."""
    word = word_of(result)
    return joined(
        [
            f"### {MARKS[word]} {words.say(word)}: {_model(result, words)}, {prose(load_words(result, words))}",
            _said([state_words(result, words), verdict_words(result, words)]),
            _reasons(result, words),
            _headline(result, words),
            _slo(result, words),
            _errors(result, words),
            section(words.say("Notes"), (prose(words.say(note)) for note in result.notes)),
            _latencies(result, words),
            _method(result, words, source),
        ]
    )


def _said(sentences: Iterable[str | None]) -> str:
    return " ".join(prose(sentence) for sentence in sentences if sentence)


def _model(result: Result, words: Words) -> str:
    model = model_of(result)
    return words.say("model unknown") if model is None else code(model, 80)


def _reasons(result: Result, words: Words) -> str:
    reasons = reasons_of(result)
    more = len(reasons) - _REASONS
    rest = [words.say("and {n} more", n=count(more, words))] if more > 0 else []
    return bullets([*(prose(words.say(reason)) for reason in reasons[:_REASONS]), *rest])


def _cells(name: str, figure: Figure) -> list[str]:
    unit = f" {figure.unit}" if figure.unit else ""
    return [name, f"**{figure.value}**{unit}" if figure.known else figure.value, figure.under]


def _headline(result: Result, words: Words) -> str:
    """Latency and rates in a few lines: what is quoted."""
    rows = []
    for name in ("ttft_ms", "tpot_ms", "e2e_ms"):
        summary = result.latency[name].response or result.latency[name].service
        for shown in ("p50", "p99"):
            rows.append(
                _cells(f"{result.latency[name].title} {shown}", estimated(getattr(summary, shown), words, name=shown))
            )
    rates = dict(rate_rows(result, words))
    titles = {"output_tokens_per_s": words.say("Output tokens/s"), "requests_per_s": words.say("Requests/s"),
              "goodput": words.metric("goodput").title}  # fmt: skip
    rows += [
        _cells(title, Figure(rates[name].value, under=rates[name].under))
        for name, title in titles.items()
        if name in rates
    ]
    user = result.throughput.user_tokens_per_s.get("p50")
    if user is not None:
        rows.append(_cells(words.say("Tokens/s a user, median"), estimated(user, words, "")))
    inside = result.counts.window
    failed = inside.failed / inside.planned if inside.planned else None
    rows.append([words.say("Failed"), words.percent(failed), _of(inside.failed, inside.planned, words)])
    return table(["", words.say("Figure"), words.say("95 % interval")], rows)


def _of(part: int, whole: int, words: Words) -> str:
    return words.say("{n} of {total}", n=count(part, words), total=count(whole, words))


def _slo(result: Result, words: Words) -> str:
    good = result.goodput
    if good is None:
        return ""
    kept = share(good.attainment, words)
    rows = [_cells(f"**{words.say('Every limit')}**", kept)]
    for name, limit in good.limits.items():
        asks = limit_words(name, limit.limit_ms, words)
        found = share(limit.attainment, words)
        rows.append([asks, found.value, prose(words.say(limit.note)) if limit.note else found.under])
    answer = slo_answer(result, words)
    under = f"\n\n{prose(answer)}." if answer else ""
    return table([words.say("SLO"), words.say("Attained"), words.say("95 % interval")], rows) + under


def limit_words(name: str, limit_ms: float, words: Words) -> str:
    """A limit of the SLO, as in TTFT ≤ 400 ms."""
    whole = float(limit_ms).is_integer()
    shown = count(int(limit_ms), words) if whole else words.figure(limit_ms)
    return f"{GLOSSARY[name.removesuffix('_ms')].title} ≤ {shown} ms"


def _latencies(result: Result, words: Words) -> str:
    """Each latency's percentiles with their intervals."""
    shown = list(percentile_names(result.latency).values())
    places = [shown.index(name) for name in _PICKED]
    rows = [
        [
            " ".join(filter(None, [words.metric(row.term).title, row.note])),
            _stacked(row.mean),
            row.sd,
            *(_stacked(row.figures[place]) for place in places),
            row.max,
            row.samples,
        ]
        for row in latency_rows(result.latency, words)
    ]
    head = [words.say("Latency, ms"), words.say("mean"), words.say("sd"), *_PICKED, words.say("max"), "n"]
    return folded(words.say("All latencies"), table(head, rows))


def _stacked(figure: Figure) -> str:
    return f"{figure.value}<br><sub>{figure.under}</sub>" if figure.under else figure.value


def _errors(result: Result, words: Words) -> str:
    def line(kind: str, number: int, sample: str | None, advice: str | None) -> str:
        said = f": {code(sample, _SAID)}" if sample else ""
        todo = f" → {prose(words.say(advice))}" if advice else ""
        return f"{count(number, words)} {_TIMES} {code(kind, 60)}{said}{todo}"

    found = (line(one.kind, one.count, one.sample, one.advice) for one in result.errors)
    return section(words.say("Errors"), found)


def _method(result: Result, words: Words, source: str) -> str:
    endpoint = result.methodology.spec.get("endpoint", {})
    rows = [
        (words.say("Target"), code(endpoint.get("url") or "")),
        (words.say("Load"), prose(load_words(result, words))),
        (words.say("Workload"), prose(workload_words(result, words))),
        *((label, prose(text)) for label, text in method_rows(result, words)),
        *((label, code(text)) for label, text in identity_rows(result, words)),
    ]
    again = command_of(result)
    rows += [(words.say("Command"), code(again, 1000))] if again else []
    rows += [(words.say("Run it again"), code(f"loadcell run {source}"))] if source else []
    return folded(words.say("How it was measured"), bullets(f"{label}: {text}" for label, text in rows))

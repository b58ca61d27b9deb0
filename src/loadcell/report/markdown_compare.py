"""A comparison as GitHub-flavoured Markdown: gates first, then what differs, pair by pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from loadcell.compare.model import Change, Comparison, Gate, Pair, Side
from loadcell.report.github import bullets, code, folded, joined, prose, table
from loadcell.report.markdown_run import MARKS
from loadcell.report.page.figures import count
from loadcell.report.signed import change_words, finding_words, interval_words
from loadcell.report.text import sentence
from loadcell.report.words import Words

_FINDINGS = {"better": "✅", "worse": "❌", "too little data": "❔", "no difference shown": ""}
_DASH, _MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def comparison_markdown(comparison: Comparison, words: Words) -> str:
    """The comparison: gates first, then what differs, pair by pair."""
    blocks = [_gates(comparison.gates, words, several=len(comparison.pairs) > 1)]
    for pair in comparison.pairs:
        blocks += _pair(pair, comparison, words)
    if comparison.noise is not None:
        runs = words.say("{n} runs", n=count(len(comparison.noise.runs), words))
        rows = [
            [prose(words.say(one.title)), words.percent(one.deviation), words.percent(one.floor)]
            for one in comparison.noise.floors
        ]
        head = [f"{words.say('A/A noise')}, {runs}", words.say("Deviation"), words.say("Noise floor")]
        blocks += [table(head, rows), bullets(prose(words.say(note)) for note in comparison.noise.notes)]
    if comparison.sides:
        blocks.append(folded(words.say("What was compared"), _sides(comparison.sides, words)))
    return joined(blocks)


def _gates(gates: Sequence[Gate], words: Words, *, several: bool) -> str:
    rows = [
        [
            code(gate.expression) + (f" ({gate.side})" if several else ""),
            f"❌ **{words.say('FAIL')}**"
            if gate.fired
            else f"❔ {words.say('INCONCLUSIVE')}"
            if gate.inconclusive
            else f"✅ {words.say('pass')}",
            prose(words.say(gate.says)),
        ]
        for gate in gates
    ]
    return table([words.say("Gate"), "", ""], rows, "lll") if rows else ""


def _pair(pair: Pair, comparison: Comparison, words: Words) -> Iterator[str]:
    mark, comparable = {
        "comparable": ("✅", words.say("comparable")),
        "comparable with care": ("⚠️", words.say("comparable with care")),
        "not comparable": ("❌", words.say("not comparable")),
    }[pair.comparable]
    yield f"### {mark} A {_DASH} {pair.name}: {comparable}"
    if pair.changes:
        found: Counter[str] = Counter(change.finding for change in pair.changes)
        told = [f"**{count(found[name], words)}** {finding_words(name, words)}" for name in _FINDINGS if found[name]]
        yield " · ".join(told)
    yield bullets(prose(words.say(reason)) for reason in (*pair.forbids, *pair.care))
    if pair.comparable == "not comparable":
        yield (
            words.say("Compared all the same (--force): the figures below do not mean the same thing on both sides.")
            if pair.changes
            else words.say("No findings. Measure both in the same way.")
        )
    if not pair.changes:
        return
    if pair.pairing is not None:
        yield prose(sentence(words.say(pair.pairing.says)))
    head = [words.say("Figure"), "A", pair.name, words.say("Change"), words.say("95 % interval"), words.say("Finding")]
    yield table(head, (_change(change, words) for change in pair.changes), "lrrrrl")
    yield words.say(
        "Change: {side} against A. better, worse: shown at 5 % after Holm's correction for all tests; no difference "
        "shown: the interval lies within {effect}.",
        side=pair.name,
        effect=words.percent(comparison.min_effect),
    )
    yield bullets(prose(words.say(note)) for note in pair.notes)


def _change(change: Change, words: Words) -> list[str]:
    is_share = change.unit == "share"
    show = words.percent if is_share else words.figure
    title = prose(words.say(change.title)) + (", ms" if change.unit == "ms" else "")
    finding = f"{_FINDINGS[change.finding]} {finding_words(change.finding, words)}".strip()
    return [
        title,
        show(change.a),
        show(change.b),
        change_words(change, words),
        interval_words(change, words),
        f"{finding}: {prose(words.say(change.says))}" if change.says else finding,
    ]


def _sides(sides: Sequence[Side], words: Words) -> str:
    rows = [
        [side.name, code(side.path), f"{MARKS.get(side.verdict, '')} {prose(words.say(side.verdict))}".strip(),
         count(side.requests, words), count(len(side.runs), words)]
        for side in sides
    ]  # fmt: skip
    head = ["", words.say("What"), words.say("Verdict"), words.say("ok requests"), words.say("runs")]
    return table(head, rows, "lll")

"""What a check answers: the word, then each gate with its interval, its bound, and what would give an answer."""

from __future__ import annotations

from collections.abc import Iterator

from loadcell.compare.check import Check, CheckGate
from loadcell.report.signed import signed
from loadcell.report.text import MISSING, sentence
from loadcell.report.view.blocks import Block, Cell, Column, Facts, Note, Section, Table, Tone, Verdict, figured, told
from loadcell.report.words import Words

TONES: dict[str, Tone] = {"PASS": "good", "FAIL": "bad", "INCONCLUSIVE": "open"}


def check_sections(check: Check, words: Words) -> list[Section]:
    """The answer of a check in the language of `words`."""
    t = words.say
    columns = [Column(t("Gate"), "left"), Column("", "left"), Column(t("Change"), under=t("95 % interval")),
               Column("", "left")]  # fmt: skip
    rows = [
        [
            Cell(gate.expression, kind="code"),
            Cell(t(gate.word), tone=TONES[gate.word]),
            figured(difference_words(gate, words), under=interval_words(gate, words)),
            Cell(" ".join(_says(gate, words))),
        ]
        for gate in check.gates
    ]
    blocks: list[Block] = [Table(columns, rows), *([Facts(_sides(check, words))] if check.sides else [])]
    notes = [sentence(told(note, words)) for note in check.notes]
    return [Section("check", _title(check, words), [*blocks, *([Note(notes)] if notes else [])],
                    Verdict(t(check.word), TONES[check.word]))]  # fmt: skip


def _title(check: Check, words: Words) -> str:
    counts = [(word, sum(gate.word == word for gate in check.gates)) for word in ("FAIL", "INCONCLUSIVE", "PASS")]
    head = words.say("Gates: {counts}", counts=", ".join(f"{words.count(n)} {words.say(w)}" for w, n in counts if n))
    if check.word != "INCONCLUSIVE" or check.needs is None:
        return head
    n = words.count(check.needs)
    if check.needs_what == "runs":
        return words.say("{head}; an answer needs {n} repeats a side", head=head, n=n)
    return words.say("{head}; an answer needs {n} requests a side", head=head, n=n)


def _says(gate: CheckGate, words: Words) -> Iterator[str]:
    yield sentence(told(gate.says, words))
    if gate.needs is not None:
        n = words.count(gate.needs)
        needs = (
            words.say("{n} runs a side", n=n) if gate.needs_what == "runs" else words.say("{n} requests a side", n=n)
        )
        yield sentence(words.say("needs {what}", what=needs))


def _sides(check: Check, words: Words) -> list[tuple[str, list[Cell]]]:
    rows = [(side.name, [Cell(side.path, kind="code"), Cell(words.say(side.verdict))]) for side in check.sides]
    ran = words.count(check.ran)
    if check.by == "runs":
        measured = [Cell(words.say("{n} runs", n=ran))]
    else:
        measured = [Cell(words.say("{n} requests a side", n=ran))]
        if check.announced is not None:
            measured.append(Cell(words.say("{n} announced as needed", n=words.count(check.announced))))
    return [*rows, (words.say("Measured"), measured)]


def difference_words(gate: CheckGate, words: Words) -> str:
    """The difference with its unit."""
    if gate.difference is None:
        return MISSING
    value = signed(gate.difference, words)
    return f"{value} %" if gate.unit == "%" else words.say("{change} points", change=value)


def interval_words(gate: CheckGate, words: Words) -> str:
    """Its 95 % interval; nothing if there is none, an open end as such."""
    if gate.low is None and gate.high is None:
        return ""
    ends = (MISSING if end is None else signed(end, words) for end in (gate.low, gate.high))
    return words.interval(*ends)

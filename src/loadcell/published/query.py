"""From words to a question: "8xH200 llama2-70b server" in any order, and flags that say the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from loadcell.errors import UsageError, nearest
from loadcell.published.model import SCENARIO_NAMES, Row

_COUNT = re.compile(r"(?:(\d+)\s*[xX\u00d7]|[xX\u00d7](\d+))")
_COUNTED = re.compile(r"(\d+)[xX\u00d7](.+)")
_ENTRY = re.compile(r"\d\.\d-\d{4}")
_ROUND = re.compile(r"v?(\d\.\d)")
_LONGEST = 5
"""Words that one name may have, as in RTX PRO 6000 Blackwell Server."""
_NOISE = frozenset(("a", "and", "at", "by", "for", "gpu", "gpus", "in", "mlperf", "of", "on", "results", "the", "with"))


@dataclass(frozen=True)
class Question:
    """Which rows are wanted. An empty field asks for all; within a field any of the values will do."""

    benchmarks: frozenset[str] = frozenset()
    scenarios: frozenset[str] = frozenset()
    rounds: frozenset[str] = frozenset()
    divisions: frozenset[str] = frozenset()
    availabilities: frozenset[str] = frozenset()
    suites: frozenset[str] = frozenset()
    submitters: frozenset[str] = frozenset()
    entries: frozenset[str] = frozenset()
    accelerators: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()
    count: int | None = None

    def wants(self, row: Row) -> bool:
        """Whether the row is one of them."""
        return all(not getattr(self, field) or test(self, row) for field, test in TESTS.items())

    def words(self) -> str:
        """The question as it was understood."""
        count = "" if self.count is None else f"{self.count} x "
        parts = {field: ", ".join(sorted(getattr(self, field))) for field in TESTS if field != "count"}
        parts["scenarios"] = ", ".join(SCENARIO_NAMES[one] for one in SCENARIO_NAMES if one in self.scenarios)
        accelerators = parts.pop("accelerators") or ("accelerators" if count else "")
        return " · ".join(filter(None, [*parts.values(), count + accelerators])) or "everything"


TESTS: dict[str, Callable[[Question, Row], bool]] = {
    "benchmarks": lambda q, row: row.benchmark in q.benchmarks,
    "scenarios": lambda q, row: row.scenario in q.scenarios,
    "rounds": lambda q, row: row.round in q.rounds,
    "divisions": lambda q, row: row.division in q.divisions,
    "availabilities": lambda q, row: row.availability in q.availabilities,
    "suites": lambda q, row: row.suite in q.suites,
    "submitters": lambda q, row: row.submitter in q.submitters,
    "entries": lambda q, row: row.entry in q.entries,
    "accelerators": lambda q, row: any(names_accelerator(one, row.accelerator) for one in q.accelerators),
    "systems": lambda q, row: any(squash(one) in squash(f"{row.system} {row.platform}") for one in q.systems),
    "count": lambda q, row: row.accelerators == q.count,
}


def squash(text: str) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def tokens(text: str) -> list[str]:
    """The words of a name: lower case, split at all but letters and digits."""
    return re.findall(r"[a-z0-9]+", text.lower())


def names_accelerator(words: str, accelerator: str | None) -> bool:
    """Whether every word begins a word of the accelerator's name, so that B200 is no GB200; "cpu" asks for none."""
    if accelerator is None:
        return squash(words) == "cpu"
    name = tokens(accelerator)
    asked = tokens(words)
    return bool(asked) and all(any(have.startswith(word) for have in name) for word in asked)


# --- words -----------------------------------------------------------------------------------------------------------


def read_question(text: str, rows: Sequence[Row]) -> Question:
    """The question in words, by the names that occur in `rows`; UsageError names what is not understood."""
    question = Question()
    words = [word for word in re.split(r"[\s,;]+", text.strip()) if word]
    names = _names(rows)
    while words:
        question, used = _next(question, words, names, rows)
        words = words[used:]
    return question


def _names(rows: Sequence[Row]) -> dict[str, tuple[str, frozenset[str]]]:
    """Names that mean one thing: squashed, to the field and its values. Later ones win: a benchmark over the rest."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    fields = (
        ("submitters", "submitter"), ("entries", "entry"), ("availabilities", "availability"), ("suites", "suite"),
        ("divisions", "division"), ("rounds", "round"),
    )  # fmt: skip
    for field, attribute in fields:
        values = {getattr(row, attribute) for row in rows} - {None}
        found |= {squash(value): (field, frozenset({value})) for value in sorted(values)}
    found |= {squash(row.round.removeprefix("v")): ("rounds", frozenset({row.round})) for row in rows}
    found |= {squash(name): ("scenarios", frozenset({name})) for name in SCENARIO_NAMES}
    for family in sorted({row.family for row in rows}):
        found[squash(family)] = ("benchmarks", frozenset(row.benchmark for row in rows if row.family == family))
    found |= {squash(row.benchmark): ("benchmarks", frozenset({row.benchmark})) for row in rows}
    return found


def _next(
    question: Question, words: list[str], names: dict[str, tuple[str, frozenset[str]]], rows: Sequence[Row]
) -> tuple[Question, int]:
    """The question with the first words understood, and how many they were."""
    for length in range(min(_LONGEST, len(words)), 0, -1):
        here = words[:length]
        exact = names.get(squash(" ".join(here)))
        if length == 1 and exact and exact[0] == "submitters" and _accelerator(here[0], rows):
            raise UsageError(
                f"{here[0]} is a submitter and a maker of accelerators: say --submitter {here[0]} or "
                f"--accelerator {here[0]}"
            )
        if exact:
            return _with(question, *exact), length
        if found := _benchmarks(here, rows):
            return _with(question, "benchmarks", found), length
        if not any(squash(word) in names or _benchmarks([word], rows) for word in here[1:]) and (
            counted := _counted(" ".join(here), rows)
        ):
            return counted(question), length
    if squash(words[0]) in _NOISE or not squash(words[0]):
        return question, 1
    raise UsageError(_unknown(words[0], names, rows))


def _with(question: Question, field: str, values: frozenset[str]) -> Question:
    """One more word: benchmarks narrow one another ("llama 8b"), values of other fields add up."""
    before: frozenset[str] = getattr(question, field)
    after = before & values if field == "benchmarks" and before & values else before | values
    return _set(question, field, after)


def _set(question: Question, field: str, values: frozenset[str]) -> Question:
    changes: dict[str, Any] = {field: values}
    return replace(question, **changes)


def _benchmarks(words: Sequence[str], rows: Sequence[Row]) -> frozenset[str]:
    """Benchmarks whose name begins so, or has the word as parts of its own (8b, r1, 8b-edge)."""
    word = squash(" ".join(words))
    if len(word) < 2 or word.isdigit():
        return frozenset()
    begins = len(word) > 2 and word[0].isalpha()
    names = {row.benchmark for row in rows}
    return frozenset(name for name in names if word in _parts(name) or (begins and squash(name).startswith(word)))


@cache
def _parts(name: str) -> frozenset[str]:
    """Every run of neighbouring parts of a name, squashed."""
    parts = [squash(part) for part in re.split(r"[-\s]", name)]
    ends = range(1, len(parts) + 1)
    return frozenset("".join(parts[start:end]) for end in ends for start in range(end))


def _counted(text: str, rows: Sequence[Row]) -> Callable[[Question], Question] | None:
    """A number of accelerators, or some of a name, or both."""
    count: int | None = None
    if match := _COUNT.fullmatch(text):
        count = int(match[1] or match[2])
        return lambda question: replace(question, count=count)
    if match := _COUNTED.fullmatch(text):
        count, text = int(match[1]), match[2]
    elif (parts := text.split(maxsplit=1))[0].isdigit() and len(parts) == 2:
        count, text = int(parts[0]), parts[1].removeprefix("x ")
    if not _accelerator(text, rows):
        return None
    named = frozenset({text.strip()})
    return lambda question: replace(
        question, accelerators=question.accelerators | named, count=question.count if count is None else count
    )


def _accelerator(text: str, rows: Sequence[Row]) -> bool:
    return len(squash(text)) > 1 and any(names_accelerator(text, row.accelerator) for row in rows)


def _accelerator_words(rows: Sequence[Row]) -> set[str]:
    return {word for row in rows for word in tokens(row.accelerator or "") if not word.isdigit()}


def _unknown(word: str, names: Iterable[str], rows: Sequence[Row]) -> str:
    rounds = sorted({row.round for row in rows})
    if match := _ROUND.fullmatch(word.lower()):
        return no_round(f"v{match[1]}", rounds)
    if _ENTRY.fullmatch(word):
        return f"no entry {word} is known; entries look like {next(row.entry for row in rows if row.entry)}"
    known = {row.submitter.lower() for row in rows} | {row.benchmark for row in rows} | _accelerator_words(rows)
    close = nearest(word.lower(), sorted(known | set(SCENARIO_NAMES) | {name for name in names if name.isalpha()}))
    benchmarks = ", ".join(sorted({row.family for row in rows}))
    return (
        f"{word} is not understood{close}: name a benchmark ({benchmarks}), a scenario ({', '.join(SCENARIO_NAMES)}), "
        f"an accelerator (H200, 8xMI325X), a round ({', '.join(rounds)}), a submitter or an entry ID"
    )


def no_round(round: str, known: Iterable[str]) -> str:
    """What to say where a round is not known."""
    return f"no results of {round} are known, only of {', '.join(known)}: loadcell published add FILE brings more"


# --- flags -----------------------------------------------------------------------------------------------------------

_FLAGS = {
    "round": ("rounds", "round"),
    "division": ("divisions", "division"),
    "availability": ("availabilities", "availability"),
    "suite": ("suites", "suite"),
    "submitter": ("submitters", "submitter"),
}
"""Flags that take names, and the field and the column that they stand for."""


def with_flags(question: Question, flags: dict[str, str | None], rows: Sequence[Row]) -> Question:
    """The question narrowed by flags; each takes one value or several with commas. UsageError lists the valid ones."""
    for flag, text in flags.items():
        values = [value.strip() for value in (text or "").split(",") if value.strip()]
        if text is not None and not values:
            raise UsageError(f"--{flag} is empty")
        if flag in _FLAGS:
            field, column = _FLAGS[flag]
            known = sorted({getattr(row, column) for row in rows})
            picked = frozenset(_name(flag, value, known) for value in values)
            question = _set(question, field, picked or getattr(question, field))
        elif flag == "accelerator":
            for value in values:
                question = _with_accelerator(question, value, rows)
        elif flag == "system" and values:
            question = replace(question, systems=frozenset(values))
    return question


def _name(flag: str, value: str, known: Sequence[str]) -> str:
    wanted = squash(value)
    found = [name for name in known if wanted in (squash(name), squash(name).removeprefix("v"))]
    found = found or [name for name in known if squash(name).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if flag == "round" and not found:
        raise UsageError(no_round(value, known))
    what = (
        "may mean " + ", ".join(found)
        if found
        else f"is not known{nearest(value, known)}; there are: " + ", ".join(known)
    )
    raise UsageError(f"--{flag} {value} {what}")


def _with_accelerator(question: Question, value: str, rows: Sequence[Row]) -> Question:
    counted = _counted(value, rows)
    if counted is None:
        known = sorted({row.accelerator for row in rows if row.accelerator})
        close = nearest(value.lower(), sorted(_accelerator_words(rows)))
        raise UsageError(f"--accelerator {value} is not known{close}; there are: {', '.join(known)}, cpu")
    return counted(question)

"""A Check on the console, as Markdown for a job's summary, and as JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from loadcell.compare.check import Check, CheckGate
from loadcell.report.text import plain
from loadcell.report.view.blocks import Section, Verdict
from loadcell.report.view.check import check_sections, difference_words, interval_words
from loadcell.report.words import Words, words_for

if TYPE_CHECKING:
    from rich.console import Console

SUITE = "loadcell check"


def print_check(check: Check, console: Console, words: Words) -> None:
    """Print the answer: the word first, a line or two a gate."""
    from loadcell.report.render.terminal import show

    show(check_sections(check, words), console)


def check_markdown(check: Check, words: Words) -> str:
    """The answer for the summary of a job or a pull request."""
    from loadcell.report.render.markdown import markdown

    return markdown(check_sections(check, words))


def markdown_error(why: str, words: Words) -> str:
    """The summary of a check that could not be made."""
    from loadcell.report.render.markdown import markdown

    return markdown([Section("check", why, [], Verdict(words.say("no answer"), "open"))])


def junit(check: Check, took_s: float) -> str:
    """A JUnit report: a suite, a test case a gate. FAIL is a failure. INCONCLUSIVE is an error, for that is what JUnit
    calls a test that could not answer, and what CI systems show in red; skipped cases they show as if all was well."""
    cases = [(gate.expression, _outcome(gate)) for gate in check.gates]
    return _suite(cases, took_s, {"answer": check.word, **{f"side {s.name}": s.path for s in check.sides}})


def junit_error(gates: Sequence[str], why: str, took_s: float) -> str:
    """The JUnit report of a check that could not be made: every gate is an error."""
    return _suite([(gate, ("error", "not measured", why)) for gate in gates], took_s, {"answer": "error"})


def _outcome(gate: CheckGate) -> tuple[str, str, str]:
    """(element, type, text)."""
    words = words_for("en")
    needs = "" if gate.needs is None else f"; an answer needs {gate.needs:,} {gate.needs_what} a side"
    text = f"{difference_words(gate, words)} {interval_words(gate, words)}: {gate.says}{needs}"
    return {"PASS": "system-out", "FAIL": "failure", "INCONCLUSIVE": "error"}[gate.word], gate.word, text


def _suite(cases: Sequence[tuple[str, tuple[str, str, str]]], took_s: float, facts: dict[str, str]) -> str:
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(element == "failure" for _, (element, *_) in cases)),
        "errors": str(sum(element == "error" for _, (element, *_) in cases)),
        "skipped": "0",
        "time": f"{took_s:.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": SUITE, **{k: v for k, v in counts.items() if k != "skipped"}})
    suite = ElementTree.SubElement(root, "testsuite", {"name": SUITE, **counts})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in facts.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": plain(value, 800)})
    for name, (element, kind, text) in cases:
        each = {"classname": "loadcell.check", "name": plain(name, 200), "time": f"{took_s / len(cases):.3f}"}
        case = ElementTree.SubElement(suite, "testcase", each)
        shown = plain(text, 2000)
        told = {} if element == "system-out" else {"message": shown, "type": kind}
        ElementTree.SubElement(case, element, told).text = shown
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'

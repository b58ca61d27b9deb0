"""The accuracy of an MLPerf-style run on the console: the gate bound by bound, what to do, what to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from loadcell.mlperf.model import FOOTNOTE, UNVERIFIED, Accuracy, Finding
from loadcell.report.lines import Line, section
from loadcell.report.mlperf import finding_lines
from loadcell.report.render.terminal import BADGES
from loadcell.report.text import plain

_SAYS = 600
_MARKS = {True: ("held", "green"), False: ("failed", "red"), None: ("not judged", "red")}
_MANY_SUBSETS = 12


def print_accuracy(found: Accuracy, console: Console, folder: Path | None = None, *, footnote: bool = False) -> None:
    """Print the accuracy of a run; `folder` names where it lies. `footnote`: where nothing else says it already."""
    console.print(render_accuracy(found, footnote=footnote))
    if folder is not None:
        console.print(Text(f" Written to {folder / 'accuracy.json'}"), soft_wrap=True)


def render_accuracy(found: Accuracy, *, footnote: bool) -> RenderableType:
    """The accuracy for a terminal of 80 columns or more."""
    remarks = finding_lines("To know", (one for one in found.findings if not _is_gate(one)), "yellow")
    lines = [*_gates(found.findings), *_advice(found.findings), *_figures(found), *remarks]
    blocks: list[RenderableType] = [Padding(_head(found), (0, 0, 0, 1)), section(lines)]
    if footnote:
        blocks.append(Padding(Text(FOOTNOTE, style="dim"), (0, 0, 0, 1)))
    return Group(*(part for block in blocks for part in (block, Text())))


def accuracy_title(found: Accuracy) -> str:
    """What was scored, never without the word that says what it is worth."""
    return f"MLPerf-style accuracy of {found.benchmark} {found.scenario}, {found.round} - {UNVERIFIED}"


def _head(found: Accuracy) -> Text:
    word, style = (" GATE PASSED ", "bold black on green") if found.passed else (" GATE FAILED ", BADGES["bad"])
    text = Text.assemble((word, style), " ", (accuracy_title(found), "bold"))
    if any(finding.rule == "comparable" for finding in found.findings):
        text.append(f"\n({'look-alike samples' if found.look_alike else 'a smaller pass'}: not comparable)", "yellow")
    return text


def _is_gate(finding: Finding) -> bool:
    return finding.rule.startswith("accuracy-gate") or finding.rule == "accuracy-sample-count"


def _gates(findings: Iterable[Finding]) -> Iterator[Line]:
    for i, finding in enumerate(filter(_is_gate, findings)):
        word, style = _MARKS[finding.ok]
        yield ("" if i else "Gate"), Text.assemble((f"{word}: ", style), plain(finding.says, _SAYS))


def _advice(findings: Iterable[Finding]) -> Iterator[Line]:
    """What to do about what failed, each advice once."""
    failed = (finding for finding in findings if _is_gate(finding) and finding.ok is not True)
    for i, advice in enumerate(dict.fromkeys(finding.advice for finding in failed if finding.advice)):
        yield ("" if i else "To do"), f"→ {plain(advice, _SAYS)}"


def _figures(found: Accuracy) -> Iterator[Line]:
    words = [f"{found.scored:,} of {found.samples:,} samples scored"]
    words += [f"{found.empty:,} empty"] if found.empty else []
    words += [f"{found.missing:,} missing (they count as wrong)"] if found.missing else []
    if found.tokens_per_sample is not None:
        words.append(f"{found.tokens_per_sample:,.1f} output tokens each")
    yield "Replies", " · ".join(words)
    if found.subsets:
        shown = list(found.subsets.items())
        parts = [f"{plain(subset)} {score:.2f} %" for subset, score in shown[:_MANY_SUBSETS]]
        more = len(shown) - _MANY_SUBSETS
        yield "Right", " · ".join(parts) + (f" · and {more} more subsets" if more > 0 else "")

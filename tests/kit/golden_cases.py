"""What every noun prints in every format, of results with known numbers: kept in golden/, rewritten by this script.

`python tests/kit/golden_cases.py` writes the files anew; `git diff` then shows what changed for a reader.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
from made import MS, build, events_of, failed_request, ok_request
from made_comparison import make_change, make_comparison, make_gate, make_noise, make_pair, make_side
from made_detail import made_detail
from made_import import a_placed, a_told, an_unplaced, placed_rows, write_import
from made_page import made_result
from made_sweep import make_grid, make_search
from made_sweeps import SWEEPS
from rich.console import Console

from loadcell.compare.model import Comparison, DuelShown, Pairing
from loadcell.metrics import (
    Bias,
    Calibration,
    Estimate,
    Highest,
    Repeats,
    Result,
    Rung,
    SelfTest,
    Verdict,
    build_repeats,
    build_result,
)
from loadcell.phrases import phrase
from loadcell.report.compare import comparison_markdown, comparison_page, print_comparison
from loadcell.report.render.terminal import show
from loadcell.report.run import print_result, print_short, run_markdown, run_page
from loadcell.report.sweep import print_sweep, sweep_markdown, sweep_page
from loadcell.report.view.repeats import repeats_section
from loadcell.report.view.selftest import selftest_section
from loadcell.report.words import words_for
from loadcell.search import build_imports
from loadcell.search.model import Sweep

GOLDEN = Path(__file__).parents[1] / "report" / "golden"
replace = msgspec.structs.replace


# --- results ---------------------------------------------------------------------------------------------------------


def a_quiet_run(folder: Path) -> Result:
    """A closed loop in which all went well, with its events; its verdict is VALID."""
    rows = [ok_request(i, start_ms=50 * i + 0.37 * (i * 7 % 13), tokens=8) for i in range(320)]
    events = [event for row in rows for event in events_of(row)]
    audits = [{"issued": 320, "cpu_s": 0.01, "reads": 9, "reads_without_stamp": 0}]
    slo = {"ttft_ms": 60, "tpot_ms": 25}
    result = build_result(build(folder, rows, events=events, audits=audits, slo=slo))
    checks = [check for check in result.verdict.checks if check.word in ("VALID", "NOTED", None)]
    return _plain(replace(result, verdict=Verdict(word="VALID", reasons=[], checks=checks)))


def a_watched_run(folder: Path) -> Result:
    """An open loop with failures, an SLO, a self-test of the machine, and a server that was watched."""
    known = Calibration(
        measured_at="2026-01-01T00:00:00+00:00", streams=64, tokens_per_s=6400.0, workers=2, ratio=0.9,
        cpu_us_per_token=12.0,
        limits_tokens_per_s={"1": 6000.0, "5": 20000.0},
        bias={"ttft": Bias(p50=0.001, p99=0.004, p50_ms=0.05, p99_ms=0.2)},
    )  # fmt: skip
    return _plain(replace(made_result(folder), calibration=known))


def a_spoilt_run(folder: Path) -> Result:
    """A part of a closed loop, with thinking and words of the server that are markup."""
    rows = [ok_request(i, start_ms=10 * i, first_answer_ns=(10 * i + 90) * MS) for i in range(60)]
    rows += [failed_request(60 + i, f"http_50{i}", error="[red]<b>slow</b>", start_ms=600 + i) for i in range(4)]
    return _plain(
        build_result(build(folder, rows, planned=80, state="interrupted", invalid=["the disk was full"], notes=["odd"]))
    )


def imported_runs(folder: Path) -> Sweep:
    """A folder of four runs of another tool, of which one is told alone."""
    folder.mkdir()
    for rate in (20, 5, 10):
        rows = placed_rows(300, every_ms=1000 / rate, seed=rate)
        write_import(folder / f"rate-{rate}", rows, tree={"load": {"rate": float(rate)}})
    a_told(folder / "rate-40", scale=2.0, tree={"load": {"rate": 40.0}})
    sweep = build_imports(folder)
    return replace(sweep, loadcell="0", plan=replace(sweep.plan, loadcell="0"))


IMPORTED = {
    "imported-placed": lambda folder: _plain(build_result(a_placed(folder, chunks=True))),
    "imported-unplaced": lambda folder: _plain(build_result(an_unplaced(folder))),
    "imported-told": lambda folder: _plain(build_result(a_told(folder))),
}
"""Runs of other tools: on one clock, each with its own zero, and summaries alone."""


def _plain(result: Result) -> Result:
    """Without the version of who made it."""
    return replace(result, loadcell="0")


def some_repeats(folder: Path) -> Repeats:
    """Three runs that differ, one of them INVALID, of five."""

    def moved(p50_ms: float) -> Result:
        ttft = result.latency["ttft_ms"]
        service = replace(ttft.service, p50=Estimate(value=p50_ms, low=p50_ms - 0.5, high=p50_ms + 0.5))
        return replace(result, latency=result.latency | {"ttft_ms": replace(ttft, service=service)})

    result = a_quiet_run(folder)
    last = replace(moved(55.0), invalid=["the disk was full"])
    return build_repeats([moved(50.0), moved(60.0), last], asked=5)


def comparisons() -> dict[str, Comparison]:
    """Unpaired, paired, a duel, three sides with noise and gates, forced, forbidden, and the noise alone."""
    gates = [
        make_gate(),
        make_gate(expression="itl.p99>+50%", fired=False, says="the difference keeps to the bound"),
        make_gate(expression="failed.share>+1", fired=False, inconclusive=True, says="the data tell neither"),
    ]
    pairing = Pairing(requests=1200, gain=2.1, says="1,200 requests were sent to both sides: each is held to its own")
    apart: dict[str, Any] = {
        "comparable": "not comparable",
        "forbids": [phrase("{} is streamed, {} not streamed", "A", "B")],
    }
    models = phrase("{}: {} {}, {} {}", "model", "A", "m", "B", "x")
    care: dict[str, Any] = {"comparable": "comparable with care", "care": [models, "one", "two", "three"]}
    turns = [make_side(name, kind="turns", runs=[f"turn-{i}" for i in range(4)]) for name in "AB"]
    repeats = [make_side(name, kind="repeats", runs=["1", "2", "3"], verdict="SUSPECT") for name in "ABC"]
    return {
        "unpaired": make_comparison(pairs=[make_pair(**care)], gates=gates),
        "paired": make_comparison(pairs=[make_pair(pairing=pairing, notes=[])]),
        "duel": make_comparison(
            sides=turns, pairs=[make_pair(pairing=pairing)],
            duel=DuelShown(folder="duels/d", turn=50, couples=4, planned=4),
        ),
        "three": make_comparison("ABC", sides=repeats, noise=make_noise(), gates=[make_gate(side="C")]),
        "forced": make_comparison(pairs=[make_pair(**apart, care=[models])], forced=True),
        "forbidden": make_comparison(
            sides=[make_side("A", kind="result", verdict="INVALID"), make_side("B")],
            pairs=[make_pair(**apart, changes=[make_change()][:0])],
        ),
        "noise": make_comparison("", noise=make_noise()),
    }  # fmt: skip


def sweeps() -> dict[str, Sweep]:
    """A grid, a search, a grid over two fields, and one with an INVALID stage."""
    return {
        "grid": make_grid(findings=["a finding"]),
        "search": make_search(),
        "mixed": SWEEPS["mixed"](),
        "invalid": SWEEPS["with an INVALID stage"](),
        "cut": make_grid(stages=make_grid().stages[:3], planned=5),
    }


def a_selftest() -> SelfTest:
    """Three loads, of which the last is beyond every limit."""

    def rung(streams: int, bias: float, **more: Any) -> Rung:
        asked = streams * 50.0
        found = {name: Bias(p50=bias, p99=2 * bias, p50_ms=bias, p99_ms=3 * bias) for name in ("ttft", "itl", "e2e")}
        base: dict[str, Any] = {
            "streams": streams, "rate": 50.0, "asked_tokens_per_s": asked, "tokens_per_s": asked * 0.99, "workers": 2,
            "failed": 0, "bias": found, "cpu_us_per_token": 12.3, "merged_by_client_share": 0.01,
            "engine_pace": 1.0,
        }  # fmt: skip
        return Rung(**base | more)

    machine = {"cpu": "a CPU", "cores_allowed": 4, "system": "Linux", "python": "3.11", "loadcell": "0"}
    return SelfTest(
        measured_at="2026-01-01T00:00:00+00:00", machine=machine, quick=True, tls=True,
        rungs=[rung(16, 0.001), rung(64, 0.03), rung(256, 0.2)],
        limits={"1": Highest(tokens_per_s=800.0, streams=16, rate=50.0, ends="client"),
                "2": Highest(tokens_per_s=None, streams=None, rate=None, ends="client"),
                "5": Highest(tokens_per_s=3200.0, streams=64, rate=50.0, ends="ladder")},
    )  # fmt: skip


# --- formats ---------------------------------------------------------------------------------------------------------


def terminal(show: Callable[[Console], object], name: str) -> Iterator[tuple[str, str]]:
    """At 80 and 120 columns, and once in colour."""
    for kind, width, options in (
        ("80.txt", 80, {}),
        ("120.txt", 120, {}),
        ("ansi", 100, {"force_terminal": True, "color_system": "standard"}),
    ):
        out = io.StringIO()
        show(Console(width=width, file=out, **options))  # type: ignore[arg-type]
        lines = (line.rstrip() for line in out.getvalue().splitlines())
        yield f"{name}.{kind}", "\n".join(lines) + "\n"


def spoken(show: Callable[[Any], str], name: str, kind: str) -> Iterator[tuple[str, str]]:
    """In every language."""
    for lang in ("en", "es"):
        text = show(words_for(lang))
        yield f"{name}.{lang}.{kind}", read_aloud(text) if kind == "page" else text


_LINES = {"address", "article", "aside", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "footer", "h1",
          "h2", "h3", "h4", "header", "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody",
          "thead", "tr", "ul", "caption", "title"}  # fmt: skip
_MARKED = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "li": "- ", "dt": ": ", "dd": "  = ",
           "summary": "> ", "p": "", "td": " | ", "th": " | "}  # fmt: skip
_TONES = ("valid", "suspect", "invalid")
_UNREAD = {"script", "style", "head", "svg", "noscript"}


class _Reader(HTMLParser):
    """The words of a page as they are read: a line for what stands on one, cells apart, tones as {valid}."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self._hidden = 0
        self._glossary = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        self._glossary = self._glossary or "glossary" in classes  # the last of a page: its words are the glossary's
        if tag in _UNREAD:
            self._hidden += 1
        if tag in _LINES:
            self.lines.append("")
        if not self._hidden and not self._glossary:
            tones = [name for name in classes if name in _TONES]
            self.lines[-1] += _MARKED.get(tag, " " if tag in ("small", "br") else "")
            self.lines[-1] += "".join(f"{{{tone}}}" for tone in tones)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNREAD:
            self._hidden -= 1
        if tag == "dl":
            self._glossary = False
        if tag in _LINES:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        if not self._hidden and not self._glossary:
            self.lines[-1] += re.sub(r"\s+", " ", data)


def read_aloud(page: str) -> str:
    """The body of a page, without scripts, styles and tags."""
    reader = _Reader()
    reader.feed(page)
    lines = (re.sub(r" +", " ", line).strip() for line in reader.lines)
    return "\n".join(line for line in lines if line.strip(" |-=:#>")) + "\n"


# --- all of it -------------------------------------------------------------------------------------------------------


def cases() -> Iterator[tuple[str, str]]:
    """Name of the file, and what is to stand in it."""
    with tempfile.TemporaryDirectory() as room:
        measured = {"quiet": a_quiet_run, "watched": a_watched_run, "spoilt": a_spoilt_run}
        for name, make in (measured | IMPORTED).items():
            result = make(Path(room) / name)
            yield from terminal(lambda c, r=result: print_short(r, c, "runs/chat"), f"run-{name}-short")  # type: ignore[misc]
            yield from terminal(lambda c, r=result: print_result(r, c, "runs/chat"), f"run-{name}-full")  # type: ignore[misc]
            yield from spoken(lambda w, r=result: run_markdown(r, w, source="runs/chat"), f"run-{name}", "md")  # type: ignore[misc]
            yield from spoken(
                lambda w, r=result: run_page(r, made_detail(), w, source="runs/chat"),  # type: ignore[misc]
                f"run-{name}", "page",
            )  # fmt: skip
        imports = imported_runs(Path(room) / "imports")
        repeats = some_repeats(Path(room) / "repeats")
        yield from terminal(lambda c: show([repeats_section(repeats, words_for("en"))], c), "repeats")
    for name, comparison in comparisons().items():
        yield from terminal(lambda c, x=comparison: print_comparison(x, c, words_for("en")), f"compare-{name}")  # type: ignore[misc]
        yield from spoken(lambda w, x=comparison: comparison_markdown(x, w), f"compare-{name}", "md")  # type: ignore[misc]
        details = {side.name: made_detail() for side in comparison.sides}
        yield from spoken(
            lambda w, x=comparison, d=details: comparison_page(x, d, w),  # type: ignore[misc]
            f"compare-{name}", "page",
        )  # fmt: skip
    for name, sweep in (sweeps() | {"imported": imports}).items():
        yield from terminal(lambda c, x=sweep: print_sweep(x, c, words_for("en"), Path("sweeps/s")), f"sweep-{name}")  # type: ignore[misc]
        yield from spoken(lambda w, x=sweep: sweep_markdown(x, w, source="sweeps/s"), f"sweep-{name}", "md")  # type: ignore[misc]
        yield from spoken(lambda w, x=sweep: sweep_page(x, w, source="sweeps/s"), f"sweep-{name}", "page")  # type: ignore[misc]
    selftest = a_selftest()
    yield from terminal(lambda c: show([selftest_section(selftest, [1, 5, None])], c), "selftest")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    written = dict(cases())
    for old in GOLDEN.iterdir():
        if old.name not in written:
            old.unlink()
    for name, text in written.items():
        (GOLDEN / name).write_text(text, encoding="utf-8")

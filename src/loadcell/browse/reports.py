"""The reports that are served: each made by the rooms that make it for a file, with a line that leads back."""

from __future__ import annotations

from loadcell.browse.listing import Entry
from loadcell.browse.pages import address, comparison_address, name_of, with_bar
from loadcell.report.words import Words

DUEL_LEAST = 0.01
"""The least difference that matters in a duel, as in `loadcell duel`."""


def run_report(entry: Entry, words: Words) -> str:
    """The report of a run. RecordingError if it cannot be read."""
    from loadcell.recording.read import open_recording
    from loadcell.report.detail import build_both
    from loadcell.report.run import run_page

    result, detail = build_both(open_recording(entry.path))
    return with_bar(run_page(result, detail, words, source=str(entry.path)), name_of(entry), words, [])


def sweep_report(entry: Entry, words: Words) -> str:
    """The report of a sweep, with links to its stages; likewise."""
    from loadcell.report.sweep import sweep_page
    from loadcell.search import build_sweep

    sweep = build_sweep(entry.path)
    stages = [(address(stage), name_of(stage).rpartition("/")[2]) for stage in entry.inside if not stage.trouble]
    return with_bar(sweep_page(sweep, words, source=str(entry.path)), name_of(entry), words, [], stages)


def duel_report(entry: Entry, words: Words) -> str:
    """The report of a duel, with links to its turns; likewise."""
    from loadcell.compare import compare_duel
    from loadcell.report.compare import comparison_page

    found = compare_duel(entry.path, min_effect=DUEL_LEAST)
    turns = [(address(turn), name_of(turn).rpartition("/")[2]) for turn in entry.inside if not turn.trouble]
    return with_bar(comparison_page(found, {}, words), name_of(entry), words, [], turns)


def comparison_report(a: Entry, b: Entry, words: Words, *, force: bool) -> str:
    """The comparison of two runs or repeats, A the baseline. LoadcellError says why there is none."""
    from loadcell.compare import compare_sides, open_sides
    from loadcell.report.compare import comparison_page
    from loadcell.report.detail import build_detail

    sides = open_sides([a.path, b.path])
    found = compare_sides(sides, force=force)
    firsts = {side.name: side.runs[0] for side in sides}
    details = {
        name: build_detail(run.recording, run.result) for name, run in firsts.items() if run.recording is not None
    }
    links = [
        (comparison_address(b, a, force=force), words.say("Swap A and B")),
        *((address(e), words.say("Open {side}", side=side)) for side, e in (("A", a), ("B", b)) if e.kind == "run"),
    ]
    if not force and any(pair.comparable == "not comparable" for pair in found.pairs):
        links.append((comparison_address(a, b, force=True), words.say("Compare all the same")))
    here = words.say("A (baseline): {a} · B: {b}", a=name_of(a), b=name_of(b))
    return with_bar(comparison_page(found, details, words), here, words, links)

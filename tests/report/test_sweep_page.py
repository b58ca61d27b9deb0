"""The page of a sweep."""

from __future__ import annotations

import re

import msgspec
import pytest
from made_sweep import make_curves, make_found, make_grid, make_plan, make_search, make_stage
from made_sweeps import HOSTILE, SWEEPS

from loadcell.report.sweep import sweep_page
from loadcell.report.view.stages import doubts, named
from loadcell.report.view.sweep import span
from loadcell.report.words import words_for

WORDS = words_for("en")
replace = msgspec.structs.replace


def text_of(page: str) -> str:
    """What is read: without scripts, styles and tags."""
    bare = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).replace("&#39;", "'").split())


def first_screen(page: str) -> str:
    """Up to the second section."""
    return text_of(page[: page.index("<section", page.index("<section") + 1)])


@pytest.mark.parametrize("kind", SWEEPS)
def test_every_sweep_has_a_page(kind: str) -> None:
    sweep = SWEEPS[kind]()
    page = sweep_page(sweep, WORDS, source="sweeps/one")
    assert page == sweep_page(sweep, WORDS, source="sweeps/one")
    assert "<img src=x" not in page
    assert len(page) < 3_000_000
    for stage in sweep.stages:
        assert f'id="stage-{stage.ask.number}"' in page
        assert f"sweeps/one/{stage.folder}" in page
    assert "None" not in text_of(page)
    bare = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', bare) == []  # nothing is fetched, and no page was told of


def test_the_answer_of_a_search_stands_on_the_first_screen() -> None:
    text = first_screen(sweep_page(make_search(), WORDS))
    for expected in (
        "between 41.2 and 43.0 requests/s the SLO breaks",
        "TTFT ≤ 2,000 ms, TPOT ≤ 100 ms for 99 % of requests",
        "Holds up to 41.2 requests/s 99.4 % [99.1, 99.7] of 2,310 requests kept to it",
        "Fails at 43 requests/s 97.9 % [97.3, 98.5] of 1,450 requests kept to it",
        "Breaks first TTFT bracket 4.4 % wide",
        "Queue stays bounded up to 43 requests/s it grows at 45.1 requests/s",
        "7 stages in 3 min 12 s: 7 VALID",
    ):
        assert expected in text, expected


def test_the_best_of_a_grid_stands_on_the_first_screen() -> None:
    text = first_screen(sweep_page(make_grid(), WORDS))
    for expected in (
        "5 stages in 2 min 35 s: 5 VALID",
        "Highest throughput 4,000 tokens/s",
        "at 40 requests/s, stage 4",
        "Highest goodput 39.88 requests/s 99.7 % kept to every limit",
        "Fastest for one user",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cliff": True}, "a cliff: attainment collapses inside the bracket"),
        ({"findings": ["unstable: stages contradict each other"]}, "unstable: stages contradict each other"),
        ({"low": None, "width": None, "word": "none holds", "says": "no load holds the SLO"}, "no load holds the SLO"),
        ({"low": None, "high": None, "word": "unfinished", "says": "unfinished"}, "Holds up to n/a"),
    ],
)  # fmt: skip
def test_what_else_a_search_may_find(change: dict[str, object], says: str) -> None:
    assert says in first_screen(sweep_page(make_search(found=make_found(**change)), WORDS))


def test_an_answer_that_rests_on_doubt_says_so_first() -> None:
    sweep = make_search()
    doubted = [
        make_stage(6, 43.0, phase="bisect", trial=s.trial, verdict="SUSPECT", reasons=["the client was late"])
        if s.ask.number == 6 else s for s in sweep.stages
    ]  # fmt: skip
    page = sweep_page(replace(sweep, stages=doubted), WORDS)
    assert 'class="verdict suspect"' in page
    assert "The answer rests on stage 6, SUSPECT" in first_screen(page)
    assert "SUSPECT stage 6: the client was late" in text_of(page).replace("stage 6: The", "stage 6: the")


def test_an_answer_on_invalid_stages_is_none() -> None:
    sweep = make_search()
    bad = [
        make_stage(6, 43.0, phase="bisect", trial=replace(s.trial, sound=False), verdict="INVALID",
                   reasons=["the client was late"])
        if s.ask.number == 6 and s.trial else s for s in sweep.stages
    ]  # fmt: skip
    page = sweep_page(replace(sweep, stages=bad), WORDS)
    text = first_screen(page)
    assert 'class="verdict invalid"' in page and "ot answered: the bracket rests on INVALID stages (6)" in text
    assert "97.9" in text_of(page)


def test_commands_name_the_folder_and_quote_it() -> None:
    sweep = make_grid()
    page = sweep_page(sweep, WORDS, source="my sweeps/one")
    assert "loadcell report &#39;my sweeps/one&#39;" in page
    assert "loadcell report &#39;my sweeps/one/001-rate-1&#39;" in page
    assert "--resume" not in page
    cut = sweep_page(replace(sweep, stages=sweep.stages[:2]), WORDS, source="sweeps/one")
    assert "loadcell sweep sweeps/one --resume" in cut and "This sweep is not finished." in cut
    assert "2 of 5 stages in 2 min 35 s: 2 VALID" in first_screen(cut)


def test_only_stages_with_a_page_are_linked() -> None:
    sweep = make_grid()
    page = sweep_page(sweep, WORDS, source="s", pages=frozenset({sweep.stages[1].folder}))
    bare = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    links = set(re.findall(r'href="([^#][^"]*)"', bare))
    assert links == {f"{sweep.stages[1].folder}/report.html"}
    odd = sweep_page(
        make_grid(stages=[make_stage(1, 1.0, folder='a"b c')], curves=make_curves()), WORDS, pages=frozenset({'a"b c'})
    )
    assert 'href="a%22b%20c/report.html"' in odd


def test_foreign_words_are_escaped() -> None:
    plan = make_plan()
    spec = replace(plan.spec, endpoint=replace(plan.spec.endpoint, model=HOSTILE, url=HOSTILE))
    stages = [make_stage(1, 1.0, verdict="SUSPECT", reasons=[HOSTILE], ended=HOSTILE)]
    sweep = make_grid(stages=stages, plan=replace(plan, spec=spec), findings=[HOSTILE], curves=make_curves())
    page = sweep_page(sweep, WORDS, source=HOSTILE)
    assert "<img src=x" not in page and page.count("&lt;img src=x onerror=alert(1)&gt;") > 4


def test_stages_in_words() -> None:
    assert named([3], WORDS) == "stage 3"
    assert named([7, 1, 2, 3, 5], WORDS) == "stages 1 to 3, 5, 7"
    assert [span(s, WORDS) for s in (None, 42.2, 192.0, 7500.0)] == ["n/a", "42 s", "3 min 12 s", "2 h 05 min"]


def test_reasons_that_differ_in_figures_alone_are_told_once() -> None:
    stages = [
        make_stage(i, float(i), verdict="SUSPECT", reasons=[f"late by {i}.5 ms (limit 1 ms)"]) for i in range(1, 5)
    ]
    (found,) = doubts(make_grid(stages=stages), WORDS)
    assert (found.word, found.text) == ("SUSPECT", "stages 1 to 4: stage 1: late by 1.5 ms (limit 1 ms)")

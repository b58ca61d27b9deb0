"""Questions in words and by flags, and the rankings that answer them."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import LoadcellError, UsageError
from loadcell.published.find import find
from loadcell.published.model import Registry, Row, citation, lower_is_better, number, per_accelerator
from loadcell.published.query import Question, names_accelerator, read_question, with_flags
from loadcell.published.store import registry as load

ROWS = load().rows


def asked(text: str) -> Question:
    return read_question(text, ROWS)


def names(*benchmarks: str) -> frozenset[str]:
    return frozenset(benchmarks)


LLAMA2 = names("llama2-70b-99", "llama2-70b-99.9")


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("", Question()),
        ("deepseek-r1 offline", Question(benchmarks=names("deepseek-r1"), scenarios=frozenset({"offline"}))),
        ("R1 Offline", Question(benchmarks=names("deepseek-r1"), scenarios=frozenset({"offline"}))),
        ("DeepSeek R1", Question(benchmarks=names("deepseek-r1"))),
        ("llama2-70b", Question(benchmarks=LLAMA2)),
        ("llama 2 70b", Question(benchmarks=LLAMA2)),
        ("70b", Question(benchmarks=LLAMA2)),
        ("llama2-70b-99.9", Question(benchmarks=names("llama2-70b-99.9"))),
        ("Llama 3.1 8B", Question(benchmarks=names("llama3.1-8b"))),
        ("llama 8b-edge", Question(benchmarks=names("llama3.1-8b-edge"))),
        ("8b edge", Question(benchmarks=names("llama3.1-8b-edge"))),
        ("405b", Question(benchmarks=names("llama3.1-405b"))),
        ("gpt oss", Question(benchmarks=names("gpt-oss-120b"))),
        ("single stream", Question(scenarios=frozenset({"singlestream"}))),
        ("multi-stream", Question(scenarios=frozenset({"multistream"}))),
        ("whisper v5.1", Question(benchmarks=names("whisper"), rounds=frozenset({"v5.1"}))),
        ("whisper 6.0, 5.1", Question(benchmarks=names("whisper"), rounds=frozenset({"v5.1", "v6.0"}))),
        ("8xH200", Question(accelerators=frozenset({"H200"}), count=8)),
        ("8x H200", Question(accelerators=frozenset({"H200"}), count=8)),
        ("8 x h200", Question(accelerators=frozenset({"h200"}), count=8)),
        ("h200 x8", Question(accelerators=frozenset({"h200"}), count=8)),
        ("8\u00d7H200", Question(accelerators=frozenset({"H200"}), count=8)),
        ("RTX PRO 6000 Blackwell", Question(accelerators=frozenset({"RTX PRO 6000 Blackwell"}))),
        ("cpu whisper", Question(accelerators=frozenset({"cpu"}), benchmarks=names("whisper"))),
        ("NVIDIA H200", Question(accelerators=frozenset({"NVIDIA H200"}))),
        ("google open preview", Question(
            submitters=frozenset({"Google"}), divisions=frozenset({"open"}), availabilities=frozenset({"preview"})
        )),
        ("Quanta Cloud Technology", Question(submitters=frozenset({"Quanta_Cloud_Technology"}))),
        ("5.1-0072", Question(entries=frozenset({"5.1-0072"}))),
        ("results of whisper on the 8xb200 gpus", Question(
            benchmarks=names("whisper"), accelerators=frozenset({"b200"}), count=8
        )),
    ],
)  # fmt: skip
def test_words_are_understood(text: str, question: Question) -> None:
    assert asked(text) == question


PARTS = ("llama2-70b-99.9", "server", "v5.1", "8xH200", "closed", "Nebius", "datacenter", "available")


@given(st.permutations(PARTS), st.integers(1, len(PARTS)))
@settings(deadline=None, max_examples=60)
def test_the_order_of_words_does_not_matter(parts: list[str], many: int) -> None:
    some = parts[:many]
    assert asked(" ".join(some)) == asked(" ".join(sorted(some)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("deepsek offline", "deepsek is not understood (did you mean deepseek-r1?): name a benchmark (deepseek-r1,"),
        ("whisper ofline", "did you mean offline?"),
        ("whisper h2000", "did you mean h200?"),
        ("nvidia whisper", "say --submitter nvidia or --accelerator nvidia"),
        ("whisper v6.1", "no results of v6.1 are known, only of v5.1, v6.0: loadcell published add FILE brings more"),
        ("whisper 4.1", "no results of v4.1 are known"),
        ("5.1-9999", "no entry 5.1-9999 is known"),
    ],
)
def test_words_that_are_not_understood_are_named(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked(text)
    assert says in str(caught.value)


def test_an_accelerator_is_matched_by_whole_beginnings() -> None:
    assert names_accelerator("B200", "NVIDIA B200-SXM-180GB")
    assert not names_accelerator("B200", "NVIDIA GB200")
    assert names_accelerator("mi355", "AMD Instinct MI355X 288GB HBM3e")
    assert names_accelerator("H200 NVL", "NVIDIA H200-NVL-141GB")
    assert not names_accelerator("H200 NVL", "NVIDIA H200-SXM-141GB")
    assert names_accelerator("cpu", None) and not names_accelerator("H200", None)


def test_flags_narrow_the_question() -> None:
    flags = {"round": "v5.1,6.0", "division": "open", "submitter": "krai", "accelerator": "8xH200", "system": "XD670"}
    question = with_flags(asked("llama2-70b"), flags, ROWS)
    assert question == Question(
        benchmarks=LLAMA2, rounds=frozenset({"v5.1", "v6.0"}), divisions=frozenset({"open"}), count=8,
        submitters=frozenset({"Krai"}), accelerators=frozenset({"H200"}), systems=frozenset({"XD670"}),
    )  # fmt: skip
    assert {row.submitter for row in ROWS if question.wants(row)} == {"Krai"}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"round": "v4.0"}, "no results of v4.0 are known, only of v5.1, v6.0"),
        ({"division": "shut"}, "--division shut is not known; there are: closed, open"),
        ({"submitter": "NVIDA"}, "(did you mean NVIDIA?)"),
        ({"submitter": "super"}, "may mean"),
        ({"accelerator": "H2000"}, "--accelerator H2000 is not known (did you mean"),
        ({"availability": ","}, "--availability is empty"),
    ],
)
def test_flags_of_no_sense_are_refused(flags: dict[str, str | None], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_flags(Question(), flags, ROWS)
    assert says in str(caught.value)


# --- rankings --------------------------------------------------------------------------------------------------------


def test_a_ranking_never_mixes_what_cannot_be_compared(known: Registry) -> None:
    for one in (*find(known, Question(), top=None).rankings, *find(known, asked("open"), top=None).rankings):
        rows = [place.row for place in one.rows]
        for attribute in ("division", "round", "suite", "family", "scenario", "unit"):
            assert len({getattr(row, attribute) for row in rows}) == 1, attribute


def test_every_result_has_its_place_exactly_once(known: Registry) -> None:
    every = with_flags(Question(), {"division": "closed,open"}, known.rows)
    placed = [
        (place.row.key[:5], benchmark, place.row.model_run if one.division == "open" else "", one.scenario)
        for one in find(known, every, top=None).rankings
        for place in one.rows
        for benchmark in place.benchmarks
    ]
    assert len(placed) == len(set(placed))
    assert len(placed) == len(known.rows)


@given(by=st.sampled_from(["system", "accelerator"]), top=st.integers(1, 40), seed=st.integers(0, 999))
@settings(deadline=None, max_examples=25)
def test_the_best_come_first_whatever_the_order_of_the_rows(by: str, top: int, seed: int) -> None:
    rows = list(ROWS)
    random.Random(seed).shuffle(rows)
    mixed = find(Registry(rows=rows, sources=[]), asked("v6.0"), by=by, top=top).rankings  # type: ignore[arg-type]
    assert [[(p.rank, p.row.key[3:5], p.row.result) for p in one.rows] for one in mixed] == [
        [(p.rank, p.row.key[3:5], p.row.result) for p in one.rows]
        for one in find(Registry(rows=ROWS, sources=[]), asked("v6.0"), by=by, top=top).rankings  # type: ignore[arg-type]
    ]
    for one in mixed:
        values = [p.per_accelerator.value if one.derived and p.per_accelerator else p.row.result for p in one.rows]
        assert values == sorted(values, reverse=not one.lower_is_better)
        assert len(one.rows) == min(top, one.matched - one.left_out)
        assert [p.rank for p in one.rows] == [1 + sum(v != value and (v < value) == one.lower_is_better for v in values)
                                               for value in values]  # fmt: skip


def test_per_accelerator_is_result_over_accelerators_and_says_that_it_is_derived() -> None:
    for row in ROWS:
        derived = per_accelerator(row)
        if row.accelerators and not lower_is_better(row.unit):
            assert derived is not None and derived.value * row.accelerators == pytest.approx(row.result)
            assert derived.derived and derived.says == "derived, not an MLPerf metric"
        else:
            assert derived is None


def test_closed_comes_without_open_unless_asked(known: Registry) -> None:
    found = find(known, asked("llama2-70b offline 8xh200 v5.1"))
    assert [one.division for one in found.rankings] == ["closed"]
    assert 'rows of the open division match too' in found.notes[0]  # fmt: skip
    opened = find(known, asked("llama2-70b offline 8xh200 v5.1 open"))
    assert [one.division for one in opened.rankings] == ["open"]
    assert "different models were run" in " ".join(opened.rankings[0].notes)
    assert find(known, asked("5.1-0381 offline")).rankings[0].division == "open"


def test_one_run_under_two_targets_shows_once_with_both_names(known: Registry) -> None:
    (one,) = find(known, asked("mitac llama2-70b interactive v5.1")).rankings
    assert one.benchmarks == ["llama2-70b-99", "llama2-70b-99.9"]
    assert [(place.row.result, place.benchmarks) for place in one.rows] == [(18846.1, one.benchmarks)]


def test_rounds_stand_together_only_where_asked(known: Registry) -> None:
    apart = find(known, asked("deepseek-r1 offline"))
    assert [one.rounds for one in apart.rankings] == [["v6.0"], ["v5.1"]]
    assert any("rounds are ranked apart" in note for note in apart.notes)
    (one,) = find(known, asked("deepseek-r1 offline"), across_rounds=True, top=None).rankings
    assert one.rounds == ["v5.1", "v6.0"] and len(one.rows) == one.matched == 26
    assert any("rules, limits and software of rounds differ" in note for note in one.notes)


def test_latencies_are_ranked_lowest_first_and_have_no_figure_per_accelerator(known: Registry) -> None:
    latencies = [row for row in known.rows if row.unit == "ms"][:1]
    rows = [msgspec.structs.replace(latencies[0], result=value, platform=str(value)) for value in (30.0, 10.0, 20.0)]
    (one,) = find(Registry(rows=rows, sources=[]), Question(), by="accelerator").rankings
    assert [place.row.result for place in one.rows] == [10, 20, 30]
    assert not one.derived and one.lower_is_better and "no figure per accelerator" in one.notes[0]


def test_equal_results_share_a_rank() -> None:
    first = next(row for row in ROWS if row.benchmark == "deepseek-r1")
    rows = [
        msgspec.structs.replace(first, result=value, platform=name)
        for name, value in (("a", 5.0), ("b", 9.0), ("c", 5.0))
    ]
    (one,) = find(
        Registry(rows=[*rows, msgspec.structs.replace(first, result=1.0, platform="d")], sources=[]), Question()
    ).rankings
    assert [place.rank for place in one.rows] == [1, 2, 2, 4]


def test_systems_without_accelerators_are_left_out_and_counted(known: Registry) -> None:
    found = find(known, asked("whisper v6.0 datacenter"), by="accelerator", top=None)
    (one,) = found.rankings
    assert one.left_out == 6 and one.matched == 35 and len(one.rows) == 29
    assert "6 results of systems without accelerators left out" in one.notes[0]
    assert len(find(known, asked("whisper v6.0 datacenter"), top=None).rankings[0].rows) == 35


def test_where_nothing_matches_what_would_is_named(known: Registry) -> None:
    with pytest.raises(LoadcellError) as caught:
        find(known, asked("deepseek-r1 interactive v5.1"))
    assert caught.value.exit_code == 1
    assert "scenarios offline, server would match" in str(caught.value)
    assert "rounds v6.0 would match" in str(caught.value)
    with pytest.raises(LoadcellError, match="no one part of it alone is in the way"):
        find(known, asked("deepseek-r1 multistream edge 3xL40S"))


def test_a_citation_names_everything_that_it_must(known: Registry) -> None:
    row = next(row for row in known.rows if row.entry == "5.1-0097" and row.scenario == "offline")
    assert citation(row) == (
        "CoreWeave: 48,047 tokens/s, deepseek-r1 Offline, MLPerf\u00ae Inference v5.1, closed division, datacenter, "
        "preview; GB300-NVL8-CoreWeave_TRT (8x GB300-288GB_aarch64, TensorRT); entry 5.1-0097. "
        f"Retrieved 2026-11-22 from {row.link}"
    )
    open_row = next(row for row in known.rows if row.entry == "5.1-0381")
    assert "model run: llama3_1-70b-fp8_pre" in citation(open_row)


@given(st.integers(1, 10**9).map(lambda n: n / 1000))
def test_a_published_figure_is_written_in_full(value: float) -> None:
    assert float(number(value).replace(",", "")) == value


def test_a_question_in_words_is_said_back() -> None:
    assert asked("8xH200 llama2-70b server").words() == "llama2-70b-99, llama2-70b-99.9 · Server · 8 x H200"
    assert Question().words() == "everything" and asked("x8").words() == "8 x accelerators"


def test_rows_are_frozen(known: Registry) -> None:
    row: Row = known.rows[0]
    with pytest.raises(AttributeError):
        row.result = 1.0  # type: ignore[misc]

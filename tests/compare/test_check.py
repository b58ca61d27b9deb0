"""A check: what its gates answer, how many requests it asks for, and how often it is wrong."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from checks import SERVERS, Server, checked
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from loadcell.compare import compare_sides, parse_gate
from loadcell.compare.check import (
    EARLY,
    Check,
    Failures,
    check_runs,
    check_turns,
    failures_told,
    void_check,
    words_of,
)
from loadcell.compare.model import Change, Comparison, DuelShown, Noise, Pair
from loadcell.compare.needed import COUPLES, Seen, layout, margin, needed, pilot, planned, rounded, seen
from loadcell.compare.noise import noise_floor
from loadcell.compare.sides import open_runs, open_side
from loadcell.report.check import check_markdown, junit, junit_error, print_check
from loadcell.report.words import words_for

Make = Callable[..., Path]
GATE = parse_gate("ttft.p50>+5%")
NONE_FAILED = Failures(0, 600, 0, 600)


def change(
    key: str = "ttft.p50", effect: float = 0.0, error: float = 0.01, freedom: float | None = 29, a: float = 100.0
) -> Change:
    """A change of so much, on the scale of logarithms."""
    metric, stat = key.split(".")
    half = error * float(stats.norm.ppf(0.975) if freedom is None else stats.t.ppf(0.975, freedom))
    low, high, value = (math.expm1(x) for x in (effect - half, effect + half, effect))
    return Change(
        metric=metric, stat=stat, title=key, unit="ms", a=a, b=a * (1 + value), difference=a * value, relative=value,
        low=low, high=high, p=None, p_holm=None, noise=None, finding="too little data", says="", needs=None,
        needs_what="requests", method="", freedom=freedom,
    )  # fmt: skip


def comparison(*changes: Change, turn: int = 10, couples: int = 60) -> Comparison:
    pair = Pair(name="B", comparable="comparable", forbids=[], care=[], notes=[], changes=list(changes))
    duel = DuelShown(folder="", turn=turn, couples=couples, planned=couples)
    return Comparison(
        loadcell="", min_effect=0.01, min_points=0.002, forced=False, sides=[], pairs=[pair], noise=None, gates=[],
        duel=duel,
    )  # fmt: skip


def turns(
    *changes: Change, gate: str = "ttft.p50>+5%", announced: int | None = 600, noise: Noise | None = None,
    failures: Failures = NONE_FAILED,
) -> Check:  # fmt: skip
    bounds = [parse_gate(text) for text in gate.split("; ")]
    return check_turns(
        comparison(*changes),
        bounds,
        failures,
        announced=None if announced is None else [announced] * len(bounds),
        noise=noise,
    )


# --- three answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "effect", "error", "word"),
    [
        ("ttft.p50>+5%", 0.00, 0.02, "PASS"),
        ("ttft.p50>+5%", 0.00, 0.03, "INCONCLUSIVE"),
        ("ttft.p50>+5%", 0.10, 0.02, "FAIL"),
        ("ttft.p50>+5%", 0.10, 0.03, "INCONCLUSIVE"),  # worse, and shown, but not shown to be beyond the bound
        ("ttft.p50>+5%", 0.03, 0.005, "PASS"),  # a regression within the bound is allowed
        ("ttft.p50>+5%", -0.3, 0.02, "PASS"),
        ("ttft.p50<-5%", -0.10, 0.02, "FAIL"),
        ("ttft.p50<-5%", 0.10, 0.02, "PASS"),
        ("ttft.p50>+5ms", 0.10, 0.02, "FAIL"),  # 5 ms of the baseline's 100
        ("ttft.p50>+20ms", 0.10, 0.02, "PASS"),
    ],
)
def test_a_gate_passes_what_is_excluded_and_fails_what_is_shown(
    gate: str, effect: float, error: float, word: str
) -> None:
    found = turns(change(effect=effect, error=error), gate=gate)
    assert (found.word, found.gates[0].word) == (word, word)


@given(st.floats(-0.4, 0.4), st.floats(0.001, 0.2), st.floats(0.01, 0.3), st.floats(3, 200))
def test_both_tests_agree_with_the_interval_and_never_both_reject(
    effect: float, error: float, bound: float, freedom: float
) -> None:
    """One gate: FAIL is an interval of 95 % wholly beyond the bound, PASS one wholly before it."""
    (word,) = words_of([Seen(effect, bound, error, error, freedom)])
    half = float(stats.t.ppf(0.975, freedom)) * error
    apart = abs(abs(effect - bound) - half) < 1e-9
    assert apart or word == ("FAIL" if effect - half > bound else "PASS" if effect + half < bound else "INCONCLUSIVE")
    (early,) = words_of([Seen(effect, bound, error, error, freedom)], early=[True])
    assert early in (word, "INCONCLUSIVE")
    (mirrored,) = words_of([Seen(2 * bound - effect, bound, error, error, freedom)])
    assert apart or mirrored == {"FAIL": "PASS", "PASS": "FAIL"}.get(word, word)


def test_several_gates_that_fail_are_corrected_for_their_number_and_those_that_pass_are_not() -> None:
    just = Seen(2.1, 0.0, 1.0, 1.0, None)  # p = 0.018
    none = Seen(0.0, 0.0, 1.0, 1.0, None)
    assert words_of([just]) == ["FAIL"]
    assert words_of([just, none, none]) == ["INCONCLUSIVE"] * 3
    assert words_of([just, Seen(9, 0, 1, 1, None)]) == ["FAIL", "FAIL"]  # step down
    assert words_of([Seen(-2.1, 0.0, 1.0, 1.0, None), none, none])[0] == "PASS"


def test_an_open_end_answers_by_the_other_alone() -> None:
    assert words_of([Seen(9.0, 0.0, 1.0, math.inf, 20), Seen(-9.0, 0.0, math.inf, 1.0, 20)]) == ["FAIL", "PASS"]
    assert words_of([Seen(9.0, 0.0, math.inf, 1.0, 20), None]) == ["INCONCLUSIVE"] * 2


def test_before_the_requests_that_are_needed_only_the_obvious_is_answered() -> None:
    half = turns(change(effect=0.10, error=0.015), announced=1200)
    assert half.word == "INCONCLUSIVE" and half.needs and half.needs > 600
    assert turns(change(effect=0.10, error=0.015), announced=600).word == "FAIL"
    assert turns(change(effect=0.40, error=0.015), announced=1200).word == "FAIL"
    t = (0.4 - math.log(1.05)) / 0.015
    assert stats.t.sf(t, 29) < EARLY


def test_each_gate_has_a_number_of_its_own() -> None:
    both = [change(effect=0.10, error=0.015), change("e2e.p50", effect=0.10, error=0.015)]
    bounds = [parse_gate("ttft.p50>+5%"), parse_gate("e2e.p50>+5%")]
    found = check_turns(comparison(*both), bounds, NONE_FAILED, announced=[600, 5000], noise=None)
    assert [gate.word for gate in found.gates[:2]] == ["FAIL", "INCONCLUSIVE"] and found.announced == 5000


def test_turns_that_are_left_out_are_asked_for_anew() -> None:
    """Of 120 turns a side 60 were INVALID: as many will be."""
    made = comparison(change(effect=0.05, error=0.015))
    assert made.duel is not None
    lost = msgspec.structs.replace(made, duel=msgspec.structs.replace(made.duel, planned=120))
    asked = [check_turns(one, [GATE], NONE_FAILED, announced=[600], noise=None).needs for one in (made, lost)]
    assert asked[0] and asked[1] == pytest.approx(2 * asked[0], rel=0.05)


def test_a_figure_that_is_not_there_is_no_pass() -> None:
    found = turns(change("e2e.p50"))
    assert found.word == "INCONCLUSIVE" and "a side has no such figure" in found.gates[0].says


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "word"),
    [
        (Failures(0, 600, 0, 600), "PASS"),
        (Failures(60, 600, 60, 600), "PASS"),
        (Failures(0, 600, 60, 600), "FAIL"),
        (Failures(2, 600, 6, 600), "INCONCLUSIVE"),  # more, and it may be beyond a point
        (Failures(60, 600, 0, 600), "PASS"),
    ],
)
def test_more_failures_do_not_pass_unsaid(failures: Failures, word: str) -> None:
    found = turns(change(), failures=failures)
    guard = found.gates[-1]
    assert (guard.asked, guard.word, found.word) == (False, word, word)
    assert f"{failures.b} of 600 requests of B failed" in guard.says
    assert (guard.needs is not None) == (word == "INCONCLUSIVE")


def test_a_gate_about_failures_stands_in_for_the_guard() -> None:
    share = Change(
        metric="failed", stat="share", title="Failed", unit="share", a=0.0, b=0.0, difference=0.0, relative=None,
        low=-0.006, high=0.006, p=None, p_holm=None, noise=None, finding="no difference shown", says="", needs=None,
        needs_what="requests", method="",
    )  # fmt: skip
    found = turns(share, gate="failed.share>+1points")
    assert [(g.expression, g.word, g.unit) for g in found.gates] == [("failed.share>+1points", "PASS", "points")]
    # but not for what failed in turns that were left out, nor where it asks for fewer failures
    found = turns(share, gate="failed.share>+1points", failures=Failures(0, 600, 200, 600))
    assert found.word == "FAIL" and "200 of 600 requests of B failed" in found.gates[-1].says
    wide = turns(share, gate="failed.share>+50points", failures=Failures(0, 600, 200, 600))
    assert (wide.word, len(wide.gates)) == ("PASS", 1)
    fewer = turns(share, gate="failed.share<-5points", failures=Failures(0, 600, 200, 600))
    assert fewer.word == "FAIL" and not fewer.gates[-1].asked


def test_where_nothing_can_be_trusted_only_failures_fail() -> None:
    assert void_check([GATE], Failures(0, 300, 300, 300), "why").word == "FAIL"
    assert void_check([GATE], Failures(0, 300, 0, 300), "why").word == "INCONCLUSIVE"


# --- how many requests -----------------------------------------------------------------------------------------------


def test_the_number_is_that_of_the_textbook_with_the_upper_bound_of_the_variance() -> None:
    """n = (t alpha + t beta)^2 s^2 / d^2, of Student's t with the fewest blocks."""
    error, ran, freedom = 0.02, 600, COUPLES[0] / 2 - 1
    sure = 29 / stats.chi2.ppf(0.2, 29)
    d = math.log(1.10) - math.log(1.05)
    reach = stats.t.ppf(0.975, freedom) + stats.t.ppf(0.95, freedom)
    assert needed(GATE, [change(error=error)], ran, 1) == math.ceil(sure * error**2 * ran * (reach / d) ** 2)
    assert margin(GATE, math.log(1.05)) == pytest.approx(d)


def test_a_tail_in_a_pilot_is_not_thought_steadier_than_the_percentile_below_it() -> None:
    gate, lower = parse_gate("ttft.p99>+5%"), change("ttft.p95", error=0.02)
    carried = 0.02 * math.sqrt(_per_sample(0.99) / _per_sample(0.95))
    found = needed(gate, [change("ttft.p99", error=0.001), lower], 1000, 1)
    assert found == pytest.approx(needed(gate, [change("ttft.p99", error=carried)], 1000, 1), abs=1)
    assert needed(gate, [change("ttft.p99", error=0.2), lower], 1000, 1) > found  # type: ignore[operator]


def _per_sample(p: float) -> float:
    return p * (1 - p) / float(stats.norm.pdf(stats.norm.ppf(p))) ** 2


def test_more_gates_and_nearer_truths_take_more_requests() -> None:
    one = [change(error=0.02)]
    assert needed(GATE, one, 600, 1) < needed(GATE, one, 600, 3) < needed(GATE, one, 600, 3, distance=0.02)  # type: ignore[operator]
    least = needed(GATE, one, 600, 1, distance=0.0)
    assert least is not None and least == pytest.approx(16 * needed(GATE, one, 600, 1), abs=16)  # type: ignore[operator]
    assert planned([GATE, parse_gate("e2e.p50>+5%")], one, 600) == [needed(GATE, one, 600, 2), None]


def test_a_bound_on_failures_needs_as_many_as_wilson_does() -> None:
    from loadcell.metrics.interval import wilson

    share = turns(change(), failures=Failures(0, 300, 3, 300)).gates[-1].needs
    assert share is not None and share >= 400
    n = needed(parse_gate("failed.share>+1points"), [change("failed.share")], 300, 1)
    assert n is not None and (wilson(0, n).high or 1) < 0.01 < (wilson(0, n * 2 // 3).high or 0)


@given(st.integers(1, 500_000), st.integers(1, 2000))
def test_turns_hold_the_requests_and_are_neither_few_nor_many(requests: int, turn: int) -> None:
    length, couples = layout(requests, turn)
    assert length >= turn and length * couples >= requests
    assert couples % 2 == 0 and COUPLES[0] <= couples <= COUPLES[1]
    assert rounded(requests) >= requests and len(str(rounded(requests)).rstrip("0")) <= 3


def test_a_pilot_is_longer_for_a_tail() -> None:
    assert pilot([GATE], 5) == (8, 38) and pilot([GATE, parse_gate("e2e.p99>+5%")], 5) == (25, 40)
    assert pilot([GATE], 80) == (80, 24)


# --- how often it is wrong -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("thorough")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("server", "checks"), [(SERVERS[0], 30), (SERVERS[2], 12)], ids=["p50", "p99"])
def test_simulated_checks_answer_what_is_so(server: Server, checks: int) -> None:
    """A short form of `benchmarks/run.py checks`, with the bars of 200 in proportion: the seeds are fixed."""
    same, slower = ([checked((7, i), server, shift) for i in range(checks)] for shift in (0.0, 0.10))
    words = [Counter(one.whole for one in found) for found in (same, slower)]
    assert words[0]["FAIL"] <= 0.07 * checks and words[0]["PASS"] >= 0.8 * checks
    assert words[1]["FAIL"] >= 0.9 * checks and words[1]["PASS"] == 0
    for found, right in ((same, "PASS"), (slower, "FAIL")):
        then = [one.then for one in found if one.then is not None]
        assert len(then) >= checks / 2 and then.count(right) >= 0.9 * len(then)


@pytest.mark.usefixtures("thorough")
@pytest.mark.timeout(600)
def test_at_the_bound_itself_each_answer_is_rare() -> None:
    found = Counter(checked((8, i), SERVERS[1], 0.05, half_too=False).whole for i in range(60))
    assert max(found["PASS"], found["FAIL"]) <= stats.binom.ppf(0.999, 60, 0.025)


# --- runs against earlier ones ---------------------------------------------------------------------------------------


def runs(a: Path, b: Path, gate: str = "ttft.p50>+5%", noise: Path | None = None) -> Check:
    sides = [open_side("A", a), open_side("B", b)]
    found = compare_sides(sides, noise=[noise] if noise else [])
    return check_runs(found, [parse_gate(gate)], failures_told(*sides))


def repeated(run: Make, name: str, n: int = 5, **more: float) -> Path:
    for i in range(n):
        folder = run(f"{name}/{i + 1}", **more)
    return folder.parent


def test_single_runs_say_what_they_cannot_see(run: Make) -> None:
    found = runs(run("before"), run("after", slower=2.0))
    gate = found.gates[0]
    assert (found.word, gate.word, gate.needs, gate.needs_what) == ("INCONCLUSIVE", "INCONCLUSIVE", 3, "runs")
    assert "single runs cannot see what differs between restarts" in gate.says
    assert gate.difference is not None and gate.difference > 0.5  # it is shown all the same


def test_repeats_answer_by_the_spread_between_them(run: Make) -> None:
    before, same, slow = repeated(run, "base"), repeated(run, "other"), repeated(run, "slower", slower=1.3)
    assert runs(before, slow).word == "FAIL"
    assert runs(before, same, "ttft.p50>+20%").word == "PASS"
    tight = runs(before, same, "ttft.p50>+1%")
    assert tight.word == "INCONCLUSIVE" and tight.needs_what == "runs" and tight.needs and tight.needs > 5
    assert any("restart" in note for note in tight.notes)


def test_the_noise_of_repeats_backs_single_runs(run: Make) -> None:
    noise = repeated(run, "base")
    assert runs(run("before"), run("after", slower=2.0), noise=noise).word == "FAIL"
    within = runs(run("before"), run("after", slower=1.08), noise=noise)
    assert within.word == "INCONCLUSIVE" and within.gates[0].needs_what == "runs"


def test_the_noise_widens_a_duel_and_may_be_too_wide_for_any_number_of_requests(run: Make) -> None:
    loaded = open_runs(repeated(run, "base"))
    noise = noise_floor(loaded)
    sharp = change(effect=0.0, error=0.001)
    plain, wide = turns(sharp), turns(sharp, noise=noise)
    assert (wide.gates[0].high or 0) > (plain.gates[0].high or 0)
    assert plain.word == "PASS" and plain.notes and not wide.notes
    tight = turns(sharp, gate="ttft.p50>+0.2%", noise=noise)
    assert tight.word == "INCONCLUSIVE" and "A/A noise" in tight.gates[0].says and tight.needs is None


def test_the_deviation_of_the_noise_is_that_of_the_runs(run: Make) -> None:
    loaded = open_runs(repeated(run, "base"))
    logs = [math.log(one.figures["ttft.p50"].value or 0) for one in loaded]
    view = seen(GATE, change(error=0.0), (math.sqrt(2) * float(np.std(logs, ddof=1)), 4.0))
    found = turns(change(error=0.0), noise=noise_floor(loaded)).gates[0]
    assert view is not None and found.high == pytest.approx(math.expm1(stats.t.ppf(0.975, 4) * view.above), rel=1e-6)


# --- its forms -------------------------------------------------------------------------------------------------------

THREE = "ttft.p50>+5%; e2e.p50>+5%; tpot.p50>+5%"


def three() -> Check:
    changes = [change(effect=0.2), change("e2e.p50", effect=0.05, error=0.02), change("tpot.p50", error=0.01)]
    return turns(*changes, gate=THREE)


def test_junit_has_a_case_a_gate_and_counts_that_agree() -> None:
    """The structure that Jenkins, GitLab and GitHub's reporters read (junit-10.xsd)."""
    root = ElementTree.fromstring(junit(three(), 12.5))
    (suite,) = root.findall("testsuite")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [*THREE.split("; "), "failed.share>+1points"]
    assert all(case.get("classname") and float(case.get("time") or "x") >= 0 for case in cases)
    assert [[child.tag for child in case] for case in cases] == [["failure"], ["error"], ["system-out"], ["system-out"]]
    for element in (root, suite):
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == ("4", "1", "1")
    failure = cases[0].find("failure")
    assert failure is not None and failure.get("type") == "FAIL" and "+22.1 %" in (failure.get("message") or "")
    error = cases[1].find("error")
    assert error is not None and "requests a side" in (error.text or "")
    assert next(iter(suite)).tag == "properties" and suite.get("skipped") == "0"


def test_junit_of_what_could_not_be_measured_holds_no_characters_that_xml_forbids() -> None:
    root = ElementTree.fromstring(junit_error(["ttft.p50>+5%"], "B said \x00\x1b[31m<&\ufffe", 1.0))
    (error,) = root.iter("error")
    assert "B said" in (error.get("message") or "") and root.get("errors") == "1"


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("lang", ["en", "es"])
def test_the_terminal_has_a_few_lines(columns: int, lang: str) -> None:
    out = io.StringIO()
    print_check(three(), Console(file=out, width=columns, color_system=None), words_for(lang))
    lines = out.getvalue().splitlines()
    assert len(lines) < 32 and max(map(len, lines)) <= columns
    assert "ttft.p50>+5%" in out.getvalue() and ("FAIL" if lang == "en" else "FALLA") in out.getvalue()


def test_the_summary_is_a_table() -> None:
    text = check_markdown(three(), words_for("en"))
    assert text.startswith("### ❌ FAIL") and "| `ttft.p50>+5%` | ❌ FAIL |" in text

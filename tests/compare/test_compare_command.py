"""`loadcell compare` from recordings to words and exit codes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadcell.cli.main import main
from loadcell.compare import Comparison, comparison_schema
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording
from loadcell.recording.schema import Stopped
from loadcell.report import to_json

pytestmark = pytest.mark.usefixtures("thorough")

Make = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def compared(capsys: Capture, *words: str | Path) -> dict[str, Any]:
    main(["compare", *map(str, words), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def finding(comparison: dict[str, Any], key: str, pair: int = 0) -> dict[str, Any]:
    metric, stat = key.split(".")
    changes = comparison["pairs"][pair]["changes"]
    (found,) = [c for c in changes if (c["metric"], c["stat"]) == (metric, stat)]
    return dict(found)


def saved(file: Path, folder: Path, **changes: Any) -> Path:
    """The result of a recording as --json prints it, with changes."""
    tree = json.loads(to_json(build_result(open_recording(folder))))
    file.write_text(json.dumps(tree | changes))
    return file


def test_a_slower_side_is_worse_and_a_faster_one_better(run: Make, capsys: Capture) -> None:
    a, b = run("a", n=1000), run("b", n=1000, slower=1.3)
    there, back = compared(capsys, a, b), compared(capsys, b, a)
    for key in ("ttft.p50", "tpot.p50", "itl.p90", "e2e.p90"):
        assert finding(there, key)["finding"] == "worse"
        assert finding(back, key)["finding"] == "better"
    change = finding(there, "ttft.p50")
    assert change["relative"] == pytest.approx(0.3, abs=0.1)
    assert change["low"] < change["relative"] < change["high"]
    assert change["b"] / change["a"] - 1 == pytest.approx(change["relative"])
    assert finding(there, "requests_per_s.mean")["finding"] != "worse"
    assert finding(there, "failed.share")["finding"] == "no difference shown"


def test_itl_counts_requests_not_gaps(run: Make, capsys: Capture) -> None:
    """Three gaps a request, all equal, tell no more than one: ITL and TPOT have the same interval."""
    found = compared(capsys, run("a"), run("b"))
    itl, tpot = finding(found, "itl.p50"), finding(found, "tpot.p50")
    assert (itl["low"], itl["high"]) == pytest.approx((tpot["low"], tpot["high"]), abs=0.01)


def test_a_percentile_of_few_samples_is_shown_and_too_little_data(run: Make, capsys: Capture) -> None:
    change = finding(compared(capsys, run("a", n=120), run("b", n=400)), "ttft.p99")
    assert (change["finding"], change["low"]) == ("too little data", None)
    assert change["a"] is not None and change["short"]
    assert "these are worth" in change["says"] and "of the 299 samples that it needs" in change["says"]
    change = finding(compared(capsys, run("a", n=90), run("b", n=400)), "ttft.p99")
    assert (change["finding"], change["a"], change["short"]) == ("too little data", None, True)
    assert "not estimable in A: it needs 100 samples, there are 90" in change["says"]


def test_failures_are_worse(run: Make, capsys: Capture) -> None:
    a, b = run("a"), run("b", failed=133)
    change = finding(compared(capsys, a, b), "failed.share")
    assert change["difference"] == pytest.approx(133 / 400)
    assert change["relative"] is None


def test_attainment_is_compared_where_both_have_an_slo(run: Make, capsys: Capture) -> None:
    a, b = run("a", slo={"ttft_ms": 60}), run("b", slo={"ttft_ms": 60}, slower=1.3)
    assert finding(compared(capsys, a, b), "slo_attainment.share")["finding"] == "worse"
    without = compared(capsys, a, run("b"))
    assert not any(c["metric"] == "slo_attainment" for c in without["pairs"][0]["changes"])
    assert "SLO: A ttft_ms=60, B none" in without["pairs"][0]["care"]


def test_open_loops_are_compared_by_response_time(run: Make, tmp_path: Path, capsys: Capture) -> None:
    """Requests of B are planned 100 ms before they are sent."""
    times = [i * 10.0 for i in range(400)]
    a, b = (Path(shutil.copytree(run("open", loop="open", planned=times), tmp_path / name)) for name in ("a", "b"))
    for folder, late in ((a, 0), (b, 100)):
        _plan(folder, late)
    change = finding(compared(capsys, a, b, "--force"), "ttft.p50")  # sent so late, the run is INVALID
    assert change["difference"] == pytest.approx(100, abs=1)  # the first ten of 400 cannot be planned before the start


def _plan(folder: Path, late_ms: int) -> None:
    import duckdb

    file = folder / "requests-0-00000.parquet"
    with duckdb.connect() as database:
        database.execute(
            f"create table t as select * replace (greatest(0, send_start_ns - {late_ms * 1_000_000}) as planned_ns) "
            f"from '{file}'"
        )
        database.execute(f"copy t to '{file}' (format parquet)")


def test_what_is_not_comparable_gets_no_findings(run: Make, capsys: Capture) -> None:
    a, b = run("a"), run("b", endpoint={"stream": False})
    assert main(["compare", str(a), str(b)]) == 1
    out = capsys.readouterr().out
    assert "NOT COMPARABLE" in out and "A is streamed, B not streamed" in out and "TTFT p50" not in out
    assert main(["compare", str(a), str(b), "--force"]) == 0
    out = capsys.readouterr().out
    assert "NOT COMPARABLE" in out and "TTFT p50" in out and "--force" in out


def test_the_words_come_first(run: Make, capsys: Capture) -> None:
    main(["compare", str(run("a")), str(run("b", endpoint={"model": "x"}, effective={"model": "x"}))])
    out = capsys.readouterr().out
    assert out.index("COMPARABLE WITH CARE") < out.index("model: A m, B x") < out.index("TTFT p50")
    assert "One run a side: differences between runs" in " ".join(out.split())


def test_the_same_recording_twice_is_said(run: Make, capsys: Capture) -> None:
    a = run("a")
    found = compared(capsys, a, a)
    assert "A and B are the same run" in found["pairs"][0]["care"]
    assert not any(c["finding"] in ("better", "worse") for c in found["pairs"][0]["changes"])


def test_a_run_that_was_ended_early_is_said(run: Make, capsys: Capture) -> None:
    told = Stopped(kind="saturated", at_ns=4_000_000_000, reason="saturated: the queue grew", cancelled=False)
    found = compared(capsys, run("a"), run("b", stopped=told))["pairs"][0]
    assert found["comparable"] == "comparable with care"
    assert "B's run was ended early (saturated): its figures are of its beginning" in found["care"]


def test_each_further_side_is_held_against_the_first(run: Make, capsys: Capture) -> None:
    found = compared(capsys, run("a", n=1000), run("b", n=1000, slower=1.1), run("b", n=1000, slower=1.3))
    assert [p["name"] for p in found["pairs"]] == ["B", "C"]
    assert finding(found, "ttft.p50", 1)["finding"] == "worse"
    tests = [c for p in found["pairs"] for c in p["changes"] if c["p"] is not None]
    least = min(tests, key=lambda c: c["p"])
    assert least["p_holm"] == pytest.approx(min(1, least["p"] * len(tests)))


# --- repeats and noise -----------------------------------------------------------------------------------------------


def repeats(run: Make, **more: Any) -> Path:
    """A folder of three repeats."""
    first, *_ = (run(f"r/{i}", n=120, **more) for i in (1, 2, 3))
    return first.parent


def test_three_runs_a_side_are_compared_between_runs(run: Make, capsys: Capture) -> None:
    found = compared(capsys, repeats(run), repeats(run, slower=1.5))
    change = finding(found, "ttft.p50")
    assert change["method"] == "Welch's t over 3 and 3 runs"
    none_failed = finding(found, "failed.share")
    assert none_failed["a"] == none_failed["b"] == 0
    assert none_failed["low"] < -0.005 and none_failed["high"] > 0.005  # 360 requests a side cannot tell 0 from 0.5 %
    assert found["sides"][0]["kind"] == "repeats"
    assert not any("one run a side" in note for note in found["pairs"][0]["notes"])


def test_a_single_run_against_repeats_takes_their_spread(run: Make, capsys: Capture) -> None:
    found = compared(capsys, repeats(run), run("b", n=120))
    assert "B has 1 run: its spread between runs is taken to be the other's" in found["pairs"][0]["notes"]


def test_two_runs_do_not_show_how_runs_differ(run: Make, tmp_path: Path, capsys: Capture) -> None:
    for name in ("1", "2"):
        (tmp_path / name).symlink_to(repeats(run) / name)
    found = compared(capsys, tmp_path, run("b", n=120))
    assert any("fewer than 3 runs a side: only the first counts" in note for note in found["pairs"][0]["notes"])
    assert finding(found, "ttft.p50")["method"] == "within-run samples"


def test_a_folder_of_different_runs_is_no_side(run: Make, tmp_path: Path, capsys: Capture) -> None:
    for name, more in (("1", {}), ("2", {"endpoint": {"stream": False}})):
        shutil.copytree(run(name, n=60, **more), tmp_path / name)
    assert main(["compare", str(run("a")), str(tmp_path)]) == 2
    assert "no repeats of one another (1 is streamed, 2 not streamed)" in capsys.readouterr().err


def test_the_noise_floor_alone(run: Make, capsys: Capture) -> None:
    assert main(["compare", "--noise", str(repeats(run))]) == 0
    out = capsys.readouterr().out
    assert "noise floor" in out and "From 3 runs" in out
    assert re.search(r"TTFT p50, ms +\d", out)


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_and_wrapped_ones_keep_their_indent(
    run: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    a, b = repeats(run), repeats(run, endpoint={"model": "x"}, effective={"model": "x"})
    main(["compare", str(a), str(b), "--noise", str(a)])
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.strip()]
    assert [line for line in lines if len(line) > width or not line.startswith(" ")] == []
    assert "shares: 1 point)" in " ".join(out.split())
    assert "A/A noise floor, 3 runs against 3: TTFT geomean" in " ".join(out.split())


def test_no_difference_within_the_noise_is_a_finding(run: Make, capsys: Capture) -> None:
    """Three runs of which one is 30 % slower: then 10 % between two runs is nothing."""
    noise = [run("a"), run("b"), run("c", slower=1.3)]
    a, b = run("a", n=1000), run("b", n=1000, slower=1.1)
    assert finding(compared(capsys, a, b), "tpot.p50")["finding"] == "worse"
    change = finding(compared(capsys, a, b, "--noise", *noise), "tpot.p50")
    assert change["finding"] == "too little data" and "A/A noise" in change["says"]
    assert change["noise"] > 0.15


@pytest.mark.parametrize(
    ("more", "says"),
    [({}, "3 runs or more"), ({"endpoint": {"stream": False}}, "differ"), ({"workers": 2}, "workers: .* 1, .* 2")],
)
def test_noise_needs_repeats_of_the_same_thing(run: Make, capsys: Capture, more: dict[str, Any], says: str) -> None:
    folders = [run("a", n=60), run("b", n=60)] + ([run("n3", n=60, **more)] if more else [])
    assert main(["compare", "--noise", *map(str, folders)]) == 2
    assert re.search(says, capsys.readouterr().err)


def test_noise_of_the_same_run_twice_is_refused(run: Make, capsys: Capture) -> None:
    a = str(run("a", n=60))
    assert main(["compare", "--noise", a, a, a]) == 2
    assert "same run twice" in capsys.readouterr().err


# --- saved results ---------------------------------------------------------------------------------------------------


def test_saved_results_are_compared_by_their_intervals(run: Make, tmp_path: Path, capsys: Capture) -> None:
    a, b = run("a", n=1000), run("b", n=1000, slower=1.3)
    full = finding(compared(capsys, a, b), "ttft.p50")
    found = compared(capsys, saved(tmp_path / "a.json", a), saved(tmp_path / "b.json", b))
    change = finding(found, "ttft.p50")
    assert change["method"] == "the intervals of both sides"
    assert (change["low"], change["high"]) == pytest.approx((full["low"], full["high"]), abs=0.02)
    assert change["finding"] == "worse"
    assert any("saved results" in note for note in found["pairs"][0]["notes"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"completed": 100, "mean_ttft_ms": 12.5}', "is not a loadcell result"),
        ("[1, 2]", "is not a loadcell result"),
        ("TTFT 5", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_what_is_no_result_is_refused(run: Make, tmp_path: Path, capsys: Capture, text: str, says: str) -> None:
    other = tmp_path / "other.json"
    other.write_text(text)
    assert main(["compare", str(run("a", n=60)), str(other)]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("version", "says"), [(99, "upgrade loadcell"), (1, "make it anew")])
def test_results_of_another_format_are_refused(
    run: Make, tmp_path: Path, capsys: Capture, version: int, says: str
) -> None:
    a = run("a", n=60)
    assert main(["compare", str(a), str(saved(tmp_path / "b.json", a, format=version))]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_folder_that_is_no_recording(run: Make, tmp_path: Path, capsys: Capture, name: str) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["compare", str(run("a", n=60)), str(tmp_path / name)]) == 1
    assert re.search("does not exist|no recording", capsys.readouterr().err)


def test_no_success_is_nothing_to_compare(run: Make, capsys: Capture) -> None:
    a, b = run("a", n=60, failed=60), run("b", n=60)
    assert main(["compare", str(a), str(b)]) == 1
    assert f"nothing to compare: A ({a}) has no successful request" in capsys.readouterr().err


def test_a_recording_of_a_newer_format_is_refused(run: Make, tmp_path: Path, capsys: Capture) -> None:
    newer = Path(shutil.copytree(run("b", n=60), tmp_path / "b"))
    manifest = json.loads((newer / "recording.json").read_text())
    (newer / "recording.json").write_text(json.dumps(manifest | {"format": 99}))
    assert main(["compare", str(run("a", n=60)), str(newer)]) == 1
    assert "upgrade loadcell" in capsys.readouterr().err


# --- verdicts, gates, wrong usage ------------------------------------------------------------------------------------


def test_an_invalid_side_is_refused_unless_forced(run: Make, capsys: Capture) -> None:
    a, b = run("a"), run("b", invalid=["a worker died"])
    assert main(["compare", str(a), str(b)]) == 4
    captured = capsys.readouterr()
    assert "b is INVALID" in captured.err and "a worker died" in captured.err and not captured.out
    assert main(["compare", str(a), str(b), "--force"]) == 0
    assert "B is INVALID: a worker died" in " ".join(capsys.readouterr().out.split())


def test_an_invalid_repeat_is_refused_as_noise(run: Make, capsys: Capture) -> None:
    folders = [run(name, n=60) for name in "ab"] + [run("n9", n=60, invalid=["broken"])]
    assert main(["compare", "--noise", *map(str, folders)]) == 4
    assert "n9 is INVALID" in capsys.readouterr().err


def test_gates_decide_the_exit_code(run: Make, capsys: Capture) -> None:
    a, b = run("a", n=1000), run("b", n=1000, slower=1.3)
    words = ["compare", str(a), str(b)]
    assert main([*words, "--fail-if", "ttft.p50>+5%"]) == 1
    assert main([*words, "--fail-if", "ttft.p50>+80%", "--fail-if", "requests_per_s.mean<-20%"]) == 0
    capsys.readouterr()
    assert main([*words, "--fail-if", "ttft.p50>+80%", "--fail-if", "slo_attainment.share<-1points"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "ttft.p50>+80% pass" in out
    assert "slo_attainment.share<-1points FAIL cannot be judged: a side has no such figure" in out


@pytest.mark.parametrize("n", [90, 120])
def test_a_run_against_itself_fails_no_gate(run: Make, capsys: Capture, n: int) -> None:
    words = ["compare", str(run("a", n=n)), str(run("a", n=n)), "--fail-if", "ttft.p99>+5%"]
    assert main(words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "INCONCLUSIVE" in out and "samples" in out and "FAIL" not in out
    assert main([*words, "--strict-gates"]) == 1
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a"],
        ["a", "b", "--min-effect", "0.05"],
        ["a", "b", "--min-effect", "0%"],
        ["a", "b", "--fail-if", "ttft>5"],
        ["--noise", "n", "--fail-if", "ttft.p99>+5%"],
        ["a", "b", "--frce"],
    ],
)
def test_wrong_usage_is_2(words: list[str], capsys: Capture) -> None:
    assert main(["compare", *words]) == 2
    assert capsys.readouterr().err.startswith("loadcell: ")


def test_a_larger_minimum_effect_makes_more_differences_none(run: Make, capsys: Capture) -> None:
    a, b = run("a", n=1000), run("b", n=1000, slower=1.1)
    assert finding(compared(capsys, a, b), "tpot.p50")["finding"] == "worse"
    change = finding(compared(capsys, a, b, "--min-effect", "25%"), "tpot.p50")
    assert (change["finding"], change["says"]) == ("no difference shown", "there is one, but it is smaller than 25 %")


def test_the_json_keeps_to_its_schema(run: Make, capsys: Capture) -> None:
    assert main(["compare", str(run("a")), str(run("b")), "--noise", str(repeats(run)), "--json"]) == 0
    text = capsys.readouterr().out
    assert set(json.loads(text)) == set(comparison_schema()["$defs"]["Comparison"]["properties"])
    assert msgspec.json.decode(text, type=Comparison).sides[1].name == "B"
    assert "NaN" not in text and "Infinity" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_terminal(
    run: Make, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(run(name, n=120))
    monkeypatch.chdir(tmp_path)
    main(["compare", "a", "b", "--fail-if", "output_tokens_per_s.mean<-10tokens/s", "--noise", str(repeats(run))])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert "…" not in text and "\x1b" not in text
    assert ("] too little data" in text) == (width == 120)


def test_comparing_twice_gives_the_same(run: Make, capsys: Capture) -> None:
    a, b = run("a"), run("b")
    assert compared(capsys, a, b) == compared(capsys, a, b)


def test_pages_of_comparisons_never_meet(
    run: Make, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither within a second, nor where another process has just taken a name."""
    a, b = run("a", n=100), run("b", n=100)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    for _ in range(3):
        main(["compare", str(a), str(b)])
    pages = re.findall(r"Page: (\S+)", capsys.readouterr().out)
    assert len(set(pages)) == 3 and all(Path(page).stat().st_size > 10_000 for page in pages)
    assert {str(page) for page in Path("comparisons").iterdir()} == set(pages)


def test_in_ci_a_page_is_written_only_if_asked_for(
    run: Make, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = run("a", n=100), run("b", n=100)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI", "true")
    main(["compare", str(a), str(b)])
    assert "Page:" not in capsys.readouterr().out and not Path("comparisons").exists()
    main(["compare", str(a), str(b), "--html"])
    main(["compare", str(a), str(b), "--output", "page.html"])
    assert capsys.readouterr().out.count("Page:") == 2 and Path("page.html").exists()
    monkeypatch.setenv("CI", "false")
    main(["compare", str(a), str(b)])
    assert "Page:" in capsys.readouterr().out

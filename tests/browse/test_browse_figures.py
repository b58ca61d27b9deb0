"""The figures in a row: what stands there, and when it is computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_library import edit_manifest, small_run, small_sweep

from loadcell.browse.figures import of_repeats, of_result
from loadcell.browse.library import Library
from loadcell.browse.listing import scan
from loadcell.browse.pages import cells, listing_page
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording
from loadcell.report.words import words_for

ENGLISH = words_for("en")


def test_a_row_has_the_figures_of_the_result(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", slo={"ttft_ms": 60.0})
    told, result = of_result(build_result(open_recording(run))), build_result(open_recording(run))
    assert (told.ok, told.failed, told.word) == (30, 0, result.verdict.word)
    assert told.ttft_p50_ms == result.latency["ttft_ms"].service.p50.value == 50.0
    assert told.output_tokens_per_s == result.throughput.output_tokens_per_s
    assert result.goodput is not None and told.goodput_per_s == result.goodput.goodput_per_s
    shown = cells(told, ENGLISH)
    assert shown["ttft_p50"]["text"] == "50.0 ms" and shown["requests"]["text"] == "30"
    assert shown["ttft_p99"] == {"text": "\N{EN DASH}", "value": "", "title": ""}  # too few requests for one


def test_figures_of_an_invalid_run_are_shown_with_its_word(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", invalid=["a worker died"])
    told = of_result(build_result(open_recording(run)))
    assert told.word == "INVALID" and "a worker died" in told.reasons[0] and told.ok == 30
    assert told.output_tokens_per_s is not None
    good = of_result(build_result(open_recording(small_run(tmp_path / "good"))))
    both = of_repeats([good, told])
    assert both.word == "INVALID" and both.output_tokens_per_s is not None and both.ok == 60


def test_repeats_show_medians_and_a_missing_one_hides_the_figure(tmp_path: Path) -> None:
    library = Library(tmp_path)
    for number, slower in enumerate((0, 10, 40), 1):
        small_run(tmp_path / "again" / str(number), slower_ms=slower)
    entry = library.find("again")
    assert entry is not None
    assert library.figures(entry).ttft_p50_ms == 60.0
    edit_manifest(tmp_path / "again" / "2", format=99)
    entry = library.look().find("again")
    assert entry is not None and "upgrade loadcell" in (library.figures(entry).trouble or "")


def test_a_sweep_shows_its_highest_stage(tmp_path: Path) -> None:
    small_sweep(tmp_path / "grid")
    library = Library(tmp_path)
    entry = library.find("grid")
    assert entry is not None
    told = library.figures(entry)
    assert told.stage in (1, 2) and told.output_tokens_per_s is not None and told.ttft_p50_ms is None
    assert "stage" in cells(told, ENGLISH)["tokens"]["title"]


def test_figures_are_kept_while_the_files_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small_run(tmp_path / "run")
    library = Library(tmp_path)
    read: list[str] = []
    real = library._read
    monkeypatch.setattr(library, "_read", lambda entry: (read.append(entry.id), real(entry))[1])
    entry = library.find("run")
    assert entry is not None and library.known(entry) is None
    assert library.figures(entry) == library.figures(entry) == library.known(entry)
    edit_manifest(run, notes=["changed"])
    assert library.known(entry) is None
    library.figures(entry)
    assert read == ["run", "run"]


def test_a_recording_that_fails_in_an_unforeseen_way_says_so_in_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_run(tmp_path / "run")
    library = Library(tmp_path)
    entry = library.find("run")

    def fail(*args: object) -> None:
        raise ZeroDivisionError("of no check")

    monkeypatch.setattr("loadcell.metrics.build_result", fail)
    assert entry is not None and "ZeroDivisionError" in (library.figures(entry).trouble or "")


def test_pages_are_made_once_and_only_some_are_kept(tmp_path: Path) -> None:
    small_run(tmp_path / "run")
    library = Library(tmp_path)
    entry = library.find("run")
    assert entry is not None
    made: list[int] = []

    def make() -> str:
        made.append(1)
        return f"page {len(made)}"

    assert [library.page(("a",), [entry], make) for _ in range(2)] == ["page 1", "page 1"]
    for number in range(20):
        library.page((str(number),), [entry], lambda: "other")
    assert library.page(("a",), [entry], make) == "page 2"
    edit_manifest(entry.path, notes=["changed"])
    assert library.page(("a",), [entry], make) == "page 3"


def loads(tmp_path: Path, **load: object) -> str:
    small_run(tmp_path / "run", load=load)
    return listing_page(scan(tmp_path), lambda entry: None, ENGLISH)


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"rate": 2.5}, "2.5 requests/s"),
        ({"rate": 2.5, "concurrency": 8}, "2.5 requests/s, at most 8 in flight"),
        ({"concurrency": 1}, ">1 user<"),
        ({"concurrency": 64}, "64 users"),
    ],
)
def test_a_load_is_told_in_words(tmp_path: Path, load: dict[str, object], words: str) -> None:
    assert words in loads(tmp_path, **load)


@pytest.mark.parametrize("value", [[], {}, "x", -1, 0, 10**400, 1e308, True, None])
def test_a_load_that_is_none_is_left_out(tmp_path: Path, value: object) -> None:
    run = small_run(tmp_path / "run")
    spec = json.loads((run / "spec.json").read_text())
    spec["load"] = {"rate": value, "concurrency": value}
    (run / "spec.json").write_text(json.dumps(spec))
    assert 'data-value="" data-none>' in listing_page(scan(tmp_path), lambda entry: None, ENGLISH)


def test_the_listing_has_all_rows_before_any_figure_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        raise AssertionError("a listing computes nothing")

    monkeypatch.setattr("loadcell.metrics.build_result", never)
    for number in range(3):
        small_run(tmp_path / f"run-{number}", n=1)
    library = Library(tmp_path)
    page = listing_page(library.look(), library.known, ENGLISH)
    assert page.count("data-waiting>") == 3 and page.count('type="checkbox"') == 3


def test_the_listing_speaks_spanish(tmp_path: Path) -> None:
    words = words_for("es")
    page = listing_page(scan(small_run(tmp_path / "run")), lambda entry: None, words)
    assert '<html lang="es">' in page

"""The history of a watch: what is kept, what is looked at, and what is told once."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import duckdb
import msgspec
import pytest
from golden_cases import a_quiet_run

from loadcell.compare.history import Judging, begin_round, find_changes, history, keep, keep_failure
from loadcell.errors import RecordingError
from loadcell.metrics import Result

JUDGING = Judging(1000, 0.05)
AT = "2026-01-01T00:00:00+00:00"
replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return a_quiet_run(tmp_path_factory.mktemp("run") / "run")


def _with_ttft(result: Result, p50_ms: float, word: str = "VALID", fingerprint: str | None = None) -> Result:
    latency = result.latency["ttft_ms"]
    assert latency.service is not None
    service = replace(latency.service, p50=replace(latency.service.p50, value=p50_ms))
    made = replace(result, latency=result.latency | {"ttft_ms": replace(latency, service=service)})
    method = replace(made.methodology, fingerprint=fingerprint or made.methodology.fingerprint)
    verdict = replace(made.verdict, word=word)
    return replace(made, methodology=method, verdict=verdict)


def _values(count: int, level: float) -> list[float]:
    return [level * (1 + 0.004 * ((7 * place) % 11 - 5)) for place in range(count)]


def test_a_step_is_told_once_with_its_round(tmp_path: Path, quiet: Result) -> None:
    told = []
    for number, value in enumerate(_values(40, 50) + _values(12, 60), 1):
        with history(tmp_path / "h.duckdb") as database:
            assert begin_round(database, AT, "http://h") == number
            keep(database, number, _with_ttft(quiet, value), str(number))
            told += [(number, change) for change in find_changes(database, number, JUDGING)]
    [(number, change)] = told
    assert (change.measure.key, change.seen, change.worse) == ("ttft.p50", number, True)
    assert change.since in (40, 41) and number <= 48
    assert (round(change.before), round(change.after)) == (50, 60)
    with duckdb.connect(str(tmp_path / "h.duckdb")) as database:  # by other means
        found = database.execute("select count(*), median(value) from figures where name = 'ttft.p50' and round <= 40")
        count, middle = found.fetchall()[0]
        assert (count, round(middle)) == (40, 50)


@pytest.mark.parametrize("why", ["INVALID", "another spec", "failed"])
def test_what_is_no_evidence_is_kept_and_not_looked_at(tmp_path: Path, quiet: Result, why: str) -> None:
    with history(tmp_path / "h.duckdb") as database:
        for number, value in enumerate(_values(40, 50) + _values(12, 60), 1):
            assert begin_round(database, AT, "http://h") == number
            if number <= 40:
                keep(database, number, _with_ttft(quiet, value), str(number))
            elif why == "failed":
                keep_failure(database, number, "connection refused")
            else:
                word, mark = ("INVALID", None) if why == "INVALID" else ("VALID", "other")
                keep(database, number, _with_ttft(quiet, value, word, mark), str(number))
            assert find_changes(database, number, JUDGING) == []
        assert database.execute("select count(*) from rounds").fetchall() == [(52,)]


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, " * 1000)
    with pytest.raises(RecordingError, match="is no history that can be gone on with"), history(file):
        pass
    assert file.read_text().startswith("not a database")


def test_watches_of_two_endpoints_share_a_file_and_not_their_series(tmp_path: Path, quiet: Result) -> None:
    """By turns, one twice as slow as the other: neither changes, until one does."""
    told = []
    with history(tmp_path / "h.duckdb") as database:
        for place, value in enumerate(_values(40, 50) + _values(12, 60)):
            for endpoint, level in (("http://one", value), ("http://two", 100 + place % 3)):
                number = begin_round(database, AT, endpoint)
                keep(database, number, _with_ttft(quiet, level), str(number))
                told += [(endpoint, change) for change in find_changes(database, number, JUDGING)]
    [(endpoint, change)] = told
    assert endpoint == "http://one" and change.since in (79, 81)


def test_a_load_that_is_asked_for_again_goes_on_where_it_was(tmp_path: Path, quiet: Result) -> None:
    told = []
    with history(tmp_path / "h.duckdb") as database:
        for place, value in enumerate(_values(40, 50) + _values(12, 60)):
            for mark in ("a", "b") if place == 30 else ("a",):
                number = begin_round(database, AT, "http://h")
                keep(database, number, _with_ttft(quiet, value, fingerprint=mark), str(number))
                told += find_changes(database, number, JUDGING)
    assert [(change.measure.key, change.since in (41, 42)) for change in told] == [("ttft.p50", True)]


def test_a_round_that_was_begun_has_its_number(tmp_path: Path, quiet: Result) -> None:
    """Two watches on one file: the second asks while the load of the first lasts."""
    with history(tmp_path / "h.duckdb") as database:
        first, second = (begin_round(database, AT, "http://h") for _ in range(2))
        keep(database, second, quiet, "second")
        keep(database, first, quiet, "first")
        assert begin_round(database, AT, "http://h") == 3
        found = database.execute("select recording, error from rounds order by round").fetchall()
    assert found == [("first", None), ("second", None), (None, "it did not end")]


@pytest.mark.usefixtures("processes")
def test_a_file_that_another_process_reads_is_waited_for(tmp_path: Path) -> None:
    file, said = tmp_path / "h.duckdb", []
    with history(file):
        pass
    code = "import duckdb, sys; d = duckdb.connect(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", code, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None and other.stdout is not None
    other.stdout.readline()
    with pytest.raises(RecordingError, match="Could not set lock"), history(file, 0):
        pass

    def say(words: str) -> None:
        said.append(words)
        assert other.stdin is not None
        other.stdin.close()

    with history(file, math.inf, say) as database:
        assert begin_round(database, AT, "http://h") == 1
    other.stdout.close()
    assert other.wait() == 0 and len(said) == 1 and "another process" in said[0]

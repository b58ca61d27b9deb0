"""The history of a watch: what is kept, what is looked at, and what is told once."""

from __future__ import annotations

from pathlib import Path

import duckdb
import msgspec
import pytest
from golden_cases import a_quiet_run

from loadcell.compare.history import Judging, find_changes, history, keep, keep_failure, next_round
from loadcell.errors import RecordingError
from loadcell.metrics import Result

JUDGING = Judging(1000, 0.05)
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
            assert next_round(database) == number
            keep(database, number, _with_ttft(quiet, value), str(number))
            told += [(number, change) for change in find_changes(database, JUDGING)]
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
            if number <= 40:
                keep(database, number, _with_ttft(quiet, value), str(number))
            elif why == "failed":
                keep_failure(database, number, "2026-01-01T00:00:00+00:00", "connection refused")
            else:
                word, mark = ("INVALID", None) if why == "INVALID" else ("VALID", "other")
                keep(database, number, _with_ttft(quiet, value, word, mark), str(number))
            assert find_changes(database, JUDGING) == []
        assert database.execute("select count(*) from rounds").fetchall() == [(52,)]


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, " * 1000)
    with pytest.raises(RecordingError, match="is no history that can be gone on with"), history(file):
        pass
    assert file.read_text().startswith("not a database")

"""The history of a watch: one DuckDB file with a row a round and a row a figure of it, and the steps in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb

from loadcell.compare.figures import figures
from loadcell.compare.measures import MEASURES, SHARES_FINER, Measure
from loadcell.compare.steps import boundary, steps
from loadcell.errors import RecordingError
from loadcell.metrics import Result, word_of
from loadcell.phrases import phrase

WATCHED = (
    "ttft.p50", "ttft.p99", "tpot.p50", "e2e.p50", "rtf.p50", "output_tokens_per_s.mean", "inputs_per_s.mean",
    "images_per_s.mean", "failed.share", "slo_attainment.share",
)  # fmt: skip
"""What is looked at for steps, where a run has it; the more there is, the higher each must rise to be called one."""
_TABLES = """
create table if not exists rounds (
    round bigint primary key, started_at timestamptz not null, endpoint varchar not null, recording varchar,
    verdict varchar, fingerprint varchar, error varchar
);
create table if not exists figures (
    round bigint not null, name varchar not null, unit varchar not null, value double, low double, high double,
    n bigint, primary key (round, name)
);
create table if not exists changes (
    name varchar not null, since bigint not null, seen bigint not null, before double, after double,
    primary key (name, since)
);
"""


_ALIKE = """({0}.fingerprint, {0}.endpoint) = (
    select (fingerprint, endpoint) from rounds as its where its.round = $number)"""
UNENDED = "it did not end"
"""What stands for the error of a round until it has ended."""
_AGAIN_S = 0.1
Database = duckdb.DuckDBPyConnection


class Shift(NamedTuple):
    """A step of one figure, by the numbers of rounds."""

    measure: Measure
    since: int
    """The first round after it."""
    seen: int
    """The round at which it was clear."""
    before: float
    after: float

    @property
    def worse(self) -> bool:
        """Whether it went the wrong way."""
        return (self.after - self.before) * self.measure.sign < 0


class Judging(NamedTuple):
    """When a figure has changed."""

    rounds: float
    """Rounds with one false alarm among all figures, on average."""
    least: float
    """Relative difference that matters; of shares a fifth of it, in points."""


@contextmanager
def history(path: Path, patience_s: float = 10.0, say: Callable[[str], None] = lambda _: None) -> Iterator[Database]:
    """The history in the file at `path`, which is made where there is none; RecordingError if it is another file.

    DuckDB lets one process open a file at a time: another one, which reads it or watches too, is waited for.
    """
    database = _opened(path, patience_s, say)
    try:
        with database:
            yield database
    except duckdb.Error as error:
        raise _unusable(path, error) from None


def _opened(path: Path, patience_s: float, say: Callable[[str], None]) -> Database:
    until, told = time.monotonic() + patience_s, False
    while True:
        try:
            database = duckdb.connect(str(path))
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error) or time.monotonic() > until:
                raise _unusable(path, error) from None
            if not told:
                say(phrase("another process has {} open: waiting for it", path))
            told = True
            time.sleep(_AGAIN_S)
            continue
        except duckdb.Error as error:
            raise _unusable(path, error) from None
        try:
            database.execute(_TABLES)
        except duckdb.Error as error:
            database.close()
            raise _unusable(path, error) from None
        return database


def _unusable(path: Path, error: duckdb.Error) -> RecordingError:
    why = str(error).partition("\n")[0]
    return RecordingError(f"{path} is no history that can be gone on with: {why}")


def begin_round(database: Database, started_at: str, endpoint: str) -> int:
    """The number of the round to come, from 1: no other watch on the file has it."""
    found = database.execute(
        "insert into rounds select coalesce(max(round), 0) + 1, ?, ?, null, null, null, ? from rounds returning round",
        (started_at, endpoint, UNENDED),
    ).fetchone()
    assert found is not None
    return int(found[0])


def keep(database: Database, number: int, result: Result, recording: str) -> None:
    """Keep what a round found."""
    rows = [
        (number, key, MEASURES[key].unit, figure.value, figure.low, figure.high, figure.n)
        for key, figure in figures(result, None).items()
        if figure.value is not None
    ]
    database.begin()
    database.execute(
        "update rounds set recording = ?, verdict = ?, fingerprint = ?, error = null where round = ?",
        (recording, word_of(result), result.methodology.fingerprint, number),
    )
    if rows:
        database.executemany("insert into figures values (?, ?, ?, ?, ?, ?, ?)", rows)
    database.commit()


def keep_failure(database: Database, number: int, why: str) -> None:
    """Keep that a round found nothing, and why."""
    database.execute("update rounds set error = ? where round = ?", (why, number))


def find_changes(database: Database, number: int, judging: Judging) -> list[Shift]:
    """The steps that no round before has told of, now kept; of rounds of the same endpoint that asked for the same as
    round `number`.

    An INVALID run is no evidence of the server: its figures are kept, and not looked at.
    """
    series = {name: _series(database, name, number) for name in WATCHED}
    series = {name: found for name, found in series.items() if found}
    if not series:
        return []
    height = boundary(judging.rounds, len(series))
    new = []
    for name, found in series.items():
        measure = MEASURES[name]

        def matters(before: float, after: float, measure: Measure = measure) -> bool:
            least = judging.least * abs(before) if measure.relative else judging.least / SHARES_FINER
            return abs(after - before) >= least and after != before

        for step in steps([value for _, value in found], height, matters):
            new.append(Shift(measure, found[step.since][0], found[step.seen][0], step.before, step.after))
    fresh = [each for each in new if not _known(database, each)]
    for each in fresh:
        row = (each.measure.key, each.since, each.seen, each.before, each.after)
        database.execute("insert into changes values (?, ?, ?, ?, ?)", row)
    return fresh


def _series(database: Database, name: str, number: int) -> list[tuple[int, float]]:
    """Rounds and values of a figure where the same was asked of the same endpoint as in round `number`, in order."""
    return database.execute(
        f"""
        select round, value from figures join rounds using (round)
        where name = $name and verdict <> 'INVALID' and isfinite(value) and {_ALIKE.format("rounds")}
        order by round
        """,
        {"name": name, "number": number},
    ).fetchall()


def _known(database: Database, change: Shift) -> bool:
    """Whether it has been told, be it with another date by a round or two."""
    found = database.execute(
        f"""
        select count(*) from changes join rounds on round = seen
        where name = $name and since <= $number and seen >= $since and {_ALIKE.format("rounds")}
        """,
        {"name": change.measure.key, "number": change.seen, "since": change.since},
    ).fetchone()
    return found is not None and bool(found[0])

"""The history of a watch: one DuckDB file with a row a round and a row a figure of it, and the steps in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb

from loadcell.compare.figures import figures
from loadcell.compare.measures import MEASURES, SHARES_FINER, Measure
from loadcell.compare.steps import boundary, steps
from loadcell.errors import RecordingError
from loadcell.metrics import Result, word_of

WATCHED = (
    "ttft.p50", "ttft.p99", "tpot.p50", "e2e.p50", "rtf.p50", "output_tokens_per_s.mean", "inputs_per_s.mean",
    "images_per_s.mean", "failed.share", "slo_attainment.share",
)  # fmt: skip
"""What is looked at for steps, where a run has it; the more there is, the higher each must rise to be called one."""
_TABLES = """
create table if not exists rounds (
    round bigint primary key, started_at timestamptz not null, recording varchar, verdict varchar,
    fingerprint varchar, error varchar
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
def history(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The history in the file at `path`, which is made where there is none; RecordingError if it is another file."""
    try:
        with duckdb.connect(str(path)) as database:
            database.execute(_TABLES)
            yield database
    except duckdb.Error as error:
        why = str(error).partition("\n")[0]
        raise RecordingError(f"{path} is no history that can be gone on with: {why}") from None


def next_round(database: duckdb.DuckDBPyConnection) -> int:
    """The number of the round to come, from 1."""
    found = database.execute("select coalesce(max(round), 0) + 1 from rounds").fetchone()
    assert found is not None
    return int(found[0])


def keep(database: duckdb.DuckDBPyConnection, number: int, result: Result, recording: str) -> None:
    """Keep what a round found."""
    run, method = result.run, result.methodology
    rows = [
        (number, key, MEASURES[key].unit, figure.value, figure.low, figure.high, figure.n)
        for key, figure in figures(result, None).items()
        if figure.value is not None
    ]
    _write(database, (number, run.started_at, recording, word_of(result), method.fingerprint, None), rows)


def keep_failure(database: duckdb.DuckDBPyConnection, number: int, started_at: str, why: str) -> None:
    """Keep that a round found nothing, and why."""
    _write(database, (number, started_at, None, None, None, why), [])


def _write(database: duckdb.DuckDBPyConnection, row: tuple[object, ...], rows: Sequence[tuple[object, ...]]) -> None:
    database.begin()
    database.execute("insert into rounds values (?, ?, ?, ?, ?, ?)", row)
    if rows:
        database.executemany("insert into figures values (?, ?, ?, ?, ?, ?, ?)", rows)
    database.commit()


def find_changes(database: duckdb.DuckDBPyConnection, judging: Judging) -> list[Shift]:
    """The steps that no round before has told of, now kept; of runs that may be compared with the last one.

    An INVALID run is no evidence of the server: its figures are kept, and not looked at.
    """
    series = {name: _series(database, name) for name in WATCHED}
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


def _series(database: duckdb.DuckDBPyConnection, name: str) -> list[tuple[int, float]]:
    """Rounds and values of a figure since what was asked for last changed, in order."""
    return database.execute(
        """
        select round, value from figures join rounds using (round)
        where name = $name and verdict <> 'INVALID' and isfinite(value) and round > (
            select coalesce(max(round), 0) from rounds where fingerprint <> (
                select arg_max(fingerprint, round) from rounds where fingerprint is not null))
        order by round
        """,
        {"name": name},
    ).fetchall()


def _known(database: duckdb.DuckDBPyConnection, change: Shift) -> bool:
    """Whether it has been told, be it with another date by a round or two."""
    found = database.execute(
        "select count(*) from changes where name = ? and since <= ? and seen >= ?",
        (change.measure.key, change.seen, change.since),
    ).fetchone()
    return found is not None and bool(found[0])

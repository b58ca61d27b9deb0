"""DuckDB, as recordings use it: a writer and reader of Parquet."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import duckdb


def open_database() -> duckdb.DuckDBPyConnection:
    """A connection, to be closed, to the in-memory database of this process; one thread keeps rows in order."""
    return _database().cursor()


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """The database. Opening one takes tens of milliseconds, a connection to it microseconds."""
    return duckdb.connect(config={"threads": 1})


def parquet(*paths: str | Path) -> str:
    """The rows of Parquet files as a table in SQL; a column that a file lacks is NULL in its rows.

    File names are taken as they stand, not as patterns.
    """
    files = (re.sub(r"[*?\[]", lambda m: f"[{m[0]}]", quoted(path)) for path in paths)
    return "read_parquet([" + ", ".join(f"'{file}'" for file in files) + "], union_by_name = true)"


def quoted(path: str | Path) -> str:
    """A path as it may stand between single quotes in SQL."""
    return str(path).replace("'", "''")

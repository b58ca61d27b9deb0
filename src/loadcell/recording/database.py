"""DuckDB, as recordings use it: a writer and reader of Parquet."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb


def open_database() -> duckdb.DuckDBPyConnection:
    """An in-memory database of one thread, which keeps rows in order."""
    return duckdb.connect(config={"threads": 1})


def parquet(*paths: str | Path) -> str:
    """The table of the rows of Parquet files, in SQL. Names are taken as they stand, not as patterns."""
    files = (re.sub(r"[*?\[]", lambda m: f"[{m[0]}]", quoted(path)) for path in paths)
    return "read_parquet([" + ", ".join(f"'{file}'" for file in files) + "])"


def quoted(path: str | Path) -> str:
    """A path as it may stand between single quotes in SQL."""
    return str(path).replace("'", "''")

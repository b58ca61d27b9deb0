"""How often the 95 % intervals of runs against llama.cpp hold what all runs together show; judged by no bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import real
from common import ROOT, Engine
from coverage_engine import Setting, _setting, _table
from tables import Row, Table

_SETTING = Setting(
    "llama.cpp, 4 users",
    (),
    ("--api", "completions", "--concurrency", "4", "--input-tokens", "16", "--output-tokens", "uniform:8,24"),
    1000,
    None,
)


def measure(quick: bool) -> list[Table]:
    """The table of the runs against llama.cpp's server."""
    packages = ROOT / ".real-server"
    if not packages.is_dir():
        return [Table("Coverage on llama.cpp's server", ("not measured",), [Row(("make test installs the server",))])]

    @contextmanager
    def serve(_: Setting) -> Iterator[Engine]:
        with real._serve(packages) as url:
            yield Engine(url, None)

    table = _table("Coverage of 95 % intervals, runs against llama.cpp")
    table.rows.extend(_setting(_SETTING, serve, quick))
    return [table]

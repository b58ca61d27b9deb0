"""Tables of classes on a narrow terminal: names are shortened, figures never."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from loadcell.report.render.terminal import shown
from loadcell.report.view.blocks import Cell, Column, Table, figured


def lines(table: Table, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(shown(table, width))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_give_way_to_figures(width: int) -> None:
    names = [f"a-rather-long-name-of-a-model@a-host-of-its-own.example:80{n}/openai/deployments/x" for n in (1, 2)]
    columns = [Column("Class", "left"), Column("ok"), Column("TTFT p50"), Column("E2E p99")]
    rows = [[Cell(name, kind="code"), figured("22/22"), figured("1,002.2"), figured("18.25")] for name in names]
    head, *told = lines(Table(columns, rows), width)
    assert re.split(r"\s{2,}", head.strip()) == ["Class", "ok", "TTFT p50", "E2E p99"]
    for name, line in zip(names, told, strict=True):
        short, *figures = line.split()
        assert figures == ["22/22", "1,002.2", "18.25"] and len(line) <= width
        begin, _, end = short.partition("\N{HORIZONTAL ELLIPSIS}")
        assert name.startswith(begin) and name.endswith(end) and (width < 120 or short == name or len(short) > 40)

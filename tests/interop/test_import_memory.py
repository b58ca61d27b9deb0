"""What a large file costs: what is kept of it, never its text."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from imports import write_vllm

from loadcell.interop import document, rows
from loadcell.interop.door import import_run
from loadcell.interop.read import read_runs


def peak_of(do: Callable[[], object]) -> int:
    """Bytes that Python and numpy had at the most, beyond those before."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_document_costs_what_is_kept_of_it(tmp_path: Path, thorough: None) -> None:
    file = tmp_path / "a.json"
    with file.open("w") as out:
        out.write('{"rows": [')
        for number in range(30_000):
            out.write(f'{", " if number else ""}{{"id": {number}, "text": "{"x" * 200}", "at": [0.1, 0.2, 0.3]}}')
        out.write("]}")
    size = file.stat().st_size
    assert size > 6 * document.BLOCK
    ids = peak_of(lambda: document.load(file, each={"rows.*": lambda row: row["id"]}))
    none = peak_of(lambda: document.load(file, without=["rows"]))
    each = peak_of(lambda: [0 for _ in document.documents(file, without=["rows.*"])])
    assert max(ids, none, each) < 5 * document.BLOCK
    assert peak_of(lambda: json.loads(file.read_bytes())) > 2 * size


@pytest.mark.parametrize("packed", [False, True])
def test_requests_of_a_large_file_are_never_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, thorough: None
) -> None:
    monkeypatch.setattr(rows, "_EVENTS_A_PART", 20_000)
    file = tmp_path / "a.json"
    write_vllm(file, 3_000, 200)
    size = file.stat().st_size
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes(), 1))
    (tmp_path / "out").mkdir()

    def do(file: Path = file) -> None:
        (run,) = read_runs(file)
        import_run(run, tmp_path / "out")

    write_vllm(tmp_path / "small.json", 2, 2)
    do(tmp_path / "small.json")  # what is loaded once stays
    assert size > 12e6
    assert peak_of(do) < 0.8 * size
    assert len(list((tmp_path / "out").glob("chunks-*"))) >= 30

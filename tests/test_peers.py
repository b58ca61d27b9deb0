"""How the benchmark `peers` gets the Rust client, and what it makes of its readings."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import peers
import pytest
import vllm_rs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks bind processes to cores")

EXACT = [(metric, percent) for metric in ("ttft", "itl", "e2e") for percent in (50, 90, 99)]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: None) -> Path:
    """A folder that pip takes for the only index, and nothing kept of an earlier fetch."""
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path)), ("PIP_CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(vllm_rs, "_KEPT", tmp_path / "kept")
    return tmp_path


def wheel(index: Path, file: str) -> None:
    info = "vllm-0.33.0.dist-info"
    with zipfile.ZipFile(index / "vllm-0.33.0-py3-none-any.whl", "w") as packed:
        packed.writestr(file, "#!/bin/sh\n")
        packed.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: vllm\nVersion: 0.33.0\n")
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")


def test_the_client_is_one_file_of_the_wheel_and_is_kept(index: Path) -> None:
    wheel(index, "vllm/vllm-rs")
    assert vllm_rs.fetch() is None
    (index / "vllm-0.33.0-py3-none-any.whl").unlink()
    assert vllm_rs.fetch() is None
    client = index / "kept" / "vllm-rs"
    assert client.stat().st_mode & 0o111
    assert vllm_rs.command("http://x", 2, 4, 8, index)[:3] == [str(client), "bench", "serve"]


def test_why_there_is_no_client_is_told(index: Path) -> None:
    assert "No matching distribution found for vllm==0.33.0" in vllm_rs.fetch()
    wheel(index, "vllm/other")
    assert "there is no vllm/vllm-rs in vllm-0.33.0" in vllm_rs.fetch()


def readings(offs: list[float], rust: bool) -> peers.Readings:
    """Two turns of ours a round: 2 and 4 µs beside 6 of Rust's and 1 of the floor's; then all ten times as slow."""
    return peers.Readings(
        ours=[2.0, 4.0, 20.0, 40.0], worker=[1.0, 2.0, 10.0, 20.0], rust=[6.0, 60.0] if rust else [], floor=[1.0, 10.0],
        truth=[dict.fromkeys(EXACT, (100 + off, 100.0)) for off in offs],
    )  # fmt: skip


def load(**more: object) -> peers.Load:
    return peers.Load(8, 100, 20, 24, peers.Bar(0.005, 0.1), 0.9, turns=("ours", "Rust", "C floor", "ours"), **more)


@pytest.mark.parametrize(("bar", "met"), [(0.5, True), (0.49, False), (None, None)])
def test_ratios_are_of_rounds(bar: float | None, met: bool | None) -> None:
    (row,) = peers._costs({load(ratio=bar): readings([], rust=True)}, None).rows
    assert (row.cells[-2:], row.met) == (("0.50", "0.50 to 0.50"), met)
    (row,) = peers._workers({load(floor=bar): readings([], rust=True)}).rows
    assert (row.cells[-2:], row.met) == (("1.50", "1.50 to 1.50"), False if bar else None)


def test_without_the_rust_client_its_column_is_empty_and_says_why() -> None:
    table = peers._costs({load(ratio=1.0): readings([], rust=False)}, "no index")
    assert (table.rows[0].cells[3], table.rows[0].cells[5], table.rows[0].met) == ("", "", None)
    assert table.notes[-1] == "No Rust client: no index."


@pytest.mark.parametrize(("wrong", "met"), [(1, True), (2, False)])
def test_rounds_inside_are_counted_over_all_loads_of_a_name(wrong: int, met: bool) -> None:
    offs = [0.6] * wrong + [0.4] * (10 - wrong)
    found = {load(): readings(offs[:5], rust=False), load(tokens=600): readings(offs[5:], rust=False)}
    last = peers._truths(found).rows[-1]
    assert (last.cells[1], last.bar, last.met) == (f"inside: {10 - wrong} of 10", "<= 0.5% or 0.1 ms in >= 9", met)

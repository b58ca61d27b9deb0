"""Charts as files: whole or absent, without a network, with a word on what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import pytest

from loadcell.errors import LoadcellError
from loadcell.report.charts import Chart, write_images
from loadcell.report.words import words_for

SPEC = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "width": 640,
    "height": 80,
    "data": {"values": [{"x": 1234.5, "y": 1}, {"x": 9876.5, "y": 2}]},
    "mark": {"type": "line", "style": "one"},
    "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
}


def made_charts() -> list[Chart]:
    drawn = Chart(name="drawn", title="A <chart> & more", says="", alt="a line", spec=SPEC)
    return [drawn, Chart(name="absent", title="", says="", alt="", spec=None, missing="nothing there")]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_file_for_every_chart_that_can_be_drawn(tmp_path: Path, kind: Literal["png", "svg"]) -> None:
    folder = tmp_path / "new" / "images"
    assert write_images(made_charts(), folder, kind) == [folder / f"drawn.{kind}"]
    assert [path.name for path in folder.iterdir()] == [f"drawn.{kind}"]


def test_a_png_has_twice_the_pixels(tmp_path: Path) -> None:
    (path,) = write_images(made_charts(), tmp_path, "png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") > 2 * 640


def test_an_svg_carries_its_title_as_text(tmp_path: Path) -> None:
    (path,) = write_images(made_charts(), tmp_path, "svg")
    texts = [node.text for node in ElementTree.parse(path).iter() if node.tag.endswith("text")]
    assert "A <chart> & more" in texts


def test_numbers_are_written_as_in_the_language(tmp_path: Path) -> None:
    (path,) = write_images(made_charts(), tmp_path, "svg", words_for("en"))
    assert "2,000" in path.read_text()


def test_the_same_chart_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (write_images(made_charts(), tmp_path / name, "png")[0].read_bytes() for name in ("a", "b"))
    assert first == second


def test_nothing_is_fetched(tmp_path: Path) -> None:
    away = Chart(name="away", title="", says="", alt="", spec=SPEC | {"data": {"url": "http://127.0.0.1:9/data.json"}})
    with pytest.raises(ValueError, match="not allowed"):
        write_images([away], tmp_path, "svg")


def test_without_vl_convert_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(LoadcellError, match=r"pip install 'loadcell\[images\]'"):
        write_images(made_charts(), tmp_path, "png")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(LoadcellError, match="cannot write"):
        write_images(made_charts(), taken, "png")


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LoadcellError, match="No space left"):
        write_images(made_charts(), tmp_path, "svg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("processes")
def test_the_converter_is_imported_late() -> None:
    import subprocess

    code = "import sys, loadcell.report.charts; assert 'vl_convert' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

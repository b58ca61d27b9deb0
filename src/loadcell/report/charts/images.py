"""Charts as PNG and SVG files, without a browser and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from loadcell.errors import LoadcellError
from loadcell.report.charts.model import Chart, Spec
from loadcell.report.charts.theme import COLOURS, config
from loadcell.report.files import draft_of
from loadcell.report.words import Words

_SCALE = 2.0
"""Pixels of a PNG for each of a chart's."""


def write_images(
    charts: Sequence[Chart], folder: Path, kind: Literal["png", "svg"], words: Words | None = None
) -> list[Path]:
    """Write NAME.png or NAME.svg into `folder` for every chart that can be drawn; return the files.

    On white, in the light theme; `words` gives the marks of numbers on the axes. Each file is complete or absent.
    LoadcellError without vl-convert (extra `images`), or where the folder cannot be written.
    """
    convert = _converter()
    written = []
    for chart in charts:
        if chart.spec is None:
            continue
        path = folder / f"{chart.name}.{kind}"
        picture = _drawn(convert, chart, kind, words)
        with draft_of(path) as draft:
            draft.write_bytes(picture)
        written.append(path)
    return written


def _converter() -> ModuleType:
    try:
        import vl_convert
    except ImportError as error:
        raise LoadcellError(
            "images need vl-convert, which is not installed: pip install 'loadcell[images]'; "
            "the HTML report has the same charts without it"
        ) from error
    module: ModuleType = vl_convert
    return module


def _drawn(convert: ModuleType, chart: Chart, kind: str, words: Words | None) -> bytes:
    """The picture; no data of a chart lies elsewhere, and none may be fetched."""
    look: dict[str, Any] = {"config": _look(), "allowed_base_urls": []}
    if words is not None:
        look["format_locale"] = words.vega_locale()
    spec = _titled(chart)
    if kind == "png":
        picture: bytes = convert.vegalite_to_png(spec, scale=_SCALE, **look)
        return picture
    text: str = convert.vegalite_to_svg(spec, **look)
    return text.encode()


def _look() -> dict[str, Any]:
    light = config(dark=False)
    return light | {"background": COLOURS["light"]["paper"], "padding": 16}


def _titled(chart: Chart) -> Spec:
    """A picture stands alone, so it carries its title; the overview has its own."""
    assert chart.spec is not None
    if chart.name == "overview":
        return chart.spec
    title = {"text": chart.title, "anchor": "start", "fontSize": 16, "offset": 18}
    return {**chart.spec, "title": title}

"""A Result that shows itself: as text where it is printed, as a page in a notebook."""

from __future__ import annotations

import html
import io
from pathlib import Path

from rich.console import Console

from loadcell.metrics import Result
from loadcell.report.run import print_short
from loadcell.report.words import Words

_COLUMNS = 100
_PARTS = ("summary", "latency", "course", "audit", "errors", "notes", "method")
_FRAME = '<iframe srcdoc="{}" style="width: 100%; height: 720px; border: 0" title="Loadcell"></iframe>'


class ShownResult(Result, frozen=True, kw_only=True, dict=True):
    """What `loadcell.run` returns: a Result, and the folder of its recording."""

    @property
    def folder(self) -> Path:
        """Where the run is recorded: `loadcell report`, `query` and `compare` take it."""
        found: Path = self.__dict__["folder"]
        return found

    def __repr__(self) -> str:
        """What `loadcell run` prints."""
        text = io.StringIO()
        print_short(self, Console(file=text, width=_COLUMNS, color_system=None), self.folder)
        return text.getvalue().strip("\n")

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """The page of the run without its charts, in a frame, so that neither changes the other's looks."""
        from loadcell.report.render.page import page
        from loadcell.report.view.run_sections import run_view

        words = Words("en")
        view = run_view(self, None, words, str(self.folder), frozenset())
        return _FRAME.format(html.escape(page(view, _PARTS, (), words, draws=False)))


def shown(result: Result, folder: Path) -> ShownResult:
    """The Result of the recording in `folder` as one that shows itself."""
    found = ShownResult(**{name: getattr(result, name) for name in result.__struct_fields__})
    found.__dict__["folder"] = folder
    return found

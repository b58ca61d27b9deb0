"""Self-contained pages of a run or a sweep."""

from loadcell.report.page.run import run_page
from loadcell.report.page.sweep import sweep_page

__all__ = ["run_page", "sweep_page"]

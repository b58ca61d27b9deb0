"""Self-contained pages of a run, a sweep or a comparison."""

from loadcell.report.page.comparison import comparison_page
from loadcell.report.page.run import run_page
from loadcell.report.page.sweep import sweep_page

__all__ = ["comparison_page", "run_page", "sweep_page"]

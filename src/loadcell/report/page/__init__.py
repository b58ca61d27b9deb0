"""The self-contained page of a sweep."""

from loadcell.report.page.sweep import sweep_page

__all__ = ["sweep_page"]

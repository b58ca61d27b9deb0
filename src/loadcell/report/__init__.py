"""A Result as people look at it: on the console, as JSON and as CSV."""

from loadcell.report.console import print_result, render
from loadcell.report.tables import to_csv, to_json

__all__ = ["print_result", "render", "to_csv", "to_json"]

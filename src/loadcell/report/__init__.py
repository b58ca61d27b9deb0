"""A Result, or several together, as people look at it: on the console, as JSON and as CSV."""

from loadcell.report.console import print_result, render
from loadcell.report.repeat import print_repeats, run_line
from loadcell.report.short import print_short
from loadcell.report.tables import to_csv, to_json

__all__ = ["print_repeats", "print_result", "print_short", "render", "run_line", "to_csv", "to_json"]

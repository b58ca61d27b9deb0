"""A Result, or several together, as people look at it: on the console, as JSON and as CSV."""

from loadcell.report.repeat import print_repeats, run_line
from loadcell.report.tables import to_csv, to_json

__all__ = ["print_repeats", "run_line", "to_csv", "to_json"]

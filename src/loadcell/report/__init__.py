"""A Result, or several together, as people and programs read it."""

from loadcell.report.tables import to_csv, to_json

__all__ = ["to_csv", "to_json"]

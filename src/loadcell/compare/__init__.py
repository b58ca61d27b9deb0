"""Runs against each other: whether they may be compared, what differs, and how sure that is."""

from loadcell.compare.build import InvalidSideError, compare, exit_code
from loadcell.compare.gates import Bound, parse_gate
from loadcell.compare.measures import MEASURES
from loadcell.compare.model import Change, Comparison, Floor, Gate, Noise, Pair, Side, comparison_schema

__all__ = [
    "MEASURES",
    "Bound",
    "Change",
    "Comparison",
    "Floor",
    "Gate",
    "InvalidSideError",
    "Noise",
    "Pair",
    "Side",
    "compare",
    "comparison_schema",
    "exit_code",
    "parse_gate",
]

"""Runs against each other: whether they may be compared, what differs, and how sure that is."""

from loadcell.compare.build import compare, compare_sides, exit_code, open_sides
from loadcell.compare.duel import DUEL, DuelPlan, compare_duel
from loadcell.compare.gates import parse_gate
from loadcell.compare.measures import MEASURES
from loadcell.compare.model import Change, Comparison, Pair, comparison_schema
from loadcell.compare.sides import Opened, read_result

__all__ = [
    "DUEL",
    "MEASURES",
    "Change",
    "Comparison",
    "DuelPlan",
    "Opened",
    "Pair",
    "compare",
    "compare_duel",
    "compare_sides",
    "comparison_schema",
    "exit_code",
    "open_sides",
    "parse_gate",
    "read_result",
]

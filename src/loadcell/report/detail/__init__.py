"""What the figures of a Result leave out: distributions and the course of a run, small enough to draw."""

from loadcell.report.detail.build import build_both, build_detail
from loadcell.report.detail.model import (
    Course,
    Detail,
    Dots,
    Ecdf,
    Level,
    Part,
    Stall,
    Stalls,
    Timeline,
)

__all__ = [
    "Course",
    "Detail",
    "Dots",
    "Ecdf",
    "Level",
    "Part",
    "Stall",
    "Stalls",
    "Timeline",
    "build_both",
    "build_detail",
]

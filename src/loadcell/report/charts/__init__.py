"""Charts in Vega-Lite, of a run, a sweep or a comparison: the same in a page and as images."""

from loadcell.report.charts.model import Chart, Spec

__all__ = ["Chart", "Spec"]

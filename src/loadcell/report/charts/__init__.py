"""Charts in Vega-Lite, of a run, a sweep or a comparison: the same in a page and as images."""

from loadcell.report.charts.comparison import comparison_charts
from loadcell.report.charts.images import write_images
from loadcell.report.charts.model import Chart
from loadcell.report.charts.overview import overview_chart
from loadcell.report.charts.run import run_charts
from loadcell.report.charts.sweep import sweep_charts

__all__ = ["Chart", "comparison_charts", "overview_chart", "run_charts", "sweep_charts", "write_images"]

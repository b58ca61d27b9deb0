"""A grader that cannot grade: a library or data is not there, or it is switched off. Never a pass."""

from __future__ import annotations


class Unavailable(Exception):
    """A metric cannot be computed; `what` is missing, and `advice` says what to do about it."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} is missing")
        self.what = what
        self.advice = advice

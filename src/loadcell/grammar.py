"""The plural of one: sentences say "{n} requests", and read "1 request" where that is how many there are."""

from __future__ import annotations

import re
from functools import cache

_NOUNS = (
    "accelerators|arrivals|bursts|bytes|cells|chunks|columns|connections|conversations|cores|couples|days|descriptors|digits|"
    "documents|inputs|"
    "entries|errors|events|failures|fields|files|findings|folders|frames|gaps|hashes|images|kinds|lines|loads|looks|models|"
    "names|nodes|notes|others|pages|pairs|parts|peers|points|ports|problems|processes|prompts|queries|rankings|"
    "readings|reads|recordings|replies|requests|results|rows|runs|samples|schedules|sends|servers|sources|stages|"
    "stalls|statements|steps|streams|submitters|subsets|systems|tests|threads|times|tokens|turns|users|values|words|"
    "workers|GPUs"
)
_ODD = {"replies": "reply", "queries": "query", "entries": "entry", "processes": "process", "hashes": "hash",
        "others": "other"}  # fmt: skip
_BETWEEN = "planned|ok|other|more|further|output|input|prompt|received|failed|whole|different|new|small|open"
_REGULAR = ("keep", "lie", "need", "end", "lack", "fail", "differ", "repeat", "wait", "hold", "say", "tell", "take")
_VERBS = {"were": "was", "are": "is", "have": "has", "do": "does"} | {verb: f"{verb}s" for verb in _REGULAR}
_AFTER_OF = re.compile(r"\bof $")


def one(text: str) -> str:
    """The text with the singular wherever it counts one of something, and the verb that goes with it."""
    return _ones().sub(_singular, text) if "1 " in text else text


@cache
def _ones() -> re.Pattern[str]:
    """What counts one of something; made when it is wanted, which takes 4 ms."""
    return re.compile(rf"(?<![\w.,/+-])1 ((?:(?:{_BETWEEN}) )*)({_NOUNS})\b(?!/)( (?:{'|'.join(_VERBS)})\b)?", re.ASCII)


def _singular(found: re.Match[str]) -> str:
    noun = _ODD.get(found[2], found[2].removesuffix("s"))
    verb = found[3] or ""
    if not _AFTER_OF.search(found.string, 0, found.start()):  # "3 of 1 requests were": the verb is of the three
        verb = verb and f" {_VERBS[verb[1:]]}"
    return f"1 {found[1]}{noun}{verb}"

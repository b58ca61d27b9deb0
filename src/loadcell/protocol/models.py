"""The models that a server lists, in whatever form it lists them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from loadcell.protocol.values import NOT_JSON

_LISTS = ("data", "models", "items", "results")
_NAMES = ("id", "name", "model", "model_name", "model_id")
_FACTS = ("type", "task", "pipeline_tag", "model_type", "capabilities", "modality", "endpoints")
"""Fields in which servers say what a model is for."""
_GENERATES = re.compile(r"chat|complet|generat|\bllm\b|\bvlm\b|\btext2text\b")
_OTHER = re.compile(
    r"embed|rerank|cross-encoder|feature-extraction|sentence-similarity|text-classification|moderation|transcri"
    r"|whisper|speech|\btts|\basr\b|text-to-image|image-generation|dall-e|stable-diffusion|(^|[/_-])(bge|gte|e5)-"
)
"""What embeds, ranks, classifies, hears, speaks or paints."""


def listed_models(payload: bytes, first: Callable[[str, Any], bool] | None = None) -> list[str] | None:
    """Names of the models in a server's list, those before the others that are for what is asked, as far as it tells:
    that generate text, unless `first` says otherwise of a name and what stands with it. None: no list."""
    try:
        told: Any = msgspec.json.decode(payload)
    except NOT_JSON:
        return None
    if isinstance(told, dict):
        lists = [told[key] or [] for key in _LISTS if key in told]
        told = next(filter(None, lists), lists[0] if lists else None)
    if isinstance(told, dict) and all(isinstance(facts, dict) for facts in told.values()):
        told = [facts | {"id": name} for name, facts in told.items()]
    if not isinstance(told, list):
        return None
    found = [(name, one) for one in told if (name := _name(one))]
    if told and not found:
        return None
    return [name for name, _ in sorted(found, key=lambda pair: not (first or _generates)(*pair))]


def listed_for(pattern: str) -> Callable[[bytes], list[str] | None]:
    """`Dialect.listed` of models whose name, or what their server says of them, holds the pattern."""
    words = re.compile(pattern)

    def fits(name: str, one: Any) -> bool:
        return words.search(_said(one)) is not None or words.search(name.lower()) is not None

    return partial(listed_models, first=fits)


def listed_alone(page: bytes) -> list[str] | None:
    """`Dialect.listed` of a server that has one model, by what it tells of itself (`/info` of TGI and TEI)."""
    try:
        told: Any = msgspec.json.decode(page)
    except NOT_JSON:
        return None
    name = told.get("model_id") if isinstance(told, dict) else None
    return [name] if isinstance(name, str) and name else None


def _said(one: Any) -> str:
    """What a server says of what a model is for."""
    facts = [one[key] for key in _FACTS if one.get(key)] if isinstance(one, dict) else []
    return " ".join(" ".join(_words(fact)) for fact in facts).lower()


def _name(one: Any) -> str:
    named = next((one[key] for key in _NAMES if one.get(key)), "") if isinstance(one, dict) else one
    return named if isinstance(named, str) else ""


def _generates(name: str, one: Any) -> bool:
    """Whether a model is for text out: by what its server says of it, else by its name."""
    said = _said(one)
    if _GENERATES.search(said):
        return True
    return not _OTHER.search(said) and not _OTHER.search(name.lower())


def _words(fact: Any) -> list[str]:
    """The words of a fact: a text, a list of them, or an object whose values say yes or no."""
    if isinstance(fact, Mapping):
        return [str(key) for key, value in fact.items() if value]
    return [str(word) for word in fact] if isinstance(fact, list) else [str(fact)]

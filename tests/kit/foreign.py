"""Files of other tools for tests of their readers, and what must hold of whatever a reader makes of one."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

from loadcell.interop.model import Request, Run
from loadcell.interop.read import TOOLS
from loadcell.metrics.glossary import FIELDS, GLOSSARY

PEERS = Path(__file__).parents[1] / "data" / "peers"
_EPSILON_S = 1e-9
_OURS = {FIELDS.get(name, name) for name in GLOSSARY} | {"total_tokens_per_s"}


def of_its_types(run: Run) -> None:
    """What a run tells of itself is text, whole, or finite, as it should be."""
    for name in ("version", "api", "url", "model", "tokenizer", "input_tokens", "output_tokens", "arrivals"):
        assert isinstance(getattr(run, name), str | None), name
    for name in ("concurrency", "requests", "planned", "ok", "failed", "cancelled", "seed"):
        assert type(getattr(run, name)) in (int, type(None)), name
    for name in ("rate", "duration_s", "window_s"):
        value = getattr(run, name)
        assert value is None or math.isfinite(value), name
    assert isinstance(run.stream, bool | None)


def requests_of(run: Run) -> list[Request]:
    """Its requests; they are the same each time they are asked for."""
    assert run.details is not None
    found = list(run.details())
    assert found == list(run.details())
    return found


def sound(run: Run) -> Run:
    """What holds of every run: known names, figures once each and finite, times in order."""
    of_its_types(run)
    assert run.tool in TOOLS
    assert run.files
    assert all(file.is_file() for file in run.files)
    keys = [told.key for told in run.told]
    assert len(keys) == len(set(keys))
    assert all(told.metric is None or told.metric in _OURS for told in run.told)
    mapped = [(told.metric, told.stat) for told in run.told if told.metric is not None]
    assert len(mapped) == len(set(mapped))
    assert all(told.value is None or math.isfinite(told.value) for told in run.told)
    fields = [missing.field for missing in run.missing]
    assert len(fields) == len(set(fields))
    if run.details is None:
        assert "requests" in fields
    else:
        for request in requests_of(run):
            in_order(request, placed=run.placed)
    return run


def in_order(request: Request, *, placed: bool) -> None:
    """The stamps of a request follow each other, and its chunks begin and end with its first and last."""
    assert placed == (request.sent_s is not None)
    stamps = [request.sent_s if placed else 0.0, request.first_s, request.last_s, request.end_s]
    there = [stamp for stamp in stamps if stamp is not None]
    assert all(after >= before - _EPSILON_S for before, after in pairwise(there)), request
    assert all(math.isfinite(stamp) for stamp in there)
    if request.chunks_s is not None:
        assert len(request.chunks_s) > 0
        assert (request.chunks_s[0], request.chunks_s[-1]) == (request.first_s, request.last_s)
    if request.chunk_tokens is not None:
        assert request.chunks_s is not None
        assert len(request.chunk_tokens) == len(request.chunks_s)
    assert request.status in ("ok", "failed", "cancelled")
    assert (request.error_kind is not None) == (request.status == "failed")


def value_of(run: Run, metric: str, stat: str | None = None) -> float:
    """The figure that the tool told; there is one."""
    (found,) = [told.value for told in run.told if (told.metric, told.stat) == (metric, stat)]
    assert found is not None
    return found

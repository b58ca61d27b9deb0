"""What two results must share to be compared: a table of the methodology's fields and what a difference means.

A difference either forbids a comparison (the figures would mean different things) or calls for care (it may be the
cause of what is seen, or the very thing that is compared). What is not in the table does not matter: host name, run id,
paths, start time, length of the run, timeouts, and the endpoint's URL, which is the thing that is compared.

The fingerprint hashes the fields that say what was asked of the server and how: the loop and its load, the API, the
form of the replies, times and lengths (by the schedule's hash), the file of prompts (by its own). Equal fingerprints:
the same workload; the texts of synthetic prompts differ by salt and repetition, and do not matter. The model is left
out, and so is all that is found only while the run lasts (clock, versions, cache), because a fingerprint is of the
question, not of the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Literal, NamedTuple

import msgspec

from loadcell.api_template import Template
from loadcell.metrics.definitions import ASPECTS, DEFINITIONS, OURS
from loadcell.metrics.imported import UNKNOWN, placed, untold
from loadcell.metrics.model import NamedScenario, Result
from loadcell.phrases import joined, phrase
from loadcell.spec import Spec

Weight = Literal["forbid", "care"]


class Field(NamedTuple):
    """One field of the methodology."""

    title: str
    path: str
    """Where it stands in the tree that `_tree` makes."""
    weight: Weight
    hashed: bool = False
    repeats: bool = False
    """May differ between repeats of the same thing."""
    words: Mapping[Any, str] = {}
    """What to call its values, as in "A is an open loop, B a closed one"."""


_LOOP = {"open": "an open loop", "closed": "a closed loop"}
_STREAM = {True: "streamed", False: "not streamed"}

FIELDS = (
    Field("loop", "loop", "forbid", words=_LOOP),
    Field("stream", "spec.endpoint.stream", "forbid", hashed=True, words=_STREAM),
    Field("API", "spec.endpoint.api", "forbid", hashed=True),
    Field("prompts", "prompts", "forbid"),
    Field("trace", "trace", "forbid"),
    Field("replay of the trace", "replay", "care"),
    Field("column of the prompts", "spec.workload.prompt_column", "forbid"),
    Field("fields left out of the prompts", "spec.workload.ignore_fields", "forbid"),
    Field("columns sent with the prompts", "spec.workload.send_fields", "forbid"),
    Field("what is done with prompts that are too long", "spec.workload.too_long", "care"),
    Field("broken rows left out", "spec.workload.skip_bad", "care"),
    Field("input lengths", "spec.workload.input_tokens", "forbid", hashed=True),
    Field("output lengths", "spec.workload.output_tokens", "forbid", hashed=True),
    Field("lengths in pairs", "spec.workload.lengths", "forbid"),
    Field("order of the lengths", "spec.workload.lengths_order", "care"),
    Field("scenario", "scenario", "care"),
    Field("users who give up or read slowly", "spec.behaviour", "forbid"),
    Field("inputs a request", "spec.workload.inputs", "forbid"),
    Field("query lengths", "spec.workload.query_tokens", "forbid"),
    Field("images and audio", "spec.media", "forbid"),
    Field("sessions", "spec.sessions", "forbid"),
    Field("beginnings that prompts share", "spec.prefix", "forbid"),
    Field("state of the prefix cache", "spec.load.cache", "forbid"),
    Field("agents", "spec.agent", "forbid"),
    Field("clock", "clock", "forbid"),
    Field("HTTP", "spec.endpoint.http", "care"),
    Field("form of the hot path", "core", "care"),
    Field("definition of a percentile", "percentile", "forbid"),
    Field("model", "effective.model", "care"),
    Field("requests/s", "spec.load.rate", "care", hashed=True),
    Field("concurrency", "spec.load.concurrency", "care", hashed=True),
    Field("arrivals", "spec.load.arrivals", "care", hashed=True),
    Field("series of rates", "spec.load.rate_series", "care"),
    Field("ramp asked for (s)", "spec.load.ramp_s", "care", hashed=True),
    Field("load kept on to the last reply", "effective.keep_load", "care"),
    Field("seed", "spec.run.seed", "care", hashed=True, repeats=True),
    Field("tokenizer", "tokenizer", "care", hashed=True),
    Field("prompts counted by", "prompts_counted_by", "care"),
    Field("end of sequence ignored", "effective.ignore_eos", "care", hashed=True),
    Field("extra body fields", "spec.endpoint.extra_body", "care", hashed=True),
    Field("source of the token counts", "token_sources", "care"),
    Field("SLO", "spec.slo", "care"),
    Field("shares of endpoints and models", "shares", "care"),
    Field("window", "window_method", "care", repeats=True),
    Field("definition of an interval", "interval", "care", repeats=True),
    Field("connections reused", "effective.reuse_connections", "care"),
    Field("proxy", "effective.proxy", "care"),
    Field("client's CPU", "environment.cpu", "care"),
    Field("client's cores", "environment.cores_allowed", "care"),
    Field("client's system", "environment.system", "care"),
    Field("where the server runs", "server_place", "care"),
    Field("workers", "workers", "care"),
    Field("loadcell", "recorded_by", "care"),
)

_HASHED_WHERE_ASKED = ("spec.workload.ignore_fields", "spec.workload.send_fields", "spec.workload.skip_bad")
"""Part of a fingerprint where they were asked for: what is sent of a file follows from them."""
_CACHED_APART = 0.05
"""Cached shares of the prompts further apart than this are a difference."""
_INTENDED_APART = 0.02
"""And intended shares, which the number of requests moves a little: the first of a group finds nothing."""
_LENGTHS_APART = 0.05
"""The same for prompt tokens by the server over those planned."""
_UNKNOWN = object()


class Difference(NamedTuple):
    """One field in which two results differ."""

    field: str
    weight: Weight
    says: str
    repeats: bool
    """Repeats of the same thing may differ in it."""


def fingerprint(spec: Spec, effective: dict[str, Any], schedule_hash: str) -> str:
    """SHA-256 of the workload as asked; equal for equal workloads (see the head of this module)."""
    tokenizer = effective.get("tokenizer", _UNKNOWN)
    tree = {"spec": _plain_spec(spec), "effective": effective, "tokenizer": tokenizer}
    asked = {field.path: _known(_at(tree, field.path)) for field in FIELDS if field.hashed}
    asked |= {"schedule": schedule_hash, "prompts": effective.get("prompts_sha256")}
    asked |= {"agent": agents} if (agents := tree["spec"]["agent"]) else {}
    asked |= {"sessions": talks} if (talks := tree["spec"]["sessions"]) else {}  # else as before there were any
    asked |= {path: value for path in _HASHED_WHERE_ASKED if (value := _at(tree, path))}
    if spec.prefix.any:  # said by the system or by the user: the schedule is the same
        asked["prefix"] = msgspec.to_builtins(spec.prefix)
    if spec.load.cache != "as-is":
        asked["cache"] = spec.load.cache
    if (trace := _trace_sha256(effective)) is not None:  # not there for others, whose hash stays what it was
        asked["trace"] = trace
    if spec.workload.scenario is not None:  # who asked for none has the fingerprint of before
        asked["scenario"] = spec.workload.scenario
    if spec.behaviour.any:
        asked["behaviour"] = msgspec.to_builtins(spec.behaviour)
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(a: Result, b: Result, names: tuple[str, str] = ("A", "B")) -> list[Difference]:
    """Every field of the table in which two results differ; those that forbid a comparison first."""
    one, other = _tree(a), _tree(b)
    files = [tree["effective"].get("prompts_sha256") for tree in (one, other)]
    same_file = None not in files and files[0] == files[1]
    traces = [_trace_sha256(tree["effective"]) for tree in (one, other)]
    found = []
    for field in FIELDS:
        values = _at(one, field.path), _at(other, field.path)
        if _UNKNOWN in values or values[0] == values[1] or _untold(field.path, a, b):
            continue
        if field.path == "prompts" and same_file:  # another name for the same prompts
            continue
        if field.path == "trace" and None not in traces and traces[0] == traces[1]:
            continue
        found.append(Difference(field.title, field.weight, _say(field, values, names), field.repeats))
    if one["prompts"] == other["prompts"] and not same_file and None not in files:
        found.append(Difference("schedule", "forbid", phrase("the prompt file has changed"), False))
    if one["trace"] == other["trace"] and None not in traces and traces[0] != traces[1]:
        found.append(Difference("trace", "forbid", phrase("the trace file has changed"), False))
    found += _of_imports(a, b, names)
    found += _unexplained(a, b, found)
    found += _lengths(a, b, names)
    found += _cached(a, b, names)
    return sorted(found, key=lambda difference: difference.weight != "forbid")


_TOLD = frozenset((
    "loop", "stream", "prompts", "model", "tokenizer", "spec.endpoint.stream", "spec.endpoint.api",
    "spec.workload.input_tokens", "spec.workload.output_tokens", "effective.model", "spec.load.rate",
    "spec.load.concurrency", "spec.load.arrivals", "spec.slo", "token_sources", "window_method",
))  # fmt: skip
"""Fields that an import can tell; what stands in others is a default of ours, and nobody's."""


def _untold(path: str, a: Result, b: Result) -> bool:
    """Whether an import on either side does not tell the field."""
    field = path.removeprefix("spec.")
    return any(
        path not in _TOLD
        or (path == "loop" and result.methodology.loop == UNKNOWN)
        or (path == "spec.load.arrivals" and result.methodology.loop != "open")
        or (path == "token_sources" and not result.methodology.token_source)
        or (path == "window_method" and not placed(result.imported))
        or any(untold(result.imported, name) for name in (field, f"workload.{field}", f"endpoint.{field}"))
        for result in (a, b)
        if result.imported is not None
    )


def _of_imports(a: Result, b: Result, names: tuple[str, str]) -> Iterator[Difference]:
    """What must be known where a side was measured by another tool: its definitions, and what nobody knows of it."""
    sides = [(name, result.imported) for name, result in zip(names, (a, b), strict=True)]
    imports = [(name, imported) for name, imported in sides if imported is not None]
    if not imports:
        return
    first, second = (OURS if imported is None else DEFINITIONS.get(imported.tool) for _, imported in sides)
    if first is not None and second is not None:
        for aspect, key in ASPECTS.items():
            one, other = getattr(first, aspect), getattr(second, aspect)
            if one != other:
                yield Difference("definition", "care", phrase(key, names[0], one, names[1], other), False)
    told = [name for name, imported in imports if not imported.details]
    if told and len(imports) + len(told) < 4:  # of two that were told alike, percentiles are alike too
        says = phrase("percentiles of {} are by its tool's own rule, those of the other are nearest ranks", told[0])
        yield Difference("definition", "care", says, False)
    for name, imported in imports:
        lacking = [words for words in _ASKED if any(untold(imported, field) for field in _ASKED[words])]
        says = phrase("whether both were asked the same cannot be told: of {} the prompts are not known", name)
        if lacking:
            says = phrase("{}, nor {}", says, joined(", ", lacking))
        yield Difference("imported", "care", says, True)


_ASKED = {
    phrase("seed"): ("seed", "run.seed"),
    phrase("input lengths"): ("workload.input_tokens",),
    phrase("output lengths"): ("workload.output_tokens",),
    phrase("rate"): ("load.rate",),
    phrase("concurrency"): ("load.concurrency",),
    phrase("whether the loop is open or closed"): ("loop",),
}
"""What two results must have been asked alike, by the fields that tell it."""


def _plain_spec(spec: Spec) -> dict[str, Any]:
    """The Spec as plain sections; an API by a template is what that says, whatever it is called."""
    tree: dict[str, Any] = msgspec.to_builtins(spec)
    if isinstance(api := spec.endpoint.api, Template):
        tree["endpoint"]["api"] = f"template {api.digest[:16]}"
    return tree


def _tree(result: Result) -> dict[str, Any]:
    method = result.methodology
    prompts = method.spec.workload.prompts
    replay = msgspec.to_builtins(method.spec.trace)
    trace = replay.pop("name", None)
    return {
        **msgspec.to_builtins(method),
        "trace": None if trace is None else PurePath(trace).name,
        "replay": replay,
        "spec": _plain_spec(method.spec),
        "core": method.core or _UNKNOWN,
        "prompts": None if prompts is None else prompts if "#" in prompts else PurePath(prompts).name,
        "scenario": _named(method.scenario),
        "prompts_counted_by": _COUNTED_BY.get(method.effective.get("prompts_counted_by", ""), _UNKNOWN),
        "token_sources": sorted(method.token_source),
        "shares": [round(one.share, 6) for one in method.spec.dealt],
        "window_method": result.steady.method,
        "recorded_by": result.run.loadcell,
        "server_place": result.instrument.host.server,
    }


def _trace_sha256(effective: Mapping[str, Any]) -> str | None:
    """Of the file that was replayed; None where none was."""
    trace = effective.get("trace")
    return trace.get("sha256") if isinstance(trace, Mapping) else None


def _named(scenario: NamedScenario | None) -> str | None:
    """The scenario of a run as people call it, and what the run changed of it."""
    if scenario is None:
        return None
    name = f"{scenario.name} v{scenario.version}"
    return phrase("{} (changed: {})", name, ", ".join(scenario.changed)) if scenario.changed else name


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return _UNKNOWN
        tree = tree[key]
    return tree


def _known(value: Any) -> Any:
    return None if value is _UNKNOWN else value


def _say(field: Field, values: tuple[Any, Any], names: tuple[str, str]) -> str:
    if field.words:
        first, second = (field.words.get(value, str(value)) for value in values)
        return phrase(f"{{}} is {first}, {{}} {second}", *names)
    first, second = (_plain(value) for value in values)
    return phrase("{}: {} {}, {} {}", field.title, names[0], first, names[1], second)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={_plain(v)}" for key, v in value.items() if v is not None) or "none"
    if isinstance(value, list):
        return "+".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


_COUNTED_BY = {"server": phrase("the server"), "spec": phrase("the server"), "tokenizer": phrase("the tokenizer")}
"""Whose tokens the planned lengths of synthetic prompts are. A run made again takes the count from its spec."""
_SCHEDULED = (
    "spec.load", "spec.run.seed", "spec.run.repetition", "spec.workload", "spec.trace", "prompts", "loop",
)  # fmt: skip


def _unexplained(a: Result, b: Result, found: list[Difference]) -> list[Difference]:
    """Schedules that differ although nothing that makes them does."""
    if a.methodology.schedule_hash == b.methodology.schedule_hash or any(d.weight == "forbid" for d in found):
        return []
    if a.imported is not None or b.imported is not None:  # the hash is over what its files happen to tell
        return []
    if (a.methodology.bodies_hash is None) != (b.methodology.bodies_hash is None):  # hashes of two forms
        return []
    one, other = _tree(a), _tree(b)
    if any(_at(one, path) != _at(other, path) for path in _SCHEDULED):
        return []
    if one["effective"].get("lengths_sha256") != other["effective"].get("lengths_sha256"):
        return [Difference("schedule", "forbid", phrase("the file of lengths has changed"), False)]
    return [Difference("schedule", "care", phrase("equal settings gave other schedules: loadcell has changed"), False)]


def _lengths(a: Result, b: Result, names: tuple[str, str]) -> list[Difference]:
    ratios = [result.instrument.tokens.prompt_ratio for result in (a, b)]
    if ratios[0] is None or ratios[1] is None or abs(ratios[0] - ratios[1]) <= _LENGTHS_APART:
        return []
    says = phrase(
        "prompt tokens by the server over those planned: {} {:.0%}, {} {:.0%}", names[0], ratios[0], names[1], ratios[1]
    )
    return [Difference("prompt tokens", "care", says, False)]


def _cached(a: Result, b: Result, names: tuple[str, str]) -> list[Difference]:
    intended = [None if result.cache is None else result.cache.intended_share for result in (a, b)]
    if None not in intended and abs((intended[0] or 0.0) - (intended[1] or 0.0)) > _INTENDED_APART:
        says = phrase("input tokens shared by plan: {} {:.1%}, {} {:.1%}", names[0], intended[0], names[1], intended[1])
        return [Difference("cache", "care", says, False)]
    shares = [result.instrument.tokens.cached_share for result in (a, b)]
    if shares[0] is None or shares[1] is None or abs(shares[0] - shares[1]) <= _CACHED_APART:
        return []
    says = phrase(
        "prompt tokens from the server's cache: {} {:.0%}, {} {:.0%}", names[0], shares[0], names[1], shares[1]
    )
    return [Difference("cache", "care", says, False)]

"""Spans of OpenTelemetry with gen_ai attributes: calls of models, who belongs to whom, and what they repeat.

Documents with `spans`, each of which has its attributes as an object, and what the OTLP/JSON exporters of collectors
write (`resourceSpans`), a document or one a line. Spans that are no calls of a model are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces.calls import Call, draft_of, messages_of
from loadcell.traces.files import Asked, Source, document
from loadcell.traces.model import Change
from loadcell.traces.settle import Draft
from loadcell.traces.table import date_s, number, read_objects

_OPERATIONS = ("chat", "text_completion", "generate_content")
_IN = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens")
_OUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens")
_SAID = ("gen_ai.input.messages", "gen_ai.prompt", "gen_ai.request.messages")
_HEARD = ("gen_ai.output.messages", "gen_ai.output.text", "gen_ai.completion")
_SYSTEM = "gen_ai.system_instructions"
_SESSIONS = ("gen_ai.conversation.id", "session.id")


def read(source: Source, asked: Asked) -> Draft:
    """Calls at the times at which they began, but for those that failed. UsageError for a file without any."""
    asked.no_unit("otel")
    found, changes = calls(source)
    draft = draft_of(source.name, str(source.path), "otel", found, time="start_time")
    draft.changes = (*changes, *draft.changes)
    return draft


def calls(source: Source) -> tuple[list[Call], tuple[Change, ...]]:
    """The calls of models among the spans of a file, and what was left out."""
    try:
        found = [(span, _call(place, span)) for place, span in _spans(source)]
        mine = [(_failed(span), call) for span, call in found if call is not None]
    except (TypeError, AttributeError) as error:
        raise UsageError(f"{source.path} holds no spans as OpenTelemetry writes them: {error}") from error
    out = [call for failed, call in mine if not failed]
    if not mine:
        raise UsageError(
            f"{source.path} has no call of a model: none of its {len(found):,} spans has gen_ai.operation.name "
            f"({', '.join(_OPERATIONS)}), gen_ai.input.messages or gen_ai.usage"
        )
    if not out:
        raise UsageError(f"{source.path} has no call that went well: all {len(mine):,} failed")
    if len(out) == len(mine):
        return out, ()
    failed = len(mine) - len(out)
    words = phrase("{:,} of {:,} calls of {} failed, and were left out", failed, len(mine), source.name)
    return out, (Change("drop", failed, words),)


def _failed(span: Mapping[str, Any]) -> bool:
    """Whether its status is an error: 2, by its number in OTLP."""
    status = span.get("status")
    code = status.get("code") if isinstance(status, dict) else span.get("status_code")
    return code in (2, "2", "ERROR", "STATUS_CODE_ERROR")


def _spans(source: Source) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Every span, with the line in which it stands, or its number in a document."""
    if source.form == "jsonl":
        objects, places, broken = read_objects(source)
        if broken:
            row, why = next(iter(broken.items()))
            raise UsageError(f"line {places[row]} of {source.path} is broken ({why}): spans belong together, repair it")
    else:
        found = document(source)
        objects, places = (found if isinstance(found, list) else [found]), []
    count = 0
    for row, each in enumerate(objects):
        for span in _of(each):
            count += 1
            yield places[row] if places else count, span


def _of(found: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(found, dict):
        return
    if "resourceSpans" in found:
        for resource in found["resourceSpans"]:
            for scope in resource.get("scopeSpans", ()):
                yield from scope.get("spans", ())
    elif "spans" in found:
        yield from found["spans"]
    else:
        yield found


def _call(place: int, span: Mapping[str, Any]) -> Call | None:
    """A span as a call of a model; None where it is another thing."""
    given = _attributes(span.get("attributes"))
    said, heard = _first(given, _SAID), _first(given, _HEARD)
    operation = given.get("gen_ai.operation.name")
    if operation not in (None, *_OPERATIONS) or (said is None and _first(given, (*_IN, *_OUT)) is None):
        return None
    names = [f"{key}={given[key]}" for key in given if key in _SESSIONS or key.endswith(".session.id")]
    trace = span.get("trace_id") or span.get("traceId")
    return Call(
        line=place,
        start_s=_time(span, "start_time", "startTimeUnixNano"),
        end_s=_time(span, "end_time", "endTimeUnixNano"),
        input_tokens=number(_first(given, _IN)),
        output_tokens=number(_first(given, _OUT)),
        messages=[*messages_of(given.get(_SYSTEM)), *messages_of(said)],
        output="\n".join(messages_of(heard)),
        names=tuple(sorted({*names, *([f"trace={trace}"] if trace else [])})),
        id=str(span.get("span_id") or span.get("spanId") or ""),
        parent=str(span.get("parent_span_id") or span.get("parentSpanId") or ""),
    )


def _time(span: Mapping[str, Any], date: str, nanos: str) -> float:
    for key, scale in ((nanos, 1e-9), ("start_time_unix_nano" if "start" in date else "end_time_unix_nano", 1e-9)):
        if key in span:
            return number(span[key]) * scale
    value = span.get(date)
    return date_s(value) if isinstance(value, str) else np.nan


def _attributes(given: Any) -> dict[str, Any]:
    """Attributes as an object, however they are written."""
    if isinstance(given, list):
        return {
            str(each["key"]): _value(each.get("value")) for each in given if isinstance(each, dict) and "key" in each
        }
    return given if isinstance(given, dict) else {}


def _value(value: Any) -> Any:
    """A value of OTLP."""
    if not isinstance(value, dict):
        return value
    for key in ("stringValue", "intValue", "doubleValue", "boolValue"):
        if key in value:
            return value[key]
    if "arrayValue" in value:
        return [_value(each) for each in value["arrayValue"].get("values", ())]
    if "kvlistValue" in value:
        return {each.get("key"): _value(each.get("value")) for each in value["kvlistValue"].get("values", ())}
    return None


def _first(given: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((given[key] for key in keys if given.get(key) is not None), None)

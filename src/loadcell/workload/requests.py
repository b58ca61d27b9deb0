"""A row of a file as a request: what of it is sent, in the form of the API, and how long its reply may be."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, NamedTuple

import msgspec

from loadcell.api_template import Template
from loadcell.apis import CALLABLE, Api, find_api
from loadcell.errors import UsageError, nearest
from loadcell.spec import Spec
from loadcell.workload.fields import (
    ARRIVAL,
    FIELDS,
    NUMBERS,
    OUTPUT,
    TEXT_FIELDS,
    AsIs,
    Fields,
    as_is,
    encoded,
    flat,
    refuse_times,
    settle,
    without_ignored,
)
from loadcell.workload.inputs import FIELDS as INPUT_FIELDS
from loadcell.workload.inputs import Refused, check_url, columns_for, fields_of, input_texts, short
from loadcell.workload.lengths import MAX_TOKENS

_OURS = ("prompt", "messages", "body")
_TEXTS = ("text", "question", "input", "instruction")
_TALKS = ("conversations", "conversation")
PROMPTS = (*_OURS, *_TEXTS, *_TALKS)
"""Columns that may hold what is sent; those of the first line of these go before the others."""
_SYSTEM = ("system", "system_prompt")
_BATCH = ("custom_id", "method", "url")
_BESIDE = (*_SYSTEM, *OUTPUT)
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant",
          "bard": "assistant", "assistant": "assistant", "system": "system", "tool": "tool"}  # fmt: skip
_CALLS = ("tool_calls", "function_call", "arguments", "output")
"""Keys of messages, and of items, that a model reads beside the content."""
_INSTRUCTIONS = ("system", "instructions")
_OF_MESSAGES = ("role", "content", "name", "tool_calls", "tool_call_id", "function_call", "reasoning_content")
_INPUT = "input"
"""In a whole body of the responses API: a text, or items that stand as they are."""


class Request(NamedTuple):
    """What a row asks: `own` holds the fields of its body that are its own, as a JSON object."""

    own: bytes
    output_tokens: int
    """Output tokens that it asks for; 0 where it leaves that to the spec."""
    wanted: tuple[int, int] = (0, 0)
    """Where the API generates nothing: its inputs, and the results that its reply must hold."""


class NothingToSend(UsageError):
    """A conversation in which nobody asks anything."""


class Seen(msgspec.Struct):
    """What was found in the rows and is to be told, each with the number of its rows."""

    unused: Counter[str] = msgspec.field(default_factory=Counter)
    sent: Counter[str] = msgspec.field(default_factory=Counter)
    ignored: Counter[str] = msgspec.field(default_factory=Counter)
    """Keys that were left out, as asked."""
    columns: set[str] = msgspec.field(default_factory=set)
    """All keys that there are, those within a body too."""
    overruled: int = 0
    """Rows whose output length was not asked for, for the run's was."""
    replies: int = 0
    """Rows of which the last reply was left out."""
    silent: int = 0
    """Conversations that were left out, for nobody asks anything in them."""
    uncounted: int = 0
    """Rows with parts that are no text."""


def columns_of(spec: Spec) -> tuple[list[str], list[str]]:
    """The columns that may hold the prompt, and the others that a request can be made of."""
    workload = spec.workload
    named = [*workload.ignore_fields, *workload.send_fields, *ARRIVAL]
    if not workload.generates:
        prompts, others = columns_for(find_api(spec.endpoint.api), workload.prompt_column)
        return prompts, [*others, *named]
    prompt, output = workload.prompt_column, workload.output_column
    others = [*([output] if output else OUTPUT), *PROMPTS, *_SYSTEM, *_BATCH, *FIELDS, *named]
    return [prompt] if prompt else list(PROMPTS), others


def typed(row: Fields, spec: Spec, where: str) -> Fields:
    """A row of CSV with what the text of its cells means, where a text is not what is sent.

    UsageError, which begins with `where`, for a text where there can only be a number, as 0,5 of a spreadsheet.
    """
    if not spec.workload.generates:
        query = find_api(spec.endpoint.api).query
        told = ((key, value, _of_json(value)) for key, value in row.items())
        return {
            key: found if key in INPUT_FIELDS or (key != query and isinstance(found, list | dict)) else value
            for key, value, found in told
        }
    read = FIELDS - set(TEXT_FIELDS) | {
        *OUTPUT, *spec.workload.send_fields, spec.workload.output_column, "body", "messages", *_TALKS
    }  # fmt: skip
    found = {key: _of_json(value) if key in read else value for key, value in row.items()}
    for key in NUMBERS & found.keys() - set(spec.workload.ignore_fields):
        if not isinstance(found[key], int | float | NoneType) or isinstance(found[key], bool):
            raise UsageError(f"{where}: {key} is {short(found[key])}: a number is needed, as in 0.5")
    return found


def request_of(row: Any, where: str, spec: Spec, seen: Seen, raw: bytes | None = None) -> Request:
    """The request of a row; what is told of it goes to `seen`. UsageError begins with `where`.

    `raw` is the JSON that the row was read from: what is sent of it as it is, is sent byte for byte.
    """
    if isinstance(row, dict):
        seen.columns |= row.keys()
        if isinstance(row.get("body"), dict):
            seen.columns |= row["body"].keys()
        row, ignored = without_ignored(row, spec.workload.ignore_fields)
        seen.ignored.update(ignored)
        refuse_times(row, where)
    if not spec.workload.generates:
        return _with_inputs(row, where, spec, seen, raw)
    if isinstance(row, str | list):
        name = "prompt" if isinstance(row, str) else "messages"
        row, known = {name: row}, {} if raw is None else {name: (row, msgspec.Raw(raw.strip()))}
    elif isinstance(row, dict):
        known = as_is(row, raw)
    else:
        raise UsageError(f'{where}: a line must be a JSON object with "prompt" or "messages", found {short(row)}')
    column, output_column = _column(row, where, spec.workload.prompt_column), spec.workload.output_column
    value = row[column]
    if column == "body" or column == spec.workload.prompt_column:  # files of tables may hold JSON as text
        decoded = _of_json(value)
        if isinstance(decoded, dict) or _talks(decoded):
            if isinstance(value, str):
                known[column] = (decoded, msgspec.Raw(value.strip().encode()))
            value = decoded
    whole, dialect, more = isinstance(value, dict), find_api(spec.endpoint.api), spec.workload.send_fields
    used = {column, output_column, *more, *(_BATCH if whole else _BESIDE)}
    if whole:
        if column in known:
            known = as_is(value, known[column][1], dialect.nest) | {key: known[key] for key in more if key in known}
        fields = _of_body(value, row, where, spec) | {key: row[key] for key in more if row.get(key) is not None}
    else:
        fields = {}
        for key in row:
            if key == column:
                _put_prompt(fields, column, value, row, used, where, seen, known)
            elif key in FIELDS or key in more:
                fields[key] = row[key]
    names = (*OUTPUT, dialect.form.max_tokens_field) if whole else OUTPUT
    if output_column is None:
        tokens = _output_tokens(fields if whole else row, where, names)
    else:
        tokens = _output_tokens(row, where, (output_column,))
    for key in names:
        fields.pop(key, None)
    if tokens and not spec.workload.line_output_tokens:
        seen.overruled += 1
        tokens = 0
    seen.unused.update(str(key) for key in row if key not in used and (whole or key not in FIELDS))
    settle(fields, spec, where, whole=whole)
    if dialect.nest and (why := dialect.refused({dialect.nest: fields})) is not None:
        raise Refused(f"{where}: its body {why}")
    own = _in_form(fields, where, spec.endpoint.api)
    seen.sent.update(key for key in own if key not in ("prompt", "messages", _INPUT))
    seen.uncounted += any(map(_no_text, _parts(own)))
    return Request(encoded(own, known), tokens)


def _with_inputs(row: Any, where: str, spec: Spec, seen: Seen, raw: bytes | None) -> Request:
    """The request of a row to an API that generates nothing."""
    dialect, more = find_api(spec.endpoint.api), spec.workload.send_fields
    fields, used = fields_of(row, where, spec.endpoint.api, spec.workload.prompt_column)
    known: AsIs = {}
    if isinstance(row, dict):
        fields |= {key: row[key] for key in more if row.get(key) is not None}
        seen.unused.update(str(key) for key in row if key not in used and key not in more)
        known = as_is(row, raw)
        if "body" in used and "body" in known:
            known |= as_is(row["body"], known["body"][1])
    settle(fields, spec, where, whole=False)
    seen.sent.update(key for key in fields if key not in (dialect.inputs, dialect.query))
    wanted = dialect.wanted({**spec.endpoint.extra_body, **fields})
    return Request(encoded(fields, known), 0, wanted)


def _column(row: Fields, where: str, asked: str | None) -> str:
    """The column that holds what is sent."""
    if asked is not None and row.get(asked) not in (None, ""):
        return asked
    found = f"found {', '.join(map(str, row)) or 'no keys'}"
    if asked is not None:
        raise UsageError(f"{where}: there is no {asked!r} (--prompt-column); {found}{nearest(asked, map(str, row))}")
    there = [name for name in PROMPTS if name in row and row[name] not in (None, "")]
    chosen = [name for name in there if name in _OURS] or there
    if chosen == ["input", "instruction"]:
        return "instruction"
    if len(chosen) > 1:
        raise UsageError(f'{where}: must have either "{chosen[0]}" or "{chosen[1]}": --prompt-column NAME says which')
    if chosen:
        return chosen[0]
    if empty := [name for name in PROMPTS if name in row]:
        raise UsageError(f"{where}: its {empty[0]!r} is empty")
    hint = next((hint for key in row if (hint := nearest(str(key).lower(), PROMPTS))), "")
    raise UsageError(
        f"{where}: nothing to send: it must have one of {', '.join(PROMPTS)}; {found}{hint}; --prompt-column NAME "
        "names another"
    )


def _of_body(body: Fields, row: Fields, where: str, spec: Spec) -> Fields:
    """The fields of a whole request body, as in a line of an OpenAI batch file."""
    check_url(row.get("url"), where, spec.endpoint.api)
    names = [name for name in ("messages", "prompt", _INPUT) if name in body]
    if len(names) != 1 or (names == [_INPUT] and spec.endpoint.api != "responses"):
        raise UsageError(f'{where}: a body must have either "messages" or "prompt"; found {", ".join(map(str, body))}')
    fields = dict(body)
    if "messages" in fields:
        fields["messages"] = _messages(fields["messages"], where, whole=True)
    elif isinstance(fields.get(_INPUT), str):
        fields = {"prompt" if key == _INPUT else key: value for key, value in fields.items()}
    elif _INPUT in fields and not _talks(fields[_INPUT]):
        raise UsageError(f"{where}: its 'input' must be text or a list of items, found {short(fields[_INPUT])}")
    dialect = find_api(spec.endpoint.api)
    if (why := dialect.refused(fields)) is not None:
        raise Refused(f"{where}: its body {why}")
    return flat(fields, dialect.nest)


def _put_prompt(
    fields: Fields, column: str, value: Any, row: Fields, used: set[str | None], where: str, seen: Seen, known: AsIs
) -> None:
    """Put a row's text, token ids or messages into the fields of its body; and into `known` what stands there."""
    system = next((row[key] for key in _SYSTEM if isinstance(row.get(key), str) and row[key]), None)
    first = [{"role": "system", "content": system}] if system else []
    if column in _TALKS and _of_json(value) == []:
        raise NothingToSend(f"{where}: its {column!r} is empty")
    if column in ("messages", *_TALKS) or _talks(value):
        if isinstance(value, str):
            known[column] = (found := _of_json(value), msgspec.Raw(value.strip().encode()))
            value = found
        messages = _messages(value, where, whole=column not in _TALKS)
        if column in _TALKS:
            said = len(messages)
            while messages and messages[-1]["role"] == "assistant":
                messages = messages[:-1]
            if not messages:
                raise NothingToSend(f"{where}: its {column!r} holds replies alone: there is nothing to send")
            seen.replies += len(messages) < said
        alone = not first or messages[0].get("role") == "system"
        fields["messages"] = messages if alone else first + messages
        if column in known and column not in _TALKS and messages is value:
            raw = bytes(known[column][1])
            raw = raw if alone else b"[%b,%b" % (msgspec.json.encode(first[0]), raw[1:])
            known["messages"] = (fields["messages"], msgspec.Raw(raw))
        return
    if column in known:
        known["prompt"] = (value, known[column][1])
    if isinstance(value, list) and value and all(type(token) is int for token in value):
        fields["prompt"] = value
        return
    if not isinstance(value, str):
        raise UsageError(f"{where}: its {column!r} must be text or a list of messages, found {short(value)}")
    if column == "instruction" and "input" in row:
        value = f"{value}\n\n{row['input']}" if row["input"] else value
        used.add("input")
    if first:
        fields["messages"] = [*first, {"role": "user", "content": value}]
    else:
        fields["prompt"] = value


def _talks(value: Any) -> bool:
    """Whether a value is a list of objects, as messages are."""
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


def _messages(value: Any, where: str, *, whole: bool) -> list[Fields]:
    """Messages as they are sent; with `whole` every key of them (then they may be `value` itself), else those that an
    API knows."""
    value = _of_json(value)
    if not isinstance(value, list) or not value:
        raise UsageError(f"{where}: messages must be a list with a message at least, found {short(value)}")
    made = [_message(each, f"{where}: message {number}", whole) for number, each in enumerate(value, 1)]
    return value if all(map(operator.is_, made, value)) else made


def _message(value: Any, where: str, whole: bool) -> Fields:
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be an object with role and content, found {short(value)}")
    if "role" not in value and "from" in value:  # ShareGPT
        role = _ROLES.get(str(value["from"]).lower())
        if role is None:
            raise UsageError(f"{where} is from {value['from']!r}; it must be from {', '.join(_ROLES)}")
        message = {"role": role, "content": value.get("value")}
    else:
        message = value if whole else {key: inner for key, inner in value.items() if key in _OF_MESSAGES}
    if not isinstance(message.get("role"), str):
        raise UsageError(f"{where} has no role; found {', '.join(map(str, value)) or 'no keys'}")
    content = message.get("content")
    if content is None:
        if not any(message.get(key) for key in ("tool_calls", "function_call")):
            raise UsageError(f"{where} has no content; found {', '.join(map(str, value))}")
    elif isinstance(content, list):
        for number, part in enumerate(content, 1):
            if not isinstance(part, str) and not (isinstance(part, dict) and isinstance(part.get("type"), str)):
                raise UsageError(f"{where}: part {number} of its content must have a type, found {short(part)}")
    elif not isinstance(content, str):
        raise UsageError(f"{where}: its content must be text or a list of parts, found {short(content)}")
    return message


def _output_tokens(row: Mapping[str, Any], where: str, names: tuple[str, ...]) -> int:
    asked = {name: row[name] for name in names if row.get(name) is not None}
    for name, value in asked.items():
        if isinstance(value, float) and value.is_integer():  # pandas writes whole numbers so where some are missing
            value = asked[name] = int(value)
        if type(value) is not int:
            raise UsageError(f"{where}: its {name!r} must be a whole number, found {short(value)}")
        if not 0 < value <= MAX_TOKENS:
            raise UsageError(f"{where}: {value:,} output tokens are asked for; it must be 1 to {MAX_TOKENS:,}")
    if len(set(asked.values())) > 1:
        raise UsageError(f"{where}: {' and '.join(map(repr, asked))} differ: give one of them")
    return next(iter(asked.values()), 0)


def _in_form(fields: Fields, where: str, api: Api) -> Fields:
    """The fields in the form that the dialect of the API takes: the prompt first."""
    if _INPUT in fields:
        return fields
    prompt, messages, dialect = fields.get("prompt"), fields.get("messages"), find_api(api)
    if messages is None and not isinstance(prompt, str) and not (dialect.takes_ids and not dialect.talks):
        instead = "a Python callable is given a text" if api == CALLABLE else "give --api completions"
        raise Refused(f"{where}: token ids cannot be sent to the {api} API: {instead}")
    if dialect.talks:
        return _renamed(fields, "prompt", "messages", [{"role": "user", "content": prompt}])
    if messages is not None:
        texts = [message.get("content") for message in messages]
        if "tools" in fields or not all(isinstance(text, str) for text in texts):
            instead = "a Python callable is given one text" if api == CALLABLE else "give --api chat"
            if isinstance(api, Template):
                instead += ', or write "messages: true" into the template'
            raise Refused(f"{where}: tools, calls and parts of content need messages, not one text: {instead}")
        return _renamed(fields, "messages", "prompt", "\n".join(texts))
    return fields


def _renamed(fields: Fields, name: str, other: str, value: Any) -> Fields:
    """The fields with another one, and its value, in the place of one of them."""
    return {other if key == name else key: value if key == name else inner for key, inner in fields.items()}


# --- what is counted --------------------------------------------------------------------------------------------------


def texts_of(own: bytes) -> tuple[list[str], int]:
    """The texts that a tokenizer counts of a request's own fields; and the token ids that it brings."""
    fields: Fields = msgspec.json.decode(own)
    if "prompt" not in fields and not _talk(fields):
        return input_texts(fields)
    prompt = fields.get("prompt")
    if isinstance(prompt, list):
        return [], len(prompt)
    texts = [prompt] if isinstance(prompt, str) else []
    for part in _parts(fields):
        text = part if isinstance(part, str) else part.get("text", "")
        texts.append(text if isinstance(text, str) else "")
    for message in _talk(fields):
        texts += [msgspec.json.encode(message[key]).decode() for key in _CALLS if message.get(key)]
    texts += [fields[key] for key in _INSTRUCTIONS if isinstance(fields.get(key), str)]
    texts += [msgspec.json.encode(fields[key]).decode() for key in ("tools", "functions") if key in fields]
    return texts, 0


def _talk(fields: Fields) -> list[Fields]:
    """The messages, or the items of an input."""
    talk = fields.get("messages") or fields.get(_INPUT)
    return talk if isinstance(talk, list) and _talks(talk) else []


def _parts(fields: Fields) -> Iterator[str | Fields]:
    """The contents of messages, part by part."""
    for message in _talk(fields):
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif content is not None:
            yield from content


def _no_text(part: str | Fields) -> bool:
    return not isinstance(part, str) and not isinstance(part.get("text"), str)


def _of_json(value: Any) -> Any:
    """What a text means as JSON; itself where it is none."""
    if isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value

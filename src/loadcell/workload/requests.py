"""A row of a file as a request: what of it is sent, in the form of the API, and how long its reply may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from loadcell.api_template import Template
from loadcell.apis import CALLABLE, Api, find_api
from loadcell.errors import UsageError, nearest
from loadcell.spec import Spec
from loadcell.workload.inputs import FIELDS as INPUT_FIELDS
from loadcell.workload.inputs import check_url, columns_for, fields_of, input_texts, short
from loadcell.workload.lengths import MAX_TOKENS

Fields = dict[str, Any]
_OURS = ("prompt", "messages", "body")
_TEXTS = ("text", "question", "input", "instruction")
_TALKS = ("conversations", "conversation")
PROMPTS = (*_OURS, *_TEXTS, *_TALKS)
"""Columns that may hold what is sent; those of the first line of these go before the others."""
_SYSTEM = ("system", "system_prompt")
_OUTPUT = ("output_tokens", "max_tokens", "max_completion_tokens", "max_output_tokens")
_BATCH = ("custom_id", "method", "url")
_BESIDE = (*_SYSTEM, *_OUTPUT)
_BY_RUN = ("model", "stream", "stream_options")
"""Keys of a body that the run decides for all of its requests."""
_TEXT_FIELDS = (
    "stop", "suffix", "grammar", "regex", "guided_regex", "guided_grammar", "chat_template", "reasoning_effort",
    "verbosity", "service_tier",
)  # fmt: skip
FIELDS = frozenset((
    *_TEXT_FIELDS, *_BY_RUN,
    # OpenAI
    "temperature", "top_p", "n", "best_of", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs",
    "top_logprobs", "echo", "response_format", "tools", "tool_choice", "parallel_tool_calls", "functions",
    "function_call", "modalities", "prediction", "web_search_options",
    # vLLM, SGLang, llama.cpp, TGI
    "top_k", "min_p", "typical_p", "repetition_penalty", "length_penalty", "min_tokens", "stop_token_ids", "ignore_eos",
    "include_stop_str_in_output", "skip_special_tokens", "spaces_between_special_tokens", "add_generation_prompt",
    "continue_final_message", "add_special_tokens", "chat_template_kwargs", "guided_json", "guided_choice",
    "structured_outputs", "json_schema", "ebnf", "bad_words", "allowed_token_ids", "truncate_prompt_tokens",
    "prompt_logprobs", "mm_processor_kwargs", "lora_path", "cache_prompt", "n_probs",
))  # fmt: skip
"""Keys beside a prompt that are sent with it; in a `body` every key is."""
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
    overruled: Counter[str] = msgspec.field(default_factory=Counter)
    """Keys that a setting of the run went before."""
    replies: int = 0
    """Rows of which the last reply was left out."""
    silent: int = 0
    """Conversations that were left out, for nobody asks anything in them."""
    uncounted: int = 0
    """Rows with parts that are no text."""


def columns_of(spec: Spec) -> tuple[list[str], list[str]]:
    """The columns that may hold the prompt, and the others that a request can be made of."""
    if not spec.workload.generates:
        return columns_for(find_api(spec.endpoint.api), spec.workload.prompt_column)
    prompt, output = spec.workload.prompt_column, spec.workload.output_column
    others = [*([output] if output else _OUTPUT), *PROMPTS, *_SYSTEM, *_BATCH, *FIELDS]
    return [prompt] if prompt else list(PROMPTS), others


def typed(row: Fields, spec: Spec) -> Fields:
    """A row of CSV with what the text of its cells means, where a text is not what is sent."""
    if not spec.workload.generates:
        query = find_api(spec.endpoint.api).query
        told = ((key, value, _of_json(value)) for key, value in row.items())
        return {
            key: found if key in INPUT_FIELDS or (key != query and isinstance(found, list | dict)) else value
            for key, value, found in told
        }
    read = (FIELDS - set(_TEXT_FIELDS)) | {*_OUTPUT, spec.workload.output_column, "body", "messages", *_TALKS}
    return {key: _of_json(value) if key in read else value for key, value in row.items()}


def request_of(row: Any, where: str, spec: Spec, seen: Seen) -> Request:
    """The request of a row; what is told of it goes to `seen`. UsageError begins with `where`."""
    if not spec.workload.generates:
        return _with_inputs(row, where, spec, seen)
    if isinstance(row, str | list):
        row = {"prompt" if isinstance(row, str) else "messages": row}
    if not isinstance(row, dict):
        raise UsageError(f'{where}: a line must be a JSON object with "prompt" or "messages", found {short(row)}')
    column, output_column = _column(row, where, spec.workload.prompt_column), spec.workload.output_column
    value = row[column]
    if column == "body" or column == spec.workload.prompt_column:  # files of tables may hold JSON as text
        decoded = _of_json(value)
        value = decoded if isinstance(decoded, dict) or _talks(decoded) else value
    whole = isinstance(value, dict)
    used = {column, output_column, *(_BATCH if whole else _BESIDE)}
    if whole:
        fields = _of_body(value, row, where, spec)
    else:
        fields = {key: row[key] for key in row if key in FIELDS}
        _put_prompt(fields, column, value, row, used, where, seen)
    names = (*_OUTPUT, find_api(spec.endpoint.api).form.max_tokens_field) if whole else _OUTPUT
    if output_column is None:
        tokens = _output_tokens(fields if whole else row, where, names)
    else:
        tokens = _output_tokens(row, where, (output_column,))
    for key in names:
        fields.pop(key, None)
    if tokens and not spec.workload.line_output_tokens:
        seen.overruled["output tokens"] += 1
        tokens = 0
    seen.unused.update(str(key) for key in row if key not in used and (whole or key not in FIELDS))
    _settle(fields, spec, seen)
    dialect = find_api(spec.endpoint.api)
    if dialect.nest and (why := dialect.refused({dialect.nest: fields})) is not None:
        raise UsageError(f"{where}: its body {why}")
    own = _in_form(fields, where, spec.endpoint.api)
    seen.sent.update(key for key in own if key not in ("prompt", "messages", _INPUT))
    seen.uncounted += any(map(_no_text, _parts(own)))
    return Request(msgspec.json.encode(own), tokens)


def _with_inputs(row: Any, where: str, spec: Spec, seen: Seen) -> Request:
    """The request of a row to an API that generates nothing."""
    dialect = find_api(spec.endpoint.api)
    fields, used = fields_of(row, where, spec.endpoint.api, spec.workload.prompt_column)
    if isinstance(row, dict):
        seen.unused.update(str(key) for key in row if key not in used)
    _settle(fields, spec, seen)
    seen.sent.update(key for key in fields if key not in (dialect.inputs, dialect.query))
    return Request(msgspec.json.encode(fields), 0, dialect.wanted({**spec.endpoint.extra_body, **fields}))


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
        fields["prompt"] = fields.pop(_INPUT)
    elif _INPUT in fields and not _talks(fields[_INPUT]):
        raise UsageError(f"{where}: its 'input' must be text or a list of items, found {short(fields[_INPUT])}")
    dialect = find_api(spec.endpoint.api)
    if (why := dialect.refused(fields)) is not None:
        raise UsageError(f"{where}: its body {why}")
    return _flat(fields, dialect.nest)


def _flat(fields: Fields, nest: str) -> Fields:
    """The fields with those of the object `nest` among them: the body puts them back."""
    held = fields.get(nest) if nest else None
    return {key: value for key, value in fields.items() if key != nest} | held if isinstance(held, dict) else fields


def _put_prompt(
    fields: Fields, column: str, value: Any, row: Fields, used: set[str | None], where: str, seen: Seen
) -> None:
    """Put a row's text, token ids or messages into the fields of its body."""
    system = next((row[key] for key in _SYSTEM if isinstance(row.get(key), str) and row[key]), None)
    first = [{"role": "system", "content": system}] if system else []
    if column in _TALKS and _of_json(value) == []:
        raise NothingToSend(f"{where}: its {column!r} is empty")
    if column in ("messages", *_TALKS) or _talks(value):
        messages = _messages(value, where, whole=column not in _TALKS)
        if column in _TALKS:
            said = len(messages)
            while messages and messages[-1]["role"] == "assistant":
                messages = messages[:-1]
            if not messages:
                raise NothingToSend(f"{where}: its {column!r} holds replies alone: there is nothing to send")
            seen.replies += len(messages) < said
        fields["messages"] = messages if messages[0].get("role") == "system" else first + messages
        return
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
    """Messages as they are sent; with `whole` every key of them, else those that an API knows."""
    value = _of_json(value)
    if not isinstance(value, list) or not value:
        raise UsageError(f"{where}: messages must be a list with a message at least, found {short(value)}")
    return [_message(each, f"{where}: message {number}", whole) for number, each in enumerate(value, 1)]


def _message(value: Any, where: str, whole: bool) -> Fields:
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be an object with role and content, found {short(value)}")
    if "role" not in value and "from" in value:  # ShareGPT
        role = _ROLES.get(str(value["from"]).lower())
        if role is None:
            raise UsageError(f"{where} is from {value['from']!r}; it must be from {', '.join(_ROLES)}")
        message = {"role": role, "content": value.get("value")}
    else:
        message = {key: inner for key, inner in value.items() if whole or key in _OF_MESSAGES}
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


def _settle(fields: Fields, spec: Spec, seen: Seen) -> None:
    """Take out of a row's fields what the run decides."""
    endpoint = spec.endpoint
    further = _flat(endpoint.extra_body, find_api(endpoint.api).nest)
    decided = {**further, "model": endpoint.model, "stream": endpoint.stream}
    if endpoint.ignore_eos is not None:
        decided["ignore_eos"] = endpoint.ignore_eos
    for key in [key for key in fields if key in decided or key in _BY_RUN or fields[key] is None]:
        value = fields.pop(key)
        if value is not None and key != "stream_options" and value != decided.get(key):
            seen.overruled[key] += 1


def _in_form(fields: Fields, where: str, api: Api) -> Fields:
    """The fields in the form that the dialect of the API takes: the prompt first."""
    if _INPUT in fields:
        return fields
    prompt, messages, dialect = fields.pop("prompt", None), fields.pop("messages", None), find_api(api)
    if messages is None and not isinstance(prompt, str) and not (dialect.takes_ids and not dialect.talks):
        instead = "a Python callable is given a text" if api == CALLABLE else "give --api completions"
        raise UsageError(f"{where}: token ids cannot be sent to the {api} API: {instead}")
    if dialect.talks:
        if messages is None:
            messages = [{"role": "user", "content": prompt}]
        return {"messages": messages, **fields}
    if messages is not None:
        texts = [message.get("content") for message in messages]
        if "tools" in fields or not all(isinstance(text, str) for text in texts):
            instead = "a Python callable is given one text" if api == CALLABLE else "give --api chat"
            if isinstance(api, Template):
                instead += ', or write "messages: true" into the template'
            raise UsageError(f"{where}: tools, calls and parts of content need messages, not one text: {instead}")
        prompt = "\n".join(texts)
    return {"prompt": prompt, **fields}


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

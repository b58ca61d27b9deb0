"""Rows of a file as requests to an API that generates nothing: texts to embed, a query and its documents."""

from __future__ import annotations

from typing import Any

import msgspec

from loadcell.api_template import Template
from loadcell.apis import CALLABLE, Api, find_api
from loadcell.errors import UsageError, nearest

Fields = dict[str, Any]
_ALSO = {
    "input": ("texts", "text", "prompt", "question"),
    "documents": ("texts", "passages"),
    "texts": ("documents", "passages"),
    "text_2": ("documents", "texts", "passages"),
    "prompt": ("text", "input", "caption"),
}
"""What rows may call a field of the body, after its own name."""
_URLS = {
    "/chat/completions": ("chat",),
    "/completions": ("completions",),
    "/messages": ("messages",),
    "/responses": ("responses",),
    "/embeddings": ("embeddings",),
    "/pooling": ("pooling",),
    "/rerank": ("rerank", "tei-rerank"),
    "/score": ("score",),
    "/audio/speech": ("speech",),
    "/images/generations": ("images",),
}
"""How URLs in lines of a batch file end, and which APIs these are for."""
FIELDS = frozenset((
    "model", "dimensions", "encoding_format", "user", "input_type", "task", "truncate", "truncation",
    "truncation_direction", "truncate_prompt_tokens", "normalize", "late_chunking", "embedding_type", "embd_normalize",
    "prompt_name", "top_n", "return_documents", "return_text", "raw_scores", "rank_fields", "max_tokens_per_doc",
    "max_chunks_per_doc", "priority", "add_special_tokens", "instruction",
    # speech and images
    "voice", "response_format", "stream_format", "speed", "instructions", "language", "task_type", "n", "size",
    "quality", "style", "background", "output_format", "output_compression", "moderation", "negative_prompt", "seed",
    "num_inference_steps", "guidance_scale", "true_cfg_scale",
))  # fmt: skip
"""Keys beside the inputs that are sent with them; in a `body` every key is."""


class Refused(UsageError):
    """What a row asks for cannot be done in this run: no fault of the row, and none that leaving it out mends."""


def columns_for(dialect: Any, asked: str | None) -> tuple[list[str], list[str]]:
    """The columns that may hold the inputs, or the `asked` one, and the others that a request can be made of."""
    inputs = [asked] if asked else [dialect.inputs, *_ALSO.get(dialect.inputs, ()), "body"]
    return inputs, [*([dialect.query, "query"] if dialect.query else []), *FIELDS]


def check_url(url: Any, where: str, api: Api) -> None:
    """UsageError where the line of a batch file is for another API than the run's."""
    if not isinstance(url, str):
        return
    apis = next((apis for end, apis in _URLS.items() if url.rstrip("/").endswith(end)), None)
    if apis is None:
        names = ", ".join(apis[0] for apis in _URLS.values())
        raise Refused(f"{where}: is a request for {url}; only those for {names} are taken")
    if api not in apis:
        own = api == CALLABLE or isinstance(api, Template)
        instead = "leave out its url, and its body is taken alone" if own else f"give --api {apis[0]}"
        raise Refused(f"{where}: is a request for {url}, the run for the {api} API: {instead}")


def fields_of(row: Any, where: str, api: Api, asked: str | None) -> tuple[Fields, set[str]]:
    """The fields of the body that a row asks for, and the keys of the row that they are made of.

    UsageError begins with `where`.
    """
    dialect = find_api(api)
    if isinstance(row, str | list):
        row = {dialect.inputs: row}
    if not isinstance(row, dict):
        raise UsageError(f"{where}: a line must be a JSON object with {_names(dialect)}, found {short(row)}")
    body = row.get("body")
    if asked is None and isinstance(body, dict):
        check_url(row.get("url"), where, api)
        fields, used = dict(body), {"body", "custom_id", "method", "url"}
    else:
        columns, _ = columns_for(dialect, asked)
        column = next((name for name in columns if name != "body" and row.get(name) not in (None, "")), None)
        if column is None:
            hint = next((hint for key in row if (hint := nearest(str(key).lower(), columns))), "")
            raise UsageError(
                f"{where}: nothing to send: it must have {_names(dialect)}; found "
                f"{', '.join(map(str, row)) or 'no keys'}{hint}; --prompt-column NAME names another"
            )
        asks = next((name for name in (dialect.query, "query") if row.get(name) is not None), dialect.query)
        own = {dialect.query: row.get(asks)} if dialect.query else {}
        fields = own | {dialect.inputs: row[column]} | {key: row[key] for key in row if key in FIELDS}
        used = {column, asks, *FIELDS}
    fields = {key: value for key, value in fields.items() if value is not None}
    _check(fields, where, dialect)
    return fields, used


def _check(fields: Fields, where: str, dialect: Any) -> None:
    """UsageError for inputs that no server takes."""
    value, name = fields.get(dialect.inputs), dialect.inputs
    if dialect.query:
        query = fields.get(dialect.query)
        if not isinstance(query, str) or not query:
            raise UsageError(f"{where}: its {dialect.query!r} must be a text, found {short(query)}")
        if not isinstance(value, list) or not value or not all(_text(one) for one in value):
            raise UsageError(f"{where}: its {name!r} must be a list of texts, found {short(value)}")
    elif dialect.one:
        if not isinstance(value, str) or not value:
            raise UsageError(f"{where}: its {name!r} must be a text, found {short(value)}")
        if why := dialect.refused({key: value for key, value in fields.items() if key != name}):
            raise UsageError(f"{where}: {why}")
    elif not ((isinstance(value, str | list) and value) and (isinstance(value, str) or _texts_or_tokens(value))):
        raise UsageError(
            f"{where}: its {name!r} must be a text, a list of texts, token ids or a list of these, found {short(value)}"
        )


def _texts_or_tokens(value: list[Any]) -> bool:
    return all(type(one) is int for one in value) or all(
        (isinstance(one, str) and one) or (isinstance(one, list) and one and all(type(token) is int for token in one))
        for one in value
    )


def _text(one: Any) -> str:
    """The text of a document, which may be an object."""
    text = one.get("text") if isinstance(one, dict) else one
    return text if isinstance(text, str) else ""


def input_texts(fields: Fields) -> tuple[list[str], int]:
    """The texts that a tokenizer counts of a body's fields, a query with each of its documents; and the token ids."""
    query = fields.get("query", fields.get("text_1"))
    for name in _ALSO:
        value = fields.get(name)
        if isinstance(value, str):
            return [value], 0
        if isinstance(value, list):
            ids = sum(len(one) if isinstance(one, list) else 1 for one in value if isinstance(one, int | list))
            texts = [_text(one) for one in value if isinstance(one, str | dict)]
            return [*texts, *([query] * len(texts) if isinstance(query, str) else [])], ids
    return [], 0


def _names(dialect: Any) -> str:
    return f'"{dialect.query}" and "{dialect.inputs}"' if dialect.query else f'"{dialect.inputs}"'


def short(value: Any) -> str:
    """A value of a row, as errors show it."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"

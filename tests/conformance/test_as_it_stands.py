"""What a line of a file holds reaches the server byte for byte: it is held against the JSON of the line itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contract_runs import run_once
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import clean, serve

from loadcell.protocol import dialect_of
from loadcell.spec import build_spec
from loadcell.workload.files import read_prompts

Draw = Callable[[int], int]
"""A number from 0 to below the given one."""
_NUMBERS = (
    "1.0", "1", "-0", "0.10", "1e5", "1E+5", "1e-7", "123456789012345678901234567890", "0.1234567890123456789", "-1.50",
    "18446744073709551616", "100.000",
)  # fmt: skip
_STRINGS = (
    r"plain", r"\u00e9", "é", r"\/slash\/", r"\ud83d\ude00", "\N{GRINNING FACE}", r"line\nbreak\u000a", r"\u0041", "",
    r"quote \" and \\ back", r"\u2028", "{[,:", r"role\": ",
)  # fmt: skip
_KEYS = ("z", "a", "cache_control", r"k\u00e9y", "detail", "reasoning_content", "m", "audio", "_x", "prefix")


def text(draw: Draw) -> str:
    return f'"{_STRINGS[draw(len(_STRINGS))]}"'


def blank(draw: Draw) -> str:
    return ("", "", "", " ", "  ", "\t")[draw(6)]


def value(draw: Draw, depth: int = 3) -> str:
    """Any JSON, written in any way."""
    kind = draw(8 if depth else 5)
    if kind < 2:
        return text(draw)
    if kind < 5:
        return (*_NUMBERS, "true", "false", "null")[draw(len(_NUMBERS) + 3)]
    inner = [value(draw, depth - 1) for _ in range(draw(4))]
    if kind == 5:
        return "[" + ",".join(f"{blank(draw)}{one}{blank(draw)}" for one in inner) + "]"
    return of_fields({_KEYS[i]: one for i, one in zip(range(draw(6), len(_KEYS)), inner, strict=False)}, draw)


def of_fields(fields: dict[str, str], draw: Draw) -> str:
    pairs = (f'{blank(draw)}"{key}"{blank(draw)}:{blank(draw)}{one}{blank(draw)}' for key, one in fields.items())
    return "{" + ",".join(pairs) + "}"


def message(draw: Draw) -> str:
    role = ("user", "assistant", "tool", "developer", "system")[draw(5)]
    part = of_fields({"type": '"text"', "text": text(draw), _KEYS[draw(10)]: value(draw)}, draw)
    image = of_fields({"type": '"image_url"', "image_url": value(draw)}, draw)
    content = (text(draw), f"[{blank(draw)}{part},{image}]", text(draw))[draw(3)]
    fields = {"role": f'"{role}"', "content": content, "name": text(draw), _KEYS[draw(10)]: value(draw)}
    if role == "assistant":
        fields["tool_calls"] = f"[{value(draw)}]"
    return of_fields(dict(sorted(fields.items(), key=lambda _: draw(100))), draw)


def line(draw: Draw) -> tuple[str, dict[str, str]]:
    """A line and, of the fields that it asks for, the bytes of each, in their order."""
    fields = {
        "temperature": _NUMBERS[draw(len(_NUMBERS))],
        "messages": "[" + ",".join(message(draw) for _ in range(1 + draw(3))) + "]",
        "tools": f"[{value(draw)}]",
        "response_format": value(draw, 2).replace("null", "1"),
        "stop": text(draw),
        "logit_bias": of_fields({"50256": "-100.0"}, draw),
    }
    names = sorted(fields, key=lambda _: draw(100))
    asked = {name: fields[name] for name in names if name == "messages" or draw(3)}
    asked = {name: one for name, one in asked.items() if one != "null"}
    if draw(2):
        return of_fields({"custom_id": '"1"', "body": of_fields(asked, draw)}, draw), asked
    return of_fields({"id": "7", **asked}, draw), asked


def held(body: bytes, asked: dict[str, str]) -> None:
    """That a body has each field as it stands in the line, and in that order."""
    at = -1
    for name, one in asked.items():
        found = body.find(f'"{name}":{one}'.encode(), at + 1)
        assert found > at, (name, one, body)
        at = found
    assert set(json.loads(body)) == {*asked, "model", "stream", "stream_options", "ignore_eos", "max_tokens"}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fields_of_a_line_are_its_own_bytes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    file = tmp_path_factory.mktemp("lines") / "p.jsonl"
    written, asked = line(lambda below: data.draw(st.integers(0, below - 1)))
    file.write_bytes(written.encode() + b"\n")
    spec = build_spec({"endpoint": {"url": "http://h:1"}, "workload": {"prompts": str(file)}})
    (own,) = read_prompts(spec).prompts
    dialect = dialect_of("chat")
    held(dialect.body(dialect.prefix("m", True, dialect.form, {}), own, 4, "max_tokens"), asked)


@pytest.mark.parametrize("form", ["lines", "list", "object"])
def test_bodies_of_a_load_hold_what_the_lines_do(tmp_path: Path, form: str) -> None:
    rng = random.Random(18)
    lines = [line(rng.randrange) for _ in range(60)]
    texts = [written for written, _ in lines]
    data = "\n".join(texts) if form == "lines" else "[" + ",\n".join(texts) + "]"
    (tmp_path / "p").write_text(data if form != "object" else f'{{"version": 1.0, "data": {data}}}', encoding="utf-8")
    with serve(lambda _: clean()) as server:
        ran = run_once(server.url, tmp_path / "run", requests=60, concurrency=4, prompts=str(tmp_path / "p"))
        assert ran.statuses == ["ok"] * 60
        for request in server.load:
            held(request.body, lines[request.number][1])


@pytest.mark.parametrize(
    ("api", "line", "kept"),
    [
        ("completions", '{"prompt": "\\u00e9\\/", "top_p": 1.0}', ['"prompt":"\\u00e9\\/"', '"top_p":1.0']),
        ("tgi", '{"prompt": "\\u00e9", "top_p": 1.00}', ['"inputs":"\\u00e9"', '"top_p":1.00']),
        ("sglang", '{"prompt": "\\u00e9", "top_p": 1.00, "json_schema": {"a":1E5}}', ['"text":"\\u00e9"', '{"a":1E5}']),
        ("ollama-generate", '{"prompt": "\\u00e9", "top_p": 1.00}', ['"prompt":"\\u00e9"', '"top_p":1.00']),
        ("triton", '{"prompt": "\\u00e9", "top_p": 1.00}', ['"text_input":"\\u00e9"', '"top_p":1.00']),
        ("messages", '{"system": "S", "messages": [{"role":"user","content":"\\u00e9"}], "tools": [{"m": 1.00}]}',
         ['[{"role":"user","content":"\\u00e9"}]', '[{"m": 1.00}]', '"system":"S"']),
        ("responses", '{"body": {"input": [{"role":"user","content":"\\u00e9"}], "x": 1.00}}',
         ['"input":[{"role":"user","content":"\\u00e9"}]', '"x":1.00']),
        ("embeddings", '{"input": ["\\u00e9"], "user": "\\u0041"}', ['"input":["\\u00e9"]', '"user":"\\u0041"']),
        ("rerank", '{"query": "\\u00e9", "documents": [{"text":"a", "s": 1.00}]}',
         ['"\\u00e9"', '[{"text":"a", "s": 1.00}]']),
    ],
)  # fmt: skip
def test_other_apis_keep_what_their_form_does_not_change(tmp_path: Path, api: str, line: str, kept: list[str]) -> None:
    (tmp_path / "p").write_text(line, encoding="utf-8")
    tree: dict[str, Any] = {"endpoint": {"url": "http://h:1", "api": api}, "workload": {"prompts": str(tmp_path / "p")}}
    (own,) = read_prompts(build_spec(tree)).prompts
    dialect = dialect_of(api)
    body = dialect.body(dialect.prefix("m", True, dialect.form, {}), own, 4, dialect.form.max_tokens_field).decode()
    assert json.loads(body)
    for one in kept:
        assert one in body

"""Files of prompts as people have them: what reaches the server, and how many tokens are asked for."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from contract_runs import Ran, Run
from scripted import DONE, Received, clean, event, serve, stream, usage_event

Sent = list[dict[str, Any]]
Send = Callable[..., tuple[Sent, Ran]]
_BY_RUN = ("model", "stream", "stream_options", "ignore_eos")


@pytest.fixture
def send(run: Run, tmp_path: Path) -> Send:
    """What of the bodies of a load is the file's, in the order of the requests, and the load."""

    def send(data: str | bytes, name: str = "prompts", requests: int = 2, **fields: Any) -> tuple[Sent, Ran]:
        file = tmp_path / name
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        with serve(lambda _: clean()) as server:
            more = {"output_tokens": "4", "concurrency": 1} | fields
            ran = run(server.url, requests=requests, prompts=str(file), **more)
            assert ran.statuses == ["ok"] * requests
            bodies = [request.json() for request in sorted(server.load, key=lambda request: request.number)]
        return [{key: value for key, value in body.items() if key not in _BY_RUN} for body in bodies], ran

    return send


def asked(*texts: str, most: int = 4) -> Sent:
    return [{"messages": [{"role": "user", "content": text}], "max_tokens": most} for text in texts]


ROWS = [{"prompt": "Why is the sky blue?", "id": 1}, {"prompt": 'She said: "a, b;\tc"\nand went.', "id": 2}]
TEXTS = [str(row["prompt"]) for row in ROWS]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
CSV = 'prompt,id\n"Why is the sky blue?",1\n"She said: ""a, b;\tc""\nand went.",2\n'


def parquet(folder: Path) -> bytes:
    (folder / "rows.json").write_text(json.dumps(ROWS))
    duckdb.sql(f"COPY (SELECT * FROM read_json('{folder}/rows.json')) TO '{folder}/rows' (FORMAT parquet)")
    return (folder / "rows").read_bytes()


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("p.jsonl", LINES),
        ("p.json", LINES),
        ("p.txt", json.dumps(ROWS)),
        ("p.jsonl", json.dumps(ROWS, indent=2)),
        ("p", "\ufeff" + LINES.replace("\n", "\r\n\r\n")),
        ("p.json", json.dumps({"version": 1, "data": ROWS}, indent=1)),
        ("p.json", json.dumps({key: {str(i): row[key] for i, row in enumerate(ROWS)} for key in ROWS[0]})),
        ("p.json", json.dumps(TEXTS)),
        ("p.jsonl", "\n".join(map(json.dumps, TEXTS))),
        ("p.csv", CSV),
        ("p.json", "\ufeff" + CSV.replace("prompt,id", "Prompt,ID")),
        ("p.tsv", f'id\tquestion\n1\t{TEXTS[0]}\n2\t"She said: ""a, b;\tc""\nand went."\n'),
        ("p.csv", f'"text";"id"\r\n"{TEXTS[0]}";1\r\n"She said: ""a, b;\tc""\nand went.";2\r\n'),
        ("p.jsonl.gz", gzip.compress(LINES.encode())),
        ("p", gzip.compress(json.dumps(ROWS).encode())),
        ("p.csv.bz2", bz2.compress(CSV.encode())),
        ("p.xz", lzma.compress(LINES.encode())),
        ("p.parquet", parquet),
        ("p.json", parquet),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_the_same_prompts_in_every_form_of_file(send: Send, tmp_path: Path, name: str, made: Any) -> None:
    sent, ran = send(made(tmp_path) if callable(made) else made, name)
    assert sent == asked(*TEXTS)
    assert [row["output_tokens"] for row in ran.rows] == [4, 4]


ROLES = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "name": "eve", "content": [{"type": "text", "text": "What is 1 + 1?"}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "2"},
]  # fmt: skip
SHARE = [("system", "Be short."), ("human", "Hi"), ("gpt", "Hello!"), ("human", "More"), ("gpt", "No.")]
TOLD = [
    {"role": role, "content": text}
    for role, text in (("system", "Be short."), ("user", "Hi"), ("assistant", "Hello!"), ("user", "More"))
]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": ROLES}, ROLES),
        ({"messages": json.dumps(ROLES)}, ROLES),
        ({"id": "a", "conversations": [{"from": who, "value": text} for who, text in SHARE]}, TOLD),
        ({"conversation": [*TOLD, {"role": "assistant", "content": "No.", "hash": "x"}]}, TOLD),
        ({"instruction": "Add.", "input": "1 and 1", "output": "2"}, "Add.\n\n1 and 1"),
        ({"instruction": "Speak.", "input": "", "output": "2"}, "Speak."),
        ({"question": "Why?", "system_prompt": "Be short.", "answer": "So."}, None),
        ({"input": "Why?"}, "Why?"),
    ],
)
def test_rows_of_data_sets(send: Send, row: dict[str, Any], messages: Any) -> None:
    if messages is None:
        messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}]
    expected = messages if isinstance(messages, list) else [{"role": "user", "content": messages}]
    sent, _ = send(json.dumps(row), requests=1)
    assert sent == [{"messages": expected, "max_tokens": 4}]


SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
KEYS: dict[str, Any] = {
    "temperature": 0.7, "top_p": 0.9, "stop": ["END"], "seed": 7, "response_format": SCHEMA, "tools": TOOLS,
    "tool_choice": "none", "n": 1, "logit_bias": {"5": -100}, "top_k": 5, "chat_template_kwargs": {"thinking": False},
}  # fmt: skip


def test_keys_of_a_line_are_sent_with_it_alone(send: Send) -> None:
    sent, ran = send(json.dumps({"prompt": "a", "max_tokens": 3, "topic": "x"} | KEYS) + '\n{"prompt": "b"}')
    assert sent == [asked("a", most=3)[0] | KEYS, *asked("b")]
    assert [row["output_tokens"] for row in ran.rows][1] == 4
    notes = [note for note in ran.manifest.notes if note.startswith("keys of")]
    assert len(notes) == 2 and "temperature (1)" in notes[0] and notes[1].endswith(": topic")


def test_a_line_may_leave_to_the_run_what_the_run_decides(send: Send) -> None:
    rows = [{"prompt": "a", "temperature": 0.7, "model": "gpt", "stream": False}, {"prompt": "b", "temperature": 0.2}]
    ignored = ["temperature", "model", "stream"]
    sent, ran = send("\n".join(map(json.dumps, rows)), extra_body={"temperature": 0}, ignore_fields=ignored)
    assert sent == [body | {"temperature": 0} for body in asked("a", "b")]
    assert [n.split(": ")[1] for n in ran.manifest.notes if "--ignore-fields" in n] == [
        "model (1), stream (1), temperature"
    ]


def test_lines_of_an_openai_batch_file(send: Send) -> None:
    body = {
        "model": "scripted-model",
        "stop": None,
        "messages": ROLES,
        "max_tokens": 3,
        "temperature": 0,
        "vendor_field": 1,
    }
    line = {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    sent, ran = send(json.dumps(line), requests=1)
    assert sent == [{"messages": ROLES, "max_tokens": 3, "temperature": 0, "vendor_field": 1, "stop": None}]
    assert not any("keys of" in note and "not sent" in note for note in ran.manifest.notes)


def test_cells_of_a_csv_file_have_their_kind(send: Send) -> None:
    header = "prompt,temperature,stop,max_tokens,response_format,seed"
    rows = f'{header}\na,0.5,123,3.0,"{{""type"": ""json_object""}}",\nb,,,,,7\n'
    sent, _ = send(rows)
    first = {"temperature": 0.5, "stop": "123", "response_format": {"type": "json_object"}}
    assert sent == [asked("a", most=3)[0] | first, asked("b")[0] | {"seed": 7}]


def test_a_column_by_its_name(send: Send) -> None:
    sent, _ = send("Frage,Länge\nWarum?,3\nWo?,\n", prompt_column="Frage", output_column="Länge")
    assert sent == [*asked("Warum?", most=3), *asked("Wo?")]


def test_a_line_that_ends_where_the_run_does_not(send: Send, tmp_path: Path) -> None:
    (tmp_path / "p").write_text('{"prompt": "a", "ignore_eos": false}\n{"prompt": "b"}')
    with serve(lambda _: clean()) as server:
        from contract_runs import run_once

        run_once(server.url, tmp_path / "run", requests=2, concurrency=1, prompts=str(tmp_path / "p"))
        assert [request.json()["ignore_eos"] for request in server.load] == [False, True]
        assert all(request.body.count(b'"ignore_eos"') == 1 for request in server.load)


def test_the_same_file_is_the_same_run(send: Send) -> None:
    first, again, packed = (send(data)[1].manifest for data in (LINES, LINES, gzip.compress(LINES.encode(), mtime=1)))
    assert (first.schedule_hash, first.bodies_hash) == (again.schedule_hash, again.bodies_hash)
    assert (first.schedule_hash, first.bodies_hash) == (packed.schedule_hash, packed.bodies_hash)
    assert first.effective["prompts_sha256"] == again.effective["prompts_sha256"]


def test_of_several_replies_to_a_line_the_first_is_measured(run: Run, tmp_path: Path) -> None:
    """Four tokens of each of two replies, 40 ms apart in each: TPOT is 40 ms, not 20 ms."""
    (tmp_path / "p").write_text('{"prompt": "a", "n": 2}')

    def script(request: Received) -> list[Any]:
        if request.number < 0:
            return clean()
        both = [event({"object": "chat.completion.chunk", "choices": [
            {"index": i, "delta": {"content": "word "}, "finish_reason": None}]}) for i in (0, 1)]  # fmt: skip
        pieces = [piece for _ in range(4) for piece in (0.02, both[0], 0.02, both[1])]
        ends = [event({"choices": [{"index": i, "delta": {}, "finish_reason": "length"}]}) for i in (0, 1)]
        return stream(*pieces, *ends, event(usage_event(8)), DONE)

    with serve(script) as server:
        ran = run(server.url, requests=4, concurrency=1, prompts=str(tmp_path / "p"))
        assert [request.json()["n"] for request in server.load] == [2] * 4
    assert ran.result.replies is not None and ran.result.replies.several_outputs == 4
    tpot_ms = ran.result.latency["tpot_ms"].service.min
    assert tpot_ms is not None and tpot_ms > 35  # a client that takes both for one sees 20


def test_repeats_of_a_load_that_a_time_ends_are_those_that_were_sent(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p").write_text('{"prompt": "a"}\n{"prompt": "b"}')
    with serve(lambda _: clean()) as server:
        ran = run(server.url, concurrency=1, duration_s=1.0, keep_load=False, prompts=str(tmp_path / "p"))
        sent = len(server.load)
    (note,) = (note for note in ran.result.notes if note.startswith("prompts repeat"))
    assert note.startswith(
        f"prompts repeat: 2 lines for {sent} requests, {sent / 2:.3g} times each; {1 - 2 / sent:.0%} of"
    )


@pytest.mark.parametrize(("lines", "times"), [(400, None), (2, "conversations repeat: 2 lines for {:,} sessions, ")])
def test_turns_of_a_conversation_are_no_repeats_of_it(run: Run, tmp_path: Path, lines: int, times: str | None) -> None:
    said = '{"messages": [{"role": "user", "content": "%d"}, {"role": "assistant", "content": "b"}]}\n'
    (tmp_path / "p").write_text(
        "".join(said.replace("}]}", '}, {"role": "user", "content": "c"}]}') % i for i in range(lines))
    )
    with serve(lambda _: clean()) as server:
        ran = run(
            server.url, concurrency=1, duration_s=1.0, keep_load=False, prompts=str(tmp_path / "p"), turns="all",
            history="recorded" if lines == 2 else "served",
        )  # fmt: skip
    assert ran.result.sessions is not None
    notes = [note for note in ran.result.notes if " repeat: " in note]
    assert len(notes) == (times is not None)
    if times is not None:
        assert notes[0].startswith(times.format(ran.result.sessions.begun))

"""APIs by a template beside their own files: what it costs to read a token and to make a body."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import msgspec
from common import ROOT
from tables import Row, Table

from loadcell.api_template import Template, read_template
from loadcell.core import make_tape
from loadcell.load.flight import SLICE_READS
from loadcell.protocol import Dialect, Reply, dialect_of

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST = b"0\r\n\r\n"
_PROMPT = " ".join(["word"] * 512)
_NOTES = (
    "Least CPU time of several replies of 400 tokens, an event and a read each, taken from a tape in slices, "
    "without the reads. Bodies are of a prompt of 512 words. Searched: a template of chat in which an expression could "
    "depend on the text (`error.*`), so that no event is taken unread.",
)


def _event(value: dict[str, object]) -> bytes:
    name = f"event: {value['type']}\n" if "type" in value else ""
    data = f"{name}data: {json.dumps(value)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chat(text: str) -> bytes:
    return _event({"id": "x", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


def _messages(text: str) -> bytes:
    return _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


_ENDS: dict[Callable[[str], bytes], list[bytes]] = {
    _chat: [_event({"choices": [{"delta": {}, "finish_reason": "stop"}]}), b"e\r\ndata: [DONE]\n\n\r\n", _LAST],
    _messages: [
        _event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 400}}),
        _event({"type": "message_stop"}),
        _LAST,
    ],
}


def measure(quick: bool) -> list[Table]:
    """One table."""
    chat, messages = (read_template(str(ROOT / f"examples/apis/{name}.yaml"), "") for name in ("chat", "messages"))
    searched = msgspec.structs.replace(chat, event=msgspec.structs.replace(chat.event, error="error || error.*"))
    cases: list[tuple[str, str | Template, Callable[[str], bytes]]] = [
        ("chat", "chat", _chat),
        ("chat, by template", chat, _chat),
        ("chat, by template, searched", searched, _chat),
        ("messages", "messages", _messages),
        ("messages, by template", messages, _messages),
    ]
    table = Table("APIs by a template", ("API", "µs a token", "of chat's", "µs a body"), notes=_NOTES)
    first = 0.0
    for name, api, token in cases:
        dialect = dialect_of(api)
        each = _token_us(dialect, [*(token(f" {n:04d}") for n in range(400)), *_ENDS[token]], 3 if quick else 40)
        first = first or each
        body = _body_us(dialect, 100 if quick else 5000)
        table.rows.append(Row((name, f"{each:.2f}", f"{each / first:.1f}", f"{body:.1f}")))
    return [table]


def _token_us(dialect: Dialect, events: list[bytes], times: int) -> float:
    least = float("inf")
    for _ in range(times):
        tape, reply = make_tape(), Reply(dialect)
        for number, data in enumerate([_HEAD, *events]):
            tape.append(data, b"", number, (0, 0, 0, 0))
        began = time.process_time_ns()
        while tape.stored:
            reply.take(tape, SLICE_READS)
        least = min(least, time.process_time_ns() - began)
        tape.close()
        if reply.failure or not reply.complete:
            raise RuntimeError(f"the reply was not read: {reply.failure}")
    return least / 1000 / len(events)


def _body_us(dialect: Dialect, times: int) -> float:
    prefix = dialect.prefix("a model", True, dialect.form, {})
    began = time.process_time_ns()
    for _ in range(times):
        dialect.body(prefix, _PROMPT, 128, dialect.form.max_tokens_field)
    return (time.process_time_ns() - began) / 1000 / times

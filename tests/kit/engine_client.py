"""The engine as a child process on a free port, and a client for it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_MAIN = """
import argparse, sys
from loadcell.cli import serve
from loadcell.errors import LoadcellError
parser = argparse.ArgumentParser()
serve.configure(parser)
try:
    sys.exit(serve.run(parser.parse_args()))
except LoadcellError as error:
    sys.stderr.write(str(error))
    sys.exit(error.exit_code)
"""
FAST = ("--ttft", "2ms", "--itl", "1ms")


def serve(*flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _MAIN, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self, eol: bytes = b"\n") -> list[Any]:
        """The data of each event; "[DONE]" as text."""
        *events, rest = self.body.split(eol * 2)
        assert rest == b""
        data = [event.removeprefix(b"data: ") for event in events]
        return ["[DONE]" if item == b"[DONE]" else json.loads(item) for item in data]


@dataclass
class Engine:
    process: subprocess.Popen[str]
    ready: str
    context: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        port = urlsplit(self.ready.split()[2]).port
        assert port
        return port

    def open(self) -> http.client.HTTPConnection:
        if self.context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        conn = self.open()
        try:
            conn.request(method, path, body, headers or {})
            answer = conn.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            conn.close()

    def chat(self, max_tokens: int = 4, request_id: str | None = None, words: int = 3, **fields: Any) -> Reply:
        body = chat_body(max_tokens, words, **fields)
        return self.ask("POST", "/v1/chat/completions", body, {"X-Request-Id": request_id} if request_id else None)

    def truth(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ask("GET", "/truth").body.splitlines()]

    def truth_of(self, request_id: str) -> dict[str, Any]:
        (record,) = [record for record in self.truth() if record["id"] == request_id]
        return record

    def stop(self) -> tuple[int, str]:
        """Exit status and standard error."""
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


def chat_body(max_tokens: int = 4, words: int = 3, **fields: Any) -> bytes:
    message = {"role": "user", "content": "word " * words}
    return json.dumps({"messages": [message], "max_tokens": max_tokens, "stream": True} | fields).encode()


def raw_request(body: bytes, headers: str = "", path: str = "/v1/chat/completions") -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


Start = Callable[..., Engine]


def start_engine(stack: ExitStack, *flags: str, context: ssl.SSLContext | None = None) -> Engine:
    process = stack.enter_context(serve("--port", "0", *flags))
    stack.callback(process.kill)
    assert process.stdout
    engine = Engine(process, process.stdout.readline(), context)
    assert engine.ready.startswith("listening on "), process.communicate()[1]
    return engine

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from loadcell.browse import Server, open_server


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Asker:
    """Asks a server that answers in a thread."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"

    def raw(self, method: str, target: str, **headers: str) -> Reply:
        """A request as it is given; a header "Host" goes instead of the right one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in ({"Host": self.host} | {k.replace("_", "-"): v for k, v in headers.items()}).items():
                connection.putheader(name, value)
            connection.endheaders()
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read().decode())
        finally:
            connection.close()

    def get(self, page: str, **query: str) -> Reply:
        return self.raw("GET", f"{page}?{urlencode(query)}" if query else page)

    def cells(self, id: str) -> Any:
        return json.loads(self.get("/api/summary", id=id).text)["cells"]


@pytest.fixture
def ask(processes: None, tmp_path: Path) -> Iterator[Callable[..., Asker]]:
    """Starts a server for a folder (by default the test's own) and returns who asks it."""
    servers: list[tuple[Server, threading.Thread]] = []

    def start(folder: Path | None = tmp_path, **options: Any) -> Asker:
        server = open_server(folder, **({"port": 0} | options))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return Asker(server)

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()

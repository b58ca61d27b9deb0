"""Whose doing new connections are: the server's, that of failures, or of the load itself."""

from __future__ import annotations

from typing import Any

import pytest

from loadcell.metrics.checks import _new_connections_say
from loadcell.metrics.model import Connections

NONE: Any = None


@pytest.mark.parametrize(
    ("by_server", "failed", "blamed"),
    [
        (None, None, "look why the server closes them"),
        (90, 5, "look why the server closes them"),
        (5, 90, "look at the failures first"),
        (5, 5, "the server closed few"),
    ],
)
@pytest.mark.parametrize("loop", ["open", "closed"])
def test_whose_doing(by_server: int | None, failed: int | None, blamed: str, loop: str) -> None:
    used = Connections(
        new=100, reused=100, tcp=NONE, tls=NONE, resets=0, failed=0, no_ports=0, no_descriptors=0,
        min_rtt_ms=None, closed_by_server=by_server, closed_after_failure=failed,
    )  # fmt: skip
    assert blamed in _new_connections_say(used, loop)

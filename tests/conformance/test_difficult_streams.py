"""What is said of each difficult stream: one row a stream, through both APIs, by both forms of the core, over TLS."""

from __future__ import annotations

import pytest
from difficult import ROWS, Said, holds

pytestmark = pytest.mark.usefixtures("alone")

CASES = [
    (of, name)
    for of in ("chat", "completions", "python", "tls")
    for name, row in ROWS.items()
    if of != "completions" or not row.chat_only
]


@pytest.fixture
def said(request: pytest.FixtureRequest, of: str, name: str) -> Said:
    found: dict[str, Said] = request.getfixturevalue(of)
    return found[name]


@pytest.mark.parametrize(("of", "name"), CASES)
def test_stream(said: Said, name: str) -> None:
    holds(said, ROWS[name])

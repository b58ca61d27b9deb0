"""What is said of each difficult stream: one row a stream, through both APIs."""

from __future__ import annotations

import pytest
from difficult import ROWS, Said, holds

pytestmark = pytest.mark.usefixtures("alone")

CASES = [
    (api, name) for api in ("chat", "completions") for name, row in ROWS.items() if api == "chat" or not row.chat_only
]


@pytest.fixture
def said(request: pytest.FixtureRequest, api: str, name: str) -> Said:
    found: dict[str, Said] = request.getfixturevalue(api)
    return found[name]


@pytest.mark.parametrize(("api", "name"), CASES)
def test_stream(said: Said, name: str) -> None:
    holds(said, ROWS[name])

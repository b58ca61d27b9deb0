"""The names of models, in whatever form a server lists them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadcell.protocol.models import listed_models


@pytest.mark.parametrize(
    "told",
    [
        {"object": "list", "data": [{"id": "m"}]}, {"models": [{"name": "m"}]}, {"data": ["m"]}, [{"model": "m"}],
        {"data": None, "models": ["m"]}, {"data": [], "models": [{"id": "m"}]}, {"data": {"m": {"loaded": True}}},
        {"models": {"m": {}}}, {"items": [{"id": "m"}]}, {"data": [{"model_name": "m"}]}, {"data": [{"model_id": "m"}]},
        {"data": [{"id": None}, {"id": "m"}]},
    ],
)  # fmt: skip
def test_a_list_of_one(told: Any) -> None:
    assert listed_models(json.dumps(told).encode()) == ["m"]


@pytest.mark.parametrize(
    "told", [{"data": {"data": [{"id": "m"}]}}, {"error": "x"}, {"id": "m"}, {"data": [{"id": 7}]}]
)
def test_no_list(told: Any) -> None:
    assert listed_models(json.dumps(told).encode()) is None


@pytest.mark.parametrize("told", [[], {"data": []}, {"data": None}, {"data": [], "models": []}])
def test_an_empty_list(told: Any) -> None:
    assert listed_models(json.dumps(told).encode()) == []

"""Fixtures of the workload tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loadcell.spec import Spec, build_spec
from loadcell.workload import Tokenizer, load_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return load_tokenizer("smollm2")


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., Spec]:
    """Spec from keys such as load_requests=3; a section's name ends at its first underscore."""

    def build(**values: Any) -> Spec:
        tree: dict[str, dict[str, Any]] = {"endpoint": {"url": "http://127.0.0.1:1"}}
        for name, value in values.items():
            section, _, key = name.partition("_")
            tree.setdefault(section, {})[key] = value
        return build_spec(tree)

    return build

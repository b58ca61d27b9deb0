"""Files of traces, as tests write them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"
"""Made-up spans from kubernetes-sigs/inference-perf (Apache-2.0), see NOTICE."""


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file: text as it is, other things as JSON Lines; packed by gzip where the name ends in .gz."""

    def write(name: str, content: str | Iterable[Any]) -> Path:
        text = content if isinstance(content, str) else "".join(f"{json.dumps(each)}\n" for each in content)
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write

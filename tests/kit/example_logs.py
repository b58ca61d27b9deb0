"""The example logs, put where a test wants them, and edited."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "mlperf" / "data" / "examples"
DETAIL, SUMMARY = "mlperf_log_detail.txt", "mlperf_log_summary.txt"
SERVER, OFFLINE = "v5.1_server_deepseek-r1", "v5.1_offline_llama3.1-8b"
INTERACTIVE, STREAM = "v5.1_interactive_llama2-70b-99.9", "v5.1_singlestream_llama3.1-8b-edge"
ENDPOINTS = "v6.1_endpoints_deepseek-r1_server"


def content(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def files_of(example: str) -> dict[str, bytes]:
    """Name to content, the names as in the original."""
    return {file.name.removesuffix(".gz"): content(file) for file in sorted((EXAMPLES / example).iterdir())}


def put(example: str, folder: Path, *names: str) -> Path:
    """Write the files of an example (only `names`, if any) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files_of(example).items():
        if not names or name in names:
            (folder / name).write_bytes(data)
    return folder


def edit(folder: Path, key: str, change: Callable[[Any], Any] | None) -> None:
    """Change a value of the detail log in `folder`; without `change` drop its line."""
    path, lines = folder / DETAIL, []
    for line in path.read_text().splitlines():
        marker, _, body = line.partition(" ")
        record = json.loads(body)
        if record["key"] == key:
            if change is None:
                continue
            record["value"] = change(record["value"])
        lines.append(f"{marker} {json.dumps(record)}")
    path.write_text("\n".join(lines) + "\n")

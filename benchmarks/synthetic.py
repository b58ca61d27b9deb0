"""A recording of any size without a load: `python synthetic.py FOLDER REQUESTS TOKENS`.

Written through the recording's own tables, in parts of the size that a worker writes. An open loop of constant rate;
one event a token, one read an event.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadcell import __version__
from loadcell.kinds import KIND_ANSWER
from loadcell.load.audit import Audit
from loadcell.load.environment import environment
from loadcell.load.worker import FLUSH_ROWS
from loadcell.recording.database import open_database
from loadcell.recording.schema import Manifest
from loadcell.recording.write import begin, write_audit, write_part
from loadcell.spec import build_spec

_GAP_NS = 5_000_000
"""Between planned sends."""
_TTFT_NS, _ITL_NS = 50_000_000, 10_000_000


def synthesise(folder: Path, requests: int, tokens: int) -> None:
    """Write a complete recording of `requests` ok requests of `tokens` output tokens each."""
    folder.mkdir()
    planned = np.arange(requests, dtype=np.int64) * _GAP_NS
    ended = requests * _GAP_NS + _TTFT_NS + tokens * _ITL_NS
    spec = build_spec(
        {"endpoint": {"url": "http://127.0.0.1:1"}, "load": {"rate": 1e9 / _GAP_NS, "requests": requests}}
    )
    manifest = Manifest(
        loadcell=__version__, id="synthetic", started_at=datetime.now(UTC).isoformat(), state="complete", loop="open",
        planned=requests, workers=1, schedule_hash="0" * 64, clock="kernel", ended_ns=ended,
    )  # fmt: skip
    lengths = np.full(requests, 40, dtype=np.int32), np.full(requests, tokens, dtype=np.int32)
    columns = {"request": np.arange(requests), "planned_ns": planned, "input_tokens": lengths[0],
               "output_tokens": lengths[1]}  # fmt: skip
    begin(folder, manifest, spec, environment([]), columns)
    write_audit(folder, 0, Audit(0, None, issued=requests, reads=requests * tokens, cpu_s=1.0).as_dict())
    rng, database, each = np.random.default_rng(0), open_database(), max(FLUSH_ROWS // tokens, 1)
    for part, first in enumerate(range(0, requests, each)):
        chosen = np.arange(first, min(first + each, requests))
        chunks, rows = _part(chosen, planned[chosen], tokens, rng)
        write_part(folder, "chunks", chunks, worker=0, part=part, connection=database)
        write_part(folder, "requests", rows, worker=0, part=part, connection=database)


def _part(
    request: np.ndarray[Any, Any], planned: np.ndarray[Any, Any], tokens: int, rng: np.random.Generator
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Events and requests of one part."""
    n = request.size
    sent = planned + rng.integers(20_000, 80_000, n)
    steps = rng.normal(_ITL_NS, 100_000, (n, tokens)).astype(np.int64)
    steps[:, 0] = _TTFT_NS + rng.exponential(1e6, n)
    times = sent[:, None] + np.cumsum(steps, axis=1)
    events = n * tokens
    chunks = {
        "request": np.repeat(request, tokens),
        "read": np.tile(np.arange(tokens), n),
        "t_ns": times.ravel(),
        "lag_ns": rng.gamma(2.0, 15_000, events).astype(np.int64),
        "kind": np.full(events, KIND_ANSWER),
        "tokens": np.ones(events),
        "bytes": rng.integers(180, 220, events),
    }
    same: dict[str, Any] = {
        "worker": 0, "connection": 1, "status": "ok", "http_status": 200, "finish_reason": "length",
        "token_source": "usage", "input_tokens": 40, "asked_tokens": tokens, "prompt_tokens": 40,
        "output_tokens": tokens, "first_tokens": 1, "output_chunks": tokens, "reads": tokens, "bytes_sent": 600,
        "bytes_received": tokens * 220,
    }  # fmt: skip
    differ = {
        "request": request, "planned_ns": planned, "send_start_ns": sent, "send_end_ns": sent + 20_000,
        "first_byte_ns": times[:, 0], "first_any_ns": times[:, 0], "first_answer_ns": times[:, 0],
        "last_ns": times[:, -1], "end_ns": times[:, -1] + 50_000,
    }  # fmt: skip
    return chunks, differ | {name: [value] * n for name, value in same.items()}


if __name__ == "__main__":
    synthesise(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""Captures of coding agents as InferenceX AgentX replays them (kv-cache-tester's form, which AIPerf calls Weka): a
JSON object for a session, with the blocks of every prompt and the requests of its sub-agents.

A file, a folder of them, or one a line. Nested requests tell absolute times, older files those since the sub-agent was
started: what lies before its start is the latter. Requests on the top level are parted into agents by their blocks: who
continues all of an agent's last prompt after its end, with the same model, is its next turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec


class _Request(msgspec.Struct):
    t: float
    type: str
    model: str = ""
    input_length: int = msgspec.field(name="in", default=0)
    output_length: int = msgspec.field(name="out", default=0)
    hash_ids: list[int] = []
    api_time: float | None = None
    requests: list[_Request] = []
    """Of a sub-agent."""
    duration_ms: float | None = None


class _Capture(msgspec.Struct):
    id: str
    block_size: int
    hash_id_scope: Literal["local"]
    requests: list[_Request]


@dataclass(eq=False)
class _Turn:
    """A request on the clock of its session."""

    of: _Request
    start_s: float
    end_s: float
    agent: int = 0

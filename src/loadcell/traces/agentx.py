"""Captures of coding agents as InferenceX AgentX replays them (kv-cache-tester's form, which AIPerf calls Weka): a JSON
object for a session, with the blocks of every prompt and the requests of its sub-agents.

A file, a folder of them, or one a line. Sub-agents stand in an entry of their own, or unmarked among the requests of
the one that started them, where `agents` finds them. Who is started waits for the last reply of the starter before it;
the starter's first request after its end waits for it. Each session begins at 0: how they lie to each other is not
told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np

from loadcell.errors import UsageError
from loadcell.phrases import phrase
from loadcell.traces.agents import Turn, agents
from loadcell.traces.files import Asked, Source, lines, open_source, opened
from loadcell.traces.follow import SLACK_S, reduced
from loadcell.traces.model import Change, ragged
from loadcell.traces.settle import Draft

_EARLY_S = 1e-6
"""A sub-agent's request so much before its start tells the time since that."""


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


class _Capture(msgspec.Struct):
    id: str
    block_size: int
    hash_id_scope: Literal["local"]
    requests: list[_Request]


def read(source: Source, asked: Asked) -> Draft:
    """Sessions, their requests in order of time. UsageError for a file that is no such capture."""
    asked.no_unit("agentx")
    captures = [found for each in _files(source) for found in _captures(each)]
    sizes = sorted({each.block_size for each in captures})
    if len(sizes) != 1 or sizes[0] < 1:
        raise UsageError(f"{source.path}: sessions need blocks of one size; theirs are {', '.join(map(str, sizes))}")
    turns: list[Turn] = []
    waits: list[set[int]] = []
    session: list[int] = []
    for number, each in enumerate(captures):
        mine, links = _session(each)
        waits += [{other + len(turns) for other in link} for link in links]
        turns += mine
        session += [number] * len(mine)
    return _draft(source, turns, reduced(waits), session, sizes[0])


def _draft(source: Source, turns: list[Turn], waits: list[list[int]], session: list[int], size: int) -> Draft:
    start, end = (np.array([getattr(each, key) for each in turns], np.float64) for key in ("start_s", "end_s"))
    outputs = np.array([each.output_tokens for each in turns], np.float64)
    delay = [max(0.0, start[i] - end[mine].max()) if mine else np.nan for i, mine in enumerate(waits)]
    changes = []
    if n := sum(not each.timed for each in turns):
        words = phrase("{:,} requests of {} tell no duration: those after them wait from their start", n, source.name)
        changes.append(Change("guess", n, words))
    if n := int((outputs == 0).sum()):
        words = phrase("{:,} requests of {} have no output: they ask for 1 token", n, source.name)
        changes.append(Change("clip", n, words))
    numbers: dict[tuple[int, int], int] = {}
    blocks = [
        [numbers.setdefault((mine, block), len(numbers)) for block in each.blocks]
        for mine, each in zip(session, turns, strict=True)
    ]
    return Draft(
        name=source.name, kind="agentx", path=str(source.path), time="t", t_s=start, checked=False,
        keeps_zero=True, by_session=True,
        input_tokens=np.array([each.input_tokens for each in turns], np.float64),
        output_tokens=np.maximum(outputs, 1), session=np.array(session, np.int64), waits=ragged(waits),
        delay_s=np.array(delay, np.float64), blocks=ragged(blocks), block_tokens=size, changes=tuple(changes),
        places=lambda rows: [turns[row].place for row in rows],
    )  # fmt: skip


def _files(source: Source) -> list[Source]:
    if source.form != "folder":
        return [source]
    paths = sorted(path for path in source.path.iterdir() if ".json" in path.name and path.is_file())
    if not paths:
        raise UsageError(f"{source.path} holds no JSON files")
    return [open_source(path) for path in paths]


def _captures(source: Source) -> Iterator[_Capture]:
    decode = msgspec.json.Decoder(_Capture).decode
    where = str(source.path)
    try:
        if source.form == "jsonl":
            for number, line in lines(source):
                where = f"line {number} of {source.path}"
                yield decode(line)
        else:
            with opened(source) as file:
                yield decode(file.read())
    except msgspec.DecodeError as error:
        raise UsageError(f"{where} is no session as AgentX has them: {error}") from error


def _session(capture: _Capture) -> tuple[list[Turn], list[set[int]]]:
    """The requests of a session in order of time, from 0, and those that each waits for."""
    entries = list(enumerate(capture.requests, 1))
    chains = agents([_turn(each, place, each.t) for place, each in entries if each.type != "subagent"])
    main = 0 if chains else -1
    for place, entry in entries:
        if entry.type == "subagent":
            inner = [_turn(each, place, _absolute(each, entry)) for each in entry.requests]
            chains += [(mine, main) for mine, _ in agents(inner)]
    order = sorted((turn for mine, _ in chains for turn in mine), key=lambda turn: (turn.start_s, turn.place))
    row = {id(turn): i for i, turn in enumerate(order)}
    waits: list[set[int]] = [set() for _ in order]
    for mine, parent in chains:
        for before, turn in pairwise(mine):
            waits[row[id(turn)]].add(row[id(before)])
        if parent >= 0:
            _link(mine, chains[parent][0], row, waits)
    zero = order[0].start_s if order else 0.0
    moved = [msgspec.structs.replace(turn, start_s=turn.start_s - zero, end_s=turn.end_s - zero) for turn in order]
    return moved, waits


def _link(mine: Sequence[Turn], parent: Sequence[Turn], row: dict[int, int], waits: list[set[int]]) -> None:
    """What starts these turns, and what waits for the last of them; none does for what runs on in the background."""
    first, last = row[id(mine[0])], row[id(mine[-1])]
    starts, ends = mine[0].start_s + SLACK_S, mine[-1].end_s - SLACK_S
    if before := [turn for turn in parent if turn.end_s <= starts and row[id(turn)] < first]:
        waits[first].add(row[id(before[-1])])
    if after := [turn for turn in parent if turn.start_s >= ends and row[id(turn)] > last]:
        waits[row[id(after[0])]].add(last)


def _absolute(request: _Request, entry: _Request) -> float:
    """When a sub-agent's request began; older files tell the time since the sub-agent was started."""
    return entry.t + request.t if request.t + _EARLY_S < entry.t else request.t


def _turn(request: _Request, place: int, start_s: float) -> Turn:
    took = request.api_time if request.api_time is not None and request.api_time >= 0 else None
    return Turn(
        place=place, start_s=start_s, end_s=start_s + (took or 0.0), timed=took is not None, model=request.model,
        input_tokens=request.input_length, output_tokens=request.output_length, blocks=request.hash_ids,
    )  # fmt: skip

"""What leaves when a log is anonymized: numbers, and no text; the same beginnings stay the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.traces.anonymize import anonymized, hashes, written
from loadcell.traces.read import read_trace

DATA = Path(__file__).parent / "data"
KEYS = {"t", "in", "out", "session", "delay", "waits", "blocks", "block_tokens"}
BLOCK = 4


def encode(texts):
    """A token a character: what is asked of blocks can then be seen in the texts."""
    return [list(text.encode()) for text in texts]


def lines_of(trace) -> list[dict]:
    return [json.loads(line) for line in written(trace)]


def log(tmp_path: Path, rows: list[dict], name: str = "log.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Nd", "Cc")), min_size=3, max_size=30)
logs = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": st.builds(
                "".join, st.lists(st.sampled_from(["Alpha secret ", "Beta ", "Gamma!"]) | words, min_size=1)
            ),
            "completion": words,
            "session": words,
            "timestamp": st.integers(0, 10**6),
            "user": words,
        }
    ),
    min_size=1,
    max_size=12,
)


@given(rows=logs, key=st.none() | st.binary(min_size=16, max_size=40))
@settings(deadline=None)
def test_no_string_of_the_log_is_in_the_trace(tmp_path_factory, rows, key):
    path = log(tmp_path_factory.mktemp("log"), rows)
    trace, told = anonymized([path], encode, block_tokens=BLOCK, key=key)
    out = b"".join(written(trace)).decode()
    assert re.fullmatch(r'[\[\]{},:.\d\n"a-z_+-]*', out)
    for line in map(json.loads, out.splitlines()):
        assert set(line) <= KEYS
        assert all(isinstance(value, int | float | list) for value in line.values())
        assert all(isinstance(each, int) for value in line.values() if isinstance(value, list) for each in value)
    strings = {text for row in rows for text in row.values() if isinstance(text, str)}
    assert not [text for text in strings if text in out.replace('"', "") and text not in " ".join(KEYS)]
    assert told.requests == len(rows)


@given(rows=logs)
@settings(deadline=None)
def test_equal_beginnings_have_equal_blocks_and_different_ones_different_blocks(tmp_path_factory, rows):
    trace, _ = anonymized([log(tmp_path_factory.mktemp("log"), rows)], encode, block_tokens=BLOCK)
    rows = sorted(rows, key=lambda row: row["timestamp"])
    texts = [row["prompt"].encode() for row in rows]
    blocks = [trace.blocks.of(row).tolist() for row in range(len(rows))]
    for text, mine in zip(texts, blocks, strict=True):
        assert len(mine) == -(-len(text) // BLOCK)
        for other, its in zip(texts, blocks, strict=True):
            for place in range(min(len(mine), len(its))):
                end = (place + 1) * BLOCK
                assert (text[:end] == other[:end]) == (mine[place] == its[place])
    numbers = [number for mine in blocks for number in mine]
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers)))), "in order of appearance"


def test_a_fresh_key_is_used_each_time_and_leaves_nothing(tmp_path):
    path = log(tmp_path, [{"t": i, "prompt": f"hello {i % 2} and so on", "out": 1} for i in range(4)])
    outs = [list(written(anonymized([path], encode, block_tokens=BLOCK)[0])) for _ in range(2)]
    assert outs[0] == outs[1], "what is written does not depend on the key"
    one, two = (anonymized([path], encode, block_tokens=BLOCK, key=key * 16)[0] for key in (b"a", b"b"))
    assert not np.intersect1d(one.blocks.values, two.blocks.values).size
    assert (one.blocks.values >= 0).all()


def test_traces_of_several_days_know_each_others_blocks_by_the_same_key(tmp_path):
    key = b"k" * 32
    days = [
        log(tmp_path, [{"t": 0, "prompt": f"the same beginning, day {day}", "out": 1}], f"{day}.jsonl")
        for day in (1, 2)
    ]
    one, two = (anonymized([day], encode, block_tokens=BLOCK, key=key)[0].blocks.values.tolist() for day in days)
    assert one[:5] == two[:5] and one[6] != two[6]
    together, _ = anonymized(days, encode, block_tokens=BLOCK, key=key)
    assert together.blocks.values.tolist() == one + two


def test_a_block_is_hashed_with_all_before_it():
    key = b"k" * 32
    one, two = (hashes(ids, 2, key) for ids in ([1, 2, 3, 4, 5], [9, 2, 3, 4, 5]))
    assert len(one) == 3 and not set(one) & set(two)
    assert hashes([1, 2, 3], 2, key)[0] == one[0] and hashes([1, 2, 3], 2, key)[1] != one[1]


def test_sessions_waits_and_counts_stay(tmp_path):
    first = [{"role": "user", "content": "hello there"}]
    more = [*first, {"role": "assistant", "content": "well, hello"}, {"role": "user", "content": "go on"}]
    rows = [
        {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:02Z", "messages": first,
         "response": {"choices": [{"message": {"content": "well, hello"}}],
                      "usage": {"prompt_tokens": 11, "completion_tokens": 5}}},
        {"start_time": "2026-01-01T00:00:05.5Z", "end_time": "2026-01-01T00:00:07Z", "out": 7,
         "body": {"messages": more}},
    ]  # fmt: skip
    trace, told = anonymized([log(tmp_path, rows)], encode, block_tokens=BLOCK)
    assert lines_of(trace) == [
        {"t": 0, "in": 11, "out": 5, "session": 0, "blocks": [0, 1, 2], "block_tokens": 4},
        {"in": 29, "out": 7, "session": 0, "delay": 3.5, "waits": [0], "blocks": [0, 1, 3, 4, 5, 6, 7, 8],
         "block_tokens": 4},
    ]  # fmt: skip
    assert (told.requests, told.unique_lengths, told.sharing, told.sessions, told.unique_turns) == (2, 2, 1, 1, 1)
    assert [change.what for change in trace.changes] == ["guess"]


def test_times_are_rounded_where_that_is_asked_for(tmp_path):
    rows = [{"t": t, "prompt": "abc", "out": 1} for t in (100.7, 101.2, 103.9)]
    trace, told = anonymized([log(tmp_path, rows)], encode, block_tokens=BLOCK, round_s=2)
    assert [line["t"] for line in lines_of(trace)] == [0, 0, 2]
    assert told.step_s == 2
    assert trace.changes[-1].words == "times and delays of 3 requests were rounded down to multiples of 2 s"


def test_tools_are_part_of_the_beginning(tmp_path):
    rows = [
        {"t": i, "messages": [{"role": "user", "content": "hello"}], "out": 1, "tools": [{"name": name}]}
        for i, name in enumerate(["f", "f", "g"])
    ]
    trace, _ = anonymized([log(tmp_path, rows)], encode, block_tokens=BLOCK)
    blocks = [trace.blocks.of(row).tolist() for row in range(3)]
    assert blocks[0] == blocks[1] != blocks[2]


def test_spans_are_anonymized_with_what_they_wait_for(tmp_path):
    trace, _ = anonymized([DATA / "otel_fan_in.json"], encode, block_tokens=16)
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"".join(written(trace)))
    again = read_trace(path)
    assert [again.waits.of(row).tolist() for row in range(4)] == [[], [], [], [0, 1, 2]]
    assert again.blocks.of(3)[:2].tolist() == again.blocks.of(0)[:2].tolist()


def test_logs_without_text_and_lines_without_any_are_told(tmp_path):
    plain = tmp_path / "p.csv"
    plain.write_text("t,in,out\n0,1,1\n")
    with pytest.raises(UsageError, match="is of the format plain, which has no text"):
        anonymized([plain], encode, block_tokens=4)
    path = log(tmp_path, [{"t": 0, "prompt": "abc", "out": 1}, {"t": 1, "prompt": "", "out": 1}])
    with pytest.raises(UsageError, match=r"1 of 2 rows .* line 2 \(no text\)"):
        anonymized([path], encode, block_tokens=4)
    assert len(anonymized([path], encode, block_tokens=4, skip_bad=True)[0]) == 1
    payload = {"startTime": 1.0, "endTime": 2.0, "prompt_tokens": 5, "completion_tokens": 1}
    with pytest.raises(UsageError, match="holds no text: it is a trace already"):
        anonymized([log(tmp_path, [payload])], encode, block_tokens=4)
    with pytest.raises(UsageError, match="is no log of requests: its lines need a time"):
        anonymized([log(tmp_path, [{"prompt": "abc"}])], encode, block_tokens=4)

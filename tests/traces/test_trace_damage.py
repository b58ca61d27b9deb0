"""Whatever a file holds: it is a trace, or one sentence says why not."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trace_sessions import NEW, OLD, PAYLOAD, capture, otlp, request, span, subagent

from loadcell.errors import UsageError
from loadcell.traces.describe import describe
from loadcell.traces.read import read_trace


def _lines(*rows: dict) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


ROUND = {"session_id": "s", "round_index": 0, "input_tokens_total": 9, "output_tokens": 2,
         "timing_events": [{"event_type": "text", "timestamp": "2026-06-01T05:40:20.151Z"}]}  # fmt: skip
FILES = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,48,10\n2023-11-16 18:17:04.03,3,8",
    "burst": "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens\n0.0,a,3,G,5,6\n9.0,a,3,G,5,6\n",
    "plain": "t,in,out,session,turn,delay\n0,1,2,a,0,\n,3,4,a,1,2\n",
    "objects": _lines({"t": 0, "in": 5, "out": 1, "blocks": [1], "block_tokens": 16, "session": 1},
                      {"in": 5, "out": 1, "waits": [0], "delay": 1, "blocks": [2], "block_tokens": 16}),
    "list": '[{"t": 0, "in": 5, "out": 1},\n{"t": 1, "in": 5, "out": 1}]',
    "mooncake": _lines({"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}) * 2,
    "bailian": _lines({"chat_id": 1, "parent_chat_id": -1, "timestamp": 1.5, "input_length": 17, "output_length": 2,
                       "hash_ids": [7, 8]}) * 2,
    "tracelab": _lines(ROUND, ROUND | {"round_index": 1}),
    "otel": json.dumps(otlp([span("a", 0, 1), span("b", 2, 3, parent="a")])),
    "litellm": _lines(PAYLOAD | {"startTime": 1e9, "endTime": 1e9 + 2, "messages": [{"content": "x"}]}) * 2,
    "agentx": json.dumps(capture(request(1, [1, 2]), subagent(3, request(3, [7])), request(20, [1, 2, 3])), indent=1),
    "old vllm": OLD,
    "new vllm": NEW,
}  # fmt: skip
VALUES = ["null", "-1", "1e400", "9" * 20, '"x"', "[]", "{}", "true", "NaN", '""', "[[1]]", '{"a": 1}', "-0.5", '"',
          "\n", ",", ""]  # fmt: skip
PARTS = re.compile(r'-?\d+(\.\d+)?|"[^"]*"|\[[^\[\]]*\]')


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_whole_is_a_trace(file, name):
    assert len(read_trace(file(name.replace(" ", "_"), FILES[name]))) >= 1


@given(name=st.sampled_from(list(FILES)), changes=st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from(VALUES)),
       min_size=1, max_size=3), skip_bad=st.booleans())  # fmt: skip
@settings(deadline=None)
def test_a_damaged_file_is_a_trace_still_or_told_in_one_line(tmp_path_factory, name, changes, skip_bad):
    text = FILES[name]
    for where, value in changes:
        parts = list(PARTS.finditer(text))
        if parts:
            part = parts[int(where * len(parts))]
            text = text[: part.start()] + value + text[part.end() :]
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_text(text)
    try:
        assert describe(read_trace(path, skip_bad=skip_bad)).requests >= 1
    except UsageError as error:
        assert "\n" not in str(error).strip()

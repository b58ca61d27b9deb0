"""Logs and captures of sessions: who belongs together, who waited for whom, and for how long."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.traces.describe import describe
from loadcell.traces.named import path_of
from loadcell.traces.read import read_trace

DATA = Path(__file__).parent / "data"


def waits_of(trace) -> list[list[int]]:
    return [trace.waits.of(row).tolist() for row in range(len(trace))]


# --- TraceLab --------------------------------------------------------------------------------------------------------


def test_tracelab_has_two_chains_with_the_waits_for_their_tools():
    trace = read_trace("tracelab")
    assert np.bincount(trace.session).tolist() == [9, 10]
    assert waits_of(trace) == [[], *([i] for i in range(8)), [], *([i] for i in range(9, 18))]
    assert trace.t_s[[0, 9]].tolist() == [0, pytest.approx(6_204_860.823, abs=1e-3)]
    import gzip

    rows = [json.loads(line) for line in gzip.decompress(path_of("tracelab").read_bytes()).splitlines()]
    claude = [row for row in rows if row["provider"] == "claude"]
    assert trace.input_tokens[9:].tolist() == [row["input_tokens_total"] for row in claude]
    # the first round ends with the call of a tool at 05:40:31.647, whose result comes 19.291 s later
    assert trace.delay_s[10] == pytest.approx(19.291, abs=1e-3)
    assert trace.delay_s[10] == pytest.approx(claude[0]["tools"][1]["tool_wall_latency_ms"] / 1000, abs=1e-3)
    found = describe(trace)
    assert (found.sessions.sessions, found.sessions.waiting, found.sessions.turns.max) == (2, 17, 10)


# --- OpenTelemetry ---------------------------------------------------------------------------------------------------


def test_a_fan_in_is_inferred_from_the_answers_that_it_repeats():
    trace = read_trace(DATA / "otel_fan_in.json")
    assert trace.session.tolist() == [0, 0, 0, 0]
    assert waits_of(trace) == [[], [], [], [0, 1, 2]]
    assert trace.t_s[:3].tolist() == [0, 2.5, 3]
    assert trace.delay_s[3] == 1  # the last of the three ended at 5 s
    spans = json.loads((DATA / "otel_fan_in.json").read_text())["spans"]
    chars = [len(span["attributes"]["gen_ai.output.text"]) for span in spans]
    assert trace.output_tokens.tolist() == [-(-count // 4) for count in chars]
    assert [(change.what, change.rows) for change in trace.changes] == [("guess", 4)]


def test_turns_of_a_conversation_wait_for_each_other_and_counts_are_the_usage():
    trace = read_trace(DATA / "otel_prefix_sharing.json")
    assert trace.input_tokens.tolist() == [50, 45, 100, 180, 270, 380, 40]
    assert trace.output_tokens.tolist() == [20, 15, 50, 60, 70, 55, 10]
    assert trace.session.tolist() == [0, 1, 2, 2, 2, 2, 3]
    assert waits_of(trace) == [[], [], [], [2], [3], [4], []]
    assert trace.delay_s[3:6] == pytest.approx([1, 0.5, 0.2], abs=1e-6)
    assert trace.changes == ()


def otlp(spans: list[dict]) -> dict:
    def value(of):
        return {"intValue": str(of)} if isinstance(of, int) else {"stringValue": of}

    return {
        "resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [
            {"traceId": span["trace"], "spanId": span["id"], "parentSpanId": span.get("parent", ""),
             "startTimeUnixNano": str(span["start"]), "endTimeUnixNano": str(span["end"]),
             "attributes": [{"key": key, "value": value(of)} for key, of in span["attributes"].items()]}
            for span in spans
        ]}]}]
    }  # fmt: skip


S = 1_000_000_000
USAGE = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}


def span(name: str, start: float, end: float, trace: str = "t", parent: str = "", **attributes: object) -> dict:
    return {"id": name, "trace": trace, "parent": parent, "start": round((1e9 + start) * S),
            "end": round((1e9 + end) * S), "attributes": USAGE | attributes}  # fmt: skip


def test_the_json_of_collectors_is_read_a_document_or_one_a_line(file):
    agent = {
        "id": "a",
        "trace": "t",
        "start": 10**18,
        "end": 10**18 + 9 * S,
        "attributes": {"gen_ai.operation.name": "invoke_agent"},
    }
    spans = [agent, span("b", 1, 2, parent="a"), span("c", 3, 4, parent="b"), span("d", 3.5, 5, parent="c")]
    for path in (file("o.json", json.dumps(otlp(spans), indent=1)), file("o.jsonl", [otlp([each]) for each in spans])):
        trace = read_trace(path)
        assert trace.kind == "otel"
        assert trace.input_tokens.tolist() == [7, 7, 7]
        assert trace.session.tolist() == [0, 0, 0]
        assert waits_of(trace) == [[], [0], []]  # d began while its parent went on
        assert np.isnan(trace.t_s).tolist() == [False, True, False]


def test_messages_of_parts_and_calls_of_tools_are_compared_too(file):
    call = {"type": "tool_call", "id": "1", "name": "f", "arguments": {"x": 1}}
    asked = [{"role": "user", "parts": [{"type": "text", "content": "go"}]}]
    said = [{"role": "assistant", "parts": [call]}]
    result = [{"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "42"}]}]
    spans = [
        span("a", 0, 1, **{"gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps(said)}),
        span("b", 3, 4, "other", **{"gen_ai.input.messages": json.dumps(asked + said + result)}),
        span("c", 3, 4, "third", **{"gen_ai.input.messages": json.dumps(asked)}),
    ]
    trace = read_trace(file("o.json", json.dumps(otlp(spans))))
    assert waits_of(trace) == [[], [0], []]
    assert trace.session.tolist() == [0, 0, 1]
    assert trace.delay_s[1] == pytest.approx(2)


def test_the_same_answer_in_another_session_is_no_dependency(file):
    messages = json.dumps([{"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}])
    spans = [
        span("a", 0, 1, "t1", **{"gen_ai.input.messages": '[{"content": "p"}]', "gen_ai.output.text": "yes"}),
        span("b", 2, 3, "t2", **{"gen_ai.input.messages": messages}),
    ]
    trace = read_trace(file("o.json", json.dumps(otlp(spans))))
    assert trace.waits is None and trace.session is None


def test_calls_that_failed_are_left_out_and_counted(file):
    document = otlp([span("a", 0, 1), span("b", 2, 3)])
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["status"] = {"code": 2, "message": "overloaded"}
    trace = read_trace(file("o.json", json.dumps(document)))
    assert len(trace) == 1
    assert [(change.what, change.words) for change in trace.changes] == [
        ("drop", "1 of 2 calls of o failed, and were left out")
    ]
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["status"] = {"code": "STATUS_CODE_ERROR"}
    with pytest.raises(UsageError, match="all 2 failed"):
        read_trace(file("o.json", json.dumps(document)))


def test_spans_without_calls_and_broken_lines_are_told(file):
    agent = otlp([{"id": "a", "trace": "t", "start": 1, "end": 2, "attributes": {"http.method": "GET"}}])
    with pytest.raises(UsageError, match="no call of a model: none of its 1 spans"):
        read_trace(file("o.json", json.dumps(agent)))
    with pytest.raises(UsageError, match=r"line 2 of .* is broken"):
        read_trace(file("o.jsonl", json.dumps(otlp([span("b", 1, 2)])) + "\n{\n"))


# --- LiteLLM ---------------------------------------------------------------------------------------------------------

PAYLOAD = {"id": "x", "status": "success", "prompt_tokens": 12, "completion_tokens": 3, "cache_hit": None, "model": "m"}


def test_litellm_payloads_are_calls_with_their_sessions(file):
    rows = [
        PAYLOAD | {"startTime": 1e9, "endTime": 1e9 + 2, "trace_id": "a"},
        PAYLOAD
        | {"startTime": 1e9 + 1, "endTime": 1e9 + 3, "trace_id": "b", "status": "failure", "completion_tokens": 0},
        PAYLOAD | {"startTime": 1e9 + 1.5, "endTime": 1e9 + 3, "trace_id": "b", "cache_hit": True},
        PAYLOAD | {"startTime": 1e9 + 5, "endTime": 1e9 + 6, "trace_id": "a", "prompt_tokens": 20},
    ]
    trace = read_trace(file("l.jsonl", rows))
    assert trace.kind == "litellm"
    assert (trace.t_s[0], trace.input_tokens.tolist(), trace.session.tolist()) == (0, [12, 20], [0, 0])
    assert [(change.what, change.rows) for change in trace.changes] == [("drop", 1), ("drop", 1)]
    assert "1 of 4 calls of l failed" in trace.changes[0].words
    assert "own cache" in trace.changes[1].words


def test_litellm_turns_wait_for_the_messages_that_they_repeat(file):
    first = [{"role": "user", "content": "hi"}]
    reply = {"role": "assistant", "content": "hello"}
    more = [*first, reply, {"role": "user", "content": "and?"}]
    rows = [
        PAYLOAD
        | {"startTime": 1e9, "endTime": 1e9 + 2, "messages": first, "response": {"choices": [{"message": reply}]}},
        PAYLOAD | {"startTime": 1e9 + 6, "endTime": 1e9 + 7, "messages": more},
    ]
    trace = read_trace(file("l.jsonl", rows))
    assert waits_of(trace) == [[], [0]] and trace.delay_s[1] == 4


def test_litellm_spend_logs_as_csv_have_dates(file):
    head = "request_id,startTime,endTime,prompt_tokens,completion_tokens,session_id,status,cache_hit"
    rows = ["r,2026-01-01T00:00:00.5Z,2026-01-01T00:00:01Z,5,2,s,success,False"]
    rows += ["q,2026-01-01T00:00:03Z,2026-01-01T00:00:04Z,x,2,s,success,False"]
    path = file("l.csv", "\n".join([head, *rows]))
    with pytest.raises(UsageError, match=r"line 3 \(no input tokens\)"):
        read_trace(path)
    trace = read_trace(path, skip_bad=True)
    assert trace.input_tokens.tolist() == [5]


# --- vLLM ------------------------------------------------------------------------------------------------------------

OLD = (
    "INFO 12-31 23:59:58 [logger.py:43] Received request chatcmpl-a: prompt: '<s>it\\'s [1, 2]', "
    "params: SamplingParams(n=1, max_tokens=100, min_tokens=0), prompt_token_ids: [1, 2, 3], "
    "prompt_embeds shape: None, lora_request: None.\n"
    "INFO:     127.0.0.1:5 - \"POST /v1/chat/completions HTTP/1.1\" 200 OK\n"
    "INFO 01-01 00:00:03 [logger.py:43] Received request cmpl-b-0: prompt: \"it's\", params: SamplingParams(n=1, "
    "max_tokens=50), prompt_token_ids: None, prompt_embeds shape: None, lora_request: None.\n"
)  # fmt: skip
NEW = (
    "(APIServer pid=7) DEBUG 06-01 10:00:00 [request_logger.py:80] Request chatcmpl-a details: prompt: 'x', "
    "prompt_token_ids: [5, 6], prompt_embeds shape: None.\n"
    "(APIServer pid=7) INFO 06-01 10:00:00 [request_logger.py:90] Received request chatcmpl-a: params: "
    "SamplingParams(max_tokens=9), lora_request: None.\n"
    "(APIServer pid=7) INFO 06-01 10:00:01 [request_logger.py:99] Generated response chatcmpl-a (streaming delta): "
    "output: 'a', output_token_ids: [9], finish_reason: None\n"
    "(APIServer pid=7) INFO 06-01 10:00:02 [request_logger.py:99] Generated response chatcmpl-a (streaming delta): "
    "output: 'bc', output_token_ids: [8, 7], finish_reason: stop\n"
    "(APIServer pid=7) INFO 06-01 10:00:02 [request_logger.py:99] Generated response chatcmpl-a (streaming complete): "
    "output: 'abc', output_token_ids: None, finish_reason: streaming_complete\n"
)


def test_vllm_tells_ids_of_prompts_in_older_versions_and_outputs_at_most(file):
    trace = read_trace(file("v.log", OLD))
    assert trace.kind == "vllm" and trace.t_s.tolist() == [0, 5]
    assert trace.input_tokens.tolist() == [3, 1]  # three ids; four characters
    assert trace.output_tokens.tolist() == [100, 50]
    assert [(change.what, change.rows) for change in trace.changes] == [("guess", 1), ("guess", 2), ("bin", 2)]


def test_vllm_tells_all_with_debug_and_outputs(file):
    trace = read_trace(file("v.log.gz", NEW))
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([2], [3])
    assert [change.what for change in trace.changes] == ["bin"]


def test_vllm_without_lengths_is_told_how_to_log_them(file):
    with pytest.raises(UsageError, match="VLLM_LOGGING_LEVEL=DEBUG"):
        read_trace(file("v.log", "\n".join(line for line in NEW.splitlines() if "Received" in line)))
    with pytest.raises(UsageError, match="--enable-log-requests"):
        read_trace(file("v.log", "INFO 06-01 10:00:00 [api_server.py:1] Started server process\n"))


# --- AgentX ----------------------------------------------------------------------------------------------------------


def request(t: float, blocks: list[int], took: float | None = 1.0, model: str = "big", out: int = 4) -> dict:
    return {
        "t": t,
        "type": "s",
        "model": model,
        "in": 64 * len(blocks),
        "out": out,
        "hash_ids": blocks,
        "api_time": took,
    }


def capture(*requests: dict, name: str = "trace_1") -> dict:
    return {"id": name, "models": ["big"], "block_size": 64, "hash_id_scope": "local", "tool_tokens": 0,
            "system_tokens": 0, "requests": list(requests)}  # fmt: skip


def subagent(t: float, *requests: dict) -> dict:
    return {"t": t, "type": "subagent", "agent_id": "agent_001", "subagent_type": "Explore", "duration_ms": 1000,
            "total_tokens": 1, "tool_use_count": 0, "status": "completed", "requests": [*requests],
            "models": []}  # fmt: skip


def test_a_session_tree_spawns_and_joins(file):
    tree = capture(
        request(10, [1, 2]),
        subagent(12, request(12, [7]), request(14, [7, 8])),
        request(20, [1, 2, 3]),
        subagent(22, request(22, [9])),
    )
    trace = read_trace(file("x.json", json.dumps(tree, indent=1)))
    assert (trace.kind, trace.block_tokens) == ("agentx", 64)
    # main at 0; its sub-agent at 2 and 4; main at 10 joins it; one in the background at 12
    assert trace.session.tolist() == [0] * 5
    assert waits_of(trace) == [[], [0], [1], [2], [3]]
    assert trace.t_s[0] == 0 and np.isnan(trace.t_s[1:]).all()
    assert trace.delay_s[1:].tolist() == [1, 1, 5, 1]
    assert [trace.blocks.of(row).tolist() for row in range(5)] == [[0, 1], [2], [2, 3], [0, 1, 4], [5]]


def test_times_of_sub_agents_in_older_files_are_since_their_start(file):
    tree = capture(request(0, [1]), subagent(12, request(0, [7]), request(3, [7, 8])), request(30, [1, 2]))
    trace = read_trace(file("x.json", json.dumps(tree)))
    assert trace.delay_s[1:].tolist() == [11, 2, 14]


def test_agents_that_stand_unmarked_are_parted_by_their_blocks(file):
    # the example of AIPerf's documentation: a main agent and two workers that share its beginning
    tree = capture(
        request(0, [1, 2, 3]), request(2, [1, 2, 50, 51]), request(2.5, [1, 2, 60, 61], took=8.0),
        request(9, [1, 2, 3, 4, 5]), request(12, [1, 2, 3, 4, 5, 6]),
    )  # fmt: skip
    trace = read_trace(file("x.json", json.dumps(tree)))
    assert waits_of(trace) == [[], [0], [0], [1], [2, 3]]
    assert trace.delay_s[1:].tolist() == [1, 1.5, 6, 1.5]


def test_a_shortened_context_goes_on_with_its_agent(file):
    tree = capture(
        request(0, [1, 2, 3, 4]), request(5, [1, 2, 9]), request(8, [1, 2, 9, 10]), request(9, [3], model="small")
    )
    trace = read_trace(file("x.json", json.dumps(tree)))
    # the last shares nothing and is of another model: an agent of its own, which began when the third had ended
    assert waits_of(trace) == [[], [0], [1], [2]]


def test_sessions_do_not_share_blocks_and_begin_at_their_own_zero(file, tmp_path):
    for i in range(2):
        file(f"trace_{i}.json", json.dumps(capture(request(5, [1, 2]), request(9, [1, 2, 3], None, out=0))))
    trace = read_trace(tmp_path)
    assert trace.session.tolist() == [0, 1, 0, 1]
    assert trace.t_s[:2].tolist() == [0, 0]
    assert trace.blocks.values.max() == 5 and describe(trace).sharing.hit_share == 4 / 10
    assert [(change.what, change.rows) for change in trace.changes] == [("guess", 2), ("clip", 2)]
    assert trace.output_tokens.tolist() == [4, 4, 1, 1]


def test_a_file_that_is_no_session_is_told_why(file):
    with pytest.raises(UsageError, match=r"is no session as AgentX has them: .*hash_id_scope"):
        read_trace(file("x.json", json.dumps(capture() | {"hash_id_scope": "global"})))

"""Why an output ended, by the value of its finish reason."""

from __future__ import annotations

from typing import Any

import pytest

from loadcell.protocol.endings import ending


@pytest.mark.parametrize(
    "told", [None, "", "null", "None", False, [], {}, 0, {"type": None}, "not_finished", "running", "N/A"]
)
def test_the_output_goes_on(told: Any) -> None:
    assert ending(told) == (None, None)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("stop", "stop"), ("STOP", "stop"), ("MAX_TOKENS", "max_tokens"), ("maxTokens", "max_tokens"),
        ("content-filter", "content_filter"), ("eos_token", "eos_token"), ("COMPLETE", "complete"),
        ("end_turn", "end_turn"), ({"type": "length", "length": 10}, "length"),
        ({"type": "stop", "matched": 2}, "stop"),
        (True, "true"), (1, "1"), ("FINISH_REASON_STOP", "stop"), ("FINISH_REASON_MAX_TOKENS", "max_tokens"),
        ("FINISH_LENGTH", "length"), ("END_ID", "end_id"), ("stop:eos", "stop:eos"), ("<|im_end|>", "<|im_end|>"),
        ("max_seq_len", "max_seq_len"), ("model_context_window_exceeded", "model_context_window_exceeded"),
        ({"Length": 10}, "length"), ({"stop": True}, "stop"), ({"reason": {"type": "stop"}}, "stop"),
        (["stop"], "stop"), ("word", "word"), ("limit", "limit"), ("stop_sequence", "stop_sequence"),
    ],
)  # fmt: skip
def test_the_output_is_whole(told: Any, reason: str) -> None:
    assert ending(told) == (reason, None)


@pytest.mark.parametrize(
    "told",
    [
        "abort",
        "error",
        "cancelled",
        "timeout",
        "network_error",
        "insufficient_system_resource",
        "FAILED",
        "oom",
        7,
        "engine_dead",
        "preempted",
        "time_limit",
        "rate_limit_exceeded",
        "tool_error",
        "user_stop",
        "aborted",
        "load",
    ],
)
def test_the_output_was_given_up(told: Any) -> None:
    reason, words = ending(told)
    assert reason == str(told).lower()
    assert words == f"the server gave its output up: finish_reason {told}"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"type": "abort", "message": "KV cache exhausted"}, "abort: KV cache exhausted"),
        ({"message": "the GPU fell off"}, "the GPU fell off"),
        ({"code": 500, "error": {"message": "no memory"}}, "500: no memory"),
        ({"detail": 7}, "7"),
        ({"Error": "no memory"}, "Error"),
        (["abort"], "abort"),
        ("FINISH_ABORT", "FINISH_ABORT"),
    ],
)
def test_an_object_tells_in_the_servers_words(told: Any, words: str) -> None:
    reason, said = ending(told)
    assert reason and said == f"the server gave its output up: finish_reason {words}"

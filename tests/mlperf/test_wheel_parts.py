"""The parts of LoadGen's run that need no LoadGen: its settings, and replies as it wants them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from loadcell.mlperf.model import RunPlan
from loadcell.mlperf.rules import find_rules
from loadcell.mlperf.wheel.replies import IdReply, count_tokens, token_ids
from loadcell.mlperf.wheel.settings import settings_of
from loadcell.protocol.openai.dialect import CHAT
from loadcell.spec import Endpoint, Spec
from loadcell.workload import load_tokenizer


def plan_of(benchmark: str, scenario: str, **more: Any) -> RunPlan:
    rules = find_rules("v6.1", benchmark, scenario)
    return RunPlan(
        loadcell="0", rules=rules, samples=rules.performance_sample_count, queries=None, dataset="", dataset_sha256="",
        spec=Spec(endpoint=Endpoint(url="http://h:1")), **more,
    )  # fmt: skip


def test_settings_follow_from_the_rules() -> None:
    settings = settings_of(plan_of("llama3.1-8b", "interactive", target_qps=12.5), accuracy=False)
    assert settings == {
        "scenario": "Server", "mode": "PerformanceOnly",
        "qsl_rng_seed": 2085463073848966840, "sample_index_rng_seed": 2747215439041700203,
        "schedule_rng_seed": 16159082839903944936, "accuracy_log_rng_seed": 720381539243781796,
        "sample_concatenate_permutation": True, "performance_sample_count_override": 13368,
        "min_duration_ms": 600_000, "min_query_count": 100, "use_token_latencies": True,
        "server_target_qps": 12.5, "server_target_latency_percentile": 0.99,
        "ttft_latency": 500_000_000, "tpot_latency": 30_000_000,
    }  # fmt: skip
    offline = settings_of(plan_of("llama3.1-8b", "offline", expected_qps=40.0), accuracy=True)
    assert (offline["mode"], offline["min_query_count"], offline["offline_expected_qps"]) == ("AccuracyOnly", 13368, 40)
    single = settings_of(plan_of("llama3.1-8b-edge", "singlestream", expected_qps=4.0), accuracy=False)
    assert single["single_stream_expected_latency_ns"] == 250_000_000
    assert single["single_stream_target_latency_percentile"] == 0.9
    multi = settings_of(plan_of("llama3.1-8b", "multistream", expected_qps=4.0), accuracy=False)
    assert (multi["multi_stream_samples_per_query"], multi["min_query_count"]) == (8, 662)


@pytest.mark.parametrize("scenario", ["offline", "server", "interactive", "singlestream", "multistream"])
def test_loadgen_knows_every_setting(scenario: str) -> None:
    lg = pytest.importorskip("mlperf_loadgen", reason="no wheel of mlcommons-loadgen for this platform")
    settings = settings_of(plan_of("llama3.1-8b", scenario, target_qps=1.0, expected_qps=1.0), accuracy=False)
    taken = lg.TestSettings()
    for name, value in settings.items():
        kind = {"scenario": lg.TestScenario, "mode": lg.TestMode}.get(name)
        setattr(taken, name, getattr(kind, value) if kind else value)
        assert hasattr(lg.TestSettings, name)
        assert kind or getattr(taken, name) == value


def reply_of(*events: dict[str, Any]) -> IdReply:
    """A whole stream of these events."""
    body = b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events) + b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    reply = IdReply(CHAT)
    reply.feed([head + body], 0)
    assert reply.closed and reply.failure is None
    return reply


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": text}, **more}]}


END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def test_token_ids_of_the_server_go_before_those_of_the_tokenizer() -> None:
    tokenizer = load_tokenizer("smollm2")
    reply = reply_of(said("Hello", token_ids=[5, 6]), said(" world", token_ids=[7]), END)
    assert (list(token_ids(reply, tokenizer)[0]), token_ids(reply, tokenizer)[1]) == ([5, 6, 7], "server")
    assert count_tokens(reply, tokenizer) == (3, "ids")


def test_without_them_the_text_is_tokenised_again() -> None:
    tokenizer = load_tokenizer("smollm2")
    reply = reply_of(said("Hello"), said(" world"), END)
    ids, whose = token_ids(reply, tokenizer)
    assert (tokenizer.backend.decode(list(ids)), whose) == ("Hello world", "tokenizer")
    assert count_tokens(reply, tokenizer) == (len(ids), "events"), "the text bears out one token an event"
    assert count_tokens(reply, None) == (2, "chunks")
    assert (list(token_ids(reply, None)[0]), token_ids(reply, None)[1]) == ([], "none")


@pytest.mark.parametrize(("claimed", "count"), [(9, (9, "usage")), (90, (9, "tokenizer"))])
def test_usage_counts_where_the_text_bears_it_out(claimed: int, count: tuple[int, str]) -> None:
    usage = {"choices": [], "usage": {"completion_tokens": claimed}}
    reply = reply_of(said("one two three four five"), said(" six seven eight nine"), usage, END)
    assert count_tokens(reply, load_tokenizer("smollm2")) == count

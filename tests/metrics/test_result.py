from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from made import MS, events_of, failed_request, ok_request

from loadcell.metrics import Result, build_result, result_schema
from loadcell.recording.read import Recording, open_recording

Make = Callable[..., Recording]
CASES: dict[str, dict[str, Any]] = {
    "ok": {"requests": [ok_request(i, start_ms=i) for i in range(8)], "slo": {"ttft_ms": 60}},
    "empty": {"requests": [], "planned": 3, "state": "interrupted"},
    "failed": {"requests": [failed_request(0, "connect", send_start_ns=None)]},
    "no tokens": {"requests": [ok_request(0, output_tokens=0)]},
    "all at once": {"requests": [ok_request(0, last_ns=50 * MS)]},
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_recording_gives_the_same_json_and_no_nan(make: Make, case: str) -> None:
    recording = make(**CASES[case])
    text = msgspec.json.encode(build_result(recording))
    assert text == msgspec.json.encode(build_result(open_recording(recording.path)))

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} in the JSON")

    json.loads(text, parse_constant=refuse)
    assert not any(math.isnan(x) or math.isinf(x) for x in numbers(msgspec.to_builtins(build_result(recording))))


def numbers(tree: Any) -> list[float]:
    if isinstance(tree, dict | list):
        return [x for value in (tree.values() if isinstance(tree, dict) else tree) for x in numbers(value)]
    return [tree] if isinstance(tree, float) else []


def test_the_json_reads_back_as_the_same_result(make: Make) -> None:
    result = build_result(make(**CASES["ok"]))
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result


def test_the_schema_names_every_field_and_says_what_may_be_missing() -> None:
    schema = json.loads(json.dumps(result_schema()))
    assert set(schema["$defs"]["Result"]["properties"]) == set(Result.__struct_fields__)
    assert {"type": "null"} in schema["$defs"]["Estimate"]["properties"]["value"]["anyOf"]
    assert schema["$schema"] and schema["title"]


def test_the_methodology_says_how(make: Make) -> None:
    rows = [ok_request(0), ok_request(1, start_ms=1, prompt_tokens=None, token_source="chunks")]
    method = build_result(make(rows, effective={"tokenizer": "t", "ramp_s": None})).methodology
    assert method.token_source == {"chunks": 1, "usage": 1}
    assert method.prompt_token_source == {"usage": 1, "planned": 1}
    assert (method.tokenizer, method.loop, method.clock, method.seed) == ("t", "closed", "kernel", 0)
    assert method.spec.load.timeout_s == 120
    assert "nearest rank" in method.percentile


def test_workers_tell_what_they_cost_and_may_leave_things_out(make: Make) -> None:
    events = events_of(ok_request(0))
    audits = [{"issued": 1, "cpu_s": 1e-4, "reads": 12, "reads_without_stamp": 0, "longest_turn_ns": 2 * MS}]
    told = build_result(make([ok_request(0)], events=events, audits=audits)).instrument
    assert (told.reads, told.reads_without_stamp, told.cpu_us_per_token) == (12, 0, pytest.approx(10))
    assert told.workers[0].longest_turn_ms == 2 and told.workers[0].gc_pauses is None


def test_one_silent_worker_makes_a_sum_unknown(make: Make) -> None:
    audit = build_result(make([ok_request(0)], audits=[{"cpu_s": 1.0, "reads": 5}, {"reads": 5}])).instrument
    assert (audit.cpu_us_per_token, audit.reads) == (None, 10)


@pytest.mark.parametrize(("cached", "said"), [(None, False), (0, False), (11, False), (60, True)])
def test_a_prefix_cache_that_answered_is_named(make: Make, cached: int | None, said: bool) -> None:
    """Of synthetic prompts the verdict says it; those of a file may repeat on purpose, so there it is a note."""
    rows = [ok_request(i, start_ms=i, prompt_tokens=110, cached_tokens=cached) for i in range(4)]
    recording = make(rows)
    assert any("from its cache" in reason for reason in build_result(recording).verdict.reasons) is said
    workload = msgspec.structs.replace(recording.spec.workload, prompts="prompts.jsonl")
    intended = replace(recording, spec=msgspec.structs.replace(recording.spec, workload=workload))
    assert any("from its cache" in note for note in build_result(intended).notes) is said

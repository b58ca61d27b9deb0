"""What servers tell of speculative decoding: by their replies, by their pages in several forms, by their gauges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import ok_request
from made_looks import Told, write_looks

from loadcell.metrics import build_result
from loadcell.metrics.model import Speculation
from loadcell.recording.read import Recording, open_recording

Make = Callable[..., Recording]
VLLM = """\
vllm:spec_decode_num_drafts_total{{engine="0",model_name="m"}} {steps}
vllm:spec_decode_num_drafts_created{{engine="0",model_name="m"}} 1.79e+09
vllm:spec_decode_num_draft_tokens_total{{engine="0",model_name="m"}} {tokens}
vllm:spec_decode_num_accepted_tokens_total{{engine="0",model_name="m"}} {accepted}
vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="0",model_name="m",position="0"}} {first}
vllm:spec_decode_num_accepted_tokens_per_pos_total{{engine="0",model_name="m",position="1"}} {second}
"""
TRTLLM = """\
trtllm_spec_decode_num_draft_tokens_total{{engine_type="pytorch",model_name="m"}} {tokens}
trtllm_spec_decode_num_accepted_tokens_total{{engine_type="pytorch",model_name="m"}} {accepted}
"""
TGI = """\
tgi_request_skipped_tokens_sum {accepted}
tgi_request_skipped_tokens_count {steps}
"""
BEFORE = {"steps": 100, "tokens": 200, "accepted": 70, "first": 50, "second": 20}
GAINS = {"steps": 400, "tokens": 800, "accepted": 500, "first": 300, "second": 200}


def told(make: Make, before: str = "", after: str = "", **columns: Any) -> list[Speculation]:
    """By a run of 20 requests between two pages."""
    recording = make([ok_request(i, start_ms=400 * i, **columns) for i in range(20)])
    for when, page in (("before", before), ("after", after)):
        if page:
            (Path(recording.path) / f"server-{when}.prom").write_text(page)
    return build_result(open_recording(recording.path)).speculation


def paged(make: Make, form: str, gains: dict[str, int]) -> list[Speculation]:
    after = {name: value + gains.get(name, 0) for name, value in BEFORE.items()}
    return told(make, form.format(**BEFORE), form.format(**after))


def test_counters_of_vllm(make: Make) -> None:
    (found,) = paged(make, VLLM, GAINS)
    assert (found.source, found.requests) == ("vLLM Prometheus", None)
    assert (found.steps, found.draft_tokens, found.accepted_tokens) == (400, 800, 500)
    assert found.acceptance_rate == pytest.approx(500 / 800) and found.acceptance_length == pytest.approx(2.25)
    assert found.by_position == [0.75, 0.5]


def test_counters_of_several_engines_are_added_up(make: Make) -> None:
    both = VLLM + VLLM.replace('engine="0"', 'engine="1"')
    (found,) = paged(make, both, GAINS)
    assert (found.steps, found.draft_tokens, found.accepted_tokens) == (800, 1600, 1000)
    assert found.by_position == [0.75, 0.5]


def test_a_server_that_guessed_nothing_has_no_rate(make: Make) -> None:
    (found,) = paged(make, VLLM, {})
    assert (found.steps, found.draft_tokens, found.accepted_tokens) == (0, 0, 0)
    assert (found.acceptance_rate, found.acceptance_length, found.by_position) == (None, None, [])


def test_counters_that_started_anew_tell_nothing(make: Make) -> None:
    (found,) = paged(make, VLLM, dict.fromkeys(BEFORE, -10))
    assert (found.steps, found.draft_tokens, found.acceptance_rate, found.by_position) == (None, None, None, [])


def test_counters_of_tensorrt_llm(make: Make) -> None:
    (found,) = paged(make, TRTLLM, GAINS)
    assert (found.source, found.steps) == ("TensorRT-LLM Prometheus", None)
    assert found.acceptance_rate == pytest.approx(500 / 800) and found.acceptance_length is None


def test_counters_of_tgi(make: Make) -> None:
    (found,) = paged(make, TGI, GAINS)
    assert (found.source, found.draft_tokens, found.acceptance_rate) == ("TGI Prometheus", None, None)
    assert found.acceptance_length == pytest.approx(2.25)
    assert found.note and "that of the prompt too" in found.note
    assert paged(make, TGI, {"steps": 400}) == []  # a TGI that does not speculate counts its steps too


def test_replies_tell_of_themselves(make: Make) -> None:
    (found,) = told(make, draft_steps=4, draft_tokens=12, accepted_tokens=6)
    assert (found.source, found.requests) == ("its replies", 20)
    assert (found.steps, found.draft_tokens, found.accepted_tokens) == (80, 240, 120)
    assert (found.acceptance_rate, found.acceptance_length) == (0.5, 2.5)


def test_replies_that_tell_no_steps_have_no_length(make: Make) -> None:
    """llama.cpp's timings."""
    (found,) = told(make, draft_tokens=12, accepted_tokens=6)
    assert (found.acceptance_rate, found.acceptance_length) == (0.5, None)


def test_gauges_as_they_were_watched(make: Make) -> None:
    """SGLang: the time-weighted mean of what it told, over the window."""
    recording = make([ok_request(i, start_ms=400 * i) for i in range(20)])
    page = 'sglang:spec_accept_length{tp_rank="0"} 3.0\nsglang:spec_accept_rate{tp_rank="0"} 0.5\n'
    seen = write_looks(recording, Told(dict.fromkeys(map(float, range(10)), page)))
    (found,) = build_result(seen).speculation
    assert (found.source, found.acceptance_length, found.acceptance_rate) == ("its gauges", 3.0, 0.5)
    assert found.draft_tokens is None and found.note is not None


def test_nothing_is_told_by_a_server_that_tells_nothing(make: Make) -> None:
    assert told(make) == []
    assert paged(make, "vllm:num_requests_running 1\n", {}) == []


def test_a_page_that_lacks_a_counter_tells_the_rest(make: Make) -> None:
    drafts = "".join(line for line in VLLM.splitlines(True) if "accepted" not in line)
    (found,) = paged(make, drafts, GAINS)
    assert (found.steps, found.draft_tokens, found.accepted_tokens, found.acceptance_rate) == (400, 800, None, None)


@pytest.mark.parametrize("gains", [GAINS | {"accepted": 900}, {"steps": 1, "tokens": 2, "accepted": 3, "first": 3}])
def test_more_accepted_than_guessed_is_said_and_not_shown(make: Make, gains: dict[str, int]) -> None:
    (found,) = paged(make, VLLM, gains)
    assert (found.acceptance_rate, found.acceptance_length, found.by_position) == (None, None, [])
    assert found.note is not None and "cannot be" in found.note


def test_counters_of_a_server_that_began_anew_tell_nothing(make: Make) -> None:
    """Though they had come further by then than before."""
    form = VLLM + "process_start_time_seconds {born}\n"
    before, after = BEFORE | {"born": 1}, {name: BEFORE[name] + GAINS[name] for name in BEFORE} | {"born": 2}
    (found,) = told(make, form.format(**before), form.format(**after))
    assert (found.steps, found.draft_tokens, found.accepted_tokens, found.acceptance_rate) == (None,) * 4
    assert found.note is not None and "began anew" in found.note

"""Did the server do what was asked? By pages of vLLM, SGLang and llama.cpp with known counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from made import failed_request, ok_request
from made_looks import Told, steps, write_looks

from loadcell.metrics import Check, Result, build_result
from loadcell.metrics.verdict import judge
from loadcell.recording.read import Recording, open_recording

Make = Callable[..., Recording]

VLLM = """\
process_start_time_seconds {born}
vllm:request_success_total{{engine="0",finished_reason="length",model_name="m"}} {requests}
vllm:request_success_total{{engine="0",finished_reason="abort",model_name="m"}} 3
vllm:generation_tokens_total{{engine="0",model_name="m"}} {tokens}
vllm:num_preemptions_total{{engine="0",model_name="m"}} {preempted}
vllm:prefix_cache_hits_total{{engine="0",model_name="m"}} {hits}
vllm:prefix_cache_queries_total{{engine="0",model_name="m"}} {queries}
vllm:cache_config_info{{block_size="16",engine="0",num_gpu_blocks="{pool}",num_gpu_blocks_override="None"}} 1.0
"""
SGLANG = """\
process_start_time_seconds {born}
sglang:num_requests_total{{model_name="m",tp_rank="0"}} {requests}
sglang:num_requests_total{{model_name="m",tp_rank="1"}} {requests}
sglang:generation_tokens_total{{model_name="m"}} {tokens}
sglang:num_retracted_requests_total{{model_name="m"}} {preempted}
sglang:cached_tokens_total{{model_name="m"}} {hits}
sglang:prompt_tokens_total{{model_name="m"}} {queries}
sglang:max_total_num_tokens{{model_name="m"}} {pool}
"""
LLAMA = """\
llamacpp:tokens_predicted_total {tokens}
llamacpp:prompt_tokens_total {queries}
llamacpp:prompt_seconds_total 1.5
"""
START = {"born": 5.0, "requests": 100, "tokens": 5000, "preempted": 2, "hits": 300, "queries": 9000, "pool": 573}
OWN = {"requests": 20, "tokens": 200, "queries": 2200}
"""What the 20 requests of 10 tokens below make of it."""


def pages(make: Make, form: str, rows: list[dict[str, Any]] | None = None, **gains: float) -> Result:
    """A run of 20 requests between two pages, which gain what they ask and `gains` besides."""
    recording = make(rows or [ok_request(i, start_ms=400 * i, cached_tokens=None) for i in range(20)])
    after = {name: value + OWN.get(name, 0) + gains.get(name, 0) for name, value in START.items()}
    for when, values in (("before", START), ("after", after)):
        (Path(recording.path) / f"server-{when}.prom").write_text(form.format(**values))
    return build_result(open_recording(recording.path))


def check(result: Result, name: str) -> Check:
    found = [check for check in result.verdict.checks if check.name == name]
    return next((one for one in found if one.word is not None), found[0])


@pytest.mark.parametrize("form", [VLLM, SGLANG, LLAMA], ids=["vllm", "sglang", "llama"])
def test_a_plain_run_cries_nothing(make: Make, form: str) -> None:
    result = pages(make, form)
    names = ("restart", "others", "preemptions", "cached_prompts")
    assert {check(result, name).word for name in names} <= {"VALID", None}
    assert check(result, "restart").word == check(result, "others").word == "VALID"


@pytest.mark.parametrize("form", [VLLM, SGLANG], ids=["vllm", "sglang"])
def test_preemptions(make: Make, form: str) -> None:
    found = check(pages(make, form, preempted=4), "preemptions")
    assert (found.word, found.value) == ("SUSPECT", 4) and found.says.startswith("the server preempted 4 requests")
    assert found.advice and "KV cache was full" in found.advice


@pytest.mark.parametrize("form", [VLLM, SGLANG], ids=["vllm", "sglang"])
def test_cached_tokens_that_only_the_page_shows(make: Make, form: str) -> None:
    result = pages(make, form, hits=1100)
    found = check(result, "cached_prompts")
    assert sum(one.name == "cached_prompts" for one in result.verdict.checks) == 1
    assert found.word == "SUSPECT" and found.value == pytest.approx(0.5)
    assert "50 % of the prompt tokens from its cache, by its own counters" in found.says


def test_a_template_that_is_cached_is_no_cached_prompt(make: Make) -> None:
    result = pages(make, VLLM, hits=20 * 24)
    assert check(result, "cached_prompts").word == "SUSPECT"
    effective = result.methodology.effective | {"template_tokens": 24}
    known = msgspec.structs.replace(
        result, methodology=msgspec.structs.replace(result.methodology, effective=effective)
    )
    assert check(msgspec.structs.replace(known, verdict=judge(known)), "cached_prompts").value == 0


def test_what_replies_tell_of_the_cache_goes_first(make: Make) -> None:
    rows = [ok_request(i, start_ms=400 * i, cached_tokens=2) for i in range(20)]
    found = [one for one in pages(make, VLLM, rows, hits=1100).verdict.checks if one.name == "cached_prompts"]
    assert [one.word for one in found] == ["VALID"]


@pytest.mark.parametrize(
    ("form", "gains", "words"),
    [
        (VLLM, {"requests": 10}, "counted 30 requests where this run sent 20"),
        (SGLANG, {"requests": 10}, "counted 30 requests where this run sent 20"),
        (LLAMA, {"tokens": 100}, "counted 300 output tokens where this run got 200"),
    ],
    ids=["vllm", "sglang", "llama"],
)
def test_another_client_is_seen(make: Make, form: str, gains: dict[str, float], words: str) -> None:
    found = check(pages(make, form, **gains), "others")
    assert found.word == "SUSPECT" and words in found.says
    assert found.advice and found.advice.startswith("another client loads this server")


def test_requests_that_failed_or_went_beyond_the_end_are_its_own(make: Make) -> None:
    rows = [ok_request(i, start_ms=400 * i) for i in range(18)]
    rows += [failed_request(18, "cut"), ok_request(19, start_ms=8000, counted=False)]
    result = pages(make, VLLM, rows)
    assert result.counters is not None and result.counters.own_requests == 20
    assert check(result, "others").word == "VALID"


def test_one_look_by_hand_is_no_load(make: Make) -> None:
    assert check(pages(make, VLLM, requests=1), "others").word == "VALID"


@pytest.mark.parametrize(
    ("form", "gains"),
    [(VLLM, {"born": 60.0}), (VLLM, {"requests": -90, "tokens": -4000}), (LLAMA, {"tokens": -4000})],
)
def test_a_restart(make: Make, form: str, gains: dict[str, float]) -> None:
    result = pages(make, form, **gains)
    assert check(result, "restart").word == "SUSPECT"
    assert result.counters is not None and result.counters.restarted


@pytest.mark.parametrize("form", [VLLM, SGLANG], ids=["vllm", "sglang"])
def test_a_changed_pool(make: Make, form: str) -> None:
    found = check(pages(make, form, pool=-73), "restart")
    assert found.word == "SUSPECT" and "KV cache went from 573 to 500" in found.says


def test_a_server_without_a_page_is_not_judged(make: Make) -> None:
    result = build_result(make([ok_request(0)]))
    assert result.counters is None
    assert check(result, "restart").word is check(result, "others").word is check(result, "preemptions").word is None


# --- how many it ran -------------------------------------------------------------------------------------------------

RUNNING = {
    "vllm": ("vllm:num_requests_running", "vllm:num_requests_waiting"),
    "sglang": ("sglang:num_running_reqs", "sglang:num_queue_reqs"),
    "llama": ("llamacpp:requests_processing", "llamacpp:requests_deferred"),
}


def ran(make: Make, engine: str, running: list[float], waiting: list[float] | None, users: int = 16) -> Check:
    """A closed loop of users that are all in flight for 12 s beside what the server says."""
    names = RUNNING[engine]
    rows = [ok_request(16 * k + u, start_ms=320 * k + u, tokens=14) for k in range(38) for u in range(users)]
    told = steps(running, f"{names[0]} {{}}")
    if waiting is not None:
        both = steps(waiting, f"{names[1]} {{}}")
        told = {t: page + both[t] for t, page in told.items()}
    recording = write_looks(make(rows, load={"concurrency": users}), Told(told))
    return check(build_result(recording), "running")


@pytest.mark.parametrize("engine", list(RUNNING))
def test_a_server_that_keeps_requests_waiting(make: Make, engine: str) -> None:
    found = ran(make, engine, [8] * 13, [8] * 13)
    assert found.word == "SUSPECT" and "the server ran 8 requests at most while" in found.says
    assert "of 16 users had one in flight" in found.says and found.advice and "max-num-seqs" in found.advice


def test_one_that_waits_is_enough(make: Make) -> None:
    assert ran(make, "vllm", [15] * 13, [1] * 13).word == "SUSPECT"


@pytest.mark.parametrize(
    ("running", "waiting"),
    [
        ([16] * 13, [0] * 13),  # all of them
        ([15, 16] * 6 + [16], [1, 0] * 6 + [0]),  # one was admitted a step later
        ([15] * 13, [0] * 13),  # none waits: the rest is on its way
        ([4, 12, 3, 13] * 3 + [4], [12, 4, 13, 3] * 3 + [12]),  # it goes up and down by itself: no limit
    ],
)
def test_a_server_without_a_limit_below_the_users(make: Make, running: list[float], waiting: list[float]) -> None:
    assert ran(make, "vllm", running, waiting).word == "VALID"


def test_a_look_between_two_steps_hides_no_limit(make: Make) -> None:
    """As seen on a vLLM of 4 places with 8 users: 3.36 running and 3.43 waiting on average."""
    assert ran(make, "vllm", [4, 4, 2, 4, 4, 4, 0, 4, 4, 4, 3, 4, 4], [4, 4, 2, 4, 4, 4, 1, 4, 4, 4, 3, 4, 4]).word == (
        "SUSPECT"
    )


def test_too_few_looks_tell_nothing(make: Make) -> None:
    assert ran(make, "vllm", [8] * 3, [8] * 3).word is None


@pytest.mark.parametrize("state", ["running", "broken"])
def test_requests_that_a_dead_worker_took_along_are_no_others(make: Make, state: str) -> None:
    """What it sent and did not write was taken for another client's."""
    recording = make([ok_request(i, start_ms=400 * i) for i in range(18)], planned=20, state=state)
    for when, requests in (("before", 100), ("after", 120)):
        text = VLLM.format(**START | {"requests": requests})
        (Path(recording.path) / f"server-{when}.prom").write_text(text)
    assert check(build_result(open_recording(recording.path)), "others").word is None

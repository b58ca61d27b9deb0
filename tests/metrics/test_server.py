"""Queue, prefill and the rest of TTFT, from rows and from Prometheus pages with known numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import MS, failed_request, ok_request

from loadcell.metrics.model import ServerSide
from loadcell.metrics.prometheus import gained, read_page
from loadcell.metrics.rows import read_rows
from loadcell.metrics.server import server_sides
from loadcell.recording.read import Recording, open_recording

Make = Callable[..., Recording]


def sides(recording: Recording, mask: Any = None) -> list[ServerSide]:
    rows = read_rows(recording)
    return server_sides(recording, rows, rows.ok if mask is None else np.array(mask))


def told(i: int, queue_ms: float | None, prefill_ms: float | None, ttft_ms: float = 50.0, **more: Any) -> Any:
    """A request of a known TTFT whose server tells these parts."""
    start = i * 10 * MS
    return ok_request(
        i, start_ms=i * 10, first_any_ns=start + round(ttft_ms * MS),
        server_queue_ns=None if queue_ms is None else round(queue_ms * MS),
        server_prefill_ns=None if prefill_ms is None else round(prefill_ms * MS), **more,
    )  # fmt: skip


def page(recording: Recording, before: str, after: str) -> Recording:
    for when, text in (("before", before), ("after", after)):
        (Path(recording.path) / f"server-{when}.prom").write_text(text)
    return open_recording(recording.path)


# --- replies ---------------------------------------------------------------------------------------------------------


def test_parts_of_ttft_by_request(make: Make) -> None:
    rows = [told(i, 5 + 10 * (i % 2), 25, 40 + 10 * (i % 2)) for i in range(10)]
    (side,) = sides(make(rows))
    assert (side.source, side.requests, side.ttft_ms, side.notes) == ("vLLM metrics", 10, 45.0, [])
    assert (side.queue.mean_ms, side.queue.p50_ms, side.queue.share) == (10.0, 5.0, 10 / 45)
    assert (side.prefill.mean_ms, side.prefill.p50_ms) == (25.0, 25.0)
    assert (side.unattributed.mean_ms, side.unattributed.p99_ms) == (10.0, None)
    shares = [part.share or 0 for part in (side.queue, side.prefill, side.unattributed)]
    assert sum(shares) == pytest.approx(1)


def test_a_99th_percentile_needs_its_samples(make: Make) -> None:
    rows = [told(i, i / 10, 20) for i in range(299)]
    (side,) = sides(make(rows))
    assert side.queue.p99_ms == pytest.approx(29.6)
    assert (side.queue.p50_ms, side.unattributed.p99_ms) == (pytest.approx(14.9), pytest.approx(29.8))


def test_without_a_queue_the_rest_holds_it_and_says_so(make: Make) -> None:
    (side,) = sides(make([told(i, None, 30) for i in range(3)]))
    assert side.source == "llama.cpp timings"
    assert (side.queue.mean_ms, side.queue.share, side.prefill.mean_ms) == (None, None, 30.0)
    assert side.unattributed.mean_ms == pytest.approx(20.0)
    assert "queued" in side.notes[0]
    assert (side.prefill.share or 0) + (side.unattributed.share or 0) == pytest.approx(1)


def test_only_the_requests_that_tell_count(make: Make) -> None:
    rows = [
        told(0, 10, 20),
        told(1, None, None),
        told(2, 10, None),
        told(3, 10, 20, first_answer_ns=None) | {"first_any_ns": None},
        failed_request(4, "cut", server_queue_ns=MS, server_prefill_ns=MS),
        told(5, 30, 20, ttft_ms=60),
    ]
    recording = make(rows, events=[])
    (side,) = sides(recording)
    assert (side.requests, side.ttft_ms, side.queue.mean_ms) == (2, 55.0, 20.0)
    (side,) = sides(recording, [True, *[False] * 5])
    assert (side.requests, side.ttft_ms) == (1, 50.0)


def test_a_server_whose_times_exceed_the_clients_is_named(make: Make) -> None:
    rows = [told(0, 40, 40), told(1, 10, 40.5), told(2, 10, 30)]
    (side,) = sides(make(rows))
    assert side.unattributed.mean_ms == pytest.approx((-30 - 0.5 + 10) / 3)
    (note,) = side.notes
    assert "TTFT of 1 request" in note


def test_nobody_tells(make: Make) -> None:
    assert sides(make([ok_request(0)])) == []


# --- pages -----------------------------------------------------------------------------------------------------------

TTFT, QUEUE, PREFILL = (
    f"vllm:{n}_seconds" for n in ("time_to_first_token", "request_queue_time", "request_prefill_time")
)


def vllm(count: float, ttft_s: float, queue_s: float, prefill_s: float, labels: str = '{engine="0"}') -> str:
    lines = ["# HELP x A page", f'{TTFT}_bucket{labels[:-1]},le="+Inf"}} {count}']
    for name, total in ((TTFT, ttft_s), (QUEUE, queue_s), (PREFILL, prefill_s)):
        lines += [f"# TYPE {name} histogram", f"{name}_sum{labels} {total}", f"{name}_count{labels} {count}"]
    return "\n".join([*lines, "python_gc_total 5", ""])


def test_means_of_the_vllm_page(make: Make) -> None:
    recording = page(make([ok_request(i) for i in range(4)]), vllm(100, 9, 5, 3), vllm(104, 9.18, 5.08, 3.08))
    (side,) = sides(recording)
    assert (side.source, side.requests, side.ttft_ms) == ("vLLM Prometheus", 4, 50.0)
    assert side.queue.mean_ms == pytest.approx(20) and side.prefill.mean_ms == pytest.approx(20)
    assert side.unattributed.mean_ms == pytest.approx(10) and side.unattributed.share == pytest.approx(0.2)
    assert (side.queue.p50_ms, side.queue.p99_ms) == (None, None)
    (note,) = side.notes  # 45 ms by its own clock: 5 more than queue and prefill
    assert "45.00 ms" in note and "5.00 ms" in note


def test_all_label_sets_count_and_new_ones_start_at_nothing(make: Make) -> None:
    first, second = '{engine="0",m="a b"}', '{engine="1"}'
    after = vllm(102, 9.1, 5.1, 3.1, first) + vllm(2, 0.1, 0.1, 0.1, second)
    (side,) = sides(page(make([ok_request(i) for i in range(4)]), vllm(100, 9, 5, 3, first), after))
    assert side.requests == 4 and side.queue.mean_ms == pytest.approx(50)


@pytest.mark.parametrize(("counted", "words"), [(9, "5 requests more"), (1, "3 requests fewer"), (4, None)])
def test_requests_of_others_are_said(make: Make, counted: int, words: str | None) -> None:
    rows = [*(ok_request(i) for i in range(3)), failed_request(3, "connect"), failed_request(4, "cut")]
    rows[4]["first_any_ns"] = 40 * MS  # it broke off after its first token, which the server counted
    (side,) = sides(page(make(rows), vllm(0, 0, 0, 0), vllm(counted, 1, 1, 1)))
    assert side.requests == counted
    assert [note for note in side.notes if "counted" in note] == ([] if words is None else [side.notes[-1]])
    assert words is None or words in side.notes[-1]


@pytest.mark.parametrize(
    "after",
    [vllm(2, 0.1, 0.1, 0.1), vllm(104, 9.2, math.nan, 3.1), vllm(104, math.inf, math.inf, 4), vllm(104, 9, 4.9, 4), ""],
)
def test_counters_that_started_anew_or_are_no_numbers_give_no_mean(make: Make, after: str) -> None:
    (side,) = sides(page(make([ok_request(0)]), vllm(100, 9, 5, 3), after))
    assert side.queue.mean_ms is None and side.queue.share is None
    assert "start anew" in side.notes[0]
    assert side.ttft_ms == 50.0


def test_a_run_without_counted_requests_has_no_page_side(make: Make) -> None:
    same, recording = vllm(100, 9, 5, 3), make([ok_request(0)])
    assert sides(page(recording, same, same)) == []
    assert sides(page(recording, "other_total 1\n", "other_total 2\n")) == []


def test_the_page_is_of_the_whole_run(make: Make) -> None:
    rows = [told(0, None, None, ttft_ms=30), told(1, None, None, ttft_ms=50)]
    (side,) = sides(page(make(rows), vllm(0, 0, 0, 0), vllm(2, 0.08, 0.02, 0.06)), [False, True])
    assert side.ttft_ms == 40.0
    assert any("of the run, the latencies of" in note for note in side.notes)


def test_sglang_tells_queue_and_ttft(make: Make) -> None:
    def sglang(count: int, ttft_s: float, queue_s: float) -> str:
        pairs = {"time_to_first_token_seconds": ttft_s, "queue_time_seconds": queue_s}
        return "".join(f"sglang:{n}_sum {v}\nsglang:{n}_count {count}\n" for n, v in pairs.items())

    (side,) = sides(page(make([ok_request(0), ok_request(1)]), sglang(0, 0, 0), sglang(2, 0.09, 0.02)))
    assert side.source == "SGLang Prometheus"
    assert side.queue.mean_ms == pytest.approx(10) and side.prefill.mean_ms == pytest.approx(35)
    assert side.unattributed.mean_ms == pytest.approx(5)
    assert "front end" in side.notes[0] and "-0.00" not in side.notes[0]


@pytest.mark.parametrize(("tokens", "more"), [(220, None), (1220, "1,000 prompt tokens more")])
def test_llama_tells_the_seconds_of_prompts(make: Make, tokens: int, more: str | None) -> None:
    def llama(seconds: float, tokens: int) -> str:
        return f"llamacpp:prompt_seconds_total {seconds}\nllamacpp:prompt_tokens_total {tokens}\n"

    (side,) = sides(page(make([ok_request(0), ok_request(1)]), llama(1.5, 1000), llama(1.58, 1000 + tokens)))
    assert (side.source, side.requests, side.queue.mean_ms) == ("llama.cpp Prometheus", 2, None)
    assert side.prefill.mean_ms == pytest.approx(40) and side.unattributed.mean_ms == pytest.approx(10)
    assert "over the 2 requests" in side.notes[0]
    assert any(more in note for note in side.notes) if more else not any("others" in note for note in side.notes)


def test_replies_that_were_not_streamed_have_parts_and_no_shares(make: Make) -> None:
    row = ok_request(0) | {"first_any_ns": None, "first_answer_ns": None}
    (side,) = sides(page(make([row], events=[]), vllm(0, 0, 0, 0), vllm(1, 0.05, 0.02, 0.03)))
    assert (side.ttft_ms, side.queue.share, side.unattributed.mean_ms) == (None, None, None)
    assert side.queue.mean_ms == pytest.approx(20)


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("vllm:a_sum 1", "", 1.0),
        ('vllm:a_sum{b="c d",e="}"} 2.5e-3', '{b="c d",e="}"}', 0.0025),
        ("vllm:a_sum\t3 1700000000000", "", 3.0),
        ("vllm:a_sum +Inf", "", math.inf),
        ("vllm:a_sum  4  ", "", 4.0),
    ],
)
def test_the_forms_of_a_sample(line: str, labels: str, value: float) -> None:
    assert read_page(f"# TYPE x counter\n{line}\n") == {"vllm:a_sum": {labels: value}}


@given(st.text(alphabet='vllm:a_sum{}="\\ \n\t#1e-.Naif', max_size=80), st.text(max_size=40))
def test_any_text_is_a_page_of_something(first: str, second: str) -> None:
    old, new = read_page(f"vllm:{first}"), read_page(f"{first}\nvllm:a_sum {second}")
    for name in {*old, *new}:
        gain = gained(old, new, name)
        assert gain is not None and (math.isnan(gain) or 0 <= gain < math.inf)

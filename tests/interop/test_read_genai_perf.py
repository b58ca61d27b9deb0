"""What is read of GenAI-Perf and perf_analyzer. No real file is at hand: they are made after its source."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_peers import (
    FORM_FILES,
    PEERS,
    aiperf_summary_of_2025,
    genai_perf_summary,
    perf_analyzer_export,
    perf_analyzer_request,
    sse,
    written,
)

from loadcell.errors import UsageError
from loadcell.interop.readers import aiperf, genai_perf

PLAIN = ((50.0, sse("a")), (60.0, sse("b")), (70.0, sse("c")), (75.0, sse(usage=3) + "data: [DONE]\n\n"))


def only(path, **files):
    (run,) = genai_perf.read(path)
    return run


def test_it_is_known_by_what_is_in_it(tmp_path):
    summary = written(tmp_path / "profile_export_genai_perf.json", genai_perf_summary())
    raw = written(tmp_path / "profile_export.json", perf_analyzer_export())
    assert all(map(genai_perf.matches, (summary, raw, tmp_path))) and not aiperf.matches(summary)
    assert not genai_perf.matches(written(tmp_path / "x" / "profile_export_aiperf.json", aiperf_summary_of_2025()))
    assert not any(genai_perf.matches(folder) for folder in PEERS.iterdir())


def test_summary_and_export_are_one_run(tmp_path):
    written(tmp_path / "profile_export_genai_perf.json", genai_perf_summary())
    written(tmp_path / "profile_export.json", perf_analyzer_export(perf_analyzer_request(*PLAIN)))
    run = only(tmp_path)
    assert (run.name, run.schema, run.tested) == (
        "profile_export", "perf_analyzer profile export and GenAI-Perf summary", False,
    )  # fmt: skip
    assert (run.loop, run.concurrency, run.requests, run.seed) == ("closed", 2, 3, 0)
    assert (run.model, run.url, run.api, run.stream, run.tokenizer) == ("m", "http://h:1", "chat", True, "t")
    assert run.input_tokens == "normal:100,5" and len(run.files) == 2
    told = {told.key: told for told in run.told}
    assert (told["inter_token_latency.p50"].metric, told["inter_token_latency.p50"].stat) == ("tpot_ms", "p50")
    assert (told["request_throughput.avg"].metric, told["request_throughput.avg"].unit) == (
        "requests_per_s", "requests/s",
    )  # fmt: skip
    assert (told["sessions.s1.request_latency.avg"].value, told["sessions.s1.request_latency.avg"].metric) == (
        90.0,
        None,
    )
    assert "secret" not in repr(run) and "secret" not in repr(list(run.details()))


def test_the_summary_alone_and_the_older_form(tmp_path):
    old = genai_perf_summary()
    old["input_config"] = {"model": ["m"], "request_rate": 5.0, "endpoint_type": "completions", "streaming": False,
                           "u": "h:1", "synthetic_input_tokens_mean": 100, "random_seed": 3}  # fmt: skip
    run = only(written(tmp_path / "p_genai_perf.json", old))
    assert (run.name, run.loop, run.rate, run.api, run.stream) == ("p", "open", 5.0, "completions", False)
    assert (run.input_tokens, run.seed, run.ok, run.details) == ("100", 3, 3, None)
    assert [missing.field for missing in run.missing] == ["version", "requests"]


def test_times_are_exact_to_the_nanosecond(tmp_path):
    path = written(
        tmp_path / "e.json",
        perf_analyzer_export(perf_analyzer_request(*PLAIN, start_ms=3.0), perf_analyzer_request(*PLAIN)),
    )
    run = only(path)
    one, two = run.details()
    assert (one.sent_s, two.sent_s, two.first_s) == (0.0, 0.003, 0.053)
    assert (one.first_s, one.last_s, one.end_s) == (0.05, 0.07, 0.075)
    assert list(one.chunks_s) == [0.05, 0.06, 0.07]
    assert (one.output_tokens, one.token_source) == (3, "usage")
    assert (run.window_s, run.ok, run.stream) == (0.073, 2, True)


def test_events_of_one_read_and_parts_of_one_event(tmp_path):
    whole = sse("b")
    request = perf_analyzer_request(
        (5.0, sse(None)),  # a role alone is no output
        (50.0, sse("a")),
        (60.0, whole[:20]),
        (61.0, whole[20:] + sse("c")),  # the rest of an event, and another
        (70.0, sse("d", "e")),
        (80.0, sse("")),
    )
    (one,) = only(written(tmp_path / "e.json", perf_analyzer_export(request))).details()
    assert list(one.chunks_s) == [0.05, 0.06, 0.061, 0.07] and one.end_s == 0.08
    assert one.output_tokens is None and one.token_source is None


def test_an_export_is_read_as_by_the_tool():
    """To the nanosecond what GenAI-Perf 0.0.16 itself made of the same export."""
    folder = FORM_FILES / "genai_perf"
    own = json.loads((folder / "parsed_by_genai_perf.json").read_text())
    run = only(folder / "made_export.json.gz")
    requests = list(run.details())
    assert [round((r.first_s - r.sent_s) * 1e9) for r in requests] == own["time_to_first_tokens_ns"]
    assert [round((r.last_s - r.sent_s) * 1e9) for r in requests] == own["request_latencies_ns"]
    assert [len(r.chunks_s) - 1 for r in requests] == own["responses_after_the_first"]
    assert run.planned / run.window_s == pytest.approx(own["request_throughput"])


def test_failures_and_silence(tmp_path):
    error = 'data: {"error": {"message": "boom"}}\n\n'
    path = written(
        tmp_path / "e.json",
        perf_analyzer_export(
            perf_analyzer_request((50.0, sse("a")), (60.0, error)),
            perf_analyzer_request((50.0, sse(None)), start_ms=1.0),
            perf_analyzer_request(start_ms=2.0),
        ),
    )
    run = only(path)
    assert (run.ok, run.failed) == (0, 3)
    one, two, three = run.details()
    assert (one.status, one.error, one.error_kind, one.last_s) == ("failed", "boom", "stream_error", 0.05)
    assert (two.first_s, two.end_s, three.end_s) == (None, 0.051, None)
    assert "requests without output, which count as failed here: 2" in run.notes
    assert "output_tokens" in {missing.field for missing in run.missing}


def test_whole_replies(tmp_path):
    whole = '{"choices": [{"message": {"content": "hello"}}], "usage": {"completion_tokens": 9}}'
    run = only(written(tmp_path / "e.json", perf_analyzer_export(perf_analyzer_request((90.0, whole)))))
    (request,) = run.details()
    assert (run.stream, request.first_s, request.last_s, request.output_tokens) == (False, None, 0.09, 9)


def test_triton_and_several_experiments(tmp_path):
    request = perf_analyzer_request((50.0, ""), (60.0, ""))
    request["response_outputs"] = [{"text_output": ""}, {"text_output": "a"}]
    export = perf_analyzer_export(request) | {"service_kind": "triton"}
    export["experiments"] += perf_analyzer_export(perf_analyzer_request(*PLAIN), value=4)["experiments"]
    runs = genai_perf.read(written(tmp_path / "e.json", export))
    assert [(run.name, run.concurrency) for run in runs] == [("concurrency-2", 2), ("concurrency-4", 4)]
    (one,) = runs[0].details()
    assert one.last_s == 0.06 and one.status == "ok"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"timestamp": "x"}, "experiments.0.requests.1.timestamp: expected a number, got 'x'"),
        ({"timestamp": -5}, "experiments.0.requests.1.timestamp: -5 is no time in ns"),
        ({"response_timestamps": [1]}, "experiments.0.requests.1.response_timestamps: expected a list as long as"),
        (
            {"response_timestamps": [None, [], 1, 2]},
            "experiments.0.requests.1.response_timestamps.1: expected a number",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, said):
    export = perf_analyzer_export(perf_analyzer_request(*PLAIN), perf_analyzer_request(*PLAIN) | change)
    path = written(tmp_path / "e.json", export)
    with pytest.raises(UsageError) as error:
        genai_perf.read(path)
    assert str(error.value).startswith(f"{path}: {said}")


def test_a_file_that_is_cut(tmp_path):
    path = written(tmp_path / "e.json", perf_analyzer_export(perf_analyzer_request(*PLAIN)))
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UsageError, match="no whole JSON"):
        genai_perf.read(path)


@given(cuts=st.lists(st.integers(1, 400), max_size=6), stamps=st.lists(st.just(math.nan) | st.none(), max_size=2))
@settings(deadline=None, max_examples=40)
def test_wherever_reads_were_cut_the_request_is_the_same(tmp_path_factory, cuts, stamps):
    """A stream in pieces has the first output where its event begins, and the same tokens."""
    stream = sse("a") + sse("b") + sse("c", usage=3)
    edges = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    pieces = [(10.0 * i, stream[a:b]) for i, (a, b) in enumerate(pairwise(edges), 5)]
    request = perf_analyzer_request(*pieces)
    for i, stamp in enumerate(stamps[: len(pieces)]):
        request["response_timestamps"][-1 - i] = stamp
    (found,) = only(written(tmp_path_factory.mktemp("g") / "e.json", perf_analyzer_export(request))).details()
    assert found.output_tokens == 3
    if not stamps:
        assert found.last_s >= 0.05 and found.status == "ok"
    assert all(math.isfinite(time) for time in found.chunks_s or [])

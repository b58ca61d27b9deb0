"""Views of recordings of ours: a request of known timing under every definition, difficult streams, and vLLM's own
code over the same rows."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import peer_code
import pytest
from made import MS, build, failed_request, ok_request
from made_views import difficult, one_request, varied

from loadcell.errors import UsageError
from loadcell.interop.views.build import figures, shown_as
from loadcell.interop.views.definitions import TOOLS, Dist, Rules, definition_of
from loadcell.interop.views.differ import OURS, our_rules
from loadcell.interop.views.figures import FORMULAS, SCALARS, SCALE, Taken, rules_of, samples
from loadcell.interop.views.model import Difference
from loadcell.interop.views.seen import see
from loadcell.interop.views.statistics import percentiles, statistics
from loadcell.metrics import build_result
from loadcell.mlperf.model import Queries
from loadcell.mlperf.score import block, latencies
from loadcell.recording.read import Recording

NAMES = sorted(TOOLS)


# --- one request under each definition -----------------------------------------------------------------------------

ONE = {
    ("vllm", "chat"): {"ttft": 50, "itl": [20.0] * 9, "tpot": 20, "e2el": 230},
    ("vllm", "completions"): {"ttft": 50, "itl": [20.0] * 10, "tpot": 22.222, "e2el": 250},
    ("vllm-rs", "chat"): {"ttft": 50, "itl": [20.0] * 10, "tpot": 22.222, "e2el": 250},
    ("sglang", "chat"): {"ttft": 50, "itl": [20.0] * 9, "tpot": 22.222, "e2e_latency": 250},
    ("aiperf", "chat"): {"time_to_first_token": 50, "inter_token_latency": 20, "inter_chunk_latency": [20.0] * 9,
                         "request_latency": 230},
    ("guidellm", "chat"): {"time_to_first_token_ms": 50, "inter_token_latency_ms": 20, "time_per_output_token_ms": 23,
                           "request_latency": 250},
    ("llmperf", "chat"): {"ttft_s": 50, "inter_token_latency_s": 230 / 11, "end_to_end_latency_s": 250},
    ("endpoints", "chat"): {"ttft": 50, "tpot": 22.222, "latency": 250},
    ("inference-perf", "chat"): {"time_to_first_token": 50, "inter_token_latency": [20.0] * 9,
                                 "time_per_output_token": 20, "normalized_time_per_output_token": 25,
                                 "request_latency": 250},
    ("genai-bench", "chat"): {"ttft": 50, "tpot": 22.222, "e2e_latency": 250, "output_latency": 200},
    ("mlperf", "chat"): {"result_first_token_{stat}_latency_ns": 50, "result_{stat}_latency_ns": 250,
                         "result_time_per_output_token_{stat}_ns": 22.222},
}  # fmt: skip


def test_a_file_of_an_older_version_is_shown_by_its_definitions(tmp_path: Path) -> None:
    """GuideLLM 0.2 to 0.3: from first to last output, over all tokens."""
    seen = replace(see(one_request(tmp_path / "one")), made_by="guidellm", schema="report of 0.2")
    found = {figure.key: figure.value for figure in figures(seen, "guidellm")}
    assert found["time_per_output_token_ms.mean"] == pytest.approx(18.0)
    assert definition_of("guidellm", seen.schema).version == "0.2 to 0.3"
    assert definition_of("guidellm") == TOOLS["guidellm"]


def test_the_window_of_guidellm_begins_at_its_first_request(tmp_path: Path) -> None:
    """As in its own report: `start_time` of a benchmark is `request_start_time`, not that of its scheduler."""
    seen = see(varied(tmp_path / "run"))
    (rate,) = (one.value for one in figures(seen, "guidellm") if one.key == "requests_per_second.mean")
    taken = Taken(seen, rules_of(TOOLS["guidellm"], "chat"))
    spans = (np.nanmax(seen.end) - np.nanmin(seen.sent)) / 1e9
    assert rate == pytest.approx(taken.members.sum() / spans)


@pytest.mark.parametrize(("tool", "api"), ONE)
def test_a_known_request_under_each_definition(tmp_path: Path, tool: str, api: str) -> None:
    seen = see(one_request(tmp_path / "one", api))
    by_stem = {dist.stem: dist for dist in TOOLS[tool].dists}
    for stem, expected in ONE[tool, api].items():
        values, _ = samples(seen, rules_of(TOOLS[tool], api, by_stem[stem]))
        assert (values * 1e3).tolist() == pytest.approx(expected if isinstance(expected, list) else [expected], 1e-4)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [(Rules(start="send", formula="paced"), 20.0), (Rules(start="send", formula="e2e"), 230.0),
     (Rules(start="fresh", first="choices", end="choices", formula="after_first"), 22.222),  # InferenceX
     (Rules(first="answer", formula="apart"), 20.0)],  # Hugging Face's inference-benchmarker
)  # fmt: skip
def test_definitions_that_no_view_has(tmp_path: Path, rules: Rules, expected: float) -> None:
    values, _ = samples(see(one_request(tmp_path / "one")), rules)
    assert (values * 1e3).tolist() == pytest.approx([expected], 1e-4)


def test_tokens_where_the_server_tells_none(tmp_path: Path) -> None:
    seen = see(one_request(tmp_path / "one", usage_tokens=None, token_source="events"))
    expected = {"vllm": 10, "vllm-rs": 11, "sglang": 64, "guidellm": 64, "aiperf": 10, "genai-bench": 10,
                "inference-perf": 10, "llmperf": 10, "mlperf": 10, "endpoints": 10}  # fmt: skip
    assert {tool: int(Taken(seen, rules_of(TOOLS[tool], "chat")).tokens[0]) for tool in NAMES} == expected


# --- difficult streams ----------------------------------------------------------------------------------------------


def test_what_each_tool_takes_for_a_success(tmp_path: Path) -> None:
    """Five that are; an error inside a 200 stream after 3 tokens, a stream that stops, a connection refused."""
    seen = see(difficult(tmp_path / "hard"))
    completed = {tool: int(Taken(seen, TOOLS[tool].rules).members.sum()) for tool in NAMES}
    assert completed == {"vllm": 6, "vllm-rs": 6, "sglang": 6, "aiperf": 6, "inference-perf": 6, "guidellm": 5,
                         "genai-bench": 5, "llmperf": 5, "mlperf": 6, "endpoints": 7}  # fmt: skip


def test_starts_and_first_events(tmp_path: Path) -> None:
    """The role at 5 ms, the text after 150 ms of reasoning; each due 1 ms before its send, its connection begun half
    a millisecond before."""
    seen = see(difficult(tmp_path / "hard"))
    ttft = {tool: (first_of(seen, tool) * 1e3).round(3).tolist() for tool in NAMES}
    assert ttft["vllm-rs"][:3] == [5.5, 50.5, 50.5]
    assert ttft["vllm"][:3] == [50.5, 50.5, 50.5]
    assert ttft["guidellm"][:3] == [50.0, 50.0, 50.0]
    assert ttft["llmperf"][:3] == ttft["inference-perf"][:3] == [50.5, 150.5, 50.5]
    assert ttft["mlperf"][:3] == [51.0, 51.0, 51.0]


def first_of(seen, tool: str):
    taken = Taken(seen, rules_of(TOOLS[tool], "chat"))
    return (taken.first - taken.start) / 1e9


def test_several_tokens_an_event(tmp_path: Path) -> None:
    """20 tokens in 5 events 20 ms apart: gaps of 20, tokens of 80 / 19, and gaps of 0 where each token has a stamp."""
    seen = see(difficult(tmp_path / "hard"))
    bundled = 2

    def of(tool: str, stem: str) -> float:
        (dist,) = (dist for dist in TOOLS[tool].dists if dist.stem == stem)
        rules = rules_of(TOOLS[tool], "chat", dist)
        return float(FORMULAS[rules.formula](Taken(seen, rules))[bundled]) * 1e3

    assert of("vllm", "tpot") == pytest.approx(80 / 19)
    assert of("vllm-rs", "tpot") == pytest.approx(100 / 19)
    assert of("aiperf", "inter_token_latency") == pytest.approx(80 / 19)
    assert of("guidellm", "time_per_output_token_ms") == pytest.approx(130 / 20)
    gaps, _ = samples(seen, rules_of(TOOLS["inference-perf"], "chat", TOOLS["inference-perf"].dists[4]))
    assert int(np.count_nonzero(gaps == 0)) == 15


def test_what_a_view_says_of_them(tmp_path: Path) -> None:
    recording = difficult(tmp_path / "hard")
    shown = shown_as(recording, build_result(recording), "sglang")
    said = {one.step: one.says for one in shown.differences}
    assert said["failures"] == "successes there, failures here: 2 (cut, stream_error)"
    assert any(note.startswith("opening a connection took 0.4 ms (median of 7)") for note in shown.notes)
    shown = shown_as(recording, build_result(recording), "endpoints")
    assert "failed replies without any output that count as successes there, without a TTFT: 1" in shown.notes


# --- steps from ours to theirs ----------------------------------------------------------------------------------------


def of(step: Difference, key: str) -> bool:
    """Whether it is a step to the figure of this key."""
    return all(part in key for part in step.figure.split("{stat}"))


@pytest.mark.parametrize("tool", NAMES)
@pytest.mark.parametrize("make", [difficult, varied])
def test_steps_add_up_to_the_whole_difference(tmp_path: Path, tool: str, make) -> None:
    """From our figure to theirs, for each latency that has both and each rate."""
    recording = make(tmp_path / "run")
    result = build_result(recording)
    shown = shown_as(recording, result, tool)
    walked = 0
    for figure in shown.figures:
        stat = figure.stat if figure.stat is not None else "value"
        steps = [one for one in shown.differences if one.metric == figure.metric and of(one, figure.key)]
        if figure.stat is None:
            steps = [one for one in shown.differences if one.figure == figure.key]
        changes = [one.change.get(stat) for one in steps]
        if figure.ours is None or figure.value is None or not changes or None in changes:
            continue
        unit = 1.0 if figure.stat is None else SCALE[figure.unit] / 1e3
        assert figure.ours + sum(changes) * unit == pytest.approx(figure.value, rel=1e-9, abs=1e-9), figure.key
        walked += 1
    assert walked


def test_our_definitions_are_those_of_a_result(tmp_path: Path) -> None:
    """Of a run whose window is the whole run: `differ.OURS` computes what a Result holds."""
    recording = varied(tmp_path / "run")
    seen, result = see(recording), build_result(recording, window_s=(0, 10))
    for metric in OURS:
        summary = result.latency[f"{metric}_ms"].service
        values, weights = samples(seen, our_rules(metric, "closed"))
        for stat, which in (("p50", 50.0), ("p90", 90.0), ("mean", "mean"), ("max", "max"), ("sd", "std")):
            found = getattr(summary, stat)
            found = found if isinstance(found, float) else found.value
            (mine,) = statistics(values, weights, [which], our_rules(metric, "closed"))
            assert mine is not None
            assert found == pytest.approx(mine * 1e3, rel=1e-6), (metric, stat)


# --- the tool's own code ----------------------------------------------------------------------------------------------


def view_of(recording: Recording, tool: str) -> dict[str, float | None]:
    return {figure.key: figure.value for figure in figures(see(recording), tool, "chat", recording.spec.slo)}


def matches(found: dict[str, float | None], expected: dict[str, float]) -> None:
    assert set(expected) <= set(found)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-12), key


@pytest.mark.parametrize("tool", peer_code.CODE)
def test_the_view_is_what_the_tool_computes_of_the_same_rows(tmp_path: Path, tool: str) -> None:
    """Against what the metric code of its wheel made of them once (`kit/peer_code.py`)."""
    expected = json.loads((peer_code.GOLDEN / f"{tool}.json").read_text())
    matches(view_of(varied(tmp_path / "run"), tool), expected)
    assert len(expected) >= 30


@pytest.mark.parametrize("tool", peer_code.CODE)
def test_the_installed_tool_computes_the_same(tmp_path: Path, tool: str) -> None:
    """Its own code, where it is installed or LOADCELL_PEERS names a folder that holds it."""
    place = os.environ.get("LOADCELL_PEERS") or peer_code.installed(tool)
    if place is None:
        pytest.skip(f"{tool} is not installed in the version that was read")
    recording = varied(tmp_path / "run")
    matches(view_of(recording, tool), peer_code.CODE[tool](Path(place), recording))


def test_the_view_of_loadgen_is_our_score(tmp_path: Path) -> None:
    """Which is held against the genuine LoadGen, nanosecond by nanosecond, by tests of its own."""
    rows = [
        ok_request(i, start_ms=40 * i + (7 * i) % 11, tokens=2 + (5 * i) % 17, planned_ns=40 * i * MS)
        for i in range(150)
    ]
    recording = build(tmp_path / "run", rows, loop="open", planned=[40.0 * i for i in range(150)])
    table = recording.requests(("request", "planned_ns", "send_start_ns", "first_any_ns", "end_ns", "output_tokens"))
    ids, due = np.arange(150), (np.arange(150) * 40_000_000).astype(np.int64)
    queries = Queries(query=ids, sample=ids, scheduled_ns=due, issued_ns=table["send_start_ns"].astype(np.int64),
                      first_ns=table["first_any_ns"].astype(float), end_ns=table["end_ns"].astype(np.int64),
                      tokens=table["output_tokens"].astype(float), ok=np.ones(150, bool))  # fmt: skip
    found, view = latencies(queries), view_of(recording, "mlperf")
    for values, key in ((found.latency, "result_{}_latency_ns"), (found.ttft, "result_first_token_{}_latency_ns")):
        expected = block(values)
        assert expected is not None
        assert view[key.format("min")] == pytest.approx(expected.min_ns, abs=0.5)
        for name, value in expected.percentiles_ns.items():
            assert view[key.format(f"{name}_percentile")] == pytest.approx(value, abs=0.5)
    tpot = block(found.tpot)
    assert tpot is not None
    p99 = view["result_time_per_output_token_99.00_percentile_ns"]
    assert p99 == pytest.approx(tpot.percentiles_ns["99.00"], abs=0.5)
    tokens, done_s = float(table["output_tokens"].sum()), float(table["end_ns"][149]) / 1e9
    assert view["result_completed_tokens_per_second"] == pytest.approx(tokens / done_s)
    assert view["result_completed_samples_per_sec"] == pytest.approx(149 / done_s)


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", NAMES)
def test_every_definition_is_computed(tmp_path: Path, tool: str) -> None:
    """Keys are told once, rules are ones that there are, and what a whole recording holds gives every figure."""
    definition = TOOLS[tool]
    recording = varied(tmp_path / "run")
    found = figures(see(recording), tool, "chat", recording.spec.slo)
    keys = [figure.key for figure in found]
    assert len(keys) == len(set(keys))
    assert set(definition.scalars.values()) <= set(SCALARS)
    assert not [figure.key for figure in found if figure.value is None]
    assert all(isinstance(dist, Dist) and dist.unit in SCALE for dist in definition.dists)


@pytest.mark.parametrize("tool", NAMES)
def test_a_recording_without_requests_shows_nothing(tmp_path: Path, tool: str) -> None:
    recording = build(tmp_path / "none", [failed_request(0, "connect")])
    shown = shown_as(recording, build_result(recording), tool)
    dists = [figure for figure in shown.figures if figure.stat not in (None, "count")]
    assert all(figure.value is None for figure in dists) or tool == "endpoints"
    assert msgspec.json.decode(msgspec.json.encode(shown), type=type(shown)) == shown


def test_percentiles_by_each_method() -> None:
    values = np.array([4.0, 1.0, 3.0, 2.0])
    found = {method: percentiles(values, (25, 50, 90), method) for method in
             ("rank", "linear", "lower", "floor", "step")}  # fmt: skip
    assert found == {"rank": [1, 2, 4], "linear": pytest.approx([1.75, 2.5, 3.7]), "lower": [1, 2, 3],
                     "floor": [2, 3, 4], "step": [1, 2, 4]}  # fmt: skip


def test_an_unknown_tool_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    recording = one_request(tmp_path / "one")
    with pytest.raises(UsageError, match=r"--as 'vlm' is not known: vllm, .*\(did you mean vllm"):
        shown_as(recording, build_result(recording), "vlm")
    with pytest.raises(UsageError, match=r"\(did you mean vllm\?\)"):
        shown_as(recording, build_result(recording), "vLLM")


def test_nothing_is_divided_by_no_time(tmp_path: Path) -> None:
    """A first output at the send, and an end there: a rate of it is missing."""
    rows = [ok_request(i, first_any_ns=i * 10 * MS, send_start_ns=i * 10 * MS, end_ns=i * 10 * MS) for i in range(3)]
    seen = see(build(tmp_path / "run", rows))
    with np.errstate(divide="raise"):
        for tool in NAMES:
            assert all(one.value is None or np.isfinite(one.value) for one in figures(seen, tool))

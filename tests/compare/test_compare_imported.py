"""Runs of other tools beside ours and beside each other: what differs in meaning is said, and nothing is sure that has
no samples."""

import msgspec
import pytest
from made import build, ok_request
from made_import import a_placed, a_told, an_unplaced

from loadcell.compare import compare, exit_code, parse_gate
from loadcell.metrics import build_result
from loadcell.metrics.definitions import DEFINITIONS
from loadcell.metrics.imported import TOLD, UNPLACED


def ours(folder):
    build(folder, [ok_request(i, start_ms=100 * i, tokens=11) for i in range(200)])
    return folder


def change(comparison, metric, stat):
    return next(one for one in comparison.pairs[0].changes if (one.metric, one.stat) == (metric, stat))


def test_the_definitions_of_two_tools_are_set_beside_each_other(tmp_path):
    a_placed(tmp_path / "a")
    an_unplaced(tmp_path / "b")
    pair = compare([tmp_path / "a", tmp_path / "b"]).pairs[0]
    said = " ".join(pair.care)
    assert pair.comparable != "comparable"
    assert "where E2E and TPOT end differs: of A at the last event with output, of B at the end of the stream" in said
    assert "how output tokens are counted differs" in said
    assert "where TTFT ends differs" not in said  # both at the first output
    assert "of A the prompts are not known, nor seed" in said
    assert "of B the prompts are not known, nor seed" in said


def test_a_measured_run_and_an_imported_one_are_set_beside_each_other_by_what_is_known(tmp_path):
    a_placed(tmp_path / "b", about={"tool": "vllm"})
    pair = compare([ours(tmp_path / "a"), tmp_path / "b"], force=True).pairs[0]
    said = " ".join([*pair.forbids, *pair.care])
    assert "where a request's time starts differs" in said
    assert "A is a closed loop, B an open loop" in said
    for nobodys in ("clock", "workers", "client's CPU", "definition of an interval", "HTTP", "loadcell"):
        assert f"{nobodys}:" not in said
    assert pair.pairing is not None
    assert pair.pairing.requests == 0


def test_two_imports_of_one_tool_do_not_differ_in_meaning(tmp_path):
    for name in "ab":
        a_placed(tmp_path / name, about={"files": {"r.json": name * 64}}, id=name)
    pair = compare([tmp_path / "a", tmp_path / "b"]).pairs[0]
    assert not [says for says in pair.care if "differs" in says]
    assert change(compare([tmp_path / "a", tmp_path / "b"]), "ttft", "p50").finding == "no difference shown"


def test_told_figures_have_no_interval_and_gates_on_them_are_inconclusive(tmp_path):
    a_told(tmp_path / "a", about={"files": {"a": "a" * 64}}, id="a")
    a_told(tmp_path / "b", scale=2.0, about={"files": {"b": "b" * 64}}, id="b")
    gates = [parse_gate("ttft.p50>+5%"), parse_gate("ttft.p95>+5%"), parse_gate("requests_per_s.mean<-1%")]
    comparison = compare([tmp_path / "a", tmp_path / "b"], gates=gates)
    p50 = change(comparison, "ttft", "p50")
    assert (p50.a, p50.b) == (58.5, 117.0)
    assert p50.relative == pytest.approx(1.0)
    assert (p50.low, p50.high, p50.finding, p50.says) == (None, None, "too little data", TOLD)
    assert change(comparison, "ttft", "p95").a is None
    assert not any((one.metric, one.stat) == ("ttft", "geomean") for one in comparison.pairs[0].changes)
    assert [gate.fired for gate in comparison.gates] == [False, True, False]
    assert comparison.gates[0].inconclusive
    assert "not told" in comparison.gates[1].says
    assert exit_code(comparison) == 1


def test_without_send_times_nothing_is_shown(tmp_path):
    an_unplaced(tmp_path / "a", about={"files": {"a": "a" * 64}}, id="a")
    an_unplaced(tmp_path / "b", about={"files": {"b": "b" * 64}}, id="b")
    comparison = compare([tmp_path / "a", tmp_path / "b"])
    for metric, stat in (("ttft", "p50"), ("e2e", "mean"), ("tpot", "geomean")):
        one = change(comparison, metric, stat)
        assert one.a is not None
        assert (one.low, one.high, one.finding, one.says) == (None, None, "too little data", UNPLACED)


def test_percentiles_of_one_told_side_are_by_another_rule(tmp_path):
    a_told(tmp_path / "a", about={"files": {"a": "a" * 64}}, id="a")
    a_placed(tmp_path / "b", id="b")
    care = compare([tmp_path / "a", tmp_path / "b"]).pairs[0].care
    assert [says for says in care if says.startswith("percentiles of A are by its tool's own rule")]


def test_a_saved_result_keeps_where_it_comes_from(tmp_path):
    result = build_result(a_told(tmp_path / "a"))
    (tmp_path / "a.json").write_bytes(msgspec.json.encode(result))
    a_placed(tmp_path / "b", id="b")
    pair = compare([tmp_path / "a.json", tmp_path / "b"]).pairs[0]
    assert "of A the prompts are not known" in " ".join(pair.care)


def test_every_tool_that_is_read_is_defined_or_known_not_to_be():
    from loadcell.interop.read import TOOLS

    assert set(DEFINITIONS) <= set(TOOLS)
    assert set(TOOLS) - set(DEFINITIONS) == {"evalscope", "llm-d"}  # the one unread, the other of any tool's runs


def test_told_figures_of_several_runs_a_side_are_judged_by_the_spread_between_runs(tmp_path):
    for side, level in (("a", 1.0), ("b", 1.3)):
        for i, noise in enumerate((0.99, 1.0, 1.01), 1):
            about = {"files": {"r.json": f"{side}{i}" * 32}}
            a_told(tmp_path / side / str(i), scale=level * noise, about=about, id=f"{side}{i}")
    comparison = compare([tmp_path / "a", tmp_path / "b"], gates=[parse_gate("ttft.p50>+5%")])
    p50 = change(comparison, "ttft", "p50")
    assert p50.finding == "worse"
    assert p50.low == pytest.approx(0.3, abs=0.06)
    assert comparison.gates[0].fired

"""The plan of a run that replays a trace: times, lengths, sessions, and what its prompts share as text."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from known_sharing import beginnings, hits_of
from made_traces import made_requests, made_sessions

from loadcell.errors import UsageError
from loadcell.load.bodies import Source
from loadcell.spec import Spec, build_spec, with_defaults
from loadcell.traces import Trace
from loadcell.traces.read import read_trace
from loadcell.workload import BlockPrompts, Plan, plan
from loadcell.workload.replay import replayed

BLOCK = 512


def file_of(name: str) -> Path:
    return Path(str(resources.files("loadcell.traces"))) / "data" / name


def spec_for(trace: dict[str, Any] | str = "made", load: dict[str, Any] | None = None, **workload: Any) -> Spec:
    named = {"name": trace} if isinstance(trace, str) else {"name": "made", **trace}
    count = {"template_tokens": 0, "token_ratio": 1.0, **workload}
    tree = {"endpoint": {"url": "http://localhost:1"}, "trace": named, "load": load or {}, "workload": count}
    return with_defaults(build_spec({**tree, "run": {"salt": ""}}))


def planned(
    trace: Trace, asked: dict[str, Any] | None = None, load: dict[str, Any] | None = None, **count: Any
) -> Plan:
    spec = spec_for(asked or {}, load, **count)
    return plan(spec, replay=replayed(spec, trace))


# --- times and lengths -----------------------------------------------------------------------------------------------


def test_azure_is_sent_at_its_own_times_with_its_own_lengths() -> None:
    """Against the file, read by another hand."""
    made = plan(spec_for("azure-code")).schedule
    with gzip.open(file_of("azure-code.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    times = [datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp() for row in rows]
    assert made.loop == "open"
    assert made.planned == len(made) == len(rows)
    assert made.planned_ns is not None
    assert np.allclose(made.planned_ns / 1e9, np.array(times) - times[0], atol=2e-6)
    assert made.input_tokens.tolist() == [int(row["ContextTokens"]) for row in rows]
    assert made.output_tokens.tolist() == [int(row["GeneratedTokens"]) for row in rows]
    counts = np.bincount((made.planned_ns // 10**10).astype(int))[:343]
    assert counts.var(ddof=1) / counts.mean() == pytest.approx(71.6, rel=0.01)


def test_a_plan_is_the_same_again_and_of_another_seed_another() -> None:
    def of(seed: int) -> Plan:
        spec = spec_for({"scale": 0.5})
        spec = msgspec.structs.replace(spec, run=msgspec.structs.replace(spec.run, seed=seed))
        return plan(spec, replay=replayed(spec, made_sessions(1, 80)))

    assert of(1).schedule.hash == of(1).schedule.hash != of(2).schedule.hash


def test_a_rate_asks_for_as_many_requests_a_second() -> None:
    trace = made_requests(np.sort(np.random.default_rng(0).uniform(0, 1000, 5000)).tolist())
    for rate in (1.0, 12.5):
        made = planned(trace, load={"rate": rate}).schedule
        assert len(made) == pytest.approx(rate * 1000, rel=0.1)
    with pytest.raises(UsageError, match=r"trace\.scale and --rate both say"):
        spec_for({"scale": 2.0}, {"rate": 3.0})


def test_a_duration_and_a_number_cut_the_trace_and_say_so() -> None:
    trace = made_requests(np.arange(0, 100, 0.5).tolist())
    made = planned(trace, load={"duration_s": 10.0})
    assert made.schedule.planned == 20
    assert len(made.schedule) == 40  # as long again to keep the load on
    assert made.trace is not None and made.trace["sent"] == 20
    assert any("first 20 of 200" in note for note in made.notes)
    assert len(planned(trace, load={"requests": 7}).schedule) == 7
    more = planned(trace, load={"requests": 900})
    assert len(more.schedule) == 200
    assert any("900" in note and "200" in note for note in more.notes)


def test_a_closed_loop_sends_lengths_in_order_without_times() -> None:
    trace = made_requests([0.0, 5.0, 9.0])
    made = planned(trace, load={"concurrency": 2})
    assert (made.schedule.loop, made.schedule.planned_ns, made.schedule.planned) == ("closed", None, 3)
    assert made.schedule.input_tokens.tolist() == [40, 41, 42]
    assert any("times of the trace are left out" in note for note in made.notes)
    assert planned(trace, load={"concurrency": 2, "duration_s": 60.0}).schedule.planned is None


def test_lengths_without_times_need_a_rate_or_users() -> None:
    trace = replace(made_requests([0.0, 1.0, 2.0]), t_s=None)
    with pytest.raises(UsageError, match=r"made has no times: give --rate R, or --concurrency N"):
        planned(trace)
    made = planned(trace, load={"rate": 5.0}).schedule
    assert (made.loop, len(made)) == ("open", 3)
    assert made.input_tokens.tolist() == [40, 41, 42]


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"workload": {"input_tokens": "100"}}, "leave --input-tokens out"),
        ({"workload": {"output_tokens": "100"}}, "leave --output-tokens out"),
        ({"workload": {"prompts": "x.jsonl"}}, "leave out --prompts"),
        ({"endpoint": {"url": "http://x", "api": "embeddings"}}, "generates none"),
        ({"sessions": {"turns": "3"}}, "leave out --turns"),
        ({"load": {"cache": "warm"}}, "cold or as-is"),
        ({"trace": {"name": "a", "scale": 0}}, r"trace\.scale is 0"),
        ({"trace": {"name": "a", "too_long": "drop"}}, "nothing is too long"),
        ({"trace": {"name": "a", "window": "oops"}}, "10m..15m"),
        ({"trace": {"scale": 2.0}}, "name one with --trace"),
        ({"trace": {"name": "a", "max_input_tokens": 0}}, r"max_input_tokens is 0"),
    ],
)
def test_what_cannot_be_is_said(tree: dict[str, Any], says: str) -> None:
    whole = {"endpoint": {"url": "http://x"}, "trace": {"name": "a"}, **tree}
    with pytest.raises(UsageError, match=says):
        with_defaults(build_spec(whole))


# --- sessions --------------------------------------------------------------------------------------------------------


def test_rows_of_a_session_stand_together_each_after_what_it_waits_for() -> None:
    trace = made_sessions(4, 60)
    made = planned(trace).schedule
    sessions = made.sessions
    assert sessions is not None and made.planned_ns is not None and made.delay_ns is not None
    assert np.all(np.diff(sessions.session) >= 0)
    assert sessions.session.tolist()[0] == 0
    waits = sessions.waits
    for row in range(len(made)):
        before = waits.of(row).tolist()
        assert all(other < row and sessions.session[other] == sessions.session[row] for other in before)
        assert (made.planned_ns[row] == -1) == bool(before)
        assert sessions.turn[row] == (1 + max(sessions.turn[before]) if before else 0)
    first = made.planned_ns[sessions.first]
    assert np.all(np.diff(first) >= 0)
    assert trace.t_s is not None and trace.delay_s is not None
    assert np.allclose(np.sort(first) / 1e9, np.sort(trace.t_s[~np.isnan(trace.t_s)]), atol=1e-9)
    assert np.allclose(np.sort(made.delay_ns) / 1e9, np.sort(np.nan_to_num(trace.delay_s)), atol=1e-9)
    assert sorted(made.input_tokens.tolist()) == sorted(trace.input_tokens.tolist())


def test_a_number_of_requests_ends_with_a_whole_session() -> None:
    trace = made_sessions(4, 60)
    made = planned(trace, load={"requests": 50}).schedule
    assert made.sessions is not None
    whole = planned(trace).schedule.sessions
    assert whole is not None
    last = int(made.sessions.session[-1])
    assert 40 < len(made) <= 50
    assert np.count_nonzero(whole.session == last) == np.count_nonzero(made.sessions.session == last)


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mooncake-conversation", "mooncake-synthetic"])
def test_bodies_share_the_blocks_of_mooncake(name: str) -> None:
    """The first requests as bodies, against the file: both read by other hands."""
    rows = 150
    made = plan(spec_for(name, {"requests": rows}))
    source = Source("completions", [(b'{"model":"m"', "max_tokens")], made.prompts, made.schedule.output_tokens)
    bodies = [json.loads(body) for body in source.bodies(0) if isinstance(body, bytes)]
    with gzip.open(file_of(f"{name}.jsonl.gz"), "rt") as file:
        told = [json.loads(line) for _, line in zip(range(rows), file, strict=False)]
    prompts = [body["prompt"].split(" ") for body in bodies]
    assert [len(words) for words in prompts] == [row["input_length"] for row in told]
    assert hits_of(beginnings(words, BLOCK) for words in prompts) == hits_of(row["hash_ids"] for row in told)
    assert [body["max_tokens"] for body in bodies] == [row["output_length"] for row in told]


@pytest.mark.parametrize(
    ("name", "by_block", "by_token"),
    [("mooncake-conversation", 0.366, 0.374), ("mooncake-synthetic", 0.640, 0.651)],
)
def test_what_mooncake_shares_is_planned(name: str, by_block: float, by_token: float) -> None:
    made = plan(spec_for(name))
    schedule, prompts = made.schedule, made.prompts
    assert schedule.shared_tokens is not None and isinstance(prompts, BlockPrompts)
    assert schedule.shared_tokens.sum() / schedule.input_tokens.sum() == pytest.approx(by_token, abs=0.001)
    whole = np.ceil(schedule.shared_tokens / BLOCK).sum() / np.ceil(schedule.input_tokens / BLOCK).sum()
    assert whole == pytest.approx(by_block, abs=0.001)
    assert np.array_equal(prompts.lengths, schedule.input_tokens)


@pytest.mark.parametrize(("template", "ratio"), [(0, 1.0), (23, 1.0), (9, 1.37), (600, 2.0)])
def test_equal_beginnings_are_equal_bytes_however_the_server_counts(template: int, ratio: float) -> None:
    trace = made_sessions(8, 40)
    made = planned(trace, load={"concurrency": 1}, template_tokens=template, token_ratio=ratio)
    prompts, schedule = list(made.prompts), made.schedule
    assert isinstance(made.prompts, BlockPrompts)
    words = np.maximum((schedule.input_tokens - template) / ratio, 1)
    assert np.all(np.abs(made.prompts.lengths - words) <= 0.5 + 1e-9)
    assert [len(text.split(" ")) for text in prompts] == made.prompts.lengths.tolist()
    assert schedule.sessions is not None
    for row, text in enumerate(prompts):
        for other in schedule.sessions.waits.of(row).tolist():
            whole = (int(schedule.input_tokens[other]) // 16 * 16 - template) / ratio
            same = int(np.floor(max(whole, 0) + 0.5))
            assert text.split(" ")[:same] == prompts[other].split(" ")[:same]


def test_bodies_differ_by_salt_alone_and_hash_so() -> None:
    trace = made_sessions(8, 10)

    def of(salt: str) -> Source:
        spec = spec_for({}, {"concurrency": 1})
        spec = msgspec.structs.replace(spec, run=msgspec.structs.replace(spec.run, salt=salt))
        made = plan(spec, replay=replayed(spec, trace))
        return Source("chat", [(b"{", "max_tokens")], made.prompts, made.schedule.output_tokens)

    one, again, other = of("a"), of("a"), of("b")
    assert list(one.bodies(0)) == list(again.bodies(0))
    assert list(one.bodies(3)) == list(one.bodies(0))[3:]
    assert one.hash(len(one)) == again.hash(len(again)) != other.hash(len(other))


def test_a_million_requests_are_planned_in_columns() -> None:
    """No loop over rows: what takes seconds here would take minutes in one."""
    rows = 1_000_000
    rng = np.random.default_rng(0)
    trace = Trace(
        name="large",
        kind="plain",
        t_s=np.sort(rng.uniform(0, 86_400, rows)),
        input_tokens=rng.integers(1, 2000, rows).astype(np.int32),
        output_tokens=rng.integers(1, 500, rows).astype(np.int32),
    )
    made = planned(trace, {"scale": 0.9, "window": "busiest:12h", "max_input_tokens": 1000})
    assert made.schedule.planned_ns is not None
    assert len(made.schedule) == pytest.approx(450_000, rel=0.02)


def test_told_adds_up() -> None:
    trace = made_sessions(2, 100)
    told = planned(trace, {"scale": 0.5, "window": "1m..5m", "max_input_tokens": 40, "too_long": "drop"}).trace
    assert told is not None
    assert [one["what"] for one in told["changes"]] == ["window", "drop", "thin"]
    assert told["rows"] == len(trace)
    assert told["rows"] - sum(one["rows"] for one in told["changes"]) == told["sent"]
    assert told["length_s"] == 240


def test_rounds_of_agents_begin_as_the_ones_before_them() -> None:
    """TraceLab tells how much of a prompt the server knew: that much of the last prompt comes again, and no more."""
    trace = read_trace("tracelab")
    assert trace.prefix_tokens is not None
    with gzip.open(file_of("tracelab.jsonl.gz"), "rt") as file:
        told = {(row["input_tokens_total"], row["output_tokens"]): row for row in map(json.loads, file)}
    with pytest.raises(UsageError, match="would be sent for 72 days: give --trace-window"):
        planned(trace)
    made = planned(trace, {"speed": 1000.0})
    schedule, prompts = made.schedule, [text.split(" ") for text in made.prompts]
    assert schedule.sessions is not None and schedule.shared_tokens is not None
    assert len(prompts) == len(told) == 19
    for row, words in enumerate(prompts):
        before = schedule.sessions.waits.of(row).tolist()
        known = told[int(schedule.input_tokens[row]), int(schedule.output_tokens[row])]["prefix_tokens"]
        assert len(words) == schedule.input_tokens[row]
        if before:
            most = min(known, len(prompts[before[-1]]))
            assert schedule.shared_tokens[row] >= most
            assert words[:most] == prompts[before[-1]][:most]
            assert words[most : most + 4] != prompts[before[-1]][most : most + 4]
        else:
            assert schedule.shared_tokens[row] == 0
    whole = planned(trace, {"scale": 3.0, "speed": 1000.0}).schedule
    assert len(whole) == 57


def test_a_session_stays_with_its_endpoint() -> None:
    spec = spec_for()
    spec = msgspec.structs.replace(spec, classes=msgspec.structs.replace(spec.classes, models={"a": 1.0, "b": 2.0}))
    made = plan(spec, replay=replayed(spec, made_sessions(6, 90))).schedule
    assert made.kinds is not None and made.sessions is not None
    assert set(made.kinds.tolist()) == {0, 1}
    for session in range(int(made.sessions.session.max()) + 1):
        assert len(set(made.kinds[made.sessions.session == session].tolist())) == 1


def test_requests_are_held_against_the_models_context() -> None:
    trace = made_sessions(9, 40)
    longest = int((trace.input_tokens + trace.output_tokens).max())
    context = longest - 20
    over = trace.input_tokens + trace.output_tokens > context
    with pytest.raises(UsageError, match=rf"{over.sum()} of {len(trace)} requests of made are longer .*--too-long"):
        planned(trace, context_tokens=context)
    clipped = planned(trace, context_tokens=context, too_long="clip")
    totals = clipped.schedule.input_tokens + clipped.schedule.output_tokens
    assert totals.max() == context
    assert np.count_nonzero(totals == context) >= over.sum()
    assert isinstance(clipped.prompts, BlockPrompts)
    assert np.array_equal(clipped.prompts.lengths, clipped.schedule.input_tokens)
    dropped = planned(trace, context_tokens=context, too_long="drop")
    assert trace.session is not None
    left = ~np.isin(trace.session, trace.session[over])
    assert sorted(dropped.schedule.input_tokens) == sorted(trace.input_tokens[left])
    for made in (clipped, dropped):
        assert made.trace is not None
        assert made.trace["changes"][-1]["words"] in made.notes
    assert planned(trace, context_tokens=longest).schedule.hash == planned(trace).schedule.hash


def test_a_run_says_the_format_and_the_unit_that_a_file_does_not(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("t,in,out\n" + "".join(f"{i * 100},5,1\n" for i in range(30)))
    sent = plan(spec_for({"name": str(path), "time_unit": "ms"}))
    assert sent.schedule.planned_ns[-1] == 2_900_000_000
    path.write_text("t,in,out\n" + "".join(f"{i / 1e4},5,1\n" for i in range(30)))
    with pytest.raises(UsageError, match=r"say the unit by --trace-time-unit"):
        plan(spec_for({"name": str(path)}))
    with pytest.raises(UsageError, match="not of the format azure"):
        plan(spec_for({"name": str(path), "kind": "azure"}))
    assert plan(spec_for({"name": str(path), "kind": "plain", "time_unit": "s"})).schedule
    with pytest.raises(UsageError, match=r"load\.arrivals gamma:2: t brings its own times"):
        plan(spec_for({"name": str(path), "time_unit": "s"}, {"arrivals": "gamma:2"}))

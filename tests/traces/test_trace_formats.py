"""Formats of traces, told by their content: what each row becomes."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.traces.anonymize import written
from loadcell.traces.named import path_of
from loadcell.traces.read import FORMATS, read_trace


def waits_of(trace) -> list[list[int]]:
    return [trace.waits.of(row).tolist() for row in range(len(trace))]


AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,48,10\n2023-11-16 18:17:04.0319601,31,8"


def test_azure_has_a_hundred_nanoseconds_and_no_newline_at_the_end(file):
    trace = read_trace(file("any.txt", AZURE))
    assert trace.kind == "azure"
    assert trace.t_s.tolist() == [0, pytest.approx(0.0520001, abs=1e-9)]
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([48, 31], [10, 8])
    assert trace.session is trace.waits is trace.blocks is None
    assert trace.changes == ()


def test_azure_of_2024_tells_a_zone(file):
    rows = ["2024-05-12 00:00:00+00:00,1,2", "2024-05-12 00:00:10.5+00:00,3,4"]
    trace = read_trace(file("a.csv", "\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows])))
    assert trace.kind == "azure" and trace.t_s.tolist() == [0, 10.5]


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.tsv"])
def test_a_plain_trace_is_the_same_in_every_form(file, name, ending):
    rows = [(0.5, 10, 3), (1.25, 20, 4), (1.25, 30, 5)]
    objects = [{"t": t, "in": i, "out": o} for t, i, o in rows]
    text = {
        "a.csv": "t,in,out\n" + "\n".join(",".join(map(str, row)) for row in rows),
        "a.tsv": "t\tin\tout\n" + "\n".join("\t".join(map(str, row)) for row in rows),
        "a.jsonl": "\n".join(map(json.dumps, objects)),
        "a.json": json.dumps(objects, indent=1),
    }[name]
    trace = read_trace(file(name + ending, text))
    assert trace.kind == "plain" and trace.name == "a"
    assert trace.t_s.tolist() == [0, 0.75, 0.75]
    assert trace.input_tokens.tolist() == [10, 20, 30]
    assert trace.output_tokens.tolist() == [3, 4, 5]


def test_a_plain_trace_in_parquet(tmp_path):
    import duckdb

    path = tmp_path / "t.parquet"
    with duckdb.connect() as database:
        database.execute(
            "copy (select timestamp '2024-01-01 00:00:00' + to_milliseconds(i * 500) as timestamp, "
            f"10 + i as prompt_tokens, 5 as completion_tokens from range(4) t(i)) to '{path}' (format parquet)"
        )
    trace = read_trace(path)
    assert trace.t_s.tolist() == [0, 0.5, 1.0, 1.5]
    assert trace.input_tokens.tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("columns", "times"),
    [
        ("timestamp_ms,input_length,output_length", [0, 1500]),
        ("t_us,ISL,OSL", [0, 1_500_000]),
        ("Arrival_Time,Prompt Tokens,Completion Tokens", [7, 8.5]),
        ("time_ns,num_prefill_tokens,num_decode_tokens", [10**18, 10**18 + 1_500_000_000]),
    ],
)
def test_columns_have_names_that_people_use_and_say_their_unit(file, columns, times):
    trace = read_trace(file("t.csv", "\n".join([columns, *(f"{t},5,6" for t in times)])))
    assert trace.t_s.tolist() == [0, pytest.approx(1.5)]
    assert trace.changes == ()


def test_dates_of_many_zones_are_moments(file):
    dates = ["2026-02-26T10:00:00.5+02:00", "2026-02-26T08:00:01Z", "2026-02-26 08:00:02", "2026-02-26 07:00:03-01:00"]
    for trace in (
        read_trace(file("z.csv", "t,in,out\n" + "\n".join(f"{date},1,1" for date in dates))),
        read_trace(file("z.jsonl", [{"t": date, "in": 1, "out": 1} for date in dates])),
    ):
        assert trace.t_s == pytest.approx([0, 0.5, 1.5, 2.5], abs=1e-6)


def test_lengths_without_times_are_a_trace_too(file):
    trace = read_trace(file("l.csv", "num_prefill_tokens,num_decode_tokens\n100,7\n200,8\n"))
    assert trace.t_s is None and trace.input_tokens.tolist() == [100, 200]


def test_columns_that_mean_nothing_are_named(file):
    trace = read_trace(file("l.csv", "t,in,out,model,user\n0,1,1,m,u\n"))
    assert [(change.what, change.words) for change in trace.changes] == [
        ("unused", "columns of l that were not used: model, user")
    ]


def test_plain_sessions_wait_by_their_delays(file):
    rows = [
        "t,in,out,session,turn,delay",
        "0,10,1,a,0,",
        "0.5,10,1,b,0,",
        ",20,1,a,1,2.5",
        ",30,1,a,2,1",
        ",20,1,b,1,3",
    ]
    trace = read_trace(file("s.csv", "\n".join(rows)))
    assert trace.session.tolist() == [0, 0, 0, 1, 1]
    assert trace.input_tokens.tolist() == [10, 20, 30, 10, 20]
    assert waits_of(trace) == [[], [0], [1], [], [3]]
    assert np.isnan(trace.t_s).tolist() == [False, True, True, False, True]
    assert trace.delay_s[[1, 2, 4]].tolist() == [2.5, 1, 3]


def test_sessions_without_delays_keep_their_times(file):
    trace = read_trace(file("s.csv", "t,in,out,session_id\n0,1,1,x\n1,1,1,y\n2,1,1,x\n"))
    assert trace.session.tolist() == [0, 1, 0]
    assert trace.waits is None and trace.t_s.tolist() == [0, 1, 2]


def test_a_written_trace_is_read_as_it_was(file, tmp_path):
    for name in ("tracelab", "mooncake-synthetic"):
        trace = read_trace(name)
        path = tmp_path / f"{name}.jsonl.gz"
        path.write_bytes(gzip.compress(b"".join(written(trace))))
        again = read_trace(path)
        for column in ("input_tokens", "output_tokens", "session", "block_tokens"):
            assert np.array_equal(getattr(again, column), getattr(trace, column)), column
        assert np.allclose(again.t_s, trace.t_s, atol=1e-6, equal_nan=True)
        if trace.waits is not None:
            assert waits_of(again) == waits_of(trace)
            assert np.allclose(again.delay_s, trace.delay_s, atol=1e-6, equal_nan=True)
        if trace.blocks is not None:
            assert all(np.array_equal(one, other) for one, other in zip(again.blocks, trace.blocks, strict=True))


def test_mooncake_rows_may_lack_blocks(file):
    trace = read_trace(
        file("m.jsonl", [{"timestamp": 500 * i, "input_length": 5, "output_length": 2} for i in range(3)])
    )
    assert (trace.kind, trace.blocks, trace.block_tokens) == ("mooncake", None, 0)
    assert trace.t_s.tolist() == [0, 0.5, 1]


def test_a_prompt_has_as_many_blocks_as_its_length_takes(file):
    rows = [
        {"timestamp": 0, "input_length": 1024, "output_length": 1, "hash_ids": [0, 1, 2]},
        {"timestamp": 1, "input_length": 1025, "output_length": 1, "hash_ids": [0]},
        {"timestamp": 2, "input_length": 512, "output_length": 1, "hash_ids": [0]},
    ]
    trace = read_trace(file("m.jsonl", rows))
    assert [trace.blocks.of(row).tolist() for row in range(3)] == [[0, 1], [0, 3, 4], [0]]
    assert [(change.what, change.rows) for change in trace.changes] == [("blocks", 2)]


def test_bailian_chats_are_sessions(file):
    row = {"timestamp": 61.1, "input_length": 17, "output_length": 2, "type": "text", "turn": 1, "hash_ids": [7, 8]}
    chats = [(1, -1), (2, -1), (3, 1), (4, 3), (9, 77), (10, 9)]
    rows = [
        row | {"chat_id": chat, "parent_chat_id": parent, "timestamp": i * 1.5}
        for i, (chat, parent) in enumerate(chats)
    ]
    trace = read_trace(file("b.jsonl", rows))
    assert (trace.kind, trace.block_tokens) == ("bailian", 16)
    assert trace.session.tolist() == [0, 1, 0, 0, 2, 2]
    assert trace.t_s.tolist() == [0, 1.5, 3, 4.5, 6, 7.5]


BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"


def test_burstgpt_failures_are_counted_and_left_out(file):
    rows = [f"{t},ChatGPT,472,{out},490,Conversation log" for t, out in ((5, 18), (45, 0), (118, 79))]
    trace = read_trace(file("b.csv", "\n".join([BURST, *rows])))
    assert trace.kind == "burstgpt" and trace.t_s.tolist() == [0, 113]
    (change,) = trace.changes
    assert (change.what, change.rows) == ("drop", 1)
    assert change.words == "1 of 3 requests of b have no output: they failed, and were left out"


def test_burstgpt_turns_wait_for_the_end_of_the_one_before(file):
    header = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
    rows = [
        (0, "a", 4, 5), (1, "b", 1, 5), (10, "a", 2, 0), (12, "a", 3, 5), (13, "", 1, 5), (14, "a", 9, 5),
        (30, "a", 1, 5),
    ]  # fmt: skip
    lines = [f"{t}.0,{session},{took},GPT-4,10,{out},9,Conversation log" for t, session, took, out in rows]
    trace = read_trace(file("b.csv", "\n".join([header, *lines])))
    # of a: 0-4; 10 fails; 12-15 waits 8 s after 4; 14-23 began while 12-15 went on, 10 s after 4; 30 is 7 s after 23
    assert trace.session.tolist() == [0, 1, 0, 2, 0, 0]
    assert waits_of(trace) == [[], [], [0], [], [0], [4]]
    assert trace.delay_s[[2, 4, 5]].tolist() == [8, 10, 7]


def test_a_copy_under_another_name_is_known_by_its_content(tmp_path):
    for name in ("azure-code", "mooncake-synthetic", "tracelab"):
        shutil.copy(path_of(name), tmp_path / "thing")
        assert read_trace(tmp_path / "thing").kind == name.partition("-")[0]


def test_kind_overrides_what_a_file_looks_like(file):
    row = {"timestamp": 1000, "input_length": 5, "output_length": 2}
    path = file("m.jsonl", [row, row | {"timestamp": 3000}])
    assert read_trace(path).t_s.tolist() == [0, 2]
    assert read_trace(path, kind="plain").t_s.tolist() == [0, 2000]


def test_an_unknown_kind_is_answered_with_those_there_are(file):
    with pytest.raises(UsageError, match=r"--kind mooncak: .*did you mean mooncake.*there are: azure, .*plain"):
        read_trace(file("a.csv", AZURE), kind="mooncak")
    for kind in FORMATS:
        __import__(f"loadcell.traces.{kind}")

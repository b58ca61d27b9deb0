"""What is wrong with a trace is said in one sentence that tells what to do."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.traces.read import read_trace

HEAD = "t,in,out\n"


def refusal(path, **more) -> str:
    with pytest.raises(UsageError) as caught:
        read_trace(path, **more)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_broken_rows_are_named_by_line_and_stop_it(file):
    path = file("t.csv", HEAD + "0,5,1\n\n1,x,1\n2,5,1\n3,5\n4,-3,2\nsoon,5,1\n5,2.5,1\n6,0,1\n")
    said = refusal(path)
    assert "6 of 8 rows" in said and "--skip-bad" in said
    assert "line 4 (no input tokens), line 6 (no output tokens), line 7 (-3 input tokens), ..." in said


def test_broken_rows_are_left_out_and_counted_where_that_is_asked_for(file):
    trace = read_trace(file("t.csv", HEAD + "0,5,1\n1,x,1\n2,7,1\n"), skip_bad=True)
    assert trace.input_tokens.tolist() == [5, 7]
    (change,) = trace.changes
    assert (change.what, change.rows) == ("bad", 1)
    assert change.words == "1 of 3 rows of t are broken and were left out, the first: line 3 (no input tokens)"


def test_cells_too_many_and_quotes_without_an_end_break_their_own_row_alone(file):
    path = file("t.csv", HEAD + '0,5,1\n1,6,1,9\n2,"7,1\n3,8,1\n"4",9,1\n')
    said = refusal(path)
    assert "2 of 5 rows" in said and "line 3 (4 cells for 3 columns), line 4 (no input tokens)" in said
    assert read_trace(path, skip_bad=True).input_tokens.tolist() == [5, 8, 9]
    said = refusal(file("u.csv", HEAD + "0,5,1\n1,6,1,9\n"))
    assert "line 3 (4 cells for 3 columns)" in said


def test_a_cell_may_have_lines_and_two_columns_one_name(file):
    text = 't,in,out,note,note\n0,5,1,"a\nb",\n1,6,1,c,d\n'
    assert read_trace(file("t.csv", text)).input_tokens.tolist() == [5, 6]
    assert "its first line holds numbers" in refusal(file("n.csv", "0,5,1\n1,6,1\n"))


def test_lines_that_are_no_json_are_broken_rows(file):
    path = file("t.jsonl", '{"t": 0, "in": 5, "out": 1}\nwhat\n[1]\n\n{"t": 1, "in": 6, "out": 1}\n')
    assert (
        "2 of 4 rows" in refusal(path) and "line 2 (no JSON" in refusal(path) and "line 3 (no object)" in refusal(path)
    )
    assert read_trace(path, skip_bad=True).input_tokens.tolist() == [5, 6]


def test_broken_rows_of_typed_lines_say_what_is_wrong(file):
    good = '{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [1]}\n'
    said = refusal(file("m.jsonl", good + good.replace("[1]", '["a"]') + good.replace("5", '"five"')))
    assert "line 2 (Expected `int`, got `str`" in said and "hash_ids" in said and "line 3 (Expected `float`" in said


def test_who_waited_for_a_row_that_is_left_out_waits_for_what_that_waited_for(file):
    rows = ["t,in,out,session,delay", "0,1,1,a,", ",2,1,a,1", ",0,1,a,1", ",3,0,a,1", ",4,1,a,1"]
    trace = read_trace(file("t.csv", "\n".join(rows)), skip_bad=True)
    assert trace.input_tokens.tolist() == [1, 2, 4]
    assert [trace.waits.of(row).tolist() for row in range(3)] == [[], [0], [1]]
    assert {change.what for change in trace.changes} == {"bad", "drop"}


def test_a_trace_whose_rows_are_all_broken_names_the_format(file):
    said = refusal(file("t.csv", HEAD + ",,\n,,\n"), skip_bad=True)
    assert "2 of 2 rows" in said and "is it of the format plain?" in said


def test_a_trace_without_lengths_is_told_the_columns(file):
    said = refusal(file("t.csv", "t,in,model\n0,1,a\n"))
    assert (
        "no column of output tokens (out, out_tokens, output, output_tokens" in said and "it has: t, in, model" in said
    )
    said = refusal(file("t.csv", "t,in,ouput_tokens\n0,1,1\n"))
    assert "did you mean output_tokens?" in said


def test_a_file_of_unknown_columns_is_told_the_formats(file):
    said = refusal(file("t.csv", "when,what\n0,1\n"))
    assert "no known format of traces: it has when, what" in said and "azure, burstgpt" in said
    assert "loadcell trace anonymize" in refusal(file("t.jsonl", [{"t": 1, "messages": []}]))


@pytest.mark.parametrize("text", ["", "  \n\n"])
def test_an_empty_file_says_so(file, text):
    assert "is empty" in refusal(file("t.csv", text))
    assert "is empty" in refusal(file("t.csv.gz", text))


def test_a_header_alone_holds_no_requests(file):
    assert "holds no requests" in refusal(file("t.csv", HEAD))
    assert "holds no requests" in refusal(file("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n"))


def test_what_is_no_text_and_what_another_packer_packed_is_named(tmp_path, file):
    path = tmp_path / "x"
    for content, said in (
        (b"\x28\xb5\x2f\xfd....", "zstd -d"),
        (b"PK\x03\x04....", "zip archive"),
        (b"\xff\xfet\0,\0", "UTF-16"),
        (bytes(range(128, 256)) * 9, "is no text"),
        (gzip.compress(b"t,in,out\n0,1,1\n")[:-9], "cannot read"),
    ):
        path.write_bytes(content)
        assert said in refusal(path)
    assert "there is no file" in refusal(tmp_path / "gone.csv")
    assert "did you mean azure-code?" in refusal("azure-cod")


def test_a_damaged_end_of_a_packed_file_is_no_short_trace(tmp_path):
    rng = np.random.default_rng(1)
    text = HEAD + "".join(f"{t},5,1\n" for t in np.sort(rng.random(60_000)) * 1000)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-2000])
    assert "cannot read" in refusal(path)


def test_rows_out_of_order_are_sorted_and_counted(file):
    trace = read_trace(file("t.csv", HEAD + "5,1,1\n7,2,1\n6,3,1\n8,4,1\n4,5,1\n"))
    assert trace.t_s.tolist() == [0, 1, 2, 3, 4]
    assert trace.input_tokens.tolist() == [5, 1, 3, 2, 4]
    assert [(change.what, change.rows) for change in trace.changes] == [("sort", 2)]


def test_a_log_that_is_newest_first_is_turned_around(file):
    trace = read_trace(file("t.csv", HEAD + "".join(f"{100 - i},{i + 1},1\n" for i in range(50))))
    assert trace.t_s.tolist() == list(range(50)) and trace.input_tokens[0] == 50


def test_times_in_no_order_at_all_are_doubted(file):
    times = np.random.default_rng(1).permutation(500)
    assert "in no order" in refusal(file("t.csv", HEAD + "".join(f"{t},1,1\n" for t in times)))


@pytest.mark.parametrize(
    ("head", "scale", "said"),
    [
        ("t,in,out", 1000, "was taken for s, which makes 100 requests in 34 days: they look like ms"),
        ("timestamp,in,out", 1e-6, "they hardly are"),
    ],
)
def test_a_unit_that_cannot_be_is_diagnosed(file, head, scale, said):
    times = np.arange(100) * (30_000 if scale == 1000 else 10)
    text = head + "\n" + "".join(f"{t if scale == 1000 else t * scale},5,1\n" for t in times)
    path = file("t.csv", text)
    assert said in refusal(path) and "--time-unit" in refusal(path)
    trace = read_trace(path, unit="ms" if scale == 1000 else "s")
    assert trace.t_s[1] == pytest.approx(30 if scale == 1000 else 1e-5)


def test_mooncake_in_seconds_is_diagnosed(file):
    rows = [{"timestamp": i * 0.3, "input_length": 5, "output_length": 1} for i in range(100)]
    assert "was taken for ms, which makes 3,367 requests/s: they look like s" in refusal(file("m.jsonl", rows))
    assert read_trace(file("m.jsonl", rows), unit="s").t_s[1] == pytest.approx(0.3)


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e9])
def test_dates_in_ms_us_and_ns_are_known_by_their_size(file, scale):
    trace = read_trace(file("t.csv", HEAD + "".join(f"{round((1.7e9 + i) * scale)},5,1\n" for i in range(30))))
    assert trace.t_s == pytest.approx(np.arange(30), abs=1e-3)
    assert trace.changes[0].what == "unit"


def test_blocks_need_their_size_and_waits_an_earlier_row(file):
    assert "block_tokens" in refusal(file("t.jsonl", [{"t": 0, "in": 5, "out": 1, "blocks": [1]}]))
    rows = [{"t": 0, "in": 5, "out": 1, "waits": [1], "delay": 1}, {"t": 1, "in": 5, "out": 1}]
    assert "line 1 (waits for no earlier row" in refusal(file("t.jsonl", rows))


def test_a_format_with_dates_takes_no_unit(file):
    text = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,48,10\n"
    assert "--time-unit" in refusal(file("a.csv", text), unit="ms")
    assert "--time-unit min: give one of s, ms, us, ns" in refusal(file("a.csv", text), unit="min")
    assert "holds numbers" in refusal(file("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n5,48,10\n"))


def test_who_waits_only_for_what_is_left_out_begins_when_that_would_have(file):
    rows = ["t,in,out,session,delay", "5,1,1,b,", "7,1,0,a,", ",2,1,a,4", ",3,1,a,1"]
    trace = read_trace(file("t.csv", "\n".join(rows)))
    assert trace.input_tokens.tolist() == [1, 2, 3]
    assert trace.t_s[:2].tolist() == [0, 2] and np.isnan(trace.t_s[2])
    assert [trace.waits.of(row).tolist() for row in range(3)] == [[], [], [1]]


def test_rows_that_wait_stand_behind_those_that_they_wait_for(file):
    rows = ["t,in,out,session,turn,delay", ",3,1,a,2,1", ",2,1,a,1,1", "7,1,1,a,0,"]
    trace = read_trace(file("t.csv", "\n".join(rows)))
    assert trace.input_tokens.tolist() == [1, 2, 3]
    assert [trace.waits.of(row).tolist() for row in range(3)] == [[], [0], [1]]


def test_numbers_of_blocks_may_be_of_any_size(file):
    blocks = [[2**63, -5], [2**63, 2**100]]
    rows = [
        {"timestamp": i, "input_length": 600, "output_length": 1, "hash_ids": each} for i, each in enumerate(blocks)
    ]
    trace = read_trace(file("m.jsonl", rows))
    assert [trace.blocks.of(row).tolist() for row in range(2)] == [[0, 1], [0, 2]]
    rows = [{"t": 0, "in": 5, "out": 1, "blocks": [1], "block_tokens": 10**20}]
    assert "one has 1 to" in refusal(file("p.jsonl", rows))


def test_silence_of_years_takes_no_memory(file):
    from loadcell.traces.describe import describe

    times = [*range(30), 10**13]
    found = describe(read_trace(file("t.csv", "t_s,in,out\n" + "".join(f"{t},5,1\n" for t in times))))
    assert found.arrivals.dispersion["1"] == pytest.approx(1, abs=1e-6)
    assert found.arrivals.span_s == 10**13


def test_blank_lines_of_a_csv_are_no_rows(file):
    assert read_trace(file("t.csv", "\n\nt,in,out\n0,5,1\n\n1,6,1\n\n\n")).input_tokens.tolist() == [5, 6]
    said = refusal(file("q.csv", '\nt,"in",out\n0,5,1\n\n1,"6",1\n,,\nsoon,7,1\n'))
    assert "2 of 4 rows" in said and "line 6 (no input tokens), line 7 (no time)" in said


@pytest.mark.parametrize("kind", ["azure", "burstgpt", "litellm", "servegen"])
def test_a_format_that_a_file_has_not_is_told_what_it_lacks(file, kind):
    said = refusal(file("t.csv", HEAD + "0,5,1\n"), kind=kind)
    assert f"is not of the format {kind}: it lacks" in said and "it has: t, in, out" in said


def test_a_folder_is_no_file_of_a_format(tmp_path):
    assert "is a folder: the format azure is one file" in refusal(tmp_path, kind="azure")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("12/01/2025 10:00:00;5;1", "t is '12/01/2025 10:00:00' and the like: write seconds"),
        ("0,5;5;1", "t is '0,5' and the like: write seconds"),
        ("0.5;1,035;1", "in is '1,035' and the like: write a whole number"),
    ],
)
def test_a_column_in_another_writing_is_shown(file, row, said):
    assert said in refusal(file("t.csv", HEAD.replace(",", ";") + f"{row}\n{row}\n"))


def test_a_column_that_stands_twice_is_told(file):
    (change,) = read_trace(file("t.csv", "t,in,in,out\n0,5,6,1\n1,5,6,1\n")).changes
    assert "in (column 3)" in change.words


def test_true_is_no_number_of_tokens(file):
    said = refusal(file("t.jsonl", '{"t":0,"in":true,"out":5}\n{"t":1,"in":4,"out":5}\n'))
    assert "line 1 (no input tokens)" in said

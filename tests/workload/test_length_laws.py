"""Mixtures, lengths from files, bounds and pairs: what is drawn, what its mean is, and what is refused."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.spec import Lengths, Spec, build_spec, parse_lengths
from loadcell.workload import plan
from loadcell.workload.lengths import draw_lengths, sample_lengths
from loadcell.workload.streams import stream

MIXTURE = "mixture:0.7*normal:200,50+0.3*lognormal:3000,1"
LAWS = [
    "17", "normal:100,30", "normal:2,50,..900", "uniform:3,9", "lognormal:200,1.2", MIXTURE, "normal:100,80,50..120",
    "lognormal:300,1,16..2000", "uniform:10,100,..40", "uniform:10,100,90..", "uniform:10,20,30..40",
    "uniform:10,20,..4", "mixture:1*uniform:5,10+3*empirical:arxiv#num_decode_tokens,..500",
    "empirical:bwb#num_prefill_tokens", "mixture:2*17+1*lognormal:50,0.5,10..",
]  # fmt: skip


def draw(text: str, n: int, seed: int = 0) -> np.ndarray:
    return sample_lengths(parse_lengths(text), n, stream(seed, "input lengths"))


@given(text=st.sampled_from(LAWS), n=st.integers(0, 200), more=st.integers(0, 200), seed=st.integers(0, 2**70))
def test_no_law_draws_a_length_by_how_many_follow(text: str, n: int, more: int, seed: int) -> None:
    short, long = draw(text, n, seed), draw(text, n + more, seed)
    assert short.dtype == np.int32 and np.array_equal(short, long[:n]) and np.all(long >= 1)


@pytest.mark.parametrize("text", LAWS)
def test_the_mean_of_each_law_is_that_of_what_is_drawn(text: str) -> None:
    drawn = draw(text, 400_000, seed=5)
    error = drawn.std() / np.sqrt(len(drawn))
    assert parse_lengths(text).mean == pytest.approx(drawn.mean(), abs=4.5 * error + 0.02)


def test_a_mixture_has_its_parts_in_their_shares() -> None:
    drawn = draw("mixture:3*uniform:1,10+1*uniform:1001,1010", 100_000)
    assert np.mean(drawn > 500) == pytest.approx(0.25, abs=0.006)
    assert set(drawn.tolist()) == {*range(1, 11), *range(1001, 1011)}
    law = parse_lengths("mixture:1e-1*5+9e-1*lognormal:1e+2,1")
    assert [share for share, _ in law.parts] == pytest.approx([0.1, 0.9]) and law.parts[1][1].a == 100


def test_bounds_clip_and_what_they_clip_is_counted() -> None:
    values, clipped = draw_lengths(parse_lengths("normal:100,20,80..110"), 100_000, stream(1, "input lengths"))
    plain = draw("normal:100,20", 100_000, seed=1)
    assert np.array_equal(values, np.clip(plain, 80, 110))
    assert clipped == np.count_nonzero((plain < 80) | (plain > 110))
    laws = {"input_tokens": "normal:100,20,80..110", "output_tokens": "uniform:1,9,3.."}
    planned = plan(spec_with(dict(laws), 200))
    notes = [note for note in planned.notes if "beyond their bounds" in note]
    inputs = int(np.count_nonzero(np.isin(planned.schedule.input_tokens, [80, 110])))
    assert len(notes) == 2 and "of 200 prompts" in notes[0] and "of 200 outputs" in notes[1]
    told = int(notes[0].split("lengths of ")[1].split()[0])
    assert 0 < told <= inputs


FORMS: dict[str, bytes] = {
    "csv": (b"a,tokens,b\n1,5,x\n2,7,y\n3,900,z\n"),
    "tsv": (b"\xef\xbb\xbfa\ttokens\n1\t5\n\n2\t7\n3\t900\n"),
    "jsonl": (b'{"tokens": 5, "b": [1]}\n{"tokens": 7}\n{"tokens": "900"}\n'),
    "csv.gz": (gzip.compress(b"tokens\n5\n7\n900")),
}


@pytest.mark.parametrize("form", FORMS)
def test_lengths_come_from_any_form_of_file(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"lengths.{form}"
    file.write_bytes(FORMS[form])
    law = parse_lengths(f"empirical:{file}#tokens")
    assert law.values.tolist() == [5, 7, 900] and law.mean == 304
    drawn = sample_lengths(law, 30_000, stream(3, "output lengths"))
    assert np.unique(drawn, return_counts=True)[1] == pytest.approx(10_000, rel=0.05)


def test_a_file_of_numbers_alone_and_parquet_do_too(tmp_path: Path) -> None:
    alone = tmp_path / "alone.txt"
    alone.write_text("5\n7\n900\n")
    assert parse_lengths(f"empirical:{alone}").values.tolist() == [5, 7, 900]
    made = tmp_path / "made.parquet"
    duckdb.sql("SELECT unnest([5, 7, 900])::BIGINT AS n, 'x' AS other").write_parquet(str(made))
    assert parse_lengths(f"empirical:{made}#n").values.tolist() == [5, 7, 900]
    with pytest.raises(UsageError, match=r"has the columns n, other: say which, as in .*#other"):
        _ = parse_lengths(f"empirical:{made}").mean


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tokens\n5\nx\n", r"lengths.csv:3: tokens is 'x': a number is needed"),
        ("tokens\n5\n0\n7.5\n", r"lengths.csv:3: tokens is 0: lengths are whole numbers from 1; 2 rows in all"),
        ("tokens,b\n5,1\n,2\n", r"lengths.csv:3: tokens is nothing"),
        ("tokens\n5\nnan\n", r"lengths.csv:3: tokens is 'nan'"),
        ("token\n5\n", r"no column tokens.*it has: token"),
        ("tokens\n", "has no rows"),
        ('{"tokens": 5}\n{"tokens": 6,}\n', r"lengths.csv:2: not a JSON object"),
        ('{"tokens": 5}\n{"other": 6}\n', r"lengths.csv:2: tokens is nothing"),
    ],
)
def test_a_row_that_is_no_length_is_named_by_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "lengths.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        build_spec({"endpoint": {"url": "localhost:1"}, "workload": {"input_tokens": f"empirical:{file}#tokens"}})


@pytest.mark.parametrize(
    "text",
    [
        *("mixture:", "mixture:normal:5,1", "mixture:0*5+1*6", "mixture:1*mixture:1*5", "mixture:x*5", "empirical:"),
        *("5,1..9", "normal:5,1,9..3", "normal:5,1,0..3", "normal:5,1,..", "normal:5,1,1.5..3"),
        "mixture:1*5+1*norml:3,1",
    ],
)
def test_a_law_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a token length"):
        parse_lengths(text)


def test_a_law_that_is_known_but_lacks_a_number_is_not_taken_for_a_slip_of_its_name() -> None:
    with pytest.raises(UsageError) as caught:
        parse_lengths("normal:300")
    assert "did you mean" not in str(caught.value)


def test_a_law_without_an_end_is_refused() -> None:
    with pytest.raises(UsageError, match="longer than any length on average"):
        build_spec({"endpoint": {"url": "localhost:1"}, "workload": {"input_tokens": "lognormal:100,500"}})


# --- pairs ---


def spec_with(workload: dict[str, object], rows: int = 500) -> Spec:
    return build_spec(
        {"endpoint": {"url": "localhost:1"}, "load": {"concurrency": 1, "requests": rows}, "workload": workload}
    )


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "rows"),
    [("arxiv", 2588, 291, 28_257), ("bwb", 1067, 1613, 33_768), ("sharegpt", 2340, 439, 30_731)],
)
def test_packaged_pairs_have_their_means_and_stay_together(name: str, inputs: int, outputs: int, rows: int) -> None:
    spec = spec_with({"lengths": name}, 4000)
    laws = [parse_lengths(text or "") for text in (spec.workload.input_tokens, spec.workload.output_tokens)]
    assert [round(law.mean) for law in laws] == [inputs, outputs] and len(laws[0].values) == rows
    planned = plan(spec)
    there = set(zip(*(law.values.astype(int).tolist() for law in laws), strict=True))
    pairs = list(zip(planned.schedule.input_tokens.tolist(), planned.schedule.output_tokens.tolist(), strict=True))
    assert set(pairs) <= there
    assert planned.schedule.input_tokens.mean() == pytest.approx(laws[0].mean, rel=0.06)
    asked = [np.corrcoef(*(law.values for law in laws))[0, 1], np.corrcoef(*zip(*pairs, strict=True))[0, 1]]
    assert asked[0] == pytest.approx(asked[1], abs=0.06)
    assert sum("project-etalon/etalon" in note for note in planned.notes) == 1


def test_pairs_are_taken_in_their_order_and_again_from_the_beginning(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("GeneratedTokens,when,ContextTokens\n1,x,10\n2,y,20\n3,z,30\n")
    planned = plan(spec_with({"lengths": str(file), "lengths_order": "file"}, 7))
    assert planned.schedule.input_tokens.tolist() == [10, 20, 30, 10, 20, 30, 10]
    assert planned.schedule.output_tokens.tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert any("the 3 pairs of lengths" in note and "2.33 times" in note for note in planned.notes)
    drawn = [plan(spec_with({"lengths": str(file)}, rows)).schedule.input_tokens for rows in (50, 80)]
    assert np.array_equal(drawn[0], drawn[1][:50]) and set(drawn[1].tolist()) == {10, 20, 30}


def test_columns_may_be_named_and_odd_ones_are_told(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text("x,y\n10,1\n20,2\n")
    spec = spec_with({"lengths": str(file), "lengths_columns": "y, x"})
    assert (spec.workload.input_tokens, spec.workload.output_tokens) == (f"empirical:{file}#y", f"empirical:{file}#x")
    with pytest.raises(UsageError, match=r"workload.lengths: .* has no column num_prefill_tokens or .*; it has: x, y"):
        spec_with({"lengths": str(file)})
    with pytest.raises(UsageError, match="name the columns of inputs and outputs"):
        spec_with({"lengths": str(file), "lengths_columns": "x"})


@pytest.mark.parametrize(
    ("workload", "says"),
    [
        ({"lengths": "arxiv", "input_tokens": "5"}, "brings both lengths: leave out workload.input_tokens"),
        ({"lengths": "arxiv", "prompts": "x.jsonl"}, "have lengths of their own"),
        ({"lengths": "arxive"}, "arxive cannot be read"),
    ],
)
def test_pairs_that_cannot_be_are_refused(workload: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        spec_with(workload)


@pytest.mark.parametrize(
    ("text", "mean"),
    [("normal:100,20", 100.0), ("normal:2,50", 2.0), ("lognormal:400,0.6", 400 * math.exp(0.18)), ("uniform:3,9", 6.0)],
)
def test_the_mean_of_a_law_without_bounds_is_as_before_there_were_any(text: str, mean: float) -> None:
    """To the last bit: how many words the prompts of a run have, and how many requests a closed loop plans, follow."""
    assert parse_lengths(text).mean == mean


def test_a_law_written_by_hand_is_as_before() -> None:
    assert Lengths("uniform", 64, 192).mean == 128 and parse_lengths("512").mean == 512


def test_a_text_beside_a_length_may_have_lines_of_its_own(tmp_path: Path) -> None:
    notes = tmp_path / "notes.jsonl"
    notes.write_text('{"n": 5, "text": "a\u2028b\x85c"}\n{"n": 6}\n', encoding="utf-8")
    assert parse_lengths(f"empirical:{notes}#n").values.tolist() == [5, 6]
    cells = tmp_path / "cells.csv"
    cells.write_text('text,n\r\n"a\nb",5\r\n"c\u2028",6\r\n', encoding="utf-8")
    assert parse_lengths(f"empirical:{cells}#n").values.tolist() == [5, 6]
    cells.write_text('text,n\n"a\nb",5\n\nc,x\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"cells\.csv:5: n is 'x'"):
        parse_lengths(f"empirical:{cells}#n").mean  # noqa: B018

"""Pages in Prometheus' text format: every form of a sample, and what is no page."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadcell.recording.exposition import BUCKETS_AND_BIRTHS, Sample, read_page, read_samples

FORMS = {
    "a 1": ("a", "", 1),
    "a:b_c 2.5e-3": ("a:b_c", "", 0.0025),
    "a\t3 1700000000000": ("a", "", 3),
    "  a   4  ": ("a", "", 4),
    "a 5\r": ("a", "", 5),
    "a{} 6": ("a", "{}", 6),
    "a {b=\"c\"} 7": ("a", '{b="c"}', 7),
    'a{b="c d",e="}"} 8': ("a", '{b="c d",e="}"}', 8),
    'a{b="say \\"hi\\" \\\\",c="{"} 9': ("a", '{b="say \\"hi\\" \\\\",c="{"}', 9),
    'a{b="not "escaped" at all"} 10': ("a", '{b="not "escaped" at all"}', 10),
    'a{b="# \u2028"} 11': ("a", '{b="# \u2028"}', 11),
    'a_total{b="c"} 12 # {trace_id="x"} 0.5 1700000000.5': ("a_total", '{b="c"}', 12),
    "a_total 13 1700000000.123 # {} 0.5": ("a_total", "", 13),
    "a +Inf": ("a", "", math.inf),
    "a -Inf": ("a", "", -math.inf),
    "a -1e+09": ("a", "", -1e9),
}  # fmt: skip


@pytest.mark.parametrize(("line", "sample"), FORMS.items(), ids=range(len(FORMS)))
def test_the_forms_of_a_sample(line: str, sample: tuple[str, str, float]) -> None:
    assert read_page(f"# HELP x y\n\n{line}\n# EOF\n") == [Sample(*sample)]


def test_not_a_number_is_one() -> None:
    (sample,) = read_page("a NaN\n")
    assert math.isnan(sample.value)


NO_PAGES = [
    "", "a 1", "a 1\nb", "a 1\nb 2", "a\n", "a b\n", "<html>\n", "{}\n", '{"a": 1}\n', "a{ 1\n", "a} 1\n",
    "1 a\n", "a 1 2 3\n", "a 1 x\n", "\x00\n", "a1,2\n",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_PAGES)
def test_what_is_no_whole_page_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Prometheus"):
        read_page(text)


def test_buckets_and_birth_times_are_left_out_and_nothing_else() -> None:
    page = (
        'h_bucket{le="1"} 1\nh_bucket 2\nh_sum 3\nh_created{a="b"} 4\nh_created 5\nh_bucket_total 6\na{b="_bucket"} 7\n'
    )
    assert [sample.value for sample in read_page(page, BUCKETS_AND_BIRTHS)] == [3, 6, 7]
    assert len(read_page(page)) == 7


LABELS = st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), st.text(max_size=12), max_size=3)


@given(LABELS, st.floats(allow_nan=False))
def test_whatever_a_label_holds_the_value_is_found(labels: dict[str, str], value: float) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    written = "{" + ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items()) + "}"
    assert read_page(f"a{written} {value!r}\n") == [("a", written, value)]


@given(st.text(alphabet='a_b{}="\\ \n\t\r#1e-.NI', max_size=80))
def test_strict_and_lenient_reading_agree_on_pages(text: str) -> None:
    samples = list(read_samples(text))
    try:
        assert str(read_page(text)) == str(samples)  # NaN is not equal to itself
    except ValueError:
        assert not text.endswith("\n") or len(samples) < len([line for line in text.split("\n") if line.strip()])


SLOW = [
    "a" + " " * 50_000 + "x y z", 'a{b="' + '\\"' * 20_000, "a{" + 'x="y",' * 9_000 + " 1", "a{" + "} 1" * 9_000 + " x",
    "a" * 90_000, "a 1" + " " * 50_000 + "x", "a{}" + (" " * 20_000 + "1") * 3 + "x", "a{" + '"' * 30_000,
]  # fmt: skip


@pytest.mark.parametrize("line", SLOW, ids=range(len(SLOW)))
def test_no_line_takes_long(line: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match="Prometheus"):
        read_page(f"{line}\n")
    assert time.process_time() - started < 2

"""JSON through a window: what comes out is what the standard library makes of the whole text, whatever its size."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.interop import document

NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.sampled_from([1e-7, -0.0, 12345678901234.5])
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=12) | st.just(math.inf) | st.just(-math.inf)
KEYS = st.sampled_from(["a", "b", "itls", 'q"\\', "ключ", "long-" * 9])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


def paths_of(tree: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every path of a tree, the root left out."""
    if path:
        yield ".".join(path)
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from paths_of(value, (*path, key))
    elif isinstance(tree, list):
        for value in tree:
            yield from paths_of(value, (*path, "*"))


def plainly(tree: Any, without: set[str], each: set[str], path: tuple[str, ...] = ()) -> Any:
    """What `load` promises, of a tree that is whole."""
    name = ".".join(path)
    if name in without:
        return None
    if isinstance(tree, dict):
        tree = {key: plainly(value, without, each, (*path, key)) for key, value in tree.items()}
    elif isinstance(tree, list):
        tree = [plainly(value, without, each, (*path, "*")) for value in tree]
    return ["made", tree] if name in each else tree


@settings(max_examples=300, deadline=None)
@given(
    tree=TREES,
    block=st.sampled_from([1, 3, 17, 64, 1 << 20]),
    indent=st.sampled_from([None, 1]),
    ascii=st.booleans(),
    data=st.data(),
)
def test_any_document_reads_as_by_the_standard_library(
    tmp_path_factory: pytest.TempPathFactory, tree: Any, block: int, indent: int | None, ascii: bool, data: Any
) -> None:
    known = sorted(set(paths_of(tree)))
    asked = st.sets(st.sampled_from(known), max_size=3) if known else st.just(set())
    without, each = data.draw(asked), data.draw(asked)
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps(tree, indent=indent, ensure_ascii=ascii), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "BLOCK", block)
        found = document.load(file, without=without, each=dict.fromkeys(each, lambda value: ["made", value]))
        assert found == plainly(tree, without, each)
        assert type(found) is type(plainly(tree, without, each))
        joined = file.with_name("many.json")
        text = file.read_text(encoding="utf-8")
        joined.write_text(f"\n{text}\n\n {text}\n{text}", encoding="utf-8")
        many = list(document.documents(joined, without=without))
        assert [value for _, value in many] == [plainly(tree, without, set())] * 3
        starts = [2, 4 + text.count("\n"), 5 + 2 * text.count("\n")]
        assert [line for line, _ in many] == starts


@settings(max_examples=200, deadline=None)
@given(tree=TREES, cut=st.integers(0, 400), block=st.sampled_from([1, 16, 1 << 20]))
def test_a_cut_document_is_refused_by_name_and_never_hangs(
    tmp_path_factory: pytest.TempPathFactory, tree: Any, cut: int, block: int
) -> None:
    text = json.dumps({"rows": tree})
    file = tmp_path_factory.getbasetemp() / "cut.json"
    file.write_text(text[: cut % len(text)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "BLOCK", block)
        with pytest.raises(UsageError, match=r"cut\.json is no whole JSON: .*, line 1, character \d+"):
            document.load(file, without=["rows.*"])


@settings(max_examples=300, deadline=None)
@given(text=st.text(alphabet='{}[]:,"\\ue0159.-+tfnNI \n', max_size=30), block=st.sampled_from([1, 5, 1 << 20]))
def test_whatever_is_no_json_is_refused_as_by_the_standard_library(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "odd.json"
    file.write_text(text)
    try:
        expected = json.loads(text)
    except ValueError:
        expected = UsageError
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "BLOCK", block)
        if expected is UsageError:
            with pytest.raises(UsageError):
                document.load(file, without=["a.*", "*.a"])
        else:
            assert repr(document.load(file)) == repr(expected)


def test_bare_words_of_other_languages_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"rate": Infinity, "low": -Infinity, "mean": NaN, "text": "NaN, Infinity"}')
    found = document.load(tmp_path / "a.json")
    assert (found["rate"], found["low"], found["text"]) == (math.inf, -math.inf, "NaN, Infinity")
    assert math.isnan(found["mean"])


def test_of_a_key_that_stands_twice_the_last_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "BLOCK", 4)
    (tmp_path / "a.json").write_text('{"a": [1, 2, 3], "b": 1, "a": [4, 5]}')
    assert document.load(tmp_path / "a.json", each={"a.*": str}) == {"a": ["4", "5"], "b": 1}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_mark_or_another_encoding_is_seen(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_bytes('{"a": "промпт 🙂"}'.encode(encoding))
    assert document.load(tmp_path / "a.json") == {"a": "промпт 🙂"}
    assert document.head(tmp_path / "a.json") == {"a": "промпт 🙂"}


def test_packed_files_read_alike_and_cut_ones_are_told(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps({"a": list(range(5000))}).encode())
    (tmp_path / "a").write_bytes(packed)
    assert document.load(tmp_path / "a")["a"][-1] == 4999
    (tmp_path / "b.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UsageError, match=r"cannot read .*b\.gz: Compressed file ended"):
        document.load(tmp_path / "b.gz")
    (tmp_path / "c.gz").write_bytes(packed[:60] + b"\0\0\0\0" + packed[64:])
    with pytest.raises(UsageError, match=r"c\.gz"):
        document.load(tmp_path / "c.gz")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Expecting value, line 1, character 1"),
        (b'{"a": 1} {"b": 2}', "more follows the end of the document, line 1, character 10"),
        (b'{"a": 1,\n "b": x}', "Expecting value, line 2, character 16"),
        (b'{"a": "\xff\xfe"}', "is no text in utf-8: invalid start byte"),
        (b'{"a": "\xd0', "is no text in utf-8: unexpected end of data"),
        (b'{"a": "new\nline"}', "Invalid control character"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "digits"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(UsageError, match=rf"a\.json.*{why}"):
        document.load(tmp_path / "a.json", without=["a.x"])


def test_a_head_is_what_the_first_bytes_hold(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"metadata": {"version": 2}, "benchmarks": [{"id": 1, "rows": [' + "1.5, " * 100_000)
    found = document.head(file)
    assert found["metadata"] == {"version": 2}
    assert found["benchmarks"][0]["id"] == 1 and len(found["benchmarks"][0]["rows"]) > 1000
    file.write_text("MLPerf Results Summary\n")
    assert document.head(file) is None
    file.write_bytes(b"\x00\xff\xfe\xff" * 100)
    assert document.head(file) is None


def test_lines_name_the_one_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"a": NaN}\n{"a": ')
    found = document.lines(tmp_path / "a.jsonl")
    assert [next(found)[0], next(found)[0]] == [1, 3]
    with pytest.raises(UsageError, match=r"a\.jsonl:4 is no JSON"):
        next(found)

"""Where prompts are: files, folders of files, data sets as the Hugging Face hub and its libraries leave them."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.spec import build_spec
from loadcell.workload.files import PromptFile, read_prompts
from loadcell.workload.sources import find_source, parts_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Read = Callable[..., PromptFile]


def read(prompts: str | Path, **more: Any) -> PromptFile:
    return read_prompts(build_spec({"endpoint": {"url": "http://h:1"}, "workload": {"prompts": str(prompts), **more}}))


def texts(file: PromptFile) -> list[str]:
    return [json.loads(own)["messages"][-1]["content"] for own in file.prompts]


def put(folder: Path, **files: str | bytes) -> Path:
    """Files by their names, in which two low lines are a slash and one is a point."""
    for name, data in files.items():
        place = folder / name.replace("__", "/").replace("_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def lines(*prompts: str) -> str:
    return "".join(json.dumps({"prompt": one}) + "\n" for one in prompts)


def parquet(folder: Path, *prompts: str, columns: str = "*") -> bytes:
    place = folder / "made.parquet"
    rows = ", ".join(f"('{one}', 1)" for one in prompts)
    duckdb.sql(f"COPY (SELECT {columns} FROM (VALUES {rows}) AS t(prompt, label)) TO '{place}' (FORMAT parquet)")
    data = place.read_bytes()
    place.unlink()
    return data


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("form", ["lines", "list", "csv", "parquet"])
def test_every_form_may_be_packed(tmp_path: Path, form: str, pack: Callable[[bytes], bytes]) -> None:
    forms = {
        "lines": lines("a", "b").encode(),
        "list": json.dumps([{"prompt": "a"}, {"prompt": "b"}], indent=1).encode(),
        "csv": b"prompt,label\na,1\nb,2\n",
        "parquet": parquet(tmp_path, "a", "b"),
    }
    (tmp_path / "p").write_bytes(pack(forms[form]))
    file = read(tmp_path / "p")
    assert texts(file) == ["a", "b"]
    assert file.sha256 == hashlib.sha256((tmp_path / "p").read_bytes()).digest()
    if form in ("csv", "parquet"):
        assert any("(--send-fields sends them): label" in note for note in file.notes(2))


def test_shards_are_one_file_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    packed = gzip.compress(lines("a", "b").encode())
    put(tmp_path, p__b10_jsonl=lines("e"), p__b2_jsonl=lines("c", "d"), p__a_jsonl_gz=packed)
    file = read(tmp_path / "p")
    assert texts(file) == ["a", "b", "c", "d", "e"]
    assert [file.rows.where(int(place)) for place in file.places[[0, 3, 4]]] == [
        f"{tmp_path}/p/a.jsonl.gz:1", f"{tmp_path}/p/b2.jsonl:2", f"{tmp_path}/p/b10.jsonl:1"
    ]  # fmt: skip
    names = ("a.jsonl.gz", "b2.jsonl", "b10.jsonl")
    digests = (hashlib.sha256((tmp_path / "p" / name).read_bytes()).digest() for name in names)
    assert file.sha256 == hashlib.sha256(b"".join(digests)).digest()
    assert file.notes(5) == [f"the prompts are the part all of {tmp_path}/p: 3 files"]
    (tmp_path / "p" / "b2.jsonl").write_text(lines("c") + "{\n")
    with pytest.raises(UsageError, match=r"p/b2\.jsonl:2: not JSON.*1 of 5 rows are broken"):
        read(tmp_path / "p")
    assert texts(read(tmp_path / "p", skip_bad=True)) == ["a", "b", "c", "e"]


def test_shards_of_several_forms_keep_their_own(tmp_path: Path) -> None:
    put(tmp_path, p__a_csv="prompt,temperature\na,0.5\n", p__b_jsonl=lines("b"), p__c_parquet=parquet(tmp_path, "c"))
    file = read(tmp_path / "p")
    assert texts(file) == ["a", "b", "c"]
    assert json.loads(file.prompts[0])["temperature"] == 0.5


def test_texts_of_a_folder_are_prompts(tmp_path: Path) -> None:
    put(tmp_path, p__b_txt="second\n", p__a_md="# first", p__deep__c_txt="\ufeffthird")
    file = read(tmp_path / "p")
    assert texts(file) == ["# first", "second\n", "third"]
    assert file.notes(3) == [f"the prompts are the 3 texts in {tmp_path}/p, a file each, by their names"]
    put(tmp_path, p__d_txt=b"\xff", p__e_txt=" ")
    with pytest.raises(UsageError, match=r"p/d\.txt: not UTF-8: .*; 2 of 5 rows are broken, 5 too"):
        read(tmp_path / "p")
    assert len(read(tmp_path / "p", skip_bad=True)) == 3
    with pytest.raises(UsageError, match="a folder of texts has no splits"):
        read(f"{tmp_path}/p#train")


def test_a_snapshot_has_splits_by_its_names(tmp_path: Path) -> None:
    """As `hf download --local-dir` leaves one."""
    shards = {f"p__data__train-0000{i}-of-00002_parquet": parquet(tmp_path, f"t{i}") for i in range(2)}
    put(tmp_path, **shards, p__data__test_parquet=parquet(tmp_path, "x"), p__README_md="# A card", p__state_json="{}")
    with pytest.raises(UsageError, match=r"p has several parts \(test, train\): name one, as in .*/p#test"):
        read(tmp_path / "p")
    file = read(f"{tmp_path}/p#train")
    assert texts(file) == ["t0", "t1"]
    assert file.notes(2)[0] == f"the prompts are the part train of {tmp_path}/p: 2 files"
    assert texts(read(f"{tmp_path}/p:test")) == ["x"]
    (tmp_path / "p" / "data" / "train-00000-of-00002.parquet").rename(tmp_path / "away")
    with pytest.raises(UsageError, match="p holds 1 of 2 files of data/train: fetch the others"):
        read(f"{tmp_path}/p#train")
    with pytest.raises(UsageError, match=r"p has no 'trian' \(did you mean train\?\); it has: test, train"):
        read(f"{tmp_path}/p#trian")


CARD = """---
configs:
- config_name: main
  data_files:
  - split: train
    path: main/tr*
  - split: test
    path: [main/te*]
- config_name: socratic
  data_files: {train: "socratic/*"}
- config_name: default
  data_files: "rest.jsonl"
---
"""


@pytest.mark.parametrize(
    ("names", "card", "parts"),
    [
        (["main/tr-1.jsonl", "main/tr-2.jsonl", "main/te.jsonl", "socratic/a.parquet", "rest.jsonl"], CARD,
         {"main/train": 2, "main/test": 1, "socratic/train": 1, "all": 1}),
        (["main/tr-1.jsonl"], "---\nconfigs: [\n---\n", {"main": 1}),
        (["train.csv", "test.csv", "validation.csv.gz"], "", {"train": 1, "test": 1, "validation": 1}),
        (["en/train-00000-of-00002.parquet", "en/train-00001-of-00002.parquet", "de/train/0.parquet"], "",
         {"en/train": 2, "de/train": 1}),
        (["data.jsonl", ".hidden.jsonl", "dataset_infos.json", "x.py", "notes.txt"], "", {"all": 1}),
        (["latest/testing_set.json"], "", {"latest": 1}),
        (["test/train-0.jsonl"], "", {"train": 1}),
    ],
)  # fmt: skip
def test_parts_of_data_sets(names: list[str], card: str, parts: dict[str, int]) -> None:
    assert {str(part): len(files) for part, files in parts_of(names, card).items()} == parts


def test_what_save_to_disk_leaves(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"prompt": ["a", "b"], "label": [1, 2], "temperature": [0.5, None]})
    for place in ("p/train/data-00000-of-00001.arrow", "p/test/data-00000-of-00001.arrow"):
        (tmp_path / place).parent.mkdir(parents=True)
        with pyarrow.OSFile(str(tmp_path / place), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    (tmp_path / "p" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    put(tmp_path, p__train__state_json="{}")
    file = read(f"{tmp_path}/p#train")
    assert texts(file) == ["a", "b"]
    assert [json.loads(own).get("temperature") for own in file.prompts] == [0.5, None]
    assert any(note.endswith(": label") for note in file.notes(2))
    with pyarrow.OSFile(str(tmp_path / "f.arrow"), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert texts(read(tmp_path / "f.arrow")) == ["a", "b"]
    (tmp_path / "bad.arrow").write_bytes((tmp_path / "f.arrow").read_bytes()[:200])
    with pytest.raises(UsageError, match="not an Arrow file that can be read"):
        read(tmp_path / "bad.arrow")


def test_an_arrow_file_names_the_library_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "p.arrow").write_bytes(b"ARROW1\0\0")
    with pytest.raises(UsageError, match=r"is an Arrow file, .* pip install 'loadcell\[datasets\]'"):
        read(tmp_path / "p.arrow")


# --- the hub, without a network ---------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A hub whose data sets are folders: `sets` by name and revision; `down`: whether it is not reached."""
    state: dict[str, Any] = {"sets": {}, "down": False, "cache": {}, "fetched": []}

    class Api:
        def dataset_info(self, name: str, revision: str | None = None, timeout: float | None = None) -> Any:
            if state["down"]:
                raise OSError("no route to host")
            folder = state["sets"].get((name, revision))
            if folder is None:
                raise ValueError(f"404: no {name} at {revision}")
            names = [one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file()]
            return SimpleNamespace(sha=f"sha-of-{folder.name}", siblings=[SimpleNamespace(rfilename=n) for n in names])

    def download(name: str, file: str, repo_type: str, revision: str) -> str:
        state["fetched"].append(file)
        folder = next(f for (n, _), f in state["sets"].items() if n == name and f"sha-of-{f.name}" == revision)
        return str(folder / file)

    def snapshot(name: str, repo_type: str, revision: str | None, local_files_only: bool) -> str:
        if name not in state["cache"]:
            raise ValueError("not cached")
        return str(state["cache"][name])

    module = ModuleType("huggingface_hub")
    vars(module).update(HfApi=Api, hf_hub_download=download, snapshot_download=snapshot)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    yield state


def test_a_data_set_of_the_hub(tmp_path: Path, hub: dict[str, Any]) -> None:
    files: dict[str, Any] = {"data__train-0_parquet": parquet(tmp_path, "a"), "data__test_jsonl": lines("b")}
    hub["sets"]["org/set", None] = put(tmp_path / "one", README_md="# x", **files)
    file = read("org/set#test")
    assert texts(file) == ["b"]
    assert file.notes(1) == ["the prompts are the part test of org/set at the hub, commit sha-of-one: 1 file"]
    assert hub["fetched"] == ["README.md", "data/test.jsonl"]  # and nothing else
    assert find_source("hf:org/set#test").files == find_source("org/set#test").files
    assert texts(read("hf:org/set:train")) == texts(read("hf://datasets/org/set#train")) == ["a"]
    with pytest.raises(UsageError, match=r"org/set has several parts \(test, train\): name one, as in org/set#test"):
        read("org/set")
    hub["sets"]["org/set", "v1"] = put(tmp_path / "old", only_jsonl=lines("c"))
    assert texts(read("org/set@v1")) == ["c"]


def test_a_data_set_that_is_a_program_is_taken_as_the_hub_converted_it(tmp_path: Path, hub: dict[str, Any]) -> None:
    hub["sets"]["org/set", None] = put(tmp_path / "one", set_py="load()")
    made = parquet(tmp_path, "a")
    hub["sets"]["org/set", "refs/convert/parquet"] = put(tmp_path / "two", en__train__0000_parquet=made)
    assert texts(read("org/set#en/train")) == ["a"]


def test_without_a_network_the_cache_is_read_or_what_to_fetch_is_said(tmp_path: Path, hub: dict[str, Any]) -> None:
    hub["down"] = True
    with pytest.raises(UsageError) as error:
        read("org/set#train")
    assert str(error.value) == (
        "--prompts org/set: there is no such file or folder, and the Hugging Face hub did not give the data set (no "
        "route to host): where there is a network, run `hf download org/set --repo-type dataset --local-dir DIR` and "
        "give --prompts DIR, or copy its cache to $HF_HOME (~/.cache/huggingface) here"
    )
    hub["cache"]["org/set"] = put(tmp_path / "abc", train_jsonl=lines("a"))
    file = read("org/set#train")
    assert texts(file) == ["a"] and "the hub was not reached: the prompts are of its cache, commit abc" in file.notes(1)


def test_the_hub_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"--prompts org/set: there is no such .* pip install 'loadcell\[datasets\]'"):
        read("org/set")


@pytest.mark.parametrize("name", ["data/prompts.jsonl", "./org/set", "/org/set", "~/org/set", "prompts", "a/b/c"])
def test_what_cannot_be_at_the_hub_is_a_file_that_is_not_there(name: str) -> None:
    (place,) = find_source(name).files
    assert place == Path(name).expanduser()


def test_rows_of_a_duel_come_from_every_shard(tmp_path: Path) -> None:
    from loadcell.workload.files import lines_of

    put(tmp_path, p__a_jsonl='{"prompt": "a", "x": 1.0}\n', p__b_json='[\n {"prompt":\n "b"}]')
    spec = build_spec({"endpoint": {"url": "http://h:1"}, "workload": {"prompts": str(tmp_path / "p")}})
    assert lines_of(spec) == [b'{"prompt": "a", "x": 1.0}', b'{"prompt":  "b"}']
    assert np.array_equal(read(tmp_path / "p").places, [1, 2])
    named = build_spec(
        {"endpoint": {"url": "http://h:1"}, "workload": {"prompts": str(tmp_path / "p"), "send_fields": ["x"]}}
    )
    (tmp_path / "q.jsonl").write_bytes(lines_of(named)[1])
    assert json.loads(read(tmp_path / "q.jsonl", send_fields=["x"]).prompts[0]).keys() == {"messages"}


def test_parquet_with_messages_and_decimals(tmp_path: Path) -> None:
    place = tmp_path / "m.parquet"
    messages = "[{'role': 'user', 'content': 'hi', 'name': NULL}, {'role': 'tool', 'content': 'x', 'name': 'n'}]"
    duckdb.sql(f"COPY (SELECT {messages} AS messages, 0.25 AS temperature, 3 AS seed) TO '{place}' (FORMAT parquet)")
    (own,) = read(place).prompts
    assert json.loads(own) == {
        "messages": [{"role": "user", "content": "hi"}, {"role": "tool", "content": "x", "name": "n"}],
        "temperature": 0.25, "seed": 3,
    }  # fmt: skip


def test_a_cell_that_is_no_number_where_one_is_needed_is_a_broken_row(tmp_path: Path) -> None:
    """A spreadsheet writes 0,5 between semicolons: sent as a text, each server would refuse it."""
    path = tmp_path / "p.csv"
    path.write_text("prompt;temperature;stop\na;0,5;1\nb;0.5;2\nc;;3\n")
    with pytest.raises(UsageError, match=r"p\.csv:2: temperature is \"0,5\": a number is needed"):
        read(path)
    sent = [json.loads(own) for own in read(path, skip_bad=True).prompts]
    assert [one.get("temperature") for one in sent] == [0.5, None] and [one["stop"] for one in sent] == ["2", "3"]
    assert len(read(path, ignore_fields=["temperature"]).prompts) == 3

from __future__ import annotations

import csv
import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.mlperf import datasets
from loadcell.mlperf.dataset_forms import form_of, forms, read_samples
from loadcell.mlperf.datasets import Dataset, data_folders, find_dataset, write_prompts
from loadcell.mlperf.rules import benchmarks, find_rules, rounds
from loadcell.spec import build_spec
from loadcell.workload.files import read_prompts

LLAMA = find_rules("v6.1", "llama3.1-8b", "server")
SENDABLE = [name for form in forms() if not form.unsendable for name in form.benchmarks]
PROMPT = "Summarize the following news article in 128 tokens. Please output the summary only, without any other text."


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set lies about, and no network is asked."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.delenv(datasets.ENV, raising=False)
    monkeypatch.setattr(datasets, "_from_hub", lambda benchmark, form: (None, "; the hub was not asked"))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the form that the name of the file says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        source = write(path.with_suffix(".src.json"), rows)
        duckdb.sql(f"COPY (SELECT * FROM read_json('{source}')) TO '{path}' (FORMAT parquet)")
        source.unlink()
    return path


def find(path: Path | None, *, samples: int | None = 100, accuracy: bool = True, **more: Any) -> Dataset:
    return find_dataset(
        more.pop("rules", LLAMA), path and str(path), look_alike=False, samples=samples, accuracy=accuracy, **more
    )


# --- published forms -------------------------------------------------------------------------------------------------

ARTICLES = [{"input": f'Article {i}, with "quotes" and\na line.', "output": f"Summary {i}."} for i in range(3)]


@pytest.mark.parametrize("ending", [".json", ".jsonl", ".csv", ".parquet"])
def test_every_kind_of_file_gives_the_same_samples(tmp_path: Path, ending: str) -> None:
    found = find(write(tmp_path / f"mine{ending}", ARTICLES))
    assert [sample.prompt for sample in found.samples] == [
        f"{PROMPT}\n\nArticle:\n{row['input']}\n\nSummary:" for row in ARTICLES
    ]
    assert [(s.reference, s.grader) for s in found.samples] == [(row["output"], "rouge") for row in ARTICLES]
    assert (found.api, found.max_tokens, found.complete, found.look_alike) == ("completions", 128, False, False)


@pytest.mark.parametrize("instruction", ["Shorten this: {input}!", {"llama": "Shorten this: {input}!"}])
def test_a_file_s_own_instruction_is_the_prompt(tmp_path: Path, instruction: Any) -> None:
    row = {"instruction": instruction, "input": "An article with {braces}.", "tok_input": [1, 2], "output": "Short."}
    (sample,) = find(write(tmp_path / "cnn_eval.json", [row])).samples
    assert sample.prompt == "Shorten this: An article with {braces}.!"


def test_gptj_s_template_holds_its_instruction(tmp_path: Path) -> None:
    row = {"instruction": "Summarize the following news article:", "input": "News.", "output": "N."}
    rules = find_rules(None, "gptj-99", "offline")
    file = write(tmp_path / "cnn_eval.json", [row])
    (sample,) = find(file, rules=rules).samples
    assert sample.prompt is not None
    head, instruction, text = sample.prompt.split("\n\n### ")[:3]
    assert head.startswith("Below is an instruction") and head.endswith("appropriately completes the request.")
    assert instruction == "Instruction:\nSummarize the following news article:" and text == "Input:\nNews."
    write(file, [{"input": "News.", "output": "N."}])
    assert find(file, rules=rules).samples == [sample]


def test_open_orca_is_a_chat(tmp_path: Path) -> None:
    rows = [
        {"system_prompt": "Be kind.", "question": "Why?", "output": "So.", "input": "<s>[INST] ..."},
        {"system_prompt": "", "question": "Who?", "output": "He.", "input": "<s>[INST] Who? [/INST]"},
    ]
    found = find(write(tmp_path / "orca.parquet", rows), rules=find_rules(None, "llama2-70b", "server"))
    first, second = found.samples
    assert first.messages == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]
    assert (second.messages, second.prompt) == (None, "Who?")
    assert found.api == "chat"


def test_prompts_with_a_template_go_to_the_completions_api(tmp_path: Path) -> None:
    rows = [{"input": "<s>[INST] Who? [/INST]", "output": "He."}]
    found = find(write(tmp_path / "orca.json", rows), rules=find_rules(None, "llama2-70b", "server"))
    assert found.samples[0].prompt == "<s>[INST] Who? [/INST]" and found.api == "completions"
    assert any("completions API" in note for note in found.notes)


def test_mixtral_s_subsets_have_their_graders(tmp_path: Path) -> None:
    rows = [
        {"id": "flan.1", "dataset": "OpenOrca", "input": "a", "gt_output": "b"},
        {"id": "gsm.1", "dataset": "GSM8K", "input": "a", "gt_output": 42},
        {"id": "python_has_close", "dataset": "MBXP", "input": "def ...", "gt_output": "assert has_close(1)"},
    ]
    found = find(write(tmp_path / "m.jsonl", rows), rules=find_rules(None, "mixtral-8x7b", "offline")).samples
    assert [(s.subset, s.grader) for s in found] == [("OpenOrca", "rouge"), ("GSM8K", "gsm8k"), ("MBXP", "mbxp")]
    assert found[1].reference == "42"
    assert (found[2].language, found[2].entry_point, found[2].tests) == ("python", "has_close", "assert has_close(1)")
    assert found[0].entry_point is None


def test_405b_names_the_metric_of_each_row(tmp_path: Path) -> None:
    metrics = {"rouge": "rouge-l", "niah_em": "uuid", "qa_em": "contains"}
    rows = [{"input": "a", "gt_output": ["x", "y"], "metric": metric, "dataset": "Ruler"} for metric in metrics]
    found = find(write(tmp_path / "x.json", rows), rules=find_rules(None, "llama3.1-405b", "offline")).samples
    assert [sample.grader for sample in found] == list(metrics.values())
    assert {(sample.subset, sample.reference) for sample in found} == {("Ruler", "x|y")}


def test_deepseek_and_gpt_oss(tmp_path: Path) -> None:
    subsets = {"aime1983": "aime", "math500": "maths", "gpqa": "choice-d", "mmlu_pro": "choice-j"}
    rows = [{"text_input": "q", "ground_truth": "choice3", "dataset": name} for name in subsets]
    file = write(tmp_path / "x.json", rows)
    found = find(file, rules=find_rules(None, "deepseek-r1", "server"))
    assert [sample.grader for sample in found.samples] == list(subsets.values())
    assert [(s.repeats, s.reference) for s in found.samples] == [(1, "choice3")] * 4
    found = find(file, rules=find_rules(None, "gpt-oss-120b", "server"))
    assert [sample.repeats for sample in found.samples] == [8, 1, 5, 1]
    assert {sample.reference for sample in found.samples} == {"C"}
    assert found.max_tokens == 32768
    assert find(file, rules=find_rules(None, "gpt-oss-120b", "server"), accuracy=False).max_tokens == 10240


def test_an_unknown_subset_has_no_grader(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [{"text_input": "q", "ground_truth": "a", "dataset": "riddles"}])
    assert find(file, rules=find_rules(None, "deepseek-r1", "server")).samples[0].grader is None


def test_our_own_form(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Hi"}]
    rows: list[dict[str, Any]] = [
        {"prompt": "As it is.", "reference": "r", "max_tokens": 7, "choices": ["a", 2], "subset": "s"},
        {"messages": chat, "reference": "r", "tests": "assert f()", "entry_point": "f", "language": "python"},
    ]
    first, second = find(write(tmp_path / "x.jsonl", rows)).samples
    assert (first.prompt, first.max_tokens, first.choices, first.subset) == ("As it is.", 7, ["a", "2"], "s")
    assert (second.messages, second.prompt, second.tests, second.entry_point) == (chat, None, "assert f()", "f")


def test_columns_as_pandas_writes_them(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"input": {"0": "a", "1": "b"}, "output": {"0": "x", "1": "y"}}))
    assert [sample.reference for sample in find(tmp_path / "x.json").samples] == ["x", "y"]
    (tmp_path / "x.json").write_text(json.dumps({"version": 1, "data": ARTICLES}))
    assert len(find(tmp_path / "x.json").samples) == 3


# --- where it is -----------------------------------------------------------------------------------------------------


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = write(tmp_path / "share/loadcell/mlperf/llama3.1-8b/cnn_eval.json", ARTICLES)
    assert find(None).path == str(shared)
    monkeypatch.setenv(datasets.ENV, str(tmp_path / "mine"))
    assert find(None).path == str(shared)
    mine = write(tmp_path / "mine/llama3.1-8b/anything.jsonl", ARTICLES)
    assert find(None).path == str(mine)
    assert find(write(tmp_path / "given.json", ARTICLES[:1])).path == str(tmp_path / "given.json")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert data_folders("x")[1] == Path.home() / ".local/share/loadcell/mlperf/x"


def test_a_folder_holds_the_file_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "other.json", ARTICLES[:1])
    write(tmp_path / "cnn_eval.json", ARTICLES)
    assert len(find(tmp_path).samples) == 3
    (tmp_path / "cnn_eval.json").rename(tmp_path / "second.json")
    with pytest.raises(UsageError, match=r"needs cnn_eval\.json or .*; found other\.json, second\.json"):
        find(tmp_path)


def test_passes_have_files_of_their_own(tmp_path: Path) -> None:
    rules = find_rules(None, "gpt-oss-120b", "server")
    row = {"text_input": "q", "ground_truth": "A", "dataset": "gpqa"}
    write(tmp_path / "perf/perf_eval_ref.parquet", [row] * 2)
    write(tmp_path / "acc/acc_eval_inputs.parquet", [row] * 3)
    assert [len(find(tmp_path, rules=rules, accuracy=accuracy).samples) for accuracy in (False, True)] == [2, 3]


def test_a_missing_data_set_says_what_goes_where(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        find(None)
    text = str(raised.value)
    for part in (
        "CNN/DailyMail 3.0.0", "13,368 samples", "the hub was not asked", "cnn_eval.json", "mlcommons-storage.org",
        "prompt or messages or text or input or article, and reference or output", "--dataset PATH",
        str(tmp_path / "share/loadcell/mlperf/llama3.1-8b"), "--look-alike",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize("name", [name for edition in rounds() for name in benchmarks(edition)])
def test_every_benchmark_has_a_form(name: str) -> None:
    form = form_of(name)
    assert form.patterns(accuracy=True) and form.patterns(accuracy=False) and form.fetch


def test_the_hub_gives_the_file_that_has_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    file = write(tmp_path / "validation-00000-of-00001.parquet", [{"article": "Long.", "highlights": "Short."}])
    names = ["3.0.0/test-00000-of-00001.parquet", "3.0.0/validation-00000-of-00001.parquet"]

    class Api:
        def dataset_info(self, repo: str, timeout: float) -> Any:
            assert repo == "abisee/cnn_dailymail" and timeout <= 10
            return type("Info", (), {"siblings": [type("File", (), {"rfilename": name}) for name in names]})

    monkeypatch.undo()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(datasets, "_in_cache", lambda hub: None)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, name, repo_type: str(file))
    assert find(None, samples=1).samples[0].reference == "Short."
    names.pop()
    with pytest.raises(UsageError, match="abisee/cnn_dailymail could not be had"):
        find(None, samples=1)
    with pytest.raises(UsageError, match="is not here") as raised:
        find(None, samples=1, rules=find_rules(None, "llama3.1-8b-edge", "offline"))
    assert "could not be had" not in str(raised.value)  # its 5,000 rows have no public name


# --- what is refused -------------------------------------------------------------------------------------------------


def test_the_size_must_be_the_benchmark_s(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", ARTICLES)
    with pytest.raises(UsageError, match=r"holds 3 samples, but llama3\.1-8b has 13,368 .*--samples N"):
        find(file, samples=None)
    cut = find(file, samples=2)
    assert len(cut.samples) == 2 and not cut.complete and "2 of 13,368" in cut.notes[0]
    with pytest.raises(UsageError, match="1 or more"):
        find(file, samples=0)


def test_the_whole_data_set(tmp_path: Path) -> None:
    rules = find_rules(None, "deepseek-r1", "offline")
    rows = [{"text_input": f"q{i}", "ground_truth": "A", "dataset": "gpqa"} for i in range(4388)]
    found = find(write(tmp_path / "x.jsonl", rows), rules=rules, samples=None)
    assert found.complete and found.notes == [] and [s.prompt for s in found.samples[:2]] == ["q0", "q1"]


@pytest.mark.parametrize(("name", "data"), [("x.pkl", b"junk"), ("x.json", pickle.dumps([1])), ("x.pickle", b"")])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=r"can run any code.*pandas\.read_pickle\('x\..*to_parquet\('x\.parquet'\)"):
        find(tmp_path / name)


def test_a_folder_with_the_published_pickle_says_so(tmp_path: Path) -> None:
    (tmp_path / "open_orca_gpt4_tokenized_llama.sampled_24576.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(UsageError, match="can run any code"):
        find(tmp_path, rules=find_rules(None, "llama2-70b", "server"))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.txt", b"hello", r"x\.txt:1: 'hello' is neither JSON nor the header of a CSV file with a column prompt"),
        ("x.json", b"", "holds no samples"),
        ("x.json", b"{", r"x\.json:1: not JSON"),
        ("x.json", b"[]", "holds no samples"),
        ("x.json", b"{}", "no text to send.*found no columns"),
        ("x.json", b"[1]", r"x\.json:1: element 1 must be an object"),
        ("x.json", b'[{"prompt": 1, "reference": 2}, {"reference": 3}]', r"x\.json:1: element 2 has no text to send"),
        ("x.json", b'[{"prompt": "a"}]', "has no expected answers: it needs a column reference .*; found prompt"),
        ("x.json", b'[{"tok_input": [1], "output": "a"}]', "no text to send: .*found tok_input, output .token ids"),
        ("x.json", b'[{"prompt": "a", "reference": "b"}, {"prompt": "a"}]', "element 2 .*no expected answer"),
        ("x.json", b'[{"prompt": "a", "reference": "b", "max_tokens": -1}]', "element 1: max_tokens is -1"),
        ("x.json", b'[{"messages": "hi", "reference": "b"}]', "messages of .*x.json:1: element 1 is not JSON"),
        ("x.json", b'[{"messages": [{"role": "user"}], "reference": "b"}]', "needs a role and a content"),
        ("x.json", b'[{"messages": [], "reference": "b"}]', "needs a role and a content"),
        ("x.jsonl", b'{"prompt": "a", "reference": "b"}\n{"prompt', r"x\.jsonl:2: not JSON"),
        ("x.jsonl", b"\xff\xfe", "is not UTF-8 but UTF-16"),
        ("x.csv", b'input,output\n"a', r"x\.csv:2: not CSV"),
        ("x.csv", b"", "holds no samples"),
        ("x.parquet", b"PAR1", "is not a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        find(tmp_path / name)


def test_a_parquet_file_without_any_known_column(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no text to send.*found input_tokens, label \(token ids cannot"):
        find(write(tmp_path / "x.parquet", [{"input_tokens": [1, 2], "label": "a"}]))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file or folder"):
        find(tmp_path / "nothing.json")
    with pytest.raises(UsageError, match="found nothing"):
        (tmp_path / "empty").mkdir()
        find(tmp_path / "empty")


@pytest.mark.parametrize(
    ("benchmark", "scenario", "what"),
    [
        ("whisper", "offline", "audio"),
        ("qwen3-vl-235b-a22b", "server", "images"),
        ("qwen3.6-27b", "singlestream", "tools"),
        ("e2e-rag-qna", "offline", "a pipeline of several models"),
    ],
)
@pytest.mark.parametrize("look_alike", [True, False])
def test_what_cannot_be_sent(benchmark: str, scenario: str, what: str, look_alike: bool) -> None:
    with pytest.raises(UsageError, match=f"need {what}.*which Loadcell cannot send"):
        find_dataset(find_rules(None, benchmark, scenario), None, look_alike=look_alike, samples=None, accuracy=False)


def test_transcripts_can_be_graded_all_the_same(tmp_path: Path) -> None:
    file = write(tmp_path / "dev-all-repack.json", [{"transcript": "hello there", "files": [{"fname": "a.wav"}]}])
    (sample,) = find(file, rules=find_rules(None, "whisper", "offline"), send=False).samples
    assert (sample.prompt, sample.messages, sample.reference, sample.grader) == (None, None, "hello there", "wer")


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=40),
    cut=st.integers(0, 400),
    ending=st.sampled_from([".json", ".jsonl", ".csv", ".parquet"]),
)
@example(data=b"\x80", cut=188, ending=".parquet")  # the name of a column is not UTF-8
def test_damaged_files_are_told_and_never_crash(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int, ending: str
) -> None:
    file = write(tmp_path_factory.getbasetemp() / f"damaged{ending}", ARTICLES)
    whole = file.read_bytes()
    file.write_bytes(whole[:cut] + data + whole[cut + len(data) :])
    try:
        assert read_samples(file, form_of("llama3.1-8b"), send=True, grade=True)
    except UsageError as error:
        assert str(file) in str(error)


# --- look-alikes and prompts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDABLE)
def test_look_alike_samples(name: str) -> None:
    if name.startswith("e2e"):
        pytest.skip("a pipeline")
    newest = next(edition for edition in reversed(rounds()) if name in benchmarks(edition))
    found = find_dataset(find_rules(newest, name, "offline"), None, look_alike=True, samples=None, accuracy=True)
    assert found.look_alike and not found.complete and found.path is None and "look-alike" in found.name
    assert 24 <= len(found.samples) <= 64 and len(found.sha256) == 64
    assert any("comparable with nothing" in note for note in found.notes)
    assert all(sample.reference and sample.grader for sample in found.samples)
    prompts = [sample.prompt or json.dumps(sample.messages) for sample in found.samples]
    assert len(set(prompts)) == len(prompts)
    same = find_dataset(find_rules(newest, name, "offline"), None, look_alike=True, samples=5, accuracy=True)
    assert same.samples == found.samples[:5]


def test_look_alikes_have_every_kind_of_grader_of_their_benchmark() -> None:
    for name, graders in {
        "llama3.1-405b": {"rouge-l", "uuid", "contains"},
        "mixtral-8x7b": {"rouge", "gsm8k", "mbxp"},
        "deepseek-r1": {"aime", "maths", "choice-d", "choice-j", "livecodebench"},
    }.items():
        rules = find_rules(None, name, "offline")
        found = Counter(
            s.grader for s in find_dataset(rules, None, look_alike=True, samples=None, accuracy=True).samples
        )
        assert set(found) == graders and min(found.values()) >= 8


def look_alike(name: str) -> Dataset:
    return find_dataset(find_rules(None, name, "offline"), None, look_alike=True, samples=None, accuracy=True)


def test_the_choices_of_look_alikes_are_right_in_form() -> None:
    for sample in look_alike("deepseek-r1").samples:
        if sample.grader in ("choice-d", "choice-j"):
            letters = "ABCD" if sample.grader == "choice-d" else "ABCDEFGHIJ"
            assert sample.reference in letters and len(sample.choices or []) == len(letters)
            assert sample.prompt is not None and f"\n{letters[-1]}) " in sample.prompt
        if sample.grader == "aime":
            assert 0 <= int(sample.reference or "") <= 999
        if sample.grader == "livecodebench":
            assert all({"input", "output"} == set(case) for case in json.loads(sample.tests or ""))


def test_the_keys_of_look_alikes_stand_in_their_prompts() -> None:
    for sample in look_alike("llama3.1-405b").samples:
        assert sample.prompt and sample.reference
        if sample.grader != "rouge-l":
            assert any(answer in sample.prompt for answer in sample.reference.split("|"))


def test_give_either_a_data_set_or_a_look_alike() -> None:
    with pytest.raises(UsageError, match="not both"):
        find_dataset(LLAMA, "x.json", look_alike=True, samples=None, accuracy=False)


def test_the_prompts_are_read_by_the_workload(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "one", "reference": "r", "max_tokens": 7},
        {"messages": [{"role": "user", "content": "zwei ü"}], "reference": "r"},
    ]
    found = find(write(tmp_path / "x.json", rows))
    write_prompts(found, tmp_path / "prompts.jsonl")
    spec = build_spec(
        {"endpoint": {"url": "http://h:1"}, "workload": {"prompts": str(tmp_path / "prompts.jsonl")}},
    )
    read = read_prompts(spec)
    sent = [json.loads(own) for own in read.prompts]
    assert sent == [{"messages": [{"role": "user", "content": "one"}]}, {"messages": rows[1]["messages"]}]
    assert read.output_tokens.tolist() == [7, 128] and read.notes(2) == []
    write_prompts(found, tmp_path / "prompts.jsonl", max_tokens=3)
    assert read_prompts(spec).output_tokens.tolist() == [3, 3]


def test_the_sha_is_that_of_the_file(tmp_path: Path) -> None:
    import hashlib

    file = write(tmp_path / "x.json", ARTICLES)
    assert find(file).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()

"""The readers: what they take from real files, and that nothing in a damaged file ends in a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from example_logs import DETAIL, ENDPOINTS, EXAMPLES, INTERACTIVE, OFFLINE, SERVER, STREAM, SUMMARY, files_of, put
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.mlperf.files.accuracy_log import LoggedReply, read_accuracy_log, read_accuracy_text
from loadcell.mlperf.files.checking import check_folder
from loadcell.mlperf.files.conf import read_conf, setting
from loadcell.mlperf.files.endpoints import read_summary as read_result
from loadcell.mlperf.files.judging import Asked
from loadcell.mlperf.files.loadgen_logs import read_detail, read_summary
from loadcell.mlperf.files.reading import parse_json, read_json, read_yaml
from loadcell.mlperf.model import Finding


def test_a_detail_log_by_key(tmp_path: Path) -> None:
    detail = read_detail(put(SERVER, tmp_path / "logs") / DETAIL)
    assert detail.problems == []
    assert (detail.marker, detail.last_key, len(detail.values)) == (":::MLLOG", "num_errors", 122)
    assert detail.integer("effective_schedule_rng_seed") == 18209322760996052031
    assert detail.number("result_completed_tokens_per_second") == 209328
    assert detail.truth("early_stopping_met") is True
    assert detail.integer("result_validity") is None
    assert detail.integers("loaded_qsl_set") is not None


def test_a_log_of_the_endpoints_client_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / DETAIL
    path.write_text(':::ENDPTS {"key": "a", "value": 1}\n:::ENDPTS {"key": "b", "value": Infinity}\n')
    detail = read_detail(path)
    assert detail.values == {"a": 1, "b": None}
    assert [f.ok for f in detail.problems] == [None]


@pytest.mark.parametrize(
    ("example", "valid", "label", "value"),
    [
        (SERVER, True, "Completed tokens per second", "209327.68"),
        (OFFLINE, True, "Tokens per second", "143309"),
        (STREAM, True, "90.0th percentile latency (ns)", "3545895439"),
        ("loadgen-6.0.17_server_invalid_one-token", False, "Min Time per Output Token (ns)", "-5418"),
    ],
)
def test_a_summary_by_label(example: str, valid: bool, label: str, value: str, tmp_path: Path) -> None:
    summary = read_summary(put(example, tmp_path / "logs") / SUMMARY)
    assert summary.problems == []
    assert summary.valid is valid
    assert summary.errors == (0 if valid else 32)
    assert summary.figures[label] == value
    assert "qsl_rng_seed" in summary.parameters


def test_the_summary_of_an_accuracy_run_has_no_banner(tmp_path: Path) -> None:
    summary = read_summary(put("loadgen-6.0.17_server_accuracy", tmp_path / "logs") / SUMMARY)
    assert (summary.problems, summary.banner, summary.errors) == ([], False, 0)


def test_an_accuracy_log_whole_and_truncated(tmp_path: Path) -> None:
    whole = read_accuracy_log(put("loadgen-6.0.17_server_accuracy", tmp_path / "a") / "mlperf_log_accuracy.json")
    assert (len(whole.replies), whole.truncated, whole.problems) == (16, False, [])
    assert whole.replies[0].token_ids() == [1, 1, 1, 1, 1]
    cut = read_accuracy_log(put(OFFLINE, tmp_path / "b") / "mlperf_log_accuracy.truncated.json.txt")
    assert (len(cut.replies), cut.truncated, cut.problems) == (6, True, [])
    assert (cut.replies[0].sequence, cut.replies[0].sample, cut.replies[0].tokens) == (18, 9019, 129)
    assert cut.replies[0].token_ids()[0] == 128000


@given(st.lists(st.integers(0, 2**31 - 1), min_size=2), st.booleans(), st.booleans())
def test_token_ids_of_four_and_of_eight_bytes(ids: list[int], wide: bool, counted: bool) -> None:
    data = b"".join(value.to_bytes(8 if wide else 4, "little") for value in ids)
    reply = LoggedReply(sequence=0, sample=0, data=data, tokens=len(ids) if counted else None)
    if counted or wide or any(ids[1::2]):
        assert reply.token_ids() == ids


@pytest.mark.parametrize(
    ("file", "scores", "hashed"),
    [
        (f"{OFFLINE}/accuracy.txt", {"rouge1": 38.4847, "gen_len": 8151723, "gen_num": 13368}, "66bf9b4c"),
        (f"{SERVER}/accuracy.txt", {"exact_match": 81.33546034639927, "num-samples": 4388}, "386d9789"),
        (f"{INTERACTIVE}/accuracy.txt", {"tokens_per_sample": 300.5, "rougelsum": 42.0685}, "ae1d04ed"),
        ("v5.1_whisper_accuracy.txt", {"accuracy": 97.85680976807484, "wer": 2.1431902319251597}, "dcd6d9a6"),
    ],
)
def test_scores_are_found_behind_chatter(file: str, scores: dict[str, float], hashed: str) -> None:
    text = read_accuracy_text(EXAMPLES / file)
    assert text.problems == []
    assert scores.items() <= text.scores.items()
    assert (text.sha256 or "").startswith(hashed)


def test_configuration_by_precedence(tmp_path: Path) -> None:
    main, user = tmp_path / "mlperf.conf", tmp_path / "user.conf"
    main.write_text(
        "# limits\n*.*.min_duration = 600000\nllama3.1-8b.*.min_duration = 2 # longer\n*.Server.min_duration = 3\n"
        "*.Server.target_qps = 1.0\n"
    )
    user.write_text("llama3.1-8b.Server.target_qps = 60\nllama3.1-8b.Server = 3\n\nx.y.z = many\n")
    confs = [read_conf(main), read_conf(user)]
    assert setting(confs[:1], "llama3.1-8b", "Server", "min_duration") == 3
    assert setting(confs[:1], "llama3.1-8b", "Offline", "min_duration") == 2
    assert setting(confs[:1], "whisper", "Offline", "min_duration") == 600000
    assert setting(confs, "llama3.1-8b", "Server", "target_qps") == 60
    assert setting(confs, "whisper", "Server", "target_qps") == 1
    assert setting(confs, "whisper", "Server", "nonesuch") is None
    assert [("line 2" in f.says, "line 4" in f.says) for f in confs[1].problems] == [(True, False), (False, True)]
    assert read_conf(put(INTERACTIVE, tmp_path / "x") / "user.conf").problems == []


@pytest.mark.parametrize("bare", ["nan", "-nan", "inf", "-Infinity", "NaN"])
def test_bare_nan_is_null_but_not_in_strings(bare: str) -> None:
    assert parse_json(f'{{"a": {bare}, "b": ["x: {bare}, y", {bare}]}}') == (
        {"a": None, "b": [f"x: {bare}, y", None]},
        True,
    )


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize(
    "data",
    [b"", b"\0\1", b"[" * 200_000, b'{"a": ' * 50_000, b"\xff\xfe{}", b"{} trailing", b"nan", b"- [\n:::", b"&a [*a]"],
)
def test_files_that_are_none_are_findings(data: bytes, tmp_path: Path) -> None:
    path, problems = tmp_path / "file", list[Finding]()
    path.write_bytes(data)
    read_json(path, problems)
    assert problems
    read_yaml(path, problems)
    read_result(path, problems)
    for found in (read_detail(path), read_summary(path), read_accuracy_log(path), read_accuracy_text(path)):
        assert any(f.ok is False for f in found.problems), found


def test_links_folders_and_huge_files_are_findings(tmp_path: Path) -> None:
    folder, huge, loop = tmp_path / "folder", tmp_path / "huge", tmp_path / "loop"
    folder.mkdir()
    with huge.open("wb") as file:
        file.truncate(60 * 2**20)
    loop.symlink_to(loop)
    assert [f.rule for f in read_detail(folder).problems] == ["file-form", "log-form"][:1]
    assert [f.rule for f in read_detail(huge).problems] == ["file-size"]
    assert [f.rule for f in read_detail(loop).problems] == ["file-form"]
    assert [f.rule for f in read_detail(tmp_path / "gone").problems] == ["file-present"]


# --- damage: every example cut, flipped, with keys dropped or replaced ------------------------------------------------

_NAMES = {
    "result_summary.trimmed.json": "result_summary.json",
    "accuracy_results.trimmed.json": "accuracy_results.json",
    "mlperf_log_accuracy.truncated.json.txt": "mlperf_log_accuracy.json",
}
_CASES = [
    (example, name)
    for example in (SERVER, OFFLINE, STREAM, INTERACTIVE, ENDPOINTS, "loadgen-6.0.17_server_accuracy")
    for name in files_of(example)
    if name != "system.json"
]
_AS = {
    OFFLINE: Asked(benchmark="llama3.1-8b", scenario="offline"),
    STREAM: Asked(benchmark="llama3.1-8b-edge", scenario="singlestream"),
    ENDPOINTS: Asked(round="v6.1", benchmark="deepseek-r1", scenario="server"),
}
_STRANGE = [None, True, -1, 0, 1e308, -1e308, 10**40, 2**64, "", "x" * 1000, [], [[[]]], {}, {"a": None}, [1.5, "b"]]


def _checked(example: str, name: str, data: bytes, folder: Path) -> None:
    """Check the example with one file replaced: whatever it is, findings come out."""
    folder.mkdir(parents=True, exist_ok=True)
    for other, content in files_of(example).items():
        (folder / _NAMES.get(other, other)).write_bytes(data if other == name else content)
    if example == ENDPOINTS:
        (folder / "config.yaml").write_text("type: online\n")
    checked = check_folder(folder, _AS.get(example, Asked(benchmark="llama3.1-8b", scenario="server")))
    assert checked.findings
    assert all(isinstance(f.says, str) and f.says for f in checked.findings)


@pytest.mark.parametrize(("example", "name"), _CASES)
def test_damaged_files_are_diagnosed(example: str, name: str, tmp_path: Path) -> None:
    original, dice = files_of(example)[name], random.Random(f"{example}/{name}")
    for turn in range(3):
        _checked(example, name, original[: dice.randrange(len(original))], tmp_path / "cut")
        flipped = bytearray(original)
        for _ in range(1 + 20 * turn):
            flipped[dice.randrange(len(flipped))] = dice.randrange(256)
        _checked(example, name, bytes(flipped), tmp_path / "flipped")


@pytest.mark.parametrize("example", [SERVER, OFFLINE, STREAM, "loadgen-6.0.17_server_accuracy"])
def test_strange_values_are_diagnosed(example: str, tmp_path: Path) -> None:
    lines = files_of(example)[DETAIL].decode().splitlines()
    records = [json.loads(line.partition(" ")[2]) for line in lines]
    keys = [r["key"] for r in records if r["key"].startswith(("effective", "result", "generated", "loaded", "qsl"))]
    dice = random.Random(example)
    for strange in _STRANGE:
        chosen = set(dice.sample(keys, k=dice.choice([1, 3, len(keys)])))
        changed = [r | {"value": strange} if r["key"] in chosen else r for r in records]
        data = "".join(f":::MLLOG {json.dumps(r)}\n" for r in changed).encode()
        _checked(example, DETAIL, data, tmp_path / "logs")


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize("name", ["result_summary.trimmed.json", "accuracy_results.trimmed.json"])
def test_strange_values_in_json_are_diagnosed(name: str, tmp_path: Path) -> None:
    original = json.loads(files_of(ENDPOINTS)[name])
    for key in original:
        for strange in _STRANGE:
            _checked(ENDPOINTS, name, json.dumps(original | {key: strange}).encode(), tmp_path / "logs")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.sampled_from([DETAIL, SUMMARY, "accuracy.txt", "mlperf_log_accuracy.json"]))
def test_any_text_is_diagnosed(text: str, name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs" / name
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        (path.parent / DETAIL).touch()
        assert check_folder(path.parent).findings

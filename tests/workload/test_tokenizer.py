from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend

from loadcell.errors import UsageError
from loadcell.workload import Tokenizer, load_tokenizer


def test_the_packaged_tokenizer_counts_as_the_model_does(tokenizer: Tokenizer) -> None:
    """Ids that llama.cpp gives for the model SmolLM2-135M-Instruct."""
    assert tokenizer.packaged and tokenizer.name == "smollm2"
    for text, ids in LLAMA_CPP.items():
        assert tokenizer.backend.encode(text, add_special_tokens=False).ids == ids
        assert tokenizer.count(text) == len(ids)
        if "<|" not in text:
            assert tokenizer.backend.decode(ids) == text
    assert tokenizer.counts(list(LLAMA_CPP)) == [len(ids) for ids in LLAMA_CPP.values()]


def test_a_local_file_or_its_folder_counts_alike(tokenizer: Tokenizer, tmp_path: Path) -> None:
    backend = Backend.from_str(tokenizer.backend.to_str())
    backend.enable_truncation(4)  # as files made for training have it
    backend.enable_padding(length=64)
    backend.save(str(tmp_path / "tokenizer.json"))
    for name in (str(tmp_path), str(tmp_path / "tokenizer.json")):
        local = load_tokenizer(name)
        assert not local.packaged and local.name == name
        assert local.count("one two three four five six") == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [("./none", "no such file"), ("/none/at/all", "no such file"), ("none.json", "no such file")],
)
def test_a_path_that_is_not_there_is_not_looked_up_elsewhere(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_tokenizer(name)


def test_a_folder_without_a_tokenizer_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tokenizer\.json cannot be read"):
        load_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match=r"is not a tokenizer\.json"):
        load_tokenizer(str(tmp_path))


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("processes")
def test_the_hub_out_of_reach_is_explained(tmp_path: Path) -> None:
    code = """
from loadcell.errors import UsageError
from loadcell.workload import load_tokenizer
try:
    load_tokenizer("nobody/nothing")
except UsageError as error:
    print(error)
"""
    said = run_python(code, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path)).stdout
    assert "nobody/nothing" in said and "give a local path to its tokenizer.json" in said


@pytest.mark.usefixtures("processes")
def test_a_fork_after_counting_is_silent() -> None:
    code = """
import os
from loadcell.workload import load_tokenizer
load_tokenizer("smollm2").counts(["one two"] * 1000)
pid = os.fork()
if not pid:
    os._exit(load_tokenizer("smollm2").count("one two") - 2)
raise SystemExit(os.waitpid(pid, 0)[1])
"""
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")


LLAMA_CPP = {
    "Hello world 123": [19556, 905, 216, 33, 34, 35],
    "a  b   c\n\n\td": [81, 216, 278, 256, 265, 1116, 197, 84],
    "It's we'll they've I'm you'd don't DON'T": [
        1589,
        506,
        392,
        3060,
        502,
        3543,
        339,
        5248,
        346,
        6737,
        1326,
        982,
        422,
        2154,
        23,
        68,
    ],
    "3.14159 1,000,000 \xb2\xb3 \u0663\u0664": [
        35,
        30,
        33,
        36,
        33,
        37,
        41,
        216,
        33,
        28,
        32,
        32,
        32,
        28,
        32,
        32,
        32,
        216,
        19133,
        39050,
        216,
        164,
        113,
        164,
        114,
    ],
    "na\xefve caf\xe9 \xfcber Stra\xdfe": [3546, 46494, 37366, 5549, 137, 593, 19144, 34878, 85],
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8 \u4e2d\u6587\u6587\u672c \ud55c\uad6d\uc5b4": [
        23274,
        115,
        40993,
        179,
        120,
        248,
        26453,
        11100,
        224,
        10391,
        251,
        10391,
        134,
        11100,
        226,
        216,
        28589,
        29184,
        29184,
        40993,
        216,
        33085,
        246,
        181,
        130,
        251,
        183,
        240,
        129,
    ],
    "\U0001f600\U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467 emoji": [
        10813,
        242,
        218,
        10813,
        235,
        231,
        10813,
        233,
        138,
        15107,
        235,
        118,
        321,
        231,
        10813,
        235,
        119,
        321,
        231,
        10813,
        235,
        117,
        649,
        33777,
    ],
    "def f(x):\n    return x**2  # comment\n": [1604, 275, 24, 104, 727, 472, 1003, 1792, 828, 34, 216, 907, 5189, 198],
    "<|im_start|>user\nhi<|im_end|>\n": [1, 4093, 198, 6004, 2, 198],
    "   leading": [256, 2899],
    "trailing   ": [4861, 4966, 333],
}

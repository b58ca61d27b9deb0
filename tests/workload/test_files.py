from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.workload import FilePrompts, Tokenizer
from loadcell.workload.files import PromptFile, read_prompts


@pytest.fixture
def read(tmp_path: Path, tokenizer: Tokenizer):  # type: ignore[no-untyped-def]
    def write_and_read(data: str | bytes) -> PromptFile:
        (tmp_path / "p.jsonl").write_bytes(data.encode() if isinstance(data, str) else data)
        return read_prompts(str(tmp_path / "p.jsonl"), tokenizer)

    return write_and_read


def test_lines_are_prompts_or_messages_with_their_own_output_length(read) -> None:  # type: ignore[no-untyped-def]
    file = read(
        '\ufeff{"prompt": "Hello world 123", "output_tokens": 7, "id": 4}\r\n'
        "\n"
        '{"messages": [{"role": "system", "content": "Hello world 123"}, {"role": "user", "content": "one two"}]}\n'
        '{"prompt": "one\\u2028two", "max_tokens": 9}'
    )
    assert file.prompts[0] == "Hello world 123"
    assert file.prompts[1] == [
        {"role": "system", "content": "Hello world 123"},
        {"role": "user", "content": "one two"},
    ]
    assert list(file.input_tokens[:2]) == [6, 8] and list(file.output_tokens) == [7, 0, 9]
    assert file.mean_output_tokens(128) == 48
    assert file.ignored_keys == ("id",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "holds no prompts"),
        ("\n \n", "holds no prompts"),
        ('{"prompt": "a"}\n{"prompt": ', "p.jsonl:2: not JSON"),
        ('{"prompt": "a"}\n\n[1]', "p.jsonl:3: a line must be a JSON object"),
        (b'{"prompt": "a"}\n{"prompt": "\xff"}', "p.jsonl:2: not UTF-8"),
        ('{"prompt": "\\ud800"}', "p.jsonl:1: not JSON"),
        ('{"promt": "a"}', r"p.jsonl:1: .*did you mean prompt"),
        ('{"prompt": "a", "messages": []}', "either"),
        ('{"prompt": 3}', r"p.jsonl:1: Expected `str.*prompt"),
        ('{"prompt": ""}', "has 0 tokens"),
        ('{"messages": []}', "has 0 tokens"),
        ('{"messages": [{"role": "user"}]}', "missing required field `content`"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', r"Expected `str`, got `array`"),
        ('{"messages": [{"role": "user", "content": "a", "tool_calls": []}]}', "unknown field `tool_calls`"),
        ('{"prompt": "a", "output_tokens": 0}', "0 output tokens are asked for"),
        ('{"prompt": "a", "output_tokens": true}', "got `bool`"),
        ('{"prompt": "a", "max_tokens": "5"}', r"Expected `int.*max_tokens"),
        ('{"prompt": "a", "max_tokens": 99999999}', "99,999,999 output tokens"),
        ('{"prompt": "a", "max_tokens": 5, "output_tokens": 6}', "differ"),
    ],
)
def test_a_bad_file_is_named_with_its_line(read, data: str | bytes, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message):
        read(data)


def test_a_file_that_is_not_there(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match=f"the prompts {path} cannot be read"):
            read_prompts(str(path), tokenizer)


def test_lines_repeat_in_file_order_and_that_is_said(read) -> None:  # type: ignore[no-untyped-def]
    file = read('{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "a"}\n')
    prompts = FilePrompts(file, np.arange(5) % 3)
    assert list(prompts) == list(prompts) == ["a", "b", "a", "a", "b"] and len(prompts) == 5
    assert list(prompts.select(np.array([4, 0]))) == ["b", "a"]
    assert file.notes(5) == [
        "prompts repeat: 3 lines for 5 requests; a prefix cache can answer repeats",
        f"1 of 3 lines of {file.path} repeat an earlier one; a prefix cache can answer repeats",
    ]
    assert read('{"prompt": "a"}\n{"prompt": "b", "topic": 1}').notes(2) == [
        f"keys of {file.path} that were not used: topic"
    ]

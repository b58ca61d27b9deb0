"""Files of prompts: what is sent of a row, what is told of it, and what is wrong with a file. Forms of files are tried
in tests/conformance/test_prompt_files.py."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadcell.errors import UsageError
from loadcell.protocol import dialect_of
from loadcell.spec import Spec, build_spec
from loadcell.workload import FilePrompts, Tokenizer
from loadcell.workload.files import PromptFile, read_prompts

Read = Callable[..., PromptFile]
UNSENT = "keys of {} that were not sent, for they are no fields of a request (--send-fields sends them): {}"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(data: str | bytes, api: str = "chat", extra: dict[str, Any] | None = None, **more: Any) -> Any:
        file = tmp_path / "p.jsonl"
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        endpoint = {"url": "http://h:1", "api": api, "extra_body": extra or {}}
        return read_prompts(build_spec({"endpoint": endpoint, "workload": {"prompts": str(file), **more}}))

    return write_and_read


def sent(file: PromptFile) -> list[dict[str, Any]]:
    return [json.loads(own) for own in file.prompts]


def user(text: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": text}]


def test_lines_are_prompts_or_messages_with_their_own_output_length(read: Read, tokenizer: Tokenizer) -> None:
    file = read(
        '\ufeff{"prompt": "Hello world 123", "output_tokens": 7, "id": 4}\r\n'
        "\n"
        '{"messages": [{"role": "system", "content": "Hello world 123"}, {"role": "user", "content": "one two"}]}\n'
        '{"prompt": "one\\u2028two", "max_tokens": 9}\n'
        '{"question": "Why?", "max_completion_tokens": 8}'
    )
    assert sent(file)[0] == {"messages": user("Hello world 123")}
    assert sent(file)[1] == {"messages": [{"role": "system", "content": "Hello world 123"}, *user("one two")]}
    assert sent(file)[3] == {"messages": user("Why?")}
    assert list(file.input_tokens(np.array([1, 0, 1]), tokenizer)) == [8, 6, 8]
    assert list(file.output_tokens) == [7, 0, 9, 8]
    assert file.mean_output_tokens(128) == 38
    assert file.notes(4) == [UNSENT.format(file.path, "id")]


def test_conversations_in_which_nobody_asks_are_left_out_and_told(read: Read) -> None:
    file = read(
        '[{"conversations": []}, {"conversations": [{"from": "gpt", "value": "b"}]},'
        '{"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]}]'
    )
    assert sent(file) == [{"messages": user("Why?")}]
    assert f"2 conversations of {file.path} were left out, for nobody asks anything in them" in file.notes(1)


def test_keys_of_a_request_go_with_its_prompt(read: Read) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
    line = {"prompt": "a", "temperature": 0.3, "stop": ["x"], "response_format": schema, "seed": 4, "topic": "b"}
    file = read(json.dumps(line) + '\n{"prompt": "b", "temperature": null}')
    assert sent(file) == [
        {"messages": user("a"), "temperature": 0.3, "stop": ["x"], "response_format": schema, "seed": 4},
        {"messages": user("b")},
    ]
    assert file.notes(2) == [
        f"keys of {file.path} that were sent with their prompts: response_format (1), seed (1), stop (1), "
        "temperature (1)",
        UNSENT.format(file.path, "topic"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            {"model": "other"},
            'asks for model "other", and the run\'s is the one .*: --model other sends it, --ignore-f',
        ),
        ({"stream": False}, "asks for stream false, and the run's is true: --no-stream for all, or --ignore-fields st"),
        ({"temperature": 0.3}, r"asks for temperature 0.3, and the run's \(endpoint.extra_body\) is 0.0: leave it out"),
        ({"ignore_eos": False}, r"asks for ignore_eos false, and the run's \(--ignore-eos\) is true"),
        ({"stream_options": {"x": 1}}, 'asks for stream_options {"x":1}, and the run\'s are {"include_usage":true}'),
        ({"timestamp": 17.5}, r"tells when it came \(timestamp\): --trace FILE sends .* if --ignore-fields timestamp"),
    ],
)
def test_what_the_run_decides_is_not_dropped_from_a_line(tmp_path: Path, line: dict[str, Any], why: str) -> None:
    (tmp_path / "p.jsonl").write_text(f'{{"prompt": "a"}}\n{json.dumps({"prompt": "b"} | line)}\n')
    endpoint = {"url": "http://h:1", "extra_body": {"temperature": 0.0}, "ignore_eos": True}
    workload = {"prompts": str(tmp_path / "p.jsonl")}
    with pytest.raises(UsageError, match=rf"p\.jsonl:2: {why}"):
        read_prompts(build_spec({"endpoint": endpoint, "workload": {"skip_bad": True, **workload}}))
    (name,) = line
    file = read_prompts(build_spec({"endpoint": endpoint, "workload": {"ignore_fields": [name], **workload}}))
    assert sent(file) == [{"messages": user("a")}, {"messages": user("b")}]
    assert file.notes(2) == [f"keys of {file.path} that were left out, as asked (--ignore-fields): {name} (1)"]


def test_a_line_may_say_what_the_run_says(read: Read) -> None:
    line = {"prompt": "a", "temperature": 0, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 9}
    file = read(json.dumps(line), extra={"temperature": 0.0}, line_output_tokens=False)
    assert sent(file) == [{"messages": user("a")}] and file.output_tokens.tolist() == [0]
    assert file.notes(1) == [
        f"output lengths that lines of {file.path} say were not asked for, but --output-tokens: 1 of 1 line"
    ]


def test_columns_are_sent_where_that_is_asked_for(read: Read) -> None:
    lines = '{"prompt": "a", "metadata": {"k": 1.0}, "id": 3}\n{"body": {"prompt": "b"}, "metadata": null, "id": 4}'
    file = read(lines, send_fields=["metadata"])
    assert file.prompts[0] == b'{"messages":[{"role":"user","content":"a"}],"metadata":{"k": 1.0}}'
    assert sent(file)[1] == {"messages": user("b")}
    for flag, name, why in [
        (
            "send_fields",
            "metdata",
            r"--send-fields: no row of .* has 'metdata' \(did you mean metadata\?\); there are: b",
        ),
        ("ignore_fields", "modle", "--ignore-fields: no row of .* has 'modle'; there are: body, id, metadata, prompt"),
        ("output_column", "it", r"--output-column: no row of .* has 'it' \(did you mean id\?\)"),
    ]:
        with pytest.raises(UsageError, match=why):
            read(lines, **{flag: name if flag == "output_column" else [name]})
    with pytest.raises(UsageError, match="--send-fields: model is the run's: --model says what it is"):
        read('{"prompt": "a", "model": "m"}', send_fields=["model"], ignore_fields=["model"])
    csv = read("prompt,tag\na,1.50\nb,x\n", send_fields=["tag"])
    assert [fields["tag"] for fields in sent(csv)] == [1.5, "x"]


def test_broken_lines_are_counted_and_named_or_left_out(read: Read) -> None:
    good = '{"prompt": "a"}\n'
    bad = ["{", '{"prompt": 3}', '{"x": 1}', '{"messages": []}', '"', '{"prompt": ""}', "[1]"]
    data = good + "".join(f"{line}\n{good}" for line in bad)
    with pytest.raises(
        UsageError, match=r"p\.jsonl:2: not JSON: .*; 7 of 15 rows are broken, 4, 6, 8, 10 too and 2 more"
    ):
        read(data)
    file = read(data, skip_bad=True)
    assert len(file) == 8 and file.places.tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    (note,) = (note for note in file.notes(8) if "--skip-bad" in note)
    assert note.startswith(
        f"broken lines of {file.path} that were left out, as asked (--skip-bad): 7; the first: {file.path}:2"
    )
    with pytest.raises(UsageError, match=r"p\.jsonl:1: nothing to send: .*; and so are all 2 rows of"):
        read('{"x": 1}\n{"x": 2}', skip_bad=True)
    table = read("prompt,id\na,1\nb,2,3\nc,4\n", skip_bad=True)
    assert [fields["messages"] for fields in sent(table)] == [user("a"), user("c")]


def test_what_a_message_holds_passes_as_it_is(read: Read, tokenizer: Tokenizer) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "developer", "content": "Be kind.", "name": "boss"},
        {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]  # fmt: skip
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    line = {"messages": messages, "tools": tools, "tool_choice": "auto"}
    file = read(json.dumps(line))
    assert sent(file) == [line]
    texts = ["Be kind.", "Look.", "2", *(json.dumps(each, separators=(",", ":")) for each in ([call], tools))]
    assert file.input_tokens(np.array([0]), tokenizer).tolist() == [sum(map(tokenizer.count, texts))]
    assert "1 of 1 line of" in file.notes(1)[-1]
    with pytest.raises(UsageError, match=r"p\.jsonl:1: tools, calls and parts .*give --api chat"):
        read(json.dumps(line), api="completions")


def test_lines_of_a_batch_pass_whole_to_the_api_that_they_name(read: Read, tokenizer: Tokenizer) -> None:
    def line(url: str, **body: object) -> str:
        return json.dumps({"custom_id": "1", "method": "POST", "url": url, "body": body})

    said = line("/v1/messages", system="Be kind.", messages=user("Why?"), max_tokens=9, thinking={"type": "disabled"})
    file = read(said, api="messages")
    assert sent(file) == [{"system": "Be kind.", "messages": user("Why?"), "thinking": {"type": "disabled"}}]
    assert file.output_tokens.tolist() == [9]
    count = tokenizer.count
    assert file.input_tokens(np.array([0]), tokenizer).tolist() == [count("Be kind.") + count("Why?")]

    items = [
        {"type": "function_call_output", "call_id": "1", "output": "2"},
        *user([{"type": "input_text", "text": "And?"}]),
    ]
    lines = [
        line("/v1/responses", input="Why?", max_output_tokens=7),
        line("/v1/responses", input=items, instructions="Do."),
    ]
    file = read("\n".join(lines), api="responses")
    assert sent(file) == [{"messages": user("Why?")}, {"input": items, "instructions": "Do."}]
    assert file.output_tokens.tolist() == [7, 0]
    texts = ["And?", '"2"', "Do."]
    assert file.input_tokens(np.array([1]), tokenizer).tolist() == [sum(map(count, texts))]
    assert not any("input" in note for note in file.notes(2))
    for said, api, why in [
        (line("/v1/embeddings", input="a"), "chat", "the run for the chat API: give --api embeddings"),
        (line("/v1/rerank", query="a", documents=["b"]), "chat", "the run for the chat API: give --api rerank"),
        (line("/v1/batches", input="a"), "chat", "only those for chat, completions, .*, images are taken"),
        (lines[0], "embeddings", "the run for the embeddings API: give --api responses"),
        (lines[0], "chat", "the run for the chat API: give --api responses"),
        (line("/v1/responses", input=3), "responses", "'input' must be text or a list of items, found 3"),
        (line("/v1/responses", input="a", background=True), "responses", "its body asks for background: true"),
    ]:
        with pytest.raises(UsageError, match=why):
            read(said, api=api)
    for url, api in [("/v1/embeddings", "embeddings"), ("/v2/rerank", "rerank")]:
        body = {"input": ["a", "b"]} if api == "embeddings" else {"query": "a", "documents": ["b"]}
        assert sent(read(line(url, **body), api=api))[0].items() >= body.items()


@pytest.mark.parametrize(
    ("api", "field", "nest"),
    [
        ("llamacpp", "n_predict", ""),
        ("ollama-generate", "num_predict", "options"),
        ("sglang", "max_new_tokens", "sampling_params"),
        ("tgi", "max_new_tokens", "parameters"),
    ],
)
def test_bodies_in_an_engines_own_form_are_sent_in_it(read: Read, api: str, field: str, nest: str) -> None:
    settings = {"temperature": 0, field: 4}
    line = {"body": {"prompt": "hi", **({nest: settings} if nest else settings)}}
    extra = {nest: {"top_k": 3}} if nest else {"top_k": 3}
    file = read(json.dumps(line), api=api, extra=extra)
    assert file.output_tokens.tolist() == [4]
    dialect = dialect_of(api)
    prefix = dialect.prefix("m", True, dialect.form, extra)
    whole = dialect.body(prefix, file.prompts[0], 4, field)
    body = json.loads(whole)
    asked = body[nest] if nest else body
    assert (asked["temperature"], asked["top_k"], asked[field]) == (0, 3, 4)
    assert whole.count(field.encode()) == 1 and whole.count(nest.encode()) == (1 if nest else len(whole) + 1)


def test_the_completions_api_takes_texts_and_token_ids(read: Read, tokenizer: Tokenizer) -> None:
    lines = [{"prompt": "a", "suffix": "b"}, {"prompt": [5, 6, 7]}, {"messages": user("c")}]
    file = read("\n".join(map(json.dumps, lines)), api="completions")
    assert sent(file) == [{"prompt": "a", "suffix": "b"}, {"prompt": [5, 6, 7]}, {"prompt": "c"}]
    assert file.input_tokens(np.arange(3), tokenizer).tolist() == [1, 3, 1]
    for api in ("chat", "triton"):
        with pytest.raises(UsageError, match=f"token ids cannot be sent to the {api} API"):
            read('{"prompt": [5, 6, 7]}', api=api)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "p.jsonl is empty"),
        ("\n \n", "holds no prompts"),
        ("[]", "holds no prompts"),
        ('{"prompt": "a"}\n{"prompt": ', "p.jsonl:2: not JSON"),
        ('{"prompt": "a"},\n{"prompt": "b"},', "p.jsonl:1: not JSON: .* the line ends with a comma that must go"),
        ('[\n{"prompt": "a"},\n{"prompt": "b"},\n]', "p.jsonl:4: not JSON: .*trailing comma"),
        ('[\n{"prompt": "a"},\n\n{"promt": "b"}]', r"p.jsonl:4: element 2: nothing to send: .*found promt \(did you m"),
        ('{"prompt": "a"}\n\n3', "p.jsonl:3: a line must be a JSON object .*, found 3"),
        ('{"prompt": "a"}\n\n[1]', r"p.jsonl:3: message 1 must be an object with role and content, found 1"),
        (b'{"prompt": "a"}\n{"prompt": "\xff"}', "p.jsonl:2: not UTF-8"),
        ('{"prompt": "\\ud800"}', "p.jsonl:1: not JSON"),
        ('{"promt": "a"}', r"p.jsonl:1: .*one of prompt, messages, .*found promt \(did you mean prompt\?\); --pro"),
        ('{"Prompt": "a", "id": 1}', r"found Prompt, id \(did you mean prompt\?\)"),
        ('{"prompt": "a", "messages": [1]}', "either .*--prompt-column NAME says which"),
        ('{"text": "a", "question": "b"}', 'either "text" or "question"'),
        ('{"prompt": 3}', "p.jsonl:1: its 'prompt' must be text or a list of messages, found 3"),
        ('{"prompt": ""}', "p.jsonl:1: its 'prompt' is empty"),
        ('{"messages": []}', r"messages must be a list with a message at least, found \[\]"),
        ('{"messages": [{"role": "user"}]}', "message 1 has no content; found role"),
        ('{"messages": [{"content": "a"}]}', "message 1 has no role; found content"),
        ('{"messages": [{"role": "user", "content": 3}]}', "its content must be text or a list of parts, found 3"),
        ('{"messages": [{"role": "user", "content": [{"text": "a"}]}]}', "part 1 of its content must have a type"),
        ('{"conversations": [{"from": "alien", "value": "a"}]}', "message 1 is from 'alien'; it must be from human"),
        ('{"conversations": [{"from": "gpt", "value": "a"}]}', "holds replies alone"),
        ('{"prompt": "a", "output_tokens": 0}', "0 output tokens are asked for"),
        ('{"prompt": "a", "output_tokens": true}', "'output_tokens' must be a whole number, found true"),
        ('{"prompt": "a", "max_tokens": "5"}', "'max_tokens' must be a whole number, found \"5\""),
        ('{"prompt": "a", "max_tokens": 99999999}', "99,999,999 output tokens"),
        ('{"prompt": "a", "max_tokens": 5, "output_tokens": 6}', "'output_tokens' and 'max_tokens' differ"),
        ('{"body": {"input": "a"}}', 'a body must have either "messages" or "prompt"; found input'),
        ('{"body": {"prompt": "a"}, "url": "/v1/embeddings"}', "the run for the chat API: give --api embeddings"),
        ('{"body": {"prompt": "a"}, "url": "/v1/completions"}', "the run for the chat API: give --api completions"),
        ("id,answer\n1,2", "p.jsonl:1: 'id,answer' is neither JSON nor the header .* a column prompt.*-column NAME"),
        ("Hello world\nHow are you?", "'Hello world' is neither JSON nor the header"),
        ("prompt,id\nHello, you,1\n", r"p.jsonl:2: 3 cells where the header has 2 \(prompt, id\): put quotes around"),
        ('prompt,id\na,1\n"b\n', "p.jsonl:3: not CSV: unexpected end of data"),
        ("prompt,Prompt\na,b\n", "p.jsonl:1: the header has 'prompt' twice"),
        ('{"prompt": "a", "max_tokens": 5.5}', "'max_tokens' must be a whole number, found 5.5"),
        (b"prompt\na\nb\xe9\n", "p.jsonl:3: not UTF-8"),
        (b"prompt\rHello\r", "'prompt Hello' is neither JSON nor the header"),
        ("prompt\na\n".encode("utf-16"), "is not UTF-8 but UTF-16: save it as UTF-8"),
        (b"\x28\xb5\x2f\xfd..", "cannot be read: it is damaged"),
        (b"pro\0mpt\nHello\n", "is binary, in no form that is known"),
        ("prompt\na\n".encode("utf-16-le"), "is binary, in no form that is known"),
        (b"\x89PNG\r\n", "p.jsonl:1: not UTF-8: invalid start byte at byte 0"),
        ("[" * 100_000, "p.jsonl:1: not JSON"),
        ('{"prompt": "a", "x": ' + "[" * 100_000 + "}", "p.jsonl:1: not JSON"),
        ("prompt|id\n", "holds no prompts"),
        ("prompt:id\na:1\n", "'prompt:id' is neither JSON nor the header of a CSV file with a column prompt"),
        (b"PK\x03\x04..", "is a zip archive or a spreadsheet"),
        (pickle.dumps("a"), "can run any code when it is read"),
        (b"\x1f\x8b\x08\x00", "cannot be read: it is damaged"),
        (b"PAR1", "is not a Parquet file"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_with_its_line(read: Read, data: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(data)


def test_a_column_of_another_name_is_named(read: Read) -> None:
    file = read("Frage;Antwort;Länge\nHallo;x;7\n", prompt_column="Frage", output_column="Länge")
    assert sent(file) == [{"messages": user("Hallo")}] and file.output_tokens.tolist() == [7]
    talk = read(json.dumps({"chat": user("a"), "prompt": "b"}), prompt_column="chat")
    assert sent(talk) == [{"messages": user("a")}]
    with pytest.raises(UsageError, match=r"p\.jsonl:1: there is no 'chats' \(--prompt-column\); found chat, prompt"):
        read(json.dumps({"chat": user("a"), "prompt": "b"}), prompt_column="chats")


def test_a_prompt_without_tokens_is_named_when_it_is_sent(read: Read, tokenizer: Tokenizer) -> None:
    file = read('{"prompt": "a"}\n{"messages": [{"role": "user", "content": ""}]}')
    assert file.input_tokens(np.array([0]), tokenizer).tolist() == [1]
    with pytest.raises(UsageError, match=r"p\.jsonl:2: the prompt has 0 tokens"):
        file.input_tokens(np.array([0, 1]), tokenizer)


def test_a_file_that_is_not_there(tmp_path: Path, spec_of: Callable[..., Spec]) -> None:
    with pytest.raises(UsageError, match=f"the prompts {tmp_path}/none.jsonl cannot be read"):
        read_prompts(spec_of(workload_prompts=str(tmp_path / "none.jsonl")))
    with pytest.raises(UsageError, match=f"--prompts {tmp_path}: the folder holds no data .* and no texts"):
        read_prompts(spec_of(workload_prompts=str(tmp_path)))


def test_lines_repeat_in_file_order_and_that_is_said(read: Read) -> None:
    file = read('{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "a"}\n{"prompt": "c"}\n')
    lines = np.arange(5) % 3
    for prompts in (FilePrompts(file, lines), pickle.loads(pickle.dumps(FilePrompts(file.only(lines), lines)))):
        assert [json.loads(own)["messages"][0]["content"] for own in prompts] == ["a", "b", "a", "a", "b"]
        assert list(prompts) == list(prompts) and len(prompts) == 5
        assert list(prompts.select(np.array([4, 0]))) == [file.prompts[1], file.prompts[0]]
    assert file.only(lines).prompts[3] == b"" and len(file.only(lines)) == 4
    assert file.notes(5) == [
        "prompts repeat: 4 lines for 5 requests, 1.25 times each; 20% of the requests repeat an earlier one, which a "
        "prefix cache can answer",
        f"1 of 4 lines of {file.path} repeat an earlier one; a prefix cache can answer repeats",
    ]


@pytest.mark.parametrize(("api", "nest"), [("sglang", "sampling_params"), ("tgi", "parameters")])
def test_a_row_that_asks_an_engine_for_several_outputs_is_refused(tmp_path: Path, api: str, nest: str) -> None:
    """As inside its settings, where the key goes."""
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "n": 1}\n{"prompt": "b", "n": 2}\n')
    tree = {"endpoint": {"url": "http://x", "api": api}, "workload": {"prompts": str(tmp_path / "p.jsonl")}}
    with pytest.raises(UsageError, match=rf"p\.jsonl:2: its body asks for several outputs \({nest}\.n: 2\)"):
        read_prompts(build_spec(tree))

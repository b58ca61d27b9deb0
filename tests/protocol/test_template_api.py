"""APIs that are described in YAML: what their files may say, what goes out by them, and what they find in replies."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from spoken import HEAD, LAST, SPOKEN, at_once, by_template, chunk, event, streamed

from loadcell.api_template import Template, read_template
from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER, KIND_REASONING
from loadcell.load.target import make_target
from loadcell.metrics.fingerprint import fingerprint
from loadcell.protocol import Dialect, Form, Reply, dialect_of
from loadcell.protocol.template.missing import shape_of
from loadcell.recording.methodology import Recorded, check_secrets
from loadcell.spec import Endpoint, Spec, build_spec, redact
from loadcell.workload.requests import Seen, request_of

EXAMPLES = Path(__file__).parents[2] / "examples/apis"
GOOD = """
path: /v1/say
body: '{"ask": {{ prompt | tojson }}, "most": {{ max_tokens }}}'
event: {text: out.text, finish_reason: out.why, done: kind == 'end'}
"""


def written(folder: Path, text: str = GOOD, name: str = "mine.yaml") -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


def spec_of(api: str, **endpoint: Any) -> Spec:
    return build_spec({"endpoint": {"url": "http://h", "api": api, **endpoint}})


def made(folder: Path, text: str) -> Dialect:
    return dialect_of(read_template(written(folder, text), "--api"))


def body(dialect: Dialect, prompt: str | bytes, extra: dict[str, Any] | None = None, form: Form | None = None) -> Any:
    prefix = dialect.prefix("a model", True, form or dialect.form, extra or {})
    return json.loads(dialect.body(prefix, prompt, 7, "max_tokens"))


# --- what a file may say ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("path: /v1/say", "path: v1/say", "path is 'v1/say': write the path below the URL, as in /v1/generate"),
        ("path: /v1/say", 'path: "/a b"', "path is '/a b'"),
        ("path: /v1/say", "path: /v1/say?key=of-ours", "path has a query, which may hold a key, and is recorded: send"),
        ("body:", "models: {path: '/m?k=of-ours', names: a}\nbody:", "models.path has a query, which may hold a key"),
        ("path: /v1/say", "pth: /v1/say", "unknown key pth (did you mean path?); there are: name, path, "),
        ("path: /v1/say", "", "path is missing: the path below the URL"),
        ("body:", "talks: true\nbody:", "unknown key talks"),
        ("text: out.text", "txt: out.text", "unknown key event.txt (did you mean text?); there are: text, reasoning"),
        ("text: out.text, ", "", "event.text is missing: the JMESPath of the text in an event"),
        ("text: out.text", "text: [out]", "Expected `str | null`, got `array` - at `event.text`; in YAML, quotes"),
        ("text: out.text", "text: 'out..text'", "event.text is no JMESPath: 'out..text'"),
        ("done: kind == 'end'", "done: '[DONE]'", "a mark that is no JSON goes to end_mark"),
        ("event:", "end_mark: '{}'\nevent:", "an end that is JSON is told by event.done"),
        ("event:", "event: {usage: {prompt: a}}\nevents:", "unknown key event.usage.prompt (did you mean"),
        ("prompt | tojson", "prompt | tojsn", "body, line 1: No filter named 'tojsn'. (did you mean tojson?)"),
        ("prompt | tojson }}", "prompt | tojson }", "body, line 1: unexpected '}'"),
        ("max_tokens", "max_token", "body, line 1: there is no max_token (did you mean max_tokens?); there"),
        ("max_tokens", "prompt.size", "body, line 1: 'str object' has no attribute 'size'"),
        ("max_tokens", "prompt.__class__", "body, line 1: access to attribute '__class__' of 'str' object is unsafe."),
        ("max_tokens", "1 / 0", "body, line 1: division by zero"),
        ("prompt | tojson", "messages | tojson", "body names messages, and messages is false: a prompt is a text"),
        ("prompt | tojson", "1", "body names no prompt: all requests would be alike"),
        ('{{ prompt | tojson }}', '"{{ prompt }}"', "body makes no JSON: line 1 of it is `"),
        ('{{ prompt | tojson }}', '"{{ prompt }}"', "write values as {{ NAME | tojson }}, without quotes around"),
        ('{"ask": {{ prompt | tojson }}, "most": {{ max_tokens }}}', "[{{ prompt | tojson }}]", "but no object"),
        ('"ask"', '"api_key": "of ours", "ask"', "body holds a key, and is recorded"),
        ("body:", "headers: {X-Api-Key: of ours}\nbody:", "X-Api-Key holds a key, and is recorded: write {{ key }}"),
        ("body:", "headers: {A B: x}\nbody:", "headers.A B cannot be sent"),
        ("body:", "headers: {Content-Length: '3'}\nbody:", "headers.Content-Length cannot be sent"),
        ("body:", "headers: {X: '{{ kee }}'}\nbody:", "headers.X, line 1: there is no kee (did you mean key?)"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(UsageError) as caught:
        spec_of(written(tmp_path, GOOD.replace(old, new)))
    assert "mine.yaml: " in str(caught.value) and words in str(caught.value)
    assert "of-ours" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a\n", "holds no template: write keys and values"),
        ("a: [", "is not YAML"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_is_no_template(tmp_path: Path, text: str | None, words: str) -> None:
    path = str(tmp_path / "none.yml") if text is None else written(tmp_path, text)
    with pytest.raises(UsageError, match=words):
        spec_of(path)


def test_without_jmespath_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(UsageError, match=r"mine.yaml: .*pip install 'loadcell\[template\]'"):
        spec_of(written(tmp_path, GOOD.replace("/v1/say", "/not/seen/before")))


def test_a_version_of_the_api_may_stand_in_its_path_and_goes_before_the_queries_of_urls(tmp_path: Path) -> None:
    text = GOOD.replace("/v1/say", "/v1/say?api-version=v1")
    api = spec_of(written(tmp_path, text)).endpoint.api
    for url, asked, path in [
        ("http://h", None, "/v1/say?api-version=v1"),
        ("http://h?a=1", None, "/v1/say?api-version=v1&a=1"),
        ("http://h?a=1", "?b=2", "/v1/say?api-version=v1&a=1&b=2"),
        ("http://h?a=1", "/x?b=2", "/x?a=1&b=2"),
    ]:
        target = make_target(Endpoint(url=url, api=api, path=asked), None)
        assert target.path + target.path_query == path
        assert target.request_target("/m?b=2") == ("/m?b=2" if target.query == "" else "/m?b=2&a=1")


def test_a_stream_must_have_an_end(tmp_path: Path) -> None:
    dialect = made(tmp_path, GOOD.replace(", finish_reason: out.why, done: kind == 'end'", ""))
    with pytest.raises(UsageError, match="nothing tells the end of a stream"):
        dialect.prefix("m", True, dialect.form, {})
    assert dialect.prefix("m", False, dialect.form, {})


# --- it is part of the Spec -------------------------------------------------------------------------------------------


def test_what_it_says_is_recorded_and_makes_the_same_again(tmp_path: Path) -> None:
    spec = spec_of(path := written(tmp_path))
    Path(path).unlink()
    recorded = msgspec.json.encode(redact(spec))
    again = build_spec(json.loads(recorded))
    assert again == spec == msgspec.json.decode(recorded, type=Spec)
    assert str(again.endpoint.api) == "mine.yaml"
    assert dialect_of(again.endpoint.api) is dialect_of(spec.endpoint.api)
    assert pickle.loads(pickle.dumps(again.endpoint.api)) == spec.endpoint.api


def test_a_spec_may_hold_it(tmp_path: Path) -> None:
    said = {"path": "/say", "body": "{{ {'ask': prompt} | tojson }}", "event": {"text": "out", "done": "end"}}
    assert str(spec_of(said).endpoint.api) == "template"
    with pytest.raises(UsageError, match=r"endpoint\.api: unknown key bdy \(did you mean body\?\)"):
        spec_of({**said, "bdy": ""})


def test_the_fingerprint_is_of_what_it_says_whatever_it_is_called(tmp_path: Path) -> None:
    texts = {"mine.yaml": GOOD, "other.yaml": GOOD, "changed.yml": GOOD.replace("out.text", "out.txt")}
    first, second, changed = (
        fingerprint(spec_of(written(tmp_path, text, name)), {}, "h") for name, text in texts.items()
    )
    assert first == second != changed


def test_a_key_in_it_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "m1ne-and-n0body-elses")
    spec = redact(spec_of(written(tmp_path, GOOD.replace('"ask"', '"note": "m1ne-and-n0body-elses", "ask"'))))
    assert b"n0body" not in msgspec.json.encode(spec)
    recorded = Recorded("id", "", {}, {}, "", 1, {})
    with pytest.raises(UsageError, match=r"Name it again: --api FILE\.yaml"):
        check_secrets(msgspec.to_builtins(spec), recorded)


# --- requests out -----------------------------------------------------------------------------------------------------

HARD = 'it\'s "so" \\ <b>\n{{ prompt }} é漢😀'


@pytest.mark.parametrize("name", ["chat", "messages"])
@pytest.mark.parametrize("ignore_eos", [True, False])
def test_the_examples_ask_as_their_apis_do(name: str, ignore_eos: bool) -> None:
    ours, own = by_template(name), dialect_of(name)
    assert ours.form.ignore_eos
    form = own.form._replace(ignore_eos=ignore_eos)
    talk = msgspec.json.encode(
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HARD}], "top_k": 3}
    )
    for prompt in (HARD, talk):
        extra = {"temperature": 0.5, "top_k": 1}
        assert body(ours, prompt, extra, form) == body(own, prompt, extra, form)
    assert ours.without(form, "unknown field ignore_eos", False) == own.without(form, "unknown field ignore_eos", False)


def test_further_fields_go_where_the_template_puts_them(tmp_path: Path) -> None:
    own = b'{"prompt":"x","seed":5}'
    assert body(made(tmp_path, GOOD), own, {"seed": 1, "n": 1}) == {"ask": "x", "most": 7, "seed": 5, "n": 1}
    placed = GOOD.replace('"most"', '"options": {{ extra | tojson }}, "most"')
    assert body(made(tmp_path, placed), own, {"n": 1}) == {"ask": "x", "most": 7, "options": {"n": 1, "seed": 5}}
    asks = made(tmp_path, GOOD.replace("{{ max_tokens }}", "{{ extra.most }}"))
    assert body(asks, "x", {"most": 9})["most"] == 9
    assert asks.refused({"most": 9}) is None
    assert "body, line 1: 'dict object' has no attribute 'most'" in (asks.refused({}) or "")


def test_rows_of_a_file_are_in_its_form(tmp_path: Path) -> None:
    spec = spec_of(written(tmp_path))
    assert request_of({"prompt": "x"}, "line 1", spec, Seen()).own == b'{"prompt":"x"}'
    talk = {"url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "x"}]}}
    with pytest.raises(UsageError, match=r"the run for the mine\.yaml API: leave out its url"):
        request_of(talk, "line 1", spec, Seen())
    assert request_of({"body": talk["body"]}, "line 1", spec, Seen()).own == b'{"prompt":"x"}'
    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}
    with pytest.raises(UsageError, match='give --api chat, or write "messages: true" into the template'):
        request_of(parts, "line 1", spec, Seen())


def test_headers_that_name_the_key_need_one() -> None:
    assert by_template("chat").headers("k") == {"Authorization": "Bearer k"}
    assert by_template("chat").headers(None) == {}
    assert by_template("messages").headers("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert by_template("messages").headers(None) == {"anthropic-version": "2023-06-01"}


def test_without_headers_the_key_is_a_bearer_token(tmp_path: Path) -> None:
    assert made(tmp_path, GOOD).headers("k") == {"Authorization": "Bearer k"}
    assert made(tmp_path, GOOD + "headers: {}").headers("k") == {}


def test_a_body_that_is_no_json_after_all_shows_no_prompt(tmp_path: Path) -> None:
    dialect = made(
        tmp_path, GOOD.replace("{{ max_tokens }}", "{% if max_tokens < 9 %}{{ prompt }}{% else %}9{% endif %}")
    )
    with pytest.raises(UsageError, match=r"mine\.yaml: body makes no JSON: line 1 of it \(Expecting value\)"):
        body(dialect, "a prompt")


# --- replies in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chat", "messages"])
@given(
    st.lists(st.text(max_size=4), max_size=20), st.booleans(), st.lists(st.integers(0, 10**6), max_size=30), st.data()
)
def test_the_examples_hear_the_same_in_the_same_reads_as_their_apis_own_files(
    name: str, texts: list[str], thinks: bool, places: list[int], data: st.DataObject
) -> None:
    """Whole or cut, but for a stream that ends without the end that the template asks for."""
    spoken = SPOKEN[name]
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    events = [*spoken.stream(texts)]
    if thinks:
        events.insert(len(spoken.begin), event(spoken.thought("hm")))
    stream = HEAD + b"".join(map(chunk, events)) + LAST
    stream = stream[: data.draw(st.sampled_from([len(stream), len(stream) // 2]))]
    ends = sorted({place % len(stream) for place in places} - {0})
    reads = [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]
    own, ours = Reply(spoken.dialect), Reply(by_template(name))
    for reply in (own, ours):
        for number, read in enumerate(reads):
            reply.feed([read], number)
        reply.close(len(reads) - 1)
    for part in ("reads", "kinds", "tokens", "sizes", "usage", "finish_reason", "done", "streamed", "complete"):
        assert getattr(ours, part) == getattr(own, part), part
    assert ours.tails == own.tails
    assert (ours.text(), ours.failure is None) == (own.text(), own.failure is None)


def test_an_event_says_what_its_expressions_find(tmp_path: Path) -> None:
    more = "usage: {prompt_tokens: in, output_tokens: n}, error: oops, reasoning: out.thought, done:"
    dialect = made(tmp_path, GOOD.replace("done:", more))
    reply = streamed(
        dialect,
        [{"in": 9}, {"out": {"thought": "hm"}}, {"out": {"text": ["o", "k"]}}, {"other": 1},
         {"out": {"why": "length"}, "n": "2"}, {"kind": "end"}],
    )  # fmt: skip
    assert (reply.failure, reply.text(), reply.finish_reason, reply.done) == (None, "hmok", "length", True)
    assert reply.usage and (reply.usage.prompt_tokens, reply.usage.output_tokens) == (9, 2)
    assert [kind & (KIND_ANSWER | KIND_REASONING) for kind in reply.kinds] == [0, KIND_REASONING, KIND_ANSWER, 0, 0, 0]
    failed = streamed(dialect, [{"out": {"text": "x"}}, {"oops": {"message": "no omens"}}])
    assert failed.failure == ("stream_error", "no omens")
    odd = streamed(dialect, [{"out": {"text": 5}}])
    assert odd.failure and odd.failure[0] == "invalid_json" and "what text finds is no text" in odd.failure[1]
    cut = streamed(dialect, [{"out": {"text": "x", "why": "stop"}}])
    assert cut.failure == ("cut", "the stream ended without kind == 'end'")
    none = streamed(dialect, [{"token": "x"}])
    assert none.failure == ("protocol", """the reply has no event.text (out.text): {"token": "x"}""")


def test_lines_of_json_are_events_too(tmp_path: Path) -> None:
    lines = [b'{"out": {"text": "a"}}\n', b'{"out": {"text": "b"}}\n', b'{"kind": "end"}\n']
    reply = Reply(made(tmp_path, GOOD))
    reply.feed([HEAD.replace(b"text/event-stream", b"application/x-ndjson"), *map(chunk, lines), LAST], 0)
    assert (reply.failure, reply.text(), list(reply.reads)) == (None, "ab", [1, 2, 3])


def test_a_whole_reply_has_the_expressions_of_an_event_and_its_own(tmp_path: Path) -> None:
    dialect = made(tmp_path, GOOD + "reply: {text: '[].all'}\n")
    found = dialect.whole(b'[{"all":"a"},{"all":"b"}]')
    assert (found.answer, found.known) == ("ab", True)
    assert at_once(made(tmp_path, GOOD), {"out": {"text": "x", "why": "stop"}}).text() == "x"


@pytest.mark.parametrize(
    ("expressions", "alike"),
    [
        ({"done": "kind == 'end'"}, True),
        ({"text": "a.text || b.text", "error": "a.error", "reasoning": "not_null(a.thought, b.thought)"}, True),
        ({"usage": {"prompt_tokens": "sum([usage.in, usage.cached || `0`])"}}, True),
        ({"done": "contains(out.text, 'END')"}, False),
        ({"done": "out.text == 'END'"}, False),
        ({"error": "out"}, False),
        ({"error": "@"}, False),
        ({"error": "out.*"}, False),
        ({"error": "(out || x).text"}, False),
        ({"error": "out.[text, x]"}, False),
        ({"error": "not_null(x, out)"}, False),
        ({"text": "to_string(@)"}, False),
    ],
)
def test_events_are_alike_where_no_expression_depends_on_the_text(
    tmp_path: Path, expressions: dict[str, Any], alike: bool
) -> None:
    said = {"path": "/say", "body": "{{ {'ask': prompt} | tojson }}"}
    event = {"text": "out.text", "done": "end", **expressions}
    assert made(tmp_path, yaml.safe_dump({**said, "event": event})).alike is alike


def test_an_end_in_the_text_is_found_among_events_that_look_alike(tmp_path: Path) -> None:
    dialect = made(tmp_path, GOOD.replace("done: kind == 'end'", "done: out.text == 'END'"))
    reply = streamed(dialect, [{"out": {"text": text}} for text in ["a"] * 20 + ["END"]])
    assert (reply.failure, reply.done) == (None, True)


# --- before a load ----------------------------------------------------------------------------------------------------


def test_the_shape_of_a_reply_tells_keys_and_types_alone() -> None:
    secret = {"choices": [{"delta": {"content": "secret", "more": {"deep": 1}}}, {"delta": None}], "n": 1, "ok": True}
    shape = shape_of([secret, {"n": None, "list": [], "words": ["secret"]}])
    assert shape == (
        "{choices: [{delta: {content: string, more: {…}} or null}], n: null or number, ok: boolean, list: [], "
        "words: [string]}"
    )
    assert len(shape_of([{f"{n}": n for n in range(100)}])) < 400


def test_what_is_missed_in_a_reply_is_named(tmp_path: Path) -> None:
    dialect = made(tmp_path, GOOD.replace("done:", "usage: {prompt_tokens: usage.p, output_tokens: n}, done:"))
    has = "matches nothing in the reply, which has"
    events = [b'{"token":{"text":"secret"}}', b'{"n":3}']
    wrong = [f"mine.yaml: event.text (out.text) {has} {{token: {{text: string}}, n: number}}"]
    assert dialect.missed(events, True, True) == dialect.missed(events, True, None) == (wrong, [])
    events = [b'{"out":{"text":"secret"}}', b'{"n":3}']
    shape = "{out: {text: string}, n: number}"
    assert dialect.missed(events, True, False) == ([f"mine.yaml: event.done (kind == 'end') {has} {shape}"], [])
    assert dialect.missed(events, True, None) == ([], [])
    noted = [
        f"mine.yaml: event.{one} {has} {shape}" for one in ("finish_reason (out.why)", "usage.prompt_tokens (usage.p)")
    ]
    assert dialect.missed(events, True, True) == ([], noted)
    assert dialect.missed([], True, False) == ([], [])


def test_the_examples_are_templates() -> None:
    found = [read_template(str(file), "") for file in sorted(EXAMPLES.glob("*.yaml"))]
    assert [one.name for one in found] == ["chat.yaml", "messages.yaml"]
    assert all(isinstance(one, Template) and dialect_of(one).alike for one in found)

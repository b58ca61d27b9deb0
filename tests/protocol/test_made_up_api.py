"""An API that nobody has, spoken here and nowhere else: what a new one costs is its dialect and an entry point."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from contract_runs import Run, run_once, short_spec
from hypothesis import given
from hypothesis import strategies as st
from known import Output, Witness, lies_in
from scripted import CLOSE, LAST_CHUNK, Received, Step, chunked, json_reply, serve

from loadcell import apis
from loadcell.errors import UsageError
from loadcell.kinds import KIND_ANSWER, KIND_REASONING
from loadcell.load.target import make_target
from loadcell.protocol import Dialect, Form, Reply
from loadcell.protocol.dialect import Heard, Prompt, Usage, hear_each
from loadcell.spec import Endpoint

# --- the API: JSON lines, with names of its own for everything -------------------------------------------------------


class _Line(msgspec.Struct):
    say: str | None = None
    muse: str | None = None
    heard: int | None = None
    made: int | None = None
    trouble: str | None = None
    over: bool = False


_LINE = msgspec.json.Decoder(_Line)


def _read(payload: bytes) -> Heard:
    line = _LINE.decode(payload)
    return Heard(
        (KIND_ANSWER if line.say else 0) | (KIND_REASONING if line.muse else 0),
        line.say,
        line.muse,
        usage=None if line.heard is line.made is None else Usage(line.heard, line.made),
        done=line.over,
        failure=None if line.trouble is None else ("stream_error", line.trouble),
        known=line != _Line(),
    )


def _prefix(model: str, stream: bool, form: Form, extra: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"who": model, "live": stream} | ({"on": True} if form.ignore_eos else {}) | extra)[:-1]


def _body(prefix: bytes, prompt: Prompt, most: int, field: str) -> bytes:
    ask = json.loads(prompt)["prompt"] if isinstance(prompt, bytes) else prompt
    return b'%b,"%b":%d,"ask":%b}' % (prefix, field.encode(), most, msgspec.json.encode(ask))


def _without(form: Form, said: str, insist: bool) -> tuple[Form, str | None] | None:
    if "on" in said.split() and form.ignore_eos and not insist:
        return form._replace(ignore_eos=False), "the oracle ends when it likes"
    return None


ORACLE = Dialect(
    path="/oracle",
    whole_path="/verdict",
    paths=("/oracle",),
    base="/delphi",
    talks=False,
    form=Form(ignore_eos=True, max_tokens_field="most"),
    prefix=_prefix,
    body=_body,
    without=_without,
    hear=hear_each(_read),
    whole=_read,
    mark=b'"over":true',
    ends="an over",
    holds="words",
    headers=lambda key: {"X-Oracle": "2"} | ({"X-Key": key} if key else {}),
    models="/oracles",
    listed=lambda page: json.loads(page)["present"],
)


# --- a server that speaks it -----------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
TTFT_S, GAP_S, TOKENS = 0.05, 0.01, 6


def line(**told: Any) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def spoken(*, over: bool = True) -> list[Step]:
    """Two tokens of thought and four words, counted in the last line; how many were heard stands in the first."""
    steps: list[Step] = [HEAD, chunked(line(heard=9)), TTFT_S, Output(chunked(line(muse="hm ")))]
    for told in [{"muse": "so "}, *[{"say": "word "}] * 4]:
        steps += [GAP_S, Output(chunked(line(**told)))]
    return [*steps, chunked(line(over=True, made=TOKENS)), LAST_CHUNK] if over else [*steps, LAST_CHUNK]


def whole(_: Received) -> list[Step]:
    return [json_reply({"say": "four words of text", "heard": 9, "made": TOKENS, "over": True})]


def names(_: Received) -> list[Step]:
    return [json_reply({"present": ["pythia"]})]


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The API as a package brings it, for this process and for the workers."""
    told = tmp_path / "site" / "oracle-1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: oracle\nVersion: 1\n")
    (told / "entry_points.txt").write_text(f"[loadcell.apis]\noracle = {__name__}:ORACLE\n")
    monkeypatch.syspath_prepend(str(told.parent))
    kit = str(Path(__file__).parent.parent / "kit")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(told.parent), str(Path(__file__).parent), kit]))
    yield tmp_path
    apis.find_api.cache_clear()


@pytest.fixture
def run(registered: Path, processes: None) -> Run:
    return lambda url, **fields: run_once(url, registered / "run", api="oracle", metrics_url="none", **fields)


def test_a_load_of_it_is_measured_like_any(run: Run, alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a secret of theirs")
    witness = Witness()
    with serve(witness(lambda _: spoken()), probe=lambda _: spoken(), models=names) as server:
        ran = run(f"{server.url}/delphi/oracle", requests=12)
    assert ran.statuses == ["ok"] * 12
    for row in ran.rows:
        assert (row["output_tokens"], row["token_source"], row["prompt_tokens"]) == (TOKENS, "usage", 9)
        assert (row["output_chunks"], row["first_tokens"]) == (TOKENS, 1)
        assert row["first_answer_ns"] > row["first_any_ns"], "its thoughts came first"
    bounds = witness.bounds_ms(ran.rows, witness.t0_ns(ran.rows))
    assert lies_in(ran.result.latency["ttft_ms"].service.mean, bounds["ttft"], 4)
    assert lies_in(ran.result.latency["e2e_ms"].service.mean, bounds["e2e"], 4)
    assert ran.manifest.effective["url"].endswith("/delphi/oracle") and ran.manifest.effective["model"] == "pythia"
    assert {request.path for request in server.received} == {"/delphi/oracle", "/delphi/oracles"}
    (asked,) = {tuple(request.json()) for request in server.load}
    assert asked == ("who", "live", "on", "most", "ask")
    assert {(r.headers["x-key"], r.headers["x-oracle"]) for r in server.load} == {("a secret of theirs", "2")}
    assert not any(b"a secret of theirs" in file.read_bytes() for file in ran.folder.iterdir())
    assert server.connections < 12, "the end of each reply was seen, and its connection used again"


def test_an_option_that_it_refuses_is_left_out_and_noted(run: Run) -> None:
    def refusing(request: Received) -> list[Step]:
        return [json_reply({"trouble": "unknown field on here"}, 400)] if "on" in request.json() else spoken()

    with serve(refusing, probe=refusing, models=names) as server:
        ran = run(server.url, requests=2)
    assert ran.statuses == ["ok"] * 2 and "the oracle ends when it likes" in ran.manifest.notes
    assert all("on" not in request.json() for request in server.load)


def test_it_is_read_whole_too(run: Run) -> None:
    with serve(whole, probe=whole, models=names) as server:
        ran = run(server.url, requests=2, stream=False)
    assert [(row["status"], row["output_tokens"]) for row in ran.rows] == [("ok", TOKENS)] * 2
    assert {request.path for request in server.received} == {"/delphi/verdict", "/delphi/oracles"}
    assert ran.manifest.effective["url"].endswith("/delphi/verdict")


def test_one_that_has_no_ignore_eos_is_not_asked_for_it(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint(url="http://127.0.0.1:1", api="oracle", ignore_eos=True)
    make_target(endpoint, None)
    silent = replace(ORACLE, form=ORACLE.form._replace(ignore_eos=False))
    monkeypatch.setattr("loadcell.load.target.dialect_of", lambda _: silent)
    with pytest.raises(UsageError, match="the oracle API cannot be asked for every output token"):
        make_target(endpoint, None)


@pytest.mark.parametrize(
    ("steps", "kind", "words"),
    [
        (spoken(over=False), "cut", "the stream ended without a finish reason and without an over"),
        ([*spoken(over=False)[:-1], CLOSE], "cut", "the connection ended before the reply did"),
        ([HEAD, chunked(line(trouble="no omens") * 2), LAST_CHUNK], "stream_error", "no omens"),
        ([HEAD, chunked(line(choices=[]) * 2), LAST_CHUNK], "protocol", "the reply has no words"),
        ([HEAD, chunked(line(say=["word"]) * 2), LAST_CHUNK], "invalid_json", "an event is not as the API says"),
    ],
)
def test_what_goes_wrong_in_it_is_told_as_in_any(run: Run, steps: list[Step], kind: str, words: str) -> None:
    with serve(lambda _: steps, probe=lambda _: spoken(), models=names) as server:
        ran = run(server.url, requests=2, max_failures=1.0)
    assert [(row["status"], row["error_kind"]) for row in ran.rows] == [("failed", kind)] * 2
    assert all(words in error for error in ran.recording.requests(["error"])["error"])


@given(st.lists(st.integers(1, 400), max_size=12))
def test_any_split_of_its_bytes_is_heard_alike(cuts: list[int]) -> None:
    data = b"".join(step for step in spoken() if isinstance(step, bytes))
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    reply = Reply(ORACLE)
    reply.feed([data[a:b] for a, b in zip([0, *ends], ends, strict=False)], 0)
    assert (reply.failure, reply.complete, reply.done) == (None, True, True)
    assert ("".join(reply.content), reply.thoughts(), reply.usage) == ("word " * 4, "hm so ", Usage(9, TOKENS))


def test_a_name_that_nobody_speaks_is_refused_with_those_that_are(registered: Path) -> None:
    with pytest.raises(UsageError, match=rf"endpoint\.api: 'oracel' is not one of {apis.our_apis()}, oracle"):
        short_spec("http://127.0.0.1:1", api="oracel")

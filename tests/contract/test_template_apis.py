"""Loads by templates: the same server gives the same rows as the APIs' own files do, and one that does not fit is told
before the load."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from contract_runs import Ran, Run, ask
from scripted import Received, Step, chunked, json_reply, serve
from small_engine import engine, truth_of

from loadcell.cli.main import main
from loadcell.errors import EndpointError, UsageError
from loadcell.protocol import dialect_of
from loadcell.recording.read import Recording

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples/apis"
in_both = pytest.mark.parametrize("name", ["chat", "messages"])
SAME = (
    "status", "error_kind", "finish_reason", "output_tokens", "token_source", "prompt_tokens", "cached_tokens",
    "output_chunks", "first_tokens", "asked_tokens", "input_tokens",
)  # fmt: skip
"""What of a row the same server makes the same, whoever reads it. How many reads its bytes come in is the kernel's."""


def told(ran: Ran) -> list[dict[str, Any]]:
    """Of each request what must be the same, and the kinds and tokens of its events."""
    rows = [{name: row[name] for name in SAME if name in row} for row in ran.rows]
    return [{**row, "events": events} for row, events in zip(rows, events_of(ran.recording), strict=True)]


def events_of(recording: Recording) -> list[list[tuple[int, ...]]]:
    """Of each request its events: kind, tokens (-1: not told), size."""
    found: dict[int, list[tuple[int, ...]]] = {}
    for table in recording.chunks(["request", "kind", "tokens", "bytes"], output_only=False):
        for request, *event in zip(*table.values(), strict=True):
            found.setdefault(int(request), []).append(tuple(-1 if value != value else int(value) for value in event))
    return [found[request] for request in sorted(found)]


@in_both
@pytest.mark.parametrize("flags", [(), ("--no-usage",)])
def test_the_examples_give_the_rows_of_their_apis_own_files(run: Run, name: str, flags: tuple[str, ...]) -> None:
    pace = ("--ttft", "15ms", "--itl", "5ms", "--slots", "4")
    asked = {"requests": 12, "concurrency": 2, "output_tokens": "6", "salt": "", "seed": 3}
    with engine(*pace, *flags) as url:
        own = run(url, api=name, **asked)
        ours = run(url, api=str(EXAMPLES / f"{name}.yaml"), **asked)
    assert ours.statuses == ["ok"] * 12
    assert told(ours) == told(own)
    assert len({row["connection"] for row in ours.rows}) == len({row["connection"] for row in own.rows}) == 2
    assert ours.manifest.effective["ignore_eos"] == own.manifest.effective["ignore_eos"]
    more = [note for note in ours.manifest.notes if note not in own.manifest.notes]
    assert len(more) == (2 if flags else 0) and all(f"{name}.yaml: event.usage." in note for note in more)


@in_both
def test_what_is_not_streamed_is_the_same_too(run: Run, name: str) -> None:
    with engine() as url:
        own, ours = (run(url, api=api, requests=4, stream=False) for api in (name, str(EXAMPLES / f"{name}.yaml")))
    assert told(ours) == told(own)
    assert ours.statuses == ["ok"] * 4


@in_both
@pytest.mark.parametrize(
    ("flags", "kind"),
    [(("--cut-rate", "1"), "cut"), (("--stream-error-rate", "1"), "stream_error"), (("--no-done",), "cut")],
)
def test_what_the_engine_breaks_has_failed(run: Run, name: str, flags: tuple[str, ...], kind: str) -> None:
    asked: dict[str, Any] = {"requests": 4, "model": "loadcell-engine", "max_failures": 1.0}
    with engine("--ttft", "5ms", "--itl", "1ms", *flags) as url:
        if flags == ("--no-done",):  # nothing that the template calls an end ever comes
            with pytest.raises(EndpointError, match=r"matches nothing in the reply, which has \{"):
                run(url, api=str(EXAMPLES / f"{name}.yaml"), **asked)
            return
        own, ours = (run(url, api=api, **asked) for api in (name, str(EXAMPLES / f"{name}.yaml")))
    assert [(row["status"], row["error_kind"]) for row in ours.rows] == [("failed", kind)] * 4
    words = [set(ran.recording.requests(["error"])["error"]) for ran in (ours, own)]
    assert words[0] == words[1]


@pytest.mark.parametrize("searched", [False, True])
def test_a_load_is_what_the_engine_says_it_was(run: Run, alone: None, tmp_path: Path, searched: bool) -> None:
    """However slow a template is: stamps do not wait for it."""
    tree = yaml.safe_load((EXAMPLES / "chat.yaml").read_text())
    tree["event"]["error"] = "error || error.*" if searched else "error"
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(tree))
    with engine("--ttft", "15ms", "--itl", "4ms", "--slots", "4") as url:
        ran = run(url, requests=30, concurrency=4, output_tokens="12", api=str(file))
        truth = truth_of(url)
    assert dialect_of(ran.result.methodology.spec.endpoint.api).alike is not searched
    assert ran.statuses == ["ok"] * 30
    assert [row["output_tokens"] for row in ran.rows] == [len(record["tokens_ns"]) for record in truth]
    t0 = np.array([record["arrival_ns"] for record in truth])
    first, last = (np.array([record["tokens_ns"][i] for record in truth]) for i in (0, -1))
    found = ran.result.latency
    assert found["ttft_ms"].service.mean == pytest.approx((first - t0).mean() / 1e6, abs=1.5)
    assert found["tpot_ms"].service.mean == pytest.approx((last - first).mean() / 1e6 / 11, abs=0.3)


def test_a_recording_is_run_again_without_the_file(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text((EXAMPLES / "chat.yaml").read_text())
    with engine() as url:
        first = run(url, api=str(file), requests=4)
        file.unlink()
        status = main(["run", str(first.folder), "--output", str(tmp_path / "again"), "--json", "--no-html"])
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert status in (0, 4) and result["counts"]["run"]["ok"] == 4
    assert result["methodology"]["bodies_hash"] == first.manifest.bodies_hash
    assert result["methodology"]["spec"]["endpoint"]["api"]["name"] == "mine.yaml"
    assert "same bytes" in said.err


def test_a_key_goes_where_the_template_says_and_into_no_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a secret of theirs")
    with engine("--ttft", "5ms", "--itl", "1ms", "--api-key", "a secret of theirs") as url:
        ran = run(url, requests=2, api=str(EXAMPLES / "messages.yaml"))
    assert ran.statuses == ["ok"] * 2
    assert not any(b"a secret of theirs" in file.read_bytes() for file in ran.folder.iterdir())


def test_each_template_of_the_page_on_apis_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    texts = [(ROOT / "docs/apis.md").read_text(), *(file.read_text() for file in sorted(EXAMPLES.glob("*.yaml")))]
    commands = re.findall(r"^(?:# +)?loadcell (run .* --api examples/apis/.*)$", "\n".join(texts), re.MULTILINE)
    assert len(commands) == 3
    with engine() as url:
        for number, command in enumerate(commands):
            words = [re.sub("^(http://)?localhost:8000$", url, word) for word in command.split()]
            main([*words, "--output", str(tmp_path / str(number)), "--json", "--no-html"])
            said = capsys.readouterr()
            assert said.out, said.err
            assert json.loads(said.out)["counts"]["run"]["ok"] == 40, command


# --- a template that does not fit -------------------------------------------------------------------------------------


def event(value: Any) -> bytes:
    return chunked(b"data: " + json.dumps(value).encode() + b"\n\n")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def speaks(_: Received) -> list[Step]:
    """An API of a server: the end is an event with the counts."""
    words = [event({"token": {"id": 7, "text": "secret "}}) for _ in range(4)]
    return [HEAD, *words, event({"details": {"reason": "length", "tokens": {"in": 3, "out": 4}}}), LAST]


def names(_: Received) -> list[Step]:
    return [json_reply({"all": [{"called": "theirs"}]})]


TEMPLATE: dict[str, Any] = {
    "path": "/say",
    "body": '{"q": {{ prompt | tojson }}, "n": {{ max_tokens }}}',
    "event": {
        "text": "token.text",
        "finish_reason": "details.reason",
        "done": "details",
        "usage": {"prompt_tokens": "details.tokens.in", "output_tokens": "details.tokens.out"},
    },
    "models": {"path": "/names", "names": "all[].called"},
}


def changed(folder: Path, **event: Any) -> str:
    file = folder / "theirs.yaml"
    file.write_text(yaml.safe_dump({**TEMPLATE, "event": {**TEMPLATE["event"], **event}}))
    return str(file)


def test_an_api_that_nobody_has_is_loaded_by_its_template(run: Run, tmp_path: Path) -> None:
    with serve(speaks, probe=speaks, models=names) as server:
        ran = run(server.url, api=changed(tmp_path), requests=4, metrics_url="none")
    assert [(row["status"], row["output_tokens"], row["prompt_tokens"]) for row in ran.rows] == [("ok", 4, 3)] * 4
    assert {request.path for request in server.received} == {"/say", "/names"}
    assert all(set(request.json()) == {"q", "n"} for request in server.load)
    assert ran.manifest.effective["model"] == "theirs"
    assert ran.result.methodology.spec.endpoint.api.name == "theirs.yaml"


SHAPE = "{token: {id: number, text: string}, details: {reason: string, tokens: {in: number, out: number}}}"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"text": "tokens.text"}, "event.text (tokens.text)"),
        ({"done": "end"}, "event.done (end)"),
    ],
)
def test_an_expression_that_finds_nothing_is_told_with_the_shape_of_the_reply(
    tmp_path: Path, wrong: dict[str, str], words: str
) -> None:
    with serve(speaks, probe=speaks, models=names) as server, pytest.raises(EndpointError) as caught:
        ask(server.url, api=changed(tmp_path, **wrong))
    assert str(caught.value) == f"theirs.yaml: {words} matches nothing in the reply, which has {SHAPE}; correct that"
    assert not server.load


def test_a_count_that_is_not_found_is_noted_and_the_load_runs(tmp_path: Path) -> None:
    usage = {"prompt_tokens": "details.prompt"}
    with serve(speaks, probe=speaks, models=names) as server:
        found = ask(server.url, api=changed(tmp_path, usage=usage))
    noted = f"theirs.yaml: event.usage.prompt_tokens (details.prompt) matches nothing in the reply, which has {SHAPE}"
    assert noted in found.notes


def test_without_a_list_of_models_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "theirs.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in TEMPLATE.items() if key != "models"}))
    with serve(speaks, probe=speaks) as server:
        with pytest.raises(EndpointError, match=r"theirs\.yaml does not say where models are listed.*--model"):
            ask(server.url, api=str(file))
        assert ask(server.url, api=str(file), model="m").model == "m"
        assert not any(request.path.endswith("models") for request in server.received)


def test_what_a_body_cannot_ask_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with serve(speaks, probe=speaks, models=names) as server:
        with pytest.raises(UsageError, match=r"the theirs\.yaml API cannot be asked for every output token"):
            ask(server.url, api=changed(tmp_path), ignore_eos=True)
        assert not server.received

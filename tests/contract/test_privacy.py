"""What must not be written: secrets, wherever a server echoes them, and texts, unless they are asked for."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from contract_runs import Ran, Run
from scripted import DONE, HANG, Received, Step, clean, delta, event, json_reply, serve, stream, token, usage_event

from loadcell.errors import EndpointError
from loadcell.report import to_csv, to_json

KEY, HEADER, USER, PASSWORD, QUERY = (
    "sk-topsecret0",
    "zq-secret-value1",
    "user-secret2",
    "pass-secret3",
    "query-secret4",
)
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (KEY, HEADER, USER, PASSWORD, QUERY, BASIC)
PROMPT, ANSWER, THOUGHT = "Wherefore art thou quokka", "zanzibar", "pondering"


def texts_of(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, text) of everything that a recording holds: every byte, and every string of every table."""
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        yield file.name, file.read_bytes().decode("latin-1")
        if file.suffix == ".parquet":
            with duckdb.connect() as database:
                for row in database.sql(f"select * from read_parquet('{file}')").fetchall():
                    yield file.name, " ".join(str(cell) for cell in row)


def holding(ran: Ran, words: tuple[str, ...]) -> set[tuple[str, str]]:
    """(where, word) for each of the words that lies in the recording or in what is printed."""
    places = [*texts_of(ran.folder), ("json", to_json(ran.result).decode()), ("csv", to_csv(ran.result))]
    return {(where, word) for where, text in places for word in words if word in text}


def secret_run(run: Run, url: str, **fields: object) -> Ran:
    url = url.replace("http://", f"http://{USER}:{PASSWORD}@") + f"/v1?token={QUERY}&x=1"
    return run(url, headers={"X-Secret": HEADER}, **fields)


def test_a_secret_that_a_long_message_cuts_in_two_is_hidden_too(run: Run) -> None:
    """Long errors are shortened: no part of a secret may be left at the end."""
    ways: list[list[Step]] = []
    for cut in range(len(HEADER) + 1):
        ways.append([json_reply({"error": {"message": "x" * (499 - cut) + HEADER + "y" * 100}}, 500)])
        ways.append(stream(event(token()), b"data: " + b"x" * (200 - cut) + HEADER.encode() + b"yyy\n\n"))
    with serve(lambda request: ways[request.number]) as server:
        ran = run(server.url, requests=len(ways), headers={"X-Secret": HEADER}, concurrency=8)
    assert ran.result.counts.run.failed == len(ways)
    assert holding(ran, (HEADER[:5],)) == set()


@pytest.mark.parametrize("where", ["models", "probe"])
def test_secrets_are_not_in_what_a_refusal_says(run: Run, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def refuse(request: Received) -> list[Step]:
        return [json_reply({"error": {"message": f"{request.path} {request.headers}"}}, 401)]

    with serve(**{where: refuse}) as server, pytest.raises(EndpointError) as caught:  # type: ignore[arg-type]
        secret_run(run, server.url, requests=1, concurrency=1)
    assert [secret for secret in SECRETS if secret in str(caught.value)] == []


def say(_: Received) -> list[Step]:
    return stream(
        event(delta(reasoning_content=f"{THOUGHT} ")), event(token(f"{ANSWER} ")), event(delta(finish="stop")),
        event(usage_event(2)), DONE,
    )  # fmt: skip


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"prompt": PROMPT}) + "\n")
    return str(file)


def test_without_being_asked_no_text_is_kept(run: Run, prompts: str) -> None:
    with serve(say) as server:
        ran = run(server.url, requests=4, prompts=prompts)
    assert ran.statuses == ["ok"] * 4
    assert PROMPT in json.dumps(server.load[0].json()), "the prompt was sent"
    assert holding(ran, ("quokka", ANSWER, THOUGHT)) == set()
    assert not list(ran.folder.glob("text-*"))


def test_nor_where_the_tokenizer_counts_or_a_stream_is_cut(run: Run, prompts: str) -> None:
    ways = [stream(event(token(f"{ANSWER} ")), event(delta(finish="stop")), DONE), stream(event(token(f"{ANSWER} ")))]
    with serve(lambda request: ways[request.number % 2]) as server:
        ran = run(server.url, requests=4, prompts=prompts)
    assert ran.statuses == ["ok", "failed"] * 2
    assert holding(ran, ("quokka", ANSWER)) == set()


def test_texts_are_kept_on_demand(run: Run, prompts: str) -> None:
    with serve(say) as server:
        ran = run(server.url, requests=2, prompts=prompts, keep_text=True)
    (part,) = ran.folder.glob("text-*.parquet")
    with duckdb.connect() as database:
        rows = database.sql(f"select request, body, content, reasoning from '{part}' order by 1").fetchall()
    assert [(row[0], row[2], row[3]) for row in rows] == [(n, f"{ANSWER} ", f"{THOUGHT} ") for n in range(2)]
    assert {row[0]: json.loads(row[1]) for row in rows} == {r.number: r.json() for r in server.load}


def test_texts_that_were_cut_are_kept_as_far_as_they_came(run: Run) -> None:
    with serve(lambda _: [*clean(3, text=ANSWER)[:7], HANG]) as server:
        ran = run(server.url, requests=1, concurrency=1, keep_text=True, timeout_s=0.4)
    assert ran.kinds() == {"timeout": 1}
    assert any(ANSWER * 3 in text for _, text in texts_of(ran.folder))

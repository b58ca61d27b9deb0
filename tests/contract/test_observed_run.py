"""Whole runs with something to watch beside them: one clock, dead and slow exporters, secrets, flags."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib.metadata import version
from itertools import count
from typing import Any

import numpy as np
import pytest
from contract_runs import Ran, Run, short_spec
from engine_client import start_engine
from scripted import CLOSE, HANG, MODEL, Received, Step, clean, json_reply, serve

from loadcell.cli import run as command
from loadcell.cli.replay import find_recorded
from loadcell.errors import UsageError
from loadcell.spec import Spec

pytestmark = pytest.mark.usefixtures("alone")

MS = 1_000_000
LIST = json_reply({"data": [{"id": MODEL}]})
Looks = list[tuple[int, int, str | None]]


def page(text: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text.encode())


def exporter(answer: Callable[[Received], Iterable[Step]]) -> Callable[[Received], Iterable[Step]]:
    return lambda request: [LIST] if request.path.endswith("/models") else answer(request)


def looks_of(ran: Ran, name: str) -> tuple[int, Looks]:
    """Number of a source, and its looks: start, end, error."""
    (number,) = [k for k, source in enumerate(ran.recording.sources) if source.name.startswith(name)]
    table = ran.recording.looks()
    mine = table["source"] == number
    return number, list(zip(*(table[key][mine].tolist() for key in ("start_ns", "end_ns", "error")), strict=True))


def test_looks_and_events_are_on_one_clock(run: Run) -> None:
    """What the engine had generated lies between what was received before the look and what was soon after it."""
    with ExitStack() as stack:
        engine = start_engine(stack, "--ttft", "20ms", "--itl", "5ms", "--slots", "16")
        url = f"http://127.0.0.1:{engine.port}"
        ran = run(url, concurrency=8, duration_s=1.6, keep_load=False, output_tokens="40", every_s=0.2, host=False)
    number, looks = looks_of(ran, "http://127.0.0.1")
    looks = [look for look in looks if look[2] is None]  # on a busy machine, one may be late
    generated = ran.recording.series(["vllm:generation_tokens_total"])["value"]
    assert number == 0 and len(generated) == len(looks) >= 5
    assert looks[0][1] < 0, "the first look comes before the load"
    parts = list(ran.recording.chunks(("t_ns", "tokens")))
    times = np.concatenate([part["t_ns"] for part in parts])
    tokens = np.concatenate([part["tokens"] for part in parts])

    def received(until_ns: float) -> float:
        return float(tokens[times <= until_ns].sum())

    for (start, end, _), total in zip(looks, generated - generated[0], strict=True):
        assert received(start) <= total <= received(end + 50 * MS)
    assert total == received(np.inf) > 500
    assert times.max() < looks[-1][0]


def test_an_exporter_that_vanishes_and_returns_leaves_a_gap_and_the_load_alone(run: Run) -> None:
    turn = count()

    def moody(_: Received) -> list[Step]:
        return [CLOSE] if 3 <= next(turn) <= 5 else [page("a 1\n")]

    with serve(lambda _: clean(4, gap_s=0.005)) as server, serve(models=exporter(moody)) as other:
        ran = run(server.url, duration_s=1.6, keep_load=False, urls=[other.url], every_s=0.2, gpu="none")
    assert set(ran.statuses) == {"ok"}
    number, looks = looks_of(ran, other.url)
    errors = [error for *_, error in looks]
    gone = [k for k, error in enumerate(errors) if error and "closed the connection" in error]
    fine = [k for k, error in enumerate(errors) if error is None]
    assert len(gone) == 3 and fine[0] < gone[0] and gone[-1] < fine[-1]
    values = ran.recording.series(["a"])
    assert values["source"].tolist() == [number] * len(fine) and set(values["value"]) == {1.0}


def test_a_page_that_was_asked_for_is_watched_though_it_is_not_there_yet(run: Run) -> None:
    turn = count()
    later = exporter(lambda _: [CLOSE] if next(turn) < 2 else [page("a 1\n")])
    with serve(lambda _: clean(4, gap_s=0.005)) as server, serve(models=later) as other:
        ran = run(server.url, duration_s=0.8, metrics_url=other.url, every_s=0.2, gpu="none", host=False)
    _, looks = looks_of(ran, other.url)
    assert looks[0][2] and "closed the connection" in looks[0][2] and looks[-1][2] is None
    assert any("no server metrics" in note for note in ran.result.notes), "those before and after the load"


def test_an_exporter_that_keeps_silent_changes_neither_the_run_nor_its_length(run: Run) -> None:
    with serve() as server, serve(models=exporter(lambda _: [HANG])) as other:
        ran = run(server.url, requests=4, urls=[other.url])
    assert ran.statuses == ["ok"] * 4
    _, looks = looks_of(ran, other.url)
    assert looks and all(error for *_, error in looks)
    assert ran.recording.series()["source"].tolist().count(0) == 0, "nothing is made up"
    last = max(row["end_ns"] for row in ran.rows)
    assert (ran.manifest.ended_ns or 0) < last + 3000 * MS and ran.manifest.state == "complete"
    assert (ran.manifest.ended_ns or 0) <= looks[-1][1], "the wait for the last look is not part of the run"


def test_a_run_says_what_it_watched(run: Run) -> None:
    with serve(models=exporter(lambda _: [page("a 1\n")])) as server:
        ran = run(server.url, requests=2, gpu="none")
        nothing = run(server.url, requests=2, every_s=0)
    sources = [(source.kind, source.name) for source in ran.recording.sources]
    assert sources == [("prometheus", f"{server.url}/metrics"), ("host", "this machine")]
    assert ran.recording.environment["libraries"]["psutil"] == version("psutil")
    assert nothing.recording.sources == []
    assert not any(list(nothing.folder.glob(f"{kind}*")) for kind in ("looks", "series", "sources"))


def test_secrets_that_pages_echo_are_nowhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-topsecret0")
    secrets = (
        "sk-topsecret0", "zq-header1", "page-pass2", "page-token3", "cGFnZS11c2VyOnBhZ2UtcGFzczI", "own-pass4",
        "b3duLXVzZXI6b3duLXBhc3M0",
    )  # fmt: skip

    def echo(request: Received) -> list[Step]:
        said = json.dumps({**request.headers, "path": request.path}).replace("\\", "\\\\").replace('"', '\\"')
        return [page(f'# {said}\nwho{{said="{said}"}} 1\n')]

    with serve(models=exporter(echo)) as server, serve(models=exporter(echo)) as other:
        url = other.url.replace("127.0.0.1", "page-user:page-pass2@localhost") + "/?t=page-token3"
        own = server.url.replace("127.0.0.1", "own-user:own-pass4@localhost")
        headers = {"X-Secret": "zq-header1"}
        ran = run(server.url, requests=2, headers=headers, urls=[url, server.url], metrics_url=own, gpu="none")
    sent = [str(request.headers) + request.path for request in (*server.received, *other.received)]
    assert all(any(secret in text for text in sent) for secret in secrets if "-pass" not in secret), (
        "the servers saw them"
    )
    labels = ran.recording.series(["who"])["labels"].tolist()
    assert len(labels) >= 6 and list(ran.folder.glob("*.prom")) and all("redacted" in label for label in labels)
    kept = [*labels, *(file.read_bytes().decode("latin-1") for file in ran.folder.iterdir())]
    assert [secret for secret in secrets if any(secret in text for text in kept)] == []


# --- what is asked for -----------------------------------------------------------------------------------------------


def spec_of(*words: str) -> Spec:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    args = parser.parse_args(words)
    return command.read_spec(args, find_recorded(args.target))


def test_the_flags_of_watching() -> None:
    spec = spec_of(
        "http://x", "--metrics-url", "none", "--observe-every", "500ms",
        "--observe-url", "http://a:1", "--observe-url", "https://b/m?t=1",
    )  # fmt: skip
    assert spec.endpoint.metrics_url == "none"
    assert (spec.observe.every_s, spec.observe.urls) == (0.5, ["http://a:1", "https://b/m?t=1"])
    assert spec_of("http://x").observe.urls == []


@pytest.mark.parametrize(
    "fields", [{"every_s": 0.01}, {"every_s": -1}, {"urls": ["ftp://a:1"]}, {"urls": ["http://"]}, {"gpu": "amd"}]
)
def test_what_cannot_be_watched_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        short_spec("http://127.0.0.1:1", **fields)


def test_a_page_with_credentials_is_named_again_to_run_again(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, requests=1, concurrency=1, urls=["http://u:some-word@127.0.0.1:9/"])
    with pytest.raises(UsageError, match="--observe-url"):
        spec_of(str(ran.folder))
    assert spec_of(str(ran.folder), "--observe-url", "http://a:1").observe.urls == ["http://a:1"]

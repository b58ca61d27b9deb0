"""Several endpoints and models in one run: each asked, each dealt its share, each with its own figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from contract_runs import Run
from scripted import MODEL, RESET, Received, Step, json_reply, ok, serve
from small_engine import engine, truth_of

from loadcell.cli.main import main
from loadcell.cli.run import configure, read_spec
from loadcell.errors import EndpointError, UsageError
from loadcell.load.ways import ways_of
from loadcell.metrics import build_result
from loadcell.metrics.model import Group
from loadcell.recording.query import ask
from loadcell.spec import build_spec

MS = 1e6


def p50(group: Group, name: str) -> float:
    value = group.latency[name].service.p50.value
    assert value is not None
    return value


@pytest.mark.usefixtures("alone")
def test_figures_of_each_endpoint_are_those_of_its_own_clock(run: Run) -> None:
    """Two engines of different timing, which stamp what they send: the witness of each class."""
    slow, fast = ("--ttft", "40ms", "--itl", "4ms"), ("--ttft", "10ms", "--itl", "1ms")
    with engine(*fast) as one, engine(*slow) as other:
        ran = run(one, also=[f"{other}=2"], rate=40.0, requests=120, output_tokens="6", keep_text=False, ttft_ms=10_000)
        truths = [truth_of(one), truth_of(other)]
    assert ran.statuses == ["ok"] * 120
    rows = {row["request"]: row for row in ran.rows}
    schedule = ran.recording.schedule(("request", "class"))
    for kind, (group, truth) in enumerate(zip(ran.result.classes, truths, strict=True)):
        numbers = [int(record["id"].rpartition("-")[2]) for record in truth]
        assert sorted(numbers) == schedule["request"][schedule["class"] == kind].tolist(), (
            "the schedule says who gets it"
        )
        assert {rows[number]["class"] for number in numbers} == {kind}
        assert group.counts.run.planned == group.counts.run.ok == len(truth)
        # By the engine's own stamps no request can have been faster, and most were hardly slower.
        ttft = np.array([record["tokens_ns"][0] - record["arrival_ns"] for record in truth]) / MS
        measured = np.array([rows[number]["first_any_ns"] - rows[number]["send_start_ns"] for number in numbers]) / MS
        assert (measured > ttft - 0.5).all()  # two clocks are a little apart
        decode = [(record["tokens_ns"][-1] - record["tokens_ns"][0]) / 5 for record in truth]
        shown = [(rows[number]["last_ns"] - rows[number]["first_any_ns"]) / 5 for number in numbers]
        assert np.median(shown) == pytest.approx(np.median(decode), rel=0.25)
    fast_one, slow_one = ran.result.classes
    assert p50(slow_one, "ttft_ms") > 40 and p50(fast_one, "ttft_ms") > 10
    assert p50(slow_one, "ttft_ms") > p50(fast_one, "ttft_ms") and p50(slow_one, "tpot_ms") > p50(fast_one, "tpot_ms")
    assert sum(group.counts.run.planned for group in ran.result.classes) == ran.result.counts.run.planned == 120
    assert [group.share for group in ran.result.classes] == pytest.approx([1 / 3, 2 / 3])


def test_every_model_is_asked_for_by_its_name(run: Run) -> None:
    with serve(models=lambda _: [json_reply({"data": [{"id": "base"}, {"id": "lora"}]})]) as server:
        ran = run(server.url, models={"base": 1.0, "lora": 1.0, "ghost": 2.0}, requests=40, deal="round-robin")
    kinds = ran.recording.schedule(("class",))["class"].tolist()
    sent = {request.number: request.json()["model"] for request in server.load}
    assert [sent[number] for number in range(40)] == [["base", "lora", "ghost"][kind] for kind in kinds]
    assert [kinds.count(kind) for kind in range(3)] == pytest.approx([10, 10, 20], abs=2)
    assert [group.name for group in ran.result.classes] == ["base", "lora", "ghost"]
    assert any("does not list the model ghost" in note for note in ran.result.notes)
    assert ran.result.methodology.bodies_hash is not None


@pytest.mark.parametrize("deal", ["weights", "round-robin"])
def test_endpoints_and_models_are_dealt_whatever_the_workers(run: Run, deal: str) -> None:
    with serve() as one, serve() as other:
        settings: dict[str, Any] = {"also": [f"{other.url}=3"], "deal": deal, "requests": 60, "salt": "s", "seed": 5}
        ran = [run(one.url, workers=workers, concurrency=4, **settings) for workers in (1, 2)]
    assert ran[0].manifest.schedule_hash == ran[1].manifest.schedule_hash
    assert [row["class"] for row in ran[0].rows] == [row["class"] for row in ran[1].rows]
    for one_run in ran:
        assert sum(group.counts.run.ok for group in one_run.result.classes) == 60
        numbers = [row["connection"] for row in one_run.rows if row["worker"] == 0]
        kinds = [row["class"] for row in one_run.rows if row["worker"] == 0]
        assert len(set(zip(numbers, kinds, strict=True))) == len(set(numbers)), "no connection has two endpoints"


def test_tls_and_plain_endpoints_of_different_names(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("secure.test").configure_cert(context)
    with serve() as plain, serve(context=context) as sealed:
        pins = [f"secure.test:{sealed.port}:127.0.0.1", f"open.test:{plain.port}:127.0.0.1"]
        ran = run(
            f"https://secure.test:{sealed.port}", also=[f"http://open.test:{plain.port}"], resolve=pins,
            ca_file=str(tmp_path / "ca.pem"), requests=30, headers={"X-Secret": "s3cret-value-0123"},
        )  # fmt: skip
    assert ran.statuses == ["ok"] * 30 and len(plain.load) + len(sealed.load) == 30 and plain.load and sealed.load
    assert {request.headers["host"] for request in plain.load} == {f"open.test:{plain.port}"}
    assert all("x-secret" in request.headers for request in sealed.received)
    assert not any("x-secret" in request.headers for request in plain.received), "it was given for the other host"
    assert "s3cret" not in "".join(file.read_text(errors="replace") for file in ran.folder.glob("*.json"))


def test_a_key_goes_to_the_host_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai-s3cret-0123")
    monkeypatch.setenv("THEIRS", "theirs-s3cret-4567")

    def sent(url: str, *also: Any, **classes: Any) -> list[str | None]:
        spec = build_spec({"endpoint": {"url": url}, "classes": {"also": list(also), **classes}})
        return [way.target.headers.get("Authorization") for way in ways_of(spec)]

    key, theirs = "Bearer openai-s3cret-0123", "Bearer theirs-s3cret-4567"
    assert sent("https://a:1", "https://a:2", "https://b", "http://a:3") == [key, key, None, None]
    assert sent("http://a:1", "http://b", "https://a:2", share_key=True) == [key, key, key]
    assert sent("http://a:1", {"url": "http://b", "api_key_env": "THEIRS"}, "http://c") == [key, theirs, None]


def test_an_endpoint_that_is_down_is_named_and_nothing_is_sent(run: Run, tmp_path: Path) -> None:
    with serve() as up:
        with serve() as gone:
            pass
        with pytest.raises(EndpointError, match=f"cannot connect to {gone.url}"):
            run(up.url, also=[gone.url], requests=5)
        assert not up.load

        def wants_a_key(_: Received) -> list[Step]:
            return [json_reply({"error": {"message": "who are you"}}, 401)]

        with (
            serve(models=wants_a_key, probe=wants_a_key) as closed,
            pytest.raises(EndpointError, match=rf"127.0.0.1:{closed.port}: .*401"),
        ):
            run(up.url, also=[closed.url], requests=5)
        with (
            serve(
                models=lambda _: [json_reply({"data": [{"id": "other"}]})], probe=lambda _: [json_reply({}, 404)]
            ) as odd,
            pytest.raises(EndpointError, match=f"{odd.url} has no model '{MODEL}'"),
        ):
            run(up.url, also=[odd.url], model=MODEL, requests=5)
        assert not up.load


def test_who_fails_costs_the_others_nothing(run: Run) -> None:
    with serve() as good, serve(lambda _: [RESET]) as bad:
        ran = run(good.url, also=[f"{bad.url}"], rate=100.0, requests=60, max_failures=1.0)
    one, other = ran.result.classes
    assert one.counts.run.failed == 0 and one.counts.run.ok == one.counts.run.planned
    assert other.counts.run.ok == 0 and other.failures == {"reset": other.counts.run.failed}
    assert other.counts.run.failed == ran.result.counts.run.failed
    assert any(check.name == "class" and other.name in check.says for check in ran.result.verdict.checks)


def test_limits_by_class_and_its_names_in_sql(run: Run, tmp_path: Path) -> None:
    with serve(lambda r: [0.05, *ok(r)]) as slow, serve() as fast:
        name = f"127.0.0.1:{slow.port}"
        ran = run(fast.url, also=[slow.url], requests=40, ttft_ms=10_000, slo_of={name: "ttft=1ms"})
    goods = {group.name: group.goodput for group in ran.result.classes}
    assert goods[name] is not None and goods[name].good == 0
    other = next(group for group in ran.result.classes if group.name != name)
    assert other.goodput is not None and ran.result.goodput is not None
    assert ran.result.goodput.good == other.goodput.good == other.counts.window.ok
    sql = "select class_name, class_endpoint, class_model, count(*) from requests group by all order by 1"
    with ask(sql, [ran.folder], spill=tmp_path, window_of=lambda _: (0, 0, 0), warn=print) as answer:
        rows = [row for batch in answer.batches for row in batch]
    assert rows == sorted((g.name, g.endpoint, MODEL, g.counts.run.planned) for g in ran.result.classes)
    assert build_result(ran.recording) == ran.result


def test_it_is_run_again_as_recorded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openai-s3cret-0123")
    with serve() as one, serve() as other:
        ran = run(one.url, also=[f"{other.url}=2"], requests=8)
        again = _read(str(ran.folder), "--trust")
        assert again.classes == ran.recording.spec.classes
        with pytest.raises(UsageError, match=f"to {one.url}, {other.url}: add --trust"):
            _read(str(ran.folder))
        with pytest.raises(UsageError, match="add --trust"):  # the other URL is the recording's
            _read(str(ran.folder), "--set", f"endpoint.url={one.url}", "--api-key-env", "OPENAI_API_KEY")
        out = tmp_path / "again"
        flags = ["--trust", "--output", str(out), "--json", "--no-html"]
        assert main(["run", str(ran.folder), *flags]) in (0, 3, 4)
    told = json.loads((out / "recording.json").read_text())
    assert told["schedule_hash"] == ran.manifest.schedule_hash and told["bodies_hash"] == ran.manifest.bodies_hash


def test_flags_of_the_command_line() -> None:
    spec = _read(
        "http://a", "--also", "b:8000=2", "--also", "https://c", "--models", "m=0.7,n=0.3", "--deal", "round-robin",
        "--share-key", "--slo", "e2e=9s", "--slo-of", "m=ttft=500ms,tpot=30ms",
    )  # fmt: skip
    assert [(one.url, one.weight) for one in spec.classes.also] == [("http://b:8000", 2.0), ("https://c", 1.0)]
    assert spec.classes.models == {"m": 0.7, "n": 0.3} and spec.classes.share_key
    limits = {one.model: one.slo.limits for one in spec.dealt}
    assert limits == {"m": {"ttft_ms": 500, "tpot_ms": 30}, "n": {"e2e_ms": 9000}}
    with pytest.raises(UsageError, match="twice"):
        _read("http://a", "--models", "m,n", "--slo-of", "m=ttft=1s", "--slo-of", "m=e2e=1s")


def _read(*words: str) -> Any:
    parser = argparse.ArgumentParser()
    configure(parser)
    args = parser.parse_args(list(words))
    from loadcell.cli.replay import find_recorded

    return read_spec(args, find_recorded(args.target))

"""Loads of APIs that generate nothing, against the engine, which knows what it did, and against servers that err."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import plain_figures as plain
import pytest
from contract_runs import Run, ask, short_spec
from scripted import Received, json_reply, serve
from small_engine import engine
from test_apis import truth_of

from loadcell.cli.main import main
from loadcell.errors import EndpointError, UsageError
from loadcell.metrics import build_result
from loadcell.metrics.interval import INTERVAL_DEFINITION
from loadcell.spec import Slo, build_spec

MS = 1e6
TTFT_MS, RATE = 12, 10_000  # prompt tokens a second
PACE = ("--ttft", f"{TTFT_MS}ms", "--prefill-rate", str(RATE), "--slots", "4")
every_api = pytest.mark.parametrize("api", ["embeddings", "rerank", "tei-rerank", "score", "pooling"])
PATHS = {"embeddings": "/v1/embeddings", "rerank": "/v1/rerank", "tei-rerank": "/rerank", "score": "/score",
         "pooling": "/pooling"}  # fmt: skip
EMBEDS = ("embeddings", "pooling")
NEVER = ("ttft", "ttfa", "tpot", "ntpot", "itl")


def entries(request: Received) -> Any:
    """A right reply to a request of any of them."""
    body = request.json()
    if "input" in body:
        data = [{"index": i, "embedding": [0.5]} for i in range(len(body["input"]))]
        return {"data": data, "usage": {"prompt_tokens": 4 * len(data)}}
    texts = body.get("documents", body.get("texts", body.get("text_2")))
    ranked = [{"index": i, "relevance_score": 0.5, "score": 0.5} for i in range(len(texts))][: body.get("top_n")]
    return ranked if "texts" in body else {"results": ranked, "usage": {"total_tokens": 7 * len(texts)}}


@every_api
def test_a_load_is_what_the_engine_says_it_was(run: Run, alone: None, api: str) -> None:
    with engine(*PACE) as url:
        ran = run(url, requests=40, concurrency=4, input_tokens="uniform:4,30", inputs="uniform:1,6", api=api)
        truth = truth_of(url)
    assert ran.statuses == ["ok"] * 40 and [record["outcome"] for record in truth] == ["ok"] * 40
    assert all(record["pooled"] and record["tokens_ns"] == [] and not record["completion_tokens"] for record in truth)
    for row, record in zip(ran.rows, truth, strict=True):
        assert 1 <= row["inputs"] == row["results"] <= 6
        assert row["input_tokens"] == record["prompt_tokens"]
        assert row["prompt_tokens"] == (None if api == "tei-rerank" else record["prompt_tokens"])
        for name in ("output_tokens", "asked_tokens", "usage_tokens", "token_source", "first_any_ns", "first_answer_ns",
                     "first_tokens", "finish_reason"):  # fmt: skip
            assert row[name] is None, name
    took = np.array([record["end_ns"] - record["arrival_ns"] for record in truth])
    due = TTFT_MS * MS + np.array([row["input_tokens"] for row in ran.rows]) / RATE * 1e9
    assert np.median(took - due) < 10 * MS and (took >= due - MS).all()
    assert ran.result.latency["e2e_ms"].service.mean == pytest.approx(took.mean() / MS, abs=1.5)
    assert len({row["connection"] for row in ran.rows}) == 4, "each end was seen, and its connection used again"


@every_api
def test_nothing_of_an_output_is_in_a_result(
    run: Run, api: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with engine(*PACE) as url:
        ran = run(url, requests=40, concurrency=4, api=api, e2e_ms=1000)
    found, rates = ran.result, ran.result.throughput
    assert set(found.latency) == {"e2e_ms"} and found.replies is None and not rates.user_tokens_per_s
    none = (
        "output_tokens_per_s",
        "output_tokens_interval",
        "total_tokens_per_s",
        "failed_tokens_per_s",
        "chunks_per_token",
    )
    assert [getattr(rates, name) for name in none] == [None] * 5
    assert rates.inputs_per_s and rates.requests_per_s and rates.input_tokens_per_s
    assert rates.inputs_per_s == pytest.approx(rates.requests_per_s * (1 if api in EMBEDS else 10))
    assert found.goodput is not None and found.goodput.attainment.value == 1
    assert found.methodology.effective["max_tokens_field"] is None
    said = {check.name for check in found.verdict.checks}
    assert not said & {"token_closure", "short_outputs", "at_once", "server_ttft", "usage"}
    assert {"failures", "budget", "e2e_budget", "rates_budget", "prompt_tokens"} & said >= {"failures", "e2e_budget"}
    said_of = " ".join([*found.verdict.reasons, *found.notes])
    assert not any(name in said_of for name in ("TTFT", "TPOT", "ITL", "utput token", "not streamed")), said_of
    run_folder = str(ran.folder)
    for words in (["report", run_folder], ["report", run_folder, "--full"], ["report", run_folder, "--md"]):
        main(words)
        shown = capsys.readouterr().out.replace(INTERVAL_DEFINITION, "")
        assert "E2E" in shown and "inputs/s" in shown
        told = api != "tei-rerank" or "--md" in words
        assert ("input tokens/s, as planned" in " ".join(shown.split())) != told
        assert not any(name in shown for name in ("TTFT", "TPOT", "ITL", "output tokens", "tokens out")), shown
    main(["report", run_folder, "--csv"])
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert "inputs_per_s" in {line[0] for line in lines}
    assert not {line[0] for line in lines} & {*NEVER, "output_tokens_per_s", "user_tokens_per_s", "chunks_per_token"}
    main(["report", run_folder, "--html"])
    page = (ran.folder / "report.html").read_text()
    assert "inputs/s" in page and "E2E" in page


def test_inputs_a_second_agree_with_the_files(run: Run) -> None:
    """Once more from the Parquet, by no line of the project's."""
    with engine(*PACE) as url:
        ran = run(url, concurrency=4, duration_s=3.0, inputs="uniform:1,9", api="embeddings")
    rates = ran.result.throughput
    low, high = (rates.from_s or 0) * 1e9, (rates.to_s or 0) * 1e9
    inputs = tokens = 0.0
    for row in plain.read(ran.folder, "requests"):
        if row["status"] == "ok" and row["counted"] is not False:
            begin, end = row["send_start_ns"], row["end_ns"]
            part = max(0, min(end, high) - max(begin, low)) / (end - begin)
            inputs, tokens = inputs + part * row["inputs"], tokens + part * row["prompt_tokens"]
    assert rates.inputs_per_s == pytest.approx(inputs / (high - low) * 1e9, rel=1e-9)
    assert rates.input_tokens_per_s == pytest.approx(tokens / (high - low) * 1e9, rel=1e-9)
    assert rates.inputs_interval is not None and rates.inputs_budget is not None
    assert rates.inputs_interval.low < rates.inputs_per_s < rates.inputs_interval.high
    (told,) = duckdb.sql(f"select sum(inputs), count(output_tokens) from '{ran.folder}/schedule.parquet'").fetchall()
    assert told[0] > 0 and told[1] == 0


@every_api
def test_what_is_sent(run: Run, api: str) -> None:
    with serve(
        lambda request: [json_reply(entries(request))], probe=lambda request: [json_reply(entries(request))]
    ) as server:
        ran = run(server.url, requests=6, api=api, inputs="3", input_tokens="8", model="m")
    assert ran.statuses == ["ok"] * 6
    for request in server.load + server.probes:
        assert request.path == PATHS[api]
        body = request.json()
        assert set(body) == {
            "embeddings": {"model", "input"}, "rerank": {"model", "query", "documents"}, "pooling": {"model", "input"},
            "tei-rerank": {"query", "texts"}, "score": {"model", "text_1", "text_2"},
        }[api]  # fmt: skip
    texts = [
        tuple(request.json().get(key) or ())
        for request in server.load
        for key in ("input", "documents", "texts", "text_2")
    ]
    texts = [text for group in texts for text in group]
    assert len(texts) == 18 == len(set(texts))
    queries = {request.json().get("query", request.json().get("text_1")) for request in server.load}
    assert queries == {None} if api in EMBEDS else len(queries) == 6


def test_lengths_are_the_servers_own(run: Run) -> None:
    """A server that adds two tokens to each text, and counts 1.5 of ours: what was planned is what it counts."""

    def counting(request: Received) -> list[bytes]:
        body = request.json()
        query = body.get("query", "")
        count = sum(2 + int(1.5 * len(text.split())) + int(1.5 * len(query.split())) for text in body["documents"])
        ranked = [{"index": i, "relevance_score": 0.5} for i in range(len(body["documents"]))]
        return [json_reply({"results": ranked, "usage": {"total_tokens": count}})]

    with serve(counting, probe=counting) as server:
        ran = run(server.url, requests=60, api="rerank", inputs="4", input_tokens="32", query_tokens="12", model="m")
    assert ran.result.methodology.effective["template_tokens"] in (2, 3)
    ratio = ran.result.instrument.tokens.prompt_ratio
    assert ratio == pytest.approx(1, abs=0.03)
    assert {row["input_tokens"] for row in ran.rows} == {4 * (32 + 12)}


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "rows", "inputs", "results"),
    [
        (
            "embeddings",
            ["one text", {"input": "two words"}, {"input": ["a b", "c"]}, {"input": [5, 6, 7]}],
            [1, 1, 2, 1],
            None,
        ),
        (
            "embeddings",
            [{"body": {"input": ["a", "b"], "user": "me"}, "url": "/v1/embeddings", "custom_id": "x"}],
            [2],
            None,
        ),
        ("embeddings", [{"text": "a title"}, {"texts": ["a", "b"], "encoding_format": "base64"}], [1, 2], None),
        (
            "rerank",
            [{"query": "who", "documents": ["a", "b c"]}, {"query": "q", "documents": [{"text": "a"}]}],
            [2, 1],
            None,
        ),
        ("rerank", [{"query": "who", "documents": ["a", "b", "c"], "top_n": 2}], [3], [2]),
        ("tei-rerank", [{"query": "who", "texts": ["a", "b"]}, {"query": "who", "documents": ["a"]}], [2, 1], None),
        ("score", [{"query": "who", "documents": ["a"]}, {"text_1": "who", "text_2": ["a", "b"]}], [1, 2], None),
        ("pooling", [{"input": ["a", "b"]}], [2], None),
    ],
)
def test_rows_of_a_file_pass_as_they_are(
    run: Run, tmp_path: Path, api: str, rows: list[Any], inputs: list[int], results: list[int] | None
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with engine() as url:
        ran = run(url, requests=len(rows), concurrency=1, api=api, prompts=str(file), keep_text=True)
    assert ran.statuses == ["ok"] * len(rows), ran.result.errors
    assert [row["inputs"] for row in ran.rows] == inputs
    assert [row["results"] for row in ran.rows] == (results or inputs)
    bodies = (
        [json.loads(body) for body in ran.recording.text(("body",))["body"]] if hasattr(ran.recording, "text") else []
    )
    for sent, row in zip(bodies, rows, strict=False):
        asked = row.get("body", row) if isinstance(row, dict) else {"input": row}
        values = [value for key, value in asked.items() if key not in ("url", "custom_id")]
        assert all(value in sent.values() for value in values)


@pytest.mark.parametrize(
    ("api", "row", "words"),
    [
        ("embeddings", {"messages": []}, 'nothing to send: it must have "input"; found messages'),
        ("embeddings", {"input": ["a", ""]}, "its 'input' must be a text, a list of texts, token ids"),
        ("embeddings", {"input": {"text": "a"}}, "its 'input' must be a text"),
        ("rerank", {"documents": ["a"]}, "its 'query' must be a text, found null"),
        ("rerank", {"query": "q", "documents": "a"}, "its 'documents' must be a list of texts"),
        ("rerank", {"query": "q", "documents": [{"title": "a"}]}, "its 'documents' must be a list of texts"),
        ("rerank", 5, 'a line must be a JSON object with "query" and "documents", found 5'),
    ],
)
def test_rows_that_no_server_takes_are_refused_in_words(tmp_path: Path, api: str, row: Any, words: str) -> None:
    from loadcell.spec import with_defaults
    from loadcell.workload import plan

    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError) as caught:
        plan(with_defaults(short_spec("http://localhost:1", api=api, prompts=str(file), requests=1)))
    assert words in str(caught.value) and str(caught.value).startswith(f"{file}:1: ")


def test_a_table_holds_lists_as_text(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('query,documents,top_n\nwho,"[""a"", ""b"", ""c""]",2\n12,"[""a""]",1\n')
    with engine() as url:
        ran = run(url, requests=2, concurrency=1, api="rerank", prompts=str(file))
    assert ran.statuses == ["ok"] * 2
    assert [(row["inputs"], row["results"]) for row in ran.rows] == [(3, 2), (1, 1)]


# --- what goes wrong --------------------------------------------------------------------------------------------------


@every_api
def test_a_reply_that_lacks_a_result_has_failed(run: Run, api: str) -> None:
    def short(request: Received) -> list[bytes]:
        value = entries(request)
        held = value if isinstance(value, list) else value.get("data") or value.get("results")
        if request.number % 2:
            held.pop()
        return [json_reply(value)]

    with serve(short, probe=short) as server:
        ran = run(server.url, requests=10, api=api, inputs="3", model="m", max_failures=1.0)
    assert ran.kinds() == {"results": 5}
    (error,) = ran.result.errors
    assert error.sample == "the reply holds 2 results where 3 were asked for"
    assert error.advice and "one result for each input" in error.advice


@every_api
@pytest.mark.parametrize(("flag", "kind"), [("--cut-rate", "reset"), ("--stream-error-rate", "http_500")])
def test_what_the_engine_breaks_has_failed(run: Run, api: str, flag: str, kind: str) -> None:
    with engine("--ttft", "5ms", flag, "1") as url:
        ran = run(url, requests=4, api=api, model="loadcell-engine", max_failures=1.0)
    assert ran.kinds() == {kind: 4}
    assert ran.result.throughput.failed_tokens_per_s is None


@every_api
@pytest.mark.parametrize("status", [404, 405])
def test_a_server_that_lacks_it_is_told_the_path_that_was_tried(api: str, status: int) -> None:
    def lacking(request: Received) -> list[bytes]:
        return [json_reply({"error": {"message": f"no {request.path} here"}}, status)]

    with serve(probe=lacking) as server, pytest.raises(EndpointError) as caught:
        ask(server.url, api=api, model=None if api != "tei-rerank" else "m")
    said = str(caught.value)
    assert said.startswith(f"POST {server.url}{PATHS[api]} gave HTTP {status}: no {PATHS[api]} here; check the URL")
    assert "--api" in said and "\n" not in said


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, 'The model "llama" does not support Embeddings API'),
        (501, "This server does not support embeddings. Start it with `--embeddings`"),
    ],
)
def test_a_model_of_the_wrong_kind_is_told_in_the_servers_words(status: int, words: str) -> None:
    def wrong(_: Received) -> list[bytes]:
        return [json_reply({"error": {"message": words}}, status)]

    with serve(probe=wrong) as server, pytest.raises(EndpointError) as caught:
        ask(server.url, api="embeddings")
    assert f"gave HTTP {status}: {words}" in str(caught.value) and "\n" not in str(caught.value)


# --- what cannot be asked ---------------------------------------------------------------------------------------------

URL = {"endpoint": {"url": "http://localhost:8000", "api": "embeddings"}}


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (
            {"endpoint": {"stream": True}},
            "endpoint.stream: the embeddings API generates no text, its reply comes whole",
        ),
        ({"endpoint": {"ignore_eos": True}}, "endpoint.ignore_eos: the embeddings API generates no text"),
        ({"workload": {"output_tokens": "9"}}, "workload.output_tokens: the embeddings API generates no text"),
        ({"workload": {"query_tokens": "9"}}, "workload.query_tokens: the embeddings API has no query"),
        ({"workload": {"inputs": "none"}}, "'none' is not a token length"),
        ({"slo": {"ttft_ms": 500}}, "an SLO on TTFT is of generated tokens, and this API generates none"),
        ({"slo": {"tpot_ms": 50, "e2e_ms": 9}}, "an SLO on TPOT is of generated tokens"),
        ({"endpoint": {"api": "chat"}, "workload": {"inputs": 2}}, "workload.inputs is of APIs that generate nothing"),
        (
            {"endpoint": {"api": "chat"}, "workload": {"output_tokens": None}},
            "the chat API generates text: say how much",
        ),
    ],
)
def test_what_such_an_api_has_not_is_refused_in_words(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_spec({section: URL.get(section, {}) | tree.get(section, {}) for section in {*URL, *tree}})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_the_defaults_are_in_the_spec_and_a_spec_can_be_given_again() -> None:
    import msgspec

    for api, inputs, query in (("embeddings", "1", None), ("rerank", "10", "16"), ("tei-rerank", "10", "16")):
        spec = build_spec({"endpoint": {"url": "localhost:1", "api": api}})
        assert (spec.workload.inputs, spec.workload.query_tokens) == (inputs, query)
        assert spec.workload.output_tokens is None and not spec.endpoint.stream and not spec.workload.generates
        assert build_spec(msgspec.to_builtins(spec)) == spec


def test_inputs_of_the_workload_are_not_further_fields_too(run: Run) -> None:
    with pytest.raises(UsageError, match=r"endpoint\.extra_body holds input"):
        run("http://127.0.0.1:1", requests=1, api="embeddings", extra_body={"input": "x"})


def test_a_limit_on_ttft_is_refused_when_a_recording_is_judged(run: Run) -> None:
    with engine(*PACE) as url:
        ran = run(url, requests=4, api="embeddings")
    with pytest.raises(UsageError, match="an SLO on TTFT"):
        build_result(ran.recording, Slo(ttft_ms=500))
    assert build_result(ran.recording, Slo(e2e_ms=500)).goodput is not None


# --- other commands ---------------------------------------------------------------------------------------------------


def test_a_search_over_the_rate_goes_by_a_limit_on_e2e(
    tmp_path: Path, alone: None, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--api", "embeddings", "--inputs", "2", "--input-tokens", "8", "--slo", "e2e=100ms"]
    folder = str(tmp_path / "found")
    with engine("--ttft", "40ms", "--slots", "1") as url:  # 25 requests/s at most
        search = ["--rate", "2..80", "--attainment", "90%", "--max-time", "40s", "--width", "50%", "--no-html"]
        main(["sweep", url, *flags, *search, "--output", folder, "--json"])
    sweep = json.loads(capsys.readouterr().out)
    trials = [stage["trial"] for stage in sweep["stages"] if stage["ask"]["phase"] != "floor"]
    levels = [stage["ask"]["level"] for stage in sweep["stages"] if stage["ask"]["phase"] != "floor"]
    most, at_most = max(zip(levels, trials, strict=True), key=lambda one: one[0])
    assert most > 25 and at_most["missed"] and at_most["binding"] == "e2e_ms", "a queue grows there"
    assert all(level < 25 for level, trial in zip(levels, trials, strict=True) if trial["answer"] == "pass")
    points = [stage["point"] for stage in sweep["stages"] if stage["point"]]
    assert all(point["inputs_per_s"] and point["output_tokens_per_s"] is None for point in points)
    assert all(set(point["e2e_ms"]) and not point["ttft_ms"] for point in points)
    for words in (["report", folder], ["report", folder, "--md"], ["report", folder, "--csv"]):
        main(words)
        shown = capsys.readouterr().out
        assert "nputs/s" in shown or "inputs_per_s" in shown
        assert not any(name in shown for name in ("TTFT", "TPOT", "Tokens/s", "output tokens")), shown
    main(["report", folder, "--html"])


def test_two_runs_are_compared_by_what_they_have(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with engine("--ttft", "10ms") as url:
        one = run(url, requests=200, concurrency=4, api="embeddings", salt="a")
    with engine("--ttft", "20ms") as url:
        other = run(url, requests=200, concurrency=4, api="embeddings", salt="a")
    main(["compare", str(one.folder), str(other.folder), "--json", "--force"])
    told = json.loads(capsys.readouterr().out)
    keys = {f"{change['metric']}.{change['stat']}" for pair in told["pairs"] for change in pair["changes"]}
    assert {"e2e.p50", "inputs_per_s.mean", "requests_per_s.mean"} <= keys
    assert not any(key.startswith((*NEVER, "output_tokens")) for key in keys)


def test_sql_and_files_hold_the_inputs(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with engine(*PACE) as url:
        ran = run(url, requests=4, api="rerank", inputs="5", extra_body={"top_n": 2})
    asked = "select sum(inputs) as inputs, sum(results) as results, count(output_tokens) as made from requests"
    assert main(["query", asked, str(ran.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"inputs": 20, "results": 8, "made": 0}]


def test_a_recorded_run_can_be_made_again(run: Run, tmp_path: Path) -> None:
    with engine(*PACE) as url:
        ran = run(url, requests=4, api="rerank", inputs="5", salt="s")
        code = main(
            ["run", str(ran.folder), "--set", f"endpoint.url={url}", "--output", str(tmp_path / "again"), "--no-html"]
        )
    assert code in (0, 4)
    again = json.loads((tmp_path / "again" / "recording.json").read_text())
    assert again["bodies_hash"] == ran.manifest.bodies_hash and again["schedule_hash"] == ran.manifest.schedule_hash


def test_a_recorded_run_can_be_made_again_with_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"query": "who", "documents": ["a", "b"]}\n')
    again = ["--prompts", str(file), "--output", str(tmp_path / "again"), "--no-html"]
    with engine(*PACE) as url:
        ran = run(url, requests=4, api="rerank", inputs="5")
        again = ["run", str(ran.folder), "--set", f"endpoint.url={url}", *again]
        assert main([*again, "--inputs", "7"]) == 2
        assert main(again) in (0, 4)
    workload = json.loads((tmp_path / "again" / "spec.json").read_text())["workload"]
    assert workload["prompts"] == str(file) and not workload.get("inputs") and not workload.get("query_tokens")

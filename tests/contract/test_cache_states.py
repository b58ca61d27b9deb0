"""Prefixes and the state of the cache in whole runs, against an engine with a cache and against scripted servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from contract_runs import Ran, Run
from scripted import DONE, Received, Step, delta, event, json_reply, ok, serve, stream, token, usage
from small_engine import FAST, engine, truth_of

from loadcell.errors import EndpointError, UsageError

CACHE = (*FAST, "--cache-tokens", "1000000", "--cache-block", "1")
SHARED: dict[str, Any] = {
    "system_tokens": 30, "groups": 3, "tokens": "60", "input_tokens": "150", "requests": 24, "concurrency": 3,
    "keep_text": True,
}  # fmt: skip


def known_words(ran: Ran, url: str, before: list[list[str]]) -> list[int]:
    """Words of each request that earlier arrivals had as their beginning, by the bodies as they were recorded."""
    texts = dict(duckdb.sql(f"select request, body from '{ran.folder}/text-*.parquet'").fetchall())
    bodies = {number: " ".join(m["content"] for m in json.loads(texts[number])["messages"]).split() for number in texts}
    numbers = {record["id"]: int(record["id"].rpartition("-")[2]) for record in truth_of(url)}
    order = [numbers[record["id"]] for record in sorted(truth_of(url), key=lambda record: record["seq"])]
    root: dict[str, Any] = {}
    found = {}
    for number, words in [*((-1, words) for words in before), *((number, bodies[number]) for number in order)]:
        node, known, shared = root, True, 0
        for word in words:
            known = known and word in node
            shared += known
            node = node.setdefault(word, {})
        found[number] = min(shared, len(words) - 1)
    return [found[number] for number in sorted(numbers.values())]


def checks(ran: Ran) -> dict[str, str | None]:
    return {check.name: check.word for check in ran.result.verdict.checks}


def test_a_cold_cache_has_what_prompts_share_and_no_more(run: Run) -> None:
    with engine(*CACHE) as url:
        for _ in range(2):  # the same prompts again: only the reset keeps them from being known
            ran = run(url, cache="cold", salt="", **SHARED)
            known = known_words(ran, url, [])
            _forget(url)
    rows, found = ran.rows, ran.result.cache
    assert [row["cached_tokens"] for row in rows] == known, "by a trie of what was sent, in the order of arrival"
    assert found is not None and found.state == "cold" and found.intended_share is not None
    planned = ran.recording.schedule(("shared_tokens",))["shared_tokens"]
    assert 0 <= sum(known) - planned.sum() <= 2 * len(rows), "texts may begin alike by a word or two"
    by_usage, by_page = found.reported
    assert (by_usage.source, by_page.source) == ("usage", "page")
    assert by_usage.share == pytest.approx(sum(known) / (150 * 24)) == by_page.share
    assert found.intended_share == pytest.approx(planned.sum() / (150 * 24))
    assert by_usage.difference == pytest.approx(by_usage.share - found.intended_share)
    assert checks(ran)["missed_hits"] == checks(ran)["cached_prompts"] == "VALID"
    (told,) = ran.manifest.effective["cache"]
    assert (told["call"], told["status"], told["seen_by"]) == ("POST /reset_prefix_cache", 200, "usage")
    assert any("was emptied before the load" in note for note in ran.result.notes)


def test_prompts_that_a_cache_knows_from_before_are_no_part_of_the_plan(run: Run) -> None:
    with engine(*CACHE) as url:
        first, again = (run(url, salt="", **SHARED) for _ in range(2))
    assert checks(first)["cached_prompts"] == "VALID" and checks(again)["cached_prompts"] == "SUSPECT"
    assert again.result.cache is not None and again.result.cache.reported[0].share > 0.98
    assert "cache" not in again.manifest.effective


def test_a_warm_cache_has_what_is_shared_before_the_first_request(run: Run) -> None:
    with engine(*CACHE) as url:
        ran = run(url, cache="warm", **SHARED)
        truths = truth_of(url)
    assert min(row["cached_tokens"] for row in ran.rows) >= 90
    assert ran.result.cache is not None and ran.result.cache.intended_share == pytest.approx(90 / 150)
    assert len(truths) == 24, "what warms is no request of the load"
    (told,) = ran.manifest.effective["cache"]
    assert (told["requests"], told["tokens"]) == (3, 3 * 94)
    assert any("3 requests of 282 prompt tokens in all warmed" in note for note in ran.result.notes)


def test_a_cache_that_is_too_small_is_noted_with_the_figures(run: Run) -> None:
    small = (*FAST, "--cache-tokens", "64", "--cache-block", "16")
    with engine(*small) as url:
        ran = run(url, **SHARED)
    check = next(check for check in ran.result.verdict.checks if check.name == "missed_hits")
    assert check.word == "NOTED" and check.advice is not None and "evicted" in check.advice
    assert check.says.startswith("the server's cache had ")


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_share_of_hits_that_was_asked_for_is_reported(run: Run, share: float) -> None:
    with engine(*CACHE) as url:
        ran = run(url, hit_share=share, groups=3, input_tokens="200", requests=40)
    found = ran.result.cache
    assert found is not None and found.intended_share == pytest.approx(share, abs=0.006)
    assert found.reported[0].share == pytest.approx(share, abs=0.012)


def _forget(url: str) -> None:
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{url}/truth", method="DELETE"), timeout=10).close()


# --- resets -----------------------------------------------------------------------------------------------------------


class Cached:
    """A scripted server with a cache and some page: what a repeated prompt finds is what `left` says after a reset."""

    def __init__(self, pages: dict[str, bytes], answers: list[bytes], left: int = 0, tells: bool = True) -> None:
        self.pages, self.answers, self.left, self.tells = pages, answers, left, tells
        self.resets: list[str] = []
        self.known, self.refuses = False, 0

    def models(self, request: Received) -> list[Step]:
        if request.path in self.pages:
            return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.pages[request.path])
                    + self.pages[request.path]]  # fmt: skip
        if request.path.endswith("/models"):
            return [json_reply({"object": "list", "data": [{"id": "m", "object": "model"}]})]
        return [json_reply({}, 404)]

    def probe(self, request: Received) -> list[Step]:
        if not request.path.startswith("/v1/"):
            self.resets.append(request.path)
            self.known = False
            return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]
        if self.resets and self.refuses:
            self.refuses -= 1
            return [json_reply({}, 500)]
        cached = 70 if self.known else self.left
        self.known = True
        details = {"prompt_tokens_details": {"cached_tokens": cached}} if self.tells else {}
        last = {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": usage(1, 80) | details}
        return stream(event(token()), event(delta(finish="stop")), event(last), DONE)


VLLM, SGLANG = {"/metrics": b"vllm:num_requests_running 0\n"}, {"/get_model_info": b'{"model_path": "x"}'}
LLAMA = {"/props": b'{"total_slots": 3}'}
GOOD, BUSY = json_reply({}), json_reply({}, 400)


@pytest.mark.parametrize(
    ("pages", "answers", "calls"),
    [
        (VLLM, [GOOD], ["/reset_prefix_cache"] * 2),
        (VLLM, [json_reply({"success": False}), GOOD], ["/reset_prefix_cache"] * 3),
        (SGLANG, [BUSY, GOOD], ["/flush_cache"] * 3),
        (LLAMA, [GOOD], [f"/slots/{n}?action=erase" for n in range(3)] * 2),
        ({"/version": b'{"version": "0.13"}'}, [GOOD], ["/reset_prefix_cache"] * 2),
    ],
)
def test_each_engine_is_emptied_by_its_own_call(
    run: Run, pages: dict[str, bytes], answers: list[bytes], calls: list[str]
) -> None:
    script = Cached(pages, list(answers))
    with serve(ok, probe=script.probe, models=script.models) as server:
        ran = run(server.url, cache="cold", requests=4)
    assert script.resets == calls
    assert ran.manifest.effective["cache"][0]["seen_by"] == "usage"


@pytest.mark.parametrize(("refused", "seen_by", "emptied"), [(1, "usage", 3), (99, None, 5)])
def test_a_probe_that_is_refused_is_no_sign_of_an_empty_cache(
    run: Run, refused: int, seen_by: str | None, emptied: int
) -> None:
    script = Cached(VLLM, [GOOD])
    script.refuses = refused
    with serve(ok, probe=script.probe, models=script.models) as server:
        ran = run(server.url, cache="cold", requests=4)
    assert (ran.manifest.effective["cache"][0]["seen_by"], len(script.resets)) == (seen_by, emptied)
    unknown = "nothing that it tells says whether that helped"
    assert any(unknown in note for note in ran.result.notes) == (seen_by is None)


def test_a_call_that_is_named_is_made(run: Run) -> None:
    script = Cached({}, [GOOD], tells=False)
    with serve(ok, probe=script.probe, models=script.models) as server:
        ran = run(server.url, cache="cold", cache_reset=f"{server.url}/empty?key=secret", requests=4)
    assert script.resets == ["/empty?key=secret"] * 2
    assert ran.manifest.effective["cache"][0]["call"] == "POST /empty"
    assert "secret" not in (ran.folder / "recording.json").read_text() + (ran.folder / "spec.json").read_text()
    assert any("nothing that it tells says whether that helped" in note for note in ran.result.notes)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (lambda: Cached(VLLM, [json_reply({}, 404)]), "VLLM_SERVER_DEV_MODE=1"),
        (lambda: Cached(LLAMA, [json_reply({"error": "no"}, 501)]), "--slot-save-path DIR"),
        (lambda: Cached(VLLM, [GOOD], left=64), "64 tokens of a prompt that it knew were still in its cache"),
        (lambda: Cached({}, [GOOD]), "does not tell which engine it is (vLLM, SGLang, llama.cpp)"),
    ],
)
def test_a_cache_that_cannot_be_emptied_ends_the_run_before_it_begins(
    run: Run, script: Callable[[], Cached], says: str
) -> None:
    made = script()
    with serve(ok, probe=made.probe, models=made.models) as server, pytest.raises(EndpointError) as caught:
        run(server.url, cache="cold", requests=4)
    assert says in str(caught.value) and "as-is" in str(caught.value)
    assert not server.load


def test_a_reset_is_of_a_cold_cache(run: Run) -> None:
    with pytest.raises(UsageError, match="--cache-reset is what empties"):
        run("http://127.0.0.1:1", cache_reset="http://127.0.0.1:1/x", requests=4)

"""What is asked before the load is asked as the load asks: a server that takes its requests takes the probe."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from contract_runs import Run, ask
from scripted import (
    CLOSE,
    DONE,
    HANG,
    Received,
    Script,
    Step,
    clean,
    delta,
    event,
    json_reply,
    serve,
    stream,
    token,
    usage,
    usage_event,
    whole,
)

TEMPLATE = 12


def prompt_tokens(request: Received) -> int:
    """One token a word or a mark, and the chat template."""
    return TEMPLATE + len(re.findall(r"\w+|[^\w\s]", request.json()["messages"][0]["content"]))


def counting(request: Received) -> Iterator[Step]:
    """As many tokens as asked, 2 ms apart, then a usage that counts the prompt."""
    asked = request.json()["max_tokens"]
    yield from stream()[:1]
    for number in range(asked):
        data = event(token(f"w{number} "))
        yield b"%x\r\n%b\r\n" % (len(data), data)
        yield 0.002
    end = event(delta(finish="length"))
    end += event({"choices": [], "usage": usage(asked, prompt_tokens(request))}) + DONE
    yield b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end)


def least(tokens: int, words: str) -> Script:
    """Refuses fewer output tokens, as reasoning models do."""

    def script(request: Received) -> list[Step] | Iterator[Step]:
        if request.json()["max_tokens"] < tokens:
            return [json_reply({"error": {"message": words}}, 400)]
        return counting(request)

    return script


@pytest.mark.parametrize(
    ("fewest", "words", "asked"),
    [
        (1, "", [96, 1, 1]),
        (4, "max_tokens must be at least 4", [96, 1, 16, 16]),
        (16, "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16.", [96, 1, 16, 16]),
        (40, "at least 40", [96, 1, 16, 96, 96]),
    ],
)
def test_a_server_that_refuses_few_tokens_is_measured_and_counts_its_prompts(
    run: Run, fewest: int, words: str, asked: list[int]
) -> None:
    """The probe asks what the load asks; how prompts are counted is learnt by the fewest tokens that are taken."""
    script = least(fewest, words)
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=4, input_tokens="64", output_tokens="96")
    assert [probe.json()["max_tokens"] for probe in server.probes] == asked
    assert ran.statuses == ["ok"] * 4
    effective = ran.manifest.effective
    assert effective["prompts_counted_by"] == "server", effective["not_counted_by_server"]
    assert (effective["template_tokens"], effective["token_ratio"]) == (TEMPLATE, 1.0)
    assert {row["prompt_tokens"] for row in ran.rows} == {64}
    assert not [note for note in ran.result.notes if "probe" in note]


@pytest.mark.parametrize("lengths", ["96", "uniform:64,128", "normal:96,10"])
def test_the_probe_has_the_body_of_the_load(run: Run, lengths: str) -> None:
    with serve(counting, probe=counting) as server:
        run(server.url, requests=1, concurrency=1, output_tokens=lengths, extra_body={"temperature": 0.5, "n": 1})
    probe, load = server.probes[0].json(), server.load[0].json()
    assert probe["max_tokens"] == 96
    different = ("messages", "max_tokens")
    assert [*probe] == [*load]
    assert {k: v for k, v in probe.items() if k not in different} == {
        k: v for k, v in load.items() if k not in different
    }


def test_the_probe_hangs_up_after_16_tokens(alone: None) -> None:
    """A reply of 4,000 tokens takes 80 s here; a tenth of that would be too long."""
    sent = []

    def long(request: Received) -> Iterator[Step]:
        if request.json()["max_tokens"] == 1:
            yield from clean(1)
            return
        yield from stream()[:1]
        for _ in range(4000):
            sent.append(time.monotonic())
            data = event(token())
            yield b"%x\r\n%b\r\n" % (len(data), data)
            yield 0.02

    with serve(probe=long) as server:
        found = ask(server.url, output_tokens="4000", timeout_s=60)
    assert 16 <= len(sent) < 400
    assert found.probe_token_s == pytest.approx((sent[15] - sent[0]) / 15, rel=0.3)
    assert found.probe_tokens == 7 and found.reuse and not found.notes


@pytest.mark.parametrize("first_s", [0.05, 3.3])
def test_the_probe_hangs_up_after_3_s_but_not_before_an_output(alone: None, first_s: float) -> None:
    """A server that is slow to begin is waited for; one that began is not waited for to end."""
    ended = []

    def slow(request: Received) -> Iterator[Step]:
        if request.json()["max_tokens"] == 1:
            yield from clean(1)
            return
        began = time.monotonic()
        yield from stream()[:1]
        yield first_s
        data = event(token())
        yield b"%x\r\n%b\r\n" % (len(data), data)
        try:
            yield HANG  # until the client hangs up
        finally:
            ended.append(time.monotonic() - began)

    with serve(probe=slow) as server:
        found = ask(server.url, output_tokens="500", timeout_s=60)
    assert ended[0] == pytest.approx(max(3.0, first_s), abs=1.5)
    assert found.probe_first_s == pytest.approx(first_s, abs=1.0)
    assert not found.notes and found.probe_tokens == 7


def test_a_reply_that_ends_early_needs_no_second_probe() -> None:
    """What the first probe tells is not asked again."""
    with serve(probe=lambda _: clean(3)) as server:
        found = ask(server.url, output_tokens="500")
    assert len(server.probes) == 1 and found.probe_tokens == 7


def test_without_streaming_the_probe_is_one_request_of_the_load(run: Run) -> None:
    with serve(lambda _: [whole(64)], probe=lambda _: [0.05, whole(64)]) as server:
        ran = run(server.url, requests=2, stream=False, output_tokens="64")
    assert server.probes[0].json()["max_tokens"] == 64
    assert ran.statuses == ["ok"] * 2


def test_a_server_that_hangs_up_after_each_reply_is_found_out_though_the_probe_is_cut(run: Run) -> None:
    def script(request: Received) -> Iterator[Step]:
        yield from counting(request)
        yield CLOSE

    with serve(script, probe=script) as server:
        ran = run(server.url, requests=4, output_tokens="64")
    assert ran.manifest.effective["reuse_connections"] is False
    assert ran.statuses == ["ok"] * 4


REFUSALS = [
    (lambda _: [json_reply({"error": {"message": "only long outputs here"}}, 400)], "only long outputs here"),
    (lambda _: [json_reply({"error": {"message": "slow down"}}, 429)], "slow down"),
    (lambda _: [json_reply(b"<html>oops</html>", 500)], "HTTP 500"),
    (lambda _: [CLOSE], "got no answer|without a reply"),
    (lambda _: [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", CLOSE], "tells no prompt tokens"),
]


@pytest.mark.parametrize(("answer", "why"), REFUSALS)
def test_what_a_second_probe_meets_never_fails_the_run(run: Run, answer: Script, why: str) -> None:
    """Whatever the short probes get, the load runs, and its result says why the tokenizer counted."""

    def probe(request: Received) -> list[Step] | Iterator[Step]:
        return counting(request) if len(server.probes) == 1 else answer(request)  # type: ignore[return-value]

    with serve(counting, probe=probe) as server:
        ran = run(server.url, requests=4, output_tokens="64")
    assert ran.statuses == ["ok"] * 4
    effective = ran.manifest.effective
    assert effective["prompts_counted_by"] == "tokenizer"
    assert re.search(why, effective["not_counted_by_server"])


def test_an_odd_status_of_the_long_probe_alone_leaves_the_tokenizer_to_count(run: Run) -> None:
    def probe(request: Received) -> list[Step] | Iterator[Step]:
        if len(request.json()["messages"][0]["content"]) > 100:
            return [json_reply({"detail": "prompt too long"}, 413)]
        return counting(request)

    with serve(counting, probe=probe) as server:
        ran = run(server.url, requests=4, output_tokens="64")
    assert ran.statuses == ["ok"] * 4
    assert "words was refused with HTTP 413: prompt too long" in ran.manifest.effective["not_counted_by_server"]


def test_running_usage_is_learnt_from_the_probe_itself(run: Run) -> None:
    """Usage in every event: the cut probe tells the prompt's tokens, whatever the short one gets."""

    def probe(request: Received) -> list[Step]:
        if len(server.probes) == 2:
            return [json_reply({"error": "no"}, 429)]
        told = [event(token() | {"usage": usage(n + 1, prompt_tokens(request))}) for n in range(60)]
        return stream(*(step for one in told for step in (one, 0.005)), event(usage_event(60)), DONE)

    with serve(counting, probe=probe) as server:
        found = ask(server.url, output_tokens="64")
    assert found.probe_tokens == TEMPLATE + 3

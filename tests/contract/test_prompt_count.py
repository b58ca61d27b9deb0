"""Prompts in the server's own tokens, whatever its tokenizer and chat template; and no two runs that share any."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_runs import Ran, Run
from scripted import CLOSE, Received, Script, Step, delta, event, json_reply, serve, stream, token, usage

from loadcell.cli.main import main
from loadcell.recording.read import open_recording

TEMPLATE = 200
Count = Callable[[str], int | None]


def prompt_of(request: Received) -> str:
    return str(request.json()["messages"][0]["content"])


def pieces(text: str) -> int:
    """Tokens by a tokenizer that is nothing like ours: pieces of three characters at most, signs apart."""
    return sum(-(-len(word) // 3) for word in re.findall(r"\w+|[^\w\s]", text))


def counting(count: Count, cached: int | None = None) -> Script:
    """A server whose usage tells as many prompt tokens as `count` says; none where that is None."""

    def script(request: Received) -> Iterable[Step]:
        prompt = count(prompt_of(request))
        told: dict[str, Any] = usage(4, prompt=prompt or 0)
        if prompt is None:
            del told["prompt_tokens"]
        if cached is not None:
            told["prompt_tokens_details"] = {"cached_tokens": cached}
        return stream(*[event(token())] * 4, event(delta(finish="stop") | {"usage": told}))

    return script


def check(ran: Ran, name: str) -> Any:
    return next(check for check in ran.result.verdict.checks if check.name == name)


def words_of_bodies(requests: list[Received]) -> list[list[str]]:
    return [prompt_of(request).split() for request in requests]


# --- the server's tokens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["512", "uniform:300,700", "lognormal:900,0.3"])
def test_prompts_are_planned_in_the_tokens_of_the_server(run: Run, asked: str) -> None:
    """Another tokenizer (more than two tokens for one of ours) and a template of 200 tokens: uncalibrated, 512 are
    1,300."""
    script = counting(lambda text: TEMPLATE + pieces(text))
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=60, concurrency=4, input_tokens=asked)
        probes = server.probes
        counted = {r.number: TEMPLATE + pieces(prompt_of(r)) for r in server.load}  # not by what the client recorded
    planned = ran.recording.schedule(("input_tokens",))["input_tokens"]
    by_server = np.array([counted[i] for i in range(60)])
    assert abs(by_server.mean() / planned.mean() - 1) < 0.01
    assert np.abs(by_server / planned - 1).max() < 0.12  # a single prompt differs by what its own words do
    assert planned.mean() / np.mean([len(prompt_of(r).split()) for r in server.load]) > 2
    effective = ran.manifest.effective
    assert effective["prompts_counted_by"] == "server" and effective["not_counted_by_server"] is None
    assert abs(effective["template_tokens"] - TEMPLATE) <= 3
    assert [r.json()["max_tokens"] for r in probes] == [4, 1]
    assert check(ran, "prompt_tokens").word == "VALID"
    assert ran.recording.spec.workload.template_tokens == effective["template_tokens"]


def test_where_both_count_alike_every_prompt_is_exact(run: Run) -> None:
    script = counting(lambda text: 31 + len(re.findall(r"\w+|[^\w\s]", text)))
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=30, input_tokens="uniform:40,200")
        assert {row["prompt_tokens"] - row["input_tokens"] for row in ran.rows} == {0}
    assert (ran.manifest.effective["template_tokens"], ran.manifest.effective["token_ratio"]) == (31, 1.0)


def _refuses_long_ones(request: Received) -> Iterable[Step]:
    if len(prompt_of(request).split()) > 10:
        return [json_reply({"error": "too long for this context"}, 400)]
    return counting(pieces)(request)


def _hangs_up_on_long_ones(request: Received) -> Iterable[Step]:
    return [CLOSE] if len(prompt_of(request).split()) > 10 else counting(pieces)(request)


@pytest.mark.parametrize(
    ("probe", "why", "probes"),
    [
        (counting(lambda _: None), "its usage tells no prompt tokens", 1),
        (counting(lambda _: 0), "its usage tells no prompt tokens", 1),
        (counting(lambda _: 20), "its usage tells 20 prompt tokens for a probe, and 20 for one of 128 words", 2),
        (counting(lambda text: 3 if len(text) < 20 else 4_000_000), "and 4000000 for one of 128 words", 2),
        (_refuses_long_ones, "a second probe of 128 words was refused with HTTP 400: too long for this context", 3),
        (_hangs_up_on_long_ones, "a second probe", 2),
        (lambda _: [json_reply({"error": "busy"}, 503)], "its usage tells no prompt tokens", 1),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_asked_is_measured_all_the_same(run: Run, probe: Script, why: str, probes: int) -> None:
    """Then the tokenizer counts, as it did before; what it is off by the verdict says."""
    script = counting(lambda text: 40 + pieces(text))
    with serve(script, probe=probe) as server:
        ran = run(server.url, requests=6, input_tokens="30")
        assert [len(words) for words in words_of_bodies(server.load)] == [30] * 6
        assert len(server.probes) == probes
    assert ran.result.counts.run.ok == 6
    effective = ran.manifest.effective
    assert (effective["prompts_counted_by"], effective["template_tokens"], effective["token_ratio"]) == (
        "tokenizer", 0, 1.0,
    )  # fmt: skip
    assert why in effective["not_counted_by_server"]
    found = check(ran, "prompt_tokens")
    assert found.word == "SUSPECT" and found.value > 1 and why in found.advice and "token_ratio" in found.advice


def test_without_usage_it_is_said_and_not_judged(run: Run) -> None:
    script = counting(lambda _: None)
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=6, input_tokens="30")
    found = check(ran, "prompt_tokens")
    assert (found.word, found.says) == (
        None, "prompt tokens: the server does not count them; lengths are by the tokenizer smollm2",
    )  # fmt: skip


def test_what_is_said_by_hand_is_not_asked(run: Run) -> None:
    script = counting(lambda text: 10 + 2 * len(text.split()))
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=6, input_tokens="30", template_tokens=10, token_ratio=2.0)
        assert len(server.probes) == 1
        assert [len(words) for words in words_of_bodies(server.load)] == [10] * 6
        half = run(server.url, requests=6, input_tokens="30", template_tokens=10)
        assert [len(words) for words in words_of_bodies(server.load[6:])] == [10] * 6
    assert ran.manifest.effective["prompts_counted_by"] == "spec"
    assert half.manifest.effective["token_ratio"] == 2.0


def test_prompts_of_a_file_are_never_changed_nor_their_tokens_judged(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "one two three"}\n{"prompt": "four five"}\n')
    script = counting(lambda text: TEMPLATE + pieces(text))
    with serve(script, probe=script) as server:
        first, second = (run(server.url, requests=4, concurrency=1, prompts=str(file)) for _ in range(2))
        assert {prompt_of(request) for request in server.load} == {"one two three", "four five"}
        assert len(server.probes) == 2  # one in each run
    assert first.manifest.bodies_hash == second.manifest.bodies_hash
    assert first.recording.spec.run.salt is None and "salt" not in first.manifest.effective
    assert "prompt_tokens" not in {check.name for check in first.result.verdict.checks}


# --- the salt --------------------------------------------------------------------------------------------------------


def test_two_runs_with_one_seed_share_lengths_and_no_prompt(run: Run) -> None:
    with serve() as server:
        runs = [run(server.url, requests=40, input_tokens="uniform:20,60") for _ in range(2)]
        texts = [{" ".join(words[:4]) for words in words_of_bodies(server.load[at : at + 40])} for at in (0, 40)]
    assert len(texts[0]) == 40 and texts[0].isdisjoint(texts[1])
    one, two = (ran.manifest for ran in runs)
    assert one.schedule_hash == two.schedule_hash and one.bodies_hash != two.bodies_hash
    salts = [ran.recording.spec.run.salt for ran in runs]
    assert salts[0] and salts[0] != salts[1] and salts == [m.effective["salt"] for m in (one, two)]
    methods = [ran.result.methodology for ran in runs]
    assert methods[0].fingerprint == methods[1].fingerprint
    assert [method.bodies_hash for method in methods] == [one.bodies_hash, two.bodies_hash]


@pytest.mark.parametrize("salt", ["mine", ""])
def test_a_salt_by_hand_gives_the_same_bytes(run: Run, salt: str) -> None:
    with serve() as server:
        runs = [run(server.url, requests=8, salt=salt, concurrency=1) for _ in range(2)]
        bodies = [sorted(request.body for request in server.load[at : at + 8]) for at in (0, 8)]
    assert bodies[0] == bodies[1]
    assert runs[0].manifest.bodies_hash == runs[1].manifest.bodies_hash


def test_a_run_again_sends_the_same_bytes_although_the_server_counts_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--requests", "6", "--concurrency", "1", "--input-tokens", "80", "--output-tokens", "4")
    template = 20
    script = counting(lambda text: template + pieces(text))
    with serve(script, probe=script) as server:
        main(["run", server.url, *words, "--output", str(tmp_path / "a"), "--json", "--force"])
        (tmp_path / "a.json").write_text(capsys.readouterr().out)
        template = 35
        for name, source in (("b", tmp_path / "a"), ("c", tmp_path / "a.json")):
            main(["run", str(source), "--output", str(tmp_path / name)])
            said = " ".join(capsys.readouterr().err.split())
            assert "same schedule" in said and "same bytes" in said and "changed by flags" not in said
        bodies = [[request.body for request in server.load[at : at + 6]] for at in (0, 6, 12)]
        assert bodies[0] == bodies[1] == bodies[2]
        main(["run", str(tmp_path / "a"), "--salt", "other", "--output", str(tmp_path / "d")])
        said = " ".join(capsys.readouterr().err.split())
    assert "other bytes: the spec was changed" in said and "run.salt" in said
    hashes = [open_recording(tmp_path / name).manifest.bodies_hash for name in "abcd"]
    assert len(set(hashes[:3])) == 1 and hashes[3] != hashes[0]


def test_a_run_of_an_older_version_is_made_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It knew neither salt nor count: prompts followed from the seed, and had their length by the tokenizer."""
    words = ("--requests", "4", "--concurrency", "1", "--input-tokens", "30", "--output-tokens", "4", "--salt", "")
    script = counting(lambda text: 20 + pieces(text))
    with serve(script, probe=script) as server:
        main(["run", server.url, *words, "--output", str(tmp_path / "a"),
              "--set", "workload.template_tokens=0", "--set", "workload.token_ratio=1"])  # fmt: skip
        for name, changes in (("spec.json", {}), ("recording.json", {"format": 4})):
            tree = json.loads((tmp_path / "a" / name).read_text()) | changes
            tree.pop("bodies_hash", None)
            if name == "spec.json":
                del tree["run"]["salt"], tree["workload"]["template_tokens"], tree["workload"]["token_ratio"]
            (tmp_path / "a" / name).write_text(json.dumps(tree))
        capsys.readouterr()
        main(["run", str(tmp_path / "a"), "--output", str(tmp_path / "b")])
        said = " ".join(capsys.readouterr().err.split())
        assert [r.body for r in server.load[:4]] == [r.body for r in server.load[4:]]
    assert "hashed its requests in another way" in said and "NOT THE SAME" not in said


# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cached", "word"), [(24, "VALID"), (44, "SUSPECT")])
def test_the_template_in_the_cache_is_nothing_to_suspect(run: Run, cached: int, word: str) -> None:
    script = counting(lambda text: 24 + len(re.findall(r"\w+|[^\w\s]", text)), cached)
    with serve(script, probe=script) as server:
        ran = run(server.url, requests=20, input_tokens="100")
    tokens = ran.result.instrument.tokens
    assert tokens.cached_share == pytest.approx(cached / 100)
    assert tokens.cached_beyond_share == pytest.approx((cached - 24) / 100)
    assert check(ran, "cached_prompts").word == word


def test_a_usage_that_counts_nothing_tells_nothing(run: Run) -> None:
    """All zeros, as some gateways send: they made prompts of no tokens and "0 output tokens/s"."""

    def script(request: Received) -> Iterable[Step]:
        return stream(*[event(token())] * 4, event(delta(finish="stop") | {"usage": usage(0, prompt=0)}))

    with serve(script, probe=script) as server:
        ran = run(server.url, requests=30, input_tokens="64")
    assert {row["prompt_tokens"] for row in ran.rows} == {None}
    assert check(ran, "prompt_tokens").word is None and ran.result.throughput.input_tokens_per_s
    assert ran.result.methodology.prompt_token_source == {"planned": 30}
    assert ran.result.methodology.token_source == {"events": 30}
    assert ran.result.throughput.output_tokens_per_s

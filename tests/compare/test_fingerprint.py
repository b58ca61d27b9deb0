from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadcell.metrics import Result, build_result
from loadcell.metrics.fingerprint import FIELDS, differences, fingerprint
from loadcell.recording.read import open_recording
from loadcell.spec import Spec, build_spec

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def result(run: Make) -> Result:
    return build_result(open_recording(run("a", n=60)))


def changed(result: Result, path: str, value: Any) -> Result:
    """The result with one leaf of its methodology changed."""
    tree = msgspec.to_builtins(result)
    *way, last = ["methodology", *path.split(".")]
    at = tree
    for key in way:
        at = at[key]
    at[last] = value
    return msgspec.convert(tree, Result)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("loop", "open", "A is a closed loop, B an open loop"),
        ("spec.endpoint.stream", False, "A is streamed, B not streamed"),
        ("spec.endpoint.api", "completions", "API: A chat, B completions"),
        ("spec.workload.input_tokens", "1024", "input lengths: A 512, B 1024"),
        ("spec.workload.output_tokens", "1", "output lengths: A uniform:64,192, B 1"),
        ("clock", "user", "clock: A kernel, B user"),
    ],
)
def test_what_forbids_a_comparison(result: Result, path: str, value: Any, says: str) -> None:
    found = differences(result, changed(result, path, value))
    assert [(d.weight, d.says) for d in found] == [("forbid", says)]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("effective.model", "other", "model: A m, B other"),
        ("spec.load.concurrency", 2, "concurrency: A 1, B 2"),
        ("spec.run.seed", 7, "seed: A 0, B 7"),
        ("tokenizer", "gpt2", "tokenizer: A smollm2, B gpt2"),
        ("token_source", {"chunks": 60}, "source of the token counts: A usage, B chunks"),
        ("workers", 2, "workers: A 1, B 2"),
        ("spec.endpoint.extra_body", {"temperature": 0}, "extra body fields: A none, B temperature=0"),
    ],
)
def test_what_calls_for_care(result: Result, path: str, value: Any, says: str) -> None:
    found = differences(result, changed(result, path, value))
    assert [(d.weight, d.says) for d in found] == [("care", says)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.endpoint.url", "http://other:1"),
        ("spec.load.duration_s", 5.0),
        ("spec.load.timeout_s", 5.0),
        ("environment", {"host": "other"}),
        ("effective.url", "http://other:1/v1"),
    ],
)
def test_what_does_not_matter(result: Result, path: str, value: Any) -> None:
    assert differences(result, changed(result, path, value)) == []


def test_two_forms_of_the_hot_path_call_for_care_where_both_are_known(result: Result) -> None:
    one, other = changed(result, "core", "C"), changed(result, "core", "Python")
    assert [(d.weight, d.says) for d in differences(one, other)] == [("care", "form of the hot path: A C, B Python")]
    assert result.methodology.core is None  # as in recordings of older versions
    assert differences(result, one) == differences(other, result) == []


def test_a_prompt_file_is_known_by_its_name_and_by_what_it_holds(result: Result) -> None:
    first = changed(changed(result, "spec.workload.prompts", "/here/chat.jsonl"), "effective.prompts_sha256", "1" * 64)
    assert differences(first, changed(first, "spec.workload.prompts", "/there/chat.jsonl")) == []
    other = changed(first, "spec.workload.prompts", "/here/code.jsonl")
    assert differences(first, other) == []  # the same under another name
    assert [d.says for d in differences(first, changed(other, "effective.prompts_sha256", "2" * 64))] == [
        "prompts: A chat.jsonl, B code.jsonl"
    ]
    for schedule in (first.methodology.schedule_hash, "1" * 16):
        edited = changed(changed(first, "effective.prompts_sha256", "2" * 64), "schedule_hash", schedule)
        assert [(d.weight, d.says) for d in differences(first, edited)] == [("forbid", "the prompt file has changed")]


def test_a_file_of_lengths_that_changed_is_named(result: Result) -> None:
    """Where the schedule did: two files that give the same lengths are the same load."""
    law, sums = "empirical:lengths.csv#n", "effective.lengths_sha256"
    first = changed(changed(result, "spec.workload.input_tokens", law), sums, {"lengths.csv": "1" * 64})
    edited = changed(first, sums, {"lengths.csv": "2" * 64})
    assert differences(first, edited) == []
    found = differences(first, changed(edited, "schedule_hash", "1" * 16))
    assert [(d.weight, d.says) for d in found] == [("forbid", "the file of lengths has changed")]


def test_the_texts_of_synthetic_prompts_do_not_matter(result: Result) -> None:
    one = changed(result, "bodies_hash", "1" * 64)
    other = changed(changed(result, "bodies_hash", "2" * 64), "spec.run.salt", "other")
    assert differences(one, other) == []


def test_a_schedule_that_was_hashed_in_another_way_is_no_difference(result: Result) -> None:
    older = changed(changed(result, "schedule_hash", "1" * 16), "bodies_hash", None)
    assert differences(older, changed(result, "bodies_hash", "2" * 64)) == []


def test_prompts_that_are_longer_on_one_side_call_for_care(result: Result) -> None:
    tree = msgspec.to_builtins(result)
    sides = []
    for ratio in (1.0, 1.7):
        tree["instrument"]["tokens"]["prompt_ratio"] = ratio
        sides.append(msgspec.convert(tree, Result))
    assert [(d.weight, d.says) for d in differences(*sides)] == [
        ("care", "prompt tokens by the server over those planned: A 100%, B 170%")
    ]


def test_who_counted_the_prompts_calls_for_care_but_not_a_run_made_again(result: Result) -> None:
    server, again, tokenizer = (
        changed(result, "effective.prompts_counted_by", by) for by in ("server", "spec", "tokenizer")
    )
    assert differences(server, again) == []
    assert [d.says for d in differences(server, tokenizer)] == ["prompts counted by: A the server, B the tokenizer"]


def test_a_schedule_that_nothing_explains_calls_for_care(result: Result) -> None:
    other = changed(result, "schedule_hash", "1" * 16)
    assert [d.weight for d in differences(result, other)] == ["care"]
    assert [d.field for d in differences(result, changed(other, "spec.run.seed", 3))] == ["seed"]


def test_cached_shares_that_differ_call_for_care(result: Result) -> None:
    tree = msgspec.to_builtins(result)
    for share, count in ((0.0, 0), (0.5, 1)):
        tree["instrument"]["tokens"]["cached_share"] = share
        other = msgspec.convert(tree, Result)
        tree["instrument"]["tokens"]["cached_share"] = 0.01
        assert len(differences(msgspec.convert(tree, Result), other)) == count


def test_an_unknown_value_is_not_a_difference(result: Result) -> None:
    """An older recording that does not tell a setting is not one that has another."""
    tree = msgspec.to_builtins(result)
    del tree["methodology"]["effective"]["model"]
    assert differences(result, msgspec.convert(tree, Result)) == []


def test_the_table_names_fields_that_there_are(result: Result) -> None:
    tree = {
        **msgspec.to_builtins(result.methodology),
        "effective": dict.fromkeys(("model", "keep_load", "ignore_eos", "reuse_connections", "proxy")),
        "environment": dict.fromkeys(("cpu", "cores_allowed", "system")),
        **dict.fromkeys(
            ("trace", "replay"),
        ),
        **dict.fromkeys(
            ("prompts", "prompts_counted_by", "token_sources", "window_method", "recorded_by", "server_place", "shares")
        ),
    }
    for field in FIELDS:
        at: Any = tree
        for key in field.path.split("."):
            assert key in at, field.path
            at = at[key]


SPEC = {"endpoint": {"url": "http://h:1"}, "load": {"concurrency": 2, "requests": 10}}


def of(spec: Spec, schedule: str = "s", **effective: Any) -> str:
    return fingerprint(spec, effective, schedule)


def test_the_fingerprint_is_of_the_workload() -> None:
    spec = build_spec(SPEC)
    asked = of(spec, model="m")
    assert asked == of(build_spec(SPEC | {"endpoint": {"url": "http://other:2", "headers": {"a": "b"}}}), model="n")
    others = [
        of(spec, "another", model="m"),
        of(build_spec(SPEC | {"load": {"concurrency": 3, "requests": 10}}), model="m"),
        of(build_spec(SPEC | {"workload": {"output_tokens": "64"}}), model="m"),
        of(build_spec(SPEC | {"endpoint": {"url": "http://h:1", "stream": False}}), model="m"),
        of(spec, model="m", ignore_eos=False),
        # One schedule, but said by the system or by the user.
        of(build_spec(SPEC | {"prefix": {"system_tokens": 20}}), model="m"),
        of(build_spec(SPEC | {"prefix": {"groups": 1, "tokens": "20"}}), model="m"),
        of(build_spec(SPEC | {"load": SPEC["load"] | {"cache": "cold"}}), model="m"),
    ]
    assert len({asked, *others}) == len(others) + 1


def test_a_run_that_tells_no_settings_has_a_fingerprint() -> None:
    assert len(of(build_spec(SPEC))) == 64

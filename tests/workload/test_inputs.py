"""Requests with several inputs: their texts, their lengths, and how many of them a run may plan."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadcell.errors import UsageError
from loadcell.load.bodies import Source
from loadcell.spec import Spec, build_spec, with_defaults
from loadcell.workload import Plan, SyntheticInputs, load_tokenizer, plan
from loadcell.workload.schedule import MOST_TEXTS


def spec_of(api: str = "embeddings", load: dict[str, Any] | None = None, **workload: Any) -> Spec:
    tree = {
        "endpoint": {"url": "http://localhost:1", "api": api}, "load": load or {"concurrency": 2, "requests": 300},
        "workload": {"input_tokens": "uniform:2,9"} | workload, "run": {"salt": "a"},
    }  # fmt: skip
    return with_defaults(build_spec(tree))


def texts_of(made: Plan) -> list[list[str]]:
    assert isinstance(made.prompts, SyntheticInputs)
    return list(made.prompts)


@pytest.mark.parametrize("api", ["embeddings", "rerank"])
def test_every_text_has_its_own_length_and_the_schedule_their_sum(api: str) -> None:
    made = plan(spec_of(api, inputs="uniform:1,7"))
    tokenizer, schedule = load_tokenizer("smollm2"), made.schedule
    assert schedule.wanted is not None and not schedule.output_tokens.any()
    assert set(schedule.wanted[0].tolist()) == set(range(1, 8))
    assert np.array_equal(*schedule.wanted)
    for texts, inputs, tokens in zip(texts_of(made), schedule.wanted[0], schedule.input_tokens, strict=True):
        query = tokenizer.count(texts[0]) if api == "rerank" else 0
        lengths = tokenizer.counts(texts[1:] if api == "rerank" else texts)
        assert len(lengths) == inputs and all(2 <= length <= 9 for length in lengths)
        assert query in (0, 16) and tokens == sum(lengths) + query * inputs
    every = [text for texts in texts_of(made) for text in texts]
    assert len(set(every)) > 0.99 * len(every)


def test_a_limit_on_the_results_is_what_replies_must_hold() -> None:
    spec = build_spec(
        {"endpoint": {"url": "localhost:1", "api": "rerank", "extra_body": {"top_n": 3}},
         "load": {"requests": 50, "concurrency": 1}, "workload": {"inputs": "uniform:1,6", "input_tokens": 4}}
    )  # fmt: skip
    wanted = plan(with_defaults(spec)).schedule.wanted
    assert wanted is not None
    assert np.array_equal(wanted[1], np.minimum(wanted[0], 3)) and wanted[0].max() > 3


@pytest.mark.parametrize("more", [{"inputs": "7"}, {"query_tokens": "7"}])
def test_a_file_holds_its_own_inputs(more: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=f"workload.{next(iter(more))}: the lines of a file .* hold their own"):
        spec_of("rerank", prompts="p.jsonl", **more)
    assert spec_of("rerank", prompts="p.jsonl", inputs=None, query_tokens=None).workload.inputs is None


@settings(deadline=None)
@given(rows=st.lists(st.integers(0, 299), max_size=20), first=st.integers(0, 299))
def test_any_rows_are_the_same_as_among_all(rows: list[int], first: int) -> None:
    made = plan(spec_of("rerank", inputs="uniform:1,4"))
    prompts, every = made.prompts, texts_of(made)
    assert list(prompts.select(np.array(rows, np.int64))) == [every[row] for row in rows]
    source = Source("rerank", [(b'{"model":"m"', "max_tokens")], prompts, made.schedule.output_tokens)
    assert list(islice(source.bodies(first), 3)) == list(source.bodies(0))[first : first + 3]


def test_a_shorter_run_begins_the_longer_and_hashes_tell_runs_apart() -> None:
    short, long = (plan(spec_of(inputs="uniform:1,5", load={"concurrency": 2, "requests": n})) for n in (100, 200))
    assert texts_of(short) == texts_of(long)[:100]
    again, other = plan(spec_of(inputs="uniform:1,5")), plan(spec_of(inputs="uniform:1,6"))
    assert again.schedule.hash == plan(spec_of(inputs="uniform:1,5")).schedule.hash != other.schedule.hash
    hashes = {
        Source("embeddings", [(b"{", "")], made.prompts, made.schedule.output_tokens).hash(len(made.schedule))
        for made in (again, other)
    }
    assert len(hashes) == 2


def test_more_texts_than_a_run_may_plan_are_refused_in_words() -> None:
    many = {"concurrency": 1, "requests": MOST_TEXTS // 1000 + 1}
    with pytest.raises(UsageError, match=r"texts, and a run may plan 20,000,000: give fewer --inputs"):
        plan(spec_of(inputs="1000", load=many))


def test_a_closed_loop_for_a_time_has_rows_for_the_fastest_server_and_no_more_texts_than_may_be() -> None:
    made = plan(spec_of(load={"concurrency": 2, "duration_s": 10.0}))
    assert len(made.schedule) == 2 * 10_000 + 2
    crowd = plan(spec_of(load={"concurrency": 200, "duration_s": 10.0}))
    assert len(crowd.schedule) == 10 * 20_000 + 200
    full = plan(spec_of(load={"concurrency": 200, "duration_s": 20.0}, inputs="99", input_tokens="2"))
    assert len(full.schedule) == MOST_TEXTS // 100
    assert any("the run ends after 200,000 requests" in note for note in full.notes)

"""A flag that would change nothing is refused, and says what it needs."""

from __future__ import annotations

import argparse

import pytest

from loadcell.cli.main import functions_of
from loadcell.cli.planning import make_sweep_plan
from loadcell.cli.run import read_spec
from loadcell.errors import UsageError
from loadcell.spec import Spec


def spec_of(words: str, command: str = "run") -> Spec:
    parser = argparse.ArgumentParser(prog=f"loadcell {command}")
    functions_of(command)[0](parser)
    args = parser.parse_args(["http://h", *words.split()])
    spec = read_spec(args)
    return make_sweep_plan(args, spec)[0] if command == "sweep" else spec


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--skip-bad", "--prompts FILE or --trace FILE"),
        ("--prompt-column q", "--prompts FILE"),
        ("--output-column q", "--prompts FILE"),
        ("--ignore-fields model", "--prompts FILE"),
        ("--set workload.send_fields=user", "--prompts FILE"),
        ("--lengths-order file", "--lengths FILE"),
        ("--lengths-columns a,b", "--lengths FILE"),
        ("--arrivals poisson", "--rate R"),
        ("--concurrency 4 --arrivals gamma:2", "--rate R"),
        ("--trace azure-code --concurrency 4 --arrivals gamma:2", "--rate R"),
        ("--trace azure-code --arrivals gamma:2", "its own times"),
        ("--trace azure-code --input-tokens 512", "--max-input-tokens"),
        ("--trace azure-code --output-tokens uniform:64,192", "--max-output-tokens"),
        ("--rate 0 --rate-series 10@1s", "load.rate is 0"),
    ],
)
def test_what_would_change_nothing_is_refused(words: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec_of(words)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "--prompts x.jsonl --skip-bad --prompt-column q --ignore-fields model",
        "--trace azure-code --skip-bad",
        "--no-skip-bad",
        "--lengths arxiv --lengths-order file",
        "--rate 4 --arrivals gamma:2",
        "--rate-series 10@1s --arrivals gamma:2",
        "--trace lengths.csv --rate 4 --arrivals gamma:2",
    ],
)
def test_what_means_something_is_not(words: str) -> None:
    spec_of(words)


def test_a_sweep_over_users_takes_no_arrivals() -> None:
    with pytest.raises(UsageError, match="vary --rate"):
        spec_of("--concurrency 1,2 --arrivals gamma:2", "sweep")
    assert spec_of("--rate 1,2 --arrivals gamma:2", "sweep").load.arrivals == "gamma:2"


def test_a_sweep_over_users_takes_no_series_of_rates() -> None:
    with pytest.raises(UsageError, match="an open loop, whose rate is varied"):
        spec_of("--concurrency 1,2 --rate-series 10@1s,20@1s", "sweep")
    assert spec_of("--rate 1,2 --concurrency 8 --rate-series 10@1s,20@1s", "sweep").load.rate_series

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made import ok_request
from made_looks import Told, seen, steps
from rich.console import Console

from loadcell.metrics import Observed, Result, build_result
from loadcell.recording.read import Recording
from loadcell.report.render.terminal import words as shown_words
from loadcell.report.run import print_result
from loadcell.report.tables import to_csv
from loadcell.report.view.observed import observed as lines_of
from loadcell.report.words import words_for

Make = Callable[..., Recording]
ENGINE = (
    "vllm:num_requests_running {}\nvllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.41\n"
    "vllm:num_preemptions_total 0"
)


def gpus(k: int) -> str:
    return "".join(
        f'nvml_power_watts{{uuid="{i}"}} {400 + k}\nnvml_energy_joules{{uuid="{i}"}} {400 * k}\n'
        f'nvml_use_share{{uuid="{i}"}} 0.9\nnvml_memory_used_bytes{{uuid="{i}"}} 7\n'
        f'nvml_memory_total_bytes{{uuid="{i}"}} 10\nnvml_temperature_celsius{{uuid="{i}"}} 64\n'
        f'nvml_sm_clock_hertz{{uuid="{i}"}} 1980000000\n'
        for i in range(2)
    )


@pytest.fixture
def watched() -> Observed:
    return seen(
        Told(steps([14.0, 16, 14, 14, 14, 14, 14, 14, 14, 14, 14], ENGINE)),
        Told(dict.fromkeys(range(11)), name="http://b:8000/metrics", error="Connection refused"),
        Told({float(k): gpus(k) for k in range(11)}, kind="nvml", name="NVIDIA driver 550"),
        Told(steps([0.95] * 11, "host_cpu_share {}\nhost_core_share_max 1"), kind="host", name="this machine"),
        tokens=1000.0,
    )


def lines(make: Make, observed: Observed | None) -> list[tuple[str, str]]:
    result = msgspec.structs.replace(build_result(make([ok_request(0)])), observed=observed)
    found = lines_of(result, words_for("en"))
    return [(label, " · ".join(shown_words(cell).plain for cell in cells)) for label, cells in found]


def test_nothing_watched_takes_no_line(make: Make) -> None:
    assert lines(make, None) == []


def test_a_line_for_each_part_and_each_trouble(make: Make, watched: Observed) -> None:
    assert lines(make, watched) == [
        (
            "Server load",
            "running mean 14.2 max 16 · waiting mean 3 max 3 · KV cache 41 % max 41 % · preemptions 0 · by vLLM",
        ),
        (
            "Energy",
            "800 W mean of 2 GPUs · 0.800 J a token · 400 J a request · by NVML energy counter, looked at every 1 s; "
            "other work is in it",
        ),
        ("GPUs", "busy 90 % max 90 % · memory 70 % max 70 % · at most 64 °C · 1.98 GHz · by NVML"),
        ("This machine", "CPU 95 % max 95 % · busiest core 100 %"),
        ("Watching", "http://b:8000/metrics: never answered: Connection refused"),
        (
            "",
            "this machine's CPU was more than 90 % busy at 11 of 11 looks: what the client measured then may be its "
            "own",
        ),
    ]


def test_what_is_missing_is_said_to_be(make: Make) -> None:
    silent = seen(
        Told(steps([1.0, *[None] * 9, 1.0], ENGINE)),
        Told({float(k): f'nvml_power_watts{{uuid="a"}} {k}\n' for k in range(3)}, kind="nvml", name="driver"),
    )
    found = dict(lines(make, silent))
    assert found["Server load"].startswith("running mean n/a max 1 ")
    assert "no valid measurement: only 3 readings" in found["Energy"]
    assert "where a mean is missing, more than 10 % of the window was not seen" in found.values()


@pytest.mark.parametrize("width", [80, 120])
def test_it_stands_on_the_console(make: Make, watched: Observed, width: int) -> None:
    result: Result = msgspec.structs.replace(build_result(make([ok_request(0)])), observed=watched)
    console = Console(width=width, file=io.StringIO())
    print_result(result, console)
    text: Any = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert " Server load " in text and " This machine " in text and " Energy " in text


def test_the_csv_has_its_figures(make: Make, watched: Observed) -> None:
    result = msgspec.structs.replace(build_result(make([ok_request(0)])), observed=watched)
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    by_name = {(row["metric"], row["anchor"], row["statistic"]): row for row in rows}
    assert len(by_name) == len(rows)
    assert by_name["server", "requests_running", "max"]["value"] == "16.0"
    assert by_name["server", "preemptions", "gained"]["unit"] == "requests"
    assert by_name["energy", "NVML energy counter", "joules"]["value"] == "8000.0"
    assert ("energy", "NVML energy counter", "valid") in by_name
    dead = by_name["source", "http://b:8000/metrics", "longest gap"]
    assert (dead["value"], dead["n"]) == ("", "0")

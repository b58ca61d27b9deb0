from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_looks import Told, seen

from loadcell.metrics import Energy

Watts = Callable[[float], float]


def power(watts: Watts, times: list[float], uuid: str = "GPU-1", metric: str = "nvml_power_watts") -> dict[float, str]:
    return {t: f'{metric}{{uuid="{uuid}"}} {watts(t)!r}\n' for t in times}


def counter(joules: Watts, times: list[float], uuid: str = "GPU-1") -> dict[float, str]:
    return power(joules, times, uuid, "nvml_energy_joules")


def merged(*pages: dict[float, str]) -> dict[float, Any]:
    """Pages at the same times, as one."""
    return {t: "".join(page.get(t, "") for page in pages) or "# nothing\n" for t in sorted(set().union(*pages))}


def energy(*told: dict[float, Any] | Told, window: tuple[float, float] = (0.0, 20.0), **more: Any) -> Energy | None:
    sources = [one if isinstance(one, Told) else Told(one, kind="nvml", name="NVIDIA driver") for one in told]
    return seen(*sources, window=window, **more).energy


def sure(found: Energy | None) -> Energy:
    assert found is not None
    return found


def every(step: float, first: float = 0.0, last: float = 20.0) -> list[float]:
    return [first + k * step for k in range(int((last - first) / step + 0.5) + 1)]


def wave(t: float) -> float:
    """A power that changes all the time."""
    return 300 + 10 * t


def walk(t: float) -> float:
    """Its energy since t = -100."""
    return 300 * (t + 100) + 5 * (t * t - 100 * 100) + 1e6


def test_none_where_nobody_tells_power() -> None:
    assert energy({0.0: "nvml_use_share 1\n", 1.0: "nvml_use_share 1\n"}) is None


@given(
    st.floats(1, 2000),
    st.lists(st.floats(0.2, 1.8), min_size=20, max_size=40),
    st.floats(0, 1),
    st.floats(5, 15),
)
@settings(max_examples=40, deadline=None)
def test_energy_of_constant_power_is_power_times_time(
    watts: float, steps: list[float], low: float, length: float
) -> None:
    times = [0.0]
    for step in steps:
        times.append(times[-1] + step)
    length = min(length, times[-1] - low)
    found = sure(energy(power(lambda t: watts, times), window=(low, low + length)))
    assert found.joules == pytest.approx(watts * length, rel=1e-9)
    assert found.mean_watts == pytest.approx(watts, rel=1e-9)


def test_counter_and_trapezoids_agree() -> None:
    by_power = sure(energy(power(wave, every(1.0)), window=(2.5, 17.25)))
    by_counter = sure(energy(counter(walk, every(1.0)), window=(2.5, 17.25)))
    truth = walk(17.25) - walk(2.5)
    assert by_power.joules == pytest.approx(truth, rel=1e-9)
    # between two looks the counter is a line, the true energy a parabola
    assert by_counter.joules == pytest.approx(truth, rel=1e-3)
    assert by_power.valid and by_counter.valid
    assert (by_power.source, by_counter.source) == ("NVML power", "NVML energy counter")


def test_per_token_and_per_request_are_the_mean_power_over_the_rates() -> None:
    found = sure(energy(counter(walk, every(1.0)), window=(0, 20), tokens=50.0, requests=4.0))
    assert found.mean_watts == pytest.approx((walk(20) - walk(0)) / 20)
    assert found.joules_per_output_token == pytest.approx(found.mean_watts / 50)  # type: ignore[operator]
    assert found.joules_per_request == pytest.approx(found.mean_watts / 4)  # type: ignore[operator]
    idle = sure(energy(counter(walk, every(1.0)), tokens=None, requests=0.0))
    assert (idle.joules_per_output_token, idle.joules_per_request) == (None, None)


def test_the_counter_goes_before_power() -> None:
    found = sure(energy(merged(power(lambda t: 9 * wave(t), every(1.0)), counter(walk, every(1.0)))))
    assert found.source == "NVML energy counter"
    assert found.joules == pytest.approx(walk(20) - walk(0))


def test_power_where_the_counter_started_anew() -> None:
    again = counter(lambda t: walk(t) - (1e6 if t > 10 else 0), every(1.0))
    found = sure(energy(merged(again, power(wave, every(1.0)))))
    assert (found.source, found.valid) == ("NVML power", True)
    alone = sure(energy(again))
    assert (alone.joules, alone.valid) == (None, False)
    assert "the counter went back" in alone.says


def test_gpus_are_added() -> None:
    found = sure(energy(merged(*(power(lambda t, k=k: wave(t) + k, every(1.0), f"GPU-{k}") for k in range(8)))))
    assert found.gpus == 8
    assert found.mean_watts == pytest.approx(8 * 400 + sum(range(8)))


def test_a_gpu_of_two_sources_counts_once() -> None:
    labels = '{gpu="0",UUID="GPU-1"}'
    pages: dict[float, Any] = {
        t + 0.01: f"DCGM_FI_DEV_POWER_USAGE{labels} {wave(t) + 7!r}\n"
        f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} {1000 * walk(t)!r}\n"
        for t in every(1.0, -1, 21)
    }
    dcgm = Told(pages, name="http://dcgm:9400/metrics")
    both = seen(Told(power(wave, every(1.0)), kind="nvml", name="NVIDIA driver"), dcgm, window=(0, 20))
    assert both.series["gpu_power_watts"].sources == ["NVIDIA driver"]
    assert any("not counted twice" in note for note in both.notes)
    assert sure(both.energy).gpus == 1
    assert sure(both.energy).source == "DCGM energy counter"  # NVML told power alone
    assert sure(both.energy).joules == pytest.approx(walk(20) - walk(0), rel=1e-3)


TROUBLES: dict[str, tuple[dict[float, Any], str]] = {
    "a gap": (power(wave, [*every(1.0, 0, 8), *every(1.0, 13, 20)]), "gaps of more than 3 s between readings"),
    "much unseen": (power(wave, [*every(1.0, 0, 8), *every(1.0, 13, 20)]), "power is unknown for 25 % of the window"),
    "late": (power(wave, every(1.0, 3, 20)), "not read around both ends"),
    "early end": (counter(walk, every(1.0, 0, 16)), "not read around both ends"),
    "few": (power(wave, [0.0, 7.0, 14.0, 20.0]), "only 4 readings in the window of 20 s; 5 are needed"),
    "stuck": (power(lambda t: 250.0, every(1.0)), "all 21 readings are the same"),
    "slow": (power(lambda t: wave(t // 7), every(1.0)), "the reading changes every 10 s only"),
    "zero": (power(lambda t: 0.0, every(1.0)), "it tells 0"),
    "counts nothing": (counter(lambda t: 5.0, every(1.0)), "it tells 0"),
    "vanished": (
        merged(power(wave, every(1.0)), power(wave, every(1.0, 0, 12), "GPU-2")),
        "power is unknown for 40 % of the window (1 of 2 GPUs)",
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_is_no_measurement_says_why(name: str) -> None:
    pages, why = TROUBLES[name]
    found = sure(energy(pages))
    assert not found.valid
    assert why in found.says


def test_missing_is_never_zero() -> None:
    for name in ("zero", "counts nothing"):
        found = sure(energy(TROUBLES[name][0]))
        assert (found.joules, found.mean_watts, found.joules_per_output_token) == (None, None, None)


def test_one_gpu_without_a_figure_leaves_the_sum_unknown() -> None:
    found = sure(energy(merged(power(wave, every(1.0)), power(lambda t: 0.0, every(1.0), "GPU-2"))))
    assert (found.joules, found.gpus, found.valid) == (None, 2, False)


def test_the_number_of_gpus_must_be_that_of_the_spec() -> None:
    assert sure(energy(counter(walk, every(1.0)), gpus=1)).valid
    found = sure(energy(counter(walk, every(1.0)), gpus=4))
    assert not found.valid
    assert found.says == "1 GPU told it, but the spec says that 4 serve the endpoint"


def test_a_sensor_slower_than_the_looks_does_where_the_window_is_long() -> None:
    found = sure(energy(power(lambda t: wave(t // 3), every(1.0, 0, 60)), window=(0, 60)))
    assert found.valid


def test_a_vanished_gpu_hides_the_sum_of_power() -> None:
    pages = merged(power(wave, every(1.0)), power(wave, every(1.0, 0, 12), "GPU-2"))
    one = seen(Told(pages, kind="nvml", name="NVIDIA driver"), window=(0, 20)).series["gpu_power_watts"]
    assert one.values[12] == 2 * wave(12)
    assert one.values[13:] == [None] * 8
    assert one.mean is None


def test_power_goes_before_a_counter_that_is_read_too_seldom() -> None:
    slow = counter(lambda t: walk(t // 7 * 7), every(1.0))
    assert "too seldom" in sure(energy(slow)).says
    found = sure(energy(merged(slow, power(wave, every(1.0)))))
    assert (found.source, found.valid) == ("NVML power", True)

"""Pairs of requests: what they find that sides apart cannot, how often they are wrong, and by whose arithmetic."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pytest
from made import MS, build, failed_request, ok_request
from scipy import stats
from scipy.signal import lfilter
from scipy.stats import binom

from loadcell.cli.main import main
from loadcell.compare.pairing import in_time
from loadcell.compare.pairs import Paired, least_pairs, paired_effect, time_blocks, values_of

Floats = npt.NDArray[np.float64]
Capture = pytest.CaptureFixture[str]
STATS = ("geomean", "mean", "p50", "p90", "p95")


def pace(rng: np.random.Generator, n: int, sd: float, over: float) -> Floats:
    """An AR(1) process of log pace whose correlation falls to 1/e over so many requests; independent at 0."""
    rho = np.exp(-1 / over) if over else 0.0
    noise, _ = lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.standard_normal(n), zi=[rho * rng.standard_normal()])
    return np.asarray(sd * noise)


def two_runs(
    rng: np.random.Generator, n: int, slower: float, *, alone: float, sd: float = 0.0, over: float = 0
) -> Paired:
    """Lognormal lengths on both sides, each request's own noise, and each run's own pace."""
    lengths = rng.lognormal(np.log(200), 1.0, n)
    a, b = (
        lengths * 5 * factor * np.exp(alone * rng.standard_normal(n) + pace(rng, n, sd, over))
        for factor in (1.0, slower)
    )
    return Paired(a, b, time_blocks(n))


def test_a_slowdown_of_two_percent_is_found_with_300_requests() -> None:
    """Lognormal lengths: apart, 300 requests a side tell 12 % at best; pairs tell 2 % in 25 of 25."""
    rng = np.random.default_rng(6)
    found, halves, apart = 0, [], 0
    for _ in range(25):
        paired = two_runs(rng, 300, 1.02, alone=0.035)
        effect = paired_effect(paired, "geomean")
        assert effect.low is not None and effect.high is not None and effect.p is not None
        found += effect.p < 0.05 / 25 and effect.effect > 0
        halves.append((effect.high - effect.low) / 2)
        apart += stats.ttest_ind(np.log(paired.b), np.log(paired.a)).pvalue < 0.05
    assert found == 25 and apart <= 5
    assert 0.004 < np.median(halves) < 0.008


@pytest.mark.usefixtures("thorough")
@pytest.mark.parametrize(
    ("n", "sd", "over", "least"),
    [(300, 0.0, 0, 0.91), (300, 0.03, 3, 0.88), (300, 0.03, 10, 0.85), (1000, 0.03, 10, 0.88)],
)
def test_the_intervals_of_pairs_hold_the_truth(n: int, sd: float, over: int, least: float) -> None:
    """Independent, and with paces that wander on each side by itself. Percentiles are costly: fewer of them."""
    rng = np.random.default_rng([n, over])
    truth, held = np.log(1.02), {stat: [0, 0] for stat in STATS}
    for i in range(300):
        paired = two_runs(rng, n, 1.02, alone=0.02 if sd else 0.035, sd=sd, over=over)
        for stat in STATS if i < 40 and n < 1000 else STATS[:2]:
            effect = paired_effect(paired, stat)
            assert effect.low is not None and effect.high is not None
            held[stat][0] += effect.low <= truth <= effect.high
            held[stat][1] += 1
    assert all(inside >= binom.ppf(0.01, of, least) for inside, of in held.values() if of), held


def test_the_effect_of_the_means_is_a_t_test_of_blocks() -> None:
    """Independent arithmetic: geomean is Student's t over the means of 20 equal blocks, where they do not depend."""
    rng = np.random.default_rng(2)
    paired = two_runs(rng, 400, 1.01, alone=0.05)
    ratios = np.log(paired.b / paired.a)
    blocks = ratios.reshape(20, 20).mean(axis=1)
    assert np.corrcoef(blocks[1:], blocks[:-1])[0, 1] + 1 / 20 < 0  # else they widen the interval
    asked = stats.ttest_1samp(blocks, 0.0)
    effect = paired_effect(paired, "geomean")
    assert (effect.effect, effect.p) == pytest.approx((ratios.mean(), asked.pvalue))
    assert (effect.low, effect.high) == pytest.approx(tuple(asked.confidence_interval(0.95)))


def test_the_bootstrap_of_percentiles_is_that_of_numpy() -> None:
    """Drawn block by block with NumPy and sorted anew each time: the same standard deviation within its noise."""
    from loadcell.compare.pairs import _bootstrapped

    rng = np.random.default_rng(3)
    paired = two_runs(rng, 500, 1.05, alone=0.1)
    blocks = np.arange(500).reshape(20, 25)
    for permille in (500, 900, 990):
        drawn = []
        for _ in range(600):
            chosen = blocks[rng.integers(20, size=20)].ravel()
            rank = -(-500 * permille // 1000) - 1
            one, other = (np.sort(side[chosen])[rank] for side in (paired.a, paired.b))
            drawn.append(np.log(other / one))
        assert _bootstrapped(paired, permille) == pytest.approx(np.std(drawn), rel=0.15)


def test_many_pairs_are_counted_in_cells_without_a_difference() -> None:
    """Beyond 2,048 samples round a percentile cells hold several: the spread stays what independence gives."""
    rng = np.random.default_rng(4)
    n = 200_000
    a, b = rng.lognormal(3, 0.5, n), rng.lognormal(3, 0.5, n)
    effect = paired_effect(Paired(a, b, time_blocks(n)), "p50")
    error = np.sqrt(2) * 0.5 * np.sqrt(np.pi / 2) / np.sqrt(n)
    assert effect.low is not None and effect.high is not None
    assert (effect.high - effect.low) / 2 == pytest.approx(stats.t.ppf(0.975, 19) * error, rel=0.4)


def test_ten_thousand_pairs_take_no_time() -> None:
    rng = np.random.default_rng(5)
    paired = two_runs(rng, 10_000, 1.01, alone=0.05)
    began = time.process_time()
    for stat in ("geomean", "mean", "p50", "p90", "p95", "p99"):
        paired_effect(paired, stat)
    assert time.process_time() - began < 1.0


def test_a_value_that_one_side_lacks_takes_its_pair_along() -> None:
    paired = in_time(np.array([1e6, np.nan, 3e6, 4e6]), np.array([2e6, 2e6, np.nan, 5e6]))
    assert (paired.a.tolist(), paired.b.tolist()) == ([1.0, 4.0], [2.0, 5.0])
    assert [least_pairs(stat) for stat in ("geomean", "p50", "p90", "p99")] == [40, 40, 50, 500]


# --- from recordings -------------------------------------------------------------------------------------------------


def recorded(
    folder: Path, *, seed: int, slower: float = 1.0, n: int = 300, asked: int = 0, order: int = 1, **more: Any
) -> Path:
    """A closed loop of requests with lognormal lengths, the same for every folder but where `asked` says otherwise.

    `order` -1 sends them in the opposite order; every 50th fails.
    """
    lengths = np.maximum(np.random.default_rng(1).lognormal(np.log(60), 1.0, n).astype(int), 2) + asked
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        start = 10 * (i if order > 0 else n - i)
        if i % 50 == seed % 50:
            rows.append(failed_request(i, "timeout", start_ms=start, asked_tokens=int(lengths[i])))
            continue
        first = round((start + 50 * slower * np.exp(0.05 * rng.standard_normal())) * MS)
        step = 5 * slower * np.exp(0.03 * rng.standard_normal())
        last = first + round((int(lengths[i]) - 1) * step * MS)
        stamps = {"first_any_ns": first, "first_answer_ns": first, "last_ns": last, "end_ns": last + MS}
        tokens = int(lengths[i])
        rows.append(ok_request(i, start_ms=start, tokens=tokens, asked_tokens=tokens, **stamps) | more.get("row", {}))
    build(folder, rows, id=folder.name, **{k: v for k, v in more.items() if k != "row"})
    return folder


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    top = tmp_path_factory.mktemp("pairs")
    made: dict[str, dict[str, Any]] = {
        "a": {"seed": 3},
        "again": {"seed": 4},
        "slow": {"seed": 5, "slower": 1.02},
        "other": {"seed": 6, "asked": 1},
        "few": {"seed": 7, "n": 30},
        "open": {"seed": 8, "loop": "open", "planned": [10.0 * i for i in range(300)]},
        **{f"x/{k}": {"seed": 10 + k, "n": 100} for k in (1, 2, 3)},
        **{f"y/{k}": {"seed": 20 + k, "n": 100, "slower": 1.02} for k in (1, 2, 3)},
    }

    def make(name: str) -> Path:
        if not (top / name).exists():
            (top / name).parent.mkdir(exist_ok=True)
            recorded(top / name, **made[name])
        return top / name

    return make


def compared(capsys: Capture, *words: str | Path) -> dict[str, Any]:
    main(["compare", *map(str, words), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def change(found: dict[str, Any], key: str) -> dict[str, Any]:
    return next(c for c in found["pairs"][0]["changes"] if f"{c['metric']}.{c['stat']}" == key)


def test_runs_with_the_same_lengths_are_compared_by_pairs(sides: Callable[[str], Path], capsys: Capture) -> None:
    found = compared(capsys, sides("a"), sides("slow"), "--min-effect", "1%")
    pairing = found["pairs"][0]["pairing"]
    assert pairing["requests"] == 288  # 6 fail on each side, none of them the same
    assert pairing["says"].startswith(
        "paired by request: 288 with the same lengths on both sides; for it the interval of E2E "
    )
    assert pairing["gain"] > 3
    e2e = change(found, "e2e.geomean")
    assert (e2e["paired"], e2e["finding"]) == (True, "worse") and e2e["gain"] > 10
    assert e2e["relative"] == pytest.approx(0.02, abs=0.005) and e2e["high"] - e2e["low"] < 0.015
    assert change(found, "e2e.mean")["finding"] == "worse"
    for key in ("itl.p50", "requests_per_s.mean", "failed.share"):
        assert change(found, key)["paired"] is False
    assert change(found, "e2e.p99")["method"] == "within-run samples" or change(found, "e2e.p99")["a"] is None


def test_the_figures_of_pairs_are_those_of_the_parquet_files(sides: Callable[[str], Path], capsys: Capture) -> None:
    """Recomputed in SQL and NumPy, with nothing of ours."""
    a, b = sides("a"), sides("slow")
    rows = duckdb.sql(
        "select (a.last_ns - a.send_start_ns) / 1e6, (b.last_ns - b.send_start_ns) / 1e6 "
        f"from '{a}/requests-*.parquet' a join '{b}/requests-*.parquet' b using (request) "
        "where a.status = 'ok' and b.status = 'ok'"
    ).fetchnumpy()
    one, other = rows.values()
    found = compared(capsys, a, b)
    e2e = change(found, "e2e.geomean")
    assert (e2e["a"], e2e["b"]) == pytest.approx((stats.gmean(one), stats.gmean(other)))
    assert e2e["relative"] == pytest.approx(np.exp(np.mean(np.log(other / one))) - 1)
    assert change(found, "e2e.mean")["relative"] == pytest.approx(other.mean() / one.mean() - 1)
    for stat, p in (("p50", 50), ("p90", 90)):
        expected = [np.percentile(side, p, method="inverted_cdf") for side in (one, other)]
        told = change(found, f"e2e.{stat}")
        assert [told["a"], told["b"]] == pytest.approx(expected)
        assert told["relative"] == pytest.approx(expected[1] / expected[0] - 1)


def test_the_same_thing_twice_is_not_called_different(sides: Callable[[str], Path], capsys: Capture) -> None:
    found = compared(capsys, sides("a"), sides("again"))["pairs"][0]["changes"]
    assert [c["title"] for c in found if c["finding"] in ("better", "worse")] == []
    itself = compared(capsys, sides("a"), sides("a"))["pairs"][0]["changes"]
    assert {c["finding"] for c in itself if c["paired"]} == {"no difference shown"}


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("other", "not paired: the schedules ask for other lengths: request 0 for 84 and 85 output tokens"),
        ("few", "not paired: 28 requests ended well in both windows, 40 are needed"),
    ],
)
def test_without_pairs_it_says_why(sides: Callable[[str], Path], capsys: Capture, other: str, says: str) -> None:
    found = compared(capsys, sides("a"), sides(other))["pairs"][0]
    assert found["pairing"]["requests"] == 0 and not any(c["paired"] for c in found["changes"])
    assert found["pairing"]["says"].split(" request ")[0] == says.split(" request ")[0]


def test_fixed_lengths_gain_little_and_it_says_so(tmp_path: Path, capsys: Capture) -> None:
    for name in "ab":
        build(tmp_path / name, [ok_request(i, start_ms=10 * i, asked_tokens=10) for i in range(100)], id=name)
    found = compared(capsys, tmp_path / "a", tmp_path / "b")["pairs"][0]["pairing"]
    assert found["says"] == "not paired: every request asks for the same lengths, so that pairs would gain little"


def test_requests_beyond_the_end_are_no_pairs(tmp_path: Path, capsys: Capture) -> None:
    for name in "ab":
        rows = [
            ok_request(i, start_ms=10 * i, tokens=5 + i % 7, asked_tokens=5 + i % 7, counted=i < 80) for i in range(100)
        ]
        build(tmp_path / name, rows, id=name)
    assert compared(capsys, tmp_path / "a", tmp_path / "b", "--force")["pairs"][0]["pairing"]["requests"] == 80


def test_repeats_are_paired_run_by_run(sides: Callable[[str], Path], capsys: Capture) -> None:
    x, y = (Path(sides(f"{name}/{k}")).parent for name in "xy" for k in (1, 2, 3) if k == 3)
    for name in "xy":
        for k in (1, 2, 3):
            sides(f"{name}/{k}")
    found = compared(capsys, x, y)
    e2e = change(found, "e2e.geomean")
    assert (e2e["method"], e2e["needs_what"]) == ("pairs of runs, 3 of them", "runs")
    assert found["pairs"][0]["pairing"]["requests"] == 3 * 96
    assert e2e["relative"] == pytest.approx(0.02, abs=0.01)
    unequal = compared(capsys, x, sides("a"))["pairs"][0]["pairing"]
    assert unequal["says"] == "not paired: the sides have different numbers of runs"


def test_the_pairing_stands_in_every_form(sides: Callable[[str], Path], tmp_path: Path, capsys: Capture) -> None:
    words = ["compare", str(sides("a")), str(sides("slow"))]
    main([*words, "--output", str(tmp_path / "page.html")])
    assert "Paired by request: 288 with the same lengths on both sides; for it the interval of" in " ".join(
        capsys.readouterr().out.split()
    )
    assert "Paired by request: 288 with" in (tmp_path / "page.html").read_text()
    main([*words, "--md", "--lang", "es"])
    assert (
        "Emparejadas por solicitud: 288 con las mismas longitudes en ambos lados; gracias a ello, el intervalo de"
        in (capsys.readouterr().out)
    )


def test_values_of_zero_do_not_break_it() -> None:
    paired = Paired(np.zeros(60), np.ones(60), time_blocks(60))
    assert np.isfinite(paired_effect(paired, "geomean").effect)
    assert values_of(paired, "p50") == (0.0, 1.0)

"""Users who give up and users who read slowly, against servers that know what they saw."""

from __future__ import annotations

import itertools
import json
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import trustme
from contract_runs import Ran, run_once
from scipy import stats
from scripted import HANG, Received, Step, clean, serve
from scripted_h2 import parted, serve_h2
from small_engine import engine

from loadcell.kinds import KIND_OUTPUT

pytestmark = pytest.mark.usefixtures("processes")

PLAN = ("cancel_ns", "cancel_tokens", "patience_ns", "read_bytes_per_s", "read_tokens_per_s")


@pytest.fixture
def tls_files(tmp_path: Path) -> tuple[str, str]:
    """Chain and key of a server."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    return str(chain), str(key)


def truth_of(url: str) -> dict[int, dict[str, Any]]:
    """What the engine says of each request of the load."""
    trusting = ssl._create_unverified_context()
    with urllib.request.urlopen(f"{url}/truth", timeout=20, context=trusting if "https" in url else None) as reply:
        records = [json.loads(line) for line in reply]
    numbered = ((str(one["id"]).rpartition("-")[2], one) for one in records)
    return {int(number): one for number, one in numbered if number.isdigit()}


def planned(ran: Ran, column: str) -> Any:
    """A column of the schedule, of the requests that have rows; NaN where a request has none."""
    values = ran.recording.schedule((column,))[column].astype(np.float64)
    return values[[row["request"] for row in ran.rows]]


@pytest.mark.parametrize("tls", [False, True])
def test_requests_are_given_up_as_planned_and_the_engine_sees_it(
    tmp_path: Path, tls: bool, tls_files: tuple[str, str]
) -> None:
    """By time never before it, by tokens at the event that brought them; all others are whole."""
    flags = ("--ttft", "20ms", "--itl", "5ms", "--slots", "64")
    with engine(*flags, *(("--tls-cert", tls_files[0], "--tls-key", tls_files[1]) if tls else ())) as url:
        ran = run_once(
            url, tmp_path / "run", rate=20.0, requests=40, output_tokens="60", cancel=["30%@150ms", "30%@20t"],
            verify_tls=False,
        )  # fmt: skip
        seen = truth_of(url)
    cancel_ns, cancel_tokens = planned(ran, "cancel_ns"), planned(ran, "cancel_tokens")
    for row, after_ns, tokens in zip(ran.rows, cancel_ns, cancel_tokens, strict=True):
        told = seen[row["request"]]
        if np.isnan(after_ns) and np.isnan(tokens):
            assert (row["status"], row["gave_up"], row["output_tokens"]) == ("ok", None, 60)
            assert (told["outcome"], told["gone_ns"]) == ("ok", None)
            continue
        assert (row["status"], row["error_kind"]) == ("abandoned", None)
        assert row["gave_up"] == ("tokens" if np.isnan(after_ns) else "time")
        if np.isnan(after_ns):
            assert row["output_tokens"] >= tokens
        else:
            assert row["end_ns"] - row["send_start_ns"] >= after_ns
        assert told["outcome"] == "disconnected" and told["gone_ns"] == told["end_ns"]
        assert row["output_tokens"] <= told["completion_tokens"] <= 60
        # Both clocks are CLOCK_MONOTONIC: it was seen to be gone after the client had gone.
        assert told["gone_ns"] - told["arrival_ns"] > row["end_ns"] - row["send_end_ns"] - 50_000_000
    counts, gone = ran.result.counts.run, ran.result.behaved
    assert gone is not None and gone.abandoned is not None
    assert counts.abandoned == ran.statuses.count("abandoned") == sum(gone.abandoned.by.values()) > 10
    assert counts.failed == 0 and ran.result.errors == [] and ran.result.invalid == []
    ttft = ran.result.latency["ttft_ms"].service
    assert ttft.n == sum(row["first_any_ns"] is not None for row in ran.rows)
    assert ran.result.latency["e2e_ms"].service.n == ran.statuses.count("ok")
    checks = {check.name: check.word for check in ran.result.verdict.checks}
    assert checks["accounting"] == checks["failures"] == "VALID" and checks.get("token_closure") != "INVALID"


def some_hang(request: Received) -> list[Step]:
    return [HANG] if request.number % 2 else clean(4)


def test_who_loses_patience_has_not_failed(tmp_path: Path) -> None:
    with serve(some_hang) as server:
        ran = run_once(server.url, tmp_path / "run", concurrency=2, requests=12, patience="1500ms", ttft_ms=100_000.0)
    rows = ran.rows
    hung = {row["request"] for row in rows if row["status"] == "abandoned"}
    assert ran.statuses.count("ok") + len(hung) == 12 and len(hung) >= 4
    assert all(row["gave_up"] == "patience" and row["first_any_ns"] is None for row in rows if row["request"] in hung)
    assert all(row["end_ns"] - row["send_start_ns"] >= 1.5e9 for row in rows if row["request"] in hung)
    result = ran.result
    assert result.errors == [] and result.counts.run.failed == 0
    assert result.goodput is not None and result.goodput.good == ran.statuses.count("ok")
    assert result.goodput.planned == 12
    gone = result.behaved and result.behaved.abandoned
    assert gone and gone.before_first == len(hung)
    assert any("gave up before the first output" in note for note in result.notes)
    assert {c.word for c in result.verdict.checks if c.name in ("failures", "given up")} == {"VALID"}


def test_a_user_who_gives_up_goes_on_at_once(tmp_path: Path) -> None:
    """A closed loop pauses after failures, so that it does not flood who refuses: who gives up is no failure."""
    with serve(lambda _: [HANG]) as server:
        ran = run_once(server.url, tmp_path / "run", concurrency=1, requests=6, patience="100ms")
    rows = ran.rows
    assert ran.statuses == ["abandoned"] * 6
    for before, after in itertools.pairwise(rows):
        assert after["ready_ns"] >= before["end_ns"]
    assert len(server.load) == 6
    assert ran.result.counts.run.abandoned == 6


def test_over_http_2_the_stream_is_reset_and_the_connection_stays(tmp_path: Path) -> None:
    with serve_h2(lambda _: [*parted(clean(4))[:2], HANG], probe=lambda _: parted(clean())) as server:
        ran = run_once(server.url, tmp_path / "run", http="2", rate=20.0, requests=6, cancel=["100%@200ms"])
    assert ran.statuses == ["abandoned"] * 6
    assert server.broken == []
    assert server.resets >= 6


@pytest.mark.parametrize("tls", [False, True])
def test_a_slow_reader_reads_no_faster_and_is_in_no_latency(
    tmp_path: Path, tls: bool, tls_files: tuple[str, str]
) -> None:
    rate = 60_000
    secured = ("--tls-cert", tls_files[0], "--tls-key", tls_files[1]) if tls else ()
    with engine("--ttft", "5ms", "--itl", "1ms", "--slots", "64", *secured) as url:
        ran = run_once(
            url, tmp_path / "run", rate=20.0, requests=30, output_tokens="150", slow_readers=f"30%@{rate}B/s",
            timeout_s=60, verify_tls=False,
        )  # fmt: skip
    slow = ~np.isnan(planned(ran, "read_bytes_per_s"))
    assert ran.statuses == ["ok"] * 30 and 3 < slow.sum() < 20
    for row, reads_slowly in zip(ran.rows, slow, strict=True):
        assert row["output_tokens"] == 150
        if reads_slowly:
            assert row["end_ns"] - row["send_end_ns"] >= 0.98e9 * row["bytes_received"] / rate
    result = ran.result
    fast = int((~slow).sum())
    assert result.latency["ttft_ms"].service.n == result.latency["e2e_ms"].service.n == fast
    assert result.latency["itl_ms"].service.n == 149 * fast
    assert result.behaved is not None and result.behaved.slow is not None
    assert result.behaved.slow.requests == result.behaved.slow.ok == int(slow.sum())
    assert result.counts.run.ok == 30


def test_a_slow_reader_who_counts_tokens(tmp_path: Path) -> None:
    with engine("--ttft", "5ms", "--itl", "1ms", "--slots", "64") as url:
        ran = run_once(url, tmp_path / "run", rate=20.0, requests=6, output_tokens="40", slow_readers="100%@40t/s")
    assert ran.statuses == ["ok"] * 6
    for part in ran.recording.chunks(("request", "t_ns", "kind")):
        assert (part["kind"] & KIND_OUTPUT).all()
    for row in ran.rows:
        assert row["last_ns"] - row["first_any_ns"] >= 0.9e9 * 39 / 40 - 0.05e9
    assert all(latency.service.n == 0 for name, latency in ran.result.latency.items() if name != "rtf")


def test_a_broken_connection_fails_a_slow_reader_too(tmp_path: Path) -> None:
    from scripted import CLOSE

    with serve(lambda _: [*clean(4)[:3], CLOSE]) as server:
        ran = run_once(server.url, tmp_path / "run", rate=20.0, requests=4, slow_readers="100%@100KB/s")
    assert ran.statuses == ["failed"] * 4
    assert set(ran.kinds()) <= {"cut", "reset"}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("deaf", [False, True])
def test_whether_the_server_notices_is_seen_on_its_page(tmp_path: Path, deaf: bool) -> None:
    """Requests of a second, of which 60 % are given up after a tenth of it: a deaf engine computes them still."""
    flags = ("--ttft", "20ms", "--itl", "5ms", "--slots", "64", *(("--deaf",) if deaf else ()))
    with engine(*flags) as url:
        ran = run_once(
            url, tmp_path / "run", rate=12.0, requests=48, output_tokens="200", cancel=["60%@100ms"], every_s=0.1,
        )  # fmt: skip
        seen = truth_of(url)
    gone = [row["request"] for row in ran.rows if row["status"] == "abandoned"]
    made = [seen[request]["completion_tokens"] for request in gone if request in seen]
    assert len(gone) > 15 and all(tokens == 200 for tokens in made) == deaf
    assert all(seen[request]["gone_ns"] is not None for request in gone if request in seen)
    told = ran.result.behaved and ran.result.behaved.noticed
    assert told is not None
    (check,) = [check for check in ran.result.verdict.checks if check.name == "noticed"]
    if deaf:
        assert told.low > 0.5 and check.word == "NOTED"
    else:
        assert told.share < 0.25 and check.word != "NOTED"


def test_ttft_under_patience_is_that_of_the_recorded_rows(tmp_path: Path) -> None:
    """From the Parquet by DuckDB and SciPy, which share no code with the result: two slots make a queue to wait in."""
    with engine("--ttft", "60ms", "--itl", "1ms", "--slots", "2") as url:
        ran = run_once(
            url, tmp_path / "run", rate=40.0, requests=80, output_tokens="20", patience="lognormal:300ms,0.6",
        )  # fmt: skip
    where = ran.folder / "requests-*.parquet"
    rows = duckdb.sql(
        f"select planned_ns, first_any_ns, end_ns, status from '{where}' where status in ('ok', 'abandoned')"
    ).fetchnumpy()
    came = ~np.ma.getmaskarray(rows["first_any_ns"])
    times = np.where(came, rows["first_any_ns"], rows["end_ns"]).astype(float) - rows["planned_ns"].astype(float)
    assert 5 < (~came).sum() < 75
    gone = ran.result.behaved and ran.result.behaved.abandoned
    assert gone and gone.before_first == (~came).sum() and gone.ttft_anchor == "response"
    known = stats.ecdf(stats.CensoredData(uncensored=times[came], right=times[~came])).sf
    for name, left in (("p50", 0.5), ("p90", 0.1)):
        one = gone.ttft_ms.get(name)
        if one is not None and one.value is not None:
            assert known.evaluate(one.value * 1e6 + 1) <= left + 1e-9 < known.evaluate(one.value * 1e6 - 1) + 2e-9
    response = ran.result.latency["ttft_ms"].response
    assert response is not None and response.n == came.sum()
    assert response.mean == pytest.approx(times[came].mean() / 1e6)


def test_who_gives_up_a_turn_sends_no_more_of_its_session(tmp_path: Path) -> None:
    with engine("--ttft", "5ms", "--itl", "2ms", "--slots", "64") as url:
        ran = run_once(
            url, tmp_path / "run", concurrency=3, requests=24, output_tokens="40", turns="4", cancel=["40%@5t"],
        )  # fmt: skip
    plan = ran.recording.schedule(("request", "session", "turn"))
    rows = {row["request"]: row["status"] for row in ran.rows}
    assert "abandoned" in rows.values() and "ok" in rows.values() and set(rows.values()) <= {"ok", "abandoned"}
    left = {plan["session"][request]: plan["turn"][request] for request, how in rows.items() if how == "abandoned"}
    for request, session, turn in zip(plan["request"], plan["session"], plan["turn"], strict=True):
        sent = request in rows
        assert not (sent and session in left and turn > left[session])
    assert ran.result.errors == [] and ran.result.invalid == []


def test_a_turn_that_is_given_up_ends_its_session_and_no_other(tmp_path: Path) -> None:
    """What was said before goes on in all others, and the accounts of sessions close."""
    with engine("--ttft", "10ms", "--itl", "1ms", "--slots", "64") as url:
        ran = run_once(
            url, tmp_path / "run", concurrency=4, requests=160, output_tokens="10", turns="4", think="5ms",
            cancel=["10%@3t"], slow_readers="10%@400t/s", seed=3, timeout_s=20,
        )  # fmt: skip
        truth = truth_of(url)
    found, run = ran.result.sessions, ran.result.counts.run
    plan = ran.recording.schedule(("session", "turn"))
    status = {row["request"]: row["status"] for row in ran.rows}
    assert run.planned == 160 == run.ok + run.abandoned + run.unsent
    assert run.abandoned > 5 and run.unsent > 5
    assert set(truth) == set(status)
    left = {int(plan["session"][request]) for request, one in status.items() if one == "abandoned"}
    assert found is not None
    assert (found.begun, found.abandoned, found.whole) == (40, len(left), 40 - len(left))
    assert (found.unsent_turns.after_abandoned, found.unsent_turns.after_failure, found.unsent_turns.at_end) == (
        run.unsent, 0, 0,
    )  # fmt: skip
    for request in status:
        before = request - 1
        if plan["turn"][request] == 0:
            continue
        assert status[before] == "ok"
        grown = truth[request]["said"][: len(truth[before]["said"])]
        assert grown == truth[before]["said"] and len(truth[request]["said"]) == len(grown) + 2
    for request in set(range(160)) - set(status):
        assert int(plan["session"][request]) in left

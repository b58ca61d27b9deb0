"""HTTP/2: by prior knowledge and by ALPN, streams that share connections, and what ends them otherwise."""

from __future__ import annotations

import ssl
import sys
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import plain_figures as plain
import pytest
import trustme
from contract_runs import Run, run_once
from known import Witness, reply
from scripted import CLOSE, HANG, RESET, Received, clean, event, json_reply, serve, token
from scripted_h2 import END, GOAWAY, Head, parted, serve_h2

from loadcell.errors import EndpointError, UsageError
from loadcell.metrics.fingerprint import differences
from loadcell.spec import build_spec

pytestmark = pytest.mark.usefixtures("alone")
SLACK_NS, LATE_NS = 50_000, 3_000_000
"""How much earlier and later than the server says a stamp may be: the start of the load is taken from the requests."""


def whole(request: Received) -> list[Any]:
    return parted(clean())


def odd(*steps: Any) -> Any:
    """Every second request of the load gets these steps; others are whole."""
    return lambda request: list(steps) if request.number % 2 else whole(request)


def failures(script: Any, run: Run, **fields: Any) -> tuple[Counter[str], set[str]]:
    """How the requests ended of which every second got odd steps, and the words of those that failed."""
    with serve_h2(script, probe=whole) as server:
        ran = run(server.url, http="2", requests=8, concurrency=4, **fields)
    assert [row["status"] for row in ran.rows[::2]] == ["ok"] * 4 or "ended the connection" in str(ran.rows)
    return Counter(row["error_kind"] or "ok" for row in ran.rows), {row["error"] for row in ran.rows if row["error"]}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca_file = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    return context, str(ca_file)


def test_streams_share_connections_up_to_what_the_server_allows(run: Run) -> None:
    with serve_h2(whole, streams=4) as server:
        before = server.connections
        ran = run(server.url, http="2", requests=40, concurrency=10)
    assert ran.statuses == ["ok"] * 40
    assert server.most_streams == 4
    assert len({request.connection for request in server.load}) == 3 and before == 0
    assert len({row["connection"] for row in ran.rows}) == 3
    assert [row["output_tokens"] for row in ran.rows] == [4] * 40
    assert server.resets <= 1, "but for the probe's, which is hung up on"
    assert any("share connections" in note for note in ran.manifest.notes)
    (audit,) = ran.recording.audits
    assert audit["connections_before"] == 3


def test_alpn_over_tls(run: Run, tls: tuple[ssl.SSLContext, str]) -> None:
    with serve_h2(whole, context=tls[0]) as server:
        ran = run(server.url, http="2", requests=12, concurrency=6, ca_file=tls[1])
    assert ran.statuses == ["ok"] * 12
    assert len({request.connection for request in server.load}) == 1
    assert ran.result.instrument.reads_without_stamp == 0


def test_an_open_loop_opens_more_connections_while_it_runs(run: Run) -> None:
    with serve_h2(lambda _: parted(clean(4, ttft_s=1.5)), probe=whole, streams=2) as server:
        ran = run(server.url, http="2", rate=10, arrivals="constant", requests=20)
    assert ran.statuses == ["ok"] * 20
    assert len({request.connection for request in server.load}) > 5
    assert any(row["conn_start_ns"] is not None for row in ran.rows)


def test_a_request_larger_than_the_servers_windows(run: Run) -> None:
    with serve_h2(whole, window=100) as server:
        ran = run(server.url, http="2", requests=4, input_tokens="20000", keep_text=True)
    assert ran.statuses == ["ok"] * 4
    assert all(len(request.body) > 50_000 and request.json()["model"] for request in server.load)
    assert all(row["send_end_ns"] > row["send_start_ns"] for row in ran.rows)


def test_a_reply_that_is_not_streamed(run: Run) -> None:
    """Its length is told, and a wrong one is a failure of that stream alone."""
    text = json_reply({"choices": [{"index": 0, "message": {"content": "some words"}, "finish_reason": "stop"}]})
    head, body = parted([text])
    assert isinstance(head, Head) and isinstance(body, bytes)

    def script(request: Received) -> list[Any]:
        off = {1: 5, 3: -5}.get(request.number, 0)
        told = Head((name, str(len(body) + off) if name == "content-length" else value) for name, value in head)
        return [told, body]

    with serve_h2(script) as server:
        ran = run(server.url, http="2", requests=6, stream=False)
    assert [row["error_kind"] for row in ran.rows] == [None, "cut", None, "protocol", None, None]
    assert "by its content-length" in ran.rows[1]["error"]
    assert len({request.connection for request in server.load}) == 1


def test_a_stream_that_is_reset(run: Run) -> None:
    kinds, said = failures(odd(event(token()), RESET), run)
    assert kinds == {"ok": 4, "cut": 4} and said == {"the server reset the stream (INTERNAL_ERROR)"}
    kinds, said = failures(odd(RESET), run)
    assert kinds == {"ok": 4, "reset": 4} and said == {"the server reset the stream (INTERNAL_ERROR)"}


def test_a_stream_that_is_reset_after_its_end_mark_is_judged_as_over_http_1(run: Run) -> None:
    kinds, _ = failures(odd(*parted(clean()), RESET), run)
    assert kinds == {"ok": 8}


def test_a_stream_that_is_reset_before_its_end_mark_has_failed(run: Run) -> None:
    kinds, said = failures(odd(*parted(clean())[:2], RESET), run)
    assert kinds == {"ok": 4, "cut": 4} and said == {"the server reset the stream (INTERNAL_ERROR)"}


def test_a_stream_that_ends_without_a_finish(run: Run) -> None:
    kinds, _ = failures(odd(event(token()), END), run)
    assert kinds == {"ok": 4, "cut": 4}


def test_streams_that_are_left_open_after_their_end_mark(run: Run) -> None:
    """As with HTTP/1.1 the mark ends them; their connection stays."""
    with serve_h2(lambda _: [*parted(clean()), HANG]) as server:
        ran = run(server.url, http="2", requests=8, concurrency=2)
    assert ran.statuses == ["ok"] * 8
    assert len({request.connection for request in server.load}) == 1 and server.resets >= 8
    assert any("each is given up there" in note for note in ran.manifest.notes)
    assert ran.manifest.effective["reuse_connections"] is True


def test_a_connection_that_ends_fails_all_of_its_streams(run: Run) -> None:
    with serve_h2(
        lambda r: [event(token()), 0.2, CLOSE] if r.number == 0 else [event(token()), HANG], probe=whole
    ) as server:
        ran = run(server.url, http="2", requests=4, concurrency=4, timeout_s=3)
    assert {row["error_kind"] for row in ran.rows} == {"cut"}
    assert {row["error"] for row in ran.rows} == {"the connection ended before the stream did"}


def test_goaway_lets_streams_end_and_opens_another_connection(run: Run) -> None:
    """As nginx does after 1000 requests."""

    def script(request: Received) -> list[Any]:
        steps = parted(clean(6, gap_s=0.02))
        return [*steps[:3], GOAWAY, *steps[3:]] if request.number == 0 else steps

    with serve_h2(script, probe=whole) as server:
        ran = run(server.url, http="2", requests=12, concurrency=1)
    assert ran.statuses == ["ok"] * 12
    assert len({request.connection for request in server.load}) == 2


def test_goaway_before_a_request_was_taken_is_told(run: Run) -> None:
    def script(request: Received) -> list[Any]:
        return [0.2, GOAWAY, *parted(clean()), HANG] if request.number == 0 else [0.4, *parted(clean())]

    with serve_h2(script, probe=whole) as server:
        ran = run(server.url, http="2", requests=2, concurrency=2)
    kinds = Counter(row["error"] for row in ran.rows)
    assert kinds["the server ended the connection before it took this request (GOAWAY NO_ERROR: bye)"] == 1


def test_timeouts_give_up_streams_and_keep_the_connection(run: Run) -> None:
    script = odd(event(token()), HANG)
    with serve_h2(script, probe=whole) as server:
        ran = run(server.url, http="2", requests=6, concurrency=2, timeout_s=1)
    assert Counter(ran.statuses) == {"ok": 3, "failed": 3}
    assert {row["error_kind"] for row in ran.rows} == {None, "timeout"}
    assert len({request.connection for request in server.load}) == 1
    assert server.resets >= 3


def test_http_errors_are_those_of_the_server(run: Run) -> None:
    with serve_h2(lambda _: parted([json_reply({"error": {"message": "slow down"}}, 429)]), probe=whole) as server:
        ran = run(server.url, http="2", requests=4)
    assert {(row["error_kind"], row["error"]) for row in ran.rows} == {("http_429", "slow down")}


# --- servers without it ----------------------------------------------------------------------------------------------


def test_a_server_of_http_1_by_prior_knowledge(run: Run) -> None:
    with (
        serve() as server,
        pytest.raises(EndpointError, match=r"speaks HTTP/1\.1 there: leave --http 2 out|hung up at the first"),
    ):
        run(server.url, http="2", requests=2, metrics_url="none")


def test_a_server_that_does_not_agree_by_alpn(run: Run, tls: tuple[ssl.SSLContext, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted = trustme.CA()
    trusted.issue_cert("127.0.0.1").configure_cert(context)
    for protocols, chosen in (([], "nothing"), (["http/1.1"], "http/1.1")):
        if protocols:
            context.set_alpn_protocols(protocols)
        with (
            serve(context=context) as server,
            pytest.raises(EndpointError, match=rf"it chose {chosen}\).*leave --http 2 out"),
        ):
            run(server.url, http="2", requests=2, verify_tls=False)


def test_a_server_of_http_2_alone_names_the_flag(run: Run) -> None:
    with serve_h2(whole) as server, pytest.raises(EndpointError, match=r"HTTP/2 alone there.*--http 2"):
        run(server.url, requests=2)


def test_a_spec_may_write_the_version_as_a_number() -> None:
    for value, told in ((2, "2"), (1.1, "1.1"), ("2", "2")):
        assert build_spec({"endpoint": {"url": "http://localhost", "http": value}}).endpoint.http == told


def test_without_the_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2.connection", None)
    with pytest.raises(UsageError, match=r"pip install 'loadcell\[http2\]'"):
        run("http://192.0.2.1:8000", http="2", requests=2)


def test_not_through_a_proxy_without_tls(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://10.0.0.1:3128")
    with pytest.raises(UsageError, match="does not pass through the proxy"):
        run("http://192.0.2.1:8000", http="2", requests=2)


# --- its figures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over_tls", [False, True])
def test_figures_lie_between_the_servers_own_stamps(
    tmp_path: Path, tls: tuple[ssl.SSLContext, str], over_tls: bool
) -> None:
    witness = Witness()
    script = witness(lambda _: parted(reply(12, 0.03, 0.004, tail_s=0.002)))
    context, fields = (tls[0], {"ca_file": tls[1]}) if over_tls else (None, {})
    with serve_h2(script, context=context) as server:
        ran = run_once(server.url, tmp_path / "run", http="2", requests=60, concurrency=6, output_tokens="12", **fields)
    assert ran.statuses == ["ok"] * 60
    t0_ns, chunks = witness.t0_ns(ran.rows), plain.read(tmp_path / "run", "chunks")
    for row in ran.rows:
        seen = witness.seen[row["request"]]
        came = [chunk for chunk in chunks if chunk["request"] == row["request"] and chunk["kind"] & plain.OUTPUT_KINDS]
        assert [came[0]["t_ns"], came[-1]["t_ns"]] == [row["first_any_ns"], row["last_ns"]]
        for chunk, before_ns, after_ns in zip(came, seen.before_ns, seen.after_ns, strict=True):
            earliest_ns = chunk["t_ns"] if chunk["poll_ns"] is None else min(chunk["poll_ns"], chunk["t_ns"])
            assert t0_ns + chunk["t_ns"] >= before_ns - SLACK_NS
            assert t0_ns + earliest_ns <= after_ns + LATE_NS
    bounds = witness.bounds_ms(ran.rows, t0_ns)
    for name, end in (("ttft", "first_any_ns"), ("e2e", "last_ns")):
        mean_ms = fmean(row[end] - row["send_start_ns"] for row in ran.rows) / 1e6
        assert bounds[name][0] - 0.05 <= mean_ms <= bounds[name][1] + 10, name


def test_figures_agree_with_the_parquet(tmp_path: Path) -> None:
    with serve_h2(lambda _: parted(clean(6, gap_s=0.004))) as server:
        run = run_once(server.url, tmp_path / "run", http="2", requests=120, concurrency=6, output_tokens="6")
    requests, chunks = plain.read(run.folder, "requests"), plain.read(run.folder, "chunks")
    window = run.result.methodology.window
    theirs = plain.latencies(requests, chunks, "closed", (window.start_s, window.end_s))
    assert theirs
    for name, mine in theirs.items():
        metric, anchor = name.split(".")
        shown = getattr(run.result.latency[metric], anchor)
        assert shown.n == mine["n"], name
        assert shown.mean == pytest.approx(mine["mean"], rel=2e-5), name


def test_what_shares_a_read_may_have_come_earlier_and_the_budget_says_so(run: Run) -> None:
    """The server hands over 40 ms at a time: of each read all streams but the last have an earliest time."""
    with serve_h2(lambda _: parted(clean(10, gap_s=0.004)), cork_s=0.04) as server:
        ran = run(server.url, http="2", requests=16, concurrency=8, output_tokens="10")
    assert ran.statuses == ["ok"] * 16
    chunks = plain.read(ran.folder, "chunks")
    early = [chunk for chunk in chunks if chunk["poll_ns"] is not None]
    assert len(early) > len(chunks) / 2
    assert ran.recording.audits[0]["mixed_reads"] > 3
    (check,) = (check for check in ran.result.verdict.checks if check.name == "streams")
    assert check.word is None and "reads brought bytes of several requests" in check.says


def test_a_comparison_says_that_the_transport_is_another(run: Run) -> None:
    with serve_h2(whole) as server:
        two = run(server.url, http="2", requests=4)
    with serve() as server:
        one = run(server.url, requests=4)
    says = [found.says for found in differences(one.result, two.result) if found.field == "HTTP"]
    assert says == ["HTTP: A 1.1, B 2"]

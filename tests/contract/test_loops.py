"""Open and closed loops: what is planned is accounted for, whatever ends the run."""

from __future__ import annotations

import pytest
from contract_runs import Run
from scripted import HANG, MODEL, Received, Step, clean, json_reply, serve

from loadcell.errors import UsageError

pytestmark = pytest.mark.usefixtures("alone")


def slow(_: Received) -> list[Step]:
    return clean(2, ttft_s=0.15)


def test_a_cap_queues_and_keeps_the_plan(run: Run) -> None:
    """Ten a second with one in flight for 0.15 s: the queue grows, and response time shows it."""
    with serve(slow) as server:
        ran = run(server.url, rate=10.0, arrivals="constant", requests=6, concurrency=1)
    rows = ran.rows
    assert ran.statuses == ["ok"] * 6
    assert ran.result.concurrency.max == 1
    gaps = {rows[i + 1]["planned_ns"] - rows[i]["planned_ns"] for i in range(5)}
    assert gaps == {100_000_000}
    waits = [row["send_start_ns"] - row["planned_ns"] for row in rows]
    assert waits == sorted(waits)
    assert waits[-1] > 0.15e9
    ttft = ran.result.latency["ttft_ms"]
    assert ttft.response is not None and ttft.response.max is not None and ttft.service.max is not None
    assert ttft.response.max > ttft.service.max + 150


def test_an_open_loop_waits_for_nobody(run: Run) -> None:
    with serve(slow) as server:
        ran = run(server.url, rate=40.0, arrivals="constant", requests=8)
    assert ran.result.counts.run.ok == 8
    assert ran.result.concurrency.max >= 3
    assert all(row["send_start_ns"] >= row["planned_ns"] for row in ran.rows)


def test_a_rate_for_a_time(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, rate=20.0, arrivals="constant", duration_s=0.5, keep_load=False)
    assert ran.result.counts.run.planned == ran.result.counts.run.ok == len(server.load)
    assert 9 <= len(server.load) <= 11
    assert max(row["planned_ns"] for row in ran.rows) <= 500_000_000


def test_a_rate_ends_with_what_comes_first(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, rate=20.0, arrivals="constant", requests=4, duration_s=60)
    assert ran.result.counts.run.planned == len(server.load) == 4


def test_users_for_a_time(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, concurrency=2, duration_s=0.4, keep_load=False)
    counts = ran.result.counts.run
    assert counts.planned == counts.ok == len(server.load) > 4
    assert max(row["ready_ns"] for row in ran.rows) < 0.4e9


def test_users_with_a_number_of_requests_and_a_time(run: Run) -> None:
    with serve(slow) as server:
        ran = run(server.url, concurrency=2, requests=1000, duration_s=0.3)
    counts = ran.result.counts.run
    assert counts.planned == counts.ok == len(server.load) < 10


def test_fewer_requests_than_users(run: Run) -> None:
    with serve() as server:
        assert run(server.url, concurrency=8, requests=3).statuses == ["ok"] * 3
    assert len(server.load) == 3


def test_two_workers_share_the_schedule(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, concurrency=4, requests=9, workers=2)
    assert sorted(request.number for request in server.load) == list(range(9))
    assert {row["worker"] for row in ran.rows} == {0, 1}
    assert ran.statuses == ["ok"] * 9


def test_more_workers_than_users_are_refused(run: Run) -> None:
    with pytest.raises(UsageError, match="--workers 1"):
        run("http://127.0.0.1:9", concurrency=1, requests=2, workers=2)


@pytest.mark.parametrize("load", [{"concurrency": 2}, {"rate": 50.0}])
def test_a_server_that_never_answers_ends_by_the_timeout(run: Run, load: dict[str, float]) -> None:
    with serve(lambda _: [HANG]) as server:
        ran = run(server.url, requests=4, timeout_s=0.3, **load)
    assert ran.kinds() == {"timeout": 4}
    assert all(row["end_ns"] - row["send_start_ns"] >= 0.3e9 for row in ran.rows)
    assert ran.manifest.state == "complete"


def test_bursts_of_refusals_are_counted_and_not_tried_again(run: Run) -> None:
    def script(request: Received) -> list[Step]:
        busy = {3: 429, 4: 429, 5: 429, 6: 503, 7: 503, 8: 503}.get(request.number)
        return [json_reply({"error": "busy"}, busy, b"Retry-After: 0\r\n")] if busy else clean()

    with serve(script) as server:
        ran = run(server.url, rate=100.0, arrivals="constant", requests=12)
    assert ran.statuses == ["ok"] * 3 + ["failed"] * 6 + ["ok"] * 3
    assert ran.kinds() == {"http_429": 3, "http_503": 3}
    assert len(server.load) == 12


def test_a_refusing_server_is_not_flooded(run: Run) -> None:
    with serve(lambda _: [json_reply({"error": "busy"}, 429)]) as server:
        ran = run(server.url, concurrency=2, duration_s=0.45)
    assert 2 <= len(server.load) <= 12
    assert ran.result.counts.run.failed == len(server.load)


def test_a_server_that_stops_listening(run: Run) -> None:
    """It takes the two probes and one request, one a connection, and then nobody is there any more."""
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        replies = [clean(), clean(), clean()]
        listed = json_reply({"data": [{"id": MODEL}]})
        while replies:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(0.2)
                try:
                    data = sock.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    continue
                steps = [listed] if data.startswith(b"GET") else replies.pop()
                sock.sendall(b"".join(step for step in steps if isinstance(step, bytes)))
        listener.close()

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    ran = run(f"http://127.0.0.1:{listener.getsockname()[1]}", concurrency=1, requests=4)
    thread.join(10)
    assert set(ran.kinds()) <= {"connect", "reset"}
    assert ran.result.counts.run.failed >= 3


def test_the_same_seed_and_salt_send_the_same(run: Run) -> None:
    with serve() as first, serve() as second:
        one = run(first.url, requests=6, seed=3, salt="a", input_tokens="normal:20,5")
        two = run(second.url, requests=6, seed=3, salt="a", input_tokens="normal:20,5", workers=2)
    by_number = [{r.number: r.body for r in server.load} for server in (first, second)]
    assert by_number[0] == by_number[1]
    assert one.manifest.schedule_hash == two.manifest.schedule_hash
    assert one.manifest.bodies_hash == two.manifest.bodies_hash


def test_users_for_a_time_and_until_enough_were_sent(run: Run) -> None:
    """Both ends must be reached: here the number comes last, in the next test the time."""
    with serve(slow) as server:
        ran = run(server.url, concurrency=2, duration_s=0.1, min_requests=7, ramp_s=0.0)
    counts = ran.result.counts.run
    assert counts.planned == counts.ok == len(server.load) in (7, 8)  # the other user may be ready too
    assert counts.unsent == 0 and ran.result.run.state == "complete"


def test_enough_requests_are_no_end_before_the_time(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, concurrency=1, duration_s=0.4, min_requests=1)
    assert ran.result.counts.run.ok > 4
    ready = [row["ready_ns"] for row in ran.rows]
    assert ready[-2] < 0.4e9 <= ready[-1]  # one was sent at the end or later, and no more


def test_users_in_lockstep_send_together(run: Run) -> None:
    """The replies differ in length: nobody sends before the slowest of the round has its reply."""

    def uneven(received: Received) -> list[Step]:
        return clean(2, ttft_s=0.02 + 0.03 * (len(server.load) % 3))

    with serve(uneven) as server:
        ran = run(server.url, concurrency=3, requests=9, lockstep=True, ramp_s=0.0)
    assert ran.statuses == ["ok"] * 9
    rows = ran.rows
    for first in (3, 6):
        last_reply = max(row["end_ns"] for row in rows[first - 3 : first])
        assert all(row["ready_ns"] == last_reply <= row["send_start_ns"] for row in rows[first : first + 3])


def test_the_last_round_in_lockstep_is_whole(run: Run) -> None:
    with serve() as server:
        ran = run(server.url, concurrency=3, duration_s=0.2, min_requests=3, lockstep=True, ramp_s=0.0)
    ready = [row["ready_ns"] for row in ran.rows]
    assert len(ready) % 3 == 0 and ready[-4] < 0.2e9 <= ready[-3] == ready[-1]
    judged = [check.name for check in ran.result.verdict.checks if check.word is None]
    assert "concurrency" in judged


def test_users_in_lockstep_go_on_after_a_failure(run: Run) -> None:
    def failing(received: Received) -> list[Step]:
        return [json_reply({}, status=500)] if len(server.load) % 4 == 1 else clean(2)

    with serve(failing) as server:
        ran = run(server.url, concurrency=2, requests=6, lockstep=True)
    assert len(ran.rows) == 6 and {"ok", "failed"} == set(ran.statuses)

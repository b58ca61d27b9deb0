"""Defects 39 to 43: what the client costs must not become the server's latency."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from contract_runs import Ran, run_once
from difficult import Said
from known import Witness, fault, lies_in, reply
from scripted import SSE_HEAD, chunked, delta, event, serve, token

from loadcell.protocol import Reply
from loadcell.protocol.openai.dialect import CHAT

pytestmark = pytest.mark.usefixtures("alone")

PARSE_S = 0.03
SLOW_PARSER = """
import time
from loadcell.protocol.reply import Reply
plain = Reply.take
def take(self, tape, most):
    time.sleep({seconds})
    plain(self, tape, most)
Reply.take = take
"""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Witness, Ran]:
    """One user whose client needs 30 ms to parse a reply; the next reply's first token comes meanwhile, at 10 ms."""
    witness, folder = Witness(), tmp_path_factory.mktemp("slow")
    with pytest.MonkeyPatch.context() as patch, serve(witness(lambda _: reply(3, 0.01, 0.06))) as server:
        fault(patch, folder, SLOW_PARSER.format(seconds=PARSE_S))
        return witness, run_once(server.url, folder / "run", requests=12, concurrency=1)


def test_39_stamps_are_taken_before_the_parse(slow: tuple[Witness, Ran]) -> None:
    witness, ran = slow
    rows = ran.rows
    assert ran.statuses == ["ok"] * 12
    lag = ran.result.instrument.read_lag
    assert lag.max_ms is not None and lag.max_ms > 10, "the client did read late"
    assert lies_in(ran.result.latency["ttft_ms"].service.mean, witness.bounds_ms(rows, witness.t0_ns(rows))["ttft"], 4)


def test_40_nothing_is_tokenised_while_the_load_runs(chat: dict[str, Said]) -> None:
    """The tokenizer is not even loaded by a worker before its load has ended; the counts are there all the same."""
    code = "import sys, loadcell.load.process; sys.exit('tokenizers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
    said = chat["no usage at all"]
    assert {(row["token_source"], row["output_tokens"]) for row in said.rows} == {("events", 10)}
    assert lies_in(said.service_ms("e2e_ms"), said.bounds_ms["e2e"], 5)


def test_41_a_saturated_client_is_named(slow: tuple[Witness, Ran]) -> None:
    _, ran = slow
    verdict = ran.result.verdict
    words = {check.name: check.word for check in verdict.checks}
    assert words["stall"] == words["read_lag"] == "NOTED"
    assert verdict.word != "VALID"
    noted = [check.says for check in verdict.checks if check.word == "NOTED"]
    assert any("the client stood still" in says for says in noted)
    wide = [check for check in verdict.checks if check.name.endswith("budget") and check.word in ("SUSPECT", "INVALID")]
    named = any(says in reason for says in noted for reason in verdict.reasons)  # a busy machine may be worse than it
    assert named == bool(wide), verdict.reasons


def cost_s(data: bytes, pieces: int) -> float:
    """CPU time to take `data` in so many reads; the least of three."""
    step = -(-len(data) // pieces)
    reads = [SSE_HEAD % b"", *(chunked(data[i : i + step]) for i in range(0, len(data), step))]
    best = float("inf")
    for _ in range(3):
        taker = Reply(CHAT)
        began = time.process_time()
        for number in range(0, len(reads), 64):
            taker.feed(reads[number : number + 64], number)
        best = min(best, time.process_time() - began)
        assert taker.failure is None
    return best


@pytest.mark.parametrize("shape", ["one long event", "many events", "a long text"])
def test_42_no_buffer_costs_the_square_of_its_length(shape: str) -> None:
    """Eight times as much takes eight times as long, not 64 times."""

    def made(size: int) -> tuple[bytes, int]:
        if shape == "one long event":
            return event(token("x" * 100 * size)), size
        if shape == "many events":
            return event(token()) * size, size
        return b"".join(event(delta(content="word ", n=i)) for i in range(size)), size // 10

    small, large = (cost_s(*made(size)) for size in (2_000, 16_000))
    assert large < 30 * small


def test_43_the_clients_own_delays_are_in_the_result(slow: tuple[Witness, Ran]) -> None:
    _, ran = slow
    audit = ran.result.instrument
    assert audit.send_lateness.n == 12 and audit.send_lateness.max_ms is not None
    assert audit.read_lag.n > 0 and audit.read_lag.max_ms is not None
    assert audit.cpu_us_per_token is not None and audit.cpu_us_per_token > 0
    (worker,) = audit.workers
    assert worker.cpu_s is not None and worker.longest_turn_ms is not None
    assert worker.longest_turn_ms >= 1000 * PARSE_S
    assert worker.busy_share is not None and audit.longest_stall_ms is not None
    assert audit.longest_stall_ms >= 1000 * PARSE_S

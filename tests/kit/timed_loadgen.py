"""Run the genuine LoadGen against a stub that answers after given times: python timed_loadgen.py OUT.

Reads a list of jobs as JSON from standard input, writes a line of JSON for each: what LoadGen printed, and what it
stamped. LoadGen stamps when it is called, so its own trace tells the times; where that is silent (first tokens of
the server scenario), the stamp lies between two readings of the same clock: ours just before the call, and the trace's
in it. The trace counts from an origin that it prints as a double of microseconds since 1970: a multiple of 0.25 us, up
to 125 ns beside the true one. So our reading, carried onto the trace's count, is that uncertain.
"""

from __future__ import annotations

import heapq
import json
import math
import re
import sys
import threading
import time
from array import array
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg

_SPAN = re.compile(r'"name":"(Sample|Token)".*"ph":"b".*"ts":([\d.]+),"args":(\{.*?\})')
_CALL = re.compile(r'"name":"FirstTokenComplete","ph":"X".*"ts":([\d.]+),')
_LOOP = re.compile(r'"name":"SampleLoop","ph":"X".*"ts":([\d.]+),')
_ORIGIN = re.compile(r'"otherData":\{\s*"ts":([\d.]+)')


class Stub:
    """A system under test that answers each sample when its time has come, from a thread of its own."""

    def __init__(self, first_ns: list[int], end_ns: list[int], tokens: list[int], *, told: bool, first: bool) -> None:
        self.first_ns, self.end_ns, self.tokens = first_ns, end_ns, tokens
        self.told, self.first = told, first
        self.due: list[tuple[int, int, int, int]] = []
        self.ready = threading.Condition()
        self.over = False
        self.issued = 0
        self.called: list[tuple[int, int]] = []
        """Number of the sample and time just before the call, of first tokens."""
        self.reply = array("i", range(1, 65))
        self.thread = threading.Thread(target=self._answer, daemon=True)
        self.thread.start()

    def issue(self, samples: list[lg.QuerySample]) -> None:
        now = time.time_ns()
        with self.ready:
            for sample in samples:
                number = self.issued
                self.issued += 1
                k = number % len(self.tokens)
                if self.first:
                    heapq.heappush(self.due, (now + self.first_ns[k], 0, number, sample.id))
                heapq.heappush(self.due, (now + self.end_ns[k], 1, number, sample.id))
            self.ready.notify()

    def _answer(self) -> None:
        while not self.over:
            with self.ready:
                wait_s = (self.due[0][0] - time.time_ns()) / 1e9 if self.due else 0.01
                if wait_s > 0:
                    self.ready.wait(wait_s)
                    continue
                _, last, number, identity = heapq.heappop(self.due)
            self._complete(number, identity) if last else self._first(number, identity)

    def _first(self, number: int, identity: int) -> None:
        response = [lg.QuerySampleResponse(identity, self.reply.buffer_info()[0], 4, 1)]
        self.called.append((number, time.time_ns()))
        lg.FirstTokenComplete(response)

    def _complete(self, number: int, identity: int) -> None:
        address, tokens = self.reply.buffer_info()[0], self.tokens[number % len(self.tokens)]
        count = (tokens,) if self.told else ()
        lg.QuerySamplesComplete([lg.QuerySampleResponse(identity, address, 4 * tokens, *count)])

    def stop(self) -> None:
        self.over = True
        with self.ready:
            self.ready.notify()
        self.thread.join()


def run(job: dict[str, Any], out: Path) -> dict[str, Any]:
    """One run; what LoadGen printed and stamped."""
    out.mkdir()
    settings = lg.TestSettings()
    for name, value in job["settings"].items():
        setattr(settings, name, getattr(lg.TestScenario, value) if name == "scenario" else value)
    settings.mode = lg.TestMode.PerformanceOnly
    told = bool(job["settings"].get("use_token_latencies"))
    stub = Stub(job["first_ns"], job["end_ns"], job["tokens"], told=told, first=told and not job["offline"])
    log = lg.LogSettings()
    log.enable_trace = True
    log.log_output.outdir = str(out)
    log.log_output.copy_summary_to_stdout = False
    sut = lg.ConstructSUT(stub.issue, lambda: None)
    qsl = lg.ConstructQSL(job["n"], job["n"], lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, qsl, settings, log, str(out / "no-audit.config"))
    stub.stop()
    lg.DestroyQSL(qsl)
    lg.DestroySUT(sut)
    return {
        "summary": (out / "mlperf_log_summary.txt").read_text(),
        "detail": (out / "mlperf_log_detail.txt").read_text(),
        **stamps((out / "mlperf_log_trace.json").read_text(), stub.called),
    }


def stamps(trace: str, called: list[tuple[int, int]]) -> dict[str, Any]:
    """What LoadGen stamped, in ns since its start, by number of the sample.

    The trace has microseconds with three digits: whole nanoseconds. Of the start it tells what happens some 30 ns
    later; where the first query is scheduled at the very start, it is that. First tokens have an earliest and a latest
    time: the earliest is as early as the rounding of the trace's origin allows.
    """
    spans: dict[str, dict[int, tuple[int, dict[str, int]]]] = {"Sample": {}, "Token": {}}
    for name, ts, args in _SPAN.findall(trace):
        told = json.loads(args)
        spans[name][told["sample_seq"]] = (_ns(ts), told)
    zero = min(*(ts for ts, _ in spans["Sample"].values()), *map(_ns, _LOOP.findall(trace)))
    origin = _ORIGIN.search(trace)
    assert origin
    origin_ns, unsure_ns = origin_of(origin[1])
    calls = sorted(map(_ns, _CALL.findall(trace)))
    assert not called or len(calls) == len(called)
    rows = []
    brackets = {
        number: (before - origin_ns - unsure_ns - zero, call - zero)
        for (number, before), call in zip(called, calls, strict=False)
    }
    for number, (ts, told) in sorted(spans["Sample"].items()):
        low, high = brackets.get(number, (None, None))
        if number in spans["Token"]:
            low = high = ts - zero + spans["Token"][number][1]["complete_ns"]
        rows.append([number, told["query_seq"], ts - zero, told["issue_start_ns"], told["complete_ns"], low, high])
    return {"rows": rows}


def origin_of(microseconds: str) -> tuple[int, int]:
    """The trace's origin in ns since 1970, and how far the true one may lie from it: half a step of its double."""
    step_ns = round(1000 * math.ulp(float(microseconds)))
    assert _ns(microseconds) % step_ns == 0, f"{microseconds} is no double of microseconds: its rounding is another"
    return _ns(microseconds), step_ns // 2


def _ns(microseconds: str) -> int:
    whole, _, part = microseconds.partition(".")
    assert len(part) == 3
    return int(whole + part)


if __name__ == "__main__":
    home = Path(sys.argv[1])
    for number, each in enumerate(json.load(sys.stdin)):
        print(json.dumps(run(each, home / str(number))), flush=True)

"""The difficult streams: what a server may send, and what is true of it.

A clean one has 50 ms to its first token, 10 one-token events 20 ms apart, then, 60 ms later, its finish reason, usage
and `[DONE]`. Eight requests get each stream, all in one run at a constant rate; `--window` gives each its own Result.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
from contract_runs import run_once
from known import Output, Witness, output, sse
from scripted import CLOSE, DONE, RESET, Received, Step, delta, event, json_reply, serve, usage, usage_event

from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording

TTFT_S, GAP_S, TAIL_S, TOKENS = 0.05, 0.02, 0.06, 10
EACH, RATE = 8, 80.0
ASKED = 64
"""Output tokens asked for: more than any stream brings."""
ERROR = {"error": {"message": "the GPU fell off", "code": 500}}
REFUSED = json_reply(ERROR, 500).replace(b"500 Status", b"500 ")
"""Its status line has no reason phrase."""


@dataclass(frozen=True)
class Said:
    """What a Result says of one stream, and the truth."""

    recording: Recording
    window_s: tuple[float, float]
    rows: list[dict[str, Any]]
    bounds_ms: dict[str, tuple[float, float]]
    """Where the means of the ok requests must lie, by the server's stamps."""
    posts: dict[int, int]
    """How often each of its requests came to the server."""

    texts: set[str]
    """What the recording holds as the visible output."""

    @cached_property
    def result(self) -> Result:
        """The Result of its requests."""
        return build_result(self.recording, window_s=self.window_s)

    def service_ms(self, name: str) -> float | None:
        """Mean of a latency from the send."""
        return self.result.latency[name].service.mean

    def on_time(self, expected: Row) -> bool:
        """Whether the server sent when it should, and the client read at once."""
        assert expected.ttft_ms is not None and expected.e2e_ms is not None
        lag_ms = self.result.instrument.read_lag.max_ms
        nominal_ms = {"ttft": expected.ttft_ms, "e2e": expected.e2e_ms}
        late_ms = max(self.bounds_ms[name][1] - at_ms for name, at_ms in nominal_ms.items())
        return late_ms < 10 and lag_ms is not None and lag_ms < 2

    def is_true(self, name: str, bounds_ms: tuple[float, float], slack_ms: float) -> bool:
        """Whether a mean, as exact as its budget says, lies where the server's stamps say."""
        summary = self.result.latency[name].service
        budget = summary.mean_budget
        if summary.mean is None:
            return False
        low, high = (summary.mean, summary.mean) if budget is None else (budget.low, budget.high)
        return low - slack_ms <= bounds_ms[1] and high + slack_ms >= bounds_ms[0]


@dataclass(frozen=True)
class Row:
    """A stream and what must be said of it: nominal times in ms, None for what must be null."""

    steps: Callable[[Words, int], list[Step]]
    ok: int = EACH
    error: str | None = None
    tokens: int | None = TOKENS
    source: str | None = "usage"
    chunks: int = TOKENS
    ttft_ms: float | None = 50.0
    itl_ms: float | None = 20.0
    tpot_ms: float | None = 20.0
    e2e_ms: float | None = 230.0
    chat_only: bool = False


class Words:
    """Events of one API."""

    def __init__(self, api: str) -> None:
        self.api = api

    def part(self, text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
        """An event with text, a finish reason, neither or both."""
        if self.api == "chat":
            return delta(finish, **({} if text is None else {"content": text})) | more
        return {"id": "x", "choices": [{"index": 0, "text": text or "", "finish_reason": finish}]} | more

    def token(self, text: str = "word ", **form: Any) -> Output:
        return output(event(self.part(text), **form))

    def end(self, count: int = TOKENS, **form: Any) -> list[Step]:
        """Nothing for 60 ms, then finish reason, usage and end mark."""
        done = DONE.replace(b"\n", form.get("eol", b"\n")).replace(b"data: ", form.get("done", b"data: "))
        form = {name: value for name, value in form.items() if name != "done"}
        return [TAIL_S, event(self.part(finish="stop"), **form) + event(usage_event(count), **form) + done]


def spaced(first_s: float, events: list[Output]) -> list[Step]:
    """Outputs with the known gaps."""
    return [step for place, data in enumerate(events) for step in (GAP_S if place else first_s, data)]


def made(count: int = TOKENS, **form: Any) -> Callable[[Words, int], list[Step]]:
    """A clean stream in one form of its events."""
    before = {"done": form["done"]} if "done" in form else {}
    form = {name: value for name, value in form.items() if name != "done"}
    plain = {"eol": form["eol"]} if "eol" in form else {}
    return lambda api, _: sse(*spaced(TTFT_S, [api.token(**form)] * count), *api.end(count, **plain, **before))


def broken(count: int, *rest: Step) -> Callable[[Words, int], list[Step]]:
    """So many tokens, then something else."""
    return lambda api, _: sse(*spaced(TTFT_S, [api.token()] * count), *rest)


def begun(first: Callable[[Words], dict[str, Any]]) -> Callable[[Words, int], list[Step]]:
    """An event without output at 5 ms; the first token still comes at 50 ms."""
    early = 0.005
    return lambda api, _: sse(
        early, event(first(api)), *spaced(TTFT_S - early, [api.token()] * TOKENS), *api.end()
    )  # fmt: skip


def finish_with(fields: dict[str, Any]) -> Callable[[Words, int], list[Step]]:
    """The finish event carries `fields`; no usage follows."""
    return lambda api, _: sse(
        *spaced(TTFT_S, [api.token(" word")] * TOKENS), TAIL_S, event(api.part(finish="stop", **fields)) + DONE
    )


def usage_with_text(api: Words, _: int) -> list[Step]:
    last = output(event(api.part("word ", usage=usage(TOKENS))))
    return sse(*spaced(TTFT_S, [*[api.token()] * (TOKENS - 1), last]), TAIL_S, event(api.part(finish="stop")) + DONE)


def reasoning(_: Words, __: int) -> list[Step]:
    thoughts, words = (output(event(delta(**{name: "hm "}))) for name in ("reasoning_content", "content"))
    return sse(*spaced(TTFT_S, [thoughts] * 5 + [words] * 5), *Words("chat").end())


def bundles(api: Words, _: int) -> list[Step]:
    """4 tokens an event."""
    return sse(*spaced(TTFT_S, [api.token("four words in here ")] * 5), *api.end(20))


def together(api: Words, _: int) -> list[Step]:
    """Five events in one write, twice, 100 ms apart."""
    five = output(event(api.part("word ")) * 5)
    return sse(TTFT_S, five, 0.1, five, *api.end())


def split_character(api: Words, _: int) -> list[Step]:
    """Each event in two writes, cut inside a character of three bytes."""
    text = event(api.part("naïve 漢字 "))
    middle = text.index("漢".encode()) + 1
    steps: list[Step] = []
    for place in range(TOKENS):
        steps += [GAP_S - 0.005 if place else TTFT_S - 0.005, text[:middle], 0.005, output(text[middle:])]
    return sse(*steps, *api.end())


def every_second(steps: list[Step]) -> Callable[[Words, int], list[Step]]:
    return lambda api, number: steps if number % 2 else made()(api, number)


NONE: dict[str, Any] = {"ttft_ms": None, "itl_ms": None, "tpot_ms": None, "e2e_ms": None}
FAILED: dict[str, Any] = {"ok": 0, "source": None} | NONE
SILENT: dict[str, Any] = FAILED | {"chunks": 0, "tokens": None}
"""Failed before any output."""
CRLF = b"\r\n"
ROWS: dict[str, Row] = {
    "clean": Row(made()),
    "CRLF delimiters": Row(made(eol=CRLF)),
    "data: without space": Row(made(before=b"data:", done=b"data:")),
    ": ping before each event": Row(made(before=b": ping\n\ndata: ")),
    "event: line before data:": Row(made(before=b"event: message\ndata: ")),
    "no usage at all": Row(finish_with({}), source="events"),
    "usage in the finish event": Row(finish_with({"usage": usage(TOKENS)})),
    "usage in the last token's event": Row(usage_with_text),
    "usage-only event (choices empty)": Row(begun(lambda _: usage_event(0))),
    "4 tokens per event": Row(bundles, tokens=20, chunks=5, tpot_ms=80 / 16, e2e_ms=130.0),
    "5 events in one write": Row(together, itl_ms=None, tpot_ms=100 / 5, e2e_ms=150.0),
    "role-only delta at 5 ms": Row(begun(lambda api: api.part("") | {"role": "assistant"})),
    "empty delta, no role, at 5 ms": Row(begun(lambda api: api.part())),
    "5 reasoning then 5 content": Row(reasoning, chat_only=True),
    "one token": Row(made(1), tokens=1, chunks=1, itl_ms=None, tpot_ms=None, e2e_ms=50.0),
    "zero tokens, normal finish": Row(
        lambda api, _: sse(TTFT_S, *api.end(0)), error="empty", **SILENT | {"tokens": 0, "source": "usage"}
    ),
    "error event after 3 tokens": Row(
        broken(3, GAP_S, event(ERROR) + DONE), error="stream_error", **FAILED | {"tokens": 3, "chunks": 3}
    ),
    "the same with event: error": Row(
        broken(3, GAP_S, b"event: error\n" + event(ERROR) + DONE),
        error="stream_error",
        **FAILED | {"tokens": 3, "chunks": 3},
    ),
    "error as the only event": Row(lambda _, __: sse(event(ERROR)), error="stream_error", **SILENT),
    "HTTP 200 with a JSON error body": Row(lambda _, __: [json_reply(ERROR)], error="stream_error", **SILENT),
    "every second reply HTTP 500": Row(every_second([REFUSED]), ok=4, error="http_500"),
    "every second request reset unanswered": Row(every_second([RESET]), ok=4, error="reset"),
    "reset after 3 tokens": Row(broken(3, GAP_S, RESET), error="cut", **FAILED | {"tokens": 3, "chunks": 3}),
    "clean end after 5 tokens, no finish": Row(broken(5), error="cut", **FAILED | {"tokens": 5, "chunks": 5}),
    "closed after 5 tokens, no finish": Row(
        broken(5, GAP_S, CLOSE), error="cut", **FAILED | {"tokens": 5, "chunks": 5}
    ),
    "3-byte character split over two reads": Row(split_character),
}


def measure(
    api: str, folder: Path, table: dict[str, Row] = ROWS, context: ssl.SSLContext | None = None, **fields: Any
) -> dict[str, Said]:
    """Run all streams of a table through an API at once, and give each its own Result; `fields` are of the Spec."""
    names = [name for name, row in table.items() if api == "chat" or not row.chat_only]
    words, witness = Words(api), Witness()

    def script(request: Received) -> list[Step]:
        return table[names[request.number // EACH]].steps(words, request.number)

    with serve(witness(script), context=context) as server:
        ran = run_once(
            server.url, folder, api=api, rate=RATE, arrivals="constant", requests=EACH * len(names), timeout_s=5,
            **{"output_tokens": ASKED, "keep_text": True} | fields,
        )  # fmt: skip
    numbers, rows = [request.number for request in server.load], ran.rows
    t0_ns = witness.t0_ns(rows)
    with duckdb.connect() as database:
        texts = database.sql(f"select request, content from '{folder}/text-*.parquet'").fetchall()
    said: dict[str, Said] = {}
    for place, name in enumerate(names):
        first, half_a_gap_s = place * EACH, 0.5 / RATE
        window = (max(0.0, first / RATE - half_a_gap_s), (first + EACH) / RATE - half_a_gap_s)
        mine = rows[first : first + EACH]
        ok = [row for row in mine if row["status"] == "ok" and witness.seen[row["request"]].after_ns]
        said[name] = Said(
            recording=ran.recording,
            window_s=window,
            rows=mine,
            bounds_ms=witness.bounds_ms(ok, t0_ns) if ok else {},
            posts={row["request"]: numbers.count(row["request"]) for row in mine},
            texts={text for number, text in texts if number // EACH == place},
        )
    return said


def holds(said: Said, expected: Row, *, busy: bool = False) -> None:
    """Assert that a Result says of a stream what is true of it.

    On a machine that is `busy` its latencies are asserted only where server and client kept to their times; the tokens
    that they are divided by always are.
    """
    result = said.result
    counts = result.counts.window
    assert (counts.planned, counts.ok, counts.failed) == (EACH, expected.ok, EACH - expected.ok), said.rows
    failures = {row["error_kind"] for row in said.rows if row["status"] == "failed"}
    assert failures == ({expected.error} if expected.error else set())
    assert all(row["error"] for row in said.rows if row["status"] == "failed")
    judged = [row for row in said.rows if row["status"] == "ok"] or said.rows
    assert {row["output_chunks"] for row in judged} == {expected.chunks}
    if expected.tokens is not None or expected.source is None:
        assert {row["output_tokens"] for row in judged} == {expected.tokens}
    if expected.ok:
        assert {row["token_source"] for row in judged} == {expected.source}
    if not expected.ok:
        assert all(summary.service.n == 0 and summary.service.mean is None for summary in result.latency.values())
        return
    if busy and expected.tpot_ms and expected.e2e_ms and expected.ttft_ms:
        steps = {(row["output_tokens"] - (row["first_tokens"] or 1)) for row in judged}
        assert steps == {round((expected.e2e_ms - expected.ttft_ms) / expected.tpot_ms)}
    if busy and not said.on_time(expected):
        return
    nominal = {
        "ttft_ms": expected.ttft_ms,
        "itl_ms": expected.itl_ms,
        "tpot_ms": expected.tpot_ms,
        "e2e_ms": expected.e2e_ms,
    }
    for figure, value in nominal.items():
        assert (said.service_ms(figure) is None) == (value is None), figure
    assert expected.ttft_ms is not None and expected.e2e_ms is not None
    bounds = said.bounds_ms
    assert bounds["ttft"][1] >= expected.ttft_ms and bounds["e2e"][1] >= expected.e2e_ms, "the server kept to its times"
    assert said.is_true("ttft_ms", bounds["ttft"], 5)
    assert said.is_true("e2e_ms", bounds["e2e"], 5)
    for value, figure in ((expected.itl_ms, "itl_ms"), (expected.tpot_ms, "tpot_ms")):
        if value is not None:
            steps = (expected.e2e_ms - expected.ttft_ms) / value
            low, high = bounds["spread"]
            assert said.is_true(figure, (low / steps, high / steps), 1), figure

"""A Python callable in place of a server: against its own truth, and how it may fail."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import plain_figures as plain
import pytest
from called import Timed, column, load

import loadcell
from loadcell.errors import EndpointError, UsageError
from loadcell.load.call import Call
from loadcell.python import _argument
from loadcell.recording.read import Recording
from loadcell.spec import spec_fields

US = 1000


def prompts_of(recording: Recording) -> dict[int, str]:
    """The prompt of each request, where it was kept."""
    return {row["request"]: json.loads(row["body"])["prompt"] for row in plain.read(recording.path, "text")}


def deviations(recording: Recording, truth: dict[str, list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Of every piece, in ns: how much later its stamp is than its truth, and how much later its earliest time is.

    Both count from the call that the truth tells of.
    """
    parts = list(recording.chunks(("request", "t_ns", "poll_ns")))
    chunks = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    sent = recording.requests(("request", "send_start_ns"))
    prompts = prompts_of(recording)
    late, early = [], []
    for request, start in zip(sent["request"].tolist(), sent["send_start_ns"].tolist(), strict=True):
        true = np.array(truth[prompts[request]], np.int64)
        mine = chunks["request"] == request
        since = true[1:] - true[0]
        assert mine.sum() == since.size
        late.append(chunks["t_ns"][mine] - start - since)
        early.append(chunks["poll_ns"][mine] - start - since)
    return np.concatenate(late), np.concatenate(early)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_every_piece_has_its_true_time_within_its_budget(alone: None, tmp_path: Path, way: str) -> None:
    late, early = [], []
    for seed in range(6):
        engine = Timed(seed)
        _, recording = load(
            getattr(engine, way), tmp_path / str(seed), requests=12, concurrency=4, output_tokens=10, keep_text=True
        )
        found = deviations(recording, engine.truth)
        late.append(found[0])
        early.append(found[1])
    after, before = np.concatenate(late), np.concatenate(early)
    assert after.min() > -50 * US  # the call began a little before the callable could note it
    assert np.median(after) < 1_000 * US
    assert np.mean(before <= 150 * US) > 0.7  # a sleep may be 50 µs longer than asked, and others keep a busy machine


def test_the_budget_holds_what_others_keep_the_interpreter_for(alone: None, tmp_path: Path) -> None:
    over, engine = threading.Event(), Timed(1)

    def keep_it() -> None:
        while not over.is_set():
            sum(range(2000))

    thieves = [threading.Thread(target=keep_it, daemon=True) for _ in range(2)]
    for thief in thieves:
        thief.start()
    try:
        result, recording = load(engine.stream, tmp_path / "r", requests=20, output_tokens=10, keep_text=True)
    finally:
        over.set()
        for thief in thieves:
            thief.join()
    late, early = deviations(recording, engine.truth)
    assert np.quantile(late, 0.9) > 1_000 * US  # they were late indeed
    very = late > 1_000 * US
    assert np.mean(early[very] <= 150 * US) > 0.5, "most of what came late has a budget that says so"
    budget = result.latency["ttft_ms"].service.mean_budget
    assert budget is not None and budget.high - budget.low > 1
    assert result.verdict.word != "VALID"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_figures_are_those_of_the_callable(alone: None, tmp_path: Path, way: str) -> None:
    engine = Timed(3, first_s=0.03, step_s=0.005)
    result, recording = load(
        getattr(engine, way), tmp_path / "r", requests=120, concurrency=4, output_tokens=16, keep_text=True
    )
    window, prompts = result.methodology.window, prompts_of(recording)
    sends = zip(column(recording, "request"), column(recording, "send_start_ns"), strict=True)
    inside = [request for request, sent in sends if window.start_s <= sent / 1e9 <= window.end_s]
    truths = [np.array(engine.truth[prompts[request]]) for request in inside]
    ttft = np.array([(times[1] - times[0]) / 1e6 for times in truths])
    gaps = np.concatenate([np.diff(times[1:]) / 1e6 for times in truths])
    e2e_s = np.mean([(times[-1] - times[0]) / 1e9 for times in truths])
    service = {name: result.latency[name].service for name in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms")}
    assert service["ttft_ms"].mean == pytest.approx(ttft.mean(), rel=0.03)
    assert service["ttft_ms"].p50.value == pytest.approx(float(np.median(ttft)), rel=0.1)
    assert service["itl_ms"].mean == pytest.approx(gaps.mean(), rel=0.03)
    assert service["itl_ms"].p90.value == pytest.approx(float(np.quantile(gaps, 0.9)), rel=0.1)
    assert service["e2e_ms"].mean == pytest.approx(1e3 * e2e_s, rel=0.03)
    assert result.throughput.requests_per_s == pytest.approx(4 / e2e_s, rel=0.06)
    assert result.throughput.output_tokens_per_s == pytest.approx(4 * 16 / e2e_s, rel=0.08)
    assert result.methodology.token_source == {"usage": 120}
    assert set(column(recording, "output_tokens")) == {16}
    assert column(recording, "prompt_tokens") == column(recording, "input_tokens")
    assert result.methodology.effective["prompts_counted_by"] == "server"


@pytest.mark.parametrize("asked", [{"concurrency": 6}, {"rate": 30}, {"rate": 30, "concurrency": 20}])
def test_figures_follow_from_the_parquet_alone(alone: None, tmp_path: Path, asked: dict[str, int]) -> None:
    result, recording = load(Timed(4).stream, tmp_path / "r", duration_s="4s", output_tokens="uniform:4,20", **asked)
    method, folder = result.methodology, recording.path
    requests, chunks = plain.read(folder, "requests"), plain.read(folder, "chunks")
    assert len([r for r in requests if r["counted"] is not False and r["status"] == "ok"]) > 50
    window = method.window.start_s, method.window.end_s
    for name, mine in plain.latencies(requests, chunks, method.loop, window).items():
        metric, anchor = name.split(".")
        shown = getattr(result.latency[metric], anchor)
        assert shown.n == mine["n"], name
        for percentile in ("p50", "p90", "p95", "p99"):
            value = mine[percentile]
            assert getattr(shown, percentile).value == (value and pytest.approx(value, rel=2e-5)), (name, percentile)
        assert (shown.mean, shown.max) == pytest.approx((mine["mean"], mine["max"]), rel=2e-5), name
    rates = result.throughput
    assert rates.from_s is not None and rates.to_s is not None
    for figure, value in plain.rates(requests, chunks, (rates.from_s, rates.to_s)).items():
        assert getattr(rates, figure) == pytest.approx(value, rel=1e-6), figure


def test_an_open_loop_calls_when_it_was_planned(alone: None, tmp_path: Path) -> None:
    result, recording = load(Timed().stream, tmp_path / "r", rate=50, requests=60, warmup_s=0.2)
    planned, sent = (np.array(column(recording, name)) for name in ("planned_ns", "send_start_ns"))
    assert (sent >= planned).all()
    assert np.median(sent - planned) < 1e6
    assert result.counts.run.ok == 60
    assert result.counts.window.planned < 60
    assert result.latency["ttft_ms"].response is not None


def test_beyond_the_end_the_load_is_kept_on_uncounted(tmp_path: Path) -> None:
    result, _ = load(Timed().stream, tmp_path / "r", duration_s=0.5, concurrency=3)
    assert result.counts.beyond > 0
    assert result.counts.run.cancelled == 0


# --- the ways to answer ----------------------------------------------------------------------------------------------


def whole(prompt: str, max_tokens: int) -> str:
    return "word " * max_tokens


async def whole_later(prompt: str, max_tokens: int) -> str:
    await asyncio.sleep(0.001)
    return "word " * max_tokens


def whole_counted(prompt: str, max_tokens: int) -> loadcell.Piece:
    return loadcell.Piece("word " * max_tokens, output_tokens=max_tokens, finish="length")


async def pieces(prompt: str, max_tokens: int) -> AsyncIterator[str]:
    for _ in range(max_tokens):
        await asyncio.sleep(0)
        yield " word"


class Engine:
    async def __call__(self, prompt: str, max_tokens: int, suffix: str = "") -> str:
        return " word" * max_tokens + suffix


@pytest.mark.parametrize("fn", [whole, whole_later, whole_counted, Engine(), functools.partial(Engine(), suffix="!")])
def test_a_whole_answer_has_no_first_token(tmp_path: Path, fn: Callable[..., Any]) -> None:
    result, recording = load(fn, tmp_path / "r")
    assert result.counts.run.ok == 8
    assert result.latency["ttft_ms"].service.n == 0
    assert result.latency["e2e_ms"].service.n == 8
    assert result.methodology.spec.endpoint.stream is False
    assert column(recording, "output_tokens") == pytest.approx([4] * 8, abs=1)
    assert any("were not streamed" in note for note in result.notes)


@pytest.mark.parametrize("fn", [pieces, lambda prompt, n: pieces(prompt, max_tokens=n)])
def test_what_is_to_be_awaited_is_called_on_a_loop(tmp_path: Path, fn: Callable[..., Any]) -> None:
    result, recording = load(fn, tmp_path / "r")
    assert result.counts.run.ok == 8
    assert result.methodology.effective["called_by"] == "asyncio"
    assert column(recording, "output_chunks") == [4] * 8
    assert column(recording, "output_tokens") == [4] * 8


def test_pieces_tell_kinds_tokens_and_ends(tmp_path: Path) -> None:
    def think(prompt: str, max_tokens: int) -> Iterator[loadcell.Piece | str]:
        yield ""
        yield loadcell.Piece("hm", kind="reasoning", tokens=2)
        yield loadcell.Piece("yes", tokens=1)
        yield loadcell.Piece("look", kind="tool", tokens=np.int64(1), finish="tool_calls")

    result, recording = load(think, tmp_path / "r")
    assert result.counts.run.ok == 8
    assert set(column(recording, "token_source")) == {"ids"}
    assert set(column(recording, "output_tokens")) == {4}
    assert set(column(recording, "first_tokens")) == {2}
    assert set(column(recording, "finish_reason")) == {"tool_calls"}
    first, answer = (np.array(column(recording, f"first_{name}_ns")) for name in ("any", "answer"))
    assert (first < answer).all()


def test_a_row_of_a_file_and_extra_body_are_further_arguments(tmp_path: Path) -> None:
    rows = [{"prompt": "one", "temperature": 0.5}, {"prompt": "two", "temperature": 1, "max_tokens": 7}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen: list[tuple[str, int, float, str]] = []

    def fn(prompt: str, max_tokens: int, temperature: float = -1, mode: str = "") -> str:
        seen.append((prompt, max_tokens, temperature, mode))
        return "word"

    asked = {"prompts": tmp_path / "p.jsonl", "input_tokens": None, "output_tokens": None, "concurrency": 1}
    load(fn, tmp_path / "r", requests=2, extra_body={"mode": "fast"}, **asked)
    assert seen[-2:] == [("one", seen[-2][1], 0.5, "fast"), ("two", 7, 1, "fast")]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": [1, 2]}, "token ids cannot be sent to the callable API: a Python callable is given a text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
            "tools, calls and parts of content need messages, not one text: a Python callable is given one text",
        ),
        (
            {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions",
             "body": {"messages": [{"role": "user", "content": "a"}]}},
            "leave out its url, and its body is taken alone",
        ),
    ],
)  # fmt: skip
def test_a_row_that_is_no_text_is_refused_in_words_of_a_callable(
    tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError) as told:
        loadcell.run(whole, prompts=file, output=tmp_path / "r")
    assert words in str(told.value) and "--api" not in str(told.value)
    assert not (tmp_path / "r").exists()


def test_what_is_left_of_a_batch_line_without_its_url_is_one_text(tmp_path: Path) -> None:
    seen: list[str] = []

    def fn(prompt: str, max_tokens: int) -> str:
        seen.append(prompt)
        return "word"

    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": "hi"}]
    (tmp_path / "p.jsonl").write_text(json.dumps({"custom_id": "1", "body": {"messages": messages}}) + "\n")
    load(fn, tmp_path / "r", requests=1, prompts=tmp_path / "p.jsonl", input_tokens=None, concurrency=1)
    assert seen[-1] == "be short\nhi"


# --- how it fails ----------------------------------------------------------------------------------------------------


def broken(wrong: Callable[[], Any]) -> Callable[..., Any]:
    """Answers well when it is tried, and to every second call of the load; else it does something wrong."""
    calls = iter(range(1000))

    def fn(prompt: str, max_tokens: int) -> Any:
        number = next(calls)
        return wrong() if number > 1 and number % 2 else iter([" word"] * max_tokens)

    return fn


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def raises(error: BaseException) -> Any:
    raise error


def cut(error: BaseException) -> Iterator[str]:
    yield " word"
    raise error


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (lambda: raises(ValueError("no such model")), "exception", "ValueError: no such model (test_callable.py, line"),
        (lambda: cut(RuntimeError("the engine died")), "exception", "RuntimeError: the engine died"),
        (lambda: cut(GeneratorExit()), "exception", "GeneratorExit (test_callable.py, line "),
        (lambda: raises(Mute()), "exception", "Mute: <exception str() failed>"),
        (lambda: raises(SystemExit(3)), "exception", "SystemExit: 3"),
        (lambda: loadcell.Piece(5), "exception", "the text of a Piece must be a str, found int"),
        (lambda: loadcell.Piece("x", kind="sound"), "exception", "the kind of a Piece must be one of answer, "),
        (lambda: loadcell.Piece("x", tokens=-1), "exception", "tokens of a Piece must be a number of tokens, found -1"),
        (lambda: iter([]), "empty", "the reply holds no output"),
        (lambda: "", "empty", "the reply holds no output"),
        (lambda: iter(["", ""]), "empty", "the reply holds no output"),
        (lambda: iter([" word", b"word"]), "protocol", "piece 1 of the answer is of type bytes: it must be a str or a"),
        (lambda: None, "protocol", "the callable returned an object of type NoneType: it must return a str, "),
        (lambda: ["a", "b"], "protocol", "the callable returned an object of type list"),
        (lambda: whole_later("", 1), "protocol", "the callable returned an object of type coroutine"),
        (lambda: iter([loadcell.Piece(" word", finish="error")]), "gave_up", "finish_reason error"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_failure_in_words(
    tmp_path: Path, wrong: Callable[[], Any], kind: str, words: str
) -> None:
    result, _ = load(broken(wrong), tmp_path / "r", concurrency=1, max_failures=1.0)
    assert (result.counts.run.ok, result.counts.run.failed) == (4, 4)
    (failure,) = result.errors
    assert (failure.kind, failure.count) == (kind, 4)
    assert failure.sample is not None and words in failure.sample


def test_what_does_not_answer_in_time_is_left(tmp_path: Path) -> None:
    over, begun = threading.Event(), iter(range(100))

    def fn(prompt: str, max_tokens: int) -> str:
        if next(begun) == 5:
            over.wait(20)
        return "word"

    try:
        began = time.monotonic()
        result, _ = load(fn, tmp_path / "r", timeout_s=0.3, concurrency=1)
        assert time.monotonic() - began < 10
    finally:
        over.set()
    assert (result.counts.run.ok, result.counts.run.failed) == (7, 1)
    assert result.errors[0].sample == "not complete after 0.3 s, without any output"
    assert any("1 request had not come back 0.3 s after the load" in note for note in result.notes)


def test_what_is_awaited_too_long_is_cancelled(tmp_path: Path) -> None:
    begun, cancelled = iter(range(100)), []

    async def fn(prompt: str, max_tokens: int) -> AsyncIterator[str]:
        yield " word"
        try:
            if next(begun) == 5:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(prompt)
            raise

    result, _ = load(fn, tmp_path / "r", timeout_s=0.3, concurrency=1)
    assert (result.counts.run.ok, result.counts.run.failed, len(cancelled)) == (7, 1, 1)
    assert result.errors[0].sample == "not complete after 0.3 s, after 1 event"


def test_what_a_cancelled_call_does_at_its_end_changes_nothing_of_its_timeout(tmp_path: Path) -> None:
    begun = iter(range(1000))

    async def fn(prompt: str, max_tokens: int) -> AsyncIterator[str]:
        yield " word"
        if (number := next(begun)) > 2 and number % 3:
            await asyncio.sleep(60)

    result, recording = load(fn, tmp_path / "r", requests=60, concurrency=30, timeout_s=0.5, max_failures=1.0)
    assert [(failure.kind, failure.advice) for failure in result.errors] == [
        ("timeout", "raise timeout_s, or lower the load: the callable did not come to its end in time")
    ]
    assert result.counts.run.failed > 30
    assert set(column(recording, "error_kind")) == {None, "timeout"}


@pytest.mark.parametrize("end", [lambda call: call.raised(ValueError("late")), lambda call: call.unfit(3)])
def test_a_call_that_was_left_stays_as_it_was(end: Callable[[Call], None]) -> None:
    call = Call(0, 0, 0, 1, 1, "prompt", {})
    call.begin()
    call.leave(("timeout", "words"))
    then = call.end_ns
    end(call)
    call.ended()
    assert (call.failure, call.end_ns, call.over) == (("timeout", "words"), then, True)
    call.raised(KeyboardInterrupt())
    assert call.interrupts and call.failure == ("timeout", "words")


def test_a_callable_that_fails_at_once_is_told_before_the_load(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="failed when it was tried, before the load: ValueError: no weights"):
        loadcell.run(lambda prompt, max_tokens: raises(ValueError("no weights")), output=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_an_interrupt_in_the_callable_ends_the_load(tmp_path: Path) -> None:
    calls = iter(range(1000))

    def fn(prompt: str, max_tokens: int) -> str:
        if next(calls) == 12:
            raise KeyboardInterrupt
        return "word"

    result, _ = load(fn, tmp_path / "r", requests=500, concurrency=1)
    assert result.run.state == "interrupted"
    assert 8 <= result.counts.run.ok < 50


def test_ctrl_c_ends_the_load_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    result, _ = load(Timed().stream, tmp_path / "r", requests=5000, concurrency=3)
    assert result.run.state == "interrupted"
    assert result.counts.run.ok > 10
    assert result.counts.run.cancelled <= 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_may_run_in_another_thread(tmp_path: Path) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(load(Timed().stream, tmp_path / "r")))
    thread.start()
    thread.join()
    assert found[0][0].counts.run.ok == 8


@pytest.mark.parametrize(
    ("fn", "asked", "words"),
    [
        (whole, {"users": 3}, "run() has no argument 'users'"),
        (whole, {"concurency": 3}, "(did you mean concurrency?)"),
        (whole, {"headers": {"a": "b"}}, "headers is of servers: a Python callable has none"),
        (whole, {"workers": 2}, "workers is of servers"),
        (whole, {"output_tokens": "normal:1"}, "'normal:1' is not a token length"),
        (whole, {"concurrency": -1}, "load.concurrency is -1: it must be more than 0"),
        (whole, {"slo": "ttft=5"}, "'ttft=5' has no unit"),
        (whole, {"duration_s": "5x"}, "'5x' is not a duration"),
        (lambda prompt: "", {}, "cannot be called as fn(prompt, max_tokens): too many positional arguments"),
        (whole, {"extra_body": {"mode": 1}}, "got an unexpected keyword argument 'mode'"),
        (3, {}, "run() loads a URL or a callable, found int"),
        (lambda prompt, n, p=None: "", {"extra_body": {"p": object()}}, "extra_body cannot be written as JSON: "),
        ("http://127.0.0.1:9", {"extra_body": {"p": object()}}, "extra_body cannot be written as JSON: "),
        (whole, {"prompts": ["a"]}, "prompts is a file: write them into one, a JSON object a line; found list"),
        (whole, {"slo": 5}, 'slo is limits, as in "ttft=500ms": found int'),
        ("http://127.0.0.1:9", {"api": Path("no/such.yaml")}, "no/such.yaml"),
    ],
)
def test_what_cannot_be_asked_is_told(tmp_path: Path, fn: Any, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as told:
        loadcell.run(fn, output=tmp_path / "r", **asked)
    assert words in str(told.value)
    assert not (tmp_path / "r").exists()


def test_every_field_of_the_spec_has_a_name_of_its_own() -> None:
    names = [_argument(path) for path in spec_fields()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("fn", [whole, pieces])
def test_it_may_be_asked_for_inside_a_running_loop_as_notebooks_have_one(
    tmp_path: Path, fn: Callable[..., Any]
) -> None:
    async def cell() -> int:
        return load(fn, tmp_path / "r")[0].counts.run.ok

    assert asyncio.run(cell()) == 8


def test_its_users_pause_and_each_call_has_its_own_prompt(processes: None, tmp_path: Path) -> None:
    _, recording = load(
        pieces, tmp_path / "r", concurrency=3, requests=40, think="exponential:10ms", input_tokens="uniform:4,40",
        keep_text=True,
    )  # fmt: skip
    ready, ended = column(recording, "ready_ns"), set(column(recording, "end_ns"))
    pauses = recording.schedule(("delay_ns",))["delay_ns"].tolist()
    later = [row for row, ready_ns in enumerate(ready) if row >= 3 and ready_ns - pauses[row] in ended]
    assert len(later) == 37
    words = [len(prompt.split()) for _, prompt in sorted(prompts_of(recording).items())]
    assert words == column(recording, "input_tokens")


def test_turns_of_a_callable_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a Python callable is given one text at a time"):
        load(pieces, tmp_path / "r", turns="3")

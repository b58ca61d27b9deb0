"""Difficult streams of a real load, as other tools would have counted them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from contract_runs import run_once
from scripted import CLOSE, DONE, Received, Step, delta, event, serve, stream, token, usage_event

from loadcell.interop.views.definitions import TOOLS
from loadcell.interop.views.figures import Taken, rules_of
from loadcell.interop.views.seen import Seen, see

FIN, USED = event(delta(finish="stop")), event(usage_event(10))
WORDS: list[Step] = [piece for _ in range(10) for piece in (0.005, event(token()))]
ERROR = event({"error": {"message": "the GPU fell off", "code": 500}})
STREAMS: dict[str, list[Step]] = {
    "clean": stream(*WORDS, FIN, USED, DONE),
    "role": stream(event(delta(role="assistant", content="")), *WORDS, FIN, USED, DONE),
    "reasoning": stream(
        *[piece for _ in range(5) for piece in (0.005, event(delta(reasoning_content="hm ")))], *WORDS[:10], FIN, USED,
        DONE,
    ),
    "no usage": stream(*WORDS, FIN, DONE),
    "error": stream(*WORDS[:6], ERROR),
    "cut": stream(*WORDS[:10], CLOSE),
    "nothing": stream(FIN, event(usage_event(0)), DONE),
}  # fmt: skip
NAMES = list(STREAMS)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One run: request n gets the n-th stream; each asks for 64 tokens."""

    def answer(request: Received) -> list[Step]:
        return STREAMS[NAMES[request.number]]

    with serve(answer) as server:
        folder = tmp_path_factory.mktemp("streams") / "run"
        ran = run_once(server.url, folder, requests=len(NAMES), concurrency=1, output_tokens="64", timeout_s=3)
        yield see(ran.recording)


def of(seen: Seen, tool: str, name: str) -> tuple[bool, int, int]:
    """Whether it is a success, its tokens and its gaps."""
    taken, place = Taken(seen, rules_of(TOOLS[tool], "chat"), tool), NAMES.index(name)
    events = taken.chosen_events()[place]
    gaps = 0 if np.isnan(events) else int(events) - 1
    return bool(taken.members[place]), int(np.nan_to_num(taken.tokens[place])), gaps


EXPECTED = {
    "clean": {"vllm": (True, 10, 9), "vllm-rs": (True, 10, 10), "sglang": (True, 10, 9), "aiperf": (True, 10, 9)},
    "role": {"vllm": (True, 10, 9), "vllm-rs": (True, 10, 11), "sglang": (True, 10, 9)},
    "reasoning": {"vllm": (True, 10, 9), "inference-perf": (True, 5, 4), "genai-bench": (True, 10, 9)},
    "no usage": {"vllm": (True, 11, 9), "vllm-rs": (True, 11, 10), "sglang": (True, 64, 9), "guidellm": (True, 64, 9)},
    "error": {"vllm": (True, 3, 2), "sglang": (True, 64, 2), "aiperf": (True, 3, 2), "guidellm": (False, 64, 2),
              "genai-bench": (False, 3, 2), "endpoints": (True, 3, 2)},
    "cut": {"vllm": (True, 5, 4), "guidellm": (True, 64, 4), "inference-perf": (True, 5, 4), "mlperf": (True, 5, 4)},
    "nothing": {"vllm": (False, 0, 0), "vllm-rs": (True, 1, 0), "sglang": (True, 64, 0), "aiperf": (False, 0, 0)},
}  # fmt: skip
"""As each was seen to count, on the same streams: (success, tokens, gaps). Of the text a tokenizer makes 11 tokens."""


@pytest.mark.parametrize(("name", "tool"), [(name, tool) for name, tools in EXPECTED.items() for tool in tools])
def test_a_stream_as_a_tool_counts_it(seen: Seen, name: str, tool: str) -> None:
    success, tokens, gaps = EXPECTED[name][tool]
    found = of(seen, tool, name)
    assert found[0] == success
    if success:
        assert found[1:] == (tokens, gaps)


def test_a_role_alone_is_the_first_event_of_some(seen: Seen) -> None:
    place = NAMES.index("role")
    assert seen.first_choice[place] <= seen.first_any[place]
    assert seen.early_empty == 1
    assert seen.last_choice[place] >= seen.last[place]
    assert seen.end[place] >= seen.last_choice[place]

"""A real engine with a small context: what it tells of it, and what becomes of requests that are longer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from real_run import Run, Server

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("alone")]

CONTEXT = 256


@pytest.fixture(scope="module")
def small(serve: Callable[..., Any]) -> Iterator[Server]:
    with serve(n_ctx=CONTEXT, n_parallel=1) as started:
        yield started


def prompts(folder: Path, *lengths: int) -> str:
    lines = (json.dumps({"prompt": "the cat sat on a mat and " * (length // 7)}) for length in lengths)
    (folder / "p.jsonl").write_text("\n".join(lines))
    return str(folder / "p.jsonl")


def test_its_first_refusals_end_a_load(run: Run, small: Server) -> None:
    ran = run(small.url, "--input-tokens", "400", "--output-tokens", "2", "--concurrency", "2", "--requests", "2000")
    assert ran.code == 4 or ran.code == 1
    stopped = ran.result.run.stopped
    assert stopped is not None and stopped.kind == "failures"
    assert (
        f"for {CONTEXT})" in stopped.reason
        and "and so are 100% of those planned: HTTP 400: request (" in stopped.reason
    )
    assert ran.result.counts.run.failed < 200


def test_long_prompts_are_refused_before_the_load_or_clipped(run: Run, small: Server, tmp_path: Path) -> None:
    file = prompts(tmp_path, 14, 700, 21)
    flags = ("--prompts", file, "--output-tokens", "2", "--concurrency", "1", "--requests", "3")
    ran = run(small.url, *flags)
    assert ran.code == 2
    assert "p.jsonl:2: longer than the model's context" in ran.err and f"> {CONTEXT} (n_ctx of /models)" in ran.err
    ran = run(small.url, *flags, "--too-long", "clip")
    assert ran.result.counts.run.ok == 3
    # The server counts the clipped one: as long as there is room for, but for a few tokens.
    assert CONTEXT - 12 <= max(ran.column("prompt_tokens")) <= CONTEXT - 2
    assert any("1 of 3 prompts of" in note and "were clipped" in note for note in ran.result.notes)

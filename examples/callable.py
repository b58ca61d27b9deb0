"""A load on a Python callable, without a server: python examples/callable.py [FOLDER]

`generate` stands for an engine, with steps of known length; docs/python.md has the same lines for real ones.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import loadcell

PREFILL_S, STEP_S = 0.03, 0.005


def generate(prompt: str, max_tokens: int) -> Iterator[str | loadcell.Piece]:
    """An answer, piece by piece as it is made; the last piece tells what the whole took."""
    time.sleep(PREFILL_S)
    for number in range(max_tokens):
        if number:
            time.sleep(STEP_S)
        yield " word"
    yield loadcell.Piece(prompt_tokens=len(prompt.split()), output_tokens=max_tokens, finish="length")


if __name__ == "__main__":
    result = loadcell.run(
        generate,
        concurrency=4,
        requests=40,
        input_tokens=64,
        output_tokens=32,
        slo="ttft=200ms,tpot=20ms",
        output=sys.argv[1] if len(sys.argv) > 1 else None,
    )
    print(result)  # in a notebook, `result` alone shows it as a page
    ttft = result.latency["ttft_ms"].service
    print(f"\nTTFT: p50 {ttft.p50.value:.1f} ms of {PREFILL_S * 1000:.0f} ms; recorded in {result.folder}")

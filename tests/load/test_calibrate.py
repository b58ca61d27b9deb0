from __future__ import annotations

from loadcell.load.preflight import PROBE_PROMPT, PROBE_TOKENS
from loadcell.workload import load_tokenizer


def test_the_short_probe_has_the_tokens_that_are_taken_for_granted() -> None:
    assert load_tokenizer("smollm2").count(PROBE_PROMPT) == PROBE_TOKENS

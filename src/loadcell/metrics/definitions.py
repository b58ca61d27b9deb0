"""What the words of other tools mean: where their clocks of a request start and stop, and what they count as tokens.

Read in the source of each (docs/comparability.md has versions and places). Tools that mean the same share an entry, so
that only what differs is said of two results.
"""

from __future__ import annotations

from typing import NamedTuple

from loadcell.phrases import phrase

_CALL = phrase("just before the call of its HTTP client, which may have to connect first")
_ISSUE = phrase("where its main process hands the request on")
_READY = phrase("at the first byte sent on an open connection")
_EVENT = phrase("at the first event that has choices, text or none")
_OUTPUT = phrase("at the first event with output of any kind")
_TEXT = phrase("at the first event with visible text")
_LAST_EVENT = phrase("at the last event that has choices, that of the finish reason included")
_LAST_OUTPUT = phrase("at the last event with output")
_CLOSED = phrase("at the end of the stream, usage and [DONE] included")
_BY_USAGE = phrase("by the server's usage where it tells, else by a tokenizer of its own")
_BY_TEXT = phrase("by a tokenizer of its own over the text")
_AS_ASKED = phrase("by usage where it comes, else as many as were asked for")
_BY_SYSTEM = phrase("as the system under test says")


class Definition(NamedTuple):
    """What a tool measures from, to, and counts."""

    starts: str
    first: str
    ends: str
    tokens: str


DEFINITIONS = {
    "vllm": Definition(_CALL, _OUTPUT, _LAST_OUTPUT, _BY_USAGE),
    "vllm-rs": Definition(_CALL, _EVENT, _LAST_EVENT, _BY_USAGE),
    "sglang": Definition(_CALL, _OUTPUT, _CLOSED, _AS_ASKED),
    "aiperf": Definition(_CALL, _OUTPUT, _LAST_OUTPUT, _BY_TEXT),
    "genai-perf": Definition(_CALL, _OUTPUT, _LAST_OUTPUT, _BY_TEXT),
    "guidellm": Definition(_READY, _OUTPUT, _CLOSED, _AS_ASKED),
    "llmperf": Definition(_CALL, _TEXT, _CLOSED, _BY_TEXT),
    "inference-perf": Definition(_CALL, _TEXT, _CLOSED, _BY_TEXT),
    "genai-bench": Definition(_CALL, _OUTPUT, _CLOSED, _BY_USAGE),
    "inferencex": Definition(_CALL, _EVENT, _LAST_EVENT, _BY_USAGE),
    "hf-ib": Definition(_CALL, _TEXT, _CLOSED, _BY_TEXT),
    "mlperf": Definition(_ISSUE, _BY_SYSTEM, _BY_SYSTEM, _BY_SYSTEM),
    "endpoints": Definition(_ISSUE, _OUTPUT, _CLOSED, _BY_TEXT),
}
"""By the name of a tool; of one that is not here nothing is said."""
OURS = Definition(
    phrase("at the first byte given to the kernel"), _OUTPUT, _LAST_OUTPUT, phrase("by two witnesses that agree")
)
ASPECTS = {
    "starts": phrase("where a request's time starts differs: of {} {}, of {} {}"),
    "first": phrase("where TTFT ends differs: of {} {}, of {} {}"),
    "ends": phrase("where E2E and TPOT end differs: of {} {}, of {} {}"),
    "tokens": phrase("how output tokens are counted differs: of {} {}, of {} {}"),
}

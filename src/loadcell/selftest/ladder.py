"""The loads of a self-test, from light to heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass

TTFT_S = 0.02
INPUT_TOKENS = 64
_RAMP_A_USER_S = 0.01


@dataclass(frozen=True)
class Step:
    """`streams` closed-loop streams at `rate` tokens/s each, measured for some replies once all are at their pace."""

    streams: int
    rate: int
    replies: int = 5
    """Of each stream in the window: whole ones, so that what was got can be held against what was asked."""
    reply_s: float = 0.64

    @property
    def name(self) -> str:
        """Streams and tokens/s of each."""
        return f"{self.streams} \N{MULTIPLICATION SIGN} {self.rate}/s"

    @property
    def output_tokens(self) -> int:
        """As many as make every reply about `reply_s` long."""
        return max(2, round(self.rate * self.reply_s))

    @property
    def cycle_s(self) -> float:
        """A reply of an engine without any delay of its own."""
        return TTFT_S + (self.output_tokens - 1) / self.rate

    @property
    def ramp_s(self) -> float:
        """As a run's default, but one reply at most: the streams are spread over it then."""
        return min(_RAMP_A_USER_S * self.streams, self.cycle_s)

    @property
    def window_s(self) -> tuple[float, float]:
        """From one reply after the ramp, to the end of sending."""
        start = self.ramp_s + self.cycle_s
        return start, start + self.seconds

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.replies * self.cycle_s

    @property
    def most_requests(self) -> int:
        """More than can be sent: no need to plan beyond."""
        return self.streams * (math.ceil(self.window_s[1] / self.cycle_s) + 1)

    @property
    def asked_tokens_per_s(self) -> float:
        """What all streams receive from an engine without any delay of its own."""
        return self.streams * self.output_tokens / self.cycle_s


LADDER = tuple(
    Step(streams, rate)
    for streams, rate in (
        (16, 50), (64, 50), (64, 100), (128, 100), (256, 100), (256, 200), (384, 200), (512, 200),
    )
)  # fmt: skip
"""About 800 to 100,000 tokens/s, mostly each the double of the one before; a half step where many machines end."""
QUICK = tuple(
    Step(streams, rate, replies=3, reply_s=0.32)
    for streams, rate in ((16, 50), (64, 100), (128, 100), (256, 100), (256, 200))
)

"""What is compared, and which way is better."""

from __future__ import annotations

from typing import NamedTuple

from loadcell.metrics.glossary import COMPARED, GLOSSARY, interval_of
from loadcell.metrics.interval import PERMILLE

LATENCIES = (*(name.removesuffix("_ms") for name in COMPARED), "rtf")
PERCENTILES = ("p50", "p90", "p95", "p99")
MEANS = ("geomean", "mean")
"""Of latencies that each request has one of. The ratio of geometric means is what a request typically differs by."""
RATES = {
    name: interval_of(name)
    for name in ("output_tokens_per_s", "inputs_per_s", "images_per_s", "audio_s_per_s", "requests_per_s")
}
"""Rates of a Throughput, and where it holds their intervals."""
SHARES_FINER = 5
"""Of shares, a difference this many times smaller matters: 1 point of requests where it is 5 % of a latency."""


class Measure(NamedTuple):
    """One figure that is compared."""

    metric: str
    stat: str
    title: str
    unit: str
    sign: int
    """+1: higher is better; -1: lower is better."""
    relative: bool
    """Compared as a ratio; shares are compared as a difference."""

    @property
    def key(self) -> str:
        """Its name in a gate, as in ttft.p99."""
        return f"{self.metric}.{self.stat}"

    @property
    def permille(self) -> int:
        """The percentile in thousandths."""
        return PERMILLE[self.stat]


MEASURES = {
    measure.key: measure
    for measure in (
        *(
            Measure(name, stat, f"{GLOSSARY[name].title} {stat}", GLOSSARY[name].unit, -1, True)
            for name in LATENCIES
            for stat in (*(() if name == "itl" else MEANS), *PERCENTILES)
        ),
        Measure("output_tokens_per_s", "mean", "Output tokens/s", "tokens/s", 1, True),
        Measure("inputs_per_s", "mean", "Inputs/s", "inputs/s", 1, True),
        Measure("images_per_s", "mean", "Images/s", "images/s", 1, True),
        Measure("audio_s_per_s", "mean", "Audio s/s", "s of audio/s", 1, True),
        Measure("requests_per_s", "mean", "Requests/s", "requests/s", 1, True),
        Measure("sessions_per_s", "mean", "Sessions/s", "sessions/s", 1, True),
        *(
            Measure("session_time", stat, f"{GLOSSARY['session_time'].title} {stat}", "ms", -1, True)
            for stat in ("p50", "p90", "p99")
        ),
        Measure("slo_attainment", "share", GLOSSARY["slo_attainment"].title, "share", 1, False),
        Measure("failed", "share", "Failed", "share", -1, False),
    )
}

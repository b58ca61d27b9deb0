"""The run drawn over time."""

from __future__ import annotations

from loadcell.metrics import Result
from loadcell.report.words import Words

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PARTS = ("warm-up", "window", "drain")
_MARKS = ("·", "━", "·")


def timeline(result: Result, width: int, words: Words) -> list[str]:
    """Requests in flight over the run, with the window marked under them and named; nothing without a request."""
    series, step_s = result.concurrency.series, result.concurrency.series_step_s
    if not series or step_s is None or width < 1:
        return []
    window = result.methodology.window
    end_s = max(step_s * len(series), window.end_s)
    heights = _resample([*series, *[0.0] * round(end_s / step_s - len(series))], width)
    top = max(heights) or 1.0
    # The least block for the least load, so that it does not look like none.
    bars = "".join(_BLOCKS[min(8, max(1, round(8 * h / top))) if h > 0 else 0] for h in heights)
    edges = [0, *(min(width, round(s / end_s * width)) for s in (window.start_s, window.end_s)), width]
    edges[2] = max(edges[2], min(edges[1] + 1, width))
    marks = "".join(mark * (b - a) for mark, a, b in zip(_MARKS, edges, edges[1:], strict=False))
    spans = (window.start_s, window.end_s - window.start_s, end_s - window.end_s)
    parts = [
        f"{words.say(name)} {words.figure(s, 3)} s" for name, s in zip(_PARTS, spans, strict=True) if s > 1e-6
    ]  # fmt: skip
    said = words.say("in flight, highest bar {n}", n=words.figure(top, 3))
    return [bars, marks, f"{said} · {' | '.join(parts)}"[:width]]


def _resample(values: list[float], width: int) -> list[float]:
    """Means of `values` over `width` equal parts."""
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)

    def up_to(x: float) -> float:
        whole = min(int(x), len(values) - 1)
        return sums[whole] + (x - whole) * values[whole]

    part = len(values) / width
    return [max(0.0, up_to((i + 1) * part) - up_to(i * part)) / part for i in range(width)]

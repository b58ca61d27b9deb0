"""Write the pages of docs/ that come from the code: python tools/make_docs.py"""

from __future__ import annotations

from pathlib import Path

from loadcell.metrics import GLOSSARY, Metric
from loadcell.metrics.interval import INTERVAL_DEFINITION, PERCENTILE_DEFINITION, PERMILLE, floor_of

DOCS = Path(__file__).parent.parent / "docs"
_HEAD = """\
# Metrics

What each figure means, how it is computed and what it cannot see. Written by `tools/make_docs.py` from
`loadcell/metrics/glossary.py`; change it there.

## What counts

- **Requests.** planned = ok + failed + cancelled + unsent, always, for the whole run and for the window. Requests that
  a worker had started when it died are failed, of the kind `lost`. Only ok requests have latencies; failures stay in
  the denominators of goodput and SLO attainment.
- **Anchors.** Response time starts at the planned time, service time at the actual send. An open loop has both, and
  their gap is the queueing in front of the server. A closed loop has service time only.
- **Window.** From the end of the warm-up to the end of sending: the end of the duration asked for, else the end of the
  last request. A request belongs to the window that its anchor lies in, and is followed to its end. `--window A,B`
  chooses another.
- **Missing.** A figure that cannot be measured is null, never 0.

## Percentiles and intervals

- Percentile: {percentile}.
- Interval: {interval}. With B ~ Bin(n, p), the order statistics at ranks l and u cover the percentile with
  P(l <= B < u) (David and Nagaraja, *Order Statistics*, 3rd ed., 7.1). It is equal-tailed; where no sample lies high
  enough for that, its upper end is the maximum and the lower tail gets what is left of 5 %.
- Floor: below n = ln 0.05 / ln p samples a percentile is null, because not even the maximum bounds it with 95 %:

| percentile | samples needed |
|---|---|
{floors}

Near saturation, latencies of successive requests depend on each other, and every interval here is too narrow: repeat
the run.
"""


def metrics_page() -> str:
    """docs/metrics.md."""
    floors = "\n".join(f"| {name.replace('_', '.')} | {floor_of(permille):,} |" for name, permille in PERMILLE.items())
    head = _HEAD.format(percentile=PERCENTILE_DEFINITION, interval=INTERVAL_DEFINITION, floors=floors)
    return "\n".join([head, *(_entry(metric) for metric in GLOSSARY.values())])


def _entry(metric: Metric) -> str:
    return (
        f"## {metric.title}\n\n`{metric.name}`, {metric.unit}: `{metric.formula}`\n\n{metric.meaning}\n\n"
        f"*Cannot see:* {metric.blind}\n\n*Source:* {metric.source}.\n"
    )


PAGES = {"metrics.md": metrics_page}

if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")

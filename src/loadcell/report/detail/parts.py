"""Where the mean E2E goes."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.rows import Floats, Mask, Rows
from loadcell.report.detail.model import Part


def parts(rows: Rows, ok: Mask, loop: str, e2e_ns: Floats, stalls_ns: float) -> list[Part]:
    """Parts of the mean E2E of the ok requests of the window that show it; `stalls_ns` are all their stalls together.

    Where a request does not show a part, it is in the next that it shows; what the server tells is cut where it claims
    more than the client saw.
    """
    chosen = ok & ~np.isnan(e2e_ns)
    n = int(np.count_nonzero(chosen))
    total = float(e2e_ns[chosen].sum()) if n else 0.0
    if total <= 0:
        return []
    sent = np.nan_to_num((rows.send_start - rows.planned)[chosen]) if loop == "open" else np.zeros(n)
    connect = np.minimum(_connecting(rows)[chosen], np.maximum(sent, 0)) if loop == "open" else np.zeros(n)
    streamed = rows.streamed[chosen]
    flow = np.where(streamed, (rows.last - rows.first_any)[chosen], 0.0)
    rest = e2e_ns[chosen] - sent - flow  # TTFT from the send, or the whole reply
    queue, prefill = (
        np.where(streamed, np.nan_to_num(x[chosen]), 0.0) for x in (rows.server_queue, rows.server_prefill)
    )
    queue = np.clip(queue, 0, np.maximum(rest, 0))
    prefill = np.clip(prefill, 0, np.maximum(rest - queue, 0))
    stalled = min(stalls_ns, float(flow.sum()))
    sums = {
        "send": float((sent - connect).sum()),
        "connect": float(connect.sum()),
        "queue": float(queue.sum()),
        "prefill": float(prefill.sum()),
        "first": float((rest - queue - prefill)[streamed].sum()),
        "stalls": stalled,
        "stream": float(flow.sum()) - stalled,
        "reply": float(rest[~streamed].sum()),
    }
    return [Part(name=name, mean_ms=x / n / 1e6, share=x / total) for name, x in sums.items() if x]


def _connecting(rows: Rows) -> Floats:
    """Time from the planned send on that went into opening the request's own connection; 0 where it had one."""
    done = np.where(np.isnan(rows.conn_tls), rows.conn_tcp, rows.conn_tls)
    spent = np.minimum(done, rows.send_start) - np.fmax(rows.conn_start, rows.planned)
    connecting: Floats = np.maximum(np.nan_to_num(spent), 0.0)
    return connecting

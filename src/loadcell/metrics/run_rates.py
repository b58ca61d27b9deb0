"""The rates of a whole run as other tools count them, so that a reader sees why two tools differ."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.model import RunRates
from loadcell.metrics.rows import Rows
from loadcell.metrics.throughput import input_tokens


def run_rates(rows: Rows) -> RunRates:
    """ok requests, their outputs, and prompts and outputs, over the time from the first send to the last reply.

    So do `vllm bench serve`, SGLang's bench_serving and AIPerf. Null without an ok request, or a count of its tokens.
    """
    seconds, ok = None, rows.ok
    if ok.any():
        sent = rows.counted & rows.sent
        seconds = float(rows.end[ok].max() - rows.send_start[sent].min()) / 1e9

    def per_s(amount: float) -> float | None:
        return None if not seconds or np.isnan(amount) else amount / seconds

    out, prompts = float(rows.output_tokens[ok].sum()), float(input_tokens(rows)[ok].sum())
    return RunRates(
        seconds=seconds,
        requests_per_s=per_s(float(np.count_nonzero(ok))),
        output_tokens_per_s=per_s(out),
        total_tokens_per_s=per_s(out + prompts),
    )

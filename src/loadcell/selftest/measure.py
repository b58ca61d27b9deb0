"""One load of a self-test: the client against an engine of its own, and the bias of what it reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from loadcell.errors import LoadcellError
from loadcell.load import Progress, run_load
from loadcell.metrics import Rung, busy_share
from loadcell.recording.read import Recording, open_recording
from loadcell.selftest import ladder
from loadcell.selftest.ladder import Step
from loadcell.selftest.truth import METRICS, Numbers, bias_of, reported_ms, truth_ms
from loadcell.selftest.witness import Certificate, Engine, engine
from loadcell.spec import Spec, build_spec

Watch = Callable[[Step, Progress | Rung], None]
"""Is told of each load: how it goes, then what was found."""
_TIMEOUT_S = 30.0
_NO_KEY = "LOADCELL_SELFTEST_HAS_NO_KEY"
_LATE_NS = 1_000_000
"""Events that were merged in a read that came so late, the client merged."""


def measure(step: Step, workers: int | None, certificate: Certificate | None, folder: Path, watch: Watch) -> Rung:
    """One load against an engine of its own, and the bias of what the client reports of it."""
    times = ("--ttft", f"{ladder.TTFT_S:g}s", "--itl", f"{1 / step.rate:g}s")
    with engine("--slots", str(step.streams), *times, certificate=certificate) as target:
        manifest = run_load(_spec(step, workers, target), folder, lambda now: watch(step, now))
        if manifest.state == "interrupted":
            raise KeyboardInterrupt
        if manifest.state != "complete":
            raise LoadcellError(f"the load of {step.name} broke off: {'; '.join(manifest.invalid)}")
        recording = open_recording(folder)
        members, reported = reported_ms(recording, *step.window_s)
        known = target.truth()
        truth = truth_ms(known, manifest.id, members)
    requests = recording.requests(("request", "status", "error", "output_tokens"))
    ok = requests["status"] == "ok"
    if not ok.any():
        said = ", ".join(sorted(set(map(str, requests["error"]))))
        raise LoadcellError(f"no request of {step.name} succeeded: {said}")
    # An engine can be so slow that none is sent in the window: then any tells of its pace.
    true_ms = truth["e2e"] if members.size else truth_ms(known, manifest.id, requests["request"][ok])["e2e"]
    cpu_s = sum(audit["cpu_s"] for audit in recording.audits)
    rung = Rung(
        streams=step.streams,
        rate=step.rate,
        asked_tokens_per_s=step.asked_tokens_per_s,
        tokens_per_s=members.size * step.output_tokens / step.seconds,
        workers=manifest.workers,
        engine_pace=step.cycle_s * 1e3 / float(true_ms.mean()),
        failed=int(np.count_nonzero(~ok)),
        bias={metric: bias_of(reported[metric], truth[metric]) for metric in METRICS},
        cpu_us_per_token=cpu_s * 1e6 / float(np.nansum(requests["output_tokens"])),
        merged_by_client_share=_merged_by_client(recording, members),
        busy_share=max(
            (b for a in recording.audits if (b := busy_share(a["busy_ns_by_s"], *step.window_s)) is not None),
            default=None,
        ),
    )
    watch(step, rung)
    return rung


def _merged_by_client(recording: Recording, members: Numbers) -> float | None:
    """Share of the events that shared a read with the one before, where that read was more than 1 ms late."""
    merged = events = 0
    for part in recording.chunks(("request", "read", "lag_ns")):
        inside = np.isin(part["request"], members)
        request, read, late = part["request"][inside], part["read"][inside], part["lag_ns"][inside] > _LATE_NS
        merged += int(np.count_nonzero((request[1:] == request[:-1]) & (read[1:] == read[:-1]) & late[1:]))
        events += request.size
    return merged / events if events else None


def _spec(step: Step, workers: int | None, target: Engine) -> Spec:
    start_s, end_s = step.window_s
    return build_spec(
        {
            "endpoint": {
                "url": target.url, "ca_file": target.ca_file, "api_key_env": _NO_KEY, "metrics_url": "none",
            },
            "load": {
                "concurrency": step.streams, "requests": step.most_requests, "duration_s": end_s, "warmup_s": start_s,
                "ramp_s": step.ramp_s, "timeout_s": _TIMEOUT_S,
            },
            "workload": {"input_tokens": ladder.INPUT_TOKENS, "output_tokens": step.output_tokens},
            "observe": {"every_s": 0},
            "run": {"workers": min(workers, step.streams) if workers else None, "shared_host": True},
        }
    )  # fmt: skip

"""Loadcell itself as an audited tool: a run as a process, its result, and the requests that it is of."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from loadcell.audit.known import percentiles
from loadcell.audit.reported import Figures, Reading
from loadcell.errors import LoadcellError
from loadcell.recording.read import open_recording
from loadcell.selftest.truth import Truth

COMMAND = (
    f"'{sys.executable}' -m loadcell run {{url}} --concurrency {{concurrency}} --requests {{requests}} "
    "--input-tokens {input_tokens} --output-tokens {output_tokens} --output {output}/recording "
    "--json --set run.shared_host=true"
)
FINE = (0, 3, 4)
"""Its verdict on itself is no failure here: the truth is the judge."""
NOTES = ("Latencies are those of its requests from the actual send, the whole run, as those of the others are.",)


def read_recording(folder: Path, records: Sequence[Truth]) -> Reading:
    """Of the recording and the result that it printed; LoadcellError if it wrote none.

    Percentiles are of all ok requests, as the other tools have them: its own are of a window, and withheld where there
    are too few requests for them. Each request carries an id that the engine knows it by.
    """
    result = _result(folder)
    table = open_recording(folder / "output" / "recording")
    rows = table.requests(("request", "status", "send_start_ns", "first_any_ns", "last_ns", "output_tokens"))
    ok = rows["status"] == "ok"
    sent, first, last, tokens = (
        rows[name][ok] for name in ("send_start_ns", "first_any_ns", "last_ns", "output_tokens")
    )
    gaps = [np.empty(0)]
    for part in table.chunks(("request", "t_ns")):
        inside = np.isin(part["request"], rows["request"][ok])
        request, t_ns = part["request"][inside], part["t_ns"][inside]
        gaps.append(np.maximum(np.diff(t_ns)[request[1:] == request[:-1]], 0))
    found: Figures = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "ttft": (first - sent) / 1e6,
            "itl": np.concatenate(gaps) / 1e6,
            "tpot": np.where(tokens > 1, (last - first) / 1e6 / (tokens - 1), np.nan),
            "e2e": (last - sent) / 1e6,
        }
    for metric, one in values.items():
        found |= {key: (value, True) for key, value in percentiles(metric, one).items()}
    for rate in ("requests_per_s", "output_tokens_per_s"):
        if result["run_rates"][rate] is not None:
            found[rate, None] = (result["run_rates"][rate], False)
    word = "INVALID" if result["invalid"] else result["verdict"]["word"]
    ids = {f"{result['run']['id']}-{request}" for request in rows["request"][ok].tolist()}
    return Reading(
        figures=found,
        ok=int(ok.sum()),
        failed=int(result["counts"]["run"]["failed"]),
        measured=[one for one in records if one.id in ids],
        rule="by the id that each request carries",
        says=f"Its verdict on itself: {word}.",
    )


def _result(folder: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = msgspec.json.decode((folder / "stdout.txt").read_bytes())
    except (OSError, msgspec.DecodeError):
        raise LoadcellError("loadcell run printed no result") from None
    return result

"""Lines of a prompt file that were sent more than once: a prefix cache knows them."""

from __future__ import annotations

import numpy as np

from loadcell.metrics.rows import Rows
from loadcell.phrases import phrase
from loadcell.recording.read import Recording
from loadcell.sessions import repeated_talks


def repeat_notes(recording: Recording, rows: Rows) -> list[str]:
    """What is to be told of a load of which only its recording tells how many requests it sent: a closed loop, or
    sessions, that a time ended. Of others the plan told it."""
    if recording.spec.workload.prompts is None or recording.manifest.planned is not None:
        return []
    sent = rows.request[rows.counted & ~np.isnan(rows.send_start)]
    lines = np.asarray(recording.schedule(["prompt"])["prompt"], np.float64)[sent]
    distinct = len(np.unique(lines[~np.isnan(lines)]))
    if rows.session.size:
        return repeated_talks(distinct, len(np.unique(rows.session[np.isin(rows.request, sent)])))
    if not distinct or distinct == len(lines):
        return []
    return [
        phrase(
            "prompts repeat: {} lines for {} requests, {:.3g} times each; {:.0%} of the requests repeat an earlier "
            "one, which a prefix cache can answer",
            distinct,
            len(lines),
            len(lines) / distinct,
            1 - distinct / len(lines),
        )
    ]

"""What a run does where nobody asked."""

from __future__ import annotations

import msgspec

from loadcell.spec.check import checked
from loadcell.spec.model import Load, Spec
from loadcell.spec.series import parse_series

DEFAULT_CONCURRENCY = 16
LEAST_DURATION_S, LEAST_E2E = 30.0, 4.0
"""A run whose end was not asked for sends so long, and so many times as long as a request takes, after its ramp."""
MOST_DURATION_S = 300.0
"""And no longer than this."""
_MOST_PLANNED = 10_000
"""Open loop: nor is it planned for more requests than this, unless the least time takes more."""
_RAMP_A_USER_S, _RAMP_MOST_S = 0.01, 5.0
RAMP_SHARE = 0.1
"""Most of a run that a ramp by default takes."""


def with_defaults(spec: Spec) -> Spec:
    """The Spec with the defaults of its load filled in, so that the result shows them all.

    A trace brings its times and its end. Without a load: a closed loop of 16 users. Without an end: a run that ends by
    itself, within 300 s (less where an open loop would plan more than 10,000 requests by then, but never less than
    30 s), or with its series of rates. The ramp of a closed loop waits for the probe: see `default_ramp_s`.
    """
    load = spec.load
    replays = spec.trace.name is not None
    if load.concurrency is None and load.rate is None and not replays:
        load = msgspec.structs.replace(load, concurrency=DEFAULT_CONCURRENCY)
    if load.rate_series is not None and load.requests is None and load.duration_s is None:
        load = msgspec.structs.replace(load, duration_s=parse_series(load.rate_series).length_s, duration_most_s=None)
    planned_end = replays or (spec.loadgen.scenario == "server" and load.rate is not None)
    if load.requests is None and load.duration_s is None and load.duration_most_s is None and not planned_end:
        most_s = MOST_DURATION_S if load.rate is None else min(MOST_DURATION_S, _MOST_PLANNED / load.rate)
        load = msgspec.structs.replace(load, duration_most_s=max(most_s, LEAST_DURATION_S + (load.ramp_s or 0.0)))
    if load.ramp_s is None and spec.open_loop:
        load = msgspec.structs.replace(load, ramp_s=0.0)
    return checked(msgspec.structs.replace(spec, load=load))


def default_ramp_s(load: Load, e2e_s: float | None) -> float:
    """The ramp of a closed loop that was not asked for one; `e2e_s` is what one request is likely to take, if known.

    Users that start within one E2E are spread over its phases instead of going in step. That may take a tenth of the
    run, no more. At least they start 10 ms apart, within 5 s, so that the first replies do not come as one burst.
    """
    users = load.concurrency or 1
    least_s = min(_RAMP_A_USER_S * users, _RAMP_MOST_S)
    if e2e_s is None:
        return least_s
    if load.requests is not None:
        run_s = e2e_s * load.requests / users
        run_s = run_s if load.duration_s is None else min(run_s, load.duration_s)
    else:
        run_s = load.duration_s or max(LEAST_DURATION_S, LEAST_E2E * e2e_s)
    return max(least_s, min(e2e_s, RAMP_SHARE * run_s))


def keeps_load(spec: Spec) -> bool:
    """Whether requests are sent beyond the end of the counted ones, so that these do not end on an emptying server.

    Only where a time ends the sending: not with a number of requests, a whole trace, LoadGen's traffic, or users
    in lockstep.
    """
    load = spec.load
    timed = load.requests is None and load.min_requests is None and spec.loadgen.scenario is None
    timed = timed and (spec.trace.name is None or load.duration_s is not None)
    return load.keep_load and timed and not load.lockstep

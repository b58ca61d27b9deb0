"""C_max where nobody declares it: closed loops of twice the users each, until throughput no longer grows.

Every stage is a short run on synthetic prompts about as long as those of the data set, so that no cache knows a sample
before the curve begins. Throughput of a stage has a 95 % interval. A doubling counts as no growth if it brings less
than 5 %: the search ends when that is so within the intervals, or twice in a row by the figures themselves. C_max is
then the concurrency of the highest figure, or the least legal one.

What may be wrong: stages stand at powers of two, so the true peak may lie up to a factor of two aside; they are short,
and their outputs are all of one length; intervals leave 5 % to chance. Where two stages are within each other's
intervals, the choice between them is chance too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from loadcell.errors import EndpointError
from loadcell.load import run_load
from loadcell.mlperf.curve.model import Peak, PeakStage
from loadcell.mlperf.curve.regions import ULTRA_LOW_MOST
from loadcell.recording.campaign import keep_whole
from loadcell.recording.read import open_recording
from loadcell.spec import Load, LoadGen, Spec

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch

GROWTH = 0.05
"""A doubling that brings less is no growth."""
FIRST = (2, 8, 16)
"""Stages before the first that may end the search: they tell how long low points take."""
STAGE_S, QUICK_STAGE_S = 30.0, 1.0
_REQUESTS_A_USER, _QUICK_REQUESTS_A_USER = 3, 1
_MOST_FAILED = 0.01
"""Failed requests from which on a concurrency is more than the server takes."""
LEAST_C_MAX = ULTRA_LOW_MOST + 1
_CHARACTERS_A_TOKEN, _LONGEST_PROMPT, _LONGEST_OUTPUT = 4, 4096, 1024


def next_level(stages: Sequence[PeakStage], most: int) -> int | None:
    """The next concurrency to try, None when the search is over. `most` bounds it."""
    done = [stage.concurrency for stage in stages]
    begin = next((level for level in FIRST if level not in done and level <= most), None)
    if begin is not None:
        return begin
    if stages[-1].concurrency >= most or _over(stages):
        return None
    return min(2 * stages[-1].concurrency, most)


def _over(stages: Sequence[PeakStage]) -> bool:
    last = stages[-1]
    if last.concurrency <= FIRST[-1]:
        return False
    if last.system_tps is None or (last.failed_share or 0.0) > _MOST_FAILED:
        return True
    return surely_flat(stages[-2], last) or (
        len(stages) > len(FIRST) + 1 and flat(*stages[-3:-1]) and flat(*stages[-2:])
    )


def flat(before: PeakStage, after: PeakStage) -> bool:
    """Whether twice the users brought less than 5 % more by the figures."""
    if before.system_tps is None or after.system_tps is None:
        return True
    return after.system_tps < (1 + GROWTH) * before.system_tps


def surely_flat(before: PeakStage, after: PeakStage) -> bool:
    """As `flat`, with both intervals allowed for: their relative half-widths add as squares."""
    if before.system_tps is None or after.system_tps is None:
        return True
    halves = [_half(stage) for stage in (before, after)]
    if None in halves:
        return False
    off = math.hypot(*(half or 0.0 for half in halves))
    return after.system_tps / before.system_tps * (1 + off) < 1 + GROWTH


def _half(stage: PeakStage) -> float | None:
    if not stage.system_tps or stage.low is None or stage.high is None:
        return None
    return (stage.high - stage.low) / 2 / stage.system_tps


def peak_of(stages: Sequence[PeakStage], most: int) -> Peak:
    """C_max by the stages, and in words how. EndpointError if no stage served anything."""
    good = [one for one in stages if one.system_tps is not None and (one.failed_share or 0.0) <= _MOST_FAILED]
    if not good:
        raise EndpointError(
            "no stage of the search for C_max had a throughput: see what fails with loadcell run, or give --c-max"
        )
    best = max(good, key=lambda stage: stage.system_tps or 0.0)
    rivals = [one.concurrency for one in good if one is not best and _within(one, best)]
    tested = ", ".join(f"{one.concurrency}: {one.system_tps:,.4g}" for one in stages if one.system_tps is not None)
    says = [
        f"C_max: output tokens/s peak at {best.concurrency} users ({tested}); synthetic prompts, steps of a factor 2"
    ]
    if rivals:
        says.append(f"C_max: {', '.join(map(str, rivals))} users are within the noise of the peak")
    if stages[-1].concurrency >= most and best is stages[-1]:
        says.append(f"C_max: throughput still grew at {most}, the most connections that this machine can have")
    c_max = max(best.concurrency, LEAST_C_MAX)
    if c_max != best.concurrency:
        says.append(
            f"C_max: throughput peaks at {best.concurrency} users already; a curve needs more than "
            f"{ULTRA_LOW_MOST}, so {c_max} is declared"
        )
    return Peak(c_max=c_max, found=best.concurrency, stages=list(stages), says=says)


def _within(one: PeakStage, best: PeakStage) -> bool:
    return one.high is not None and best.low is not None and one.high >= best.low


# --- running it ------------------------------------------------------------------------------------------------------


def find_c_max(
    spec: Spec,
    folder: Path,
    watch: Watch,
    on_stage: Callable[[PeakStage], None],
    *,
    prompt_tokens: int,
    output_tokens: float,
    quick: bool,
    most: int,
    levels: Sequence[int] = (),
) -> list[PeakStage]:
    """The stages of the search, recorded in `folder`/c<C>; those that lie there in full are kept.

    With `levels` just those: to know how long points take where C_max is declared. KeyboardInterrupt if a person ended
    a stage.
    """
    stages: list[PeakStage] = []
    while True:
        left = [level for level in levels if level not in [stage.concurrency for stage in stages]]
        level = (left[0] if left else None) if levels else next_level(stages, most)
        if level is None:
            return stages
        home = folder / f"c{level}"
        if not keep_whole(home):
            asked = _stage_spec(spec, level, prompt_tokens, output_tokens, quick=quick)
            if run_load(asked, home, watch).state == "interrupted":
                raise KeyboardInterrupt
        stages.append(read_stage(home, level, output_tokens))
        on_stage(stages[-1])


def _stage_spec(spec: Spec, users: int, prompt_tokens: int, output_tokens: float, *, quick: bool) -> Spec:
    a_user = _QUICK_REQUESTS_A_USER if quick else _REQUESTS_A_USER
    load = Load(
        concurrency=users,
        duration_s=QUICK_STAGE_S if quick else STAGE_S,
        min_requests=a_user * users,
        timeout_s=spec.load.timeout_s,
        connect_timeout_s=spec.load.connect_timeout_s,
        ramp_s=0.0 if quick else None,
    )
    workload = msgspec.structs.replace(
        spec.workload,
        prompts=None,
        input_tokens=str(min(prompt_tokens, _LONGEST_PROMPT)),
        output_tokens=str(stage_tokens(output_tokens)),
    )
    endpoint = msgspec.structs.replace(spec.endpoint, ignore_eos=None)  # outputs of one length, where the server can
    run = msgspec.structs.replace(spec.run, repetition=users)
    return msgspec.structs.replace(spec, endpoint=endpoint, load=load, workload=workload, loadgen=LoadGen(), run=run)


def stage_tokens(output_tokens: float) -> int:
    """Output tokens of a request of a stage: as expected of the data set, but no endless ones."""
    return max(1, min(round(output_tokens), _LONGEST_OUTPUT))


def read_stage(folder: Path, users: int, output_tokens: float) -> PeakStage:
    """What a stage showed; its requests/s are those of the data set's outputs at its tokens/s."""
    from loadcell.metrics import build_result

    result = build_result(open_recording(folder))
    rates, counts = result.throughput, result.counts.run
    interval, tps = rates.output_tokens_interval, rates.output_tokens_per_s
    return PeakStage(
        concurrency=users,
        requests_per_s=None if not tps else tps / output_tokens,
        system_tps=tps or None,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        failed_share=counts.failed / counts.planned if counts.planned else None,
    )


def prompt_tokens_of(prompts: Path) -> int:
    """About how long a prompt of a JSONL file is."""
    data = prompts.read_bytes()
    return max(1, len(data) // max(1, data.count(b"\n")) // _CHARACTERS_A_TOKEN)

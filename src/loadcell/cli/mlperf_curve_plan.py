"""What `loadcell mlperf curve` is asked to do: its flags, its data set, C_max and its plan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.cli.mlperf_asked import number as number_of
from loadcell.errors import UsageError
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.load.fleet import Watch
    from loadcell.mlperf.curve.model import CurvePlan, Offline, Peak, Stage
    from loadcell.mlperf.curve.planning import Wish
    from loadcell.mlperf.datasets import Dataset
    from loadcell.mlperf.model import Rules


def wish_of(args: argparse.Namespace, given: set[str]) -> Wish:
    from loadcell.mlperf.curve.planning import Wish

    kinds: dict[str, Offline] = {"elected": "elected", "dedicated": "dedicated"}
    if (kind := args.offline or "elected") not in kinds:
        raise UsageError(f"--offline {kind!r}: write elected or dedicated")
    return Wish(
        c_max=number_of(args.c_max, "--c-max", int),
        points=number_of(args.points, "--points", int),
        concurrencies=tuple(
            number_of(part, "--concurrency", int) for part in (args.concurrency or "").split(",") if part
        ),
        c_min_override=number_of(args.c_min_override, "--c-min-override", int),
        offline=kinds[kind],
        quick=args.quick,
        given=given,
    )


def data_of(args: argparse.Namespace, quick: bool) -> tuple[Rules, Dataset]:
    """The rules of the benchmark that a curve shares with MLPerf Inference, and its data set."""
    import msgspec

    from loadcell.mlperf.curve.planning import QUICK_SAMPLES
    from loadcell.mlperf.curve.points import benchmark_of
    from loadcell.mlperf.datasets import find_dataset
    from loadcell.mlperf.rules import find_rules

    if args.benchmark is None:
        raise UsageError("say which --benchmark, as in --benchmark llama3.1-8b")
    rules = find_rules(None, args.benchmark, "offline")
    benchmark_of(rules)
    samples = number_of(args.samples, "--samples", int)
    found = find_dataset(rules, args.dataset, look_alike=args.look_alike, samples=samples, accuracy=False)
    if quick:
        found = msgspec.structs.replace(found, samples=found.samples[:QUICK_SAMPLES])
    return rules, found


def with_api(spec: Spec, api: Any) -> Spec:
    import msgspec

    return msgspec.structs.replace(spec, endpoint=msgspec.structs.replace(spec.endpoint, api=api))


def connections(spec: Spec) -> int:
    """Connections that this machine can have to one server: by descriptors and by ports."""
    import msgspec

    from loadcell.load.fit import SPARE_FILES
    from loadcell.load.host import descriptor_limit
    from loadcell.load.machine import local_ports
    from loadcell.load.prepare import worker_count

    ports, spare = min(28_000, local_ports() or 28_000), SPARE_FILES
    load = msgspec.structs.replace(spec.load, concurrency=ports, rate=None)
    return min(ports, max(1, descriptor_limit() - spare) * worker_count(msgspec.structs.replace(spec, load=load)))


def plan_of(
    spec: Spec, wish: Wish, rules: Rules, dataset: Dataset, folder: Path, watch: Watch, cap: int
) -> tuple[CurvePlan, Spec]:
    """C_max, then the plan and the Spec of its points."""
    from loadcell.mlperf.curve.folder import PROMPTS
    from loadcell.mlperf.curve.planning import make_plan
    from loadcell.mlperf.curve.points import base_spec
    from loadcell.mlperf.rules import endpoints_rules

    endpoints = endpoints_rules()
    made = base_spec(rules, spec, folder / PROMPTS, endpoints.seed_sets[-1], wish.given)
    peak = _peak(made, wish, rules, folder, watch, cap)
    return make_plan(rules, endpoints, dataset, made, peak, wish, cap), made


def _peak(spec: Spec, wish: Wish, rules: Rules, folder: Path, watch: Watch, cap: int) -> Peak:
    """C_max as declared, with two short stages that tell how long points take; else searched for."""
    from loadcell.cli.progress import say
    from loadcell.mlperf.curve.folder import PROMPTS, SEARCH
    from loadcell.mlperf.curve.levels import lowest_of
    from loadcell.mlperf.curve.model import Peak
    from loadcell.mlperf.curve.peak import find_c_max, peak_of, prompt_tokens_of
    from loadcell.mlperf.curve.points import chosen_tokens, expected_output

    output = expected_output(rules, chosen_tokens(spec, wish.given))

    def told(stage: Stage) -> None:
        rate = "no figure" if stage.system_tps is None else f"{stage.system_tps:,.4g} tokens/s"
        say(f"loadcell: {stage.concurrency} users: {rate} (synthetic prompts, no result)")

    ends: tuple[int, ...] = ()
    if wish.c_max is not None:
        least = min(wish.concurrencies, default=wish.c_min_override or lowest_of(wish.c_max))
        ends = (least, min(wish.c_max, cap))
    stages = find_c_max(
        spec, folder / SEARCH, watch, told, prompt_tokens=prompt_tokens_of(folder / PROMPTS), output_tokens=output,
        quick=wish.quick, most=cap, levels=ends,
    )  # fmt: skip
    if wish.c_max is None:
        return peak_of(stages, cap)
    return Peak(c_max=wish.c_max, found=None, stages=stages)

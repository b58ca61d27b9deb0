"""`loadcell mlperf loadgen`: the genuine LoadGen makes the load, our client is its system under test."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.mlperf_asked import BY_RULES, add_benchmark, add_size, given_fields, number, wish_of
from loadcell.cli.run import add_spec_flags, read_spec
from loadcell.errors import UsageError
from loadcell.recording.claim import output_folder

if TYPE_CHECKING:
    from loadcell.mlperf.datasets import Dataset
    from loadcell.mlperf.model import Rules
    from loadcell.mlperf.wheel.model import Driven
    from loadcell.mlperf.wish import Wish

_NOT_HERE = (
    *BY_RULES, "--ramp", "--stop-when-saturated", "--output-tokens", "--workers", "--seed", "--keep-text",
    "--shared-host", "--metrics-url", "--observe-every",
)  # fmt: skip
"""Flags of `run` that the rules or LoadGen answer, or that mean something else here."""
_HEADROOM = 1.5
"""Offline: LoadGen cannot extend a run that a low guess made too short, and it is faster than the probe."""
_EXAMPLES = """\
examples:
  loadcell mlperf loadgen http://localhost:8000 --benchmark llama3.1-8b \\
      --scenario server --target-qps 12 --output logs
  loadcell mlperf loadgen http://localhost:8000 --benchmark llama3.1-8b \\
      --scenario offline --look-alike --quick --accuracy
  loadcell mlperf check logs

exit codes: 0 VALID by LoadGen and by us; 1 no request succeeded, or it could
not be run; 2 wrong usage; 4 INVALID; 130 interrupted

LoadGen cannot be stopped, watched or gone on with: what is cut off is lost.
Nothing here is an MLPerf result: every score is unverified.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell mlperf loadgen`: the benchmark, the load that it leaves open, and the endpoint's."""
    parser.usage = "loadcell mlperf loadgen URL --benchmark B --scenario S [flags]"
    parser.description = (
        "Let the genuine LoadGen (pip install 'loadcell[loadgen]') generate the load of\n"
        "a benchmark's scenario, with Loadcell's client as its system under test. Its own\n"
        "logs land in DIR, beside what Loadcell saw of the same run (loadcell.json)."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument("target", nargs="?", metavar="URL", help="base URL of the server")
    group = add_benchmark(parser)
    group.add_argument("--quick", action="store_true", help="a short run on 64 samples at most (not comparable)")
    group.add_argument("--accuracy", action="store_true", help="accuracy mode: every sample once, replies logged")
    group.add_argument("--target-qps", metavar="R", help="server, interactive: queries per second")
    add_size(group)
    group.add_argument("--output", metavar="DIR", help="folder of the logs (default: mlperf/TIME)")
    group.add_argument("--json", action="store_true", help="print loadcell.json")
    parser.set_defaults(find_peak=None)
    add_spec_flags(parser, but=_NOT_HERE)


def run(args: argparse.Namespace) -> int:
    """Plan, let LoadGen run it, show what it is worth; see the help for the exit codes."""
    if args.target is None:
        raise UsageError("name the endpoint, as in: loadcell mlperf loadgen http://localhost:8000 --benchmark ...")
    for name, example in (("benchmark", "llama3.1-8b"), ("scenario", "server")):
        if getattr(args, name) is None:
            raise UsageError(f"say which --{name}, as in --{name} {example}")
    from loadcell.mlperf.wheel.run import wheel_version

    wheel_version()
    with output_folder(args.output, "mlperf") as folder:
        try:
            driven = _drive(args, folder)
        except KeyboardInterrupt:
            sys.stderr.write("loadcell: interrupted\n")
            return 130
        return _finish(args, driven, folder)


def _drive(args: argparse.Namespace, folder: Path) -> Driven:
    """The run that the flags describe."""
    from loadcell.cli.progress import say, show_progress
    from loadcell.mlperf.datasets import write_prompts
    from loadcell.mlperf.folder import PROMPTS, RUN
    from loadcell.mlperf.planning import make_plan, rate_of, size
    from loadcell.mlperf.run import needs_probe, probe
    from loadcell.mlperf.wheel.run import drive

    spec = read_spec(args)
    wish = wish_of(args, given_fields(args, spec))
    rules, dataset = _samples(args, wish)
    planned = make_plan(rules, dataset, spec, folder / PROMPTS, wish)
    say(*(f"loadcell: {note}" for note in (*dataset.notes, *planned.plan.shortened)))
    with RUN.own(folder, resume=False), show_progress(lambda: [f"{rules.benchmark} {rules.scenario} LoadGen"]) as watch:
        most = planned.plan.rules.max_output_tokens if "workload.output_tokens" in wish.given else None
        write_prompts(dataset, folder / PROMPTS, max_tokens=most)
        if needs_probe(planned.plan, wish) and not args.accuracy:
            seen = probe(planned.plan, planned.spec, folder, watch)
            rate = rate_of(planned.plan, wish, seen)
            if rules.scenario == "offline" and rate is not None:
                rate *= _HEADROOM
            planned = size(planned.plan, planned.spec, wish, rate)
        say(*(f"loadcell: {note}" for note in ([] if args.accuracy else planned.notes)))
        return drive(planned, folder, watch, accuracy=args.accuracy)


def _samples(args: argparse.Namespace, wish: Wish) -> tuple[Rules, Dataset]:
    """The rules and as many samples as they, or the person, ask for."""
    import msgspec

    from loadcell.mlperf.datasets import find_dataset
    from loadcell.mlperf.rules import find_rules
    from loadcell.mlperf.shorten import QUICK_SAMPLES
    from loadcell.mlperf.wish import check_wish

    rules = find_rules(args.round, args.benchmark, args.scenario)
    if rules.scenario in ("server", "interactive") and wish.target_qps is None:
        raise UsageError(f"{rules.scenario} sends at a rate: give it, as in --target-qps 12")
    check_wish(rules.scenario, wish)
    if args.accuracy:  # every sample once, whatever time that takes
        rules = msgspec.structs.replace(
            rules,
            performance_sample_count=rules.accuracy_sample_count,
            max_output_tokens=rules.max_output_tokens_accuracy or rules.max_output_tokens,
            min_queries=1, min_duration_s=0.0, offline_min_samples=None,
        )  # fmt: skip
    samples = number(args.samples, "--samples", int) or (QUICK_SAMPLES if args.quick else None)
    dataset = find_dataset(rules, args.dataset, look_alike=args.look_alike, samples=samples, accuracy=args.accuracy)
    sent = min(len(dataset.samples), rules.performance_sample_count, samples or len(dataset.samples))
    return rules, msgspec.structs.replace(dataset, samples=dataset.samples[:sent])


# --- the end ----------------------------------------------------------------------------------------------------------


def _finish(args: argparse.Namespace, driven: Driven, folder: Path) -> int:
    """Show what the run is worth; the exit code."""
    if args.json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(driven), indent=2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(driven, folder)) + "\n")
    if driven.state == "interrupted":
        sys.stderr.write("loadcell: interrupted; LoadGen cannot go on with a run: begin it again\n")
        return 130
    nothing = driven.score is not None and driven.score.samples == driven.score.failed
    return 1 if driven.state != "complete" or nothing else 4 if driven.verdict == "INVALID" else 0


def _lines(driven: Driven, folder: Path) -> Iterator[str]:
    """The report for people."""
    from loadcell.mlperf.model import UNVERIFIED

    rules = driven.plan.rules
    smaller = " (smaller than the rules ask: not comparable)" if driven.plan.quick else ""
    yield f"MLPerf-style {rules.benchmark} {rules.scenario}, {rules.round}, {driven.mode} - {UNVERIFIED}{smaller}"
    yield f"load by the genuine LoadGen {driven.loadgen}, system under test: loadcell {driven.loadcell}"
    yield ""
    yield f"{driven.verdict}"
    for finding in driven.findings:
        yield f"  {'ok ' if finding.ok else 'BAD'} {finding.says}"
        if finding.advice:
            yield f"      {finding.advice}"
    yield from _figures(driven)
    if driven.delays:
        yield ""
        yield "What our side added to LoadGen's latencies (us)    p50      p99      max"
        for name, delay in driven.delays.items():
            yield f"  {name:<44}{delay.p50_us:>8,.0f} {delay.p99_us:>8,.0f} {delay.max_us:>8,.0f}"
    if driven.id_sources:
        shown = ", ".join(f"{count:,} by the {_WHOSE[whose]}" for whose, count in driven.id_sources.items())
        yield ""
        yield f"token ids in mlperf_log_accuracy.json: {shown.format(driven.tokenizer)}"
    yield ""
    yield f"{folder}/mlperf_log_summary.txt is LoadGen's own word; loadcell.json is ours."
    yield f"next: loadcell mlperf check {folder}"
    yield ""
    yield driven.footnote


_WHOSE = {
    "server": "server",
    "tokenizer": "tokenizer {} from the text, which is inexact",
    "none": "nobody: they are empty",
}


def _figures(driven: Driven) -> Iterator[str]:
    """The same run at the sockets."""
    score = driven.score
    if score is None or score.headline is None:
        return
    yield ""
    yield f"at the sockets: {score.headline:,.6g} {score.headline_unit} ({score.headline_name})"
    for name, found in (("TTFT", score.ttft), ("TPOT", score.tpot), ("latency", score.latency)):
        if found is not None:
            p50, p99 = (found.percentiles_ns[key] / 1e6 for key in ("50.00", "99.00"))
            yield f"  {name:<8} p50 {p50:,.2f} ms, p99 {p99:,.2f} ms"

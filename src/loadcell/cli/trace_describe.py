"""`loadcell trace describe FILE`: what a trace holds, in figures."""

from __future__ import annotations

import argparse
import sys

from loadcell.errors import UsageError

_EPILOG = """\
NAME is one of `loadcell trace list`. The format of a FILE is told by its
columns or keys, never by its name; gzip may have packed it.

  plain     columns t, in, out: CSV, JSON Lines, JSON, Parquet
  azure     Azure's LLM inference traces, 2023 and 2024
  burstgpt  BurstGPT, with sessions or without
  bailian   Bailian's usage traces of Qwen
  mooncake  Mooncake's traces with shared blocks
  servegen  ServeGen's rates and lengths of clients, a CSV or a folder
  tracelab  TraceLab's rounds of coding agents
  agentx    sessions of agents as InferenceX AgentX replays them, or a folder
  otel      OpenTelemetry spans with gen_ai attributes
  litellm   LiteLLM's standard logging payloads and spend logs
  vllm      vLLM's log of requests, by --enable-log-requests

examples:
  loadcell trace describe azure-code
  loadcell trace describe requests.csv --json
  loadcell trace describe servegen-deepseek-r1 --window 3600:7200
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Rate, burstiness, lengths, sessions and sharing of a trace."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("trace", metavar="FILE|NAME")
    parser.add_argument("--kind", metavar="FORMAT", help="its format, where the file does not tell")
    parser.add_argument(
        "--time-unit", metavar="UNIT", help="of its times: s, ms, us or ns (default: as the format has it)"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave broken rows out and count them")
    parser.add_argument("--window", metavar="S:S", help="only what came between these seconds of it")
    parser.add_argument("--seed", type=int, default=0, help="of a trace that is generated, as servegen (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the figures. Returns 0."""
    from loadcell.traces.describe import describe
    from loadcell.traces.read import read_trace
    from loadcell.traces.shape import within

    window = _window(args.window)
    trace = read_trace(
        args.trace, skip_bad=args.skip_bad, kind=args.kind, unit=args.time_unit, window_s=window, seed=args.seed
    )
    found = describe(trace if window is None else within(trace, *window))
    if args.json:
        import msgspec

        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return 0
    from loadcell.cli.terminal import Terminal
    from loadcell.report.render.terminal import show
    from loadcell.report.view.traces import description_sections

    show(description_sections(found), Terminal())
    return 0


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        found = float(low or 0), float(high or "inf")
    except ValueError:
        found = (0.0, 0.0)
    if not colon or not 0 <= found[0] < found[1]:
        raise UsageError(f"--window {text}: write two times in seconds, the earlier first, as in --window 3600:7200")
    return found

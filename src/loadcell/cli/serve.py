"""`loadcell serve`: the embedded engine, for demos, tests and calibration."""

from __future__ import annotations

import argparse
import signal
import sys

from loadcell.engine import EngineOptions
from loadcell.errors import LoadcellError, UsageError
from loadcell.spec import parse_duration_s

_EXAMPLES = """\
examples:
  loadcell serve --port 8000 --ttft 50ms --itl 10ms --slots 256
  loadcell serve --slots 8 --itl 8ms --itl-per-active 0.5ms --error-rate 0.01
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell serve`; the destinations are the fields of EngineOptions."""
    parser.description = (
        "Serve the streaming APIs that loadcell loads, with known timing. GET /truth\n"
        "tells, for every finished request, when it arrived and when each token was\n"
        "sent; DELETE /truth forgets. A word is a token."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES

    server = parser.add_argument_group("server")
    server.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    server.add_argument("--port", type=int, help="port to listen on; 0 takes any free one (default: 8000)")
    server.add_argument("--model", metavar="NAME", help="model name (default: loadcell-engine)")
    server.add_argument("--api-key", metavar="KEY", help="refuse /v1 requests without this key")
    server.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM: serve https")
    server.add_argument("--tls-key", metavar="FILE", help="private key of the certificate, PEM")
    server.add_argument("--cpu", type=int, metavar="N", help="bind the process to this CPU")

    engine = parser.add_argument_group("engine")
    engine.add_argument("--slots", type=int, metavar="N", help="requests served at a time; more wait (default: 32)")
    _seconds(engine, "--ttft", "time from admission to the first token (default: 50ms)")
    _seconds(engine, "--itl", "decode step with no stream active (default: 10ms)")
    _seconds(engine, "--itl-per-active", "added to the step for each active stream (default: 0ms)")
    engine.add_argument(
        "--prefill-rate", type=float, metavar="R", help="prompt tokens per second, added to TTFT (default: no cost)"
    )
    engine.add_argument(
        "--cache-tokens",
        type=int,
        metavar="N",
        help="prefix cache of so many prompt tokens, least recently used first; POST /reset_prefix_cache empties it "
        "(default: 0, none)",
    )
    engine.add_argument("--cache-block", type=int, metavar="N", help="tokens of one of its blocks (default: 16)")
    engine.add_argument("--lockstep", action="store_true", help="all active streams emit together")
    engine.add_argument("--jitter", type=float, metavar="CV", help="coefficient of variation of the step (default: 0)")
    engine.add_argument(
        "--tokens-per-chunk", type=int, metavar="K", help="tokens given by a step, in one event (default: 1)"
    )
    engine.add_argument(
        "--draft-tokens",
        type=int,
        metavar="N",
        help="speculative decoding: N tokens are guessed for each step, which gives those that hold and one more "
        "(default: 0, none)",
    )
    engine.add_argument(
        "--acceptance",
        type=float,
        metavar="P",
        help="probability that a guessed token holds, if all before it do (default: 0.7)",
    )
    engine.add_argument(
        "--request-metrics", action="store_true", help="tell queue and prefill with the usage, as vLLM can"
    )
    engine.add_argument("--seed", type=int, metavar="N", help="seed of troubles, jitter and text (default: 0)")

    trouble = parser.add_argument_group("trouble (a rate is the probability that a request meets it; one at most does)")
    for name, text in (
        ("reject", "HTTP 429 with Retry-After"),
        ("error", "HTTP 500"),
        ("cut", "the connection is closed half way through the output"),
        ("stall", "the stream pauses half way"),
        ("stream-error", "an error event half way ends the stream"),
        ("short", "the stream ends half way, without finish reason, usage and end mark"),
    ):
        trouble.add_argument(f"--{name}-rate", type=float, metavar="P", help=text)
    trouble.add_argument("--trouble-after", type=int, metavar="N", help="spare the first N requests (default: 0)")
    _seconds(trouble, "--stall", "length of that pause (default: 500ms)")
    trouble.add_argument("--deaf", action="store_true", help="go on with requests whose clients have gone")
    _seconds(trouble, "--slow-accept", "wait this long before each accept (default: 0ms)")
    trouble.add_argument("--crlf", action="store_true", help="end the lines of events with CRLF")
    trouble.add_argument("--no-usage", action="store_true", help="never send usage")
    trouble.add_argument("--no-done", action="store_true", help="end streams without their end mark ([DONE])")
    defaults = EngineOptions()
    parser.set_defaults(**{field: getattr(defaults, field) for field in EngineOptions.__struct_fields__})


def _seconds(group: argparse._ArgumentGroup, flag: str, text: str) -> None:
    dest = flag.removeprefix("--").replace("-", "_") + "_s"
    group.add_argument(flag, type=_duration, dest=dest, metavar="TIME", help=text)


def _duration(text: str) -> float:
    try:
        return parse_duration_s(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; 0 then."""
    from loadcell.engine import Server

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = EngineOptions(**{field: getattr(args, field) for field in EngineOptions.__struct_fields__})
        server = Server(options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise LoadcellError(
            f"cannot listen on {args.host}:{args.port}: {error.strerror or error}. "
            "Choose another address with --host or --port; --port 0 takes any free port."
        ) from None
    try:
        _raise_file_limit()
        sys.stdout.write(f"listening on {server.url} (model {options.model})\n")
        sys.stdout.flush()
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
    return 0


def _raise_file_limit() -> None:
    """Every connection is a descriptor, and the usual soft limit is low."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = max(soft, 65536)
    if 0 <= soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

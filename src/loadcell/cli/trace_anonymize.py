"""`loadcell trace anonymize LOG...`: own logs as a trace without their text, and what that still gives away."""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LEAST_KEY = 16
_EPILOG = """\
LOG is a file of OpenTelemetry spans with messages, of LiteLLM's log with
messages, or JSON Lines with a time (t, timestamp, ...) and messages or a
prompt; several make one trace.

What is written: times since the first request, lengths, sessions with their
waits, and for each prompt the numbers of its blocks: the same beginning is the
same numbers. No text, no name, no id, no hash. What that still gives away is
printed.

example:
  loadcell trace anonymize spans.jsonl --output traffic.jsonl.gz --round-s 1
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Your own logs as a trace without their text."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("logs", nargs="+", metavar="LOG")
    parser.add_argument(
        "--output", required=True, metavar="FILE", help="where the trace goes, packed if it ends in .gz"
    )
    parser.add_argument(
        "--block-tokens", type=int, default=16, metavar="N", help="tokens of a block of a prompt (default: 16)"
    )
    parser.add_argument(
        "--tokenizer", default="smollm2", metavar="T",
        help="what parts texts into tokens: smollm2 (packaged, the default), a path or a hub id",
    )  # fmt: skip
    parser.add_argument("--round-s", type=float, metavar="S", help="round times and delays down to multiples of S")
    parser.add_argument(
        "--key-file", metavar="K",
        help="write blocks by keyed hashes with this file's bytes as the key, so that traces of several days know each "
        "other's (default: a key that nobody keeps, and numbers)",
    )  # fmt: skip
    parser.add_argument("--kind", metavar="FORMAT", help="otel, litellm or requests, where the log does not tell")
    parser.add_argument("--skip-bad", action="store_true", help="leave broken lines out and count them")


def run(args: argparse.Namespace) -> int:
    """Write the trace and say what it gives away. Returns 0."""
    if args.block_tokens < 1:
        raise UsageError(f"--block-tokens {args.block_tokens}: give 1 or more")
    if args.round_s is not None and not args.round_s > 0:
        raise UsageError(f"--round-s {args.round_s:g}: give more than 0 s")
    output, key = Path(args.output), _key(args.key_file)
    if output.exists():
        raise UsageError(f"--output {output}: it exists; name a new file, or delete it")
    from loadcell.traces.anonymize import anonymized, written
    from loadcell.workload.tokenizer import load_tokenizer

    backend = load_tokenizer(args.tokenizer).backend

    def encode(texts: Sequence[str]) -> Iterable[Sequence[int]]:
        return (each.ids for each in backend.encode_batch(list(texts), add_special_tokens=False))

    trace, told = anonymized(
        [Path(log) for log in args.logs], encode, block_tokens=args.block_tokens, key=key, round_s=args.round_s,
        kind=args.kind, skip_bad=args.skip_bad,
    )  # fmt: skip
    try:
        with gzip.GzipFile(output, "xb", mtime=0) if output.suffix == ".gz" else output.open("xb") as file:
            file.writelines(written(trace))
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write it: {error.strerror}") from error
    from loadcell.cli.terminal import Terminal
    from loadcell.report.render.terminal import show
    from loadcell.report.view.traces import disclosure_sections

    show(disclosure_sections(told, trace.changes, str(output)), Terminal(file=sys.stdout))
    return 0


def _key(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        key = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"--key-file {path}: cannot read it: {error.strerror}") from error
    if len(key) < _LEAST_KEY:
        raise UsageError(f"--key-file {path}: {len(key)} bytes are no key; make one by: openssl rand -out {path} 32")
    return key

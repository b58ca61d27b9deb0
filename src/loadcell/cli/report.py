"""loadcell report: the figures of a recording, again, under any SLO or window, without any load."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.results import add_full, add_judging, add_sink, add_slo, exit_code, refuse_many, sent, show

if TYPE_CHECKING:
    from loadcell.metrics import Result
    from loadcell.recording.read import Recording
    from loadcell.report.detail import Detail
    from loadcell.report.words import Words


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from loadcell.cli.pages import add_lang

    parser.usage = "loadcell report DIR|RESULT [flags]"
    parser.description = (
        "Show the result of a recording again, under any SLO or window, or that of a\nsweep, without any load: on the "
        "console, or as files. Or serve a folder of them\nas local pages (--serve)."
    )
    parser.add_argument(
        "recording",
        nargs="?",
        metavar="DIR|RESULT",
        help="folder that a run or a sweep wrote, or a result saved with --json; with --serve, a folder of such "
        "folders (default: this one, and wherever else --output put recordings)",
    )
    add_slo(parser, "limits to judge by")
    parser.add_argument(
        "--window", metavar="A,B", help="count this part of the run only, in seconds since its start, as in 5,65"
    )
    parser.add_argument(
        "--as",
        dest="shown_as",
        metavar="TOOL",
        help="by the definitions of another tool, beside ours: vllm, vllm-rs, sglang, aiperf, guidellm, llmperf, "
        "inference-perf, genai-bench, mlperf, endpoints",
    )
    add_judging(parser)
    printed = parser.add_argument_group("printed").add_mutually_exclusive_group()
    add_full(printed)
    printed.add_argument("--json", action="store_true", help="print the result as JSON")
    printed.add_argument("--csv", action="store_true", help="print one line a figure (of a sweep: a stage), as CSV")
    printed.add_argument("--md", action="store_true", help="print it as Markdown, for a pull request or an issue")
    files = parser.add_argument_group("files, in the recording's folder unless --output says otherwise")
    files.add_argument("--html", action="store_true", help="report.html: one page with everything in it")
    files.add_argument("--png", action="store_true", help="charts/*.png: an overview and every chart")
    files.add_argument("--svg", action="store_true", help="charts/*.svg: the same")
    files.add_argument(
        "--parquet", action="store_true", help="per-request.parquet: a row a request; of a sweep stages.parquet"
    )
    files.add_argument("--output", metavar="PATH", help="folder for these; or the file, as in page.html")
    add_sink(files)
    add_lang(files)
    served = parser.add_argument_group("served")
    served.add_argument("--serve", action="store_true", help="serve a folder: list, filter, open, compare in a browser")
    served.add_argument("--host", metavar="H", help="with --serve: address to listen on (default: 127.0.0.1)")
    served.add_argument("--port", metavar="N", help="with --serve: port (default: 8321; 0 takes any free one)")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  loadcell report runs/chat\n"
        "  loadcell report runs/chat --slo ttft=500ms --html --output strict.html\n"
        "  loadcell report runs/chat --window 10,60 --json > result.json\n"
        "  loadcell report result.json --html --lang es\n"
        "  loadcell report runs/chat --md >> $GITHUB_STEP_SUMMARY\n"
        "  loadcell report runs/chat --as vllm\n"
        "  loadcell report --serve runs\n\n"
        "exit codes: 0 done; 1 no request succeeded, or no recording; 2 wrong usage;\n"
        "3 SUSPECT with --strict; 4 INVALID; 5 a search without an answer;\n"
        "130 interrupted"
    )


def run(args: argparse.Namespace) -> int:
    """Print the result of `args.recording` or write it to files, or serve a folder; returns `exit_code`."""
    from loadcell.cli.files import asked_files, tell_files, write_run_files
    from loadcell.cli.pages import words_of
    from loadcell.errors import UsageError

    words = words_of(args)
    if args.serve:
        return _serve(args)
    if args.host is not None or args.port is not None:
        raise UsageError("--host and --port belong to --serve")
    if args.recording is None:
        from loadcell.recording.index import remembered

        newest = next(iter(remembered()), "recordings/20260101-120000")
        raise UsageError(f"name what to report, as in: loadcell report {newest}")
    asked_files(args)
    folder = Path(args.recording)
    if args.shown_as is not None:
        return _report_as(args, folder, words)
    if os.path.exists(folder / "sweep.json"):  # noqa: PTH110 - Path's raises where the folder cannot be entered
        return _report_sweep(args, folder, words)
    if _is_imports(folder):
        return _report_sweep(args, folder, words)
    if os.path.exists(folder / "duel.json"):  # noqa: PTH110 - as above
        return _report_duel(args, folder)
    result, detail, recording = _read(args, folder)
    shown = result
    written = write_run_files(args, shown, detail, recording, folder, words)
    printed = args.json or args.csv or args.md
    tell_files(written, beside_output=printed)
    if printed or not written:
        show(shown, folder, words, as_json=args.json, as_csv=args.csv, as_markdown=args.md, full=args.full)
    sent(result, args.sink, written)
    return exit_code(result, strict=args.strict)


def _read(args: argparse.Namespace, folder: Path) -> tuple[Result, Detail | None, Recording | None]:
    """The result, what charts need if any are asked for, and the recording unless only the result was saved."""
    from loadcell.cli.files import needs_detail
    from loadcell.cli.pages import said_if_long
    from loadcell.errors import UsageError
    from loadcell.metrics import build_result
    from loadcell.recording.read import open_recording
    from loadcell.spec import parse_slo

    slo = None if args.slo is None else parse_slo(args.slo)
    window_s = None if args.window is None else parse_window(args.window)
    if folder.is_file():
        from loadcell.compare import read_result

        for flag in ("slo", "window", "parquet"):
            if getattr(args, flag):
                raise UsageError(f"--{flag} needs the requests: {folder} is a saved result, name the run's folder")
        return read_result(folder), None, None
    refuse_many(folder, "report")
    recording = open_recording(folder)
    with said_if_long("reading the recording"):
        if not needs_detail(args):
            return build_result(recording, slo, window_s), None, recording
        from loadcell.report.detail import build_both

        return *build_both(recording, slo, window_s), recording


def _report_as(args: argparse.Namespace, folder: Path, words: Words) -> int:
    """A recording as another tool counts: printed, or as its page."""
    from loadcell.cli.files import tell_files
    from loadcell.cli.pages import said_if_long
    from loadcell.cli.terminal import Terminal
    from loadcell.errors import UsageError
    from loadcell.interop.views.build import known, shown_as
    from loadcell.metrics import build_result
    from loadcell.recording.read import open_recording
    from loadcell.report.files import write_text
    from loadcell.report.shown_as import print_shown, shown_json, shown_markdown, shown_page
    from loadcell.spec import parse_slo

    wrong = [f"--{flag}" for flag in ("window", "csv", "png", "svg", "parquet", "sink") if getattr(args, flag)]
    if wrong:
        raise UsageError(f"{wrong[0]} does not go with --as: the view of another tool is of the whole run, in figures")
    if folder.is_file():
        raise UsageError(f"--as needs the requests: {folder} is a saved result, name the run's folder")
    if (folder / "sweep.json").exists() or (folder / "duel.json").exists():
        raise UsageError(f"--as is for one run: {folder} holds several; name the folder of one of them")
    refuse_many(folder, "report")
    tool, slo = known(args.shown_as), None if args.slo is None else parse_slo(args.slo)
    recording = open_recording(folder)
    with said_if_long("reading the recording"):
        result = build_result(recording, slo)
        shown = shown_as(recording, result, tool, slo)
    if args.html:
        place = Path(args.output) if args.output is not None else folder / f"as-{shown.tool}.html"
        write_text(place, shown_page(shown, words))
        tell_files([place], beside_output=args.json or args.md)
    if args.json:
        sys.stdout.write(shown_json(shown))
    elif args.md:
        sys.stdout.write(shown_markdown(shown, words))
    elif not args.html:
        print_shown(shown, Terminal(), words, full=args.full)
    return exit_code(result, strict=args.strict)


def _is_imports(folder: Path) -> bool:
    """Whether it holds several imported runs; told without the room of sweeps where no file says so."""
    if next(folder.glob("*/imported.json"), None) is None:
        return False
    from loadcell.search import is_imports

    return is_imports(folder)


def _report_duel(args: argparse.Namespace, folder: Path) -> int:
    """What a duel told, again: printed, or as its page."""
    from loadcell.cli.compare import show_duel
    from loadcell.errors import UsageError

    wrong = [f"--{flag}" for flag in ("slo", "window", "csv", "png", "svg", "parquet", "sink") if getattr(args, flag)]
    if wrong:
        raise UsageError(f"{wrong[0]} is for one run: {folder} is a duel; name the folder of one of its turns")
    return show_duel(args, folder)


def _report_sweep(args: argparse.Namespace, folder: Path, words: Words) -> int:
    """The same of a sweep; it is judged by the SLO that it ran with."""
    from loadcell.cli.files import tell_files, write_sweep_files
    from loadcell.cli.sweep import exit_code as sweep_code
    from loadcell.cli.sweep import show_sweep
    from loadcell.errors import UsageError
    from loadcell.search import build_imports, build_sweep

    wrong = [f"--{flag}" for flag in ("slo", "window", "sink") if getattr(args, flag)]
    if wrong:
        flag = wrong[0]
        raise UsageError(f"{flag} is for one run: {folder} is a sweep; name the folder of one of its stages")
    sweep = build_imports(folder) if _is_imports(folder) else build_sweep(folder)
    written = write_sweep_files(args, sweep, folder, words)
    printed = args.json or args.csv or args.md
    tell_files(written, beside_output=printed)
    if printed or not written:
        show_sweep(sweep, folder, words, as_json=args.json, as_csv=args.csv, as_md=args.md)
    return sweep_code(sweep, strict=args.strict)


def _serve(args: argparse.Namespace) -> int:
    """Serve the folder until Ctrl-C."""
    from loadcell.browse import PORT, serve
    from loadcell.errors import UsageError

    port = PORT if args.port is None else int(args.port) if args.port.isdecimal() else -1
    if not 0 <= port < 65536:
        raise UsageError(f"--port {args.port!r}: write a number from 0 to 65535")

    def ready(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    folder = None if args.recording is None else Path(args.recording)
    serve(folder, host=args.host or "127.0.0.1", port=port, lang=args.lang, ready=ready)
    return 0


def parse_window(text: str) -> tuple[float, float]:
    """Seconds of "5,65" or "5s,1m"; UsageError else."""
    from loadcell.errors import UsageError
    from loadcell.spec import parse_duration_s

    start, comma, end = text.partition(",")
    if not comma:
        raise UsageError(f"--window {text!r} is not a window: give its start and its end in seconds, as in 5,65")
    return parse_duration_s(start, "--window"), parse_duration_s(end, "--window")

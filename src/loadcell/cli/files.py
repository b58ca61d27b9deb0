"""The files that `loadcell report` writes: a page, images of the charts, Parquet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.cli.pages import PAGE, said_if_long
from loadcell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadcell.metrics import Result
    from loadcell.recording.read import Recording
    from loadcell.report.charts import Chart
    from loadcell.report.detail import Detail
    from loadcell.report.words import Words
    from loadcell.search.model import Sweep

KINDS = ("html", "png", "svg", "parquet")


def asked_files(args: argparse.Namespace) -> list[str]:
    """The kinds of files that were asked for; UsageError for a place without any."""
    asked = [kind for kind in KINDS if getattr(args, kind)]
    if args.output is not None and not asked:
        raise UsageError("--output says where files go: add --html, --png, --svg or --parquet (or redirect the output)")
    return asked


def needs_detail(args: argparse.Namespace) -> bool:
    """Whether a file is asked for that has charts."""
    return bool(args.html or args.png or args.svg)


def write_run_files(
    args: argparse.Namespace,
    result: Result,
    detail: Detail | None,
    recording: Recording | None,
    source: Path,
    words: Words,
) -> list[Path]:
    """The files of a run that `args` asks for; `result` as it is to be shown. Returns what was written."""
    asked = asked_files(args)
    if not asked:
        return []
    home, name = (source, PAGE) if recording is not None else (source.parent, f"{source.stem}.html")
    written: list[Path] = []
    with said_if_long("writing the files"):
        if "html" in asked:
            from loadcell.report.files import write_text
            from loadcell.report.run import run_page

            written.append(_place(args, home, name))
            write_text(written[-1], run_page(result, detail, words, source=str(source)))
        if {"png", "svg"} & set(asked):
            from loadcell.report.charts import overview_chart, run_charts

            charts = run_charts(result, detail, words)
            written += _write_images(args, [overview_chart(result, detail, words), *charts], home, words)
        if "parquet" in asked and recording is not None:
            from loadcell.report.parquet import write_requests

            written.append(_place(args, home, "per-request.parquet"))
            write_requests(recording, result, written[-1])
    return written


def write_sweep_files(args: argparse.Namespace, sweep: Sweep, folder: Path, words: Words) -> list[Path]:
    """The same of a sweep."""
    asked = asked_files(args)
    written: list[Path] = []
    if "html" in asked:
        from loadcell.cli.pages import sweep_page_file

        written.append(sweep_page_file(sweep, folder, _place(args, folder, PAGE), words))
    if {"png", "svg"} & set(asked):
        from loadcell.report.charts import sweep_charts

        written += _write_images(args, sweep_charts(sweep, words), folder, words)
    if "parquet" in asked:
        from loadcell.report.parquet import write_stages

        written.append(_place(args, folder, "stages.parquet"))
        write_stages(sweep, written[-1])
    return written


def tell_files(written: Iterable[Path], *, beside_output: bool) -> None:
    """Name the files on standard output, or on standard error where that holds the report itself."""
    stream = sys.stderr if beside_output else sys.stdout
    for path in written:
        stream.write(f"{path}\n")


def _place(args: argparse.Namespace, home: Path, name: str) -> Path:
    """Where a file goes: --output is that file if it looks like one and is the only one, else a folder."""
    if args.output is None:
        return home / name
    output = Path(args.output)
    named = output.suffix == Path(name).suffix and not output.is_dir()
    if named and len(asked_files(args)) > 1:
        raise UsageError(f"--output {output} names one file, and several are asked for: name a folder")
    return output if named else output / name


def _write_images(args: argparse.Namespace, charts: list[Chart], home: Path, words: Words) -> list[Path]:
    from loadcell.report.charts.images import write_images

    folder = Path(args.output) if args.output is not None else home / "charts"
    png = write_images(charts, folder, "png", words) if args.png else []
    return png + (write_images(charts, folder, "svg", words) if args.svg else [])

"""`loadcell mlperf export`: one of our runs or curves in the layout of other tools' files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from loadcell.errors import UsageError, nearest
from loadcell.mlperf.files.export_curve import export_curve, open_curve
from loadcell.mlperf.files.export_endpoints import WindowName, export_endpoints
from loadcell.mlperf.files.export_loadgen import export_loadgen
from loadcell.mlperf.files.exported import new_folder, open_run
from loadcell.mlperf.files.layout import CURVE

Format = Literal["endpoints", "loadgen-like"]
FORMATS: tuple[Format, ...] = get_args(Format)


def export(folder: Path, form: str, output: Path, *, window: WindowName | None = None) -> list[Path]:
    """Write the run or the curve in `folder` into the new folder `output`; returns the files.

    UsageError for a format that is unknown or not of this folder, RecordingError for a folder that cannot be read.
    """
    if form not in FORMATS:
        raise UsageError(f"--format {form!r}{nearest(form, FORMATS)}: give {' or '.join(FORMATS)}")
    if window is not None and form != "endpoints":
        raise UsageError("--window belongs to --format endpoints: LoadGen's logs name both windows")
    if (folder / CURVE).is_file():
        if form != "endpoints" or window is not None:
            raise UsageError(f"{folder} is a curve: it has the format endpoints, over the full run")
        curve = open_curve(folder)
        new_folder(output)
        return export_curve(curve, folder, output)
    run = open_run(folder)
    new_folder(output)
    if form == "endpoints":
        return export_endpoints(run, output, window=window)
    return export_loadgen(run, output)

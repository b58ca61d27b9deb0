"""From a Run to a recording, by the functions that a load writes its own by."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loadcell import __version__
from loadcell.errors import UsageError
from loadcell.interop.asked import empty_columns, spec_of
from loadcell.interop.model import Missing, Run
from loadcell.interop.read import TOOLS
from loadcell.interop.rows import Rows
from loadcell.interop.sane import check_figures, check_kinds, check_times
from loadcell.phrases import phrase, phrases
from loadcell.recording.claim import claimed
from loadcell.recording.imported import Imported
from loadcell.recording.schema import Manifest
from loadcell.recording.seal import dump_json, seal
from loadcell.recording.write import begin, end
from loadcell.secrets import bare_url


def import_run(run: Run, folder: Path) -> Imported:
    """Write the run as a recording into a claimed folder; its rows are read one after the other.

    UsageError says by file and field what cannot be. What was written until then is the caller's to take away
    (`all_or_nothing`).
    """
    try:
        return _import(run, folder)
    except UnicodeEncodeError as error:
        files = ", ".join(map(str, run.files))
        raise UsageError(f"{files}: a text in it is no Unicode ({error.object[:60]!r}: {error.reason})") from None


def _import(run: Run, folder: Path) -> Imported:
    check_kinds(run)
    check_figures(run)
    rows = Rows(run, folder)
    if run.details is not None:
        rows.take_all()
        check_times(run, rows)
    spec, missing = spec_of(run, rows.lengths)
    known = {each.field for each in run.missing}
    run.missing += [each for each in missing if each.field not in known]
    run.missing += empty_columns(run, rows.filled, rows.rows)
    names = [file.name for file in run.files]
    sums = {_name_of(file, names): _sum_of(file) for file in run.files}
    started = _started(run)
    imported = Imported(
        tool=run.tool,
        title=TOOLS[run.tool].title,
        version=run.version,
        schema=run.schema,
        tested=run.tested,
        files=sums,
        imported_at=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        loop=run.loop,
        placed=run.placed,
        details=run.details is not None,
        ok=_counted(run.ok, rows, "ok"),
        failed=_counted(run.failed, rows, "failed"),
        cancelled=_counted(run.cancelled, rows, "cancelled"),
        window_s=run.window_s,
        derived=run.derived,
        told=run.told,
        missing=run.missing,
    )
    manifest = _manifest(run, rows, started, sums)
    begin(folder, manifest, spec, {"loadcell": __version__}, rows.schedule.data)
    dump_json(folder / "imported.json", msgspec.structs.replace(imported, phrases=phrases(imported)))
    end(folder, manifest)
    seal(folder, manifest)
    return imported


@contextmanager
def all_or_nothing(folder: Path) -> Iterator[None]:
    """A folder that is claimed, and empty again after an exception."""
    with claimed(folder):
        try:
            yield
        except BaseException as error:
            for child in folder.iterdir():
                if child.is_dir():
                    shutil.rmtree(child)
                else:
                    child.unlink()
            if isinstance(error, RuntimeError) and str(error) == "Query interrupted":  # DuckDB's word for Ctrl-C
                raise KeyboardInterrupt from None
            raise


def _manifest(run: Run, rows: Rows, started: datetime, sums: dict[str, str]) -> Manifest:
    planned = run.planned if run.planned is not None else run.requests
    if run.details is not None:
        planned = max(rows.rows, planned or 0)
    digest = hashlib.sha256(msgspec.json.encode([run.name, run.schema, sums])).hexdigest()
    return Manifest(
        loadcell=__version__,
        id=f"{started:%Y%m%d-%H%M%S}-{digest[:6]}",
        started_at=started.isoformat(timespec="seconds"),
        state="complete",
        loop=run.loop or "closed",
        planned=planned,
        workers=1,
        schedule_hash=_schedule_hash(rows),
        clock="user",
        ended_ns=max(rows.ended_ns, 0) if run.details is not None else _ns(run.window_s),
        effective={
            "url": None if run.url is None else bare_url(run.url),
            "model": run.model,
            "tokenizer": run.tokenizer,
            "rows": rows.rows,
            "imported_from": run.tool,
        },
        notes=[*run.notes, *rows.notes()],
    )


def _schedule_hash(rows: Rows) -> str:
    found = hashlib.sha256()
    for name in ("planned_ns", "input_tokens", "output_tokens"):
        found.update(bytes(memoryview(rows.schedule.data[name])))
    return found.hexdigest()


def _started(run: Run) -> datetime:
    """When the run began; where no file tells, when the first of them was last written, which is said."""
    if run.started_at is not None:
        if run.started_at.tzinfo is not None:
            return run.started_at
        run.missing.append(
            Missing(field="zone of started_at", why=phrase("the file writes a local time: it is taken as UTC"))
        )
        return run.started_at.replace(tzinfo=UTC)
    run.missing.append(Missing(field="started_at", why=phrase("it is the time at which the file was last written")))
    return datetime.fromtimestamp(run.files[0].stat().st_mtime, UTC)


def _counted(told: int | None, rows: Rows, status: str) -> int | None:
    """As the tool counted, else as its rows do; a difference is said."""
    if rows.run.details is None:
        return told
    found = rows.status[status]
    if told is not None and told != found:
        rows.run.notes.append(phrase("the tool counted {:,} requests as {}, its rows hold {:,}", told, status, found))
    return found if told is None else told


def _ns(value_s: float | None) -> int | None:
    return None if value_s is None or not 0 <= value_s < 1e9 else round(value_s * 1e9)


def _name_of(file: Path, names: list[str]) -> str:
    return file.name if names.count(file.name) == 1 else f"{file.parent.name}/{file.name}"


def _sum_of(file: Path) -> str:
    try:
        with file.open("rb") as data:
            return hashlib.file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None

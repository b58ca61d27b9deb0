"""loadcell import: the results of other tools become recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadcell.interop.model import Run
    from loadcell.interop.read import Found
    from loadcell.recording.imported import Imported

_EPILOG = """\
Which tool wrote PATH is found out by what is in it, whatever it is called:
vLLM bench serve (Python, Rust, sweeps), SGLang, AIPerf, GenAI-Perf, GuideLLM,
LLMPerf, inference-perf, genai-bench, EvalScope, MLPerf LoadGen and Endpoints,
llm-d reports, InferenceX, Hugging Face's inference-benchmarker. gzip may have
packed it. Several runs become a folder of recordings.

What a file cannot say is missing in the recording, and is named.

examples:
  loadcell import result.json
  loadcell import artifacts/ --output imported/aiperf
  loadcell report imported/aiperf

exit codes: 0 done; 1 the recording cannot be written; 2 wrong usage, or a file
that cannot be read; 130 interrupted, and nothing is left behind
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Read the results of another tool as a recording."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("path", metavar="PATH", help="file or folder that the tool wrote")
    parser.add_argument("--output", metavar="DIR", help="new folder of the recording (default: recordings/TIME)")
    parser.add_argument("--name", metavar="NAME", help="only the run of this name, where PATH holds several")
    parser.add_argument("--json", action="store_true", help="print what was imported as JSON")


def run(args: argparse.Namespace) -> int:
    """Import, and say what came of it. Returns 0."""
    from loadcell.cli.pages import said_if_long
    from loadcell.interop.door import all_or_nothing, import_run
    from loadcell.interop.read import find_runs
    from loadcell.recording.claim import output_folder, refuse_files

    if args.output is not None:
        refuse_files(Path(args.output))
    with said_if_long(f"reading {args.path}"):
        found = find_runs(Path(args.path))
    runs = _chosen(found.runs, args.name)
    names = _folder_names(runs)
    with output_folder(args.output, "recordings") as folder, all_or_nothing(folder):
        done: list[tuple[Path, Imported]] = []
        for each, name in zip(runs, names, strict=True):
            home = folder / name if len(runs) > 1 else folder
            home.mkdir(exist_ok=True)
            with said_if_long(f"importing {each.name}"):
                done.append((home, import_run(each, home)))
    if args.json:
        _print_json(folder, done, found)
    else:
        _print(folder, done, found, runs)
    return 0


def _chosen(runs: list[Run], name: str | None) -> list[Run]:
    if name is None:
        return runs
    if chosen := [run for run in runs if run.name == name]:
        return chosen
    names = [run.name for run in runs]
    raise UsageError(f"--name {name}: there is no such run{nearest(name, names)}; there are: {', '.join(names)}")


def _folder_names(runs: list[Run]) -> list[str]:
    """A name for the folder of each run that any file system takes, and no other of them has."""
    names = ["".join(c if c.isalnum() or c in "._-=" else "_" for c in run.name).strip(".")[:80] for run in runs]
    return [name if names.count(name) == 1 and name else f"{k:02d}-{name}" for k, name in enumerate(names, 1)]


def _print_json(folder: Path, done: list[tuple[Path, Imported]], found: Found) -> None:
    import msgspec

    tree = {
        "folder": str(folder),
        "recordings": [{"folder": str(home), **msgspec.to_builtins(imported)} for home, imported in done],
        "ignored": [str(file) for file in found.ignored],
    }
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n")


def _print(folder: Path, done: list[tuple[Path, Imported]], found: Found, runs: list[Run]) -> None:
    import textwrap

    from loadcell.cli.terminal import Terminal

    wide = Terminal().width
    for line in _lines(folder, done, found, runs):
        whole = line.startswith(("Recording", "Next: "))  # to be copied
        parts = (
            [line]
            if whole
            else textwrap.wrap(line, wide, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        )
        sys.stdout.write("".join(f"{part}\n" for part in parts))


def _lines(folder: Path, done: list[tuple[Path, Imported]], found: Found, runs: list[Run]) -> Iterator[str]:
    """A few lines of what came in, what did not, and what to do next."""
    from shlex import quote

    from loadcell.grammar import one

    first = done[0][1]
    version = "version not told" if first.version is None else first.version
    yield f"{first.title} ({version}): {'; '.join(dict.fromkeys(imported.schema for _, imported in done))}"
    if not all(imported.tested for _, imported in done):
        yield "This form is untested against a real file: hold its figures against what the tool printed."
    many = len(done) > 1
    for (home, imported), run in zip(done[:20], runs, strict=False):
        yield one(f"{f'{home.name}: ' if many else ''}{_counted(imported, run)}")
    if len(done) > 20:
        yield f"... and {len(done) - 20} more"
    reasons: dict[str, dict[str, None]] = {}
    for _, imported in done:
        for each in imported.missing:
            reasons.setdefault(each.why, {})[each.field] = None
    if reasons:
        listed = (f"{', '.join(fields)} ({why})" for why, fields in reasons.items())
        yield f"Not told: {'; '.join(listed)}"
    derived = dict.fromkeys(says for _, imported in done for says in imported.derived)
    if derived:
        yield f"Computed: {'; '.join(derived)}"
    if found.ignored:
        names = [file.name for file in found.ignored]
        yield f"Not read: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}"
    yield f"Recording: {folder}" if not many else f"Recordings: {folder} ({len(done)})"
    yield f"Next: loadcell report {quote(str(folder))}"


def _counted(imported: Imported, run: Run) -> str:
    """How many requests, and with how much detail."""
    told = (("ok", imported.ok), ("failed", imported.failed), ("cancelled", imported.cancelled))
    counts = [f"{count:,} {word}" for word, count in told if count]
    said = ", ".join(counts) or "no requests counted"
    if not imported.details:
        return f"{said}; summaries only: {len(imported.told)} figures of the tool, no requests"
    gone = {each.field for each in imported.missing}
    has = [words for column, words in (("first_any_ns", "first output"), ("last_ns", "last output"),
           ("chunks", "every event"), ("output_tokens", "tokens")) if column not in gone]  # fmt: skip
    where = "on one clock" if imported.placed else "each from its own send: no rates, no course"
    return f"{said}; of each request {', '.join(has) or 'no times'}, {where}"

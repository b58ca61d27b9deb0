"""Which tool wrote a file, by what is in it, and its runs."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from loadcell.errors import UsageError
from loadcell.interop import document
from loadcell.interop.model import Run

_READERS = "loadcell.interop.readers"
_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
"""What a reader raises that meets another form than it knows."""


class Tool(NamedTuple):
    """A tool whose files are read."""

    title: str
    module: str
    """In `interop.readers`; several forms of one tool may be parted over modules."""


TOOLS = {
    "vllm": Tool("vLLM bench serve", "vllm"),
    "vllm-rs": Tool("vLLM bench serve, Rust client", "vllm"),
    "sglang": Tool("SGLang bench serving", "sglang"),
    "aiperf": Tool("AIPerf", "aiperf"),
    "genai-perf": Tool("GenAI-Perf", "genai_perf"),
    "guidellm": Tool("GuideLLM", "guidellm"),
    "llmperf": Tool("LLMPerf", "llmperf"),
    "inference-perf": Tool("inference-perf", "inference_perf"),
    "genai-bench": Tool("genai-bench", "genai_bench"),
    "evalscope": Tool("EvalScope perf", "evalscope"),
    "mlperf": Tool("MLPerf LoadGen", "loadgen"),
    "endpoints": Tool("MLPerf Endpoints client", "endpoints"),
    "llm-d": Tool("llm-d benchmark report", "llm_d"),
    "inferencex": Tool("InferenceX", "inferencex"),
    "hf-ib": Tool("Hugging Face inference-benchmarker", "hf_ib"),
}


_ORDER = (
    "vllm", "inferencex", "guidellm", "aiperf", "genai_perf", "endpoints", "loadgen", "inference_perf", "genai_bench",
    "hf_ib", "llmperf", "evalscope", "llm_d", "sglang",
)  # fmt: skip
"""Modules in the order in which they are asked: the first that knows a file has it."""
_BESIDE = {"inference_perf": ("llm_d",)}
"""A tool that writes files in the form of another beside its own."""
_DEEPEST = 3


class Found(NamedTuple):
    """What is at a path."""

    runs: list[Run]
    ignored: list[Path]
    """Files of a folder that were not read."""


def read_runs(path: Path) -> list[Run]:
    """The runs that the files at `path` (a file or a folder of one tool) hold.

    UsageError names the file and the field where none is known, two tools' files are mixed, or one is damaged.
    """
    return find_runs(path).runs


def find_runs(path: Path) -> Found:
    """The same, with what lies beside the files and was not read."""
    check_readable(path)
    module = _module_of(path)
    if path.is_file():
        if module is None:
            raise UsageError(_unknown(path))
        return Found(_read(module, path), [])
    if module is None:
        return _of_parts(path, _DEEPEST)
    _refuse_mixed(path, module)
    runs = _read(module, path)
    read = {file.resolve() for run in runs for file in run.files}
    return Found(runs, [file for file in _files(path) if file.resolve() not in read])


def check_readable(path: Path) -> None:
    """UsageError if there is nothing to read at `path`."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as data:
                if not data.read(1):
                    raise UsageError(f"{path} is empty: the run that should have written it did not end")
        elif stat.S_ISDIR(mode):
            inside = list(path.iterdir())
            if not inside:
                raise UsageError(f"{path} is an empty folder: name the file or folder that a tool wrote")
            for file in inside:
                if file.is_file() and not os.access(file, os.R_OK):
                    raise UsageError(f"cannot read {file}: {os.strerror(errno.EACCES)}")
        else:
            raise UsageError(f"{path} is neither a file nor a folder: name what a tool wrote")
    except FileNotFoundError:
        gone = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise UsageError(f"{path} {gone}: name the file or folder that a tool wrote") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {path}: {why}") from None


def readers() -> dict[str, ModuleType]:
    """The modules that read files, by name, in the order in which they are asked."""
    return {name: import_module(f"{_READERS}.{name}") for name in _ORDER if find_spec(f"{_READERS}.{name}")}


@contextmanager
def in_known_form(path: Path, title: str) -> Iterator[None]:
    """UsageError where a reader meets what it did not expect: files come from anywhere, and are never believed."""
    try:
        yield
    except _ODD as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{path} is of {title}, and something in it has a form that is not known ({why})") from error


def title_of(module: str) -> str:
    """What a person calls the tool of a module."""
    return next(tool.title for tool in TOOLS.values() if tool.module == module)


def _module_of(path: Path) -> str | None:
    """The module that knows what is at a path. A file that breaks where it is looked at is known by none."""
    for name, module in readers().items():
        try:
            if module.matches(path):
                return name
        except (UsageError, *_ODD):
            continue
    return None


def _read(module: str, path: Path) -> list[Run]:
    with in_known_form(path, title_of(module)):
        found: list[Run] = readers()[module].read(path)
    if not found:
        raise UsageError(f"{path} is of {title_of(module)}, and holds no run")
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _refuse_mixed(folder: Path, module: str) -> None:
    """UsageError if a file in a folder of one tool is of another."""
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        other = _module_of(file)
        if other not in (None, module, *_BESIDE.get(module, ())):
            raise UsageError(
                f"{folder} holds results of two tools, {title_of(module)} and {title_of(str(other))} ({file.name}): "
                f"name the files one by one, as in: loadcell import {shlex.quote(str(file))}"
            )


def _of_parts(folder: Path, depth: int, seen: set[Path] | None = None) -> Found:
    """The runs of a folder that no tool knows as its own: those of its files and folders, if all are of one tool.

    What links name that was `seen` already is not read again.
    """
    seen = {folder.resolve()} if seen is None else seen
    parts: dict[Path, str | None] = {}
    for part in sorted(folder.iterdir(), key=lambda part: (part.is_symlink(), part)):
        if (part.is_file() or part.is_dir()) and part.resolve() not in seen:
            seen.add(part.resolve())
            parts[part] = _module_of(part)
    found = {part: Found(_read(module, part), []) for part, module in parts.items() if module is not None}
    for part in parts if depth else ():
        if part.is_dir() and part not in found:
            deeper = _of_parts(part, depth - 1, seen)
            if deeper.runs:
                found[part] = deeper
    tools = {run.tool: part for part, each in found.items() for run in each.runs}
    modules = {TOOLS[tool].module for tool in tools}
    if len(modules) > 1:
        listed = ", ".join(f"{TOOLS[tool].title} ({part.name})" for tool, part in tools.items())
        raise UsageError(
            f"{folder} holds results of several tools: {listed}; name them one by one, as in: loadcell import "
            f"{shlex.quote(str(next(iter(tools.values()))))}"
        )
    if not found and depth == _DEEPEST:
        raise UsageError(_unknown(folder))
    for part, each in found.items() if len(found) > 1 else ():
        for run in each.runs:
            stem = part.name.partition(".")[0] if part.is_file() else part.name
            run.name = stem if len(each.runs) == 1 else f"{stem}-{run.name}"
    ignored = [part for part in parts if part.is_file() and part not in found]
    return Found([run for each in found.values() for run in each.runs], ignored)


def _unknown(path: Path) -> str:
    """What is said of a file or folder that no tool wrote."""
    titles = ", ".join(dict.fromkeys(title_of(module) for module in readers()))
    home = path if path.is_dir() else path.parent
    if (home / "recording.json").is_file():
        return f"{home} is a recording of Loadcell already: loadcell report {shlex.quote(str(home))}"
    if path.is_dir():
        names = [file.name for file in _files(path)]
        has = f"it has {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "it has no files"
    else:
        tree = document.head(path)
        tree = tree[0] if isinstance(tree, list) and tree else tree
        keys = ", ".join(list(tree)[:12]) if isinstance(tree, dict) else ""
        has = f"it has the keys {keys}" if keys else _no_object(path)
    return f"{path} is of no tool that is known: {has}; known are: {titles}"


def _no_object(path: Path) -> str:
    with document.opened(path) as file:
        sqlite = file.read(16) == b"SQLite format 3\0"
    return (
        "it is no JSON object"
        if not sqlite
        else ("it is a table of SQLite; that of EvalScope is benchmark_data.db, in the folder of its run")
    )

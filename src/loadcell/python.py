"""`loadcell.run`: a load on a Python callable, or on a server, from a script or a notebook."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec

from loadcell.apis import CALLABLE, IN_PYTHON
from loadcell.cli.progress import show_progress
from loadcell.cli.target import key_variable
from loadcell.errors import UsageError, nearest
from loadcell.load import run_load
from loadcell.load.callable import run_callable
from loadcell.metrics import build_result
from loadcell.protocol.callable import Piece
from loadcell.recording.claim import output_folder
from loadcell.recording.read import open_recording
from loadcell.report.notebook import ShownResult, shown
from loadcell.search import saturation_steer
from loadcell.selftest import known_selftest
from loadcell.spec import Slo, Spec, build_spec, parse_slo, spec_fields

Answer = str | Piece | Iterator[str | Piece] | Awaitable[str | Piece] | AsyncIterator[str | Piece]
Fn = Callable[..., Answer]
_OF_CALLABLES = {"endpoint.model", "endpoint.gpus", "endpoint.extra_body"}
"""Settings of an endpoint that a callable has too."""
_OF_SERVERS = {
    "load.connect_timeout_s", "load.wait_ready_s", "run.workers", "run.memory_mb", "observe.urls",
}  # fmt: skip
"""And settings of other sections that it has not."""


def run(
    target: Fn | str,
    *,
    concurrency: int | None = None,
    rate: float | None = None,
    requests: int | None = None,
    duration_s: float | str | None = None,
    input_tokens: int | str | None = None,
    output_tokens: int | str | None = None,
    prompts: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    slo: str | Slo | Mapping[str, float] | None = None,
    output: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> ShownResult:
    """Put a load on `target`, record it in the folder `output` (default: recordings/TIME), and return its Result.

    `target` is the URL of a server, or a callable: `fn(prompt: str, max_tokens: int)`, called in threads, or on one
    asyncio loop if it is async. It returns the answer whole (a str: then there is no TTFT), or an iterator of its
    pieces as they come: str, or `Piece` where there is more to tell. What it raises is a failed request. Further fields
    of a row of `prompts` and of `extra_body` are further arguments, by name.

    Every field of the Spec is an argument by its own name, as `loadcell run --help` explains its flags: `warmup_s`,
    `timeout_s`, `keep_load`, … What is left out has the default of the command; times may be written as there ("10s").

    LoadcellError says what cannot be, or why nothing was measured. Ctrl-C ends the load and keeps what was recorded.
    """
    given = {
        "concurrency": concurrency, "rate": rate, "requests": requests, "duration_s": duration_s,
        "input_tokens": input_tokens, "output_tokens": output_tokens, "seed": seed,
        "prompts": _path(prompts, "prompts is a file: write them into one, a JSON object a line"),
    }  # fmt: skip
    spec = _spec(target, {name: value for name, value in given.items() if value is not None} | settings, slo)
    queue_ends = spec.load.stop_when_saturated and spec.load.rate is not None
    steer = saturation_steer(spec.load.ramp_s) if queue_ends else None
    with output_folder(_path(output, "output is a folder"), "recordings") as folder:
        with show_progress() as watch:
            if isinstance(target, str):
                run_load(spec, folder, watch, known_selftest(spec.endpoint.url.startswith("https")), steer=steer)
            else:
                run_callable(target, spec, folder, watch, steer)
        return shown(build_result(open_recording(folder)), folder)


def _argument(path: str) -> str:
    """What a field of the Spec is called as an argument: its name, or with its section where that says little."""
    section, _, key = path.partition(".")
    if path in ("trace.name", "loadgen.scenario"):
        return "trace" if section == "trace" else "loadgen_scenario"
    alone = key.startswith("max_") or path in ("prefix.system_tokens", "prefix.hit_share")
    return f"{section}_{key}" if section in ("trace", "agent", "prefix") and not alone else key


def _spec(target: Fn | str, given: Mapping[str, Any], slo: str | Slo | Mapping[str, float] | None) -> Spec:
    """The Spec of what was given; UsageError if it cannot be."""
    paths = {_argument(path): path for path in spec_fields()}
    tree: dict[str, dict[str, Any]] = {"endpoint": {}}
    for name, value in given.items():
        path = paths.get(name)
        if path is None:
            raise UsageError(f"run() has no argument {name!r}{nearest(name, paths)}")
        section, _, key = path.partition(".")
        if not isinstance(target, str) and path not in _OF_CALLABLES and (section == "endpoint" or path in _OF_SERVERS):
            raise UsageError(f"{name} is of servers: a Python callable has none")
        tree.setdefault(section, {})[key] = os.fspath(value) if isinstance(value, os.PathLike) else value
    try:
        msgspec.json.encode(tree["endpoint"].get("extra_body"))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"extra_body cannot be written as JSON: {error}") from None
    if {"prompts", "output_tokens"} <= given.keys() and not {"output_column", "line_output_tokens"} & given.keys():
        tree["workload"]["line_output_tokens"] = False  # what was asked for goes before what a file says
    if slo is not None:
        limits = parse_slo(slo) if isinstance(slo, str) else slo
        if not isinstance(limits, Slo | Mapping):
            raise UsageError(f'slo is limits, as in "ttft=500ms": found {type(limits).__name__}')
        tree["slo"] = msgspec.structs.asdict(limits) if isinstance(limits, Slo) else dict(limits)
    if isinstance(target, str):
        tree["endpoint"]["url"] = target
        if "api_key_env" not in tree["endpoint"]:
            tree["endpoint"] |= key_variable(tree["endpoint"], os.environ)
    else:
        tree["endpoint"] |= {"url": IN_PYTHON + _name(target), "api": CALLABLE}
        _check_arguments(target, tree["endpoint"].get("extra_body", {}))
    return build_spec(tree)


def _path(given: str | os.PathLike[str] | None, what: str) -> str | None:
    """The path that was given; UsageError says `what` it must be of."""
    try:
        return None if given is None else os.fsdecode(given)
    except TypeError:
        raise UsageError(f"{what}; found {type(given).__name__}") from None


def _name(fn: Any) -> str:
    """Module and name of a callable, as in engines.generate."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    named = fn if hasattr(fn, "__qualname__") else type(fn)
    return f"{named.__module__}.{named.__qualname__}"


def _check_arguments(fn: Any, more: Mapping[str, Any]) -> None:
    """UsageError if it is no callable that takes a prompt and a number of tokens."""
    if not callable(fn):
        raise UsageError(f"run() loads a URL or a callable, found {type(fn).__name__}")
    try:
        found = inspect.signature(fn)
    except ValueError:  # of some that are built in nothing tells
        return
    try:
        found.bind("", 1, **more)
    except TypeError as error:
        raise UsageError(f"{_name(fn)}{found} cannot be called as fn(prompt, max_tokens): {error}") from None

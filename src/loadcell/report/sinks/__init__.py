"""Where results are kept beside those of other work: a sink is an entry point of the group `loadcell.sinks`.

It names a function `send(result, options, files) -> str`: `options` are those of `--sink NAME:KEY=VALUE,...`, `files`
what may be kept with it; it returns where the result is now, in words, and raises LoadcellError where it is not.
Where its module has a function `check(options)`, that is asked before a load whether it could be sent.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loadcell.errors import UsageError, nearest
from loadcell.metrics import Result, word_of
from loadcell.report.tables import figure_rows
from loadcell.spec import spec_fields

Send = Callable[[Result, Mapping[str, str], Sequence[Path]], str]
GROUP = "loadcell.sinks"
_WORDS = {"<=": "_le_", ">=": "_ge_", "%": "percent", "µ": "u", " ": "_"}
"""For what names elsewhere may not hold."""


def sink(asked: str) -> Callable[[Result, Sequence[Path]], str]:
    """What sends a result to the sink NAME[:KEY=VALUE,...]; UsageError where there is none of that name."""
    name, _, rest = asked.partition(":")
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted(found)) or "none is installed"
        raise UsageError(f"--sink {name}: no such sink{nearest(name, found)}; there are: {known}")
    options: dict[str, str] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--sink {asked}: {pair!r} is no KEY=VALUE")
        options[key] = value
    send: Send = found[name].load()
    if (check := getattr(sys.modules.get(send.__module__), "check", None)) is not None:
        check(options)
    return lambda result, files: send(result, options, files)


def check_library(module: str, says: str) -> None:
    """UsageError `says` where a module is not installed."""
    if sys.modules.get(module) is None and find_spec(module) is None:
        raise UsageError(says)


def check_options(name: str, options: Mapping[str, str], known: Sequence[str]) -> None:
    """UsageError where a sink has been given an option that it does not have."""
    for key in options:
        if key not in known:
            raise UsageError(f"--sink {name}: unknown option {key}{nearest(key, known)}; there are: {', '.join(known)}")


def figures(result: Result) -> dict[str, float]:
    """Every figure that has a finite value, by a name with its unit, as in ttft/service/p99_ms."""
    named = {}
    for metric, anchor, statistic, unit, value, *_ in (tuple(row) + (None,) * 5 for row in figure_rows(result)):
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            unit = str(unit or "").replace("/", "_per_")
            name = "/".join(str(part) for part in (metric, anchor, statistic) if part)
            name += f"_{unit}" if unit and not name.endswith(f"_{unit}") else ""
            for sign, word in _WORDS.items():
                name = name.replace(sign, word)
            named[name] = float(value)
    return named


def settings(result: Result) -> dict[str, Any]:
    """What was asked for, by dotted path, without what nobody set; first what people search by."""
    method = result.methodology
    told = {
        "verdict": word_of(result), "recording": result.run.id, "started_at": result.run.started_at,
        "loadcell": result.run.loadcell, "fingerprint": method.fingerprint, "loop": method.loop,
        "model": method.effective.get("model") or method.spec.endpoint.model,
    }  # fmt: skip
    paths = (path.partition(".") for path in spec_fields())
    fields = {f"{section}.{name}": getattr(getattr(method.spec, section), name) for section, _, name in paths}
    return told | {path: value for path, value in fields.items() if value not in (None, [], {}, "")}

"""Where results are kept beside those of other work: a sink is an entry point of the group `loadcell.sinks`.

It names a function `send(result, options, files) -> str`: `options` are those of `--sink NAME:KEY=VALUE,...`, `files`
what may be kept with it; it returns where the result is now, in words, and raises LoadcellError where it is not.
Its module may have a function `ready(options)`, which is called before the load, and raises UsageError where `send`
could not be.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from loadcell.errors import LoadcellError, UsageError, nearest
from loadcell.metrics import Result, word_of
from loadcell.report.tables import figure_rows
from loadcell.secrets import bare_urls
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
    with _blamed(name):
        send: Send = found[name].load()
        if (ready := getattr(sys.modules.get(send.__module__), "ready", None)) is not None:
            ready(options)

    def sends(result: Result, files: Sequence[Path]) -> str:
        with _blamed(name):
            return bare_urls(str(send(result, options, files)))

    return sends


@contextmanager
def _blamed(name: str) -> Iterator[None]:
    """What goes wrong in code of others is said by the name of the sink."""
    try:
        yield
    except LoadcellError as error:
        raise type(error)(bare_urls(str(error))) from None
    except Exception as error:
        why = bare_urls(" ".join(f"{type(error).__name__}: {error}".split()))[:400]
        raise LoadcellError(f"--sink {name} failed: {why}") from error


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

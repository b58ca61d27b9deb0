"""OpenMetrics text 1.0: a page that a node exporter's textfile collector, a push gateway or a test reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from loadcell import __version__
from loadcell.interop.write import Asked, Held, Written
from loadcell.interop.writers.figures import Family, families, labels_of, quantiles


def write(runs: Sequence[Held], asked: Asked, name: str) -> Written:
    """One page of all runs, told apart by the label `run`."""
    lines = [line for family in families(list(runs)) for line in _family(family)]
    info = [
        "# TYPE loadcell_run info",
        "# HELP loadcell_run What was loaded.",
        *(f"loadcell_run_info{_labels(labels_of(run) | {'loadcell': __version__})} 1" for run in runs),
    ]
    left_out = ["intervals, budgets and notes; percentiles that the samples cannot tell"]
    return Written({name: "\n".join([*lines, *info, "# EOF", ""])}, left_out)


def _family(family: Family) -> Iterator[str]:
    name = f"loadcell_{family.name}"
    summed = any(not isinstance(point.value, (int, float)) for point in family.points)
    kind = "summary" if summed else "stateset" if family.name == "verdict" else "gauge"
    yield f"# TYPE {name} {kind}"
    if family.unit:
        yield f"# UNIT {name} {family.unit}"
    yield f"# HELP {name} {_escaped(family.about)}"
    for point in family.points:
        own = {"run": point.run.name} | point.labels
        if isinstance(point.value, (int, float)):
            if kind == "stateset":
                own = {"run": point.run.name, name: point.labels["verdict"]}
            yield f"{name}{_labels(own)} {point.value:.12g}"
            continue
        scale = 1e3 if family.unit == "seconds" else 1.0
        for share, value in quantiles(point.value).items():
            yield f"{name}{_labels(own | {'quantile': f'{share:g}'})} {value / scale:.12g}"
        if not point.value.n:  # a tool told these, and not of how many
            continue
        yield f"{name}_count{_labels(own)} {point.value.n}"
        yield f"{name}_sum{_labels(own)} {(point.value.mean or 0.0) * point.value.n / scale:.12g}"


def _labels(pairs: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

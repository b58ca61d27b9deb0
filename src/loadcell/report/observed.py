"""What went on beside the load, in lines for the console: the server's own state, energy, GPUs, this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.text import Text

from loadcell.metrics import Energy, Observed, Result, Series, Watched
from loadcell.report.text import MISSING, figure, percent, plain

_Said = Callable[[Series], str]


def observed_lines(result: Result) -> Iterator[tuple[str, str | Text]]:
    """Label and text of each line; none where nothing was watched."""
    seen = result.observed
    if seen is None:
        return
    for label, shown in _LINES.items():
        parts = [say(seen.series[name]) for name, say in shown.items() if name in seen.series]
        if parts:
            yield label, " · ".join(parts) + _by(seen, label)
        if label == "Server load" and seen.energy is not None:
            yield "Energy", _energy(seen.energy)
    told = [(source.name, source.says) for source in seen.sources if source.says is not None]
    troubles = [Text(f"{plain(name)}: {plain(says)}", style="yellow") for name, says in told]
    for i, text in enumerate([*troubles, *(Text(plain(note)) for note in seen.notes)]):
        yield ("" if i else "Watching"), text


def _gauge(word: str) -> _Said:
    return lambda one: f"{word} mean {_few(one.mean)} max {_few(one.max)}"


def _few(value: float | None) -> str:
    """Three digits; a count as one."""
    return f"{value:,.0f}" if value is not None and value.is_integer() else figure(value, 3)


def _share(word: str) -> _Said:
    return lambda one: f"{word} {percent(one.mean)}" + ("" if one.max is None else f" max {percent(one.max)}")


def _mean_share(word: str) -> _Said:
    return lambda one: f"{word} {percent(one.mean)}"


def _gained(word: str) -> _Said:
    return lambda one: f"{word} {MISSING if one.gained is None else f'{one.gained:,.0f}'}"


_LINES: dict[str, dict[str, _Said]] = {
    "Server load": {
        "requests_running": _gauge("running"),
        "requests_waiting": _gauge("waiting"),
        "gateway_queue": _gauge("in the gateway"),
        "kv_cache_use": _share("KV cache"),
        "kv_cache_use_max": _share("fullest"),
        "prefix_cache_hit_share": _mean_share("cache hits"),
        "preemptions": _gained("preemptions"),
    },
    "GPUs": {
        "gpu_use": _share("busy"),
        "gpu_memory_use": _share("memory"),
        "gpu_temperature_celsius": lambda one: f"at most {figure(one.max, 2)} °C",
        "gpu_clock_hertz": lambda one: f"{MISSING if one.mean is None else figure(one.mean / 1e9, 3)} GHz",
    },
    "This machine": {
        "cpu_share": _share("CPU"),
        "core_share_max": _mean_share("busiest core"),
        "memory_share": _mean_share("memory"),
    },
}


def _by(seen: Observed, label: str) -> str:
    """Whose word a line is, where that is not plain from its label."""
    if label == "This machine":
        return ""
    told = {name for key in _LINES[label] if key in seen.series for name in seen.series[key].sources}
    sources = [source for source in seen.sources if source.name in told]
    engines = list(dict.fromkeys(source.engine for source in sources if source.engine))
    return f" · by {' and '.join(engines)}{_pages(sources)}" if engines else ""


def _pages(sources: list[Watched]) -> str:
    return f" ({len(sources)} pages)" if len(sources) > 1 else ""


def _energy(energy: Energy) -> str | Text:
    gpus = f"{energy.gpus:,} GPU{'' if energy.gpus == 1 else 's'}"
    words = (
        f"{figure(energy.mean_watts, 3)} W mean of {gpus} · {figure(energy.joules_per_output_token, 3)} J a token · "
        f"{figure(energy.joules_per_request, 3)} J a request"
    )
    if energy.valid:
        return f"{words} · {energy.says}"
    return Text.assemble(f"{words} · ", ("no valid measurement", "yellow"), f": {plain(energy.says)}")

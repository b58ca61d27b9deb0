"""What went on beside the load: the server's own state, where TTFT went, energy, GPUs, this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from loadcell.metrics import Energy, Observed, Result, Series, Watched
from loadcell.report.text import MISSING
from loadcell.report.view.blocks import Cell, Column, Fact, Table, fact, figured, told
from loadcell.report.words import Words

_Said = Callable[[Series, Words], str]
_SAID = ("by the server itself TTFT was", "the server does not tell how long a request queued")
"""Begins of notes that the parts of TTFT say themselves."""


def observed(result: Result, words: Words) -> Iterator[Fact]:
    """A line for each part that was watched; none where nothing was."""
    t, seen = words.say, result.observed
    if seen is None:
        return
    for label, shown in _LINES.items():
        parts = [say(seen.series[name], words) for name, say in shown.items() if name in seen.series]
        if parts:
            yield fact(t(label), *parts, *_by(seen, label, words))
        if label == "Server load" and seen.energy is not None:
            yield t("Energy"), list(_energy(seen.energy, words))
    told_by = [(source.name, source.says) for source in seen.sources if source.says is not None]
    lines = [Cell(f"{name}: {told(says, words)}", tone="care") for name, says in told_by]
    lines += [Cell(told(note, words)) for note in seen.notes]
    yield from (("" if i else t("Watching"), [line]) for i, line in enumerate(lines))


def _gauge(word: str) -> _Said:
    return lambda one, words: words.say(word, mean=_few(one.mean, words), max=_few(one.max, words))


def _few(value: float | None, words: Words) -> str:
    """Three digits; a count as one."""
    return words.count(int(value)) if value is not None and value.is_integer() else words.figure(value, 3)


def _share(word: str) -> _Said:
    def say(one: Series, words: Words) -> str:
        most = "" if one.max is None else f" {words.say('max')} {words.percent(one.max)}"
        return f"{words.say(word)} {words.percent(one.mean)}{most}"

    return say


def _mean_share(word: str) -> _Said:
    return lambda one, words: f"{words.say(word)} {words.percent(one.mean)}"


def _gained(word: str) -> _Said:
    return lambda one, words: f"{words.say(word)} {MISSING if one.gained is None else words.count(round(one.gained))}"


_LINES: dict[str, dict[str, _Said]] = {
    "Server load": {
        "requests_running": _gauge("running mean {mean} max {max}"),
        "requests_waiting": _gauge("waiting mean {mean} max {max}"),
        "gateway_queue": _gauge("in the gateway mean {mean} max {max}"),
        "kv_cache_use": _share("KV cache"),
        "kv_cache_use_max": _share("fullest"),
        "prefix_cache_hit_share": _mean_share("cache hits"),
        "preemptions": _gained("preemptions"),
    },
    "GPUs": {
        "gpu_use": _share("busy"),
        "gpu_memory_use": _share("memory"),
        "gpu_temperature_celsius": lambda one, words: words.say("at most {n} °C", n=words.figure(one.max, 2)),
        "gpu_clock_hertz": lambda one, words: f"{words.figure(one.mean and one.mean / 1e9, 3)} GHz",
    },
    "This machine": {
        "cpu_share": _share("CPU"),
        "core_share_max": _mean_share("busiest core"),
        "memory_share": _mean_share("memory"),
    },
}


def _by(seen: Observed, label: str, words: Words) -> Iterator[str]:
    """Whose word a line is, where that is not plain from its label."""
    told_by = {name for key in _LINES[label] if key in seen.series for name in seen.series[key].sources}
    sources: list[Watched] = [source for source in seen.sources if source.name in told_by]
    engines = list(dict.fromkeys(source.engine for source in sources if source.engine))
    if label != "This machine" and engines:
        pages = f" ({words.say('{n} pages', n=words.count(len(sources)))})" if len(sources) > 1 else ""
        yield words.say("by {names}", names=", ".join(engines)) + pages


def _energy(energy: Energy, words: Words) -> Iterator[Cell]:
    t = words.say
    yield Cell(t("{n} W mean of {gpus} GPUs", n=words.figure(energy.mean_watts, 3), gpus=words.count(energy.gpus)))
    yield Cell(t("{n} J a token", n=words.figure(energy.joules_per_output_token, 3)))
    yield Cell(t("{n} J a request", n=words.figure(energy.joules_per_request, 3)))
    says = told(energy.says, words)
    yield Cell(says) if energy.valid else Cell(t("no valid measurement"), tone="care", more=says)


def observed_table(seen: Observed, words: Words) -> Table:
    """A row for each series of the server and the machine: mean, least, most, gained, by whom."""
    t = words.say
    engines = {source.name: source.engine or source.name for source in seen.sources}
    rows = [
        [
            Cell(told(one.title, words), unit="" if one.unit == "share" else f"({told(one.unit, words)})"),
            *(figured(_seen(value, one, words)) for value in (one.mean, one.min, one.max)),
            figured("" if one.gained is None else words.count(round(one.gained))),
            Cell(", ".join(dict.fromkeys(engines.get(name, name) for name in one.sources))),
        ]
        for one in seen.series.values()
    ]
    titles = (t("mean"), t("min"), t("max"), t("gained"))
    columns = [Column(t("Quantity"), "left"), *map(Column, titles), Column(t("told by"), "left")]
    says = t("What the server and the machines told while the load ran; means are over the window")
    return Table(columns, rows, [f"{says}."])


def _seen(value: float | None, one: Series, words: Words) -> str:
    return words.percent(value) if value is not None and one.unit == "share" else _few(value, words)


# --- where TTFT went -------------------------------------------------------------------------------------------------


def server(result: Result, words: Words) -> Iterator[Fact]:
    """The parts of TTFT, each with its mean in ms and its share, and what the source says besides."""
    t, found = words.say, result.where_ttft
    if found is None:
        return
    titles = parts(words)
    told_parts = " · ".join(
        f"{titles[name]} {words.figure(part.mean_ms, 3)} ({words.percent(part.share)})"
        for name, part in found.parts.items()
    )
    mean = t("mean {ms} ms = {parts}, by {source} of {n} requests", ms=words.figure(found.ttft_ms, 3), parts=told_parts,
             source=found.source, n=words.count(found.requests))  # fmt: skip
    yield fact(t("TTFT goes to"), mean)
    for side in result.server:
        if side.source == found.source:
            yield from (fact("", told(note, words)) for note in side.notes if not note.startswith(_SAID))


def parts(words: Words) -> dict[str, str]:
    """Parts of TTFT as people read them; several that cannot be told apart are one."""
    t = words.say
    return {
        "queue": t("queue"),
        "prefill": t("prefill"),
        "front_end": t("front end"),
        "network_and_client": t("network and client"),
        "prefill+front_end": t("prefill and front end"),
        "front_end+network_and_client": t("front end, network and client"),
        "queue+front_end+network_and_client": t("queue, front end, network and client"),
    }

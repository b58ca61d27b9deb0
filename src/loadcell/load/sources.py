"""What is watched beside a load: Prometheus pages, this machine's GPUs, this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from loadcell.load.gpu import open_gpus
from loadcell.load.host import Place
from loadcell.load.observe import Look, Watched
from loadcell.load.preflight import reachable
from loadcell.load.scrape import FETCH_ERRORS, fetch, metrics_target, name_of, reason
from loadcell.load.target import Address, Target
from loadcell.phrases import phrase
from loadcell.recording.exposition import BUCKETS_AND_BIRTHS, Sample, read_page
from loadcell.recording.schema import Source
from loadcell.secrets import scrub
from loadcell.spec import Spec

MOST_SAMPLES = 5_000
"""Values of one look that are kept."""
_CONNECT_SHARE = 0.25
"""Of a look's time. The kernel takes a connection for the busiest of servers; the page is written by the server."""


def find_sources(
    spec: Spec,
    target: Target,
    address: Address,
    answered: bool,
    place: Place | None,
    secrets: list[str],
    also: Sequence[tuple[Target, Address]] = (),
) -> tuple[list[Watched], list[str]]:
    """What the spec wants watched, and notes on what of it cannot be.

    `also` are pages of further endpoints, which answered.

    `answered`: whether the endpoint had a page before the load; one that nobody named is not looked for again.
    `place`: where the endpoint's server runs.
    """
    if not spec.observe.every_s:
        return [], []
    beside, notes = local_sources(spec, here=place not in (None, "elsewhere"))
    return [*_pages(spec, target, address, answered, secrets, also), *beside], notes


def local_sources(spec: Spec, *, here: bool) -> tuple[list[Watched], list[str]]:
    """What the spec wants watched of this machine, likewise; `here`: whether the model runs on it."""
    watched: list[Watched] = []
    notes: list[str] = []
    if spec.observe.gpu == "nvml" or (spec.observe.gpu == "auto" and here):
        gpus = open_gpus()
        if isinstance(gpus, Watched):
            watched.append(gpus)
        elif spec.observe.gpu == "nvml":
            notes.append(phrase("no GPU was watched: {}", gpus))
    if spec.observe.host:
        watched.append(Watched(Source(kind="host", name="this machine"), machine_look()))
    return watched, notes


# --- Prometheus pages ------------------------------------------------------------------------------------------------


def _pages(
    spec: Spec,
    target: Target,
    address: Address,
    answered: bool,
    secrets: list[str],
    also: Sequence[tuple[Target, Address]] = (),
) -> Iterator[Watched]:
    """The endpoint's page and all others that are asked for, each once."""
    endpoint = spec.endpoint
    asked = endpoint.metrics_url not in (None, "none")  # then it is watched though it is silent now: it may come
    pages = [metrics_target(endpoint, endpoint.metrics_url, target)] if answered or asked else []
    pages += [page for page, _ in also]
    pages += [metrics_target(endpoint, url, target) for url in spec.observe.urls]
    known_at = {target.dial: address} | {page.dial: where for page, where in also}
    seen = set()
    for page in pages:
        if (page.origin, page.prefix, page.query) not in seen:
            seen.add((page.origin, page.prefix, page.query))
            source = Source(kind="prometheus", name=name_of(page))
            yield Watched(source, page_look(page, known_at.get(page.dial), source, [*secrets, *page.secrets()]))


def page_look(page: Target, address: Address | None, source: Source, secrets: list[str]) -> Look:
    """Reads a page: all but buckets and the times at which counters were made.

    An address that does not answer is looked up anew: a server that comes back may have another.
    """
    known = [address]

    def look(limit_s: float) -> list[Sample]:
        connect_s = limit_s * _CONNECT_SHARE
        try:
            where, known[0] = known[0] or reachable(page, connect_s), None
            text = fetch(page, where, connect_s, limit_s - connect_s)
            samples = read_page(text, BUCKETS_AND_BIRTHS)
        except FETCH_ERRORS as error:
            raise ValueError(scrub(reason(error, limit_s), secrets)) from None
        known[0] = where
        if len(samples) > MOST_SAMPLES:
            source.notes = [phrase("the page has more than {:,} values: those beyond were not recorded", MOST_SAMPLES)]
        if scrub(text, secrets) != text:
            samples = [Sample(scrub(name, secrets), scrub(labels, secrets), value) for name, labels, value in samples]
        return samples[:MOST_SAMPLES]

    return look


# --- this machine ----------------------------------------------------------------------------------------------------


def machine_look() -> Look:
    """Reads this machine's CPU, memory, load and network. Shares of CPU are of the time since the look before."""
    import psutil

    before: list[CpuTimes] = []
    network = ("host_network_sent_bytes_total", "bytes_sent"), ("host_network_received_bytes_total", "bytes_recv")

    def look(_: float) -> list[Sample]:
        now = _cpu_times()
        memory, passed = psutil.virtual_memory(), psutil.net_io_counters()
        found = {
            "host_memory_used_bytes": memory.total - memory.available,
            "host_memory_total_bytes": memory.total,
            "host_load_1m": os.getloadavg()[0],
            **{name: getattr(passed, key) for name, key in network if passed},
        }
        if before:
            found |= cpu_shares(before.pop(), now)
        before.append(now)
        return [Sample(name, "", float(value)) for name, value in found.items()]

    return look


CpuTimes = list[tuple[float, float]]
"""(busy, all) seconds of each core since the machine's start."""


def cpu_shares(old: CpuTimes, new: CpuTimes) -> dict[str, float]:
    """Busy share of all cores together and of the busiest one, between two counts; nothing where no time passed."""
    if len(old) != len(new):  # cores were switched on or off
        return {}
    gains = [(b1 - b0, t1 - t0) for (b0, t0), (b1, t1) in zip(old, new, strict=True) if t1 > t0]
    if not gains:
        return {}
    busy, total = (sum(column) for column in zip(*gains, strict=True))
    return {"host_cpu_share": busy / total, "host_core_share_max": max(b / t for b, t in gains)}


def _cpu_times() -> CpuTimes:
    import psutil

    cores = [core._asdict() for core in psutil.cpu_times(percpu=True)]
    # Guests' time is inside user's; time that was stolen or spent on interrupts is not there for anybody.
    return [
        (total - core["idle"] - core.get("iowait", 0.0), total)
        for core in cores
        for total in [sum(core.values()) - core.get("guest", 0.0) - core.get("guest_nice", 0.0)]
    ]

"""What is watched: pages of scripted exporters, GPUs of a made driver, this machine."""

from __future__ import annotations

import math
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import CLOSE, HANG, Received, Step, serve

from loadcell.load import gpu, sources
from loadcell.load.gpu import open_gpus
from loadcell.load.observe import Look, Watched
from loadcell.load.scrape import FETCH_ERRORS, metrics_target, reason
from loadcell.load.sources import MOST_SAMPLES, cpu_shares, find_sources, machine_look, page_look
from loadcell.load.target import make_target
from loadcell.recording.schema import Source
from loadcell.spec import Endpoint, build_spec

pytestmark = pytest.mark.usefixtures("processes")

Answer = Callable[[Received], Iterable[Step]]
HERE = (socket.AF_INET, ("127.0.0.1", 1))


def http(text: str, status: int = 200, length: int | None = None) -> bytes:
    body = text.encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body) if length is None else length, body)


def look_at(url: str, secrets: list[str] | None = None) -> tuple[Look, Source]:
    endpoint = Endpoint(url=url)
    source = Source(kind="prometheus", name=url)
    page = metrics_target(endpoint, url, make_target(endpoint, None))
    return page_look(page, None, source, secrets or []), source


# --- pages -----------------------------------------------------------------------------------------------------------


def test_a_page_brings_all_but_buckets_and_births() -> None:
    text = '# HELP a x\na{b="c d"} 1\nh_bucket{le="1"} 2\nh_sum 3 1700000000000\nh_created 4\nb NaN\n# EOF\n'
    with serve(models=lambda _: [http(text)]) as server:
        found = look_at(server.url)[0](2.0)
    assert [sample[:2] for sample in found] == [("a", '{b="c d"}'), ("h_sum", ""), ("b", "")]
    assert [found[0].value, found[1].value] == [1, 3] and math.isnan(found[2].value)
    assert {request.path for request in server.received} == {"/metrics"}


FAILURES: dict[str, tuple[Answer, str]] = {
    "slow": (lambda _: [1.0, http("a 1\n")], "no answer within 0.4 s"),
    "dripping": (lambda _: [http("a 1\n", length=99), *[0.1, b"a 1\n"] * 8], "no answer within 0.4 s"),
    "silent": (lambda _: [HANG], "no answer within 0.4 s"),
    "error": (lambda _: [http("a 1\n", 500)], "HTTP status 500"),
    "junk": (lambda _: [http("<html>\n")], "not a page"),
    "truncated": (lambda _: [http("a 1\nb 2", length=99), CLOSE], "cut short"),
    "closed": (lambda _: [CLOSE], "without a reply"),
    "no http": (lambda _: [b"hello\r\n\r\n", CLOSE], "speaks another protocol there"),
    "too long": (lambda _: [http("a_total 1\n" * 900_000)], "more than 8 MiB|no answer within"),
}


@pytest.mark.parametrize(("answer", "words"), FAILURES.values(), ids=FAILURES)
def test_a_bad_page_brings_nothing_in_time_and_says_why(answer: Answer, words: str) -> None:
    with serve(models=answer) as server:
        look, _ = look_at(server.url)
        started = time.monotonic()
        with pytest.raises(FETCH_ERRORS, match=words):
            look(0.4 if words.endswith("within 0.4 s") else 10.0)
        assert time.monotonic() - started < 10


def test_a_page_that_goes_and_comes_back_is_taken_up_again() -> None:
    with serve(models=lambda _: [http("a 1\n")]) as server:
        look, _ = look_at(server.url)
        assert len(look(2.0)) == 1
        port = server.port
    with pytest.raises(FETCH_ERRORS) as caught:
        look(2.0)
    assert "refused" in reason(caught.value, 2.0)
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(10)
    try:

        def answer() -> None:
            for _ in range(2):  # the address is tried before it is used
                sock, _ = listener.accept()
                with sock:
                    if sock.recv(65536):
                        sock.sendall(http("a 2\n"))

        thread = threading.Thread(target=answer)
        thread.start()
        assert look(2.0)[0].value == 2
        thread.join()
    finally:
        listener.close()


def test_a_huge_page_is_kept_in_part_and_says_so() -> None:
    text = "".join(f"a{{n=\"{n}\"}} {n}\n" for n in range(MOST_SAMPLES + 1))  # fmt: skip
    with serve(models=lambda _: [http(text)]) as server:
        look, source = look_at(server.url)
        assert len(look(10.0)) == MOST_SAMPLES
        assert len(look(10.0)) == MOST_SAMPLES
    (note,) = source.notes
    assert "more than 5,000 values" in note


def test_secrets_that_a_page_echoes_are_taken_out_and_values_stay() -> None:
    with serve(models=lambda _: [http('who{key="sk-1234"} 1234 1234\n')]) as server:
        assert look_at(server.url, ["sk-1234", "1234"])[0](2.0) == [("who", '{key="<redacted>"}', 1234)]


def test_secrets_are_not_in_the_words_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise ValueError("the proxy said sk-topsecret")

    monkeypatch.setattr(sources, "fetch", refuse)
    with serve() as server, pytest.raises(ValueError, match="said <redacted>"):
        look_at(server.url, ["sk-topsecret"])[0](2.0)


# --- what is found ---------------------------------------------------------------------------------------------------


def kinds(tree: dict[str, Any], *, answered: bool = True, place: Any = "elsewhere") -> tuple[list[str], list[str]]:
    spec = build_spec({"endpoint": {"url": "http://127.0.0.1:1"}} | tree)
    target = make_target(spec.endpoint, None)
    watched, notes = find_sources(spec, target, HERE, answered, place, [])
    return [f"{watch.source.kind} {watch.source.name}" for watch in watched], notes


OWN, OTHER, HOST = (
    "prometheus http://127.0.0.1:1/metrics",
    "prometheus http://127.0.0.1:9400/metrics",
    "host this machine",
)


@pytest.mark.parametrize(
    ("observe", "answered", "found"),
    [
        ({}, True, [OWN, HOST]),
        ({}, False, [HOST]),
        ({"every_s": 0, "gpu": "nvml"}, True, []),
        ({"host": False}, False, []),
        ({"urls": ["http://127.0.0.1:9400"]}, False, [OTHER, HOST]),
        ({"urls": ["http://127.0.0.1:1", "http://127.0.0.1:9400", "http://127.0.0.1:9400/"]}, True, [OWN, OTHER, HOST]),
        ({"urls": ["http://me:pass-word@127.0.0.1:9400/?token=abcd"]}, True, [OWN, OTHER, HOST]),
    ],
)  # fmt: skip
def test_what_is_watched(observe: dict[str, Any], answered: bool, found: list[str]) -> None:
    assert kinds({"observe": observe}, answered=answered) == (found, [])


# --- GPUs ------------------------------------------------------------------------------------------------------------


class DriverError(Exception):
    """What the library raises."""


def driver(count: int = 2, lost: tuple[int, ...] = (), without: tuple[str, ...] = ()) -> ModuleType:
    """A library for `count` GPUs; `lost` fall off after they were opened; `without` are functions that fail."""
    nvml: Any = ModuleType("pynvml")
    calls: list[str] = []

    def told(name: str, value: Callable[[int], Any]) -> None:
        def read(handle: int = -1, *constants: object) -> Any:
            calls.append(name)
            if name in without or handle in lost:
                raise DriverError(f"{name} is not supported")
            return value(handle)

        setattr(nvml, name, read)

    nvml.NVMLError, nvml.calls = DriverError, calls
    nvml.NVML_TEMPERATURE_GPU, nvml.NVML_CLOCK_SM = 0, 1
    nvml.nvmlDeviceGetHandleByIndex = lambda number: number
    nvml.nvmlDeviceGetUUID = lambda handle: f"GPU-{handle}"
    told("nvmlInit", lambda _: None)
    told("nvmlShutdown", lambda _: None)
    told("nvmlSystemGetDriverVersion", lambda _: "550.1")
    told("nvmlDeviceGetCount", lambda _: count)
    told("nvmlDeviceGetPowerUsage", lambda gpu: 100_000 + gpu)
    told("nvmlDeviceGetTotalEnergyConsumption", lambda _: 5_000)
    told("nvmlDeviceGetUtilizationRates", lambda _: SimpleNamespace(gpu=75, memory=1))
    told("nvmlDeviceGetMemoryInfo", lambda _: SimpleNamespace(used=10, total=40))
    told("nvmlDeviceGetTemperature", lambda _: 60)
    told("nvmlDeviceGetClockInfo", lambda _: 1_410)
    told("nvmlDeviceGetCurrentClocksThrottleReasons", lambda _: 4)
    return nvml  # type: ignore[no-any-return]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType | None], None]:
    """Put a driver in place; None for a machine without its library."""
    monkeypatch.setattr(gpu, "has_driver", lambda: True)
    return lambda module: monkeypatch.setitem(sys.modules, "pynvml", module)  # type: ignore[arg-type]


def test_gpus_tell_in_base_units(install: Callable[[Any], None]) -> None:
    nvml = driver()
    install(nvml)
    watched = open_gpus()
    assert isinstance(watched, Watched) and watched.source == Source(kind="nvml", name="NVIDIA driver 550.1")
    found = {sample[:2]: sample.value for sample in watched.look(1.0)}
    assert {labels for _, labels in found} == {'{gpu="0",uuid="GPU-0"}', '{gpu="1",uuid="GPU-1"}'}
    assert {name: value for (name, labels), value in found.items() if 'gpu="1"' in labels} == {
        "nvml_power_watts": pytest.approx(100.001),
        "nvml_energy_joules": 5.0,
        "nvml_use_share": 0.75,
        "nvml_memory_used_bytes": 10,
        "nvml_memory_total_bytes": 40,
        "nvml_temperature_celsius": 60,
        "nvml_sm_clock_hertz": 1.41e9,
        "nvml_throttle_reasons": 4,
    }
    watched.close()
    assert nvml.calls[-1] == "nvmlShutdown"  # type: ignore[attr-defined]


def test_what_a_gpu_does_not_know_is_absent(install: Callable[[Any], None]) -> None:
    install(driver(without=("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMemoryInfo"), lost=(0,)))
    watched = open_gpus()
    assert isinstance(watched, Watched)
    found = watched.look(1.0)
    assert {sample.labels for sample in found} == {'{gpu="1",uuid="GPU-1"}'} and len(found) == 5
    install(driver(count=1, lost=(0,)))
    watched = open_gpus()
    assert isinstance(watched, Watched)
    with pytest.raises(ValueError, match="not supported"):
        watched.look(1.0)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (None, r"loadcell\[gpu\]"),
        (driver(without=("nvmlInit",)), "NVML: nvmlInit is not supported"),
        (driver(count=0), "knows no GPU"),
    ],
)
def test_no_gpus_are_missed_only_if_asked_for(install: Callable[[Any], None], module: Any, words: str) -> None:
    install(module)
    assert kinds({"observe": {"gpu": "auto"}}, place="same cores") == ([OWN, HOST], [])
    found, (note,) = kinds({"observe": {"gpu": "nvml"}})
    assert found == [OWN, HOST] and re.search(words, note)


@pytest.mark.parametrize(
    ("asked", "place", "watched"),
    [
        ("auto", "elsewhere", False), ("auto", None, False), ("auto", "this machine", True),
        ("auto", "other cores", True), ("nvml", "elsewhere", True), ("none", "same cores", False),
    ],
)  # fmt: skip
def test_gpus_are_watched_where_the_server_is(
    install: Callable[[Any], None], asked: str, place: str | None, watched: bool
) -> None:
    install(driver())
    found, notes = kinds({"observe": {"gpu": asked, "host": False}}, answered=False, place=place)
    assert found == (["nvml NVIDIA driver 550.1"] if watched else []) and notes == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the driver's library has another name")
def test_where_there_is_no_driver_nothing_is_imported_to_ask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.setattr(gpu, "_LIBRARY", "libno-such-driver.so.1")
    assert open_gpus() == "NVML: the NVIDIA driver's library libno-such-driver.so.1 is not here"
    assert "pynvml" not in sys.modules


def test_a_driver_that_never_answers_is_not_waited_for(
    install: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml: Any = driver()
    nvml.nvmlInit = lambda: time.sleep(0.5)
    install(nvml)
    monkeypatch.setattr(gpu, "_OPEN_S", 0.05)
    assert open_gpus() == "the NVIDIA driver did not answer within 0.05 s"


# --- this machine ----------------------------------------------------------------------------------------------------


def test_this_machine_tells_shares_from_the_second_look_on() -> None:
    look = machine_look()
    first = {sample.name: sample.value for sample in look(1.0)}
    assert not any("share" in name for name in first)
    limit = time.monotonic() + 0.3
    while time.monotonic() < limit:  # a busy core
        pass
    second = {sample.name: sample.value for sample in look(1.0)}
    assert 0 < second["host_cpu_share"] <= second["host_core_share_max"] <= 1
    assert 0 < second["host_memory_used_bytes"] < second["host_memory_total_bytes"]
    assert second["host_load_1m"] >= 0
    assert second.get("host_network_sent_bytes_total", 0) >= first.get("host_network_sent_bytes_total", 0)


def test_shares_of_cores() -> None:
    old = [(1.0, 10.0), (5.0, 10.0), (0.0, 0.0)]
    assert cpu_shares(old, [(1.5, 11.0), (6.0, 11.0), (0.0, 0.0)]) == {
        "host_cpu_share": 0.75,
        "host_core_share_max": 1.0,
    }
    assert cpu_shares(old, old) == {} and cpu_shares(old, old[:2]) == {}


CORE = st.tuples(st.floats(0, 1e6), st.floats(0, 1e6))
TICKS = st.integers(0, 10**6).map(lambda ticks: ticks / 100)
"""What a core did between two looks: the kernel counts hundredths of a second."""


@given(st.lists(st.tuples(CORE, st.tuples(TICKS, TICKS)), min_size=1, max_size=8))
def test_shares_are_shares(cores: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    old = [(busy, busy + idle) for (busy, idle), _ in cores]
    new = [(b0 + busy, b0 + busy + i0 + idle) for (b0, i0), (busy, idle) in cores]
    for share in cpu_shares(old, new).values():
        assert -1e-6 <= share <= 1 + 1e-6 or sum(t1 - t0 for (_, t0), (_, t1) in zip(old, new, strict=True)) < 1e-3

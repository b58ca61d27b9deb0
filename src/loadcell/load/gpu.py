"""This machine's NVIDIA GPUs by their driver's library, NVML (docs.nvidia.com, "NVML API Reference Guide")."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

from loadcell.load.observe import Watched
from loadcell.phrases import joined, phrase
from loadcell.recording.exposition import Sample
from loadcell.recording.schema import Source

_LIBRARY = "libnvidia-ml.so.1"
_OPEN_S = 5.0
"""A driver that has lost a GPU may never answer."""

_READS: tuple[Callable[[ModuleType, Any], dict[str, float]], ...] = (
    # On Ampere and newer this is the mean of the last second, on older GPUs that of the moment.
    lambda nvml, gpu: {"nvml_power_watts": nvml.nvmlDeviceGetPowerUsage(gpu) / 1e3},
    lambda nvml, gpu: {"nvml_energy_joules": nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3},
    lambda nvml, gpu: {"nvml_use_share": nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100},
    lambda nvml, gpu: _memory(nvml.nvmlDeviceGetMemoryInfo(gpu)),
    lambda nvml, gpu: {"nvml_temperature_celsius": nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)},
    lambda nvml, gpu: {"nvml_sm_clock_hertz": nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM) * 1e6},
    # A bit set, as the driver has it.
    lambda nvml, gpu: {"nvml_throttle_reasons": nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)},
)


def open_gpus() -> Watched | str:
    """The GPUs of this machine, to be watched; else why they cannot be."""
    answers: list[Watched | str] = []
    opening = threading.Thread(target=lambda: answers.append(_open()), name="open-nvml", daemon=True)
    opening.start()
    opening.join(_OPEN_S)
    return answers[0] if answers else phrase("the NVIDIA driver did not answer within {:g} s", _OPEN_S)


def has_driver() -> bool:
    """Whether the driver's library can be here: looking costs less than importing what asks it."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return False
    return True


def _open() -> Watched | str:
    if not has_driver():
        return phrase("NVML: the NVIDIA driver's library {} is not here", _LIBRARY)
    try:
        import pynvml
    except ImportError:
        return phrase("nvidia-ml-py is not installed: pip install 'loadcell[gpu]'")
    gpus: list[tuple[Any, str]] = []
    notes: list[str] = []
    try:
        pynvml.nvmlInit()
        source = Source(kind="nvml", name=f"NVIDIA driver {pynvml.nvmlSystemGetDriverVersion()}", notes=notes)
        for number in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(number)
                gpus.append((handle, f'{{gpu="{number}",uuid="{pynvml.nvmlDeviceGetUUID(handle)}"}}'))
            except pynvml.NVMLError as error:
                notes.append(phrase("GPU {} was not watched: {}", number, error))
    except pynvml.NVMLError as error:
        return f"NVML: {error}"
    if not gpus:
        _close(pynvml)
        return joined("; ", notes) or phrase("NVML: the driver knows no GPU")
    return Watched(source, lambda _: _look(pynvml, gpus), lambda: _close(pynvml))


def _close(nvml: ModuleType) -> None:
    with suppress(nvml.NVMLError):  # all was read: that it does not let go changes nothing
        nvml.nvmlShutdown()


def _memory(told: Any) -> dict[str, float]:
    return {"nvml_memory_used_bytes": told.used, "nvml_memory_total_bytes": told.total}


def _look(nvml: ModuleType, gpus: list[tuple[Any, str]]) -> list[Sample]:
    """What each GPU tells; what it does not know is absent. ValueError if none tells anything."""
    samples, why = [], phrase("no GPU tells anything")
    for handle, labels in gpus:
        for read in _READS:
            try:
                samples += [Sample(name, labels, float(value)) for name, value in read(nvml, handle).items()]
            except nvml.NVMLError as error:  # not known to this GPU, or the GPU is lost
                why = f"NVML: {error}"
    if not samples:
        raise ValueError(why)
    return samples

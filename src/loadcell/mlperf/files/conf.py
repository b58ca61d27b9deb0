"""LoadGen's configuration files, mlperf.conf and user.conf: `model.scenario.key = value`, `*` for any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadcell.mlperf.files.reading import read_text
from loadcell.mlperf.findings import failed
from loadcell.mlperf.model import Finding

_SCENARIOS = ("*", "Server", "Offline", "SingleStream", "MultiStream")


class Setting(msgspec.Struct, frozen=True):
    """One line."""

    model: str
    scenario: str
    key: str
    value: float


class Conf(msgspec.Struct, kw_only=True):
    """A file of settings, in its order."""

    path: Path
    settings: list[Setting] = []
    problems: list[Finding] = []


def read_conf(path: Path) -> Conf:
    """Read a configuration file; lines that are none become findings."""
    conf = Conf(path=path)
    text = read_text(path, conf.problems)
    for number, line in enumerate((text or "").splitlines(), start=1):
        words = line.split()
        if "#" in words:  # a comment begins at a "#" that stands alone
            words = words[: words.index("#")]
        if not words or words[0].startswith("#"):
            continue
        try:
            conf.settings.append(_setting(" ".join(words)))
        except ValueError as error:
            says = f"{path.name}, line {number}: {error}"
            advice = "write model.scenario.key = number, as in llama3_1-8b.Server.target_qps = 60"
            conf.problems.append(failed("conf-form", says, path, advice))
    return conf


def _setting(line: str) -> Setting:
    name, equals, value = (part.strip() for part in line.partition("="))
    # A model's name may hold dots: the last two parts are the scenario and the key.
    parts = name.rsplit(".", 2)
    if not equals or len(parts) != 3 or not all(parts):
        raise ValueError(f"{line!r} is no setting")
    if parts[1] not in _SCENARIOS:
        raise ValueError(f"{parts[1]!r} is no scenario: there are {', '.join(_SCENARIOS)}")
    try:
        return Setting(parts[0], parts[1], parts[2], float(value))
    except ValueError:
        raise ValueError(f"{value!r} is no number") from None


def setting(confs: Sequence[Conf], model: str, scenario: str, key: str) -> float | None:
    """What holds for a model and a scenario; None if no file says it.

    A later file wins over an earlier one; within a file model.scenario goes before *.scenario, this before model.*,
    this before *.*, and a later line before an earlier one.
    """
    ranks = ((model, scenario), ("*", scenario), (model, "*"), ("*", "*"))
    for conf in reversed(confs):
        for where in ranks:
            found = [s.value for s in conf.settings if (s.model, s.scenario) == where and s.key == key]
            if found:
                return found[-1]
    return None

"""SLOs by name: limits, the share of requests that is to keep to them, and who set them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from loadcell.errors import UsageError, nearest
from loadcell.rounds import ROUNDS, benchmarks_of, table


class Preset(NamedTuple):
    """Limits in ms (None: no such limit), and the share of requests that is to keep to all of them."""

    name: str
    about: str
    ttft_ms: float | None
    tpot_ms: float | None
    e2e_ms: float | None
    attainment: float
    source: str
    rounds: tuple[str, ...] = ()
    """Rounds of a benchmark that has these limits, oldest first; () where there are no rounds."""

    def limits(self) -> dict[str, float]:
        """The limits as fields of the Slo, in ms."""
        fields = {"ttft_ms": self.ttft_ms, "tpot_ms": self.tpot_ms, "e2e_ms": self.e2e_ms}
        return {field: ms for field, ms in fields.items() if ms is not None}

    def says(self) -> str:
        """The limits as one writes them, as in "ttft=500ms,tpot=30ms"."""
        return ",".join(
            f"{field.removesuffix('_ms')}={f'{ms / 1000:g}s' if ms >= 1000 else f'{ms:g}ms'}"
            for field, ms in self.limits().items()
        )


_GUIDELLM = "GuideLLM, guide to service level objectives (vllm-project/guidellm at b9ae3df)"
_DISTSERVE = "DistServe, OSDI 2024, section 6 (figure scripts in LLMServe/DistServe)"
_MLPERF = "MLPerf Inference, submission checker (mlcommons/inference at b66003e)"
_OURS = "Loadcell's own choice"
_TARGET = re.compile(r"(-interactive)?(-99(\.9)?)?$")
"""What a benchmark's name may end with: v5.0's Interactive was one of its own, then the accuracy target."""

CAVEATS = (
    "A preset is a starting point: change its limits to those that your users would sign.",
    "GuideLLM says ITL where it means the mean gap of a request, which is TPOT here.",
    "MLPerf judges the p99 of each limit by itself; here a request must keep to all of its limits at once, which asks "
    "for as much or more. A limit is not the benchmark: data set, lengths, accuracy and audit are not in it. No result "
    "of Loadcell is an MLPerf result; only MLCommons verifies those.",
)
"""What one who quotes a preset must know."""


_OTHERS: tuple[Preset, ...] = (
    Preset("chat", "a person reads along", 200, 50, None, 0.99, _GUIDELLM),
    Preset("rag", "answers out of documents", 300, 100, 3000, 0.99, _GUIDELLM),
    Preset("api", "a program awaits the reply", None, None, 5000, 0.99, _GUIDELLM),
    Preset("content", "drafts for colleagues", 600, 200, None, 0.99, _GUIDELLM),
    Preset("code", "code written on request", 500, 150, None, 0.99, _GUIDELLM),
    Preset("autocomplete", "code completed as one types", None, None, 2000, 0.99, _GUIDELLM),
    Preset("story", "long text, read at 10 tokens/s (450 words a minute)", 2000, 100, None, 0.95, _OURS),
    Preset("distserve:chat/opt-13b", "ShareGPT", 250, 100, None, 0.9, _DISTSERVE),
    Preset("distserve:chat/opt-66b", "ShareGPT", 400, 100, None, 0.9, _DISTSERVE),
    Preset("distserve:chat/opt-175b", "ShareGPT", 4000, 200, None, 0.9, _DISTSERVE),
    Preset("distserve:code/opt-66b", "HumanEval", 125, 200, None, 0.9, _DISTSERVE),
    Preset("distserve:summary/opt-66b", "LongBench", 15_000, 150, None, 0.9, _DISTSERVE),
)
_REMARKS = {"gpt-oss-120b/interactive": " (the rules' text: 20ms)"}


@cache
def presets() -> tuple[Preset, ...]:
    """Every preset; a name that has other limits in other rounds stands once for each, the oldest first."""
    return (*_OTHERS, *_of_mlperf())


def _of_mlperf() -> Iterator[Preset]:
    """MLPerf's limits by model/scenario and the rounds that have them. Both accuracy targets of a model share them."""
    found: dict[tuple[str, bool], dict[tuple[float | None, float | None, float | None], list[str]]] = {}
    for edition in ROUNDS:
        apart = table(edition).get("interactive_benchmarks", {}).values()
        for name, tree in benchmarks_of(edition).items():
            for scenario in ("Server", "Interactive"):
                limits = tree["scenarios"].get(scenario, {})
                asked = (limits.get("ttft_ms"), limits.get("tpot_ms"), limits.get("latency_ms"))
                if any(asked):
                    key = (_TARGET.sub("", name), scenario == "Interactive" or name in apart)
                    rounds = found.setdefault(key, {}).setdefault(asked, [])
                    rounds += [] if edition in rounds else [edition]
    for (model, interactive), rows in sorted(found.items()):
        name = f"{model}/{'interactive' if interactive else 'server'}"
        for asked, rounds in rows.items():
            about = rounds[0] if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
            about += _REMARKS.get(name, "")
            yield Preset(f"mlperf:{name}", about, *asked, 0.99, _MLPERF, tuple(rounds))


def find_preset(text: str) -> Preset:
    """The preset of "chat" or "mlperf:llama2-70b/server@v5.1" (without @: of its newest round); UsageError else."""
    name, _, wanted = text.strip().lower().partition("@")
    rows = [preset for preset in (presets() if name.startswith("mlperf:") else _OTHERS) if preset.name == name]
    if not rows:
        names = list(dict.fromkeys(preset.name for preset in presets()))
        short = ", ".join(known for known in names if ":" not in known)
        raise UsageError(
            f"{text.strip()!r} is not an SLO{nearest(name, names)}: write limits, as in ttft=500ms,tpot=30ms,e2e=10s, "
            f"or a preset, as {short}; --slo list shows all of them"
        )
    if not wanted:
        return rows[-1]
    for preset in rows:
        if wanted in preset.rounds:
            return preset
    rounds = [known for preset in rows for known in preset.rounds]
    raise UsageError(f"{name} is not of {wanted}: " + (f"write @{' or @'.join(rounds)}" if rounds else f"write {name}"))


def preset_attainment(text: str) -> float | None:
    """The share of requests that the preset in "chat,e2e=20s" asks for; None without one, UsageError if unknown."""
    name = next(filter(None, map(str.strip, text.split(","))), "")
    return find_preset(name).attainment if name and "=" not in name else None


def describe_presets() -> str:
    """The presets for a person, by who set them, a line each: name, limits, share of requests, what it is for."""
    lines = ["SLO presets: --slo NAME, or --slo NAME,e2e=20s to change or add a limit."]
    for source in dict.fromkeys(preset.source for preset in presets()):
        rows = [preset for preset in presets() if preset.source == source]
        name, limits = (max(map(len, column)) for column in zip(*((p.name, p.says()) for p in rows), strict=True))
        lines += ["", f"{source}:"]
        lines += [f"  {p.name:<{name}}  {p.says():<{limits}}  {p.attainment:.0%}  {p.about}" for p in rows]
    notes = ("@ROUND asks for another round than the newest: mlperf:llama2-70b/server@v5.1.", *CAVEATS)
    return "\n".join([*lines, "", *(textwrap.fill(note, 80) for note in notes), ""])

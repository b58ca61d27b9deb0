"""The nouns of the registry: a published row, where it came from, a ranking of rows.

Throughputs are as published, in `unit`; latencies are in `unit` too (ms or s) and lower is better. Missing is None.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Doc = msgspec.Meta
FORMAT = 1
"""Version of the registry's files and of what `loadcell published --json` prints."""
TRADEMARK = (
    "The MLPerf name and logo are trademarks of MLCommons Association in the United States and other countries. "
    "See www.mlcommons.org."
)
DERIVED = "derived, not an MLPerf metric"
"""Stands beside every figure that is computed from published ones."""
SCENARIO_NAMES = {
    "offline": "Offline",
    "server": "Server",
    "interactive": "Interactive",
    "singlestream": "SingleStream",
    "multistream": "MultiStream",
}
"""Scenarios as people type them, and as MLCommons writes them."""
LATENCY_UNITS = ("ms", "s")
Key = tuple[str, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One published result: one system, benchmark and scenario of a round."""

    round: Annotated[str, Doc(description="as in v6.0")]
    division: Annotated[str, Doc(description="closed or open")]
    availability: Annotated[str, Doc(description="available, preview or rdi (research, development, internal)")]
    suite: Annotated[str, Doc(description="datacenter or edge")]
    submitter: str
    entry: Annotated[str | None, Doc(description="ID of the entry, which names a system; null: the round has none")]
    system: str
    platform: Annotated[str, Doc(description="short name of the system")]
    benchmark: str
    family: Annotated[str, Doc(description="benchmark without its accuracy target")]
    task: Annotated[str, Doc(description="llm, speech, vision-language or rag")]
    model_run: Annotated[str, Doc(description="model that was run; in open rows it may differ from the benchmark")]
    scenario: Annotated[str, Doc(description="as people type it: offline, server, ...")]
    result: float
    unit: Annotated[str, Doc(description="of the result, corrected")]
    unit_published: Annotated[str, Doc(description="label that the result was published with")]
    accuracy: str | None
    nodes: int | None
    accelerator: Annotated[str | None, Doc(description="null: a system without accelerators")]
    accelerators_per_node: int | None
    accelerators: Annotated[int | None, Doc(description="nodes times accelerators per node")]
    processor: str | None
    software: str | None
    weights: Annotated[str | None, Doc(description="data types of the weights, as the submitter says")]
    notes: Annotated[str | None, Doc(description="the submitter's own")]
    power: Annotated[float | None, Doc(description="measured power or energy, null where none was")]
    power_unit: str | None
    location: Annotated[str, Doc(description="folder in the repository of results")]
    link: str
    source: Annotated[str, Doc(description="name of the source among the sources")]
    retrieved: Annotated[str, Doc(description="date of the source's copy")]
    remarks: Annotated[list[str], Doc(description="what was corrected or is odd, in words")]

    @property
    def key(self) -> Key:
        """What makes it that row: no two rows of a round share it."""
        return (
            self.round, self.division, self.suite, self.submitter, self.platform, self.benchmark, self.model_run,
            self.scenario, self.location,
        )  # fmt: skip


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows came from."""

    name: str
    rounds: list[str]
    rows: int
    origin: Annotated[str, Doc(description="URL, or the file that was added")]
    commit: str | None
    retrieved: str
    sha256: Annotated[str, Doc(description="of the file as it was found")]
    licence: str | None
    left_out: Annotated[dict[str, int], Doc(description="rows of other benchmarks, by benchmark")]
    added: Annotated[bool, Doc(description="by a person, not part of Loadcell")] = False
    file: Annotated[str | None, Doc(description="where added rows are kept")] = None


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """Every row that is known here."""

    rows: list[Row]
    sources: list[Source]


# --- what a question brings ------------------------------------------------------------------------------------------

By = Literal["system", "accelerator"]


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that was computed from published ones."""

    value: float
    unit: str
    derived: Literal[True] = True
    says: str = DERIVED


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """One row at its place."""

    rank: int
    benchmarks: Annotated[list[str], Doc(description="all that were entered with this very run and result")]
    per_accelerator: Annotated[Derived | None, Doc(description="null: a latency, or no accelerators")]
    row: Row


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that may stand in one list: one division, suite, benchmark (family), scenario and unit."""

    rounds: list[str]
    division: str
    suite: str
    benchmarks: list[str]
    scenario: str
    unit: str
    lower_is_better: bool
    by: By
    derived: Annotated[bool, Doc(description="whether the order is that of derived figures")]
    matched: Annotated[int, Doc(description="results that matched, each once")]
    left_out: Annotated[int, Doc(description="of these, systems without accelerators, which have no place by them")]
    notes: list[str]
    rows: list[Ranked]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question."""

    format: int = FORMAT
    loadcell: str
    asked: Annotated[str, Doc(description="the question as it was understood")]
    rankings: list[Ranking]
    notes: list[str]
    sources: list[Source]
    trademark: str = TRADEMARK


def lower_is_better(unit: str) -> bool:
    """Whether results of this unit are latencies."""
    return unit in LATENCY_UNITS


def per_accelerator(row: Row) -> Derived | None:
    """Result over accelerators; None for latencies and for systems without accelerators."""
    if lower_is_better(row.unit) or not row.accelerators:
        return None
    return Derived(value=row.result / row.accelerators, unit=f"{row.unit} per accelerator")


def number(value: float) -> str:
    """A figure with all that was published of it, but no more than four decimals; thousands grouped."""
    return f"{value:,.4f}".rstrip("0").rstrip(".")


def title(ranking: Ranking) -> str:
    """What a ranking ranks."""
    return (
        f"{' and '.join(ranking.benchmarks)} {SCENARIO_NAMES[ranking.scenario]}, MLPerf® Inference "
        f"{' and '.join(ranking.rounds)}, {ranking.division} division, {ranking.suite}"
    )


def order_words(ranking: Ranking) -> str:
    """How many results a ranking shows of how many, and in which order."""
    first = "lowest" if ranking.lower_is_better else "highest"
    per = f" per accelerator first ({DERIVED})" if ranking.derived else " first"
    shown, of = len(ranking.rows), ranking.matched - ranking.left_out
    count = f"{shown} of {of}" if shown < of else f"{of}"
    return f"{count} result{'' if of == 1 else 's'}, {first} {ranking.unit}{per}"


def system_name(row: Row) -> str:
    """The system's name, led by its platform where the submitter left the name out."""
    return f"{row.platform} {row.system}" if row.system.startswith("(") else row.system


def source_words(source: Source) -> str:
    """Where rows came from, and when."""
    commit = f" at commit {source.commit[:12]}" if source.commit else ""
    return f"{source.name}: {source.origin}{commit}, retrieved {source.retrieved}"


def citation(row: Row) -> str:
    """Everything that has to be said with a published figure, but the trademark sentence."""
    entry = f"entry {row.entry}" if row.entry else "no entry ID in this round's summary"
    model = f" (model run: {row.model_run})" if row.division == "open" else ""
    return (
        f"{row.submitter}: {number(row.result)} {row.unit}, {row.benchmark}{model} {SCENARIO_NAMES[row.scenario]}, "
        f"MLPerf® Inference {row.round}, {row.division} division, {row.suite}, {row.availability}; "
        f"{system_name(row)}; {entry}. Retrieved {row.retrieved} from {row.link}"
    )

"""A recording by the definitions of another tool, beside ours."""

from __future__ import annotations

from typing import Annotated

import msgspec

from loadcell.phrases import Phrase
from loadcell.recording.imported import Missing

Doc = msgspec.Meta
FORMAT = 1
"""Version of its JSON."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the tool's result."""

    key: Annotated[str, Doc(description="where it stands in the tool's result, keys joined by dots")]
    value: Annotated[float | None, Doc(description="by the tool's definition; null where it cannot be told")]
    unit: str = ""
    metric: Annotated[str | None, Doc(description="ours that it is nearest to; null where there is none")] = None
    stat: Annotated[str | None, Doc(description="mean, std, min, max, p50, ...; null for one that is none")] = None
    ours: Annotated[float | None, Doc(description="by our definition, in its unit")] = None
    told: Annotated[float | None, Doc(description="what the tool itself wrote, of a run that it made")] = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One step from our definition of a figure to the tool's. Taken one after the other the steps add up."""

    metric: Annotated[str, Doc(description="ours")]
    figure: Annotated[str, Doc(description="what the tool calls it")]
    step: Annotated[str, Doc(description="requests, failures, formula, weights, start, first, end, gaps, tokens, "
                             "percentile, window, goodput")]  # fmt: skip
    says: str
    unit: str
    change: Annotated[
        dict[str, float | None],
        Doc(description="by statistic (p50, p99, or value) what the step adds in these data; null: cannot be told"),
    ]


class ShownAs(msgspec.Struct, frozen=True, kw_only=True):
    """The whole view."""

    format: int = FORMAT
    tool: str
    title: str
    version: Annotated[str, Doc(description="of the tool, whose code the definitions were read in")]
    recording: Annotated[str, Doc(description="id of the recording")]
    made_by: Annotated[str | None, Doc(description="the tool that made the load; null: this one")] = None
    figures: list[Figure]
    differences: list[Difference]
    missing: Annotated[list[Missing], Doc(description="what the recording lacks for this view")] = []
    notes: Annotated[list[str], Doc(description="what no recording shows of this tool, and what else to know")] = []
    phrases: Annotated[dict[str, Phrase], Doc(description="what the sentences were made of")] = {}

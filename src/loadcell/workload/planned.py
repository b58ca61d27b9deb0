"""What a run sends, as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadcell.workload.attached import AttachedPrompts
from loadcell.workload.blocks import BlockPrompts
from loadcell.workload.context import Context
from loadcell.workload.files import FilePrompts
from loadcell.workload.prefixes import SystemPrompts
from loadcell.workload.prompts import SyntheticInputs, SyntheticPrompts
from loadcell.workload.schedule import Schedule
from loadcell.workload.talks import FileTalks, TalkPrompts
from loadcell.workload.tokenizer import Tokenizer

Prompts = (
    SyntheticPrompts | SyntheticInputs | FilePrompts | AttachedPrompts | TalkPrompts | FileTalks | BlockPrompts
    | SystemPrompts
)  # fmt: skip
"""What requests say, row by row."""


def file_of(prompts: Prompts) -> FilePrompts | None:
    """The file that prompts come from; None for synthetic ones."""
    if isinstance(prompts, FileTalks):
        return prompts.whole
    texts = prompts.texts if isinstance(prompts, AttachedPrompts) else prompts
    return texts if isinstance(texts, FilePrompts) else None


def gapped(prompts: Prompts) -> bool:
    """Whether prompts leave a place for what the server said (`talks.MARK`)."""
    return isinstance(prompts, TalkPrompts | FileTalks) and prompts.served


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run sends: the schedule and, row by row, its prompts."""

    schedule: Schedule
    prompts: Prompts
    tokenizer: Tokenizer
    notes: list[str]
    """What a reader of the result must know, in words."""
    warm: Prompts | None = None
    """What prompts share, each once, to be sent before the load; None where nothing is to be."""
    trace: dict[str, Any] | None = None
    """What a recording tells of the trace that is replayed."""
    context: Context | None = None
    """The context that its requests were held against; None where none was known, or all of them are short."""

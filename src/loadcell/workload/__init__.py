"""Spec in, Schedule and prompts out: everything that a run sends, made before the first byte is sent."""

from loadcell.workload.attached import AttachedPrompts, probe_with
from loadcell.workload.blocks import BlockPrompts
from loadcell.workload.context import Context, Server
from loadcell.workload.files import FilePrompts
from loadcell.workload.planning import Plan, Prompts, Vocabulary, file_of, gapped, plan, vocabulary_of
from loadcell.workload.prefixes import SystemPrompts, with_system
from loadcell.workload.prompts import SyntheticInputs, SyntheticPrompts
from loadcell.workload.replay import Replayed, replay_of
from loadcell.workload.talks import FileTalks, TalkPrompts
from loadcell.workload.tokenizer import Tokenizer, load_tokenizer

__all__ = [
    "AttachedPrompts",
    "BlockPrompts",
    "Context",
    "FilePrompts",
    "FileTalks",
    "Plan",
    "Prompts",
    "Replayed",
    "Server",
    "SyntheticInputs",
    "SyntheticPrompts",
    "SystemPrompts",
    "TalkPrompts",
    "Tokenizer",
    "Vocabulary",
    "file_of",
    "gapped",
    "load_tokenizer",
    "plan",
    "probe_with",
    "replay_of",
    "vocabulary_of",
    "with_system",
]

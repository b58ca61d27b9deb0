"""Spec in, Schedule and prompts out: everything that a run sends, made before the first byte is sent."""

from loadcell.workload.files import FilePrompts
from loadcell.workload.planning import Plan, Vocabulary, plan, vocabulary_of
from loadcell.workload.prompts import SyntheticInputs, SyntheticPrompts
from loadcell.workload.tokenizer import Tokenizer, load_tokenizer

__all__ = [
    "FilePrompts",
    "Plan",
    "SyntheticInputs",
    "SyntheticPrompts",
    "Tokenizer",
    "Vocabulary",
    "load_tokenizer",
    "plan",
    "vocabulary_of",
]

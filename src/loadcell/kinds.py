"""Kinds of received events, bits of the `kind` column of a recording; and how well their tokens can be known."""

KIND_ANSWER, KIND_REASONING, KIND_TOOL = 1, 2, 4
KIND_OUTPUT = KIND_ANSWER | KIND_REASONING | KIND_TOOL
"""Output; the others do not count as tokens. Reasoning stands for all text that is not known to be the answer."""
KIND_EMPTY, KIND_FINISH, KIND_USAGE, KIND_ERROR, KIND_DONE = 8, 16, 32, 64, 128

MISSING = -(2**63)
"""NULL inside integer columns while they are in memory; a time that is not known."""

TOKENIZER_TOLERANCE = 1.6
"""How far the count of a text by another tokenizer than the server's may be off, as a factor."""

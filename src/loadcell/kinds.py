"""Kinds of received events: bits of the `kind` column of a recording."""

KIND_ANSWER, KIND_REASONING, KIND_TOOL = 1, 2, 4
KIND_OUTPUT = KIND_ANSWER | KIND_REASONING | KIND_TOOL
"""An event with any of these bits carries output; the others do not count as tokens."""
KIND_EMPTY, KIND_FINISH, KIND_USAGE, KIND_ERROR, KIND_DONE = 8, 16, 32, 64, 128

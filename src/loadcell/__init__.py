"""Loadcell: a benchmark for LLM inference that says how wrong it may be."""

__version__ = "0.1.0"

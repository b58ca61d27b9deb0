"""Recorded traffic of others: when requests came, how long they were, what they shared, what waited for what."""

from loadcell.traces.model import Change as Change
from loadcell.traces.model import Ragged as Ragged
from loadcell.traces.model import Trace as Trace

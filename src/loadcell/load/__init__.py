"""Putting a load on an endpoint and recording what comes back."""

from loadcell.load.fleet import Progress, run_load

__all__ = ["Progress", "run_load"]

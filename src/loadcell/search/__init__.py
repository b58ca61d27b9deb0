"""Where a server saturates: sweeps over a grid, and the highest load that holds an SLO."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadcell.search.build import build_sweep
    from loadcell.search.folder import SWEEP, stage_folders
    from loadcell.search.grid import grid_of_flags, make_plan, plan_grid, read_matrix
    from loadcell.search.imported import build_imports, is_imports
    from loadcell.search.model import Plan, Sweep, sweep_schema
    from loadcell.search.ranges import is_grid, parse_bounds
    from loadcell.search.run import run_sweep
    from loadcell.search.saturation import saturation_steer
    from loadcell.search.stages import read_stages

_HOME = {
    "SWEEP": "folder", "Plan": "model", "Sweep": "model", "build_imports": "imported", "build_sweep": "build",
    "is_imports": "imported",
    "grid_of_flags": "grid", "is_grid": "ranges", "make_plan": "grid", "parse_bounds": "ranges",
    "plan_grid": "grid", "read_matrix": "grid",
    "read_stages": "stages", "run_sweep": "run", "saturation_steer": "saturation", "stage_folders": "folder",
    "sweep_schema": "model",
}  # fmt: skip
__all__ = [
    "SWEEP",
    "Plan",
    "Sweep",
    "build_imports",
    "build_sweep",
    "grid_of_flags",
    "is_grid",
    "is_imports",
    "make_plan",
    "parse_bounds",
    "plan_grid",
    "read_matrix",
    "read_stages",
    "run_sweep",
    "saturation_steer",
    "stage_folders",
    "sweep_schema",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for: a plan is parsed without the libraries that run it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

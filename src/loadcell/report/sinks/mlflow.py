"""MLflow: a run of ours as a run there. Where its server is and who asks says MLflow's own environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadcell.errors import LoadcellError
from loadcell.metrics import Result
from loadcell.report.sinks import check_library, check_options, figures, settings

OPTIONS = ("experiment", "tracking_uri", "run_name")
_ALLOWED = "_-. /"
"""In names, beside letters and digits."""
_MOST_TEXT = 6000
"""Characters of a parameter."""


def check(options: Mapping[str, str]) -> None:
    """UsageError where these options, or the library, are not there."""
    check_options("mlflow", options, OPTIONS)
    check_library("mlflow", '--sink mlflow needs MLflow: pip install "loadcell[mlflow]"')


def send(result: Result, options: Mapping[str, str], files: Sequence[Path]) -> str:
    """Log settings as parameters, figures as metrics, `files` as artifacts; returns the run's place."""
    check(options)
    import mlflow

    try:
        return _log(mlflow, result, options, files)
    except mlflow.exceptions.MlflowException as error:
        raise LoadcellError(f"MLflow did not take the result: {error}") from None


def _log(mlflow: Any, result: Result, options: Mapping[str, str], files: Sequence[Path]) -> str:
    if "tracking_uri" in options:
        mlflow.set_tracking_uri(options["tracking_uri"])
    if "experiment" in options or not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
        mlflow.set_experiment(options.get("experiment", "loadcell"))
    with mlflow.start_run(run_name=options.get("run_name", result.run.id)) as run:
        told = settings(result)
        mlflow.log_params({_name(key): str(value)[:_MOST_TEXT] for key, value in told.items()})
        mlflow.log_metrics({_name(key): value for key, value in figures(result).items()})
        mlflow.set_tags({f"loadcell.{key}": str(told[key]) for key in ("verdict", "recording", "fingerprint")})
        for file in files:
            mlflow.log_artifact(str(file))
    return f"MLflow run {run.info.run_id} at {mlflow.get_tracking_uri()}"


def _name(key: str) -> str:
    return "".join(char if char.isalnum() or char in _ALLOWED else "_" for char in key)

"""Weights & Biases: a run of ours as a run there. Who asks, and whether to be online, says its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from loadcell.errors import LoadcellError
from loadcell.metrics import Result, word_of
from loadcell.report.sinks import check_library, check_options, figures, settings

OPTIONS = ("project", "entity", "group", "run_name", "mode")


def check(options: Mapping[str, str]) -> None:
    """UsageError where these options, or the library, are not there."""
    check_options("wandb", options, OPTIONS)
    check_library("wandb", '--sink wandb needs Weights & Biases: pip install "loadcell[wandb]"')


def send(result: Result, options: Mapping[str, str], files: Sequence[Path]) -> str:
    """Log settings as configuration, figures as the summary, `files` as an artifact; returns the run's place."""
    check(options)
    import wandb

    asked = {key: options.get(key) for key in ("entity", "group", "mode")}
    try:
        run = wandb.init(
            project=options.get("project") or os.environ.get("WANDB_PROJECT", "loadcell"),
            name=options.get("run_name", result.run.id),
            config=settings(result),
            tags=[word_of(result)],
            settings=wandb.Settings(silent=True),
            **asked,
        )
        run.summary.update(figures(result))
        if files:
            kept = wandb.Artifact(f"loadcell-{run.id}", type="result")
            for file in files:
                kept.add_file(str(file))
            run.log_artifact(kept)
        run.finish()
    except wandb.errors.Error as error:
        raise LoadcellError(f"Weights & Biases did not take the result: {error}") from None
    return f"Weights & Biases run {run.url or run.dir}"

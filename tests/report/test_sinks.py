"""Sinks: what each is given, against stand-ins that hold to the rules of the real ones."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from golden_cases import a_quiet_run

from loadcell.cli.main import main
from loadcell.errors import LoadcellError, UsageError
from loadcell.metrics import Result
from loadcell.report import to_csv, to_json
from loadcell.report.sinks import figures, settings, sink


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return a_quiet_run(tmp_path_factory.mktemp("run") / "run")


class _Taken:
    """A stand-in for MLflow, which takes names as the real one does, and a parameter once."""

    def __init__(self) -> None:
        self.params: dict[str, str] = {}
        self.metrics: dict[str, float] = {}
        self.tags: dict[str, str] = {}
        self.files: list[tuple[str, bytes]] = []
        self.experiment: str | None = None
        self.fails = False

    def module(self) -> Any:
        error = type("MlflowException", (Exception,), {})
        name = re.compile(r"[\w\-. /]+")

        def log_metrics(found: dict[str, float]) -> None:
            if self.fails:
                raise error("the server is not there")
            assert all(name.fullmatch(key) for key in found)
            self.metrics |= found

        def log_params(found: dict[str, str]) -> None:
            assert all(name.fullmatch(key) and len(value) <= 6000 for key, value in found.items())
            self.params |= found

        class Run:
            info = SimpleNamespace(run_id="r1")

            def __enter__(self) -> Run:
                return self

            def __exit__(self, *_: object) -> None: ...

        made: Any = ModuleType("mlflow")
        made.exceptions = SimpleNamespace(MlflowException=error)
        made.set_experiment = lambda name: setattr(self, "experiment", name)
        made.set_tracking_uri = lambda uri: None
        made.get_tracking_uri = lambda: "file:mlruns"
        made.start_run = lambda run_name: Run()
        made.log_params, made.log_metrics, made.set_tags = log_params, log_metrics, self.tags.update
        made.log_artifact = lambda file: self.files.append((Path(file).name, Path(file).read_bytes()))
        return made


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> _Taken:
    taken = _Taken()
    monkeypatch.setitem(sys.modules, "mlflow", taken.module())
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return taken


def test_every_finite_figure_of_the_csv_has_a_name_of_its_own(result: Result) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    numbers = [row for row in rows if re.fullmatch(r"-?\d[\d.e+-]*", row["value"] or "")]
    found = figures(result)
    assert len(found) == len(numbers)
    assert sorted(found.values()) == sorted(float(row["value"]) for row in numbers)
    service = result.latency["ttft_ms"].service
    assert service is not None
    assert found["ttft/service/p99_ms"] == service.p99.value


def test_settings_are_what_was_asked_for(result: Result) -> None:
    told = settings(result)
    assert (told["verdict"], told["fingerprint"]) == ("VALID", result.methodology.fingerprint)
    assert told["endpoint.url"] == result.methodology.spec.endpoint.url
    assert all(value is not None for key, value in told.items() if "." in key)


def test_mlflow_gets_settings_figures_and_files(mlflow: _Taken, result: Result, tmp_path: Path) -> None:
    whole = tmp_path / "result.json"
    whole.write_bytes(to_json(result))
    assert sink("mlflow")(result, [whole]) == "MLflow run r1 at file:mlruns"
    assert mlflow.metrics == figures(result)
    assert mlflow.params["endpoint.url"] == result.methodology.spec.endpoint.url
    assert mlflow.tags["loadcell.verdict"] == "VALID"
    assert mlflow.files == [("result.json", whole.read_bytes())]
    assert mlflow.experiment == "loadcell"


def test_what_mlflow_refuses_is_said_in_its_words(mlflow: _Taken, result: Result) -> None:
    mlflow.fails = True
    with pytest.raises(LoadcellError, match="the server is not there"):
        sink("mlflow:experiment=chat")(result, [])


def test_wandb_gets_settings_figures_and_files(monkeypatch: pytest.MonkeyPatch, result: Result, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}
    summary: dict[str, float] = {}
    kept: list[str] = []

    def init(**fields: Any) -> Any:
        asked.update(fields)
        return SimpleNamespace(
            id="r1", url=None, dir="wandb/run-1", summary=summary, log_artifact=lambda each: None, finish=lambda: None
        )

    made: Any = ModuleType("wandb")
    made.errors = SimpleNamespace(Error=type("Error", (Exception,), {}))
    made.init, made.Settings = init, SimpleNamespace
    made.Artifact = lambda name, type: SimpleNamespace(add_file=kept.append)
    monkeypatch.setitem(sys.modules, "wandb", made)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    whole = tmp_path / "result.json"
    whole.write_bytes(to_json(result))
    assert sink("wandb:mode=offline")(result, [whole]) == "Weights & Biases run wandb/run-1"
    assert (asked["project"], asked["mode"], asked["tags"]) == ("loadcell", "offline", ["VALID"])
    assert summary == figures(result)
    assert kept == [str(whole)]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("mlfow", r"no such sink \(did you mean mlflow\?\); there are: mlflow, wandb"),
        ("mlflow:chat", "'chat' is no KEY=VALUE"),
    ],
)
def test_a_wrong_sink_is_said_before_anything_is_sent(asked: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        sink(asked)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_an_unknown_option_and_a_library_that_is_not_there_are_said_before_the_load(
    monkeypatch: pytest.MonkeyPatch, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="unknown option projct"):
        sink(f"{name}:projct=x")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=rf'pip install "loadcell\[{name}\]"'):
        sink(name)
    assert main(["run", "http://127.0.0.1:9", "--sink", name]) == 2  # that nothing listens there is not found out
    assert f'pip install "loadcell[{name}]"' in capsys.readouterr().err


def test_report_sends_a_saved_result(
    mlflow: _Taken, result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved.json"
    saved.write_bytes(to_json(result))
    assert main(["report", str(saved), "--sink", "mlflow"]) == 0
    assert "MLflow run r1" in capsys.readouterr().err
    assert len(mlflow.files) == 1
    assert main(["run", "http://127.0.0.1:9", "--sink", "mlflw"]) == 2

"""Whole folders: submissions of both layouts, the Endpoints client's output, points of a curve."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from example_logs import DETAIL, ENDPOINTS, INTERACTIVE, OFFLINE, SUMMARY, edit, files_of, put

from loadcell.mlperf.files.checking import Checked, check_folder
from loadcell.mlperf.files.judging import Asked
from loadcell.mlperf.rules import endpoints_rules, seeds_of

SYSTEM = "8xB200"


def failing(checked: Checked) -> set[tuple[str, str]]:
    return {(f.rule, f.where or "") for f in checked.findings if f.ok is False}


def accuracy_run(folder: Path) -> None:
    """What an accuracy run of the Offline example leaves: its log is published cut, its other files follow from it."""
    put(OFFLINE, folder, DETAIL, "accuracy.txt")
    lines = (folder / DETAIL).read_text().splitlines(keepends=True)
    (folder / DETAIL).write_text("".join(line for line in lines if '"result_' not in line))
    edit(folder, "effective_test_mode", lambda _: "AccuracyOnly")
    edit(folder, "generated_samples_per_query", lambda _: 13368)
    (folder / SUMMARY).write_text("\nNo warnings encountered during test.\n\nNo errors encountered during test.\n")
    log = files_of(OFFLINE)["mlperf_log_accuracy.truncated.json.txt"]
    (folder / "mlperf_log_accuracy.json").write_bytes(log)


def submission(root: Path, *, late: bool) -> Path:
    """closed/Dell of v5.1, or of the later layout; of llama3.1-8b Offline alone."""
    organisation = root / "inference_results_v5.1" / "closed" / "Dell"
    scenario = organisation / "results" / SYSTEM / "llama3.1-8b" / "Offline"
    put(OFFLINE, scenario / "performance" / "run_1", DETAIL, SUMMARY)
    accuracy_run(scenario / "accuracy")
    beside = scenario if late else organisation / "measurements" / SYSTEM / "llama3.1-8b" / "Offline"
    tests = scenario if late else organisation / "compliance" / SYSTEM / "llama3.1-8b" / "Offline"
    put(INTERACTIVE, beside, "user.conf", "measurements.json")
    if not late:
        (beside / "measurements.json").rename(beside / f"{SYSTEM}_h.json")
    (beside / "README.md").write_text("how")
    (tests / "TEST06" / "performance" / "run_1").mkdir(parents=True)
    put(OFFLINE, tests / "TEST06" / "performance" / "run_1", DETAIL)
    about = json.loads(files_of(INTERACTIVE)["system.json"]) | {"submitter": "Dell"}
    (organisation / "systems").mkdir()
    (organisation / "systems" / f"{SYSTEM}.json").write_text(json.dumps(about))
    (organisation / ("src" if late else "code")).mkdir()
    return organisation


def test_a_whole_submission_fails_for_what_is_missing_alone(tmp_path: Path) -> None:
    submission(tmp_path, late=False)
    checked = check_folder(tmp_path)
    benchmark = f"inference_results_v5.1/closed/Dell/results/{SYSTEM}/llama3.1-8b"
    assert failing(checked) == {("required-scenarios", benchmark)}
    held = {f.rule for f in checked.findings if f.ok}
    assert held >= {"system-fields", "measurements", "compliance", "accuracy-order", "accuracy-gate", "file-size"}


def test_the_layout_of_later_rounds(tmp_path: Path) -> None:
    """Measurements and tests lie beside the runs; the logs are of v5.1, so they are told to be of another round."""
    submission(tmp_path, late=True)
    rules = {rule for rule, _ in failing(check_folder(tmp_path, Asked(round="v6.0")))}
    assert rules == {"required-scenarios", "round", "seeds"}


def test_one_scenario_of_a_submission_can_be_checked_alone(tmp_path: Path) -> None:
    organisation = submission(tmp_path, late=False)
    checked = check_folder(organisation / "results" / SYSTEM / "llama3.1-8b" / "Offline" / "performance" / "run_1")
    assert failing(checked) == set()


def damage(name: str) -> Any:
    """A change to a submission, by the name of the rule that must tell it."""
    results, measured = f"results/{SYSTEM}/llama3.1-8b/Offline", f"measurements/{SYSTEM}/llama3.1-8b/Offline"
    system = f"systems/{SYSTEM}.json"

    def of_json(path: str, **more: Any) -> Any:
        def change(folder: Path) -> None:
            about = json.loads((folder / path).read_text())
            (folder / path).write_text(json.dumps({k: v for k, v in (about | more).items() if v is not ...}))

        return change

    return {
        "no system": lambda f: (f / system).unlink(),
        "system field": of_json(system, cooling=...),
        "empty system field": of_json(system, framework=""),
        "status": of_json(system, status="soon"),
        "division": of_json(system, division="open"),
        "system type": of_json(system, system_type="desk"),
        "measurements field": of_json(f"{measured}/{SYSTEM}_h.json", retraining=""),
        "no measurements": lambda f: shutil.rmtree(f / measured),
        "no README": lambda f: (f / measured / "README.md").unlink(),
        "user.conf": lambda f: (f / measured / "user.conf").write_text("target_qps = 3\n"),
        "no TEST06": lambda f: shutil.rmtree(f / f"compliance/{SYSTEM}"),
        "no code": lambda f: (f / "code").rmdir(),
        "no accuracy": lambda f: shutil.rmtree(f / results / "accuracy"),
        "no performance": lambda f: shutil.rmtree(f / results / "performance"),
        "no summary": lambda f: (f / results / "performance/run_1" / SUMMARY).unlink(),
        "no hash": lambda f: (f / results / "accuracy/accuracy.txt").write_text(
            files_of(OFFLINE)["accuracy.txt"].decode().split("hash")[0]
        ),
        "gate": lambda f: (f / results / "accuracy/accuracy.txt").write_text("{'rouge1': 30.0}\nhash=" + "0" * 64),
        "fewer scored": lambda f: (f / results / "accuracy/accuracy.txt").write_text(
            files_of(OFFLINE)["accuracy.txt"].decode().replace("13368", "100")
        ),
        "accuracy seeds": lambda f: edit(f / results / "accuracy", "effective_qsl_rng_seed", lambda _: 1),
        "benchmark name": lambda f: (f / f"results/{SYSTEM}/llama3.1-8b").rename(f / f"results/{SYSTEM}/llama9"),
    }[name]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("no system", "file-present"),
        ("system field", "system-fields"),
        ("empty system field", "system-fields"),
        ("status", "system-fields"),
        ("division", "system-fields"),
        ("system type", "system-fields"),
        ("measurements field", "measurements"),
        ("no measurements", "measurements"),
        ("no README", "measurements"),
        ("user.conf", "conf-form"),
        ("no TEST06", "compliance"),
        ("no code", "layout"),
        ("no accuracy", "file-present"),
        ("no performance", "file-present"),
        ("no summary", "file-present"),
        ("no hash", "accuracy-hash"),
        ("gate", "accuracy-gate"),
        ("fewer scored", "accuracy-complete"),
        ("accuracy seeds", "seeds"),
        ("benchmark name", "benchmark"),
    ],
)
def test_a_damaged_submission_fails_by_the_name_of_the_rule(name: str, rule: str, tmp_path: Path) -> None:
    organisation = submission(tmp_path, late=False)
    before = {r for r, _ in failing(check_folder(organisation))}
    damage(name)(organisation)
    assert rule in {r for r, _ in failing(check_folder(organisation))} - before


def test_the_open_division_may_miss_scenarios_and_gates(tmp_path: Path) -> None:
    organisation = submission(tmp_path, late=False)
    organisation.parent.rename(organisation.parent.parent / "open")
    root = tmp_path / "inference_results_v5.1" / "open" / "Dell"
    path = root / "systems" / f"{SYSTEM}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"division": "open"}))
    shutil.rmtree(root / "compliance")
    (root / "results" / SYSTEM / "llama3.1-8b/Offline/accuracy/accuracy.txt").write_text(
        files_of(OFFLINE)["accuracy.txt"].decode().replace("38.4847", "12.0")
    )
    assert failing(check_folder(tmp_path)) == set()


# --- the Endpoints client's output ------------------------------------------------------------------------------------


def endpoints(folder: Path, **config: Any) -> Path:
    """The v6.1 example with a config.yaml, which is not among the published excerpts."""
    files, seeds = files_of(ENDPOINTS), seeds_of("v6.1")
    for name, place in (("result_summary", "performance"), ("accuracy_results", "accuracy")):
        (folder / place).mkdir(parents=True)
        (folder / place / f"{name}.json").write_bytes(files[f"{name}.trimmed.json"])
    (folder / "measurements.json").write_bytes(files["measurements.json"])
    pattern = {"type": "poisson", "target_qps": 325.0}
    runtime = {
        "min_duration_ms": 600000, "n_samples_to_issue": 600000,
        "scheduler_random_seed": seeds.schedule, "dataloader_random_seed": seeds.sample_index,
    }  # fmt: skip
    tree = {
        "type": "online", "model_params": {"streaming": "on"},
        "settings": {"load_pattern": pattern, "runtime": runtime},
    } | config  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    return folder


DEEPSEEK = Asked(round="v6.1", benchmark="deepseek-r1", scenario="server")


def test_the_published_endpoints_run_passes(tmp_path: Path) -> None:
    checked = check_folder(endpoints(tmp_path / "Server"), DEEPSEEK)
    assert failing(checked) == set()
    held = {f.rule for f in checked.findings if f.ok}
    assert held >= {"seeds", "ttft-limit", "tpot-limit", "metric-consistency-qps", "metric-consistency-system-tps"}


def test_by_the_folders_of_a_submission_it_is_what_they_say(tmp_path: Path) -> None:
    scenario = tmp_path / "submissions_v6.1" / "closed" / "NVIDIA" / "results" / "VR" / "deepseek-r1" / "Server"
    assert failing(check_folder(endpoints(scenario))) == set()
    rules = {rule for rule, _ in failing(check_folder(tmp_path))}
    assert rules == {"layout", "file-present", "compliance"}  # what lies around it is missing in this tree


def test_its_interactive_run_has_other_limits(tmp_path: Path) -> None:
    asked = Asked(round="v6.1", benchmark="deepseek-r1", scenario="interactive")
    assert {rule for rule, _ in failing(check_folder(endpoints(tmp_path / "x"), asked))} == {"tpot-limit"}


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("n_samples_failed",), 5, "errors"),
        (("n_samples_completed",), 599_000, "metric-consistency-accounting"),
        (("state",), "interrupted", "run-complete"),
        (("qps",), 320.0, "metric-consistency-qps"),
        (("tps",), 1_200_000.0, "metric-consistency-system-tps"),
        (("legacy_loadgen_window_duration_ns",), 3e12, "window"),
        (("duration_ns",), 3e11, "min-duration"),
        (("ttft", "early_stopping_percentiles", "99.0"), 2.1e9, "ttft-limit"),
        (("ttft", "early_stopping_percentiles", "99.0"), None, "ttft-limit"),
        (("ttft", "early_stopping_percentiles", "99.0"), 3.0e8, "ttft-early-stopping"),
        (("tpot", "percentiles", "95.0"), 9e7, "tpot-order"),
        (("ttft", "avg"), 9.9e8, "ttft-order"),
        (("run_config", "scheduler_random_seed"), 7, "seed-runtime-match"),
        (("run_config", "load_pattern", "target_qps"), 300.0, "load-pattern"),
        (("latency",), None, "file-fields"),
        (("n_samples_issued",), "many", "file-fields"),
    ],
)
def test_an_edited_summary_fails_by_the_name_of_the_rule(
    path: tuple[str, ...], value: Any, rule: str, tmp_path: Path
) -> None:
    folder = endpoints(tmp_path / "Server")
    file = folder / "performance" / "result_summary.json"
    tree = inner = json.loads(file.read_text())
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(tree))
    assert rule in {r for r, _ in failing(check_folder(folder, DEEPSEEK))}


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({"type": "offline"}, "benchmark-type-consistency"),
        ({"model_params": {"streaming": "off"}}, "streaming"),
        ({"settings": {"load_pattern": {"type": "concurrency"}}}, "load-pattern"),
        ({"settings": {"runtime": {"min_duration_ms": 1}}}, "min-duration"),
        ({"settings": {"runtime": {"scheduler_random_seed": 1}}}, "seeds"),
    ],
)
def test_a_wrong_configuration_fails_by_the_name_of_the_rule(config: Any, rule: str, tmp_path: Path) -> None:
    assert rule in {r for r, _ in failing(check_folder(endpoints(tmp_path / "Server", **config), DEEPSEEK))}


def test_v6_0_takes_no_output_of_that_client(tmp_path: Path) -> None:
    asked = Asked(round="v6.0", benchmark="deepseek-r1", scenario="server")
    assert "model-name-valid" in {r for r, _ in failing(check_folder(endpoints(tmp_path / "x"), asked))}


# --- points of a curve ------------------------------------------------------------------------------------------------


def curve(root: Path) -> Path:
    """Eight points of llama3_1-8b with an elected Offline point and five accuracy runs, all by the rules."""
    model = root / "ACME" / "s-1" / "results" / "box" / "llama3_1-8b"
    (seeds,) = endpoints_rules().seed_sets
    for concurrency, region in (
        (2, "low_latency"), (4, "low_concurrency"), (8, "low_concurrency"), (20, "med_concurrency"),
        (42, "med_concurrency"), (100, "high_concurrency"), (200, "high_concurrency"), (256, "high_concurrency"),
    ):  # fmt: skip
        folder = model / f"r{concurrency}"
        folder.mkdir(parents=True)
        requests, duration_s = 13368 * 4, 1600.0
        tokens, tpot_ns = requests * 128, 10e6 + 1e4 * concurrency
        point = {
            "concurrency": concurrency, "region": region, "max_supported_concurrency": 256, "division": "standardized",
            "model_name": "llama3_1-8b", "dataset_name": "cnn_dailymail", "target_cohort": seeds.cohort,
            "seed_set": seeds.id, "offline": "elected" if concurrency == 256 else None,
            "runtime_settings": {
                "load_pattern": "concurrency", "min_duration_ms": 1200000,
                "runtime": {
                    "scheduler_rng_seed": seeds.scheduler_rng_seed,
                    "sample_index_rng_seed": seeds.sample_index_rng_seed,
                    "model_seed": seeds.model_seed,
                },
            },
            "warmup": {"duration_s": 0.0, "requests_issued": 0, "requests_completed": 0, "data_source": "none"},
            "steady_state": {
                "status": "windowable", "verdict": "STEADY STATE", "state": "Plateau",
                "window": {
                    "super_pass_start": 0, "super_pass_end": 4, "super_pass_size": 13368, "n_samples": requests,
                    "duration_s": 1500.0,
                },
            },
        }  # fmt: skip
        (folder / "point.yaml").write_text(yaml.safe_dump(point))
        figures = {"total": 1.0, "min": 1.0, "max": 1e9, "avg": 2.0, "percentiles": {"90.0": tpot_ns}}
        summary = {
            "n_samples_issued": requests, "n_samples_completed": requests, "n_samples_failed": 0,
            "duration_ns": duration_s * 1e9, "state": "complete", "complete": True, "tpot": figures,
            "latency": {"percentiles": {}}, "ttft": figures, "qps": requests / duration_s, "tps": tokens / duration_s,
            "output_sequence_lengths": {"total": tokens, "avg": 128.0},
            "run_config": {"load_pattern": {"type": "concurrency"}, "warmup": {"enabled": False, "salt": True}},
        }  # fmt: skip
        summary["ttft"] = figures | {"total": 2.0 * requests}
        (folder / "result_summary.json").write_text(json.dumps(summary))
        if concurrency in (2, 4, 20, 100, 256):
            score = {"rouge1": 39.0, "rouge2": 16.0, "rougel": 25.0, "rougelsum": 36.0, "gen_len": 8_000_000.0}
            scores = [{"score": score, "total_samples": 13368, "complete": True}]
            (folder / "accuracy_results.json").write_text(json.dumps({"accuracy_scores": scores}))
    return model


def test_a_curve_by_the_rules_holds(tmp_path: Path) -> None:
    curve(tmp_path)
    checked = check_folder(tmp_path)
    assert failing(checked) == set()
    held = {f.rule for f in checked.findings if f.ok}
    assert held >= {
        "point-count", "region-computation", "region-placement", "ultra-low-coverage", "offline-point-present",
        "seed-set-membership", "seed-runtime-match", "accuracy-coverage", "accuracy-gate", "steady-state-valid",
        "metric-consistency-accounting", "point-dirname-concurrency", "target-cohort",
    }  # fmt: skip


def point_edit(model: Path, folder: str, **more: Any) -> None:
    file = model / folder / "point.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | more))


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"region": "high_concurrency"}, "region-placement"),
        ({"max_supported_concurrency": 512}, "region-computation"),
        ({"concurrency": 21}, "point-dirname-concurrency"),
        ({"target_cohort": "2030-01-C0"}, "target-cohort"),
        ({"seed_set": "Z"}, "seed-set-membership"),
        ({"dataset_name": "other"}, "config-consistency-dataset"),
        ({"steady_state": {"status": "steady", "verdict": "yes"}}, "steady-state-valid"),
        ({"runtime_settings": {"load_pattern": "poisson"}}, "load-pattern"),
        ({"warmup": None}, "warmup-present"),
        ({"concurrency": "many"}, "file-fields"),
    ],
)
def test_an_edited_point_fails_by_the_name_of_the_rule(more: dict[str, Any], rule: str, tmp_path: Path) -> None:
    point_edit(curve(tmp_path), "r20", **more)
    assert rule in {r for r, _ in failing(check_folder(tmp_path))}


def test_a_point_without_summary_and_one_with_a_low_score(tmp_path: Path) -> None:
    model = curve(tmp_path)
    (model / "r8" / "result_summary.json").unlink()
    text = (model / "r100" / "accuracy_results.json").read_text().replace("39.0", "19.0")
    (model / "r100" / "accuracy_results.json").write_text(text)
    rules = {r for r, _ in failing(check_folder(tmp_path))}
    assert {"result-summary-present", "accuracy-gate"} <= rules


def test_folders_that_run_in_circles_and_have_no_end_are_walked_once(tmp_path: Path) -> None:
    folder = endpoints(tmp_path / "Server")
    (folder / "loop").symlink_to(tmp_path)
    deep = folder
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert failing(check_folder(tmp_path, DEEPSEEK)) == set()

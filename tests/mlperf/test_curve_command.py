"""`loadcell mlperf curve` against the embedded engine, with points of a fraction of a second."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from small_engine import engine
from surroundings import forked_workers, one_tokenizer, plain_environment  # noqa: F401

from loadcell.cli.main import main
from loadcell.mlperf.curve import peak, planning
from loadcell.mlperf.curve import run as running
from loadcell.mlperf.curve.folder import CURVE, build_curve
from loadcell.mlperf.curve.model import Curve, PointRun
from loadcell.mlperf.model import FOOTNOTE, UNVERIFIED
from loadcell.recording.read import open_recording
from loadcell.spec import Spec

pytestmark = pytest.mark.usefixtures("alone")

TINY = (
    "--benchmark", "llama3.1-8b", "--look-alike", "--quick", "--set", "workload.output_tokens=4", "--workers", "1",
    "--shared-host", "--set", "observe.every_s=0",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def short_points() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "QUICK_DURATION_S", 0.1)
        patch.setattr(peak, "QUICK_STAGE_S", 0.15)
        yield


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with engine("--ttft", "4ms", "--itl", "1ms", "--slots", "64") as found:
        yield found


@pytest.fixture(scope="module")
def made(url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole curve."""
    folder = tmp_path_factory.mktemp("curves") / "whole"
    assert main(
        ["mlperf", "curve", url, *TINY, "--c-max", "40", "--offline", "dedicated", "--output", str(folder)]
    ) in (0, 4)
    return folder


def called(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["mlperf", "curve", *map(str, words)])
    return code, *capsys.readouterr()


def test_a_curve_from_the_plan_to_the_steps(made: Path) -> None:
    curve = msgspec.json.decode((made / "curve.json").read_bytes(), type=Curve)
    assert curve.complete
    assert (curve.verified, curve.footnote) == (False, FOOTNOTE)
    assert [one.point.concurrency for one in curve.points] == [p.concurrency for p in curve.plan.points]
    *points, offline = curve.points
    assert (offline.point.offline, offline.run.issued, offline.point.steady) == ("dedicated", curve.plan.samples, None)
    assert all(one.point.offline is None and one.point.steady is not None for one in points)
    assert curve.plan.quick
    assert curve.plan.look_alike
    for one in curve.points:
        assert one.run.issued % curve.plan.samples == 0
        assert one.run.completed == one.run.issued
        assert one.run.output_tokens == 4 * one.run.completed
        tpot_ms = one.point.tpot_p90_ms  # none where every reply came at once, as all of an offline point may
        assert one.point.tps_per_user == (pytest.approx(1000 / tpot_ms) if tpot_ms else None)
        assert tpot_ms or one is offline
        assert one.point.system_tps == pytest.approx(one.run.output_tokens / one.run.duration_s)
        assert (one.point.ttft_p90_ms or 0) >= 4
    figures = [curve.points[i].point for i in curve.steps]
    assert [p.system_tps for p in figures] == sorted((p.system_tps or 0 for p in figures), reverse=True)
    rules = {finding.rule: finding.ok for finding in curve.findings}
    assert rules["point-count"] is rules["region-placement"] is True
    assert (
        rules["point-duration"] is rules["min-query-count"] is None
    )  # shorter on purpose: no pass, and no failure of the server


def test_files_of_points_for_exports(made: Path) -> None:
    one = msgspec.json.decode((made / "r40" / "point.json").read_bytes(), type=PointRun)
    assert (one.point.concurrency, one.planned.folder, one.state) == (40, "r40", "complete")
    assert one.point.seeds is not None
    assert one.point.seeds.id == "A"
    assert build_curve(made).points[-2].run == one.run


def test_every_pass_sends_every_sample_in_another_order(made: Path) -> None:
    sent = open_recording(made / "r40").schedule(("prompt",))["prompt"].astype(int)
    samples = CURVE.read(made).samples
    passes = [sent[i : i + samples].tolist() for i in range(0, len(sent), samples)]
    assert all(sorted(one) == list(range(samples)) for one in passes)
    assert len(passes) < 2 or passes[0] != passes[1]


def test_what_is_shown(made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for width in ("80", "120"):
        monkeypatch.setenv("COLUMNS", width)
        code, out, err = called(capsys, made, "--resume")
        assert code in (0, 4)
        assert "point" not in err  # nothing was run again
        unbroken = (" concurrency", " Recorded", " One", " Check", " Page")
        wide = [line for line in out.splitlines() if len(line) > int(width) and not line.startswith(unbroken)]
        assert not wide
        plain = " ".join(out.split())
        assert UNVERIFIED in plain
        assert plain.count(FOOTNOTE) == 1
        assert "(quick, look-alike samples: not comparable)" in plain
        assert "C_max 40 (declared)" in plain
        assert "Ultra Low 1-2 · Low 3-5" in plain
        assert "…" not in out
        for score in (
            line for line in out.splitlines() if "tokens/s in all" in line or line.startswith(" concurrency")
        ):
            assert "unverified" in score or "unverified" in plain


def test_json(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, made, "--resume", "--json")
    assert code in (0, 4)
    tree = json.loads(out)
    assert tree["verified"] is False
    assert len(tree["points"]) == 8


def test_a_cut_point_is_run_again_and_whole_ones_are_kept(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    manifest = json.loads((folder / "r4" / "recording.json").read_text())
    (folder / "r4" / "recording.json").write_text(json.dumps(manifest | {"state": "interrupted"}))
    before = (folder / "r2" / "recording.json").stat().st_mtime_ns
    assert not build_curve(folder).complete
    code, _, err = called(capsys, folder, "--resume")
    assert code in (0, 4)
    assert "Traceback" not in err
    assert (folder / "r4.cut-1").is_dir()
    assert (folder / "r2" / "recording.json").stat().st_mtime_ns == before
    assert build_curve(folder).complete


def test_ctrl_c_keeps_what_is_there_and_says_how_to_go_on(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    shutil.rmtree(folder / "r40")
    monkeypatch.setattr(running, "run_load", _interrupted)
    code, out, err = called(capsys, folder, "--resume")
    assert code == 130
    assert f"loadcell mlperf curve {folder} --resume" in err
    assert "1 point to run, at concurrency 40" in err
    assert "7 of 8 points were run" in out
    assert (folder / "curve.json").exists()


def test_ctrl_c_in_the_search(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peak, "run_load", _interrupted)
    code, _, err = called(capsys, url, *TINY, "--output", tmp_path / "c")
    assert code == 130
    assert f"--resume --output {tmp_path / 'c'}" in err


def _interrupted(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


def test_c_max_is_searched_for_and_kept_stages_are_not_run_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def load(spec: Spec, folder: Path, _: object) -> Any:
        ran.append(spec.load.concurrency or 0)
        assert spec.workload.prompts is None  # no sample of the data set is sent before the curve
        assert (spec.workload.output_tokens, spec.load.min_requests) == ("4", ran[-1])
        shutil.copytree(made / "search" / "c40", folder)
        return open_recording(folder).manifest

    monkeypatch.setattr(peak, "run_load", load)
    spec = CURVE.read(made).spec

    def search() -> list[int]:
        stages = peak.find_c_max(
            spec, tmp_path, lambda _: None, lambda _: None, prompt_tokens=100, output_tokens=4, quick=True, most=1000
        )
        return [stage.concurrency for stage in stages]

    first = search()
    assert first == ran
    assert ran in ([2, 8, 16, 32], [2, 8, 16, 32, 64])  # no growth at all: sure at once, or by the figures twice
    assert search() == first
    assert len(ran) == len(first)


def test_a_point_that_was_too_short_is_run_once_more(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = CURVE.read(made)
    spec, only = plan.spec, plan.points[3]
    plan = msgspec.structs.replace(plan, quick=False, points=[msgspec.structs.replace(only, min_duration_s=1000.0)])
    asked: list[int] = []

    def load(spec: Spec, folder: Path, _: object, **__: object) -> Any:
        asked.append(spec.load.requests or 0)
        shutil.copytree(made / only.folder, folder)
        return open_recording(folder).manifest

    monkeypatch.setattr(running, "run_load", load)
    monkeypatch.setattr(running, "expected_rate", lambda *_: 0.001)
    said: list[str] = []
    (found,) = running.run_points(plan, spec, tmp_path, lambda _: None, lambda _: None, lambda _: None, said.append)
    span_s = found.point.issue_span_s or 0.0
    assert asked[0] == plan.samples
    assert asked[1] >= 1000 * found.run.issued / span_s
    assert len(asked) == 2
    assert len(said) == 1
    assert (tmp_path / f"{only.folder}.cut-1").is_dir()
    assert (tmp_path / only.folder).is_dir()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name the endpoint"),
        (("URL",), "--benchmark"),
        (("URL", "--benchmark", "llama2-70b-99.9", "--look-alike"), "llama3.1-8b, gpt-oss-120b, deepseek-r1"),
        (("URL", "--benchmark", "lama3.1-8b", "--look-alike"), "llama3.1-8b"),
        (("URL", "--benchmark", "llama3.1-8b", "--look-alike", "--c-max", "32"), "above 32"),
        (("URL", "--benchmark", "llama3.1-8b", "--look-alike", "--points", "3"), "7 to 32"),
        (("URL", "--benchmark", "llama3.1-8b", "--look-alike", "--points", "many"), "--points"),
        (("URL", "--benchmark", "llama3.1-8b", "--look-alike", "--offline", "both"), "elected or dedicated"),
        (("URL", "--benchmark", "llama3.1-8b", "--look-alike", "--resume"), "--resume"),
        (("URL", "--benchmark", "llama3.1-8b", "--dataset", "/nowhere/at/all.jsonl"), "/nowhere/at/all.jsonl"),
        (
            ("URL", "--benchmark", "llama3.1-8b", "--look-alike", "--set", "workload.output_tokens=uniform:1,5"),
            "number",
        ),
        (("TMP",), "no folder of a curve"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [{"URL": "http://127.0.0.1:9", "TMP": str(tmp_path)}.get(word, word) for word in words]
    output = [] if "TMP" in words or "--resume" in words else ["--output", str(tmp_path / "c")]
    code, _, err = called(capsys, *given, *output)
    assert code == 2
    assert says in err
    assert not (tmp_path / "c").exists()


def test_another_plan_in_the_folder(made: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = called(capsys, url, *TINY, "--c-max", "50", "--output", made)
    assert (code, "already holds files" in err) == (1, True)
    code, _, err = called(capsys, made)
    assert (code, "--resume" in err) == (2, True)
    code, _, err = called(capsys, made, "--resume", "--points", "9")
    assert (code, "knows what it is to do" in err) == (2, True)


def test_an_endpoint_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], no_waiting: None) -> None:
    code, _, err = called(capsys, "http://127.0.0.1:9", *TINY, "--output", tmp_path / "c")
    assert code == 1
    assert "127.0.0.1:9" in err

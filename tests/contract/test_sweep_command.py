"""`loadcell sweep`: what is asked for in flags, what is refused in words, what is kept whatever ends it."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import HANG, Received, clean, json_reply, serve

from loadcell.cli.main import main
from loadcell.load import Progress
from loadcell.search import Plan
from loadcell.spec import Endpoint, Spec

SHORT = ("--requests", "4", "--output-tokens", "4", "--input-tokens", "8", "--ramp", "0", "--workers", "1")
URL = "http://127.0.0.1:9"
Load = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sweep(capsys: pytest.CaptureFixture[str]) -> Load:
    """`loadcell sweep`: exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["sweep", *map(str, words)])
        return code, *capsys.readouterr()

    return run


class Asked(Exception):
    """What `run_sweep` was called with."""

    def __init__(self, spec: Spec, plan: Plan, folder: Path, fields: dict[str, Any]) -> None:
        self.spec, self.plan, self.folder, self.fields = spec, plan, folder, fields


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asked]:
    """What a command line asks for, without any load."""

    def run_sweep(spec: Spec, plan: Plan, folder: Path, *_: object, **fields: Any) -> None:
        raise Asked(spec, plan, folder, fields)

    monkeypatch.setattr("loadcell.search.run.run_sweep", run_sweep)

    def ask(*words: object) -> Asked:
        with pytest.raises(Asked) as caught:
            main(["sweep", *map(str, words)])
        return caught.value

    return ask


# --- what flags ask for ----------------------------------------------------------------------------------------------


def test_a_grid_of_users(asked: Callable[..., Asked]) -> None:
    got = asked(URL, "--concurrency", "1,2,4..32", "--seed", "7")
    assert (got.plan.mode, got.plan.axis, got.plan.stage_s, got.plan.seed) == ("grid", "load.concurrency", 30.0, 7)
    assert [stage["load.concurrency"] for stage in got.plan.stages] == [1, 2, 4, 8, 16, 32]
    assert got.folder.parent == Path("sweeps") and got.fields["resume"] is False
    assert got.plan.target is None


def test_a_grid_of_rates_in_another_order(asked: Callable[..., Asked]) -> None:
    words = (URL, "--rate", "1..40", "--steps", "8", "--duration", "5s", "--output", "x")
    got = asked(*words, "--shuffle")
    rates = [stage["load.rate"] for stage in got.plan.stages]
    assert got.plan.axis == "load.rate" and got.plan.stage_s == 5.0 and got.folder == Path("x")
    assert sorted(rates)[0] == 1 and sorted(rates)[-1] == 40 and len(rates) == 8 and rates != sorted(rates)
    assert rates == [stage["load.rate"] for stage in asked(*words, "--shuffle").plan.stages]


def test_a_cap_on_a_grid_of_rates(asked: Callable[..., Asked]) -> None:
    got = asked(URL, "--rate", "1,2,4", "--concurrency", "16")
    assert got.spec.load.concurrency == 16 and got.plan.axis == "load.rate"


def test_a_matrix(asked: Callable[..., Asked], tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("matrix: {load.rate: [1, 2], workload.output_tokens: [16, 'uniform:8,24']}")
    got = asked(URL, "--matrix", tmp_path / "m.yaml")
    assert got.plan.axis is None and len(got.plan.stages) == 4
    assert got.plan.stages[1] == {"load.rate": 1.0, "workload.output_tokens": "uniform:8,24"}


def test_an_slo_without_loads_is_a_search(asked: Callable[..., Asked]) -> None:
    got = asked(URL, "--slo", "ttft=2s,tpot=100ms")
    plan = got.plan
    assert (plan.mode, plan.axis, plan.target, plan.lowest, plan.highest) == ("search", "load.rate", 0.99, None, None)
    assert (plan.stage_s, plan.width, plan.stages) == (None, 0.05, [])
    assert plan.spec.slo.ttft_ms == 2000


def test_an_slo_with_loads_is_a_grid(asked: Callable[..., Asked]) -> None:
    assert asked(URL, "--slo", "ttft=2s", "--rate", "1,2,4").plan.mode == "grid"


@pytest.mark.parametrize("words", [("--concurrency",), ("--concurrency", "1..64")])
def test_a_search_of_users(asked: Callable[..., Asked], words: tuple[str, ...]) -> None:
    plan = asked(URL, "--slo", "ttft=2s", "--attainment", "95%", "--width", "10%", *words).plan
    assert (plan.mode, plan.axis, plan.target, plan.width) == ("search", "load.concurrency", 0.95, 0.1)
    assert (plan.lowest, plan.highest) == ((1.0, 64.0) if len(words) == 2 else (None, None))


def test_a_search_takes_the_share_of_its_preset(asked: Callable[..., Asked]) -> None:
    from loadcell.presets import find_preset

    assert asked(URL, "--slo", "chat").plan.target == find_preset("chat").attainment
    assert asked(URL, "--slo", "chat", "--attainment", "0.9").plan.target == 0.9


@pytest.mark.parametrize(
    ("text", "share"), [("0.99", 0.99), ("99", 0.99), ("99%", 0.99), ("99.9%", 0.999), ("0.5", 0.5)]
)
def test_shares_as_people_write_them(asked: Callable[..., Asked], text: str, share: float) -> None:
    assert asked(URL, "--slo", "ttft=2s", "--attainment", text).plan.target == share


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([URL], ["--concurrency 1,2,4..256", "--slo ttft=2s,tpot=100ms", URL]),
        ([URL, "--concurrency"], ["--slo"]),
        ([URL, "--attainment", "0.99"], ["--attainment", "--slo ttft=2s"]),
        ([URL, "--rate", "1,2,4", "--steps", "8"], ["--steps", "leave out"]),
        ([URL, "--rate", "1,2", "--concurrency", "1,2"], ["--rate and --concurrency"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "0.9", "--rate", "1..4", "--concurrency", "1..4"], ["--rate"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "0.9", "--rate", "1,2,4"], ["two ends", "--rate 1..40"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "0.9", "--concurrency", "1.5..4"], ["whole"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "0.3"], ["50%", "99%"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "100"], ["99.9%"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "1"], ["99.9%"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "most"], ["0.99 or 99%"]),
        ([URL, "--slo", "ttft=2s", "--width", "0"], ["--width", "5%"]),
        ([URL, "--slo", "ttft=2s", "--steps", "8"], ["--steps", "grid"]),
        ([URL, "--slo", "ttft=2s", "--requests", "80"], ["--requests", "search"]),
        ([URL, "--slo", "ttft=2s", "--set", "load.requests=80"], ["load.requests"]),
        ([URL, "--slo", "ttft=2s", "--attainment", "0.9", "--matrix", "m.yaml"], ["--matrix", "--attainment"]),
        ([URL, "--matrix", "m.yaml", "--rate", "1,2"], ["--matrix", "leave out"]),
        ([URL, "--matrix", "no/such.yaml"], ["no/such.yaml"]),
        ([URL, "--rate", "1,2", "--width", "5%"], ["--width", "search"]),
        ([URL, "--rate", "1,2", "--duration", "0"], ["--duration 0"]),
        ([URL, "--rate", "1,2", "--duration", "soon"], ["'soon'"]),
        ([URL, "--rate", "1..40"], ["--steps"]),
        ([URL, "--rate", "1,2", "--resume"], ["--resume", "sweeps/TIME"]),
        ([URL, "--rate", "1,2", "--stop-when-saturated"], ["--stop-when-saturated"]),
        (["--rate", "1,2"], ["no endpoint"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_words(sweep: Load, words: list[str], said: list[str]) -> None:
    code, out, err = sweep(*words)
    assert (code, out) == (2, "") and err.startswith("loadcell: ") and "Traceback" not in err
    assert [word for word in said if word not in err] == []


def test_folders_that_are_no_target(sweep: Load, tmp_path: Path) -> None:
    code, _, err = sweep(tmp_path, "--rate", "1,2")
    assert code == 2 and "no folder of a sweep" in err and "http://HOST:PORT" in err
    (tmp_path / "sweep.json").write_text("{}")
    code, _, err = sweep(tmp_path)
    assert code == 2 and f"loadcell report {tmp_path}" in err and f"loadcell sweep {tmp_path} --resume" in err
    code, _, err = sweep(tmp_path, "--resume", "--rate", "1,2", "--duration", "5s")
    assert code == 2 and "leave out --rate, --duration" in err


# --- a sweep as it runs ----------------------------------------------------------------------------------------------


def test_a_grid_from_end_to_end(sweep: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "g"
    with serve() as server:
        code, out, err = sweep(server.url, *SHORT, "--concurrency", "1,2", "--slo", "ttft=5s", "--output", folder,
                               "--force")  # fmt: skip
    assert code in (0, 4) and err == ""
    lines = out.splitlines()
    assert lines[0].startswith("   1  1 user: TTFT ") and any(line.startswith("   2  2 users: TTFT ") for line in lines)
    assert max(map(len, lines[:-6])) <= 80
    assert " 2 stages in " in out and f"loadcell report {folder}\n" in out and "--resume" not in out
    assert main(["report", str(folder), "--force"]) == code
    again = capsys.readouterr().out
    assert out.endswith(
        f"{again} Page: {folder / 'report.html'}\n"
    )  # the same but for the lines of the stages as they ended
    assert main(["report", str(folder), "--slo", "ttft=1s"]) == 2
    assert "one of its stages" in capsys.readouterr().err


def test_the_machine_readable_forms(sweep: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as server:
        code, out, err = sweep(server.url, *SHORT, "--concurrency", "1,2", "--output", tmp_path / "g", "--json",
                               "--force")  # fmt: skip
    assert code in (0, 4) and len(err.splitlines()) >= 2 and err.startswith("   1  1 user: ")
    tree = json.loads(out)
    assert [stage["ask"]["level"] for stage in tree["stages"]] == [1.0, 2.0] and tree["planned"] == 2
    main(["report", str(tmp_path / "g"), "--csv", "--force"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["load"] for row in rows] == ["1.0", "2.0"]
    point = tree["stages"][1]["point"]
    assert float(rows[1]["requests_per_s"]) == point["requests_per_s"]
    assert point["ttft_ms"]["p99"]["value"] is None and rows[1]["ttft_p99_ms"] == ""


def test_a_folder_in_use_is_offered_to_go_on(sweep: Load, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    words = (*SHORT, "--concurrency", "1,2", "--output", folder)
    with serve() as server:
        sweep(server.url, *words)
        code, out, err = sweep(server.url, *words)
        assert (code, out) == (1, "") and "--resume" in err
        before = len(server.load)
        code, out, _ = sweep(server.url, *words, "--resume", "--force")  # everything is there already
        assert code in (0, 4) and len(server.load) == before and " 2 stages in " in out
        code, _, err = sweep(server.url, *words[:-2], "--timeout", "7", "--output", folder, "--resume")
        assert code == 2 and "load.timeout_s" in err
        code, _, _ = sweep(folder, "--resume", "--force")
        assert code in (0, 4) and len(server.load) == before


def test_a_server_that_goes_away_keeps_what_there_is(sweep: Load, tmp_path: Path) -> None:
    """It refuses from the second stage on; later it is back, and the sweep goes on."""
    gone, stages = True, 0

    def probe(_: Received) -> list[Any]:
        return [json_reply({"error": "gone"}, 401)] if gone and stages else clean()

    def script(request: Received) -> list[Any]:
        nonlocal stages
        stages += request.number == 3
        return clean()

    folder = tmp_path / "g"
    with serve(script, probe=probe) as server:
        code, out, err = sweep(server.url, *SHORT, "--concurrency", "1,2", "--output", folder, "--force")
        assert code == 1 and " 1 of 2 stages in " in out and "--resume" in out
        assert err.startswith("loadcell: ") and "OPENAI_API_KEY" in err and "--resume" in err
        gone = False
        code, out, _ = sweep(folder, "--resume", "--force")
    assert code in (0, 4) and " 2 stages in " in out and out.count("1 user: ") == 1


def test_an_error_before_the_first_stage_is_just_that(sweep: Load, tmp_path: Path) -> None:
    with serve(probe=lambda _: [json_reply({"error": "no"}, 401)]) as server:
        code, out, err = sweep(server.url, *SHORT, "--concurrency", "1,2", "--output", tmp_path / "g")
    assert (code, out, err.count("\n")) == (1, "", 1)


def test_secrets_are_asked_for_again(sweep: Load, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with serve() as server:
        sweep(server.url, *SHORT, "--concurrency", "1,2", "--output", folder, "--header", "x-key=secret-value")
        assert "secret-value" not in (folder / "sweep.json").read_text()
        code, _, err = sweep(folder, "--resume")
        assert code == 2 and "--header x-key=VALUE" in err
        code, _, _ = sweep(folder, "--resume", "--header", "x-key=secret-value", "--force")
    assert code in (0, 4)


def test_ctrl_c_shows_what_there_is_and_how_to_go_on(tmp_path: Path) -> None:
    """The second stage hangs."""
    stages = 0

    def script(request: Received) -> list[Any]:
        nonlocal stages
        stages += request.number == 0
        return clean() if stages < 2 else [HANG]

    folder = tmp_path / "g"
    with serve(script) as server:
        words = ["sweep", server.url, *SHORT, "--concurrency", "1,2,4", "--output", str(folder), "--force"]
        process = subprocess.Popen(
            [sys.executable, "-m", "loadcell", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first = process.stdout.readline()
        while stages < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert first.startswith("   1  1 user: ")
    assert "interrupted" in out.rpartition(" Load ")[2] and "This sweep is not finished." in out
    assert f"interrupted; to go on: loadcell sweep {folder} --resume" in err


def test_the_live_line_names_stage_load_and_what_is_left() -> None:
    from loadcell.cli.liveview import block, log_line
    from loadcell.cli.progress import SweepView
    from loadcell.search.model import Ask

    plan = Plan(loadcell="0", mode="grid", axis="load.rate", stages=[{"load.rate": r} for r in (1.0, 12.5)],
                stage_s=30.0, seed=0, spec=Spec(endpoint=Endpoint(url=URL)))  # fmt: skip
    out = io.StringIO()
    view = SweepView(plan, out)
    assert view.head() == []
    view.on_ask(Ask(number=2, phase="grid", changes={"load.rate": 12.5}, level=12.5))
    now = Progress("load", 10.0, 400, 30.0, 130, 120, 0, 10, 9000, sends_end_s=30.0)
    first = "".join(words for words, _ in block(now, view.head(), 100)[0])
    assert first.startswith("stage 2/2 · 12.5 requests/s · all in 60 s · 0:10 of 0:30 · 33 % · 20 s left")
    assert log_line(now, view.head()).startswith("stage 2/2, 12.5 requests/s, all in 60 s, 0:10, 120 ok")
    assert log_line(Progress("check"), view.head()).endswith("asking the endpoint ...")


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_a_report_of_a_folder_that_is_damaged(
    tmp_path: Path, form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sweep.json").write_text('{"format": 1')
    assert main(["report", str(tmp_path), *form]) == 1
    assert "sweep.json" in capsys.readouterr().err

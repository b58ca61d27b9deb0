"""`loadcell audit` over a scripted tool of known bias, and over tools that go wrong in every way; a process each."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from loadcell.audit import process
from loadcell.audit.model import Audit
from loadcell.audit.process import environment_of, run_tool, tail
from loadcell.audit.recipes import Recipe, install, installed_version, program_in
from loadcell.cli.main import main
from loadcell.errors import LoadcellError

pytestmark = pytest.mark.usefixtures("processes")

TOOL = Path(__file__).parent.parent / "kit" / "biased_tool.py"
PLACES = "{url} {output} {concurrency} {requests} {output_tokens}"
SMALL = ("--concurrency", "4", "--requests", "12", "--output-tokens", "4", "--ttft", "5ms", "--itl", "2ms")
LATE_MS = 60_000


def command(*words: str) -> str:
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(TOOL))} {PLACES} {shlex.join(words)}"


def audit(
    capsys: pytest.CaptureFixture[str], *words: str, more: tuple[str, ...] = ("--no-faults",)
) -> tuple[int, Audit]:
    code = main(["audit", command(*words), *SMALL, *more, "--json"])
    return code, msgspec.json.decode(capsys.readouterr().out, type=Audit)


def test_it_tells_exactly_the_bias(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A client sees nothing sooner than the engine sends it, so what is added to its figures is what is found at least;
    at most it is more by all the time that the tool took."""
    code, found = audit(capsys, f"late={LATE_MS}", "first", more=("--output", str(tmp_path / "kept")))
    (tool,) = found.tools
    assert (code, tool.problems, tool.name) == (0, [], "biased_tool.py")
    assert (tool.ok, tool.failed) == (12, 0)
    off = {(one.metric, one.stat): one for one in tool.bias}
    assert tool.cost
    for metric in ("ttft", "e2e"):
        for stat in ("p50", "p90", "p99"):
            one = off[metric, stat]
            assert one.off is not None
            assert one.off >= LATE_MS
            assert one.off <= LATE_MS + tool.cost.wall_s * 1e3
            assert one.reported is not None
            assert one.true is not None
            assert one.off == one.reported - one.true
            assert one.true >= 5 if metric == "ttft" else one.true >= 11
    assert off["tpot", "p50"].off is not None
    assert abs(off["tpot", "p50"].off) < LATE_MS / 2
    # The request before the load is told apart, by number.
    assert tool.seen
    assert (tool.seen.arrived, tool.seen.measured) == (13, 12)
    assert "the first 1" in tool.seen.rule
    assert tool.seen.most_at_once <= 4
    # It fails in all kinds of ways, and this tool sees them all.
    assert tool.faults
    assert tool.faults.failed == sum(tool.faults.injected.values())
    assert all(tool.faults.injected.values())
    assert (tool.faults.unnoticed, tool.faults.noticed) == (0, list(tool.faults.injected))
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert kept == {"audit.json", "biased_tool.py"}
    assert msgspec.json.decode((tmp_path / "kept" / "audit.json").read_bytes(), type=Audit) == found


def test_failures_taken_for_success_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = audit(capsys, "deaf", more=())
    faults = found.tools[0].faults
    assert faults
    assert (faults.failed, faults.unnoticed) == (0, sum(faults.injected.values()))
    assert faults.noticed == []


def test_ours_stands_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = audit(capsys, more=("--no-faults", "--ours"))
    assert (code, found.ours is not None) == (0, True)
    assert found.ours
    assert (found.ours.problems, found.ours.ok, found.ours.failed) == ([], 12, 0)
    assert found.ours.seen
    assert (found.ours.seen.measured, found.ours.seen.rule) == (12, "by the id that each request carries")
    assert all(one.off is not None for one in found.ours.bias)
    assert found.ours.cost
    assert found.ours.cost.cpu_us_per_token


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "figures are not known: the tool wrote no file to {output}: give its command the flag"),
        (("fail=3",), "status 3; its last words: first words / the last words of the tool"),
        (("words=nonsense",), "figures are not known"),
        (('words={"a": 1}',), "figures are not known"),
    ],
)
def test_what_goes_wrong_is_said(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    code, found = audit(capsys, *words)
    (tool,) = found.tools
    assert any(said in problem for problem in tool.problems), tool.problems
    assert code == (0 if words == ("fail=3",) else 1)
    # The truth and the cost are there all the same.
    assert any(one.true is not None for one in tool.bias)
    assert tool.cost
    assert tool.cost.cpu_us_per_token


def test_a_tool_that_hangs_is_ended_with_all_it_started(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, found = audit(
        capsys, "stubborn", "hang", more=("--no-faults", "--timeout", "3s", "--output", str(tmp_path / "o"))
    )
    problems = found.tools[0].problems
    assert code == 1
    assert "it was ended after" in problems[0]
    assert "--timeout" in problems[0]
    pid = int((tmp_path / "o" / "biased_tool.py" / "load" / "output" / "stubborn.pid").read_text())
    if sys.platform == "linux":
        assert not Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by Linux's ways")
def test_what_it_leaves_behind_is_ended_and_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, found = audit(capsys, "stubborn", more=("--no-faults", "--output", str(tmp_path / "o")))
    assert (code, found.tools[0].problems) == (0, ["it left 1 process behind, which were ended"])
    pid = int((tmp_path / "o" / "biased_tool.py" / "load" / "output" / "stubborn.pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_interrupted_it_leaves_nothing(tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "loadcell",
        "audit",
        command("stubborn", "hang"),
        *SMALL,
        "--output",
        str(tmp_path / "o"),
    ]
    audited = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = tmp_path / "o" / "biased_tool.py" / "load" / "output" / "stubborn.pid"
    while audited.poll() is None and not (file.exists() and file.read_text()):
        time.sleep(0.05)
    audited.send_signal(signal.SIGINT)
    assert audited.wait(60) == 130
    if sys.platform == "linux":
        assert not Path(f"/proc/{file.read_text()}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's end")
def test_killed_it_leaves_nothing(tmp_path: Path) -> None:
    """Nobody ends what it started then: the tool and the engine must see it themselves."""
    place = tmp_path / "o" / "biased_tool.py" / "load" / "output"
    line = [sys.executable, "-m", "loadcell", "audit", command("stubborn", "hang"), *SMALL]
    audited = subprocess.Popen(
        [*line, "--output", str(tmp_path / "o")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    file = place / "stubborn.pid"
    while audited.poll() is None and not (file.exists() and file.read_text()):
        time.sleep(0.05)
    started = _below(audited.pid)
    assert len(started) >= 3  # the engine, what watches over the tool, the tool
    audited.kill()
    audited.wait()
    until = time.monotonic() + 60
    while (left := [pid for pid in started if _alive(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left


def _below(pid: int) -> list[int]:
    """All processes that descend from this one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_tool_that_prints_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PRINTED_MOST", 1 << 16)
    code = "import time; print('no ' * 30_000, flush=True); time.sleep(600)"
    ran = run_tool([sys.executable, "-c", code], tmp_path, environment_of({}), 500, ())
    assert (ran.flooded, ran.timed_out, ran.status) == (True, False, None)
    assert ran.wall_s < 400


def test_cpu_time_is_that_of_the_whole_tree(tmp_path: Path) -> None:
    child = "import time; sum(range(3_000_000)); print(time.process_time())"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); sys.exit(7)"
    ran = run_tool([sys.executable, "-c", parent], tmp_path, environment_of({}), 60, ())
    told_s = float((tmp_path / "stdout.txt").read_text())
    assert (ran.status, ran.timed_out, ran.left) == (7, False, 0)
    assert told_s <= ran.cpu_s
    assert ran.wall_s > 0


def test_what_cannot_be_started(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    ran = run_tool([str(text)], tmp_path, environment_of({}), 60, ())
    assert ran.error
    assert tail(tmp_path) == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name a tool"),
        (["vllm-sr"], "did you mean vllm-rs"),
        (["no-such-tool --to {url}"], "there is no program no-such-tool"),
        (["tool --to nowhere"], "does not say where to send to"),
        (["tool {url}", "--load", "8"], "--load 8: write streams x output tokens"),
        (["tool {url}", "--output-tokens", "1"], "--output-tokens 1: give 2 or more"),
        (["tool {url}", "--concurrency", "0"], "--concurrency 0: give 1 or more"),
        (["tool {url}", "--requests", "0"], "--requests 0: give 1 or more"),
        (["tool {url}", "--ttft", "soon"], "--ttft"),
        (["tool {url}", "--timeout", "0s"], "--timeout"),
        (["evalscope"], "loadcell audit evalscope --venv DIR --install"),
        (["--all"], "--all needs --venvs"),
        (["vllm-rs", "--install"], "--install needs --venv"),
        (["vllm-rs", "--venv", "/nowhere"], "pip install --no-deps vllm==0.33.0"),
        (["--all", "--venvs", "/nowhere", "--only", "vlm"], "did you mean vllm"),
    ],
)
def test_wrong_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["audit", *words]) == 2
    assert said in capsys.readouterr().err


def test_recipes_run_from_a_virtual_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What --all finds is run, with its own version; what it does not find is named with what to type."""
    venv = tmp_path / "vllm-rs"
    site = venv / "lib" / "python3.11" / "site-packages"
    (site / "vllm-0.33.1.dist-info").mkdir(parents=True)
    program = venv / "bin" / "vllm-rs"
    program.parent.mkdir()
    python = shlex.quote(sys.executable)
    program.write_text(
        "#!/bin/sh\n"
        "while [ $# -gt 0 ]; do\n"
        "case $1 in --base-url) url=$2;; --result-dir) dir=$2;; --num-prompts) n=$2;; esac; shift; done\n"
        f'test -z "$HF_HUB_OFFLINE" || exec {python} {shlex.quote(str(TOOL))} "$url" "$dir" 4 "$n" 4\n'
    )
    program.chmod(0o755)
    page = tmp_path / "field.md"
    words = ["--venvs", str(tmp_path), "--only", "vllm-rs,aiperf", "--no-faults", "--write", str(page)]
    assert main(["audit", "--all", *SMALL, *words, "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out, type=Audit)
    assert [(tool.name, tool.version, tool.problems) for tool in found.tools] == [("vllm-rs", "0.33.1", [])]
    assert list(found.missing) == ["aiperf"]
    assert "pip install aiperf==0.13.0" in found.missing["aiperf"]
    assert found.ours
    assert "vllm-rs" in page.read_text()


def test_a_recipe_is_installed_once(tmp_path: Path) -> None:
    """As pip does it, with the name that the package looks itself up by, and what spoils it taken out again."""
    wheels = tmp_path / "wheels"
    for name in ("tiny_tool", "spoiler"):
        make_wheel(wheels, name)
    recipe = Recipe(
        title="Tiny", package="tiny-tool", version="1.0", python=["3.1", f"3.{sys.version_info.minor}"],
        install=[["--no-index", "--find-links", str(wheels), "tiny-tool==1.0", "spoiler==1.0"]],
        remove=["spoiler"], also_named="tiny", program=["bin/tiny-tool"], command="tiny-tool {url}",
    )  # fmt: skip
    venv, said = tmp_path / "venv", list[str]()
    install(recipe, venv, said.append)
    assert program_in(recipe, venv) == venv / "bin" / "tiny-tool"
    assert installed_version(recipe, venv) == "1.0"
    ask = "from importlib.metadata import version; print(version('tiny')); import spoiler"
    done = subprocess.run([venv / "bin" / "python", "-c", ask], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("1.0\n", 1)
    install(recipe, venv, said.append)
    assert len(said) == 1
    broken = msgspec.structs.replace(recipe, version="2.0", install=[["--no-index", "tiny-tool==2.0"]])
    with pytest.raises(LoadcellError, match=r"tiny-tool==2\.0 failed: "):
        install(broken, venv, said.append)
    with pytest.raises(LoadcellError, match=r"needs Python 3\.1: put one"):
        install(msgspec.structs.replace(broken, python=["3.1"]), venv, said.append)


def make_wheel(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "def main(): pass\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name.replace('_', '-')} = {name}:main\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_the_environment_of_a_tool_keeps_it_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    found = environment_of({"A": "b"}, [Path("/venv/bin")])
    assert (found["NO_PROXY"], found["A"]) == ("127.0.0.1", "b")
    assert found["PATH"].startswith(f"/venv/bin{os.pathsep}")

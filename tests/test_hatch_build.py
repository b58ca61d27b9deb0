"""What the build hook makes of the compilers that there are."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
import hatch_build  # noqa: E402
from hatch_build import LIBRARY, PLATFORMS, SCRIPTS, SOURCE, ZIG, Made, build_core, compilers  # noqa: E402

CC = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
needs_cc = pytest.mark.skipif(CC is None or sys.platform != "linux", reason="there is no C compiler for Linux here")
FAILS = "#!/bin/sh\necho 'no such header' >&2\nexit 3\n"
MAKES_NOTHING = '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho nonsense > "$2"\n'
WORKS = f'#!/bin/sh\nPATH=/usr/bin:/bin exec {CC} "$@"\n'


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: None) -> None:
    """A PATH of compilers that the test writes, and nothing said."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "built").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CC", "LOADCELL_NATIVE", "LOADCELL_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hatch_build, "find_spec", lambda name: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout of as much as is built."""
    for file in (SOURCE, SCRIPTS):
        (tmp_path / file).parent.mkdir(parents=True)
    shutil.copy(ROOT / SOURCE, tmp_path / SOURCE)
    (tmp_path / SCRIPTS).write_text("charts()")
    return tmp_path


def compiler(tmp_path: Path, name: str, script: str) -> None:
    file = tmp_path / "bin" / name
    file.write_text(script)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


class Hook(Made):
    """With the folder and the ear of the one that builds."""

    def __init__(self, root: Path) -> None:
        self.said: list[str] = []
        self._of, self._told = str(root), SimpleNamespace(display_warning=self.said.append)

    @property
    def root(self) -> str:
        return self._of

    @property
    def app(self) -> Any:
        return self._told

    def built(self, version: str) -> dict[str, Any]:
        """What it asks of a build; whether what is to be put into the wheel is there stands beside it."""
        data: dict[str, Any] = {"artifacts": [], "force_include": {}, "pure_python": True}
        self.initialize(version, data)
        data["there"] = all(Path(file).exists() for file in data["force_include"])
        self.finalize(version, data, "")
        return data


PURE = {"artifacts": [f"/{SCRIPTS}"], "force_include": {}, "pure_python": True, "there": True}


@needs_cc
def test_the_first_compiler_that_works_is_used(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{tmp_path / 'bin/mine'} -g")
    for name, script in (("mine", FAILS), ("cc", MAKES_NOTHING), ("clang", WORKS)):
        compiler(tmp_path, name, script)
    assert [command[0] for command in compilers("")] == [str(tmp_path / "bin/mine"), "cc", "clang"]
    library, why = build_core(root, tmp_path / "built", "")
    assert (library, why) == (tmp_path / "built/core.so", "")
    assert not hatch_build.unusable(tmp_path / "built/core.so")


def test_what_each_compiler_said_is_told(tmp_path: Path, root: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the core is for Linux")
    compiler(tmp_path, "cc", FAILS)
    compiler(tmp_path, "gcc", MAKES_NOTHING)
    library, why = build_core(root, tmp_path / "built", "")
    assert library is None and why.startswith("cc: status 3: no such header; gcc: ")


def test_it_is_for_linux(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(tmp_path, "cc", WORKS)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert build_core(root, tmp_path / "built", "") == (None, "it is for Linux, and this is darwin")


@needs_cc
def test_zig_is_asked_for_where_nothing_compiles(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Hook(root).dependencies() == [ZIG]
    compiler(tmp_path, "cc", FAILS)
    assert Hook(root).dependencies() == [ZIG]
    monkeypatch.setenv("LOADCELL_NATIVE", "no")
    assert Hook(root).dependencies() == []
    monkeypatch.delenv("LOADCELL_NATIVE")
    compiler(tmp_path, "gcc", WORKS)
    assert Hook(root).dependencies() == []
    monkeypatch.setenv("LOADCELL_PLATFORM", "musllinux_1_2_aarch64")
    assert Hook(root).dependencies() == [ZIG]


def test_zig_compiles_for_any_such_processor_and_for_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hatch_build, "find_spec", lambda name: name == "ziglang")
    zig = [sys.executable, "-m", "ziglang", "cc", "-s"]
    assert compilers("") == [[*zig, "-mcpu=baseline"]]
    for platform, target in PLATFORMS.items():
        assert compilers(platform) == [[*zig, "-target", target]]


@needs_cc
def test_a_wheel_is_named_by_what_is_in_it(tmp_path: Path, root: Path) -> None:
    compiler(tmp_path, "cc", WORKS)
    hook = Hook(root)
    data = hook.built("standard")
    assert (list(data["force_include"].values()), data["there"]) == (["loadcell/core/core.so"], True)
    assert not data["pure_python"] and data["tag"].startswith("py3-none-linux_")
    assert not hook.said and not (root / LIBRARY).exists()


@pytest.mark.parametrize("choice", ["auto", "no"])
def test_without_a_core_it_is_pure_and_says_so(choice: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADCELL_NATIVE", choice)
    hook = Hook(root)
    assert hook.built("standard") == PURE
    (said,) = hook.said
    assert "no compiled core, the hot path will run in Python" in said and "\n" not in said


@needs_cc
def test_an_editable_installation_has_a_fresh_one_or_none(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(tmp_path, "cc", WORKS)
    (root / LIBRARY).write_text("an old one")
    assert Hook(root).built("editable") == PURE
    assert not hatch_build.unusable(root / LIBRARY)
    monkeypatch.setenv("LOADCELL_NATIVE", "no")
    Hook(root).built("editable")
    assert not (root / LIBRARY).exists()


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LOADCELL_NATIVE": "require"}, "the core was not compiled: "),
        ({"LOADCELL_PLATFORM": "musllinux_1_2_x86_64"}, "the core was not compiled: there is no C compiler"),
        ({"LOADCELL_NATIVE": "off"}, "LOADCELL_NATIVE=off: give auto, require, no"),
        ({"LOADCELL_PLATFORM": "vax"}, "LOADCELL_PLATFORM=vax: give one of manylinux"),
    ],
)
def test_what_cannot_be_is_no_wheel(
    environment: dict[str, str], says: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((RuntimeError, ValueError), match=says):
        Hook(root).built("standard")


@needs_cc
def test_a_wheel_of_this_checkout_holds_both(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    (copy / LIBRARY).write_text("an old one")
    compiler(tmp_path, "cc", WORKS)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=copy, check=True)
    (wheel,) = (copy / "dist").iterdir()
    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.read("loadcell/core/core.so").startswith(b"\x7fELF")
    assert names.count("loadcell/core/core.so") == names.count("loadcell/report/page/vega.js") == 1

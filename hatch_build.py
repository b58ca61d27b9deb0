"""Build hook: what a wheel carries that is made when it is built.

The scripts that draw charts in a page (Vega, Vega-Lite, Vega-Embed: BSD-3-Clause), and on Linux the compiled core, by
the first C compiler that works: $CC, cc, gcc, clang; where none does, zig's, a build dependency then. Without the core
the wheel is pure Python, which does the same more slowly. The environment may say:

LOADCELL_NATIVE    auto; require: fail without the core; no: leave it out
LOADCELL_PLATFORM  one of PLATFORMS: build for that, by zig (tools/wheels.py)
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

SCRIPTS = Path("src/loadcell/report/page/vega.js")
SOURCE = Path("src/loadcell/core/core.c")
LIBRARY = SOURCE.with_suffix(".so")
FLAGS = ("-std=c11", "-O2", "-Wall", "-fPIC", "-shared")
ZIG = "ziglang; sys_platform == 'linux' and (platform_machine == 'x86_64' or platform_machine == 'aarch64')"
PLATFORMS = {
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
}
"""Platforms of release wheels, and what zig calls them."""
_CHOICES = ("auto", "require", "no")
_MOST_S = 300


class Made(BuildHookInterface[Any]):
    """Makes them, and names the wheel by what is in it."""

    def dependencies(self) -> list[str]:
        if choice() == "no":
            return []
        with TemporaryDirectory() as folder:
            return [ZIG] if build_core(Path(self.root), Path(folder), platform())[0] is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["artifacts"].append(f"/{SCRIPTS}")
        add_scripts(Path(self.root))
        asked, target = choice(), "" if version == "editable" else platform()
        self._folder = TemporaryDirectory()
        built, why = None, "LOADCELL_NATIVE=no"
        if asked != "no":
            built, why = build_core(Path(self.root), Path(self._folder.name), target)
        if built is None:
            self._folder.cleanup()
            if target or asked == "require":
                raise RuntimeError(f"the core was not compiled: {why}")
            self.app.display_warning(f"loadcell: no compiled core, the hot path will run in Python: {why}")
        if version == "editable":
            put(built, Path(self.root) / LIBRARY)
        elif built is not None:
            build_data["force_include"][str(built)] = str(LIBRARY.relative_to("src"))
            build_data |= {"pure_python": False, "tag": f"py3-none-{target or local_platform()}"}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self._folder.cleanup()


def choice() -> str:
    """What the environment says of the core."""
    word = os.environ.get("LOADCELL_NATIVE") or "auto"
    if word not in _CHOICES:
        raise ValueError(f"LOADCELL_NATIVE={word}: give {', '.join(_CHOICES)}, or leave it out")
    return word


def platform() -> str:
    """The platform that the environment asks for; "" for this one."""
    name = os.environ.get("LOADCELL_PLATFORM", "")
    if name and name not in PLATFORMS:
        raise ValueError(f"LOADCELL_PLATFORM={name}: give one of {', '.join(PLATFORMS)}, or leave it out")
    return name


def local_platform() -> str:
    """The tag of this very platform, which promises nothing of others."""
    return next(tag for tag in platform_tags() if tag.startswith("linux_"))


def add_scripts(root: Path) -> None:
    """Write the scripts where they are missing; vl-convert-python brings them, so nothing is fetched."""
    target = root / SCRIPTS
    if not target.exists():
        import vl_convert

        target.write_text(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"), encoding="utf-8")


def build_core(root: Path, folder: Path, target: str) -> tuple[Path | None, str]:
    """The library, built into a folder, for this machine or a platform; or None and why."""
    if not target and sys.platform != "linux":
        return None, f"it is for Linux, and this is {sys.platform}"
    library, faults = folder / LIBRARY.name, []
    for compiler in compilers(target):
        fault = compiled(compiler, root / SOURCE, library) or ("" if target else unusable(library))
        if not fault:
            return library, ""
        faults.append(f"{shlex.join(compiler)}: {fault}")
    return None, "; ".join(faults) or "there is no C compiler"


def compilers(target: str) -> list[list[str]]:
    """The commands that may compile it, best first."""
    zig = [[sys.executable, "-m", "ziglang", "cc", "-s"]] if find_spec("ziglang") else []
    if target:
        return [[*command, "-target", PLATFORMS[target]] for command in zig]
    named = [shlex.split(os.environ.get("CC", "")), ["cc"], ["gcc"], ["clang"]]
    there = [command for command in named if command and shutil.which(command[0])]
    return [*there, *([*command, "-mcpu=baseline"] for command in zig)]  # else for this very processor


def compiled(compiler: Sequence[str], source: Path, library: Path) -> str:
    """Compile it; why that failed, or ""."""
    env = os.environ | dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), str(library.parent))
    command = [*compiler, *FLAGS, "-o", str(library), str(source)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, errors="replace", timeout=_MOST_S, env=env)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        return f"status {error.returncode}: {' '.join(error.stderr.split())[-200:]}"
    return ""


def unusable(library: Path) -> str:
    """Why a library cannot be used here, or "": what a compiler made is believed when it answers."""
    try:
        return "" if ctypes.CDLL(str(library)).core_version() > 0 else "it tells no version"
    except (OSError, AttributeError) as error:
        return str(error)


def put(built: Path | None, target: Path) -> None:
    """The library in its place, or none there; who has loaded the old one keeps it."""
    target.unlink(missing_ok=True)
    if built is not None:
        shutil.copy(built, target)

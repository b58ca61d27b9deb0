"""Build the release wheels and try them: .venv/bin/python tools/wheels.py [FOLDER] (default: dist)

One for each platform of hatch_build.py, by zig from this machine, and a pure one for all others. Of each core the kind
of machine, the C library and the symbols are checked. What can run here is installed in a bare environment of each
Python found, where a load is put on the embedded engine; the rest is called untried. It fails where a check does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from hatch_build import LIBRARY, PLATFORMS, local_platform  # noqa: E402

PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {62: "x86_64", 183: "aarch64"}
"""e_machine of elf(5)."""
_DYNSYM = 11
_OLDEST_GLIBC = (2, 17)
_INVALID = 4
"""What a run ends with on a busy machine: what it was measured with is all that matters here."""
_SAID_MOST = 1000
_LOAD = ("--requests", "40", "--concurrency", "4", "--input-tokens", "20", "--output-tokens", "16")


class Core(NamedTuple):
    """What a compiled core is, by its file."""

    machine: str
    libc: str
    exports: frozenset[str]
    glibc: tuple[int, int]
    """The newest version of glibc that a symbol asks for."""


def read_core(data: bytes) -> Core:
    """A core by its ELF header and its table of dynamic symbols (64 bits, little endian); ValueError for any other."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no ELF file of 64 bits")
    (sections_at,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, sections_at + size * i) for i in range(count)]
    found = set()
    for section in sections:
        if section[1] != _DYNSYM:
            continue
        names_at = sections[section[6]][4]
        for name, _, _, defined_in, _, _ in struct.iter_unpack("<IBBHQQ", data[section[4] : section[4] + section[5]]):
            if defined_in:
                found.add(data[names_at + name : data.index(b"\0", names_at + name)].decode())
    asked = [(int(a), int(b)) for a, b in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", data)]
    (machine,) = struct.unpack_from("<H", data, 18)
    libc = "glibc" if b"\0libc.so.6\0" in data else "musl" if b"\0libc.so\0" in data else "none"
    return Core(MACHINES.get(machine, str(machine)), libc, frozenset(found), max(asked, default=(0, 0)))


def fault_of(core: Core, platform: str, exports: frozenset[str]) -> str:
    """What is wrong with the core of a platform's wheel, or ""; `exports` are what another of the same source has."""
    machine = "aarch64" if platform.endswith("aarch64") else "x86_64"
    libc = "musl" if platform.startswith("musl") else "glibc"
    if (core.machine, core.libc) != (machine, libc):
        return f"it is for {core.machine} and {core.libc}"
    if core.glibc > _OLDEST_GLIBC:
        return f"it asks for glibc {core.glibc[0]}.{core.glibc[1]}"
    return "" if core.exports == exports else f"its symbols differ: {', '.join(sorted(core.exports ^ exports))}"


def build(folder: Path, work: Path) -> dict[str, Path]:
    """The wheels by platform, "any" the pure one."""
    python = _venv(Path(sys.executable), work / "build")
    _pip(python, "install", "hatchling>=1.24", "vl-convert-python>=1.8", "ziglang")
    wheels = {}
    for platform in (*PLATFORMS, "any"):
        asked = {"LOADCELL_NATIVE": "no"} if platform == "any" else {
            "LOADCELL_NATIVE": "require", "LOADCELL_PLATFORM": platform,
        }  # fmt: skip
        into = work / platform
        _pip(python, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(into), str(ROOT), **asked)
        (wheel,) = into.iterdir()
        folder.mkdir(parents=True, exist_ok=True)
        wheels[platform] = Path(shutil.copy(wheel, folder))
    return wheels


def core_of(wheel: Path) -> bytes | None:
    """The compiled core in a wheel; None without one."""
    name = str(LIBRARY.relative_to("src"))
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name) if name in archive.namelist() else None


def pythons() -> Iterator[tuple[str, Path | None]]:
    """Each Python to try, on PATH or of pyenv; None where there is none."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in PYTHONS:
        named = [*kept.glob(f"{version}.*/bin/python3"), *map(Path, filter(None, [shutil.which(f"python{version}")]))]
        yield version, next((python for python in named if _runs(python)), None)


def _runs(python: Path) -> bool:
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def attempt(python: Path, wheel: Path, work: Path, form: str) -> str:
    """Put a load on the embedded engine from an environment of the wheel alone; what is wrong, or ""."""
    try:
        loadcell = _venv(python, work / "env").with_name("loadcell")
        _pip(loadcell.with_name("python"), "install", "--force-reinstall", str(wheel))
        alone = {"PATH": str(loadcell.parent), "XDG_STATE_HOME": str(work), "HOME": str(work)}
        said = _output(loadcell, "--version", env=alone)
        if (len(said.splitlines()) > 1) != (form == "Python"):
            return f"--version says {said!r}"
        engine = subprocess.Popen([loadcell, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True, env=alone)
        try:
            assert engine.stdout
            url = engine.stdout.readline().split()[2]
            _output(loadcell, "run", url, *_LOAD, "--output", str(work / "run"), env=alone, also=_INVALID)
        finally:
            engine.terminate()
            engine.wait()
    except subprocess.CalledProcessError as error:
        return f"{' '.join(map(str, error.cmd))}: {error.stdout}{error.stderr}"[-_SAID_MOST:]
    told = json.loads((work / "run" / "recording.json").read_text())
    return "" if (told["state"], told["core"]) == ("complete", form) else f"{told['state']}, form {told['core']}"


def _venv(python: Path, folder: Path) -> Path:
    subprocess.run([python, "-m", "venv", folder], check=True)
    return folder / "bin" / "python"


def _pip(python: Path, *words: str, **env: str) -> None:
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check")
    _output(python, "-m", "pip", *words, *quiet, env=os.environ | env)


def _output(*command: str | Path, env: dict[str, str], also: int = 0) -> str:
    """What a command prints; CalledProcessError unless it ends with 0, or with the one that is fine too."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != also:
        done.check_returncode()
    return done.stdout


def main() -> int:
    """Build, check, try, and say what came of it; 1 where something is wrong."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    own = local_platform().removeprefix("linux")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        wheels = build(folder, work)
        cores = {platform: read_core(data) for platform, wheel in wheels.items() if (data := core_of(wheel))}
        here = next((platform for platform in cores if platform.startswith("many") and platform.endswith(own)), None)
        first = next(iter(cores.values()))
        faults = [fault_of(core, platform, first.exports) for platform, core in cores.items()]
        if set(cores) != set(PLATFORMS):
            faults.append(f"cores are in the wheels of {', '.join(cores)}")
        for platform, wheel in wheels.items():
            core = cores.get(platform)
            what = f"{core.machine} {core.libc}, {len(core.exports)} symbols" if core else "pure Python"
            sys.stdout.write(f"{wheel.name:60} {wheel.stat().st_size:>9,}  {what}\n")
            tried = pythons() if platform in (here, "any") else ()
            for version, python in tried:
                says = "untried: there is none here"
                if python is not None:
                    work_here = work / f"{platform}-{version}"
                    fault = attempt(python, wheel, work_here, "C" if core else "Python")
                    faults.append(fault)
                    says = fault or "works"
                sys.stdout.write(f"  Python {version}: {says}\n")
                sys.stdout.flush()
            if not tried:
                sys.stdout.write("  untried: it does not run here\n")
    found = [fault for fault in faults if fault]
    sys.stdout.write("".join(f"wrong: {fault}\n" for fault in found) or "all checks hold\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What the tool that builds the wheels of a release sees in a compiled core."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from wheels import Core, fault_of, read_core

CC = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
GOOD = Core("x86_64", "glibc", frozenset({"tape_scan"}), (2, 17))


@pytest.mark.skipif(CC is None or sys.platform != "linux", reason="there is no C compiler for Linux here")
def test_a_core_is_known_by_its_file(tmp_path: Path, processes: None) -> None:
    source, library = tmp_path / "a.c", tmp_path / "a.so"
    source.write_text("#include <stdlib.h>\nstatic int hidden; void *seen(void) { hidden++; return malloc(1); }\n")
    subprocess.run([CC, "-shared", "-fPIC", "-o", library, source], check=True)
    core = read_core(library.read_bytes())
    assert "seen" in core.exports and not {"malloc", "hidden"} & core.exports
    assert core.machine in ("x86_64", "aarch64") and (core.libc == "musl" or core.glibc >= (2, 2))


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x01\x01", b"MZ" * 40])
def test_what_is_no_core_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        read_core(data)


@pytest.mark.parametrize(
    ("core", "platform", "says"),
    [
        (GOOD, "manylinux_2_17_x86_64", ""),
        (GOOD, "manylinux_2_17_aarch64", "for x86_64 and glibc"),
        (GOOD, "musllinux_1_2_x86_64", "for x86_64 and glibc"),
        (GOOD._replace(glibc=(2, 34)), "manylinux_2_17_x86_64", "glibc 2.34"),
        (GOOD._replace(exports=frozenset({"tape_scan", "more"})), "manylinux_2_17_x86_64", "symbols differ: more"),
        (GOOD._replace(machine="aarch64", libc="musl", glibc=(0, 0)), "musllinux_1_2_aarch64", ""),
    ],
)
def test_a_core_must_be_what_its_wheel_is_called(core: Core, platform: str, says: str) -> None:
    fault = fault_of(core, platform, GOOD.exports)
    assert says in fault and bool(says) == bool(fault)

"""The compiled core as a file: what cannot be used is said, and the Python form does the work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract_runs import run_once
from scripted import clean, serve

from loadcell import __version__
from loadcell.compiled import CHOICE, LIBRARY, VERSION
from loadcell.core import Reader, Tape, native
from loadcell.core.poller import make_poller
from loadcell.errors import LoadcellError, UsageError
from loadcell.report.words import words_for
from loadcell.selftest.store import this_machine

CC = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
SOURCE = LIBRARY.with_suffix(".c")
REAL = SOURCE.read_text()
OTHER_VERSION = re.sub(r"#define VERSION \d+", "#define VERSION 77", REAL)
OTHER_LAYOUT = REAL.replace("int64_t base, cursor,", "int64_t more, base, cursor,")
NO_SCAN = REAL.replace("tape_scan(", "tape_skim(")
NO_CORE = "int nothing(void) { return 0; }\n"

Made = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test asks anew whether there is a library, whatever the environment of the tests says."""
    monkeypatch.delenv(CHOICE, raising=False)
    native.library.cache_clear()
    yield
    native.library.cache_clear()


@pytest.fixture
def made(tmp_path: Path, processes: None) -> Made:
    """A library of some source."""
    if CC is None:
        pytest.skip("there is no C compiler")

    def make(source: str) -> Path:
        file, library = tmp_path / "made.c", tmp_path / "made.so"
        file.write_text(source)
        subprocess.run([CC, "-std=c11", "-fPIC", "-shared", "-o", library, file], check=True)
        return library

    return make


def test_the_source_has_the_version_that_is_asked_for() -> None:
    assert f"#define VERSION {VERSION}\n" in REAL


def test_that_of_this_source_is_used(made: Made) -> None:
    found, why = native._load(made(REAL))
    assert (found is not None, why) == (True, "")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (OTHER_VERSION, f"of version 77, not {VERSION}"),
        (OTHER_LAYOUT, "another way"),
        (NO_SCAN, "tape_scan"),
        (NO_CORE, "core_version"),
    ],
    ids=["version", "layout", "symbol", "another library"],
)
def test_a_library_that_does_not_fit_is_not_used(made: Made, source: str, says: str) -> None:
    assert source != REAL
    found, why = native._load(made(source))
    assert found is None and says in why and "install Loadcell anew" in why


def of_another_machine(data: bytes) -> bytes:
    """An ELF file that says it is for a machine that nobody has."""
    return data[:18] + b"\xff\x00" + data[20:]


@pytest.mark.parametrize("spoil", [of_another_machine, lambda data: data[:100], lambda _: b"no library", lambda _: b""])
def test_a_file_that_is_none_of_this_machine_is_not_used(made: Made, spoil: Callable[[bytes], bytes]) -> None:
    library = made(NO_CORE)
    spoilt = library.with_name("spoilt.so")  # another name: who has one loaded is given that again
    spoilt.write_bytes(spoil(library.read_bytes()))
    found, why = native._load(spoilt)
    assert found is None and "damaged, or of another machine" in why and "spoilt.so" in why


def without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "core.so")


@pytest.mark.parametrize("by", ["choice", "file"])
def test_without_one_the_python_form_is_made(by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if by == "choice":
        monkeypatch.setenv(CHOICE, "no")
    else:
        without(monkeypatch, tmp_path)
    assert [type(native.make_tape()), type(native.make_reader(make_poller()))] == [Tape, Reader]
    form, why = native.form()
    assert form == "Python" and ("no" in why if by == "choice" else sys.platform != "linux" or "C compiler" in why)
    assert this_machine(tls=False)["core"] == "Python"


def test_one_that_is_required_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch, tmp_path)
    monkeypatch.setenv(CHOICE, "require")
    with pytest.raises(LoadcellError, match=f"{CHOICE}=require.*(C compiler|there is none)"):
        native.form()


def test_a_word_that_is_no_choice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHOICE, "non")
    with pytest.raises(UsageError, match=f"{CHOICE}=non .did you mean no"):
        native.form()


def test_a_run_says_which_form_it_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processes: None) -> None:
    monkeypatch.setenv(CHOICE, "no")
    with serve(lambda _: clean(3)) as server:
        ran = run_once(server.url, tmp_path / "run", requests=6)
    assert ran.statuses == ["ok"] * 6
    assert ran.result.methodology.core == ran.manifest.core == "Python"
    (note,) = [note for note in ran.result.notes if "hot path" in note]
    assert note == "the hot path ran in Python, without the compiled core: LOADCELL_NATIVE=no"
    assert words_for("es").say(note).endswith("sin el núcleo compilado: LOADCELL_NATIVE=no")


@pytest.mark.skipif(native.form()[0] != "C", reason=f"there is no compiled core here: {native.form()[1]}")
def test_a_run_with_the_library_says_nothing_of_it(tmp_path: Path, processes: None) -> None:
    with serve(lambda _: clean(3)) as server:
        ran = run_once(server.url, tmp_path / "run", requests=6)
    assert (ran.statuses, ran.result.methodology.core) == (["ok"] * 6, "C")
    assert not [note for note in ran.result.notes if "hot path" in note]


@pytest.mark.parametrize("choice", ["auto", "no"])
def test_version_has_a_line_more_without_it(choice: str, processes: None) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "loadcell", "--version"],
        env=os.environ | {CHOICE: choice}, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    form, why = ("Python", "LOADCELL_NATIVE=no") if choice == "no" else native.form()
    line = [f"The hot path runs in Python, without the compiled core: {why}"] if form == "Python" else []
    assert said == [f"loadcell {__version__}", *line]

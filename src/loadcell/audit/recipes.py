"""The tools that an audit knows how to run: `recipes.yaml`, and where each is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

from loadcell.errors import LoadcellError, UsageError, nearest
from loadcell.packaged import packaged_yaml

_INSTALL_S = 1800.0
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OPENAI_API_KEY": "none",
}
"""What keeps every tool from the network, and your key from every tool."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tool is installed and run."""

    title: str
    package: str
    version: str
    python: list[str]
    """Versions that it runs with, the best first."""
    install: list[list[str]]
    """Arguments of `pip install`, one call each."""
    remove: list[str] = []
    """Packages that are then taken out again."""
    also_named: str | None = None
    """Another name of the package, by which it looks itself up."""
    program: list[str]
    """Where in its virtual environment the program may lie, by patterns."""
    command: str
    files: dict[str, str] = {}
    """Files that the tool reads, written into {output}."""
    environment: dict[str, str] = {}
    notes: list[str] = []


@cache
def recipes() -> dict[str, Recipe]:
    """All, by name."""
    return msgspec.convert(packaged_yaml("loadcell.audit", "recipes.yaml"), dict[str, Recipe])


def recipe_of(name: str) -> Recipe:
    """UsageError with the names that there are."""
    found = recipes().get(name)
    if found is None:
        raise UsageError(
            f"there is no recipe {name}{nearest(name, recipes())}: there are {', '.join(recipes())}; "
            "for any other tool give its command line, in quotes"
        )
    return found


def program_in(recipe: Recipe, venv: Path) -> Path | None:
    """The program in a virtual environment; None if it is not there."""
    for pattern in recipe.program:
        for found in sorted(venv.glob(pattern)):
            if found.is_file() and installed_version(recipe, venv):
                return found
    return None


def installed_version(recipe: Recipe, venv: Path) -> str | None:
    """Of the tool's package there."""
    name = recipe.package.replace("-", "_")
    infos = sorted(venv.glob(f"lib/python*/site-packages/{name}-*.dist-info"))
    return infos[0].name.removesuffix(".dist-info").rpartition("-")[2] if infos else None


def install(recipe: Recipe, venv: Path, say: Callable[[str], None]) -> None:
    """Make the virtual environment with the tool in it; LoadcellError with pip's own words where that fails.

    One that has another version of it is made anew.
    """
    if installed_version(recipe, venv) == recipe.version and program_in(recipe, venv):
        return
    say(f"installing {recipe.package} {recipe.version} into {venv}")
    _call([_python(recipe), "-m", "venv", "--clear", str(venv)])
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
    for words in recipe.install:
        _call([*pip, "install", *words])
    if recipe.remove:
        _call([*pip, "uninstall", "--yes", *recipe.remove])
    if recipe.also_named:
        _name_also(recipe, venv, recipe.also_named)
    if program_in(recipe, venv) is None:
        raise LoadcellError(f"{recipe.package} is installed in {venv}, but there is no {' or '.join(recipe.program)}")


def _name_also(recipe: Recipe, venv: Path, name: str) -> None:
    own = recipe.package.replace("-", "_")
    for info in venv.glob(f"lib/python*/site-packages/{own}-{recipe.version}.dist-info"):
        other = info.with_name(f"{name}-{recipe.version}.dist-info")
        shutil.copytree(info, other, dirs_exist_ok=True)
        file = other / "METADATA"
        file.write_text(file.read_text(encoding="utf-8").replace(f"Name: {recipe.package}\n", f"Name: {name}\n", 1))


def _python(recipe: Recipe) -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in recipe.python:
        for found in (shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))):
            if found and not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
                return found
    raise LoadcellError(f"{recipe.title} needs Python {' or '.join(recipe.python)}: put one on the PATH")


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired:
        raise LoadcellError(f"{' '.join(command[-4:])} took more than {_INSTALL_S:g} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise LoadcellError(f"{' '.join(command[-4:])} failed: {last[0][:300]}")

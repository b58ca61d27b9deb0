"""The compiled core as a file: whether this installation has one that can be used. Cheap, for `--version` asks too."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from loadcell.errors import UsageError, nearest

LIBRARY = Path(__file__).parent / "core" / "core.so"
VERSION = 6
"""Of the contract between `core/native.py` and the library."""
CHOICE = "LOADCELL_NATIVE"
"""Of the environment: `no` for the Python form, `require` to fail without the library; hatch_build.py obeys it too."""
Why = tuple[object, ...]
"""The key of a sentence and its values, as `phrase` takes them; empty where nothing is wrong."""
UNUSABLE = "it is damaged, or of another machine ({}): install Loadcell anew"
_CHOICES = ("auto", "require", "no")


def choice() -> str:
    """What the environment asks for; UsageError for a word that is none."""
    word = os.environ.get(CHOICE) or "auto"
    if word not in _CHOICES:
        raise UsageError(f"{CHOICE}={word}{nearest(word, _CHOICES)}: give {', '.join(_CHOICES)}, or leave it out")
    return word


def opened(path: Path = LIBRARY) -> tuple[Any, Why]:
    """The library, its functions not declared yet; or None and why it cannot be used."""
    if choice() == "no":
        return None, ("{}", f"{CHOICE}=no")
    if not path.exists():
        if sys.platform != "linux":
            return None, ("there is none for {}", sys.platform)
        return None, ("this installation has none: it was built without a C compiler, or with LOADCELL_NATIVE=no",)
    import ctypes

    try:
        found = ctypes.CDLL(str(path))
        found.core_version.restype = ctypes.c_int64
        version = found.core_version()
    except (OSError, AttributeError) as error:
        return None, (UNUSABLE, error)
    if version != VERSION:
        return None, ("it is of version {}, not {}: install Loadcell anew", version, VERSION)
    return found, ()

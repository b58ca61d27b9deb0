"""YAML of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from loadcell.errors import UsageError
from loadcell.interop.document import opened

_MOST = 32 << 20


def load_yaml(path: Path) -> Any:
    """The document at `path`, which may be JSON; UsageError names the line where it breaks."""
    try:
        with opened(path) as file:
            data = file.read(_MOST + 1)
        if len(data) > _MOST:
            raise UsageError(f"{path} has more than {_MOST >> 20} MB: no YAML report is as long")
        return yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise UsageError(f"{path} is no whole YAML{line}: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no whole YAML: {str(error).splitlines()[0]}") from None
    except (OSError, EOFError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None

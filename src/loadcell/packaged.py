"""Tables that come with the package, as YAML beside the code that reads them."""

from __future__ import annotations

from importlib import resources
from typing import Any


def packaged_yaml(package: str, *path: str) -> Any:
    """What a YAML file of the package says; FileNotFoundError if there is none."""
    return read_yaml(resources.files(package).joinpath(*path).read_text(encoding="utf-8"))


def packaged_names(package: str, *path: str) -> list[str]:
    """The names of the YAML files in a folder of the package, without their ending."""
    there = (file.name for file in resources.files(package).joinpath(*path).iterdir())
    return sorted(name.removesuffix(".yaml") for name in there if name.endswith(".yaml"))


def read_yaml(text: str) -> Any:
    """YAML as builtins; yaml.YAMLError if it is none."""
    import yaml

    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # libyaml where it is: ten times as fast

"""The flags of a run on several endpoints or models: `--also`, `--models`, `--deal`, `--share-key`, `--slo-of`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from loadcell.errors import UsageError


def add_classes(group: argparse._ArgumentGroup) -> None:
    """Add the flags to the group of the endpoint."""
    from loadcell.spec import describe_field

    group.add_argument(
        "--also",
        action="append",
        metavar="URL[=W]",
        help="a further endpoint, with its weight beside the first's of 1 (repeatable)",
    )
    group.add_argument("--models", metavar="M=P,…", help=describe_field("classes.models"))
    group.add_argument(
        "--deal", choices=("weights", "round-robin"), help=f"{describe_field('classes.deal')}".replace("%", "%%")
    )
    group.add_argument("--share-key", action=argparse.BooleanOptionalAction, help=describe_field("classes.share_key"))
    group.add_argument(
        "--slo-of",
        action="append",
        metavar="C=SLO",
        help="limits of one class (an endpoint or a model), as in m=ttft=500ms (repeatable; default: those of --slo)",
    )


def put_classes(args: argparse.Namespace, put: Callable[[str, Any], None]) -> None:
    """Put what the flags say, by the paths of the spec; UsageError says what they cannot."""
    import msgspec

    from loadcell.places import parse_also, parse_models, parse_slo_of
    from loadcell.spec import parse_slo

    if also := getattr(args, "also", None):
        put("classes.also", [msgspec.to_builtins(parse_also(text)) for text in also])
    if getattr(args, "models", None) is not None:
        put("classes.models", parse_models(args.models))
    for name in ("deal", "share_key"):
        if getattr(args, name, None) is not None:
            put(f"classes.{name}", getattr(args, name))
    if pairs := getattr(args, "slo_of", None):
        limits = [parse_slo_of(text, parse_slo) for text in pairs]
        if len(dict(limits)) < len(limits):
            raise UsageError("--slo-of names a class twice: give all of its limits at once, as in m=ttft=1s,tpot=50ms")
        put("classes.slo_of", {name: msgspec.to_builtins(slo) for name, slo in limits})

"""Going on with a campaign whose folder the first argument names: which it is, and its Spec with what flags bring."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.cli.run import read_spec
from loadcell.cli.target import is_url
from loadcell.errors import RecordingError, UsageError
from loadcell.spec import Spec, with_fields

if TYPE_CHECKING:
    from loadcell.recording.campaign import Campaign


def kept_folder(args: argparse.Namespace, kind: Campaign[Any], makes_plan: Sequence[str]) -> Path | None:
    """The folder that the target names, to go on with what lies in it; None if the target is a URL, or not given.

    `makes_plan` names the arguments that the plan answers. UsageError where the folder is of another kind, where nobody
    asked to go on, or where it is asked for something else.
    """
    if args.target is None or is_url(args.target, f"folder of {kind.noun}"):
        if args.resume and args.output is None:
            raise UsageError(f"--resume goes on with {kind.noun}: say which, as in: {kind.again(f'{kind.place}/TIME')}")
        return None
    if not kind.there(Path(args.target)):
        raise UsageError(f"{args.target} is not a URL and no folder of {kind.noun}: write http://HOST:PORT")
    if not args.resume:
        see = f"To see it: loadcell report {args.target}; to" if kind.reported else "To see it again or"
        raise UsageError(f"{args.target} is {kind.noun}. {see} go on with it: {kind.again(args.target)}")
    given = [_flag(name) for name in (*makes_plan, "output") if getattr(args, name, None) not in (None, False)]
    if given:
        raise UsageError(f"{args.target} knows what it is to do: leave out {', '.join(given)}, or begin another")
    return Path(args.target)


def _flag(name: str) -> str:
    return f"--{name.rpartition('.')[2].replace('_', '-')}"


def spec_again(args: argparse.Namespace, folder: Path, kept: Spec, prompts: str = "", *, fixed: bool = True) -> Spec:
    """The Spec of the plan in `folder` with what flags bring to it: secrets, which are never kept.

    `prompts` is the file in the folder that it sends. RecordingError if that is lost; with `fixed`, UsageError if flags
    ask for something else.
    """
    import msgspec

    from loadcell.recording.methodology import Recorded, changed_fields
    from loadcell.spec import redact

    if prompts:
        if not (folder / prompts).is_file():
            raise RecordingError(f"{folder} has lost its {prompts}: what was to be sent is not known; begin another")
        kept = with_fields(kept, {"workload.prompts": str(folder / prompts)})  # the folder may have moved
    recorded = Recorded(f"of {folder}", "", msgspec.to_builtins(kept), {}, "", 0, {})
    spec = read_spec(args, recorded)
    if fixed and (changed := changed_fields(recorded, redact(spec))):
        raise UsageError(f"{folder} knows what it is to do: {', '.join(changed)} cannot change; begin another")
    return spec

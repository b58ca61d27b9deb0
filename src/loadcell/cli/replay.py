"""`loadcell run RESULT`: a recorded run again, and what of it could not be made as it was."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.apis import IN_PYTHON, find_api, is_api
from loadcell.cli.target import is_url
from loadcell.errors import UsageError
from loadcell.media import HEARING
from loadcell.secrets import REDACTED
from loadcell.spec import Endpoint, Spec, redact, with_defaults

if TYPE_CHECKING:
    from loadcell.load.fleet import Review
    from loadcell.recording.methodology import Recorded
    from loadcell.recording.schema import Manifest


_OF_KIND = (
    "endpoint.stream", "endpoint.ignore_eos", "workload.output_tokens", "workload.output_column", "workload.inputs",
    "workload.query_tokens", "prefix.system_tokens", "prefix.groups", "prefix.tokens", "prefix.zipf",
    "prefix.hit_share",
)  # fmt: skip
"""Fields that mean something only where text is generated, or only where none is."""
_OF_HEARING = (
    *_OF_KIND, "workload.input_tokens", "workload.prompts", "workload.prompt_column", "workload.template_tokens",
    "workload.token_ratio", "media.images", "media.image_size", "media.image_format", "media.image_dir",
    "media.audio_seconds", "media.audio_dir",
)  # fmt: skip
"""Those that mean something only where requests have text, or only where they are audio alone."""


def find_recorded(target: str | None) -> Recorded | None:
    """How the run was made that `target` names, a recording or a saved result; None if it is a URL."""
    if target is None or is_url(target, "recording or saved result"):
        return None
    path = Path(target)
    from loadcell.cli.results import refuse_many
    from loadcell.recording.methodology import read_methodology

    refuse_many(path, "run")
    return read_methodology(path)


def settle(tree: dict[str, Any], recorded: Recorded, given: Collection[str]) -> None:
    """Change the sections of a recorded Spec, over which the fields `given` were put, so that they can run again.

    A closed loop that gets a rate becomes an open one: without the number of users, which would cap it. A run that
    ended by itself, and lasts as long again, is no such run any more where it is given an end. How the server counts
    prompts is learnt anew for another tokenizer or API; where only one of two APIs generates text, outputs and inputs
    are those that the new one has by default. UsageError if something is needed that was never recorded.
    """
    from loadcell.recording.methodology import check_secrets

    if recorded.effective.get("imported_from"):
        raise UsageError(_not_ours(recorded))
    if tree["endpoint"]["url"].startswith(IN_PYTHON):
        raise UsageError(
            f"run {recorded.id} was of the Python callable {tree['endpoint']['url'].removeprefix(IN_PYTHON)}: "
            "load it again by loadcell.run(fn, ...) in Python"
        )
    headers: dict[str, str] = tree["endpoint"]["headers"]
    known = {name.lower() for name, value in headers.items() if value != REDACTED}
    tree["endpoint"]["headers"] = {n: v for n, v in headers.items() if v != REDACTED or n.lower() not in known}
    load = tree["load"]
    if recorded.spec["load"]["rate"] is None and (load["rate"] is not None or load.get("rate_series")):
        load.update({key: None for key in ("concurrency", "ramp_s") if f"load.{key}" not in given})
    if load.get("duration_most_s") is not None and {"load.duration_s", "load.requests"} & set(
        given
    ):  # it is given an end
        load["duration_s"] = load["duration_s"] if "load.duration_s" in given else None
        load["duration_most_s"] = None
    if "endpoint.url" in given and "load.cache_reset" not in given:  # it empties another server's cache
        load["cache_reset"] = None
    if "workload.prompts" in given:  # these have beginnings of their own
        tree["prefix"] = {}
    workload = tree["workload"]
    if {"workload.tokenizer", "endpoint.api"} & set(given):  # what was learnt of the count holds for those alone
        workload.update({key: None for key in ("template_tokens", "token_ratio") if f"workload.{key}" not in given})
    for path in _of_the_other(recorded.spec["endpoint"].get("api"), tree["endpoint"].get("api")) - set(given):
        section, _, key = path.partition(".")
        tree.get(section, {}).pop(key, None)
    check_secrets(tree, recorded)


def _not_ours(recorded: Recorded) -> str:
    """What is said of a run that another tool made: a load like it can be asked for, the same cannot."""
    from loadcell.interop.read import TOOLS

    load, tool = recorded.spec["load"], str(recorded.effective["imported_from"])
    title = TOOLS[tool].title if tool in TOOLS else tool
    known = (
        ("--rate", load.get("rate")),
        ("--concurrency", load.get("concurrency")),
        ("--requests", load.get("requests")),
    )
    flags = " ".join(f"{flag} {value:g}" for flag, value in known if value)
    return (
        f"run {recorded.id} was imported from {title}, whose files do not hold all that it sent: it cannot be made "
        f"again; a load like it is, with the lengths that its report names: loadcell run URL {flags}".rstrip()
    )


def _of_the_other(old: Any, new: Any) -> set[str]:
    """Fields of a load on the API `old` that one on `new` cannot have, or has of its own."""
    if (old in HEARING) != (new in HEARING):
        return set(_OF_HEARING)
    (generated, _), (generates, query) = _kind(old), _kind(new)
    if generated != generates:
        return set(_OF_KIND)
    return set() if query else {"workload.query_tokens"}


def _kind(api: Any) -> tuple[bool, bool]:
    """Whether an API generates text, as every template does, and whether its inputs are of a query."""
    if not isinstance(api, str) or not is_api(api):  # one that there is not is told of where the Spec is made
        return True, False
    dialect = find_api(api)
    return dialect.generates, bool(dialect.query)


_WHERE = {"resolve": [], "verify_tls": True, "ca_file": None}
"""Fields of an endpoint by which another server may stand for the host of its URL, with what they are as a rule."""


def ask_trust(
    tree: Mapping[str, Any], recorded: Recorded, given: Collection[str], home: Path, *, trusted: bool
) -> None:
    """See to it that a person wants what a recording would send of this machine to the URL that it names.

    Nothing is asked where `given`, the fields that flags set, name both, nor where nothing would be sent; prompts that
    lie in `home`, the recording's own folder, are its own. UsageError if the answer is no, or nobody is there to give
    one.
    """
    endpoint, prompts = tree["endpoint"], tree["workload"].get("prompts")
    also = [] if "classes.also" in given else (tree.get("classes") or {}).get("also") or []
    # Who names the URL alone has not named where the recording says that its host is, or that nobody is to check.
    elsewhere = [name for name, usual in _WHERE.items() if endpoint.get(name, usual) != usual]
    by_hand = "endpoint.url" in given and not also and all(f"endpoint.{name}" in given for name in elsewhere)
    variable = endpoint["api_key_env"]
    named = by_hand and ("endpoint.api_key_env" in given or variable == Endpoint(url="").api_key_env)
    variables = dict.fromkeys([variable, *(one.get("api_key_env") or "" for one in also)])
    keys = [f"the key in the environment variable {name}" for name in variables if os.environ.get(name)]
    if endpoint.get("auth") == "sigv4":
        named, keys = by_hand and "endpoint.auth" in given, ["a signature with this machine's AWS credentials"]
    sent = [] if named else keys
    own = prompts is not None and Path(prompts).resolve().is_relative_to(home.resolve())
    if prompts is not None and not own and not by_hand and "workload.prompts" not in given:
        sent.append(f"the prompts in {prompts}")
    trace = (tree.get("trace") or {}).get("name")
    if trace is not None and Path(trace).exists() and not by_hand and "trace.name" not in given:
        sent.append(f"the times and lengths of {trace}")
    for key, what in (("image_dir", "images"), ("audio_dir", "audio")):
        folder = tree.get("media", {}).get(key)
        if folder is not None and not by_hand and f"media.{key}" not in given:
            sent.append(f"the {what} in {folder}")
    if trusted or not sent:
        return
    to = ", ".join([endpoint["url"], *(one["url"] for one in also)])
    says = f"the recording {recorded.id} would send {' and '.join(sent)} to {to}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{says}: add --trust if that is right"
            + ("" if also or elsewhere else ", or name them yourself: --set endpoint.url=URL --api-key-env VAR")
        )
    sys.stderr.write(f"loadcell: {says}. Send it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was sent")


def make_review(recorded: Recorded, spec: Spec, *, silent: bool = False) -> Review:
    """A review of the new run before its load: it says, and leaves in the notes, what is not as recorded."""
    from loadcell.cli.progress import say
    from loadcell.recording.methodology import changed_fields, differences, schedule_line

    def review(now: Manifest, machine: dict[str, Any]) -> list[str]:
        changed = changed_fields(recorded, redact(with_defaults(spec)))
        lines = [
            f"run {recorded.id} of {recorded.started_at} again: {schedule_line(recorded, now, changed)}",
            *([f"changed by flags: {', '.join(changed)}"] if changed else []),
            *(f"not as recorded: {line}" for line in differences(recorded, now, machine)),
        ]
        if not silent:
            say(*lines)
        return lines

    return review

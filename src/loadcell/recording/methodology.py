"""How a recorded run was made, from its folder or its saved result, and what is other when it is run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from loadcell.errors import RecordingError, UsageError
from loadcell.recording.forms import EnvironmentForm
from loadcell.recording.read import read_json, read_manifest, read_told
from loadcell.recording.schema import Manifest
from loadcell.secrets import REDACTED, holds_redacted
from loadcell.spec import Spec, build_spec, spec_fields

RESULT_FORMAT = 4
"""Newest format of a saved result that is understood; `metrics` writes it."""

Tree = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Recorded:
    """How a run was made. What it does not tell is missing."""

    id: str
    started_at: str
    spec: Tree
    """The Spec as plain sections, secrets removed."""
    effective: dict[str, Any]
    schedule_hash: str
    workers: int
    environment: dict[str, Any]
    bodies_hash: str | None = None
    """None where the version that recorded the run made none: then its schedule's hash is of another form too."""


class _SavedRun(msgspec.Struct):
    id: str
    started_at: str


class _SavedMethodology(msgspec.Struct):
    spec: Tree
    effective: dict[str, Any]
    schedule_hash: str
    workers: int
    environment: dict[str, Any]
    bodies_hash: str | None = None


class _SavedResult(msgspec.Struct):
    run: _SavedRun
    methodology: _SavedMethodology


class _Head(msgspec.Struct):
    """What tells a saved result from other JSON."""

    format: int
    loadcell: str
    methodology: msgspec.Raw = msgspec.Raw()
    runs: msgspec.Raw = msgspec.Raw()


def read_methodology(path: Path) -> Recorded:
    """How the run in the folder or saved result `path` was made.

    RecordingError if it is neither, or of a newer format. A recording that was cut short will do.
    """
    if path.is_dir():
        manifest, spec = read_manifest(path), read_json(path / "spec.json", Spec)
        return Recorded(
            id=manifest.id,
            started_at=manifest.started_at,
            spec=_as_run(msgspec.to_builtins(spec), manifest.effective, manifest.bodies_hash),
            bodies_hash=manifest.bodies_hash,
            effective=manifest.effective,
            schedule_hash=manifest.schedule_hash,
            workers=manifest.workers,
            environment=read_told(path / "environment.json", EnvironmentForm),
        )
    result = _read_result(path)
    told = msgspec.structs.asdict(result.methodology)
    told["spec"] = _as_run(told["spec"], told["effective"], told["bodies_hash"])
    return Recorded(id=result.run.id, started_at=result.run.started_at, **told)


def _as_run(spec: Tree, effective: Mapping[str, Any], bodies_hash: str | None) -> Tree:
    """The Spec with what the run found itself: its length, if nobody asked for one; and as older versions ran it."""
    load = dict(spec.get("load", {}))
    if load.get("duration_most_s") is not None and load.get("duration_s") is None and load.get("requests") is None:
        load["duration_s"] = effective.get("duration_s")
    load["keep_load"] = load.get("keep_load", True) and "keep_load" in effective  # older ones ended with their sending
    return {**_with_prompts_of(spec, bodies_hash), "load": load}


def _with_prompts_of(spec: Tree, bodies_hash: str | None) -> Tree:
    """The Spec that gives the prompts of the run again: older versions drew no salt and let their tokenizer count."""
    if bodies_hash is not None:
        return spec
    run, workload = spec.get("run", {}), spec.get("workload", {})
    counted = {"template_tokens": 0, "token_ratio": 1.0}
    return {**spec, "run": {**run, "salt": run.get("salt") or ""}, "workload": {**workload, **counted}}


def _read_result(path: Path) -> _SavedResult:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None
    try:
        head = msgspec.json.decode(text, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordingError(
            f"{path} is neither a URL, nor the folder of a recording, nor a saved result (the JSON that "
            "loadcell run --json prints)"
        ) from None
    if head.format > RESULT_FORMAT:
        raise RecordingError(
            f"{path} was written by loadcell {head.loadcell} in format {head.format}; "
            f"this version reads up to {RESULT_FORMAT}: upgrade loadcell"
        )
    if not bytes(head.methodology):
        what = "is a summary of several runs" if bytes(head.runs) else "tells no methodology"
        raise RecordingError(f"{path} {what}: name the recording or the result of one run")
    try:
        return msgspec.json.decode(text, type=_SavedResult)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path} is damaged: {error}") from None


# --- what is asked for again -----------------------------------------------------------------------------------------


def check_secrets(tree: Mapping[str, Any], recorded: Recorded) -> None:
    """UsageError if `tree`, the Spec to run, still needs something that is never recorded, or a file that is gone."""
    endpoint = tree["endpoint"]
    if REDACTED in endpoint["url"]:
        raise UsageError(
            f"run {recorded.id} went to {endpoint['url']}: credentials and queries of a URL are never recorded. "
            "Give it again: --set endpoint.url=URL"
        )
    hidden = [one["url"] for one in (tree.get("classes") or {}).get("also") or [] if REDACTED in one["url"]]
    if hidden:
        raise UsageError(
            f"run {recorded.id} went to {', '.join(hidden)} too: credentials and queries of a URL are never recorded. "
            "Give all further endpoints again: --also URL"
        )
    if REDACTED in (endpoint.get("path") or ""):
        raise UsageError(
            f"run {recorded.id} asked {endpoint['path']}: queries are never recorded. Give it again: --path PATH"
        )
    observe = tree.get("observe") or {}
    for flag, pages in (("--metrics-url", [endpoint.get("metrics_url")]), ("--observe-url", observe.get("urls") or [])):
        hidden = [page for page in pages if page and REDACTED in page]
        if hidden:
            raise UsageError(
                f"run {recorded.id} watched {', '.join(hidden)}: credentials and queries of a URL are never recorded. "
                f"Give all such pages again: {flag} URL"
            )
    if REDACTED in ((tree.get("load") or {}).get("cache_reset") or ""):
        raise UsageError(
            f"run {recorded.id} emptied the cache by {tree['load']['cache_reset']}: credentials and queries of a URL "
            "are never recorded. Give it again: --cache-reset URL"
        )
    lost = [name for name, value in endpoint.get("headers", {}).items() if value == REDACTED]
    if lost:
        again = " ".join(f"--header {name}=VALUE" for name in lost)
        raise UsageError(
            f"run {recorded.id} sent the header{'s' if len(lost) > 1 else ''} {', '.join(lost)}, of which the values "
            f"are never recorded. Give them again: {again}; or leave all out: --set endpoint.headers={{}}"
        )
    if holds_redacted(endpoint.get("extra_body")):
        raise UsageError(
            f"run {recorded.id} sent further fields that hold a key, which is never recorded. Give them all again: "
            "--set endpoint.extra_body=JSON"
        )
    if holds_redacted(endpoint.get("api")):
        raise UsageError(
            f"run {recorded.id} spoke an API by a template that holds a key, which is never recorded. Name it again: "
            "--api FILE.yaml"
        )
    files = {"--prompts": tree["workload"].get("prompts"), "--ca-file": endpoint.get("ca_file"),
             "--cert": endpoint.get("cert_file"), "--key": endpoint.get("key_file")}  # fmt: skip
    for flag, name in files.items():
        if name is not None and not Path(name).expanduser().is_file():
            raise UsageError(f"run {recorded.id} used the file {name}, which is not here: give {flag} FILE")


def changed_fields(recorded: Recorded, now: Spec) -> list[str]:
    """The fields of the Spec that are not as recorded, as in "load.rate 5 -> 6". `now` is redacted, with defaults."""
    before = build_spec(recorded.spec)
    values = ((path, attrgetter(path)(before), attrgetter(path)(now)) for path in spec_fields())
    return [f"{path} {_say(old)} -> {_say(new)}" for path, old, new in values if old != new]


_ENVIRONMENT = {
    "loadcell": "loadcell",
    "python": "Python",
    "host": "machine",
    "cpu": "CPU",
    "system": "system",
    "cores": "cores",
    "cores_allowed": "cores allowed",
}
"""Facts of the environment that bear on the load or the figures, and their names."""
_LIBRARIES = ("numpy", "tokenizers", "msgspec", "httptools")
_TOLD_ELSEWHERE = {
    "rows", "ramp_s", "duration_s", "keep_load", "workers", "url", "tokenizer", "tokenizer_packaged", "salt",
    "template_tokens", "token_ratio", "prompts_counted_by", "not_counted_by_server", "trace",
}  # fmt: skip
"""Effective settings that follow from the spec or have a line of their own."""


def differences(recorded: Recorded, now: Manifest, machine: Mapping[str, Any]) -> Iterator[str]:
    """What could not be made as it was, in words; `machine` is the environment of the new run."""
    facts = [(name, recorded.environment.get(key), machine.get(key)) for key, name in _ENVIRONMENT.items()]
    before, after = recorded.environment.get("libraries") or {}, machine.get("libraries") or {}
    facts += [(name, before.get(name), after.get(name)) for name in _LIBRARIES]
    told = [fact for fact in facts if fact[1] is not None]
    if not told:
        yield "the recorded run does not tell its machine and versions"
    told += [("workers", recorded.workers, now.workers)]
    told += [("trace", _trace_of(recorded.effective), _trace_of(now.effective))]
    told += [
        (name, value, now.effective[name])
        for name, value in recorded.effective.items()
        if name in now.effective and name not in _TOLD_ELSEWHERE
    ]
    yield from (f"{name}: {_say(new)}, was {_say(old)}" for name, old, new in told if old != new)


def _trace_of(effective: Mapping[str, Any]) -> str | None:
    """The file that was replayed, by the beginning of its SHA-256."""
    trace = effective.get("trace")
    return None if not isinstance(trace, Mapping) else str(trace.get("sha256"))[:16]


def same_form(a: str | None, b: str | None) -> bool:
    """Whether two hashes of bodies can be compared: before the colon stands how they were made."""
    return a is not None and b is not None and a.rpartition(":")[0] == b.rpartition(":")[0]


def schedule_line(recorded: Recorded, now: Manifest, changed: list[str]) -> str:
    """Whether the same requests are sent at the same times."""
    new, old = now.schedule_hash[:16], recorded.schedule_hash[:16]
    if recorded.bodies_hash is None:
        return (
            f"loadcell {recorded.environment.get('loadcell', '')} recorded it and hashed its requests in another way: "
            "whether these are the same cannot be told; they are made as it made them"
        )
    if now.schedule_hash == recorded.schedule_hash:
        if not same_form(recorded.bodies_hash, now.bodies_hash):
            version = recorded.environment.get("loadcell", "")
            return f"same schedule (hash {new}); loadcell {version} hashed the bytes in another way: not compared"
        if now.bodies_hash == recorded.bodies_hash:
            return f"same schedule (hash {new}), same bytes (hash {recorded.bodies_hash[:16]})"
        if changed:
            return f"same schedule (hash {new}), other bytes: the spec was changed"
        return (
            f"same schedule (hash {new}), NOT THE SAME BYTES: look for another model, a changed prompt file or "
            "tokenizer, or another version of loadcell"
        )
    if changed:
        return f"another schedule than the recorded one (hash {new}, was {old}): the spec was changed"
    return (
        f"NOT THE SAME SCHEDULE (hash {new}, was {old}): other requests are sent than those of the recorded run; "
        "look for a changed prompt file or tokenizer, or another version of loadcell or numpy"
    )


def _say(value: Any) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, dict):
        return ", ".join(key if known == REDACTED else f"{key}={known}" for key, known in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)

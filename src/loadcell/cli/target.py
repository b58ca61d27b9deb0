"""What the first argument of a command names: a server, or something on this disk."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loadcell.errors import UsageError, nearest
from loadcell.spec import Endpoint, Spec, redact
from loadcell.urls import full_url, is_azure, names_host, names_socket

if TYPE_CHECKING:
    from loadcell.load.local import Local

_ANTHROPIC = "ANTHROPIC_API_KEY"
_AZURE = "AZURE_OPENAI_API_KEY"
"""Environment variables of keys, by whose servers they are for."""
BASE_URL = "OPENAI_BASE_URL"
"""The environment variable that OpenAI's own client reads too. Files, a .env say, are not read."""


def is_url(target: str, things: str) -> bool:
    """Whether `target` is a server's URL, with or without http://; else it is there on the disk.

    A name that may be both is a server's if it is one of a host. UsageError if it is neither, with the file that is
    most like it; `things` says what is looked for on the disk, as in "recording or saved result".
    """
    if "://" in target or names_socket(target):
        return True
    if os.path.lexists(target):
        return False
    sure = names_host(target)
    path = Path(target)
    below = len(path.parts) > 1 and path.parent.is_dir()
    if sure or (sure is None and not below and _resolves(target)):
        return True
    like = nearest(path.name, _names_in(path.parent)) if path.name else ""
    host = f", and no host {urlsplit(full_url(target)).hostname}" if sure is None and not below else ""
    raise UsageError(f"there is no {things} at {target}{host}{like}: name one, or write a URL as http://HOST:PORT")


def _resolves(target: str) -> bool:
    import urllib.request

    host = urlsplit(full_url(target)).hostname or ""
    if "." in host and urllib.request.getproxies_environment():
        return True  # a proxy may know names that this machine does not
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def find_endpoint(but: Collection[str] = ()) -> dict[str, str]:
    """The section `endpoint` of the Spec where nobody named one: by OPENAI_BASE_URL, else a server on this machine.

    It says which. A server that was found, not named, is sent no key: it has answered without. Those in `but` are
    not taken. UsageError if there is none, with what to start.
    """
    if (named := os.environ.get(BASE_URL, "").strip()) and (url := full_url(named)) not in but:
        _say(f"no endpoint was named; {BASE_URL} names {redact(Spec(endpoint=Endpoint(url=url))).endpoint.url}")
        return {"url": url}
    from loadcell.load.local import USUAL, local_servers

    taken = {_local_port(url) for url in but}  # localhost and 127.0.0.1 are one server
    found = [one for one in local_servers() if _local_port(one.url) not in taken]
    ready = [one for one in found if one.models]
    if not ready:
        ports = ", ".join(f"{port} {name}" for port, name in USUAL)
        answered = "".join(f"; {_why_not(one)}" for one in found)
        raise UsageError(
            f"no endpoint was named, and no LLM server answers on this machine's usual ports ({ports}){answered}.\n"
            f"Name one, as in: loadcell run http://HOST:PORT (or set {BASE_URL}). To try it out, start one in another "
            "terminal: loadcell serve"
        )
    first, *others = ready
    also = [f"also {_about(one)}" for one in others] + [_why_not(one) for one in found if not one.models]
    choose = ["name a URL to choose"] if also else []
    _say("; ".join([f"no endpoint was named; found {_about(first)}", *also, *choose]))
    return {"url": first.url, "api_key_env": ""}


def key_variable(endpoint: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The field `api_key_env` where nobody named one, for an endpoint that somebody did: the key of the server's own
    maker, and for Anthropic's API that of Anthropic where there is no other; empty: the default."""
    url, usual = endpoint.get("url"), environ.get(Endpoint(url="").api_key_env)
    host = (urlsplit(full_url(url)).hostname or "") if isinstance(url, str) else ""
    theirs = _ANTHROPIC if f".{host}".endswith(".anthropic.com") else _AZURE if is_azure(host) else None
    if theirs is not None and (environ.get(theirs) or not usual):
        return {"api_key_env": theirs}
    if endpoint.get("api") == "messages" and environ.get(_ANTHROPIC) and not usual:
        return {"api_key_env": _ANTHROPIC}
    return {}


def _local_port(url: str) -> int | None:
    """The port of a URL on this machine, None of any other."""
    parts = urlsplit(url)
    return parts.port if parts.hostname in {"localhost", "127.0.0.1", "::1"} else None


def _about(one: Local) -> str:
    from loadcell.report.text import plain

    return f"{one.url} (port of {one.usual}; model {plain(one.models[0], 80)})"


def _why_not(one: Local) -> str:
    if one.wants_key:
        return f"{one.url} wants a key: name it, and that in OPENAI_API_KEY is sent"
    return f"{one.url} (port of {one.usual}) lists no model"


def _say(words: str) -> None:
    sys.stderr.write(f"loadcell: {words}\n")
    sys.stderr.flush()

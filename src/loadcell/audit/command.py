"""The command line of a tool: words with places for what the audit fills in."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from loadcell.audit.model import Load
from loadcell.errors import UsageError, nearest

PLACES = {
    "url": "http://127.0.0.1:PORT",
    "base_url": "the same with /v1",
    "host": "127.0.0.1",
    "port": "its port",
    "model": "the model's name",
    "tokenizer": "a folder with a tokenizer of the model, in Hugging Face's form",
    "concurrency": "streams",
    "requests": "requests in all",
    "input_tokens": "of a prompt",
    "output_tokens": "of a reply",
    "output": "a folder for what the tool writes",
}
ADDRESSES = ("url", "base_url", "port")
_PLACE = re.compile(r"\{([a-z_]+)\}")


def words_of(command: str, files: Iterable[str] = ()) -> list[str]:
    """A command line as words, as a shell parts them; UsageError if neither it nor the files that it reads say where to
    send to, or they have places that are not known."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"the command cannot be read ({error}): {command}") from None
    if not words:
        raise UsageError("the command is empty: give one, as in 'TOOL --url {url}'")
    asked = {name for text in (*words, *files) for name in _PLACE.findall(text)}
    for name in sorted(asked - PLACES.keys()):
        raise UsageError(
            f"the command has {{{name}}}{nearest(name, PLACES)}: {', '.join(map(_braced, PLACES))} are known"
        )
    if not asked & set(ADDRESSES):
        raise UsageError(f"the command does not say where to send to: write {', '.join(map(_braced, ADDRESSES[:2]))} "
                         "or {port} where the server's address belongs")  # fmt: skip
    return words


def values_of(url: str, load: Load, tokenizer: str, output: Path, model: str) -> dict[str, str]:
    """What is filled in, by the name of the place."""
    parts = urlsplit(url)
    return {
        "url": url,
        "base_url": f"{url}/v1",
        "host": str(parts.hostname),
        "port": str(parts.port),
        "model": model,
        "tokenizer": tokenizer,
        "concurrency": str(load.concurrency),
        "requests": str(load.requests),
        "input_tokens": str(load.input_tokens),
        "output_tokens": str(load.output_tokens),
        "output": str(output),
    }


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its places filled in."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)


def uses(words: list[str], name: str) -> bool:
    """Whether the command has this place."""
    return any(_braced(name) in word for word in words)


def found_program(name: str, path: str, hint: str = "") -> str:
    """Where the program is; UsageError if there is none."""
    found = shutil.which(name, path=path)
    if found is None:
        raise UsageError(
            f"there is no program {name} on the PATH{hint or ': install the tool, or write its whole path'}"
        )
    return str(Path(found).absolute())


def _braced(name: str) -> str:
    return f"{{{name}}}"

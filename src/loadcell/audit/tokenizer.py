"""A tokenizer as tools load it from a folder, without any network: the one that comes with the package.

Every word of the engine is one of its tokens, with the space before it.
"""

from __future__ import annotations

import gzip
import json
from importlib import resources
from pathlib import Path

_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<|im_start|>",
    "eos_token": "<|im_end|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|im_end|>",
    "model_max_length": 131_072,
    "clean_up_tokenization_spaces": False,
    "chat_template": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
}
_MODEL = {"model_type": "llama", "vocab_size": 49_152, "max_position_embeddings": 131_072}
"""Some tools want a model's configuration beside it."""


def write_tokenizer(folder: Path) -> Path:
    """Write it into a new folder, and return that."""
    folder.mkdir(parents=True)
    packed = resources.files("loadcell.workload").joinpath("data", "smollm2.tokenizer.json.gz").read_bytes()
    (folder / "tokenizer.json").write_bytes(gzip.decompress(packed))
    (folder / "tokenizer_config.json").write_text(json.dumps(_CONFIG), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(_MODEL), encoding="utf-8")
    return folder

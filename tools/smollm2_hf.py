"""Weights of a SmolLM2 in a GGUF file as a Hugging Face folder in bfloat16, with tokenizer and chat template.

python tools/smollm2_hf.py FILE.gguf FOLDER, in the environment that tools/real_vllm.sh makes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

_TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
_OF_LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def main(source: Path, folder: Path) -> None:
    """Write the folder; an AssertionError tells that the file holds another architecture."""
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    reader = gguf.GGUFReader(source)
    config = _config(reader, len(tokenizer))
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    model = LlamaForCausalLM(config)
    missing = model.load_state_dict(dict(_weight(tensor, heads) for tensor in reader.tensors), strict=False)
    assert set(missing.missing_keys) <= {"lm_head.weight"} and not missing.unexpected_keys, missing
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _config(reader: gguf.GGUFReader, vocabulary: int) -> LlamaConfig:
    def field(key: str) -> Any:
        found = reader.fields[f"llama.{key}"]
        return found.parts[found.data[0]][0]

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=int(field("embedding_length")),
        intermediate_size=int(field("feed_forward_length")),
        num_hidden_layers=int(field("block_count")),
        num_attention_heads=int(field("attention.head_count")),
        num_key_value_heads=int(field("attention.head_count_kv")),
        max_position_embeddings=int(field("context_length")),
        rms_norm_eps=float(field("attention.layer_norm_rms_epsilon")),
        rope_theta=float(field("rope.freq_base")),
        tie_word_embeddings=True,
    )


def _weight(tensor: Any, heads: dict[str, int]) -> tuple[str, torch.Tensor]:
    """A tensor by the name that it has in the folder; its numbers are no longer quantised."""
    weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    if tensor.name in _TOP:
        return _TOP[tensor.name], torch.tensor(weight)
    _, layer, kind, _ = tensor.name.split(".")
    if n := heads.get(kind):  # llama.cpp interleaves the rotary halves of queries and keys
        shape = weight.shape
        weight = weight.reshape(n, shape[0] // n // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
    return f"model.layers.{layer}.{_OF_LAYER[kind]}.weight", torch.tensor(weight)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))

"""In what blocks a server's cache finds prompts: as its page says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadcell.metrics.cache import _block_tokens

PAGE = (
    "# TYPE vllm:cache_config_info gauge\n"
    'vllm:cache_config_info{_block_size_resolved="True",block_size="128",cache_dtype="auto",'
    'mamba_block_size="None",hash_block_size="None"} 1.0\n'
)


@pytest.mark.parametrize(
    ("pages", "tokens"),
    [
        ((PAGE, PAGE), 128),
        ((PAGE.replace('block_size="128"', 'block_size="None"'),) * 2, 16),
        (("vllm:num_requests_running 0\n",) * 2, 16),
        (None, 16),
    ],
)
def test_blocks_are_as_large_as_the_page_says(pages: tuple[str, str] | None, tokens: int) -> None:
    assert _block_tokens(cast(Any, SimpleNamespace(prometheus=pages))) == tokens

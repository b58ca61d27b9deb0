"""A view of a tool's own data gives back what the tool printed, in each file that holds its requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peer_rows
import pytest

from loadcell.interop.views.build import figures
from loadcell.interop.views.seen import Seen

# Figures of a tool that its file gives no data for.
LEFT_OUT = {
    "vllm": {"request_goodput"},
    "aiperf": {"goodput.avg", "good_request_fraction.avg"},
    "guidellm": {"time_to_first_output_token_ms"},
    "llmperf": {"results_inter_token_latency_s"},
    "genai-bench": set(),
}


def at(told: Any, key: str) -> Any:
    """The value under a key of joined names, some of which have dots themselves; None where there is none."""
    if not isinstance(told, dict) or key in told:
        return told.get(key) if isinstance(told, dict) else None
    parts = key.split(".")
    for cut in range(1, len(parts)):
        if (head := ".".join(parts[:cut])) in told:
            return at(told[head], ".".join(parts[cut:]))
    return None


def own_key(tool: str, key: str) -> str:
    """Where a figure stands in the raw file."""
    if tool == "genai-bench":
        return f"aggregated_metrics.{key}"
    if tool == "guidellm" and not key.startswith("request_totals"):
        name, stat = key.split(".")
        return f"metrics.{name}.successful.{f'percentiles.{stat}' if stat[1:].isdigit() else stat}"
    return f"metrics.{key}" if tool == "guidellm" else key


@pytest.mark.parametrize(
    ("tool", "read", "least"),
    [("vllm", peer_rows.vllm, 32), ("aiperf", peer_rows.aiperf, 120), ("guidellm", peer_rows.guidellm, 90),
     ("llmperf", peer_rows.llmperf, 50), ("genai-bench", peer_rows.genai_bench, 90)],
)  # fmt: skip
def test_the_view_gives_back_what_the_tool_told(
    tool: str, read: Callable[[], tuple[Seen, dict[str, Any]]], least: int
) -> None:
    seen, told = read()
    wrong, right = [], 0
    for figure in figures(seen, tool):
        value = at(told, own_key(tool, figure.key))
        if value is None or any(figure.key.startswith(key) for key in LEFT_OUT[tool]):
            continue
        if figure.value == pytest.approx(float(value), rel=1e-6, abs=1e-9):
            right += 1
        else:
            wrong.append((figure.key, figure.value, value))
    assert not wrong
    assert right >= least

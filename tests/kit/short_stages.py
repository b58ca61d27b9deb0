"""What the tests' short stages ask for."""

from __future__ import annotations

from loadcell.spec import Spec, build_spec


def short_spec(url: str) -> Spec:
    """Requests of 8 tokens in and out, one worker, nothing watched beside the load."""
    return build_spec(
        {
            "endpoint": {"url": url},
            "load": {"timeout_s": 20, "wait_ready_s": 0},
            "workload": {"input_tokens": "8", "output_tokens": "8"},
            "observe": {"every_s": 0},
            "run": {"workers": 1, "shared_host": True},
        }
    )

"""What a Spec asks of an API that generates no text, and what it cannot ask: inputs a request, and no output."""

from __future__ import annotations

from typing import Any

from loadcell.apis import AUDIO, Api, find_api, generates, is_api
from loadcell.errors import UsageError

INPUTS, DOCUMENTS, QUERY_TOKENS = "1", "10", "16"
"""By default: texts to embed, documents a query, tokens of a query."""
_OF_OUTPUT = (
    ("endpoint", "stream", "its reply comes whole"),
    ("endpoint", "ignore_eos", "there is no output to go on"),
    ("workload", "output_tokens", "there is no output to be long"),
    ("workload", "output_column", "there is no output to be long"),
)
"""What only an API can be asked that generates text, and why no other."""
_IN_EVENTS = "whether its audio comes in events says stream_format in endpoint.extra_body"
_LIMITS = {"ttft_ms": "TTFT", "tpot_ms": "TPOT"}


def settle_inputs(tree: dict[str, dict[str, Any]]) -> None:
    """Fill in what the sections of a Spec leave to their API: of one that generates nothing, inputs and no output.

    UsageError names what was asked of it that it has not.
    """
    api, workload = tree.get("endpoint", {}).get("api", "chat"), tree.get("workload", {})
    if not isinstance(api, str) or not is_api(api) or generates(api):
        return
    dialect = find_api(api)
    for section, key, why in _OF_OUTPUT:
        why = _IN_EVENTS if key == "stream" and dialect.audio else why
        if tree.get(section, {}).get(key) not in (None, False):
            raise UsageError(f"{section}.{key}: the {api} API generates no text, {why}: leave it out")
    tree["endpoint"]["stream"] = False
    tree["workload"] = workload = {**workload, "output_tokens": None}
    if workload.get("prompts") is None:
        workload["inputs"] = workload.get("inputs") or (DOCUMENTS if dialect.query else INPUTS)
        if dialect.query:
            workload["query_tokens"] = workload.get("query_tokens") or QUERY_TOKENS


def check_inputs(
    api: Api,
    *,
    streamed: bool,
    output_tokens: str | None,
    inputs: str | None,
    query_tokens: str | None,
    prompts: str | None,
) -> None:
    """UsageError if a load of the API cannot be with these settings."""
    if generates(api):
        if output_tokens is None:
            raise UsageError(f"the {api} API generates text: say how much with workload.output_tokens")
        if inputs is not None or query_tokens is not None:
            name = "query_tokens" if inputs is None else "inputs"
            raise UsageError(
                f"workload.{name} is of APIs that generate nothing, and {api} takes one prompt a request: leave it "
                "out, or give --api embeddings or rerank"
            )
        return
    if streamed or output_tokens is not None:
        name = "endpoint.stream" if streamed else "workload.output_tokens"
        raise UsageError(f"{name}: the {api} API generates no text: leave it out")
    if find_api(api).one and inputs not in (None, INPUTS):
        raise UsageError(f"workload.inputs: the {api} API takes one text a request: leave it out")
    if query_tokens is not None and not find_api(api).query:
        raise UsageError(f"workload.query_tokens: the {api} API has no query: leave it out")
    if prompts is not None and (inputs is not None or query_tokens is not None):
        name = "query_tokens" if inputs is None else "inputs"
        raise UsageError(
            f"workload.{name}: the lines of a file (--prompts) hold their own inputs and queries: leave it out"
        )


def check_limits(limits: dict[str, float], api: Api, *, generates: bool) -> None:
    """UsageError if an SLO limits what replies of an API have not."""
    wrong = [name for name in limits if name in _LIMITS]
    if "first_audio_ms" in limits and api != AUDIO:
        raise UsageError(f"an SLO on first audio is of --api {AUDIO}: limit TTFT or E2E, as in --slo e2e=2s")
    if wrong and not generates:
        raise UsageError(
            f"an SLO on {_LIMITS[wrong[0]]} is of generated tokens, and this API generates none: limit E2E, as in "
            "--slo e2e=200ms"
        )

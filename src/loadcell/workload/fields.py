"""Which keys of a row are sent with its prompt, which the run decides, and which no request has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from loadcell.apis import find_api
from loadcell.errors import UsageError, nearest
from loadcell.spec import Spec
from loadcell.workload.inputs import Refused, short

Fields = dict[str, Any]
OUTPUT = (
    "output_tokens", "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "n_predict",
    "num_predict",
)  # fmt: skip
"""What rows call the most output tokens of their reply."""
BY_RUN = ("model", "stream", "stream_options")
"""Keys of a body that the run decides for all of its requests."""
ARRIVAL = ("timestamp", "arrival_time", "arrived_at")
"""Keys that tell when a request came: of a trace."""
TEXT_FIELDS = (
    "stop", "suffix", "grammar", "regex", "guided_regex", "guided_grammar", "chat_template", "reasoning_effort",
    "verbosity", "service_tier",
)  # fmt: skip
NUMBERS = frozenset((
    "temperature", "top_p", "n", "best_of", "seed", "presence_penalty", "frequency_penalty", "top_logprobs", "top_k",
    "min_p", "typical_p", "repetition_penalty", "length_penalty", "min_tokens", "repeat_penalty", "priority",
))  # fmt: skip
"""Keys of FIELDS under which a text means nothing."""
FIELDS = frozenset((
    *TEXT_FIELDS, *BY_RUN,
    # OpenAI
    "temperature", "top_p", "n", "best_of", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs",
    "top_logprobs", "echo", "response_format", "tools", "tool_choice", "parallel_tool_calls", "functions",
    "function_call", "modalities", "prediction", "web_search_options", "stop_sequences", "prompt_cache_key",
    # vLLM, SGLang, llama.cpp, TGI
    "top_k", "min_p", "typical_p", "repetition_penalty", "length_penalty", "min_tokens", "stop_token_ids", "ignore_eos",
    "include_stop_str_in_output", "skip_special_tokens", "spaces_between_special_tokens", "add_generation_prompt",
    "continue_final_message", "add_special_tokens", "chat_template_kwargs", "guided_json", "guided_choice",
    "structured_outputs", "json_schema", "ebnf", "bad_words", "allowed_token_ids", "truncate_prompt_tokens",
    "prompt_logprobs", "mm_processor_kwargs", "lora_path", "cache_prompt", "n_probs", "priority", "cache_salt",
    "guided_decoding_backend", "guided_whitespace_pattern", "logits_processors", "vllm_xargs", "kv_transfer_params",
    "thinking_token_budget", "use_beam_search", "separate_reasoning", "custom_params", "custom_logit_processor",
    "repeat_penalty", "repeat_last_n", "mirostat", "mirostat_tau", "mirostat_eta", "dynatemp_range", "top_n_sigma",
    "dry_multiplier", "dry_base", "dry_allowed_length", "xtc_probability", "xtc_threshold", "samplers", "n_keep",
    "id_slot", "do_sample", "watermark", "adapter_id",
))  # fmt: skip
"""Keys beside a prompt that are sent with it; in a `body` every key is."""


def without_ignored(row: Fields, ignored: Collection[str]) -> tuple[Fields, list[str]]:
    """The row without what `workload.ignore_fields` names, in its body too; and the names that it had."""
    body = row.get("body")
    held = [body] if isinstance(body, dict) else []
    found = [name for name in ignored if any(fields.get(name) is not None for fields in (row, *held))]
    if not found:
        return row, []
    left = {key: value for key, value in row.items() if key not in found}
    if held and any(name in held[0] for name in found):
        left["body"] = {key: value for key, value in held[0].items() if key not in found}
    return left, found


def flat(fields: Fields, nest: str) -> Fields:
    """The fields with those of the object `nest` among them: the body puts them back."""
    held = fields.get(nest) if nest else None
    return {key: value for key, value in fields.items() if key != nest} | held if isinstance(held, dict) else fields


def refuse_times(row: Mapping[str, Any], where: str) -> None:
    """Refused for a row that tells when it came."""
    if told := [name for name in ARRIVAL if row.get(name) is not None]:
        raise Refused(
            f"{where}: tells when it came ({told[0]}): --trace FILE sends each request at its time; --prompts at the "
            f"times of the run, if --ignore-fields {told[0]} says so"
        )


def settle(fields: Fields, spec: Spec, where: str, *, whole: bool) -> None:
    """Take out of a row's fields what the run decides for all; Refused where the row wants it otherwise.

    `whole`: they are a body of its own, in which null stands for itself.
    """
    endpoint = spec.endpoint
    further = flat(endpoint.extra_body, find_api(endpoint.api).nest)
    decided = {
        **further,
        "model": endpoint.model,
        "stream": endpoint.stream,
        "stream_options": {"include_usage": True},
    }
    if endpoint.ignore_eos is not None:
        decided["ignore_eos"] = endpoint.ignore_eos
    for key in list(fields):
        value = fields[key]
        if key in decided:
            if value is not None and value != decided[key]:
                raise Refused(f"{where}: {_differs(key, value, decided[key])}")
            del fields[key]
        elif value is None and not whole:  # a cell of a table that is empty
            del fields[key]


def _differs(key: str, value: Any, decided: Any) -> str:
    """That a row wants what the run does otherwise, and what may be done about it."""
    instead = f"--ignore-fields {key} sends the run's"
    asked = f"asks for {key} {short(value)}, and the run's"
    if key == "model":
        run = f"is {short(decided)}" if decided else "is the one that the server lists"
        named = f"--model {value} sends it, " if isinstance(value, str) else ""
        return f"{asked} {run}: {named}{instead}"
    if key == "stream":
        flag = "--stream" if value else "--no-stream"
        return f"{asked} is {short(decided)}: {flag} for all, or {instead}"
    if key == "ignore_eos":
        return f"{asked} (--ignore-eos) is {short(decided)}: leave the flag out, or {instead}"
    if key == "stream_options":
        return f"{asked} are {short(decided)}: {instead}"
    return f"{asked} (endpoint.extra_body) is {short(decided)}: leave it out there, or {instead}"


def check_names(spec: Spec, columns: Collection[str]) -> None:
    """UsageError for a field that no row has, of those that people name; `columns` are all that there are."""
    workload = spec.workload
    named = (
        ("--ignore-fields", workload.ignore_fields),
        ("--send-fields", workload.send_fields),
        ("--output-column", [workload.output_column] if workload.output_column else []),
    )
    for flag, names in named:
        for name in names:
            if name not in columns:
                raise UsageError(
                    f"{flag}: no row of {workload.prompts} has {name!r}{nearest(name, columns)}; there are: "
                    f"{', '.join(sorted(columns)) or 'no columns'}"
                )
    if decided := [name for name in workload.send_fields if name in BY_RUN]:
        raise UsageError(f"--send-fields: {decided[0]} is the run's: --{decided[0].split('_')[0]} says what it is")


# --- as it stands in the file -----------------------------------------------------------------------------------------

AsIs = dict[str, tuple[Any, msgspec.Raw]]
"""Fields by name: the value that was read, and the JSON that it was read from."""


def as_is(values: Mapping[str, Any], raw: bytes | str | msgspec.Raw | None, nest: str = "") -> AsIs:
    """The JSON of each value of an object that was read from `raw`, those of the object `nest` in it too."""
    if raw is None or not isinstance(values, dict):
        return {}
    raws = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    found = {key: (values[key], one) for key, one in raws.items() if key in values}
    if nest and isinstance(values.get(nest), dict):
        found |= as_is(values[nest], raws[nest])
    return found


def encoded(fields: Fields, known: AsIs) -> bytes:
    """The fields as JSON: what is still the value that was read stands byte for byte as it was."""
    return msgspec.json.encode(
        {key: known[key][1] if key in known and value is known[key][0] else value for key, value in fields.items()}
    )

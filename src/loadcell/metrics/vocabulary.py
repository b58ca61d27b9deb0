"""What servers, GPUs and machines call their quantities, and what they are called here: one table for all of them.

Names and meanings, by site: docs.vllm.ai "Production Metrics" (and the V0 names of v0.8), docs.sglang.io "Production
Metrics", llama.cpp's tools/server/README.md, huggingface.co "TGI metrics", docs.nvidia.com "Triton metrics" and
"TensorRT-LLM backend", "Dynamo metrics", "DCGM exporter metrics" (etc/default-counters.csv), llm-d.ai "Model server
metrics", gateway-api-inference-extension "Metrics & Observability", AMD's device-metrics-exporter "List of metrics".
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from loadcell.phrases import phrase

Kind = Literal["gauge", "counter"]
Over = Literal["sum", "mean", "max"]


class Quantity(NamedTuple):
    """One entry of the vocabulary."""

    title: str
    unit: str
    kind: Kind
    over: Over
    """How the values of several replicas, data-parallel engines or GPUs become one."""
    of: Literal["server", "gpu", "host"] = "server"
    shown: bool = True
    """False: only what another quantity is computed from."""


QUANTITIES: dict[str, Quantity] = {
    "requests_running": Quantity("Running", "requests", "gauge", "sum"),
    "requests_waiting": Quantity("Waiting", "requests", "gauge", "sum"),
    "gateway_queue": Quantity(phrase("Gateway's queue"), "requests", "gauge", "sum"),
    "kv_cache_use": Quantity(phrase("KV cache"), "share", "gauge", "mean"),
    "kv_cache_use_max": Quantity(phrase("Fullest KV cache"), "share", "gauge", "max"),
    "prefix_cache_hit_share": Quantity(phrase("Prefix cache hits"), "share", "gauge", "mean"),
    "prefix_cache_hits": Quantity(phrase("Prefix cache hits"), "tokens", "counter", "sum"),
    "prefix_cache_queries": Quantity(phrase("Prefix cache queries"), "tokens", "counter", "sum"),
    "preemptions": Quantity("Preemptions", "requests", "counter", "sum"),
    "prompt_tokens": Quantity(phrase("Prompt tokens"), "tokens", "counter", "sum"),
    "output_tokens": Quantity(phrase("Output tokens"), "tokens", "counter", "sum"),
    "requests_finished": Quantity("Finished", "requests", "counter", "sum"),
    "spec_accept_share": Quantity(phrase("Guessed tokens that held"), "share", "gauge", "mean"),
    "spec_accept_length": Quantity(phrase("Tokens a speculative step"), "tokens", "gauge", "mean"),
    "gpu_power_watts": Quantity(phrase("GPU power"), "W", "gauge", "sum", "gpu"),
    "gpu_energy_joules": Quantity(phrase("GPU energy"), "J", "counter", "sum", "gpu"),
    "gpu_use": Quantity(phrase("GPU busy"), "share", "gauge", "mean", "gpu"),
    "gpu_memory_use": Quantity(phrase("GPU memory"), "share", "gauge", "max", "gpu"),
    "gpu_temperature_celsius": Quantity(phrase("GPU temperature"), "°C", "gauge", "max", "gpu"),
    "gpu_clock_hertz": Quantity(phrase("GPU clock"), "Hz", "gauge", "mean", "gpu"),
    "cpu_share": Quantity("CPU", "share", "gauge", "max", "host"),
    "core_share_max": Quantity(phrase("Busiest core"), "share", "gauge", "max", "host"),
    "memory_share": Quantity("Memory", "share", "gauge", "max", "host"),
    "load_1m": Quantity(phrase("Load average"), "threads", "gauge", "max", "host"),
    "spec_steps": Quantity("Speculative steps", "steps", "counter", "sum", shown=False),
    "spec_draft_tokens": Quantity("Guessed tokens", "tokens", "counter", "sum", shown=False),
    "spec_accepted_tokens": Quantity("Guessed tokens that held, counted", "tokens", "counter", "sum", shown=False),
    "spec_accepted_at": Quantity("Guessed tokens that held, by position", "tokens", "counter", "sum", shown=False),
    "kv_blocks_used": Quantity("KV blocks used", "blocks", "gauge", "sum", shown=False),
    "kv_blocks_total": Quantity("KV blocks", "blocks", "gauge", "sum", shown=False),
    "kv_pool": Quantity("KV cache size", "tokens", "gauge", "sum", shown=False),
    "gpu_memory_used_bytes": Quantity("GPU memory used", "bytes", "gauge", "sum", "gpu", shown=False),
    "gpu_memory_free_bytes": Quantity("GPU memory free", "bytes", "gauge", "sum", "gpu", shown=False),
    "gpu_memory_total_bytes": Quantity("GPU memory in all", "bytes", "gauge", "sum", "gpu", shown=False),
    "memory_used_bytes": Quantity("Memory used", "bytes", "gauge", "sum", "host", shown=False),
    "memory_total_bytes": Quantity("Memory in all", "bytes", "gauge", "sum", "host", shown=False),
}


class Ratio(NamedTuple):
    """A share that nobody tells but two other quantities give: `part` over `whole`, or over `part` + `rest`."""

    name: str
    part: str
    whole: str | None
    rest: str | None = None


RATIOS = (
    Ratio("kv_cache_use", "kv_blocks_used", "kv_blocks_total"),
    Ratio("prefix_cache_hit_share", "prefix_cache_hits", "prefix_cache_queries"),
    Ratio("gpu_memory_use", "gpu_memory_used_bytes", "gpu_memory_total_bytes"),
    Ratio("gpu_memory_use", "gpu_memory_used_bytes", None, "gpu_memory_free_bytes"),
    Ratio("memory_share", "memory_used_bytes", "memory_total_bytes"),
)
"""In order: the first whose parts are told. A gauge that a source tells itself goes before one of two gauges, and after
one of two counters: what was gained is of all the time, a gauge of the moment."""
FULLEST = ("kv_cache_use", "kv_cache_use_max")
"""Where several tell the first, the second is that of the fullest of them."""


class Name(NamedTuple):
    """What one kind of source calls one quantity."""

    engine: str
    metric: str
    """As on the page."""
    quantity: str
    labels: tuple[tuple[str, str], ...] = ()
    """Only samples with these labels."""
    scale: float = 1.0
    """Its unit in ours."""
    same: tuple[str, ...] = ()
    """Labels over which the page repeats the same thing: the largest counts, not the sum."""
    tier: int = 0
    """0: the engine itself; 1: what wraps one engine; 2: what stands in front of several. The lowest that tells a
    quantity is taken: a front end and its workers are never added up."""
    note: str = ""
    """How it differs from what its title says."""


_RANKS = ("tp_rank", "pp_rank", "moe_ep_rank")
"""Ranks of one SGLang engine each tell of the same requests, where it is told to have all schedulers tell."""
_MIB, _MHZ, _PERCENT = 2.0**20, 1e6, 0.01


def _names(engine: str, *rows: tuple[str, str], same: tuple[str, ...] = (), tier: int = 0) -> tuple[Name, ...]:
    return tuple(Name(engine, metric, quantity, same=same, tier=tier) for metric, quantity in rows)


NAMES: tuple[Name, ...] = (
    *_names(
        "vLLM",
        ("vllm:num_requests_running", "requests_running"),
        ("vllm:num_requests_waiting", "requests_waiting"),
        ("vllm:kv_cache_usage_perc", "kv_cache_use"),
        ("vllm:gpu_cache_usage_perc", "kv_cache_use"),  # V0, and V1 before v0.10
        ("vllm:prefix_cache_hits_total", "prefix_cache_hits"),
        ("vllm:prefix_cache_queries_total", "prefix_cache_queries"),
        ("vllm:gpu_prefix_cache_hits_total", "prefix_cache_hits"),
        ("vllm:gpu_prefix_cache_queries_total", "prefix_cache_queries"),
        ("vllm:gpu_prefix_cache_hit_rate", "prefix_cache_hit_share"),  # V0
        ("vllm:num_preemptions_total", "preemptions"),
        ("vllm:prompt_tokens_total", "prompt_tokens"),
        ("vllm:generation_tokens_total", "output_tokens"),
        ("vllm:request_success_total", "requests_finished"),
        ("vllm:spec_decode_num_drafts_total", "spec_steps"),
        ("vllm:spec_decode_num_draft_tokens_total", "spec_draft_tokens"),
        ("vllm:spec_decode_num_accepted_tokens_total", "spec_accepted_tokens"),
        ("vllm:spec_decode_num_accepted_tokens_per_pos_total", "spec_accepted_at"),
        ("vllm:spec_decode_draft_acceptance_rate", "spec_accept_share"),  # V0
    ),
    *_names(
        "SGLang",
        ("sglang:num_running_reqs", "requests_running"),
        ("sglang:num_queue_reqs", "requests_waiting"),
        ("sglang:token_usage", "kv_cache_use"),
        ("sglang:max_total_num_tokens", "kv_pool"),
        ("sglang:cached_tokens_total", "prefix_cache_hits"),
        ("sglang:prompt_tokens_total", "prefix_cache_queries"),
        ("sglang:cache_hit_rate", "prefix_cache_hit_share"),
        ("sglang:num_retracted_requests_total", "preemptions"),
        ("sglang:prompt_tokens_total", "prompt_tokens"),
        ("sglang:generation_tokens_total", "output_tokens"),
        ("sglang:num_requests_total", "requests_finished"),
        ("sglang:spec_accept_rate", "spec_accept_share"),
        ("sglang:spec_accept_length", "spec_accept_length"),
        same=_RANKS,
    ),
    *_names(
        "llama.cpp",
        ("llamacpp:requests_processing", "requests_running"),
        ("llamacpp:requests_deferred", "requests_waiting"),
        ("llamacpp:kv_cache_usage_ratio", "kv_cache_use"),  # until 2025
        ("llamacpp:tokens_predicted_total", "output_tokens"),
    ),
    Name(
        "llama.cpp",
        "llamacpp:prompt_tokens_total",
        "prompt_tokens",
        note=phrase("those taken from its cache are not in it"),
    ),
    *_names(
        "TGI",
        ("tgi_batch_current_size", "requests_running"),
        ("tgi_queue_size", "requests_waiting"),
        ("tgi_request_input_length_sum", "prompt_tokens"),
        ("tgi_request_generated_tokens_sum", "output_tokens"),
        ("tgi_request_success", "requests_finished"),
        ("tgi_request_skipped_tokens_count", "spec_steps"),
    ),
    Name(
        "TGI",
        "tgi_request_skipped_tokens_sum",
        "spec_accepted_tokens",
        note=phrase("every step counts as speculative, that of the prompt too"),
    ),
    *_names(
        "TensorRT-LLM",
        ("trtllm_num_requests_running", "requests_running"),
        ("trtllm_num_requests_waiting", "requests_waiting"),
        ("trtllm_kv_cache_utilization", "kv_cache_use"),
        ("trtllm_kv_cache_hit_rate", "prefix_cache_hit_share"),
        ("trtllm_request_success_total", "requests_finished"),
        ("trtllm_spec_decode_num_draft_tokens_total", "spec_draft_tokens"),
        ("trtllm_spec_decode_num_accepted_tokens_total", "spec_accepted_tokens"),
        ("trtllm_spec_decode_acceptance_length", "spec_accept_length"),
    ),
    Name("Triton", "nv_trt_llm_request_metrics", "requests_running", (("request_type", "scheduled"),)),
    Name("Triton", "nv_trt_llm_request_metrics", "requests_waiting", (("request_type", "waiting"),)),
    Name("Triton", "nv_trt_llm_kv_cache_block_metrics", "kv_cache_use", (("kv_cache_block_type", "fraction"),)),
    Name("Triton", "nv_trt_llm_kv_cache_block_metrics", "kv_blocks_used", (("kv_cache_block_type", "used"),)),
    Name("Triton", "nv_trt_llm_kv_cache_block_metrics", "kv_blocks_total", (("kv_cache_block_type", "max"),)),
    Name("Triton", "nv_llm_input_token_len_sum", "prompt_tokens"),
    Name("Triton", "nv_llm_output_token_len_sum", "output_tokens"),
    # An ensemble counts a request once a model of it: the largest count is the requests.
    Name("Triton", "nv_inference_pending_request_count", "requests_waiting", same=("model", "version")),
    Name("Triton", "nv_inference_request_success", "requests_finished", same=("model", "version")),
    Name(
        "Dynamo",
        "dynamo_component_inflight_requests",
        "requests_running",
        (("dynamo_endpoint", "generate"),),
        tier=1,
        note=phrase("those that wait inside the worker are in it"),
    ),
    Name("Dynamo", "dynamo_component_requests_total", "requests_finished", (("dynamo_endpoint", "generate"),), tier=1),
    *_names(
        "Dynamo",
        ("dynamo_component_gpu_cache_usage_percent", "kv_cache_use"),  # a share in spite of its name
        ("dynamo_component_kvstats_gpu_cache_usage_percent", "kv_cache_use"),
        ("dynamo_component_kvstats_gpu_prefix_cache_hit_rate", "prefix_cache_hit_share"),
        tier=1,
    ),
    Name(
        "Dynamo",
        "dynamo_frontend_inflight_requests",
        "requests_running",
        tier=2,
        note=phrase("every request that the front end holds, those that wait among them"),
    ),
    Name(
        "Dynamo",
        "dynamo_frontend_queued_requests",
        "requests_waiting",
        tier=2,
        note=phrase("until their first token, so that prefill is in it"),
    ),
    *_names(
        "Dynamo",
        ("dynamo_frontend_router_queue_pending_requests", "gateway_queue"),
        ("dynamo_frontend_input_sequence_tokens_sum", "prompt_tokens"),
        ("dynamo_frontend_output_tokens_total", "output_tokens"),
        ("dynamo_frontend_output_sequence_tokens_sum", "output_tokens"),
        ("dynamo_frontend_requests_total", "requests_finished"),
        tier=2,
    ),
    *_names(
        "llm-d",  # the endpoint picker of the Gateway API inference extension
        ("inference_objective_running_requests", "requests_running"),
        ("inference_model_running_requests", "requests_running"),
        ("inference_pool_per_pod_queue_size", "requests_waiting"),
        ("inference_extension_flow_control_queue_size", "gateway_queue"),
        ("inference_pool_average_kv_cache_utilization", "kv_cache_use"),
        ("inference_objective_input_tokens_sum", "prompt_tokens"),
        ("inference_model_input_tokens_sum", "prompt_tokens"),
        ("inference_objective_output_tokens_sum", "output_tokens"),
        ("inference_model_output_tokens_sum", "output_tokens"),
        tier=2,
    ),
    # GPUs: who comes first is taken where several tell of the same one.
    *_names(
        "NVML",
        ("nvml_power_watts", "gpu_power_watts"),
        ("nvml_energy_joules", "gpu_energy_joules"),
        ("nvml_use_share", "gpu_use"),
        ("nvml_memory_used_bytes", "gpu_memory_used_bytes"),
        ("nvml_memory_total_bytes", "gpu_memory_total_bytes"),
        ("nvml_temperature_celsius", "gpu_temperature_celsius"),
        ("nvml_sm_clock_hertz", "gpu_clock_hertz"),
    ),
    Name("DCGM", "DCGM_FI_DEV_POWER_USAGE", "gpu_power_watts"),
    Name("DCGM", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "gpu_energy_joules", scale=1e-3),
    Name("DCGM", "DCGM_FI_DEV_GPU_UTIL", "gpu_use", scale=_PERCENT),
    Name("DCGM", "DCGM_FI_DEV_FB_USED", "gpu_memory_used_bytes", scale=_MIB),
    Name("DCGM", "DCGM_FI_DEV_FB_FREE", "gpu_memory_free_bytes", scale=_MIB),
    Name("DCGM", "DCGM_FI_DEV_FB_TOTAL", "gpu_memory_total_bytes", scale=_MIB),
    Name("DCGM", "DCGM_FI_DEV_GPU_TEMP", "gpu_temperature_celsius"),
    Name("DCGM", "DCGM_FI_DEV_SM_CLOCK", "gpu_clock_hertz", scale=_MHZ),
    Name("AMD", "gpu_package_power", "gpu_power_watts"),
    Name("AMD", "gpu_average_package_power", "gpu_power_watts"),
    Name("AMD", "gpu_power_usage", "gpu_power_watts"),
    Name("AMD", "gpu_energy_consumed", "gpu_energy_joules", scale=1e-6),
    Name("AMD", "gpu_gfx_activity", "gpu_use", scale=_PERCENT),
    Name("AMD", "gpu_used_vram", "gpu_memory_used_bytes", scale=_MIB),
    Name("AMD", "gpu_total_vram", "gpu_memory_total_bytes", scale=_MIB),
    Name("AMD", "gpu_junction_temperature", "gpu_temperature_celsius"),
    Name("AMD", "gpu_edge_temperature", "gpu_temperature_celsius"),
    Name("AMD", "gpu_clock", "gpu_clock_hertz", (("clock_type", "GPU_CLOCK_TYPE_SYSTEM"),), scale=_MHZ),
    *_names(
        "Triton",
        ("nv_gpu_power_usage", "gpu_power_watts"),
        ("nv_energy_consumption", "gpu_energy_joules"),
        ("nv_gpu_utilization", "gpu_use"),
        ("nv_gpu_memory_used_bytes", "gpu_memory_used_bytes"),
        ("nv_gpu_memory_total_bytes", "gpu_memory_total_bytes"),
    ),
    *_names(
        "psutil",
        ("host_cpu_share", "cpu_share"),
        ("host_core_share_max", "core_share_max"),
        ("host_memory_used_bytes", "memory_used_bytes"),
        ("host_memory_total_bytes", "memory_total_bytes"),
        ("host_load_1m", "load_1m"),
    ),
)
"""In order of preference: of several names for one quantity on one page, the first counts."""

BIRTH = "process_start_time_seconds"
"""When the server's process began, where its page tells (prometheus.io, "Writing client libraries")."""
WITNESSES = frozenset(
    (
        BIRTH,
        "vllm:e2e_request_latency_seconds_sum",
        "vllm:time_to_first_token_seconds_sum",
        "sglang:e2e_request_latency_seconds_sum",
        "sglang:time_to_first_token_seconds_sum",
        "tgi_request_duration_sum",
        "llamacpp:prompt_seconds_total",
        "llamacpp:tokens_predicted_seconds_total",
        "trtllm_e2e_request_latency_seconds_sum",
        "nv_inference_request_duration_us",
        "dynamo_frontend_request_duration_seconds_sum",
        "dynamo_component_request_duration_seconds_sum",
        "inference_objective_request_duration_seconds_sum",
    )
)
"""Read besides, for no two servers gain the same on them: whether two pages are one server's."""
POOL_LABELS = {"vllm:cache_config_info": "num_gpu_blocks"}
"""Samples whose label tells the size of the KV cache, where no value does."""
READ = WITNESSES | {name.metric for name in NAMES}

_LABEL = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')
_GPU_IDS = ("uuid", "UUID", "gpu_uuid", "serial_number")
_GPU_PLACES = ("Hostname", "hostname", "gpu", "gpu_id")


def labels_of(text: str) -> dict[str, str]:
    """The labels of a sample as its source wrote them, escapes and all."""
    return dict(_LABEL.findall(text))


def gpu_of(labels: dict[str, str]) -> str | None:
    """What names a GPU wherever it is told of; None where its labels do not name one beyond its own page."""
    return next((labels[key] for key in _GPU_IDS if labels.get(key)), None)


def gpu_place(labels: dict[str, str]) -> str:
    """Which GPU of its page it is, where nothing names it further."""
    return " ".join(labels[key] for key in _GPU_PLACES if labels.get(key))

"""The flags of `vllm bench serve` (0.33.0, the same in 0.32.0), what each becomes here, and what is refused.

A flag is taken (it means here what it means there), noted (it changes nothing here, and that is said), or refused by
its name: none is ignored.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

VERSION = "0.33.0"
Kind = Literal["value", "switch", "many"]
METRICS = ("ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue")
"""In the order in which it writes them."""


class Flag(NamedTuple):
    """A flag that is taken."""

    default: str | None
    becomes: str
    """What it is here, for people."""
    kind: Kind = "value"


TAKEN = {
    "--backend": Flag("openai", "`--api`: openai, vllm are completions; openai-chat chat; openai-responses responses"),
    "--base-url": Flag(None, "the URL"),
    "--host": Flag("127.0.0.1", "the URL's host, without `--base-url`"),
    "--port": Flag("8000", "the URL's port"),
    "--endpoint": Flag("/v1/completions", "`--path`; one that is not the backend's is refused"),
    "--header": Flag(None, "`--header`", "many"),
    "--insecure": Flag(None, "`--no-verify-tls`", "switch"),
    "--model": Flag(None, "`--model`; without it the server's first"),
    "--served-model-name": Flag(None, "`--model`; `model_id` stays that of `--model`"),
    "--tokenizer": Flag(None, "`--tokenizer`; without it the packaged one, held against the server's counts"),
    "--tokenizer-mode": Flag("auto", "auto and hf are the same here; others are refused"),
    "--seed": Flag("0", "`--seed`; draws differ from vLLM's, but those of files are the same"),
    "--num-prompts": Flag("1000", "`--requests`"),
    "--request-rate": Flag("inf", "`--rate`; inf: all at once, or users by `--max-concurrency`"),
    "--burstiness": Flag("1.0", "`--arrivals`: 1 poisson, inf constant, else gamma with a CV of 1/sqrt of it"),
    "--max-concurrency": Flag(None, "`--concurrency`: users without a rate, a cap with one"),
    "--dataset-name": Flag("random", "random, prefix_repetition, sharegpt and custom; others are refused"),
    "--dataset-path": Flag(None, "sharegpt, custom: the file; its rows are chosen as vLLM does for the seed"),
    "--disable-shuffle": Flag(None, "sharegpt, custom: rows in the file's order", "switch"),
    "--skip-chat-template": Flag(None, "custom: the text is sent as it is; needed on completions", "switch"),
    "--input-len": Flag(None, "`--random-input-len`"),
    "--output-len": Flag(None, "the output length of whatever data set"),
    "--random-input-len": Flag("1024", "`--input-tokens`"),
    "--random-output-len": Flag("128", "`--output-tokens`"),
    "--random-range-ratio": Flag("0.0", "lengths `uniform:` from floor(L(1-r)) to ceil(L(1+r)); a number or JSON"),
    "--random-prefix-len": Flag("0", "`--system-tokens`, besides the input length"),
    "--prefix-repetition-prefix-len": Flag("256", "`--prefix-tokens`"),
    "--prefix-repetition-suffix-len": Flag("256", "`--input-tokens`, with the prefix"),
    "--prefix-repetition-num-prefixes": Flag("10", "`--prefix-groups`; which prompt has which is drawn"),
    "--prefix-repetition-output-len": Flag("128", "`--output-tokens`"),
    "--sharegpt-output-len": Flag(None, "output length; without it that of the reply in the file"),
    "--custom-output-len": Flag("256", "output length; -1: the column output_tokens"),
    "--ignore-eos": Flag(None, "`--ignore-eos`; always so for random", "switch"),
    "--temperature": Flag(None, "a field of the body"),
    "--top-p": Flag(None, "a field of the body"),
    "--top-k": Flag(None, "a field of the body"),
    "--min-p": Flag(None, "a field of the body"),
    "--frequency-penalty": Flag(None, "a field of the body"),
    "--presence-penalty": Flag(None, "a field of the body"),
    "--repetition-penalty": Flag(None, "a field of the body"),
    "--logprobs": Flag(None, "a field of the body, on completions (vLLM sends it nowhere else)"),
    "--extra-body": Flag(None, "fields of the body"),
    "--ready-check-timeout-sec": Flag("0", "`--wait-ready`; the probe before the load is always made"),
    "--save-result": Flag(None, "writes the JSON", "switch"),
    "--save-detailed": Flag(None, "with a value a request, and texts (`--keep-text`)", "switch"),
    "--append-result": Flag(None, "appends the JSON as a line", "switch"),
    "--result-dir": Flag(None, "folder of the JSON"),
    "--result-filename": Flag(None, "its name; without it vLLM's own"),
    "--label": Flag(None, "`label`, and the beginning of the file's name"),
    "--metadata": Flag(None, "keys of your own in the JSON", "many"),
    "--percentile-metrics": Flag("ttft,tpot,itl", "figures of the table and the JSON"),
    "--metric-percentiles": Flag("99", "their percentiles"),
    "--goodput": Flag(None, "`request_goodput` as vLLM counts it, and `--slo` of our own result", "many"),
}
NOTED = {
    "--disable-tqdm": ("progress is shown on a terminal only", "switch"),
    "--trust-remote-code": ("no code of a model is ever run", "switch"),
    "--no-stream": ("it is of data sets of the hub, which are refused", "switch"),
    "--request-id-prefix": ("every request carries the recording's own id", "value"),
}
DATASETS = "the data set that it belongs to is not taken: `loadcell run --prompts` reads files and the hub"
_TRACE = "`loadcell run --trace FILE` replays traces"
_MEDIA = "`loadcell run --images`, `--audio-seconds` make media"
REFUSED = {
    DATASETS: "--hf-name --hf-output-len --hf-split --hf-subset --spec-bench-category --spec-bench-output-len "
    "--speed-bench-category --speed-bench-dataset-subset --speed-bench-output-len --blazedit-max-distance "
    "--blazedit-min-distance --bfcl-categories --asr-max-audio-len-sec --asr-min-audio-len-sec --no-reranker "
    "--random-batch-size",
    _MEDIA: "--random-mm-base-items-per-request --random-mm-bucket-config --random-mm-limit-mm-per-prompt "
    "--random-mm-num-mm-items-range-ratio --enable-multimodal-chat --custom-ensure-client-side-data",
    _TRACE: "--self-timed --no-self-timed --timed-trace-chunk-hash-size --timed-trace-label-hash-ids "
    "--timed-trace-label-input-length --timed-trace-label-output-length --timed-trace-label-timestamp "
    "--timed-trace-sec-multiplier",
    "`loadcell run --rate-series FROM..TO@TIME` ramps a rate over a time; here it would be over requests":
        "--ramp-up-strategy --ramp-up-start-rps --ramp-up-end-rps",
    "requests besides the load are not sent: `loadcell run --warmup N` leaves the first ones out of the figures":
        "--num-warmups --probe-request-rate",
    "`loadcell run --models A=0.5,B=0.5` deals requests to models": "--lora-modules --lora-assignment",
    "`loadcell report DIR --html` draws the course of the run": "--plot-timeline --timeline-itl-thresholds "
    "--plot-dataset-stats",
    "a file with too few rows is refused, so nothing is drawn twice": "--no-oversample",
    "the profiler is the server's: start it yourself": "--profile",
    "tokens are always counted": "--skip-tokenizer-init",
    "no template is rendered here: send `--extra-body '{\"chat_template_kwargs\": {…}}'`": "--chat-template-kwargs",
    "no beam search is asked for here: send `--extra-body`": "--use-beam-search",
}  # fmt: skip
WHY_REFUSED = {flag: why for why, flags in REFUSED.items() for flag in flags.split()}

LIMITS = {"ttft": "ttft_ms", "tpot": "tpot_ms", "e2el": "e2e_ms"}
"""Its limits, and ours, which start at the planned time where there is one."""

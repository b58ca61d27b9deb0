"""From the flags of `vllm bench serve` (`vllm_flags`) to a Spec, and to what of its file was asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loadcell.errors import UsageError
from loadcell.interop.vllm_flags import DATASETS, LIMITS, METRICS, NOTED, TAKEN, WHY_REFUSED

if TYPE_CHECKING:
    from loadcell.interop.write import Asked

_APIS = {
    "openai": ("completions", "/v1/completions"), "vllm": ("completions", "/v1/completions"),
    "openai-chat": ("chat", "/v1/chat/completions"), "openai-responses": ("responses", "/v1/responses"),
}  # fmt: skip
_SAMPLING = ("top_p", "top_k", "min_p", "temperature", "frequency_penalty", "presence_penalty", "repetition_penalty")
_SIX_HOURS = 6 * 3600.0
"""Its timeout of a request."""


class Rows(NamedTuple):
    """Prompts that are taken out of a file as vLLM takes them."""

    kind: str
    path: Path
    output: int | None
    seed: int
    shuffle: bool
    requests: int
    tokenizer: str | None


@dataclass
class Wish:
    """What was asked for, in our terms."""

    tree: dict[str, dict[str, Any]]
    """The Spec, as plain data."""
    asked: Asked
    file: Path | None
    """Where the JSON goes, `{date}` for its time; None: nowhere."""
    append: bool
    rows: Rows | None
    notes: list[str] = field(default_factory=list)


def translate(given: Mapping[str, Any]) -> Wish:
    """What the given flags (by their names, `--seed` as "seed", without those that were not given) ask for.

    UsageError names the flag that cannot be had.
    """
    from loadcell.interop.write import Asked

    _refuse(given)
    notes = [f"--{name.replace('_', '-')}: {why}" for name, why in _noted(given)]
    said = _Given(given)
    backend, dataset = said.text("backend"), said.text("dataset-name")
    if backend not in _APIS:
        raise UsageError(f"--backend {backend}: this takes {', '.join(_APIS)}; loadcell run --api has other APIs")
    api, path = _APIS[backend]
    ends, chat = said.text("endpoint").endswith(path.removeprefix("/v1/")), path.endswith("/chat/completions")
    if not ends or said.text("endpoint").endswith("/chat/completions") != chat:
        raise UsageError(f"--endpoint {said.text('endpoint')}: --backend {backend} goes with --endpoint {path}")
    if said.text("tokenizer-mode") not in ("auto", "hf"):
        raise UsageError(f"--tokenizer-mode {said.text('tokenizer-mode')}: a tokenizer.json is read: auto or hf")
    workload, prefix, rows = _dataset(said, dataset, api)
    model = said.maybe("served-model-name") or said.maybe("model")
    endpoint = {
        "url": said.maybe("base-url") or f"http://{_host(said.text('host'))}:{said.whole('port')}",
        "api": api,
        "headers": _pairs("--header", given.get("header")),
        "verify_tls": not given.get("insecure"),
        "ignore_eos": bool(given.get("ignore_eos")) or dataset == "random",
        "extra_body": _body(said, given, api),
    }
    endpoint |= {} if model is None else {"model": model}
    if said.text("endpoint") != path:
        endpoint["path"] = said.text("endpoint").lstrip("/")  # it follows what the base URL has
    goodput = _goodput(given.get("goodput"))
    if said.maybe("tokenizer") is not None:
        workload["tokenizer"] = said.text("tokenizer")
    load = _load(said)
    rate, label = said.number("request-rate"), said.maybe("label")
    head = {
        "endpoint_type": backend, "backend": backend, "label": label, "num_prompts": load["requests"],
        "request_rate": "inf" if math.isinf(rate) else rate, "burstiness": said.number("burstiness"),
        "max_concurrency": said.count_or_none("max-concurrency"),
    }  # fmt: skip
    head |= {} if said.maybe("model") is None else {"model_id": said.text("model")}
    if math.isinf(said.number("burstiness")):
        head["burstiness"] = None
        notes.append("burstiness is null in the JSON, which has no infinity")
    asked = Asked(
        detailed=bool(given.get("save_detailed")),
        metrics=_metrics(said),
        percentiles=_percentiles(said.text("metric-percentiles")),
        goodput_ms=goodput,
        head=head,
        metadata=_pairs("--metadata", given.get("metadata")),
    )
    tree: dict[str, dict[str, Any]] = {
        "endpoint": endpoint,
        "load": load,
        "workload": workload,
        "prefix": prefix,
        "slo": {LIMITS[name]: limit for name, limit in goodput.items()},
        "run": {"seed": said.whole("seed"), "keep_text": asked.detailed},
    }
    saved = given.get("save_result") or given.get("append_result")
    return Wish(
        tree={section: values for section, values in tree.items() if values},
        asked=asked,
        file=_file(said, label or backend) if saved else None,
        append=bool(given.get("append_result")),
        rows=rows,
        notes=notes,
    )


class _Given:
    """Values of flags as they were given, else vLLM's defaults."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given

    def maybe(self, name: str) -> str | None:
        value = self.given.get(name.replace("-", "_"))
        return TAKEN[f"--{name}"].default if value is None else str(value)

    def text(self, name: str) -> str:
        value = self.maybe(name)
        if value is None:
            raise UsageError(f"--{name} is missing")
        return value

    def number(self, name: str) -> float:
        try:
            value = float(self.text(name))
        except ValueError:
            raise UsageError(f"--{name} {self.text(name)!r} is not a number") from None
        if not value > 0:
            raise UsageError(f"--{name} is {value:g}: it must be above 0")
        return value

    def whole(self, name: str) -> int:
        try:
            return int(self.text(name))
        except ValueError:
            raise UsageError(f"--{name} {self.text(name)!r} is not a whole number") from None

    def count_or_none(self, name: str) -> int | None:
        return None if self.maybe(name) is None else self.whole(name)


def _refuse(given: Mapping[str, Any]) -> None:
    wrong = {f"--{name.replace('_', '-')}" for name in given} & WHY_REFUSED.keys()
    if wrong:
        why = "\n".join(f"  {flag}: {WHY_REFUSED[flag].replace('`', '')}" for flag in sorted(wrong))
        raise UsageError(f"flags of vllm bench serve that are not taken:\n{why}")


def _noted(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, NOTED[flag][0]) for name in given if (flag := f"--{name.replace('_', '-')}") in NOTED]


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _load(said: _Given) -> dict[str, Any]:
    """All at once, users, or a rate; nothing ends it before its last request."""
    requests, cap, rate = said.whole("num-prompts"), said.count_or_none("max-concurrency"), said.number("request-rate")
    load: dict[str, Any] = {
        "requests": requests, "ramp_s": 0.0, "keep_load": False, "max_failures": 1.0, "timeout_s": _SIX_HOURS,
        "wait_ready_s": float(said.whole("ready-check-timeout-sec")),
    }  # fmt: skip
    if math.isinf(rate):
        return load | {"concurrency": min(requests, cap or requests)}
    burstiness = said.number("burstiness")
    arrivals = f"gamma:{burstiness**-0.5:.9g}"
    if burstiness == 1 or math.isinf(burstiness):
        arrivals = "poisson" if burstiness == 1 else "constant"
    return load | {"rate": rate, "arrivals": arrivals, "concurrency": cap}


def _dataset(said: _Given, name: str, api: str) -> tuple[dict[str, Any], dict[str, Any], Rows | None]:
    """Workload and prefix, and the rows to be taken out of a file."""
    path, output = said.maybe("dataset-path"), said.count_or_none("output-len")
    if name in ("random", "prefix_repetition"):
        if path is not None:
            raise UsageError(f"--dataset-path has no meaning for --dataset-name {name}: leave it out")
        made = _random(said) if name == "random" else _repeated(said)
        return *made, None
    if name not in ("sharegpt", "custom"):
        raise UsageError(f"--dataset-name {name}: random, prefix_repetition, sharegpt and custom are taken; {DATASETS}")
    if path is None:
        raise UsageError(f"--dataset-name {name} needs its file: --dataset-path FILE")
    if name == "custom" and api == "completions" and not said.given.get("skip_chat_template"):
        raise UsageError(
            "--dataset-name custom on completions: vLLM renders the chat template of the tokenizer, which is not done "
            "here; give --skip-chat-template to send the texts as they are, or --backend openai-chat"
        )
    own = said.count_or_none(f"{name}-output-len") if output is None else output
    rows = Rows(
        kind=name,
        path=Path(path),
        output=None if own == -1 else own,
        seed=said.whole("seed"),
        shuffle=not said.given.get("disable_shuffle"),
        requests=said.whole("num-prompts"),
        tokenizer=said.maybe("tokenizer"),
    )
    return {"prompt_column": "prompt", "output_column": "output_tokens"}, {}, rows


def _random(said: _Given) -> tuple[dict[str, Any], dict[str, Any]]:
    ratios, prefix = _ratios(said.text("random-range-ratio")), said.whole("random-prefix-len")
    lengths = [
        said.whole("random-input-len") if said.maybe("input-len") is None else said.whole("input-len"),
        said.whole("random-output-len") if said.maybe("output-len") is None else said.whole("output-len"),
    ]
    laws = []
    for length, ratio, besides in zip(lengths, ratios, (prefix, 0), strict=True):
        low, high = math.floor(length * (1 - ratio)), math.ceil(length * (1 + ratio))
        laws.append(f"{length + besides}" if not ratio else f"uniform:{max(low, 1) + besides},{high + besides}")
    return {"input_tokens": laws[0], "output_tokens": laws[1]}, {"system_tokens": prefix} if prefix else {}


def _repeated(said: _Given) -> tuple[dict[str, Any], dict[str, Any]]:
    prefix, suffix = (said.whole(f"prefix-repetition-{part}-len") for part in ("prefix", "suffix"))
    output = said.count_or_none("output-len")
    output = said.whole("prefix-repetition-output-len") if output is None else output
    groups = said.whole("prefix-repetition-num-prefixes")
    work = {"input_tokens": str(prefix + suffix), "output_tokens": str(output)}
    return work, {"groups": groups, "tokens": str(prefix)}


def _ratios(text: str) -> tuple[float, float]:
    try:
        told = json.loads(text)
        both = (told["input"], told["output"]) if isinstance(told, dict) else (told, told)
        low, high = (float(ratio) for ratio in both)
    except (ValueError, KeyError, TypeError):
        raise UsageError(f'--random-range-ratio {text!r}: write a number, or {{"input": 0.3, "output": 0.5}}') from None
    if not (0 <= low < 1 and 0 <= high < 1):
        raise UsageError(f"--random-range-ratio {text}: a ratio must be at least 0 and below 1")
    return low, high


def _body(said: _Given, given: Mapping[str, Any], api: str) -> dict[str, Any]:
    """Sampling parameters, then --extra-body over them."""
    body: dict[str, Any] = {}
    for name in _SAMPLING:
        value = given.get(name)
        if value is not None:
            body[name] = _json(f"--{name.replace('_', '-')}", value)
    if given.get("logprobs") is not None:
        if api != "completions":
            raise UsageError("--logprobs: vLLM sends it on completions alone; elsewhere use --extra-body")
        body["logprobs"] = said.whole("logprobs")
    if given.get("extra_body") is not None:
        more = _json("--extra-body", given["extra_body"])
        if not isinstance(more, dict):
            raise UsageError("--extra-body takes a JSON object")
        body |= more
    return body


def _json(flag: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise UsageError(f"{flag} {text!r} is not JSON") from None


def _pairs(flag: str, words: list[str] | None) -> dict[str, str]:
    found = {}
    for word in words or []:
        name, mark, value = word.partition("=")
        if not mark:
            raise UsageError(f"{flag}: write KEY=VALUE")  # what stands there may be a key
        found[name.strip()] = value.strip()
    return found


def _goodput(words: list[str] | None) -> dict[str, float]:
    limits = {}
    for word in words or []:
        name, _, value = word.partition(":")
        try:
            limits[name] = float(value)
        except ValueError:
            raise UsageError(f"--goodput {word!r}: write NAME:MS, as in ttft:500 tpot:30") from None
        if name not in LIMITS or not limits[name] > 0:
            raise UsageError(f"--goodput {word}: names are {', '.join(LIMITS)}, with milliseconds above 0")
    return limits


def _metrics(said: _Given) -> tuple[str, ...]:
    names = tuple(name.strip() for name in said.text("percentile-metrics").split(","))
    wrong = [name for name in names if name not in METRICS]
    if wrong:
        raise UsageError(f"--percentile-metrics {wrong[0]}: names are {', '.join(METRICS)}")
    return names


def _percentiles(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 <= p <= 100 for p in found):
        raise UsageError(f"--metric-percentiles {text!r}: write numbers from 0 to 100, as in 50,90,99")
    return found


def _file(said: _Given, label: str) -> Path:
    """Where the JSON goes, by vLLM's own rule."""
    cap, name = said.maybe("max-concurrency"), said.maybe("result-filename")
    if name is None:
        model = "{model}" if said.maybe("model") is None else said.text("model").split("/")[-1]
        rate = said.number("request-rate")
        name = f"{label}-{rate}qps{'' if cap is None else f'-concurrency{cap}'}-{model}-{{date}}.json"
    return Path(said.maybe("result-dir") or "") / name


def sampled(rows: Rows) -> list[dict[str, Any]]:
    """Prompts and output lengths, by vLLM's rule: rows shuffled by the seed, those of odd length left out (sharegpt),
    the first ones taken. UsageError if there are too few: vLLM would draw some of them again."""
    import random

    from loadcell.interop.document import lines, load

    if rows.kind == "custom":
        found = [row for _, row in lines(rows.path)]
        if not all(isinstance(row, dict) and isinstance(row.get("prompt"), str) for row in found):
            raise UsageError(f'{rows.path}: every line must have a text under "prompt"')
    else:
        found = [row for row in load(rows.path) if len(row.get("conversations", ())) >= 2]
    if rows.shuffle:
        order = random.Random(rows.seed)
        order.shuffle(found)
    taken = _custom(rows, found) if rows.kind == "custom" else _sharegpt(rows, found)
    if len(taken) < rows.requests:
        raise UsageError(f"{rows.path} has {len(taken):,} rows that can be sent: give --num-prompts {len(taken)}")
    return taken


def _custom(rows: Rows, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = []
    for row in found[: rows.requests]:
        output = row.get("output_tokens") if rows.output is None else rows.output
        if not isinstance(output, int):
            raise UsageError(
                f'{rows.path}: a line has no whole number under "output_tokens"; give --custom-output-len N'
            )
        taken.append({"prompt": row["prompt"], "output_tokens": output})
    return taken


def _sharegpt(rows: Rows, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first two turns; prompts of 4 to 1,024 tokens, outputs of 4 or more, both at most 2,048."""
    from loadcell.workload import load_tokenizer
    from loadcell.workload.tokenizer import PACKAGED

    count = load_tokenizer(rows.tokenizer or PACKAGED).count
    taken: list[dict[str, Any]] = []
    for row in found:
        if len(taken) == rows.requests:
            break
        prompt, reply = (row["conversations"][turn]["value"] for turn in (0, 1))
        asked = count(prompt)
        output = count(reply) if rows.output is None else rows.output
        if 4 <= asked <= 1024 and asked + output <= 2048 and (rows.output is not None or output >= 4):
            taken.append({"prompt": prompt, "output_tokens": output})
    return taken

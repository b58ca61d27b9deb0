"""Flags of the tools that people come from: taken where they mean exactly the same, else named with the right one.

Those of `vllm bench serve`, SGLang's bench_serving, AIPerf and GenAI-Perf, GuideLLM, LLMPerf, inference-perf,
genai-bench, evalscope, and of wrk, hey, ab, k6 and locust.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from loadcell.apis import our_apis
from loadcell.errors import UsageError
from loadcell.secrets import bare_urls

URL = ""
"""Stands for the command's first argument."""
SAME = {
    "--requests": "--num-prompts --num-requests --request-count --max-requests --max-requests-per-run --number "
    "--iterations -n",
    "--concurrency": "--max-concurrency --users --vus --num-concurrent-requests --num-concurrency --parallel "
    "--concurrent-users",
    "--rate": "--qps --request-rate",
    "--duration": "--max-seconds --benchmark-duration --run-time -z",
    "--ramp": "--concurrency-ramp-duration --request-rate-ramp-duration",
    "--timeout": "--request-timeout-seconds --request-timeout",
    "--wait-ready": "--ready-check-timeout-sec",
    "--model": "--model-name --served-model-name --api-model-name --server.model_name",
    "--tokenizer": "--processor --model-tokenizer",
    "--seed": "--random-seed",
    "--output": "--out",
    URL: "--base-url --url --target --api-base --endpoint-url --server.base_url",
}
"""Our flag, and the foreign ones that mean it, value and all."""
PLAIN = {
    "--stream": "--streaming",
    "--no-stream": "--disable-stream",
    "--no-ignore-eos": "--disable-ignore-eos",
    "--no-verify-tls": "--insecure -k",
}
"""The same for flags without a value."""
LENGTHS = {
    "--input-tokens": (
        "--isl --synthetic-input-tokens-mean --mean-input-tokens --random-input-len --random-input --input-len",
        "--isl-stddev --synthetic-input-tokens-stddev --stddev-input-tokens",
    ),
    "--output-tokens": (
        "--osl --output-tokens-mean --mean-output-tokens --random-output-len --random-output --output-len",
        "--osl-stddev --output-tokens-stddev --stddev-output-tokens",
    ),
}
"""Lengths, told in parts: means and standard deviations."""
ALWAYS = {
    "--save-result": (0, "every run is recorded"),
    "--save-detailed": (0, "every request and event is recorded"),
    "--percentile-metrics": (1, "percentiles of TTFT, TPOT, ITL and E2E are always told"),
    "--disable-tqdm": (0, "there is a progress display on a terminal only"),
    "--headless": (0, "there is no other way"),
    "--latency": (0, "latencies are always told"),
    "--trust-remote-code": (0, "no code of a model is ever run"),
    "--service-kind": (1, "every endpoint is spoken to as OpenAI's"),
}
"""What is so without a flag: how many values it has, and why it can be left out."""
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
_OWN_FORM = "--spec FILE takes Loadcell's own YAML (examples/), or the same by flags"
_PROMPTS = "--prompts FILE|DIR|ORG/NAME#SPLIT (of the hub); its columns: --prompt-column, --output-column"
DIFFERENT = {
    "--output DIR is the folder of one recording; it must be new, or it is refused":
        "--result-dir --result-filename --results-dir --output-file --output-dir --output-path --outputs "
        "--artifact-dir --output-artifact-dir --experiment-base-dir --experiment-folder-name --append-result -o",
    "--api-key-env VAR names the variable that holds the key: who lists processes sees the words of a command":
        "--api-key --openai-api-key --token",
    _PROMPTS: "--dataset-path --dataset --input-file --public-dataset --hf-split --hf-subset --sharegpt-output-len",
    "--system-tokens N gives all prompts the same N first tokens, as a part of --input-tokens and not besides":
        "--random-prefix-len --prefix-len --shared-system-prompt-length",
    "--prefix-groups K --prefix-tokens L share L tokens in each of K groups, as a part of --input-tokens":
        "--num-prefix-prompts --prefix-prompt-length --prefix-prompt-pool-size --prefix-repetition-prefix-len "
        "--prefix-repetition-num-prefixes --prefix-repetition-suffix-len --prefix-repetition-output-len",
    "--turns L --think T make sessions of L turns with pauses of T between them: --turns normal:4,1 --think 2s":
        "--conversation-turn-mean --conversation-turn-stddev --conversation-turn-delay-mean "
        "--conversation-turn-delay-stddev --conversation-num --num-sessions --session-turns-mean "
        "--session-turns-stddev --session-turn-delay-mean --session-turn-delay-stddev",
    "--cancel SHARE@TIME gives a share of the requests up after a time: 5%@2s":
        "--request-cancellation-rate --request-cancellation-delay",
    "--trace FILE sends requests at the times that it has; which part, and how fast: --trace-window, --trace-speed":
        "--fixed-schedule --fixed-schedule-start-offset --fixed-schedule-end-offset",
    _OWN_FORM: "--config --config-file --config_file",
    "--warmup N leaves the first N requests of the load out, it sends none besides; without it the warm-up is found":
        "--warmup-request-count --warmup-requests --num-warmups --warmup-duration",
    "one run has one load: loadcell sweep --rate or --concurrency varies it": "--stages --sweep",
    "--rate-series FROM..TO@TIME goes from one rate to another in that time, in requests/s":
        "--ramp-up-strategy --ramp-up-start-rps --ramp-up-end-rps",
    "--set 'endpoint.extra_body={\"NAME\": VALUE}' puts fields into every request": "--extra-inputs --logprobs",
    "--input-tokens and --output-tokens say both lengths: N, uniform:LO,HI, normal:MEAN,SD":
        "--traffic-scenario --prompt-tokens",
    "--output-tokens N is the length that is asked for, and with --ignore-eos (the default) got":
        "--max-tokens --min-tokens",
    "R is ± R of the length in vLLM, R to 1 times it in SGLang: write --input-tokens uniform:LO,HI, and "
    "--output-tokens likewise": "--random-range-ratio",
    "p50, p90, p95, p99 and p99.9 are told where the samples can tell them; others: loadcell query":
        "--metric-percentiles",
    "synchronous is --concurrency 1, concurrent and throughput are --concurrency N, constant and poisson are --rate R "
    "--arrivals constant or poisson, sweep is loadcell sweep": "--profile --rate-type",
    "--requests N is how many are sent, whether they succeed or not": "--max-num-completed-requests",
    "--max-failures P ends the run once that share fails beyond doubt, as in 10%": "--max-errors --max-error-rate",
    "the window ends with the sending, and load is kept on until its last reply (--keep-load)": "--cooldown",
    "--ramp T is the time over which all users start: users / spawn rate": "--spawn-rate -r",
    "--rate R starts so many requests a second, whatever the server does; k6 caps its users by it": "--rps",
    "--rate R is of the whole load; hey's is of each worker": "-q",
    "--rate R --arrivals constant sends as wrk2 does; without the latter arrivals are Poisson": "-R",
    "--duration T ends the sending (locust), --timeout T is of a request (hey), --workers N of processes (wrk)": "-t",
    "--concurrency N is of users; --workers N of load processes": "--threads",
    "--timeout T is of a request": "-T",
    "--duration T ends the sending (wrk); bodies are made: --prompts FILE, --input-tokens N (hey)": "-d",
    "--api chat or completions": "--llm-api",
    "--workers N is exactly so many load processes": "--workers-max",
    "--output names the recording; it takes no words of yours": "--metadata --label",
    "--cache cold empties the server's cache before each run, and sees whether it did": "--flush-cache",
    "--api chat lets the server apply it": "--apply-chat-template",
    "loadcell run and sweep have it; where it is refused the load ends by its requests (--requests N)": "--duration",
}  # fmt: skip
"""What there is here, how it differs, and the foreign flags that have no equal."""
_API = {
    "chat": "openai-chat vllm-chat sglang-oai-chat lmdeploy-chat chat /v1/chat/completions /chat/completions "
    "v1/chat/completions chat_completions",
    "completions": "openai vllm sglang-oai lmdeploy scalellm llama.cpp completions openai-completions /v1/completions "
    "/completions v1/completions text_completions",
    "transcriptions": "openai-audio transcriptions audio_transcriptions /v1/audio/transcriptions "
    "v1/audio/transcriptions",
    "translations": "translations audio_translations /v1/audio/translations v1/audio/translations",
    "embeddings": "openai-embeddings sglang-embedding embeddings /v1/embeddings /embeddings v1/embeddings",
    "messages": "anthropic anthropic-messages messages /v1/messages /messages v1/messages",
    "pooling": "vllm-pooling pooling /pooling",
    "rerank": "vllm-rerank rerank /v1/rerank v1/rerank",
    "responses": "responses openai-responses /v1/responses /responses v1/responses",
    "score": "score /score",
    "speech": "/v1/audio/speech /audio/speech v1/audio/speech",
    "images": "/v1/images/generations /images/generations v1/images/generations",
    "tei-rerank": "hf_tei_rankings tei-rerank",
    "sglang": "sglang-native",
    "tgi": "tgi huggingface_generate /generate_stream",
    "ollama": "ollama /api/chat",
    "ollama-generate": "/api/generate",
    "llamacpp": "llamacpp /completion",
    "triton": "tensorrt-llm tensorrtllm trt triton",
}
_EITHER = {
    "sglang": "--api completions is vLLM's, --api sglang is SGLang's own bench's",
    "/generate": "--api sglang or --api tgi",
    "/rerank": "--api rerank --path /rerank is vLLM's and Cohere's, --api tei-rerank is TEI's",
    "/v1/score": "--api score --path /v1/score",
    **dict.fromkeys(("/v2/rerank", "cohere_rankings"), "--api rerank --path /v2/rerank"),
}
"""Words that mean one API in one tool and another in the next, or take two flags."""
_FOR_API = ("--backend", "--endpoint", "--endpoint-type", "--request-type", "--request-format")
_LIMITS = {"ttft": "ttft", "time_to_first_token": "ttft", "tpot": "tpot", "inter_token_latency": "tpot",
           "e2el": "e2e", "request_latency": "e2e"}  # fmt: skip
_GUIDELLM_DATA = {"prompt_tokens": "--isl", "prompt_tokens_stdev": "--isl-stddev", "output_tokens": "--osl",
                  "output_tokens_stdev": "--osl-stddev"}  # fmt: skip


def _table(lists: dict[str, str]) -> dict[str, str]:
    return {word: ours for ours, words in lists.items() for word in words.split()}


_SAME, _PLAIN, NAMED = _table(SAME), _table(PLAIN), _table(DIFFERENT)
_PART = {
    word: (ours, part) for ours, both in LENGTHS.items() for part, words in enumerate(both) for word in words.split()
}
_APIS = _table(_API)


@dataclass
class _Taking:
    """What becomes of the foreign words."""

    own: Collection[str]
    words: list[str] = field(default_factory=list)
    taken: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By our flag: the foreign words and ours."""
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lengths: dict[str, list[str | None]] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)
    """Host and port."""
    body: dict[str, Any] = field(default_factory=dict)

    def take(self, foreign: str, flag: str, *values: str) -> None:
        """Say `flag` with its values instead; UsageError where another one said something else."""
        ours = " ".join([flag, *values]).strip()
        if flag and flag not in self.own:
            self.wrong.append(f"  {foreign}: would be {ours}, and this command has no {flag}")
            return
        if flag in self.taken:
            before, meant = self.taken[flag]
            if meant == ours:
                return
            raise UsageError(f"{before} and {foreign} say different things ({meant}; {ours}): give one")
        self.taken[flag] = foreign, ours
        self.words += [flag, *values] if flag else values
        self.notes.append(f"{foreign} is taken as {ours}")


def translated(words: list[str], own: Collection[str]) -> tuple[list[str], list[str]]:
    """The words with the foreign flags that mean exactly ours replaced, and what is to be said of it.

    `own` are the flags that the command has: those are never foreign. UsageError names the right flags for all that
    mean something else, and says of two that contradict each other which.
    """
    now = _Taking(own)
    rest = iter(words)
    for word in rest:
        if word == "--":
            now.words += [word, *rest]
            break
        name, mark, value = word.partition("=")
        if short := re.fullmatch(r"(-[a-zA-Z])(\d.*)", word):
            name, mark, value = short[1], "=", short[2]
        if not word.startswith("-") or name in own:
            now.words.append(word)
        else:
            _one(now, word, name, (value if mark else None), rest, words)
    _put_together(now)
    ours = [word.partition("=")[0] for word in words]
    for flag, (foreign, meant) in now.taken.items():
        if flag and flag != "--set" and flag in ours:
            raise UsageError(f"{foreign} means {meant}, and {flag} is given too: give one of them")
    if now.wrong:
        raise UsageError("\n".join(["flags of other tools, and what there is here:", *now.wrong]))
    return now.words, [bare_urls(note) for note in now.notes]


def _one(now: _Taking, word: str, name: str, value: str | None, rest: Iterator[str], words: list[str]) -> None:
    """Take one foreign flag, or note what is wrong with it; what is no flag of anybody is left as it is."""

    def next_value() -> str:
        return value if value is not None else next(rest, "")

    if name in _PLAIN:
        now.take(name, _PLAIN[name])
    elif name in ALWAYS:
        count, why = ALWAYS[name]
        if count:
            next_value()
        now.notes.append(f"{name} is left out: {why}")
    elif name in _PART:
        ours, part = _PART[name]
        now.lengths.setdefault(ours, [None, None])[part] = f"{name} {next_value()}"
    elif name in ("--host", "--port"):
        now.place[name] = next_value()
    elif (key := name.removeprefix("--").replace("-", "_")) in _SAMPLING:
        now.body[key] = _json_value(name, next_value())
    elif name in ("--extra-body", "--extra-request-body", "--additional-sampling-params"):
        fields = _json_value(name, next_value())
        if not isinstance(fields, dict):
            raise UsageError(f"{name} takes a JSON object, not {fields!r}")
        now.body |= fields
    elif name in _BY_VALUE:
        _BY_VALUE[name](now, name, next_value(), words)
    elif name in _SAME:
        given = next_value()
        now.take(f"{name} {given}", _SAME[name], given)
    elif name in NAMED or name.startswith(("--load.", "--server.", "--data.")):
        now.wrong.append(f"  {name}: {NAMED.get(name, _OWN_FORM)}")
    else:
        now.words.append(word)


def _put_together(now: _Taking) -> None:
    """What was told in parts."""
    for ours, (mean, spread) in now.lengths.items():
        foreign = " ".join(part for part in (mean, spread) if part)
        middle, wide = ("" if part is None else part.partition(" ")[2] for part in (mean, spread))
        if not middle:
            now.wrong.append(f"  {foreign}: {ours} normal:MEAN,SD says both the mean and the spread")
            continue
        now.take(foreign, ours, f"normal:{middle},{wide}" if wide.strip("0.") else middle)
        if "--random-" in foreign:
            now.notes[-1] += f" (SGLang draws from 1 to it, unless told otherwise: {ours} uniform:1,{middle})"
    if now.place:
        host, port = now.place.get("--host", "127.0.0.1"), now.place.get("--port")
        now.take(
            " ".join(f"{flag} {value}" for flag, value in now.place.items()), URL, f"{host}:{port}" if port else host
        )
    if now.body:
        text = json.dumps(now.body)
        now.take(" and ".join(f"{key}" for key in now.body), "--set", f"endpoint.extra_body={text}")


def _json_value(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise UsageError(f"{name} {text!r} is not JSON") from None


# --- flags whose meaning goes by their value ---


def _request_rate(now: _Taking, name: str, value: str, words: list[str]) -> None:
    if value.lower() not in ("inf", "infinity"):
        now.take(f"{name} {value}", "--rate", value)
    elif any(_SAME.get(flag, flag) == "--concurrency" for flag in (word.partition("=")[0] for word in words)):
        now.notes.append(f"{name} {value} is left out: without a rate the load is a closed loop")
    else:
        now.wrong.append(f"  {name} {value}: everything at once is --concurrency N --requests N, with one N")


def _burstiness(now: _Taking, name: str, value: str, words: list[str]) -> None:
    """The shape of gamma gaps; ours is their coefficient of variation."""
    try:
        cv = float(value) ** -0.5
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{name} {value!r} is not a number above 0") from None
    now.take(f"{name} {value}", "--arrivals", "poisson" if cv == 1 else f"gamma:{cv:.6g}")


def _arrival_pattern(now: _Taking, name: str, value: str, words: list[str]) -> None:
    if value in ("poisson", "constant"):
        now.take(f"{name} {value}", "--arrivals", value)
    else:
        from loadcell.spec.notation import ARRIVALS

        now.wrong.append(f"  {name} {value}: --arrivals takes {ARRIVALS}")


def _api(now: _Taking, name: str, value: str, words: list[str]) -> None:
    if value in _APIS:
        now.take(f"{name} {value}", "--api", _APIS[value])
    elif value in _EITHER:
        now.wrong.append(f"  {name} {value}: {_EITHER[value]}")
    elif name == "--endpoint" and value.startswith("/"):
        now.take(f"{name} {value}", "--path", value)
    else:
        now.wrong.append(f"  {name} {value}: --api takes {our_apis()}; any other path is --path")


def _dataset_name(now: _Taking, name: str, value: str, words: list[str]) -> None:
    if value in ("random", "synthetic"):
        now.notes.append(f"{name} {value} is left out: prompts are random unless --prompts names a file")
    else:
        now.wrong.append(f"  {name} {value}: {_PROMPTS}")


def _data(now: _Taking, name: str, value: str, words: list[str]) -> None:
    """GuideLLM's synthetic data, as in prompt_tokens=512,output_tokens=128; else a file."""
    pairs = dict(pair.partition("=")[::2] for pair in value.split(","))
    if not set(pairs) <= set(_GUIDELLM_DATA):
        now.wrong.append(f"  {name} {value}: {_PROMPTS}")
        return
    for key, number in pairs.items():
        ours, part = _PART[_GUIDELLM_DATA[key]]
        now.lengths.setdefault(ours, [None, None])[part] = f"{key} {number}"


def _goodput(now: _Taking, name: str, value: str, words: list[str]) -> None:
    """Limits in ms; ours are of response times, so they are shown, not taken."""
    told = re.findall(r"(\w+):([\d.]+)", " ".join([value, *words]))
    limits = {_LIMITS[key]: ms for key, ms in told if key in _LIMITS}
    example = ",".join(f"{key}={ms}ms" for key, ms in limits.items()) or "ttft=500ms,tpot=30ms,e2e=10s"
    now.wrong.append(f"  {name}: --slo {example}; at a --rate it counts from the planned time, not from the send")


def _users_or_url(now: _Taking, name: str, value: str, words: list[str]) -> None:
    now.take(f"{name} {value}", "--concurrency" if value.isdecimal() else URL, value)


def _users_or_file(now: _Taking, name: str, value: str, words: list[str]) -> None:
    if value.isdecimal():
        now.take(f"{name} {value}", "--concurrency", value)
    else:
        now.wrong.append(f"  {name} {value}: {_OWN_FORM}")


def _model(now: _Taking, name: str, value: str, words: list[str]) -> None:
    if value.isupper() and value.isalpha():
        now.wrong.append(f"  {name} {value}: the method follows from --api")
    else:
        now.take(f"{name} {value}", "--model", value)


def _header(now: _Taking, name: str, value: str, words: list[str]) -> None:
    if "://" in value.partition(" ")[0]:
        now.take(f"{name} {value}", URL, value)
    else:
        now.words += ["--header", value]
        now.notes.append(f"{name} is taken as --header")


_BY_VALUE: dict[str, Callable[[_Taking, str, str, list[str]], None]] = {
    "--request-rate": _request_rate,
    "--qps": _request_rate,
    "--burstiness": _burstiness,
    "--arrival-pattern": _arrival_pattern,
    "--dataset-name": _dataset_name,
    "--goodput": _goodput,
    "--data": _data,
    "-u": _users_or_url,
    "-c": _users_or_file,
    "-m": _model,
    "-H": _header,
    **dict.fromkeys(_FOR_API, _api),
}

"""The Spec: everything asked for, frozen and validated once.

One model is the command line, the YAML file and the methodology block of every result. Times are seconds in fields
ending in `_s` and milliseconds in fields ending in `_ms`; YAML may write them as "500ms", "10s" or "2m" too.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec

from loadcell.api_template import Template
from loadcell.apis import CALLABLE, IMAGES, IN_PYTHON, Api, check_api, given_api, our_apis
from loadcell.errors import UsageError, nearest
from loadcell.inputs import check_inputs, check_limits, settle_inputs
from loadcell.lengths import Lengths as Lengths
from loadcell.lengths import parse_lengths as parse_lengths
from loadcell.media import AMOUNTS, check_media, settle_media
from loadcell.media import Media as Media
from loadcell.places import Class, Classes, bare, classes_of, written_out
from loadcell.places import Slo as Slo
from loadcell.secrets import REDACTED, bare_body, bare_url, of_body, of_headers, of_url, scrub_tree
from loadcell.urls import full_url

Doc = msgspec.Meta
_LEAST_LOOK_S = 0.05
_SURE = 8
"""Characters from which on a secret is none by chance."""
_PAGE = "a page of metrics"

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS_MB = {"mb": 1.0, "gb": 1e3, "mib": 1.048576, "gib": 1073.741824}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The server under test and how it is spoken to."""

    url: Annotated[str, Doc(description="base URL of an OpenAI-compatible server")]
    api: Annotated[Api, Doc(description=f"API to load: {our_apis()}; or FILE.yaml, which describes one")] = "chat"
    path: Annotated[
        str | None,
        Doc(description="path and query to ask in place of the API's own; {model} in it is the model's name"),
    ] = None
    http: Annotated[
        Literal["1.1", "2"], Doc(description="version of HTTP; 2: by ALPN over TLS, else by prior knowledge")
    ] = "1.1"
    model: Annotated[
        str | None, Doc(description="model name (default: the first of /v1/models that generates text)")
    ] = None
    stream: Annotated[bool, Doc(description="ask for a streamed response; without it TTFT cannot be seen")] = True
    headers: Annotated[dict[str, str], Doc(description="extra request header; values are never recorded")] = {}
    api_key_env: Annotated[str, Doc(description="environment variable that holds the API key")] = "OPENAI_API_KEY"
    auth: Annotated[
        Literal["key", "sigv4"], Doc(description="what proves who asks; sigv4: AWS credentials sign, for Bedrock")
    ] = "key"
    ca_file: Annotated[str | None, Doc(description="PEM file of the certificate authority to trust")] = None
    verify_tls: Annotated[bool, Doc(description="check the server's certificate")] = True
    cert_file: Annotated[str | None, Doc(description="PEM file of a client certificate to show to the server")] = None
    key_file: Annotated[
        str | None, Doc(description="PEM file of its key (default: in the file of the certificate)")
    ] = None
    resolve: Annotated[list[str], Doc(description="address of a host, as in curl: HOST:PORT:ADDRESS[,ADDRESS...]")] = []
    metrics_url: Annotated[
        str | None,
        Doc(description='Prometheus page to read with the load ("none": not; default: /metrics of the server)'),
    ] = None
    gpus: Annotated[int | None, Doc(description="accelerators that serve it, for figures per GPU")] = None
    ignore_eos: Annotated[
        bool | None,
        Doc(description="ask the server to produce every output token (default: yes, if the server accepts it)"),
    ] = None
    extra_body: Annotated[dict[str, Any], Doc(description="further fields of the request body")] = {}


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How requests arrive and when the run ends."""

    concurrency: Annotated[
        int | None,
        Doc(description="closed loop: users, each sending its next request when the last ends; a cap with --rate"),
    ] = None
    rate: Annotated[float | None, Doc(description="open loop: requests per second, whatever the server does")] = None
    arrivals: Annotated[str, Doc(description="open-loop arrival process: poisson, constant or gamma:CV")] = "poisson"
    requests: Annotated[int | None, Doc(description="end after this many requests")] = None
    duration_s: Annotated[
        float | None,
        Doc(description="stop sending after this time (default: 30 s and 4 times E2E after the ramp, 300 s at most)"),
    ] = None
    duration_most_s: Annotated[
        float | None,
        Doc(description="longest time of sending where neither a duration nor a number of requests is given"),
    ] = None
    keep_load: Annotated[
        bool,
        Doc(description="where a time ends the run: go on sending, uncounted, until the last counted reply has ended"),
    ] = True
    warmup_s: Annotated[
        float | None, Doc(description="leave requests of the first seconds out (default: found from the data)")
    ] = None
    warmup_requests: Annotated[int, Doc(description="leave the first requests out of the result")] = 0
    ramp_s: Annotated[
        float | None,
        Doc(
            description="spread the start over this time (closed loop default: one E2E of the probe, at most a tenth "
            "of the run, and at least 10 ms a user, of these at most 5 s)"
        ),
    ] = None
    timeout_s: Annotated[float, Doc(description="longest time one request may take")] = 120.0
    connect_timeout_s: Annotated[float, Doc(description="longest time one connection may take to open")] = 10.0
    wait_ready_s: Annotated[
        float, Doc(description="longest time to wait for a server that is not up yet: refuses, or says that it loads")
    ] = 10.0
    max_failures: Annotated[
        float,
        Doc(description="end the run once more than this share of its requests fails beyond doubt (100%: never)"),
    ] = 0.5
    stop_when_saturated: Annotated[
        bool, Doc(description="open loop: end the run once its queue grows beyond doubt")
    ] = False
    min_requests: Annotated[
        int | None, Doc(description="closed loop with a duration: send so many too, and one after it, before the end")
    ] = None
    lockstep: Annotated[
        bool, Doc(description="closed loop: users wait for each other, and send their next requests together")
    ] = False


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the model."""

    input_tokens: Annotated[
        str | None,
        Doc(
            description="prompt length: N, normal:MEAN,SD, uniform:LO,HI or lognormal:MEDIAN,SIGMA; null where the API "
            "takes audio alone"
        ),
    ] = "512"
    output_tokens: Annotated[
        str | None, Doc(description="output length, in the same forms; null where the API generates no text")
    ] = "uniform:64,192"
    inputs: Annotated[
        str | None,
        Doc(
            description="embeddings: texts a request; rerank: documents a query; in the same forms, input_tokens each "
            "(default: 1 text, 10 documents)"
        ),
    ] = None
    query_tokens: Annotated[
        str | None, Doc(description="rerank: length of the query, in the same forms (default: 16)")
    ] = None
    prompts: Annotated[
        str | None,
        Doc(description="file of prompts instead of synthetic ones: JSON Lines, JSON, CSV or Parquet, .gz too"),
    ] = None
    prompt_column: Annotated[
        str | None,
        Doc(description="prompts of a file: key or column that holds them (default: prompt, messages, text, …)"),
    ] = None
    output_column: Annotated[
        str | None,
        Doc(description="prompts of a file: key or column of their output lengths (default: max_tokens, …)"),
    ] = None
    line_output_tokens: Annotated[
        bool,
        Doc(description="prompts of a file: one that asks for its own output length gets it; else output_tokens"),
    ] = True
    tokenizer: Annotated[
        str, Doc(description='tokenizer that counts prompts: "smollm2" (packaged), a local path or a hub id')
    ] = "smollm2"
    template_tokens: Annotated[
        int | None,
        Doc(
            description="synthetic prompts: tokens that the server's chat template adds to each (default: learnt from "
            "its usage before the load)"
        ),
    ] = None
    token_ratio: Annotated[
        float | None,
        Doc(
            description="synthetic prompts: tokens by the server for one of the tokenizer's (default: learnt likewise)"
        ),
    ] = None

    @property
    def generates(self) -> bool:
        """Whether the API generates text; else its replies are results of inputs, and have nothing of an output."""
        return self.output_tokens is not None or self.hears

    @property
    def hears(self) -> bool:
        """Whether the API takes audio alone and writes down what is said in it: nobody plans how long that is."""
        return self.input_tokens is None

    @property
    def mean_output_tokens(self) -> float:
        """Output tokens asked for, on average; 0 where there is no output."""
        return 0.0 if self.output_tokens is None else parse_lengths(self.output_tokens).mean


class Seeds(msgspec.Struct, frozen=True, kw_only=True):
    """The three seeds of LoadGen's traffic; their low 32 bits count."""

    qsl: int
    sample_index: int
    schedule: int


class LoadGen(msgspec.Struct, frozen=True, kw_only=True):
    """Times and order of requests as MLPerf's load generator draws them, from three seeds, for a file of prompts.

    In "server" the number of requests follows; else `load` says it. Without a scenario, none of this.
    """

    scenario: Annotated[
        Literal["server", "offline", "singlestream", "multistream", "endpoints"] | None,
        Doc(
            description="send the prompts when and in the order that LoadGen does in this scenario; endpoints: in "
            "that of the MLPerf Endpoints client"
        ),
    ] = None
    mode: Annotated[
        Literal["performance", "accuracy"], Doc(description="accuracy: every prompt once, in that mode's order")
    ] = "performance"
    qsl_seed: Annotated[int, Doc(description="seed of the order in which samples are loaded")] = 0
    sample_index_seed: Annotated[int, Doc(description="seed of the order in which samples are sent")] = 0
    schedule_seed: Annotated[int, Doc(description="seed of the times between requests")] = 0
    equal_issue: Annotated[bool, Doc(description="whole passes, so that every sample is sent equally often")] = True
    min_queries: Annotated[int, Doc(description="queries at least, before whole passes are filled up")] = 1
    min_duration_s: Annotated[float, Doc(description="planned time at least")] = 0.0


LIMITED = Slo.__struct_fields__
"""Latencies that an SLO may limit, by their field of a Result."""


class Observe(msgspec.Struct, frozen=True, kw_only=True):
    """What is watched beside the load, on the same clock."""

    every_s: Annotated[float, Doc(description="time between two looks; 0: none while the load runs")] = 2.0
    urls: Annotated[
        list[str], Doc(description="further Prometheus pages: other replicas, GPU exporters (DCGM, AMD)")
    ] = []
    gpu: Annotated[
        Literal["auto", "nvml", "none"],
        Doc(description="this machine's NVIDIA GPUs (auto: if the server is here and they can be read)"),
    ] = "auto"
    host: Annotated[bool, Doc(description="watch the CPU and memory of this machine")] = True


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """How this machine runs the load and what it keeps."""

    workers: Annotated[int | None, Doc(description="load processes (default: chosen from the number of cores)")] = None
    seed: Annotated[int, Doc(description="seed of arrivals and lengths, and with the salt of prompts")] = 0
    salt: Annotated[
        str | None,
        Doc(
            description="text that synthetic prompts follow from besides the seed (default: a new one in each run, so "
            "that no cache knows them; empty: none)"
        ),
    ] = None
    memory_mb: Annotated[
        float,
        Doc(description="memory of a load process for replies, all together: 512MB, 2GB; the largest fails first"),
    ] = 512.0
    repetition: Annotated[
        int, Doc(description="which repetition this is: other prompts of the same lengths at the same times")
    ] = 0
    keep_text: Annotated[bool, Doc(description="record prompts and responses too")] = False
    shared_host: Annotated[
        bool, Doc(description="the server is meant to share this machine's cores; otherwise that is SUSPECT")
    ] = False


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything asked for in one run.

    What was recorded is decoded to this type wherever it is read: a field that the version which wrote it lacked has
    its default, one that this version does not know is left out. What a person writes goes through `build_spec`.
    """

    endpoint: Endpoint
    load: Load = Load()
    workload: Workload = Workload()
    media: Media = Media()
    loadgen: LoadGen = LoadGen()
    slo: Slo = Slo()
    classes: Classes = Classes()
    observe: Observe = Observe()
    run: Run = Run()

    @property
    def dealt(self) -> list[Class]:
        """The classes of its requests, at least one."""
        return classes_of(self.classes, self.endpoint.url, self.endpoint.model, self.slo)


class Arrivals(msgspec.Struct, frozen=True):
    """A renewal process given by the coefficient of variation of its gaps: 0 constant, 1 Poisson, else gamma."""

    kind: Literal["poisson", "constant", "gamma"]
    cv: float


def parse_duration_s(text: str, of: str = "") -> float:
    """Seconds of "500ms", "10s", "2m", "1h" or a plain number of seconds; UsageError else, which says `of` what."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        name = f"{of}: " if of else ""
        raise UsageError(f"{name}{text!r} is not a duration: write 500ms, 10s, 2m or a number of seconds")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


def _share(text: str) -> float:
    """The share of "50%" or "0.5"; UsageError else."""
    number, percent, rest = text.strip().partition("%")
    try:
        return float(number) / (100 if percent else 1) if not rest else math.nan
    except ValueError:
        raise UsageError(f"{text!r} is not a share: write 50% or 0.5") from None


def parse_size_mb(text: str) -> float:
    """Megabytes (10^6 bytes) of "512MB", "2GB" or a plain number of MB; UsageError else."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a size: write 512MB, 2GB or a number of MB")
    return float(match[1]) * _UNITS_MB[(match[2] or "mb").lower()]


def _ms(seconds: float) -> float:
    """Milliseconds, without the dust of binary fractions: 9ms is 9, not 9.000000000000002."""
    return round(seconds * 1000, 9)


def parse_arrivals(text: str) -> Arrivals:
    """The arrival process that `text` names; UsageError else."""
    kind, _, rest = text.strip().partition(":")
    if kind == "poisson" and not rest:
        return Arrivals("poisson", 1.0)
    if kind == "constant" and not rest:
        return Arrivals("constant", 0.0)
    if kind == "gamma":
        try:
            cv = float(rest)
        except ValueError:
            cv = math.nan
        if 0 < cv <= 100:
            return Arrivals("gamma", cv)
        raise UsageError(f"{text!r}: gamma needs its coefficient of variation, as in gamma:2")
    raise UsageError(
        f"{text!r} is not an arrival process{nearest(kind, ('poisson', 'constant', 'gamma'))}: "
        "write poisson, constant or gamma:CV"
    )


def parse_slo(text: str) -> Slo:
    """The limits of "ttft=500ms,tpot=30ms", of a preset ("chat") or of both ("chat,e2e=20s"); UsageError else."""
    from loadcell.presets import find_preset

    limits: dict[str, float] = {}
    for number, part in enumerate(filter(None, (p.strip() for p in text.split(",")))):
        name, mark, value = part.partition("=")
        field = f"{name.strip().lower().replace('-', '_')}_ms"
        if not mark and field not in Slo.__struct_fields__:
            if number:
                raise UsageError(f"{part!r} comes too late: one preset comes first, then limits, as in chat,e2e=20s")
            limits |= find_preset(part).limits()
            continue
        if field not in Slo.__struct_fields__:
            raise UsageError(
                f"{part!r} is not an SLO{nearest(name, [one.removesuffix('_ms') for one in LIMITED])}: "
                "write ttft=500ms,tpot=30ms,e2e=10s"
            )
        if not re.search(r"[a-z]\s*$", value):
            raise UsageError(f"{part!r} has no unit: write {name}={value or '500'}ms or {name}={value or '2'}s")
        limits[field] = _ms(parse_duration_s(value, f"--slo {part}"))
    return Slo(**limits)


# --- building and checking -------------------------------------------------------------------------------------------


@functools.cache
def spec_fields() -> dict[str, msgspec.inspect.Field]:
    """Every leaf of the Spec by its dotted path, as in "load.rate"."""
    info = cast(msgspec.inspect.StructType, msgspec.inspect.type_info(Spec))
    return {
        f"{section.name}.{field.name}": field
        for section in info.fields
        for field in cast(msgspec.inspect.StructType, section.type).fields
    }


def describe_field(path: str) -> str:
    """What a field is for, with its default."""
    field = spec_fields()[path]
    about = cast(msgspec.inspect.Metadata, field.type).extra_json_schema or {}
    text = str(about.get("description", ""))
    plain = field.default not in (None, msgspec.NODEFAULT) and not isinstance(field.default, bool)
    return f"{text} (default: {_say(field.default)})" if plain and "default:" not in text else text


def _say(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def field_from_text(path: str, text: str, flag: str) -> Any:
    """The value that `text` gives to the field at `path`; UsageError names the flag it came with."""
    fields = spec_fields()
    if path not in fields:
        raise UsageError(f"{flag}: there is no {path} in the spec{nearest(path, fields)}")
    key = path.partition(".")[2]
    if key.endswith(("_s", "_ms", "_mb", "max_failures")):
        return _plain(key, text, flag)
    if path == "endpoint.api":
        check_api(api := given_api(text, flag), flag)
        return api
    kind: Any = cast(msgspec.inspect.Metadata, fields[path].type).type
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    if any(isinstance(k, msgspec.inspect.DictType) for k in kinds):
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            raise UsageError(f'{flag}: {path} takes a JSON object, as in {{"name": "value"}}') from None
    for found, convert, what in _CONVERSIONS:
        if any(isinstance(k, found) for k in kinds):
            try:
                return convert(text)
            except (ValueError, KeyError):
                raise UsageError(f"{flag}: {text!r} is not {what}") from None
    named = [value for k in kinds if isinstance(k, msgspec.inspect.LiteralType) for value in k.values]
    if named and text not in named:
        raise UsageError(f"{flag}: {text!r} is not one of {', '.join(map(str, named))}")
    return text


_CONVERSIONS: tuple[tuple[type, Callable[[str], Any], str], ...] = (
    (msgspec.inspect.IntType, int, "a whole number"),
    (msgspec.inspect.FloatType, float, "a number"),
    (msgspec.inspect.BoolType, lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
)


def build_spec(tree: Mapping[str, Any]) -> Spec:
    """The Spec of a plain tree (YAML, flags or a recording), validated; UsageError names the wrong key or value."""
    sections = Spec.__struct_fields__
    if not isinstance(tree, Mapping):
        raise UsageError(f"the spec must hold sections ({', '.join(sections)}), each with keys and values")
    for section, values in tree.items():
        if section not in sections:
            raise UsageError(
                f"unknown section {section!r} in the spec{nearest(str(section), sections)}; "
                f"there are: {', '.join(sections)}"
            )
        if not isinstance(values, Mapping):
            raise UsageError(f"section {section!r} of the spec must hold keys and values")
        known = [path.partition(".")[2] for path in spec_fields() if path.startswith(f"{section}.")]
        for key in values:
            if key not in known:
                raise UsageError(
                    f"unknown key {section}.{key} in the spec{nearest(str(key), known)}; "
                    f"{section} has: {', '.join(known)}"
                )
    if not tree.get("endpoint", {}).get("url"):
        raise UsageError("no endpoint: give the server's URL, as in http://localhost:8000")
    try:
        tree = _written_out(tree)
        settle_inputs(tree)
        settle_media(tree)
        plain = {s: {k: _plain(k, v, f"{s}.{k}") for k, v in values.items()} for s, values in tree.items()}
        spec = msgspec.convert(plain, Spec)
    except msgspec.ValidationError as error:
        raise UsageError(f"spec: {error}".replace("$.", "")) from None
    return checked(spec)


def _plain(key: str, value: Any, name: str) -> Any:
    """Durations as numbers in the unit that the key names; lengths as text. `name` is what a UsageError calls it."""
    if isinstance(value, str) and key == "max_failures":
        return _share(value)
    if isinstance(value, str) and key.endswith("_s"):
        return parse_duration_s(value, name)
    if isinstance(value, str) and key.endswith("_mb"):
        return parse_size_mb(value)
    if isinstance(value, str) and key.endswith("_ms"):
        return _ms(parse_duration_s(value if value.strip()[-1:].isalpha() else f"{value}ms", name))
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and key in ("input_tokens", "output_tokens", "inputs", "query_tokens", *AMOUNTS)
    ):
        return str(value)
    return str(value) if key == "http" and isinstance(value, int | float) else value


def _written_out(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with every URL and the template of an API written out; what is no text is left to the validation."""
    found = {section: dict(values) for section, values in tree.items()}
    endpoint, observe = found.get("endpoint", {}), found.get("observe", {})
    if isinstance(endpoint.get("url"), str) and not endpoint["url"].startswith(IN_PYTHON):
        endpoint["url"] = full_url(endpoint["url"])
    if "api" in endpoint:
        endpoint["api"] = given_api(endpoint["api"], "endpoint.api")
    written_out(found.get("classes", {}), parse_slo)
    if isinstance(page := endpoint.get("metrics_url"), str) and page != "none":
        endpoint["metrics_url"] = full_url(page, _PAGE)
    if isinstance(urls := observe.get("urls"), list):
        observe["urls"] = [full_url(url, _PAGE) if isinstance(url, str) else url for url in urls]
    return found


def _check(spec: Spec) -> None:
    load = spec.load
    if not spec.endpoint.url.startswith(IN_PYTHON):
        check_api(spec.endpoint.api, "endpoint.api")
    elif spec.endpoint.api != CALLABLE:
        raise UsageError(f"{spec.endpoint.url} is a Python callable: it is loaded by loadcell.run(fn, ...) in Python")
    workload = spec.workload
    for lengths in (workload.input_tokens, workload.output_tokens, workload.inputs, workload.query_tokens):
        if lengths is not None:
            parse_lengths(lengths)
    if not check_media(spec.media, spec.endpoint.api, workload.input_tokens, workload.output_tokens):
        check_inputs(
            spec.endpoint.api,
            streamed=spec.endpoint.stream,
            output_tokens=workload.output_tokens,
            inputs=workload.inputs,
            query_tokens=workload.query_tokens,
            prompts=workload.prompts,
        )
    for one in spec.dealt:
        check_limits(one.slo.limits, spec.endpoint.api, generates=workload.generates)
    parse_arrivals(load.arrivals)
    positive = {
        "load.concurrency": load.concurrency, "load.rate": load.rate, "load.requests": load.requests,
        "load.duration_s": load.duration_s, "load.timeout_s": load.timeout_s,
        "load.duration_most_s": load.duration_most_s,
        "load.connect_timeout_s": load.connect_timeout_s, "load.min_requests": load.min_requests,
        "run.workers": spec.run.workers, "run.memory_mb": spec.run.memory_mb,
        "workload.token_ratio": spec.workload.token_ratio,
        "endpoint.gpus": spec.endpoint.gpus,
        "slo.ttft_ms": spec.slo.ttft_ms, "slo.tpot_ms": spec.slo.tpot_ms, "slo.e2e_ms": spec.slo.e2e_ms,
        "slo.first_audio_ms": spec.slo.first_audio_ms,
    }  # fmt: skip
    for name, value in positive.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name} is {value:g}: it must be more than 0")
    for name, low in (("load.warmup_s", load.warmup_s or 0), ("load.warmup_requests", load.warmup_requests),
                      ("load.ramp_s", load.ramp_s or 0), ("load.wait_ready_s", load.wait_ready_s),
                      ("run.seed", spec.run.seed),
                      ("workload.template_tokens", spec.workload.template_tokens or 0),
                      ("loadgen.min_duration_s", spec.loadgen.min_duration_s),
                      ("loadgen.min_queries", spec.loadgen.min_queries),
                      ("run.repetition", spec.run.repetition), ("observe.every_s", spec.observe.every_s)):  # fmt: skip
        if not (low >= 0 and math.isfinite(low)):
            raise UsageError(f"{name} is {low:g}: it must be 0 or more")
    if not 0 <= load.max_failures <= 1:
        raise UsageError(f"load.max_failures is {load.max_failures:g}: write a share of requests, as in 50% or 0.5")
    if 0 < spec.observe.every_s < _LEAST_LOOK_S:
        raise UsageError(
            f"observe.every_s is {spec.observe.every_s:g}: to look more often than every {_LEAST_LOOK_S:g} s would "
            "disturb the load; 0 turns it off"
        )
    warmup_s = load.warmup_s or 0.0
    if load.duration_s is not None and warmup_s >= load.duration_s:
        raise UsageError(f"the warm-up ({warmup_s:g} s) leaves nothing of the duration ({load.duration_s:g} s)")
    if load.duration_s is not None and load.duration_most_s is not None and load.duration_s > load.duration_most_s:
        raise UsageError(
            f"the duration ({load.duration_s:g} s) is more than load.duration_most_s ({load.duration_most_s:g} s): "
            "leave the latter out"
        )
    if load.duration_s is None and load.duration_most_s is not None and warmup_s >= load.duration_most_s:
        raise UsageError(
            f"the warm-up ({warmup_s:g} s) leaves nothing of the time of sending ({load.duration_most_s:g} s at most): "
            "give a longer --duration"
        )
    if load.requests is not None and load.warmup_requests >= load.requests:
        raise UsageError(f"the warm-up ({load.warmup_requests} requests) leaves nothing of {load.requests} requests")
    if load.warmup_s and load.warmup_requests:
        raise UsageError("give the warm-up as a time or as a number of requests, not both")
    if load.rate is not None and (load.lockstep or load.min_requests is not None):
        raise UsageError("load.lockstep and load.min_requests are of closed loops: leave out them or the rate")
    if load.min_requests is not None and (load.duration_s is None or load.requests is not None):
        raise UsageError("load.min_requests goes with a duration, and without a number of requests")
    _check_outputs(spec)
    _check_loadgen(spec)
    if len(spec.dealt) > 1 and (spec.loadgen.scenario is not None or spec.endpoint.api == CALLABLE):
        what = "a Python callable" if spec.loadgen.scenario is None else f"loadgen.scenario {spec.loadgen.scenario}"
        raise UsageError(f"{what} is a load of one endpoint and one model: leave out classes.also and classes.models")


def _check_outputs(spec: Spec) -> None:
    """Of several outputs in one reply, each would have latencies of its own: only one is measured."""
    for key in ("n", "best_of", "num_return_sequences"):
        asked = spec.endpoint.extra_body.get(key)
        if key == "n" and spec.endpoint.api == IMAGES:  # a job makes several, and is measured whole
            continue
        if asked is not None and (asked is True or asked != 1):
            raise UsageError(
                f"endpoint.extra_body asks for several outputs ({key}: {asked}): one output a request is measured; "
                f"leave {key} out and send more requests"
            )


def _check_loadgen(spec: Spec) -> None:
    """UsageError if LoadGen's traffic is asked for with a load that it cannot have."""
    scenario, load = spec.loadgen.scenario, spec.load
    if scenario is None:
        return
    if spec.workload.prompts is None:
        raise UsageError(f"loadgen.scenario {scenario} sends the samples of a file: name it with workload.prompts")
    if spec.loadgen.mode == "performance" and (scenario == "server") != (load.rate is not None):
        wrong = "needs a rate" if scenario == "server" else "is a closed loop: it has no rate"
        raise UsageError(f"loadgen.scenario {scenario} {wrong}")
    if scenario == "server" and load.rate is not None and (load.requests, load.duration_s) != (None, None):
        raise UsageError("loadgen.scenario server ends by loadgen.min_queries and min_duration_s: leave load's end out")


DEFAULT_CONCURRENCY = 16
LEAST_DURATION_S, LEAST_E2E = 30.0, 4.0
"""A run whose end was not asked for sends so long, and so many times as long as a request takes, after its ramp."""
MOST_DURATION_S = 300.0
"""And no longer than this."""
_MOST_PLANNED = 10_000
"""Open loop: nor is it planned for more requests than this, unless the least time takes more."""
_RAMP_A_USER_S, _RAMP_MOST_S = 0.01, 5.0
RAMP_SHARE = 0.1
"""Most of a run that a ramp by default takes."""


def with_defaults(spec: Spec) -> Spec:
    """The Spec with the defaults of its load filled in, so that the result shows them all.

    Without a load: a closed loop of 16 users. Without an end: a run that ends by itself, within 300 s (less where an
    open loop would plan more than 10,000 requests by then, but never less than 30 s). The ramp of a closed loop waits
    for the probe: see `default_ramp_s`.
    """
    load = spec.load
    if load.concurrency is None and load.rate is None:
        load = msgspec.structs.replace(load, concurrency=DEFAULT_CONCURRENCY)
    planned_end = spec.loadgen.scenario == "server" and load.rate is not None
    if load.requests is None and load.duration_s is None and load.duration_most_s is None and not planned_end:
        most_s = MOST_DURATION_S if load.rate is None else min(MOST_DURATION_S, _MOST_PLANNED / load.rate)
        load = msgspec.structs.replace(load, duration_most_s=max(most_s, LEAST_DURATION_S + (load.ramp_s or 0.0)))
    if load.ramp_s is None and load.rate is not None:
        load = msgspec.structs.replace(load, ramp_s=0.0)
    return checked(msgspec.structs.replace(spec, load=load))


def default_ramp_s(load: Load, e2e_s: float | None) -> float:
    """The ramp of a closed loop that was not asked for one; `e2e_s` is what one request is likely to take, if known.

    Users that start within one E2E are spread over its phases instead of going in step. That may take a tenth of the
    run, no more. At least they start 10 ms apart, within 5 s, so that the first replies do not come as one burst.
    """
    users = load.concurrency or 1
    least_s = min(_RAMP_A_USER_S * users, _RAMP_MOST_S)
    if e2e_s is None:
        return least_s
    if load.requests is not None:
        run_s = e2e_s * load.requests / users
        run_s = run_s if load.duration_s is None else min(run_s, load.duration_s)
    else:
        run_s = load.duration_s or max(LEAST_DURATION_S, LEAST_E2E * e2e_s)
    return max(least_s, min(e2e_s, RAMP_SHARE * run_s))


def keeps_load(spec: Spec) -> bool:
    """Whether requests are sent beyond the end of the counted ones, so that these do not end on an emptying server.

    Only where a time ends the sending: not with a number of requests, LoadGen's traffic, or users in lockstep.
    """
    load = spec.load
    timed = load.requests is None and load.min_requests is None and spec.loadgen.scenario is None
    return load.keep_load and timed and not load.lockstep


def with_fields(spec: Spec, fields: Mapping[str, Any]) -> Spec:
    """The Spec with other values by dotted path, as in {"load.rate": 5.0}. `checked` sees whether that can be."""
    for path, value in fields.items():
        section, _, key = path.partition(".")
        spec = msgspec.structs.replace(
            spec, **{section: msgspec.structs.replace(getattr(spec, section), **{key: value})}
        )
    return spec


def checked(spec: Spec) -> Spec:
    """The Spec, if it can be; UsageError says what cannot."""
    _check(spec)
    return spec


def secrets_of(spec: Spec, api_key: str | None) -> set[str]:
    """Strings that must never be written: the API key, and what headers, URLs and further body fields hold."""
    endpoint = spec.endpoint
    also = (one.url for one in spec.classes.also)
    urls = filter(None, (endpoint.url, endpoint.path, endpoint.metrics_url, *spec.observe.urls, *also))
    found = {api_key or "", *of_headers(endpoint.headers), *of_body(endpoint.extra_body)}
    return found.union(*map(of_url, urls)) - {""}


def redact(spec: Spec) -> Spec:
    """The Spec as it may be written down: no header values, no credentials or query in URLs, no keys in the body."""
    # A key may stand in a field of any name; a value that could be a word by chance is left alone.
    keys = {os.environ.get(one.api_key_env or "", "") for one in spec.classes.also}
    found = secrets_of(spec, os.environ.get(spec.endpoint.api_key_env)) | keys
    known = [value for value in found if len(value) >= _SURE]
    endpoint = msgspec.structs.replace(
        spec.endpoint,
        url=bare_url(spec.endpoint.url),
        path=spec.endpoint.path and bare_url(spec.endpoint.path),
        metrics_url=spec.endpoint.metrics_url and bare_url(spec.endpoint.metrics_url),
        headers=dict.fromkeys(spec.endpoint.headers, REDACTED),
        extra_body=scrub_tree(bare_body(spec.endpoint.extra_body), known),
        api=_scrubbed(spec.endpoint.api, known),
    )
    observe = msgspec.structs.replace(spec.observe, urls=[bare_url(url) for url in spec.observe.urls])
    return msgspec.structs.replace(spec, endpoint=endpoint, observe=observe, classes=bare(spec.classes))


def _scrubbed(api: Api, secrets: list[str]) -> Api:
    if isinstance(api, str):
        return api
    return msgspec.convert(scrub_tree(msgspec.to_builtins(api), secrets), Template)

"""The types of a Spec, field by field with what each is for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from loadcell.agents import Agent
from loadcell.apis import Api, our_apis
from loadcell.behaviour import Behaviour
from loadcell.lengths import parse_lengths
from loadcell.media import Media
from loadcell.places import Class, Classes, Slo, classes_of
from loadcell.prefix import CacheState, Prefix
from loadcell.published_schema import json_schema
from loadcell.replaying import Replay
from loadcell.sessions import Sessions

Doc = msgspec.Meta


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
    arrivals: Annotated[
        str,
        Doc(
            description="open-loop arrival process: poisson, constant, gamma:CV, weibull:CV or bursts:ON,OFF[,BASE] "
            "(BASE: rate between bursts as a share of the mean)"
        ),
    ] = "poisson"
    rate_series: Annotated[
        str | None,
        Doc(
            description='open loop with a rate that varies: steps and ramps, as in "10@60s,50@60s,50..10@30s", or a '
            "file with the columns t_s and rate; with a rate, scaled to that mean; ends the run where nothing else does"
        ),
    ] = None
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
    cache: Annotated[
        CacheState,
        Doc(
            description="prefix cache of the server before the load: as-is; cold: emptied by the engine's own call "
            "(vLLM, SGLang, llama.cpp); warm: what prompts share is sent once, uncounted"
        ),
    ] = "as-is"
    cache_reset: Annotated[
        str | None, Doc(description="URL to POST to for --cache cold, in place of the engine's own call")
    ] = None


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the model."""

    scenario: Annotated[
        str | None,
        Doc(
            description="named workload that is fixed to the last field, NAME or NAME@VERSION (loadcell scenarios "
            "shows them); what is asked for besides goes over it, and is told"
        ),
    ] = None
    input_tokens: Annotated[
        str | None,
        Doc(
            description="prompt length: N, normal:MEAN,SD, uniform:LO,HI, lognormal:MEDIAN,SIGMA, "
            "empirical:FILE#COLUMN or a mixture of these; null where the API takes audio alone"
        ),
    ] = "512"
    output_tokens: Annotated[
        str | None, Doc(description="output length, in the same forms; null where the API generates no text")
    ] = "uniform:64,192"
    lengths: Annotated[
        str | None,
        Doc(
            description="file of input and output lengths, kept together in pairs, or a table that comes with "
            "loadcell: arxiv, bwb, sharegpt"
        ),
    ] = None
    lengths_columns: Annotated[
        str | None,
        Doc(description="its columns of inputs and outputs, as IN,OUT (default: found by the names of public tables)"),
    ] = None
    lengths_order: Annotated[
        Literal["drawn", "file"], Doc(description="pairs drawn by chance, or one after the other as in the file")
    ] = "drawn"
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
        Doc(
            description="prompts instead of synthetic ones: a file (JSON Lines, JSON, CSV, Parquet; .gz, .zst), a "
            "folder of them, or a data set of the Hugging Face hub (ORG/NAME#SPLIT)"
        ),
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
    ignore_fields: Annotated[
        list[str],
        Doc(description="prompts of a file: fields to leave out of what its rows ask for, as in model,timestamp"),
    ] = []
    send_fields: Annotated[
        list[str],
        Doc(description="prompts of a file: further columns to send as fields of the body, as in metadata,user"),
    ] = []
    skip_bad: Annotated[
        bool, Doc(description="prompts of a file, a trace: leave broken rows out, counted (default: they end the run)")
    ] = False
    too_long: Annotated[
        Literal["refuse", "drop", "clip"],
        Doc(description="prompts longer than the model's context: refuse, drop (of a file, a trace) or clip them"),
    ] = "refuse"
    context_tokens: Annotated[
        int | None, Doc(description="tokens of the model's context (default: as the server tells, if it does)")
    ] = None
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
    sessions: Sessions = Sessions()
    prefix: Prefix = Prefix()
    trace: Replay = Replay()
    agent: Agent = Agent()
    behaviour: Behaviour = Behaviour()
    loadgen: LoadGen = LoadGen()
    slo: Slo = Slo()
    classes: Classes = Classes()
    observe: Observe = Observe()
    run: Run = Run()

    @property
    def open_loop(self) -> bool:
        """Whether requests come when they are planned to, whatever the server does: by a rate, or by a trace."""
        return self.load.rate is not None or (self.trace.name is not None and self.load.concurrency is None)

    @property
    def dealt(self) -> list[Class]:
        """The classes of its requests, at least one."""
        return classes_of(self.classes, self.endpoint.url, self.endpoint.model, self.slo)


FORMAT = 1
"""Version of a Spec in JSON: that of its schema."""


def spec_schema() -> dict[str, Any]:
    """JSON Schema of the Spec as recordings and results hold it; what people write may say "500ms" for a time too."""
    return json_schema(Spec, "spec", FORMAT)

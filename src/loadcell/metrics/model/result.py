"""The Result as a whole."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from loadcell.metrics.model.behaviour import Behaved
from loadcell.metrics.model.cache import Cache
from loadcell.metrics.model.chunks import ItlByToken, Speculation, TokensPerChunk
from loadcell.metrics.model.course import Change, CountsOf, Run, Steady, Window
from loadcell.metrics.model.estimates import Latency
from loadcell.metrics.model.instrument import Calibration, Instrument, Verdict
from loadcell.metrics.model.outcome import (
    Concurrency,
    Delivered,
    Goodput,
    Group,
    InputMedia,
    Replies,
    RunRates,
    Throughput,
    WholeRun,
)
from loadcell.metrics.model.server import Counters, Observed, ServerSide, WhereTtft
from loadcell.metrics.model.sessions import Sessions
from loadcell.phrases import Phrase
from loadcell.recording.imported import Imported
from loadcell.spec import Spec

Doc = msgspec.Meta
FORMAT = 4
"""Version of the Result's JSON."""


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """A change in what fails, over the whole run."""

    since_s: Annotated[float, Doc(description="when the first request failed, of those that tell of the change")]
    share: Annotated[float, Doc(description="of the requests that ended from then on, those that failed")]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of failure, over the whole run."""

    kind: str
    count: int
    sample: str | None
    advice: str | None


class NamedScenario(msgspec.Struct, frozen=True, kw_only=True):
    """The named scenario that a run was asked for."""

    name: str
    version: int
    changed: Annotated[list[str], Doc(description="fields that the run changed of it, by their paths")] = []
    says: Annotated[str, Doc(description="in one sentence: as it is, or not comparable with it and why")]


class Methodology(msgspec.Struct, frozen=True, kw_only=True):
    """How the figures came to be."""

    spec: Annotated[Spec, Doc(description="everything asked for, secrets removed")]
    effective: Annotated[dict[str, Any], Doc(description="settings after defaults and negotiation")]
    fingerprint: Annotated[str, Doc(description="hash of all that must be equal for two results to be compared")]
    loop: str
    scenario: Annotated[NamedScenario | None, Doc(description="null where no named scenario was asked for")] = None
    seed: int
    workers: int
    schedule_hash: Annotated[str, Doc(description="over times and lengths of the planned requests")]
    bodies_hash: Annotated[
        str | None,
        Doc(
            description="over what the bytes of the planned requests follow from; null in recordings of older versions"
        ),
    ]
    tokenizer: str
    clock: str
    core: Annotated[
        str | None, Doc(description="C or Python: the form of the hot path; null in recordings of older versions")
    ] = None
    window: Window
    token_source: Annotated[dict[str, int], Doc(description="ok requests by the source of their output count")]
    prompt_token_source: Annotated[dict[str, int], Doc(description="requests by the source of their input count")]
    percentile: str
    interval: str
    environment: dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of one recording: a pure function of it."""

    format: int = FORMAT
    loadcell: Annotated[str, Doc(description="version that computed the result")]
    run: Run
    verdict: Verdict
    withheld: Annotated[
        bool, Doc(description="in results of older versions: figures were left out, the run is INVALID")
    ] = False
    invalid: Annotated[list[str], Doc(description="reasons why no figure may be trusted, found outside the audit")]
    notes: Annotated[list[str], Doc(description="what a reader must know")]
    counts: CountsOf
    steady: Steady
    change: Annotated[
        dict[str, Change],
        Doc(description="whether ttft_ms and tpot_ms (or e2e_ms) changed through the window, by metric"),
    ] = {}
    replies: Annotated[Replies | None, Doc(description="null without an ok request")] = None
    delivered: Annotated[Delivered | None, Doc(description="null without a stream to judge")] = None
    latency: Annotated[dict[str, Latency], Doc(description="by metric, in milliseconds")]
    tokens_per_chunk: Annotated[TokensPerChunk | None, Doc(description="null without a stream")] = None
    itl_by_token: Annotated[
        ItlByToken | None,
        Doc(description="where events hold several tokens: each of the k of an event has a k-th of the gap before it"),
    ] = None
    speculation: Annotated[
        list[Speculation], Doc(description="speculative decoding by the server's word; empty where it tells nothing")
    ] = []
    throughput: Throughput
    goodput: Annotated[Goodput | None, Doc(description="null without an SLO")]
    classes: Annotated[list[Group], Doc(description="of each endpoint and model; empty where there is one")] = []
    addresses: Annotated[list[Group], Doc(description="of each address of an endpoint that has several")] = []
    whole_run: Annotated[WholeRun | None, Doc(description="null where the window is the whole run")]
    run_rates: Annotated[
        RunRates | None, Doc(description="the rates of the whole run by the definition of other tools, to compare with")
    ] = None
    sessions: Annotated[Sessions | None, Doc(description="null where no two requests belong together")] = None
    input_media: Annotated[InputMedia | None, Doc(description="null where requests carry no images and no audio")] = (
        None
    )
    cache: Annotated[
        Cache | None, Doc(description="the server's prefix cache; null where prompts share nothing and nobody tells")
    ] = None
    behaved: Annotated[Behaved | None, Doc(description="null where users only waited for their replies")] = None
    concurrency: Concurrency
    instrument: Instrument
    server: Annotated[list[ServerSide], Doc(description="where TTFT went, by each source on the server's side")]
    bottleneck: Annotated[str | None, Doc(description="what takes most of a reply's time, in one sentence")] = None
    where_ttft: Annotated[WhereTtft | None, Doc(description="null where no server tells")] = None
    counters: Annotated[Counters | None, Doc(description="null where the server has no page of counters")] = None
    observed: Annotated[Observed | None, Doc(description="null where nothing was watched while the load ran")] = None
    calibration: Annotated[Calibration | None, Doc(description="null without a self-test of this machine")]
    errors: list[Failure]
    failing: Annotated[Failing | None, Doc(description="null where failures did not become more at some time")] = None
    methodology: Methodology
    imported: Annotated[
        Imported | None, Doc(description="where it comes from, if another tool made the load; null of our own")
    ] = None
    phrases: Annotated[
        dict[str, Phrase], Doc(description="of each sentence above with values: its key and those, for other languages")
    ] = {}


def result_schema() -> dict[str, Any]:
    """JSON Schema of the Result."""
    schema = msgspec.json.schema(Result)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Loadcell result", **schema}

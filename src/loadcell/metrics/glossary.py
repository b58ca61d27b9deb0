"""Every metric, defined once. The console, the JSON and docs/metrics.md take their words from here."""

from __future__ import annotations

from typing import Literal

import msgspec

from loadcell.apis import AUDIO, IMAGES
from loadcell.spec import Spec

_ANCHORS = "Response time starts at the planned time (open loop only), service time at the actual send."
_RECORD = "recording: requests"
_EVENTS = "recording: chunks"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of one metric."""

    name: str
    title: str
    unit: str
    formula: str
    meaning: str
    blind: str
    """What it cannot see."""
    source: str
    """What it is computed from, and where the definition is from if it is not plain arithmetic."""
    latency: Literal["compared", "shown", "kept"] | None = None
    """Of a latency, where it appears: in comparisons, sweeps and charts too, in a run's table, or in what is saved."""


_METRICS = (
    Metric(
        name="ttft",
        title="TTFT",
        unit="ms",
        formula="first_any - anchor",
        meaning=f"Time to first token: until the first event with any output (text, reasoning, tool call). {_ANCHORS}",
        blind="Whether the first token is of use to a reader: reasoning counts (see TTFA). A role or an empty event "
        "does not count. A reply that is not streamed has none.",
        source=_RECORD,
        latency="compared",
    ),
    Metric(
        name="ttfa",
        title="TTFA",
        unit="ms",
        formula="first_answer - anchor",
        meaning=f"Time to first answer token: until the first event with visible content. {_ANCHORS}",
        blind="Reasoning that the server sends as content. A reply without visible content has none.",
        source=_RECORD,
        latency="shown",
    ),
    Metric(
        name="itl",
        title="ITL",
        unit="ms",
        formula="t[i] - t[i-1] of successive output events of one request; all gaps of all ok requests pooled",
        meaning="Inter-token latency by chunk: gaps between received chunks, not divided by the tokens in a chunk (see "
        "ITL by token). Gaps of "
        "one request share its pace and gaps of one moment share the server's step, so they are worth fewer "
        "independent ones, by how much the share of gaps beyond a percentile differs between requests and between "
        "batches of time. A stamp before the one it follows (clock noise) makes a gap of 0 and is counted.",
        blind="A chunk is not a token: where the server bundles tokens, gaps are longer and fewer than tokens. Long "
        "outputs weigh more. Events that one read brought share a stamp: their gap is 0 (see merged reads).",
        source=_EVENTS,
        latency="compared",
    ),
    Metric(
        name="tpot",
        title="TPOT",
        unit="ms",
        formula="(last - first_any) / (output tokens - tokens that came with the first)",
        meaning="Time per output token of one request after its first output. What came together with the first "
        "(one read, or gaps far below the reply's own) came at its time: as many tokens as the server tells, else "
        "their share; of a first event alone that is smaller than the others, 1. TTFT + TPOT x (output tokens - tokens "
        "that came with the first) = E2E, to the nanosecond. Where something collects the stream into bursts, TPOT "
        "runs to the last burst but one: the last is cut short.",
        blind="Stalls inside a request: it is a mean. A request without a token after its first output, or not "
        "streamed, has none. If the first event held more tokens than its size tells, TPOT reads low.",
        source=_RECORD,
        latency="compared",
    ),
    Metric(
        name="ntpot",
        title="NTPOT",
        unit="ms",
        formula="(last - anchor) / output tokens",
        meaning=f"Normalized time per output token: the whole latency per token, waiting included. {_ANCHORS}",
        blind="Where the time went: a long wait and a slow stream look alike. Short outputs read high.",
        source=f"{_RECORD}; Yu et al., Orca, OSDI 2022",
        latency="kept",
    ),
    Metric(
        name="e2e",
        title="E2E",
        unit="ms",
        formula="last - anchor",
        meaning=f"End-to-end latency: until the last event with output. {_ANCHORS} Of a reply that is not streamed, "
        "until the read that completed its body.",
        blind="What follows the output: finish reason, usage and the end of the stream. It grows with the output "
        "length.",
        source=_RECORD,
        latency="compared",
    ),
    Metric(
        name="first_audio",
        title="First audio",
        unit="ms",
        formula="first_audio - anchor",
        meaning="Where the API makes audio: until the first read, or the first event of a stream, that brought sound, "
        f"which begins after the header of a WAV. {_ANCHORS} Other tools call it TTFA or time to first packet; TTFA "
        "here is of text.",
        blind="How much sound that was, and whether a player could begin with it: the headers of MP3, Opus, AAC and "
        "FLAC are not told from their sound. Of a server that sends nothing before all is made it is nearly E2E.",
        source=_RECORD,
        latency="compared",
    ),
    Metric(
        name="rtf",
        title="RTF",
        unit="s/s",
        formula="(last - anchor) / audio, the seconds that the sound of the reply lasts",
        meaning="Real-time factor of one request: E2E for each second of audio. Below 1 the audio is made faster than "
        f"it is heard. {_ANCHORS}",
        blind="Pauses of the stream that a listener hears. Audio that does not tell how long it lasts (MP3, Opus, AAC, "
        "FLAC; raw PCM that was not asked for) has none. Raw PCM counts as 24,000 samples of 16 bits a second, one "
        "channel. A WAV whose header names no size lasts as long as the bytes that came.",
        source=_RECORD,
        latency="shown",
    ),
    Metric(
        name="user_tokens_per_s",
        title="User rate",
        unit="tokens/s",
        formula="1 / TPOT at each percentile of TPOT",
        meaning="Interactivity: the rate at which one user receives tokens after the first chunk. Percentiles are from "
        "the slow end: p99 is the rate that 99 % of the requests reach.",
        blind="The wait for the first token. It is not the mean of the users' rates.",
        source=_RECORD,
    ),
    Metric(
        name="requests_per_s",
        title="Requests",
        unit="requests/s",
        formula="sum over ok requests of |life inside the window| / life, over the window; life = end - send_start",
        meaning="Requests per second, each counted by the part of its life inside the window, so that answers that "
        "come in bursts have no edge: requests/s x mean life = mean in flight, over any window (Little's law). In a "
        "closed loop the window of rates is where all users are at work, from one TTFT after the ramp at the earliest "
        "to the end of sending; in an open loop too short for a warm-up to be found, from one E2E after its ramp to "
        "the end of sending, whole gaps apart, so that N requests have N - 1 gaps. Where a queue grows, may do so in "
        "so few requests, or requests were given up, those count that ended inside. The "
        "interval is Student's t over the means of 20 batches of time, wider where neighbouring batches are alike, "
        "and at least what the lives' own differences ask for; there is none below 40 requests.",
        blind="How a request's work is spread over its life. Failures: they are counted apart.",
        source=_RECORD,
    ),
    Metric(
        name="output_tokens_per_s",
        title="Output",
        unit="tokens/s",
        formula="output tokens received inside the window / window",
        meaning="Tokens by the stamp of the event that brought them; those of failed requests are told apart. Where an "
        "event does not tell its tokens, those of its request are spread evenly over its output events; those of a "
        "reply that is not streamed count at the read that completed it. The interval is Student's t over the means "
        "of 20 batches of time.",
        blind="Whether the tokens were of use, or in time (see goodput). Requests that never ended, or whose tokens "
        "nobody counted, add nothing.",
        source=f"{_EVENTS} and requests",
    ),
    Metric(
        name="inputs_per_s",
        title="Inputs",
        unit="inputs/s",
        formula="sum over ok requests of inputs x |life inside the window| / life, over the window",
        meaning="Where the API generates nothing: texts embedded, or documents ranked, per second, counted as "
        "requests/s counts requests. A reply that does not hold one result for each of them has failed.",
        blind="How long inputs are: see input tokens. Documents that were ranked and, by a limit on the results, not "
        "returned count too.",
        source=_RECORD,
    ),
    Metric(
        name="images_per_s",
        title="Images",
        unit="images/s",
        formula="sum over ok requests of images x |life inside the window| / life, over the window",
        meaning="Where the API makes images: those of the replies per second, counted as requests/s counts requests. "
        "A reply that does not hold as many as were asked for has failed.",
        blind="What is in them, and whether a URL leads to one.",
        source=_RECORD,
    ),
    Metric(
        name="audio_s_per_s",
        title="Audio",
        unit="s of audio/s",
        formula="sum over ok requests of audio x |life inside the window| / life, over the window",
        meaning="Where the API makes audio: seconds of sound made per second, counted as requests/s counts requests; "
        "so many listeners it keeps up with. How long sound lasts: see RTF.",
        blind="Where more than 1 % of the ok replies do not tell how long theirs lasts, there is no rate.",
        source=_RECORD,
    ),
    Metric(
        name="input_tokens_per_s",
        title="Input",
        unit="tokens/s",
        formula="sum over ok requests of prompt tokens x |life inside the window| / life, over the window",
        meaning="Prompts processed per second, counted as requests/s counts requests. Tokens by the server's usage, "
        "else as planned; the methodology counts both.",
        blind="Tokens that the server took from its cache: they count too. When in its life a prompt was processed.",
        source=_RECORD,
    ),
    Metric(
        name="input_images_per_s",
        title="Images in",
        unit="images/s",
        formula="sum over ok requests of images x |life inside the window| / life, over the window",
        meaning="Images of requests that were answered, per second, counted as requests/s counts requests.",
        blind="How large they are (megapixels a request stand beside it), and whether the server looked at them.",
        source=f"{_RECORD} and schedule",
    ),
    Metric(
        name="input_audio_s_per_s",
        title="Audio in",
        unit="s/s",
        formula="sum over ok requests of seconds of audio sent x |life inside the window| / life, over the window",
        meaning="Seconds of audio that requests carried, answered per second, counted as requests/s counts requests.",
        blind="Whether all of it was listened to. How long one request takes: see the real-time factor.",
        source=f"{_RECORD} and schedule",
    ),
    Metric(
        name="input_rtf",
        title="RTF in",
        unit="s/s",
        formula="(last - anchor) / seconds of audio sent",
        meaning=f"Real-time factor of audio sent: E2E of a transcription or translation over the length of its audio; "
        f"below 1 it is done sooner than it is heard. {_ANCHORS}",
        blind="Short clips read high: what a request costs apart from its audio is in it.",
        source=f"{_RECORD} and schedule",
    ),
    Metric(
        name="sessions_per_s",
        title="Sessions",
        unit="sessions/s",
        formula="whole sessions whose last token came inside the window / window",
        meaning="Sessions (chats, or tasks of agents) that were answered whole, per second. They count by their "
        "end, for of those that a load's end cuts short nobody knows the life; over any window of a load "
        "that has settled that is their rate. The window begins when nine of ten of the first sessions "
        "had ended. The interval is Student's t over the means of 20 batches of time; there is none below"
        " 40 sessions.",
        blind="A run that lasts less than three times as long as nine of ten sessions: the result says so. Sessions "
        "that failed or were given up: they are counted apart.",
        source=_RECORD,
    ),
    Metric(
        name="session_time",
        title="Session time",
        unit="ms",
        formula="last token of its last reply - anchor of its first request",
        meaning="Time of a session (a chat, or an agent's task), think time and tools included; of those that began "
        "in the window. One that failed, that its user gave up, or that the end of the load cut short, is known to "
        "take longer than it was seen: it counts so long (the product-limit estimate), as does one up to a turn whose "
        "client reads slowly. Without delays: less the think time and tools on its critical path.",
        blind="What a session that failed would have taken, if failures come sooner to those that take long.",
        source=f"{_RECORD}, schedule and waits; Kaplan and Meier 1958",
    ),
    Metric(
        name="critical_path",
        title="Critical path",
        unit="share",
        formula="from the last reply back, each time to the call that ended last of those that were waited for; of the "
        "summed time of whole sessions: in calls, in delays, and from when a call could be sent to its send",
        meaning="What a task's time is made of: only what lies on the path makes it shorter. All calls over those on "
        "the path tells how much is done side by side.",
        blind="Calls that would have been the next to hold it up. Sessions that are not whole.",
        source=f"{_RECORD}, schedule and waits",
    ),
    Metric(
        name="prefix_cache_hit_share",
        title="Prefix cache",
        unit="share",
        formula="intended: sum of shared_tokens / sum of prompt tokens, over the window's ok requests; reported: sum "
        "of cached_tokens / sum of prompt tokens of those (usage), or the gain of hits / that of queries (page)",
        meaning="shared_tokens of a request are those of its longest beginning that an earlier one of the plan had "
        "too: what a cache without bounds would have by then. Of llama.cpp's page, hits are the prompt tokens of the "
        "run less those that it read. The difference is reported less intended; the chat template's tokens in each "
        "prompt may lie in a cache or not, so it is 0 where they explain it.",
        blind="Where a cache is bounded, has blocks (vLLM: of 16 tokens), or is asked for what is still being read, it "
        "has less, and nothing tells which. What two texts share by chance: a word or two. The page's hits are of all "
        "that the server served meanwhile.",
        source=f"{_RECORD}, schedule and the server's pages",
    ),
    Metric(
        name="goodput",
        title="Goodput",
        unit="requests/s",
        formula="sum over the good requests, which kept to every limit, of |life inside the window| / life, over the "
        "window",
        meaning="Good requests per second, counted as requests/s counts them, so never more than these. Limits are on "
        "response time in an open loop, on service time in a closed one. A limit that a request cannot break is kept: "
        "TPOT where no token follows the first output.",
        blind="By how much a limit was missed, and stalls that a mean such as TPOT hides.",
        source=_RECORD,
    ),
    Metric(
        name="slo_attainment",
        title="SLO attainment",
        unit="share",
        formula="good requests / planned requests of the window",
        meaning="Failed, cancelled, lost and unsent requests are misses. The interval is Wilson's, at 95 %, of as many "
        "independent requests as these are worth: misses that come in runs widen it. A limit "
        "that ok replies do not show (TTFT of a reply that is not streamed) cannot be judged, and then neither can "
        "the whole. In a closed loop lost and unsent requests have no time: they count unless the window is chosen by "
        "hand.",
        blind="Dependence between requests that is too weak or too long for the sample to show it.",
        source=f"{_RECORD} and schedule; Wilson 1927",
    ),
    Metric(
        name="concurrency",
        title="Concurrency",
        unit="requests",
        formula="integral of requests in flight / time, from the end of the ramp and warm-up to the start of the drain",
        meaning="Time-weighted requests between send and end, of all that were sent, failed ones and those beyond the "
        "end too. The drain starts at the end of the duration asked for, or with the first reply after the last send.",
        blind="Requests that were lost with their worker, and what the server does with those in flight (queue or "
        "run).",
        source=_RECORD,
    ),
    Metric(
        name="send_lateness",
        title="Send lateness",
        unit="ms",
        formula="send_start - planned (open loop) or - ready (closed loop)",
        meaning="The load generator's own delay; negative is early. Response time contains it, service time does not.",
        blind="Its cause: in an open loop with a cap on concurrency it contains the wait for a free slot.",
        source=_RECORD,
    ),
    Metric(
        name="read_lag",
        title="Read lag",
        unit="ms",
        formula="user time of a read - the kernel's receive stamp, once a read",
        meaning="How late the client came to read. Stamps are corrected by it; a client without kernel stamps would "
        "add it to every latency. To one part in 65,536.",
        blind="Delay before the kernel's stamp: network card, interrupt, and all of it where there are no kernel "
        "stamps.",
        source=_EVENTS,
    ),
    Metric(
        name="merged",
        title="Merged reads",
        unit="share",
        formula="events that the same read brought as the event before / events",
        meaning="Merged events share one stamp. If the read was more than 1 ms late the client merged them, a defect "
        "of the run; else the server or the network did, a property of the system.",
        blind="Events that the server had already put into one.",
        source=_EVENTS,
    ),
    Metric(
        name="chunks_per_token",
        title="Chunks per token",
        unit="chunks/token",
        formula="output events / output tokens, over ok streamed requests of the window",
        meaning="1 where every token comes in an event of its own; below 1 the server bundles tokens, and ITL is not a "
        "time per token.",
        blind="How bundles are distributed within a request.",
        source=_RECORD,
    ),
    Metric(
        name="tokens_per_chunk",
        title="Tokens per chunk",
        unit="tokens",
        formula="tokens of each output event, over ok streamed requests of the window; mean: their output tokens / "
        "events",
        meaning="How many tokens come at a time: several where the server decodes speculatively or sends them "
        "together. Percentiles and the share of events with more than one are there where the tokens of 99 % of the "
        "events are known: the server tells them (running usage or timings, token ids), or its reply has as many "
        "events as tokens.",
        blind="Why they came together: a step that gave several, or a server that waits. Reasoning that is counted but "
        "not sent stands in the first event of its reply.",
        source=_EVENTS,
    ),
    Metric(
        name="itl_by_token",
        title="ITL by token",
        unit="ms",
        formula="(t[i] - t[i-1]) / k[i], k[i] times; k[i] = tokens of output event i; all of all ok requests pooled",
        meaning="Inter-token latency by token: each of the k tokens of an event has a k-th of the gap before it, so "
        "that its mean is time over tokens. There where events hold several tokens (fewer than 0.95 events a token "
        "after the first output); elsewhere ITL is it. An event that brings no token is part of the gap of the next, "
        "one that does not tell its tokens has the even share of its reply. To one part in 65,536.",
        blind="That a reader sees the tokens of an event at once: then nothing for the whole gap, which is ITL.",
        source=f"{_EVENTS}; SGLang's bench_serving divides so where it knows the accepted length",
    ),
    Metric(
        name="acceptance_rate",
        title="Acceptance rate",
        unit="share",
        formula="guessed tokens that held / guessed tokens",
        meaning="Of speculative decoding, by the server's word: its replies (vLLM with "
        "--per-request-spec-decode-metrics, SGLang's own API, llama.cpp) over the window's ok requests, its counters "
        "(vLLM, TensorRT-LLM) over all that it served from the page before the load to that after it, or its gauges "
        "(SGLang) as they were watched.",
        blind="What a guess costs. Counters hold what others sent meanwhile.",
        source="recording: requests and the server's pages; docs.vllm.ai, Speculative Decoding",
    ),
    Metric(
        name="acceptance_length",
        title="Acceptance length",
        unit="tokens",
        formula="1 + guessed tokens that held / steps that had a guess to verify",
        meaning="Tokens that a speculative step gives, the one that is not guessed included; sources as of the "
        "acceptance rate. Of TGI's counters every step is one, that of the prompt too; llama.cpp tells no steps.",
        blind="Steps without a guess: tokens per chunk has them. A server may send the tokens of a step apart, and "
        "count guesses that held beyond the end of a reply.",
        source="recording: requests and the server's pages; docs.vllm.ai, Speculative Decoding",
    ),
    Metric(
        name="cpu_us_per_token",
        title="CPU per token",
        unit="µs",
        formula="CPU time of all workers / output tokens of the whole run",
        meaning="What the load generator itself costs.",
        blind="The main process, and the kernel's work outside the workers' time.",
        source="recording: audits and requests",
    ),
)

GLOSSARY = {metric.name: metric for metric in _METRICS}
"""Metrics by name."""
FIELDS = {m.name: f"{m.name}_ms" if m.unit == "ms" else m.name for m in _METRICS if m.latency}
"""Latencies' fields of a Result, by name."""
LATENCIES = {FIELDS[metric.name]: metric for metric in _METRICS if metric.latency}
"""Latencies by their field of a Result, in the order in which they appear everywhere."""
SHOWN = tuple(name for name, metric in LATENCIES.items() if metric.latency != "kept")
COMPARED = tuple(name for name, metric in LATENCIES.items() if metric.latency == "compared")
_OF_AUDIO = ("first_audio_ms", "rtf")
OF_TEXT = tuple(name for name in LATENCIES if name not in _OF_AUDIO)
"""Latencies of APIs that generate text."""
_MADE = {AUDIO: "audio_s_per_s", IMAGES: "images_per_s"}


def latencies_of(spec: Spec) -> tuple[str, ...]:
    """Latencies that replies of a run's API can show: of those that are no text and come whole E2E alone."""
    if spec.workload.generates:
        return OF_TEXT
    return ("e2e_ms", *_OF_AUDIO) if spec.endpoint.api == AUDIO else ("e2e_ms",)


def interval_of(rate: str) -> str:
    """The field of a rate's interval."""
    return f"{rate.removesuffix('_per_s')}_interval"


def made_of(spec: Spec) -> str:
    """The rate of what a run's API makes, as its field of a Throughput."""
    return "output_tokens_per_s" if spec.workload.generates else _MADE.get(str(spec.endpoint.api), "inputs_per_s")

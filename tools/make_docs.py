"""Write the pages of docs/ that come from the code: python tools/make_docs.py"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import comparability
import vllm_bench_page

from loadcell.cli import foreign
from loadcell.compare import comparison_schema
from loadcell.metrics import GLOSSARY, Metric, repeats_schema, result_schema
from loadcell.metrics.checks import ALL_FINDINGS, ALL_LIMITS
from loadcell.metrics.checks_budget import FLOOR_MS
from loadcell.metrics.clusters import LEAST_ON_EITHER_SIDE, LEAST_REQUESTS
from loadcell.metrics.energy import LEAST_LOOKS
from loadcell.metrics.interval import INTERVAL_DEFINITION, PERCENTILE_DEFINITION, PERMILLE, floor_of, shown_from
from loadcell.metrics.limits import SYMPTOMS, Limits, number
from loadcell.metrics.observed import MOST_POINTS, NEARLY_FULL
from loadcell.metrics.overtime import EDGE, LONGEST, UNSEEN
from loadcell.metrics.peer_names import PEER_NAMES, PEERS
from loadcell.metrics.vocabulary import NAMES, QUANTITIES, Name
from loadcell.presets import CAVEATS, presets
from loadcell.recording.tables import ABOUT, TABLES
from loadcell.search import sweep_schema
from loadcell.spec import spec_schema

DOCS = Path(__file__).parent.parent / "docs"
_HEAD = """\
# Metrics

What each figure means, how it is computed and what it cannot see. Written by `tools/make_docs.py` from
`loadcell/metrics/glossary.py`; change it there.

## What counts

- **Requests.** planned = ok + failed + abandoned + cancelled + unsent, always, for the whole run and for the window.
  Requests that a worker had started when it died are failed, of the kind `lost`; abandoned ones were given up by their
  users, as planned. Only ok requests have latencies, abandoned ones a TTFT if their first output had come; both and
  failures stay in the denominators of goodput and SLO attainment.
- **Anchors.** Response time starts at the planned time, service time at the actual send. An open loop has both, and
  their gap is the queueing in front of the server. A closed loop has service time only. A request that waits for
  others (a turn of a session) has no planned time: in an open loop it is to be sent when the last of these has ended
  and its delay (think time, a tool) has passed, and its response time starts then.
- **Sessions.** Requests that wait for each other: turns of a chat, calls of a task. A turn that failed ends its
  session; the turns that waited for it were never due: the run counts them as unsent, no window and no share does,
  and the figures of sessions tell them by reason. Turns of one session depend on each other, far apart as they stand
  among those of others: intervals go by the sums over sessions as well, and by fewer than 30 sessions no sample is
  worth more than one each. A window starts when nine of ten of the first sessions had ended, for until then the later
  turns are still to come; a change of the server is looked for in each request against the median of its turn. In a
  closed loop a user who thinks is at work: its users are held against the sessions in progress.
- **Window.** From the end of the warm-up to the end of sending: the end of the duration asked for, else the last
  planned request (open loop) or the last send (closed). A request belongs to the window that its anchor lies in, and
  is followed to its end; rates count what comes inside. A run of fewer than 50 requests, or whose sending lasts less
  than two median E2E after the ramp, counts as a whole, to its last reply. `--window A,B` chooses another window. The
  figures of the whole run stand beside it.
- **Warm-up.** `--warmup` sets it. Else it is found by MSER-5 on the TPOT of the requests in the order of their sends
  (TTFT where there is no TPOT): of all cuts in the first half, the one that leaves the mean with the least error, on
  medians of five. It counts only if it moves the median by 5 % and lies beyond noise. With several users in a closed
  loop at least the ramp and one median E2E are left out.
- **Steady.** In an open loop, requests in the system (planned, not ended) are averaged over 40 batches of time after
  the first replies; growth is their change from first to last, its interval that of a random walk with drift. The
  queue grows if the interval lies above 0 and the growth over the window is at least 3 requests, a tenth of the mean
  and 2 % of the arrivals; then percentiles are shown with that word and without an interval, for they change with
  the length of the run. A closed loop is steady if 95 % of its users are in flight.
- **Change.** Twenty medians of TTFT and of TPOT, of the requests in the order of their sends, are looked at for a trend
  (Kendall's tau) and for a step (the self-normalised CUSUM of Shao and Zhang 2010). Both bounds allow for dependence up
  to a random walk; a change of less than 5 % is none. Requests that may have ended in the drain are left out. In runs
  with a known truth, a pace that goes from 5 to 8 ms evenly or at once is found in 19 of 20 or more, a step is dated
  within 0.5 s in 60; a queue at a load of 0.9, a batching server and users in step are called changing in at most 2 %.
- **Delivered.** Replies of 2 tokens or more say how a stream came in. Events that one read brought came together, and
  so did those less than a twentieth of their reply's mean gap (and 1 ms) apart: a burst. Where the client's look before
  a read does not bound its events to 0.25 ms (or that), it may have merged them itself, and they do not count. From
  1.5 events a burst on ITL is not measurable and TTFT holds the wait for the first burst: both are the path's. TPOT
  stands: it runs from the first burst to the last but one, over the tokens between. Where most replies came at once
  (one burst, or less than 0.1 ms an event), TPOT, the user's rate and a limit on TPOT are not measurable: see NTPOT.
- **In step.** Replies of one length keep the users of a closed loop together. Of each round (a mean E2E) the
  mean resultant length R of the sends is taken; from 0.9 on a note says so, for then few prefills meet.
- **Clock.** `kernel`: the kernel stamped what was received, on Linux. `user`: the client did, after it had read; or, of
  a Python callable, when a piece was with its consumer: no network is in it. Results of two clocks are not compared.
- **Imported.** Of another tool's rows latencies, intervals and rates are computed as of ours, over the same window;
  its own figures are those of its whole run. Without a schedule there are no response times, and members, windows and
  goodput go by the sends. Without times of events output tokens are spread evenly from first to last output, and there
  is no ITL. Without send times (each request has its own zero) there are figures of single requests alone, without
  intervals, for nobody knows how far they depend on each other: no rate, no concurrency, no window, no course, no
  steady state. What cannot be computed and the tool told stands there as `told`, by its own definitions, without an
  interval. No figure has a budget: nobody knows how wrong that client was.
- **Missing.** A figure that cannot be measured is null, never 0.

## Percentiles and intervals

- Percentile: {percentile}.
- Interval: {interval}. With B ~ Bin(n, p), the order statistics at ranks l and u cover the percentile with
  P(l <= B < u) (David and Nagaraja, *Order Statistics*, 3rd ed., 7.1). It is equal-tailed, then narrowed by single
  ranks, the least likely first, while it still covers 95 %. Where no sample lies high enough, its upper end is the
  maximum and the lower tail gets what is left of 5 %.
- Shown: a percentile from n >= 1 / (1 - p) samples on, whatever they are worth; below, it would be the maximum, which
  stands for itself. Whether it is shown never goes by an estimate: one of effective samples comes out high just where
  a run missed the slow spells, so that a floor on it shows the lucky runs.
- Open: where the samples, or the sample as a whole, are worth fewer than n = ln 0.05 / ln p independent ones, not even
  the maximum bounds the percentile with 95 %. Then the upper end is open (`22.6+` over `>= 20.8`; in JSON `high: null,
  open: true, needs: 299`), and the lower one is one-sided:

| percentile | shown from | upper end from, effective |
|---|---|---|
{floors}

- Effective samples ("worth"): latencies of successive requests depend on each other, most of all near saturation, so n
  of them are worth n / VIF independent ones. The variance inflation factor VIF is the largest of (1 + r) / (1 - r), r
  the correlation of successive requests in the order of their sends, and the variance of the means of batches over
  that of independent samples: of 20 batches, and, as far as r shows dependence to reach beyond their length, of 10 and
  of 5. What exceeds 1 is widened by the square of Student's t over the normal quantile, and half a standard deviation
  of what independent samples give is taken off. There is no test for dependence. For a percentile it is taken of the
  series that says which samples lie above it, for SLO attainment also of that of the tenth of the requests that came
  nearest to a limit. The ranks of an interval among so many samples are carried over to all n as proportions.
- Mean: normal with its own VIF, from 20 samples on; that of ITL by the sums over requests or batches, as below.
- With failures: percentiles of ok and failed requests together, the failed ones infinitely late.
- Effective gaps: gaps of one request share its pace, gaps of one moment share the server's step. The variance of the
  share of gaps beyond a percentile is therefore that of sums over requests, or that of sums over 20 batches of time,
  widened by (1 + r) / (1 - r) as for rates and by Student's t with 19 degrees of freedom, whichever is greater. Gaps
  are worth as many independent ones as give that variance (Woodruff 1952; Korn and Graubard 1998), at most their
  number, and no more than one a request below {requests} requests with gaps, or where fewer than {sides} requests
  have a gap beyond the percentile or fewer than {sides} have one before it. The ends of ITL's intervals are known to
  one part in 65,536.
- Bound: MLPerf's early-stopping estimate, a one-sided bound at 99 %: the t-th highest sample, t the most for which
  Bin(n, 1 - p) has a chance below 1 % of at most t. As in MLPerf every sample counts as independent, so it is no
  bound where few samples are effective. ITL has none.
- Rates: Student's t over the means of 20 batches of time, widened by (1 + r) / (1 - r), r the correlation of
  neighbouring batches corrected for its bias.

Simulated (`benchmarks/coverage.py`, table in `benchmarks/RESULTS.md`), closed intervals of percentiles cover 94 to 97
% of independent samples and of autoregressive ones with a correlation of 0.5 and 0.9; of an M/M/1 queue at 70 and 90
% load 88 to 95 % where most runs of that length close them. Where few do, those that do are the runs that saw no slow
spell: their upper end holds in 0 to 75 %, all intervals together in 85 % or more. The interval of a mean covers 63 to
90 % in such queues, for few runs see their longest spells.
Those of ITL (`tests/metrics/test_clusters.py`) cover 95 to 98
% where gaps are independent, 94 % or more where requests differ in their pace and where 8 or 64 streams share their
steps and stalls, and 93 % or more where the pace drifts with a correlation of 0.9 over 400 requests. Fewer are too
short a sample of such a drift: over 200 requests p99 covers 91 % or more, over 100 only 82 to 87 %.
What no sample shows none can
correct: a run that is short beside the length of its queue, or one that saw no stall of those that come each hour.
There, repeat the run.

## What other tools call them

A word in bold means another figure here. Two tools that agree on every stamp still differ by these: most of all by
rates over the whole run, in which ramp and drain count as load. A page shows the rates of the whole run by that
definition too, under "Rates as other tools count them".

| here | {peers} |
|---|{rules}|
{names}
"""


def metrics_page() -> str:
    """docs/metrics.md."""
    floors = "\n".join(
        f"| {name.replace('_', '.')} | {shown_from(permille):,} | {floor_of(permille):,} |"
        for name, permille in PERMILLE.items()
    )
    head = _HEAD.format(
        percentile=PERCENTILE_DEFINITION,
        interval=INTERVAL_DEFINITION,
        floors=floors,
        requests=LEAST_REQUESTS,
        sides=LEAST_ON_EITHER_SIDE,
        peers=" | ".join(PEERS),
        rules="|".join(["---"] * len(PEERS)),
        names="\n".join(f"| {ours} | {' | '.join(theirs)} |" for ours, theirs in PEER_NAMES.items()),
    )
    return "\n".join([head, *(_entry(metric) for metric in GLOSSARY.values())])


def _entry(metric: Metric) -> str:
    return (
        f"## {metric.title}\n\n`{metric.name}`, {metric.unit}: `{metric.formula}`\n\n{metric.meaning}\n\n"
        f"*Cannot see:* {metric.blind}\n\n*Source:* {metric.source}.\n"
    )


_VERDICT_HEAD = """\
# The verdict

Every result ends with one line: `VALID`, `SUSPECT` or `INVALID`, the worst of the checks below, with the reasons, the
figure, its limit and what to do next. Figures are always shown; what is doubtful about one stands beside it. Written by
`tools/make_docs.py` from the tables of `loadcell/metrics/limits.py` and of the modules of checks.

- **VALID**: the load was the one asked for, and what the instrument leaves open moves no figure that matters.
- **SUSPECT**: read the reasons before you quote a figure. `--strict` makes this exit code 3.
- **INVALID**: a figure is of the client or of a broken run, not of the server; exit code 4.

A figure that could not be measured is not judged, and the result names it. The limits are in the JSON of every result
(`verdict.checks`), each with its figure. Users in lockstep wait for each other: their concurrency is not judged; nor is
it where everything is sent at once (MLPerf's offline scenario). Where requests failed it is SUSPECT at most: failures
have limits of their own.

## The error budget of a figure

Every figure is computed three times: from the stamps, and with the earliest and the latest times that the recording
allows. That is arithmetic, not a model:

- A request was sent between the clock readings before and after the call that sent it: TTFT and E2E lie in
  [x - (send end - send start), x]. A response time begins at the planned time and holds what the client was late by:
  nothing is to be added.
- The kernel stamps each read with the time of the last thing it brought. Another event of the same read came after the
  last look at the sockets that did not show it, and after the event before it. Where the loop had gone to sleep, it
  came no earlier than the loop woke, less the time that it then waited for a core by the scheduler's own count. (A
  process that is stopped for less than 55 ms amid its sleep does not see that; a longer stop it does.)
- Without kernel stamps (macOS) an event came between that look and the clock reading after its read.
- A piece of a Python callable came before its stamp by no more than a thread that waits (or the asyncio loop) was late
  by in the looks around it, 100 a second. That is an estimate, not arithmetic: its own thread may have waited longer.
- Closed loop: the client's own time between a reply's end and the next send, over a user's cycle, is what every rate
  would be higher by.
- Percentiles are those of all the lowest and of all the highest values; a rate's edges likewise.

The budget stands beside each figure: `TTFT p50 20.10 ms (instrument -0.08 %...0)`, and in the JSON as `budget`
(`mean_budget`, `requests_budget`, ...) in the figure's own unit. The interval beside it is another thing: how much the
figure would differ in another run of the same length.

A figure is VALID where its budget is no wider than {valid}, or {floor} ms; SUSPECT up to {worst}; INVALID beyond. Of
gaps (ITL) the mean counts where that is more: in a burst most gaps are nothing. The run's word is the worst of mean,
p50, p90 and p99 of each latency that is shown, of the rates and of the SLO's attainment. The 99.9th percentile, the
maximum and the standard deviation are marked alone, `13.1 (instrument: -9 ms)`, and turn no word.

## Runs of other tools

An imported run is SUSPECT at best: nobody judged the client that measured it. One reason says so, with what its files
have no data to judge: how exact its times are, whether requests were sent in time, whether its machine kept up, its
connections, its counts of tokens, and, without send times, whether the load was steady. Beside it only those checks
are made that the rows allow, so nothing fires for want of data: failures and the accounts always; the stability of the
queue, a change under the load, a cold start, the drain and the concurrency where requests stand on one clock; arrivals
and lateness where the file has a schedule. They bring no advice, for flags of ours are not those of the tool. It is
INVALID where the recording is damaged, no request succeeded, or more than half of them failed. No figure of it has an
error budget.

## Symptoms

What the instrument noticed of itself and of its machine. They judge nothing: they explain a budget that is too wide,
with what to do about it, and are noted in the audit where they are beyond what is usual.

| symptom | looks at | usual up to |
|---|---|---|
{symptoms}

## The load and the server

| check | looks at | VALID up to | INVALID beyond |
|---|---|---|---|
{checks}

Without a figure:

{findings}
"""


def verdict_page() -> str:
    """docs/verdict.md."""
    checks = (
        f"| {name.replace('_', ' ')} | {entry.about} | {_bound(entry, entry.valid, entry.valid_part)} | "
        f"{'never' if entry.worst is None else _bound(entry, entry.worst, entry.worst_part)} |"
        for name, entry in ALL_LIMITS.items()
    )
    symptoms = (
        f"| {name.replace('_', ' ')} | {entry.about} | {_bound(entry, entry.valid, entry.valid_part)} |"
        for name, entry in SYMPTOMS.items()
    )
    findings = (f"- **{name.replace('_', ' ')}**: {text}." for name, text in ALL_FINDINGS.items())
    budget = ALL_LIMITS["budget"]
    assert budget.worst is not None
    return _VERDICT_HEAD.format(
        valid=number(budget.valid, "share"),
        worst=number(budget.worst, "share"),
        floor=FLOOR_MS,
        symptoms="\n".join(symptoms),
        checks="\n".join(checks),
        findings="\n".join(findings),
    )


def _bound(entry: Limits, value: float, part: float) -> str:
    text = number(value, entry.unit)
    if part and entry.of:
        text += f" or {part:.0%} of {entry.of.removesuffix('_ms').upper()} p50"
    return f"{text} at least" if entry.least else text


_SLO_HEAD = """\
# SLOs

A service level objective is a set of limits, and the share of requests that is to keep to all of them (the attainment).
`--slo` takes both kinds of limits, written out or by name. Written by `tools/make_docs.py` from `loadcell/presets.py`.

```
--slo ttft=500ms,tpot=30ms,e2e=10s     limits, written out; any of the three
--slo chat                             a preset
--slo chat,e2e=20s                     a preset, with a limit changed or added
--slo mlperf:llama2-70b/server@v5.1    a benchmark's limits in a round; without @ in its newest
--slo list                             the table below, in the terminal
```

- A request is good if it is ok and keeps to every limit at once. A failed, cancelled or unsent one is not good. Limits
  are on response time: in an open loop they start at the planned time. See Goodput in [metrics.md](metrics.md).
- `loadcell run` and `loadcell report` say which share of requests was good; `loadcell sweep` searches for the highest
  load that holds a share ([search.md](search.md)). The result shows the numbers, not the preset's name.
- A limit on single gaps (ITL, TBT: Sarathi-Serve, Mooncake) has no preset: TPOT is the mean gap of a request, and says
  less than a limit on every gap.
"""


def slo_page() -> str:
    """docs/slo.md."""
    rows = (
        f"| `{preset.name}` | {preset.says().replace(',', ', ')} | {preset.attainment:.0%} | {preset.about} | "
        f"{preset.source} |"
        for preset in presets()
    )
    head = ["| preset | limits | attainment | what for; rounds | source |", "|---|---|---|---|---|"]
    return "\n".join([_SLO_HEAD, "## Presets", "", *head, *rows, "", *(f"- {caveat}" for caveat in CAVEATS), ""])


_SERVER_HEAD = """\
# What is watched beside the load

While the load runs, `loadcell run` looks at the server's Prometheus page, at further pages (`--observe-url`: other
replicas, GPU exporters), at this machine's NVIDIA GPUs and at this machine itself, every 2 s (`--observe-every`; 0:
not at all). The looks are on the clock of the load and are kept in the recording whole. The result gives them in one
vocabulary, over the window (`observed` in its JSON). Written by `tools/make_docs.py` from
`loadcell/metrics/vocabulary.py`, which names its sources.

## How values are laid on time

- **Missing.** A look that failed is null in the series, never 0. Pages that were named (`--metrics-url`,
  `--observe-url`) are looked at all the time, there or not; the server's own /metrics if it answered before.
  Where several pages tell one quantity, their sum, mean or maximum is null while one of them is silent: nobody knows
  whether the replica is gone or only its page is. Engines, pods and models that come and go on a page that answers are
  added as they are. A GPU that vanishes from it is missing.
- **Mean.** Time-weighted: the integral of the lines between neighbouring looks. In gaps of more than {longest:g}
  intervals nothing is known; where more than {unseen:.0%} of the window is unknown, the mean is null. Least and
  greatest are those of the looks inside the window, and say nothing of what was between them.
- **Counters.** Their series is the gain a second between two looks. A counter that goes down or away started anew:
  what it gained then is null, with a note. One that appears on a page that was there before began at 0.
- **Gained** is the difference over the window. Of the two intervals that its edges cut, the part inside counts: it
  may be wrong by at most what was gained in these two, and is wrong by as much as the rate changed within them. It is
  null if more than {edge:.0%} of the window lies before the first look or after the last.
- **Points.** A series has at most {points} points in the result: of equal stretches the least and the greatest value,
  and one that is missing. Mean, least, greatest and gain are those of all looks.
- **A page is as old as its server makes it.** Servers refresh their gauges between steps, exporters when they are
  asked or on a clock of their own (dcgm-exporter: every 30 s unless told otherwise).

## Who counts

- Pages that show one server twice count once: their processes began at the same time, or all seconds that they
  counted are equal to the last digit. Servers whose pages tell neither are taken to be different ones.
- What stands in front of several engines (Dynamo's front end, the endpoint picker of llm-d) is never added to them:
  it counts only for what no engine tells. Watch all replicas or none of them, else a sum is of those that were
  watched.
- Data-parallel engines on one page are added up. Ranks of one engine that tell the same thing (SGLang's tp, pp and
  moe_ep ranks), and models of one Triton ensemble, count once.
- Where a page has an old and a new name for a quantity, the one that stands first below counts.
- A GPU that several sources tell of (by its UUID or serial number) counts once: NVML first, then DCGM, AMD and
  Triton.
- A page with none of these names is recorded all the same; the result says that nothing on it is known.

## Energy

Energy is what the energy counters of all GPUs gained in the window; of a GPU without one, the trapezoidal sum of its
power readings; what was not seen counts at the mean power of what was. Per output token and per request it is the
mean power over the tokens and requests a second of the same window. It is marked as no valid measurement, with the
reason, where

- a GPU told nothing, or 0 for all of the window; or their number is not `endpoint.gpus`, if that is given;
- fewer than {looks} readings lie inside the window, or none around one of its ends;
- power readings are more than {longest:g} intervals apart, or power is unknown for more than {unseen:.0%} of the
  window;
- all readings are the same, or most repeat the one before and change less often than {changes:g} times in the window.

Power of the moment between two readings is not seen; on NVIDIA's Ampere and later a power reading is the mean of the
last second. What else runs on a GPU is in its energy, and GPUs that idle are too: only who owns the machine can
exclude that. It is the energy of the GPUs alone: no CPU, memory, fans or losses of the power supply.

This machine's CPU counts against the client: above {full:.0%} a note says how often.

## Names

How values of several parts become one stands with the quantity. Shares go from 0 to 1.

| quantity | title | unit | kind | several |
|---|---|---|---|---|
"""


def server_page() -> str:
    """docs/server-metrics.md."""
    head = _SERVER_HEAD.format(
        longest=LONGEST, unseen=UNSEEN, edge=EDGE, points=MOST_POINTS, looks=LEAST_LOOKS, full=NEARLY_FULL,
        changes=1 / UNSEEN,
    )  # fmt: skip
    rows = [
        f"| `{name}` | {about.title} | {about.unit} | {about.kind} | {about.over} |"
        for name, about in QUANTITIES.items()
        if about.shown
    ]
    parts = [head + "\n".join(rows)]
    for engine in dict.fromkeys(name.engine for name in NAMES):
        names = [_name_row(name) for name in NAMES if name.engine == engine]
        parts.append("\n".join([f"### {engine}", "", "| on the page | here |", "|---|---|", *names]))
    return "\n\n".join(parts) + "\n"


def _name_row(name: Name) -> str:
    labels = ",".join(f'{key}="{value}"' for key, value in name.labels)
    scale = "" if name.scale == 1 else f", times {name.scale:g}"
    note = f"; {name.note}" if name.note else ""
    return f"| `{name.metric}{f'{{{labels}}}' if labels else ''}` | `{name.quantity}`{scale}{note} |"


_QUERY_HEAD = """\
# Questions in SQL

`loadcell query "select ..." [DIR ...]` asks recordings in DuckDB's SQL. DIR is a recording, a folder of repeats, a
sweep, or any folder that holds such (four levels deep); without one, the folders `recordings`, `sweeps`, `duels` and
`mlperf` where you are, and wherever else `--output` put recordings of yours (`$XDG_STATE_HOME/loadcell/recordings.list`
names them; those that are gone drop out). Written by `tools/make_docs.py` from `loadcell/recording/tables.py`.

```
loadcell query "select run, model, rate, state from runs"            an aligned table
loadcell query "from requests where status = 'failed'" runs/chat --json
loadcell query "select * from requests" runs/chat --parquet all.parquet
loadcell query --tables                                              the tables below, in the terminal
```

- **Output.** A terminal gets a table that fits it: long text is shortened, columns that do not fit are named, and no
  more than 1,000 rows are shown; what was cut is said on standard error. In a pipe or a file the table is as wide as it
  needs to be. `--csv` and `--json` (a list, an object a line) give every row as it comes, whatever their number;
  `--parquet FILE` writes them typed, and the file appears only when it is whole. NULL is empty in CSV.
- **Recordings of older versions** lack some columns: they are NULL there. Parts that are damaged are left out, and
  recordings of a newer format too, with a word on standard error.
- **Nothing is changed.** A query is one SELECT (with WITH, FROM first, DESCRIBE, SUMMARIZE or PIVOT). It cannot write,
  change settings, reach the network, or read files outside of the recordings that were named.
- **Ctrl-C** ends a query at once (exit code 130). What does not fit into memory goes to the temporary folder
  (`TMPDIR`).
- **What this is not.** Percentiles of a query have no intervals, and no verdict stands beside them. A recording may be
  INVALID and answer all the same: look at `loadcell report` before you quote a figure.
- `in_window` is exactly the window of the result without `--window`. To find it, all requests of the recordings that
  were named are read first, so it costs a second or so a million; queries that do not use it do not pay.
- Percentiles as the result has them are `quantile_disc(ttft_ms, 0.99)`: nearest rank, no interpolation.
- The same columns of requests, with the window of the result, are in the file of `loadcell report DIR --parquet`.

## Ten questions

What are these runs, oldest first?

```sql
select run, started_at, model, loop, rate, concurrency, state, lasted_s from runs order by started_at
```

How fast was each, over its window?

```sql
select run, count(*) as ok, quantile_disc(ttft_ms, 0.5) as ttft_p50, quantile_disc(ttft_ms, 0.99) as ttft_p99,
       quantile_disc(tpot_ms, 0.5) as tpot_p50, quantile_disc(e2e_ms, 0.99) as e2e_p99
from requests where in_window and status = 'ok' group by run order by run
```

What failed, how often, and what did the server say?

```sql
select run, error_kind, http_status, count(*) as n, any_value(error) as said
from requests where status = 'failed' group by all order by n desc
```

Which were the slowest requests, and were their prompts long?

```sql
select run, request, ttft_ms, e2e_ms, prompt_tokens, output_tokens, sent_s
from requests where status = 'ok' order by ttft_ms desc nulls last limit 20
```

Does TTFT grow with the prompt?

```sql
select run, tokens_from, count(*) as n, median(ttft_ms) as ttft_p50
from (select *, 256 * (coalesce(prompt_tokens, input_tokens) // 256) as tokens_from from requests)
where status = 'ok' group by all order by all
```

How did each second of the run go?

```sql
select run, floor(sent_s) as second, count(*) as sent, count(*) filter (status = 'failed') as failed,
       median(ttft_ms) as ttft_p50, max(ttft_ms) as ttft_max
from requests where sent_s is not null group by all order by all
```

Where are the longest gaps between two tokens?

```sql
select run, request, t_ns / 1e9 as at_s, gap_ms from (
  select run, request, t_ns, (t_ns - lag(t_ns) over (partition by run, request order by t_ns, read)) / 1e6 as gap_ms
  from chunks where output
) order by gap_ms desc nulls last limit 20
```

What did the server say of itself when the queue was longest?

```sql
select run, t_ns / 1e9 as at_s, name, value, source_name
from series where name ilike '%requests_waiting%' or name ilike '%deferred%'
order by value desc nulls last limit 20
```

How do the stages of a sweep compare?

```sql
select sweep, stage, coalesce(rate, r.concurrency) as load, quantile_disc(ttft_ms, 0.9) as ttft_p90,
       sum(q.output_tokens) filter (in_window) / nullif(max(lasted_s), 0) as tokens_per_s
from runs r join requests q using (run) where sweep is not null and status = 'ok'
group by all order by sweep, stage
```

Which settings differ between runs, and who planned the same requests?

```sql
select schedule_hash[:12] as schedule, list(run) as runs, any_value(spec->>'$.load.arrivals') as arrivals,
       any_value(spec->>'$.workload.input_tokens') as input_tokens
from runs group by 1 order by 2
```

## The tables

`run` names the run in every table: it is the folder of its recording, as it was named. Times in `_ns` are integer
nanoseconds since the start of the load, those in `_s` seconds. Latencies are defined in [metrics.md](metrics.md).

"""


def query_page() -> str:
    """docs/query.md."""
    return _QUERY_HEAD + "\n".join(_table_section(name) for name in TABLES)


def _table_section(name: str) -> str:
    rows = (f"| `{column.name}` | {column.sql.lower()} | {column.doc} |" for column in TABLES[name])
    return "\n".join([f"### {name}", "", f"{ABOUT[name].capitalize()}.", "", "| column | type | what it is |",
                      "|---|---|---|", *rows, ""])  # fmt: skip


_FLAGS_HEAD = """\
# Flags of other tools

`loadcell run`, `sweep`, `duel` and `mlperf` take the flags of `vllm bench serve`, SGLang's bench_serving, AIPerf and
GenAI-Perf, GuideLLM, LLMPerf, genai-bench, evalscope, wrk, hey, ab, k6 and locust where they mean exactly the same, and
say so. Others they refuse, with the flag that is meant and how it differs. Two that contradict each other are refused.
Written by `tools/make_docs.py` from `loadcell/cli/foreign.py`.

- `--host H --port P` are the URL; `-u` is users or the URL, by its value; `-c` users, or a file, which is refused.
- `--request-rate inf` is left out beside a number of users: without a rate the load is a closed loop.
- `--burstiness B` is `--arrivals gamma:CV` with CV = 1 / sqrt(B). `--backend`, `--endpoint` and `--endpoint-type` say
  the API; a word that means two, as `--backend sglang` (completions in vLLM's bench, the native API in SGLang's) or the
  path `/rerank`, is refused with both. `--temperature` and the like, `--extra-body` and `--extra-request-body` are
  fields of the body.
- Means and standard deviations of lengths are put together: `--isl 550 --isl-stddev 50` is `normal:550,50`.

| taken as | flags |
|---|---|
{taken}

Left out, because it is always so:

{always}

Refused:

| flags | what there is here |
|---|---|
{different}
"""


def flags_page() -> str:
    """docs/flags.md."""
    lengths = {ours: " ".join(words) for ours, words in foreign.LENGTHS.items()}
    taken = [
        f"| `{ours or 'URL'}` | {_flags(words)} |" for ours, words in (foreign.SAME | foreign.PLAIN | lengths).items()
    ]
    different = [f"| {_flags(words)} | {text} |" for text, words in foreign.DIFFERENT.items()]
    always = [f"- `{flag}`: {why}." for flag, (_, why) in foreign.ALWAYS.items()]
    return _FLAGS_HEAD.format(taken="\n".join(taken), different="\n".join(different), always="\n".join(always))


def _flags(words: str) -> str:
    return " ".join(f"`{word}`" for word in words.split())


def schemas() -> dict[str, Callable[[], str]]:
    """The published schemas, each in a file that is called by its noun and version."""
    made = (result_schema(), sweep_schema(), comparison_schema(), repeats_schema(), spec_schema())
    pages = {}
    for schema in made:
        *_, noun, version = schema["$id"].split(":")
        text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
        pages[f"schema/{noun}-{version}.json"] = lambda text=text: text
    return pages


PAGES = {
    "comparability.md": comparability.page,
    "flags.md": flags_page,
    "metrics.md": metrics_page,
    "verdict.md": verdict_page,
    "slo.md": slo_page,
    "server-metrics.md": server_page,
    "query.md": query_page,
    **schemas(),
    "vllm-bench.md": vllm_bench_page.page,
}

if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(page(), encoding="utf-8")

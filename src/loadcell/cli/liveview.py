"""What is shown of a running load, as text: a block of lines for a terminal, one line for a log file.

Pure functions of a `Progress`: a line is a list of parts, each with the rich style that it is drawn in.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from loadcell.grammar import one
from loadcell.load import Progress
from loadcell.load.progress import Figures, Making

Part = tuple[str, str]
"""Text and its style."""
Line = list[Part]

STAGES = {
    "check": "asking the endpoint",
    "prepare": "making the schedule",
    "start": "connecting",
    "finish": "writing the recording",
}
LOG_COLUMNS = 100
_NARROW = 60
"""With fewer columns there is no room for labels beside the figures, nor for what can be done without."""
_LABEL = 11
_BAR_LEAST, _BAR_MOST = 8, 30
_SILENT_TIMES = 3
"""A request that waits so many times as long as the p99 of TTFT waits too long."""
_BEHIND_S = 0.05
"""Sends are said to be behind their plan when more than the plan of so long waits."""


def block(now: Progress, head: Sequence[str], width: int) -> list[Line]:
    """The load in a few lines, none wider than `width` less one: the last column may make a terminal wrap."""
    room, narrow = max(width, 20) - 1, width < _NARROW
    lines = [_first(now, head, room)] if not narrow else _flow("", [*_plain(head), *_plain(_course(now))], room)
    lines += _flow("requests", _requests(now), room)
    lines += _flow("failing", [(text, "red") for text in _failing(now)], room) if now.failing else []
    if now.recent is not None:
        lines += _flow(f"last {_count_s(now.recent.span_s)} s", _latency(now, now.recent), room)
    if not narrow and now.whole is not None and now.recent is not None and now.whole.span_s > now.recent.span_s + 1:
        lines += _flow("so far", _latency(now, now.whole), room)
    return lines + _flow("audit", _audit(now), room)


def log_line(now: Progress, head: Sequence[str] = (), width: int = LOG_COLUMNS) -> str:
    """One line of ASCII, at most `width` columns; of what there is no room for, the least is left out first."""
    if now.stage != "load":
        waits = f"waiting {now.elapsed_s:.0f} of {now.duration_s or 0:.0f} s: {now.says}"
        made = [] if now.making is None else [_making(now.making)]
        text = _ascii(", ".join([*head, waits if now.says else f"{STAGES[now.stage]} ...", *made]))
        return text if len(text) <= width else f"{text[: width - 4].rstrip()} ..."
    of_late = now.recent or Figures(now.elapsed_s)
    audits = sorted((style, text) for text, style in _audit(now) if style)  # what is red comes before what is yellow
    trouble = [*((style, text) for text, style in _waiting(now) if style), *audits]
    counts = f"{_clock(now.elapsed_s)}, {now.ok} ok, {now.failed} failed"
    counts += f", {now.abandoned} abandoned" if now.abandoned else ""
    fails = ": ".join(_failing(now)).replace(",", "")
    # What there is room for is taken in the order of the numbers.
    parts = [
        *((1 if place < 2 else 9, words) for place, words in enumerate(head)),
        (0, counts),
        (1, _cut(fails, max(width - len(", ".join((*head[:2], counts))) - 4, 8)).replace("…", "...")),
        (3, _pace(now, "/", "/s").replace(",", "")),
        (2, _latency_words(now, of_late)),
        (5, "" if of_late.tokens_per_s is None or not now.generates else f"{of_late.tokens_per_s:.0f} tok/s"),
        *((2, words.removeprefix("longest ").removeprefix("client ")) for _, words in trouble[:1]),
        (7, "" if trouble or now.failing or now.on_time_share is None else "audit ok"),
        (6, _left(now).replace(",", "")),
    ]
    kept: set[int] = set()
    for _, place in sorted((rank, place) for place, (rank, text) in enumerate(parts) if text):
        if len(", ".join(parts[i][1] for i in {*kept, place})) <= width:
            kept.add(place)
    return _ascii(", ".join(parts[i][1] for i in sorted(kept)))[:width]


def _making(now: Making) -> str:
    """How many requests are made, how large they are, and how long the rest takes: "120 of 400 (23 MB), 5 s left"."""
    left = "" if now.left_s is None else f", {now.left_s:.0f} s left"
    return f"{now.rows:,} of {now.of:,} requests ({now.bytes / 1e6:,.0f} MB){left}"


# --- the parts -------------------------------------------------------------------------------------------------------


def _first(now: Progress, head: Sequence[str], room: int) -> Line:
    """Where the run is: what stands before it, its clock, and a bar in what is left of the line."""
    share = _share(now)
    parts = [*head, *_course(now)]
    if share is not None:
        parts.insert(len(head) + 1, f"{share * 100:.0f} %")
    text = _cut(" · ".join(parts), room)
    bar = min(room - _cells(text) - 2, _BAR_MOST)
    if share is None or bar < _BAR_LEAST:
        return [(text, "bold")]
    full = int(share * bar)
    return [(text, "bold"), ("  ", ""), ("━" * full, "green"), ("─" * (bar - full), "dim")]


def _course(now: Progress) -> list[str]:
    """The time, and what is left."""
    whole = now.duration_s or now.sends_end_s
    clock = f"{_clock(now.elapsed_s)} of {_clock(whole)}" if whole else _clock(now.elapsed_s)
    left = _left(now)
    return [clock, left] if left else [clock]


def _requests(now: Progress) -> list[Part]:
    ended = f"{now.ok:,} of {now.planned:,} ok" if now.planned is not None and now.due is None else f"{now.ok:,} ok"
    pace, recent = _pace(now), now.recent
    behind = 0 if now.due is None else now.due - now.issued
    late = recent is not None and behind > max(1, (recent.due_per_s or 0) * _BEHIND_S)
    return [
        (ended, ""),
        (f"{now.failed:,} failed", "red" if now.failed else "dim"),
        *([(f"{now.abandoned:,} abandoned", "dim")] if now.abandoned else []),
        *([(f"{now.in_flight:,} in flight", "")] if now.due is not None or now.users is None else []),
        *([(pace, "")] if pace else []),
        *([(f"{behind:,} wait to be sent", "yellow")] if late else []),
        *_waiting(now),
    ]


def _failing(now: Progress) -> list[str]:
    """How many requests fail and since when, and why."""
    found = now.failing
    if found is None:
        return []
    every = found.failed == found.ended
    what = "every request fails" if every else f"{_percent(found.failed / found.ended)} of requests fail"
    return [what if found.since_s is None else f"{what} since {_clock(found.since_s)}", found.why]


def _waiting(now: Progress) -> list[Part]:
    """Requests of which nothing comes; yellow where they wait far longer than others did for their first output."""
    if not now.silent:
        return []
    usual_s = (now.whole.p99_ms or 0.0) / 1000 if now.whole is not None else 0.0
    who = "users" if now.users is not None else "requests"
    style = "yellow" if now.silent_s > _SILENT_TIMES * usual_s else ""
    return [(one(f"{now.silent:,} {who} wait since {now.silent_s:.0f} s"), style)]


def _latency(now: Progress, of: Figures) -> list[Part]:
    if not of.ended and (of.tokens_per_s is None or not now.generates):
        return [("no output came" if now.streamed else "no request ended", "dim")]
    timed = [(f"{_metric(now)} p50 {_ms(of.p50_ms)}", "bold"), (f"{_high(of)} {_ms(of.p99_ms)}", "bold")]
    return [
        *(timed if of.ended else []),
        *([(f"{_rate(of.tokens_per_s)} tokens/s", "bold")] if now.generates else []),
        (f"{_rate(of.ended_per_s)} requests/s", ""),
    ]


def _latency_words(now: Progress, of: Figures) -> str:
    """The latency in few words: "TTFT p50 212 p99 480 ms"."""
    low, high = _ms(of.p50_ms), _ms(of.p99_ms)
    if low.split()[1] == high.split()[1]:
        low = low.split()[0]
    return f"{_metric(now)} p50 {low} {_high(of)} {high}" if of.ended else ""


def _audit(now: Progress) -> list[Part]:
    """What the verdict will look at, as far as it is known by now; a style where it is beyond the limits."""
    busy = now.recent.busy_share if now.recent is not None else None
    off = None if now.on_time_share is None else 1 - now.on_time_share
    least = 1 / now.timed if now.timed else 0.0  # of few sends, as in `metrics.checks_symptoms`
    return [
        *(
            [(f"{now.beside} other load{'s' if now.beside > 1 else ''} on this machine", "yellow")]
            if now.beside
            else []
        ),
        *([] if off is None else [(f"on time {_percent(1 - off)}", _beyond("on_time", off, least))]),
        *(
            []
            if now.longest_stall_ms is None
            else [(f"longest stall {_ms(now.longest_stall_ms)}", _beyond("stall", now.longest_stall_ms))]
        ),
        *([] if busy is None else [(f"client busy {_percent(busy)}", _beyond("busy", busy))]),
    ] or [("nothing known yet", "")]


def _beyond(name: str, value: float, least: float = 0.0) -> str:
    """Yellow beyond what is usual."""
    from loadcell.metrics.limits import SYMPTOMS

    return "" if value <= max(SYMPTOMS[name].valid, least) else "yellow"


def _pace(now: Progress, of: str = " of ", per_s: str = " requests/s") -> str:
    """What is achieved against what is asked: sends in an open loop, users at work in a closed one."""
    if now.users is not None:
        return f"{now.in_flight:,}{of}{now.users:,} in flight"
    recent = now.recent
    if recent is None or recent.due_per_s is None or now.sent_all:
        return ""
    return f"sent {_rate(recent.sent_per_s)}{of}{_rate(recent.due_per_s)}{per_s}"


def _share(now: Progress) -> float | None:
    """How far the run is: by its time, or by the requests that ended, whichever ends it first."""
    shares = [now.elapsed_s / now.sends_end_s] if now.sends_end_s else []
    shares += [_ended(now) / now.planned] if now.planned else []
    return min(1.0, max(shares)) if shares else None


def _left(now: Progress) -> str:
    """How long it will take, or what is awaited."""
    if now.stopping:
        return "stopping"
    if now.sent_all and now.kept:
        return f"keeping the load on for {now.awaited:,} replies"
    if now.sent_all:
        return f"draining {now.in_flight:,}"
    left_s = [] if now.sends_end_s is None else [now.sends_end_s - now.elapsed_s]
    pace = now.recent.ended_per_s if now.recent is not None else None
    if now.due is None and now.planned is not None and pace:
        left_s.append((now.planned - _ended(now)) / pace)
    return _span(min(left_s)) if left_s else ""


def _ended(now: Progress) -> int:
    return now.ok + now.failed + now.cancelled + now.abandoned


# --- text ------------------------------------------------------------------------------------------------------------


def _metric(now: Progress) -> str:
    return "TTFT" if now.streamed else "E2E"


def _high(of: Figures) -> str:
    return "p99" if of.ended >= 100 else "max"


def _ms(value: float | None) -> str:
    """A time with three digits, in s from ten seconds on."""
    from loadcell.report.text import figure

    if value is not None and value >= 10_000:
        return f"{figure(value / 1000, 3, grouped=False)} s"
    return f"{figure(value, 3, grouped=False)} ms"


def _rate(value: float | None) -> str:
    from loadcell.report.text import figure

    return figure(value, 3)


def _percent(share: float) -> str:
    from loadcell.report.text import percent

    return percent(share)


def _span(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s left"
    minutes = round(seconds / 60)
    return f"{minutes} min left" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min left"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _count_s(seconds: float) -> int:
    return max(1, round(seconds))


def _plain(words: Sequence[str]) -> list[Part]:
    return [(word, "bold") for word in words]


def _flow(label: str, parts: Sequence[Part], room: int) -> list[Line]:
    """Parts with dots between them, on as many lines as they take: nothing is lost where columns are few."""
    indent = _LABEL if label and room >= _NARROW - 1 else 0
    start: Line = [(label.ljust(indent), "dim")] if indent else [(f"{label}: ", "dim")] if label else []
    lines, used, dot = [start], sum(_cells(text) for text, _ in start), False
    for text, style in parts:
        text = _cut(text, room - indent)
        if (dot or used > indent) and used + 3 * dot + _cells(text) > room:
            lines.append([(" " * indent, "")])
            used, dot = indent, False
        lines[-1] += [(" · ", "dim"), (text, style)] if dot else [(text, style)]
        used, dot = used + 3 * dot + _cells(text), True
    return lines


def _cells(text: str) -> int:
    """Columns that a text takes: wide characters take two, those that combine none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, room: int) -> str:
    """The text without what a terminal would obey, no wider than `room`."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if _cells(text) <= room:
        return text
    while _cells(text) > room - 1:
        text = text[:-1]
    return f"{text}…"


def _ascii(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)

"""What a watch tells after each round: a line, a webhook, a Prometheus page."""

from __future__ import annotations

import http.client
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from loadcell.errors import UsageError
from loadcell.secrets import bare_urls

if TYPE_CHECKING:
    from loadcell.compare.history import Shift
    from loadcell.metrics import Result

_WEBHOOK_S = 10.0
_WHY = 400
"""Characters of what a server or a system says of a failure."""
_LINE = ("ttft.p50", "ttft.p99", "tpot.p50", "e2e.p50", "output_tokens_per_s.mean", "failed.share")


class Event(NamedTuple):
    """What one round showed."""

    number: int
    at: str
    url: str
    result: Result | None
    changes: Sequence[Shift]
    why: str | None
    """Why it shows no figures."""
    was_down: bool = False
    """Whether the round before showed none."""
    interrupted: bool = False

    @property
    def judged(self) -> bool:
        """Whether its figures count."""
        from loadcell.metrics import word_of

        return self.why is None and self.result is not None and word_of(self.result) != "INVALID"

    @property
    def news(self) -> bool:
        """Whether anybody must be told: a change, the first round of an outage, the first after one."""
        return bool(self.changes) or self.was_down != (self.why is not None)


def tell(event: Event, page: Page | None, webhook: str | None, *, as_json: bool) -> None:
    """Print a round, show it on the page, and post what is news."""
    said = lines(event)
    told = summary(event, said)
    sys.stdout.write((msgspec.json.encode(told).decode() if as_json else "\n".join(said)) + "\n")
    sys.stdout.flush()
    if page is not None:
        page.show(event)
    if webhook is not None and event.news and (trouble := post(webhook, told)) is not None:
        sys.stderr.write(f"loadcell: the webhook was not told: {trouble}\n")


def lines(event: Event) -> list[str]:
    """A line for the round, and one for each change."""
    from loadcell.metrics import word_of
    from loadcell.report.text import plain

    head = f"{datetime.fromisoformat(event.at).astimezone():%m-%d %H:%M:%S}  round {event.number}"
    if event.why is not None or event.result is None:
        return [f"{head}  FAILED  {plain(event.why or 'interrupted', _WHY)}"]
    values = _values(event.result)
    shown = [_figure_says(key, values[key]) for key in _LINE if key in values]
    word, reasons = word_of(event.result), event.result.verdict.reasons
    line = "  ".join([head, word, *shown, *([f"({reasons[0]})"] if word == "INVALID" and reasons else [])])
    return [line, *(f"  {change_says(each)}" for each in event.changes)]


def change_says(change: Shift) -> str:
    """A change in one sentence."""
    measure = change.measure
    unit = "" if measure.unit == "share" else f" {measure.unit}"
    size = f"{100 * (change.after / change.before - 1):+.1f} %, " if measure.relative and change.before else ""
    way = "worse" if change.worse else "better"
    return (
        f"CHANGED {measure.title}: {change.before:.4g} -> {change.after:.4g}{unit} ({size}{way}) "
        f"since round {change.since}, clear at round {change.seen}"
    )


def summary(event: Event, said: Sequence[str]) -> dict[str, Any]:
    """The same for programs; `text` is what a chat shows of it: `said`, the lines for people."""
    from loadcell.metrics import word_of

    told: dict[str, Any] = {
        "text": "\n".join([f"{bare_urls(event.url)}: {line.strip()}" for line in said]),
        "round": event.number, "at": event.at, "url": bare_urls(event.url), "error": event.why,
        "verdict": None if event.result is None or event.why is not None else word_of(event.result),
        "recording": None if event.result is None else event.result.run.id,
        "changes": [
            {"figure": each.measure.key, "unit": each.measure.unit, "before": each.before, "after": each.after,
             "worse": each.worse, "since": each.since, "seen": each.seen}
            for each in event.changes
        ],
    }  # fmt: skip
    return told


def check_webhook(url: str | None) -> None:
    """UsageError where a webhook cannot be posted to."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:  # a port that is none
        good = False
    if not good or " " in url:
        raise UsageError(f"--webhook {bare_urls(url)!r} is no http or https URL")
    if "@" in parts.netloc:
        raise UsageError(f"--webhook {bare_urls(url)}: a user and a password in it are not sent; name one without")


def post(url: str, told: dict[str, Any], limit_s: float = _WEBHOOK_S) -> str | None:
    """Post a JSON; why it was not taken, or None. However slow its server or its name's, it takes no longer."""
    said: list[str | None] = []
    sender = threading.Thread(target=lambda: said.append(_posted(url, told, limit_s)), name="webhook", daemon=True)
    sender.start()
    sender.join(limit_s)
    return said[0] if said else f"no answer in {limit_s:g} s"


def _posted(url: str, told: dict[str, Any], limit_s: float) -> str | None:
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data=msgspec.json.encode(told), headers=head)
    try:
        with urllib.request.urlopen(request, timeout=limit_s):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.reason}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(error.reason if isinstance(error, urllib.error.URLError) else error) or type(error).__name__


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who leaves before the answer is no trouble of ours."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Page:
    """A Prometheus page of the last round, in a thread of its own while the block lasts."""

    def __init__(self, host: str, port: int) -> None:
        """UsageError where it cannot listen there."""
        page = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                found = self.path.partition("?")[0] == "/metrics"
                body = page.text.encode() if found else b"see /metrics\n"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        try:
            self._server = _Server((host, port), Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"--port {port}: cannot listen on {host}: {why}") from None
        self.url = f"http://{host}:{self._server.server_port}/metrics"
        self._counts = {"rounds": 0, "failed_rounds": 0, "changes": 0}
        self.text = ""

    def __enter__(self) -> Page:
        threading.Thread(target=self._server.serve_forever, name="watch-page", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def show(self, event: Event) -> None:
        """Make the page that of this round."""
        counts = self._counts
        counts["rounds"] += 1
        counts["failed_rounds"] += event.why is not None
        counts["changes"] += len(event.changes)
        self.text = exposition(event, counts)


def exposition(event: Event, counts: dict[str, int]) -> str:
    """The Prometheus text format: counts since the watch began, and the figures of the last round that had some."""
    from loadcell.compare.measures import MEASURES

    made = [
        line
        for name, value in counts.items()
        for line in (f"# TYPE loadcell_watch_{name}_total counter", f"loadcell_watch_{name}_total {value}")
    ]
    stamp = datetime.fromisoformat(event.at).timestamp()
    up = int(event.why is None)
    made += ["# TYPE loadcell_watch_up gauge", f"loadcell_watch_up {up}"]
    made += ["# TYPE loadcell_watch_last_round_seconds gauge", f"loadcell_watch_last_round_seconds {stamp:.3f}"]
    if event.result is not None and up:
        made.append("# TYPE loadcell_watch_figure gauge")
        for key, value in _values(event.result).items():
            made.append(f'loadcell_watch_figure{{figure="{key}",unit="{MEASURES[key].unit}"}} {value!r}')
    return "\n".join(made) + "\n"


def _figure_says(key: str, value: float) -> str:
    """A figure with its title and unit."""
    from loadcell.compare.measures import MEASURES

    title, unit = MEASURES[key].title, MEASURES[key].unit
    if unit == "share":
        return f"{title}: {100 * value:.4g} %"
    return f"{title}: {value:.4g}" if title.lower().endswith(unit) else f"{title}: {value:.4g} {unit}"


def _values(result: Result) -> dict[str, float]:
    """Every figure that a run has, by the name that gates give it."""
    from loadcell.compare.figures import figures

    return {key: float(figure.value) for key, figure in figures(result, None).items() if figure.value is not None}

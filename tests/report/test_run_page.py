"""The page of a run: complete, self-contained, and deaf to what a server says."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from made import build, failed_request, ok_request
from made_detail import empty_detail, made_detail
from made_page import HOSTILE, hostile_result, made_result

from loadcell.metrics import Result, build_result
from loadcell.report import page as pages
from loadcell.report.render.page import clip, environment
from loadcell.report.run import run_page
from loadcell.report.view.figures import asked, between, estimated
from loadcell.report.view.method import typed_command
from loadcell.report.view.run import findings
from loadcell.report.words import words_for

EN, ES = words_for("en"), words_for("es")
VOID = {"meta", "link", "br", "img", "input", "hr", "path"}


class Html(HTMLParser):
    """The elements of a page, with the text of its scripts and all text that is shown."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.unclosed = False
        self.feed(page)
        self.close()
        self.unclosed |= bool(self._open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.unclosed |= tag not in VOID and (not self._open or self._open.pop() != tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif not self._open or self._open[-1] != "style":
            self.text.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return made_result(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def page(result: Result) -> Html:
    return Html(run_page(result, made_detail(), EN, source="runs/chat"))


def shown(page: Html) -> str:
    return " ".join(" ".join(page.text).split())


def check_closed(page: Html) -> None:
    """Nothing on it asks for anything, and no script runs but its own two."""
    assert not page.unclosed
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'")
    run = [text for kind, text in page.scripts if kind is None]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert len(run) == 2 and re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert [kind for kind, _ in page.scripts].count("application/json") == 1 and len(page.scripts) == 3
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert not page.attributes("src") and not page.attributes("action")
    assert all(link.startswith("#") for link in page.attributes("href"))
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed", "form", "link", "base", "img"}


def test_it_is_closed_and_small(page: Html, result: Result) -> None:
    check_closed(page)
    text = run_page(result, made_detail(), EN, source="runs/chat")
    assert len(text.encode()) < 3_000_000
    css = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert css and not any("url(" in part or "@import" in part for part in css)
    assert text == run_page(result, made_detail(), EN, source="runs/chat")  # a pure function


def test_links_lead_somewhere_and_headings_are_in_order(page: Html) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.attributes("href")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert next(attrs["lang"] for tag, attrs in page.tags if tag == "html") == "en"
    assert all(attrs.get("scope") for tag, attrs in page.tags if tag == "th")
    assert all(attrs.get("aria-label") for _, attrs in page.tags if attrs.get("role") in ("img", "region"))


def test_it_says_no_less_than_the_console(page: Html, result: Result) -> None:
    text = shown(page)
    for expected in (
        "SUSPECT", "http://localhost:8000", "chat, streamed", "open loop, 1 requests/s, poisson", "TTFT", "NTPOT",
        "response time", "service time", "sd", "Goodput", "≤ 400 ms", "400 planned = 390 ok + 10 failed",
        "Little's law", "nearest rank", "usage (390)", "http_500", "a note", "Running (requests)", "one look failed",
        "300 W", "from its counter", "loadcell run runs/chat", "loadcell report runs/chat", "timeout_s", "Read lag",
        "Time to first token", "Cannot see", result.run.id, result.methodology.fingerprint,
        "1,260 requests are drawn", "Worst stalls",
    ):  # fmt: skip
        assert expected in text, expected
    for check in result.verdict.checks:
        assert " ".join(check.says.split()) in text
        assert check.advice is None or check.advice in text


def test_every_chart_that_can_be_drawn_has_its_place(page: Html) -> None:
    states = {attrs["data-chart"]: attrs["data-state"] for _, attrs in page.tags if "data-chart" in attrs}
    assert list(states) == [
        "time-parts", "ladder", "ecdf", "timeline", "stalls", "server", "ttft-by-input", "itl-by-concurrency",
    ]  # fmt: skip
    assert set(states.values()) == {"waiting"}


def test_an_invalid_run_shows_what_went_wrong_and_its_figures(result: Result) -> None:
    bad = msgspec.structs.replace(result, invalid=["the disk was full"])
    page = Html(run_page(bad, made_detail(), EN))
    text = shown(page)
    check_closed(page)
    assert "INVALID" in text and "the disk was full" in text and "p50" in text and "Percentile ladder" in text


def test_what_spoils_a_run_is_told_once_and_first(result: Result) -> None:
    says = result.verdict.checks[0].says
    found = findings(msgspec.structs.replace(result, invalid=["the disk was full"]), EN)
    assert found[0].text == "the disk was full"
    assert len({one.text for one in found}) == len(found)
    spoilt = msgspec.structs.replace(result.verdict.checks[0], word="INVALID", says=f"{says} and more")
    verdict = msgspec.structs.replace(result.verdict, checks=[spoilt])
    assert len(findings(msgspec.structs.replace(result, invalid=[says], verdict=verdict), EN)) == 1


@pytest.mark.parametrize("state", ["interrupted", "broken", "running"])
def test_a_run_that_did_not_end_says_so(result: Result, state: str) -> None:
    cut = msgspec.structs.replace(result, run=msgspec.structs.replace(result.run, state=state))
    assert "its figures are of the part that" in shown(Html(run_page(cut, made_detail(), EN)))


def test_a_saved_result_has_its_tables_and_says_what_it_lacks(result: Result) -> None:
    page = Html(run_page(result, None, EN))
    text = shown(page)
    check_closed(page)
    assert "need the recording" in text and "sd" in text
    assert "loadcell run " not in text


def test_runs_of_which_little_is_known(tmp_path: Path) -> None:
    for number, rows in enumerate(([], [failed_request(0, "connect")], [ok_request(0)])):
        recording = build(tmp_path / str(number), rows, planned=2)
        check_closed(Html(run_page(build_result(recording), empty_detail(), EN)))


def test_without_the_scripts_that_draw_the_rest_remains(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadcell.report.render.page._vega", lambda: None)
    page = Html(run_page(result, made_detail(), EN))
    assert len([kind for kind, _ in page.scripts if kind is None]) == 1
    assert "lacks the scripts" in shown(page) and "sd" in shown(page)
    assert {attrs["data-state"] for _, attrs in page.tags if "data-state" in attrs} == {"missing"}


def test_nothing_hostile_leaves_its_place(result: Result) -> None:
    text = run_page(hostile_result(result), made_detail(missing=[HOSTILE], thinned=[HOSTILE]), EN, source=HOSTILE)
    page = Html(text)
    check_closed(page)
    assert "window.pwned" in shown(page)  # shown as words
    ours = re.sub(r"<script>.*?</script>", "", text, flags=re.S)  # Vega has tags in its own strings
    assert "<script>" not in ours and "<img" not in ours and "{{ 7*7 }}" in ours
    assert "\x1b" not in ours and "\u202e" not in re.sub(r"<script type=.*?</script>", "", ours, flags=re.S)
    assert len(text.encode()) < 3_000_000
    assert "characters in all" in shown(page)


def test_it_speaks_spanish(result: Result) -> None:
    page = Html(run_page(result, made_detail(), ES))
    assert next(attrs["lang"] for tag, attrs in page.tags if tag == "html") == "es"
    assert "Latencia" in shown(page) and "Latency" not in shown(page)


def test_foreign_words_are_clipped_and_the_cut_is_told() -> None:
    assert clip("fine", EN) == "fine"
    assert clip("a\x1b\nb\u202e", EN) == "a\N{REPLACEMENT CHARACTER} b\N{REPLACEMENT CHARACTER}"
    cut = clip("x" * 1_000_000, EN, 50)
    assert cut.startswith("x" * 50 + "… ") and "1,000,000" in cut
    assert clip("cut by the server…", EN) == "cut by the server…"
    assert "30 characters in all" in clip("y" * 30, EN, 20)


def test_figures_say_what_they_lack() -> None:
    from loadcell.metrics import Estimate

    assert (between(1.0, 2.0, EN), between(None, 2.0, EN), between(1.0, None, EN), between(None, None, EN)) == (
        "1.00\N{EN DASH}2.00", "≤ 2.00", "≥ 1.00", "",
    )  # fmt: skip
    assert estimated(Estimate(needs=2995), EN).under == "needs n = 2,995"
    assert estimated(Estimate(needs=100), EN, name="p99").under == "n<100"
    grows = estimated(Estimate(value=3.0, caveat="unstable"), EN)
    assert (grows.value, grows.under) == ("3.000", "queue grows")
    open_ = estimated(Estimate(value=22.6, low=20.8, open=True, needs=299), EN)
    assert (open_.value, open_.under) == ("22.60+", "≥ 20.8")
    digits = estimated(Estimate(value=265.17, low=265.13, high=265.21), EN)
    assert (digits.value, digits.under) == ("265.170", "265.130\N{EN DASH}265.210")
    assert not estimated(Estimate(needs=5), EN, n=0).known
    assert [asked(x, EN) for x in (10.0, 2.5, 4000.0, 0.25, 1e6, 12.0)] == [
        "10",
        "2.5",
        "4,000",
        "0.25",
        "1,000,000",
        "12",
    ]


def test_commands_are_quoted_and_hide_nothing() -> None:
    assert typed_command("loadcell", "run", "a b; rm -rf x") == "loadcell run 'a b; rm -rf x'"
    assert typed_command("loadcell", "run", "a\x1b[2J") is None
    assert typed_command("loadcell", "run", "a\u202eb") is None


def test_a_template_cannot_use_what_it_was_not_given() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        environment(Path(pages.__file__).parent / "templates").get_template("view.html").render(t=EN.say)

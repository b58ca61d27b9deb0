from __future__ import annotations

from collections.abc import Callable
from typing import Any

import made_sweep
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import failed_request, ok_request
from markdown_it import MarkdownIt
from markdown_it.token import Token

from loadcell.compare.model import Change, Comparison, Gate, Pair, Side
from loadcell.metrics import build_result
from loadcell.recording.read import Recording
from loadcell.report.compare import comparison_markdown
from loadcell.report.github import code, prose, table
from loadcell.report.run import run_markdown
from loadcell.report.sweep import sweep_markdown
from loadcell.report.words import words_for

Make = Callable[..., Recording]
EN, ES = words_for("en"), words_for("es")
HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> [click](http://evil.example) ![x](http://evil.example/i) "
    "| a | b |\n\n# heading\n- item\n@someone #12 GH-7 www.evil.example http://evil.example `code` ``more`` **bold** "
    "<!-- hidden --> </details> &amp; \x1b[31m ~~~ \\ $x$ 0123456789abcdef0123456789abcdef01234567"
)
OURS = {"details", "/details", "summary", "/summary", "br", "sub", "/sub"}


def parsed(text: str) -> list[Token]:
    """Every token of the document, those inside of lines too."""
    top = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    return [inner for token in top for inner in (token, *(token.children or []))]


def tags(tokens: list[Token]) -> list[str]:
    """Names of the HTML tags in the document."""
    html = "".join(t.content for t in tokens if t.type in ("html_block", "html_inline"))
    return [part.partition(">")[0].split()[0] for part in html.split("<")[1:]]


def assert_harmless(text: str) -> None:
    tokens = parsed(text)
    found = tags(tokens)
    assert set(found) <= OURS
    assert found.count("details") == found.count("/details")
    assert not {t.type for t in tokens} & {"link_open", "image", "s_open", "fence", "code_block", "hr"}
    for token in tokens:
        if token.type == "text":  # what GitHub would turn into a link, a mention or a reference
            for mark in ("://", "@someone", "#12", "GH-7", "www.evil", "0123456789abcdef"):
                assert mark not in token.content


def cells_of(text: str) -> set[int]:
    """Numbers of cells of the rows of all tables: one number for each table."""
    counts, tables = [], []
    for token in parsed(text):
        if token.type == "tr_open":
            counts.append(0)
        if token.type in ("td_open", "th_open"):
            counts[-1] += 1
        if token.type == "table_close":
            tables.append(set(counts))
            counts = []
    assert tables
    assert all(len(one) == 1 for one in tables)
    return {n for one in tables for n in one}


@given(
    st.text()
    | st.lists(st.sampled_from(["`", "|", "\\", "<b>", "[a](b)", "@x", "1.", "-", "#", " ", "*", "\n"])).map("".join)
)
def test_words_from_outside_stay_words(text: str) -> None:
    for shown in (prose(text), code(text)):
        document = f"- {shown}\n- next"
        tokens = parsed(document)
        assert not {t.type for t in tokens} & {
            "link_open",
            "image",
            "html_block",
            "html_inline",
            "em_open",
            "strong_open",
        }
        assert sum(t.type == "list_item_open" for t in tokens) == 2
        rows = table(["a", "b"], [[shown, "c"]])
        assert cells_of(rows) == {2}
        assert [t.content for t in parsed(rows) if t.type == "inline"][-1] == "c"


def test_the_words_can_still_be_read() -> None:
    text = "rate (95 %): 3 < 4 & *a* | `b` [c] 1. #2 @d \\ e_f"
    (paragraph,) = [t for t in parsed(prose(text)) if t.type == "inline"]
    assert "".join(t.content for t in paragraph.children or []).replace("\u200b", "") == text
    (paragraph,) = [t for t in parsed(code(text)) if t.type == "inline"]
    assert "".join(t.content for t in paragraph.children or []).replace("\\|", "|") == text


@pytest.mark.parametrize("words", [EN, ES])
def test_a_run_says_its_verdict_first_and_its_figures(make: Make, words: Any) -> None:
    rows = [ok_request(i, start_ms=100 * i) for i in range(400)]
    result = build_result(make(rows, slo={"ttft_ms": 400, "e2e_ms": 200.5}))
    text = run_markdown(result, words, source="runs/chat")
    head = text.partition("\n")[0]
    assert head.startswith("### ")
    assert words.say(result.verdict.word) in head
    assert "| TTFT p50 | **50" in text
    assert "≤ 400 ms" in text
    assert "loadcell run runs/chat" in text
    assert_harmless(text)
    assert cells_of(text) == {3, 8}
    assert "None" not in text
    assert "nan" not in text


def test_an_invalid_run_shows_its_figures_and_why(make: Make) -> None:
    result = build_result(make([ok_request(i) for i in range(50)], invalid=["the clock <b>jumped</b>"]))
    text = run_markdown(result, EN)
    assert text.startswith("### ❌ INVALID")
    assert "jumped" in text
    assert "TTFT p50" in text and "50.00" in text
    assert_harmless(text)


def test_nothing_of_a_hostile_server_becomes_markup(make: Make) -> None:
    rows = [ok_request(0), failed_request(1, HOSTILE), failed_request(2, "http", error=HOSTILE)]
    recording = make(rows, effective={"model": HOSTILE, "ramp_s": 0.0, "tokenizer": HOSTILE}, notes=[HOSTILE],
                     invalid=[HOSTILE], endpoint={"model": HOSTILE})  # fmt: skip
    text = run_markdown(build_result(recording), EN, source=HOSTILE)
    assert "alert(1)" in text
    assert "\x1b" not in text
    assert_harmless(text)
    cells_of(text)


@pytest.mark.parametrize("words", [EN, ES])
@pytest.mark.parametrize("make_one", [made_sweep.make_grid, made_sweep.make_search])
def test_a_sweep_has_a_row_a_stage(make_one: Callable[..., Any], words: Any) -> None:
    sweep = make_one(findings=[HOSTILE])
    text = sweep_markdown(sweep, words, source="sweeps/s")
    assert_harmless(text)
    tiles, stages = 4, len(sweep.stages)
    assert cells_of(text) == {3, 11 if sweep.found else 9}
    assert sum(t.type == "tr_open" for t in parsed(text)) == stages + 1 + tiles + 1


def test_a_search_tells_its_answer_before_its_stages() -> None:
    text = sweep_markdown(made_sweep.make_search(), EN)
    assert text.startswith("### ✅ VALID: between 41.2 and 43.0 requests/s the SLO breaks")
    assert text.index("| Holds up to | **41.2** requests/s | 99.4 %") < text.index("| # |")
    assert "TTFT ≤ 2,000 ms, TPOT ≤ 100 ms for 99 % of requests" in text


def test_stages_show_their_figures_and_what_they_are_worth() -> None:
    stages = [
        made_sweep.make_stage(1, 10, verdict="INVALID", reasons=["the client was late"]),
        made_sweep.make_stage(2, 20, verdict="SUSPECT", reasons=["3 of 9 were slow"]),
        made_sweep.make_stage(3, 30, verdict="SUSPECT", reasons=["4 of 9 were slow"], state="interrupted"),
    ]
    text = sweep_markdown(made_sweep.make_grid(stages=stages, planned=3), EN)
    row = next(line for line in text.splitlines() if line.startswith("| 1 |"))
    assert "n/a" not in row and "INVALID" in row
    assert "- ⚠️ SUSPECT stages 2, 3: stage 2: 3 of 9 were slow" in text
    assert "<sub>interrupted" in text


def made_comparison(**fields: Any) -> Comparison:
    def change(title: str, finding: str, **more: Any) -> Change:
        base: dict[str, Any] = {
            "metric": "ttft", "stat": "p99", "title": title, "unit": "ms", "a": 100.0, "b": 112.0, "difference": 12.0,
            "relative": 0.12, "low": 0.05, "high": 0.2, "p": 0.001, "p_holm": 0.01, "noise": None, "finding": finding,
            "says": "", "needs": None, "needs_what": "requests", "method": "m",
        }  # fmt: skip
        return Change(**base | more)

    changes = [
        change("TTFT p99", "worse"),
        change("Failed", "no difference shown", unit="share", a=0.01, b=0.005, difference=-0.005, relative=None),
        change("ITL p99", "too little data", a=None, relative=None, low=None, high=None, says=HOSTILE),
    ]
    side: dict[str, Any] = {
        "kind": "recording",
        "runs": ["r"],
        "verdict": "VALID",
        "requests": 1200,
        "fingerprint": "f",
    }
    base: dict[str, Any] = {
        "loadcell": "0", "min_effect": 0.05, "min_points": 0.01, "forced": False,
        "sides": [Side(name="A", path="runs/a|b", **side), Side(name="B", path=HOSTILE, **side)],
        "pairs": [Pair(name="B", comparable="comparable", forbids=[], care=[HOSTILE], notes=[], changes=changes)],
        "noise": None, "gates": [Gate(expression="ttft.p99>+5%", side="B", judged=True, fired=True, says=HOSTILE)],
    }  # fmt: skip
    return Comparison(**base | fields)


@pytest.mark.parametrize("words", [EN, ES])
def test_a_comparison_says_gates_first_then_what_differs(words: Any) -> None:
    text = comparison_markdown(made_comparison(), words)
    assert text.startswith(f"### ❌ {words.say('FAIL')}: ")
    assert text.index("ttft.p99>+5%") < text.index("TTFT p99")
    assert_harmless(text)
    assert cells_of(text) == {3, 6}


def test_changes_are_signed_and_in_their_unit() -> None:
    lines = comparison_markdown(made_comparison(), EN).splitlines()
    assert any("| TTFT p99, ms | 100.0 | 112.0 | +12.0 % | [+5.00, +20.0] | ❌ worse |" in line for line in lines)
    assert any("\N{MINUS SIGN}0.50 points" in line for line in lines)
    assert "**1** worse" in "\n".join(lines)


def test_what_may_not_be_compared_has_no_findings() -> None:
    pair = Pair(name="B", comparable="not comparable", forbids=["other models"], care=[], notes=[], changes=[])
    text = comparison_markdown(made_comparison(pairs=[pair], gates=[]), EN)
    assert text.startswith("### ❌")
    assert "other models" in text
    assert "No findings" in text


def test_the_same_result_gives_the_same_text(make: Make) -> None:
    recording = make([ok_request(i) for i in range(60)])
    first, second = (run_markdown(build_result(recording), EN) for _ in range(2))
    assert first == second


def test_a_result_that_was_saved_gives_the_same_text(make: Make) -> None:
    result = build_result(make([ok_request(i) for i in range(60)]))
    again = msgspec.json.decode(msgspec.json.encode(result), type=type(result))
    assert run_markdown(again, EN) == run_markdown(result, EN)

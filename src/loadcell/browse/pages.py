"""The pages that are served: the listing, the reports of what is in it, and words for what cannot be shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from markupsafe import Markup

from loadcell.browse.figures import Figures
from loadcell.browse.listing import DEEP, MOST, Entry, Listing
from loadcell.report.render.page import environment
from loadcell.report.text import plain
from loadcell.report.words import Words
from loadcell.search import Plan
from loadcell.search.model import load_figure

if TYPE_CHECKING:
    pass

_HERE = Path(__file__).parent
_MOST_LOAD = 1e12
_NONE = "\N{EN DASH}"


def listing_page(listing: Listing, known: Callable[[Entry], Figures | None], words: Words) -> str:
    """The listing, with the figures that are `known` already; its script asks for the others."""
    groups = [
        {"head": row(entry, known(entry), words), "inside": [row(one, known(one), words) for one in entry.inside]}
        for entry in listing.entries
    ]
    columns = titles(words)
    return _render(
        "listing.html", words, groups=groups, counted=_counted(listing, words), notes=_notes(listing, words),
        root=_shown(listing.root), titles=columns, short={name: title for name, title, _ in columns},
        script=Markup(page_script()),
    )  # fmt: skip


def page_script() -> str:
    """The script of the listing."""
    return _text("browse.js")


def titles(words: Words) -> list[tuple[str, str, str]]:
    """Columns of the listing: name, title, and what it means."""
    t, metric = words.say, words.metric
    return [
        ("when", t("When"), t("start of the load, in local time")),
        ("name", t("Recording"), t("folder below the one that is listed, and the model")),
        ("load", t("Load"), ""),
        ("requests", t("Requests"), t("ok and failed, of the whole run")),
        ("verdict", t("Verdict"), ""),
        ("ttft_p50", t("TTFT p50"), metric("ttft").meaning),
        ("ttft_p99", t("TTFT p99"), metric("ttft").meaning),
        ("tokens", t("Tokens/s"), metric("output_tokens_per_s").meaning),
        ("goodput", t("Goodput"), metric("goodput").meaning),
        ("state", t("State"), t("how the run ended")),
    ]


def row(entry: Entry, figures: Figures | None, words: Words) -> dict[str, Any]:
    """What the row of an entry shows; `cells` is None where its figures are yet to be computed."""
    manifest = entry.manifest
    folder, _, last = _shown_id(entry).rpartition("/")
    return {
        "id": entry.id,
        "kind": entry.kind,
        "href": None if entry.kind == "repeats" or entry.trouble else address(entry),
        "url": _of_first(entry, _url),
        "folder": f"{folder}/" if folder else "",
        "last": last,
        "model": _model(entry),
        "when": "" if entry.started is None else f"{entry.started:%Y-%m-%d %H:%M}",
        "iso": "" if entry.started is None else entry.started.isoformat(timespec="seconds"),
        "order": entry.order,
        "load": _load(entry, words),
        "lengths": _of_first(entry, lambda run: _lengths(run, words)),
        "load_value": _load_value(entry),
        "state": words.say("imported")
        if _imported(entry)
        else ""
        if manifest is None
        else _state(manifest.state, words),
        "whole": manifest is None or manifest.state == "complete",
        "count": _count(entry, words),
        "trouble": None if entry.trouble is None else plain(words.say(entry.trouble), 600),
        "cells": None if figures is None else cells(figures, words),
        "pick": entry.kind in ("run", "repeats") and entry.trouble is None,
    }


def cells(figures: Figures, words: Words) -> dict[str, dict[str, Any]]:
    """Figures as they stand in the columns of a row: text, value to sort by, what is said on hover."""
    t, figure = words.say, words.figure
    counts = figures.ok is not None and figures.failed is not None
    ok, failed = (f"{n or 0:,}" for n in (figures.ok, figures.failed))
    reasons = " · ".join(plain(t(reason), 300) for reason in figures.reasons[:4])
    rate = figures.output_tokens_per_s
    good = figures.goodput_per_s is not None
    found = {
        "requests": _cell(
            figures.ok,
            (words.say("{ok} ok, {failed} failed", ok=ok, failed=failed) if figures.failed else ok) if counts else "",
        ),
        "verdict": _cell(figures.word, figures.word or "", reasons),
        "ttft_p50": _cell(figures.ttft_p50_ms, _with_unit(words, figures.ttft_p50_ms, "ms")),
        "ttft_p99": _cell(figures.ttft_p99_ms, _with_unit(words, figures.ttft_p99_ms, "ms")),
        "tokens": _cell(
            rate,
            "" if rate is None else figure(rate),
            "" if figures.stage is None else t("the highest of its stages: stage {n}", n=str(figures.stage)),
        ),
        "goodput": _cell(
            figures.goodput_per_s,
            f"{figure(figures.goodput_per_s)}/s" if good else "",
            t("{share} of the requests kept to every limit", share=words.percent(figures.attainment)) if good else "",
        ),
    }
    said = figures.trouble or figures.says
    found["says"] = {"text": "" if said is None else plain(t(said), 600), "bad": figures.trouble is not None}
    return found


def address(entry: Entry, **more: str) -> str:
    """Where the page of an entry is."""
    page = entry.kind if entry.kind in ("sweep", "duel") else "run"
    return f"/{page}?{urlencode({'id': entry.id, **more}, quote_via=quote, safe='/')}"


def comparison_address(a: Entry, b: Entry, *, force: bool) -> str:
    """Where the comparison of two entries is."""
    more = {"force": "1"} if force else {}
    return f"/compare?{urlencode({'a': a.id, 'b': b.id, **more}, quote_via=quote, safe='/')}"


def trouble_page(words: Words, title: str, says: str, next_steps: list[tuple[str, str]] = []) -> str:
    """A page that says why there is no other; next steps are links: address and text."""
    return _render("trouble.html", words, title=title, says=plain(words.say(says), 2_000), steps=next_steps)


def with_bar(
    page: str, here: str, words: Words, links: list[tuple[str, str]], inside: list[tuple[str, str]] = []
) -> str:
    """A report with a line above it: back to the listing, where one is, `links`, and what is `inside` it."""
    bar = _render("bar.html", words, here=here, links=links, inside=inside)
    return page.replace("<body>", f"<body>\n{bar}", 1)


def name_of(entry: Entry) -> str:
    """The path of an entry as people read it."""
    return _shown_id(entry)


def _cell(value: float | str | None, text: str, title: str = "") -> dict[str, Any]:
    return {"text": text or _NONE, "value": "" if value is None else value, "title": title}


def _with_unit(words: Words, value: float | None, unit: str) -> str:
    return "" if value is None else f"{words.figure(value, 3)} {unit}"


def _load(entry: Entry, words: Words) -> str:
    """What load an entry is of, as in "10 requests/s"; empty where nothing tells it."""
    if entry.plan is not None:
        return _sweep_load(entry, entry.plan, words)
    if entry.kind in ("repeats", "duel"):
        return next((words_of for run in entry.inside if (words_of := _load(run, words))), "")
    rate, users = (_number(entry.section("load").get(name)) for name in ("rate", "concurrency"))
    if rate is not None and users is not None:
        return words.say("{n} requests/s, at most {users} in flight", n=_level(rate, words), users=_level(users, words))
    if rate is not None:
        return words.say("{n} requests/s", n=_level(rate, words))
    if users is not None:
        return words.say("1 user") if users == 1 else words.say("{n} users", n=_level(users, words))
    return ""


def _counted(listing: Listing, words: Words) -> str:
    """How many runs, stages and turns there are: a stage is no run of its own."""
    single, repeats, stages, turns = (
        sum(len(entry.inside) if entry.kind != "run" else 1 for entry in listing.entries if entry.kind == kind)
        for kind in ("run", "repeats", "sweep", "duel")
    )
    runs = single + repeats
    parts = [words.say("1 run") if runs == 1 else words.say("{n} runs", n=str(runs))]
    parts += [words.say("1 stage") if stages == 1 else words.say("{n} stages", n=str(stages))] if stages else []
    parts += [words.say("{n} turns", n=str(turns))] if turns else []
    return ", ".join(parts)


def _of_first(entry: Entry, told: Callable[[Entry], str]) -> str:
    """What a run tells, or the first inside that does."""
    return next((text for run in (entry, *entry.inside) if (text := told(run))), "")


def _imported(run: Entry) -> bool:
    """Whether another tool made the load: what its files do not tell is a default of ours in its spec."""
    return run.manifest is not None and bool(run.manifest.effective.get("imported_from"))


def _url(run: Entry) -> str:
    """Where the load went, as it was written down: without credentials."""
    if _imported(run):
        return plain(str((run.manifest.effective if run.manifest else {}).get("url") or ""), 120)
    return plain(str(run.section("endpoint").get("url") or ""), 120)


def _lengths(run: Entry, words: Words) -> str:
    """Prompt and output lengths, or the file of the prompts."""
    asked = {} if _imported(run) else run.section("workload")
    if prompts := asked.get("prompts"):
        return plain(str(prompts), 80)
    lengths = [plain(str(asked.get(f"{name}_tokens") or ""), 40) for name in ("input", "output")]
    return words.say("{input} in, {output} out", input=lengths[0], output=lengths[1]) if all(lengths) else ""


def _model(entry: Entry) -> str:
    """The model of a run, or of the first inside that tells it."""
    told = (run.manifest.effective.get("model") for run in (entry, *entry.inside) if run.manifest is not None)
    return plain(next((model for model in told if model), ""), 80)


def _state(state: str, words: Words) -> str:
    known = {
        "complete": words.say("complete"),
        "interrupted": words.say("interrupted"),
        "broken": words.say("broken off"),
        "running": words.say("not ended"),
    }
    return known.get(state) or plain(state, 40)


def _sweep_load(entry: Entry, plan: Plan, words: Words) -> str:
    """What a sweep varied, and how far it went."""
    kind = words.say("search") if plan.mode == "search" else words.say("grid")
    name = str(plan.axis).removeprefix("load.")
    levels = [level for stage in entry.inside if (level := _number(stage.section("load").get(name))) is not None]
    if not levels:
        return kind
    low, high = _level(min(levels), words), _level(max(levels), words)
    if name == "rate":
        return words.say("{kind}, {low} to {high} requests/s", kind=kind, low=low, high=high)
    return words.say("{kind}, {low} to {high} users", kind=kind, low=low, high=high)


def _load_value(entry: Entry) -> float | str:
    """To sort by: requests/s or users of a run, or of the first of repeats; "" where there is none."""
    runs = (entry, *(entry.inside if entry.kind == "repeats" else ()))
    load = next((load for run in runs if (load := run.section("load"))), {})
    found = (_number(load.get(name)) for name in ("rate", "concurrency"))
    return next((value for value in found if value is not None), "")


def _number(value: object) -> float | None:
    """A number of a spec that nobody checked; None if it is none that a load can be."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value < _MOST_LOAD else None


def _level(value: float, words: Words) -> str:
    return words.number(load_figure(value))


def _count(entry: Entry, words: Words) -> str:
    n = str(len(entry.inside))
    if entry.kind == "sweep":
        return words.say("1 stage") if n == "1" else words.say("{n} stages", n=n)
    if entry.kind == "duel":
        return words.say("{n} turns", n=n)
    return words.say("{n} repeats", n=n) if entry.kind == "repeats" else ""


def _notes(listing: Listing, words: Words) -> list[str]:
    t = words.say
    notes = {
        t(
            "Not everything is listed: at most {most} recordings in {deep} levels of folders. Serve a folder below.",
            most=f"{MOST:,}", deep=str(DEEP),
        ): listing.cut,
        t("Folders that cannot be read: {n}", n=str(listing.closed)): listing.closed,
        t("Links that are not followed: {n}", n=str(listing.links)): listing.links,
    }  # fmt: skip
    return [text for text, true in notes.items() if true]


def _shown(path: Path) -> str:
    return plain(str(path), 300)


def _shown_id(entry: Entry) -> str:
    return plain(unquote(entry.id, errors="replace"), 300) if entry.id != "." else plain(entry.path.name, 300)


def _render(template: str, words: Words, **values: Any) -> str:
    return environment(_HERE / "templates").get_template(template).render(
        t=words.say, lang=words.lang, css=Markup(_css()), **values
    )  # fmt: skip


@functools.cache
def _css() -> str:
    """The look of the reports, and what the listing has besides."""
    from loadcell.report import page

    return Path(page.__file__).with_name("page.css").read_text(encoding="utf-8") + _text("browse.css")


@functools.cache
def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")

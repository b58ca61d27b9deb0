"""The page of a sweep or a search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from loadcell.report.charts.stages import varied_fields
from loadcell.report.method import sections, setting, typed_command
from loadcell.report.page import sweep_stages as stages
from loadcell.report.page.sweep_answer import cards, lines, promise, verdict
from loadcell.report.render.html import render
from loadcell.report.sweep import finished
from loadcell.report.view.figures import count
from loadcell.report.view.run import workload_words
from loadcell.report.words import Words
from loadcell.search.model import Sweep

Rows = list[tuple[str, str]]


def sweep_page(sweep: Sweep, words: Words, *, source: str = "", pages: frozenset[str] = frozenset()) -> str:
    """One HTML file that tells a sweep or a search to a person who was not there.

    `source` names its folder in the commands that are shown; `pages` are the folders of stages that hold a page of
    their own, which the page leads to.
    """
    from loadcell.report.charts import sweep_charts

    spec = sweep.plan.spec
    commands = {stage.folder: typed_command("loadcell", "report", f"{source}/{stage.folder}") for stage in sweep.stages}
    return render(
        "sweep.html",
        words,
        sweep_charts(sweep, words),
        sweep=sweep,
        loadcell=sweep.loadcell,
        found=sweep.found,
        model=spec.endpoint.model,
        url=spec.endpoint.url,
        api=spec.endpoint.api,
        started=min((stage.started_at for stage in sweep.stages if stage.started_at), default=""),
        asked=list(_asked(sweep, words)),
        promise=promise(sweep.plan, words),
        verdict=verdict(sweep, words),
        cards=cards(sweep, words),
        lines=lines(sweep, words),
        rows=[stages.row(sweep, stage, words) for stage in sweep.stages],
        head=stages.head(sweep, words),
        marks=stages.legend(sweep, words),
        doubts=stages.doubts(sweep),
        named=lambda found: stages.named(found, words),
        pages=pages,
        commands=commands if source else {},
        show=typed_command("loadcell", "report", source) if source else None,
        resume=typed_command("loadcell", "sweep", source, "--resume") if source and not finished(sweep) else None,
        finished=finished(sweep),
        method=_method(sweep, words),
        spec=sections(spec, words),
    )


def _asked(sweep: Sweep, words: Words) -> Iterator[str]:
    """Workload and loads in words."""
    plan = sweep.plan
    varied = set(varied_fields(sweep))
    told = {name: words.say("varied") for name in ("input_tokens", "output_tokens") if f"workload.{name}" in varied}
    yield workload_words(msgspec.structs.replace(plan.spec.workload, **told), words)
    if plan.axis == "load.rate":
        yield words.say("open loop, {arrivals} arrivals", arrivals=plan.spec.load.arrivals)
    elif plan.axis == "load.concurrency":
        yield words.say("closed loop")
    took = stages.span(sweep.took_s, words)
    yield words.say("{n} stages in {time}", n=count(len(sweep.stages), words), time=took)


def _method(sweep: Sweep, words: Words) -> Rows:
    """How the sweep was done."""
    plan = sweep.plan
    search = plan.mode == "search"
    what = words.say("search for the highest load that holds the SLO") if search else words.say("grid of given loads")
    rows = [
        (words.say("Kind"), what),
        (words.say("Varied"), plan.axis or ", ".join(varied_fields(sweep)) or words.say("nothing")),
        (words.say("SLO"), promise(plan, words) or words.say("none")),
        (words.say("Length of a stage"), _length(sweep, words)),
    ]
    if search:
        low, high = (setting(end, words) for end in (plan.lowest, plan.highest))
        rows += [
            (words.say("Loads allowed"), words.say("{low} to {high}", low=low, high=high)),
            (words.say("Width asked for"), words.percent(plan.width)),
        ]
    elif sweep.planned is not None:
        rows.append((words.say("Stages planned"), count(sweep.planned, words)))
    return [
        *rows,
        (words.say("Seed"), str(plan.seed)),
        (words.say("Begun by"), f"loadcell {plan.loadcell}"),
        (words.say("Computed by"), f"loadcell {sweep.loadcell}"),
    ]


def _length(sweep: Sweep, words: Words) -> str:
    length: Any = sweep.plan.stage_s
    if length is None:
        return words.say("as long as the floor shows to be needed")
    shown = stages.span(length, words)
    return words.say("{time} at most", time=shown) if sweep.found is not None else shown

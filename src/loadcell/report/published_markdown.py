"""Published results as a Markdown table, for a document."""

from __future__ import annotations

from loadcell.published.model import Found, Ranked, Ranking, number, order_words, source_words, system_name, title
from loadcell.report.text import MISSING, figure, plain, sentence


def published_markdown(found: Found) -> str:
    """Tables with links, and the words that have to go with them."""
    blocks = [_table(ranking) for ranking in found.rankings]
    notes = [sentence(note) for note in found.notes]
    sources = [f"Source: {_cell(source_words(source))}." for source in found.sources]
    return "\n\n".join([*blocks, *notes, *sources, found.trademark]) + "\n"


def _table(ranking: Ranking) -> str:
    derived = any(one.per_accelerator for one in ranking.rows)
    head = [
        "#",
        ranking.unit,
        *(["per accelerator (derived)"] if derived else []),
        "accelerators",
        "submitter",
        "system",
    ]
    head += [*(["model run"] if ranking.division == "open" else []), "benchmark", "availability", "round", "entry"]
    rows = [head, ["---" if name in ("accelerators", "submitter", "system") else "---:" for name in head]]
    rows += [_line(ranking, one, derived) for one in ranking.rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    notes = "".join(f"\n\n{sentence(_cell(note))}" for note in ranking.notes)
    return f"**{title(ranking)}**\n\n{sentence(order_words(ranking))}\n\n" + "\n".join(lines) + notes


def _line(ranking: Ranking, one: Ranked, derived: bool) -> list[str]:
    row = one.row
    per = [MISSING if one.per_accelerator is None else figure(one.per_accelerator.value, 5)] if derived else []
    accelerators = f"{row.accelerators} x {row.accelerator}" if row.accelerators else f"none ({row.processor})"
    model = [row.model_run] if ranking.division == "open" else []
    cells = [str(one.rank), number(row.result), *per, accelerators, row.submitter, system_name(row), *model]
    cells += [", ".join(one.benchmarks), row.availability, row.round]
    return [*map(_cell, cells), f"[{_cell(row.entry or 'link')}]({row.link})"]


def _cell(text: str) -> str:
    return plain(text, 600).replace("|", "\\|")

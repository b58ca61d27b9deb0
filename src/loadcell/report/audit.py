"""An audit of many tools as a page in Markdown: the table, how it was made, and each recipe."""

from __future__ import annotations

from loadcell.audit.model import Audit
from loadcell.report.render.markdown import markdown
from loadcell.report.view.audit import audit_sections

_INTRO = """\
# The field, measured

What other tools report of a load whose truth is known, made by one command:

    {command}

Each tool is run as its recipe has it (`loadcell audit --list`) against the embedded engine, one after the
other. The engine has a core to itself, the tool has the others, as Loadcell has. Nothing here says which tool is better
at what it was made for; it says how far its figures are from what was so, which failures it takes for success, and what
it costs. [audit.md](audit.md) tells how this is measured, and what it cannot see.

The figures are of {date}, of the versions named, at this load, on this machine. Repeat it on yours.
"""


def audit_page(audit: Audit) -> str:
    """The page."""
    load = audit.load
    command = (
        f"loadcell audit --all --venvs DIR --install --load {load.name} --requests {load.requests} --write field.md"
    )
    intro = _INTRO.format(command=command, date=audit.measured_at[:10])
    recipes = ["## Commands", *(f"{tool.title} {tool.version or ''}:\n\n    {tool.command}" for tool in audit.tools)]
    return (
        "\n".join([intro, markdown(audit_sections(audit, whole=True)), "", *("\n" + text for text in recipes)]).rstrip()
        + "\n"
    )

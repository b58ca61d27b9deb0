"""Blocks as a page, with the scripts that draw its charts, and the policy that lets nothing else run.

A page is one file that asks nobody for anything. All that came from outside is escaped by the templates, or stands in a
JSON block that holds no "<".
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from markupsafe import Markup

from loadcell.metrics.glossary import GLOSSARY
from loadcell.report.charts.model import Chart
from loadcell.report.text import plain
from loadcell.report.view.blocks import Tone, View
from loadcell.report.view.figures import count
from loadcell.report.words import Words

if TYPE_CHECKING:
    import jinja2

_HERE = Path(__file__).parents[1] / "page"
CLASSES: dict[Tone, str] = {
    "": "none", "good": "valid", "care": "suspect", "open": "suspect", "bad": "invalid", "strong": "strong",
    "dim": "muted",
}  # fmt: skip
_CLIP = 800
"""Characters of a foreign string on a page."""
_TOO_LONG = 20_000
"""No more of a foreign string is looked at: a reply may have a megabyte."""


def page(view: View, order: Sequence[str], charts: Sequence[Chart], words: Words, *, draws: bool = True) -> str:
    """The parts of a View in this order, as one HTML file; `charts` are those that its blocks name.

    Without `draws` it lacks the scripts that draw them (0.9 MB).
    """
    made = _Page(words, charts, draws)
    template = environment(_HERE / "templates").get_template("view.html")
    return template.render(
        view=view,
        sections=view.sections(order),
        classes=CLASSES,
        lang=words.lang,
        t=words.say,
        clip=lambda text, limit=_CLIP: clip(text, words, limit),
        charts={chart.name: chart for chart in charts},
        term=made.term,
        use_terms=made.use,
        terms_used=made.definitions,
        data=made.data,
        css=Markup(_text("page.css")),
        **made.scripts(),
    ).lstrip()


def clip(text: object, words: Words, limit: int = _CLIP) -> str:
    """Foreign words on one line: no control characters or changes of direction, no endless reply; a cut is told."""
    whole = str(text)
    shown = plain(whole[:_TOO_LONG], _TOO_LONG)
    if len(shown) <= limit and len(whole) <= _TOO_LONG:
        return shown
    return f"{shown[:limit]}… {words.say('(cut: {n} characters in all)', n=count(len(whole), words))}"


class _Page:
    """What one page gathers while it is made: the terms that it uses, for its definitions."""

    def __init__(self, words: Words, charts: Sequence[Chart], draws: bool) -> None:
        self._words = words
        self._charts = charts
        self._terms: dict[str, None] = {}
        self._vega = _vega() if draws else None

    def use(self, names: Sequence[str]) -> str:
        """Have these terms defined on the page; those that the glossary does not know are left out."""
        self._terms |= dict.fromkeys(name for name in names if name in GLOSSARY)
        return ""

    def term(self, name: str, text: str | None = None) -> Markup | str:
        """A word with its definition on hover, focus or tap; without scripts it leads to the definition."""
        if name not in GLOSSARY:
            return text or name
        self.use([name])
        shown = text or self._words.metric(name).title
        return Markup('<a class="term" href="#term-{0}" data-term="{0}">{1}</a>').format(name, shown)

    def definitions(self) -> list[Any]:
        """The terms used so far, in the glossary's order."""
        return [self._words.metric(name) for name in GLOSSARY if name in self._terms]

    def scripts(self) -> dict[str, Any]:
        """The scripts of the page, and the policy that names them by their hashes."""
        own = _text("page.js")
        texts = [own] if self._vega is None else [own, self._vega]
        hashes = " ".join(f"'sha256-{_hash(text)}'" for text in texts)
        policy = (
            f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )
        vega = None if self._vega is None else Markup(self._vega)
        return {"policy": policy, "page_js": Markup(own), "vega_js": vega}

    def data(self) -> Markup:
        """What the scripts read: specifications, themes, definitions and words, as JSON without any "<"."""
        from loadcell.report.charts.theme import config

        say = self._words.say
        locale: Callable[[], Any] | None = getattr(self._words, "vega_locale", None)
        found = {
            "charts": {chart.name: chart.spec for chart in self._charts if chart.spec is not None},
            "themes": {"light": config(False), "dark": config(True)},
            "locale": locale() if locale else None,
            "terms": {
                metric.name: {"title": metric.title, "unit": say(metric.unit), "meaning": metric.meaning,
                              "formula": metric.formula, "blind": metric.blind}
                for metric in self.definitions()
            },
            "words": {
                "failed": say("This chart could not be drawn: {why}"),
                "formula": say("Formula"),
                "blind": say("Cannot see"),
                "copied": say("Copied"),
                "theme": {"auto": say("Theme: auto"), "light": say("Theme: light"), "dark": say("Theme: dark")},
            },
        }  # fmt: skip
        text = msgspec.json.encode(found).decode()
        return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e"))


@functools.cache
def environment(templates: Path) -> jinja2.Environment:
    """Templates of a folder: what is put in them is escaped, what is missing is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@functools.cache
def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@functools.cache
def _vega() -> str | None:
    """The scripts that draw, such that they can stand in a page; None where the installation lacks them."""
    path = _HERE / "vega.js"
    if not path.exists():
        return None
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script").replace("\r\n", "\n")


@functools.cache
def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

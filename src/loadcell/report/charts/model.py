"""A chart: a Vega-Lite specification with the words that stand round it."""

from __future__ import annotations

from typing import Any

import msgspec

Spec = dict[str, Any]
"""A Vega-Lite 6 specification as plain data. Strings of the server's go into its data, never into an expression."""

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
WIDTH = 640
"""Width of every view; a page puts that of its place there."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One chart, in one language, without colours of its own: those come from the theme."""

    name: str
    """Names its place on the page and its file: lower case and hyphens, as in ttft-by-input."""
    title: str
    says: str
    """What it shows and what to see in it, in a sentence or two; how it was thinned, if it was."""
    alt: str
    """For those who cannot see it: what a look at it would tell, with the figures that matter."""
    spec: Spec | None
    """None where there is nothing to draw; then `missing` says why."""
    missing: str | None = None
    terms: list[str] = []
    """Names in the glossary of what is drawn, for definitions on hover."""
    hint: str | None = None
    """How to use it where it can be used: on a page, not in print."""

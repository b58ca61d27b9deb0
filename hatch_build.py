"""Build hook: the wheel carries the scripts that draw charts in a page (Vega, Vega-Lite, Vega-Embed: BSD-3-Clause)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SCRIPTS = Path("src/loadcell/report/page/vega.js")


class Scripts(BuildHookInterface[Any]):
    """Writes them where they are missing; vl-convert-python brings them, so nothing is fetched."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        import vl_convert

        target = Path(self.root) / SCRIPTS
        if not target.exists():
            bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
            target.write_text(bundle, encoding="utf-8")
        build_data["artifacts"].append(f"/{SCRIPTS}")

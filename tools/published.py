"""Make the package data of published results: python tools/published.py [FOLDER]

FOLDER holds the summaries as MLCommons publishes them (`summary_results_v5.1.json`, plain or gzipped); by default that
is the copy which the tests keep. Cleaning is loadcell.published.clean; the same input gives the same bytes.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from loadcell.published.clean import clean_summary
from loadcell.published.store import encode

ROOT = Path(__file__).parent.parent
RAW = ROOT / "tests" / "published" / "data"
OUT = ROOT / "src" / "loadcell" / "published" / "data"
RETRIEVED = "2026-11-22"
SOURCES = {
    "v5.1": {
        "origin": "https://github.com/mlcommons/inference_results_v5.1 summary_results.json",
        "commit": "965182b03376a00fcae415c54e560e1c83937932",
        "licence": "no licence file in the repository; factual records, reproduced for citation",
    },
    "v6.0": {
        "origin": "https://github.com/mlcommons/inference_results_v6.0 summary_results.json, "
        "by the public fork gbeezybez/inference_results_v6.0",
        "commit": "ab33b2144a9f822f69d24f78569f993d195ee7e5",
        "licence": "Apache-2.0 (LICENSE.md of the repository)",
    },
}
"""The rounds that come with Loadcell, and where their summaries are from."""


def packaged_bytes(round: str, summary: bytes) -> bytes:
    """The file of one round, from its summary."""
    about = SOURCES[round]
    rows, source = clean_summary(
        summary,
        origin=about["origin"],
        name=f"MLCommons {round}",
        round=round,
        retrieved=RETRIEVED,
        commit=about["commit"],
        licence=about["licence"],
    )
    return encode(source, rows)


def summary_bytes(folder: Path, round: str) -> bytes:
    """The summary of one round in a folder, plain or gzipped."""
    plain = folder / f"summary_results_{round}.json"
    return plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_suffix(".json.gz").read_bytes())


def main() -> None:
    """Write one file a round."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RAW
    for round in SOURCES:
        data = packaged_bytes(round, summary_bytes(folder, round))
        (OUT / f"{round}.json.gz").write_bytes(data)
        sys.stdout.write(f"{round}: {len(data):,} bytes\n")


if __name__ == "__main__":
    main()

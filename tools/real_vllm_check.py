"""Every API that a real vLLM serves, by `loadcell run`, held against what vLLM itself counted and timed meanwhile.

python tools/real_vllm_check.py [FOLDER [PORT]]      (`make real-vllm-test`; some minutes on a CPU)

Serves SmolLM2-135M three times (tools/real_vllm.sh): as it generates, as it guesses ahead, and as it embeds. vLLM's
page, read by the run before and after its load, is the second witness: it counts requests and tokens, and times them by
its own clock from a request's arrival on. A client measures that and the way there and back. Prints a table; exits with
1 where the two differ by more.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

TOOLS = Path(__file__).parent
REQUESTS, USERS, INPUT, OUTPUT = 30, 2, 48, 24
"""So few requests that all of them are in the window."""
GENERATING = ("chat", "completions", "responses", "messages")
EMBEDDING = ("embeddings", "pooling", "score", "rerank")
GUESSING = ("chat",)
"""By n-grams that were there before, of prompts that repeat themselves."""
_GUESSES = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_min": 1, "prompt_lookup_max": 3}
_FLAGS = {
    GENERATING: ("--enable-prompt-tokens-details",),
    GUESSING: ("--speculative-config", json.dumps(_GUESSES), "--per-request-spec-decode-metrics", "summary"),
    EMBEDDING: ("--runner", "pooling", "--convert", "embed"),
}
_GROUPS = ("--system-tokens", "64", "--prefix-groups", "4", "--prefix-tokens", "256", "--prefix-zipf", "1")
_POINTS = 3.0
"""By which a hit share may be less, for vLLM finds whole blocks alone, or more, for it finds the template too."""
_PROMPTS = {"score": 2, "rerank": 2}
"""Of a request with one document, for a model that embeds; elsewhere 1."""
_GUESSED = {"draft_steps": "drafts", "draft_tokens": "draft_tokens", "accepted_tokens": "accepted_tokens"}
"""Columns of ours, of each reply, and vLLM's counters of the same."""
_START_S = 900
"""From nothing: the installation takes minutes."""
_WAY_MS, _SHARE = 25.0, 0.02
"""What the way there and back may add to a time of vLLM's, and the part of any by which the two clocks may differ."""
_STEPS = 1.25
"""By which E2E may be less where the model ended a reply itself: vLLM's has the step of the token that says so and is
no output (messages drops `ignore_eos`)."""
_CLOCK_MS = 1.0
"""By which a time may be less than vLLM's own: when its front end takes a request, and when its page rounds."""
_SAMPLE = re.compile(r"^(vllm:\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Line(NamedTuple):
    """One figure of both."""

    api: str
    figure: str
    ours: float | None
    theirs: float | None
    most: float
    """By which ours may be more; a count may not differ."""
    least: float = 0.0

    @property
    def good(self) -> bool:
        if self.ours is None or self.theirs is None:
            return False
        return -self.least <= self.ours - self.theirs <= self.most


def main() -> int:
    folder = sys.argv[1] if len(sys.argv) > 1 else ".real-vllm"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8000
    lines: list[Line] = []
    for apis, flags in _FLAGS.items():
        with served(folder, port, flags), tempfile.TemporaryDirectory() as place:
            for api in apis:
                lines += list(compared(api, f"http://127.0.0.1:{port}", Path(place) / api, apis))
            for state in ("cold", "warm") if apis is GENERATING else ():
                lines += list(shared(state, f"http://127.0.0.1:{port}", Path(place) / state))
    show(lines)
    return 0 if all(line.good for line in lines) else 1


@contextmanager
def served(folder: str, port: int, flags: tuple[str, ...]) -> Iterator[None]:
    """A real vLLM at the port, for as long as it is needed; SystemExit if it does not come up."""
    if healthy(port):
        raise SystemExit(f"something serves at port {port} already: name another, as in: make real-vllm-test PORT=8100")
    words = [str(TOOLS / "real_vllm.sh"), folder, str(port), *flags]
    with tempfile.TemporaryFile("w+") as log:
        env = os.environ | {"VLLM_SERVER_DEV_MODE": "1"}  # it has a call then that empties its cache
        server = subprocess.Popen(words, stdout=log, stderr=log, process_group=0, env=env)
        try:
            until = time.monotonic() + _START_S
            while not healthy(port):
                if server.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise SystemExit(f"vLLM did not come up:\n{log.read()[-4000:]}")
                time.sleep(1)
            yield
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def compared(api: str, url: str, folder: Path, apis: tuple[str, ...]) -> Iterator[Line]:
    """Run a load and hold its figures against what vLLM's page gained in it."""
    generates, guesses = apis is not EMBEDDING, apis is GUESSING
    sizes = ["--output-tokens", str(2 * OUTPUT if guesses else OUTPUT)] if generates else ["--inputs", "1"]
    prompts = ["--input-tokens", str(INPUT)]
    if guesses:
        prompts = ["--prompts", repeating(folder), "--set", 'endpoint.extra_body={"temperature": 0}']
    words = ["run", url, "--api", api, "--concurrency", str(USERS), "--requests", str(REQUESTS), *prompts, *sizes,
             "--no-keep-load", "--json", "--no-html", "--output", str(folder)]  # fmt: skip
    sys.stderr.write(f"loadcell {' '.join(words[:8])} ...\n")
    found = subprocess.run([sys.executable, "-m", "loadcell", *words], capture_output=True, text=True, check=False)
    if not (folder / "server-after.prom").exists():
        raise SystemExit(f"{api} was not measured:\n{found.stdout[-2000:]}{found.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(found.stdout)
    gained, ok, count = page_gains(folder), result["counts"]["run"]["ok"], _PROMPTS.get(api, 1)
    api = f"{api}, guessing" if guesses else api
    means = {name: one["service"]["mean"] for name, one in result["latency"].items()}
    yield Line(api, "requests that were answered", ok, REQUESTS, 0)
    yield Line(api, "prompts that vLLM finished", ok * count, gained.get("vllm:request_success_total"), 0)
    yield Line(api, "prompt tokens", total(folder, "prompt_tokens"), gained.get("vllm:prompt_tokens_total"), 0)
    for column, counter in _GUESSED.items() if guesses else ():
        theirs = gained.get(f"vllm:spec_decode_num_{counter}_total")
        yield Line(api, column.replace("_", " "), total(folder, column), theirs, 0)
    if generates:
        yield Line(api, "output tokens", total(folder, "output_tokens"), gained.get("vllm:generation_tokens_total"), 0)
        yield timed(api, "TTFT", means["ttft_ms"], gained, "time_to_first_token", way_ms=_WAY_MS)
        yield timed(api, "ITL", means["itl_ms"], gained, "inter_token_latency")
        yield timed(api, "TPOT", means["tpot_ms"], gained, "request_time_per_output_token")
    early = (total(folder, "(output_tokens < asked_tokens)::integer") or 0.0) / ok if ok and generates else 0.0
    step_ms = mean_ms(gained, "inter_token_latency") or 0.0
    e2e = timed(api, "E2E", means["e2e_ms"], gained, "e2e_request_latency", way_ms=_WAY_MS)
    yield e2e._replace(least=e2e.least + _STEPS * early * step_ms)


def shared(state: str, url: str, folder: Path) -> Iterator[Line]:
    """The hit shares of prompts that share beginnings, of a cache in a state: intended, and by usage and page."""
    words = ["run", url, *_GROUPS, "--cache", state, "--input-tokens", "640", "--output-tokens", "4", "--salt", "",
             "--concurrency", str(USERS), "--requests", str(REQUESTS), "--json", "--no-html",
             "--output", str(folder)]  # fmt: skip
    sys.stderr.write(f"loadcell {' '.join(words[:12])} ...\n")
    found = subprocess.run([sys.executable, "-m", "loadcell", *words], capture_output=True, text=True, check=False)
    if not found.stdout:
        raise SystemExit(f"{state} was not measured:\n{found.stderr[-2000:]}")
    cache: dict[str, Any] = json.loads(found.stdout)["cache"]
    theirs = {one["source"]: one for one in cache["reported"]}
    for source in ("usage", "page"):
        intended, share = (100 * theirs[source][name] if source in theirs else None for name in ("intended", "share"))
        yield Line(f"chat, {state} cache", f"hit share, {source}, %", intended, share, _POINTS, _POINTS)


def repeating(folder: Path) -> str:
    """A file of prompts that repeat themselves, each a list of its own."""
    file = folder.with_suffix(".jsonl")
    lists = (" ".join(f"item{(i * 7 + k) % 11}" for k in range(5)) + " " for i in range(REQUESTS))
    file.write_text(
        "".join(json.dumps({"prompt": f"Repeat this list again and again: {one * 6}"}) + "\n" for one in lists)
    )
    return str(file)


def timed(api: str, name: str, ours: float | None, gained: dict[str, float], metric: str, way_ms: float = 0.0) -> Line:
    """A mean in ms against that of vLLM's histogram."""
    theirs = mean_ms(gained, metric)
    share = _SHARE * (theirs or 0.0)
    return Line(api, f"{name}, mean ms", ours, theirs, share + max(way_ms, _CLOCK_MS), _CLOCK_MS if way_ms else share)


def mean_ms(gained: dict[str, float], metric: str) -> float | None:
    seconds, count = (gained.get(f"vllm:{metric}_seconds_{what}") for what in ("sum", "count"))
    return seconds / count * 1e3 if seconds is not None and count else None


def page_gains(folder: Path) -> dict[str, float]:
    """What each sample of vLLM's page gained from before the load to after it, over its labels."""
    pages = []
    for when in ("before", "after"):
        page: dict[str, float] = {}
        for name, value in _SAMPLE.findall((folder / f"server-{when}.prom").read_text()):
            page[name] = page.get(name, 0.0) + float(value)
        pages.append(page)
    return {name: value - pages[0].get(name, 0.0) for name, value in pages[1].items()}


def total(folder: Path, column: str) -> float | None:
    import duckdb

    with duckdb.connect() as database:
        database.execute(f"select sum({column}) from read_parquet('{folder}/requests-*.parquet')")
        ((found,),) = database.fetchall()
    return None if found is None else float(found)


def show(lines: list[Line]) -> None:
    """Both figures, what they are apart and what they may be."""
    head = ("API", "figure", "Loadcell", "vLLM", "apart", "allowed", "")
    rows = [head]
    for line in lines:
        apart = "n/a" if line.ours is None or line.theirs is None else f"{line.ours - line.theirs:+.4g}"
        ours, theirs = ("n/a" if value is None else f"{value:.6g}" for value in (line.ours, line.theirs))
        allowed = f"-{line.least:.3g} to +{line.most:.3g}" if line.most else "0"
        rows.append((line.api, line.figure, ours, theirs, apart, allowed, "" if line.good else "DIFFERS"))
    widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
    for row in rows:
        cells = (cell.ljust(width) if k in (0, 1, 6) else cell.rjust(width)
                 for k, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


if __name__ == "__main__":
    raise SystemExit(main())

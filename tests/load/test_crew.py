from __future__ import annotations

import os
import subprocess
import time
from types import SimpleNamespace
from typing import Any

import pytest

from loadcell.load.crew import Crew


@pytest.mark.usefixtures("processes")
def test_the_end_of_a_load_process_is_seen_at_once() -> None:
    two = [subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    live: Any = SimpleNamespace(workers=2)
    crew = Crew(live, two)
    try:
        for running in (2, 1):
            crew.await_end(0.01)
            assert [process.poll() for process in two].count(None) == running
            process = two[-running]
            assert process.stdin is not None
            process.stdin.close()
            if running == 2:  # even where it has ended before anyone waits for that
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            began = time.monotonic()
            crew.await_end(60)
            process.wait(60)
            assert time.monotonic() - began < 30
    finally:
        crew.kill()

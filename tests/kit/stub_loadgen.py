"""Run the genuine LoadGen against a stub that answers at once, in a process of its own: python stub_loadgen.py OUT.

Reads {"n": samples, "settings": {attribute: value}} as JSON, writes the samples that were issued, query by query.
LoadGen keeps state for the whole process, so one process is good for one run.
"""

from __future__ import annotations

import json
import sys
from array import array

import mlperf_loadgen as lg


def main(outdir: str) -> None:
    job = json.load(sys.stdin)
    issued: list[list[int]] = []
    settings = lg.TestSettings()
    for name, value in job["settings"].items():
        kind = {"scenario": lg.TestScenario, "mode": lg.TestMode}.get(name)
        setattr(settings, name, getattr(kind, value) if kind else value)
    reply = array("B", b"1234")
    address, size = reply.buffer_info()

    def issue(samples: list[lg.QuerySample]) -> None:
        issued.append([sample.index for sample in samples])
        lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, address, size) for sample in samples])

    sut = lg.ConstructSUT(issue, lambda: None)
    qsl = lg.ConstructQSL(job["n"], job.get("loaded", job["n"]), lambda _: None, lambda _: None)
    log = lg.LogSettings()
    log.log_output.outdir = outdir
    log.log_output.copy_summary_to_stdout = False
    lg.StartTestWithLogSettings(sut, qsl, settings, log, f"{outdir}/no-audit.config")
    lg.DestroyQSL(qsl)
    lg.DestroySUT(sut)
    json.dump(issued, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

"""Runs of the real thing against a server, in the test's own process; only the load's workers are others."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadcell.apis import find_api, is_api
from loadcell.load import run_load
from loadcell.load.preflight import Endpoint, preflight
from loadcell.load.target import make_target
from loadcell.media import HEARING
from loadcell.metrics import Result, build_result
from loadcell.recording.read import Recording, open_recording
from loadcell.recording.schema import REQUESTS, Manifest
from loadcell.spec import Spec, build_spec, with_defaults


@dataclass
class Ran:
    """A finished run: its folder, its recording and its result."""

    folder: Path
    manifest: Manifest
    recording: Recording
    result: Result

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the requests, in the order of the schedule; missing is None."""
        names = [column.name for column in REQUESTS]
        table = self.recording.requests(names)
        return [{name: _plain(table[name][i]) for name in names} for i in range(len(table["request"]))]

    @property
    def statuses(self) -> list[str]:
        return [row["status"] for row in self.rows]

    def kinds(self) -> dict[str, int]:
        """Failures by kind."""
        return {failure.kind: failure.count for failure in self.result.errors}


def _plain(value: Any) -> Any:
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else int(value)


Run = Callable[..., Ran]


def ask(url: str, **fields: Any) -> Endpoint:
    """What is done before a load, and nothing else."""
    spec = with_defaults(short_spec(url, **fields))
    return preflight(spec, make_target(spec.endpoint, os.environ.get(spec.endpoint.api_key_env)))


def short_spec(url: str, **fields: Any) -> Spec:
    """A load of few short requests; `fields` by their last names."""
    tree: dict[str, Any] = {
        "endpoint": {"url": url},
        "load": {"ramp_s": 0, "timeout_s": 5, "wait_ready_s": 0},
        "workload": {"input_tokens": "8", "output_tokens": "4"},
        "run": {"workers": 1},
    }
    if not {"rate", "rate_series"} & fields.keys():
        tree["load"]["concurrency"] = 2
    if is_api(api := fields.get("api", "chat")) and not find_api(api).generates:
        del tree["workload"]["output_tokens"]
    if api in HEARING:
        tree["workload"] = {}
    if "lengths" in fields:
        tree["workload"] = {}
    for name, value in fields.items():
        section, key = ("agent", name) if name == "system_tokens" and "steps" in fields else _FIELD[name]
        tree.setdefault(section, {})[key] = value
    return build_spec(tree)


def run_once(url: str, folder: Path, /, **fields: Any) -> Ran:
    """Run a short load and check what holds for every run."""
    manifest = run_load(short_spec(url, **fields), folder, lambda _: None)
    recording = open_recording(folder)
    ran = Ran(folder, manifest, recording, build_result(recording))
    counts = ran.result.counts.run
    assert counts.planned == counts.ok + counts.failed + counts.abandoned + counts.cancelled + counts.unsent
    assert not recording.damaged
    return ran


_FIELD = {
    key: (section, key)
    for section, keys in {
        "endpoint": "cert_file key_file resolve "
        "api path http model stream headers api_key_env auth ca_file verify_tls metrics_url ignore_eos extra_body",
        "load": "concurrency rate arrivals rate_series requests duration_s warmup_s ramp_s timeout_s connect_timeout_s "
        "wait_ready_s max_failures min_requests lockstep keep_load duration_most_s cache cache_reset",
        "prefix": "system_tokens groups tokens zipf hit_share",
        "workload": "input_tokens output_tokens prompts prompt_column output_column line_output_tokens tokenizer "
        "ignore_fields send_fields skip_bad too_long context_tokens lengths lengths_columns lengths_order "
        "template_tokens token_ratio inputs query_tokens",
        "sessions": "turns think history sticky first_input_tokens",
        "agent": "steps tools fan_out sub_steps task_tokens",
        "behaviour": "cancel patience slow_readers",
        "media": "images image_size image_format image_dir audio_seconds audio_dir",
        "slo": "ttft_ms tpot_ms e2e_ms first_audio_ms",
        "classes": "also weight models deal share_key slo_of",
        "observe": "every_s urls gpu host",
        "run": "workers memory_mb seed salt keep_text",
    }.items()
    for key in keys.split()
}

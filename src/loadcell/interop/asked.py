"""What a foreign run was asked to do, as a Spec: what its files tell, and which of it they do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loadcell.apis import generates, is_api
from loadcell.errors import UsageError
from loadcell.interop.model import Missing, Run
from loadcell.phrases import phrase
from loadcell.spec import Spec, build_spec
from loadcell.spec.notation import parse_arrivals
from loadcell.urls import full_url

NO_URL = "http://not-told.invalid"
"""Stands for the server where no file names one: a host of this name cannot be (RFC 2606)."""
_NOT_TOLD = phrase("the file does not tell it")


def spec_of(run: Run, lengths: dict[str, tuple[int, int]]) -> tuple[Spec, list[Missing]]:
    """The Spec of a run, and what of it the files do not tell: a default stands there then.

    `lengths` are the least and the most of input_tokens and output_tokens in its rows.
    """
    missing: list[Missing] = []

    def told(field: str, value: Any, why: str = _NOT_TOLD) -> Any:
        if value is None:
            missing.append(Missing(field=field, why=why))
        return value

    api = told("endpoint.api", run.api) or "chat"
    if not is_api(api):
        missing.append(Missing(field="endpoint.api", why=phrase("{} is no API that is known here", api)))
        api = "chat"
    url = told("endpoint.url", run.url) or NO_URL
    try:
        url = full_url(url)
    except UsageError as error:
        missing.append(Missing(field="endpoint.url", why=str(error)))
        url = NO_URL
    endpoint: dict[str, Any] = {"url": url, "api": api, "model": told("endpoint.model", run.model)}
    told("endpoint.stream", run.stream)
    if generates(api):
        endpoint["stream"] = True if run.stream is None else run.stream
    tree = {"endpoint": endpoint, "load": _load(run, missing), "workload": _workload(run, api, lengths, missing)}
    if told("run.seed", run.seed) is not None and run.seed is not None and run.seed >= 0:
        tree["run"] = {"seed": run.seed}
    for left_out in ("workload", "run", "load"):
        try:
            return build_spec(tree), missing
        except UsageError as error:
            missing.append(Missing(field=left_out, why=str(error)))
            tree.pop(left_out, None)
    return build_spec({"endpoint": {"url": url, "model": run.model}}), missing


def _load(run: Run, missing: list[Missing]) -> dict[str, Any]:
    if run.loop is None:
        missing.append(Missing(field="loop", why=_NOT_TOLD))
    elif run.loop == "open" and run.rate is None:
        missing.append(Missing(field="load.rate", why=_NOT_TOLD))
    elif run.loop == "closed" and run.concurrency is None:
        missing.append(Missing(field="load.concurrency", why=_NOT_TOLD))
    load: dict[str, Any] = {
        "rate": run.rate if run.loop == "open" else None,
        "concurrency": run.concurrency,
        "requests": run.requests,
        "duration_s": run.duration_s,
    }
    if run.arrivals is not None:
        try:
            parse_arrivals(run.arrivals)
            load["arrivals"] = run.arrivals
        except UsageError as error:
            missing.append(Missing(field="load.arrivals", why=str(error)))
    elif run.loop == "open":
        missing.append(Missing(field="load.arrivals", why=_NOT_TOLD))
    return {key: value for key, value in load.items() if value is not None and not _no_number(value)}


def _no_number(value: Any) -> bool:
    return isinstance(value, int | float) and not 0 < value < float("inf")


def _workload(run: Run, api: str, lengths: dict[str, tuple[int, int]], missing: list[Missing]) -> dict[str, Any]:
    """Lengths as the file asked for them, else as the rows have them, which is said."""
    found: dict[str, Any] = {}
    if run.tokenizer is not None:
        found["tokenizer"] = run.tokenizer
    else:
        missing.append(Missing(field="workload.tokenizer", why=_NOT_TOLD))
    for key, told in (("input_tokens", run.input_tokens), ("output_tokens", run.output_tokens)):
        if key == "output_tokens" and not generates(api):
            continue
        if told is not None:
            found[key] = told
        elif key in lengths:
            low, high = (max(1, each) for each in lengths[key])
            found[key] = str(low) if low == high else f"uniform:{low},{high}"
            run.derived.append(phrase("{}: the least and the most of the requests", f"workload.{key}"))
        else:
            missing.append(Missing(field=f"workload.{key}", why=_NOT_TOLD))
    return found


def empty_columns(run: Run, filled: dict[str, int], rows: int) -> Iterator[Missing]:
    """What no row tells, where there are rows."""
    named = {each.field for each in run.missing}
    columns = ["send_start_ns", "first_any_ns", "last_ns", "end_ns", "chunks", "chunks.tokens", "input_tokens",
               "prompt_tokens", "output_tokens", "cached_tokens", "asked_tokens"]  # fmt: skip
    if run.loop == "open":
        columns.append("planned_ns")
    if "chunks" in named or not filled.get("chunks"):
        columns.remove("chunks.tokens")
    for column in columns if rows else ():
        if column not in named and not filled.get(column):
            yield Missing(field=column, why=phrase("no request has it"))

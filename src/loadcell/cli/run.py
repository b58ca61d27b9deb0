"""`loadcell run`: put a load on an endpoint and report what came back; once, several times, or again."""

from __future__ import annotations

import argparse
import copy
import importlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadcell.cli.classes import add_classes, put_classes
from loadcell.cli.interrupts import interrupts_later
from loadcell.cli.pages import add_page, check_lang, leave_page, run_page_file, wants_page, words_of
from loadcell.cli.replay import ask_trust, find_recorded, make_review, settle
from loadcell.cli.results import add_full, add_judging, add_sink, add_slo, exit_code, sent, show, show_json
from loadcell.errors import UsageError
from loadcell.recording.claim import claimed, output_folder
from loadcell.spec import Spec

if TYPE_CHECKING:
    from loadcell.metrics import Result
    from loadcell.recording.methodology import Recorded
    from loadcell.report.detail import Detail

_EXAMPLES = """\
lengths: N, normal:MEAN,SD, uniform:LO,HI, lognormal:MEDIAN,SIGMA,
  empirical:FILE#COLUMN or mixture:SHARE*LAW+SHARE*LAW; clipped: ,LEAST..MOST
times: 500ms, 10s, 2m

examples:
  loadcell run                        (finds a server on this machine)
  loadcell run localhost:8000
  loadcell run http://localhost:8000 --concurrency 64 --duration 60s
  loadcell run http://localhost:8000 --rate 20 --slo ttft=500ms,tpot=30ms
  loadcell run --spec examples/chat.yaml --set load.rate=5
  loadcell run http://localhost:8000 --repeat 5 --output runs/chat
  loadcell run http://a:8000 --also http://b:8000=2 --models base=0.7,lora=0.3
  loadcell run http://localhost:8000 --scenario rag --rate 5
  loadcell run runs/chat/1 --rate 6       (again as recorded, but for the rate)

exit codes: 0 done; 1 no request succeeded, or it could not be run; 2 wrong
usage; 3 SUSPECT with --strict; 4 INVALID; 130 interrupted
"""

# Group, then flag, spec field and metavar. The help text is the field's own.
_FLAGS: dict[str, list[tuple[str, str, str]]] = {
    "load": [
        ("--concurrency", "load.concurrency", "N"),
        ("--rate", "load.rate", "R"),
        ("--arrivals", "load.arrivals", "P"),
        ("--rate-series", "load.rate_series", "S|FILE"),
        ("--requests", "load.requests", "N"),
        ("--duration", "load.duration_s", "T"),
        ("--keep-load", "load.keep_load", ""),
        ("--ramp", "load.ramp_s", "T"),
        ("--timeout", "load.timeout_s", "T"),
        ("--connect-timeout", "load.connect_timeout_s", "T"),
        ("--max-failures", "load.max_failures", "P"),
        ("--wait-ready", "load.wait_ready_s", "T"),
        ("--stop-when-saturated", "load.stop_when_saturated", ""),
    ],
    "endpoint": [
        ("--api", "endpoint.api", "A"),
        ("--path", "endpoint.path", "PATH"),
        ("--http", "endpoint.http", "V"),
        ("--stream", "endpoint.stream", ""),
        ("--model", "endpoint.model", "M"),
        ("--gpus", "endpoint.gpus", "N"),
        ("--api-key-env", "endpoint.api_key_env", "VAR"),
        ("--auth", "endpoint.auth", "A"),
        ("--ca-file", "endpoint.ca_file", "FILE"),
        ("--verify-tls", "endpoint.verify_tls", ""),
        ("--cert", "endpoint.cert_file", "FILE"),
        ("--key", "endpoint.key_file", "FILE"),
        ("--ignore-eos", "endpoint.ignore_eos", ""),
    ],
    "workload": [
        ("--scenario", "workload.scenario", "NAME"),
        ("--input-tokens", "workload.input_tokens", "L"),
        ("--inputs", "workload.inputs", "L"),
        ("--output-tokens", "workload.output_tokens", "L"),
        ("--lengths", "workload.lengths", "FILE|NAME"),
        ("--lengths-columns", "workload.lengths_columns", "IN,OUT"),
        ("--lengths-order", "workload.lengths_order", "O"),
        ("--too-long", "workload.too_long", "W"),
        ("--context-tokens", "workload.context_tokens", "N"),
        ("--tokenizer", "workload.tokenizer", "T"),
    ],
    "prompts of your own": [
        ("--prompts", "workload.prompts", "FILE"),
        ("--prompt-column", "workload.prompt_column", "NAME"),
        ("--output-column", "workload.output_column", "NAME"),
        ("--ignore-fields", "workload.ignore_fields", "A,B"),
        ("--send-fields", "workload.send_fields", "A,B"),
        ("--skip-bad", "workload.skip_bad", ""),
    ],
    "sessions and agents": [
        ("--turns", "sessions.turns", "L"),
        ("--think", "sessions.think", "T"),
        ("--history", "sessions.history", "H"),
        ("--sticky", "sessions.sticky", "S"),
    ],
    "shared prefixes and the cache": [
        ("--system-tokens", "prefix.system_tokens", "N"),
        ("--prefix-groups", "prefix.groups", "K"),
        ("--prefix-tokens", "prefix.tokens", "L"),
        ("--prefix-zipf", "prefix.zipf", "S"),
        ("--hit-share", "prefix.hit_share", "P"),
        ("--cache", "load.cache", "STATE"),
        ("--cache-reset", "load.cache_reset", "URL"),
    ],
    "traces": [
        ("--trace", "trace.name", "FILE|NAME"),
        ("--trace-kind", "trace.kind", "FORMAT"),
        ("--trace-time-unit", "trace.time_unit", "U"),
        ("--trace-window", "trace.window", "PART"),
        ("--trace-scale", "trace.scale", "X"),
        ("--trace-speed", "trace.speed", "X"),
        ("--trace-spread", "trace.spread", ""),
        ("--max-input-tokens", "trace.max_input_tokens", "N"),
        ("--max-output-tokens", "trace.max_output_tokens", "N"),
        ("--trace-too-long", "trace.too_long", "HOW"),
    ],
    "images and audio": [
        ("--images", "media.images", "L"),
        ("--image-size", "media.image_size", "S"),
        ("--image-format", "media.image_format", "F"),
        ("--image-dir", "media.image_dir", "DIR"),
        ("--audio-seconds", "media.audio_seconds", "L"),
        ("--audio-dir", "media.audio_dir", "DIR"),
    ],
    "users who give up or read slowly": [
        ("--patience", "behaviour.patience", "L"),
        ("--slow-readers", "behaviour.slow_readers", "P@R"),
    ],
    "observe": [
        ("--metrics-url", "endpoint.metrics_url", "URL"),
        ("--observe-every", "observe.every_s", "T"),
    ],
    "run": [
        ("--workers", "run.workers", "N"),
        ("--memory", "run.memory_mb", "SIZE"),
        ("--seed", "run.seed", "N"),
        ("--salt", "run.salt", "TEXT"),
        ("--keep-text", "run.keep_text", ""),
        ("--shared-host", "run.shared_host", ""),
    ],
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `loadcell run`: the fields of the Spec, and where they come from and go to."""
    parser.usage = "loadcell run [URL|RESULT] [flags]"
    parser.description = "Put a load on an OpenAI-compatible endpoint, record everything, and report it."
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "target",
        nargs="?",
        metavar="URL|RESULT",
        help="base URL of the server (default: $OPENAI_BASE_URL, else a server found on this machine); or a recording "
        "or saved JSON, to run that again (flags go over it)",
    )
    run = add_spec_flags(parser)
    run.add_argument("--output", metavar="DIR", help="folder of the recording (default: recordings/TIME)")
    run.add_argument("--repeat", metavar="N", help="run N times, into DIR/1 to DIR/N, and compare the runs")
    run.add_argument("--json", action="store_true", help="print the result as JSON")
    add_sink(run)
    add_full(run)
    add_judging(run)
    add_page(run, "report.html in the recording's folder")


def add_spec_flags(parser: argparse.ArgumentParser, but: Collection[str] = ()) -> argparse._ArgumentGroup:
    """Add the flags that make a Spec, those in `but` left out; returns the last group, for what is not of the Spec."""
    from loadcell.spec import describe_field

    groups = {}
    for title, flags in _FLAGS.items():
        group = groups[title] = parser.add_argument_group(title)
        for flag, path, metavar in flags:
            if flag in but:
                continue
            about = describe_field(path).replace("%", "%%")  # argparse formats its help
            if metavar:
                group.add_argument(flag, dest=path, metavar=metavar, help=about)
            else:
                group.add_argument(flag, dest=path, action=argparse.BooleanOptionalAction, help=about)
    if "--warmup" not in but:
        groups["load"].add_argument(
            "--warmup",
            metavar="T|N",
            help="leave the first seconds (10s) or requests (N) out (default: found from the data)",
        )
    groups["sessions and agents"].add_argument(
        "--agent",
        metavar="A",
        help="tasks of an agent with tools: steps=L, tools=T, fan_out=P*N, sub_steps=L, task_tokens=L and "
        "system_tokens=N, with commas between (steps=uniform:4,12,tools=lognormal:800ms,1,fan_out=0.2*3)",
    )
    if "--slo" not in but:
        add_slo(groups["load"], "limits that make a request good")
    groups["endpoint"].add_argument("--cacert", dest="endpoint.ca_file", metavar="FILE", help="the same as --ca-file")
    groups["endpoint"].add_argument(
        "--resolve", action="append", metavar="H:P:A", help=f"{describe_field('endpoint.resolve')} (repeatable)"
    )
    groups["endpoint"].add_argument(
        "--header",
        action="append",
        metavar="K=V",
        help="extra request header (repeatable); its value is never recorded",
    )
    if "--also" not in but:
        add_classes(groups["endpoint"])
    if "--cancel" not in but:
        groups["users who give up or read slowly"].add_argument(
            "--cancel",
            action="append",
            metavar="P@W",
            help=f"{describe_field('behaviour.cancel')} (repeatable)".replace("%", "%%"),
        )
    groups["observe"].add_argument(
        "--observe-url",
        action="append",
        metavar="URL",
        help="further Prometheus page to watch (repeatable): other replicas, GPU exporters (DCGM, AMD)",
    )
    run = groups["run"]
    run.add_argument("--spec", metavar="FILE", help="read the spec from a YAML file; flags go over it")
    run.add_argument(
        "--trust", action="store_true", help="send what a recording names of this machine (key, prompts) to its URL"
    )
    run.add_argument("--set", action="append", metavar="A.B=C", help="set any field of the spec (repeatable)")
    return run


def run(args: argparse.Namespace) -> int:
    """Run the load, print the result. Returns 0; 1 if no request succeeded; 3, 4 by the verdict; 130 if interrupted."""
    check_lang(args)
    count = None if args.repeat is None else _count(args.repeat)
    _check_sinks(args.sink, count)
    recorded = find_recorded(args.target)
    spec = read_spec(args, recorded)
    with output_folder(args.output, "recordings") as folder:
        return _run(args, spec, recorded, count, folder)


def _check_sinks(asked: list[str], count: int | None) -> None:
    """What is wrong with a sink is said before the load, not after it."""
    if asked:
        from loadcell.report.sinks import sink

        if count is not None:
            raise UsageError("--sink is for one run: with --repeat, send each by loadcell report DIR/1 --sink ...")
        for each in asked:
            sink(each)


def _run(args: argparse.Namespace, spec: Spec, recorded: Recorded | None, count: int | None, folder: Path) -> int:
    """Run the load into `folder`, `count` times if that is given; returns as `run`."""
    if count is not None:
        from loadcell.cli.repeat import run_repeats

        def one_of(spec: Spec, folder: Path, first: bool) -> Result:
            head = (f"run {folder.name}/{count}",)
            result, detail = run_once(spec, folder, recorded, silent=not first, detailed=wants_page(args), head=head)
            if wants_page(args):
                shown = result
                leave_page(args, lambda words: run_page_file(shown, detail, folder, words), tell=False)
            return result

        with claimed(folder):
            return run_repeats(spec, folder, count, one_of, as_json=args.json, strict=args.strict, words=words_of(args))
    result, detail = run_once(spec, folder, recorded, detailed=wants_page(args), spoken=not args.json)
    shown = result
    if args.json:
        show_json(shown)
    else:
        show(shown, folder, words_of(args), full=args.full)
    if wants_page(args):
        leave_page(args, lambda words: run_page_file(shown, detail, folder, words))
    sent(result, args.sink, [])
    return 130 if result.run.state == "interrupted" else exit_code(result, strict=args.strict)


def run_once(
    spec: Spec,
    folder: Path,
    recorded: Recorded | None,
    *,
    silent: bool = False,
    detailed: bool = False,
    spoken: bool = True,
    head: Sequence[str] = (),
) -> tuple[Result, Detail | None]:
    """One run, recorded in `folder`; if it is `recorded` again, it says so unless `silent`.

    Returns its result and, if `detailed`, what the charts of its page need. `spoken`: whether people are shown it, not
    JSON alone. `head` stands before the progress.
    """
    from loadcell.cli.progress import show_progress
    from loadcell.load import Progress, run_load
    from loadcell.selftest import known_selftest

    review = None if recorded is None else make_review(recorded, spec, silent=silent)
    rooms = ["report.run"] if spoken else ["report"]
    rooms += ["report.detail", "report.render.page"] if detailed else []
    steer = None
    if spec.load.stop_when_saturated and spec.load.rate is not None:
        from loadcell.search import saturation_steer

        steer = saturation_steer(spec.load.ramp_s)
    with show_progress(lambda: head) as show_stage:

        def watch(now: Progress) -> None:
            show_stage(now)
            if now.stage == "start":  # half a second's worth of libraries, while the workers connect
                with interrupts_later():  # a library that is interrupted while it is imported complains at the end
                    for room in rooms:
                        importlib.import_module(f"loadcell.{room}")

        selftest = known_selftest(spec.endpoint.url.startswith("https"))
        run_load(spec, folder, watch, selftest=selftest, review=review, steer=steer)
    from loadcell.metrics import build_result
    from loadcell.recording.read import open_recording

    recording = open_recording(folder)
    if not detailed:
        return build_result(recording), None
    from loadcell.report.detail import build_both

    return build_both(recording)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--repeat {text!r}: write how many runs, as in --repeat 5")
    return int(text)


def read_spec(args: argparse.Namespace, recorded: Recorded | None = None, but: Collection[str] = ()) -> Spec:
    """The Spec of the flags, over that of a file or of a recorded run if one is named.

    Where none of them names an endpoint, it is found, but for those in `but`: see `find_endpoint`.
    """
    import msgspec

    from loadcell.agents import parse_agent
    from loadcell.cli.idle import refuse_idle
    from loadcell.spec import NO_SERIES, build_spec, field_from_text, parse_slo

    if recorded and args.spec:
        raise UsageError(f"{args.target} brings the spec of its run: leave out --spec, give flags or --set instead")
    tree = copy.deepcopy(recorded.spec) if recorded else _read_file(args.spec) if args.spec else {}
    given = set()

    def put(path: str, value: Any) -> None:
        section, _, key = path.partition(".")
        tree.setdefault(section, {})[key] = value
        given.add(path)

    if args.target and not recorded:
        put("endpoint.url", args.target)
    for flags in _FLAGS.values():
        for flag, path, _ in flags:
            value = getattr(args, path, None)  # a command may do without the flag
            if value is not None:
                put(path, field_from_text(path, value, flag) if isinstance(value, str) else value)
    if getattr(args, "warmup", None) is not None:
        count = args.warmup.isdecimal() and int(args.warmup) > 0  # 0 is no warm-up; no requests would be the default
        put("load.warmup_s", None if count else field_from_text("load.warmup_s", args.warmup, "--warmup"))
        put("load.warmup_requests", int(args.warmup) if count else 0)
    if getattr(args, "agent", None) is not None:
        tree["agent"] = tree.get("agent", {}) | parse_agent(args.agent)
    if getattr(args, "slo", None) is not None:
        tree["slo"] = msgspec.structs.asdict(parse_slo(args.slo))
    put_classes(args, put)
    if getattr(args, "cancel", None):
        put("behaviour.cancel", args.cancel)
    if args.observe_url:
        put("observe.urls", args.observe_url)
    if args.resolve:
        put("endpoint.resolve", args.resolve)
    for pair in args.header or []:
        name, mark, value = pair.partition("=" if "=" in pair.split(":")[0] else ":")
        if not mark:
            raise UsageError("--header: write NAME=VALUE")  # what stands there may be a key
        tree.setdefault("endpoint", {}).setdefault("headers", {})[name.strip()] = value.strip()
    for pair in args.set or []:
        path, mark, value = pair.partition("=")
        if not mark or "." not in path:
            raise UsageError(f"--set {pair!r}: write SECTION.KEY=VALUE, as in --set load.rate=5")
        put(path.strip(), field_from_text(path.strip(), value, "--set"))
    typed = {"workload.output_tokens", "workload.output_column", "workload.line_output_tokens"} & given
    if typed == {"workload.output_tokens"} and tree["workload"].get("prompts") is not None:
        put("workload.line_output_tokens", False)  # what was typed goes before what a file says
    if "workload.lengths" in given:  # likewise: it brings both lengths
        for path in {"workload.input_tokens", "workload.output_tokens"} - given:
            tree["workload"].pop(path.partition(".")[2], None)
    if (
        "load.rate_series" in given and tree["load"]["rate_series"] not in NO_SERIES
    ):  # likewise: its own mean and end go before those of another rate
        for path in {"load.rate", "load.duration_s", "load.duration_most_s"} - given:
            tree["load"][path.partition(".")[2]] = None
    if "workload.prompts" in given:  # likewise before inputs that a spec or a recording plans: its lines hold their own
        for path in {"workload.inputs", "workload.query_tokens"} - given:
            tree["workload"].pop(path.partition(".")[2], None)
    if "trace.name" in given:  # likewise: it brings its own requests
        for path in {"workload.input_tokens", "workload.output_tokens", "workload.prompts"} - given:
            tree.get("workload", {}).pop(path.partition(".")[2], None)
        if "load.arrivals" not in given:
            tree.get("load", {}).pop("arrivals", None)
    if recorded:
        settle(tree, recorded, given)
        ask_trust(tree, recorded, given, Path(args.target), trusted=args.trust)
    endpoint = tree.setdefault("endpoint", {})
    if isinstance(endpoint, dict):
        from loadcell.cli.target import find_endpoint, key_variable

        if not endpoint.get("url"):
            endpoint |= {key: value for key, value in find_endpoint(but).items() if not endpoint.get(key)}
        if "api_key_env" not in endpoint:
            endpoint |= key_variable(endpoint, os.environ)
    spec = build_spec(tree)
    refuse_idle(spec, given, args)
    return spec


def _read_file(name: str) -> dict[str, Any]:
    """The sections of a YAML file; UsageError if it cannot be read."""
    import yaml

    try:
        tree = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the spec {name}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UsageError(
            f"{name} holds no spec: write sections (endpoint, load, workload, slo, run) with keys and values"
        )
    return {section: {} if values is None else values for section, values in tree.items()}

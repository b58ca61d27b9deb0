"""loadcell vllm-bench: takes the flags of `vllm bench serve` and writes its result file, so that a script changes one
word. The load is one of ours, recorded and judged as any."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadcell.interop.vllm_bench import Wish
    from loadcell.metrics import Result


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `vllm bench serve`, also those that are refused, and our own."""
    from loadcell.interop.vllm_flags import NOTED, TAKEN, VERSION, WHY_REFUSED

    parser.usage = "loadcell vllm-bench [serve] [flags of vllm bench serve]"
    parser.description = (
        f"Take the flags of vllm bench serve ({VERSION}), run the load as loadcell run\ndoes, print its "
        "table and write its result file. What differs stands in\ndocs/vllm-bench.md."
    )
    parser.add_argument("serve", nargs="?", metavar="serve", help="may stand there, or be left out")
    for flag, one in TAKEN.items():
        default = "" if one.default is None else f" (default: {one.default})"
        _add(parser, flag, one.kind, f"{one.becomes.replace('`', '')}{default}".replace("%", "%%"))
    for flag, (why, kind) in NOTED.items():
        _add(parser, flag, kind, f"changes nothing: {why}")
    for flag in WHY_REFUSED:
        _add(parser, flag, "many", argparse.SUPPRESS)
    own = parser.add_argument_group("of our own")
    own.add_argument("--output", metavar="DIR", help="folder of the recording (default: recordings/TIME)")
    own.add_argument("--strict", action="store_true", help="exit with 3 if the run is SUSPECT, with 4 if it is INVALID")
    own.add_argument("--shared-host", action="store_true", help="accept that the server runs on this machine")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  loadcell vllm-bench serve --model m --random-input-len 512 --request-rate 5 \\\n"
        "      --num-prompts 300 --save-result --result-dir results\n"
        "  loadcell vllm-bench --backend openai-chat --endpoint /v1/chat/completions \\\n"
        "      --max-concurrency 16 --percentile-metrics ttft,tpot,itl,e2el\n\n"
        "exit codes: 0 done, as vLLM's; 1 no request succeeded, or it could not be run;\n"
        "2 wrong usage; 3, 4 with --strict; 130 interrupted"
    )


def _add(parser: argparse.ArgumentParser, flag: str, kind: str, about: str) -> None:
    names, name = [flag], flag.removeprefix("--").replace("-", "_")
    if kind == "switch":
        made = parser.add_argument(*names, dest=name, action="store_true", default=None, help=about)
    else:
        metavar = "V" if kind == "value" else "K=V"
        nargs = "*" if kind == "many" else None
        made = parser.add_argument(*names, dest=name, nargs=nargs, metavar=metavar, help=about)
    parser._option_string_actions[f"--{name}"] = made  # vLLM's parser takes underscores as well


def run(args: argparse.Namespace) -> int:
    """Run the load, print vLLM's table, write its file, and say on stderr what the run is worth."""
    from loadcell.cli.run import run_once
    from loadcell.errors import UsageError
    from loadcell.interop.vllm_bench import translate
    from loadcell.recording.claim import output_folder
    from loadcell.spec import build_spec

    if args.serve not in (None, "serve"):
        raise UsageError(f"vllm-bench {args.serve}: what is there is vllm-bench serve, or its flags alone")
    ours = ("serve", "output", "strict", "shared_host")
    wish = translate({name: value for name, value in vars(args).items() if value is not None and name not in ours})
    wish.tree["run"]["shared_host"] = args.shared_host
    for note in wish.notes:
        sys.stderr.write(f"loadcell: {note}\n")
    with output_folder(args.output, "recordings") as folder:
        _place_rows(wish, folder)
        result, _ = run_once(build_spec(wish.tree), folder, None)
        _tell(wish, folder, result)
    if result.run.state == "interrupted":
        return 130
    from loadcell.cli.results import exit_code

    if not result.counts.run.ok:
        return 1
    return exit_code(result, strict=True) if args.strict else 0


def _place_rows(wish: Wish, folder: Path) -> None:
    """Write the prompts that were taken out of a file beside the recording, which names them."""
    from loadcell.interop.vllm_bench import sampled

    if wish.rows is None:
        return
    file = folder.parent / f"{folder.name}.prompts.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in sampled(wish.rows)), encoding="utf-8")
    wish.tree["workload"]["prompts"] = str(file)
    sys.stderr.write(f"loadcell: the prompts that were chosen: {file}\n")


def _tell(wish: Wish, folder: Path, result: Result) -> None:
    """The table, the file, and the verdict."""
    from loadcell.interop.writers.vllm import document, table
    from loadcell.metrics import reasons_of, word_of
    from loadcell.recording.read import open_recording

    left_out: list[str] = []
    tree = document(open_recording(folder), wish.asked, left_out)
    sys.stdout.write(table(tree))
    if wish.file is not None:
        path = _save(tree, wish)
        sys.stderr.write(f"loadcell: result file: {path}\n")
    for words in dict.fromkeys(left_out):
        sys.stderr.write(f"loadcell: left out: {words}\n")
    why = "".join(f"\n  {reason}" for reason in reasons_of(result))
    sys.stderr.write(f"loadcell: {word_of(result)}; more: loadcell report {folder}{why}\n")


def _save(tree: dict[str, Any], wish: Wish) -> Path:
    """Write or append the object, as vLLM does: a file that is there is written over."""
    from loadcell.errors import RecordingError

    assert wish.file is not None
    name = wish.file.name.replace("{date}", tree["date"]).replace("{model}", str(tree["model_id"]).rsplit("/", 1)[-1])
    path = wish.file.with_name(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if wish.append else "w", encoding="utf-8") as file:
            if file.tell():
                file.write("\n")
            json.dump(tree, file, allow_nan=False)
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {error.strerror}") from None
    return path

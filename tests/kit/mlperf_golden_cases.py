"""What the commands print of given inputs: cases by name, each a text to be compared with its file in golden/."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import test_curve_checks
import test_curve_page
import test_files_check
import test_files_curve
import test_files_export
import test_files_tree
import test_judge
from example_logs import EXAMPLES, INTERACTIVE, SERVER, STREAM, SUMMARY, edit, put
from made_queries import made_plan, made_queries, made_rules
from made_run import row, write_run
from rich.console import Console

from loadcell.cli.main import main
from loadcell.mlperf.curve.checks import check_points
from loadcell.mlperf.datasets import find_dataset
from loadcell.mlperf.files.checking import check_folder
from loadcell.mlperf.files.export import export
from loadcell.mlperf.files.judging import Asked
from loadcell.mlperf.model import Finding
from loadcell.mlperf.outcome import outcome
from loadcell.mlperf.rules import endpoints_rules, find_rules
from loadcell.mlperf.wheel.judge import judge
from loadcell.mlperf.wheel.model import Drive, Ended, Heard
from loadcell.report.mlperf import print_curve, print_driven, print_findings, print_outcome
from loadcell.report.view.curve import point_line
from loadcell.spec import build_spec
from loadcell.workload.loadgen import server_traffic

_SPEC = build_spec({"endpoint": {"url": "http://localhost:8000"}})


def _line(found: Finding) -> str:
    word = {True: "held", False: "FAILED", None: "noted"}[found.ok]
    where = f" @ {found.where}" if found.where else ""
    return f"{word} {found.rule}: {found.says}{f' -> {found.advice}' if found.advice else ''}{where}"


def _lines(findings: list[Finding]) -> list[str]:
    return [_line(found) for found in findings]


def _printed(show: Callable[[Console], None], width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    show(console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def _changed(before: list[str], after: list[str]) -> Iterator[str]:
    """Lines of one that the other lacks: what an edit makes of the findings."""
    yield from (f"- {line}" for line in before if line not in after)
    yield from (f"+ {line}" for line in after if line not in before)


def _anew(root: Path) -> Path:
    """A folder that is not there (any more), of one name: findings tell paths."""
    shutil.rmtree(root / "made", ignore_errors=True)
    return root / "made"


def _checked(folder: Path, asked: Asked = Asked()) -> list[str]:  # noqa: B008 - frozen
    return _lines(check_folder(folder, asked).findings)


# --- LoadGen's logs ---------------------------------------------------------------------------------------------------

_SCENARIO = {"server": "llama3.1-8b", "offline": "llama3.1-8b", "singlestream": "llama3.1-8b-edge"}


def loadgen_logs(root: Path) -> Iterator[str]:
    """Every example as it is, without a name, and in another round and scenario."""
    for example in sorted(path.name for path in EXAMPLES.iterdir() if (path / "mlperf_log_detail.txt.gz").exists()):
        folder = put(example, root / example)
        asked = test_files_check.AS.get(example, Asked(benchmark="llama3.1-8b", scenario="server"))
        yield f"## {example}"
        yield from (whole := _checked(folder, asked))
        yield f"## {example}, unnamed"
        yield from _changed(whole, _checked(folder))
        yield f"## {example}, as v6.1 offline"
        yield from _changed(whole, _checked(folder, Asked("v6.1", "llama3.1-8b", "offline")))
    yield "## on the console"
    yield _printed(lambda console: print_findings(check_folder(root / SERVER).findings, console))


def edited_logs(root: Path) -> Iterator[str]:
    """Edits of a log, as many together as are of different keys."""
    for example, asked in test_files_check.AS.items():
        whole = _checked(put(example, root / f"whole-{example}"), asked)
        left = [one for one in test_files_check.EDITS if one[0] == example]
        while left:
            now = list({key: (key, change) for _, key, change, _ in reversed(left)}.values())
            chosen = [next(one for one in left if one[1] == key) for key, _ in now]
            left = [one for one in left if one not in chosen]
            folder = put(example, _anew(root))
            for _, key, change, _ in chosen:
                edit(folder, key, change)
            yield f"## {example}: {', '.join(one[1] for one in chosen)}"
            yield from _changed(whole, _checked(folder, asked))
        for name, spoil in _SPOILED.items():
            folder = put(example, _anew(root))
            spoil(folder)
            yield f"## {example}: {name}"
            yield from _changed(whole, _checked(folder, asked))


def _beside(folder: Path) -> None:
    rules = {"round": "v5.1", "benchmark": "deepseek-r1", "scenario": "server"}
    told = {"plan": {"rules": rules, "quick": True}, "verdict": "INVALID", "failures": {"timeout": 3}}
    (folder / "loadcell.json").write_text(json.dumps(told))


_SPOILED: dict[str, Callable[[Path], object]] = {
    "a summary of another run": lambda folder: put(
        INTERACTIVE if (folder / "accuracy.txt").exists() else STREAM, folder, SUMMARY
    ),
    "a cut log": lambda folder: (folder / "mlperf_log_detail.txt").write_bytes(
        (folder / "mlperf_log_detail.txt").read_bytes()[:-40]
    ),
    "no detail": lambda folder: (folder / "mlperf_log_detail.txt").unlink(),
    "no marks": lambda folder: (folder / "mlperf_log_detail.txt").write_text("nothing\n"),
    "driven": _beside,
    "a rate": lambda folder: (folder / "user.conf").write_text("*.Server.target_qps = 64\n*.*.x = y\n"),
    "scores": lambda folder: (folder / "accuracy.txt").write_text("{'rouge1': 30.0, 'gen_len': 3, 'gen_num': 2}\n"),
}


def submissions(root: Path) -> Iterator[str]:
    """A submission of either layout, as it is and damaged."""
    first = _checked(test_files_tree.submission(_anew(root), late=False))
    yield from ("## whole", *first)
    yield "## layout of later rounds"
    yield from _checked(test_files_tree.submission(_anew(root), late=True).parent, Asked(round="v6.0"))
    for name in _table(test_files_tree.test_a_damaged_submission_fails_by_the_name_of_the_rule, "name"):
        organisation = test_files_tree.submission(_anew(root), late=False)
        test_files_tree.damage(name)(organisation)
        yield f"## {name}"
        yield from _changed(first, _checked(organisation))


def _table(test: Any, names: str) -> list[Any]:
    """The rows of a parametrised test; of `name` alone its first column."""
    (mark,) = (mark for mark in test.pytestmark if mark.name == "parametrize")
    return [one[0] for one in mark.args[1]] if names == "name" else list(mark.args[1])


# --- the Endpoints client's output, points of a curve -----------------------------------------------------------------


def endpoints(root: Path) -> Iterator[str]:
    whole = _checked(test_files_tree.endpoints(root / "Server"), test_files_tree.DEEPSEEK)
    yield from ("## whole", *whole)
    for scenario in ("interactive", "offline"):
        yield f"## as {scenario}"
        yield from _changed(whole, _checked(root / "Server", Asked("v6.1", "deepseek-r1", scenario)))
    yield "## as v6.0, unnamed"
    yield from _changed(whole, _checked(root / "Server", Asked(round="v6.0", benchmark="deepseek-r1")))
    for path, value, _ in _table(test_files_tree.test_an_edited_summary_fails_by_the_name_of_the_rule, "all"):
        folder = test_files_tree.endpoints(_anew(root))
        file = folder / "performance" / "result_summary.json"
        tree = inner = json.loads(file.read_text())
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        file.write_text(json.dumps(tree))
        yield f"## {'.'.join(path)}: {value}"
        yield from _changed(whole, _checked(folder, test_files_tree.DEEPSEEK))
    for config, _ in _table(test_files_tree.test_a_wrong_configuration_fails_by_the_name_of_the_rule, "all"):
        folder = test_files_tree.endpoints(_anew(root), **config)
        yield f"## {config}"
        yield from _changed(whole, _checked(folder, test_files_tree.DEEPSEEK))
    for name in (
        "measurements.json",
        "accuracy/accuracy_results.json",
        "config.yaml",
        "performance/result_summary.json",
    ):
        folder = test_files_tree.endpoints(_anew(root))
        (folder / name).write_text("{}")
        yield f"## empty {name}"
        yield from _changed(whole, _checked(folder, test_files_tree.DEEPSEEK))


def points(root: Path) -> Iterator[str]:
    """Points in folders, and rules of a curve over what they say."""
    test_files_tree.curve(root / "whole")
    whole = _checked(root / "whole")
    yield from ("## whole", *whole)
    for more, _ in _table(test_files_tree.test_an_edited_point_fails_by_the_name_of_the_rule, "all"):
        test_files_tree.point_edit(test_files_tree.curve(_anew(root)), "r20", **more)
        yield f"## {more}"
        yield from _changed(whole, _checked(root / "made"))
    curve, rules = test_curve_checks.curve, endpoints_rules()
    good = _lines(check_points(curve(), rules))
    yield from ("## rules", *good)
    for number, (fields, _) in enumerate(_table(test_curve_checks.test_one_wrong_point_fails_by_name, "all")):
        yield f"## point {number}: {', '.join(fields)}"
        yield from _changed(good, _lines(check_points(curve(c42=fields), rules)))
    for number, (all_of_them, _) in enumerate(_table(test_curve_checks.test_the_curve_as_a_whole_fails_by_name, "all")):
        yield f"## curve {number}"
        yield from _changed(good, _lines(check_points(all_of_them, rules)))
    for field, _ in _table(test_curve_checks.test_what_is_not_told_is_not_judged_and_no_pass, "all"):
        untold = [msgspec.structs.replace(p, **{field: None}) if p.concurrency == 42 else p for p in curve()]
        yield f"## without {field}"
        yield from _changed(good, _lines(check_points(untold, rules)))


def curves(root: Path) -> Iterator[str]:
    """A curve on the console, and judged again from its folder, as it is and with a point gone."""
    for width in (80, 120):
        curve = test_curve_page.made(notes=["a note"])
        yield f"## {width} columns"
        yield _printed(lambda console, curve=curve: print_curve(curve, console, Path("curve")), width)
        yield from map(point_line, curve.points)
    folder = test_files_curve.write(root / "own")
    whole = _checked(folder)
    yield from ("## own", *whole)
    (folder / "r9" / "recording.json").unlink()
    yield from ("## a point gone", *_changed(whole, _checked(folder)))
    for path in sorted(export(test_files_curve.write(root / "again"), "endpoints", root / "out"))[:3]:
        yield from (f"## {path.relative_to(root)}", path.read_text())
    yield from ("## check of the export", *_checked(root / "out"))


# --- our own runs -----------------------------------------------------------------------------------------------------


def judged(root: Path) -> Iterator[str]:
    """Findings on figures and facts: a good run, and one thing wrong at a time."""
    judged_as = test_judge._judge
    good = _lines(list(judged_as(test_judge.GOOD_QUERIES, made_plan(made_rules())).values()))
    yield from ("## good", *good)
    for rule, queries, rules, facts, _ in test_judge._WRONG:
        found = judged_as(
            made_queries([200.0] * 500, **queries), made_plan(made_rules(**rules), target_qps=10.0), **facts
        )
        yield f"## {rule}: {[*queries, *rules, *facts]}"
        yield from _changed(good, _lines(list(found.values())))
    for rule, plan, rules, facts, _ in test_judge._NOTED:
        found = judged_as(test_judge.GOOD_QUERIES, made_plan(made_rules(**rules), **plan), **facts)
        yield f"## {rule}: {[*plan, *rules, *facts]}"
        yield from _changed(good, _lines(list(found.values())))
    for scenario, count in (("interactive", 500), ("singlestream", 40), ("singlestream", 200), ("multistream", 800)):
        per_query = 8 if scenario == "multistream" else 1
        found = judged_as(made_queries([200.0] * count, per_query=per_query), made_plan(made_rules(scenario)))
        yield from (f"## {scenario} {count}", *_lines(list(found.values())))
    rules = made_rules("offline", min_duration_s=600.0, min_queries=1, offline_min_samples=600)
    queries = made_queries([50_000.0] * 500, scheduled_ms=0.0, one_query=True, failed=[3])
    yield from ("## offline", *_lines(list(judged_as(queries, made_plan(rules)).values())))


def outcomes(root: Path) -> Iterator[str]:
    """Outcomes on the console, narrow and wide, and what the check finds in their folders."""
    made: dict[str, tuple[Any, list[dict[str, Any]], dict[str, Any]]] = {
        "good": (made_plan(made_rules(), target_qps=10.0), [row(i, i * 100.0) for i in range(500)], {}),
        "late": (
            made_plan(made_rules(), target_qps=10.0, quick=True, shortened=["less"], history=["INVALID at 12/s"]),
            [row(i, i * 100.0, gap_ms=40 if i % 9 else 20, ttft_ms=50 if i % 90 else 800) for i in range(300)], {},
        ),
        "cut off": (
            made_plan(made_rules("interactive"), look_alike=True), [row(i, i * 100.0) for i in range(100)],
            {"state": "interrupted", "effective": {"model": "another", "ignore_eos": True}},
        ),
        "offline": (
            made_plan(made_rules("offline", offline_min_samples=64, min_queries=1)),
            [row(i, 0, ttft_ms=50 + i, tokens=6) for i in range(60)], {"loop": "closed"},
        ),
        "streams": (
            made_plan(made_rules("singlestream", min_queries=64)),
            [row(i, i * 300.0, tokens=6 + i % 2, cached_tokens=40) for i in range(100)], {"loop": "closed"},
        ),
        "failing": (
            made_plan(made_rules()),
            [row(i, i * 100.0) | ({} if i % 7 else {"status": "failed", "error_kind": "http_500", "error": "no",
                                                    "output_tokens": None}) for i in range(100)], {},
        ),
    }  # fmt: skip
    for name, (plan, rows, more) in made.items():
        plan = msgspec.structs.replace(plan, spec=_SPEC)
        write_run(root / name, plan, rows, [i % 10 for i in range(len(rows))], **more)
        found = outcome(root / name)
        for width in (80, 120):
            yield f"## {name}, {width} columns"
            yield _printed(lambda console, found=found, name=name: print_outcome(found, console, Path(name)), width)
        yield f"## {name}, as JSON"
        yield msgspec.json.format(msgspec.json.encode(found.score), indent=1).decode()
        yield from _lines(found.findings)


def exports(root: Path) -> Iterator[str]:
    """Every file of an export of a small run, and what the check finds in it and in the run."""
    run = test_files_export.server_run(root / "run", test_files_export.small_rules(), rate=20.0)
    rules = made_rules(benchmark="llama3.1-8b", accuracy_sample_count=test_files_export.SMALL)
    test_files_export.scored(run, rules, {"ROUGE1": 30.0, "GEN_LEN": 900.0}, tokens_per_sample=56.25)
    test_files_export.recorded_replies(run, rules)
    yield from ("## run", *_checked(run))
    for form in ("endpoints", "loadgen-like"):
        for path in export(run, form, root / form):
            yield f"## {form}: {path.relative_to(root)}"
            yield path.read_text()
        yield from (f"## {form}: check", *_checked(root / form))


# --- accuracy, and LoadGen as the generator ---------------------------------------------------------------------------


def accuracies(root: Path) -> Iterator[str]:
    """Replies of a file, right and not, on the console and as JSON."""
    for benchmark, scenario in (("llama2-70b-99.9", "server"), ("llama3.1-8b", "offline"), ("gpt-oss-120b", "server")):
        rules = find_rules(None, benchmark, scenario)
        samples = find_dataset(rules, None, look_alike=True, samples=None, accuracy=True).samples
        for name, every, samples_left in (("right", 1, len(samples)), ("some wrong", 3, len(samples) - 2)):
            rows = (
                {"sample": i, "text": (sample.reference or "") if i % every == 0 else "no" * (i % 2), "tokens": 100 + i}
                for i, sample in enumerate(samples[:samples_left])
            )
            (root / "replies.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
            words = ["--replies", "replies.jsonl", "--benchmark", benchmark, "--scenario", scenario, "--look-alike"]
            for form in ([], ["--json"]):
                yield f"## {benchmark} {scenario}, {name} {form}"
                yield _run("accuracy", *words, *form)


def _run(*words: str) -> str:
    """What `loadcell mlperf` prints, and its exit code."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        code = main(["mlperf", *words])
    return f"{out.getvalue()}{err.getvalue()}exit {code}"


def driven(root: Path) -> Iterator[str]:
    """What is said of a run of LoadGen: a good one, and one with failures."""
    rules = msgspec.structs.replace(find_rules("v5.1", "deepseek-r1", "server"), min_duration_s=0.5, min_queries=20)
    plan = made_plan(rules, target_qps=60.0)
    put(SERVER, root / "logs")
    traffic = server_traffic(
        rules.seeds, rules.performance_sample_count, 60.0, min_queries=20, min_duration_s=0.5,
        equal_issue=rules.equal_issue,
    )  # fmt: skip
    assert traffic.scheduled_ns is not None
    for name, failures in (("good", {}), ("failing", {"timeout": 2})):
        n = len(traffic.samples)
        at = traffic.scheduled_ns + 5_000
        ok = np.arange(n) >= sum(failures.values())
        columns = [np.arange(n), traffic.samples, at, at + 9_000, at + 10**7, at + 10**7 + 700, at + 2 * 10**8,
                   at + 2 * 10**8 + 900, np.full(n, 50), ok]  # fmt: skip
        errors = dict.fromkeys(failures, "not complete after 1 s")
        ended = Ended(failures=failures, errors=errors, token_sources={"usage": n}, id_sources={"server": n})
        heard = Heard(state="complete", rows=np.stack(columns, axis=1).astype(np.int64), ended=ended)
        asked = Drive(
            plan=plan, spec=build_spec({"endpoint": {"url": "http://localhost:8000"}}), accuracy=False, settings={},
            loadgen="6.0.17", started_at="2026-01-01T00:00:00+00:00",
        )  # fmt: skip
        found = judge(asked, heard, ["a note"], root / "logs", str)
        yield from (f"## {name}", *_lines(found.findings))
        yield _printed(lambda console, found=found: print_driven(found, console, Path("logs")))
    cut = judge(asked, Heard(state="died", why="by signal 9"), [], root / "logs", str)
    yield from ("## died", *_lines(cut.findings))
    yield _printed(lambda console: print_driven(cut, console, Path("logs")))


_ALL = (
    loadgen_logs,
    edited_logs,
    submissions,
    endpoints,
    points,
    curves,
    judged,
    outcomes,
    exports,
    accuracies,
    driven,
)
CASES: dict[str, Callable[[Path], Iterator[str]]] = {case.__name__: case for case in _ALL}

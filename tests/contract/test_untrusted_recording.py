"""A recording may come from anywhere: nothing in it is believed unseen, and nothing is sent for it unasked."""

from __future__ import annotations

import json
import os
import pty
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from contract_runs import run_once
from scripted import serve

from loadcell.cli.main import main
from loadcell.cli.replay import ask_trust
from loadcell.errors import RecordingError, UsageError
from loadcell.metrics import build_result
from loadcell.recording.read import open_recording
from loadcell.recording.seal import MANIFEST, altered, files_of

Copy = Callable[[], Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good recording of ten requests of four tokens, in an open loop."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with serve() as server:
        run_once(server.url, folder, requests=10, rate=200, every_s=0.1)
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Copy:
    def make() -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(whole, tmp_path / "run")
        return tmp_path / "run"

    return make


def part(folder: Path, kind: str) -> Path:
    return next(iter(sorted(folder.glob(f"{kind}*.parquet"))))


def unseal(folder: Path) -> None:
    """Take the checksums away: what is wrong is to be found without them."""
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"files": None, "sha256": None}))


def rewrite(folder: Path, kind: str, select: str) -> Path:
    """Write a part anew as a SELECT of its rows (`old`)."""
    file = part(folder, kind)
    with duckdb.connect() as database:
        database.execute(f"create table old as select * from '{file}'")
        database.execute(f"copy ({select}) to '{file}' (format parquet)")
    unseal(folder)
    return file


def report(folder: Path, capsys: Capture) -> tuple[int, Any, str]:
    capsys.readouterr()
    code = main(["report", str(folder), "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


# --- checksums -------------------------------------------------------------------------------------------------------


def test_a_sealed_recording_is_as_it_was_written(whole: Path, capsys: Capture) -> None:
    assert altered(whole) == []
    code, result, _ = report(whole, capsys)
    assert result["run"]["sealed"] is True
    assert not [reason for reason in result["invalid"] if "checksums" in reason] and code in (0, 4)


def test_every_flipped_bit_is_named(whole: Path, copy: Copy, capsys: Capture) -> None:
    """In every file, at several places: either the figures are as they were, or the file is named."""
    _, sound, _ = report(whole, capsys)
    for name in [MANIFEST, *files_of(whole)]:
        size = (whole / name).stat().st_size
        for place in (size // 3, size - size // 5 - 1):
            folder = copy()
            data = bytearray((folder / name).read_bytes())
            data[place] ^= 1
            (folder / name).write_bytes(bytes(data))
            code, result, err = report(folder, capsys)
            if result is None:
                assert code == 1 and err.count("\n") == 1 and (name in err or "format" in err), (name, place, err)
            elif result["invalid"] == sound["invalid"]:
                blank = name == MANIFEST and json.loads((folder / name).read_bytes()) == json.loads(
                    (whole / name).read_bytes()
                )
                assert blank, (name, place)
            else:
                assert code == 4 and any(name in reason for reason in result["invalid"]), (name, place)


@pytest.mark.parametrize("kind", ["requests", "chunks", "schedule", "looks"])
def test_rows_that_cannot_be_read_name_their_file(whole: Path, copy: Copy, kind: str) -> None:
    """Wherever the bit lies: in a column that the first look reads, or in one that only the figures need."""
    name, refused = part(whole, kind).name, 0
    sound = (whole / name).read_bytes()
    for place in range(4, len(sound), max(1, len(sound) // 15)):
        folder, data = copy(), bytearray(sound)
        data[place] ^= 64
        (folder / name).write_bytes(bytes(data))
        try:
            build_result(open_recording(folder))
        except RecordingError as error:
            refused += 1
            assert name in str(error) or "format" in str(error), (place, str(error))
    assert refused or kind != "schedule"  # without the others a result is INVALID and says so


@pytest.mark.parametrize("field", ["files", "sha256"])
def test_a_seal_without_one_of_its_fields_is_none(copy: Copy, capsys: Capture, field: str) -> None:
    folder = copy()
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace(f'"{field}":', f'"{field.upper()}":'))
    code, result, _ = report(folder, capsys)
    assert code == 4 and any(MANIFEST in reason for reason in result["invalid"])


def test_files_that_go_or_come_are_named(copy: Copy, capsys: Capture) -> None:
    folder = copy()
    shutil.copy(part(folder, "chunks"), folder / "chunks-7-00000.parquet")
    (folder / "audit-0.json").unlink()
    code, result, _ = report(folder, capsys)
    said = " ".join(result["invalid"])
    assert code == 4 and "chunks-7-00000.parquet (not of this run)" in said and "audit-0.json (gone)" in said


def test_an_older_one_is_read_and_said_only_in_full(copy: Copy, capsys: Capture) -> None:
    folder = copy()
    unseal(folder)
    _, result, _ = report(folder, capsys)
    assert result["run"]["sealed"] is False and not any("checksum" in reason for reason in result["invalid"])
    main(["report", str(folder)])
    assert "checksums" not in capsys.readouterr().out
    main(["report", str(folder), "--full"])
    assert "no checksums" in " ".join(capsys.readouterr().out.split())


# --- parts -----------------------------------------------------------------------------------------------------------

CANNOT_BE = {
    "a time before the start": ("requests", "select * replace (-5 as end_ns) from old", "end_ns that cannot be"),
    "an end before its send": (
        "requests", "select * replace (send_start_ns - 5000000 as end_ns, null::bigint as last_ns, "
        "null::bigint as first_any_ns, null::bigint as first_answer_ns) from old", "before it was sent"),
    "an end after the run": (
        "requests", "select * replace (end_ns + 900000000000 as end_ns) from old", "after the run"),
    "a request twice": ("requests", "from old where request < 8 union all from old where request < 1", "twice"),
    "a number beyond the schedule": ("requests", "select * replace (request + 5 as request) from old", "the schedule"),
    "a status of its own": ("requests", "select * replace ('great' as status) from old", "status"),
    "text for numbers": ("requests", "select * replace ('x' as request) from old", "VARCHAR"),
    "numbers for text": ("requests", "select * replace (7 as status) from old", "status is INTEGER"),
    "lists for numbers": ("requests", "select * replace ([end_ns] as end_ns) from old", "BIGINT[]"),
    "more rows than planned": ("requests", "select * from old, range(3)", "room for 10"),
    "tokens below 0": ("requests", "select * replace (-4 as output_tokens) from old", "output_tokens"),
    "an event of no request": ("chunks", "select * replace (99 as request) from old", "schedule"),
    "an event before the start": ("chunks", "select * replace (-1 as t_ns) from old", "outside the time"),
    "an event of text": ("chunks", "select * replace ('1' as t_ns) from old", "VARCHAR"),
}  # fmt: skip


@pytest.mark.parametrize("what", CANNOT_BE)
def test_rows_that_cannot_be_are_named_and_not_computed_with(what: str, copy: Copy, capsys: Capture) -> None:
    kind, select, says = CANNOT_BE[what]
    folder = copy()
    file = rewrite(folder, kind, select)
    code, result, err = report(folder, capsys)
    assert code == 4 and result["verdict"]["word"] == "INVALID" and "Traceback" not in err
    reason = next(reason for reason in result["invalid"] if file.name in reason)
    assert says in reason
    if kind == "requests":
        assert result["latency"]["ttft_ms"]["service"]["max"] is None


@pytest.mark.parametrize(
    ("select", "says"),
    [
        ("select * from old limit 3", "3 rows, and 10 were planned"),
        ("select * replace (request + 1 as request) from old", "a number of a request"),
        ("select * replace (-1 as planned_ns) from old", "below 0"),
        ("select * replace ('x' as planned_ns) from old", "VARCHAR"),
        ("select * exclude (request) from old", "no column request"),
    ],
)
def test_a_schedule_that_cannot_be(select: str, says: str, copy: Copy, capsys: Capture) -> None:
    folder = copy()
    rewrite(folder, "schedule", select)
    code, result, err = report(folder, capsys)
    assert (code, result, err.count("\n")) == (1, None, 1) and "schedule.parquet" in err and says in err


LIMITED = """
import sys
from loadcell.cli.main import main
code = main(["report", sys.argv[1], "--json"])
status = open("/proc/self/status").read()  # ru_maxrss would be that of the program which started this one
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024, code, file=sys.stderr)
"""


@pytest.mark.parametrize(("kind", "rows"), [("requests", 10_000_000), ("chunks", 30_000_000), ("schedule", 30_000_000)])
def test_a_small_file_that_unpacks_to_much_takes_no_memory(kind: str, rows: int, copy: Copy) -> None:
    """Gigabytes: a request has more columns than an event."""
    folder = copy()
    file = part(folder, kind)
    with duckdb.connect() as database:
        first = f"(select * from '{file}' limit 1)"
        database.execute(f"copy (select r.* from {first} r, range({rows})) to '{file}' (format parquet)")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["effective"]["rows"] = rows if kind == "schedule" else manifest["effective"]["rows"]
    (folder / MANIFEST).write_text(json.dumps(manifest | {"files": None, "sha256": None}))
    assert file.stat().st_size < 4_000_000
    done = subprocess.run([sys.executable, "-c", LIMITED, str(folder)], capture_output=True, text=True, check=False)
    *_, last = done.stderr.splitlines()
    peak, code = map(int, last.split())
    assert peak < 600_000_000, f"{peak:,} bytes"
    assert code == (1 if kind == "schedule" else 4)
    assert f"{rows:,} rows" in done.stderr + done.stdout


# --- links, pipes and devices ----------------------------------------------------------------------------------------


@pytest.fixture(params=["a link", "a pipe", "a folder"])
def spoil(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    def link(file: Path) -> None:
        file.rename(file.with_name("elsewhere"))
        file.symlink_to(file.with_name("elsewhere"))

    def pipe(file: Path) -> None:
        file.unlink()
        os.mkfifo(file)

    def folder(file: Path) -> None:
        file.unlink()
        file.mkdir()

    return {"a link": link, "a pipe": pipe, "a folder": folder}[request.param]


NAMES = ("recording.json", "spec.json", "environment.json", "audit-0.json", "host.json", "schedule.parquet")


@pytest.mark.parametrize("name", [*NAMES, "requests-0-00000.parquet", "chunks-0-00000.parquet", "sources.json"])
def test_what_is_no_plain_file_is_not_opened(
    name: str, copy: Copy, spoil: Callable[[Path], None], capsys: Capture
) -> None:
    folder = copy()
    unseal(folder)
    spoil(folder / name)
    code, result, err = report(folder, capsys)  # a pipe that was opened would hang here
    said = err + json.dumps(result)
    assert name in said and ("link" in said or "no plain file" in said or "cannot be read" in said)
    assert code == 1 if name in NAMES else code in (0, 4)
    for words in (["query", "select count(*) from requests", str(folder)], ["run", str(folder), "--rate", "x"]):
        assert main(words) in (0, 1, 2)
        assert "Traceback" not in capsys.readouterr().err


# --- JSON of any form ------------------------------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (None, "x", -1, 1e308, 2**70, True, [], {}, [1], {"a": 1}, [[]], "9" * 400)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value of a tree by its path; of lists the first only."""
    yield path
    inner = tree.items() if isinstance(tree, dict) else list(enumerate(tree))[:1] if isinstance(tree, list) else ()
    for key, value in inner:
        yield from places(value, (*path, key))


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    inner = put(tree[path[0]], path[1:], value)
    return tree | {path[0]: inner} if isinstance(tree, dict) else [inner, *tree[1:]]


CASES = 12
"""Of each file, drawn from all fields and values; every one of them takes minutes."""
READERS = (["report", "RUN", "--json"], ["report", "RUN"], ["query", "select * from runs", "RUN"])


@pytest.mark.parametrize(
    "name", ["recording.json", "spec.json", "environment.json", "audit-0.json", "host.json", "sources.json"]
)
def test_json_of_any_form_gives_words(name: str, copy: Copy, capsys: Capture) -> None:
    """Every field with values of other kinds: a figure, or one line that names the file; never a traceback."""
    folder = copy()
    unseal(folder)
    sound = json.loads((folder / name).read_text())
    every = [(path, value) for path in places(sound) for value in WRONG]
    for number, (path, value) in enumerate(random.Random(name).sample(every, min(len(every), CASES))):
        (folder / name).write_text(json.dumps(put(sound, path, value)))
        words = [word.replace("RUN", str(folder)) for word in READERS[number % len(READERS)]]
        try:
            code = main(words)
        except Exception as error:
            raise AssertionError(f"{name} {path} {value!r} {words[0]}: {error!r}") from error
        err = capsys.readouterr().err
        if code == 1 and err:
            assert err.count("\n") == 1 and name in err, (path, value, err)


@pytest.mark.parametrize("name", ["recording.json", "spec.json", "environment.json", "audit-0.json", "host.json"])
def test_deep_json_gives_words(name: str, copy: Copy, capsys: Capture) -> None:
    folder = copy()
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    sound = (folder / name).read_text().rstrip().removesuffix("}")
    (folder / name).write_text(f'{sound}, "deep": {deep}}}')
    code, result, err = report(folder, capsys)
    assert (code, result, err.count("\n")) == (1, None, 1) and name in err


# --- what is sent for it ---------------------------------------------------------------------------------------------


def named(folder: Path, **endpoint: Any) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    spec["endpoint"] |= endpoint
    spec["load"] |= {"requests": 2, "rate": None, "concurrency": 1}
    (folder / "spec.json").write_text(json.dumps(spec))


AGAIN = ("--json", "--no-html", "--observe-every", "0")


def test_no_variable_is_sent_for_a_recording_unasked(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("AWS_SECRET", "Zx9-not-for-others")
    folder = copy()
    with serve() as server:
        named(folder, url=server.url, api_key_env="AWS_SECRET")
        code = main(["run", str(folder), *AGAIN, "--output", str(tmp_path / "again")])
        err = capsys.readouterr().err
        assert code == 2 and server.received == []
        assert "AWS_SECRET" in err and server.url in err and "--trust" in err and err.count("\n") == 1
        assert not (tmp_path / "again").exists()
        trusted = main(["run", str(folder), "--trust", *AGAIN, "--output", str(tmp_path / "again")])
        assert trusted in (0, 4) and server.load[0].headers["authorization"] == "Bearer Zx9-not-for-others"


def test_no_file_is_sent_for_a_recording_unasked(copy: Copy, tmp_path: Path, capsys: Capture) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text('{"prompt": "my own diary"}\n')
    folder = copy()
    with serve() as server:
        named(folder, url=server.url)
        spec = json.loads((folder / "spec.json").read_text())
        spec["workload"]["prompts"] = str(mine)
        (folder / "spec.json").write_text(json.dumps(spec))
        assert main(["run", str(folder), *AGAIN, "--output", str(tmp_path / "again")]) == 2
        assert server.received == []
    err = capsys.readouterr().err
    assert str(mine) in err and server.url in err and "--trust" in err


def test_where_nothing_of_this_machine_is_sent_nothing_is_asked(copy: Copy, tmp_path: Path) -> None:
    folder = copy()
    with serve() as server:
        named(folder, url=server.url, api_key_env="NOT_SET_HERE")
        assert main(["run", str(folder), *AGAIN, "--output", str(tmp_path / "again")]) in (0, 4)
        assert server.load


def test_what_the_person_names_is_not_asked(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "Zx9-mine")
    folder = copy()
    with serve() as server:
        named(folder, url="http://127.0.0.1:9", api_key_env="OTHER")
        words = ["--set", f"endpoint.url={server.url}", "--api-key-env", "MINE", *AGAIN]
        assert main(["run", str(folder), *words, "--output", str(tmp_path / "again")]) in (0, 4)
        assert server.load[0].headers["authorization"] == "Bearer Zx9-mine"


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks(answer: str, copy: Copy, tmp_path: Path) -> None:
    folder = copy()
    with serve() as server:
        named(folder, url=server.url, api_key_env="AWS_SECRET")
        ours, theirs = pty.openpty()
        run = subprocess.Popen(
            [sys.executable, "-m", "loadcell", "run", str(folder), "--output", str(tmp_path / "again"), *AGAIN],
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"AWS_SECRET": "Zx9-key"},
        )  # fmt: skip
        os.write(ours, f"{answer}\n".encode())
        run.communicate(timeout=60)
        os.close(theirs)
        said = os.read(ours, 65536).decode()
        os.close(ours)
    assert "AWS_SECRET" in said and server.url in said and "[y/N]" in said
    assert bool(server.load) == (answer == "y") and (run.returncode in (0, 4)) == (answer == "y")


def test_open_recording_still_reads_it(whole: Path) -> None:
    recording = open_recording(whole)
    assert (recording.damaged, recording.damaged_beside, recording.altered) == ([], [], [])
    assert len(recording.requests(["request"])["request"]) == 10


@pytest.mark.parametrize(
    ("endpoint", "given", "asked"),
    [
        ({}, {"endpoint.url"}, False),
        ({"resolve": ["h:443:10.0.0.9"]}, {"endpoint.url"}, True),
        ({"verify_tls": False}, {"endpoint.url"}, True),
        ({"ca_file": "theirs.pem"}, {"endpoint.url"}, True),
        ({"ca_file": "mine.pem"}, {"endpoint.url", "endpoint.ca_file"}, False),
        ({"auth": "sigv4"}, set(), True),
        ({"auth": "sigv4"}, {"endpoint.url"}, True),
        ({"auth": "sigv4"}, {"endpoint.url", "endpoint.auth"}, False),
        ({"auth": "sigv4", "resolve": ["h:443:10.0.0.9"]}, {"endpoint.url", "endpoint.auth"}, True),
    ],
)
def test_nothing_that_proves_who_asks_goes_where_a_recording_alone_says(
    endpoint: dict[str, Any], given: set[str], asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host by name is as good as what says where that is, and who it is."""
    monkeypatch.setenv("A_KEY", "sk-secret")
    signs = "auth" in endpoint
    tree = {"endpoint": {"url": "https://h", "api_key_env": "NONE" if signs else "A_KEY", **endpoint}, "workload": {}}
    given = given if signs else {*given, "endpoint.api_key_env"}
    recorded: Any = SimpleNamespace(id="x")
    if not asked:
        ask_trust(tree, recorded, given, tmp_path, trusted=False)
        return
    with pytest.raises(UsageError, match="AWS credentials" if signs else "A_KEY"):
        ask_trust(tree, recorded, given, tmp_path, trusted=False)
    ask_trust(tree, recorded, given, tmp_path, trusted=True)

"""What the machine and its container allow is read and used: refused or fitted before the load, named after it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from contract_runs import Run, run_once, short_spec
from scripted import Scripted, clean, serve

from loadcell.errors import RecordingError, UsageError
from loadcell.load import crew, fit, fleet, machine, prepare
from loadcell.load.ahead import likely_rows
from loadcell.load.machine import groups, local_ports, memory_left, quota_cores, tasks_left, throttled, throttling
from loadcell.metrics import Result

MB = 1 << 20


def tree(root: Path, cgroup: str, mounts: str, **files: str) -> Path:
    """A system's root with the files that tell of control groups, by path."""
    for name, text in {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    "34 31 0:31 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n"
)
OWN_V1 = "4:memory:/docker/abc\n3:pids:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n"


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """Version 2 without a namespace: our group allows 3 cores, the one above it 1.5."""
    top = "sys/fs/cgroup/pod"
    files = {
        f"{top}/cpu.max": "150000 100000",
        f"{top}/cpu.stat": "usage_usec 9\nnr_periods 100\nnr_throttled 5\nthrottled_usec 2000\n",
        f"{top}/memory.max": "max",
        f"{top}/pids.max": "200",
        f"{top}/pids.current": "150",
        f"{top}/one/cpu.max": "300000 100000",
        f"{top}/one/cpu.stat": "usage_usec 9\nnr_periods 50\nnr_throttled 0\nthrottled_usec 0\n",
        f"{top}/one/memory.max": str(300 * MB),
        f"{top}/one/memory.current": str(250 * MB),
        f"{top}/one/memory.stat": f"anon 1\nfile 2\ninactive_file {30 * MB}\n",
        f"{top}/one/pids.max": "max",
    }
    return tree(tmp_path, "0::/pod/one\n", V2, **files)


def test_the_tightest_group_above_us_counts(container: Path) -> None:
    assert [str(folder.relative_to(container)) for folder in groups("cpu", container)] == [
        "sys/fs/cgroup/pod/one", "sys/fs/cgroup/pod", "sys/fs/cgroup",
    ]  # fmt: skip
    assert quota_cores(container) == 1.5
    assert memory_left(container) == 80 * MB  # what the file cache would give back is left too
    assert tasks_left(container) == 50
    assert {Path(name).name: told for name, told in throttling(container).items()} == {
        "pod": (100, 5, 2_000_000), "one": (50, 0, 0),
    }  # fmt: skip


def test_version_1_in_a_container(tmp_path: Path) -> None:
    """Its own group is what is mounted; the path that it is told is another's."""
    files = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_periods 40\nnr_throttled 10\nthrottled_time 7000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(100 * MB),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(90 * MB),
        "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {20 * MB}\n",
        "sys/fs/cgroup/pids/pids.max": "64",
        "sys/fs/cgroup/pids/pids.current": "4",
    }
    root = tree(tmp_path, OWN_V1, V1, **files)
    assert quota_cores(root) == 0.5
    assert throttling(root) == {str(root / "sys/fs/cgroup/cpu,cpuacct"): (40, 10, 7_000_000)}
    assert memory_left(root) == 30 * MB
    assert tasks_left(root) == 60


def test_no_limit_is_none(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/pids/pids.max": "max",
    }
    root = tree(tmp_path, OWN_V1, V1, **files)
    assert (quota_cores(root), tasks_left(root), throttling(root)) == (None, None, {})
    bare = tmp_path / "no such system"
    assert (quota_cores(bare), tasks_left(bare), throttling(bare), local_ports(bare)) == (None, None, {}, None)
    assert memory_left(root) > 0 and memory_left(bare) > 0


def test_this_system_is_read_without_an_error() -> None:
    assert quota_cores() is None or quota_cores() > 0  # type: ignore[operator]
    assert tasks_left() is None or isinstance(tasks_left(), int)
    assert machine.usable_cores() >= 1 and memory_left() > 0


def test_a_quota_counts_in_the_choice_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = short_spec("http://127.0.0.1:9", concurrency=2000, workers=None)
    monkeypatch.setattr(machine, "allowed_cores", lambda: list(range(16)))
    chosen = []
    for quota in (None, 100.0, 8.0, 3.9, 0.5):
        monkeypatch.setattr(machine, "quota_cores", lambda quota=quota: quota)
        chosen.append(prepare.worker_count(spec))
    assert chosen == [8, 8, 4, 1, 1]


# --- refused before the load -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("users", "workers", "limit", "says"),
    [
        (216, 1, 256, None),
        (400, 2, 256, None),
        (400, 1, 256, "400 users need 440 open files, and the hard limit is 256: at most 216 users fit"),
        (400, 1, 256, "--workers 2"),
        (1000, 2, 256, "1,000 users need 540 open files in each of 2 load processes"),
        (1000, 2, 256, "at most 432 users fit; give as many, or --workers 5"),
        (8, 1, 30, "needs 40 open files besides its connections, and the hard limit is 30"),
    ],
)
def test_open_files(monkeypatch: pytest.MonkeyPatch, users: int, workers: int, limit: int, says: str | None) -> None:
    monkeypatch.setattr(fit, "descriptor_limit", lambda: limit)
    told = refusal(lambda: fit.check_fit(short_spec("http://h:1", concurrency=users), workers))
    assert told is None if says is None else told is not None and says in told


def refusal(what: Callable[[], object]) -> str | None:
    try:
        what()
    except (RecordingError, UsageError) as error:
        return str(error)
    return None


def test_ports_processes_memory_and_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = short_spec("http://h:1", concurrency=300)
    monkeypatch.setattr(fit, "descriptor_limit", lambda: 65_536)
    for name, left, says in (
        ("local_ports", 200, "300 users need as many local ports, and there are 200 to one address: at most "
         "200 users fit"),
        ("tasks_left", 20, "4 load processes need about 50 processes and threads, and this container allows 20 more: "
         "give --workers 1"),
        ("tasks_left", 3, "none fits"),
        ("memory_left", 100 * MB, "4 load processes need about 192 MB of memory, and 100 MB are left here: "
         "give --workers 2"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(fit, name, lambda left=left: left)
            told = refusal(lambda: fit.check_fit(spec, 4))
            assert told is not None and says in told
    capped = short_spec("http://h:1", rate=5.0, concurrency=300)
    monkeypatch.setattr(fit, "local_ports", lambda: 200)
    assert "300 requests in flight" in (refusal(lambda: fit.check_fit(capped, 1)) or "")
    assert refusal(lambda: fit.check_disk(tmp_path, 1000, "it")) is None
    assert "cannot write it: it takes about 1000000000.0 GB, and the disk of" in (
        refusal(lambda: fit.check_disk(tmp_path, 10**18, "it")) or ""
    )


def test_a_recording_for_which_the_disk_has_no_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million requests of 1,000 tokens take 6 GB: more than the 1 GB that are left."""
    assert likely_rows(1000, 5000, 8, 0.5, None) == 1000
    assert likely_rows(None, 5000, 8, 0.5, 60_000_000_000) == 8 + 8 * 120
    assert likely_rows(None, 500, 8, 0.5, 60_000_000_000) == 500
    assert likely_rows(None, 5000, 8, None, 60_000_000_000) == 8

    def statvfs(_: object) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=250_000, f_frsize=4000)

    monkeypatch.setattr(fit.os, "statvfs", statvfs)
    with serve() as server:
        with pytest.raises(
            RecordingError, match=r"cannot write the recording: it takes about 6\.\d GB, .* has 1\.0 GB left"
        ):
            run_once(server.url, tmp_path / "run", requests=1_000_000, output_tokens="1000")
        assert server.load == []
    assert not (tmp_path / "run").exists()


def limited(limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def command(server: Scripted, folder: Path, *words: str, limit: int) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "loadcell", "run", server.url, "--output", str(folder), *words]
    return subprocess.run(run, check=False, preexec_fn=limited(limit), capture_output=True, text=True, timeout=120)


def test_too_many_users_for_the_open_files_are_refused_at_once(tmp_path: Path) -> None:
    with serve() as server:
        ran = command(server, tmp_path / "run", "--concurrency", "400", "--workers", "1", "--duration", "2s", limit=256)
        assert ran.returncode == 2 and server.received == []
    assert ran.stderr.splitlines() == [
        "loadcell: 400 users need 440 open files, and the hard limit is 256: at most 216 users fit; give as many, or "
        "--workers 2, or raise the limit (ulimit -Hn)"
    ]
    assert not (tmp_path / "run").exists()


def test_as_many_users_as_fit_are_measured(tmp_path: Path) -> None:
    with serve(lambda _: clean(1, 0.3)) as server:
        words = ["--concurrency", "60", "--workers", "1", "--requests", "120", "--ramp", "0s", "--output-tokens", "4"]
        ran = command(server, tmp_path / "run", *words, limit=100)
        assert "60 users need" not in ran.stderr and len(server.load) == 120
    audit = json.loads((tmp_path / "run" / "audit-0.json").read_bytes())
    assert audit["no_descriptors"] == 0 and audit["died"] is None


def test_an_open_loop_never_takes_the_last_files(tmp_path: Path) -> None:
    """60 requests in flight at once, files for 40: what has no connection fails as such, and the recording is whole."""
    with serve(lambda _: clean(1, 1.5)) as server:
        words = [
            "--rate",
            "200",
            "--requests",
            "80",
            "--workers",
            "1",
            "--arrivals",
            "constant",
            "--output-tokens",
            "4",
        ]
        ran = command(server, tmp_path / "run", *words, limit=70)
    assert "Traceback" not in ran.stderr
    audit = json.loads((tmp_path / "run" / "audit-0.json").read_bytes())
    assert audit["died"] is None and audit["no_descriptors"] > 0
    manifest = json.loads((tmp_path / "run" / "recording.json").read_bytes())
    assert manifest["state"] == "complete"


def test_a_soft_limit_is_raised(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < 256:
        pytest.skip("the hard limit is too low to tell")
    with serve(lambda _: clean(1, 0.2)) as server:
        words = ["--concurrency", "80", "--workers", "1", "--requests", "160", "--output-tokens", "4"]
        run = [sys.executable, "-m", "loadcell", "run", server.url, "--output", str(tmp_path / "run"), *words]
        soft = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))  # noqa: E731
        subprocess.run(run, check=False, preexec_fn=soft, capture_output=True, timeout=120)
        assert len(server.load) == 160


def test_a_process_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(crew.subprocess, "Popen", refuse)
    with serve() as server, pytest.raises(RecordingError, match="could not be started: Resource temporarily unav"):
        run_once(server.url, tmp_path / "run", requests=2)
    assert not (tmp_path / "run").exists()


# --- named after it --------------------------------------------------------------------------------------------------


def test_the_quota_that_held_back_most_is_told() -> None:
    before = {"a": (100, 5, 1000), "b": (100, 0, 0)}
    assert throttled(before, {"a": (150, 6, 1500), "b": (150, 20, 9000), "c": (9, 9, 9)}) == {
        "periods": 50, "throttled": 20, "throttled_ns": 9000,
    }  # fmt: skip
    assert throttled({}, {}) is None


def test_a_throttled_load_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([{"/pod": (100, 5, 0)}, {"/pod": (150, 17, 2_500_000_000)}])
    monkeypatch.setattr(fleet, "throttling", lambda: next(looks))
    with serve() as server:
        result: Result = run(server.url, requests=4).result
    assert result.instrument.host.throttled_share == 12 / 50 and result.instrument.host.throttled_s == 2.5
    (check,) = [check for check in result.verdict.checks if check.name == "throttled"]
    assert check.word == "NOTED" and check.says.startswith(
        "the container's quota of CPU time was used up in 24 % of its periods: its processes were put aside for 2.5 s"
    )
    assert check.advice is not None and "cpu.max" in check.advice


def test_without_a_quota_nothing_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "throttling", dict)
    with serve() as server:
        ran = run(server.url, requests=4)
    assert ran.result.instrument.host.throttled_share is None
    assert all(check.name != "throttled" for check in ran.result.verdict.checks)

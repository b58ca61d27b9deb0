"""The process in which a program written by a model runs. A script of its own: it imports the standard library alone.

Standard input, a JSON object a line: first the job, then tests, each answered by a line on standard output. With
"isolate", the process moves into namespaces of its own before it runs anything: it then sees Python's installation and
the system's libraries (read-only) and an empty folder in memory, no network, no other process, and it is nobody. A
filter refuses system calls (calls.py). Linux only. Where a step of that fails, it says so and runs nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import shutil
import signal
import struct
import sys
import time
import typing
from pathlib import Path

NEWNS, NEWIPC, NEWUTS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x4000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
MNT_DETACH, AT_FDCWD, AT_RECURSIVE, MOUNT_SETATTR = 2, -100, 0x8000, 442
READ_ONLY = 1 | MS_NOSUID | MS_NODEV  # the flags of mount_setattr have these values too
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
CAPABILITIES_3 = 0x20080522
JOIN_SESSION_KEYRING, LOOK_S, PROCESSES_UNSEEN = 1, 0.02, 5
NOBODY, HOME = 65534, "/cell"
MEMORY = ("RssAnon:", "RssShmem:", "VmSwap:")
DEVICES = ("null", "random", "urandom")  # of /dev/zero, memory could be mapped that nobody counts
PREAMBLE = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools",
    "functools", "operator", "io", "sys", "json", "typing",
)  # fmt: skip
Job = dict[str, typing.Any]


def main() -> None:
    job: Job = json.loads(sys.stdin.buffer.readline())
    try:
        if sys.platform == "linux":
            write("/proc/self/oom_score_adj", "1000")  # should memory run out, it is this that goes
            watch_others(job)
        if job["isolate"]:
            isolate(job)
            few = job["processes"] if "proc" in job else min(job["processes"], PROCESSES_UNSEEN)
            limit(resource.RLIMIT_NPROC, few)  # outside, it would count all that the user runs
        else:
            os.chdir(job["root"])
            if "proc" in job:  # what its parent leaves is ended too
                ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except OSError as error:
        say({"refused": str(error)})
        return
    try:
        say({"ready": True})
        for line in sys.stdin.buffer:
            say(run_test(job, json.loads(line)))
    finally:
        if not job["isolate"]:
            shutil.rmtree(job["root"], ignore_errors=True)  # who should do it may have been killed


def say(answer: Job) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


# --- moving out ------------------------------------------------------------------------------------------------------


def isolate(job: Job) -> None:
    """Become the first process of namespaces of its own; only that process returns. OSError names what failed."""
    if sys.platform != "linux":
        raise OSError("it takes the namespaces of Linux")
    libc = ctypes.CDLL(None, use_errno=True)

    def must(step: str, code: int) -> None:
        if code != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{step}: {os.strerror(number)}")

    must("end with the parent", libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    in_new_user_namespace(libc, must)
    must("namespaces", libc.unshare(NEWNS | NEWIPC | NEWUTS | NEWPID | NEWNET))
    move_root(libc, must, job)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    header, nothing = struct.pack("=Ii", CAPABILITIES_3, 0), bytes(24)
    must("capabilities", libc.capset(header, nothing))
    must("new privileges", libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    must("end with the parent", libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    wait_if_parent()
    must("end with the parent", libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    must("no tracing", libc.prctl(SET_DUMPABLE, 0, 0, 0, 0))
    refuse_calls(libc, must, job)


def refuse_calls(libc: ctypes.CDLL, must: typing.Callable[[str, int], None], job: Job) -> None:
    """A session keyring of its own, and from here on the filter; OSError if the kernel has none."""
    if libc.syscall(job["keyctl"], JOIN_SESSION_KEYRING, None) == -1:
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EPERM):  # it has no keys, or they are refused from here on anyway
            must("session keyring", -1)
    steps = bytes.fromhex(job["filter"])
    kept = ctypes.create_string_buffer(steps, len(steps))
    program = struct.pack("@HP", len(steps) // 8, ctypes.addressof(kept))
    must("filter of system calls", libc.prctl(SET_SECCOMP, 2, program, 0, 0))


def in_new_user_namespace(libc: ctypes.CDLL, must: typing.Callable[[str, int], None]) -> None:
    """Fork into a new user namespace; the old process maps the users, waits for the new one and ends with it.

    Root maps itself and nobody: a program that runs as root has no limit of processes. Others map themselves.
    """
    user, group = os.geteuid(), os.getegid()
    ready, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        must("user namespace", libc.unshare(NEWUSER))
        os.write(ready[1], b".")
        if os.read(mapped[0], 1) != b".":
            raise OSError("user namespace: its users could not be mapped")
        for end in (*ready, *mapped):
            os.close(end)
        return
    os.close(ready[1])
    if os.read(ready[0], 1):
        with contextlib.suppress(OSError):  # the child then says that it was not mapped
            extra = f"{NOBODY} {NOBODY} 1\n" if user == 0 else ""
            if user != 0:
                write(f"/proc/{child}/setgroups", "deny")
            write(f"/proc/{child}/uid_map", f"{user} {user} 1\n{extra}")
            write(f"/proc/{child}/gid_map", f"{group} {group} 1\n{extra}")
            os.write(mapped[1], b".")
    os.close(mapped[1])
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0x7F)


def wait_if_parent() -> None:
    """Fork: the child is process 1 of its namespace and returns; the parent ends with it."""
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0x7F)


def write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())  # a map must come in one write
    finally:
        os.close(descriptor)


def move_root(libc: ctypes.CDLL, must: typing.Callable[[str, int], None], job: Job) -> None:
    """Make job["root"] the root: a file system in memory, with job["binds"] from outside, read-only."""
    root = job["root"]

    def mount(what: str, where: str, kind: str | None, flags: int, options: str | None = None) -> None:
        words = (what.encode(), where.encode(), kind and kind.encode(), flags, options and options.encode())
        must(f"mount {where}", libc.mount(*words))

    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, f"size={job['files_mb']}m,mode=755")
    for path in job["binds"]:
        place = root + path
        if Path(path).is_symlink():
            Path(place).symlink_to(Path(path).readlink())
            continue
        Path(place).mkdir(parents=True, exist_ok=True)
        mount(path, place, None, MS_BIND | MS_REC)
        attributes = struct.pack("=QQQQ", READ_ONLY, 0, 0, 0)
        must(
            f"read-only {path}",
            libc.syscall(MOUNT_SETATTR, AT_FDCWD, place.encode(), AT_RECURSIVE, attributes, len(attributes)),
        )
    Path(f"{root}/dev").mkdir()
    for device in DEVICES:
        Path(f"{root}/dev/{device}").touch()
        mount(f"/dev/{device}", f"{root}/dev/{device}", None, MS_BIND)
    for folder in (HOME, "/tmp"):
        Path(root + folder).mkdir(exist_ok=True)
        Path(root + folder).chmod(0o1777)
    os.chdir(root)
    must("new root", libc.pivot_root(b".", b"."))
    must("old root", libc.umount2(b".", MNT_DETACH))
    os.chdir(HOME)


# --- running ---------------------------------------------------------------------------------------------------------


def run_test(job: Job, test: Job) -> Job:
    """Run the job's program once with a test's input, in a process of its own; what it wrote, and how it ended."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError, ValueError):
            os.close(out)
            become_program(job, test, into)
        os._exit(1)
    os.close(into)
    output, status = watch(child, out, time.monotonic() + test["wall_s"], job)
    os.close(out)
    return {"status": status, "output": output.decode("utf-8", "replace")}


def watch(child: int, out: int, deadline: float, job: Job) -> tuple[bytes, str]:
    """What `child` writes until it ends, is late, writes or holds too much; then it and all it started are killed."""
    output, ended, open_ = b"", None, True
    most, look, large = job["output_bytes"], 0.0, False
    while ended is None and len(output) <= most and not large and time.monotonic() < deadline:
        if time.monotonic() >= look:
            large, look = held_bytes(job) > job["memory_mb"] << 20, time.monotonic() + LOOK_S
        if open_ and select.select([out], [], [], LOOK_S)[0]:
            piece = os.read(out, 65536)
            output, open_ = output + piece, bool(piece)
        elif not open_:
            time.sleep(0.001)
        done, code = os.waitpid(child, os.WNOHANG)
        ended = code if done else None
    kill_all(child, ended is None, job)
    while open_ and len(output) <= most and select.select([out], [], [], 0)[0]:
        piece = os.read(out, 65536)
        output, open_ = output + piece, bool(piece)
    if len(output) > most:
        return b"", "output"
    if large:
        return b"", "memory"
    return output, "time" if ended is None else "ok" if ended == 0 else "failed"


def watch_others(job: Job) -> None:
    """Open the outer /proc, by which the processes below this one are found; not where it hides them."""
    job["proc"] = os.open("/proc", os.O_RDONLY)
    try:
        children_of(job, os.readlink("self", dir_fd=job["proc"]))
    except OSError:
        os.close(job.pop("proc"))


def held_bytes(job: Job) -> int:
    """Memory that all processes below this one hold, pages after a fork once for each."""
    kib = 0
    for process in processes(job):
        with contextlib.suppress(OSError):  # it has ended
            fields = (line.split() for line in read(job, f"{process}/status").splitlines())
            kib += sum(int(field[1]) for field in fields if field and field[0] in MEMORY)
    return kib << 10


def processes(job: Job) -> typing.Iterator[str]:
    """The processes below this one, by their numbers outside; none where they cannot be seen."""
    left = children_of(job, os.readlink("self", dir_fd=job["proc"])) if "proc" in job else []
    while left:
        process = left.pop()
        yield process
        with contextlib.suppress(OSError):
            left += children_of(job, process)


def children_of(job: Job, process: str) -> list[str]:
    """The processes that a process started, by any of its threads."""
    folder = os.open(f"{process}/task", os.O_RDONLY, dir_fd=job["proc"])
    try:
        threads = os.listdir(folder)  # noqa: PTH208 - of an open folder
    finally:
        os.close(folder)
    return [child for thread in threads for child in read(job, f"{process}/task/{thread}/children").split()]


def read(job: Job, path: str) -> str:
    """A short file of the outer /proc."""
    file = os.open(path, os.O_RDONLY, dir_fd=job["proc"])
    try:
        return os.read(file, 65536).decode("utf-8", "replace")
    finally:
        os.close(file)


def kill_all(child: int, alive: bool, job: Job) -> None:
    """Kill the child and what it started: all else in a process namespace of its own, else its group and all below."""
    alone = os.getpid() == 1
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if alone:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(child, signal.SIGKILL)
    if alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # it may not lead its group yet
        os.waitpid(child, 0)
    while not alone and (others := list(processes(job))):
        for process in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(process), signal.SIGKILL)
        reap()
    reap(wait=alone)


def reap(*, wait: bool = False) -> None:
    """Take leave of what has ended; with `wait`, of all."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, 0 if wait else os.WNOHANG)[0]:
            pass


def become_program(job: Job, test: Job, into: int) -> None:
    """Run the program in this process, and end it."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    answer = os.dup(into)
    given = os.open("input", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    Path("input").unlink()
    os.write(given, test["input"].encode())
    os.lseek(given, 0, os.SEEK_SET)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(given if job["kind"] == "stdin" else nowhere, 0)
    os.dup2(into if job["kind"] == "stdin" else nowhere, 1)
    os.dup2(nowhere, 2)
    keep = os.dup2(answer, 3)
    os.closerange(4, 4096)
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(test["wall_s"]) + 1),
        (resource.RLIMIT_FSIZE, job["files_mb"] << 20),
        (resource.RLIMIT_NOFILE, 64),
        *([(resource.RLIMIT_AS, job["memory_mb"] << 20)] if sys.platform == "linux" else []),  # macOS has none
    ):
        limit(what, value)
    sys.setrecursionlimit(50_000)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - they last
    code = 0
    try:
        result = PROGRAMS[job["kind"]](job, test)
        if result is not None:
            os.write(keep, result.encode())
    except SystemExit as end:
        code = 0 if end.code in (None, 0) else 1
    except BaseException:  # noqa: BLE001 - whatever the program raises, it failed
        code = 1
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def namespace(name: str) -> Job:
    """The names that a program may take for granted."""
    names: Job = {"__name__": name}
    for module in PREAMBLE:
        exec(f"import {module}", names)
        if module not in ("io", "sys", "json"):
            exec(f"from {module} import *", names)
    return names


def run_stdin(job: Job, test: Job) -> None:
    """Run it as a script that reads its input and prints its output."""
    exec(compile(job["code"], "reply", "exec"), namespace("__main__"))


def run_call(job: Job, test: Job) -> str:
    """Call its function, of the class Solution if there is one, with a JSON value a line; the result as JSON."""
    names = namespace("reply")
    exec(compile(job["code"], "reply", "exec"), names)
    home = names["Solution"]() if "Solution" in names else None
    function = getattr(home, job["function"]) if home is not None else names[job["function"]]
    return json.dumps(function(*(json.loads(line) for line in test["input"].split("\n") if line.strip())))


def run_script(job: Job, test: Job) -> str:
    """Run it with the test's code after it; what the test names is the answer if all of that came to its end."""
    names = namespace("__main__")
    exec(compile(job["code"], "reply", "exec"), names)
    exec(compile(test["input"], "test", "exec"), names)
    return str(test["token"])


PROGRAMS: dict[str, typing.Callable[[Job, Job], str | None]] = {
    "stdin": run_stdin,
    "call": run_call,
    "script": run_script,
}

if __name__ == "__main__":
    main()

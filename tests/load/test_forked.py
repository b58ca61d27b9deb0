"""A load process that is forked: it has the libraries of its parent, and nothing else of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.usefixtures("processes"),
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]


def script(body: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has no other thread, as a command has none."""
    code = "import os, signal, sys, threading\nfrom loadcell.load.forked import Forked, can_fork\n" + textwrap.dedent(
        body
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_it_hears_speaks_and_ends_with_a_status() -> None:
    done = script("""
        def work():
            sys.stdout.write("heard " + sys.stdin.read())
            return 7
        assert can_fork()
        child = Forked(work, [])
        assert child.poll() is None
        child.stdin.write(b"a job")
        child.stdin.close()
        print(child.stdout.read().decode(), child.wait(), child.poll(), child.returncode)
    """)
    assert (done.stdout, done.stderr) == ("heard a job 7 7 7\n", "")


def test_it_holds_no_file_but_those_it_is_given() -> None:
    done = script("""
        kept, other = os.open("/dev/null", os.O_RDONLY), os.open("/dev/zero", os.O_RDONLY)
        def work():
            def is_open(fd):
                try:
                    return bool(os.fstat(fd))
                except OSError:
                    return False
            return is_open(kept) + 2 * is_open(other) + 4 * any(map(is_open, range(other + 1, 100)))
        child = Forked(work, [kept])
        print(child.wait(), os.fstat(other) is not None)
    """)
    assert done.stdout == "1 True\n", done.stderr


def test_signals_that_its_parent_answers_end_it() -> None:
    done = script("""
        signal.signal(signal.SIGTERM, lambda *_: print("no"))
        def work():
            sys.stdout.write("up\\n")
            sys.stdout.flush()
            sys.stdin.read()
            return 0
        child = Forked(work, [])
        child.stdout.readline()
        print(os.getpgid(child.pid) == child.pid)
        os.kill(child.pid, signal.SIGTERM)
        print(child.wait())
        child.kill()
    """)
    assert done.stdout == "True\n-15\n", done.stderr


def test_what_goes_wrong_in_it_is_told_and_stays_in_it() -> None:
    done = script("""
        def work():
            raise ValueError("no")
        print(Forked(work, []).wait())
    """)
    assert done.stdout == "1\n" and done.stderr.count("ValueError: no") == 1


def test_it_is_killed() -> None:
    done = script("""
        child = Forked(lambda: sys.stdin.read() and 0, [])
        child.kill()
        print(child.wait())
    """)
    assert done.stdout == "-9\n", done.stderr


def test_nothing_is_forked_beside_another_thread() -> None:
    done = script("""
        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        print(can_fork())
        over.set()
        thread.join()
        print(can_fork())
    """)
    assert done.stdout.splitlines()[0] == "False"


def test_a_command_forks_its_load_processes(tmp_path: Path) -> None:
    """None of its libraries has started a thread before it does."""
    done = script(f"""
        os.environ.pop("OPENBLAS_NUM_THREADS", None)
        from loadcell.cli.main import main
        from loadcell.load import forked
        def asked():
            print(can_fork())
            sys.exit(0)
        forked.can_fork = asked
        sys.argv = ["loadcell", "run", "http://127.0.0.1:9", "--json", "--output", {str(tmp_path / "run")!r}]
        main()
    """)
    assert done.stdout == "True\n", done.stderr

"""Programs of replies: what they may do, and what hostile ones cannot."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from loadcell.mlperf.accuracy import sandbox
from loadcell.mlperf.accuracy.missing import Unavailable
from loadcell.mlperf.accuracy.programs import can_run, code_of, passes, same_output, same_value
from loadcell.mlperf.accuracy.sandbox import Answer, Limits, NotIsolated, Program, check_isolation, running
from loadcell.mlperf.datasets import Sample

pytestmark = pytest.mark.usefixtures("processes")

QUICK = Limits(wall_s=1.0, memory_mb=512, output_bytes=100_000)


@pytest.fixture(scope="module")
def isolation() -> None:
    try:
        check_isolation()
    except NotIsolated as why:
        pytest.skip(str(why))


def tried(code: str, given: str = "", *, isolated: bool = True, limits: Limits = QUICK) -> Answer:
    with running(Program(code, "stdin"), isolated=isolated, limits=limits) as ask:
        return ask(given)


@pytest.mark.usefixtures("isolation")
class TestIsolated:
    def test_a_program_reads_and_prints(self) -> None:
        code = "import sys, math\nprint(math.isqrt(int(input())), sys.stdin.read().split())"
        assert tried(code, "49\na b\n") == Answer("ok", "7 ['a', 'b']\n")

    def test_the_end_by_exit_is_an_end(self) -> None:
        assert tried("print(1)\nraise SystemExit") == Answer("ok", "1\n")
        assert tried("import sys; sys.exit(3)").status == "failed"
        assert tried("raise ValueError").status == "failed"
        assert tried("not python").status == "failed"

    def test_what_never_ends_is_ended(self) -> None:
        start = time.monotonic()
        assert tried("while True: pass").status == "time"
        assert tried("import time; time.sleep(60)").status == "time"
        assert time.monotonic() - start < 50

    def test_memory_is_limited(self) -> None:
        assert tried("x = bytearray(1 << 30)").status == "failed"

    def test_output_is_limited(self) -> None:
        assert tried("while True: print('x' * 1000)").status == "output"

    def test_files_are_limited_and_gone(self, tmp_path: Path) -> None:
        fill = "open('f', 'wb').write(bytes(100 << 20))"
        assert tried(fill).status == "failed"
        assert tried("import os; print(os.listdir('.'), os.getcwd())").output == "[] /cell\n"

    def test_a_fork_bomb_is_held_and_gone(self) -> None:
        """It may have its time; nothing of it stays."""
        code = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
        before = _cells()
        assert tried(code).status in ("time", "failed")
        deadline = time.monotonic() + 30
        while _cells() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _cells() <= before

    def test_the_next_test_finds_no_process_of_the_last(self) -> None:
        code = (
            "import os, sys, time\nif input() == 'leave':\n    if os.fork() == 0:\n        os.setsid()\n"
            "        time.sleep(60)\nelse:\n    try:\n        os.kill(-1, 0); print('others')\n"
            "    except ProcessLookupError:\n        print('alone')"
        )
        with running(Program(code, "stdin"), limits=QUICK) as ask:
            assert ask("leave").status == "ok"
            assert ask("look").output.strip() == "alone"

    def test_the_home_and_other_files_cannot_be_seen(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("x")
        tmp_path.chmod(0o777)
        code = (
            "import os\nfor path in (input(), '/etc/passwd', '/proc/1/environ', '/run', '/sys'):\n"
            "    print(os.path.exists(path))"
        )
        assert tried(code, str(secret)).output.split() == ["False"] * 5

    @pytest.mark.parametrize("place", ["import os; path = os.__file__", "path = '/usr/lib/new'", "path = '/new'"])
    def test_nothing_outside_its_folder_can_be_written(self, place: str) -> None:
        code = f"{place}\ntry:\n    open(path, 'a'); print('written')\nexcept OSError as error:\n    print(error.errno)"
        assert tried(code).output.strip() in ("13", "30")  # permission denied, read-only file system

    def test_no_network_and_no_privileges(self) -> None:
        code = (
            "import socket, os, ctypes\nprint(os.getuid() != 0)\n"
            "for address in (('127.0.0.1', 22), ('192.0.2.1', 80)):\n    try:\n"
            "        socket.create_connection(address, 0.2); print('open')\n"
            "    except OSError as error:\n        print(error.errno == 101)\n"
            "print(ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None))"
        )
        assert tried(code).output.split() == ["True", "True", "True", "-1"]

    def test_environment_and_descriptors_are_empty(self) -> None:
        code = (
            "import os\nprint(*os.environ)\nfor fd in range(4, 64):\n    try:\n        os.fstat(fd); print(fd)\n"
            "    except OSError:\n        pass"
        )
        answer = tried(code)
        assert answer.status == "ok"
        assert set(answer.output.split()) <= {"OPENBLAS_NUM_THREADS", "LC_CTYPE"}

    def test_a_function_is_called(self) -> None:
        code = (
            "class Solution:\n    def add(self, a: List[int], b: int):\n        print('noise')\n"
            "        return tuple(x + b for x in a)"
        )
        with running(Program(code, "call", "add"), limits=QUICK) as ask:
            assert ask("[1, 2]\n3") == Answer("ok", "[4, 5]")
            assert ask("[1, 2]").status == "failed"

    def test_a_script_cannot_end_before_its_tests(self) -> None:
        for code in ("import sys; sys.exit(0)", "import os; os._exit(0)", "print('passed')"):
            with running(Program(code, "script"), limits=QUICK) as ask:
                assert ask("assert f(1) == 2").status == "failed", code

    def test_replies_are_graded_by_their_tests(self) -> None:
        tests = '[{"input": "2 3", "output": "5"}, {"input": "1 1", "output": "2"}]'
        sample = Sample(grader="livecodebench", tests=tests, language="python")
        good = "Sure:\n```python\na, b = map(int, input().split())\nprint(a + b)\n```"
        assert passes(good, sample, "sandboxed")
        assert not passes(good.replace("a + b", "5"), sample, "sandboxed")
        assert not passes("I would add them.", sample, "sandboxed")
        function = Sample(grader="mbxp", tests="def check(c):\n    assert c([1, 2]) == 3", entry_point="total")
        assert passes("def total(xs):\n    return sum(xs)", function, "sandboxed")
        assert not passes("def total(xs):\n    return 4", function, "sandboxed")
        called = Sample(grader="livecodebench", tests='{"inputs": [[[3, 1], 2]], "outputs": [[5, 3]], "fn_name": "f"}')
        assert passes("```\ndef f(xs, n):\n    return [x + n for x in xs]\n```", called, "sandboxed")


def test_without_isolation_the_limits_hold() -> None:
    assert tried("print(input())", "x\n", isolated=False) == Answer("ok", "x\n")
    assert tried("while True: pass", isolated=False).status == "time"
    assert tried("x = bytearray(1 << 30)", isolated=False).status == "failed"


def test_a_machine_that_isolates_nothing_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial runs first; where it is not held, no reply is run."""
    monkeypatch.setattr(sandbox, "running", lambda program, *, limits: running(program, isolated=False, limits=limits))
    with pytest.raises(NotIsolated, match=r"could do without limits: network, reading, .*--run-code=unisolated"):
        check_isolation.__wrapped__()
    monkeypatch.setattr(sandbox, "_CELL", Path(__file__))
    with pytest.raises(NotIsolated, match="the cell died"), running(Program("", "stdin")):
        pass


def test_code_of_a_reply() -> None:
    assert code_of("```\nother\n```\n```python\nfirst\n```\n```python\nsecond\n```") == "first\n"
    assert code_of("```python\nthought\n```</think>\n```py\nsaid\n```") == "said\n"
    assert code_of("```cpp\nint x;\n```") == "int x;\n"
    assert code_of("no code") is None


def test_programs_need_leave_tests_and_python() -> None:
    whole = Sample(grader="livecodebench", tests="[]", language="python")
    with pytest.raises(Unavailable, match="permission") as caught:
        can_run([whole], "off")
    assert "--run-code" in caught.value.advice
    with pytest.raises(Unavailable, match="tests"):
        can_run([Sample(grader="livecodebench", id="q1")], "unisolated")
    with pytest.raises(Unavailable, match="cpp"):
        can_run([Sample(grader="mbxp", tests="x", language="cpp")], "unisolated")


def test_outputs_are_compared_line_by_line() -> None:
    assert same_output("1 2 \n3\n\n", "1 2\n3")
    assert same_output("1.50", "1.5")
    assert not same_output("1\n2", "1 2")
    assert not same_output("", "1")
    assert same_value("[1, 2]", "[1,2]")
    assert not same_value("", "[1]")


def _cells() -> int:
    """Processes in which programs run."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            found += b"accuracy/cell.py" in (folder / "cmdline").read_bytes()
    return found

"""The counters in shared memory, and the line that shows them."""

from __future__ import annotations

import tempfile

from hypothesis import given
from hypothesis import strategies as st

from loadcell.cli.progress import progress_line
from loadcell.load import Progress
from loadcell.load.live import Count, Live


def test_counters_of_several_workers() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(Live.size(3)))
        file.flush()
        parent, child = Live(file.fileno(), 3), Live(file.fileno(), 3)
        assert (parent.t0_ns, parent.stop, parent.total(Count.OK)) == (0, False, 0)
        for worker in range(3):
            cells = child.cells(worker)
            for count in Count:
                cells[count] = 100 * worker + count
        for count in Count:
            assert parent.total(count) == 300 + 3 * count
        parent.t0_ns = 2**62
        parent.stop = True
        assert (child.t0_ns, child.stop) == (2**62, True)
        assert parent.total(Count.OK) == 300 + 3 * Count.OK


COUNT = st.integers(0, 10**12)


@given(
    st.builds(
        Progress,
        stage=st.sampled_from(["check", "prepare", "load", "finish"]),
        elapsed_s=st.floats(0, 10**7),
        planned=st.none() | COUNT,
        duration_s=st.none() | st.floats(1e-3, 10**7),
        issued=COUNT, ok=COUNT, failed=COUNT, in_flight=COUNT, events=COUNT,
    )
)  # fmt: skip
def test_the_line_fits_a_narrow_terminal(now: Progress) -> None:
    line = progress_line(now)
    assert 0 < len(line) <= 79
    assert "\n" not in line


def test_the_line_says_how_far_it_is() -> None:
    line = progress_line(Progress("load", 10.0, planned=200, ok=45, failed=5, in_flight=8, events=1000))
    assert line == "10 s · 25% · 45 ok · 5 failed · 8 in flight · 100 events/s · 30 s left"
    timed = progress_line(Progress("load", 10.0, duration_s=40.0, ok=45, in_flight=8, events=1000))
    assert timed == "10 s · 25% · 45 ok · 8 in flight · 100 events/s · 30 s left"

"""Figures of sessions against SQL over the Parquet files, which shares nothing with what computed them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import made_sessions
import numpy as np
import pytest
from made_sessions import Call

from loadcell.metrics import build_result

_PATHS = """
with recursive r as (select * from '{0}/requests-*.parquet'), s as (select * from '{0}/schedule.parquet'),
w as (select * from '{0}/waits.parquet'),
rows as (
  select s.session, s.turn, s.request, coalesce(s.delay_ns, 0) as delay, r.send_start_ns as sent, r.end_ns as ended,
    r.last_ns as last, {1} as begin, r.status
  from s left join r using (request)
),
whole as (select session from rows group by session having bool_and(coalesce(status, '') = 'ok')),
ways as (
  select session, request, 0::bigint as delays, sent - begin as late, 0::bigint as calls, 1 as steps
  from rows where request not in (select request from w)
  union all
  select c.session, c.request, delays + c.delay, late + c.sent - c.begin, calls + p.ended - p.sent, steps + 1
  from ways join w on w.waits_for = ways.request join rows p on p.request = ways.request
  join rows c on c.request = w.request
),
ended as (
  select ways.session, delays, late, calls + last - sent as calls, steps
  from ways join rows using (request) where ways.session in (select session from whole)
),
longest as (
  select session, max(delays + late + calls) as time, arg_max(delays, delays + late + calls) as delays,
    arg_max(late, delays + late + calls) as late, arg_max(calls, delays + late + calls) as calls,
    arg_max(steps, delays + late + calls) as steps
  from ended group by session
)
"""
"""Every way through every task, and of each task the longest one."""


def tree(rng: np.random.Generator) -> list[Call]:
    """Calls that wait for up to three others before them."""
    calls: list[Call] = []
    for place in range(int(rng.integers(1, 9))):
        several = int(rng.integers(1, 4))
        waits = tuple(sorted(set(rng.integers(max(0, place - 4), place, several).tolist()))) if place else ()
        delay = float(rng.exponential(80)) if rng.random() < 0.7 else 0.0
        calls.append(
            Call(waits, delay, float(rng.lognormal(4, 0.6)), int(rng.integers(2, 9)), float(rng.exponential(0.5)),
                 fails=bool(rng.random() < 0.02))
        )  # fmt: skip
    return calls


@pytest.mark.parametrize("loop", ["open", "closed"])
def test_times_turns_and_critical_paths_agree(tmp_path: Path, loop: str) -> None:
    rng = np.random.default_rng(5)
    tasks = [(begin, tree(rng)) for begin in made_sessions.poisson(rng, 8, 30_000)]
    load = {"rate": 8.0, "duration_s": 40, "warmup_s": 0} if loop == "open" else {"concurrency": 8, "warmup_s": 0}
    result = build_result(made_sessions.write(tmp_path / "run", tasks, loop=loop, load=load))
    found = result.sessions
    assert found is not None
    begin = "coalesce(r.planned_ns, r.ready_ns)"
    if loop == "closed":
        begin = "case when s.request in (select request from w) then r.ready_ns else r.send_start_ns end"
    database, paths = duckdb.connect(), _PATHS.format(tmp_path / "run", begin)

    def ask(sql: str) -> list[tuple[float, ...]]:
        return database.execute(paths + sql).fetchall()

    assert ask("select count(*) from whole") == [(found.whole,)]
    assert ask("select count(distinct session) from rows where status = 'failed'") == [(found.failed,)]
    assert ask("select count(*) from rows where status is null") == [(found.unsent_turns.after_failure,)]

    # The longest of all ways through a task is how long it took: what was waited for, and nothing else, holds it up.
    spans = ask(
        "select session, time, span from longest join (select session, max(last) - min(begin) as span from rows "
        "group by session) using (session) order by session"
    )
    assert len(spans) == found.whole
    assert [time for _, time, _ in spans] == [span for _, _, span in spans]

    ((calls, delays, late, time, steps, every),) = ask(
        "select sum(calls), sum(delays), sum(late), sum(time), avg(steps), "
        "(select sum(ended - sent) from rows where session in (select session from whole)) from longest"
    )
    path = found.path
    assert path is not None
    shares = [path.calls, path.delays, path.late, path.length, path.parallel]
    assert shares == pytest.approx([float(x) for x in (calls / time, delays / time, late / time, steps, every / calls)])

    for one in found.by_turn:
        assert one.first == one.last
        taken = ask(
            f"select first_any_ns - send_start_ns, first_any_ns - {begin} from rows "
            f"join r using (request) join s using (request) where rows.turn = {one.first} and r.status = 'ok'"
        )
        assert one.requests == len(taken)
        latency = one.latency["ttft_ms"]
        summaries = [latency.service, latency.response] if loop == "open" else [latency.service]
        for place, summary in enumerate(summaries):
            ordered = sorted(row[place] / 1e6 for row in taken)
            if summary is not None and len(ordered) >= 2:
                assert summary.p50.value == pytest.approx(ordered[-(-len(ordered) // 2) - 1])

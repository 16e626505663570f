"""FooBar's query log: each job on its schedule, declared or not."""

import pandas as pd

from toolkit.world.readers import JOBS, declared, query_log


def test_each_job_reads_as_often_as_it_is_scheduled():
    counts = query_log(days=20, rng=3).groupby(["reader", "table"]).size()
    for job in JOBS:
        assert abs(counts[job.reader, job.table] - 20 * job.a_day) <= 1


def test_the_log_is_in_order_and_a_seed_gives_the_same_one():
    log = query_log(rng=5)
    assert log["ts"].is_monotonic_increasing
    pd.testing.assert_frame_equal(log, query_log(rng=5))
    assert not log.equals(query_log(rng=6))


def test_the_lists_hold_the_declared_alone():
    assert set(declared()["reader"]) == {job.reader for job in JOBS if job.declared}

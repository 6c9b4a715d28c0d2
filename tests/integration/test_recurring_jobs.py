"""Recurring jobs on real servers, fired by real schedulers and run by real workers."""

import itertools
import signal
import time
from datetime import timedelta

import pytest
from fleet import Fleet, wait_for
from recurring_app import Beat, beat, patient

from butler import Butler, Cron, Interval
from butler.executions import ExecutionStatus
from butler.recurring.job import FireOutcome, JobStatus
from butler.storage.recurring_records import FireQuery

S = ExecutionStatus
SECOND = Interval(1)


@pytest.fixture
def butler(redis_url, database_url):
    with Butler(redis_url, database_url, name="test") as butler:
        butler.register(beat)
        butler.register(patient)
        butler.storage.register_tasks(butler.tasks())
        yield butler


@pytest.fixture
def fleet(redis_url, database_url, tmp_path):
    fleet = Fleet(
        redis_url=redis_url,
        database_url=database_url,
        folder=tmp_path,
        app="recurring_app:butler",
    )
    yield fleet
    fleet.end()


def leads(butler, process):
    holder = butler.storage.leadership().holder
    return holder is not None and f"-{process.pid}-" in holder


def start_leading(butler, fleet):
    process = fleet.start_scheduler()
    wait_for(lambda: leads(butler, process), what="it leads", fleet=fleet)
    return process


def fires(butler, name="job", *outcomes):
    job = butler.recurring.get(name)
    query = FireQuery(job_id=job.id, outcomes=frozenset(outcomes), limit=1000)
    return list(reversed(butler.storage.recurring_fires(query)))


def every(seconds, first, last):
    """Fire times from first to last."""
    step = timedelta(seconds=seconds)
    return list(itertools.takewhile(lambda at: at <= last, (first + n * step for n in range(9999))))


def test_jobs_fire_on_time_and_run(butler, fleet):
    fleet.start_worker(queues="beats")
    start_leading(butler, fleet)
    butler.recurring.create("job", beat, SECOND, request=Beat(n=7), overlap="allow")
    done = wait_for(
        lambda: (
            [f for f in fires(butler) if f.execution_status is S.SUCCEEDED][:3]
            if len([f for f in fires(butler) if f.execution_status is S.SUCCEEDED]) >= 3
            else None
        ),
        fleet=fleet,
    )
    executions = [butler.get(fire.execution_id) for fire in done]
    assert {execution.result for execution in executions} == {7}
    assert [execution.run_at for execution in executions] == [fire.fire_at for fire in done]
    times = [fire.fire_at for fire in fires(butler)]
    assert times == every(1, times[0], times[-1])


def test_with_schedulers_killed_one_after_another_every_time_fires_exactly_once(butler, fleet):
    """At every moment somebody may die: while reading, deciding, writing, pushing."""
    jobs = 30
    for n in range(jobs):
        butler.recurring.create(
            f"job {n}", beat, SECOND, request=Beat(n=n), misfire="catch_up", overlap="allow"
        )
    began = butler.storage.now()
    schedulers = [start_leading(butler, fleet), fleet.start_scheduler()]
    for _ in range(3):
        leader = wait_for(
            lambda: next((p for p in schedulers if leads(butler, p)), None), fleet=fleet
        )
        fired = len(butler.list(limit=1000).executions)
        wait_for(lambda fired=fired: len(butler.list(limit=1000).executions) > fired, fleet=fleet)
        leader.send_signal(signal.SIGKILL)
        leader.wait()
        schedulers.remove(leader)
        schedulers.append(fleet.start_scheduler())
    wait_for(lambda: any(leads(butler, p) for p in schedulers), fleet=fleet)
    now = butler.storage.now()
    wait_for(
        lambda: all(fires(butler, f"job {n}")[-1].fire_at >= now for n in range(jobs)),
        fleet=fleet,
    )
    for n in range(jobs):
        recorded = fires(butler, f"job {n}")
        times = [fire.fire_at for fire in recorded]
        assert times == every(1, times[0], times[-1]), f"job {n}"
        assert times[0] - began < timedelta(seconds=3)
        assert {fire.outcome for fire in recorded} == {FireOutcome.FIRED}
        ids = [fire.execution_id for fire in recorded]
        assert len(set(ids)) == len(ids)
        assert all(fire.execution_status is S.QUEUED for fire in recorded)
    listed = butler.redis.lrange("rq:queue:beats", 0, -1)
    assert len(listed) == len(set(listed))


def test_a_leader_that_was_stopped_fires_nothing_when_it_goes_on(butler, fleet):
    butler.recurring.create(
        "job", beat, SECOND, request=Beat(), misfire="catch_up", overlap="allow"
    )
    first = start_leading(butler, fleet)
    second = fleet.start_scheduler()
    wait_for(lambda: fires(butler), fleet=fleet)
    first.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait_for(lambda: leads(butler, second), timeout_s=20, fleet=fleet)
    assert time.monotonic() - stopped < 12
    first.send_signal(signal.SIGCONT)
    after = butler.storage.now() + timedelta(seconds=3)
    wait_for(lambda: fires(butler)[-1].fire_at > after, fleet=fleet)
    times = [fire.fire_at for fire in fires(butler)]
    assert times == every(1, times[0], times[-1])
    assert len(butler.list(limit=1000).executions) >= len(times)


def test_a_change_made_anywhere_is_obeyed_within_a_second(butler, fleet):
    """The clock beside it shows that the job could have fired meanwhile."""
    start_leading(butler, fleet)
    for name in ("job", "clock"):
        butler.recurring.create(name, beat, SECOND, request=Beat(), overlap="allow")

    def let_two_seconds_pass():
        seen = len(fires(butler, "clock"))
        wait_for(lambda: len(fires(butler, "clock")) >= seen + 2, fleet=fleet)

    let_two_seconds_pass()
    butler.recurring.pause("job")
    paused_at = butler.storage.now()
    let_two_seconds_pass()
    assert fires(butler)[-1].fire_at <= paused_at
    butler.recurring.resume("job")
    resumed_at = butler.storage.now()
    wait_for(lambda: fires(butler)[-1].fire_at > resumed_at, fleet=fleet)
    [first_again] = [f for f in fires(butler) if f.fire_at > paused_at][:1]
    assert first_again.fire_at - resumed_at < timedelta(seconds=2)
    assert {f.outcome for f in fires(butler)} == {FireOutcome.FIRED}
    butler.recurring.update("job", schedule=Interval(3600))
    changed_at = butler.storage.now()
    let_two_seconds_pass()
    assert fires(butler)[-1].fire_at <= changed_at


def test_what_code_declares_is_there_when_a_scheduler_has_started(butler, fleet):
    butler.recurring.create("by hand", beat, Interval(3600), request=Beat())
    fleet.environment["RELEASE"] = "1"
    first = fleet.start_scheduler("--app", "recurring_app:butler")
    wait_for(lambda: butler.recurring.find("dropped"), fleet=fleet)
    butler.recurring.pause("kept")
    first.terminate()
    first.wait()
    fleet.environment["RELEASE"] = "2"
    fleet.start_scheduler("--app", "recurring_app:butler")
    wait_for(lambda: butler.recurring.find("added"), fleet=fleet)
    wait_for(lambda: butler.recurring.find("dropped") is None, fleet=fleet)
    kept = butler.recurring.get("kept")
    assert (kept.request["n"], kept.status) == (2, JobStatus.PAUSED)
    assert kept.source == "recurring app"
    assert butler.recurring.get("by hand").source is None


def test_overlap_policies_meet_executions_that_really_run(butler, fleet):
    # Some of them never end by themselves: the drain at the end is not to wait for them.
    fleet.start_worker("--drain-timeout", "0.5", queues="beats", concurrency=16)
    start_leading(butler, fleet)
    for overlap in ("skip", "allow", "queue", "cancel_running"):
        butler.recurring.create(overlap, patient, SECOND, request=Beat(), overlap=overlap)

    def count(name, *outcomes):
        return len(fires(butler, name, *outcomes))

    wait_for(lambda: count("skip", FireOutcome.SKIPPED) >= 2, fleet=fleet)
    wait_for(lambda: count("allow", FireOutcome.FIRED) >= 3, fleet=fleet)
    wait_for(lambda: count("queue", FireOutcome.WAITING) >= 2, fleet=fleet)
    wait_for(lambda: count("cancel_running", FireOutcome.FIRED) >= 3, fleet=fleet)
    assert count("skip", FireOutcome.FIRED) == 1
    assert count("queue", FireOutcome.FIRED) == 1
    replaced = fires(butler, "cancel_running", FireOutcome.FIRED)[0]
    wait_for(
        lambda: butler.get(replaced.execution_id).status is S.CANCELLED,
        what="the replaced execution is cancelled",
        fleet=fleet,
    )
    [running] = fires(butler, "queue", FireOutcome.FIRED)
    butler.cancel(running.execution_id)
    wait_for(lambda: count("queue", FireOutcome.FIRED) == 2, fleet=fleet)


def test_misfires_after_a_downtime_follow_each_jobs_policy(butler, fleet):
    for misfire in ("fire_once", "skip", "catch_up"):
        butler.recurring.create(
            misfire,
            beat,
            Interval(2, anchor=butler.storage.now()),
            request=Beat(),
            misfire=misfire,
            overlap="allow",
        )
    # Nobody fires for a while; as if for three minutes, by an earlier next fire time.
    import psycopg

    with psycopg.connect(butler.storage._connections.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE butler.recurring_jobs SET next_fire_at = next_fire_at - interval '3 minutes',"
            " due_at = due_at - interval '3 minutes'"
        )
    start_leading(butler, fleet)
    for misfire in ("fire_once", "skip", "catch_up"):
        wait_for(lambda name=misfire: len(fires(butler, name)) >= 3, fleet=fleet)
    once = fires(butler, "fire_once")
    assert (once[0].outcome, once[1].outcome) == (FireOutcome.MISSED, FireOutcome.FIRED)
    assert once[0].count >= 88
    caught_up = fires(butler, "catch_up")
    assert {fire.outcome for fire in caught_up} == {FireOutcome.FIRED}
    assert len(caught_up) >= 90
    times = [fire.fire_at for fire in caught_up]
    assert times == every(2, times[0], times[-1])


def test_a_daylight_saving_change_fires_once_at_the_end_of_the_gap(butler, fleet):
    """The clock of the ledger is the machine's, so the zone is one whose clocks change now."""
    job = butler.recurring.create(
        "job", beat, Cron("30 2 * * *", timezone="Europe/Berlin"), request=Beat()
    )
    import psycopg

    # As on the morning of 2026-03-29, a second before 02:00 in Berlin.
    with psycopg.connect(butler.storage._connections.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE butler.recurring_jobs SET next_fire_at = '2026-03-28 01:30Z',"
            " due_at = '2026-03-28 01:30Z', misfire = 'catch_up', overlap = 'allow',"
            " ends_at = '2026-03-31 00:00Z'"
        )
    start_leading(butler, fleet)
    wait_for(lambda: butler.recurring.get("job").next_fire_at is None, fleet=fleet)
    assert [fire.fire_at.isoformat() for fire in fires(butler)] == [
        "2026-03-28T01:30:00+00:00",
        "2026-03-29T01:00:00+00:00",
        "2026-03-30T00:30:00+00:00",
    ]
    assert butler.recurring.get(job.id).status is JobStatus.ENDED


def test_a_job_that_cannot_fire_is_shown_and_stops_no_other(butler, fleet):
    start_leading(butler, fleet)
    butler.recurring.create("fine", beat, SECOND, request=Beat(), overlap="allow")
    butler.recurring.create("odd", beat, SECOND, request=Beat(), overlap="allow")
    import psycopg

    with psycopg.connect(butler.storage._connections.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE butler.recurring_jobs SET task = 'gone', version = version + 1"
            " WHERE name = 'odd'"
        )
    wait_for(lambda: butler.recurring.get("odd").status is JobStatus.BROKEN, fleet=fleet)
    assert "no task named 'gone'" in butler.recurring.get("odd").broken_reason
    fired = len(fires(butler, "fine"))
    wait_for(lambda: len(fires(butler, "fine")) >= fired + 2, fleet=fleet)
    assert [job.name for job in butler.recurring.list(status="broken").jobs] == ["odd"]

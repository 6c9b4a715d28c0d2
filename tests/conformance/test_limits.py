"""The law of limits: never more live attempts than a name allows; rates; pauses."""

from __future__ import annotations

from ledger_driver import eventually, new_execution, race, registration

from butler import lifecycle
from butler.executions import ExecutionStatus
from butler.ids import new_id, new_token
from butler.limiting import LimitKeys, LimitRule, make_rule
from butler.storage.limits import MadeKeys
from butler.storage.records import Claim, TaskDefinition

TWO = make_rule(max_concurrency=2)


def declare(storage, name="Send Mail", keys=None, **rule):
    limit = make_rule(**rule)
    options = {"limit": None if limit.says_nothing else limit.to_json() | (keys or {})}
    storage.register_tasks([TaskDefinition(name=name, options=options)])


def worker(storage):
    known = registration()
    storage.register_worker(known)
    return known.id


def queue(storage, count, **options):
    new = [new_execution(**options) for _ in range(count)]
    storage.insert(new)
    return [execution.id for execution in new]


def claim(storage, worker_id, ids, token=None):
    return storage.claim(Claim(worker_id=worker_id, token=token or new_token(), ids=tuple(ids)))


def end(storage, won):
    storage.finish([lifecycle.succeed(claimed, result=None) for claimed in won])


def test_no_more_attempts_of_a_task_run_than_it_allows(storage):
    declare(storage, max_concurrency=2)
    ids = queue(storage, 5)
    reply = claim(storage, worker(storage), ids)
    assert [won.id for won in reply.won] == ids[:2]
    assert [won.slots for won in reply.won] == [("Send Mail",)] * 2
    waits = [(item.status, item.wait.limit, item.wait.part) for item in reply.refused]
    assert waits == [(ExecutionStatus.QUEUED, "Send Mail", "concurrency")] * 3


def test_the_end_of_an_attempt_frees_its_slot(storage):
    declare(storage, max_concurrency=1)
    worker_id, ids = worker(storage), queue(storage, 2)
    first = claim(storage, worker_id, ids)
    assert claim(storage, worker_id, ids[1:]).won == ()
    end(storage, first.won)
    assert [won.id for won in claim(storage, worker_id, ids[1:]).won] == ids[1:]


def test_each_key_has_slots_of_its_own_and_tasks_share_them(storage):
    declare(storage, max_concurrency=1)
    declare(storage, name="Other", max_concurrency=1)
    one, two = LimitKeys(concurrency="customer:1"), LimitKeys(concurrency="customer:2")
    ids = [
        *queue(storage, 2, limit_keys=one),
        *queue(storage, 1, limit_keys=two),
        *queue(storage, 1, task="Other", limit_keys=one),
    ]
    reply = claim(storage, worker(storage), ids)
    assert [won.id for won in reply.won] == [ids[0], ids[2]]
    assert {item.wait.limit for item in reply.refused} == {"customer:1"}


def test_what_a_claim_won_it_wins_again_under_its_token(storage):
    declare(storage, max_concurrency=1)
    worker_id, ids, token = worker(storage), queue(storage, 2), new_token()
    first = claim(storage, worker_id, ids, token)
    again = claim(storage, worker_id, ids, token)
    assert [won.id for won in again.won] == [won.id for won in first.won] == ids[:1]
    assert again.won[0].attempt == 1


def test_racing_claims_never_exceed_a_limit(storage):
    declare(storage, max_concurrency=3)
    workers = [worker(storage) for _ in range(4)]
    ids = queue(storage, 16)
    shares = [ids[n::4] for n in range(4)]
    replies = race(
        *(
            lambda w=w, share=share: claim(storage, w, share)
            for w, share in zip(workers, shares, strict=True)
        )
    )
    assert sum(len(reply.won) for reply in replies) == 3


def test_a_lost_workers_slots_are_free_when_its_attempts_are_ended(storage):
    declare(storage, max_concurrency=1)
    dead, alive = worker(storage), worker(storage)
    ids = queue(storage, 2)
    claim(storage, dead, ids)
    assert storage.lose_worker(dead)
    assert claim(storage, alive, ids[1:]).won == ()
    storage.finish([lifecycle.lose(attempt, reason="gone") for attempt in storage.running(dead)])
    assert [won.id for won in claim(storage, alive, ids[1:]).won] == ids[1:]


def test_a_rate_lets_as_many_start_as_its_burst_and_says_when_the_next_may(storage):
    declare(storage, rate="60/hour", rate_burst=3)
    reply = claim(storage, worker(storage), queue(storage, 5))
    assert len(reply.won) == 3
    assert all(item.wait.part == "rate" and 0 < item.wait.wait_s <= 60 for item in reply.refused)
    assert reply.won[0].slots == ()


def test_an_operator_has_the_last_word_and_can_take_it_back(storage):
    declare(storage, max_concurrency=1)
    storage.set_limit("Send Mail", TWO)
    worker_id, ids = worker(storage), queue(storage, 4)
    assert len(claim(storage, worker_id, ids).won) == 2
    storage.set_limit("Send Mail", LimitRule(max_concurrency=None))
    assert len(claim(storage, worker_id, ids).won) == 2
    storage.set_limit("Send Mail", None)
    (row,) = storage.limits()
    assert (row.rule.max_concurrency, row.given) == (1, None)
    assert claim(storage, worker_id, queue(storage, 1)).won == ()


def test_a_limit_counts_what_ran_before_it_came(storage):
    declare(storage)
    worker_id, ids = worker(storage), queue(storage, 4)
    assert len(claim(storage, worker_id, ids[:2]).won) == 2
    storage.set_limit("Send Mail", TWO)
    assert claim(storage, worker_id, ids[2:]).won == ()


def test_a_limit_on_one_key_is_not_on_the_others(storage):
    declare(storage, max_concurrency=1)
    storage.set_limit("customer:1", TWO)
    keys = [LimitKeys(concurrency=f"customer:{n}") for n in (1, 2)]
    ids = [id_ for key in keys for id_ in queue(storage, 3, limit_keys=key)]
    assert len(claim(storage, worker(storage), ids).won) == 3
    rows = {row.name: row for row in storage.limits()}
    assert {name: (row.kind, row.rule.max_concurrency) for name, row in rows.items()} == {
        "Send Mail": ("task", 1),
        "customer:1": ("key", 2),
        "customer:2": ("key", 1),
    }
    assert (rows["customer:2"].tasks, rows["customer:2"].given) == (("Send Mail",), None)
    assert (rows["customer:2"].running, rows["Send Mail"].tasks) == (1, ())


def test_a_paused_queue_starts_nothing_until_it_goes_on(storage):
    storage.pause_queue("default", paused=True)
    worker_id, ids = worker(storage), queue(storage, 2)
    other = queue(storage, 1, queue="mail")
    reply = claim(storage, worker_id, [*ids, *other])
    assert [won.id for won in reply.won] == other
    assert {(item.wait.limit, item.wait.part) for item in reply.refused} == {
        ("queue:default", "paused")
    }
    assert [row.name for row in storage.limits() if row.paused_at] == ["queue:default"]
    storage.pause_queue("default", paused=False)
    assert len(claim(storage, worker_id, ids).won) == 2
    assert storage.limits() == []


def test_a_queues_limit_is_kept_beside_those_of_tasks(storage):
    declare(storage, max_concurrency=2)
    storage.set_limit("queue:default", make_rule(max_concurrency=3))
    ids = [*queue(storage, 3), *queue(storage, 3, task="Free")]
    reply = claim(storage, worker(storage), ids)
    assert [won.id for won in reply.won] == [*ids[:2], ids[3]]
    assert reply.won[0].slots == ("Send Mail", "queue:default")


def test_prospects_say_who_holds_what_is_waited_for(storage):
    declare(storage, max_concurrency=1)
    worker_id, ids = worker(storage), queue(storage, 2)
    assert [p.room for p in storage.prospects(ids[1:])] == [1]
    claim(storage, worker_id, ids)
    (prospect,) = storage.prospects(ids)
    assert (prospect.execution_id, prospect.limit, prospect.room, prospect.held_by) == (
        ids[1],
        "Send Mail",
        0,
        (ids[0],),
    )


def test_a_rates_prospect_has_the_room_that_is_left(storage):
    declare(storage, rate="60/hour", rate_burst=3)
    worker_id, ids = worker(storage), queue(storage, 5)
    assert [p.room for p in storage.prospects(ids[4:])] == [3]
    claim(storage, worker_id, ids[:4])
    (prospect,) = storage.prospects(ids[4:])
    assert prospect.room == 0
    assert 0 < prospect.wait_s <= 60


def test_what_is_without_a_limit_is_claimed_beside_what_has_one(storage):
    declare(storage, name="Limited", max_concurrency=1)
    free, limited = queue(storage, 2), queue(storage, 2, task="Limited")
    reply = claim(storage, worker(storage), [*limited, *free])
    assert {won.id for won in reply.won} == {*free, limited[0]}
    assert storage.prospects([*free, new_id()]) == []


def test_what_lacks_keys_that_only_code_can_make_starts_when_they_are_made(storage):
    declare(storage, max_concurrency=1, keys={"computed": True})
    named = LimitKeys(concurrency="customer:2", fair="tenant")
    ids = [*queue(storage, 2), *queue(storage, 1, limit_keys=named)]
    worker_id, token = worker(storage), new_token()
    reply = claim(storage, worker_id, ids, token)
    assert [(item.wait.limit, item.wait.part) for item in reply.refused] == [
        ("Send Mail", "keys")
    ] * 3
    assert storage.prospects(ids) == []
    one = LimitKeys(concurrency="customer:1", computed=True)
    storage.note_limit_keys([MadeKeys(execution_id=id_, keys=one) for id_ in ids])
    reply = claim(storage, worker_id, ids, token)
    assert {won.id: won.slots for won in reply.won} == {
        ids[0]: ("customer:1",),
        ids[2]: ("customer:2",),
    }
    assert [item.wait.limit for item in reply.refused] == ["customer:1"]
    back = storage.finish([lifecycle.hand_back(won, reason="drain") for won in reply.won])
    assert [each.entry.fair_key for each in back] == [None, "tenant"]


def test_keys_made_for_another_schema_are_not_taken(storage):
    declare(storage, max_concurrency=1, keys={"computed": True})
    old, new = queue(storage, 1, fingerprint="old"), queue(storage, 1, fingerprint="new")
    made = LimitKeys(computed=True)
    storage.note_limit_keys(
        [MadeKeys(execution_id=id_, keys=made, fingerprint="new") for id_ in (*old, *new)]
    )
    reply = claim(storage, worker(storage), [*old, *new])
    assert [won.id for won in reply.won] == new
    assert [item.wait.part for item in reply.refused] == ["keys"]


def test_keys_that_are_plain_texts_hold_for_whoever_enqueued_without_them(storage):
    for name in ("Send Mail", "Other"):
        declare(storage, name, max_concurrency=1, keys={"keys": {"concurrency": "mail server"}})
    ids = [*queue(storage, 1), *queue(storage, 1, task="Other")]
    reply = claim(storage, worker(storage), ids)
    assert [won.slots for won in reply.won] == [("mail server",)]
    assert [item.wait.limit for item in reply.refused] == ["mail server"]


def test_names_that_nobody_needs_any_more_are_forgotten_and_start_anew(storage, ledger):
    declare(storage, max_concurrency=1, rate="100000/second", rate_burst=1)
    keys = [LimitKeys(concurrency=f"order:{n}", rate=f"rate:{n}") for n in range(3)]
    ids = [id_ for key in keys for id_ in queue(storage, 1, limit_keys=key)]
    worker_id = worker(storage)
    reply = claim(storage, worker_id, ids)
    end(storage, reply.won[:2])
    epoch = ledger.lead()
    assert storage.prune_limits(epoch=epoch - 1, limit=10) == 0
    gone = []
    eventually(lambda: gone.append(storage.prune_limits(epoch=epoch, limit=2)) or not gone[-1])
    assert max(gone) <= 2
    again = [*queue(storage, 1, limit_keys=keys[2]), *queue(storage, 1, limit_keys=keys[0])]
    reply = claim(storage, worker_id, again)
    assert [won.id for won in reply.won] == again[1:]
    assert [item.wait.limit for item in reply.refused] == ["order:2"]


def test_claims_that_race_with_forgetting_never_exceed_a_limit(storage, ledger):
    declare(storage, max_concurrency=1)
    workers, epoch = [worker(storage) for _ in range(3)], ledger.lead()
    for _ in range(5):
        ids = queue(storage, 3)
        *replies, _, _ = race(
            *(
                lambda w=w, id_=id_: claim(storage, w, [id_])
                for w, id_ in zip(workers, ids, strict=True)
            ),
            *[lambda: storage.prune_limits(epoch=epoch, limit=10)] * 2,
        )
        won = [each for reply in replies for each in reply.won]
        assert len(won) == 1
        end(storage, won)
        storage.cancel(ids)

from __future__ import annotations

from dataclasses import replace

from ledger_driver import race


def test_at_first_nobody_leads(storage):
    assert storage.leadership().holder is None


def test_who_takes_an_empty_place_leads(storage):
    observed = storage.leadership()
    epoch = storage.take_leadership("a", observed=observed)
    now = storage.leadership()
    assert epoch > observed.epoch
    assert ("a", epoch) == (now.holder, now.epoch)


def test_of_eight_schedulers_that_saw_the_same_one_leads(storage):
    observed = storage.leadership()
    epochs = race(
        *[lambda name=name: storage.take_leadership(name, observed=observed) for name in "abcdefgh"]
    )
    winners = [name for name, epoch in zip("abcdefgh", epochs, strict=True) if epoch is not None]
    assert [storage.leadership().holder] == winners


def test_a_leader_that_renewed_cannot_be_replaced_by_who_saw_it_before(storage, ledger):
    epoch = ledger.lead("a")
    observed = storage.leadership()
    assert storage.renew_leadership("a", epoch=epoch)
    assert storage.take_leadership("b", observed=observed) is None
    assert storage.leadership().holder == "a"


def test_a_leader_that_stood_still_is_replaced(storage, ledger):
    first = ledger.lead("a")
    second = storage.take_leadership("b", observed=storage.leadership())
    assert second > first
    assert not storage.renew_leadership("a", epoch=first)
    assert ("b", second) == (storage.leadership().holder, storage.leadership().epoch)


def test_renewing_raises_the_counter_alone(storage, ledger):
    epoch = ledger.lead("a")
    before = storage.leadership()
    assert storage.renew_leadership("a", epoch=epoch)
    after = storage.leadership()
    assert after.counter > before.counter
    assert before == replace(after, counter=before.counter)


def test_an_older_epoch_of_the_same_holder_does_not_renew(storage, ledger):
    first = ledger.lead("a")
    second = ledger.lead("a")
    assert not storage.renew_leadership("a", epoch=first)
    assert storage.renew_leadership("a", epoch=second)


def test_another_name_does_not_renew(storage, ledger):
    epoch = ledger.lead("a")
    before = storage.leadership()
    assert not storage.renew_leadership("b", epoch=epoch)
    assert before == storage.leadership()


def test_who_resigns_leaves_the_place_empty(storage, ledger):
    epoch = ledger.lead("a")
    storage.resign_leadership("a", epoch=epoch)
    assert storage.leadership().holder is None
    assert not storage.renew_leadership("a", epoch=epoch)
    assert ledger.lead("b") > epoch


def test_who_does_not_lead_cannot_resign(storage, ledger):
    old = ledger.lead("a")
    epoch = ledger.lead("b")
    before = storage.leadership()
    storage.resign_leadership("a", epoch=old)
    storage.resign_leadership("a", epoch=epoch)
    storage.resign_leadership("b", epoch=old)
    assert before == storage.leadership()


def test_who_saw_a_leader_resign_too_early_does_not_take_over_twice(storage, ledger):
    epoch = ledger.lead("a")
    storage.resign_leadership("a", epoch=epoch)
    empty = storage.leadership()
    second = storage.take_leadership("b", observed=empty)
    storage.resign_leadership("b", epoch=second)
    assert storage.take_leadership("c", observed=empty) is None


def test_taking_and_renewing_at_once_leave_one_leader(storage, ledger):
    for _ in range(10):
        epoch = ledger.lead("a")
        observed = storage.leadership()
        taken, renewed = race(
            lambda observed=observed: storage.take_leadership("b", observed=observed),
            lambda epoch=epoch: storage.renew_leadership("a", epoch=epoch),
        )
        assert (taken is None) == renewed
        assert ("a" if renewed else "b") == storage.leadership().holder

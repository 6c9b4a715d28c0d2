"""Tokens, the audit log and replies that are kept for a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import race

from butler.errors import InvalidOption
from butler.ids import new_id, new_token
from butler.storage.access import AuditEntry, AuditQuery, NewToken, RequestKey

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FAR_AWAY = datetime(2090, 1, 1, tzinfo=UTC)


def token(**options):
    defaults = {"id": new_id(), "name": "ci", "digest": new_token(), "role": "viewer"}
    return NewToken(**(defaults | options))


def entry(**options):
    defaults = {
        "id": new_id(),
        "actor": "ada",
        "role": "operator",
        "action": "execution.cancel",
        "target": "e1",
        "status": 200,
    }
    return AuditEntry(**(defaults | options))


def request(key="k", **options):
    defaults = {"fingerprint": "f", "owner": new_token(), "seed": new_id()}
    return RequestKey(key=key, **(defaults | options))


def test_a_token_is_found_by_its_digest_as_it_was_added(storage):
    new = token(
        role="operator",
        queues=("a", 'b"{},\\'),
        tags=("x",),
        created_by="ada",
        expires_at=FAR_AWAY,
    )
    assert storage.add_token(new)
    found = storage.token_of(new.digest)
    for name in ("id", "name", "role", "queues", "tags", "created_by", "expires_at"):
        assert getattr(found, name) == getattr(new, name)
    assert found.created_at.utcoffset() == timedelta(0)
    assert (found.revoked_at, found.last_used_at) == (None, None)
    assert storage.token_of(new_token()) is None


def test_adding_a_token_again_after_a_lost_reply_is_the_same_token(storage):
    new = token()
    assert storage.add_token(new)
    assert storage.add_token(new)
    assert len(storage.tokens()) == 1


def test_a_revoked_token_is_good_no_more_and_its_name_is_free(storage):
    first, second = token(), token()
    storage.add_token(first)
    assert not storage.add_token(second)
    assert storage.revoke_token(first.id)
    assert not storage.revoke_token(first.id)
    assert storage.token_of(first.digest) is None
    assert storage.add_token(second)
    assert [each.id for each in storage.tokens()] == [second.id, first.id]
    assert [each.revoked_at is None for each in storage.tokens()] == [True, False]


def test_of_two_tokens_with_one_name_only_one_is_added(storage):
    calls = [lambda new=token(): storage.add_token(new) for _ in range(2)]
    assert sorted(race(*calls)) == [False, True]


def test_an_expired_token_is_good_no_more(storage):
    late = token(expires_at=LONG_AGO)
    assert storage.add_token(late)
    assert storage.token_of(late.digest) is None
    assert not storage.has_tokens()
    storage.add_token(token(name="other"))
    assert storage.has_tokens()


def test_revoking_what_is_no_token_is_false(storage):
    assert not storage.revoke_token(new_id())
    assert not storage.revoke_token("nonsense")


def test_tokens_remember_when_they_were_used(storage):
    new = token()
    storage.add_token(new)
    storage.touch_tokens([new.id, new_id()])
    assert storage.token_of(new.digest).last_used_at is not None


def test_audit_entries_come_back_newest_first_as_they_were_written(storage):
    first = entry()
    full = entry(
        address="::1", request_id="r1", reason="too slow", details={"ids": ["a"]}, target=None
    )
    storage.write_audit([first, full])
    storage.write_audit([full])
    newest, oldest = storage.audit(AuditQuery()).entries
    for name in ("id", "actor", "role", "action", "target", "status", "address", "request_id"):
        assert getattr(newest, name) == getattr(full, name)
    assert (newest.reason, newest.details) == ("too slow", {"ids": ["a"]})
    assert oldest.details == {}
    assert newest.at.utcoffset() == timedelta(0)


def test_what_cannot_be_stored_of_an_audit_entry_is_cleaned_not_lost(storage):
    storage.write_audit([entry(reason="a\0b", target="\ud800", details={"x": "\0", "y": [1e999]})])
    [found] = storage.audit(AuditQuery()).entries
    assert (found.reason, found.target) == ("a\ufffdb", "\ufffd")
    assert found.details == {"x": "\ufffd", "y": [None]}


@pytest.mark.parametrize(
    ("filters", "hits"),
    [
        ({"actor": "ada"}, [0, 1]),
        ({"action": "execution"}, [0, 2]),
        ({"action": "execution.retry"}, [2]),
        ({"action": "exec"}, []),
        ({"target": "t2"}, [2]),
        ({"target": "\0"}, []),
        ({"since": LONG_AGO}, [0, 1, 2]),
        ({"until": LONG_AGO}, []),
        ({"actor": "ada", "action": "token.create"}, [1]),
    ],
)
def test_audit_entries_are_filtered(storage, filters, hits):
    made = [
        entry(),
        entry(action="token.create", target="t1"),
        entry(actor="bob", action="execution.retry", target="t2"),
    ]
    storage.write_audit(made)
    found = [each.id for each in storage.audit(AuditQuery(**filters)).entries]
    assert [made[index].id for index in reversed(hits)] == found


def test_audit_entries_are_read_page_by_page(storage):
    made = [entry() for _ in range(5)]
    storage.write_audit(made)
    seen, after = [], None
    while True:
        page = storage.audit(AuditQuery(limit=2, after=after))
        seen += [each.id for each in page.entries]
        after = page.next_cursor
        if after is None:
            break
    assert seen == [each.id for each in reversed(made)]


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1001}, {"after": "nonsense"}])
def test_a_page_of_the_audit_log_that_cannot_be_is_refused(storage, query):
    with pytest.raises(InvalidOption):
        storage.audit(AuditQuery(**query))


def test_a_request_is_done_by_whoever_opens_it_first(storage):
    first, second = request(), request()
    assert storage.open_request(first).owner == first.owner
    kept = storage.open_request(second)
    assert (kept.owner, kept.seed, kept.status) == (first.owner, first.seed, None)
    # A repeat after a lost reply is still the first one's.
    assert storage.open_request(first).owner == first.owner


def test_of_two_requests_at_once_one_is_done(storage):
    both = [request(), request()]
    kept = race(*(lambda each=each: storage.open_request(each) for each in both))
    assert len({each.owner for each in kept}) == 1


def test_the_reply_of_a_request_is_kept(storage):
    first = request()
    storage.open_request(first)
    storage.close_request(request(), status=500, body="a stranger's")
    storage.close_request(first, status=202, body='{"id": 1}')
    kept = storage.open_request(request(fingerprint="other"))
    assert (kept.status, kept.body, kept.fingerprint) == (202, '{"id": 1}', "f")


def test_a_request_that_came_to_nothing_may_be_sent_again(storage):
    first, second = request(), request()
    storage.open_request(first)
    storage.close_request(first, status=None, body=None)
    assert storage.open_request(second).owner == second.owner

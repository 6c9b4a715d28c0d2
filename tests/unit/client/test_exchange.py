"""When a request is sent again, with which key, and when not: the conversation without a socket."""

from __future__ import annotations

import json

import pytest

from butler.client.asks import Ask, as_nothing
from butler.client.exchange import LONGEST_PAUSE_S, Manner, back_off_s, exchange
from butler.client.steps import Answer, Done, Pause, Send, Unanswered, advance
from butler.errors import ApiError, ApiUnavailable, NotAuthenticated

MANNER = Manner(url="http://jobs", headers={"X": "y"}, timeout_s=3, retries=4)
CHANGE, LOOK = "POST /executions/{execution_id}/cancel", "GET /executions/{execution_id}"
LOST = Unanswered(why="ReadTimeout: no answer in time", sent=True)
REFUSED = Unanswered(why="ConnectError: refused", sent=False)
OK = Answer(status=200, headers={}, body=b"done")


def problem(status, slug="unavailable", **headers):
    body = {"type": f"urn:butler:problem:{slug}", "detail": f"it is {slug}"}
    return Answer(status=status, headers=headers, body=json.dumps(body).encode())


def talk(*replies, route=CHANGE, ask=None, manner=MANNER):
    """What comes of it, what was sent, and the pauses; the last reply is repeated."""
    ask = ask or Ask(read=lambda answer: answer.body, place={"execution_id": "7"})
    conversation = exchange(ask, route, manner)
    replies, sent, pauses = [*replies], [], []
    step = advance(conversation, None)
    while not isinstance(step, Done):
        reply = None
        if isinstance(step, Send):
            sent.append(step)
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        elif isinstance(step, Pause):
            pauses.append(step.seconds)
        step = advance(conversation, reply)
    return step.value, sent, pauses


@pytest.mark.parametrize(
    "reply",
    [LOST, REFUSED, problem(502), problem(503), problem(504), problem(409, "in-progress")],
    ids=["lost", "refused", "502", "503", "504", "in progress"],
)
def test_what_may_have_failed_on_the_way_is_sent_again_with_the_same_key(reply):
    value, sent, pauses = talk(reply, reply, OK)
    assert (value, len(sent), len(pauses)) == (b"done", 3, 2)
    assert sent[0] == sent[1] == sent[2]
    assert len(sent[0].headers["Idempotency-Key"]) == 36


def test_each_call_has_a_key_of_its_own_and_what_only_looks_has_none():
    [first], [second] = talk(OK)[1], talk(OK)[1]
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]
    assert dict(talk(OK, route=LOOK)[1][0].headers) == {"X": "y"}


def test_a_key_of_the_callers_own_is_taken():
    ask = Ask(read=as_nothing, place={"execution_id": "7"}, headers={"Idempotency-Key": "order-7"})
    assert talk(OK, ask=ask)[1][0].headers["Idempotency-Key"] == "order-7"


def test_the_server_says_when_to_come_back():
    assert talk(problem(429, **{"retry-after": "7"}), OK)[2] == [7]
    assert talk(problem(503, **{"retry-after": "1"}), OK)[2] == [1]


def test_who_is_told_to_come_back_too_late_is_told_so():
    with pytest.raises(ApiError, match="it is too-many"):
        talk(problem(429, "too-many", **{"retry-after": "3600"}))
    with pytest.raises(ApiUnavailable):
        talk(problem(503, **{"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}))


def test_after_the_last_try_the_error_names_the_key_that_makes_another_one_safe():
    with pytest.raises(
        ApiUnavailable, match=r"POST http://jobs/api/v1/executions/7/cancel"
    ) as away:
        talk(LOST)
    assert away.value.idempotency_key
    assert "was tried 5 times, the last time: ReadTimeout" in str(away.value)
    with pytest.raises(ApiUnavailable, match=r"once.*HTTP 503, it is unavailable") as away:
        talk(problem(503), route=LOOK, manner=Manner(url="", headers={}, timeout_s=3, retries=0))
    assert (away.value.status, away.value.idempotency_key) == (503, None)


def test_what_must_not_be_sent_twice_is_not_unless_it_cannot_have_arrived():
    once = Ask(read=as_nothing, place={"execution_id": "7"}, repeatable=False)
    with pytest.raises(ApiUnavailable, match="was tried once"):
        talk(LOST, OK, ask=once)
    with pytest.raises(ApiUnavailable, match="was tried once"):
        talk(problem(503), OK, ask=once)
    _, sent, _ = talk(REFUSED, OK, ask=once)
    assert len(sent) == 2
    assert "Idempotency-Key" not in sent[0].headers


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 413, 422, 428, 500])
def test_what_would_be_refused_again_is_not_sent_again(status):
    with pytest.raises(Exception, match="it is some-thing"):
        talk(problem(status, "some-thing"), OK)


def test_pauses_grow_and_differ():
    assert 0 < back_off_s(1) < 1
    pauses = {back_off_s(1000) for _ in range(50)}
    assert len(pauses) > 1
    assert max(pauses) <= LONGEST_PAUSE_S


def test_an_answer_of_something_else_says_what_came():
    login = Answer(status=200, headers={"content-type": "text/html"}, body=b"<html>Log in")
    with pytest.raises(ApiError, match=r"a Butler of this release.*<html>Log in"):
        talk(login, ask=job_ask())
    moved = Answer(status=308, headers={"location": "https://jobs/"}, body=b"")
    with pytest.raises(ApiError, match=r"redirect to https://jobs/: use that URL"):
        talk(moved)
    gateway = Answer(status=401, headers={}, body=b"who are you?")
    with pytest.raises(NotAuthenticated, match="who are you"):
        talk(gateway)


def job_ask():
    from butler.client.asks import as_model
    from butler.web.models.executions import Cancelled

    return Ask(read=as_model(Cancelled), place={"execution_id": "7"})

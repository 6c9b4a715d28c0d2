from __future__ import annotations

import traceback

from butler.executions import ErrorRecord
from butler.fingerprints import fingerprint, place_of


def record(text, *, kind="ValueError", message="boom"):
    return ErrorRecord(type=kind, message=message, traceback=text)


def frames(*lines):
    body = "".join(f'  File "{path}", line {n}, in {name}\n    x\n' for path, n, name in lines)
    return f"Traceback (most recent call last):\n{body}ValueError: boom\n"


def test_lines_messages_and_folders_do_not_tell_errors_apart():
    one = record(frames(("/srv/v1/shop/mail.py", 3, "send")), message="order 1")
    other = record(frames(("/opt/v2/shop/mail.py", 99, "send")), message="order 2")
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one).place == "shop/mail.py:send"


def test_type_and_place_tell_errors_apart():
    text = frames(("/srv/shop/mail.py", 3, "send"))
    ids = {
        fingerprint(record(text)).id,
        fingerprint(record(text, kind="KeyError")).id,
        fingerprint(record(frames(("/srv/shop/mail.py", 3, "receive")))).id,
    }
    assert len(ids) == 3


def test_the_place_is_the_innermost_of_the_applications_own():
    text = frames(
        ("/srv/shop/tasks.py", 1, "run"),
        ("/srv/shop/mail.py", 2, "send"),
        ("/venv/lib/python3.12/site-packages/httpx/_client.py", 3, "post"),
        ("/usr/lib/python3.12/socket.py", 4, "connect"),
        ("<frozen importlib._bootstrap>", 5, "load"),
    )
    assert place_of(text) == "shop/mail.py:send"


def test_where_nothing_is_the_applications_own_it_is_the_innermost():
    text = frames(("/venv/lib/python3.12/site-packages/httpx/_client.py", 3, "post"))
    assert place_of(text) == "httpx/_client.py:post"


def test_of_a_chain_the_last_error_counts():
    chain = (
        frames(("/srv/shop/a.py", 1, "first"))
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + frames(("/srv/shop/b.py", 1, "second"))
    )
    assert place_of(chain) == "shop/b.py:second"


def test_what_has_no_traceback_is_told_by_its_type():
    assert place_of(None) == ""
    lost, other = record(None, kind="WorkerLost"), record(None, kind="Failure")
    assert fingerprint(lost).id != fingerprint(other).id


def test_a_real_traceback_is_read():
    def broken():
        raise KeyError("x")

    try:
        broken()
    except KeyError:
        text = traceback.format_exc()
    assert place_of(text) == "unit/test_fingerprints.py:broken"

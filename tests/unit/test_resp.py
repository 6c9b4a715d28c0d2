"""Commands that are packed ahead of their time are what redis-py itself would send."""

import pytest
from redis.connection import Connection

from butler.resp import command, packed, packed_once


@pytest.mark.parametrize(
    "parts",
    [
        ("PING",),
        ("EVALSHA", "0" * 40, 2, "rq:queues", "butler:wake:ünï", b"\x80\x04\x95\r\n\0", -1, ""),
        ("SET", "a long one", "x" * 70_000),
    ],
)
def test_a_packed_command_is_what_redis_py_writes(parts):
    by_redis_py = b"".join(Connection().pack_command(*parts))
    assert by_redis_py == command(len(parts), packed(*parts))
    assert by_redis_py == command(len(parts), packed_once(parts[0]), packed(*parts[1:]))

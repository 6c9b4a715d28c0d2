"""What every system's no-op does: append when it was sent and when it ran, 16 bytes, to a file."""

import os
import struct
import time
from pathlib import Path

REDIS = os.environ["BENCH_REDIS"]
PG = os.environ["BENCH_PG"]
ENDS = os.environ["BENCH_ENDS"]
_opened = {}


def done(sent_at):
    file = _opened.get(os.getpid())  # a forked worker opens its own
    if file is None:
        file = _opened[os.getpid()] = os.open(ENDS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, struct.pack("dd", sent_at, time.time()))


def count():
    try:
        return Path(ENDS).stat().st_size // 16
    except FileNotFoundError:
        return 0


def read():
    """Pairs of (sent at, ran at), in the order they ran."""
    return list(struct.iter_unpack("dd", Path(ENDS).read_bytes()))

"""A program that runs embedded servers and tells of them: what the tests kill.

Usage: embedded_host.py FOLDER ORIGIN SITE [no-unshare]. SITE is put on sys.path. Prints one line of
JSON when both servers are ready, or the error; then stops them when its standard input ends.
"""

import ctypes
import json
import os
import platform
import struct
import sys


def main():
    folder, origin, site, *extras = sys.argv[1:]
    sys.path.insert(0, site)
    if extras == ["no-unshare"]:
        refuse_unshare()

    from butler.embedded import EmbeddedServices
    from butler.errors import EmbeddedUnavailable

    services = EmbeddedServices(folder, prefer=origin)
    try:
        services.start()
    except EmbeddedUnavailable as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    told = {
        "uid": os.geteuid(),
        "redis": services.redis.pid,
        "postgres": services.postgres.pid,
        "redis_url": services.redis_url,
        "database_url": services.database_url,
        "origins": [services.redis.binary.origin, services.postgres.binary.origin],
    }
    print(json.dumps(told), flush=True)
    sys.stdin.read()
    services.stop()


def refuse_unshare():
    """Let the kernel refuse unshare(2) to this process and its children, as containers do."""
    number = {"x86_64": 272, "aarch64": 97}[platform.machine()]
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    allow, eperm = 0x7FFF0000, 0x00050001
    program = [(load, 0, 0, 0), (jump_if_equal, 0, 1, number), (answer, 0, 0, eperm)]
    program.append((answer, 0, 0, allow))
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    filter_ = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # no_new_privs, without which only root may filter
    assert libc.prctl(22, 2, filter_, 0, 0) == 0, os.strerror(ctypes.get_errno())
    assert libc.unshare(0x10000000) == -1, "unshare was not refused"


if __name__ == "__main__":
    main()

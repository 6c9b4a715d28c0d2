"""A PgBouncer in transaction mode before the session's PostgreSQL, for tests."""

import contextlib
import os
import shutil
import subprocess
import time

from psycopg.conninfo import conninfo_to_dict

PORT = 6543  # only part of the socket's name; nothing listens on TCP
START_S = 20


def find_program():
    """Where PgBouncer is; None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def pooled(database_url, folder, *, sessions):
    """The URL of the same database through a pooler with so many sessions for everybody."""
    options = conninfo_to_dict(database_url)
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n"
        f"{options['dbname']} = host={options['host']} user={options['user']}\n"
        f"[pgbouncer]\n"
        f"unix_socket_dir = {folder}\n"
        f"listen_port = {PORT}\n"
        f"auth_type = any\n"
        f"pool_mode = transaction\n"
        f"default_pool_size = {sessions}\n"
        f"logfile = {folder / 'log'}\n"
    )
    # It refuses to run as root; in a namespace of its own, root looks like somebody else.
    disguise = ["unshare", "--user", "--map-user=65534"] if os.getuid() == 0 else []
    command = [*disguise, find_program(), "-q", str(config)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + START_S
        while not (folder / f".s.PGSQL.{PORT}").exists() and server.poll() is None:
            assert time.monotonic() < deadline, "pgbouncer did not start"
            time.sleep(0.01)
        assert server.poll() is None, server.stderr.read().decode()
        yield f"postgresql://{options['user']}@/{options['dbname']}?host={folder}&port={PORT}"
    finally:
        server.terminate()
        server.communicate(timeout=20)

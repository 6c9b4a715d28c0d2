"""A door to a PostgreSQL on a unix socket that can be shut, or made slow."""

import contextlib
import select
import socket
import tempfile
import threading
import time
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict


class Door:
    """``url`` leads through it; after `cut` it carries nothing, and tells nobody.

    While ``delay_s`` is set, what is asked takes that much longer; only statements that contain
    ``delays``, where that is set.
    """

    delay_s = 0.0
    delays = b""

    def __init__(self, database_url):
        options = conninfo_to_dict(database_url)
        name = f".s.PGSQL.{options.get('port', 5432)}"
        self._server = str(Path(options["host"], name))
        self._folder = tempfile.TemporaryDirectory()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self._folder.name, name)))
        self._listener.listen()
        self._open = True
        self._pairs = []
        self.url = f"postgresql://{options['user']}@/{options['dbname']}?host={self._folder.name}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open = False
        self._listener.close()
        self._folder.cleanup()

    def cut(self):
        self._open = False

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._pairs.append((client, server))
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _carry(self, client, server):
        with client, server, contextlib.suppress(OSError):
            self._pass_on(client, server)

    def _pass_on(self, client, server):
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(65_536)
                if not data:
                    return
                if self.delay_s and source is client and self.delays in data:
                    time.sleep(self.delay_s)
                if self._open:
                    (server if source is client else client).sendall(data)

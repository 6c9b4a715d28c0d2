"""Ten other systems: how each is emptied, enqueues one or many, and starts two worker processes."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from ends import PG, REDIS

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
BULK = 500


def command(name, *arguments):
    return [str(BIN / name), *arguments]


def sizes(count, size=BULK):
    """What ``count`` is made of, in pieces of ``size``."""
    return [min(size, count - first) for first in range(0, count, size)]


class System:
    """One system; those without a bulk enqueue send one after the other."""

    def __init__(self):
        import redis

        redis.Redis.from_url(REDIS).flushall()
        self.loop = asyncio.new_event_loop()
        self.open()

    def do(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def send_many(self, count):
        for _ in range(count):
            self.send(time.time())


class Rq(System):
    worker_class = "rq.worker.SimpleWorker"

    def open(self):
        import redis
        import rq
        import rq_tasks

        self.task = rq_tasks.noop
        self.queue = rq.Queue("bench", connection=redis.Redis.from_url(REDIS))

    def send(self, sent_at):
        self.queue.enqueue(self.task, sent_at)

    def send_many(self, count):
        for size in sizes(count):
            prepare = self.queue.prepare_data
            self.queue.enqueue_many([prepare(self.task, (time.time(),)) for _ in range(size)])

    def workers(self):
        return [command("rq", "worker", "-u", REDIS, "-w", self.worker_class, "-q", "bench")] * 2


class RqFork(Rq):
    worker_class = "rq.worker.Worker"


class Celery(System):
    def open(self):
        import celery_tasks

        self.task = celery_tasks.noop

    def send(self, sent_at):
        self.task.delay(sent_at)

    def workers(self):
        options = ["-c", "2", "-l", "error", "--without-gossip", "--without-mingle"]
        return [command("celery", "-A", "celery_tasks", "worker", *options)]


class Dramatiq(System):
    def open(self):
        import dramatiq_tasks

        self.task = dramatiq_tasks.noop

    def send(self, sent_at):
        self.task.send(sent_at)

    def workers(self):
        return [command("dramatiq", "dramatiq_tasks", "-p", "2", "-t", "8")]


class Huey(System):
    def open(self):
        import huey_tasks

        self.task = huey_tasks.noop

    def send(self, sent_at):
        self.task(sent_at)

    def workers(self):
        options = ["-w", "2", "-k", "process", "-d", "0.001", "-q"]
        return [command("huey_consumer", "huey_tasks.huey", *options)]


class Taskiq(System):
    def open(self):
        import taskiq_tasks

        self.task = taskiq_tasks.noop
        self.do(taskiq_tasks.broker.startup())

    def send(self, sent_at):
        self.do(self.task.kiq(sent_at))

    def send_many(self, count):
        async def send(size):
            await asyncio.gather(*[self.task.kiq(time.time()) for _ in range(size)])

        for size in sizes(count, 100):
            self.do(send(size))

    def workers(self):
        options = ["-w", "2", "--max-async-tasks", "64"]
        return [command("taskiq", "worker", "taskiq_tasks:broker", *options)]


class Streaq(System):
    def open(self):
        import streaq_tasks

        self.task, self.worker = streaq_tasks.noop, streaq_tasks.worker
        self.do(self.worker.__aenter__())

    def send(self, sent_at):
        async def send():
            await self.task.enqueue(sent_at)

        self.do(send())

    def send_many(self, count):
        async def send(size):
            tasks = [self.task.enqueue(time.time()) for _ in range(size)]
            await self.worker.enqueue_many(tasks)

        for size in sizes(count):
            self.do(send(size))

    def workers(self):
        return [command("streaq", "run", "streaq_tasks:worker")] * 2


class OnPostgres(System):
    def open(self):
        import psycopg

        with psycopg.connect(PG, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        self.install()

    def run(self, name, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        subprocess.run(command(name, *arguments), check=True, capture_output=True, env=environment)


class Procrastinate(OnPostgres):
    def install(self):
        import procrastinate_tasks

        self.run("procrastinate", "--app", "procrastinate_tasks.app", "schema", "--apply")
        self.task = procrastinate_tasks.noop
        self.do(procrastinate_tasks.app.open_async())

    def send(self, sent_at):
        self.do(self.task.defer_async(sent_at=sent_at))

    def send_many(self, count):
        for size in sizes(count):
            batch = [{"sent_at": time.time()} for _ in range(size)]
            self.do(self.task.batch_defer_async(*batch))

    def workers(self):
        return [command("procrastinate", "--app", "procrastinate_tasks.app", "worker", "-c32")] * 2


class PgQueuer(OnPostgres):
    def install(self):
        import psycopg
        from pgqueuer import Queries
        from pgqueuer.db import PsycopgDriver

        self.run("pgq", "--pg-dsn", PG, "install")
        connection = self.do(psycopg.AsyncConnection.connect(PG, autocommit=True))
        self.queries = Queries(PsycopgDriver(connection))

    def send(self, sent_at):
        self.do(self.queries.enqueue("noop", repr(sent_at).encode()))

    def send_many(self, count):
        for size in sizes(count):
            payloads = [repr(time.time()).encode() for _ in range(size)]
            self.do(self.queries.enqueue(["noop"] * size, payloads, [0] * size))

    def workers(self):
        return [[sys.executable, "pgqueuer_tasks.py"]] * 2


class Oban(OnPostgres):
    def install(self):
        import oban
        import oban_tasks
        import psycopg_pool

        self.run("oban", "install", "--dsn", PG)
        self.task = oban_tasks.Noop

        async def connect():
            pool = psycopg_pool.AsyncConnectionPool(PG, open=False, min_size=1, max_size=4)
            await pool.open()
            return oban.Oban(pool=pool)

        self.oban = self.do(connect())

    def send(self, sent_at):
        self.do(self.oban.enqueue(self.task.new({"sent_at": sent_at})))

    def send_many(self, count):
        for size in sizes(count):
            jobs = [self.task.new({"sent_at": time.time()}) for _ in range(size)]
            self.do(self.oban.enqueue_many(jobs))

    def workers(self):
        options = ["--queues", "bench:64", "--log-level", "error", "--cron-modules", "oban_tasks"]
        return [command("oban", "start", "--dsn", PG, *options)] * 2


SYSTEMS = {
    "RQ forking": RqFork,
    "RQ SimpleWorker": Rq,
    "Procrastinate": Procrastinate,
    "Celery": Celery,
    "streaQ": Streaq,
    "Taskiq": Taskiq,
    "Dramatiq": Dramatiq,
    "Huey": Huey,
    "Oban": Oban,
    "PgQueuer": PgQueuer,
}

import asyncio
from datetime import timedelta

import psycopg
from ends import PG, done
from pgqueuer import PgQueuer
from pgqueuer.db import PsycopgDriver


async def main():
    connection = await psycopg.AsyncConnection.connect(PG, autocommit=True)
    pgqueuer = PgQueuer(PsycopgDriver(connection))

    @pgqueuer.entrypoint("noop")
    async def noop(job):
        done(float(job.payload))

    await pgqueuer.run(batch_size=100, dequeue_timeout=timedelta(seconds=5))


if __name__ == "__main__":
    asyncio.run(main())

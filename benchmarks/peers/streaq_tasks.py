from ends import REDIS, done
from streaq import Worker

worker = Worker(redis_url=REDIS, concurrency=64)


@worker.task()
async def noop(sent_at: float) -> int:
    done(sent_at)
    return 1

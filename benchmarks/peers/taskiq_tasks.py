from ends import REDIS, done
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = RedisStreamBroker(url=REDIS).with_result_backend(RedisAsyncResultBackend(redis_url=REDIS))


@broker.task
async def noop(sent_at):
    done(sent_at)
    return 1

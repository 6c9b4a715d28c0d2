from ends import REDIS, done
from huey import RedisHuey

huey = RedisHuey("bench", url=REDIS)


@huey.task()
def noop(sent_at):
    done(sent_at)
    return 1

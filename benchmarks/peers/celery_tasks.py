from celery import Celery
from ends import REDIS, done

URL = REDIS.replace("unix://", "redis+socket://")

app = Celery("bench", broker=URL, backend=URL)
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=64, task_serializer="json")


@app.task
def noop(sent_at):
    done(sent_at)
    return 1

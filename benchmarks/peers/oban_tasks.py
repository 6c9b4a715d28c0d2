from ends import done
from oban import worker


@worker(queue="bench")
class Noop:
    async def process(self, job):
        done(job.args["sent_at"])

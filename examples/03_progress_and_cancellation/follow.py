import time

from tasks import Album, resize, watch

from butler import ExecutionStatus
from butler.errors import TaskCancelled

handle = resize.enqueue(Album(pictures=30))
while not (execution := handle.execution()).status.finished:
    if execution.progress:
        print(f"{execution.progress.percent:.0f} % {execution.progress.message}")
    time.sleep(0.4)
print("resized", handle.result(), "pictures")

# One that is half-way is asked to end; `track` and `sleep` listen.
long = resize.enqueue(Album(pictures=10_000))
endless = watch.enqueue()
for running in (long, endless):
    while running.status is not ExecutionStatus.RUNNING:
        time.sleep(0.05)
    print("asked to end:", running.cancel())
    try:
        running.result(timeout_s=30)
    except TaskCancelled as error:
        print(error.execution.task, error.execution.status)

import time

from tasks import butler

from butler import ExecutionStatus

jobs = butler.recurring


def over() -> bool:
    job = jobs.find("slow")
    executions = jobs.statistics("slow").executions if job else {}
    return (
        job is not None and job.status == "ended" and executions.get(ExecutionStatus.SUCCEEDED) == 3
    )


deadline = time.monotonic() + 60
while not over():
    assert time.monotonic() < deadline, "it was not over within a minute"
    time.sleep(0.05)

fires = list(reversed(jobs.history("slow", outcome="fired")))
executions = [butler.get_or_raise(fire.execution_id) for fire in fires if fire.execution_id]
ends = [execution.finished_at for execution in executions if execution.finished_at]
starts = [execution.started_at for execution in executions if execution.started_at]
print("fired for", len({fire.fire_at for fire in fires}), "seconds, none in parallel:", end=" ")
print(all(end <= start for end, start in zip(ends, starts[1:], strict=False)))
for job in jobs.list().jobs:
    print(f"{job.name} ({job.misfire}, {job.overlap}): {job.status}")

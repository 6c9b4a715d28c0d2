from itertools import pairwise

from tasks import Document, Payment, butler, convert, pay

butler.queues.pause("default")
acme = butler.enqueue_many((convert, Document(tenant="acme", page=n)) for n in range(1, 301))
globex = butler.enqueue_many((convert, Document(tenant="globex", page=n)) for n in range(1, 4))
payments = [pay.enqueue(Payment(account=7, cents=cents)) for cents in (100, 200, 300)]
print("waits for:", *payments[0].waits_for())
butler.queues.resume("default")

print([handle.result(timeout_s=60) for handle in globex])
print("acme's last:", acme[-1].result(timeout_s=60))
started = max(str(handle.execution().started_at) for handle in globex)
before = sum(str(handle.execution().started_at) < started for handle in acme)
print("of acme's 300 at most ten had started before globex's last:", before <= 10)

print("paid:", sum(handle.result(timeout_s=60) for handle in payments))
times = sorted(
    (str(execution.started_at), str(execution.finished_at))
    for execution in (handle.execution() for handle in payments)
)
print("one at a time:", all(end <= start for (_, end), (start, _) in pairwise(times)))

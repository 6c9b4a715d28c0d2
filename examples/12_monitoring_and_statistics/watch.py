from datetime import timedelta

from tasks import butler, fetch, resize

handles = [resize.enqueue(width) for width in range(100, 2_100, 100)]
handles += [fetch.enqueue(f"https://example.com/{page}") for page in (1, 2, 404)]
for handle in handles:
    for _ in handle.events(timeout_s=60):
        pass  # until it is over, well or not

quarter = timedelta(minutes=15)
whole = butler.stats.summary(since=quarter)
print(f"{whole.succeeded} succeeded, {whole.failed} failed, {whole.retries} retries")

# Quantiles come from a histogram: right to one per cent.
resized = butler.stats.summary(since=quarter, task="resize")
print("half of the pictures took over 90 ms:", (resized.run.p50_s or 0) > 0.09)

for row in butler.stats.top(by="task", order="failure_rate", since=quarter):
    print(f"{row.name}: {row.summary.failure_rate:.0%} of {row.summary.ended} failed")

# Two attempts at page 404 are one error: same type, same place.
for error in butler.stats.errors(since=quarter):
    print(f"{error.number} x {error.type} at {error.place.rpartition('/')[2]}")

butler.delete(handles[0].id)  # statistics outlive what they are about
print("still:", butler.stats.summary(since=quarter).succeeded)

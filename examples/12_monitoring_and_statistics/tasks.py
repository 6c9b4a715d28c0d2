import time

from butler import Butler, RetryPolicy, TaskContext

butler = Butler()


@butler.task
def resize(width: int) -> str:
    """Resize a picture; the wide ones take longer."""
    time.sleep(width / 10_000)
    return f"{width} pixels wide"


@butler.task(retry=RetryPolicy(max_attempts=2, base_s=0.05))
def fetch(url: str, context: TaskContext) -> str:
    """Fetch a page from a server that is away at first, and has no page 404."""
    if url.endswith("404"):
        raise LookupError(f"no page at {url}")
    if context.attempt == 1:
        raise ConnectionError("the server is away")
    return url

import os
from collections.abc import Iterator

import sentry_sdk
from sentry_middleware import SentryMiddleware

from butler import Butler, RetryPolicy

butler = Butler()
butler.add_middleware(SentryMiddleware())


@butler.lifespan
def report_errors() -> Iterator[None]:
    """In each worker process: begin to report, and send what is left when it ends."""
    sentry_sdk.init(os.environ.get("SENTRY_DSN"), environment="production")
    yield
    sentry_sdk.flush(timeout=2)


@butler.task(retry=RetryPolicy(max_attempts=2, base_s=0.1))
def charge(amount: int) -> str:
    if amount < 0:
        raise ValueError(f"cannot charge {amount}")
    return f"charged {amount}"


@butler.task(retry=RetryPolicy(max_attempts=1))
async def refund(amount: int) -> str:
    return f"refunded {100 // amount}"

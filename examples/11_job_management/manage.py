"""The life of jobs, managed from outside: this program reaches neither Redis nor Postgres."""

from pydantic import BaseModel

from butler import ExecutionStatus
from butler.client import ButlerClient, ClientHandle, RemoteTask
from butler.errors import IllegalTransition, TaskFailed


class Invoice(BaseModel):
    number: int
    email: str


send_invoice = RemoteTask("send_invoice", Invoice, str)
count_sheep = RemoteTask("count_sheep", int, int)


def one_life(client: ButlerClient) -> None:
    """Enqueued, followed to its end, deleted."""
    handle = client.enqueue(send_invoice, Invoice(number=1, email="ada@example.com"), user_id="ada")
    states = [change.status for change in handle.events(timeout_s=60)]
    print("ended as", states[-1], "with:", handle.result())
    client.delete(handle.id)
    print("left of it:", list(client.list(user_id="ada")))


def a_failure_and_a_retry(client: ButlerClient) -> None:
    """What failed is opened again, once whatever was wrong has been put right."""
    handle = client.enqueue(send_invoice, Invoice(number=2, email="nowhere"))
    try:
        handle.result(timeout_s=60)
    except TaskFailed as failed:
        print("failed:", failed.execution.error and failed.execution.error.message)
    client.retry(handle.id)
    try:
        handle.result(timeout_s=60)
    except TaskFailed as failed:
        print("attempts:", failed.execution.attempt)


def a_cancellation(client: ButlerClient) -> None:
    """A running task is asked to end; what is over cannot be retried if it succeeded."""
    handle = client.enqueue(count_sheep, 10_000)
    for change in handle.events(timeout_s=60):
        if change.status is ExecutionStatus.RUNNING:
            handle.cancel()
    print("cancelled:", handle.execution().status)
    done = client.enqueue(send_invoice, Invoice(number=3, email="bob@example.com"))
    done.result(timeout_s=60)
    try:
        client.retry(done.id)
    except IllegalTransition as refused:
        print("refused:", type(refused).__name__)


def many_at_once(client: ButlerClient) -> None:
    """Count first, then act: by a filter, on all that match."""
    orders = [(send_invoice, Invoice(number=n, email="old@example.com")) for n in range(100, 150)]
    handles: list[ClientHandle[str]] = client.enqueue_many(orders, delay_s=3600, tags=["december"])
    print("waiting:", len(handles))
    counted = client.cancel_matching(tag="december", status="scheduled", dry_run=True)
    print("would be cancelled:", counted.matched)
    print("cancelled:", client.cancel_matching(tag="december", status="scheduled").changed)
    print("deleted:", client.delete_matching(tag="december").changed)


if __name__ == "__main__":
    with ButlerClient(reason="example 11") as client:  # BUTLER_URL, BUTLER_TOKEN
        one_life(client)
        a_failure_and_a_retry(client)
        a_cancellation(client)
        many_at_once(client)

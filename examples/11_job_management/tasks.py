"""What the workers can do; whoever manages the jobs needs none of this code."""

from pydantic import BaseModel

from butler import Butler, RetryPolicy, TaskContext

butler = Butler()


class Invoice(BaseModel):
    number: int
    email: str


@butler.task(tags=["billing"], retry=RetryPolicy(max_attempts=1))
def send_invoice(invoice: Invoice, context: TaskContext) -> str:
    if "@" not in invoice.email:
        raise ValueError(f"{invoice.email!r} is no address")
    context.report_progress(100, "sent")
    return f"invoice {invoice.number} sent to {invoice.email}"


@butler.task(tags=["billing"])
def count_sheep(upto: int, context: TaskContext) -> int:
    for number in range(upto):
        context.report_progress(100 * number / upto)
        context.sleep(0.1)  # ends early when it is cancelled
    return upto

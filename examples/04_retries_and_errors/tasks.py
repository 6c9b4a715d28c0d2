from pydantic import BaseModel

from butler import Butler, RetryPolicy, TaskContext, TaskResult

butler = Butler()


class Mail(BaseModel):
    to: str


@butler.task(retry=RetryPolicy(max_attempts=5, base_s=0.2, give_up_on=PermissionError))
def send_mail(mail: Mail, context: TaskContext) -> str:
    """Send a mail. The server is away twice, and never lets strangers in."""
    if mail.to == "stranger":
        raise PermissionError("the server refuses strangers")
    if context.attempt < 3:
        raise ConnectionError("the server is away")
    return f"sent to {mail.to}"


@butler.task
def fetch_report(month: str, context: TaskContext) -> TaskResult[str]:
    """Fetch a report that is published a moment later."""
    if month < "2020-01":
        return TaskResult.failure(f"there were no reports in {month}", retry=False)
    if context.attempt == 1:
        return TaskResult.retry(after_s=0.5, reason="not published yet")
    return TaskResult.success(f"report of {month}")

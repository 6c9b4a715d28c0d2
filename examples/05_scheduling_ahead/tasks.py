from pydantic import BaseModel

from butler import Butler

butler = Butler()


class Reminder(BaseModel):
    user: str
    text: str


@butler.task(priority="high", unique_key=lambda reminder: reminder.user)
def remind(reminder: Reminder) -> str:
    """Remind a user; while a reminder is waiting, another for the same user is not made."""
    return f"{reminder.user}: {reminder.text}"

from datetime import UTC, datetime, timedelta

from tasks import Reminder, remind

later = remind.enqueue(Reminder(user="ada", text="call Bob"), delay_s=1)
tomorrow = datetime.now(UTC) + timedelta(days=1)
appointment = remind.enqueue(Reminder(user="bob", text="see the dentist"), run_at=tomorrow)
print(later.status, appointment.status)

again = remind.enqueue(Reminder(user="bob", text="see the dentist!"))
print("made a second one for bob:", again.created)

print(later.result(timeout_s=30))
execution = later.execution()
assert execution.started_at is not None
waited = execution.started_at - execution.created_at
print("waited at least a second:", waited >= timedelta(seconds=1))

print("cancelled before its time:", appointment.cancel(), appointment.status)

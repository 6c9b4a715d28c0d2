from tasks import Mail, butler, fetch_report, send_mail

from butler.errors import InvalidRequest, TaskFailed

handles = [
    send_mail.enqueue(Mail(to="ada")),
    send_mail.enqueue(Mail(to="stranger")),
    fetch_report.enqueue("2026-05"),
    fetch_report.enqueue("1999-12"),
]
for handle in handles:
    try:
        print("result:", handle.result(timeout_s=30))
    except TaskFailed as error:
        print("failed:", error)
    for attempt in handle.execution().attempts:
        said = f": {attempt.error.message}" if attempt.error else ""
        print(f"  attempt {attempt.number} {attempt.outcome}{said}")

try:
    butler.enqueue("send_mail", {"to": 5})
except InvalidRequest as error:
    print("refused, and nothing written:", error)

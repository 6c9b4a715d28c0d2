from tasks import Order, write_receipt

handle = write_receipt.enqueue(Order(number=7, email="ada@example.com"))
print("enqueued", handle.id)

receipt = handle.result(timeout_s=30)  # a Receipt, as your type checker knows
print(receipt.number, receipt.text)

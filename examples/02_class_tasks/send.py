from tasks import Customer, ImportCustomer, ImportProduct, Product, announce, butler

pen = Product(title="red pen", price=2.5)
customer = ImportCustomer.enqueue(Customer(name="Ada"))
product = ImportProduct.enqueue(pen)
announced = butler.enqueue(announce, pen)

print(customer.result(timeout_s=30))
print(product.result(timeout_s=30))
print(announced.result(timeout_s=30))

from abc import abstractmethod
from typing import Generic, TypeVar

from pydantic import BaseModel

from butler import Butler, RetryPolicy, Task, TaskContext

butler = Butler()
Row = TypeVar("Row", bound=BaseModel)


class Customer(BaseModel):
    name: str


class Product(BaseModel):
    title: str
    price: float


class Import(Task[Row, str], Generic[Row]):
    """What all imports have in common. Abstract: it has no `execute` that could run."""

    queue = "imports"
    retry = RetryPolicy(max_attempts=5)

    @abstractmethod
    def key(self, row: Row) -> str: ...

    def execute(self, row: Row, context: TaskContext) -> str:
        return f"{context.task}: stored {self.key(row)}"


@butler.register
class ImportCustomer(Import[Customer]):
    """Store a customer."""

    def key(self, row: Customer) -> str:
        return row.name.lower()


@butler.register
class ImportProduct(Import[Product]):
    """Store a product."""

    priority = "high"

    def key(self, row: Product) -> str:
        return row.title.replace(" ", "-")


class Announce:
    """No base class: any object with an annotated `execute` will do; this one needs an argument."""

    name = "Announce"
    queue = "imports"

    def __init__(self, template: str) -> None:
        self.template = template  # one object serves all attempts, from several threads

    def execute(self, product: Product, context: TaskContext) -> str:
        return f"{self.template.format(product.title)} (on queue {context.queue})"


announce = butler.register(Announce("New: {}!"))

"""A Butler whose ledger is in a file."""

from file_storage import FileStorage
from pydantic import BaseModel

from butler import Butler

butler = Butler(storage=FileStorage("ledger.bin"))


class Page(BaseModel):
    url: str


@butler.task
def fetch(page: Page) -> str:
    return f"fetched {page.url}"

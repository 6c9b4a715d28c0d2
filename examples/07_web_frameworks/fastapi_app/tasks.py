"""What the API has done in the background."""

from pydantic import BaseModel

from butler import Butler, TaskContext

butler = Butler()


class Thumbnails(BaseModel):
    image: str
    sizes: list[int]


@butler.task
def make_thumbnails(request: Thumbnails, context: TaskContext) -> list[str]:
    return [f"{request.image}-{size}.jpg" for size in context.track(request.sizes)]

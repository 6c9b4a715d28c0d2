from pydantic import BaseModel

from butler import Butler, TaskContext

butler = Butler()


class Album(BaseModel):
    pictures: int


@butler.task
def resize(album: Album, context: TaskContext) -> int:
    """Resize an album, picture by picture; for the example, each takes a twentieth of a second."""
    for _ in context.track(range(album.pictures), message="resizing"):
        context.sleep(0.05)
    return album.pictures


@butler.task(timeout_s=None)
async def watch(context: TaskContext) -> None:
    """Run until cancelled, and clean up then."""
    try:
        while True:
            await context.sleep(1)
    finally:
        print("watch has cleaned up", flush=True)

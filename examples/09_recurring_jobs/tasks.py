from pydantic import BaseModel

from butler import Butler, Cron, Interval

butler = Butler(name="newsroom")


class Feed(BaseModel):
    url: str


@butler.recurring(Interval(1), name="read world news", request=Feed(url="https://world.example"))
@butler.recurring(Interval(3600), name="read science", request=Feed(url="https://science.example"))
@butler.task
def read_feed(feed: Feed) -> str:
    """Read a feed; two jobs do it, each with a request of its own."""
    return f"read {feed.url}"


@butler.recurring(Cron("0 7 * * *", timezone="Europe/Berlin"), misfire_grace_s=3600)
@butler.task(priority="low")
def send_digest() -> str:
    """Send the digest at seven, or within the hour if nobody could at seven."""
    return "sent"

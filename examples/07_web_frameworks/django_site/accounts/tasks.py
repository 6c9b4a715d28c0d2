"""Found by itself: the tasks of an installed app."""

from django.contrib.auth.models import User
from pydantic import BaseModel

from butler.contrib.django import butler


class Welcome(BaseModel):
    user_id: int


@butler.task(queue="site", tags=["site"])
def welcome(request: Welcome) -> str:
    user = User.objects.get(id=request.user_id)
    return f"Hello {user.get_username()}"


@butler.task(queue="site", tags=["site"])
async def count_users(request: None) -> int:
    count: int = await User.objects.acount()
    return count

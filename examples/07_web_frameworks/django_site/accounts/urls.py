"""One view."""

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.urls import path

from accounts.tasks import Welcome, welcome


def sign_up(request: HttpRequest) -> JsonResponse:
    user = User.objects.create_user(request.POST["name"])
    handle = welcome.enqueue(Welcome(user_id=user.pk), user_id=str(user.pk))
    return JsonResponse({"id": handle.id}, status=202)


urlpatterns = [path("sign-up/", sign_up)]

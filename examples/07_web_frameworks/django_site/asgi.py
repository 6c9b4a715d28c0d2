"""The site with the REST API beside it, under /butler."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
site = get_asgi_application()  # before the imports below: it sets Django up

from starlette.applications import Starlette  # noqa: E402
from starlette.routing import Mount  # noqa: E402

from butler.contrib.django import butler  # noqa: E402
from butler.web import create_app  # noqa: E402

application = Starlette(routes=[Mount("/butler", create_app(butler)), Mount("/", site)])

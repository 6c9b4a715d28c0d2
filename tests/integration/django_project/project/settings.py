import json
import os

from psycopg.conninfo import conninfo_to_dict

_url = conninfo_to_dict(os.environ["PROJECT_DATABASE_URL"])

SECRET_KEY = "for tests"
USE_TZ = True
INSTALLED_APPS = json.loads(os.environ.get("PROJECT_APPS", '["butler.contrib.django", "shop"]'))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url["dbname"],
        "USER": _url.get("user", ""),
        "HOST": _url["host"],
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"pool": False, "application_name": "project"},
    },
    "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
}
BUTLER = {"REDIS_URL": os.environ["PROJECT_REDIS_URL"], "RETENTION_DAYS": 7}
BUTLER |= json.loads(os.environ.get("PROJECT_BUTLER", "{}"))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

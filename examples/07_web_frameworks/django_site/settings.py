"""A site with one app; the ledger is where BUTLER_DATABASE_URL says."""

SECRET_KEY = "an example"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "butler.contrib.django",
    "accounts",
]
ROOT_URLCONF = "accounts.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}
ALLOWED_HOSTS = ["localhost", "testserver"]
BUTLER = {"RETENTION_DAYS": 14}

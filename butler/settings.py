"""`Settings`: arguments over ``BUTLER_*`` variables over ``butler.toml`` over defaults.

Nothing else in Butler reads the environment. Each secret may also stand in a file that
``<VARIABLE>_FILE`` names, as container platforms hand them out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from butler.errors import SettingsError, did_you_mean

PREFIX = "BUTLER_"
TOML_FILE = "butler.toml"


class Settings(BaseSettings):
    """What a process needs to know; made by `load_settings`. Secrets are masked in its repr."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, toml_file=TOML_FILE, extra="forbid", frozen=True, env_ignore_empty=True
    )

    redis_url: SecretStr | None = None
    database_url: SecretStr | None = None
    database_schema: str = Field(default="butler", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    migrate: Literal["never", "auto"] = "never"
    pool_size: int = Field(default=4, ge=1, le=100)
    command_timeout_s: float = Field(default=30.0, gt=0, le=3600)

    def need_redis_url(self) -> str:
        """The URL in clear; raises `SettingsError` when there is none."""
        return _needed("redis_url", self.redis_url)

    def need_database_url(self) -> str:
        """The URL in clear; raises `SettingsError` when there is none."""
        return _needed("database_url", self.database_url)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic passes all by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """In order of precedence."""
        toml = TomlConfigSettingsSource(settings_cls)
        return (init_settings, env_settings, _SecretFiles(settings_cls), toml)


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads ``BUTLER_<SECRET>_FILE``: the file's text, without the newline at its end."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """One secret, or None."""
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if not path or field_name not in SECRETS:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{PREFIX}{field_name.upper()}_FILE cannot be read: {error}"
            ) from error

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(None, name)[0] for name in SECRETS}
        return {name: value for name, value in values.items() if value is not None}


SECRETS = ("redis_url", "database_url")


def load_settings(**arguments: Any) -> Settings:
    """Read everything; an argument that is None counts as not given.

    Raises `SettingsError`, naming what is wrong and where it may come from; never a secret.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return Settings(**given)
    except SettingsError:
        raise
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors(include_input=False))
        raise SettingsError(f"settings cannot be used: {problems}") from None
    except ValueError as error:
        # A butler.toml that is no TOML.
        raise SettingsError(f"settings cannot be read: {error}") from error


def _problem(detail: Any) -> str:
    name = ".".join(str(step) for step in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"no setting {name!r}{did_you_mean(name, Settings.model_fields)}"
    return f"{name} ({PREFIX}{name.upper()}): {detail['msg']}"


def _needed(name: str, value: SecretStr | None) -> str:
    if value is None:
        variable = PREFIX + name.upper()
        raise SettingsError(
            f"no {name} is set: pass Butler({name}=...), set {variable} or {variable}_FILE, "
            f"or write it into {TOML_FILE}"
        )
    return value.get_secret_value()

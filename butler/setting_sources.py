"""Where settings come from besides arguments: ``BUTLER_*`` variables, files that hold secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from butler.errors import SettingsError

PREFIX = "BUTLER_"
TOML_FILE = "butler.toml"


class SecretFiles(PydanticBaseSettingsSource):
    """Reads ``BUTLER_<SECRET>_FILE``: the file's text, without the newline at its end."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """One secret, or None."""
        path = file_of(field_name)
        if path is None:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{variable_of(field_name)}_FILE cannot be read: {error}"
            ) from error

    def __call__(self) -> dict[str, Any]:
        """All secrets that are in files."""
        secrets = secrets_of(self.settings_cls)
        found = {name: self.get_field_value(None, name)[0] for name in secrets}
        return {name: value for name, value in found.items() if value is not None}


def secrets_of(settings: type[BaseSettings]) -> frozenset[str]:
    """Which settings are secrets, by their type."""
    fields = settings.model_fields.items()
    return frozenset(name for name, field in fields if "SecretStr" in str(field.annotation))


def variable_of(name: str) -> str:
    """The variable of a setting."""
    return PREFIX + name.upper()


def file_of(name: str) -> str | None:
    """The file that a secret's ``_FILE`` variable names."""
    return os.environ.get(f"{variable_of(name)}_FILE") or None

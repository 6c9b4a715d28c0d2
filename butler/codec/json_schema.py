"""A type's JSON Schema: complete, storable, and the same in every process (pure)."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from butler.text import clean_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def json_schema(adapter: TypeAdapter[Any], *, by_alias: bool) -> dict[str, Any]:
    """What the type takes as plain data; a part no schema can describe is ``{}``."""
    schema = adapter.json_schema(by_alias=by_alias, mode="validation", schema_generator=_Generator)
    storable: dict[str, Any] = _storable(schema)
    return storable


def fingerprint(schema: dict[str, Any]) -> str:
    """16 hex characters that change with the schema."""
    canonical = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class _Generator(GenerateJsonSchema):
    """Pydantic's, but it neither fails nor warns."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        try:
            return super().handle_invalid_for_json_schema(schema, error_info)
        except PydanticInvalidForJsonSchema:
            return {}  # a validator of the user's own: anything may fit

    def encode_default(self, dft: Any) -> Any:
        encoded = super().encode_default(dft)
        # A set is listed in the order of its hashes, which differs from process to process.
        return sorted(encoded, key=repr) if isinstance(dft, (set, frozenset)) else encoded


def _storable(part: Any) -> Any:
    """``part`` without what Postgres refuses, which a default or a description may hold."""
    if isinstance(part, dict):
        return {_storable(key): _storable(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_storable(item) for item in part]
    if isinstance(part, str):
        return clean_text(part, len(part))
    if isinstance(part, float) and not math.isfinite(part):
        return None
    return part

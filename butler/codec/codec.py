"""Requests and results to JSON text and back, without loss (pure).

Guarantee: what a worker gets equals what was enqueued, or the enqueue is refused and names the
field. So `Codec.encode` writes, reads what it wrote as the worker will, and compares. pydantic's
plain dump, which is what one would use first, loses silently: a ``SecretStr`` becomes asterisks,
a subclass in a base-typed field loses its fields, NaN becomes null; and aliases or computed
fields under ``extra="forbid"`` fail only in the worker. Trusting types instead of checking each
value was rejected too: attributes are assigned without validation, and ``Any`` holds anything.

What cannot be seen in a value that was written (``exclude=True``, tuples as keys) is refused when
the task is defined; see ``schema.py``. Secrets are written in plain text: they are what the
worker needs.
"""

from __future__ import annotations

import inspect
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pydantic_core
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation

from butler.codec.difference import difference
from butler.codec.json_schema import fingerprint, json_schema
from butler.codec.places import (
    LONE_SURROGATE,
    culprit,
    non_finite,
    path_text,
    unstorable,
    unstorable_in,
)
from butler.codec.schema import NotPortable, SchemaFacts, inspect_schema
from butler.codec.secrets import reveal
from butler.errors import ButlerError, DefinitionError, InvalidRequest, ResultNotStorable
from butler.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from butler.codec.places import Path

MAX_BYTES = 1024 * 1024
_SHOWN_ERRORS = 5
_KEPT_ERRORS = 100
_MESSAGE_LIMIT = 1_000


class Codec:
    """Writes values of one type as JSON text, and reads them back equal.

    ``label`` opens every message: ``request of "Send Email"``. ``max_bytes`` bounds the text, in
    bytes of UTF-8. Raises `DefinitionError` when values of this type can never travel.
    """

    def __init__(self, type_: Any, *, label: str, max_bytes: int = MAX_BYTES) -> None:
        self.type = type_
        self.label = label
        self.max_bytes = max_bytes
        self._nothing = type_ is None or type_ is type(None)
        self._adapter, facts = _prepare(type(None) if self._nothing else type_, label)
        self._secrets = facts.secrets
        self._by_name = facts.by_name
        self._serializer = self._adapter.serializer
        self._validator = self._adapter.validator

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type_name(self.type)}, label={self.label!r})"

    def encode(self, value: Any, *, max_bytes: int | None = None) -> str | None:
        """``value`` as JSON text; None where the type is None.

        ``max_bytes`` takes the place of the codec's own. Raises `InvalidRequest` when it would not
        arrive equal, cannot be stored (NUL, a lone surrogate, NaN) or is over ``max_bytes``;
        ``errors`` and the message name the fields.
        """
        if value is None and self._nothing:
            return None
        limit = self.max_bytes if max_bytes is None else max_bytes
        try:
            raw = self._write(value)
        except Exception as exc:  # noqa: BLE001  # pydantic's errors, and a user's serializer's
            self._refuse_unwritten(value, exc)
        if len(raw) > limit:
            self._refuse(
                f"it takes {len(raw)} bytes as JSON, and the limit is {limit}; store "
                "large data elsewhere and send where it is"
            )
        try:
            arrived = self._read(raw)
        except ValidationError as exc:
            self._refuse_misfit(exc, value)
        except Exception as exc:  # noqa: BLE001  # a user's validator
            self._refuse_at((), f"a validator raised {_described(exc)} on reading it back", exc)
        self._refuse_difference(value, arrived)
        text = raw.decode()
        if "\\u0000" in text or "NaN" in text or "Infinity" in text:
            self._refuse_unstorable(text)
        return None if self._nothing else text

    def decode(self, text: str | bytes | None) -> Any:
        """The value that ``encode`` wrote; None stands for no text.

        Raises `InvalidRequest`, with the field errors, when the text does not fit the type.
        """
        try:
            return self._read("null" if text is None else text)
        except ValidationError as exc:
            errors = field_errors(exc)
            raise InvalidRequest(self._misfit_message(exc, errors), errors) from None
        except Exception as exc:
            raise InvalidRequest(
                f"{self.label}: a validator raised {_described(exc)} on reading it"
            ) from exc

    def validate(self, value: Any) -> Any:
        """``value`` as the type: an instance as it is, plain data by the type's JSON rules.

        Plain data is what ``json.loads`` returns; anything else goes by pydantic's Python rules.
        Raises `InvalidRequest` with the field errors.
        """
        names: dict[str, Any] = {"by_alias": True, "by_name": True} if self._by_name else {}
        try:
            if not _is_plain_data(value):
                return self._validator.validate_python(value, **names)
            return self._validator.validate_json(_plain_json(value), **names)
        except UnicodeEncodeError:
            self._refuse_at(*(unstorable_in(value) or ((), f"{LONE_SURROGATE} cannot be stored")))
        except ValidationError as exc:
            errors = field_errors(exc)
            raise InvalidRequest(self._misfit_message(exc, errors), errors) from None
        except Exception as exc:
            raise InvalidRequest(f"{self.label}: a validator raised {_described(exc)}") from exc

    def schema(self) -> dict[str, Any]:
        """The type's JSON Schema: what ``validate`` takes as plain data, and ``decode`` as text.

        By alias, but for a type that is written by field name: whoever has only the schema must
        write what a worker reads.
        """
        return self._schema

    @property
    def by_alias(self) -> bool:
        """Whether fields are written by their aliases, where they have some."""
        return not self._by_name

    @property
    def fingerprint(self) -> str:
        """16 hex characters that change with the schema, the same in every process."""
        return self._fingerprint

    @cached_property
    def _schema(self) -> dict[str, Any]:
        return json_schema(self._adapter, by_alias=not self._by_name)

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self._schema)

    def _write(self, value: Any, include: Any = None) -> bytes:
        by_alias = not self._by_name
        if not self._secrets:
            return self._serializer.to_json(
                value, by_alias=by_alias, round_trip=True, warnings=False, include=include
            )
        plain, written = (
            self._serializer.to_python(
                value,
                mode=mode,
                by_alias=by_alias,
                round_trip=True,
                warnings=False,
                include=include,
            )
            for mode in ("python", "json")
        )
        return pydantic_core.to_json(reveal(plain, written), inf_nan_mode="strings")

    def _read(self, text: str | bytes) -> Any:
        if self._by_name:
            return self._validator.validate_json(text, by_alias=False, by_name=True)
        return self._validator.validate_json(text)

    def _refuse_difference(self, value: Any, arrived: Any) -> None:
        try:
            found = difference(value, arrived)
        except RecursionError as exc:
            self._refuse_at((), "it is nested too deeply, or contains itself", exc)
        if found is not None:
            self._refuse_at(found.path, f"does not survive the way through JSON: {found.reason}")

    def _refuse_unwritten(self, value: Any, exc: Exception) -> NoReturn:
        path = culprit(value, lambda include: self._write(value, include))
        if "surrogates not allowed" in str(exc):
            self._refuse_at(path, f"text with {LONE_SURROGATE} cannot be stored")
        self._refuse_at(path, f"it cannot be written as JSON: {_described(exc)}", exc)

    def _refuse_unstorable(self, text: str) -> None:
        found = unstorable(text)
        if found is not None:
            self._refuse_at(*found)

    def _refuse_misfit(self, exc: ValidationError, value: Any) -> NoReturn:
        errors = field_errors(exc)
        if any(error["type"] == "float_type" for error in errors):
            path = non_finite(value)
            if path is not None:
                self._refuse_at(
                    path,
                    "JSON has neither NaN nor infinities; ser_json_inf_nan='strings' in the "
                    "model's config sends them as text",
                )
        raise self._refusal(self._misfit_message(exc, errors), errors) from None

    def _refuse_at(self, path: Path, reason: str, cause: Exception | None = None) -> NoReturn:
        where = path_text(path)
        message = clean_text(f"{self.label}: {where + ': ' if where else ''}{reason}", 2_000)
        raise self._refusal(message, [_entry(path, reason, "not_portable")]) from cause

    def _refuse(self, reason: str) -> NoReturn:
        raise self._refusal(f"{self.label}: {reason}", [_entry((), reason, "too_large")])

    def _misfit_message(self, exc: ValidationError, errors: Sequence[Mapping[str, Any]]) -> str:
        shown = "; ".join(_shown_error(error) for error in errors[:_SHOWN_ERRORS])
        more = exc.error_count() - _SHOWN_ERRORS
        tail = f"; and {more} more" if more > 0 else ""
        return f"{self.label} does not fit {type_name(self.type)}: {shown}{tail}"

    def _refusal(self, message: str, errors: list[dict[str, Any]]) -> ButlerError:
        return InvalidRequest(message, errors)


class ResultCodec(Codec):
    """A codec for what tasks return: ``encode`` raises `ResultNotStorable`; the work is done."""

    def _refusal(self, message: str, errors: list[dict[str, Any]]) -> ButlerError:  # noqa: ARG002
        return ResultNotStorable(f"the work ran, its result could not be stored: {message}")


def field_errors(exc: ValidationError) -> list[dict[str, Any]]:
    """The errors as ``{"loc", "msg", "type"}``, storable; without the inputs: may be secret."""
    found = exc.errors(include_url=False, include_context=False, include_input=False)
    return [_entry(error["loc"], error["msg"], error["type"]) for error in found[:_KEPT_ERRORS]]


def _entry(path: Path, message: str, kind: str) -> dict[str, Any]:
    loc = tuple(clean_text(s, _MESSAGE_LIMIT) if isinstance(s, str) else s for s in path)
    return {"loc": loc, "msg": clean_text(message, _MESSAGE_LIMIT), "type": kind}


def type_name(type_: Any) -> str:
    """How a type is shown in messages: ``Order``, ``list[int]``."""
    if type_ is None or type_ is type(None):
        return "None"
    if inspect.isclass(type_) and not hasattr(type_, "__origin__"):
        return type_.__qualname__
    return repr(type_).removeprefix("typing.")


def _prepare(type_: Any, label: str) -> tuple[TypeAdapter[Any], SchemaFacts]:
    """The adapter and what its schema says; every failure is a `DefinitionError`."""
    shown = type_name(type_)
    if inspect.isroutine(type_):
        raise DefinitionError(f"{label}: expected a type, got the function {shown}")
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(type_)
        if not adapter.pydantic_complete:
            adapter.rebuild(raise_errors=True)
        return adapter, inspect_schema(cast("dict[str, Any]", adapter.core_schema))
    except NotPortable as exc:
        raise DefinitionError(f"{label}: {shown} cannot travel as JSON: {exc}") from None
    except PydanticUndefinedAnnotation as exc:
        raise DefinitionError(
            f"{label}: {shown} refers to {exc.name!r}, which is not defined yet; define it before "
            "the task, and call model_rebuild() on a model that was defined before it"
        ) from exc
    except Exception as exc:
        raise DefinitionError(
            f"{label}: pydantic can make no schema for {shown}; expected a model, a dataclass, a "
            f"TypedDict or a type that pydantic knows: {_described(exc)}"
        ) from exc


def _is_plain_data(value: object) -> bool:
    """Whether ``json.loads`` could have returned it."""
    if value is None or type(value) in (str, int, float, bool):
        return True
    if type(value) is list:
        return all(_is_plain_data(item) for item in value)
    if type(value) is dict:
        return all(type(key) is str and _is_plain_data(item) for key, item in value.items())
    return False


def _plain_json(value: object) -> bytes:
    """Plain data as JSON. Raises `UnicodeEncodeError` for what is no text."""
    try:
        return pydantic_core.to_json(value)
    except ValueError:  # of its own kind, or nested more deeply than it goes
        return json.dumps(value, ensure_ascii=False).encode()


def _shown_error(error: Mapping[str, Any]) -> str:
    where = path_text(error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])


def _described(exc: BaseException) -> str:
    try:
        lines = str(exc).splitlines()
    except Exception:  # noqa: BLE001  # a user's own __str__
        lines = []
    return f"{type(exc).__name__}: {lines[0][:300]}" if lines else type(exc).__name__

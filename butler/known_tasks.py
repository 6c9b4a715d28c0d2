"""`KnownTasks`: tasks whose code is elsewhere, as workers announced them in the ledger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from butler.codec import Codec
from butler.errors import InvalidRequest, UnknownTask
from butler.fork_lock import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from butler.clock import Clock
    from butler.storage.records import TaskDefinition

FRESH_S = 60.0
ASK_AGAIN_S = 1.0
_SHOWN_ERRORS = 5


class KnownTasks:
    """Definitions by name or alias, read from the ledger at most once a minute.

    A name that is not among them is looked for again at once, at most once a second: a worker may
    just have announced it.
    """

    def __init__(self, read: Callable[[], Iterable[TaskDefinition]], *, clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._lock = ForkSafeLock()
        self._read_at: float | None = None
        self._definitions: dict[str, TaskDefinition] = {}
        self._validators: dict[str, Any] = {}

    def get(self, name: str, *, also_known: Iterable[str] = ()) -> TaskDefinition:
        """The definition; raises `UnknownTask`, saying what was probably meant."""
        with self._lock:
            if self._age_s() > FRESH_S or (
                name not in self._definitions and self._age_s() > ASK_AGAIN_S
            ):
                self._refresh()
            definition = self._definitions.get(name)
            known = [*self._definitions, *also_known]
        if definition is None:
            raise UnknownTask(name, known)
        return definition

    def encode(self, definition: TaskDefinition, request: Any, *, max_bytes: int) -> str | None:
        """The request as JSON text, checked against the task's stored JSON Schema.

        Objects (models, dataclasses, dates) are turned into JSON values first. Raises
        `InvalidRequest` with the places that do not fit.
        """
        import pydantic_core

        label = f'request of "{definition.name}"'
        try:
            plain = pydantic_core.to_jsonable_python(request, by_alias=True)
        except (pydantic_core.PydanticSerializationError, ValueError) as error:
            raise InvalidRequest(f"{label} cannot be written as JSON: {error}") from error
        text = Codec(Any, label=label, max_bytes=max_bytes).encode(plain)
        errors = self._schema_errors(definition, plain)
        if errors:
            details = [
                {"loc": tuple(error.absolute_path), "msg": error.message, "type": error.validator}
                for error in errors
            ]
            shown = "; ".join(_shown(detail) for detail in details[:_SHOWN_ERRORS])
            raise InvalidRequest(f"{label} does not fit its schema: {shown}", details)
        return None if request is None else text

    def _schema_errors(self, definition: TaskDefinition, plain: Any) -> list[Any]:
        from referencing.exceptions import Unresolvable

        try:
            return sorted(self._validator(definition).iter_errors(plain), key=_place)
        except Unresolvable as error:
            raise InvalidRequest(
                f"the stored schema of {definition.name!r} cannot be used: {error}"
            ) from error
        except re.error:
            # A pattern in the dialect of pydantic's own engine: only the worker can check it.
            return []

    def _validator(self, definition: TaskDefinition) -> Any:
        with self._lock:
            held = self._validators.get(definition.name)
            if held is None or held[0] != definition.fingerprint:
                held = (definition.fingerprint, _validator_of(definition.request_schema))
                self._validators[definition.name] = held
        return held[1]

    def _age_s(self) -> float:
        return float("inf") if self._read_at is None else self._clock.monotonic() - self._read_at

    def _refresh(self) -> None:
        definitions = list(self._read())
        self._definitions = {
            alias: definition
            for definition in definitions
            for alias in definition.options.get("aliases", ())
        }
        self._definitions.update({definition.name: definition for definition in definitions})
        self._read_at = self._clock.monotonic()


def _validator_of(schema: dict[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry, because the default one fetches remote references from the network.
    return Draft202012Validator(schema, registry=Registry())


def _place(error: Any) -> str:
    return str(list(error.absolute_path))


def _shown(detail: dict[str, Any]) -> str:
    where = ".".join(str(step) for step in detail["loc"])
    return f"{where}: {detail['msg']}" if where else str(detail["msg"])

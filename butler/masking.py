"""Secrets, kept out of what is shown (pure).

What is a secret is known in two ways: by type, because a task's JSON Schema marks ``SecretStr`` and
its kin as write-only, and by the name of a field, because not everybody types them. What was found
in a request is masked wherever else it turns up: a task that raises ``ValueError(password)`` has
told it to its error, its log and its traceback.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MASK = "***"

# A field whose name ends in one of these, whatever its spelling: apiKey, API-KEY, stripe_api_key.
SECRET_NAMES = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "privatekey",
    "accesskey",
    "credentials",
    "authorization",
    "cookie",
)
# Shorter ones stand in innocent text too often to be looked for.
SHORTEST_SOUGHT = 4
_SEPARATORS = re.compile(r"[^a-z0-9]")
_DEEPEST = 100


class Masker:
    """Masks values; ``names`` are looked for besides `SECRET_NAMES`."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        given = (_folded(name) for name in names)
        self._names = (*SECRET_NAMES, *(name for name in given if name))

    def is_secret(self, name: str) -> bool:
        """Whether what stands under this name is a secret."""
        return _folded(name).endswith(self._names)

    def value(self, value: Any, schema: Mapping[str, Any] | None = None) -> Any:
        """A JSON value with each secret replaced by ``***``; ``schema`` is its JSON Schema."""
        return _Walk(self, schema or {}).masked(value)

    def secrets(self, value: Any, schema: Mapping[str, Any] | None = None) -> frozenset[str]:
        """The texts in a JSON value that are secrets and long enough to be looked for elsewhere."""
        walk = _Walk(self, schema or {})
        walk.masked(value)
        return frozenset(text for text in walk.found if len(text) >= SHORTEST_SOUGHT)

    def restored(self, value: Any, old: Any, schema: Mapping[str, Any] | None = None) -> Any:
        """A value that was shown masked and came back: what is still ``***`` is as it was before.

        So that whoever edits a request he may not read whole does not overwrite its secrets.
        """
        return _restored(value, old, self.value(old, schema))


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with each of the secrets masked, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def within(value: Any, secrets: Iterable[str]) -> Any:
    """A JSON value with the secrets masked in each text of it."""
    secrets = tuple(secrets)
    if not secrets:
        return value
    if isinstance(value, str):
        return without(value, secrets)
    if isinstance(value, dict):
        return {key: within(item, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [within(item, secrets) for item in value]
    return value


class _Walk:
    """Goes through a value and its schema at once, and notes the texts it masks."""

    def __init__(self, masker: Masker, schema: Mapping[str, Any]) -> None:
        self._masker = masker
        self._root = schema
        self.found: set[str] = set()

    def masked(self, value: Any) -> Any:
        """The whole value, masked."""
        return self._at(value, [self._root], depth=0)

    def _at(self, value: Any, schemas: list[Any], *, depth: int) -> Any:
        if value is None or depth > _DEEPEST:
            return None if value is None else MASK
        nodes = list(self._nodes(schemas))
        if any(node.get("writeOnly") or node.get("format") == "password" for node in nodes):
            return self._hidden(value)
        if isinstance(value, dict):
            return {
                key: self._hidden(item)
                if self._masker.is_secret(key)
                else self._at(item, _of_key(nodes, key), depth=depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [
                self._at(item, _of_index(nodes, index), depth=depth + 1)
                for index, item in enumerate(value)
            ]
        return value

    def _hidden(self, value: Any) -> Any:
        if value is None:
            return None
        self.found.update(_texts(value))
        return MASK

    def _nodes(self, schemas: list[Any]) -> Iterator[Mapping[str, Any]]:
        """The schemas and all that they stand for: references, alternatives."""
        waiting, seen = list(schemas), 0
        while waiting and seen < _DEEPEST:
            node, seen = waiting.pop(), seen + 1
            if not isinstance(node, dict):
                continue
            yield node
            for word in ("anyOf", "oneOf", "allOf"):
                waiting.extend(node.get(word, ()))
            reference = node.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/"):
                waiting.append(self._referred(reference))

    def _referred(self, reference: str) -> Any:
        found: Any = self._root
        for step in reference[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        return found


def _of_key(nodes: list[Mapping[str, Any]], key: str) -> list[Any]:
    found = []
    for node in nodes:
        properties = node.get("properties", {})
        if key in properties:
            found.append(properties[key])
        else:
            found.append(node.get("additionalProperties"))
            found.extend(node.get("patternProperties", {}).values())
    return found


def _of_index(nodes: list[Mapping[str, Any]], index: int) -> list[Any]:
    found = []
    for node in nodes:
        first = node.get("prefixItems", ())
        found.append(first[index] if index < len(first) else node.get("items"))
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _restored(value: Any, old: Any, shown: Any) -> Any:
    if value == MASK and shown == MASK:
        return old
    if isinstance(value, dict) and isinstance(old, dict) and isinstance(shown, dict):
        return {
            key: _restored(item, old[key], shown[key]) if key in old else item
            for key, item in value.items()
        }
    if isinstance(value, list) and isinstance(old, list) and isinstance(shown, list):
        pairs = zip(old, shown, strict=True)
        known = dict(enumerate(pairs))
        return [
            _restored(item, *known[index]) if index in known else item
            for index, item in enumerate(value)
        ]
    return value


def _folded(name: str) -> str:
    return _SEPARATORS.sub("", name.casefold())

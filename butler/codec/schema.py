"""What a type's pydantic core schema says about whether its values can travel (pure).

`inspect_schema` walks the schema once, when a task is defined, and refuses what would lose data
at every enqueue and cannot be seen in the written text: fields with ``exclude=True``, mappings
whose keys have no JSON form, members that only ever hold Python objects. It also finds what the
codec has to do differently: reveal secrets, or write field names where aliases do not read back.

The annotations were no alternative: pydantic's schema is what runs, with generics filled in,
forward references resolved and configuration applied. Keys of a node that hold data and no
schema are skipped by name, everything else is walked, so that node kinds of later pydantic
releases are seen too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Keys whose values are data: a default or an enum member may look like a schema and is none.
# python_schema and strict_schema are the twins of what JSON input goes through.
_NO_SCHEMA = frozenset(
    {"cls", "computed_fields", "config", "default", "expected", "function", "members", "metadata"}
    | {"python_schema", "ref", "schema_ref", "serialization", "strict_schema"}
)
_FIELDS = frozenset({"model-field", "dataclass-field", "typed-dict-field"})
_OWNERS = frozenset({"model", "dataclass", "typed-dict", "named-tuple"})
_KEYLESS = frozenset(
    {"tuple", "list", "set", "frozenset", "deque", "dict", "model", "model-fields", "dataclass"}
    | {"typed-dict", "named-tuple", "call", "generator", "counter", "ordered-dict"}
)
_NEVER = {
    "is-instance": "has no JSON form",
    "is-subclass": "holds a class, which has no JSON form",
    "callable": "holds a callable, which has no JSON form",
    "generator": "is read once and then gone; use a list",
    "ordered-dict": "keeps its keys in order, which the ledger does not; use a list of pairs",
}


class NotPortable(Exception):
    """Values of this type can never travel; the text says which part, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFacts:
    """What the codec must know to write and read a type.

    ``by_name`` is true where some field would be written under a key that it is not read from
    (``validation_alias`` and ``serialization_alias`` differ): such types travel by field name.
    """

    secrets: bool
    by_name: bool


def inspect_schema(core_schema: Mapping[str, Any]) -> SchemaFacts:
    """The facts about a core schema; raises `NotPortable` where its values can never travel."""
    walk = _Walk()
    walk.visit(core_schema, owner="", custom=False)
    for owner, keys in walk.keys:
        walk.check_keys(owner, keys)
    return SchemaFacts(secrets=walk.secrets, by_name=walk.by_name)


class _Walk:
    def __init__(self) -> None:
        self.secrets = False
        self.by_name = False
        self.keys: list[tuple[str, Mapping[str, Any]]] = []
        self.definitions: dict[str, Mapping[str, Any]] = {}

    def visit(self, node: object, *, owner: str, custom: bool) -> None:
        """Look at a node and below; ``custom``: a validator of the user's own makes the value."""
        if isinstance(node, (list, tuple)):
            for item in node:
                self.visit(item, owner=owner, custom=custom)
            return
        if not isinstance(node, Mapping):
            return
        kind = node.get("type")
        if not isinstance(kind, str):  # field names or tags to schemas
            for name, item in node.items():
                self.visit(item, owner=_below(owner, name, item), custom=custom)
            return
        if kind in _OWNERS:
            owner, custom = _owner_name(node), False
            self._note_aliases(node)
        self._note_node(kind, node, owner, custom=custom)
        self._descend(kind, node, owner, custom=custom)

    def _note_node(self, kind: str, node: Mapping[str, Any], owner: str, *, custom: bool) -> None:
        if isinstance(node.get("ref"), str):
            self.definitions[node["ref"]] = node
        if _masks_secrets(node.get("serialization")):
            self.secrets = True
        if node.get("serialization_exclude") is True:
            name = node.get("name")
            where = f"{owner}.{name}" if name else owner
            raise NotPortable(
                f"{where} has exclude=True, so its value would be lost on the way; remove "
                "exclude=True (repr=False keeps a field out of logs) or the field"
            )
        if custom:
            return
        if kind in _NEVER:
            raise NotPortable(f"{owner or 'it'} {_NEVER[kind]}")
        if "keys_schema" in node:
            self.keys.append((owner, node["keys_schema"]))

    def _descend(self, kind: str, node: Mapping[str, Any], owner: str, *, custom: bool) -> None:
        custom = custom or kind in ("function-before", "function-wrap")
        for key, value in node.items():
            if key in _NO_SCHEMA:
                continue
            if key == "steps" and isinstance(value, list):  # a chain: the first step makes it
                self.visit(value[:1], owner=owner, custom=custom)
                self.visit(value[1:], owner=owner, custom=True)
            elif kind in ("dataclass-args", "named-tuple") and key == "fields":
                self._visit_listed(value, owner=owner, custom=custom)
            else:
                self.visit(value, owner=owner, custom=custom)

    def _visit_listed(self, fields: object, *, owner: str, custom: bool) -> None:
        for field in fields if isinstance(fields, (list, tuple)) else [fields]:
            if isinstance(field, Mapping) and field.get("serialization_exclude") is not True:
                self.visit(field, owner=f"{owner}.{field.get('name')}", custom=custom)
            else:
                self.visit(field, owner=owner, custom=custom)

    def _note_aliases(self, node: Mapping[str, Any]) -> None:
        config = node.get("config") or {}
        for name, field in _named_fields(node.get("schema", node)):
            read = _keys_read(name, field, config)
            if field.get("serialization_alias", name) not in read:
                self.by_name = True

    def check_keys(
        self, owner: str, node: Mapping[str, Any], seen: frozenset[str] = frozenset()
    ) -> None:
        """Raise `NotPortable` where a mapping's keys have no JSON form."""
        kind = node.get("type")
        if kind == "definition-ref":
            ref = node["schema_ref"]
            if ref in self.definitions and ref not in seen:
                self.check_keys(owner, self.definitions[ref], seen | {ref})
        elif kind == "union":
            for choice in node["choices"]:
                self.check_keys(owner, choice[0] if isinstance(choice, tuple) else choice, seen)
        elif kind in _KEYLESS:
            raise NotPortable(
                f"{owner or 'it'} is a mapping with keys of the kind {kind!r}, and JSON keys are "
                "text; use a list of pairs"
            )
        elif kind not in ("function-before", "function-wrap", "function-plain"):
            for below in ("schema", "json_schema", "lax_schema"):
                if isinstance(node.get(below), Mapping):
                    self.check_keys(owner, node[below], seen)


def _below(owner: str, name: object, item: object) -> str:
    is_field = isinstance(item, Mapping) and item.get("type") in _FIELDS
    return f"{owner}.{name}" if is_field else owner


def _owner_name(node: Mapping[str, Any]) -> str:
    cls = node.get("cls")
    return cls.__qualname__ if isinstance(cls, type) else str(node.get("cls_name", "it"))


def _masks_secrets(serialization: object) -> bool:
    # pydantic names the two functions that write SecretStr, SecretBytes and Secret[...] so.
    if not isinstance(serialization, Mapping):
        return False
    function = serialization.get("function")
    return getattr(function, "__module__", "") == "pydantic.types" and "secret" in getattr(
        function, "__name__", ""
    )


def _named_fields(node: object) -> list[tuple[str, Mapping[str, Any]]]:
    # A model's fields may lie under validators (function-*), a root or definitions.
    while isinstance(node, Mapping):
        fields = node.get("fields")
        if isinstance(fields, Mapping):
            return list(fields.items())
        if isinstance(fields, (list, tuple)):
            return [(f["name"], f) for f in fields if isinstance(f, Mapping) and "name" in f]
        node = node.get("schema")
    return []


def _keys_read(name: str, field: Mapping[str, Any], config: Mapping[str, Any]) -> set[str]:
    alias = field.get("validation_alias")
    if alias is None or config.get("validate_by_alias") is False:
        return {name}
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    keys = {name} if by_name else set()
    if isinstance(alias, str):
        return keys | {alias}
    paths = alias if all(isinstance(path, list) for path in alias) else [alias]
    return keys | {path[0] for path in paths if len(path) == 1}

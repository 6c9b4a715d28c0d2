"""Write docs/openapi.json and docs/api-reference.md from the REST API; --check only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from butler import Butler
from butler.web import create_app

DOCS = Path(__file__).parents[1] / "docs"
EVERYWHERE = {"Butler-Reason", "Idempotency-Key"}
HEAD = """\
# The REST API, endpoint by endpoint

Made from [openapi.json](openapi.json) by `make docs`; [rest-api.md](rest-api.md) is the guide. Each
answer that is no success is a problem (RFC 9457); besides those named here any endpoint may answer
400, 401, 403, 422, 429 and 503. Each change may carry the headers `Butler-Reason` and, but for new
tokens, `Idempotency-Key`.
"""


def document() -> dict[str, Any]:
    """What the API says of itself."""
    with Butler.in_memory() as butler:
        made: dict[str, Any] = create_app(butler).openapi()
    return made


def reference(api: dict[str, Any]) -> str:
    """The page."""
    parts = [HEAD]
    operations: dict[str, list[str]] = {}
    for path, item in api["paths"].items():
        for method, operation in item.items():
            text = _operation(method.upper(), path, operation)
            operations.setdefault(operation["tags"][0], []).append(text)
    for tag, texts in operations.items():
        parts.append(f"\n## {tag}\n" + "".join(texts))
    return "".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    role = operation.get("x-butler-role", "nobody: no token is needed")
    answers = {int(status) for status in operation["responses"]}
    usual = {400, 401, 403, 413, 422, 429, 503}
    named = ", ".join(str(status) for status in sorted(answers - usual))
    text = f"\n### `{method} {path}`\n\n{operation.get('description', '').strip()}\n\n"
    text += f"Role: {role}. Answers: {named}."
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if body:
        text += f" Body: {_name(body['schema'])}."
    parameters = [
        each for each in operation.get("parameters", []) if each["name"] not in EVERYWHERE
    ]
    if parameters:
        text += "\n\n| parameter | in | type | meaning |\n| --- | --- | --- | --- |\n"
        for each in parameters:
            meaning = each.get("description", each["schema"].get("description", ""))
            text += f"| `{each['name']}` | {each['in']} | {_name(each['schema'])} | {meaning} |\n"
        return text
    return text + "\n"


def _name(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        names = [_name(each) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(names)
    if schema.get("type") == "array":
        return f"list of {_name(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "any"))


def main() -> None:
    """Rewrite the files, or end with 1 if they would change."""
    api = document()
    wanted = {
        DOCS / "openapi.json": json.dumps(api, indent=1, ensure_ascii=False) + "\n",
        DOCS / "api-reference.md": reference(api),
    }
    stale = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"{stale[0].name} is not what the API says: make docs")
        return
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")


if __name__ == "__main__":
    main()

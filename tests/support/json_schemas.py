"""As much of JSON Schema as the description of the API uses: faults of a value, in words."""

import re
from collections.abc import Iterator
from typing import Any

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
KNOWN = {"$ref", "anyOf", "allOf", "type", "enum", "required", "properties", "items", "pattern"}
KNOWN |= {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
KNOWN |= {"additionalProperties", "description", "default", "format"}


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    """What of a value the schema does not take; a part of a schema that is unknown here is one."""
    if unknown := set(schema) - KNOWN:
        yield f"unknown: {unknown}"
    if "$ref" in schema:
        yield from faults(value, _meant(schema, document), document)
    if "anyOf" in schema and all(any(faults(value, s, document)) for s in schema["anyOf"]):
        yield f"{value!r} is none of {schema['anyOf']}"
    for inner in schema.get("allOf", ()):
        yield from faults(value, inner, document)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    is_truth = isinstance(value, bool)
    if kinds and not any(
        isinstance(value, TYPES[kind]) and (kind == "boolean" or not is_truth) for kind in kinds
    ):
        yield f"{value!r} is no {kinds}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{value!r} is none of {schema['enum']}"
    yield from _bounds(value, schema)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        yield from (f"{key} is missing" for key in schema.get("required", ()) if key not in value)
        for key, item in value.items():
            if key in known:
                yield from (f"{key}: {fault}" for fault in faults(item, known[key], document))
            elif schema.get("additionalProperties") is False:
                yield f"{key} is unknown"
    for item in value if isinstance(value, list) and "items" in schema else ():
        yield from faults(item, schema["items"], document)


def keys_of(schema: dict[str, Any], document: dict[str, Any]) -> set[str]:
    """The keys of an object that a schema knows, in any of its parts."""
    parts = [*schema.get("anyOf", ()), *schema.get("allOf", ())]
    if "$ref" in schema:
        parts.append(_meant(schema, document))
    return set(schema.get("properties", ())).union(*(keys_of(part, document) for part in parts))


def _meant(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    found: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def _bounds(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    size = len(value) if isinstance(value, str | list) else value
    ends = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
    ends = ends if isinstance(value, str | list) else ("minimum", "maximum")
    least, most = (schema.get(end) for end in ends)
    if (least is not None and size < least) or (most is not None and size > most):
        yield f"{value!r} is out of bounds"
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        yield f"{value!r} is no {schema['pattern']}"

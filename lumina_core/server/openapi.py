"""The description of the API for programs, OpenAPI 3.1: from routes and the modalities' settings.

What a route does is said by the docstring of its function. Answers are described in words.
"""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute, Route

from lumina_core import __version__
from lumina_core.records import MAX_TEXT
from lumina_core.server.asked import OF_OTHERS, SIZE, UNUSED
from lumina_core.server.bodies import FORM, JSON
from lumina_core.server.clip_routes import AUDIO, MAX_LISTED, OF_CLIPS, OF_SOUNDS, VARIANTS, VIDEO
from lumina_core.server.masks import IMAGE
from lumina_core.server.openai_routes import B64, OF_PICTURES

Schema = dict[str, Any]
TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "null": "null"}
PROMPT: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
FILE: Schema = {"type": "string", "format": "binary"}
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}


def _with(**parts: Schema) -> Schema:
    """An object that has all of these."""
    return {"type": "object", "required": list(parts), "properties": parts}


ERROR = _with(error=_with(message=TEXT, type=TEXT, param=TEXT_OR_NULL, code=TEXT_OR_NULL))
QUERIES: dict[str, dict[str, Schema]] = {
    "/v1/videos": {
        "after": TEXT,
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LISTED},
        "order": {"enum": ["asc", "desc"]},
    },
    "/v1/videos/{id}/content": {"variant": {"enum": list(VARIANTS)}},
    "/v1/media/jobs/{id}/files/{index}": {"as": TEXT},
}
EDIT: Schema = {"anyOf": [{"required": [name]} for name in (IMAGE, *OF_PICTURES)]}
OF_OPENAI: Schema = {"type": "string", "pattern": r"^[0-9.]+$"}  # what its clients send as seconds


def described_api(
    routes: Iterable[BaseRoute], media: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The document.

    Args:
        routes: of the application; those that are in no schema are left out.
        media: the modalities as `/v1/media` lists them.
    """
    schemas = {_name(each["modality"]): _request(each) for each in media}
    paths: dict[str, Any] = {}
    for method, route in operations(routes):
        path, found = route.path, _operation(route, media)
        if method == "POST":
            found["requestBody"] = {"required": True, "content": _bodies(path, media)}
        paths.setdefault(path, {})[method.lower()] = found
    return {
        "openapi": "3.1.0",
        "info": {"title": "lumina serve", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR, **schemas},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def operations(routes: Iterable[BaseRoute]) -> list[tuple[str, Route]]:
    """Each method of each route that the document has."""
    return [
        (method, route)
        for route in routes
        if isinstance(route, Route) and route.include_in_schema
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def _operation(route: Route, media: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    summary = (inspect.getdoc(route.endpoint) or "").partition("\n")[0]
    inside = [
        {"name": name, "in": "path", "required": True, "schema": _part(name, media)}
        for name in route.param_convertors
    ]
    behind = [
        {"name": name, "in": "query", "schema": schema}
        for name, schema in QUERIES.get(route.path, {}).items()
    ]
    error = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "summary": summary,
        "parameters": [*inside, *behind],
        "responses": {
            "2XX": {"description": summary},
            "default": {"description": "a refusal", "content": error},
        },
    }


def _part(name: str, media: Sequence[Mapping[str, Any]]) -> Schema:
    """Of an address."""
    if name == "modality":
        return {"enum": [each["modality"] for each in media]}
    return {"type": "integer", "minimum": 0} if name == "index" else TEXT


def _bodies(path: str, media: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What may be sent to an address, by its kind."""
    there = [each["modality"] for each in media]
    known = {name: _ref(name) if name in there else {"type": "object"} for name in _NAMED.values()}
    if path == "/v1/media/read":
        return {FORM: {"schema": _with(file=FILE)}}
    if path == "/v1/images/edits":
        both = {"allOf": [known[IMAGE], EDIT]}
        return {FORM: {"schema": both}}
    modality = _NAMED.get(path)
    schema = known[modality] if modality else {"anyOf": [_ref(name) for name in there]}
    return {kind: {"schema": schema} for kind in (JSON, FORM)}


_NAMED = {
    "/v1/images/generations": IMAGE,
    "/v1/images/edits": IMAGE,
    "/v1/videos": VIDEO,
    "/v1/audio/generate": AUDIO,
}
"""The modality of an address that names none."""
_OTHERS = {IMAGE: OF_PICTURES, VIDEO: OF_CLIPS, AUDIO: OF_SOUNDS}


def _name(modality: str) -> str:
    return f"{modality}_request"


def _ref(modality: str) -> Schema:
    return {"$ref": f"#/components/schemas/{_name(modality)}"}


def _request(about: Mapping[str, Any]) -> Schema:
    """What a request to a modality may say, as `/v1/media` lists it."""
    keys = {each["key"]: _setting(each) for each in about["settings"]}
    last: dict[str, Schema] = {}
    for key, schema in keys.items():
        last.setdefault(key.rpartition(".")[2], schema)
    found: dict[str, Schema] = last | keys
    found |= {
        "prompt": PROMPT,
        "model": {"enum": [about["modality"], *about["models"]]},
        "format": {"enum": [name.removeprefix(".") for name in about["formats"]]},
        "size": {"type": "string", "pattern": f"^({re.sub(r'[?]P<.*?>', '', SIZE.pattern)}|auto)$"},
        "response_format": {"enum": [B64]},
        **{name: {} for name in UNUSED},
    }
    for each in about["conditions"]:  # a file may be called as a setting of the medium is
        file = FILE | {"description": each["meaning"]}
        found[each["key"]] = {"anyOf": [file, *filter(None, [found.get(each["key"])])]}
    for name, ours in (OF_OTHERS | _OTHERS.get(about["modality"], {})).items():
        if ours in found:
            found[name] = found[ours]
    if about["modality"] == VIDEO and "seconds" in found:
        found["seconds"] = {"anyOf": [found["seconds"], OF_OPENAI]}
    found = {key: schema if key == "prompt" else _or_null(schema) for key, schema in found.items()}
    return {"type": "object", "properties": found, "additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    """Clients write what they leave out as null."""
    return {"anyOf": [schema, {"type": "null"}]} if schema else {}


def _setting(about: Mapping[str, Any]) -> Schema:
    unit = f" [{about['unit']}]" if about["unit"] else ""
    kinds = [_kind(name, about) for name in re.split(r" \| (?![^\[]*\])", about["type"])]
    found: Schema = {"description": about["meaning"] + unit}
    if about["default"] is not None:
        found["default"] = about["default"]
    return found | {"anyOf": kinds}


def _kind(name: str, about: Mapping[str, Any]) -> Schema:
    """The schema of a type as `/v1/media` writes it: int, or [float, float]."""
    if name.startswith("["):
        parts = name[1:-1].split(", ")
        length = {} if parts[-1] == "..." else {"minItems": len(parts), "maxItems": len(parts)}
        return {"type": "array", "items": _kind(parts[0], about), **length}
    found: Schema = {"type": TYPES[name]}
    if name == "str" and about["choices"]:
        found["enum"] = about["choices"]
    if name in ("int", "float"):
        found |= {"minimum": about["least"]} if about["least"] is not None else {}
        found |= {"maximum": about["most"]} if about["most"] is not None else {}
    return found

"""The description of the API: each route is in it, and it takes what the other tests send."""

import pytest
from json_schemas import faults
from starlette.routing import Match

from lumina_core.server.openapi import operations

FILLED = {"{id}": "x", "{index}": "0", "{modality}": "image"}
NOT_DESCRIBED = {"/", "/page"}


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


def request_schema(document, path, kind="application/json"):
    return document["paths"][path]["post"]["requestBody"]["content"][kind]["schema"]


def test_each_route_is_described_and_each_description_has_a_route(client, document):
    routes = client.app.routes
    described = {
        (method.upper(), path) for path, found in document["paths"].items() for method in found
    }
    assert described == {(method, route.path) for method, route in operations(routes)}
    assert {r.path for r in routes} - {r.path for _, r in operations(routes)} <= NOT_DESCRIBED
    for method, path in described:
        for name, value in FILLED.items():
            path = path.replace(name, value)
        scope = {"type": "http", "method": method, "path": path, "root_path": ""}
        found = [r.path for r in routes if r.matches(scope)[0] == Match.FULL]
        assert found, (method, path)
    summaries = [each["summary"] for found in document["paths"].values() for each in found.values()]
    assert all(summaries) and len(set(summaries)) == len(summaries)


def test_a_schema_refuses_what_the_server_refuses(document):
    schema = request_schema(document, "/v1/images/generations")
    good = {"prompt": "a star", "n": 2, "size": "32x32", "num_steps": 2, "solver": "heun"}
    assert not list(faults(good, schema, document))
    assert not list(faults({"prompt": "x", "shift": [1, 2, 3, 4], "seed": None}, schema, document))
    for wrong in (
        {"prompt": ""},
        {"n": 11},
        {"num_samples": 11},
        {"size": "9x"},
        {"solver": "dopri5"},
        {"height": "x"},
        {"checkpoint": "/etc"},
        {"condition.image": 5},
        {"height": 0},
        {"shift": [1, 2]},
        {"model": "dall-e-3"},
    ):
        assert list(faults({"prompt": "a star", **wrong}, schema, document)), wrong


def test_errors_have_the_shape_that_is_described(client, document):
    error = client.get("/v1/models/none").json()
    assert not list(faults(error, {"$ref": "#/components/schemas/Error"}, document))

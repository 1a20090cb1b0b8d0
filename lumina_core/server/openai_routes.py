"""Routes that clients of OpenAI's API know: models and pictures; a request waits for its result."""

import asyncio
import base64
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lumina_core.server.bodies import read_body
from lumina_core.server.catalogue import Served
from lumina_core.server.refusals import RefusedError
from lumina_core.server.service import Service

IMAGE = "image"
B64 = "b64_json"


def openai_routes(service: Service) -> list[Route]:
    """The routes for models and for pictures."""

    async def models(request: Request) -> Response:
        data = [_model(each) for each in service.models.values()]
        return JSONResponse({"object": "list", "data": data})

    async def model(request: Request) -> Response:
        found = service.models.get(request.path_params["id"])
        if found is None:
            text = f"there is no such model here; there are {', '.join(service.models)}"
            raise RefusedError(text, 404, param="model", code="model_not_found")
        return JSONResponse(_model(found))

    async def generations(request: Request) -> Response:
        body, files = await read_body(request)
        return await _pictures(service, request, body, files)

    return [
        Route("/v1/models", models),
        Route("/v1/models/{id}", model),
        Route("/v1/images/generations", generations, methods=["POST"]),
    ]


async def _pictures(
    service: Service, request: Request, body: dict[str, Any], files: dict[str, Any]
) -> Response:
    shape = body.pop("response_format", None)
    if shape not in (None, B64):
        raise RefusedError(f"response_format is {B64} here", param="response_format")
    job = await service.submit(body, files, IMAGE)
    try:
        await service.finished(request, job)
        paths = [job.folder / made.name for made in job.made]
        data = await asyncio.to_thread(lambda: [path.read_bytes() for path in paths])
    finally:
        service.line.drop(job)
    return JSONResponse(
        {
            "created": int(job.created),
            "data": [{B64: base64.b64encode(each).decode()} for each in data],
            "output_format": {".jpg": "jpeg"}.get(job.suffix, job.suffix.removeprefix(".")),
        }
    )


def _model(served: Served) -> dict[str, Any]:
    return {"id": served.id, "object": "model", "created": 0, "owned_by": served.modality}

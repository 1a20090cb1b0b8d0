"""Routes that clients of OpenAI's API know: models and pictures; a request waits for its result."""

import base64
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lumina_core.server.asked import renamed
from lumina_core.server.catalogue import Served
from lumina_core.server.masks import IMAGE, as_edit
from lumina_core.server.refusals import RefusedError
from lumina_core.server.service import Change, Service, as_sent

OF_PICTURES = {"image[]": IMAGE}  # what clients call a list of pictures, of which we take one
B64 = "b64_json"


def openai_routes(service: Service) -> list[Route]:
    """The routes for models and for pictures."""

    async def models(request: Request) -> Response:
        """The models of this server."""
        data = [_model(each) for each in service.models.values()]
        return JSONResponse({"object": "list", "data": data})

    async def model(request: Request) -> Response:
        """One model."""
        found = service.models.get(request.path_params["id"])
        if found is None:
            text = f"there is no such model here; there are {', '.join(service.models)}"
            raise RefusedError(text, 404, param="model", code="model_not_found")
        return JSONResponse(_model(found))

    async def generations(request: Request) -> Response:
        """Make pictures; the answer holds their files in base64."""
        return await _pictures(service, request, *await service.body(request))

    async def edits(request: Request) -> Response:
        """Fill a picture where its mask is clear or white, or change or extend it."""
        body, files = await service.body(request)
        given = renamed(files, OF_PICTURES)
        if IMAGE not in given:
            text = "send the picture to edit as the file image of a form"
            raise RefusedError(text, param=IMAGE, code="invalid_file")
        return await _pictures(service, request, body, given, as_edit)

    return [
        Route("/v1/models", models),
        Route("/v1/models/{id}", model),
        Route("/v1/images/generations", generations, methods=["POST"]),
        Route("/v1/images/edits", edits, methods=["POST"]),
    ]


async def _pictures(
    service: Service,
    request: Request,
    body: dict[str, Any],
    files: Mapping[str, UploadFile],
    change: Change = as_sent,
) -> Response:
    shape = body.pop("response_format", None)
    if shape not in (None, B64):
        raise RefusedError(f"response_format is {B64} here", param="response_format")
    job = await service.submit(body, files, IMAGE, change=change, is_watched=False)
    data = [{B64: base64.b64encode(each).decode()} for each in await service.result(request, job)]
    return JSONResponse(
        {
            "created": int(job.created),
            "data": data,
            "output_format": {".jpg": "jpeg"}.get(job.suffix, job.suffix.removeprefix(".")),
        }
    )


def _model(served: Served) -> dict[str, Any]:
    return {"id": served.id, "object": "model", "created": 0, "owned_by": served.modality}

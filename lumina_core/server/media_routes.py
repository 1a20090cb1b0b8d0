"""The neutral routes: every modality, third parties' included, as jobs with progress and files."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lumina_core.media.browsers import content_type_of
from lumina_core.server.bodies import read_body
from lumina_core.server.catalogue import described
from lumina_core.server.jobs import Job
from lumina_core.server.refusals import RefusedError
from lumina_core.server.service import Service
from lumina_core.server.slots import picture_of

SECONDS_OF_SILENCE = 15.0  # after which a stream says that it is there: proxies cut silent ones
STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PRIVATE = {"Cache-Control": "no-store"}


def media_routes(service: Service) -> list[Route]:
    """The routes below /v1/media."""
    line = service.line

    async def listing(request: Request) -> Response:
        if not hasattr(request.app.state, "media"):
            request.app.state.media = await asyncio.to_thread(described, service.models)
        return JSONResponse({"object": "list", "data": request.app.state.media})

    async def create(request: Request) -> Response:
        body, files = await read_body(request)
        job = await service.submit(body, files, request.path_params["modality"])
        return JSONResponse(service.record(job), 202)

    async def job(request: Request) -> Response:
        found = service.job(request)
        if request.method == "DELETE":
            line.delete(found)
        return JSONResponse(service.record(found))

    async def events(request: Request) -> Response:
        return event_stream(service, service.job(request))

    async def file(request: Request) -> Response:
        return await file_response(service.job(request), request)

    return [
        Route("/v1/media", listing),
        Route("/v1/media/{modality}", create, methods=["POST"]),
        Route("/v1/media/jobs/{id}", job, methods=["GET", "DELETE"]),
        Route("/v1/media/jobs/{id}/events", events),
        Route("/v1/media/jobs/{id}/files/{index:int}", file),
    ]


def event_stream(service: Service, job: Job) -> StreamingResponse:
    """Each change of a job as a server-sent event; the last one is its end."""

    async def stream() -> AsyncIterator[bytes]:
        changes = service.line.changes(job)
        waited: asyncio.Task[Job] | None = None
        try:
            while True:
                waited = waited or asyncio.ensure_future(anext(changes))
                ready, _ = await asyncio.wait([waited], timeout=SECONDS_OF_SILENCE)
                if not ready:
                    yield b": still here\n\n"
                    continue
                try:
                    found, waited = waited.result(), None
                except StopAsyncIteration:
                    return
                yield b"data: " + json.dumps(service.record(found)).encode() + b"\n\n"
        finally:
            if waited is not None:
                waited.cancel()

    return StreamingResponse(stream(), media_type="text/event-stream", headers=STREAM)


async def file_response(job: Job, request: Request) -> Response:
    """One file of a job, or another view of it.

    Raises:
        RefusedError: there is no such file, or not yet.
    """
    index = int(request.path_params["index"])
    if index >= len(job.made):
        is_early = not job.is_over
        text = f"the job is {job.status} and has {len(job.made)} files"
        raise RefusedError(text, 409 if is_early else 404, code="not_found")
    path = job.folder / job.made[index].name
    wanted = request.query_params.get("as")
    if wanted is None:
        kind = content_type_of(job.suffix)
        return FileResponse(path, media_type=kind, headers=PRIVATE)
    if wanted == "png":
        return FileResponse(picture_of(path), media_type="image/png", headers=PRIVATE)
    raise RefusedError("as takes png", param="as", code="invalid_value")

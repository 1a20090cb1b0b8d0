"""The neutral routes: every modality, third parties' included, as jobs with progress and files."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lumina_core.media.browsers import content_type_of
from lumina_core.sampling.file_request import decoders
from lumina_core.server.bodies import read_body
from lumina_core.server.jobs import Job
from lumina_core.server.made_files import PNG, other_kind, suffixes_read, told_inside
from lumina_core.server.refusals import GoneError, RefusedError
from lumina_core.server.service import Service
from lumina_core.server.slots import picture_of
from lumina_core.server.uploads import kept_files

SECONDS_OF_SILENCE = 15.0  # after which a stream says that it is there: proxies cut silent ones
STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
MAX_DIGITS = 4  # of a number in an address; Python refuses to read very many
PRIVATE = {"Cache-Control": "no-store"}


def media_routes(service: Service) -> list[Route]:
    """The routes below /v1/media."""
    line = service.line

    known = cache(decoders)
    converting = asyncio.Lock()  # one at a time, for a mesh takes long

    async def listing(request: Request) -> Response:
        """Each modality with its models, settings, kinds of file and examples."""
        return JSONResponse({"object": "list", "data": await asyncio.to_thread(service.described)})

    async def create(request: Request) -> Response:
        """Start a job of a modality."""
        body, files = await service.body(request)
        job = await service.submit(body, files, request.path_params["modality"])
        return JSONResponse(service.record(job), 202)

    async def job(request: Request) -> Response:
        """A job, with its settings and files."""
        return JSONResponse(service.record(service.job(request)))

    async def delete(request: Request) -> Response:
        """Cancel a job; of one that is over, drop the results."""
        found = service.job(request)
        line.delete(found)
        return JSONResponse(service.record(found))

    async def events(request: Request) -> Response:
        """A job after each of its changes, as server-sent events."""
        return event_stream(service, service.job(request), service.record)

    async def file(request: Request) -> Response:
        """A file of a job; as=png is a picture of it, as=SUFFIX another kind of its modality."""
        index, kind = number_of(request.path_params["index"]), request.query_params.get("as")
        if index is None:
            raise RefusedError("files are numbered from 0 on", 404, code="not_found")
        async with converting if kind not in (None, PNG) else nullcontext():
            return await file_response(service.job(request), index, kind)

    async def read(request: Request) -> Response:
        """The request inside a file that was made by this program."""
        _, files = await read_body(request)
        if len(files) != 1:
            raise RefusedError("send one file in a form", code="invalid_file")
        _, folder = line.new_folder()
        try:
            suffixes = suffixes_read(await asyncio.to_thread(known))
            (path,) = (await kept_files(files, folder, suffixes)).values()
            return JSONResponse(await asyncio.to_thread(told_inside, Path(path), known()))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return [
        Route("/v1/media", listing),
        Route("/v1/media/read", read, methods=["POST"]),
        Route("/v1/media/{modality}", create, methods=["POST"]),
        Route("/v1/media/jobs/{id}", job),
        Route("/v1/media/jobs/{id}", delete, methods=["DELETE"]),
        Route("/v1/media/jobs/{id}/events", events),
        Route("/v1/media/jobs/{id}/files/{index}", file),
    ]


def event_stream(
    service: Service, job: Job, show: Callable[[Job], dict[str, Any]]
) -> StreamingResponse:
    """Each change of a job, as it is shown, as a server-sent event; the last one is its end."""

    async def stream() -> AsyncIterator[bytes]:
        async for found in service.line.changes(job, SECONDS_OF_SILENCE):
            told = ": still here" if found is None else f"data: {json.dumps(show(found))}"
            yield f"{told}\n\n".encode()

    return StreamingResponse(stream(), media_type="text/event-stream", headers=STREAM)


def number_of(text: str) -> int | None:
    """A number of few digits, as an address or its query has it; None where it is none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return int(text) if is_number else None


async def file_response(job: Job, index: int, kind: str | None) -> Response:
    """One file of a job, or another view of it.

    Args:
        job: that made it.
        index: of the file.
        kind: PNG for its picture, or a kind of file of its modality; None for what was asked for.

    Raises:
        RefusedError: there is no such file, or not yet, or none of this kind.
    """
    if index >= len(job.made):
        is_early = not job.is_over
        text = f"the job is {job.status} and has {len(job.made)} files"
        raise RefusedError(text, 409 if is_early else 404, code="not_found")
    path = job.folder / job.made[index].name
    if kind == PNG:
        path = picture_of(path)
    elif kind is not None:
        path = await asyncio.to_thread(other_kind, job, index, kind)
    return _KeptFile(path, media_type=content_type_of(path.suffix), headers=PRIVATE)


class _KeptFile(FileResponse):
    """A file, which may go while somebody asks for it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except RuntimeError as error:  # what it makes of a file that is not there
            if Path(self.path).is_file():
                raise
            raise GoneError from error

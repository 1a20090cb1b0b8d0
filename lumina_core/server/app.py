"""The application: routes behind the guard, and errors in one shape."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lumina_core.errors import is_full_disk
from lumina_core.server.catalogue import served_models
from lumina_core.server.clip_routes import clip_routes
from lumina_core.server.guard import Guard
from lumina_core.server.jobs import Line
from lumina_core.server.media_routes import media_routes
from lumina_core.server.openai_routes import openai_routes
from lumina_core.server.openapi import described_api
from lumina_core.server.refusals import FULL_DISK, NO_ROOM, RefusedError, refusal
from lumina_core.server.service import Service
from lumina_core.server.settings import ServeConfig
from lumina_core.server.slot_kinds import make_slots
from lumina_core.server.slots import Slot

PAGE = Path(__file__).with_name("page")
SECONDS_BETWEEN_SWEEPS = 60.0


def build_app(
    config: ServeConfig, token: str | None = None, slots: Sequence[Slot] = ()
) -> Starlette:
    """The application of a server, with its line not yet at work.

    Args:
        config: what it serves.
        token: that requests must carry; None: none.
        slots: that compute; none: those of `config`.

    Raises:
        LuminaError: as `served_models` and `make_slots`.
    """
    models = served_models(config)
    line = Line(slots or make_slots(config.slots), config)
    service = Service(models, line)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        line.start(asyncio.get_running_loop())
        sweeping = asyncio.create_task(_sweep(line))
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.to_thread(line.close)

    async def document(request: Request) -> Response:
        """The description of this API."""
        media = await asyncio.to_thread(service.described)
        return JSONResponse(described_api(request.app.routes, media))

    async def health(request: Request) -> Response:
        """Whether the server is there, how many requests wait and how many are computed."""
        numbers = {"waiting": len(line.waiting), "running": len(line.running)}
        return JSONResponse({"status": "ok", **numbers})

    app = Starlette(
        routes=[
            *_page_routes(),
            Route("/health", health),
            Route("/openapi.json", document),
            *openai_routes(service),
            *clip_routes(service),
            *media_routes(service),
        ],
        middleware=[Middleware(Guard, names=(config.host, *(config.name or ())), token=token)],
        exception_handlers={
            RefusedError: _on_refused,
            HTTPException: _on_http,
            OSError: _on_system,
        },
        lifespan=lifespan,
    )
    app.state.line, app.state.models = line, models
    return app


def _page_routes() -> list[Route | Mount]:
    async def index(request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    files = Mount("/page", StaticFiles(directory=PAGE))
    return [Route("/", index, include_in_schema=False), files]


async def _sweep(line: Line) -> None:
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_SWEEPS)
        await asyncio.to_thread(line.forget_old)


async def _on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refusal(str(error), error.status, error.code, error.param)


async def _on_system(request: Request, error: Exception) -> Response:
    if not is_full_disk(error):
        raise error
    return refusal(FULL_DISK, HTTPStatus.INSUFFICIENT_STORAGE, NO_ROOM)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase.lower()
    text = f"{phrase}: see /v1/models and /v1/media for what there is"
    answer = refusal(text, error.status_code)
    answer.headers.update(error.headers or {})
    return answer

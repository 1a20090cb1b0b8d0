"""Routes for clips as jobs, and for sounds as bytes, under the names that other servers use."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lumina_core.media.browsers import content_type_of
from lumina_core.server.asked import renamed
from lumina_core.server.jobs import CANCELLED, FAILED, Job
from lumina_core.server.media_routes import event_stream, file_response, number_of
from lumina_core.server.refusals import InvalidError, RefusedError
from lumina_core.server.service import Service

VIDEO, AUDIO = "video", "audio"
PREFIX = "video_"  # of the ids of clips: the list holds those that were begun here
OF_CLIPS = {"num_frames": "modality.frames", "input_reference": "frames"}
OF_SOUNDS = {"input": "prompt", "audio_length": "seconds", "response_format": "format"}
"""What others call our keys, and files."""
VARIANTS = {"video": None, "spritesheet": "png"}
"""What may be asked of a clip, and which view of its file that is."""
MAX_LISTED = 100
USUAL_LISTED = 20


def clip_routes(service: Service) -> list[Route]:
    """The routes below /v1/videos and /v1/audio."""

    def clip(request: Request) -> Job:
        found = service.job(request)
        if not found.id.startswith(PREFIX):
            raise RefusedError("there is no such clip", 404, code="not_found")
        return found

    async def create(request: Request) -> Response:
        """Start a clip."""
        body, files = await service.body(request)
        named = renamed(body, OF_CLIPS), renamed(files, OF_CLIPS)
        job = await service.submit(*named, VIDEO, PREFIX)
        return JSONResponse(_record(service, job))

    async def listing(request: Request) -> Response:
        """The clips that were started here, the newest first."""
        service.line.forget_old()
        jobs = list(service.line.jobs.values())  # slots and sweeps change it meanwhile
        clips = [job for job in jobs if job.id.startswith(PREFIX)]
        return JSONResponse(_page_of(service, clips, request))

    async def video(request: Request) -> Response:
        """A clip on its way."""
        return JSONResponse(_record(service, clip(request)))

    async def delete(request: Request) -> Response:
        """Cancel a clip and forget it."""
        job = clip(request)
        service.line.drop(job)
        return JSONResponse({"id": job.id, "object": "video.deleted", "deleted": True})

    async def content(request: Request) -> Response:
        """The file of a clip; variant=spritesheet is a picture of its frames."""
        variant = request.query_params.get("variant") or VIDEO
        if variant not in VARIANTS:
            raise InvalidError(f"variant is {' or '.join(VARIANTS)} here", "variant")
        return await file_response(clip(request), 0, VARIANTS[variant])

    async def events(request: Request) -> Response:
        """A clip after each of its changes, as server-sent events."""
        return event_stream(service, clip(request), lambda job: _record(service, job))

    async def sound(request: Request) -> Response:
        """Make a sound; the answer is its file."""
        body, files = await service.body(request)
        job = await service.submit(_of_one_sound(body), files, AUDIO, is_watched=False)
        (data,) = await service.result(request, job)
        return Response(data, media_type=content_type_of(job.suffix))

    return [
        Route("/v1/videos", create, methods=["POST"]),
        Route("/v1/videos", listing),
        Route("/v1/videos/{id}", video),
        Route("/v1/videos/{id}", delete, methods=["DELETE"]),
        Route("/v1/videos/{id}/content", content),
        Route("/v1/videos/{id}/events", events),
        Route("/v1/audio/generate", sound, methods=["POST"]),
    ]


def _of_one_sound(body: dict[str, Any]) -> dict[str, Any]:
    values = renamed(body, OF_SOUNDS)
    for key in ("n", "num_samples"):
        if values.get(key) not in (None, 1, "1"):
            text = f"{key} is 1 here, for the answer is one file; use /v1/media/{AUDIO} for more"
            raise InvalidError(text, key)
    return values


def _page_of(service: Service, clips: list[Job], request: Request) -> dict[str, Any]:
    """A part of the list of clips, the newest first unless the request says asc."""
    asked = request.query_params
    if asked.get("order", "desc") not in ("asc", "desc"):
        raise InvalidError("order is asc or desc", "order")
    limit = number_of(asked.get("limit", str(USUAL_LISTED)))
    if limit is None or not 0 < limit <= MAX_LISTED:
        raise InvalidError(f"limit is a number from 1 to {MAX_LISTED}", "limit")
    if asked.get("order", "desc") == "desc":
        clips = clips[::-1]
    ids = [job.id for job in clips]
    start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
    end = start + limit
    found = [_record(service, job) for job in clips[start:end]]
    return {
        "object": "list",
        "data": found,
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
        "has_more": end < len(clips),
    }


def _record(service: Service, job: Job) -> dict[str, Any]:
    """A clip as OpenAI shows one; there are no cancelled ones, so that these have failed."""
    found = service.record(job)
    told = ("id", "model", "prompt", "progress", "preview", "created_at", "completed_at")
    is_cancelled = found["status"] == CANCELLED
    width, height = (found["settings"].get(f"modality.{name}") for name in ("width", "height"))
    frames, fps = (getattr(job.config.options, name, None) for name in ("num_frames", "fps"))
    return {
        **{key: found[key] for key in (*told, "expires_at")},
        "object": "video",
        "status": FAILED if is_cancelled else found["status"],
        "error": {"code": CANCELLED, "message": "it was cancelled"}
        if is_cancelled
        else found["error"],
        "size": f"{width}x{height}" if width and height else None,
        "seconds": f"{frames / fps:g}" if frames and fps else None,
    }

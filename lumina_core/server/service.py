"""What the routes of a server share: models, the line, and the way of a request into it."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from lumina_core.errors import LuminaError
from lumina_core.media.browsers import content_type_of
from lumina_core.modality import Decoder
from lumina_core.plugins.parts import make_modality
from lumina_core.sampling.examples import NO_FOLDER
from lumina_core.sampling.python_api import ANY_PROMPT
from lumina_core.server.asked import Asked, asked, checked, settings_of
from lumina_core.server.bodies import Said, read_body
from lumina_core.server.catalogue import Served, composed, described, of_files
from lumina_core.server.jobs import COMPLETED, FAILED, Job, Line
from lumina_core.server.refusals import (
    INVALID,
    NO_ROOM,
    GoneError,
    RefusedError,
    names_of_sent,
    without_paths,
)
from lumina_core.server.uploads import kept_files

Change = Callable[[dict[str, Any], dict[str, str], Path], Said]


def as_sent(body: dict[str, Any], given: dict[str, str], folder: Path) -> Said:
    """A request as it came."""
    return body, given


class Service:
    """A server's models and its line."""

    def __init__(self, models: Mapping[str, Served], line: Line) -> None:
        self.models = models
        self.line = line
        self.decoder = cache(self._decoder)
        self.described = cache(partial(described, models))

    async def body(self, request: Request) -> tuple[dict[str, Any], dict[str, UploadFile]]:
        """What a request says and the files that it sends, read only where there is room for it.

        Raises:
            RefusedError: as `read_body`, or the line is full.
        """
        self.line.check_room()
        return await read_body(request)

    async def submit(
        self,
        body: dict[str, Any],
        files: Mapping[str, UploadFile],
        modality: str,
        prefix: str = "",
        change: Change = as_sent,
        *,
        is_watched: bool = True,
    ) -> Job:
        """Put a request into the line.

        Args:
            body: of the request.
            files: that were sent.
            modality: that the address names.
            prefix: of the id of the job.
            change: what is made of the body and of the paths of the files once these are there.
            is_watched: whether anybody may look at the job before its end.

        Raises:
            RefusedError: the line is full, or the request is not one that can be computed.
        """
        job_id, folder = self.line.new_folder(prefix)
        try:
            accepted = await self._accepted(modality) if files else ()
            given = await kept_files(files, folder, accepted)
            try:
                body, given = await asyncio.to_thread(change, body, given, folder)
            except LuminaError as error:
                text = without_paths(str(error), names_of_sent(given))
                raise RefusedError(text, code="invalid_file") from error
            found = await asyncio.to_thread(self._checked, body, modality, given)
            names = names_of_sent(given) | self._names(found)
            job = Job(job_id, found.model.id, found.config, found.suffix, folder, names, is_watched)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.line.submit(job)
        return job

    async def _accepted(self, modality: str) -> tuple[str, ...]:
        decoder = await asyncio.to_thread(self.decoder, modality)
        return of_files(decoder, decoder.read_suffixes)

    def _checked(self, body: dict[str, Any], modality: str, given: Mapping[str, str]) -> Asked:
        found = asked(body, self.models, modality, given)
        decoder = self.decoder(found.model.modality)
        suffixes = of_files(decoder, decoder.suffixes)
        names = self._names(found)
        return checked(found, self.line.slots[0], suffixes, self.line.config.max_work, names)

    def _names(self, found: Asked) -> dict[str, str]:
        """What messages call the files of the server."""
        return {str(found.config.checkpoint): found.model.id, str(self.line.folder): "the server"}

    def _decoder(self, modality: str) -> Decoder:
        models = [each for each in self.models.values() if each.modality == modality]
        if not models:
            known = ", ".join(dict.fromkeys(each.modality for each in self.models.values()))
            raise RefusedError(f"there is no such modality here; there are {known}", 404)
        options = composed(models[0], {}, ANY_PROMPT).options
        return make_modality(modality, options, NO_FOLDER).decoder

    def job(self, request: Request) -> Job:
        """The job that an address names.

        Raises:
            RefusedError: there is none, or no more.
        """
        self.line.forget_old()
        found = self.line.jobs.get(request.path_params["id"])
        if found is None:
            raise RefusedError("there is no such job, or no more", 404, code="not_found")
        return found

    def record(self, job: Job) -> dict[str, Any]:
        """A job as the neutral routes show it."""
        is_completed, ended = job.status == COMPLETED, job.ended
        keep_seconds = self.line.config.keep_seconds
        return {
            "id": job.id,
            "object": "media",
            "modality": job.config.modality,
            "model": job.model,
            "prompt": job.config.prompt,
            "status": job.status,
            "progress": 100 if is_completed else int(100 * job.share),
            "preview": job.preview,
            "created_at": int(job.created),
            "completed_at": int(ended) if is_completed and ended else None,
            "expires_at": int(ended + keep_seconds) if job.is_over and ended else None,
            "error": job.error,
            "notes": list(dict.fromkeys(note for made in job.made for note in made.notes)),
            "settings": settings_of(job.config),
            "files": [
                {
                    "index": number,
                    "url": f"/v1/media/jobs/{job.id}/files/{number}",
                    "content_type": content_type_of(job.suffix),
                    "seed": made.seed,
                    "media_sha256": made.media_sha256,
                }
                for number, made in enumerate(list(job.made))
            ],
        }

    async def result(self, request: Request, job: Job) -> list[bytes]:
        """The files of a job, awaited; nothing of it stays. A client that leaves cancels it.

        Raises:
            RefusedError: it ended in another way.
        """

        async def left() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            self.line.delete(job)

        leaving = asyncio.create_task(left())
        try:
            async for _ in self.line.changes(job):
                pass
            if job.status == FAILED and job.error is not None:
                status = {INVALID: 400, NO_ROOM: 507}.get(job.error["code"], 500)
                raise RefusedError(job.error["message"], status, code=job.error["code"])
            if job.status != COMPLETED:
                raise RefusedError("the request was cancelled", 503, code="cancelled")
            return await asyncio.to_thread(_files_of, job)
        finally:
            leaving.cancel()
            self.line.drop(job)


def _files_of(job: Job) -> list[bytes]:
    try:
        return [(job.folder / made.name).read_bytes() for made in job.made]
    except FileNotFoundError as error:  # what was made since left no room for it
        raise GoneError from error

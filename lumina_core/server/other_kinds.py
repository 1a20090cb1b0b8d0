"""Other kinds of a file that a job made: written from the file once, and kept beside it."""

from pathlib import Path

from lumina_core.errors import LuminaError
from lumina_core.media.seal import request_of, write_sealed
from lumina_core.plugins.parts import make_modality
from lumina_core.sampling.examples import NO_FOLDER
from lumina_core.server.jobs import Job
from lumina_core.server.refusals import GoneError, RefusedError, without_paths
from lumina_core.server.service import of_files

PNG = "png"


def other_kind(job: Job, index: int, kind: str) -> Path:
    """A file of a job as another kind that its modality writes, the request inside.

    Args:
        job: it has the file.
        index: of the file.
        kind: a suffix without its dot.

    Raises:
        RefusedError: there is no such kind, or it cannot hold the medium.
    """
    decoder = make_modality(job.config.modality, job.config.options, NO_FOLDER).decoder
    made, suffix = job.made[index], f".{kind}"
    path = job.folder / made.name
    known = of_files(decoder, decoder.suffixes)
    if suffix not in known:
        listed = dict.fromkeys((PNG, *(each.removeprefix(".") for each in known)))
        text = f"as takes {', '.join(listed)}"
        raise RefusedError(text, param="as", code="invalid_value")
    target = path.with_suffix(suffix)
    if target.exists():
        return target
    new = path.with_name(f"new-{target.name}")
    try:
        request = request_of(path, decoder.read_metadata(path) or {})
        media = decoder.read(path)
        write_sealed(decoder, media, new, request, job.config.options, made.media_sha256)
        job.num_bytes += new.stat().st_size
        new.replace(target)
    except LuminaError as error:
        names = {str(new): f"a {suffix} file", str(path): f"the {job.suffix} file"}
        text = without_paths(str(error), {**job.names, **names})
        raise RefusedError(text, param="as", code="invalid_value") from error
    except FileNotFoundError as error:  # the job was dropped meanwhile
        raise GoneError from error
    finally:
        new.unlink(missing_ok=True)  # what is not whole
    return target

"""Run a file of prompts into one folder, and go on where an earlier run ended.

A file's name follows from its line and seed, so the same command finds what it made before. A file
is skipped only if the request inside it is the one asked for; another one is never kept silently,
and replaced only with overwrite=true, as is one that is damaged. Versions of packages are no part
of that comparison.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumina_core import terminal
from lumina_core.checkpoints.model import Model
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.media.names import preview_path
from lumina_core.media.previews import new_preview
from lumina_core.media.seal import MEDIA, request_of, state_of
from lumina_core.sampling.generate import generate_batches, load_model, requests_of, step_bar
from lumina_core.sampling.given import GivenTokens, change_notes, given_tokens
from lumina_core.sampling.output_paths import check_preview, prompts_folder
from lumina_core.sampling.prompt_file import PromptLine, at_line, read_prompts
from lumina_core.sampling.prompt_notes import file_notes
from lumina_core.sampling.regions import check_regions
from lumina_core.sampling.request import Request, describe, latent_shape
from lumina_core.sampling.sample import batches
from lumina_core.sampling.saving import file_record, save_with_preview
from lumina_core.sampling.settings import RunConfig, sampling_of
from lumina_core.sampling.velocity import check_network

NOT_ASKED = (MEDIA, "versions")  # what a file's request tells beside what was asked for


@dataclass(frozen=True)
class Job:
    """One file to be made."""

    path: Path
    request: Request
    description: dict[str, Any]
    """The request as it will stand inside the file."""


def run_prompts(config: RunConfig) -> int:
    """Run `run` with a prompt file: make what is missing, and print the paths or JSON.

    Raises:
        LuminaError: the file or a line of it is wrong, or a file in the folder is of another
            request; nothing has been computed then.
    """
    started = time.perf_counter()
    path = Path(config.prompt_file or "")
    lines = read_prompts(path, config)
    model = load_model(config)
    check_network(model, config)
    decoder = model.modality.decoder
    given: dict[str, GivenTokens | None] = {}  # of each size, read once
    for line in lines:
        options = line.config.options
        with at_line(path, line.number):
            model.modality.tokenizer.grid(latent_shape(model, options))
            check_regions(model, line.config)
            shape = model.modality.media_shape(options)
            decoder.check_format(decoder.suffixes[0], shape, options)
            if repr(options) not in given:
                given[repr(options)] = given_tokens(model, config.condition, options)
    jobs = _jobs(config, model, lines, given)
    missing = _missing(jobs, model, overwrite=config.overwrite)
    _complete_previews([job for job in jobs if job not in missing], model)
    terminal.tell(*change_notes(config.condition), *file_notes(path, model, lines))
    if len(missing) < len(jobs):
        terminal.tell(f"skipped {len(jobs) - len(missing)} of {len(jobs)} files")
    found = batches(model, [job.request for job in missing], sampling_of(config))
    records: dict[Path, dict[str, Any]] = {}
    evaluations = 0
    with step_bar(len(found)) as on_step, when_interrupted(lambda: _left_over(missing, records)):
        made = generate_batches(model, found, config, on_step)
        for job, item in zip(missing, made, strict=True):
            if not config.overwrite and job.path.exists() and not _difference(job, model):
                terminal.tell(f"note: {job.path} was made by another run meanwhile")
                continue
            preview = save_with_preview(item, job.path, overwrite=config.overwrite)
            evaluations = max(evaluations, item.network_evaluations)
            record = file_record(job.path, item.request, item.media_sha256, preview)
            records[job.path] = record | {"skipped": False}
            if not config.json:
                terminal.show(str(job.path))
    if config.json:
        files = [records.get(job.path) or _skipped_record(job, model) for job in jobs]
        seconds = round(time.perf_counter() - started, 3)
        result = {"files": files, "network_evaluations": evaluations, "seconds": seconds}
        terminal.show_json(result)
    return 0


def _left_over(missing: Sequence[Job], made: Mapping[Path, Any]) -> str:
    """What was made when a file of prompts is interrupted, and how the rest is made."""
    return f"after {len(made)} of {len(missing)} files; the same command makes the others"


def _jobs(
    config: RunConfig,
    model: Model,
    lines: Sequence[PromptLine],
    given: Mapping[str, GivenTokens | None],
) -> list[Job]:
    decoder, sampling = model.modality.decoder, sampling_of(config)
    folder = prompts_folder(config, decoder)
    return [
        Job(
            folder / f"{line.number:04d}-s{request.seed}{decoder.suffixes[0]}",
            request,
            describe(model, request, sampling, config.dtype),
        )
        for line in lines
        for request in requests_of(line.config, given[repr(line.config.options)])
    ]


def _missing(jobs: Sequence[Job], model: Model, *, overwrite: bool) -> list[Job]:
    """The jobs whose files are not there yet, or are to be replaced."""
    missing, others = [], []
    for job in jobs:
        is_there = job.path.exists()
        if is_there and (difference := _difference(job, model)):
            others.append(f"{job.path} {difference}")
            is_there = False
        if not is_there:
            missing.append(job)
    if others and not overwrite:
        more = f" (and {len(others) - 1} others like it)" * (len(others) > 1)
        raise LuminaError(f"{others[0]}{more}; use overwrite=true or another out")
    for job in missing:
        check_preview(job.path, model.modality.decoder, overwrite=overwrite)
    return missing


def _complete_previews(jobs: Sequence[Job], model: Model) -> None:
    """Write the previews that a killed run left out beside finished files."""
    decoder = model.modality.decoder
    for job in jobs:
        preview = preview_path(job.path, decoder)
        if preview is not None and not preview.exists():
            media, options = decoder.read(job.path), job.request.options
            with new_preview(job.path, media, options, decoder, overwrite=False):
                pass  # the file is there


def _difference(job: Job, model: Model) -> str | None:
    """How the file that is there differs from the job; None: it is what was asked for."""
    found = _request_inside(job.path, model)
    if found is None:
        return "exists already and carries no request, or a damaged one"
    wanted = json.loads(json.dumps(job.description))  # tuples become lists, as in the file
    keys = dict.fromkeys([*wanted, *found])
    unlike = [key for key in keys if key not in NOT_ASKED and found.get(key) != wanted.get(key)]
    return f"was made with another {', '.join(unlike)}" if unlike else state_of(job.path)


def _request_inside(path: Path, model: Model) -> dict[str, Any] | None:
    try:
        found = model.modality.decoder.read_metadata(path)
        return request_of(path, found) if isinstance(found, dict) else None
    except LuminaError:
        return None


def _skipped_record(job: Job, model: Model) -> dict[str, Any]:
    preview = preview_path(job.path, model.modality.decoder)
    made = (_request_inside(job.path, model) or {}).get(MEDIA)  # None: by an earlier version
    return file_record(job.path, job.description, made, preview) | {"skipped": True}

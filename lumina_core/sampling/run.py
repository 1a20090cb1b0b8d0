"""Generate: a request becomes media, media become files with the request inside.

argv -> modality checked -> config composed and typed -> text encoded -> latent shape and grid ->
noise -> packed -> guided velocity, time grid, solver -> unpacked -> decoded -> decoder.write.
The command line and `lumina_core.generate` are the same path.
"""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lumina_core import terminal
from lumina_core.errors import LuminaError, when_interrupted
from lumina_core.media.names import sheet_path
from lumina_core.sampling.generate import generate_each, load_model, step_bar
from lumina_core.sampling.output_paths import out_path, save_numbered, targets
from lumina_core.sampling.prompt_notes import request_notes
from lumina_core.sampling.saving import file_record, save_with_preview

if TYPE_CHECKING:
    from lumina_core.sampling.settings import RunConfig


NUM_PREVIEWS = 100  # on a contact sheet; so many pictures wait for it in memory


def run_command(config: "RunConfig") -> int:
    """Run `run`: generate, write, and print the paths or JSON."""
    if config.prompt_file is not None:
        from lumina_core.sampling.prompt_run import run_prompts

        return run_prompts(config)
    started = time.perf_counter()
    model = load_model(config)
    decoder = model.modality.decoder
    shape = model.modality.media_shape(config.options)  # refuses a size before anything is done
    paths = targets(config, decoder)
    suffix = decoder.suffixes[0] if paths[0] is None else paths[0].suffix.lower()
    decoder.check_format(suffix, shape, config.options)
    terminal.tell(*request_notes(config, model))
    folder = out_path(config)
    files: list[dict[str, Any]] = []
    evaluations = 0
    previews: list[Tensor] = []
    left = partial(_left_over, config, files)
    with step_bar(config.num_samples) as on_step, when_interrupted(left):
        for path, item in zip(paths, generate_each(model, [config], on_step), strict=True):
            if path is None:
                save = partial(save_with_preview, item, overwrite=False)
                path, preview = save_numbered(folder, config.modality, item.name_end, save)
            else:
                preview = save_with_preview(item, path, overwrite=config.overwrite)
            evaluations = max(evaluations, item.network_evaluations)  # they differ with dopri5
            if len(previews) < NUM_PREVIEWS:
                previews.append(decoder.preview(item.media, item.options))
            files.append(file_record(path, item.request, item.media_sha256, preview))
            if not config.json:
                terminal.show(str(path))
    if config.json:
        seconds = round(time.perf_counter() - started, 3)
        result = {"files": files, "network_evaluations": evaluations, "seconds": seconds}
        terminal.show_json(result)
    if len(files) > 1:  # the last thing: what is told above is there, whatever becomes of it
        made = [Path(file["path"]) for file in files]
        sheet = _save_sheet(made, previews, config, is_named=paths[0] is not None)
        terminal.tell(f"contact sheet: {sheet}")
    return 0


def _left_over(config: "RunConfig", files: list[dict[str, Any]]) -> str:
    """What was written when a request is interrupted, and how the rest is made."""
    if not files:
        return "before a file was written; give the same command again"
    rest = config.num_samples - len(files)
    return (
        f"after {len(files)} of {config.num_samples} files; the others are made by the same "
        f"command with seed={config.seed + len(files)} num_samples={rest}"
    )


def _save_sheet(
    paths: list[Path], previews: list[Tensor], config: "RunConfig", *, is_named: bool
) -> Path:
    """A contact sheet of the first samples, beside them.

    Args:
        paths: of all samples.
        previews: of the first ones.
        config: the request.
        is_named: whether the user named the files, so that the same command finds them again.

    Raises:
        LuminaError: it cannot be written; says that the samples are there.
    """
    from lumina_core.media.previews import save_contact_sheet

    sheet = sheet_path(paths[0])
    labels = [f"seed {config.seed + number}" for number in range(len(previews))]
    try:
        save_contact_sheet(sheet, previews, labels)
    except LuminaError as error:
        raise LuminaError(
            f"{error}; the {len(paths)} files of this run are whole and stay, their contact sheet "
            "is missing; make room and give the same command"
            + " with overwrite=true" * is_named
            + f", or look at them with: gallery {sheet.parent}"
        ) from error
    return sheet

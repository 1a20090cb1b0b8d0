"""Generate: a request becomes media, media become files with the request inside.

argv -> modality checked -> config composed and typed -> text encoded -> latent shape and grid ->
noise -> packed -> guided velocity, time grid, solver -> unpacked -> decoded -> decoder.write.
The command line and `lumina_core.generate` are the same path.
"""

import itertools
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib import metadata
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from einops import rearrange
from torch import Tensor

from lumina_core import __version__, checkpoint, host, python_arguments, terminal
from lumina_core.backbone.attention import resolve_backend
from lumina_core.checkpoint import Model
from lumina_core.conditioning import GivenTokens, change_notes, given_tokens
from lumina_core.decoder import Decoder, Media
from lumina_core.errors import LuminaError
from lumina_core.faults import when_interrupted
from lumina_core.file_request import read_request
from lumina_core.files import new_output, sha256_of
from lumina_core.keys import IDLE_KEYS, SAMPLING_SETTINGS
from lumina_core.output_paths import OUTPUTS, check_target, out_path, sheet_path, targets
from lumina_core.previews import save_with_preview
from lumina_core.prompt_notes import text_notes
from lumina_core.records import fixed_names, flat
from lumina_core.runtime import arithmetic, release_memory, resolve_device, resolve_dtype
from lumina_core.sampling import (
    Request,
    Sampling,
    batches,
    in_turn,
    media_sha256,
    sample_batch,
    sampling_of,
)
from lumina_core.seal import state_of, write_sealed

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from lumina_core.command_records import EvaluateConfig, RunConfig

NUM_PREVIEWS = 100  # on a contact sheet; so many pictures wait for it in memory
Saved = TypeVar("Saved")
_LOAD_LOCK = Lock()  # two threads must not read the same checkpoint twice
_KEPT: dict[tuple[Any, ...], Model] = {}  # the model that was read last, by what it was read from


@dataclass(frozen=True)
class Generated:
    """One medium and everything that is needed to make it again."""

    media: Media
    request: dict[str, Any]
    media_sha256: str
    network_evaluations: int
    decoder: Decoder
    notes: tuple[str, ...] = ()
    """What one should know about the request, such as words that the checkpoint never saw."""

    @property
    def prompt(self) -> str:
        """What it shows."""
        return self.request["prompt"]

    @property
    def seed(self) -> int:
        """What it follows from, beside the prompt and the settings."""
        return self.request["seed"]

    @property
    def settings(self) -> dict[str, Any]:
        """How it was made, as whole keys and values that `generate` takes."""
        keys = ("negative_prompt", "dtype", *SAMPLING_SETTINGS)
        made = {key: self.request[key] for key in keys}
        values = flat({"modality": self.request["options"], **made})
        idle = [
            key
            for key, (switch, off) in IDLE_KEYS.items()
            if key in values and values[switch] in off
        ]
        return {key: value for key, value in values.items() if key not in idle}

    @property
    def array(self) -> "np.ndarray":
        """The medium as an array of NumPy."""
        return self.media.cpu().numpy()

    @property
    def image(self) -> "Image":
        """A picture of it, of Pillow."""
        from PIL import Image

        preview = self.decoder.preview(self.media).cpu()
        return Image.fromarray(rearrange(preview, "rgb h w -> h w rgb").contiguous().numpy())

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        file = BytesIO()
        self.image.save(file, "png")
        return file.getvalue()

    def __repr__(self) -> str:
        return f"<{self.request['modality']} of {self.prompt!r}, seed {self.seed}>"

    def save(self, path: str | Path | None = None, *, overwrite: bool = False) -> Path:
        """Write a file or folder with the request inside, whole or not at all.

        Args:
            path: of the file; None: the next free name in outputs/, as `run` names it.
            overwrite: replace one that exists.

        Returns:
            The path of the file.

        Raises:
            LuminaError: it exists already, its suffix is not one of the modality's, or it cannot be
                written; or an argument is of another type.
        """
        overwrite = python_arguments.true_or_false("overwrite", overwrite)
        if path is None:
            return save_numbered(self, OUTPUTS, self.save)[0]
        path = python_arguments.path("path", path)
        check_target(path, self.decoder, overwrite=overwrite)
        with new_output(path, overwrite=overwrite) as temporary:
            write_sealed(self.decoder, self.media, temporary, self.request, self.media_sha256)
        return path


def generate_each(
    model: Model,
    configs: "Sequence[RunConfig]",
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[Generated]:
    """The samples of requests, each as soon as it is ready; what is wrong is refused at once.

    Args:
        model: the checkpoint.
        configs: at least one; they differ in their texts and seeds alone.
        on_step: called as on_step(step, total) after each step; may raise to cancel.
    """
    groups = batches(model, all_requests(model, configs), sampling_of(configs[0]))
    return generate_batches(model, groups, configs[0], on_step)


def all_requests(model: Model, configs: "Sequence[RunConfig]") -> list[Request]:
    """The samples that configurations ask for which give the same beside their texts."""
    given = given_tokens(model, configs[0].condition, configs[0].options)
    return [request for config in configs for request in requests_of(config, given)]


def save_numbered(
    item: Generated, folder: Path, save: Callable[[Path], Saved]
) -> tuple[Path, Saved]:
    """Save under the next free default name, which two runs at once never share.

    Args:
        item: gives the name its modality and seed.
        folder: where the file goes.
        save: writes it, if nothing is there.

    Returns:
        The path, and what `save` returned.
    """
    modality, seed = item.request["modality"], item.seed
    pattern = re.compile(rf"{re.escape(modality)}-(\d+)-.*")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    for number in itertools.count(max(taken, default=0) + 1):
        path = folder / f"{modality}-{number:04d}-s{seed}{item.decoder.suffixes[0]}"
        try:
            return path, save(path)
        except LuminaError:
            if not path.exists():  # else another run was faster
                raise
    raise AssertionError("the numbers never end")


def requests_of(config: "RunConfig", given: GivenTokens | None) -> list[Request]:
    """The samples that a configuration asks for: sample i has seed + i."""
    return [
        Request(config.prompt, config.negative_prompt, config.seed + number, config.options, given)
        for number in range(config.num_samples)
    ]


def generate_batches(
    model: Model,
    groups: Sequence[list[Request]],
    config: "RunConfig",
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[Generated]:
    """The samples of any batches in their order; how they are made is in `config`."""
    sampling = sampling_of(config)
    for batch in in_turn(model, groups, sampling.guidance):
        made = sample_batch(model, batch, sampling, on_step=on_step)
        for request, item in zip(batch, made, strict=True):
            yield Generated(
                item.media,
                describe(model, request, sampling, config.dtype),
                media_sha256(item.media),
                item.network_evaluations,
                model.modality.decoder,
            )


def load_model(config: "RunConfig | EvaluateConfig", held: Model | None = None) -> Model:
    """The checkpoint of a request; the one that was read last is kept, and threads may share it.

    Args:
        config: what is asked for.
        held: the checkpoint, where it is in memory already.

    Raises:
        LuminaError: there is none, it is damaged, or cannot be computed as asked.
    """
    if config.checkpoint is None:
        raise LuminaError(
            f"modality {config.modality!r} ships no demo checkpoint; give checkpoint=FOLDER"
        )
    device, dtype = resolve_device(config.device), resolve_dtype(config.dtype)
    resolve_backend(config.attention, device.type, dtype)  # or refuses it
    model = _kept(config, device, dtype) if held is None else held
    text_cache = None if config.text_cache is None else Path(config.text_cache)
    return replace(model, attention=config.attention, text_cache=text_cache)


def _kept(config: "RunConfig | EvaluateConfig", device: torch.device, dtype: torch.dtype) -> Model:
    folder = Path(
        str(config.checkpoint)
    ).absolute()  # parts are read later, maybe from another folder
    manifest = checkpoint.read_manifest(folder)
    checkpoint.verify(folder, manifest)
    key = (folder, checkpoint.manifest_sha256(folder), config.modality, device, dtype)
    with _LOAD_LOCK:
        if key not in _KEPT:
            _KEPT.clear()
            release_memory(device)  # the model before leaves it before the next one comes
            _KEPT[key] = _load(folder, config.modality, device, dtype, config.download)
        return _KEPT[key]


def _load(
    folder: Path, name: str, device: torch.device, dtype: torch.dtype, download: bool
) -> Model:
    from lumina_core.config import compose_options
    from lumina_core.layers import fixed_options

    options = compose_options(name, fixed_options(name, checkpoint.read_manifest(folder)))
    return checkpoint.load(folder, name, options, device=device, dtype=dtype, download=download)


def describe(model: Model, request: Request, sampling: Sampling, dtype: str) -> dict[str, Any]:
    """The request of one sample as it stands inside its file: no date, no path."""
    fixed = fixed_names(request.options)
    options = {
        field.name: getattr(request.options, field.name)
        for field in fields(request.options)
        if field.name not in fixed
    }
    return {
        "modality": model.name,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "options": options,
        "condition": None if request.given is None else request.given.request,
        **{key: value for key, value in asdict(sampling).items() if key in SAMPLING_SETTINGS},
        "dtype": dtype,
        "checkpoint_sha256": model.checkpoint_sha256,
        "versions": _versions(model),
    }


def _versions(model: Model) -> dict[str, str]:
    """What the last bits of a medium depend on beside its request."""
    plugin = host.find(model.name)
    return {
        "lumina-core": __version__,
        "torch": metadata.version("torch"),
        plugin.package: plugin.version,
        "arithmetic": arithmetic(model.device),
    }


def run_command(config: "RunConfig") -> int:
    """Run `run`: generate, write, and print the paths or JSON."""
    if config.prompt_file is not None:
        from lumina_core.prompt_run import run_prompts

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
                path, preview = save_numbered(item, folder, save)
            else:
                preview = save_with_preview(item, path, overwrite=config.overwrite)
            evaluations = max(evaluations, item.network_evaluations)  # they differ with dopri5
            if len(previews) < NUM_PREVIEWS:
                previews.append(decoder.preview(item.media))
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


def file_record(
    path: Path, request: Mapping[str, Any], media_sha256: str | None, preview: Path | None
) -> dict[str, Any]:
    """What the JSON of `run` says of one file, or of one folder that holds a medium."""
    record = {
        "path": str(path),
        "sha256": sha256_of(path),
        "media_sha256": media_sha256,
        **{key: request[key] for key in ("modality", "prompt", "seed")},
    }
    return record if preview is None else record | {"preview": str(preview)}


def request_notes(config: "RunConfig", model: Model) -> Iterator[str]:
    """What the user should know about the request, one line each."""
    repeated = {} if config.repeat is None else read_request(Path(config.repeat))
    place = f"{config.repeat}: " * (repeated.get("prompt") == config.prompt)
    yield from text_notes(model, config.prompt, config.negative_prompt, place)
    yield from change_notes(config.condition)
    if config.repeat is not None:
        if state := state_of(Path(config.repeat)):
            yield f"note: {config.repeat} {state}; its request is whole"
        yield from _repeat_notes(config.repeat, repeated, model)


def _repeat_notes(path: str, request: Mapping[str, Any], model: Model) -> Iterator[str]:
    """Why a file that is made again may not be the same."""
    made_with = request.get("checkpoint_sha256")
    if made_with != model.checkpoint_sha256:
        yield (
            f"note: {path} was made with another checkpoint ({str(made_with)[:12]}); the result "
            "will differ. Give checkpoint=FOLDER"
        )
    stored, here = request.get("versions"), _versions(model)
    stored = stored if isinstance(stored, dict) else {}
    changes = [
        f"{key} {stored[key]}, here it is {value}"
        for key, value in here.items()
        if stored.get(key, value) != value  # earlier versions stored no arithmetic
    ]
    if changes:
        yield f"note: {path} was made with {'; '.join(changes)}: the result may differ a little"


@contextmanager
def step_bar(num_batches: int) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar over all steps of all batches, where stderr is a terminal."""
    if not terminal.is_terminal(sys.stderr):
        yield None
        return
    with terminal.progress_bar() as bar:
        task = bar.add_task("generating", total=None)

        def on_step(step: int, total: int) -> None:
            # in batches: those that begin small have more steps than others
            bar.update(task, advance=1 / total, total=num_batches)

        yield on_step


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
    from lumina_core.contact_sheet import save_contact_sheet

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

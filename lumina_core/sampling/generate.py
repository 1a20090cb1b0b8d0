"""Loads a model and makes media in memory; the command line and Python share it."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lumina_core import terminal
from lumina_core.backbone.attention import resolve_backend
from lumina_core.checkpoints import model as checkpoint_model
from lumina_core.checkpoints.adapters import Adapters
from lumina_core.checkpoints.formats import find_source, lasting_name
from lumina_core.checkpoints.model import Model
from lumina_core.checkpoints.placement import Placement
from lumina_core.checkpoints.source import fixed_options
from lumina_core.config.compose import compose_options
from lumina_core.config.keys import record_keys, switched_off_by
from lumina_core.files.writing import new_output
from lumina_core.flow.solver import OnStep
from lumina_core.media.seal import write_sealed
from lumina_core.modality import Decoder, Media
from lumina_core.plugins import demos
from lumina_core.records import flat, untold
from lumina_core.runtime import release_memory, resolve_device, resolve_dtype
from lumina_core.sampling import python_arguments
from lumina_core.sampling.adapters import named_adapters
from lumina_core.sampling.given import GivenTokens, given_tokens
from lumina_core.sampling.output_paths import OUTPUTS, check_target, save_numbered
from lumina_core.sampling.regions import check_regions
from lumina_core.sampling.request import Request, describe, media_sha256
from lumina_core.sampling.sample import Watch, batches, in_turn, sample_batch
from lumina_core.sampling.settings import SAMPLING_SETTINGS, ModelSource, Sampling, sampling_of
from lumina_core.sampling.velocity import check_network

if TYPE_CHECKING:
    from PIL.Image import Image

    from lumina_core.sampling.settings import RunConfig


_LOAD_LOCK = Lock()  # two threads must not read the same checkpoint twice
_KEPT: dict[tuple[Any, ...], Model] = {}  # the model that was read last, by what it was read from


@dataclass(frozen=True)
class Generated:
    """One medium and everything that is needed to make it again."""

    media: Media
    options: Any
    """Of the modality: the plugin's own dataclass."""
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
    def name_end(self) -> str:
        """What its name ends in where the user gives none."""
        return f"s{self.seed}{self.decoder.suffixes[0]}"

    @property
    def settings(self) -> dict[str, Any]:
        """How it was made, as whole keys and values that `generate` takes."""
        names = ("negative_prompt", "regions", "dtype", "quantise", *SAMPLING_SETTINGS)
        made = {name: self.request[name] for name in names if name in self.request}
        values = flat(untold(Sampling)) | flat({"modality": self.request["options"], **made})
        keys = [key for key in record_keys(Sampling) if key.name in values]
        idle = [key.name for key in keys if switched_off_by(key, values)]
        return {key: value for key, value in values.items() if key not in idle}

    @property
    def array(self) -> "np.ndarray":
        """The medium as an array of NumPy."""
        return self.decoder.array(self.media)

    @property
    def image(self) -> "Image":
        """A picture of it, of Pillow."""
        return self.decoder.image(self.media, self.options)

    def _repr_html_(self) -> str:
        """How a notebook shows it: a picture, or a player."""
        from lumina_core.sampling.notebook import item_html

        return item_html(self)

    def _repr_png_(self) -> bytes:
        """How a notebook shows it that shows no HTML: a picture, smaller if it is large."""
        from lumina_core.sampling.notebook import still

        return still(self)

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
            return save_numbered(OUTPUTS, self.request["modality"], self.name_end, self.save)[0]
        path = python_arguments.path("path", path)
        check_target(path, self.decoder, overwrite=overwrite)
        with new_output(path, overwrite=overwrite) as temporary:
            write_sealed(
                self.decoder, self.media, temporary, self.request, self.options, self.media_sha256
            )
        return path


class Items(list[Generated]):
    """Media in their order, which a notebook shows one beside the other."""

    def _repr_html_(self) -> str:
        from lumina_core.sampling.notebook import items_html

        return items_html(self)


def generate_each(
    model: Model,
    configs: "Sequence[RunConfig]",
    on_step: OnStep | None = None,
    watch: Watch | None = None,
) -> Iterator[Generated]:
    """The samples of requests, each as soon as it is ready; what is wrong is refused at once.

    Args:
        model: the checkpoint.
        configs: at least one; they differ in their texts and seeds alone.
        on_step: called as on_step(step, total) after each step; may raise to cancel.
        watch: sees the samples as they come about.
    """
    groups = batches(model, all_requests(model, configs), sampling_of(configs[0]))
    return generate_batches(model, groups, configs[0], on_step, watch)


def all_requests(model: Model, configs: "Sequence[RunConfig]") -> list[Request]:
    """The samples that configurations ask for which give the same beside their texts."""
    for config in configs:
        check_network(model, config)
        check_regions(model, config)
    given = given_tokens(model, configs[0].condition, configs[0].options)
    return [request for config in configs for request in requests_of(config, given)]


def requests_of(config: "RunConfig", given: GivenTokens | None) -> list[Request]:
    """The samples that a configuration asks for: sample i has seed + i."""
    return [
        Request(
            config.prompt,
            config.negative_prompt,
            config.seed + number,
            config.options,
            given,
            config.regions,
        )
        for number in range(config.num_samples)
    ]


def generate_batches(
    model: Model,
    groups: Sequence[list[Request]],
    config: "RunConfig",
    on_step: OnStep | None = None,
    watch: Watch | None = None,
) -> Iterator[Generated]:
    """The samples of any batches in their order; how they are made is in `config`."""
    sampling = sampling_of(config)
    for batch in in_turn(model, groups, sampling.guidance):
        made = sample_batch(model, batch, sampling, on_step=on_step, watch=watch)
        for request, item in zip(batch, made, strict=True):
            yield Generated(
                item.media,
                request.options,
                describe(model, request, sampling, config.dtype),
                media_sha256(item.media),
                item.network_evaluations,
                model.modality.decoder,
            )


def load_model(config: ModelSource, held: Model | None = None) -> Model:
    """The checkpoint of a request; the one that was read last is kept, and threads may share it.

    Args:
        config: what is asked for.
        held: the checkpoint, where it is in memory already.

    Raises:
        LuminaError: there is none, it is damaged, or cannot be computed as asked.
    """
    if config.checkpoint is None:
        raise demos.lack_of_demo(config.modality, "give checkpoint=FOLDER")
    device, dtype = resolve_device(config.device), resolve_dtype(config.dtype)
    resolve_backend(config.attention, device.type, dtype)  # or refuses it
    text_device = torch.device("cpu") if config.text_encoder_device == "cpu" else None
    placement = Placement(device, dtype, config.offload, config.quantise, text_device)
    placement.check()
    model = _kept(config, placement) if held is None else held
    text_cache = None if config.text_cache is None else Path(config.text_cache)
    return replace(model, attention=config.attention, text_cache=text_cache)


def _kept(config: ModelSource, placement: Placement) -> Model:
    named = lasting_name(str(config.checkpoint))  # parts are read later, maybe from elsewhere
    source = find_source(named, download=config.download)
    if config.text_encoder is not None:
        source = source.with_text_encoder(config.text_encoder, download=config.download)
    source.verify()
    fixed = fixed_options(config.modality, source.manifest)
    fixed |= {name: getattr(config.options, name) for name in source.open_options}
    adapters = Adapters(
        tuple(each.weighted for each in named_adapters(config.adapters or ())),
        config.merge_adapters,
    )
    key = (*source.key, config.modality, str(fixed), placement, adapters.key)
    with _LOAD_LOCK:
        if key not in _KEPT:
            devices = {model.device for model in _KEPT.values()}
            _KEPT.clear()
            for device in devices:  # the model before leaves before the next one comes
                release_memory(device)
            _KEPT[key] = checkpoint_model.opened(
                source,
                config.modality,
                compose_options(config.modality, fixed),
                placement,
                download=config.download,
                adapters=adapters,
            )
        return _KEPT[key]


@contextmanager
def step_bar(num_batches: int) -> Iterator[OnStep | None]:
    """A progress bar over the steps of all batches, where stderr is a terminal or in a notebook."""
    if terminal.is_notebook():
        with terminal.notebook_bar("generating") as fill:
            done = 0.0

            def on_step_of_notebook(step: int, total: int) -> None:
                nonlocal done
                done += 1 / total
                fill(done / num_batches)

            yield on_step_of_notebook
        return
    if not terminal.is_terminal(sys.stderr):
        yield None
        return
    with terminal.progress_bar() as bar:
        task = bar.add_task("generating", total=None)

        def on_step(step: int, total: int) -> None:
            # in batches: those that begin small have more steps than others
            bar.update(task, advance=1 / total, total=num_batches)

        yield on_step

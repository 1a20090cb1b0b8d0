"""The plugin that is checked: its parts, samples of its world, and a checkpoint of two steps.

What costs time is made once and shared by the checks, none of which changes it.
"""

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lumina_core.checkpoints.model import Model
from lumina_core.config.compose import compose_options
from lumina_core.data.pool import encode_sample
from lumina_core.data.source import CaptionedSample
from lumina_core.errors import LuminaError
from lumina_core.modality import Modality, has_weights
from lumina_core.plugins import demos, host
from lumina_core.plugins.parts import make_modality
from lumina_core.records import fixed_names
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid
from lumina_core.testing.samples import Sample, Size, all_sizes, grid_of, medium, small_sizes
from lumina_core.testing.verdicts import NotApplicableError
from lumina_core.training.compose import compose_train
from lumina_core.training.settings import TrainConfig

if TYPE_CHECKING:
    from lumina_core.testing.first_use import FirstUse


MAX_SAMPLES = 6  # of different grids
SEED = 20
TINY = (
    *("backbone.hidden_size=32", "backbone.depth=1", "backbone.num_heads=2"),
    *("backbone.conditioning_size=16", "backbone.rope_dims=[0,4,4,4,4]"),
    *("text_encoder.hidden_size=32", "text_encoder.depth=1", "text_encoder.num_heads=2"),
    *("data=synthetic", "data.pool_size=6", "data.refresh_per_step=0", "sample_every=0"),
    *("save_every=0", "optimizer.warmup_steps=0", "device=cpu"),
)
"""The words of a training of seconds."""


class Subject:
    """A modality under test."""

    def __init__(self, name: str, folder: Path, vae: Path | None = None) -> None:
        self.name = name
        self._vae = vae
        self.plugin = host.find(name)
        self.folder = folder
        """For what a check writes; a new one for each that asks by `new_folder`."""
        self._num_folders = 0
        self.causes: dict[str, str] = {}
        """What broke rules by being raised, and the names of their checks."""
        self.broken: list[str] = []
        """Names of the checks that broke."""

    def new_folder(self) -> Path:
        """An empty folder."""
        self._num_folders += 1
        path = self.folder / str(self._num_folders)
        path.mkdir()
        return path

    @cached_property
    def distribution(self) -> metadata.Distribution:
        """The package that brings the modality."""
        return metadata.distribution(self.plugin.package)

    @property
    def top_package(self) -> str:
        """Name of the package that the entry point leads into."""
        return self.plugin.value.partition(":")[0].partition(".")[0]

    @cached_property
    def source(self) -> Path:
        """Folder of the plugin's modules."""
        return host.conf_folder(self.name).parent

    @cached_property
    def options(self) -> Any:
        """Its options as its YAML has them."""
        return compose_options(self.name)

    @cached_property
    def vae_folder(self) -> Path | None:
        """Where the weights of its autoencoder are, else of its demo's; None without weights.

        Raises:
            NotApplicableError: it needs weights, ships none, and none were named.
        """
        if not has_weights(self.options):
            return None
        if self._vae is not None:
            return self._vae
        demo = demos.demo_folder(self.name)
        if demo is None or not (demo / "vae" / self.name).is_dir():
            raise NotApplicableError(
                "it needs weights of an autoencoder and ships no demo that has them; give them: "
                "modality.vae=FOLDER"
            )
        return demo / "vae" / self.name

    @cached_property
    def modality(self) -> Modality:
        """Its parts."""
        return self.new_modality()

    def new_modality(self, vae_folder: Path | None = None) -> Any:
        """Its parts once more, as a program that starts has them."""
        folder = self.vae_folder if vae_folder is None else vae_folder
        return make_modality(self.name, self.options, folder)

    @property
    def world(self) -> Any:
        """Its synthetic world.

        Raises:
            NotApplicableError: it has none.
        """
        if self.modality.world is None:
            raise NotApplicableError("it has no synthetic world")
        return self.modality.world

    def grid_of(self, options: Any) -> Grid:
        """The grid of media with these options."""
        return grid_of(self.modality, options)

    @cached_property
    def samples(self) -> list[Sample]:
        """Media of different sizes, from the first split on, encoded."""
        found: list[Sample] = []
        for size in self._sizes():
            if size.grid in [one.grid for one in found]:
                continue
            generator = seeded(SEED, size.number)
            caption, media = medium(self.modality, size.options, generator, size.split)
            latent = self.modality.vae.encode(media).cpu()
            found.append(Sample(caption, size.options, media, latent, size.grid))
            if len(found) == MAX_SAMPLES:
                break
        return found

    def _sizes(self, split: str | None = None) -> list[Size]:
        """Those of a split, or of all, that are small enough to be checked."""
        return small_sizes(all_sizes(self.modality, self.options, split))

    @property
    def small_options(self) -> Any:
        """Options of a medium that is small enough to be checked."""
        return self._sizes()[0].options

    def drawn(self, count: int, split: str | None = None) -> Iterator[Sample]:
        """So many media of a split, its sizes in turn; their latents are left empty.

        Args:
            count: how many.
            split: of the world; None: the first.
        """
        world = self.modality.world
        sizes = self._sizes(world.splits[0] if split is None and world is not None else split)
        for number in range(count):
            size, generator = sizes[number % len(sizes)], seeded(SEED, 1, number)
            caption, media = medium(self.modality, size.options, generator, size.split)
            yield Sample(caption, size.options, media, torch.empty(0), size.grid)

    def decoded(self, latent: Tensor, options: Any, modality: Any = None) -> Tensor:
        """The media of a latent, as `run` makes them, by these parts or by its own."""
        return (modality or self.modality).decode(latent, options)

    def kinds(self, *, is_read: bool = True, every: bool = False) -> list[tuple[str, Sample]]:
        """Each suffix that is written, with a sample that such a file can hold.

        Args:
            is_read: leave out suffixes that are never read back.
            every: with every such sample instead of the first.
        """
        decoder, found = self.modality.decoder, []
        for suffix in decoder.suffixes:
            if is_read and suffix not in decoder.read_suffixes:
                continue
            for sample in self.samples:
                try:
                    decoder.check_format(suffix, tuple(sample.media.shape), sample.options)
                except LuminaError:
                    continue
                found.append((suffix, sample))
                if not every:
                    break
        return found

    def request(self, sample: Sample, **more: Any) -> dict[str, Any]:
        """What `run` writes into the file of a sample."""
        fixed = fixed_names(sample.options)
        options = {
            key: value
            for key, value in dataclasses.asdict(sample.options).items()
            if key not in fixed
        }
        made = {"modality": self.name, "prompt": sample.caption, "seed": SEED, "options": options}
        return made | more

    def written(
        self, suffix: str, sample: Sample, folder: Path | None = None, stem: str = "sample"
    ) -> Path:
        """A file of a sample."""
        path = (folder or self.new_folder()) / f"{stem}{suffix}"
        self.modality.decoder.write(sample.media, path, self.request(sample), sample.options)
        return path

    def training(self, *words: str) -> TrainConfig:
        """The configuration of a training of seconds; later words win.

        Raises:
            NotApplicableError: there is no world to train on.
        """
        grids = [size.grid for size in self._sizes(self.world.splits[0])]
        longest = max(grid.num_positions(True) for grid in grids)
        largest = max(grid.num_patches for grid in grids)
        where = [f"+modality={self.name}", f"out={self.folder / 'training'}"]
        sized = [f"token_budget={3 * longest}", "max_steps=2"]
        if self.vae_folder is not None:
            sized.append(f"modality.vae={self.vae_folder}")
        return compose_train([*where, *TINY, *sized, f"data.max_tokens={largest}", *words])

    @cached_property
    def checkpoint(self) -> Path:
        """A checkpoint after two steps."""
        from lumina_core.training import train
        from lumina_core.training.saving import Kept, Saver

        with Saver(Kept(last=1, every=0)) as saver:
            return train.save_checkpoint(self.trained, self.training(), saver)

    @cached_property
    def trained(self) -> Any:
        """The training after two steps."""
        from lumina_core.training import start, step

        config = self.training()
        run = start.start(config)
        while run.step < config.max_steps:
            step.training_step(run, config)
        return run

    @cached_property
    def model(self) -> Model:
        """The checkpoint in memory."""
        return self.new_model()

    def new_model(self) -> Model:
        """The checkpoint in memory, loaded once more."""
        from lumina_core.checkpoints import model as checkpoint

        return checkpoint.load(
            self.checkpoint,
            self.name,
            self.options,
            device=torch.device("cpu"),
            dtype=torch.float32,
        )

    @cached_property
    def first_use(self) -> "FirstUse":
        """What a process that imports and uses it for the first time tells."""
        from lumina_core.testing.first_use import observe

        return observe(self.name, self.new_folder(), self._vae)

    def captioned(self) -> list[CaptionedSample]:
        """The samples as training has them."""
        return [
            encode_sample(self.name, self.modality, one.media, one.options, one.caption)
            for one in self.samples
        ]


@contextmanager
def subject_of(name: str, vae: Path | None = None) -> Iterator[Subject]:
    """A modality under test, and a temporary folder for what the checks write.

    One thread computes: for models this small more of them only wait for each other.
    """
    folder = Path(tempfile.mkdtemp(prefix="lumina-contract-"))
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield Subject(name, folder, vae)
    finally:
        torch.set_num_threads(num_threads)
        shutil.rmtree(folder, ignore_errors=True)

"""Where a job is computed: a slot holds models and computes one job at a time.

A slot gets a `Task`, which is plain data, and leaves files in its folder; what it says meanwhile
are `Progress` and `Made`. So a slot may as well be another process, or another machine.
"""

import gc
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from lumina_core.checkpoints.model import Model
from lumina_core.modality import Media
from lumina_core.sampling.generate import Generated, generate_each, load_model
from lumina_core.sampling.prompt_notes import request_notes
from lumina_core.sampling.request import num_positions
from lumina_core.sampling.settings import RunConfig

if TYPE_CHECKING:
    from PIL.Image import Image

NUM_PREVIEWS = 4  # of a sample at most, the last of which is the sample itself
PREVIEWS_SHARE = 0.05  # of the time of a job, for those behind the first: decoding may cost a step
PREVIEW_SIDE = 128  # pixels at most
PICTURE = ".preview.png"  # ends the name of the picture of a file


@dataclass(frozen=True)
class Task:
    """What a slot computes."""

    config: RunConfig
    suffix: str
    """Of the files, one of the modality's."""
    folder: Path
    """For the files; exists, and nobody else writes there."""
    is_watched: bool = True
    """Whether anybody may look at previews."""


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    share: float
    """From 0 to 1."""
    preview: bytes | None = None
    """A small PNG of what the medium is about to be; None: no new one."""


@dataclass(frozen=True)
class Made:
    """One file of a job that is there."""

    name: str
    """In the folder; a picture of it stands beside it."""
    seed: int
    media_sha256: str
    notes: tuple[str, ...]


class Cancelled(Exception):  # noqa: N818 - no fault
    """Nobody wants the rest of a job."""


class LostError(Exception):
    """The process that computed a job is gone."""


Tell = Callable[[Progress], None]
"""May raise Cancelled."""


class Slot(Protocol):
    """What computes jobs, one at a time."""

    def size(self, config: RunConfig, suffix: str) -> int:
        """Tokens of a sample; refuses what cannot be made.

        Raises:
            LuminaError: the model has no such media, or the kind of file cannot hold them.
        """

    def run(self, task: Task, tell: Tell) -> Iterator[Made]:
        """Compute a job; each file as soon as it is there.

        Raises:
            LuminaError: as `run` refuses a request.
            LostError: what computed it is gone; the next job gets another one.
            Cancelled: from `tell`.
        """

    def close(self) -> None:
        """End what belongs to it; called once, and no job runs after it."""


class ThreadSlot:
    """A slot in this process. It holds each model from its first use on.

    Args:
        device: on which it computes; None: as the request says.
    """

    def __init__(self, device: str | None = None) -> None:
        self.device = device
        self._held: dict[tuple[str, str | None], Model] = {}
        self._new: set[tuple[str, str | None]] = set()
        self._lock = Lock()

    def size(self, config: RunConfig, suffix: str) -> int:
        """As in Slot."""
        model = self._model(config)
        shape = model.modality.media_shape(config.options)
        model.modality.decoder.check_format(suffix, shape, config.options)
        return num_positions(model, config.options)

    def run(self, task: Task, tell: Tell) -> Iterator[Made]:
        """As in Slot."""
        model, config = self._model(task.config), task.config
        notes = tuple(note.removeprefix("note: ") for note in request_notes(config, model))
        decoder = model.modality.decoder
        num_done, share, num_passed = 0, 0.0, 0
        begun, costs = time.monotonic(), list[float]()

        def on_step(step: int, total: int) -> None:
            nonlocal share
            share = step / total
            tell(Progress((num_done + share) / config.num_samples))

        def watch(media: Callable[[], list[Media]]) -> None:
            nonlocal num_passed
            if NUM_PREVIEWS * share < num_passed + 1:
                return
            num_passed += 1
            start = time.monotonic()
            if costs and sum(costs) + costs[-1] > PREVIEWS_SHARE * (start - begun):
                return
            picture = decoder.image(media()[0], config.options)
            picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
            shown = png_of(picture)
            costs.append(time.monotonic() - start)
            tell(Progress((num_done + share) / config.num_samples, shown))

        for item in generate_each(model, [config], on_step, watch if task.is_watched else None):
            name = f"{num_done}{task.suffix}"
            _save(item, task.folder / name)
            num_done, share, num_passed = num_done + 1, 0.0, 0
            yield Made(name, item.seed, item.media_sha256, notes)
            tell(Progress(num_done / config.num_samples))
        if (key := _key(config)) in self._new:  # by now everything that it needs is there
            self._new.discard(key)
            keep_for_good()

    def close(self) -> None:
        """As in Slot: there is nothing to end."""

    def _model(self, config: RunConfig) -> Model:
        config = config if self.device is None else replace(config, device=self.device)
        key = _key(config)
        with self._lock:
            held = self._held.get(key)
            self._held[key] = load_model(config, held)
            if held is None:
                self._new.add(key)
                keep_for_good()
            return self._held[key]


def _key(config: RunConfig) -> tuple[str, str | None]:
    return config.modality, config.checkpoint


def keep_for_good() -> None:
    """Spare all objects that are there from the search for garbage.

    A library and a model are half a million of them. Each search through them stops every thread
    for 0.3 seconds, and with them the answers of a server.
    """
    gc.collect(1)  # what is garbage now and young is not kept
    gc.freeze()


def _save(item: Generated, path: Path) -> None:
    """Write a file with its request, and the picture that shows it."""
    item.save(path)
    picture_of(path).write_bytes(png_of(item.image))


def picture_of(path: Path) -> Path:
    """Where the picture of a file is."""
    return path.with_name(path.stem + PICTURE)


def png_of(image: "Image") -> bytes:
    """A picture as the bytes of a PNG."""
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()

"""What a plan knows of the networks beside the backbone, before any weight is read.

Their sizes come from the files that are here: config.json describes each. One that is not here is
no part of a plan, which says so.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from lumina_core.autoencoder.networks import Autoencoder
from lumina_core.backbone.cost import FLOAT32_BYTES
from lumina_core.backbone.trace import Traced, traced
from lumina_core.checkpoints.named import TextTower
from lumina_core.checkpoints.vae_folder import described_config, find_vae
from lumina_core.errors import LuminaError
from lumina_core.files.weights import stored_in, weights_in
from lumina_core.modality import Modality, has_weights
from lumina_core.plugins import host
from lumina_core.plugins.parts import make_modality
from lumina_core.runtime import DTYPES
from lumina_core.text.folder import open_folder, width_of, without_weights
from lumina_core.text.frozen import FrozenTextEncoder
from lumina_core.text.settings import Reading, TextEncoderConfig
from lumina_core.text.tiny import shape_of
from lumina_core.text.tiny_reader import open_tiny

NUM_WORDS = 64  # of a vocabulary that is not known yet; those of the worlds have 40 to 60


@dataclass(frozen=True)
class Part:
    """A network beside the backbone."""

    num_parameters: int = 0
    num_bytes: int = 0
    """Of its weights."""
    model: nn.Module | None = None
    """On the meta device; None: there is none, or nothing is known of how it computes."""
    call: Callable[[int], Any] = lambda count: None
    """What it does for so many texts or media at once; gives features of texts."""
    note: str | None = None
    """What of it is not counted."""

    def use(self, count: int = 1, *, is_trained: bool = False) -> Traced:
        """What it needs for texts or media beside the weights; in training their gradients, too."""
        if self.model is None:
            return NO_USE
        self.model.requires_grad_(is_trained)

        def compute() -> None:
            with torch.set_grad_enabled(is_trained):
                made = self.call(count)
            if is_trained:
                made.square().mean().backward()

        return traced(self.model, compute)


NO_USE = Traced(0, 0)


@contextmanager
def modality_of(name: str, options: Any, folder: Path | None) -> Iterator[Modality]:
    """The parts of a modality, whose autoencoder may be known by its description alone.

    Args:
        name: of the modality.
        options: the plugin's own dataclass.
        folder: of its autoencoder; None: `options.vae` says which.

    Raises:
        LuminaError: the autoencoder is not here, and nothing describes it.
    """
    if folder is not None or not has_weights(options):
        yield make_modality(name, options, folder)
        return
    try:
        found = find_vae(name, options.vae, download=False)
    except LuminaError:
        yaml = host.vae_files(name).get(options.vae)
        config = None if yaml is None else described_config(yaml)
        if config is None:
            raise
        with tempfile.TemporaryDirectory() as described:
            text = json.dumps(config)
            (Path(described) / "config.json").write_text(text, encoding="utf-8")
            yield make_modality(name, options, Path(described))
        return
    yield make_modality(name, options, found)


def vae_part(modality: Modality, latent_shape: tuple[int, int, int, int] | None) -> Part:
    """The autoencoder of a modality, and what decoding one medium needs.

    Args:
        modality: whose.
        latent_shape: of the medium; None: its size is not known.

    Raises:
        LuminaError: config.json describes no autoencoder.
    """
    folder = modality.vae.folder
    if folder is None:
        return Part()
    autoencoder: Any = getattr(modality.vae, "autoencoder", None)
    is_known = isinstance(autoencoder, Autoencoder)
    if not is_known:
        num_bytes = stored_in(weights_in(folder, "diffusion_pytorch_model")).num_bytes
        note = "decoding is not counted: the plugin does not say by which autoencoder it decodes"
        return Part(num_bytes // FLOAT32_BYTES, num_bytes, note=note)
    model: nn.Module = autoencoder.without_weights()
    count = _num_parameters(model)
    if latent_shape is None:
        note = "decoding is not counted: tokens= gives a length and no size"
        return Part(count, FLOAT32_BYTES * count, note=note)

    def decode(count: int) -> None:
        made = autoencoder.decode(torch.zeros(latent_shape))
        for _ in () if isinstance(made, Tensor) else made:  # a clip comes in parts
            pass

    return Part(count, FLOAT32_BYTES * count, model, decode)


def text_part(folder: Path, reading: Reading) -> tuple[Part, int]:
    """The text encoder of a folder, and the width of its features.

    Raises:
        LuminaError: the folder holds no encoder that can be read this way.
    """
    config, _ = open_folder(folder, reading)
    width = width_of(config) * (1 + reading.adds_embedding)
    return _text_part(without_weights(folder, config, reading), reading), width


def frozen_text_part(encoder: FrozenTextEncoder) -> Part:
    """The text encoder of a checkpoint, which a run opens without transformers if it is tiny.

    Raises:
        LuminaError: as text_part.
    """
    opened = open_tiny(encoder.folder, encoder.reading)
    if opened is None:
        return text_part(encoder.folder, encoder.reading)[0]
    return _text_part(opened.read().to("meta"), encoder.reading)


def described_text(tower: TextTower) -> Part:
    """A text encoder that is not here."""
    num_bytes = tower.num_parameters * DTYPES[tower.dtype].itemsize
    note = "the text encoder is not here: its weights are counted, and not how it reads"
    return Part(tower.num_parameters, num_bytes, note=note)


def new_text_part(config: TextEncoderConfig) -> Part:
    """A text encoder that is trained from nothing, with NUM_WORDS in its vocabulary."""
    from transformers import LlamaModel

    with torch.device("meta"):
        model = LlamaModel(shape_of(config, NUM_WORDS))
    model.config.use_cache = False
    return _text_part(model, config.reading)


def _text_part(model: Any, reading: Reading) -> Part:
    all_layers = reading.hidden_state != -1

    def read(count: int) -> Tensor:
        ids = torch.zeros(count, reading.max_tokens, dtype=torch.long)
        valid = torch.ones_like(ids)
        made = model(input_ids=ids, attention_mask=valid, output_hidden_states=all_layers)
        return cast(Tensor, made.last_hidden_state)

    num_bytes = sum(weight.nbytes for weight in model.parameters())
    return Part(_num_parameters(model), num_bytes, model, read)


def _num_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())

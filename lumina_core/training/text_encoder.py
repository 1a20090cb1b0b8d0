"""Which text encoder a training run has: a new one, one in a folder, or that of a checkpoint."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumina_core.checkpoints.manifest import TEXT_ENCODER
from lumina_core.checkpoints.model import load_frozen_encoder
from lumina_core.checkpoints.source import Source, own_source
from lumina_core.data.mixture import Mixture
from lumina_core.data.source import CaptionedSample
from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.hub import local_folder
from lumina_core.records import plain, told
from lumina_core.runtime import seeded
from lumina_core.sampling.prompt_notes import shown_words, unknown_words_note
from lumina_core.terminal import announced, tell
from lumina_core.text.encoder import (
    MAX_COSINE,
    TextEncoder,
    TextReader,
    load_text_encoder,
    one_word_cosine,
)
from lumina_core.text.frozen import FrozenTextEncoder
from lumina_core.text.settings import TextEncoderConfig
from lumina_core.text.tiny import add_words, create_tiny
from lumina_core.training.adapter import base_of
from lumina_core.training.init_from import init_source
from lumina_core.training.loss import text_of
from lumina_core.training.resume import newest_checkpoint

if TYPE_CHECKING:
    from lumina_core.training.settings import TrainConfig


NUM_PROBE_CAPTIONS = 32  # for the check that words are told apart
SHAPE = {  # of a new encoder, and what transformers calls it
    "hidden_size": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
}


def text_encoder_of(
    config: "TrainConfig", mixture: Mixture, device: torch.device
) -> TextEncoder | FrozenTextEncoder:
    """The encoder of `text_encoder.path`; without one that of the checkpoint that the run goes on
    from or begins with; else a new one for the words of the data.

    Raises:
        LuminaError: it cannot be read, or has another shape than the configuration says.
    """
    settings = config.text_encoder
    newest = newest_checkpoint(config)
    if config.adapter.is_used and settings.path is None:  # as its model reads texts
        base = base_of(config, newest)
        base.verify()
        return load_frozen_encoder(base, device, dtype=torch.float32, download=config.download)
    if settings.path is not None and (newest is None or not settings.trainable):
        return encoder_in(settings, settings.path, device, download=config.download)
    if newest is not None:
        encoder = _from_checkpoint(own_source(newest), config, device)
        if settings.path is not None:
            given = encoder_in(settings, settings.path, device, download=config.download)
            _refuse_other_tokenizer(newest, encoder, given)
        return encoder
    if config.init_from is not None:
        source = init_source(config.init_from, list(config.members), download=config.download)
        encoder = _from_checkpoint(source, config, device)
        if isinstance(encoder, TextEncoder) and TEXT_ENCODER not in config.freeze:
            new = add_words(encoder, mixture.vocabulary_captions(seeded(config.seed)), config.seed)
            if new:
                tell(f"note: new to the text encoder, which learns them: {shown_words(new)}")
        return encoder
    captions = mixture.vocabulary_captions(seeded(config.seed))
    with tempfile.TemporaryDirectory() as folder:
        create_tiny(Path(folder), captions, settings, config.seed)
        return load_text_encoder(Path(folder), settings.reading).to(device)


def encode_captions_ahead(
    encoder: TextEncoder | FrozenTextEncoder, mixture: Mixture, held: Sequence[CaptionedSample]
) -> None:
    """Encode what a frozen encoder will be asked, where that is known, and give its weights up.

    A source that is renewed brings captions that nobody has counted: the weights stay for them.
    """
    lasting = mixture.lasting_captions
    if isinstance(encoder, FrozenTextEncoder) and lasting:
        captions = dict.fromkeys(["", *lasting, *(sample.caption for sample in held)])
        asked = (text_of(caption) for caption in captions)
        texts = [text for text in asked if not encoder.has_stored(text)]
        note = f"encoding {len(texts):,} texts before the first step"
        encoder.encode_ahead(announced(texts, "text features", note))


def word_notes(
    config: "TrainConfig", encoder: TextEncoder | FrozenTextEncoder, mixture: Mixture
) -> Iterator[str]:
    """What the user should know about the words of the data, one line each."""
    is_frozen = config.adapter.is_used or TEXT_ENCODER in config.freeze
    if config.text_encoder.path is None and (is_frozen or newest_checkpoint(config)):
        words = " ".join(
            mixture.vocabulary_captions(seeded(config.seed))
        )  # so that each is looked up once
        if unknown := encoder.unknown_words(words):
            yield f"{unknown_words_note(unknown)}; they all look alike to its text encoder"
    if isinstance(encoder, FrozenTextEncoder) and encoder.stored is not None:
        return  # `cache` has said it, and to ask anew would read the weights
    yield from likeness_notes(encoder, mixture.captions(NUM_PROBE_CAPTIONS, seeded(config.seed)))


def likeness_notes(
    encoder: TextEncoder | FrozenTextEncoder, captions: Sequence[str]
) -> Iterator[str]:
    """A warning where the features of different captions are nearly the same."""
    cosine = one_word_cosine(encoder, captions)
    if cosine > MAX_COSINE:
        advice = "Train the text encoder (text_encoder.trainable=true) or choose another one"
        if isinstance(encoder, TextEncoder):
            advice = (
                "The text encoder is trained too, which may part them; if samples ignore their "
                "captions, choose another one"
            )
        yield (
            f"warning: captions that differ in one word have text features with cosine "
            f"{cosine:.3f}; the backbone can hardly tell them apart. {advice}"
        )


def encoder_in(
    settings: TextEncoderConfig, named: str, device: torch.device, *, download: bool
) -> TextEncoder | FrozenTextEncoder:
    """The encoder in a folder, or of a hub id.

    Raises:
        LuminaError: it is not there, or cannot be read.
    """
    try:
        path = local_folder(named, download=download)
    except LuminaError as error:
        raise LuminaError(f"text_encoder.path: {error}") from error
    if settings.trainable:
        return load_text_encoder(path, settings.reading).to(device)
    return FrozenTextEncoder(
        path,
        settings.reading,
        device,
        cache=None if settings.cache is None else Path(settings.cache),
        hub_id=None if Path(named).is_dir() else named,
    )


def _from_checkpoint(
    source: Source, config: "TrainConfig", device: torch.device
) -> TextEncoder | FrozenTextEncoder:
    """Frozen, and read as it was, if it was frozen there; else it learns on."""
    source.verify()
    folder, about = source.path, source.manifest["text_encoder"]
    if "labels" in about:
        raise LuminaError(
            f"{folder} takes the numbers of classes; training goes on from models that read texts"
        )
    if about.keys() & {"hub_id", "sha256"}:  # only frozen ones have them
        frozen = load_frozen_encoder(source, device, dtype=torch.float32, download=config.download)
        _refuse_others(folder, config.text_encoder, told(frozen.reading))
        return frozen
    encoder = load_text_encoder(folder / TEXT_ENCODER, config.text_encoder.reading)
    if config.text_encoder.path is None:  # else its shape is that of the folder
        shape = {key: getattr(encoder.model.config, name, None) for key, name in SHAPE.items()}
        _refuse_others(folder, config.text_encoder, shape)
    return encoder.to(device)


def _refuse_other_tokenizer(folder: Path, stored: TextReader, given: TextReader) -> None:
    """Refuse words that would get the numbers of others: the weights come from the checkpoint."""
    vocabularies = [reader.tokenizer.get_vocab() for reader in (stored, given)]
    if vocabularies[0] != vocabularies[1]:
        raise LuminaError(
            f"{folder} was trained with another vocabulary than that of text_encoder.path; leave "
            "it out, for the text encoder comes from there"
        )


def _refuse_others(folder: Path, settings: TextEncoderConfig, stored: Mapping[str, Any]) -> None:
    """Refuse a setting that the encoder of a checkpoint does not follow; defaults mean nothing."""
    defaults = plain(TextEncoderConfig)
    for key, value in stored.items():
        wanted = getattr(settings, key)
        if wanted not in (value, defaults[key]):
            found, asked = (printable(str(each), MAX_REASON) for each in (value, wanted))
            raise LuminaError(
                f"{folder} was trained with text_encoder.{key}={found}, this run has {asked}; "
                "leave it out, for the text encoder comes from there"
            )

"""The folder of a text encoder: what transformers reads there, checked before it reads.

Nothing of it is run, nothing is built that its weights do not fill, and no tokenizer is loaded
whose steps have no bounds. encoder.py says how texts become features.

A folder of diffusers has the encoder in text_encoder/ and its tokenizer beside it in tokenizer/.
Whoever names the former means both.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lumina_core.errors import LuminaError, reason_of
from lumina_core.files.reading import open_regular, read_json
from lumina_core.files.weights import Stored, built_within, check_counts, stored_in, weights_in
from lumina_core.hub import FILES
from lumina_core.runtime import DTYPES, quiet
from lumina_core.text.tokenizer_limits import check_tokenizer, growth_of

if TYPE_CHECKING:
    from lumina_core.text.settings import Reading


MAX_VOCABULARY_BYTES = 1 << 26  # of a vocabulary or a file of settings; Gemma 3 has 33 million
VOCABULARIES = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt")
CONFIG = "config.json"
TEMPLATES = ("chat_template.jinja", "additional_chat_templates/*.jinja")
"""What transformers reads beside a tokenizer. Nobody renders it: jinja is code."""
UNUSED_WEIGHTS = ("pooler.",)  # they act after the last hidden state, so a folder may lack them
SAFELY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def tokenizer_folder(folder: Path) -> Path:
    """Where the tokenizer of the encoder in a folder is: beside it, as diffusers writes it, or in
    the same folder.
    """
    place = folder.absolute()
    beside = place.parent / "tokenizer"
    return beside if place.name == "text_encoder" and beside.is_dir() else folder


def encoder_files(folder: Path) -> list[Path]:
    """The files that an encoder consists of: weights, settings, vocabulary; no pickle, no code."""
    tokenizer = tokenizer_folder(folder)
    if tokenizer == folder:
        return _named(folder, FILES)
    weights = _named(folder, (CONFIG, "*.safetensors", "*.safetensors.index.json"))
    vocabulary = [
        path
        for path in _named(tokenizer, FILES)
        if path.name != CONFIG and ".safetensors" not in path.name
    ]
    return sorted([*weights, *vocabulary], key=lambda path: path.name)


def _named(folder: Path, patterns: Iterable[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(found)


def open_folder(folder: Path, reading: "Reading") -> tuple[Any, Any]:
    """Configuration and tokenizer of an encoder; of its weights the headers are read alone.

    Raises:
        LuminaError: the folder holds no readable encoder, or none that can be read this way.
    """
    from transformers import AutoConfig, AutoTokenizer
    from transformers.utils import logging

    if not (folder / CONFIG).is_file():
        raise LuminaError(f"no text encoder in {folder}: {CONFIG} is missing")
    place = tokenizer_folder(folder)
    _check_vocabulary(place)
    try:
        stored = _check_files(folder, place)
        with quiet(logging):
            config = AutoConfig.from_pretrained(folder, **SAFELY)
            tokenizer = AutoTokenizer.from_pretrained(place, **SAFELY)
        growth_of(tokenizer)  # also of one that is made from a vocabulary of sentencepiece
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # whatever is met there, panics of the Rust library among it
        raise _unreadable(folder, error) from error
    if stored.sizes and width_of(config) not in stored.sizes:
        raise LuminaError(
            f"the text encoder in {folder} has a width of {width_of(config)}, as its config.json "
            "says, and weights of other widths; copy it again"
        )
    _check_reading(folder, reading, config, tokenizer)
    return config, tokenizer


def _check_files(folder: Path, tokenizer: Path) -> Stored:
    """What weights the folder holds.

    Raises:
        ValueError, OSError: a file of it, or of the tokenizer, never ends, or is too large to be
            read.
    """
    patterns = (*FILES, *TEMPLATES)
    for path in sorted({x for f in (folder, tokenizer) for p in patterns for x in f.glob(p)}):
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
        if path.suffix != ".safetensors" and size > MAX_VOCABULARY_BYTES:
            raise ValueError(f"{path.name} has more than {MAX_VOCABULARY_BYTES} bytes")
    stored = stored_in(folder.glob("*.safetensors"))
    for path in (folder / CONFIG, tokenizer / "tokenizer_config.json"):
        if path.is_file():
            check_counts(read_json(path), stored)
    if (tokenizer / "tokenizer.json").is_file():
        check_tokenizer(read_json(tokenizer / "tokenizer.json", MAX_VOCABULARY_BYTES))
    return stored


def read_weights(folder: Path, config: Any, reading: "Reading") -> Any:
    """The transformers model of a folder, in the dtype of `reading`; of T5 the encoder half.

    Raises:
        LuminaError: weights are missing or damaged.
    """
    from transformers.utils import logging

    reader = _reader_of(config)
    words = {"use_safetensors": True, "dtype": DTYPES[reading.dtype], "output_loading_info": True}
    try:
        with quiet(logging), built_within(weights_in(folder, "model")):
            model, report = reader.from_pretrained(folder, **SAFELY, **words)
    except Exception as error:
        raise _unreadable(folder, error) from error
    missing = report["missing_keys"]
    needed = sorted(name for name in missing if not name.startswith(UNUSED_WEIGHTS))
    if needed:
        raise LuminaError(
            f"the text encoder in {folder} lacks {len(needed)} weights, such as {needed[0]}"
        )
    model.config.use_cache = False  # a text is read once, no key is needed again
    return model.eval()


def without_weights(folder: Path, config: Any, reading: "Reading") -> Any:
    """The transformers model of a folder on the meta device, in the dtype of `reading`: for plans.

    Raises:
        LuminaError: its config.json describes none.
    """
    from transformers.utils import logging

    try:
        with quiet(logging), torch.device("meta"), built_within(weights_in(folder, "model")):
            model = _reader_of(config).from_config(config)
    except Exception as error:  # whatever transformers meets there; all of it is the folder's
        raise _unreadable(folder, error) from error
    model.config.use_cache = False
    return model.to(DTYPES[reading.dtype]).eval().requires_grad_(False)


def _reader_of(config: Any) -> Any:
    """What reads an encoder with this configuration; of T5 and its like the encoder half."""
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING

    has_encoder = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    return AutoModelForTextEncoding if has_encoder else AutoModel


def width_of(config: Any) -> int:
    """Width of the features of an encoder with this configuration."""
    return int(config.get_text_config().hidden_size)


def _unreadable(folder: Path, error: BaseException) -> LuminaError:
    return LuminaError(f"the text encoder in {folder} cannot be read: {reason_of(error)}")


def _check_vocabulary(folder: Path) -> None:
    """Refuse a tokenizer that transformers would read wrongly, or not at all."""
    from transformers.utils import is_protobuf_available, is_sentencepiece_available

    if not _named(folder, VOCABULARIES):  # transformers would make an empty one
        raise LuminaError(
            f"no tokenizer in {folder}: tokenizer.json is missing; put it there, or in a folder "
            "tokenizer beside a folder text_encoder"
        )
    models = sorted(folder.glob("*.model"))
    if not models or (folder / "tokenizer.json").is_file():
        return
    if not (is_sentencepiece_available() and is_protobuf_available()):
        raise LuminaError(
            f"{models[0]} is a sentencepiece vocabulary, which needs another package; "
            "pip install 'lumina-core[sentencepiece]'"
        )
    if not (folder / "tokenizer_config.json").is_file():  # it says which marks a text gets
        raise LuminaError(
            f"the text encoder in {folder} cannot be read: tokenizer_config.json is missing"
        )


def _check_reading(folder: Path, reading: "Reading", config: Any, tokenizer: Any) -> None:
    """Refuse to read texts in a way that the encoder does not know."""
    longest = getattr(config.get_text_config(), "max_position_embeddings", reading.max_tokens)
    if reading.max_tokens > longest:
        raise LuminaError(
            f"text_encoder.max_tokens={reading.max_tokens} is more than the {longest} positions of "
            f"the encoder in {folder}; use at most {longest}"
        )
    num_bins = getattr(config.get_text_config(), "relative_attention_num_buckets", 4)
    reach = getattr(config.get_text_config(), "relative_attention_max_distance", num_bins)
    if not 1 <= num_bins // 4 < reach:  # T5 would take a wrong logarithm
        raise LuminaError(
            f"the text encoder in {folder} has relative_attention_num_buckets={num_bins} and "
            f"relative_attention_max_distance={reach}; the distance must exceed a quarter of the "
            "buckets, at least 4 of them; copy its config.json again"
        )
    depth = config.get_text_config().num_hidden_layers
    if reading.hidden_state < -depth - 1:
        raise LuminaError(
            f"text_encoder.hidden_state={reading.hidden_state} is beyond the {depth} layers of the "
            f"encoder in {folder}; use -1 to {-depth - 1}"
        )
    needed = {"padded": "pad", "add_eos": "eos"}
    for key, mark in needed.items():
        if getattr(reading, key) and getattr(tokenizer, f"{mark}_token_id") is None:
            raise LuminaError(
                f"text_encoder.{key}=true needs a {mark} token, which the tokenizer in {folder} "
                f"does not have; use text_encoder.{key}=false"
            )

"""A text encoder that is not trained: its features never change, so each text is encoded once.

Weights are read when a text is new, and can be given up at any time: an encoder of 7 billion
weights has no place beside a backbone that runs. Features stay in memory, and on disk where a
folder is given: `FOLDER/<encoder>/<text>.safetensors`, both names hashes. A file counts only if it
holds the hash of its own content; a damaged one is computed again.

What comes from a cache is what was computed, to the bit: each text is encoded alone, and with
another encoder, setting, device or library one looks elsewhere.
"""

import hashlib
import json
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import RLock

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lumina_core.errors import LuminaError
from lumina_core.files.hashes import known_sha256
from lumina_core.files.reading import open_regular
from lumina_core.files.writing import atomic_write
from lumina_core.hub import check_whole
from lumina_core.records import told
from lumina_core.runtime import release_memory
from lumina_core.text.encoder import Features, TextEncoder, TextReader, packed
from lumina_core.text.folder import encoder_files, open_folder, read_weights, width_of
from lumina_core.text.settings import Reading, Text
from lumina_core.text.tiny_reader import Opened, open_tiny

RESIDENT_BYTES = 64 << 20  # of weights; reading so few again costs more than keeping them
MEMORY_BYTES = 1 << 30  # of features; the texts used longest ago give way


class FrozenTextEncoder(TextReader):
    """Features of texts from an encoder in a folder. Threads may share it."""

    def __init__(
        self,
        folder: Path,
        reading: Reading,
        device: torch.device,
        *,
        cache: Path | None = None,
        hub_id: str | None = None,
    ) -> None:
        """Read configuration and tokenizer.

        Args:
            folder: of a transformers encoder.
            reading: how it reads texts.
            device: where it computes; features go there, too, unless `features_on` is set.
            cache: folder that keeps features where a call names none; None: memory only.
            hub_id: what the folder is a snapshot of; None: it is nothing but a folder.

        Raises:
            LuminaError: the folder holds no encoder that can be read this way.
        """
        self.folder = folder.absolute()  # it is read later, maybe from elsewhere
        self.reading = reading
        self.device = device
        self.features_on = device
        """Where the features of a call go."""
        self.hub_id = hub_id
        opened = open_tiny(folder, reading)
        if opened is None:
            config, tokenizer = open_folder(folder, reading)
            read = partial(read_weights, self.folder, config, reading)
            width = width_of(config) * (1 + reading.adds_embedding)
            opened = Opened(width, tokenizer, read)
        self.text_dim, self.tokenizer, self._read = opened
        self.cache = cache
        self.stored: Callable[[str], Tensor | None] | None = None
        """Gives the features of what it would read, where they were computed before."""
        self._encoder: TextEncoder | None = None
        self._features: OrderedDict[str, Tensor] = OrderedDict()
        self._num_bytes = 0  # of these
        self._lock = RLock()

    def __call__(self, texts: Sequence[Text], *, cache: Path | None = None) -> Features:
        """Features of several texts, in float32.

        Args:
            texts: any number of them.
            cache: folder that keeps the features of this call; None: the encoder's own, if any.

        Raises:
            LuminaError: the weights cannot be read, or the cache not written.
        """
        with self._lock:
            features = {
                text: self._features_of(text, cache).to(
                    self.features_on, torch.float32, non_blocking=self.features_on.type != "cpu"
                )
                for text in dict.fromkeys(texts)
            }
        return packed(texts, features, self.reading)

    encode = __call__

    def encode_ahead(self, texts: Iterable[Text], *, cache: Path | None = None) -> None:
        """Compute the features of texts that are about to be used, then give the weights up."""
        with self._lock:
            for text in dict.fromkeys(texts):
                self._features_of(text, cache)
            self.release()

    def features(self, text: Text) -> Tensor:
        """Features of one text, on the CPU and in the dtype of the encoder."""
        with self._lock:
            return self._features_of(text, None)

    def has_stored(self, text: Text) -> bool:
        """Whether the features of a text were computed before, by others."""
        return self.stored is not None and self.stored(self.reading.written_out(text)) is not None

    def release(self) -> None:
        """Give the weights up, unless they are few; they are read again when a text is new."""
        with self._lock:
            if self._encoder is None or _num_bytes(self._encoder) <= RESIDENT_BYTES:
                return
            self._encoder = None
        release_memory(self.device)

    def save(self, folder: Path) -> None:
        """Copy the encoder's files and those of its tokenizer, as they are, to one new folder.

        Raises:
            LuminaError: they are gone since they were read.
        """
        found = encoder_files(self.folder)
        check_whole("text encoder", self.folder, found)
        folder.mkdir()
        for path in found:
            shutil.copyfile(path, folder / path.name)

    @property
    def sha256(self) -> str:
        """Hash of the encoder: the names and the content of its files."""
        return folder_sha256(self.folder)

    @torch.no_grad()
    def _features_of(self, text: Text, cache: Path | None) -> Tensor:
        """From memory, from disk, or computed; on the CPU, in the dtype of the encoder."""
        whole = self.reading.written_out(text)
        if whole in self._features:
            self._features.move_to_end(whole)
            kept = self._features[whole]
            if cache is not None and not (cache / self._place(whole)).exists():
                write_features(cache / self._place(whole), kept)  # a call without it was first
            return kept
        folder = self.cache if cache is None else cache
        path = None if folder is None else folder / self._place(whole)
        features = None if path is None else read_features(path)
        if features is None and self.stored is not None:
            features = self.stored(whole)
        if features is None:
            with torch.autocast(self.device.type, enabled=False):  # kept features serve every run
                features = self._weights()([text])[0].cpu()
            if path is not None:
                write_features(path, features)
        self._features[whole] = features
        self._num_bytes += features.nbytes
        while self._num_bytes > MEMORY_BYTES:
            _, oldest = self._features.popitem(last=False)
            self._num_bytes -= oldest.nbytes
        return features

    def _weights(self) -> TextEncoder:
        if self._encoder is None:
            encoder = TextEncoder(self._read(), self.tokenizer, self.reading)
            self._encoder = encoder.to(self.device).requires_grad_(False)
        return self._encoder

    def _place(self, whole: str) -> Path:
        """Where a text, its template included, has its features below the cache."""
        versions = [torch.__version__, version("transformers"), self.device.type]
        about = json.dumps([self.sha256, told(self.reading), versions])
        return Path(_hash(about), f"{_hash(whole)}.safetensors")


def folder_sha256(folder: Path) -> str:
    """Hash of an encoder: the names and the content of its files."""
    return _hash(json.dumps([(path.name, known_sha256(path)) for path in encoder_files(folder)]))


def check_sha256(encoder: FrozenTextEncoder, expected: str) -> None:
    """Refuse an encoder that is not the one a checkpoint was trained with.

    Raises:
        LuminaError: its files differ.
    """
    if encoder.sha256 != expected:
        raise LuminaError(
            f"the checkpoint was trained with another {encoder.hub_id} than the one in "
            f"{encoder.folder} (its sha256 differs); put the files of its training there"
        )


def read_features(path: Path) -> Tensor | None:
    """Features of one text, or None where there are none, or damaged ones."""
    try:
        with open_regular(path), safe_open(path, framework="pt") as file:
            features, about = file.get_tensor("features"), file.metadata()
    except (OSError, SafetensorError):
        return None
    return features if about == _seal(features) else None


def write_features(path: Path, features: Tensor) -> None:
    """Keep features of one text, with their hash.

    Raises:
        LuminaError: as `atomic_write`.
    """
    with atomic_write(path) as file:
        file.write(save({"features": features.contiguous()}, metadata=_seal(features)))


def _seal(features: Tensor) -> dict[str, str]:
    data = features.contiguous().view(torch.uint8).numpy().tobytes()
    header = f"{features.dtype} {tuple(features.shape)}\n"
    return {"sha256": hashlib.sha256(header.encode() + data).hexdigest()}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _num_bytes(encoder: TextEncoder) -> int:
    return sum(weight.nbytes for weight in encoder.parameters())

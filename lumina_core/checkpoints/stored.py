"""Weights in files of others: names, shapes and types first, each tensor only when it is asked for.

Safetensors, whole or in parts with an index, and files of torch.save, opened as weights alone, so
that nothing of their pickle is executed. Files are mapped into memory and never copied as a whole.
What the tensors mean is the business of the families.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lumina_core.errors import MAX_NAME, LuminaError, printable, reason_of, unread
from lumina_core.files.reading import open_regular, read_json
from lumina_core.files.tensors import DTYPES

INDEX_SUFFIX = ".safetensors.index.json"
PICKLES = (".pth", ".pt", ".ckpt", ".bin")
MAX_INDEX_BYTES = 1 << 25  # of a list of tensors; that of a model of 7 billion weights has 50,000
OWN_MAP = 1 << 18  # elements of a tensor for which the file is opened anew
_WRAPPERS = ("state_dict", "model", "module")
"""Where trainers put weights inside what they save."""
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "net.", "module.")
"""What others put in front of every name."""
_OTHER_PARTS = (
    *("vae.", "first_stage_model.", "text_encoders.", "text_encoder.", "cond_stage_model."),
    *("conditioner.", "model_ema."),
)
"""What one file may hold beside the network: autoencoder, text encoders, averages."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class StoredTensor(NamedTuple):
    """One tensor of a file."""

    shape: tuple[int, ...]
    dtype: str
    """As safetensors calls it."""
    take: Callable[[slice], Tensor]
    """Rows of it; a view of the file where nothing has to be put together."""


@dataclass(frozen=True)
class Stored:
    """Tensors in files, by name."""

    path: Path
    """What was opened, for messages."""
    files: tuple[Path, ...]
    tensors: Mapping[str, StoredTensor]

    def read(self, name: str, rows: tuple[int, int] | None = None) -> Tensor:
        """A tensor, or some of its rows, in the type in which it is stored.

        Args:
            name: of the tensor.
            rows: first and last but one; None: all.

        Raises:
            LuminaError: the tensor is of a type that is not read, or the file is damaged.
        """
        stored = self.tensors[name]
        self.check_dtype(name)
        try:
            return stored.take(slice(*(rows or (0, stored.shape[0] if stored.shape else 1))))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise LuminaError(f"{self.path} cannot be read: {reason_of(error)}") from error

    def check_dtype(self, name: str) -> None:
        """Refuse a tensor that holds something else than plain floating point numbers.

        Raises:
            LuminaError: it does.
        """
        dtype = self.tensors[name].dtype
        if dtype not in DTYPES:
            raise LuminaError(
                f"{self.path}: {printable(name, MAX_NAME)} has type {printable(dtype, MAX_NAME)}, "
                f"and weights are read in {', '.join(DTYPES)}; use a file that is not quantised"
            )


def open_weights(path: Path) -> Stored:
    """The tensors of one file, or of the parts that an index lists, under their own names.

    Args:
        path: a safetensors file, an index of such files, or a file of torch.save.

    Raises:
        LuminaError: it cannot be read, is damaged, or its parts do not fit together.
    """
    if path.name.endswith(INDEX_SUFFIX):
        return _open_index(path)
    try:
        open_regular(path).close()  # or a pipe would be waited for
        found = _pickled(path) if path.suffix in ("", *PICKLES) else _in_safetensors(path)
    except (LuminaError, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever torch and safetensors meet in a file of others
        raise unread(path, error) from error
    return Stored(path, (path,), found)


def _in_safetensors(path: Path) -> dict[str, StoredTensor]:
    file = safe_open(path, framework="pt")
    found = {}
    for name in file.keys():  # noqa: SIM118, no mapping
        part = file.get_slice(name)
        shape = tuple(part.get_shape())
        is_large = prod(shape) >= OWN_MAP
        take = partial(_mapped_alone, path, name) if is_large else partial(_taken, file, name)
        found[name] = StoredTensor(shape, str(part.get_dtype()), take)
    return found


def _taken(file: Any, name: str, rows: slice) -> Tensor:
    part = file.get_slice(name)
    return part[rows] if part.get_shape() else file.get_tensor(name)


def _mapped_alone(path: Path, name: str, rows: slice) -> Tensor:
    """Through a map of its own, whose pages go with the tensor: else those of all would stay."""
    with safe_open(path, framework="pt") as file:
        return _taken(file, name, rows)


def _pickled(path: Path) -> dict[str, StoredTensor]:
    loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    for _ in _WRAPPERS:
        inside = [key for key in _WRAPPERS if isinstance(_item(loaded, key), Mapping)]
        if inside:
            loaded = loaded[inside[0]]
    if not isinstance(loaded, Mapping) or not loaded:
        raise LuminaError(f"{path} holds no weights by name; give a file of a network's weights")
    found = {}
    for name, value in loaded.items():
        if not (isinstance(name, str) and isinstance(value, Tensor)):
            raise LuminaError(
                f"{path} holds {printable(str(name), MAX_NAME)!r}, which is no tensor; give a file "
                "of a network's weights"
            )
        dtype = _NAMES.get(value.dtype, str(value.dtype).removeprefix("torch."))
        found[name] = StoredTensor(tuple(value.shape), dtype, _rows_of(value))
    return found


def _item(loaded: Any, key: str) -> Any:
    return loaded.get(key) if isinstance(loaded, Mapping) else None


def _rows_of(value: Tensor) -> Callable[[slice], Tensor]:
    return lambda rows: value.detach()[rows] if value.ndim else value.detach()


def _open_index(path: Path) -> Stored:
    """The parts that an index lists: each there, and with the tensors that the index says."""
    try:
        content = read_json(path, MAX_INDEX_BYTES)
    except (OSError, ValueError) as error:
        raise unread(path, error) from error
    listed = content.get("weight_map") if isinstance(content, dict) else None
    is_map = isinstance(listed, dict) and all(map(_is_file_name, listed.values()))
    if not listed or not is_map:
        raise LuminaError(f"{path} lists no files of weights in weight_map; copy it again")
    names = sorted(set(listed.values()))
    if absent := [name for name in names if not (path.parent / name).exists()]:
        raise LuminaError(
            f"{path} lists {printable(absent[0], MAX_NAME)}, which is not beside it; copy it again"
        )
    parts = {name: open_weights(path.parent / name) for name in names}
    for name, file in listed.items():
        if name not in parts[file].tensors:
            raise _does_not_match(path, name, file, "lacks")
    for file, part in parts.items():
        for name in part.tensors:
            if listed.get(name) != file:
                raise _does_not_match(path, name, file, "holds")
    tensors = {name: parts[file].tensors[name] for name, file in listed.items()}
    return Stored(path, tuple(path.parent / name for name in names), tensors)


def _is_file_name(name: Any) -> bool:
    """Whether an index names a safetensors file that stands beside it."""
    return isinstance(name, str) and Path(name).name == name and name.endswith(".safetensors")


def _does_not_match(path: Path, name: str, file: str, verb: str) -> LuminaError:
    return LuminaError(
        f"{path} does not match its files: {printable(file, MAX_NAME)} {verb} "
        f"{printable(name, MAX_NAME)}; copy the folder again"
    )


def without_prefix(stored: Stored) -> Stored:
    """The tensors of the network alone, without what others put in front of every name.

    A file may hold other parts of a pipeline beside the network. They are left out by name.

    Raises:
        LuminaError: two tensors would have one name.
    """
    rest = {
        name: tensor for name, tensor in stored.tensors.items() if not name.startswith(_OTHER_PARTS)
    }
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) for name in rest):
            kept: dict[str, StoredTensor] = {}
            for name, tensor in rest.items():
                short = name.removeprefix(prefix)
                if short in kept:
                    raise LuminaError(
                        f"{stored.path} holds {printable(short, MAX_NAME)} twice, with and without "
                        f"{prefix} in front; copy it again"
                    )
                kept[short] = tensor
            return Stored(stored.path, stored.files, kept)
    return Stored(stored.path, stored.files, rest)

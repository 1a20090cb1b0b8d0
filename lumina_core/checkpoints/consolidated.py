"""Files as the trainers of Lumina-T2X write them: one for each tensor-parallel part, and arguments.

`consolidated.00-of-02.safetensors` and its like are joined to one network, `consolidated_ema.*` is
the moving average. A network that normalises q and k was trained with a norm of each part; here one
norm spans all, as with the one part of every release.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lumina_core.checkpoints.stored import Stored, StoredTensor, open_weights
from lumina_core.errors import MAX_NAME, LuminaError, printable, reason_of
from lumina_core.files.reading import open_regular
from lumina_core.files.tensors import DTYPES

MAX_ARGUMENT_BYTES = 1 << 20  # of the arguments of a training; released ones have 2000
_NAME = re.compile(r"(consolidated(?:_ema)?)\.(\d\d)-of-(\d\d)\.(safetensors|pth)")
_PREFERRED = ("consolidated_ema", "consolidated")  # as the released demos choose


def consolidated_files(path: Path) -> list[Path]:
    """The files of all parts that a folder or one of them means; none where it is neither.

    Of a folder the moving average is taken, where there is one; a file chooses itself.

    Raises:
        LuminaError: a part is missing.
    """
    folder = path if path.is_dir() else path.parent
    found = {each.name: match for each in folder.iterdir() if (match := _NAME.fullmatch(each.name))}
    if path != folder:
        groups = [found[path.name].groups()] if path.name in found else []
    else:
        by_preference = [
            match.groups()
            for name in _PREFERRED
            for suffix in ("safetensors", "pth")
            for _, match in sorted(found.items())
            if (match[1], match[4]) == (name, suffix)
        ]
        groups = by_preference[:1]
    if not groups:
        return []
    name, _, total, suffix = groups[0]
    wanted = [f"{name}.{number:02d}-of-{total}.{suffix}" for number in range(int(total))]
    if absent := [each for each in wanted if each not in found]:
        raise LuminaError(
            f"{folder / absent[0]} is missing: the weights have {total} parts; copy it"
        )
    return [folder / each for each in wanted]


def read_arguments(path: Path) -> dict[str, str | int | float | bool]:
    """The plain values in `model_args.pth`, which says how a release was trained; executes nothing.

    torch rebuilds an empty Namespace and fills its dictionary. Values of any other kind are left
    out.

    Raises:
        LuminaError: the file is no such list of arguments.
    """
    try:
        with open_regular(path) as file, torch.serialization.safe_globals([argparse.Namespace]):
            if file.seek(0, 2) > MAX_ARGUMENT_BYTES:
                raise ValueError(f"it has more than {MAX_ARGUMENT_BYTES} bytes")
            file.seek(0)
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch meets there
        raise LuminaError(f"{path} cannot be read: {reason_of(error)}; copy it again") from error
    if not isinstance(found, argparse.Namespace):
        raise LuminaError(f"{path} holds no arguments of a training; copy it again")
    kept = vars(found).items()
    return {str(key): value for key, value in kept if isinstance(value, str | int | float | bool)}


_BY_ROWS = re.compile(
    r"(^|\.)((wq|wk|wv|wk_y|wv_y|w1|w3|x_embedder|linear|adaLN_modulation\.1|cap_embedder\.1"
    r"|t_embedder\.mlp\.0|q_norm|k_norm|ky_norm)\.(weight|bias)|gate)$"
)
_BY_COLUMNS = re.compile(r"(^|\.)((wo|w2|t_embedder\.mlp\.2)|embedding_table)\.weight$")


def open_parts(paths: Sequence[Path]) -> Stored:
    """Tensor-parallel parts as one: joined by rows or columns; what each part has must be equal.

    Args:
        paths: the files in their order.

    Raises:
        LuminaError: a part lacks a tensor, holds another shape, or differs in what all have.
    """
    parts = [open_weights(path) for path in paths]
    first = parts[0]
    for part in parts[1:]:
        for name in sorted(first.tensors.keys() ^ part.tensors.keys()):
            raise LuminaError(
                f"{first.path.name} and {part.path.name} in {first.path.parent} do not belong "
                f"together: one of them lacks {printable(name, MAX_NAME)}; copy both again"
            )
    if len(parts) == 1:
        return first
    tensors = {name: _joined(name, parts) for name in first.tensors}
    return Stored(first.path, tuple(paths), tensors)


def _joined(name: str, parts: Sequence[Stored]) -> StoredTensor:
    found = [part.tensors[name] for part in parts]
    shape, dtype = found[0].shape, found[0].dtype
    axis = 0 if _BY_ROWS.search(name) else 1 if _BY_COLUMNS.search(name) else None
    is_alike = all((each.shape, each.dtype) == (shape, dtype) for each in found)
    if not is_alike or (axis is not None and len(shape) <= axis):
        raise _unlike(name, parts, "shapes or types")
    if axis is None:
        if dtype in DTYPES:
            own = parts[0].read(name)
            if not all(torch.equal(own, part.read(name)) for part in parts[1:]):
                raise _unlike(name, parts, "values")
        return found[0]

    def take(rows: slice) -> Tensor:
        return torch.cat([part.read(name) for part in parts], dim=axis)[rows]

    sizes = (size * len(parts) if at == axis else size for at, size in enumerate(shape))
    return StoredTensor(tuple(sizes), dtype, take)


def _unlike(name: str, parts: Sequence[Stored], what: str) -> LuminaError:
    return LuminaError(
        f"{parts[0].path} and the parts beside it hold {printable(name, MAX_NAME)} in {what} that "
        "do not fit each other; copy them again"
    )

"""Which adapters a request names, FILE or FILE:STRENGTH each, and whether they are given again.

Imports no torch before a file has to be looked at.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core.checkpoints.formats import MAX_NAME
from lumina_core.errors import LuminaError, printable

ADAPTERS = "adapters"
"""The key, and the entry of a request."""
TRAINED_STRENGTH = 1.0


class NamedAdapter(NamedTuple):
    """What a user writes for one adapter."""

    path: Path
    strength: float | None
    """None: nothing is written."""

    @property
    def text(self) -> str:
        """As one writes it, from whatever folder."""
        path = str(self.path.absolute())
        return path if self.strength is None else f"{path}:{self.strength!r}"

    @property
    def weighted(self) -> tuple[Path, float]:
        """Its file and its strength."""
        return self.path, TRAINED_STRENGTH if self.strength is None else self.strength


def named_adapters(texts: Sequence[str]) -> list[NamedAdapter]:
    """Files and strengths.

    Args:
        texts: FILE or FILE:STRENGTH each; what follows the last colon is a strength if it is a
            number.

    Raises:
        LuminaError: a strength is not finite, or a file is missing.
    """
    found = []
    for text in texts:
        path, _, end = text.rpartition(":")
        try:
            strength = float(end) if path else None
        except ValueError:
            strength = None
        if strength is not None and not isfinite(strength):
            raise LuminaError(f"{ADAPTERS}={text} has strength {end}; write a finite number")
        name = text if strength is None else path
        if not name.strip():
            raise LuminaError(f"{ADAPTERS} has an empty name; write FILE or FILE:STRENGTH")
        found.append(NamedAdapter(Path(name).expanduser(), strength))
    return found


def are_told(adapters: Any) -> bool:
    """Whether an entry of a request is what `run` writes of adapters."""
    wanted = {"name": str, "strength": float, "sha256": str}
    return isinstance(adapters, list) and all(
        isinstance(each, dict)
        and each.keys() == wanted.keys()
        and all(type(each[name]) is kind for name, kind in wanted.items())
        for each in adapters
    )


def given_again(texts: Sequence[str], told: Sequence[Mapping[str, Any]]) -> list[str]:
    """The adapters of a repeated file, which a user gives again.

    Args:
        texts: as the user writes them; where no strength is written it is the one of the file.
        told: by the repeated file.

    Returns:
        Them, each with its strength.

    Raises:
        LuminaError: they are not given, or others.
    """
    from lumina_core.checkpoints.adapter_files import adapter_sha256

    again = ",".join(f"{printable(each['name'], MAX_NAME)}:{each['strength']:g}" for each in told)
    if not texts:
        raise LuminaError(
            f"the repeated file was made with adapters; give them again: {ADAPTERS}=[{again}]"
        )
    given = named_adapters(texts)
    hashes = [adapter_sha256(each.path) for each in given]
    if hashes != [each["sha256"] for each in told]:
        raise LuminaError(
            f"{ADAPTERS}=[{','.join(texts)}] are not those that the repeated file was made with; "
            f"give the same files in the same order, {again}, or the prompt and settings instead "
            "of repeat=FILE"
        )
    return [
        each.text if each.strength is not None else f"{each.path.absolute()}:{before['strength']!r}"
        for each, before in zip(given, told, strict=True)
    ]

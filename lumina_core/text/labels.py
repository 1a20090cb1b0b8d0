"""Classes in place of texts: what a class-conditional model takes for a prompt.

It stands where others have a text encoder, and its feature of a prompt is the number of a class.
Names of classes come from `conf/labels/NAME.txt` of a package, one class per line, its names after
each other with commas between.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch

from lumina_core.errors import MAX_REASON, LuminaError, nearest, printable
from lumina_core.files.reading import read_regular
from lumina_core.text.encoder import Features
from lumina_core.text.settings import Negative, Text

MAX_LABELS_BYTES = 1 << 20  # 30 times the names of ImageNet


class LabelEncoder:
    """The number of a class for its name or number; an empty text is no class."""

    text_dim = 1
    max_tokens = 1

    def __init__(self, num_classes: int, names: Path | None = None) -> None:
        """Keep where the names are.

        Args:
            num_classes: that the model tells apart.
            names: file of their names; None: numbers alone.
        """
        self.num_classes = num_classes
        self.names = names

    @property
    def labels(self) -> str:
        """How the set of names is called; empty without names."""
        return "" if self.names is None else self.names.stem

    def encode(self, texts: Sequence[Text]) -> Features:
        """The numbers of classes, one for each text.

        Raises:
            LuminaError: a text names no class, or more than one.
        """
        numbers = [[float(self.number(text))] for text in texts]
        return torch.tensor(numbers), (1,) * len(texts)

    def number(self, text: Text) -> int:
        """The number of the class that a text names; num_classes for an empty one.

        Raises:
            LuminaError: it names no class, or more than one.
        """
        text = text.text if isinstance(text, Negative) else text
        name = " ".join(text.lower().split())
        if not name:
            return self.num_classes
        if name.isdecimal() and int(name) < self.num_classes:
            return int(name)
        numbers = self._numbers.get(name, [])
        if len(numbers) == 1:
            return numbers[0]
        shown = printable(text, MAX_REASON)
        if numbers:
            raise LuminaError(
                f"{shown!r} names the classes {' and '.join(map(str, numbers))}; write the number"
            )
        names = " or a name such as 'golden retriever'" if self._numbers else ""
        raise LuminaError(
            f"{shown!r} is no class of this model; write a number from 0 to {self.num_classes - 1}"
            f"{names}.{nearest(name, list(self._numbers))}"
        )

    def unknown_words(self, text: Text) -> list[str]:
        """None: a class is known, or refused."""
        return []

    def num_cut_tokens(self, text: Text) -> int:
        """None: a class is no text."""
        return 0

    @cached_property
    def _numbers(self) -> dict[str, list[int]]:
        """The classes of each name."""
        found: dict[str, list[int]] = {}
        known = [] if self.names is None else read_labels(self.names)
        for number, names in enumerate(known[: self.num_classes]):
            for name in names:
                found.setdefault(name.lower(), []).append(number)
        return found


def read_labels(path: Path) -> list[list[str]]:
    """The names of each class.

    Raises:
        LuminaError: the file cannot be read.
    """
    try:
        text = read_regular(path, MAX_LABELS_BYTES).decode()
    except (OSError, ValueError) as error:
        raise LuminaError(f"{path} cannot be read: {error}; reinstall its package") from error
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [[name.strip() for name in line.split(",")] for line in lines]

"""For plugins: what the caption grammar of a synthetic world needs."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch

Option = TypeVar("Option")


def pick(options: Sequence[Option], generator: torch.Generator) -> Option:
    """One of the options, each as likely as the others."""
    return options[int(torch.randint(len(options), (), generator=generator))]


def pick_two(options: Sequence[Option], generator: torch.Generator) -> tuple[Option, Option]:
    """Two different ones, in random order."""
    first, second = torch.randperm(len(options), generator=generator)[:2].tolist()
    return options[first], options[second]


def chance(probability: float, generator: torch.Generator) -> bool:
    """True with that probability."""
    return bool(torch.rand((), generator=generator) < probability)


def join(*words: str | None) -> str:
    """The words that are there, one space between them."""
    return " ".join(word for word in words if word)


def with_article(words: str) -> str:
    """The words behind "a" or "an"."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def one_of(words: Iterable[str], name: str | None = None) -> str:
    """A regular expression that takes any of the words, as a group of that name or of none."""
    return f"({f'?P<{name}>' if name else '?:'}{'|'.join(words)})"

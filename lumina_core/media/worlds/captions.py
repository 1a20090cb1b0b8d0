"""For plugins: what the caption grammar of a synthetic world needs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import torch

from lumina_core.errors import LuminaError

Option = TypeVar("Option")


NUMBERS = ("one", "two", "three", "four")


def pick(options: Sequence[Option], generator: torch.Generator | None) -> Option:
    """One of the options, each as likely as the others; without a generator the first."""
    if generator is None:
        return options[0]
    return options[int(torch.randint(len(options), (), generator=generator))]


def pick_two(options: Sequence[Option], generator: torch.Generator) -> tuple[Option, Option]:
    """Two different ones, in random order."""
    first, second = torch.randperm(len(options), generator=generator)[:2].tolist()
    return options[first], options[second]


def pick_weighted(weights: Mapping[str, float], generator: torch.Generator) -> str:
    """One of the names, as often as its weight says."""
    names = list(weights)
    found = torch.multinomial(torch.tensor(list(weights.values())), 1, generator=generator)
    return names[int(found)]


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


def by_wording(wordings: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The names of several wordings each, by their wordings."""
    return {words: name for name, several in wordings.items() for words in several}


def plain_words(caption: str) -> str:
    """A caption in lower case, one space between words, without commas and final full stop."""
    return " ".join(caption.lower().replace(",", " ").split()).removesuffix(".").rstrip()


def check_split(world_name: str, split: str, splits: Collection[str]) -> None:
    """Refuse a set of captions that a world does not have.

    Args:
        world_name: as in "the image world".
        split: the name of the set.
        splits: names of the sets there are.

    Raises:
        LuminaError: it is none of them.
    """
    if split not in splits:
        raise LuminaError(
            f"The {world_name} world has no split {split!r}; choose one of {', '.join(splits)}."
        )

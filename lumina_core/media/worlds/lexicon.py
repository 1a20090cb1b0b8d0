"""For plugins: what a text means to a synthetic world, and which of its captions is nearest to it.

It knows no world. A world lists the words that mean something, those that people use for the same
included, and names captions that may be meant; the one that says most of what the text says, in its
order, and least beside it is the nearest.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations, groupby, pairwise

from lumina_core.media.worlds.captions import NUMBERS

MAX_LENGTH = 500  # characters of a text that are looked at
MIN_SPELT = 4  # characters of a word that may be misspelt
MIN_ALIKE = 0.81  # of a misspelt word to the one that is meant, as difflib measures it
WELL_SPELT = ("then", "there", "this", "that", "these", "they", "with", "from")
"""Words that are never taken for others, such as then for ten."""
SHARED, BESIDE, ADJACENT, IN_ORDER = 2.0, -1.0, 0.5, 0.1
"""What a caption gains by each meaning that the text has, by one that it has not, by two that stand
side by side as in the text (which colour is whose), and by two in the order of the text."""

Meaning = tuple[str, str]
"""A kind, as "colour", and a value, as "red"."""


def meant_by(
    kind: str, values: Iterable[str] = (), others: Mapping[str, str] | None = None
) -> dict[str, Meaning]:
    """Words and what they mean.

    Args:
        kind: of all these meanings.
        values: words that mean themselves.
        others: further words, and the value that each means.
    """
    values_by_words = {value: value for value in values} | dict(others or {})
    return {words: (kind, value) for words, value in values_by_words.items()}


_NUMBERS_TOO = {
    "1": "one",
    "2": "two",
    "3": "three",
    "4": "four",
    "pair": "two",
    "couple": "two",
} | {words: "four" for words in ("five", "six", "seven", "eight", "nine", "ten", "many", "several")}
NUMBER_MEANINGS = meant_by("number", NUMBERS, _NUMBERS_TOO)
"""From one to four, which is also what more than four mean."""


def spoken(text: str) -> str:
    """A text as the encoder `tiny` reads it: lower case, no punctuation, one space between words.

    Args:
        text: any; its first MAX_LENGTH characters are looked at.
    """
    letters = unicodedata.normalize("NFC", text[:MAX_LENGTH]).lower()
    words = "".join(" " if _is_punctuation(letter) else letter for letter in letters)
    return " ".join(words.split())


def _is_punctuation(letter: str) -> bool:
    return letter in "$+<=>^`|~" or unicodedata.category(letter).startswith("P")


def corrected(word: str, known: Iterable[str]) -> str:
    """The known word of nearly the same letters, the first of them the same, or the word."""
    if len(word) < MIN_SPELT or word in WELL_SPELT:
        return word
    alike = [each for each in known if each[0] == word[0]]
    return next(iter(get_close_matches(word, alike, 1, MIN_ALIKE)), word)


class Lexicon:
    """The words of a world that mean something."""

    def __init__(self, phrases: Mapping[str, Meaning]) -> None:
        """Make a lexicon.

        Args:
            phrases: words as `spoken` gives them, one or more, and what they mean.
        """
        self._phrases = dict(phrases)
        longest_first = sorted(map(re.escape, phrases), key=len, reverse=True)
        self._pattern = re.compile(rf"\b(?:{'|'.join(longest_first)})\b")
        self._words = tuple(words for words in phrases if " " not in words)

    def meanings(self, text: str) -> tuple[Meaning, ...]:
        """What the words of a spoken text mean, in order; of phrases that overlap the longest."""
        return tuple(self._phrases[words] for words in self._pattern.findall(text))

    def understood(self, text: str) -> tuple[Meaning, ...]:
        """The same for a text of a person: words may be misspelt, or say a thing twice in a row."""
        words = " ".join(corrected(word, self._words) for word in spoken(text).split())
        return tuple(meaning for meaning, _ in groupby(self.meanings(words)))

    def ranked(self, meant: Sequence[Meaning], captions: Iterable[str]) -> list[str]:
        """Captions by how near they are to what is meant, the nearest first.

        Args:
            meant: as `understood` gives it.
            captions: those that may be meant, in lower case.
        """
        likeness = _Likeness(meant)
        return sorted(
            dict.fromkeys(captions),
            key=lambda caption: likeness.to(self.meanings(caption)),
            reverse=True,
        )


class _Likeness:
    """How near sequences of meanings are to one of them."""

    def __init__(self, meant: Sequence[Meaning]) -> None:
        self._values = Counter(meant)
        self._pairs = set(pairwise(meant))
        self._orders = set(combinations(meant, 2))

    def to(self, said: Sequence[Meaning]) -> float:
        shared = (Counter(said) & self._values).total()
        return (
            SHARED * shared
            + BESIDE * (len(said) - shared)
            + ADJACENT * len(self._pairs & set(pairwise(said)))
            + IN_ORDER * len(self._orders & set(combinations(said, 2)))
        )


def values_of(
    meanings: Iterable[Meaning], kind: str, limit: int, spare: Sequence[str] = ()
) -> tuple[str, ...]:
    """The first different values of a kind that are meant, in their order.

    Args:
        meanings: of a text.
        kind: of the values.
        limit: how many at most.
        spare: values of which the first that is not meant is added where there are fewer.
    """
    named = tuple(dict.fromkeys(value for found, value in meanings if found == kind))
    return (named + tuple(value for value in spare if value not in named)[:1])[:limit]

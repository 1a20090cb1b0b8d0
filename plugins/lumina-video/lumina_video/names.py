"""A thing of the video world as words, and back: an article, a size, a colour and a shape."""

import re
from collections.abc import Iterator

import torch

from lumina_core.media.worlds.captions import by_wording, chance, join, one_of, pick, with_article
from lumina_core.media.worlds.words import (
    COLOUR_OF,
    COLOUR_WORDS,
    PLURAL_WORDS,
    SHAPE_OF,
    SHAPE_OF_PLURAL,
    SHAPE_WORDS,
)
from lumina_video.motions import RARE

SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
_SIZES_TOO = {"mini": "small", "miniature": "small", "giant": "large", "enormous": "large"}
SIZE_OF = by_wording(SIZES) | _SIZES_TOO
_ARTICLES = ("a", "a", "a", "the", "")
_RARE_ARTICLES = ("one", "a single", "1", "this")
_SIZE, _COLOUR = one_of(SIZE_OF), one_of(COLOUR_OF)
_TAILS = {
    "colour": ("that is {}", "which is {}", "in {}", "coloured {}", "colored {}", "{}"),
    "size": ("that is {}", "which is {}"),
}
ARTICLE = r"(?:(?:an?|the|one|1|this|that|my|some|single|a single|one single) )?"
_NAMED = (
    rf"{ARTICLE}(?P<before>(?:{_SIZE} )?(?:{_COLOUR} (?:coloured |colored )?)?(?:{_SIZE} )?)"
    + one_of(SHAPE_OF, "shape")
    + rf"(?: (?:(?:that is|which is|that s|in|of|coloured|colored) )?"
    rf"(?P<behind>{_COLOUR}|{_SIZE}(?: (?:and )?{_COLOUR})?))?"
)
THING = re.sub(r"\?P<\w+>", "?:", _NAMED)
BARE = THING.removeprefix(ARTICLE)
PAIR = (
    r"(?:(?:the |these )?(?:two|2)|a pair of|a couple of) "
    rf"(?:{_SIZE} )?(?:{_COLOUR} )?{one_of(SHAPE_OF_PLURAL)}(?: in {_COLOUR})?"
    rf"|(?:{_SIZE} )?(?:{_COLOUR} )?{one_of(SHAPE_OF_PLURAL)} (?:two|2)(?: of them)?"
)
"""Regular expressions: of a thing, of one without its article, of two that no word tells apart."""


def named(
    size: str | None, colour: str | None, shape: str, generator: torch.Generator | None
) -> str:
    """A thing as people name it; without a generator in the plainest words."""
    is_rare = generator is not None and chance(RARE * RARE, generator)
    told = {
        "size": pick(SIZES[size], generator) if size else None,
        "colour": coloured(colour, generator) if colour else None,
    }
    behind = None
    kinds = [kind for kind, words in told.items() if words]
    if is_rare and kinds:
        kind = pick(kinds, generator)
        behind, told[kind] = pick(_TAILS[kind], generator).format(told[kind]), None
    words = join(told["size"], told["colour"], pick(SHAPE_WORDS[shape], generator), behind)
    article = pick(_RARE_ARTICLES if is_rare and chance(0.5, generator) else _ARTICLES, generator)
    return with_article(words) if article == "a" else join(article, words)


def pair_named(
    size: str | None, colour: str | None, shape: str, generator: torch.Generator | None
) -> str:
    """Two things that no word tells apart."""
    words = (
        pick(SIZES[size], generator) if size else None,
        coloured(colour, generator) if colour else None,
        pick(PLURAL_WORDS[shape], generator),
    )
    return join("two", *words)


def coloured(colour: str, generator: torch.Generator | None) -> str:
    """A colour as people spell it."""
    return pick(COLOUR_WORDS[colour], generator)


def read_thing(words: str) -> tuple[str | None, str | None, str] | None:
    """The size, colour and shape that `named` put into words; None where they say one twice."""
    match = re.fullmatch(_NAMED, words)
    if match is None:
        raise ValueError(f"{words!r} names no thing")
    told = join(match["before"], match["behind"]).split()
    sizes = [SIZE_OF[word] for word in told if word in SIZE_OF]
    colours = [COLOUR_OF[word] for word in told if word in COLOUR_OF]
    if len(sizes) > 1 or len(colours) > 1:
        return None
    return next(iter(sizes), None), next(iter(colours), None), SHAPE_OF[match["shape"]]


def read_pair(words: str) -> tuple[str | None, str | None, str] | None:
    """The size, colour and shape that `pair_named` put into words; None where one stands twice."""
    told = words.split()
    sizes = [SIZE_OF[word] for word in told if word in SIZE_OF]
    colours = [COLOUR_OF[word] for word in told if word in COLOUR_OF]
    if len(colours) > 1:
        return None
    return next(iter(sizes), None), next(iter(colours), None), _plural_in(words)


def _plural_in(words: str) -> str:
    return next(shape for plural, shape in SHAPE_OF_PLURAL.items() if f" {plural} " in f" {words} ")


def written() -> Iterator[str]:
    """All texts of which captions of training take the words for things."""
    yield from (*_ARTICLES, "an", *_RARE_ARTICLES, "two")
    for names in (SIZES, COLOUR_WORDS, SHAPE_WORDS, PLURAL_WORDS, _TAILS):
        for words in names.values():
            yield from words

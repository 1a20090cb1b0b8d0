"""For plugins: sentences with slots, which a synthetic world both writes and reads.

One list of sentences serves both directions, so that every caption that a world draws is read back,
and a wording is added in one place.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from lumina_core.media.worlds.captions import pick
from lumina_core.media.worlds.lexicon import spoken

_SLOT = re.compile(r"\{(\w+)\}")
_PART = re.compile(r"\(([^()]*)\)\?|\(([^()]*\|[^()]*)\)")
_LITERAL = re.compile("[a-z0-9 -]+")


@dataclass(frozen=True)
class Reading:
    """One way to read a text."""

    name: str
    """Of the sentence, a key of `trained` or `unseen`."""
    texts: Mapping[str, str]
    """What stands in each of its slots, but for those that are left out."""


@dataclass(frozen=True)
class Wordings:
    """Sentences by what they mean.

    A sentence is plain text in lower case without punctuation. `{slot}` stands for words that the
    world writes and reads itself, `(words)?` for words that may be left out, `(one|other)` for a
    choice: "there (is|are) {things}( in the picture)?". Neither nests.
    """

    slots: Mapping[str, str]
    """For each slot a regular expression that takes its words; without groups that have a name."""
    trained: Mapping[str, Sequence[str]]
    """The sentences of each meaning. The plainest stands first."""
    unseen: Mapping[str, Sequence[str]]
    """Those that stand in no training caption. They are read all the same."""

    def worded(
        self,
        name: str,
        texts: Mapping[str, str],
        generator: torch.Generator | None,
        unseen: bool = False,
    ) -> str:
        """A sentence of a meaning.

        Args:
            name: a key of `trained` or `unseen`.
            texts: what stands in its slots.
            generator: chooses; None takes the first sentence and the first of each choice, and
                leaves out what may be left out.
            unseen: take a sentence of `unseen`.
        """
        sentence = pick((self.unseen if unseen else self.trained)[name], generator)
        plain = _PART.sub(lambda part: _chosen(part, generator), sentence)
        return " ".join(_SLOT.sub(lambda slot: texts[slot[1]], plain).split())

    def written(self) -> Iterator[str]:
        """The sentences of training, with their slots and marks; for `words_in`."""
        for several in self.trained.values():
            yield from several

    def readings(self, text: str) -> Iterator[Reading]:
        """Every sentence that a text may be, in the order in which they stand.

        Args:
            text: as `lumina_core.media.worlds.lexicon.spoken` gives it.
        """
        is_filled: dict[str, bool] = {}  # whether words for a slot stand in the text

        def has_words_for(slot: str) -> bool:
            if slot not in is_filled:
                is_filled[slot] = self._pattern(slot).search(text) is not None
            return is_filled[slot]

        for sentence in self._sentences:
            if (
                all(any(words in text for words in needed) for needed in sentence.needed)
                and all(map(has_words_for, sentence.slots))
                and (match := self._pattern(sentence.whole).fullmatch(text))
            ):
                said = match.groupdict().items()
                texts = {slot: words for slot, words in said if words is not None}
                yield Reading(sentence.name, texts)

    @cached_property
    def _sentences(self) -> tuple["_Sentence", ...]:
        return tuple(
            _sentence(name, sentence, self.slots)
            for sentences in (self.trained, self.unseen)
            for name, several in sentences.items()
            for sentence in several
        )

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {}

    def _pattern(self, expression: str) -> re.Pattern[str]:
        """Made when a text may need it: those of all sentences of a world take seconds."""
        if expression not in self._patterns:
            self._patterns[expression] = re.compile(expression)
        return self._patterns[expression]


@dataclass(frozen=True)
class _Sentence:
    """How a sentence is read."""

    name: str
    whole: str
    """Its regular expression."""
    slots: tuple[str, ...]
    """The regular expressions of its slots; each finds something in what it may be."""
    needed: tuple[tuple[str, ...], ...]
    """Of each of these, one stands in what it may be."""


def _sentence(name: str, sentence: str, slots: Mapping[str, str]) -> _Sentence:
    text = _PART.sub(_expression, sentence)
    choices = [part[2].split("|") for part in _PART.finditer(sentence) if part[2] is not None]
    words = [[word] for word in _SLOT.sub(" ", _PART.sub(" ", sentence)).split()]
    return _Sentence(
        name,
        _SLOT.sub(lambda slot: f"(?P<{slot[1]}>{slots[slot[1]]})", text),
        tuple(dict.fromkeys(slots[slot] for slot in _SLOT.findall(_PART.sub(" ", sentence)))),
        tuple(
            tuple(several)
            for several in (*words, *choices)
            if all(map(_LITERAL.fullmatch, several))
        ),
    )


def words_in(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts and of sentences with slots, as the encoder `tiny` reads them."""
    return frozenset(word for text in texts for word in spoken(_SLOT.sub(" ", text)).split())


def _chosen(part: re.Match[str], generator: torch.Generator | None) -> str:
    if part[1] is not None:
        return pick(("", part[1]), generator)
    return pick(part[2].split("|"), generator)


def _expression(part: re.Match[str]) -> str:
    return f"(?:{part[1]})?" if part[1] is not None else f"(?:{part[2]})"

"""For plugins: sentences with slots, which a synthetic world both writes and reads.

One list of sentences serves both directions, so that every caption that a world draws is read back,
and a wording is added in one place.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from lumina_core.media.worlds.captions import pick

_SLOT = re.compile(r"\{(\w+)\}")
_PART = re.compile(r"\(([^()]*)\)\?|\(([^()]*\|[^()]*)\)")


@dataclass(frozen=True)
class Reading:
    """One way to read a text."""

    name: str
    """Of the sentence, a key of `trained` or `unseen`."""
    texts: Mapping[str, str]
    """What stands in each of its slots."""


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

    def readings(self, text: str) -> Iterator[Reading]:
        """Every sentence that a text may be, in the order in which they stand.

        Args:
            text: as `lumina_core.media.worlds.lexicon.spoken` gives it.
        """
        for sentences in (self.trained, self.unseen):
            for name, several in sentences.items():
                for sentence in several:
                    if match := self._pattern(sentence).fullmatch(text):
                        yield Reading(name, match.groupdict())

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {}

    def _pattern(self, sentence: str) -> re.Pattern[str]:
        """Made when it is first asked for: all of a world's take more than a second."""
        if sentence not in self._patterns:
            text = _PART.sub(_expression, sentence)
            whole = _SLOT.sub(lambda slot: f"(?P<{slot[1]}>{self.slots[slot[1]]})", text)
            self._patterns[sentence] = re.compile(whole)
        return self._patterns[sentence]


def _chosen(part: re.Match[str], generator: torch.Generator | None) -> str:
    if part[1] is not None:
        return pick(("", part[1]), generator)
    return pick(part[2].split("|"), generator)


def _expression(part: re.Match[str]) -> str:
    return f"(?:{part[1]})?" if part[1] is not None else f"(?:{part[2]})"

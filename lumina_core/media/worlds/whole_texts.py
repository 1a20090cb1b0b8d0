"""For plugins: reads a text of a person word by word, and stops at the first that it does not know.

A world whose sentences do not fit a text may still understand it: each word then means something to
it, or is known to say nothing, as what is polite. The world puts the meanings together itself.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from lumina_core.media.worlds.lexicon import MAX_LENGTH, MIN_SPELT, Meaning, corrected, spoken

MARK = "mark"
"""The kind of what parts a text: "." ends a thought, "," a part of one, ":" joins or parts."""
_MARKS = (
    {mark: "." for mark in ".;!?\n"} | dict.fromkeys(",>", ",") | dict.fromkeys(":=/()[]|", ":")
)
_DASH = re.compile(r"\s[-\u2013]+\s|\u2014")
_CLAUSE = re.compile(r"[,;]\s*(?=(?:which|that|who)\b)")
"""What parts a clause from its noun, and nothing else: "the top, which is blue"."""
_PARTING = frozenset(_MARKS.values())
_POLITE = (
    *("please", "pls", "plz", "thanks", "thank you", "thank", "kindly", "hello", "hi", "hey"),
    *("dear", "good morning", "good evening", "good afternoon", "good day", "best regards"),
    *("kind regards", "with kind regards", "sincerely", "yours sincerely", "in advance"),
    *("many thanks", "very much", "so kind as to", "so good as to", "so good and", "so kind and"),
    *("kind enough to", "possible", "if possible", "if you can", "if you could", "if you like"),
    *("if you please", "if you do not mind", "if it is not too much trouble", "mind", "grateful"),
    *("glad", "appreciate", "appreciate it", "it would be nice", "it would be lovely"),
    *("it would be great", "would be great", "would be nice", "would be lovely", "looking for"),
    *("hi there", "cheers", "nice if", "wondering if", "i wonder if", "i was", "i am"),
    *("i would be", "i should be", "would be", "be", "is it", "is there", "computer", "machine"),
    *("sir", "madam", "ok", "okay", "yes", "well", "oh", "wow", "yo", "now", "can you", "can i"),
    *("can we", "you can", "i can", "we can", "so that", "i", "you", "we", "me", "us", "would"),
    *("could", "will", "may", "might", "shall", "should", "must", "d", "ll", "m", "if", "want"),
    *("want to", "wanna", "need", "like to", "would like", "love", "love to", "wish", "wish for"),
    *("ask you for", "to see", "to hear", "to have", "to get", "for me", "for us", "to me"),
    *("to us", "see", "give", "gimme", "get", "let", "lets", "let s", "show", "make", "create"),
    *("draw", "generate", "produce", "render", "do", "have", "have got", "try", "try to", "add"),
    *("put", "here is", "here s", "there is", "there are", "there s", "there should be", "just"),
    *("simply", "only", "really", "quite", "very", "rather", "fairly", "pretty", "so", "such"),
    *("too", "also", "as", "something like", "that", "which", "who", "is", "are", "was", "s"),
    *("thats", "it is", "it s", "this is", "that is", "does", "what", "lemme", "drawing", "making"),
    *("showing", "giving", "creating", "generating", "rendering", "producing"),
)
"""What says nothing in any world."""


class WholeTexts:
    """Reads texts of which every word is known."""

    def __init__(self, phrases: Mapping[str, Meaning], silent: Iterable[str] = ()) -> None:
        """Make a reader.

        Args:
            phrases: words and what they mean, as for `Lexicon`. The longest phrase counts.
            silent: further words that say nothing. What `phrases` has says something.
        """
        known: dict[str, Meaning | None] = dict.fromkeys((*_POLITE, *silent)) | dict(phrases)
        self._known = {tuple(spoken(words).split()): meaning for words, meaning in known.items()}
        self._longest = max(map(len, self._known))
        self._words = {word for phrase in self._known for word in phrase}
        self._spelt = [word for word in phrases if len(word) >= MIN_SPELT and word.isalpha()]

    def meanings(self, text: str) -> list[Meaning] | None:
        """What words and marks of a text mean, in order; None where a word is not known.

        Args:
            text: of a person, with its punctuation. One longer than MAX_LENGTH is not read.
        """
        if len(text) > MAX_LENGTH:
            return None
        found: list[Meaning] = []
        words = [self._respelt(word) for word in _words(text)]
        place = 0
        while place < len(words):
            for end in range(min(len(words), place + self._longest), place, -1):
                if (phrase := tuple(words[place:end])) in self._known:
                    break
            else:
                if words[place] not in _PARTING:
                    return None
                phrase, end = (), place + 1
                found.append((MARK, words[place]))
            if meaning := self._known.get(phrase):
                found.append(meaning)
            place = end
        return found

    def _respelt(self, word: str) -> str:
        """A known word that is misspelt; "cubes" is no misspelt "cube"."""
        if word in self._words or word in _PARTING:
            return word
        found = corrected(word, self._spelt)
        return word if word.endswith("s") and not found.endswith("s") else found


def _words(text: str) -> Iterator[str]:
    """The words of a text, as `spoken` gives them, and its marks."""
    letters = unicodedata.normalize("NFC", _DASH.sub(":", text)).lower().replace("&", " and ")
    letters = _CLAUSE.sub(" ", letters)
    for part in re.split(f"([{re.escape(''.join(_MARKS))}])", letters):
        yield from [_MARKS[part]] if part in _MARKS else spoken(part).split()

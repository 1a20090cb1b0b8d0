"""For plugins: reads a text of a person word by word, and stops at the first that it does not know.

A world whose sentences do not fit a text may still understand it. Each phrase then has marks, which
say what it does, or none where it says nothing, as what is polite. The world puts marks together by
rules (marks.py). It reads nothing where it does not know a word, for that word may say anything.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from lumina_core.media.worlds.lexicon import MAX_LENGTH, MIN_SPELT, corrected, spoken
from lumina_core.media.worlds.marks import Marked, Word, marked

Phrases = Mapping[str, Sequence[Word]]
"""Words, as `tokens` gives them with one space between, and what they are read as."""

_SIGNS = (
    (r"[,;]\s*(?=(?:which|that|who)\b)", " "),
    (r"\bw/", " with "),
    (r"[-=]+>|→", " > "),
    (r"(?<=\w)[-'’´_](?=\w)", " "),
    (r"[+&]", " and "),
    (r"@", " on "),
    (r"=", ":"),
    (r"[;!?\n]|\.+|…", " . "),
    (r"[()\[\]/|–—-]", " / "),
    (r"[,:>]", r" \g<0> "),
)
"""What signs say, in order: a full stop ends a sentence, a comma ends less, and nothing
where it only parts a clause from its noun: "the top, which is blue"."""
_CHOICE = re.compile(r"\(([^()]*)\)")
_POLITE = (
    "(please|pls|plz|thanks|thank|thank you|many thanks|thx|kindly|cheers|sorry|in advance|mind)",
    "(hello|hi|hey|dear|yo|sir|madam|computer|machine|sincerely|yours sincerely|glad|grateful)",
    "(thank you|thanks) (very much|so much|in advance|a lot|kindly|a bunch|again)",
    "(please|pls|plz) and (thank you|thanks|thx)",
    "dear (model|computer|ai|sir|madam|sir or madam|friend|machine|program|lumina|all|bot|robot)",
    "(hello|hi|hey) (there|computer|model|ai|lumina|friend|everyone|you)",
    "good (morning|evening|afternoon|day)",
    "(with |)(best|kind|warm|) (regards|wishes|greetings)",
    "(ok|okay|so|well|um|umm|hmm|hm|uh|oh|wow|now|just|simply|only|actually|basically|such|if)",
    "(lol|haha|yes|yeah|right then|alright|this time|also|too|as well|as|today)",
    "appreciate( it|)",
    "(very|really|quite|rather|pretty|fairly|somewhat|extremely|super|very much)",
    "for (me|us|you|my son|my daughter|my kid|my kids|my child|my homework|my project|my wall)",
    "if (you can|you could|you please|you like|you do not mind|you don t mind|possible)",
    "if (it is possible|that s possible|it is not too much trouble)",
    "(i|you|we) (can|could|may)( make| draw| show| see|)",
    "(can|could|may|might|will|would|should) (i|we|you|u|it|there|that|this)( please| kindly|)",
    "(i|we) (want|need|would like|d like|would love|d love|wish|like|love)( to| for|)",
    "(i|we) (see|imagine|think of)",
    "(i|we) (want|need|would like|d like|would love|d love|wish) (you |)to (have|see|get|watch)",
    "(i|we) (want|need|would like|d like|would love|d love|wish) you to",
    "(i|we) (was hoping|am hoping|hope|m hoping|am looking|m looking|ask|am asking) for",
    "(i|we) (should|would|d|will|ll) be (most |very |so |) (grateful|happy|glad|thankful) for",
    "(i|we) (should|would|d|will|ll) be( delighted with| pleased with| thrilled with|)",
    "(i|we) wonder (if|whether)( you could|)",
    "(wondering if|i was|looking for|ask you for|wish for|nice if|so that|something like)",
    "(it would|it d|that would|would it|wouldn t it|would) be (nice|lovely|great|possible|cool)",
    "(it would|it d|that would|would it|wouldn t it) be (good|wonderful|fantastic|perfect|fine)",
    "(it would|it d|that would|would it|wouldn t it) be (awesome|amazing|ok)",
    "(is it|would it be|) possible",
    "(would|will|could|can) you (be so kind as to|be so good as to|mind|be able to)",
    "(be |)so (kind|good) (as |and |)(to|)",
    "(kind enough to|might i trouble you for|try to|go ahead and|let there be|this is)",
    "may i (ask for|ask|request|have)",
    "(how|what) about",
    "(let us|let s|let me|lemme|lets)( have| see| get| make| draw| try|)",
    "(there|here)( is| are| s|)",
    "(there should be|is|are|was|be|s|thats|that|which|who|does|what|do|try|let|add|put|gimme)",
    "(i|you|we|one) (can |could |should |)(see|sees|find)",
    "(it|this|that|that one|the result|the output) (should|must|shall|will|needs to) (show|have)",
    "(it|this) (shows|contains|depicts)",
    "(these|those) are",
    "(draw|paint|show|make|create|generate|give|render|sketch|produce|display)( me| us| for me|)",
    "(to |)(see|have|get|hear|watch|draw|make|create|generate|render|look at)",
    "(to me|to us|have got|want to|wanna|like to|would like|love to)",
    "(drawing|making|showing|giving|creating|generating|rendering|producing|having|seeing)",
    "(i|you|u|we|me|us|my|your|m|d|ll|ve|am|want|need|love|wish)",
    "(would|could|may|might|will|shall|should|must)",
)
"""What says nothing in any world that does not say otherwise."""


def spelt_out(*texts: str) -> Iterator[str]:
    """Each text with one of each of its choices: "(on|to) its left( side|)" is four."""
    for text in texts:
        parts = _CHOICE.split(text)
        choices = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
        yield from (" ".join("".join(chosen).split()) for chosen in product(*choices))


def said(mark: str, *texts: str, value: Any = None) -> dict[str, tuple[Word, ...]]:
    """Phrases of one meaning, their choices spelt out; without a mark they say nothing."""
    words = ((mark, value),) if mark else ()
    return dict.fromkeys(spelt_out(*texts), words)


def said_by(mark: str, *tables: Mapping[Any, Iterable[str]]) -> dict[str, tuple[Word, ...]]:
    """Phrases of one mark by their meanings; of tables that have the same the last counts."""
    found: dict[str, tuple[Word, ...]] = {}
    for table in tables:
        for value, texts in table.items():
            found |= said(mark, *texts, value=value)
    return found


def tokens(text: str) -> list[str]:
    """Words as `spoken` gives them, and the signs ".", ",", ":", "/" and ">" for all others."""
    text = unicodedata.normalize("NFC", text).lower()
    for pattern, sign in _SIGNS:
        text = re.sub(pattern, sign, text)
    return " ".join(part if part in ".,:/>" else spoken(part) for part in text.split()).split()


class Reader:
    """Reads texts of which every word is known."""

    def __init__(self, phrases: Phrases, spelt: Iterable[str] | None = None) -> None:
        """Make a reader.

        Args:
            phrases: words and signs and their marks; of several that fit the longest counts. What
                is polite need not stand here.
            spelt: words of these that may be misspelt; None: all that have marks, but short ones.
        """
        self._marks = said("", *_POLITE) | dict(phrases)
        self._longest = 1 + max(words.count(" ") for words in self._marks)
        self._words = {word for words in self._marks for word in words.split()}
        long = (words for words in phrases if len(words) >= MIN_SPELT and words.isalpha())
        self._spelt = [*spelt] if spelt is not None else [word for word in long if phrases[word]]

    def read(self, text: str) -> Marked | None:
        """The marks of a text; None where a word is in no phrase.

        Args:
            text: of a person, with its punctuation. One of more than MAX_LENGTH characters is not
                read: its end may say anything.
        """
        if len(text) > MAX_LENGTH:
            return None
        words, start, found = [*map(self._respelt, tokens(text))], 0, list[Word]()
        while start < len(words):
            for end in range(min(len(words), start + self._longest), start, -1):
                if (meant := self._marks.get(" ".join(words[start:end]))) is not None:
                    break
            else:
                return None
            found += meant
            start = end
        return marked(found)

    def _respelt(self, word: str) -> str:
        """A known word that is misspelt; "cubes" is no misspelt "cube"."""
        if word in self._words:
            return word
        found = corrected(word, self._spelt)
        return word if word.endswith("s") and not found.endswith("s") else found

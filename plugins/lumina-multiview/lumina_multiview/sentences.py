"""The sentences of the synthetic multi-view world: how people order the words of a solid.

The canonical caption of a meaning is its first sentence, in plain words.
"""

from collections.abc import Iterable, Iterator

import torch

from lumina_core.media.worlds.captions import chance, one_of, pick
from lumina_core.media.worlds.lexicon import spoken
from lumina_core.media.worlds.wordings import Wordings
from lumina_multiview.wordings import COLOUR_WORDS, MODIFIERS, PLACES, SHAPES, SIDES, SIZES, plain

ARTICLES = ("a ", "a ", "a ", "a ", "a ", "a ", "a ", "", "", "", "the ", "the ", "one ")
HAS_VERB, HAS_MEDIUM, HAS_ENDING, HAS_MANNER = 0.4, 0.4, 0.2, 0.15
"""How often a caption of training that is not in plain words has these."""
_VERBS = (
    *("there is", "here is", "show me", "draw", "make", "render", "i want", "this is", "it is"),
    *("please draw", "please show me", "draw me", "make me", "give me", "create", "generate"),
    *("i would like", "i want to see", "can you draw", "can you show me", "let me see", "show"),
)
_MEDIA = (
    *("views of", "turntable of", "picture of", "photo of", "image of", "3d model of"),
    *("view of", "rendering of", "pictures of", "images of", "model of", "render of"),
    *("turning view of", "several views of", "drawing of"),
)
_PLURALS = ("views of", "pictures of", "images of", "several views of")
_MANNERS = ("3d", "rotating", "turning", "spinning", "simple", "plain", "solid", "single")
_ENDINGS = (
    *("from all sides", "seen from all sides", "from every side", "from all angles"),
    *("from different angles", "please", "for me", "in 3d", "on a turntable", "that turns"),
)


def _maybe(words: Iterable[str], before: str = "", behind: str = " ") -> str:
    return f"(?:{before}{one_of(words)}{behind})?"


def _read(words: dict[str, tuple[str, ...]]) -> str:
    """A regular expression for words as `plain` gives them."""
    return one_of(plain(spoken(each)) for several in words.values() for each in several)


_CALLS = (
    *("draw", "show", "make", "render", "give", "create", "generate", "display", "produce"),
    *("build", "model", "paint", "picture", "imagine", "design", "let (?:me|us) see"),
    *("let (?:me|us) look at", "look at", "rotate", "turn", "spin", "view", "sculpt"),
    *("(?:turn|walk|go|move|fly|circle|rotate|circling|turning|walking) (?:all )?around",),
)
_OPENING = (
    "(?:(?:(?:can|could|would|will) you )?"
    f"{one_of(_CALLS)}(?: me| us)? |(?:can|could|may) i (?:see|have|get) |"
    "(?:i|we) (?:want|need|see|would like|would love)(?: to see)? |"
    "(?:there|here|this|it|that) is |(?:you|we|i) (?:can )?see |do you have |have you got )?"
)
_KINDS = (
    *("views?", "turntables?", "pictures?", "photos?", "photographs?", "images?", "models?"),
    *("renderings?", "renders?", "drawings?", "animations?", "shots?", "sketch", "turnarounds?"),
)
_MEDIUM = (
    "(?:(?:a |the |some )?(?:set of |series of )?"
    "(?:several |multiple |different |many |all |four |six |eight )?"
    "(?:3d |turning |rotating |spinning |turntable |360 |360 degree )?"
    f"{one_of(_KINDS)} of )?"
)
_ALL_SIDES = (
    "(?:(?:seen |viewed |shown )?from (?:all|every|different|several|many)"
    "(?: the)? (?:sides?|angles?|directions?)|(?:(?:seen )?from )?all (?:around|round))"
)
_SIZE = one_of(each for several in SIZES.values() for each in several)
_ENDING = (
    f"(?:(?: and)?(?: that is| it is| of)? {_SIZE}(?: a| in size| size)?)?"
    f"(?: around| {_ALL_SIDES}| for me| in 3d| 3d| in the picture| on a turntable| that turns|"
    " rotating| turning(?: around)?| spinning| that is (?:turning|rotating|spinning))?"
)
_SIDE = (
    "(?:front|back|rear|top|upper|bottom|lower|base|underside|left|right|tip|apex|peak|point|lid|"
    "foot)(?: half| side| hand side| part| face| end| portion| section| surface| area| a)?"
)
_PLACE = (
    f"(?:(?:(?:on|in|at|to|from|towards) )?(?:the )?{_SIDE}|"
    "(?:from )?behind|(?:up )?above|(?:down )?below|up top|underneath|beneath|under)"
)
_COLOUR = (
    f"(?:(?:{'|'.join(MODIFIERS)}|totally|wholly|vivid) )?(?:(?:the )?colour )?"
    f"{_read(COLOUR_WORDS)}(?: coloured| colour)?"
)
_SHAPE = f"{_read(SHAPES)}(?: shape| shaped (?:object|solid|thing|block))?"
_LATE = f"(?: (?:(?:that|it) is |of )?{_SIZE}(?: in)?(?: size)?(?: and)?| {_ALL_SIDES})?"
"""Behind a solid, as in "a cube that is large and red"."""
_BE = "(?:(?:it )?is |in |painted |coloured )?"
_SLOTS = {
    "opening": _OPENING + _MEDIUM,
    "ending": _ENDING,
    "article": _maybe(("a", "the", "one", "some")) + _maybe(_MANNERS),
    "size": f"(?:{_SIZE} )?",
    "shape": _SHAPE + _LATE,
    "a": _COLOUR,
    "b": _COLOUR,
    "place_a": _PLACE,
    "place_b": _PLACE,
    "c": _COLOUR,
    "side_a": _SIDE,
    "side_b": _SIDE,
    "and": "(?:(?:and|but|while|plus|with|whereas) )?"
    "(?:(?:(?:that|it) )?is )?(?:in |painted |coloured )?",
    "with": "(?:with|(?:(?:and )?(?:that|it) )?has|having|featuring|split into)",
    "is": "(?:(?:(?:and )?(?:that|it) )?(?:is|looks)|"
    "(?:that is )?(?:painted|coloured)(?: in)?|in|of)",
    "be_a": _BE,
    "be_b": _BE,
    "over": "(?:everywhere|all over|all (?:a)?round|throughout|(?:on|from) (?:all|every)"
    "(?: the)? (?:sides?|faces?))",
}
_WORDS = {
    "and": ("and ", "and ", "and ", "", "", "but ", "while "),
    "with": ("with", "with", "with", "that has", "which has", "it has", "having"),
    "is": ("that is", "that is", "which is", "is", "it is", "painted", "coloured", "colored"),
    "be_a": ("is ", "", "", "in ", "painted "),
    "be_b": ("is ", "", "", "in ", "painted "),
    "over": ("on all sides", "everywhere", "all over", "on every side"),
}
"""What stands in the slots between what is said, in captions of training."""
_THING = "{article}{size}{shape}"
_COLOURED = "{article}{size}{a} {shape}"
_TRAINED = {
    "any": ("THING", "THING of one colour", "THING of any colour"),
    "one": (
        "COLOURED",
        "THING {is} {a}",
        "THING in {a}",
        "THING {is} {a} {over}",
        "{article}{a} {size}{shape}",
        "THING in {a}",
    ),
    "halves": (
        "THING {a} {place_a} {and}{b} {place_b}",
        "THING {is} {a} {place_a} {and}{b} {place_b}",
        "THING {with} a {a} {side_a} {and}a {b} {side_b}",
        "THING {with} (a )?{a} {side_a} {and}(a )?{b} {side_b}",
        "THING {with} a {a} {side_a} {and}{b} {place_b}",
        "THING {is} {a} {place_a} {and}(has|with) a {b} {side_b}",
        "THING with {side_a} {be_a}{a} {and}{side_b} {be_b}{b}",
        "THING {a} {side_a} {and}{b} {side_b}",
        "THING with {a} {place_a} {and}{b} {place_b}",
        "THING (|with |where )the {side_a} {be_a}{a} {and}the {side_b} {be_b}{b}",
        "THING (|with |where )the {side_a} {be_a}{a} {and}the {side_b} {b}",
        "THING whose {side_a} is {a} {and}(whose )?{side_b} is {b}",
        "THING the {side_a} is {a} and the {side_b} is {b}",
        "THING (|in |with )(half )?{a} and (half )?{b} {side_a} and {side_b}",
    ),
    "rest": (
        "COLOURED {with} a {b} {side_b}",
        "COLOURED with {b} {side_b}",
        "COLOURED {is} {b} {place_b}",
        "COLOURED with {b} {place_b}",
        "COLOURED with the {side_b} {be_b}{b}",
        "COLOURED whose {side_b} is {b}",
        "COLOURED but {b} {place_b}",
        "THING in {a} with a {b} {side_b}",
        "THING in {a} {and}{b} {place_b}",
        "THING {b} {place_b} {and}the (rest|other half|other side) {be_a}{a}",
        "THING with a {b} {side_b} {and}the (rest|other half) {be_a}{a}",
        "THING {b} {place_b} otherwise {a}",
    ),
    "part": (
        "THING with a {b} {side_b}",
        "THING {with} a {b} {side_b}",
        "THING with {b} {side_b}",
        "THING {b} {place_b}",
        "THING {is} {b} {place_b}",
        "THING with {b} {place_b}",
        "THING with (the |){side_b} {be_b}{b}",
        "THING whose {side_b} is {b}",
    ),
    "mixed": (
        "{article}{size}half {a} half {b} {shape}",
        "{article}{size}half {a} and half {b} {shape}",
        "{article}{size}{a} and {b} {shape}",
        "THING half {a} {and}half {b}",
        "THING {is} half {a} {and}half {b}",
        "THING (coloured|painted) {a} and {b}",
        "THING (of|in|with) two colours {a} and {b}",
        "THING with {a} and {b} (halves|sides)",
        "THING {a} on one side {and}{b} on the other( side)?",
        "THING one (half|side) {be_a}{a} {and}the (other|other half|other side) {be_b}{b}",
    ),
}
_UNSEEN = {
    "any": ("THING in any colour", "THING that is of one colour"),
    "one": ("THING {a}", "THING with all sides {a}", "THING {a} {over}"),
    "halves": (
        "THING {place_a} {be_a}{a} {and}{place_b} {be_b}{b}",
        "THING {side_a} {a} {and}{side_b} {b}",
        "(the |){side_a} of (a|the) {size}{shape} {be_a}{a} {and}(the |){side_b} {be_b}{b}",
        "{a} {place_a} {and}{b} {place_b} THING",
        "{a} {side_a} {and}{b} {side_b} THING",
        "{side_a} {a} {and}{side_b} {b} THING",
        "a {a} {side_a} {and}a {b} {side_b} (on|of) THING",
        "THING that has {a} {place_a} {and}{b} {place_b}",
    ),
    "rest": (
        "COLOURED {b} {place_b}",
        "COLOURED with a {side_b} that is {b}",
        "COLOURED but the {side_b} is {b}",
    ),
    "part": ("THING with a {side_b} that is {b}", "THING the {side_b} is {b}"),
    "mixed": (
        "THING in {a} and {b}",
        "THING that is {a} and {b}",
        "THING with a {a} half and a {b} half",
        "{article}{size}two coloured {shape} {a} and {b}",
        "half of (a|the) {size}{shape} {be_a}{a} {and}the other half {be_b}{b}",
    ),
}
"""What is said: one solid of any colour, of one colour, its halves, the colour of one half and that
of the rest, the colour of one half alone, or two colours without their places."""


def _whole(sentence: str) -> str:
    named = sentence.replace("THING", _THING).replace("COLOURED", _COLOURED)
    opening = "" if sentence.startswith("(the ") else "{opening}"
    return opening + named + "{ending}"


SENTENCES = Wordings(
    _SLOTS,
    *(
        {name: tuple(map(_whole, several)) for name, several in sentences.items()}
        for sentences in (_TRAINED, _UNSEEN)
    ),
)


def written() -> Iterator[str]:
    """All texts of which captions of training take their words."""
    for names in (COLOUR_WORDS, SHAPES, SIZES, PLACES, SIDES, _WORDS):
        for words in names.values():
            yield from words
    yield from (*ARTICLES, "an", *_VERBS, *_MEDIA, *_MANNERS, *_ENDINGS, *MODIFIERS, "that is")
    yield from SENTENCES.written()


def framed(generator: torch.Generator | None) -> dict[str, str]:
    """The words around what a caption says: its opening, article, ending and the like, by slot."""
    between = {slot: pick(words, generator) for slot, words in _WORDS.items()}
    if generator is None:
        return between | {"opening": "", "article": "a ", "ending": ""}
    article = pick(ARTICLES, generator)
    manner = f"{pick(_MANNERS, generator)} " if chance(HAS_MANNER, generator) else ""
    opening = ending = ""
    if chance(HAS_VERB, generator):
        opening = pick(_VERBS, generator) + " "
    if chance(HAS_MEDIUM, generator):
        medium = pick(_MEDIA, generator)
        opening += f"{'' if medium in _PLURALS else article}{medium} "
    if chance(HAS_ENDING, generator):
        ending = " " + pick(_ENDINGS, generator)
    return between | {"opening": opening, "article": article + manner, "ending": ending}

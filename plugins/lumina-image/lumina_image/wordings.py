"""What people say in the image world: its words and its sentences, for training and for reading.

It knows no scenes: grammar.py fills the sentences and says what they mean.
"""

import re
from collections.abc import Iterator

from lumina_core.media.worlds.captions import by_wording, one_of
from lumina_core.media.worlds.wordings import Wordings
from lumina_core.media.worlds.words import (
    COLOUR_OF,
    COLOUR_WORDS,
    PLURAL_WORDS,
    SHAPE_OF,
    SHAPE_OF_PLURAL,
    SHAPE_WORDS,
)

from .scenes import RELATIONS

# The plainest stands first.
SIZE_WORDS = {
    "small": ("small", "tiny", "little", "mini"),
    "large": ("large", "big", "huge", "giant"),
}
NO_SIZE = ("medium", "medium sized", "normal sized")
"""Said of what is neither small nor large."""
FILLERS = ("simple", "plain", "nice", "bright", "solid")
"""Adjectives that mean nothing here."""
RELATION_WORDS = {
    "left": ("to the left of", "left of", "on the left of", "on the left side of"),
    "right": ("to the right of", "right of", "on the right of", "on the right side of"),
    "above": ("above", "over", "on top of", "higher than", "directly above", "atop"),
    "below": ("below", "under", "underneath", "beneath", "lower than", "directly below"),
    "beside": ("next to", "beside", "by", "close to", "alongside"),
}
_RELATIONS_READ = {
    "left": ("at the left of", "to the left side of", "on the left hand side of", "left from"),
    "right": ("at the right of", "to the right side of", "on the right hand side of", "right from"),
    "above": (
        *("just above", "right above", "directly over", "up above", "upon"),
        "directly on top of",
    ),
    "below": ("just below", "right below", "directly under", "directly beneath", "right under"),
    "beside": (
        *("right next to", "directly next to", "at the side of", "near", "adjacent to"),
        *("near to", "close by", "side by side with", "directly beside", "right beside"),
    ),
}
COUNT_WORDS = {
    1: ("one", "1", "a single", "just one", "exactly one"),
    2: ("two", "2", "a pair of", "a couple of"),
    3: ("three", "3", "a group of three", "exactly three"),
    4: ("four", "4", "a group of four", "exactly four"),
}
_COUNTS_READ = {"only one": 1, "single": 1, "the single": 1, "exactly two": 2, "the two": 2} | {
    **{"a group of two": 2, "a set of two": 2, "a set of three": 3, "a set of four": 4},
    **{"a trio of": 3, "a pair": 2, "just two": 2, "just three": 3, "just four": 4},
    **{"the three": 3, "the four": 4, "some two": 2},
}
_SIZES_READ = {
    **{"smaller": "small", "smallest": "small", "miniature": "small", "wee": "small"},
    **{"larger": "large", "bigger": "large", "largest": "large", "biggest": "large"},
    **{"enormous": "large", "gigantic": "large", "massive": "large", "great": "large"},
}
SIZE_OF = by_wording(SIZE_WORDS) | _SIZES_READ
COUNT_OF = (
    {words: count for count, several in COUNT_WORDS.items() for words in several}
    | _COUNTS_READ
    | {words: 1 for words in ("a", "an", "the")}
)
SINGULAR_PLURAL = {**SHAPE_OF, **SHAPE_OF_PLURAL}
_MEANS_NOTHING = (
    *("simple", "plain", "nice", "solid", "filled", "bright", "very", "really", "coloured"),
    *("colored", "sized", "medium", "normal", "regular", "average", "single", "flat", "lone"),
    *("pretty", "beautiful", "perfect", "clear", "just", "mid", "uniform", "quite", "size"),
    "some",
)
_ADJECTIVE = one_of((*SIZE_OF, *COLOUR_OF, *_MEANS_NOTHING))
_ADJECTIVES = f"(?:{one_of(SIZE_OF)} and )?{_ADJECTIVE}(?: {_ADJECTIVE}){{0,3}}"
_NOUN = one_of(sorted(SINGULAR_PLURAL, key=len, reverse=True))
_ADJECTIVES_BEHIND = (
    f"{_ADJECTIVE}(?: (?:and )?{_ADJECTIVE}(?! (?:{_ADJECTIVE} ){{0,2}}{_NOUN})){{0,3}}"
)
_LONE = f"(?:a |an |one |the )?{_ADJECTIVES}"
_COLOUR = one_of(COLOUR_OF)


_COUNTS = one_of(sorted(COUNT_OF, key=len, reverse=True), "count")
_LATE_COUNTS = one_of((number for number, count in COUNT_OF.items() if count > 1), "late")
_BEFORE = one_of((f"(?:{_ADJECTIVES} )?",), "before")
_NAMED = one_of((_NOUN, f"(?<= )ones?(?! {_ADJECTIVE})"), "noun")
_LINK = (
    r"(?:(?:that|which) (?:is|are)|in (?:the colou?r |bright )?|of (?:a |the )?(?:colou?r )?"
    "|colou?red (?:in )?|painted ) ?"
)
_BEHIND = one_of((_ADJECTIVES_BEHIND,), "behind")
_AT_END = rf"(?: (?P<at_end>{_ADJECTIVE}(?: {_ADJECTIVE}){{0,2}})$)?"
THING = re.compile(
    rf"(?<!\S)(?:{_COUNTS} )?{_BEFORE}{_NAMED}(?: (?:shapes?|figures?))?"
    rf"(?: {_LATE_COUNTS}(?: of (?:them|those))?(?=$| in | that |(?: {_ADJECTIVE}){{1,3}}$))?"
    rf"(?: {_LINK}{_BEHIND}(?: in colou?r| colou?r)?)?{_AT_END}(?!\S)"
)
"""A thing, such as "two small red stars", "a star that is red" or, at the end, "stars, 2, red"."""

_VERBS = "draw|paint|show|make|create|generate|give|render|sketch|produce|add|put|place|display"
_PICTURE = "picture|photo|photograph|image|drawing|painting|illustration|scene|sketch|graphic"
OPENING = re.compile(
    r"(?:(?:please|can you|could you|would you|just|simply|now|hi|hey|ok|let us|let s) ){0,3}"
    rf"(?:(?:{_VERBS}|i want|i want to see|i would like|i would like to see|i d like"
    r"|i d like to see|(?:can|could|may) (?:i|we) (?:please )?(?:get|have|see)|i need"
    r"|let me see|let me have|i see|you can see|we can see|we see|you see|here is|here are"
    r"|here s|there is|there are|there s|it shows|this is|these are|imagine|it is) )?"
    r"(?:(?:me|us) )?"
    r"(?:(?:please|just|only|simply|you to draw|to see) )?"
    rf"(?:(?:(?:a|an|the|this) )?(?:(?:simple|nice|plain|basic|small) )?(?:{_PICTURE}) "
    r"(?:of|with|showing|that shows|which shows|shows|that has|has|containing|that contains"
    r"|contains|where|in which|depicting)(?: there (?:is|are))? )?"
    rf"(?:(?:in|on|inside) (?:the|this) (?:{_PICTURE}|canvas|middle|centre|center)"
    r" (?:there is|there are|is|are|you can see|we see|i see) )?"
    r"(?:there (?:is|are) )?(?:(?:just|only|nothing but|simply) )?"
)
_ENDINGS = (
    *("please", "thanks", "thank you", "for me", "in the picture", "in this picture", "only"),
    *("in the image", "in this image", "in it", "in the middle", "in the centre", "too"),
    *("in the center", "in the middle of the picture", "in the center of the picture", "alone"),
    *("in the centre of the picture", "in the middle of the image", "and nothing else"),
    *("in the center of the image", "in the centre of the image", "nothing else", "centered"),
    *("that do not touch", "that don t touch", "not touching", "without touching", "centred"),
    *("by itself", "on its own", "you can make", "all alone", "in the scene", "to see"),
    *("that do not overlap", "that don t overlap", "is shown", "are shown", "on the canvas"),
    *("not touching each other", "in total", "together", "in one picture", "is in the middle"),
    *("can be seen", "is there", "are there", "is in the picture", "are in the picture"),
    *("is in the centre", "is in the center", "at the centre", "at the center", "as well"),
)
ENDINGS_WRITTEN = ("in the picture", "please", "only", "and nothing else", "in the image")
MIDDLE_WRITTEN = ("in the middle", "in the centre", "in the center")
"""Of one object alone."""
MAX_ENDINGS = 3
ENDING = re.compile(f" {one_of(_ENDINGS)}$")
MIDDLE = re.compile("middle|cent(?:re|er)")

OPENINGS = (
    *("a picture of ", "an image of ", "a photo of ", "there {be} ", "show me ", "draw "),
    *("i want ", "please draw ", "an image with ", "a drawing of ", "paint ", "make ", "create "),
    *("a picture with ", "you can see ", "here {be} ", "give me ", "a simple picture of "),
    *("i would like ", "please draw me ", "show ", "just ", "generate "),
)
REQUESTS = (
    *("please show me ", "draw me ", "i want a picture of ", "show me a photo of "),
    *("please make ", "create an image with ", "i would like to see "),
)
"""Openings of no training caption."""

READ = " read"
"""Ends the names of sentences that no caption has."""

SIDES = {
    "left": ("on the left", "on the right"),
    "right": ("on the right", "on the left"),
    "above": ("at the top", "at the bottom"),
    "below": ("at the bottom", "at the top"),
}
_SIDES_READ = {
    "on the left": "(on the left|to the left|at the left|on the left side"
    "|on the left hand side|left)",
    "on the right": "(on the right|to the right|at the right|on the right side"
    "|on the right hand side|right)",
    "at the top": "(at the top|on top|on the top|up top|in the top half|above|top)",
    "at the bottom": "(at the bottom|on the bottom|underneath|in the bottom half|below|bottom)",
}
_ON_ITS = {
    "left": "(to|on) {its} left",
    "right": "(to|on) {its} right",
    "above": "(above|over|on top of) {it}",
    "below": "(below|under|beneath|underneath) {it}",
    "beside": "(next to|beside|by) {it}",
}


def _of_relation(relation: str) -> dict[str, tuple[str, ...]]:
    """Sentences of training, others, and those that are only read."""
    words = f"({'|'.join(RELATION_WORDS[relation])})"
    every = f"({'|'.join((*RELATION_WORDS[relation], *_RELATIONS_READ[relation]))})"
    near = _ON_ITS[relation]
    trained = (
        f"{{opening}}{{first}} {words} {{second}}",
        f"{{first}} {{be}} {words} {{second}}",
        f"{{first}} {{stand}} {words} {{second}}",
        f"{{opening}}{{second}} and {near} {{first}}",
        f"{{opening}}{{second}} with {{first}} {near}",
        f"{words} {{second}} there {{be}} {{first}}",
    )
    unseen = (f"{words} {{second}} {{be}} {{first}}", f"{{second}} and {{first}} {near}")
    read = (
        f"{{first}} (that |which )?({{stand}} )?{every} {{second}}",
        f"{every} {{second}} (there )?({{stand}} )?{{first}}",
        f"{{second}} (and |with |and then |and directly |and just )?{near} "
        f"(there )?({{stand}} )?{{first}}",
        f"{{second}} (has|that has|which has|having|and) {{first}} {near}",
        f"{{second}} (with |and )?{{first}} ({{stand}} )?{near}",
        f"{{second}} (with |and )?{{first}} ({{stand}} )?{every} {{it}}",
        f"{{second}} (with |and )?{every} {{it}} (there )?({{stand}} )?{{first}}",
    )
    if relation == "beside":
        return {
            relation: (
                *trained,
                "{opening}{first} and {second} side by side",
                "{opening}{first} and {second} (next to|beside) each other",
            ),
            "unseen": (*unseen, "side by side {first} and {second}"),
            "read": (
                *read,
                "{first} (and|with) {second} ({stand} )?(side by side|next to each other"
                "|next to one another|beside each other|beside one another|close together"
                "|close to each other|near each other)",
                "{second} (with|and) {first} (next to it|beside it|at its side|by its side)",
            ),
        }
    one, other = SIDES[relation]
    one_read, other_read = _SIDES_READ[one], _SIDES_READ[other]
    return {
        relation: (
            *trained,
            f"{{opening}}{{first}} {one} (and )?{{second}} {other}",
            f"{{first}} {{be}} {one} and {{second}} {{be_too}} {other}",
            f"{one} there {{be}} {{first}} and {other} there {{be_too}} {{second}}",
        ),
        "unseen": (
            *unseen,
            f"{one} {{first}} and {other} {{second}}",
            f"{one} {{be}} {{first}} and {other} {{be_too}} {{second}}",
            f"{{first}} with {{second}} {other}",
            f"{{first}} {one.split()[-1]} {{second}} {other.split()[-1]}",
        ),
        "read": (
            *read,
            f"{{first}} ({{stand}} )?{one_read} (and |with |but )?{{second}} ({{stand_too}} )?"
            + other_read,
            f"{one_read} (there )?({{stand}} )?{{first}} (and )?{other_read} (there )?"
            "({stand_too} )?{second}",
            f"{{first}} (with|and|has) {{second}} ({{stand}} )?{other_read}",
            f"{{first}} ({{stand}} )?{one_read} (and|with) {{second}}",
        ),
    }


_RELATED = {relation: _of_relation(relation) for relation in RELATIONS}
VERBS_OF_PLACE = ("sits", "stands", "rests", "floats")
"""Of one thing; of several they would be too rare to be learned."""
SLOTS = ("first", "second", "third")
_STAND = (
    "(?:is|are|sits?|stands?|lies|lie|rests?|floats?|hovers?|hangs?|(?:is |are )?(?:placed|located"
    "|positioned|sitting|standing|floating|resting|lying|hovering|situated|drawn|shown|painted))"
)

WORDINGS = Wordings(
    slots=dict.fromkeys(SLOTS, r"@\d")
    | {"opening": "", "request": "", "be": "(?:is|are)", "be_too": "(?:is|are)"}
    | {
        "stand": _STAND,
        "stand_too": _STAND,
        "it": "(?:it|them|that|those)",
        "its": "(?:its|their)",
    }
    | {"lone": _LONE, "other": _LONE, "colour": _COLOUR},
    trained={
        "alone": ("{opening}{first}",),
        "together": (
            "{opening}{first} and {second}",
            "{opening}{first} together with {second}",
            "{opening}{first} with {second}",
            "{opening}{first} as well as {second}",
            "{opening}{first} and also {second}",
        ),
        "three": (
            "{opening}{first} {second} and {third}",
            "{opening}{first} and {second} and {third}",
            "{opening}{first} {second} {third}",
            "{opening}{first} with {second} and {third}",
        ),
        "both": ("{opening}{first} and {second} both {colour}",),
        "one each": (
            "{opening}{first} one {colour} and one {other}",
            "{opening}{first} one {colour} and the other {other}",
        ),
        "one noun": ("{opening}{lone} and {second}",),
    }
    | {relation: _RELATED[relation][relation] for relation in RELATIONS},
    unseen={
        "alone": ("{request}{first}", "in the picture {be} {first}"),
        "together": (
            "{opening}{first} {second}",
            "there {be} {first} and there {be_too} {second}",
            "{request}{first} and {second}",
        ),
        "three": (
            "{opening}{first} together with {second} and {third}",
            "there {be} {first} and there {be_too} {second} and {third}",
            "{request}{first} {second} and {third}",
        ),
    }
    | {relation: _RELATED[relation]["unseen"] for relation in RELATIONS}
    | {
        f"together{READ}": (
            "{first} (along with|plus|and then|and next|accompanied by|and there is"
            "|and there are|as well as|together with|there is|there are) {second}",
        ),
        f"three{READ}": (
            "{first} (and |with |and there is |and there are )?{second} (as well as|and also|with"
            "|plus|and there is|and there are|along with|together with|and) {third}",
        ),
        f"both{READ}": (
            "{first} and {second} (that are |which are )?(both|all)( of them)?( in)? {colour}",
        ),
        f"all{READ}": ("{first} (that are |which are )?(both|all|each)( of them)?( in)? {colour}",),
        f"one each{READ}": (
            "{first} (of which )?(one|1|one is|one of them|the first|the first is|one in)( in)? "
            "{lone} (and )?(one|1|one is|the other|the other is|another|the second|the second is)"
            "( in)? {other}",
            "{first} {lone} and {other}",
        ),
        f"one noun{READ}": ("{lone} (as well as|plus|with) {second}",),
    }
    | {f"{relation}{READ}": _RELATED[relation]["read"] for relation in RELATIONS},
)


def written() -> Iterator[str]:
    """All texts of which captions of training take their words, but for backgrounds."""
    yield from (*OPENINGS, *ENDINGS_WRITTEN, *MIDDLE_WRITTEN, *VERBS_OF_PLACE, *FILLERS, *NO_SIZE)
    for names in (SIZE_WORDS, COUNT_WORDS, COLOUR_WORDS, SHAPE_WORDS, PLURAL_WORDS):
        for words in names.values():
            yield from words
    yield from ("it", "its", "them", "their", "that", "which")
    yield from WORDINGS.written()

"""The words for what things do in the video world: verbs, ways, and words that say no more.

A way of moving is a verb and a way, as "drifting" and "to the left". wordings.py puts them into
sentences.
"""

import re
from collections.abc import Iterator, Mapping

import torch

from lumina_core.media.worlds.captions import by_wording, chance, join, one_of, pick
from lumina_core.media.worlds.words import COLOUR_OF

DIRECTIONS = {
    "left": ("to the left", "left", "leftwards", "towards the left", "from right to left"),
    "right": ("to the right", "right", "rightwards", "towards the right", "from left to right"),
    "up": ("up", "upwards", "upward", "from bottom to top"),
    "down": ("down", "downwards", "downward", "from top to bottom"),
}
GROWTHS = ("grow", "shrink")
EVENTS = (*DIRECTIONS, *GROWTHS)
MOTIONS = (*EVENTS, "still")
TURN = "turn"
"""A change of colour before or after an event, or while another thing does something."""

_RARE_WAYS = {
    "left": (*["leftward"] * 2, "toward the left", "from the right", "in from the right"),
    "right": (*["rightward"] * 2, "toward the right", "from the left", "in from the left"),
    "up": ("to the top", "towards the top", "up to the top", "from the bottom", "from below"),
    "down": (
        *("to the bottom", "towards the bottom", "down to the bottom", "from the top"),
        *("from above", "to the ground", "to the ground"),
    ),
}
_UNSEEN_WAYS = {
    "left": ("from the right to the left",),
    "right": ("from the left to the right",),
    "up": ("from the bottom to the top", "toward the top"),
    "down": ("from the top to the bottom", "toward the bottom"),
}
_MOVING, _MOVING_TOO = "moving", ("sliding", "going", "traveling")
_RARE_MOVING = (
    *("drifting", "floating", "gliding", "heading", "flying", "travelling", "running", "rolling"),
    *("wandering", "shifting", "walking", "coming", "rushing", "speeding", "racing", "swimming"),
    *("creeping", "crawling", "shooting", "driving"),
)
_RARE_UP_AND_DOWN = {
    "up": ("climbing", "ascending", "soaring"),
    "down": ("dropping", "sinking", "descending"),
}
_OTHERS = {
    "left": (),
    "right": (),
    "up": ("rising",) * 3,
    "down": ("falling", "falling", "falling down"),
    "grow": (
        "growing",
        "getting larger",
        "getting bigger",
        "expanding",
        "expanding",
        "becoming bigger",
    ),
    "shrink": ("shrinking", "getting smaller"),
    "still": ("standing still", "staying where it is", "staying still", "not moving"),
}
"""What stands here twice or more is written so often."""
_RARE_OTHERS = {
    "grow": (
        *("swelling", "growing bigger", "growing larger", "growing in size", "enlarging"),
        *("increasing in size", "inflating"),
    ),
    "shrink": (
        *("contracting", "growing smaller", "shrinking in size", "decreasing in size"),
        *("shrinking down", "deflating"),
    ),
    "still": (
        *("remaining still", "staying in place", "staying put", "resting", "sitting still"),
        *("remaining where it is", "staying in the middle"),
        *("standing there", "staying there", "sitting there", "doing nothing"),
    ),
}
_READ_OTHERS = {"still": ("holding still", "keeping still")}
_UNSEEN_OTHERS = {
    "up": ("rising up",),
    "grow": ("becoming larger", "getting bigger and bigger", "getting larger and larger"),
    "shrink": ("becoming smaller", "getting smaller and smaller"),
    "still": ("standing where it is", "remaining in place"),
}


def _moving(motion: str) -> tuple[str, ...]:
    """What moves plainly moves in any words; the other verbs never meet the longer ways."""
    ways = DIRECTIONS.get(motion, ())
    plain = tuple(f"{_MOVING} {way}" for way in ways)
    return plain + tuple(f"{verb} {way}" for verb in _MOVING_TOO for way in ways[:2])


def _moving_rarely(motion: str) -> tuple[str, ...]:
    ways = DIRECTIONS.get(motion, ())[:2]
    plain = tuple(f"{_MOVING} {way}" for way in _RARE_WAYS.get(motion, ()))
    verbs = _RARE_UP_AND_DOWN.get(motion, ())
    longer = tuple(f"{verb} {way}" for verb in verbs for way in _RARE_WAYS[motion][:1])
    some = tuple(f"{verb} {way}" for verb in _RARE_MOVING for way in ways)
    return plain + verbs * 4 + longer + some


def _moving_unseen(motion: str) -> tuple[str, ...]:
    ways = DIRECTIONS.get(motion, ())[2:]
    plain = tuple(f"{_MOVING} {way}" for way in _UNSEEN_WAYS.get(motion, ()))
    return plain + tuple(f"{verb} {way}" for verb in (*_MOVING_TOO, "drifting") for way in ways)


DOING = {motion: _moving(motion) + _OTHERS[motion] for motion in MOTIONS}
"""What stands behind "a red circle" or "a red circle is", the plainest first."""
RARE_DOING = {motion: _moving_rarely(motion) + _RARE_OTHERS.get(motion, ()) for motion in MOTIONS}
"""The same in few captions."""
UNSEEN_DOING = {
    motion: _moving_unseen(motion) + _UNSEEN_OTHERS.get(motion, ()) for motion in MOTIONS
}
"""The same in no training caption; each of the words is in some."""

_BASES = {
    **{"moving": "move", "sliding": "slide", "going": "go", "traveling": "travel"},
    **{"rising": "rise", "falling": "fall", "growing": "grow", "getting": "get"},
    **{"expanding": "expand", "becoming": "become", "shrinking": "shrink", "standing": "stand"},
    **{"staying": "stay", "drifting": "drift", "floating": "float", "gliding": "glide"},
    **{"heading": "head", "flying": "fly", "travelling": "travel", "running": "run"},
    **{"rolling": "roll", "wandering": "wander", "shifting": "shift", "walking": "walk"},
    **{"coming": "come", "rushing": "rush", "speeding": "speed", "racing": "race"},
    **{"swimming": "swim", "creeping": "creep", "crawling": "crawl", "shooting": "shoot"},
    **{"driving": "drive", "climbing": "climb", "ascending": "ascend", "soaring": "soar"},
    **{"dropping": "drop", "sinking": "sink", "descending": "descend", "swelling": "swell"},
    **{"enlarging": "enlarge", "increasing": "increase", "inflating": "inflate"},
    **{"contracting": "contract", "decreasing": "decrease", "deflating": "deflate"},
    **{"remaining": "remain", "resting": "rest", "sitting": "sit", "holding": "hold"},
    **{"keeping": "keep", "doing": "do", "turning": "turn", "changing": "change"},
    **{"fading": "fade", "switching": "switch"},
}
_FINITES = {"go": "goes", "do": "does", "switch": "switches", "fly": "flies", "rush": "rushes"}


def finite(doing: str) -> str:
    """As behind a subject: "moves up" for "moving up"."""
    if doing == "not moving":
        return "does not move"
    first, *others = doing.split()
    return join(_FINITES.get(_BASES[first], _BASES[first] + "s"), *others)


def infinitive(doing: str) -> str:
    """As behind two subjects: "move up" for "moving up"."""
    if doing == "not moving":
        return "not move"
    first, *others = doing.split()
    return join(_BASES[first], *others)


WAYS = {way: DIRECTIONS[way] + _RARE_WAYS[way] + _UNSEEN_WAYS[way] for way in DIRECTIONS}
"""All the words for a direction."""
_VERBS = (_MOVING, *_MOVING_TOO, *_RARE_MOVING)
_UP_AND_DOWN = {"up": ("rising",), "down": ("falling",)}
_DIRECTED = {way: _UP_AND_DOWN.get(way, ()) + _RARE_UP_AND_DOWN.get(way, ()) for way in WAYS}
GOING_OF = {
    words: motion
    for motion, ways in WAYS.items()
    for words in (
        *_DIRECTED[motion],
        *(f"{verb} {way}" for verb in _VERBS + _DIRECTED[motion] for way in ways),
    )
}
"""Directions by all that says them behind a thing."""
OTHER_OF = by_wording(
    {
        motion: _OTHERS[motion]
        + _RARE_OTHERS[motion]
        + _UNSEEN_OTHERS[motion]
        + _READ_OTHERS.get(motion, ())
        for motion in (*GROWTHS, "still")
    }
)
WAY_OF = by_wording(WAYS)
_DOING_OF = GOING_OF | OTHER_OF
STATE_OF = by_wording(
    {
        "still": (
            *("still", "motionless", "stationary", "static", "unmoving", "immobile", "standing"),
            *("resting", "frozen"),
        ),
        "grow": ("growing", "expanding", "swelling"),
        "shrink": ("shrinking", "contracting"),
        "up": ("rising", "climbing", "ascending"),
        "down": ("falling", "sinking", "dropping", "descending"),
    }
)
"""What stands in front of a thing: "a growing star"."""
MORE_OF = by_wording({"grow": ("bigger", "larger"), "shrink": ("smaller",)})
_STILL_TOO = (
    *("doesn t move", "does not move", "isn t moving", "not moving at all", "don t move"),
    *("does not move at all", "doesn t move at all", "stands", "stand", "standing", "stays"),
    *("staying in one place", "stays in one place", "standing motionless", "stands motionless"),
    *("staying the same", "stays the same", "not doing anything", "staying", "stay", "rests"),
    *(
        "lying there",
        "lies there",
        "standing in place",
        "stands in place",
        "standing in the middle",
    ),
    *("stands in the middle", "stays where it was", "being still", "not move"),
)
MOTION_OF = (
    WAY_OF
    | {form(words): name for form in (str, finite, infinitive) for words, name in _DOING_OF.items()}
    | dict.fromkeys(_STILL_TOO, "still")
    | STATE_OF
    | MORE_OF
)
"""The motions by all their words."""


def _going(form) -> str:
    """A regular expression for the words of GOING_OF in a form."""
    plain = f"{one_of(map(form, _VERBS))} {one_of(WAY_OF)}"
    directed = [
        f"{one_of(map(form, _DIRECTED[way]))}(?: {one_of(WAYS[way])})?" for way in ("up", "down")
    ]
    return one_of((plain, *directed))


GOING, GOES, GO = (_going(form) for form in (str, finite, infinitive))
"""Regular expressions for what moves, in three forms."""
DOING_TEXT = one_of((GOING, *OTHER_OF))
DOES_TEXT = one_of((GOES, *map(finite, OTHER_OF), "doesn t move", "isn t moving"))
DO_TEXT = one_of((GO, *map(infinitive, OTHER_OF)))
"""The same for all that things do."""
_TURNING = ("turning", "becoming", "changing to", "turning to", "fading to")
_TURNING_TOO = (
    *("switching to", "changing colour to", "changing color to", "changing its colour to"),
    *("changing its color to", "turning into", "changing into"),
)
_COLOUR = one_of(COLOUR_OF)


def _turn_text(form) -> str:
    """A regular expression for a change of colour in a form."""
    verbs = one_of(map(form, (*_TURNING, *_TURNING_TOO)))
    both = one_of(map(form, ("turning", "changing", "fading")))
    return rf"(?:{verbs} {_COLOUR}|{both}(?: colou?r)? from {_COLOUR} to {_COLOUR})"


ACTING_TEXT = one_of((DOING_TEXT, _turn_text(str)))
ACTS_TEXT = one_of((DOES_TEXT, _turn_text(finite)))
ACT_TEXT = one_of((DO_TEXT, _turn_text(infinitive)))
"""The same, changes of colour included."""
ANY_TEXT = one_of((ACTING_TEXT, ACTS_TEXT, ACT_TEXT, *_STILL_TOO))


def turning(colour: str, generator: torch.Generator | None) -> str:
    """Words for a change to a colour, as they stand behind a thing."""
    return join(pick(_TURNING, generator), colour)


def colours_in(words: str) -> list[str]:
    """The colours that a text names, in order."""
    return [COLOUR_OF[word] for word in words.split() if word in COLOUR_OF]


LEXICON_OF = WAY_OF | {
    words: motion for words, motion in MOTION_OF.items() if motion not in DIRECTIONS
}
LEXICON_OF |= {
    form(verb): motion
    for motion, verbs in _DIRECTED.items()
    for verb in verbs
    for form in (str, finite, infinitive)
}
"""Words that mean a motion wherever they stand."""
MOVING_WORDS = tuple(form(verb) for verb in _VERBS for form in (str, finite, infinitive))
"""Verbs that mean nothing without a way."""

# Words that say nothing which a clip could show: read, and written in few captions.
_ADVERBS = (
    *("slowly", "quickly", "gently", "smoothly", "steadily", "fast", "gradually"),
    *("rapidly", "calmly", "softly", "swiftly"),
)
_PLACES = (
    *("across the screen", "on the screen", "in the picture", "across the frame"),
    *("in the video", "in the frame", "across the picture"),
)
_FILLERS = (
    *_ADVERBS,
    *("slow", "quick", "please", "just", "simply", "simple", "very", "really", "only", "again"),
    *("back", "away", "off", "straight", "constantly", "continuously", "suddenly", "slightly"),
    *("over time", "all the time", "the whole time", "bit by bit", "little by little", "a bit"),
    *("right away", "directly", "(?<!by )side(?! by)", "edge", "border", "hand"),
    "and nothing else",
)
_PLACE = (
    r"(?:in|on|across|through|over|of|inside|within) (?:the|my) (?:whole )?"
    r"(?:screen|picture|frame|video|clip|image|scene|canvas)"
)
_SAYS_NOTHING = re.compile(rf"\b(?:{_PLACE}|{'|'.join(_FILLERS)})\b")
FILLED = 0.08
"""Share of the motions, of captions in other than the plainest words, that have such a word."""


def without_fillers(words: str) -> str:
    """A spoken text without the words that say nothing."""
    return " ".join(_SAYS_NOTHING.sub(" ", words).split())


def filled(doing: str, generator: torch.Generator | None) -> str:
    """What a thing does, in few captions with a word that says nothing."""
    if generator is None or not chance(FILLED, generator):
        return doing
    adverb = pick(_ADVERBS, generator)
    first, *others = doing.split()
    forms = (
        join(doing, adverb),
        join(adverb, doing),
        join(first, adverb, *others),
        join(doing, pick(_PLACES, generator)),
    )
    return pick(forms, generator)


def any_infinitive(motion: str, generator: torch.Generator | None) -> str:
    """A motion as it stands behind two subjects or "let".

    Few captions have this form: of the rare words it would be too rare to be learned.
    """
    return infinitive(pick(DOING[motion], generator))


def any_doing(motion: str, generator: torch.Generator | None, unseen: bool) -> str:
    """Words for a motion, as they stand behind a thing; the rare ones in few captions."""
    words: Mapping[str, tuple[str, ...]] = DOING
    if unseen:
        words = UNSEEN_DOING
    elif generator is not None and chance(RARE, generator):
        words = RARE_DOING
    return pick(words[motion], generator)


RARE = 0.3
"""Share of the captions, of those in other than the plainest words, that have rare ones."""


def written() -> Iterator[str]:
    """All words for what things do that stand in captions of training, in some texts."""
    for doing in (*DOING.values(), *RARE_DOING.values()):
        yield from doing
        yield from map(finite, doing)
    for doing in DOING.values():
        yield from map(infinitive, doing)
    for form in (str, finite):
        yield from map(form, _TURNING)
    for words in (DIRECTIONS.values(), (MORE_OF, _ADVERBS, _PLACES)):
        for several in words:
            yield from several

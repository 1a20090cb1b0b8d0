"""The sentences of the video world: what people write for one meaning, in many ways.

grammar.py puts scenes into them and reads scenes out of them; here stand words alone.
"""

import re
from collections.abc import Iterable, Mapping

import torch

from lumina_core.media.worlds.captions import by_wording, join, one_of, pick, with_article
from lumina_core.media.worlds.wordings import Wordings
from lumina_core.media.worlds.words import COLOUR_OF, COLOUR_WORDS, SHAPE_OF, SHAPE_WORDS

DIRECTIONS = {
    "left": ("to the left", "left", "leftwards", "towards the left", "from right to left"),
    "right": ("to the right", "right", "rightwards", "towards the right", "from left to right"),
    "up": ("up", "upwards", "upward", "from bottom to top"),
    "down": ("down", "downwards", "downward", "from top to bottom"),
}
GROWTHS = ("grow", "shrink")
EVENTS = (*DIRECTIONS, *GROWTHS)
MOTIONS = (*EVENTS, "still")

_MOVING, _MOVING_TOO = "moving", ("sliding", "going", "traveling")
_OTHERS = {
    "left": (),
    "right": (),
    "up": ("rising",),
    "down": ("falling", "falling down"),
    "grow": ("growing", "getting larger", "getting bigger", "expanding", "becoming bigger"),
    "shrink": ("shrinking", "getting smaller"),
    "still": ("standing still", "staying where it is", "staying still", "not moving"),
}
_UNSEEN_OTHERS = {
    "left": ("moving from the right to the left",),
    "right": ("moving from the left to the right",),
    "up": ("rising up", "moving from the bottom to the top"),
    "down": ("moving from the top to the bottom",),
    "grow": ("becoming larger", "getting bigger and bigger"),
    "shrink": ("becoming smaller", "getting smaller and smaller"),
    "still": ("standing where it is",),
}


def _moving(motion: str, *, unseen: bool) -> tuple[str, ...]:
    """What moves plainly moves in any words; the other verbs and the longer ways never meet."""
    ways = DIRECTIONS.get(motion, ())
    verbs = () if unseen else (_MOVING,)
    plain = tuple(f"{verb} {way}" for verb in verbs for way in ways)
    some = ways[2:] if unseen else ways[:2]
    return plain + tuple(f"{verb} {way}" for verb in _MOVING_TOO for way in some)


DOING = {motion: _moving(motion, unseen=False) + _OTHERS[motion] for motion in MOTIONS}
"""What stands behind "a red circle" or "a red circle is", the plainest first."""
UNSEEN_DOING = {
    motion: _moving(motion, unseen=True) + _UNSEEN_OTHERS.get(motion, ()) for motion in MOTIONS
}
"""The same in no training caption; each of the words is in some."""

_FINITE = {
    **{"moving": "moves", "sliding": "slides", "going": "goes", "traveling": "travels"},
    **{"rising": "rises", "falling": "falls", "growing": "grows", "getting": "gets"},
    **{"expanding": "expands", "becoming": "becomes", "shrinking": "shrinks"},
    **{"standing": "stands", "staying": "stays"},
}


def finite(doing: str) -> str:
    """As behind a subject: "moves up" for "moving up"."""
    if doing == "not moving":
        return "does not move"
    first, *others = doing.split()
    return join(_FINITE[first], *others)


def infinitive(doing: str) -> str:
    """As behind two subjects; there is one for "moving" alone."""
    return doing.replace(_MOVING, "move")


def _by_words(motions: Iterable[str]) -> dict[str, str]:
    return {words: name for name in motions for words in (*DOING[name], *UNSEEN_DOING[name])}


_GERUNDS, _GOING = _by_words(MOTIONS), _by_words(DIRECTIONS)
_FINITES = {finite(words): name for words, name in _GERUNDS.items()}
_GOES = {finite(words): name for words, name in _GOING.items()}
_WAY_OF = by_wording(DIRECTIONS)
_GO = {infinitive(f"{_MOVING} {way}"): name for way, name in _WAY_OF.items()}
MOTION_OF = _GERUNDS | _FINITES | _GO | _WAY_OF
"""The motions by all their words."""

_OF = (
    *("", "a video of", "a clip of", "there is", "an animation of", "a short video of"),
    *("a video with", "show me", "show me a video of", "draw", "please draw", "make"),
    *("make a video of", "create", "create a clip of", "i want", "i want to see"),
)
_WHERE = ("", "", "", "a video where", "a clip where", "an animation where")
_OPENING = (
    r"(?:(?:please )?(?:(?:show(?: me)?|draw|make(?: me)?|create|i want(?: to see)?|there is) )?"
    r"(?:(?:(?:an?|the) )?(?:short )?(?:video|clip|animation) (?:of|with|where) )?)"
)

SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big")}
SIZE_OF = by_wording(SIZES)
_ARTICLES = ("a", "a", "a", "the", "")
_NAMED = (
    rf"(?:(?:an?|the) )?(?:{one_of(SIZE_OF, 'size')} )?(?:{one_of(COLOUR_OF, 'colour')} )?"
    + one_of(SHAPE_OF, "shape")
)
_THING = re.sub(r"\?P<\w+>", "?:", _NAMED)


def named(
    size: str | None, colour: str | None, shape: str, generator: torch.Generator | None
) -> str:
    """A thing as people name it; without a generator in the plainest words."""
    words = join(
        pick(SIZES[size], generator) if size else None,
        coloured(colour, generator) if colour else None,
        pick(SHAPE_WORDS[shape], generator),
    )
    article = pick(_ARTICLES, generator)
    return with_article(words) if article == "a" else join(article, words)


def coloured(colour: str, generator: torch.Generator | None) -> str:
    """A colour as people spell it."""
    return pick(COLOUR_WORDS[colour], generator)


def read_thing(words: str) -> tuple[str | None, str | None, str]:
    """The size, colour and shape that `named` put into words."""
    match = re.fullmatch(_NAMED, words)
    if match is None:
        raise ValueError(f"{words!r} names no thing")
    return SIZE_OF.get(match["size"]), COLOUR_OF.get(match["colour"]), SHAPE_OF[match["shape"]]


WORDINGS = Wordings(
    slots={
        **dict.fromkeys(("of", "where"), _OPENING),
        **dict.fromkeys(("thing", "thing_1", "thing_2"), _THING),
        **dict.fromkeys(("doing_1", "doing_2"), one_of(_GERUNDS)),
        **dict.fromkeys(("does_1", "does_2"), one_of(_FINITES)),
        **{"going_1": one_of(_GOING), "goes_1": one_of(_GOES), "go_1": one_of(_GO)},
        "way_2": one_of(_WAY_OF),
        **dict.fromkeys(("before", "after"), one_of(COLOUR_OF)),
    },
    trained={
        "event": (
            "{of}{thing_1} {doing_1}",
            "{where}{thing_1} {does_1}",
            "{where}{thing_1} is {doing_1}",
            "{of}{thing_1} that is {doing_1}",
        ),
        "order": (
            "{of}{thing_1} {doing_1} and then {doing_2}",
            "{of}{thing_1} (first )?{doing_1} then {doing_2}",
            "{where}{thing_1} {does_1} (and )?then {does_2}",
            "{where}{thing_1} first {does_1} then {does_2}",
            "{where}{thing_1} {does_1} before {doing_2}",
            "{of}{thing_1} that {does_1} and then {does_2}",
        ),
        "order_way": (
            "{of}{thing_1} {going_1} and then {way_2}",
            "{of}{thing_1} (first )?{going_1} then {way_2}",
            "{where}{thing_1} {goes_1} (and )?then {way_2}",
            "{where}{thing_1} is {going_1} and then {way_2}",
        ),
        "two": (
            "{of}{thing_1} {doing_1} and {thing_2} {doing_2}",
            "{where}{thing_1} {does_1} (and )?{thing_2} {does_2}",
            "{where}{thing_1} is {doing_1} and {thing_2} is {doing_2}",
            "{of}{thing_1} {doing_1} while {thing_2} {does_2}",
            "{where}{thing_1} {does_1} (while|as) {thing_2} {does_2}",
        ),
        "both": (
            "{of}{thing_1} and {thing_2} {going_1}",
            "{where}{thing_1} and {thing_2} {go_1}",
            "{where}{thing_1} and {thing_2} are {going_1}",
            "{where}{thing_1} and {thing_2} both {go_1}",
        ),
        "passing": (
            "{of}{thing_1} passing {thing_2}",
            "{where}{thing_1} passes {thing_2}",
            "{where}{thing_1} is passing {thing_2}",
            "{of}{thing_1} moving past {thing_2}",
        ),
        "passing_way": (
            "{of}{thing_1} {going_1} past {thing_2}",
            "{where}{thing_1} {goes_1} past {thing_2}",
            "{where}{thing_1} is {going_1} past {thing_2}",
        ),
        "change": (
            "{of}{thing} (turning|changing) from {before} to {after}",
            "{of}{thing} changing (its )?(colour|color) from {before} to {after}",
            "{where}{thing} (turns|changes|goes) from {before} to {after}",
            "{where}{thing} changes (its )?(colour|color) from {before} to {after}",
            "{of}{thing} that turns from {before} to {after}",
        ),
        "change_to": (
            "{of}{thing} turning {after}",
            "{where}{thing} turns {after}",
            "{where}{thing} (becomes|changes to) {after}",
            "{of}{thing} (becoming|changing to) {after}",
            "{where}{thing} is turning {after}",
        ),
    },
    unseen={
        "event": ("{of}{thing_1} that {does_1}",),
        "order": (
            "{where}{thing_1} is {doing_1} before {doing_2}",
            "{of}{thing_1} that first {does_1} and then {does_2}",
        ),
        "order_way": (
            "{of}{thing_1} that {goes_1} and then {way_2}",
            "{where}{thing_1} first {goes_1} and then {way_2}",
        ),
        "two": (
            "{where}{thing_1} is {doing_1} while {thing_2} is {doing_2}",
            "{of}{thing_1} that {does_1} and {thing_2} that {does_2}",
        ),
        "both": ("{of}{thing_1} and {thing_2} that (both )?{go_1}",),
        "passing": (
            "{of}{thing_1} that passes {thing_2}",
            "{where}{thing_1} (moves|goes) past {thing_2}",
        ),
        "passing_way": ("{of}{thing_1} that {goes_1} past {thing_2}",),
        "change": (
            "{where}{thing} is (turning|changing) from {before} to {after}",
            "{of}{thing} that changes (its )?(colour|color) from {before} to {after}",
        ),
        "change_to": (
            "{of}{thing} that (turns|becomes) {after}",
            "{where}{thing} is becoming {after}",
        ),
    },
)


def openings(generator: torch.Generator | None) -> Mapping[str, str]:
    """Texts of the slots `of` and `where`; without a generator none begins a sentence."""
    texts = {"of": pick(_OF, generator), "where": pick(_WHERE, generator)}
    return {slot: f"{words} " if words else "" for slot, words in texts.items()}

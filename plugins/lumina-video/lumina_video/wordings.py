"""The sentences of the video world: what people write for one meaning, in many ways.

grammar.py puts scenes into them and reads scenes out of them; here stand words alone.
"""

import re
from collections.abc import Mapping

import torch

from lumina_core.media.worlds.captions import by_wording, chance, join, one_of, pick, with_article
from lumina_core.media.worlds.wordings import Wordings
from lumina_core.media.worlds.words import COLOUR_OF, COLOUR_WORDS, SHAPE_OF, SHAPE_WORDS
from lumina_video.motions import DO_TEXT, DOES_TEXT, DOING_TEXT, GO, GOES, GOING, RARE, WAY_OF

_OF = (
    *("", "a video of", "a clip of", "there is", "an animation of", "a short video of"),
    *("a video with", "show me", "show me a video of", "draw", "please draw", "make"),
    *("make a video of", "create", "create a clip of", "i want", "i want to see"),
)
_RARE_OF = (
    *("please draw me", "animate", "generate", "please show", "a movie of", "i would like to see"),
    *(
        "can you draw",
        "here is",
        "we see",
        "you can see",
        "i see",
        "a gif of",
        "a film of",
        "draw me",
    ),
    *("please make me", "give me", "a video showing", "a simple animation of", "render", "just"),
)
_WHERE = ("", "", "", "a video where", "a clip where", "an animation where")
_RARE_WHERE = ("a video in which", "show how", "a short clip where", "a movie where")
_ASKING = (
    *("show", "draw", "make", "create", "generate", "render", "animate", "paint", "produce"),
    *("give", "film", "let s see", "i want to see", "i want", "i need", "there is", "there s"),
    *("here is", "here s", "it is", "i see", "we see", "you see", "you can see", "we can see"),
    *("i would like to see", "i would like", "i d like to see", "i d like", "imagine"),
)
_OPENING = (
    rf"(?:(?:(?:can|could|would) you )?{one_of(_ASKING)} (?:me )?(?:how )?)?"
    r"(?:(?:(?:an?|the) )?(?:short |small |little |brief )?(?:video|clip|animation|movie|film|gif) "
    r"(?:of|with|where|in which|showing|that shows|which shows) )?"
)

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
_NAMED = (
    r"(?:(?:an?|the|one|1|this|that|my|some|single|a single|one single) )?"
    rf"(?P<before>(?:{_SIZE} )?(?:{_COLOUR} (?:coloured |colored )?)?(?:{_SIZE} )?)"
    + one_of(SHAPE_OF, "shape")
    + rf"(?: (?:(?:that is|which is|that s|in|of|coloured|colored) )?"
    rf"(?P<behind>{_COLOUR}|{_SIZE}(?: and {_COLOUR})?))?"
)
_THING = re.sub(r"\?P<\w+>", "?:", _NAMED)


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


WORDINGS = Wordings(
    slots={
        **dict.fromkeys(("of", "where"), _OPENING),
        **dict.fromkeys(("thing", "thing_1", "thing_2"), _THING),
        **dict.fromkeys(("doing_1", "doing_2"), DOING_TEXT),
        **dict.fromkeys(("does_1", "does_2"), DOES_TEXT),
        **{"do_1": DO_TEXT, "do_2": DO_TEXT, "going_1": GOING, "goes_1": GOES, "go_1": GO},
        **dict.fromkeys(("way_1", "way_2"), one_of(WAY_OF)),
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
        "event_rare": (
            "{of}{thing_1} which is {doing_1}",
            "{of}{thing_1} which {does_1}",
            "{of}{thing_1} (and )?it {does_1}",
            "(let|make) {thing_1} {do_1}",
        ),
        "order_rare": (
            "{where}first {thing_1} {does_1} (and )?then (it )?{does_2}",
            "{where}first {thing_1} {does_1} after that it {does_2}",
            "{where}{thing_1} {does_1} (and )?(afterwards|after that|later) (it )?{does_2}",
            "{where}{thing_1} {does_1} then it {does_2}",
            "{of}{thing_1} (first )?{doing_1} (and )?(afterwards|after that) {doing_2}",
            "{where}after {doing_1} {thing_1} {does_2}",
            "{where}{thing_1} {does_2} after {doing_1}",
            "{of}{thing_1} {doing_2} after {doing_1}",
            "{where}before {doing_2} {thing_1} {does_1}",
            "{where}{thing_1} {does_1} before it {does_2}",
            "{of}{thing_1} {doing_1} before {doing_2}",
            "{of}{thing_1} which {does_1} (and )?then {does_2}",
            "{where}{thing_1} {does_1} followed by {doing_2}",
            "{of}{thing_1} {doing_1} followed by {doing_2}",
            "{where}{thing_1} is (first )?{doing_1} (and )?then {doing_2}",
            "(let|make) {thing_1} {do_1} and then {do_2}",
        ),
        "order_way_rare": (
            "{of}{thing_1} moving first {way_1} (and )?then {way_2}",
            "{where}{thing_1} moves first {way_1} (and )?then {way_2}",
            "{where}{thing_1} {goes_1} (and )?(afterwards|after that) {way_2}",
            "{of}{thing_1} {going_1} (and )?(afterwards|after that) {way_2}",
            "{where}first {thing_1} {goes_1} (and )?then {way_2}",
            "(let|make) {thing_1} {go_1} (and )?then {way_2}",
        ),
        "two_rare": (
            "{of}{thing_1} {doing_1} {thing_2} {doing_2}",
            "{of}{thing_1} {doing_1} (while|as) {thing_2} is {doing_2}",
            "{where}(while|as) {thing_1} {does_1} {thing_2} {does_2}",
            "{where}{thing_1} {does_1} and at the same time {thing_2} {does_2}",
            "{of}{thing_1} {doing_1} (next to|beside|with) {thing_2} {doing_2}",
            "{of}{thing_1} which {does_1} and {thing_2} which {does_2}",
            "{where}{thing_1} and {thing_2} one {doing_1} (and )?the other {doing_2}",
            "{where}{thing_1} and {thing_2} the first {does_1} (and )?the second {does_2}",
        ),
        "both_rare": (
            "{of}{thing_1} and {thing_2} both {going_1}",
            "{of}{thing_1} and {thing_2} {going_1} (together|side by side)",
            "{where}{thing_1} and {thing_2} {go_1} (together|side by side)",
            "{where}{thing_1} and {thing_2} are both {going_1}",
            "{of}{thing_1} {going_1} (together|along) with {thing_2}",
            "{where}{thing_1} {goes_1} (together|along) with {thing_2}",
        ),
        "above": (
            "{of}{thing_1} (above|over) {thing_2} both {going_1}",
            "{of}{thing_2} (below|under) {thing_1} both {going_1}",
            "{where}{thing_1} above {thing_2} (both )?{go_1}",
            "{of}{thing_1} above {thing_2} {going_1} together",
        ),
        "beside": (
            "{of}{thing_1} left of {thing_2} both {going_1}",
            "{of}{thing_1} to the left of {thing_2} both {going_1}",
            "{of}{thing_2} (to the )?right of {thing_1} both {going_1}",
            "{where}{thing_1} (to the )?left of {thing_2} both {go_1}",
        ),
        "passing_rare": (
            "{of}{thing_1} passing by {thing_2}",
            "{where}{thing_1} passes by {thing_2}",
            "{of}{thing_1} which passes {thing_2}",
            "{of}{thing_1} (going|moving) by {thing_2}",
            "{of}{thing_1} (going|flying|sliding|driving|running|drifting) past {thing_2}",
            "{where}{thing_1} (flies|slides|drives|runs|drifts) past {thing_2}",
            "{where}{thing_2} is passed by {thing_1}",
            "{of}{thing_2} passed by {thing_1}",
            "{where}{thing_1} overtakes {thing_2}",
            "{of}{thing_1} overtaking {thing_2}",
            "(let|make) {thing_1} (pass|move past|go past) {thing_2}",
        ),
        "passing_way_rare": (
            "{of}{thing_1} {going_1} by {thing_2}",
            "{of}{thing_1} {going_1} (and )?passing {thing_2}",
            "{where}{thing_1} {goes_1} and passes {thing_2}",
            "{where}{thing_1} passes {thing_2} while (it is )?{going_1}",
            "{of}{thing_1} passing {thing_2} while {going_1}",
            "{of}{thing_1} moving past {thing_2} {way_1}",
            "{where}{thing_1} moves past {thing_2} {way_1}",
        ),
        "change_rare": (
            "{of}{thing} (fading|switching|shifting|going) from {before} to {after}",
            "{where}{thing} (fades|switches|shifts) from {before} to {after}",
            "{where}the (colour|color) of {thing} changes from {before} to {after}",
            "{of}{thing} which (turns|changes) from {before} to {after}",
            "{of}{thing} first {before} (and )?then {after}",
            "{where}{thing} is first {before} (and )?then {after}",
            "(let|make) {thing} (turn|change) from {before} to {after}",
        ),
        "change_to_rare": (
            "{of}{thing} (fading|switching|turning) to {after}",
            "{where}{thing} (fades|switches|turns) to {after}",
            "{where}{thing} changes (its )?(colour|color) to {after}",
            "{of}{thing} changing (its )?(colour|color) to {after}",
            "{where}{thing} (and )?then (turns|becomes) {after}",
            "{where}{thing} (turns|changes) into {after}",
            "{of}{thing} (turning|changing) into {after}",
            "{of}{thing} which (turns|becomes) {after}",
            "(let|make) {thing} (turn|become) {after}",
        ),
    },
    unseen={
        "event": ("{of}{thing_1} that {does_1}",),
        "order": (
            "{where}{thing_1} is {doing_1} before {doing_2}",
            "{of}{thing_1} that first {does_1} and then {does_2}",
            "{of}{thing_1} that {does_2} after {doing_1}",
        ),
        "order_way": (
            "{of}{thing_1} that {goes_1} and then {way_2}",
            "{where}{thing_1} first {goes_1} and then {way_2}",
        ),
        "two": (
            "{where}{thing_1} is {doing_1} while {thing_2} is {doing_2}",
            "{of}{thing_1} that {does_1} and {thing_2} that {does_2}",
            "{where}while {thing_1} {does_1} {thing_2} is {doing_2}",
        ),
        "both": ("{of}{thing_1} and {thing_2} that (both )?{go_1}",),
        "passing": (
            "{of}{thing_1} that passes {thing_2}",
            "{of}{thing_2} that is passed by {thing_1}",
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
    is_rare = generator is not None and chance(RARE / 2, generator)
    texts = {
        "of": pick(_RARE_OF if is_rare else _OF, generator),
        "where": pick(_RARE_WHERE if is_rare else _WHERE, generator),
    }
    return {slot: f"{words} " if words else "" for slot, words in texts.items()}


def any_name(name: str, generator: torch.Generator | None, unseen: bool) -> str:
    """The key of a meaning's sentences, or of its rare ones."""
    if generator is None or unseen or not chance(RARE, generator):
        return name
    return f"{name}_rare"

"""The sentences of the video world: what people write for one meaning, in many ways.

grammar.py puts scenes into them and reads scenes out of them; here stand words alone.
"""

from collections.abc import Iterator, Mapping

import torch

from lumina_core.media.worlds.captions import chance, one_of, pick
from lumina_core.media.worlds.wordings import Wordings
from lumina_core.media.worlds.words import COLOUR_OF
from lumina_video.motions import (
    ACT_TEXT,
    ACTING_TEXT,
    ACTS_TEXT,
    ANY_TEXT,
    DO_TEXT,
    DOES_TEXT,
    DOING_TEXT,
    GO,
    GOES,
    GOING,
    MORE_OF,
    RARE,
    STATE_OF,
    WAY_OF,
)
from lumina_video.names import ARTICLE, BARE, PAIR, THING

_OF = (
    *("", "a video of", "a clip of", "there is", "an animation of", "a short video of"),
    *("a video with", "show me", "show me a video of", "draw", "please draw", "make"),
    *("make a video of", "create", "create a clip of", "i want", "i want to see"),
)
_RARE_OF = (
    *("please draw me", "animate", "generate", "please show", "a movie of", "i would like to see"),
    *("can you draw", "here is", "we see", "you can see", "i see", "a gif of", "a film of"),
    "draw me",
    *("please make me", "give me", "a video showing", "a simple animation of", "render", "just"),
)
_WHERE = ("", "", "", "a video where", "a clip where", "an animation where")
_RARE_WHERE = ("a video in which", "show how", "a short clip where", "a movie where")
_ASKING = (
    *("show", "draw", "make", "create", "generate", "render", "animate", "paint", "produce"),
    *(
        "let",
        "give",
        "film",
        "let s see",
        "i want to see",
        "i want",
        "i need",
        "there is",
        "there s",
    ),
    *("here is", "here s", "it is", "i see", "we see", "you see", "you can see", "we can see"),
    *("i would like to see", "i would like", "i d like to see", "i d like", "imagine"),
)
_OPENING = (
    rf"(?:(?:(?:(?:can|could|would) you )?{one_of(_ASKING)}|(?:can|could|may) i (?:get|have|see)) "
    r"(?:me )?(?:how )?)?"
    r"(?:(?:(?:an?|the) )?(?:short |small |little |brief )?(?:video|clip|animation|movie|film|gif) "
    r"(?:of|with|where|in which|showing|that shows|which shows) )?"
)

_LINK = r"(?:(?:that|which|it|and it|who) )?(?:is |are )?(?:first )?"
_THEN = (
    r"(?:and )?(?:then|after that|afterwards|after which|later|next|finally|before|followed by) "
    r"(?:it )?(?:is )?"
)


WORDINGS = Wordings(
    slots={
        **dict.fromkeys(("of", "where"), _OPENING),
        **dict.fromkeys(("thing", "thing_1", "thing_2"), THING),
        **dict.fromkeys(("doing_1", "doing_2"), DOING_TEXT),
        **dict.fromkeys(("does_1", "does_2"), DOES_TEXT),
        **{"do_1": DO_TEXT, "do_2": DO_TEXT, "going_1": GOING, "goes_1": GOES, "go_1": GO},
        **dict.fromkeys(("acting_1", "acting_2"), ACTING_TEXT),
        **dict.fromkeys(("acts_1", "acts_2"), ACTS_TEXT),
        **dict.fromkeys(("act_1", "act_2"), ACT_TEXT),
        **dict.fromkeys(("acting_any_1", "acting_any_2"), ANY_TEXT),
        **dict.fromkeys(("way_1", "way_2"), one_of(WAY_OF)),
        **dict.fromkeys(("more_1", "more_2"), one_of(MORE_OF)),
        **dict.fromkeys(("state_1", "state_2"), one_of(STATE_OF)),
        **{"bare_thing_1": BARE, "bare_thing_2": BARE, "pair": PAIR},
        **{"a": ARTICLE, "a_too": ARTICLE},
        **{"link": _LINK, "link_too": _LINK, "then": _THEN},
        **dict.fromkeys(("before", "after"), one_of(COLOUR_OF)),
    },
    trained={
        "event": (
            "{of}{thing_1} {doing_1}",
            "{where}{thing_1} {does_1}",
            "{where}{thing_1} is {doing_1}",
            "{of}{thing_1} that is {doing_1}",
            "(let|make|i want to see|show how) {thing_1} {do_1}",
        ),
        "order": (
            "{of}{thing_1} {acting_1} and then {acting_2}",
            "{of}{thing_1} (first )?{acting_1} then {acting_2}",
            "{where}{thing_1} {acts_1} (and )?then {acts_2}",
            "{where}{thing_1} first {acts_1} then {acts_2}",
            "{where}{thing_1} {acts_1} before {acting_2}",
            "{of}{thing_1} that {acts_1} and then {acts_2}",
        ),
        "order_way": (
            "{of}{thing_1} {going_1} and then {way_2}",
            "{of}{thing_1} (first )?{going_1} then {way_2}",
            "{where}{thing_1} {goes_1} (and )?then {way_2}",
            "{where}{thing_1} is {going_1} and then {way_2}",
        ),
        "order_size": (
            "{of}{thing_1} getting {more_1} and then {more_2}",
            "{where}{thing_1} (gets|grows) {more_1} (and )?then {more_2}",
            "{where}{thing_1} first gets {more_1} then {more_2}",
            "{of}{thing_1} (first )?(getting|becoming) {more_1} then {more_2}",
        ),
        "pair_both": (
            "{of}{pair} {doing_1}",
            "{where}{pair} {do_1}",
            "{where}{pair} are {doing_1}",
            "{where}{pair} both {do_1}",
        ),
        "pair_two": (
            "{of}{pair} one {acting_1} and the other {acting_2}",
            "{where}{pair} one {acts_1} and the other {acts_2}",
            "{of}{pair} one {acting_1} the other {acting_2}",
            "{where}{pair} one {acts_1} (and )?the other one {acts_2}",
        ),
        "two": (
            "{of}{thing_1} {acting_1} and {thing_2} {acting_2}",
            "{where}{thing_1} {acts_1} (and )?{thing_2} {acts_2}",
            "{where}{thing_1} is {acting_1} and {thing_2} is {acting_2}",
            "{of}{thing_1} {acting_1} while {thing_2} {acts_2}",
            "{where}{thing_1} {acts_1} (while|as) {thing_2} {acts_2}",
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
            "{doing_1} {thing_1}",
        ),
        "order_rare": (
            "{where}first {thing_1} {acts_1} (and )?then (it )?{acts_2}",
            "{where}first {thing_1} {acts_1} after that it {acts_2}",
            "{where}{thing_1} {acts_1} (and )?(afterwards|after that|later|later) (it )?{acts_2}",
            "{where}{thing_1} {acts_1} then it {acts_2}",
            "{of}{thing_1} (first )?{acting_1} (and )?(afterwards|after that) {acting_2}",
            "{where}after {acting_1} {thing_1} {acts_2}",
            "{where}{thing_1} {acts_2} after {acting_1}",
            "{of}{thing_1} {acting_2} after {acting_1}",
            "{where}before {acting_2} {thing_1} {acts_1}",
            "{where}{thing_1} {acts_1} before it {acts_2}",
            "{of}{thing_1} {acting_1} before {acting_2}",
            "{of}{thing_1} which {acts_1} (and )?then {acts_2}",
            "{where}{thing_1} {acts_1} followed by {acting_2}",
            "{of}{thing_1} {acting_1} followed by {acting_2}",
            "{where}{thing_1} is (first )?{acting_1} (and )?then {acting_2}",
            "(let|make) {thing_1} {act_1} and then {act_2}",
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
            "{of}{thing_1} {acting_1} {thing_2} {acting_2}",
            "{of}{thing_1} {acting_1} (while|as) {thing_2} is {acting_2}",
            "{where}(while|as) {thing_1} {acts_1} {thing_2} {acts_2}",
            "{where}{thing_1} {acts_1} and at the same time {thing_2} {acts_2}",
            "{of}{thing_1} {acting_1} (next to|beside|with) {thing_2} {acting_2}",
            "{of}{thing_1} which {acts_1} and {thing_2} which {acts_2}",
            "{where}{thing_1} and {thing_2} one {acting_1} (and )?the other {acting_2}",
            "{where}{thing_1} and {thing_2} the first {acts_1} (and )?the second {acts_2}",
        ),
        "both_rare": (
            "{of}{thing_1} and {thing_2} both {going_1}",
            "{of}{thing_1} and {thing_2} {going_1} together",
            "{where}{thing_1} and {thing_2} {go_1} together",
            "{where}{thing_1} and {thing_2} are both {going_1}",
            "{of}{thing_1} {going_1} together with {thing_2}",
            "{where}{thing_1} {goes_1} together with {thing_2}",
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
            *["(let|make) {thing_1} (pass|move past) {thing_2}"] * 2,
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
            "{where}{thing} (fades|switches|switches|shifts) from {before} to {after}",
            "{where}the (colour|color) of {thing} changes from {before} to {after}",
            "{of}{thing} which (turns|changes) from {before} to {after}",
            "{of}{thing} first {before} (and )?then {after}",
            "{where}{thing} is first {before} (and )?then {after}",
            "{of}{thing} {before} at first (and )?then {after}",
            "(let|make) {thing} turn from {before} to {after}",
        ),
        "change_to_rare": (
            "{of}{thing} (fading|switching|switching|turning) to {after}",
            "{where}{thing} (fades|switches|turns) to {after}",
            "{where}{thing} changes (its )?(colour|color) to {after}",
            "{of}{thing} changing (its )?(colour|color) to {after}",
            "{where}{thing} (and )?then (turns|becomes) {after}",
            "{where}{thing} (turns|changes) into {after}",
            "{of}{thing} (turning|changing) into {after}",
            "{of}{thing} which (turns|becomes) {after}",
            "(let|make|i want to see) {thing} (turn|become) {after}",
        ),
    },
    unseen={
        "event": ("{of}{thing_1} that {does_1}",),
        "order": (
            "{where}{thing_1} is {acting_1} before {acting_2}",
            "{of}{thing_1} that first {acts_1} and then {acts_2}",
            "{of}{thing_1} that {acts_2} after {acting_1}",
        ),
        "order_way": (
            "{of}{thing_1} that {goes_1} and then {way_2}",
            "{where}{thing_1} first {goes_1} and then {way_2}",
        ),
        "two": (
            "{where}{thing_1} is {acting_1} while {thing_2} is {acting_2}",
            "{of}{thing_1} that {acts_1} and {thing_2} that {acts_2}",
            "{where}while {thing_1} {acts_1} {thing_2} is {acting_2}",
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
        "order_size": ("{of}{thing_1} that gets {more_1} and then {more_2}",),
        "pair_both": ("{of}{pair} that (both )?{do_1}",),
        "pair_two": ("{of}{pair} of which one {acts_1} and the other {acts_2}",),
        "event_read": (
            "{of}{thing_1} {link}{acting_any_1}",
            "{of}{a}{state_1} {bare_thing_1}",
            "{of}{thing_1} {link}{state_1}",
            "{acting_any_1} {thing_1}",
        ),
        "order_read": (
            "{of}(first )?{thing_1} {link}{acting_any_1} {then}{acting_any_2}",
            "{of}{thing_1} {link}{acting_any_1} {link_too}and {then}{acting_any_2}",
        ),
        "order_size_read": (
            "{of}(first )?{thing_1} {link}(gets|get|getting|becomes|becoming|grows|growing) "
            "{more_1} {then}(gets |get |getting |becomes |becoming )?{more_2}",
        ),
        "order_way_read": ("{of}(first )?{thing_1} {link}{acting_any_1} {then}{way_2}",),
        "swing_read": ("{of}{thing_1} {link}{acting_any_1} and {way_2}",),
        "two_read": (
            "{of}{thing_1} {link}{acting_any_1} (and |while |as |but |whereas )?{thing_2} "
            "{link_too}{acting_any_2}",
            "{of}{thing_1} {link}{acting_any_1} (and|while|next to|beside|by|with|near) "
            "{a}{state_2} {bare_thing_2}",
            "{of}{a}{state_1} {bare_thing_1} (and|next to|beside|with|near) {thing_2} "
            "{link_too}{acting_any_2}",
            "{of}{a}{state_1} {bare_thing_1} (and|next to|beside|with|near) {a_too}{state_2} "
            "{bare_thing_2}",
            "{of}{thing_1} {link}{acting_any_1} (and|while|next to|beside|with|near) {thing_2} "
            "{link_too}{state_2}",
        ),
        "both_read": (
            "{of}{thing_1} and {thing_2} (that |which )?(are )?(both )?{acting_any_1}"
            "( together| side by side)?",
            "{of}{thing_1} {link}{acting_any_1} along with {thing_2}",
        ),
        "pair_both_read": (
            "{of}{pair} (that |which )?(are )?(both )?{acting_any_1}( together| side by side)?",
            "{of}{pair} (that |which )?(are )?(both )?{state_1}",
        ),
        "pair_two_read": (
            "{of}{pair} (where |the )?(one|first|first one) {link}{acting_any_1} (and )?(while )?"
            "(the )?(other|other one|second|second one) {link_too}{acting_any_2}",
        ),
        "passing_read": (
            "{of}{thing_1} {link}(pass|passing|passes|overtake|overtaking|overtakes|go past)( by)? "
            "{thing_2}",
        ),
        "passing_way_read": (
            "{of}{thing_1} {link}{acting_any_1} (past|by|and passing|and passes|passing) {thing_2}",
        ),
        "change_read": (
            "{of}{thing} {link}(turn|change|go|fade)(s|ing)?( its)?( colour| color)? from {before} "
            "to {after}",
            "{of}{thing} {link}(turning|changing|fading)( its)?( colour| color)? from {before} "
            "to {after}",
            "{of}{thing} {before} (at first|first|at the start|in the beginning|at the beginning) "
            "(and |but )?(then |later |afterwards )?{after}( at the end| later| afterwards)?",
        ),
        "change_to_read": (
            "{of}{thing} {link}(turn|become|turns|becomes|turning|becoming)( to| into)? {after}",
            "{of}{thing} {link}(change|changes|changing)( its)?( colour| color)? (to|into) {after}",
        ),
    },
)


def written() -> Iterator[str]:
    """All texts of which captions of training take the words between things and what they do."""
    yield from (*_OF, *_RARE_OF, *_WHERE, *_RARE_WHERE)
    yield from WORDINGS.written()


def openings(generator: torch.Generator | None) -> Mapping[str, str]:
    """Texts of the slots `of` and `where`; without a generator none begins a sentence."""
    is_rare = generator is not None and chance(RARE / 2, generator)
    texts = {
        "of": pick(_RARE_OF if is_rare else _OF, generator),
        "where": pick(_RARE_WHERE if is_rare else _WHERE, generator),
    }
    return {slot: f"{words} " if words else "" for slot, words in texts.items()}


def any_more(motion: str, generator: torch.Generator | None) -> str:
    """What something gets that grows or shrinks."""
    return pick([words for words, meant in MORE_OF.items() if meant == motion], generator)


def any_name(name: str, generator: torch.Generator | None, unseen: bool) -> str:
    """The key of a meaning's sentences, or of its rare ones."""
    if generator is None or unseen or not chance(RARE, generator):
        return name
    return f"{name}_rare"

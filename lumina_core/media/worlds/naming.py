"""For plugins: how people name flat shapes and their background, read by marks.

It holds words that are only read; things.py puts them together. What stands between things, and
what they do, a world knows.
"""

from lumina_core.media.worlds.captions import NUMBERS, by_wording
from lumina_core.media.worlds.marks import Word
from lumina_core.media.worlds.phrases import said
from lumina_core.media.worlds.words import (
    BACKGROUND_WORDS,
    COLOUR_OF,
    COLOURS,
    PLURAL_WORDS,
    SHAPE_WORDS,
)

_COLOURS_READ = {
    "red": "(crimson|scarlet|ruby|cherry red|blood red|fire red|ruby red)",
    "green": "(lime|emerald|lime green|grass green|emerald green|light green)",
    "blue": "(azure|cobalt|sapphire|royal blue|sky blue|light blue)",
    "yellow": "(golden|gold|lemon|lemon yellow|sunny yellow)",
    "purple": "(lilac|mauve)",
    "white": "(snow white|snowy white|pure white)",
    "grey": "(silver|light grey|light gray|silver grey|silver gray|greyish|grayish)",
}
_SHAPES_READ = {
    "circle": "(round circle|round ball|sphere|bubble|round disc|round disk|round dot)",
    "cross": "(plus symbol|cross sign|cross symbol|plus shape|cross shape)",
    "star": "(five pointed star|5 pointed star|star shape|starlet)",
    "snowman": "(snow man|snowperson)",
    "square": "(box shape|quadratic box)",
}
_PLURALS_READ = {
    "circle": "(round circles|round balls|spheres|bubbles)",
    "cross": "(plus symbols|cross signs|plus|plusses)",
    "star": "(five pointed stars)",
    "snowman": "(snow men|snowmans)",
}
SIZES_READ = {
    "small": (
        "(small|tiny|little|mini|miniature|wee|smaller|smallest|minuscule|petite|teeny|teensy"
        "|itty bitty|teeny tiny|smallish|littler|tinier|minute|baby|compact)"
    ),
    "large": (
        "(large|big|huge|giant|larger|bigger|largest|biggest|enormous|gigantic|massive|great"
        "|colossal|humongous|oversized|immense|vast|mega|ginormous|biggish|grand|jumbo)"
    ),
}
_DARK = ""
"""What a dark background is: one of those that a caption leaves free."""
_NOTHING = (
    "(maybe|perhaps|kind of|sort of|totally|again|first of all|and now)",
    "(simple|plain|nice|bright|solid|filled|coloured|colored|sized|medium|normal|regular|flat)",
    "(average|lone|lonely|lovely|cute|beautiful|perfect|clear|uniform|single|clean|basic|big old)",
    "(identical|equal|similar|matching|neat|funny|pure|entire|whole|completely|entirely|purely)",
    "(medium|normal|average|regular) (size|sized|in size)",
    "(sweet|fine|cool|good|typical|ordinary|usual|tidy|minimalist|minimal|minimalistic|shiny)",
    "(in |of |)(colour|color|size|shade|hue|tone)",
    "the (colour|color|size) of",
    "nothing (but|except|other than|more than|else than)",
    "(and |)(nothing else|nothing more|that s it|that is it|that s all|no more|nothing besides)",
    "(in total|altogether|all in all|by itself|on its own|by themselves|all alone|alone)",
    "(can be|is|are|to be|be|being|) (seen|visible|shown|depicted|displayed|drawn|pictured)",
    "in the foreground",
    "(where is|where are|in which|depicting|containing|featuring|consisting of|where)",
    "(add|put|place|do)( me| us| for me|)",
    "(depict|design|set|position|illustrate|arrange|include|insert|use|gives)",
    "(prepare|provide|present|build|compose|picture|visualize|visualise|plot|drop in|imagine)",
    "(to |)(place|put|fill|fill in)",
    "(placing|putting|to|say|called|namely|like|such as|for example|can|order|ask for|ask|request)",
    "(thinking|dreaming) (of|about)",
    "(imagining|visualizing|thinking|picturing|this|it s about|about|here s what)",
    "(over |right |) (here|there)",
    "(contain|contains|includes|dream|favourite|favorite|show what|see what)",
    "without (anything|anyone|anything else|any other thing|other things|others|more)",
)
_PICTURES = (
    "(picture|photo|photograph|image|drawing|painting|illustration|sketch|graphic|pic|flag|sign"
    "|logo|card|design|cover)"
)
_FILMS = (
    "(video|clip|animation|movie|film|gif|short|sequence|scene|poster|composition|icon|artwork)"
)
_SMALL = "(small |little |tiny |big |large |short |brief |)"
_OF_PICTURES = (
    *(
        f"{_SMALL}{kind}( of| with| showing| that shows| which shows| that has| where| shows|)"
        for kind in (_PICTURES, _FILMS)
    ),
    f"{_SMALL}{_PICTURES} in which",
    f"{_SMALL}{_FILMS} in which",
    f"{_PICTURES} (featuring|containing|that contains|contains|has|depicting|in which there is)",
    f"{_FILMS} (featuring|containing|that contains|contains|has|depicting|in which there is)",
    f"(in|on|inside|within|of) (the|this|my|a) {_PICTURES}",
    f"(in|on|inside|within|of) (the|this|my|a) {_FILMS}",
)
_BEHIND = (
    "(all |everywhere |)(behind|around)( it| them| him| her| everything| that|)",
    "(in|as|for) (the |a |its |)(background|backdrop)",
    "(everywhere else|all over|in the back|at the back)",
)
PHRASES: dict[str, tuple[Word, ...]] = {
    **said("", *_NOTHING, *_OF_PICTURES),
    **said(
        ",", "(,|/)", "(like this|as follows|so that|such that|in front of which hangs|which reads)"
    ),
    **said(":", ":"),
    **said(".", "."),
    **said("a", "(a|an|another|some|any|each|my|our|your)", value="a"),
    **said("a", "(the|this|these|those|said|its|their|such a)", value="the"),
    **said("1", "(1x|x1|1 x|x 1)"),
    **said("1", "(one|1|a single|just one|exactly one|only one|one single|1 single|a lone)"),
    **said("1", "(one|1) (of them|of these|of those|of the two|in|of it)"),
    **said("1", "(the|) first( one|)"),
    **said("U", "the (other|second)( one|)", "another( one|)"),
    **said("O", "ones"),
    **said("m", "of (them|these|those)"),
    **said("p", "(it|him|her|he|she)"),
    **said("p", "(they|them)", value="all"),
    **said("B", "(both|all|each)( of them| of these| of those| of which|)"),
    **said("b", "(is|are|s|be|being|was|am|to be|has to be|have to be|should be|must be|will be)"),
    **said("b", "(shall be|needs to be|need to be|ought to be|can be|could be|may be|would be)"),
    **said("t", "(that|which|who|of which|and that|and which)"),
    **said("j", "(the|its|their|whose|with|with the|) (colour|color|size) (is|being|should be)"),
    **said("i", "(in|painted|painted in|drawn in|done in|coloured in|colored in|in the)"),
    **said("i", "(in|of|with) (the |a |) (colour|color|size)( of|)"),
    **said("o", "of"),
    **said("u", "(on|upon|onto|against|in front of|before|set against|set on|all on)"),
    **said("&", "(and|with|plus|but|with also|and also|together with|along with|as well as)"),
    **said("&", "(besides|accompanied by|alongside with|and then|and next|having|has|and with)"),
    **said("G", "(background|backdrop|bg|back ground|canvas|page|paper|wall|field|surface|ground)"),
    **said("G", "(background|backdrop) (colour|color)", "(board|sky|sheet of paper)"),
    **said("h", *_BEHIND),
    **said("E", "everything( else|)", "(all|anything) else", "the (rest|remainder)"),
    **said("E", "the (whole|entire) (picture|thing|image|frame|screen|scene|video)"),
    **said("X", "(except|apart from|but for|except for|save for|aside from|other than)"),
    **said("e", "(look|looks|looking) like"),
    **said("Q", "(object|thing|shape) (b|c)", value=1),
    **said("R", "respectively", "in (that|this) order"),
    **said("Q", "(thing|object|shape|figure|item|element|subject|form|foreground|fg)", value=1),
    **said(
        "Q", "(different |)(things|objects|shapes|figures|items|elements|forms|colours)", value=2
    ),
}
"""What each word may do, but for the words of things themselves."""
for _count, _word in enumerate(NUMBERS[1:], start=2):
    PHRASES |= said("n", f"(exactly |just |only |the |some |)({_word}|{_count})", value=_count)
    PHRASES |= said("n", f"({_count}x|{_count} x|x{_count}|x {_count})", value=_count)
    PHRASES |= said("n", f"(a |the |) (group|set|row of|bunch) of {_word}", value=_count)
PHRASES |= said("n", "(a |the |) (pair|couple|duo)( of|)", "a few of two", value=2)
PHRASES |= said("n", "(a |the |) (trio|triple)( of|)", value=3)
for _colour, _words in (*by_wording(BACKGROUND_WORDS).items(), ("dark", _DARK)):
    PHRASES |= said("k", _colour, value=_words)
for _colour in COLOURS:
    PHRASES |= said("c", _COLOURS_READ.get(_colour, _colour), value=_colour)
PHRASES |= {words: (("c", colour),) for words, colour in COLOUR_OF.items()}
for _mark, _shapes, _more in (
    ("N", SHAPE_WORDS, _SHAPES_READ),
    ("P", PLURAL_WORDS, _PLURALS_READ),
):
    for _shape, _several in _shapes.items():
        PHRASES |= said(_mark, *_several, _more.get(_shape, _several[0]), value=_shape)
for _size, _text in SIZES_READ.items():
    PHRASES |= said("s", f"{_text}( sized| size| scale|)", f"in {_text} size", value=_size)
PHRASES |= said("x", "plus")
SPELT = tuple(
    words
    for words, meant in PHRASES.items()
    if " " not in words and any(mark in "cksNP" for mark, _ in meant)
)
"""Colours, sizes and shapes, which may be misspelt."""

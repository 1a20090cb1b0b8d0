"""A small world: two halves that a caption describes, drawn at any size, and judged.

The oracle (`judge`) shares only the words with the renderer (`draw`): it measures what it is given.
"""

from collections.abc import Mapping
from itertools import permutations, product
from typing import Any

import torch
from torch import Tensor

from lumina_core import LuminaError, World
from lumina_core.media.worlds.captions import check_split, pick, pick_two, plain_words
from lumina_core.media.worlds.lexicon import Lexicon, spoken

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 230), "black": (0, 0, 0)}
RELATIONS = ("over", "beside")  # which half is the first one: the upper or the left
CAPTIONS = tuple(
    f"{first} {relation} {second}"
    for (first, second), relation in product(permutations(COLOURS, 2), RELATIONS)
)
LEXICON = Lexicon({word: ("word", word) for word in (*COLOURS, *RELATIONS)})
TASKS = ("halves",)
HELD_OUT = frozenset({("red", "beside", "green"), ("blue", "over", "red")})  # never trained
SHADES = (0.8, 1.0)  # how bright a picture is, by chance
MAX_DISTANCE = 60.0  # grey levels from a colour
_SIZES = ((1, 24, 24), (1, 16, 32), (2, 32, 16), (1, 32, 32))  # frames, height, width
_VARIANTS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "trained": tuple({"frames": f, "height": h, "width": w} for f, h, w in _SIZES),
    "held_out": ({"height": 24, "width": 24},),
    "unseen_sizes": ({"height": 48, "width": 48}, {"frames": 3, "height": 24, "width": 24}),
}


class MymodalityWorld(World):
    """Captions, the frames they describe, and the verdict on what claims to be some."""

    version = "1"
    splits = tuple(_VARIANTS)

    def tasks(self, split: str) -> tuple[str, ...]:
        """The tasks of a split."""
        check_split("mymodality", split, self.splits)
        return TASKS

    def caption(self, split: str, generator: torch.Generator, task: str | None = None) -> str:
        """A random caption; only those of "held_out" name a combination that is held out."""
        check_split("mymodality", split, self.splits)
        while True:
            first, second = pick_two(tuple(COLOURS), generator)
            words = (first, pick(RELATIONS, generator), second)
            if (words in HELD_OUT) == (split == "held_out"):
                return " ".join(words)

    def task_of(self, caption: str) -> str:
        """The task to which a caption belongs. Raises LuminaError if it belongs to none."""
        _parse(caption)
        return TASKS[0]

    def nearest(self, text: str) -> str | None:
        """The caption that says most of what a text says; None where the text is a caption."""
        if spoken(text) in CAPTIONS:
            return None
        return LEXICON.ranked(LEXICON.understood(text), CAPTIONS)[0]

    def variants(self, split: str) -> tuple[Mapping[str, Any], ...]:
        """The sizes of a split's frames."""
        check_split("mymodality", split, self.splits)
        return _VARIANTS[split]

    def draw(self, caption: str, options: Any, generator: torch.Generator) -> Tensor:
        """Draw what the caption says at the size that the options say."""
        first, relation, second = _parse(caption)
        rows, columns = torch.arange(options.height), torch.arange(options.width)
        is_second = (
            (rows >= options.height / 2)[:, None].expand(-1, options.width)
            if relation == "over"
            else (columns >= options.width / 2)[None].expand(options.height, -1)
        )
        low, high = SHADES
        shade = low + (high - low) * torch.rand((), generator=generator).item()
        colours = [torch.tensor(COLOURS[name])[:, None, None] * shade for name in (first, second)]
        frame = torch.where(is_second, colours[1], colours[0]).round().to(torch.uint8)
        return frame.expand(options.frames, -1, -1, -1).clone()

    def judge(self, media: Tensor, caption: str, options: Any) -> dict[str, bool]:
        """Say for each word of the caption whether the frames show it."""
        first, relation, second = _parse(caption)
        axis = 2 if relation == "over" else 3
        upper, lower = media.float().chunk(2, dim=axis)
        return {
            "first": all(_is(frame, first) for frame in upper),
            "second": all(_is(frame, second) for frame in lower),
        }


def _is(frame: Tensor, colour: str) -> bool:
    """Whether nine pixels in ten are nearest to a colour, and not far from it."""
    distances = torch.stack(
        [(frame - torch.tensor(rgb)[:, None, None]).norm(dim=0) for rgb in COLOURS.values()]
    )
    own = tuple(COLOURS).index(colour)
    is_right = (distances.argmin(dim=0) == own) & (distances[own] <= MAX_DISTANCE)
    return is_right.float().mean().item() >= 0.9


def _parse(caption: str) -> tuple[str, str, str]:
    words = plain_words(caption).split()
    is_known = len(words) == 3 and words[0] in COLOURS and words[1] in RELATIONS
    if is_known and words[2] in COLOURS and words[0] != words[2]:
        return words[0], words[1], words[2]
    raise LuminaError(
        f"{caption!r} is no caption of the mymodality world; write, say, 'red over blue'."
    )

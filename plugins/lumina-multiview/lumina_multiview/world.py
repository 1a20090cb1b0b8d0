"""The synthetic multi-view world: solids of one or two colours, from any side at any size.

What is drawn depends on the caption and the cameras; the scale is left to chance, and a colour
where the caption leaves it open. It does not judge views: oracle.py does, and shares only the
grammar with this file.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from lumina_core.media.worlds.caption_worlds import UNSEEN_WORDINGS, CaptionWorld
from lumina_core.media.worlds.captions import pick
from lumina_multiview import grammar, nearest
from lumina_multiview.picture_reading import Pictures
from lumina_multiview.renderer import draw_view

# Of the solid, in units, by the word of its size. The gaps between the three ranges are what makes
# "small" and "large" true or false, with no case between.
SCALES = {"small": (0.56, 0.64), None: (0.8, 0.92), "large": (1.06, 1.15)}

TASK_WEIGHTS = {"front_back": 1.25, "top_bottom": 0.75, "left_right": 1.25, "one_colour": 0.75}
"""What must turn with the cameras is harder than what looks alike from everywhere."""

_SIZES = ((32, 32), (40, 40), (48, 48), (32, 48), (48, 32), (32, 40), (40, 32))
_VIEWS = (4, 5, 6, 8)
_ELEVATIONS = (10.0, 20.0, 30.0)
_LIST_SEED = 6  # of scattered azimuths in training; evaluation draws from others


@runtime_checkable
class Cameras(Protocol):
    """The options of an object that drawing and judging read."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""

    @property
    def angles(self) -> tuple[float, ...]:
        """Azimuth of each view, degrees."""
        ...

    @property
    def elevations(self) -> tuple[float, ...]:
        """Elevation of each view, degrees."""
        ...


def _even(sizes: Sequence[tuple[int, int]], counts: Sequence[int]) -> tuple[dict[str, Any], ...]:
    """Even views at every size and number, their elevations in turn."""
    found = [(height, width, views) for views in counts for height, width in sizes]
    return tuple(
        {"height": h, "width": w, "views": views, "elevation": _ELEVATIONS[i % len(_ELEVATIONS)]}
        for i, (h, w, views) in enumerate(found)
    )


def _scattered(
    sizes: Sequence[tuple[int, int]], counts: Sequence[int], number: int, seed: int
) -> tuple[dict[str, Any], ...]:
    """Views at any whole degrees, in any order."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for index in range(number):
        height, width = sizes[index % len(sizes)]
        azimuths = torch.randint(0, 360, (pick(counts, generator),), generator=generator)
        elevation = pick(_ELEVATIONS, generator)
        options = {"height": height, "width": width, "elevation": elevation}
        found.append(options | {"azimuths": tuple(map(float, azimuths.tolist()))})
    return tuple(found)


def _trained() -> tuple[dict[str, Any], ...]:
    even = _even(_SIZES, _VIEWS)
    return (*even, *even, *_scattered(_SIZES, _VIEWS, 2 * len(even), _LIST_SEED))


_VARIANTS = {
    "trained": _trained(),
    "held_out": _even(_SIZES, _VIEWS),
    "unseen_views": _even(((32, 32), (40, 40), (48, 48)), (12, 16)),
    "unseen_azimuths": _scattered(_SIZES, (4, 6, 8), 40, _LIST_SEED + 1),
    UNSEEN_WORDINGS: _trained(),
}
"""Half of training has uneven azimuths: with even ones alone a network counts views instead of
looking at their cameras (docs/inside/log.md)."""


class MultiviewWorld(CaptionWorld):
    """Captions, the views they describe, and the verdict on what claims to be some."""

    name, version = "multi-view", "2"
    grammar, words = grammar, nearest
    split_variants, weights = _VARIANTS, TASK_WEIGHTS

    def draw(self, caption: str, options: Cameras, generator: torch.Generator) -> Pictures:
        """Draw what the caption says from where the options say."""
        asked = grammar.parse(caption)
        low, high = SCALES[asked.size]
        scale = low + (high - low) * torch.rand((), generator=generator).item()
        scene = pick(grammar.filled(asked), generator)
        size = options.height, options.width
        views = [
            draw_view(scene, scale=scale, size=size, camera=camera)
            for camera in zip(options.angles, options.elevations, strict=True)
        ]
        return torch.stack(views)

    def judge(self, media: Pictures, caption: str, options: Cameras) -> dict[str, bool]:
        """The verdict of the oracle on views from these cameras."""
        from lumina_multiview import oracle

        return oracle.judge(media, caption, options.angles, options.elevations)

"""A small world: waves that a caption describes, drawn at any length, and judged.

The oracle (`judge`) shares only the words with the renderer (`draw`): it measures what it is given.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor

from lumina_core import LuminaError, World
from lumina_core.media.worlds.captions import check_split, pick, plain_words
from lumina_core.media.worlds.lexicon import Lexicon, spoken

SPEEDS = {"slow": 48, "fast": 16}  # samples of a period
LEVELS = {"soft": 0.3, "loud": 0.8}  # largest value
FORMS = ("sine", "square")
TASKS = ("wave",)
HELD_OUT = frozenset({("fast", "soft", "square"), ("slow", "loud", "sine")})  # never trained
CAPTIONS = tuple(f"a {' '.join(words)}" for words in product(SPEEDS, LEVELS, FORMS))
LEXICON = Lexicon({word: ("word", word) for word in (*SPEEDS, *LEVELS, *FORMS)})
_VARIANTS: dict[str, tuple[dict[str, int], ...]] = {
    "trained": ({"samples": 96}, {"samples": 128}, {"samples": 192}),
    "held_out": ({"samples": 96}, {"samples": 128}),
    "unseen_lengths": ({"samples": 256},),
}


class MymodalityWorld(World):
    """Captions, the signals they describe, and the verdict on what claims to be one."""

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
            speed, level = pick(tuple(SPEEDS), generator), pick(tuple(LEVELS), generator)
            words = (speed, level, pick(FORMS, generator))
            if (words in HELD_OUT) == (split == "held_out"):
                return f"a {' '.join(words)}"

    def task_of(self, caption: str) -> str:
        """The task to which a caption belongs. Raises LuminaError if it belongs to none."""
        _parse(caption)
        return TASKS[0]

    def nearest(self, text: str) -> str | None:
        """The caption that says most of what a text says; None where the text is a caption."""
        if spoken(text) in CAPTIONS:
            return None
        return LEXICON.ranked(LEXICON.understood(text), CAPTIONS)[0]

    def variants(self, split: str) -> tuple[dict[str, int], ...]:
        """The lengths of a split's signals."""
        check_split("mymodality", split, self.splits)
        return _VARIANTS[split]

    def draw(self, caption: str, options: Any, generator: torch.Generator) -> Tensor:
        """Draw what the caption says, as long as the options say.

        It begins within the first eighth of a period. If it began anywhere, captions would explain
        nothing of the values: `doctor mymodality --learn`.
        """
        speed, level, form = _parse(caption)
        start = torch.rand((), generator=generator).item() / 8
        wave = torch.sin(2 * torch.pi * (torch.arange(options.samples) / SPEEDS[speed] + start))
        return LEVELS[level] * (wave.sign() if form == "square" else wave)

    def judge(self, media: Tensor, caption: str, options: Any) -> dict[str, bool]:
        """Say for each word of the caption whether the signal shows it."""
        speed, level, form = _parse(caption)
        size = media.square().mean().sqrt().item()
        is_positive = media > 0
        crossings = (is_positive[1:] != is_positive[:-1]).sum().item()
        expected = 2 * len(media) / SPEEDS[speed]  # two in each period
        flatness = media.abs().mean().item() / max(size, 1e-9)  # 1 of a square, 0.9 of a sine
        return {
            "speed": 0.6 * expected <= crossings <= 1.6 * expected,
            "level": (size > 0.4) == (level == "loud") and size > 0.1,
            "form": (flatness > 0.95) == (form == "square"),
        }


def _parse(caption: str) -> tuple[str, str, str]:
    words = plain_words(caption).removeprefix("a ").split()
    if len(words) == 3 and words[0] in SPEEDS and words[1] in LEVELS and words[2] in FORMS:
        return words[0], words[1], words[2]
    raise LuminaError(
        f"{caption!r} is no caption of the mymodality world; write, say, 'a slow loud sine'."
    )

"""For plugins: what synthetic worlds share whose captions follow a grammar.

A plugin's own world says how its media are drawn and judged, and in which sizes they come.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from torch import Generator

from lumina_core.errors import LuminaError
from lumina_core.media.worlds.captions import check_split, pick, pick_weighted
from lumina_core.media.worlds.lexicon import Lexicon, Meaning
from lumina_core.modality import World

HELD_OUT = "held_out"
"""The split whose captions name combinations that stand in no caption of another split."""
UNSEEN_WORDINGS = "unseen_wordings"
"""The split whose captions say in other words what training's say."""


class Grammar(Protocol):
    """The module of a plugin that holds the captions of its world: a scene as words, and back."""

    TASKS: tuple[str, ...]
    """The kinds of caption."""
    HELD_OUT_TASKS: tuple[str, ...]
    """Those that can name a held-out combination."""

    def parse(self, caption: str) -> Any:
        """The scene of a text, whatever its case, spaces and punctuation; it has a `task`.

        Raises:
            LuminaError: the caption is no caption of this world.
        """

    def sentence_read(self, caption: str) -> Any | None:
        """The same of a text that one of the world's sentences may be; None where none may."""

    def caption_of(self, scene: Any, generator: Generator | None, unseen: bool = False) -> str:
        """A scene in words, lower case; without a generator the first of each choice of words.

        With `unseen`, in a wording that stands in no training caption; its words do. A grammar
        whose world has no such split needs no such argument.
        """

    def sample_any(self, generator: Generator, task: str) -> Any:
        """A random scene of a task, held out or not."""

    def is_held_out(self, scene: Any) -> bool:
        """Whether the scene names a combination that training never shows."""

    def is_drawn(self, scene: Any) -> bool:
        """Whether a split has the scene; `parse` may read more."""

    def vocabulary(self) -> frozenset[str]:
        """As in `World`."""


class Words(Protocol):
    """The module of a plugin that says what texts of people may mean in its world."""

    LEXICON: Lexicon

    def scenes(self, meanings: Sequence[Meaning]) -> Iterator[Any]:
        """What may be meant; not all of it is a caption."""


class CaptionWorld(World):
    """Captions of a grammar; a subclass draws the media that they describe, and judges others.

    What a caption leaves free never makes a held-out combination: only a caption that names one
    shows it.
    """

    name: ClassVar[str]
    """As in "the image world"."""
    grammar: ClassVar[Grammar]
    words: ClassVar[Words]
    split_variants: ClassVar[Mapping[str, Sequence[Mapping[str, Any]]]]
    """The variants of each split; the first split is the one that is trained on."""
    weights: ClassVar[Mapping[str, float] | None] = None
    """How often training draws each task; None: all alike."""

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the sets of captions."""
        return tuple(self.split_variants)

    def tasks(self, split: str) -> tuple[str, ...]:
        """The kinds of caption that a split has. Raises LuminaError for an unknown split."""
        check_split(self.name, split, self.splits)
        return self.grammar.HELD_OUT_TASKS if split == HELD_OUT else self.grammar.TASKS

    def caption(self, split: str, generator: Generator, task: str | None = None) -> str:
        """Draw a caption.

        Args:
            split: one of `splits`.
            generator: where the randomness comes from.
            task: one of `tasks(split)`; None draws it by `weights`.

        Raises:
            LuminaError: the split is unknown, or the task has no captions in it.
        """
        tasks = self.tasks(split)
        if task is None and (weights := self.weights) is not None:
            task = pick_weighted({name: weights[name] for name in tasks}, generator)
        elif task is None:
            task = pick(tasks, generator)
        scene = self.sample_scene(generator, split, task)
        if split == UNSEEN_WORDINGS:
            return self.grammar.caption_of(scene, generator, unseen=True)
        return self.grammar.caption_of(scene, generator)

    def sample_scene(self, generator: Generator, split: str, task: str) -> Any:
        """Draw a scene of a task: only held-out combinations, or only trained ones."""
        tasks = self.tasks(split)
        if task not in tasks:
            raise LuminaError(
                f"The task {task!r} has no captions in the split {split!r}; "
                f"choose one of {', '.join(tasks)}."
            )
        while True:  # between one scene in ten and nine in ten are of the wanted kind
            scene = self.grammar.sample_any(generator, task)
            if self.grammar.is_held_out(scene) == (split == HELD_OUT):
                return scene

    def task_of(self, caption: str) -> str:
        """The task that a caption belongs to. Raises LuminaError if it belongs to none."""
        return str(self.grammar.parse(caption).task)

    def vocabulary(self) -> frozenset[str]:
        """Every word of the captions of training, as the grammar tells them."""
        return self.grammar.vocabulary()

    def writes(self, text: str) -> bool:
        """Whether a sentence of the world may be the text; others are read word by word."""
        return self.grammar.sentence_read(text) is not None

    def plainest(self, text: str) -> str | None:
        """The caption of the same scene in the first of each choice of words."""
        try:
            scene = self.grammar.parse(text)
        except LuminaError:
            return None
        return self.grammar.caption_of(scene, None) if self.grammar.is_drawn(scene) else None

    def nearest(self, text: str) -> str | None:
        """The caption that says most of what a text says; None where the text is a caption."""
        if self.is_caption(text):
            return None
        meant = self.words.LEXICON.understood(text)
        captions = (self.grammar.caption_of(scene, None) for scene in self.words.scenes(meant))
        return next(filter(self.is_caption, self.words.LEXICON.ranked(meant, captions)))

    def is_caption(self, text: str) -> bool:
        """Whether a text is a caption of some split."""
        try:
            return self.grammar.is_drawn(self.grammar.parse(text))
        except LuminaError:
            return False

    def variants(self, split: str) -> Sequence[Mapping[str, Any]]:
        """The options that a split changes. Raises LuminaError for an unknown split."""
        check_split(self.name, split, self.splits)
        return self.split_variants[split]

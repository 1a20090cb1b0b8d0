"""What a run costs while it goes on: speed, waiting, memory, and the time that is left.

Operations follow from the sizes of samples by the formulas of backbone/cost.py, or are counted once
per size on tensors without memory, so they cost nothing on the device. They are those of the
backbone, without what is computed twice to save memory; the text encoder and the autoencoder are
not counted. Tokens and operations are those of all ranks, and memory and time those of this
process.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch

from lumina_core.backbone.cost import FORWARD_AND_BACKWARD, Sizes, flops
from lumina_core.backbone.network import PackagedNetwork
from lumina_core.backbone.trace import evaluation
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.model import Model
from lumina_core.data.source import CaptionedSample
from lumina_core.parallel import ranks
from lumina_core.sequence import TokenSample
from lumina_core.training.loss import text_of
from lumina_core.training.machine import matmul_peak, peak_bytes

SLOWEST = 0.02  # weight of a new step in the mean duration: one that was slow once is forgotten
NUM_CAPTIONS = 16  # of each modality, whose mean length stands for that of all captions


class Meter:
    """Adds up what the steps since the last line of the log took.

    Args:
        model: that is trained.
        dtype: in which its networks compute.
    """

    def __init__(self, model: Model, dtype: torch.dtype) -> None:
        self._model = model
        self._peak = matmul_peak(model.backbone.matrix_shape, dtype, model.device)
        weights = list(model.backbone.parameters())
        trained = sum(weight.numel() for weight in weights if weight.requires_grad)
        share = trained / sum(weight.numel() for weight in weights)
        # a frozen weight has no gradient, one of the products that the formulas count
        self._computed_share = (FORWARD_AND_BACKWARD - 1 + share) / FORWARD_AND_BACKWARD
        self.num_steps = 0
        self._traced: dict[tuple[str, int, int], int] = {}
        self._begin()

    def _begin(self) -> None:
        self.num_steps = 0
        self._seconds, self._wait_seconds = 0.0, 0.0
        self._sizes: Counter[tuple[str, int, int]] = Counter()
        self._likes: dict[tuple[str, int, int], TokenSample] = {}  # one sample of each size
        self._captions: dict[str, deque[str]] = {}

    def add(self, seconds: float, wait_seconds: float, samples: Sequence[CaptionedSample]) -> None:
        """Add a step.

        Args:
            seconds: that it took.
            wait_seconds: of these, until its samples were there.
            samples: that it trained on.
        """
        self.num_steps += 1
        self._seconds += seconds
        self._wait_seconds += wait_seconds
        separators = self._model.backbone.separators
        for tokens, caption in ((sample.tokens, sample.caption) for sample in samples):
            name, grid = tokens.modality, tokens.grid
            size = name, grid.num_patches, grid.num_positions(separators)
            self._sizes[size] += 1
            self._likes[size] = tokens
            self._captions.setdefault(name, deque(maxlen=NUM_CAPTIONS)).append(caption)

    def take(self, num_alike: int = 1) -> dict[str, Any]:
        """The figures of at least one step, as the log has them; begins anew.

        Args:
            num_alike: ranks that train on the same samples; all ranks ask together.
        """
        own_tokens = sum(size[2] * count for size, count in self._sizes.items())
        own = torch.tensor([own_tokens, self._flops()], dtype=torch.float64)
        tokens, operations = (ranks.summed(own) / num_alike).tolist()
        available = self._peak.flops_per_second * ranks.num_ranks()
        found = {
            "tokens_per_second": tokens / self._seconds,
            "seconds": self._seconds / self.num_steps,
            "wait_seconds": self._wait_seconds / self.num_steps,
            "peak_share": operations / self._seconds / available,
            "peak": {self._peak.source: self._peak.flops_per_second},
            "peak_bytes": peak_bytes(self._model.device),
        }
        self._begin()
        return found

    def _flops(self) -> float:
        """Operations on all samples."""
        lengths = {name: self._text_length(texts) for name, texts in self._captions.items()}
        return self._computed_share * sum(
            count * self._training_flops(size, lengths[size[0]])
            for size, count in self._sizes.items()
        )

    def _training_flops(self, size: tuple[str, int, int], text: int) -> int:
        """Operations on a sample; of the network of a package its code is asked once per size."""
        backbone, (name, patches, positions) = self._model.backbone, size
        if isinstance(backbone, Backbone):
            return flops(backbone.config, name, Sizes(patches, positions, text)).training
        if size not in self._traced:
            packaged = cast(PackagedNetwork, backbone)
            empty = packaged.made(packaged.about, packaged.tokenizer)
            width = self._model.text_reader.text_dim
            found = evaluation(empty, [self._likes[size]], (text, width))
            self._traced[size] = FORWARD_AND_BACKWARD * found.flops
        return self._traced[size]

    def _text_length(self, captions: Sequence[str]) -> int:
        reader = self._model.text_reader
        return round(sum(len(reader.token_ids(text_of(c))) for c in captions) / len(captions))


class Pace:
    """How long the rest of a run will take, from how long its steps and all beside them took."""

    def __init__(self) -> None:
        self._num_steps = 0
        self._mean, self._beside = 0.0, 0.0

    def step(self, seconds: float) -> None:
        """Note how long one more step took."""
        self._num_steps += 1
        weight = max(1 / self._num_steps, SLOWEST)
        self._mean += weight * (seconds - self._mean)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Note how long the block takes, which is no step: validation, saving, samples."""
        started = time.perf_counter()
        yield
        self._beside += time.perf_counter() - started

    def seconds_left(self, num_steps: int) -> float:
        """Of so many steps, after at least one, and of what comes beside them as it came so far."""
        return num_steps * (self._mean + self._beside / self._num_steps)

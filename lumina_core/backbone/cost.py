"""What a backbone costs, by formulas of its settings: weights, operations, states of training.

One table of its matrices gives weights and operations. Memory of activations is no formula:
trace.py counts it on the network itself.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from lumina_core.backbone.settings import CROSS, JOINT, BackboneConfig
from lumina_core.backbone.transformer import TIME_CHANNELS

FORWARD_AND_BACKWARD = 3  # of a product the gradients of both factors cost as much as itself each
FLOAT32_BYTES = 4  # of weights in training, and of all that is kept beside them
MOMENTS = {"adamw": 2, "muon": 1}
"""What an optimizer keeps of a weight, in numbers of its size; Muon has only matrices of blocks."""


class Sizes(NamedTuple):
    """Of one sample on its way through the network."""

    patches: int
    positions: int
    """Separators included."""
    text: int
    """Tokens of its text."""
    segments: int = 1


class Matrix(NamedTuple):
    """Linear layers that are alike."""

    part: str
    """What it belongs to, for people."""
    rows: str
    """What passes through it, as `_rows` names it."""
    inputs: int
    outputs: int
    has_bias: bool = False
    number: int = 1
    is_of_block: bool = False
    """Whether it is one of attention or feed-forward layers."""

    @property
    def num_parameters(self) -> int:
        """Weights of all of them."""
        return self.number * self.outputs * (self.inputs + self.has_bias)


class Flops(NamedTuple):
    """Floating-point operations by part, a product and its sum counted as two."""

    once: dict[str, int]
    """Of a text, whatever the number of steps."""
    evaluation: dict[str, int]
    """Of each evaluation of the network."""

    @property
    def training(self) -> int:
        """Of a sample in training."""
        each = sum(self.once.values()) + sum(self.evaluation.values())
        return FORWARD_AND_BACKWARD * each


def num_parameters(config: BackboneConfig) -> int:
    """Weights of the network that is built from these settings."""
    return sum(matrix.num_parameters for matrix in _matrices(config)) + _num_vector_weights(config)


def num_block_matrix_parameters(config: BackboneConfig) -> int:
    """Weights of the matrices of attention and feed-forward layers, which Muon updates."""
    return sum(m.num_parameters for m in _matrices(config) if m.is_of_block)


def flops(config: BackboneConfig, modality: str, sizes: Sizes) -> Flops:
    """Operations of the matrix products for one sample.

    A matrix costs 2 rows inputs outputs, attention 4 queries keys width.

    Args:
        config: of the network.
        modality: whose input and output projections are used.
        sizes: of the sample.
    """
    once, evaluation = Counter[str](), Counter[str]()
    rows, width = _rows(config, sizes), config.hidden_size
    for matrix in _matrices(config, modality):
        counted = once if matrix.rows in ONCE else evaluation
        products = matrix.number * matrix.inputs * matrix.outputs
        counted[matrix.part] += 2 * rows[matrix.rows] * products
    attending = {"whole": config.depth, "own": config.refiners, "refined text": config.refiners}
    for name, depth in attending.items():
        counted = once if name in ONCE else evaluation
        counted["self-attention"] += depth * 4 * rows[name] ** 2 * width
    if config.text == CROSS:
        evaluation["cross-attention"] = config.depth * 4 * rows["whole"] * sizes.text * width
    return Flops(dict(+once), dict(evaluation))


ONCE = ("text", "refined text", "sample")
"""Rows that depend on neither x nor t."""


def _rows(config: BackboneConfig, sizes: Sizes) -> dict[str, int]:
    """How much of a sample passes through a matrix."""

    def filled(length: int) -> int:
        return length + -length % config.pad_multiple

    own, text = filled(sizes.positions), filled(sizes.text)
    return {
        "patches": sizes.patches,
        "segments": sizes.segments,
        "sample": 1,
        "text": sizes.text,
        "refined text": text,
        "own": own,
        "whole": own + text if config.text == JOINT else own,
    }


def training_bytes(config: BackboneConfig, optimizer: str) -> dict[str, int]:
    """Memory that training holds throughout, by part, in bytes; gradients live within a step.

    Args:
        config: of the network.
        optimizer: one of MOMENTS; with Muon what are no matrices of blocks is AdamW's.
    """
    total = num_parameters(config)
    matrices = num_block_matrix_parameters(config)
    moments = MOMENTS[optimizer] * matrices + MOMENTS["adamw"] * (total - matrices)
    return {
        "weights": FLOAT32_BYTES * total,
        "gradients": FLOAT32_BYTES * total,
        "moments": FLOAT32_BYTES * moments,
        "average": FLOAT32_BYTES * total,
    }


def muon_bytes(config: BackboneConfig) -> int:
    """Memory that a step of Muon takes for a moment, in bytes.

    Matrices of one shape are one batch, of which it holds four copies and two products with
    themselves.
    """
    width, kv_width = config.hidden_size, config.kv_dim
    shapes = Counter({(width, config.ffn_dim): 1})
    shapes[config.ffn_dim, width] += 2
    shapes[width, width] += 2
    shapes[kv_width, width] += 2
    if config.text == CROSS:
        shapes[kv_width, config.text_dim] += 2
    most = max(
        number * (4 * rows * columns + 2 * min(rows, columns) ** 2)
        for (rows, columns), number in shapes.items()
    )
    return FLOAT32_BYTES * (config.depth + 2 * config.refiners) * most


def _matrices(config: BackboneConfig, modality: str | None = None) -> Iterator[Matrix]:
    """Every linear layer, or those that a sample of one modality passes through."""
    width, condition, depth = config.hidden_size, config.condition_dim, config.depth
    kv_width = config.kv_heads * config.head_dim
    yield from _of_blocks(config, "whole", depth)
    yield from _of_blocks(config, "own", config.refiners)
    yield from _of_blocks(config, "refined text", config.refiners, is_modulated=False)
    last = (1 + config.final_shift) * width
    yield Matrix("modulation", "segments", condition, last, has_bias=True)
    yield Matrix("modulation", "segments", TIME_CHANNELS, config.time_dim, has_bias=True)
    yield Matrix("modulation", "segments", config.time_dim, condition, has_bias=True)
    if config.text == CROSS:
        text = Matrix("text", "text", config.text_dim, 2 * kv_width, number=depth)
        yield text._replace(is_of_block=True)
        yield Matrix("text", "sample", config.text_dim, condition, has_bias=True)
    elif config.text == JOINT:
        yield Matrix("text", "text", config.text_dim, width, has_bias=True)
    halves = 2 if config.learn_sigma else 1
    for name, dim in config.token_dims.items():
        if modality in (None, name):
            yield Matrix("tokens", "patches", dim, width, has_bias=True)
            yield Matrix("tokens", "patches", width, halves * dim, has_bias=True)
    for name, dim in config.feature_dims.items():
        if modality in (None, name):
            yield Matrix("modulation", "segments", dim, condition)


def _of_blocks(
    config: BackboneConfig, rows: str, count: int, *, is_modulated: bool = True
) -> Iterator[Matrix]:
    """The linear layers of some blocks, but for those of text that is attended to."""
    if not count:
        return
    width, kv_width = config.hidden_size, config.kv_dim
    of_block = Matrix("projections", rows, width, 2 * width + 2 * kv_width, False, count, True)
    yield of_block
    yield of_block._replace(part="feed-forward", outputs=3 * config.ffn_dim)
    if is_modulated:
        outputs = (4 if config.sandwich else 6) * width
        yield Matrix("modulation", "segments", config.condition_dim, outputs, True, count)


def _num_vector_weights(config: BackboneConfig) -> int:
    """Weights that pass nothing on: norms, gates, separators, pads and labels."""
    width, kv_width = config.hidden_size, config.kv_dim
    of_block = 2 * width * (config.pre_norm_weight + config.sandwich)
    normed = (width, kv_width) + (kv_width,) * (config.text == CROSS)
    if config.qk_norm:
        of_block += config.head_dim * len(normed) if config.head_norm else 2 * sum(normed)
    beside = 2 * width * (config.separators + (config.pad_multiple > 1))
    if config.text == CROSS:
        of_block += config.text_dim + config.num_heads
        beside += 2 * config.text_dim
    elif config.text == JOINT:
        beside += config.text_dim
    else:
        beside += (1 + (config.num_classes or 0)) * config.condition_dim
    return (config.depth + 2 * config.refiners) * of_block + beside

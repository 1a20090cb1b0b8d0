"""One sequence of tokens for any grid of patches, and batches of such sequences end to end.

A sample is its patches row by row, a learned [nextline] after each row and a learned [nextframe]
between frames. `pack` lays samples of any sizes and of several modalities end to end with offsets,
never padded to each other; `unpack` is its exact inverse. Nothing here knows a learned weight:
separators are positions, the backbone fills them in, and so are the pads of models whose sequences
have a multiple of some length (Z-Image).

Departure from the first released models, which know [nextline] only and pad ragged batches: frames
get a separator of their own, and no sample is padded to the length of another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from itertools import accumulate, groupby
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Grid:
    """The patches of one sample along its three axes."""

    frames: int
    rows: int
    columns: int
    step: tuple[float, float, float]
    """Distance between neighbours on each axis, in the plugin's units; axial positions follow."""
    origin: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Where zero is on each axis, as a share of its length: 0 the beginning, 0.5 the middle."""
    common_scale: float = 1.0
    """Factor on the common unit of rows and columns: training varies it, `shrunk` lowers it."""
    position_limit: float | None = None
    """Largest distance from zero on the axes of `step`; farther positions are held there."""

    def __post_init__(self) -> None:
        if min(self.frames, self.rows, self.columns) < 1:
            raise ValueError(f"a grid has at least one patch on each axis, got {self}")

    @property
    def num_patches(self) -> int:
        """Positions that carry content."""
        return self.frames * self.rows * self.columns

    @property
    def common_step(self) -> float:
        """Distance between neighbours on the row and column axes of the common unit."""
        return self.common_scale * max(self.step[1:])

    def shrunk(self, longest_side: float) -> "Grid":
        """The grid with neither rows nor columns longer than that in the common unit.

        A side longer than all those of training would reach positions that no weight has seen.
        """
        side = max(self.rows, self.columns) * self.common_step
        return replace(self, common_scale=self.common_scale * min(1.0, longest_side / side))

    def num_positions(self, separators: bool) -> int:
        """Length of the sequence, known before anything is allocated."""
        if not separators:
            return self.num_patches
        return self.num_patches + self.frames * self.rows + self.frames - 1


@dataclass(frozen=True)
class Layout:
    """Where everything stands in the sequence of one grid."""

    source: Int[Tensor, "position"]
    """Number of the patch that stands here, or NEXTLINE, NEXTFRAME or PAD."""
    owner: Int[Tensor, "position"]
    """Number of the patch here or, for a separator, of the last patch before it."""
    index: Int[Tensor, "position 3"]
    """Frame, row and column, counted from 0; 0 for PAD. Separators stand as in `coordinates`."""
    coordinates: Float[Tensor, "position 5"]
    """Frame, row and column in the grid's units, its origin at zero; then row and column once
    more, both in the unit of the larger of their steps, so that a square of patches stays a square
    however the plugin scales its axes.

    [nextline] stands one column behind its row, [nextframe] one row and one column behind the last
    patch of its frame.
    """


NEXTLINE = -1
NEXTFRAME = -2
PAD = -3


def layout(grid: Grid, separators: bool, multiple: int = 1) -> Layout:
    """Lay out one grid: patches row by row, [nextline] after each row, [nextframe] between frames.

    Args:
        grid: patches along each axis.
        separators: whether [nextline] and [nextframe] are inserted.
        multiple: the length is one of its multiples, filled up with PAD behind everything.

    Returns:
        The layout; do not write into its tensors, they are shared.
    """
    unscaled = replace(grid, common_scale=1.0, position_limit=None)
    plain = _unscaled_layout(unscaled, separators, multiple)
    if grid.common_scale == 1 and grid.position_limit is None:
        return plain
    own, common = plain.coordinates.split([3, 2], dim=1)
    if grid.position_limit is not None:
        own = own.clamp(-grid.position_limit, grid.position_limit)
    return replace(plain, coordinates=torch.cat([own, common * grid.common_scale], dim=1))


@lru_cache(maxsize=256)  # sizes repeat from batch to batch, scales hardly do
def _unscaled_layout(grid: Grid, separators: bool, multiple: int) -> Layout:
    frames, rows, columns = grid.frames, grid.rows, grid.columns
    source = torch.arange(grid.num_patches).reshape(frames, rows, columns)
    if separators:
        source = pad(source, (0, 1), value=NEXTLINE)
    axes = (torch.arange(size) for size in source.shape)
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    source = rearrange(source, "f h w -> f (h w)")
    index = rearrange(index, "f h w i -> f (h w) i")
    if separators:
        corners = torch.tensor([[[frame, rows, columns]] for frame in range(frames)])
        source = pad(source, (0, 1), value=NEXTFRAME)
        index = torch.cat([index, corners], dim=1)
    length = grid.num_positions(separators)  # drops the [nextframe] after the last frame
    source, index = source.flatten()[:length], index.flatten(0, 1)[:length]
    zero = torch.tensor([frames, rows, columns]) * torch.tensor(grid.origin)
    places = (index + 0.5 - zero)[:, [0, 1, 2, 1, 2]]
    coordinates = places * torch.tensor([*grid.step, grid.common_step, grid.common_step])
    num_pads = -length % multiple
    source = pad(source, (0, num_pads), value=PAD)
    index, coordinates = (pad(x, (0, 0, 0, num_pads)) for x in (index, coordinates.float()))
    owner = torch.cummax(source, dim=0).values  # patches are numbered in the order they stand
    return Layout(source, owner, index, coordinates)


@dataclass(frozen=True)
class TokenSample:
    """The tokens of one sample, on their way into or out of a batch."""

    modality: str
    grid: Grid
    tokens: Float[Tensor, "patch token_dim"]
    segments: Int[Tensor, "patch"] | None = None
    """Segment of each patch, numbered from 0 within the sample; None: one segment.

    A segment is the set of tokens that share a time and a conditioning vector.
    """
    known: Bool[Tensor, "patch"] | None = None
    """Patches that are given and only lead the others: clean, at t = 1. None: none."""
    features: Float[Tensor, "frame feature"] | None = None
    """What conditions each frame beside time and text; None: nothing. Neighbouring frames that have
    the same share a segment."""


@dataclass(frozen=True)
class Span:
    """The neighbouring samples of one modality in a batch."""

    modality: str
    token_dim: int
    num_samples: int
    num_patches: int
    num_segments: int

    @property
    def num_elements(self) -> int:
        """Elements of the flat state that belong to the span."""
        return self.num_patches * self.token_dim


@dataclass(frozen=True)
class TokenBatch:
    """Samples laid end to end. Built once by `pack`; only the state changes, by `with_state`."""

    state: Float[Tensor, "element"]
    """All tokens as one flat vector."""
    spans: tuple[Span, ...]
    grids: tuple[Grid, ...]
    lengths: tuple[int, ...]
    """Positions of each sample, separators included."""
    source: Int[Tensor, "position"]
    """Number of the patch in the batch; num_patches for [nextline], one more for [nextframe], two
    more for PAD."""
    content_index: Int[Tensor, "patch"]
    """Position of each patch."""
    index: Int[Tensor, "position 3"]
    """Frame, row and column within the sample."""
    coordinates: Float[Tensor, "position 5"]
    sequence_index: Int[Tensor, "position"]
    """Position within the sample, counted from 0."""
    segment_index: Int[Tensor, "position"]
    segment_sample: Int[Tensor, "segment"]
    """The sample to which each segment belongs."""
    segment_known: Bool[Tensor, "segment"]
    """Whether the patches of a segment are given."""
    segment_features: Float[Tensor, "segment feature"]
    """Features of each segment; zeros behind those of a modality that has fewer, or none."""

    @property
    def num_samples(self) -> int:
        """Samples in the batch."""
        return len(self.lengths)

    @property
    def num_segments(self) -> int:
        """Segments in the batch."""
        return len(self.segment_sample)

    @cached_property
    def element_counts(self) -> Int[Tensor, "sample"]:
        """Elements of the flat state that belong to each sample."""
        return sent(torch.tensor(_elements_of_each(self)), self.state.device)

    @cached_property
    def unknown(self) -> Bool[Tensor, "element"]:
        """True where an element of the state is to be generated, False where it is given."""
        of_patch = ~self.segment_known[self.segment_index[self.content_index]]
        parts = of_patch.split([span.num_patches for span in self.spans])
        dims = [span.token_dim for span in self.spans]
        return torch.cat([p.repeat_interleave(dim) for p, dim in zip(parts, dims, strict=True)])

    def segment_time(self, time: Float[Tensor, "sample"]) -> Float[Tensor, "segment"]:
        """The time of each segment: its sample's, or 1 where its patches are given."""
        return time[self.segment_sample].masked_fill(self.segment_known, 1.0)

    def element_time(self, time: Float[Tensor, "sample"]) -> Float[Tensor, "element"]:
        """The time of each element: its sample's, or 1 where it is given."""
        return time.repeat_interleave(self.element_counts).masked_fill(~self.unknown, 1.0)

    def with_state(self, state: Float[Tensor, "element"]) -> "TokenBatch":
        """The same batch holding another state of the same shape."""
        if state.shape != self.state.shape:
            raise ValueError(f"state has {tuple(state.shape)}, expected {tuple(self.state.shape)}")
        return replace(self, state=state)

    def to(self, device: torch.device) -> "TokenBatch":
        """The same batch on another device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {
            name: sent(value, device) for name, value in values.items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device that computes, without waiting for what that has to do before."""
    return tensor.to(device, non_blocking=device.type != "cpu")


def _elements_of_each(batch: TokenBatch) -> list[int]:
    dims = [span.token_dim for span in batch.spans for _ in range(span.num_samples)]
    return [grid.num_patches * dim for grid, dim in zip(batch.grids, dims, strict=True)]


def pack(samples: Sequence[TokenSample], *, separators: bool, multiple: int = 1) -> TokenBatch:
    """Lay samples end to end.

    Args:
        samples: at least one; samples of one modality stand beside each other.
        separators: whether [nextline] and [nextframe] stand in the sequence.
        multiple: of which the length of each sample is one, filled up with PAD.

    Returns:
        The batch, on the device of the tokens.

    Raises:
        ValueError: no samples, tokens or segments that do not fit their grid, or modalities not
            grouped.
    """
    segmented = [_segments_of(sample) for sample in samples]
    spans = _spans(samples, [len(item.known) for item in segmented])
    layouts = [layout(sample.grid, separators, multiple) for sample in samples]
    lengths = tuple(len(item.source) for item in layouts)
    starts = list(accumulate((s.grid.num_patches for s in samples), initial=0))
    num_patches = starts[-1]
    source, segment_index = [], []
    segment_sample: list[int] = []
    segment_known: list[bool] = []
    for number, (own, item, start) in enumerate(zip(segmented, layouts, starts, strict=False)):
        # NEXTLINE -> +0, NEXTFRAME -> +1, PAD -> +2
        separator = num_patches + NEXTLINE - item.source
        source.append(torch.where(item.source >= 0, item.source + start, separator))
        segment_index.append(own.index[item.owner] + len(segment_sample))
        segment_sample += [number] * len(own.known)
        segment_known += own.known
    num_features = max(own.features.shape[1] for own in segmented)
    features = [pad(own.features, (0, num_features - own.features.shape[1])) for own in segmented]
    positions = torch.cat(source)
    batch = TokenBatch(
        state=torch.cat([sample.tokens.flatten() for sample in samples]),
        spans=spans,
        grids=tuple(sample.grid for sample in samples),
        lengths=lengths,
        source=positions,
        content_index=torch.nonzero(positions < num_patches).flatten(),
        index=torch.cat([item.index for item in layouts]),
        coordinates=torch.cat([item.coordinates for item in layouts]),
        sequence_index=torch.cat([torch.arange(length) for length in lengths]),
        segment_index=torch.cat(segment_index),
        segment_sample=torch.tensor(segment_sample),
        segment_known=torch.tensor(segment_known),
        segment_features=torch.cat(features),
    )
    return batch.to(samples[0].tokens.device)


def _spans(samples: Sequence[TokenSample], num_segments: Sequence[int]) -> tuple[Span, ...]:
    if not samples:
        raise ValueError("a batch holds at least one sample")
    spans: list[Span] = []
    counts = iter(num_segments)
    for modality, group in groupby(samples, key=lambda sample: sample.modality):
        members = list(group)
        token_dim = members[0].tokens.shape[-1]
        for member in members:
            if member.tokens.shape != (member.grid.num_patches, token_dim):
                raise ValueError(
                    f"tokens of {modality!r} are {tuple(member.tokens.shape)}, "
                    f"expected {(member.grid.num_patches, token_dim)}"
                )
        num_patches = sum(member.grid.num_patches for member in members)
        segments = sum(next(counts) for _ in members)
        spans.append(Span(modality, token_dim, len(members), num_patches, segments))
    names = [span.modality for span in spans]
    if len(set(names)) != len(names):
        raise ValueError(f"samples of one modality must stand together, got {names}")
    return tuple(spans)


@dataclass(frozen=True)
class _Segments:
    """The segments of one sample."""

    index: Int[Tensor, "patch"]
    """Segment of each patch, numbered from 0 within the sample."""
    known: list[bool]
    """Whether the patches of each segment are given."""
    features: Float[Tensor, "segment feature"]


def _segments_of(sample: TokenSample) -> _Segments:
    """The segments of a sample: each once more for its given patches, if there are any."""
    shape = (sample.grid.num_patches,)
    index = torch.zeros(shape, dtype=torch.long)
    if sample.segments is not None:
        index = sample.segments.cpu()
    for name, values in (("segments", index), ("known", sample.known)):
        if values is not None and values.shape != shape:
            raise ValueError(f"{name} are {tuple(values.shape)}, one per patch is expected")
    if index.min() < 0:  # would silently take the time of the sample before
        raise ValueError(f"segments count from 0, got {int(index.min())}")
    count = int(index.max()) + 1
    rows = torch.zeros(1, 0)
    if sample.features is not None:
        if len(sample.features) != sample.grid.frames:
            raise ValueError(
                f"features are {tuple(sample.features.shape)}, one row per frame is expected"
            )
        rows, of_frame = sample.features.unique_consecutive(dim=0, return_inverse=True)
        of_patch = of_frame.repeat_interleave(sample.grid.rows * sample.grid.columns)
        index, count = index * len(rows) + of_patch, count * len(rows)
    features = rows.repeat(count // len(rows), 1)
    if sample.known is None:
        return _Segments(index, [False] * count, features)
    known = [False] * count + [True] * count
    return _Segments(index + count * sample.known.cpu(), known, features.repeat(2, 1))


def unpack(batch: TokenBatch) -> list[Float[Tensor, "_patch _token_dim"]]:
    """The tokens of each sample, in the order in which they were packed."""
    parts = batch.state.split(_elements_of_each(batch))
    return [
        rearrange(part, "(n p) -> n p", n=grid.num_patches)
        for grid, part in zip(batch.grids, parts, strict=True)
    ]


def split_spans(batch: TokenBatch) -> list[Float[Tensor, "_patch _token_dim"]]:
    """The state as one matrix of tokens per span."""
    parts = batch.state.split([span.num_elements for span in batch.spans])
    return [
        rearrange(part, "(n p) -> n p", n=span.num_patches)
        for span, part in zip(batch.spans, parts, strict=True)
    ]

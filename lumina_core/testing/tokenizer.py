"""Rules about a tokenizer and the sequence that its tokens stand in."""

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from lumina_core.errors import LuminaError, reason_of
from lumina_core.modality import feature_dims
from lumina_core.runtime import seeded
from lumina_core.sequence import NEXTFRAME, NEXTLINE, TokenSample, layout, pack, unpack
from lumina_core.testing.rules import rule
from lumina_core.testing.samples import Sample, all_sizes
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import BrokenRuleError, demand

MIN_LENGTHS = 3  # of the media of a world
NUM_PROBES = 48  # cells of a latent that are changed, one at a time
SHAPE_CHECKERS = ("beartype", "jaxtyping")  # may be asked to look at every call
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@rule
def sizes_differ(subject: Subject) -> None:
    """The world draws grids of at least three lengths, one of them not square where two sides vary,
    so that no length is taken for granted.
    """
    _ = subject.world
    grids = [size.grid for size in all_sizes(subject.modality, subject.options)]
    lengths = {grid.num_patches for grid in grids}
    demand(
        len(lengths) >= MIN_LENGTHS,
        f"all media of the world have {sorted(lengths)} tokens",
        f"give variants() {MIN_LENGTHS} or more different sizes or durations",
    )
    rows, columns = {grid.rows for grid in grids}, {grid.columns for grid in grids}
    demand(
        len(rows) == 1 or len(columns) == 1 or any(grid.rows != grid.columns for grid in grids),
        "all media of the world are square",
        "give variants() one that is not",
    )


@rule
def tokens_come_back(subject: Subject) -> None:
    """`detokenize` is the exact inverse of `tokenize`, at every size."""
    tokenizer = subject.modality.tokenizer
    for latent, sample in _latents(subject):
        back = tokenizer.detokenize(tokenizer.tokenize(latent), sample.grid)
        demand(
            back.shape == latent.shape and torch.equal(back, latent),
            f"a latent {tuple(latent.shape)} comes back as another",
            "undo in detokenize exactly what tokenize does",
        )


@rule
def length_is_told(subject: Subject) -> None:
    """`grid` and `token_dim` tell the number of tokens and their size before any is made."""
    tokenizer = subject.modality.tokenizer
    for latent, sample in _latents(subject):
        tokens = tokenizer.tokenize(latent)
        grid = tokenizer.grid(sample.latent_shape)
        told = (grid.num_patches, tokenizer.token_dim)
        demand(
            tuple(tokens.shape) == told,
            f"tokens of {tuple(latent.shape)} are {tuple(tokens.shape)}, told were {told}",
            "let grid() and token_dim follow from the patch",
        )
        demand(
            tokens.numel() == latent.numel(),
            f"{latent.numel()} values of a latent become {tokens.numel()}",
            "neither pad nor drop values",
        )


@rule
def every_value_counts(subject: Subject) -> None:
    """A change of one value of the latent changes exactly one token."""
    tokenizer = subject.modality.tokenizer
    for latent, sample in _latents(subject):
        before = tokenizer.tokenize(latent)
        for cell in _cells(latent, NUM_PROBES // 4):
            changed = latent.clone()
            changed[cell] += 1
            num = int((tokenizer.tokenize(changed) != before).any(dim=1).sum())
            demand(
                num == 1,
                f"a change of the value {cell} of {tuple(latent.shape)} changes {num} tokens",
                f"cut the latent into {sample.grid.num_patches} patches that do not overlap",
            )


@rule
def tokens_stand_in_reading_order(subject: Subject) -> None:
    """Tokens stand frame by frame, row by row, as the separators between them say."""
    tokenizer = subject.modality.tokenizer
    for latent, sample in _latents(subject):
        grid = sample.grid
        sizes = (grid.frames, grid.rows, grid.columns)
        cells = [size // count for size, count in zip(latent.shape[1:], sizes, strict=True)]
        before = tokenizer.tokenize(latent)
        places = list(product(*(range(size) for size in sizes)))
        picks = torch.randperm(len(places), generator=seeded(1))[:NUM_PROBES].tolist()
        for frame, row, column in (places[pick] for pick in picks):
            changed = latent.clone()
            changed[:, frame * cells[0], row * cells[1], column * cells[2]] += 1
            found = (tokenizer.tokenize(changed) != before).any(dim=1).nonzero().flatten().tolist()
            wanted = (frame * grid.rows + row) * grid.columns + column
            demand(
                found == [wanted],
                f"frame {frame}, row {row}, column {column} is token {found}, not [{wanted}]",
                "lay tokens out as '(frame row column)'",
            )


@rule
def dtypes_are_kept(subject: Subject) -> None:
    """Tokens have dtype and device of the latent, and the latent again those of the tokens."""
    tokenizer = subject.modality.tokenizer
    sample, remedy = subject.samples[0], "only lay the values out anew"
    for latent in (*(sample.latent.to(dtype) for dtype in DTYPES), sample.latent.to("meta")):
        wanted = latent.dtype, latent.device
        try:
            tokens = tokenizer.tokenize(latent)
            back = tokenizer.detokenize(tokens, sample.grid)
        except Exception as error:  # meta tensors hold no values, so that none can be moved
            raise BrokenRuleError(
                f"a latent of {wanted} raises {type(error).__name__}: {reason_of(error)}; {remedy}"
            ) from error
        found = [(one.dtype, one.device) for one in (tokens, back)]
        demand(found == [wanted, wanted], f"a latent of {wanted} becomes {found}", remedy)


@rule
def gradients_pass_the_tokenizer(subject: Subject) -> None:
    """A gradient passes `tokenize` and `detokenize` unchanged."""
    tokenizer = subject.modality.tokenizer
    for latent, sample in _latents(subject):
        latent.requires_grad_(True)
        back = tokenizer.detokenize(tokenizer.tokenize(latent), sample.grid)
        demand(back.requires_grad, "no gradient passes", "neither detach nor convert")
        back.sum().backward()
        demand(
            latent.grad is not None and bool((latent.grad == 1).all()),
            "a gradient of 1 comes back as another",
            "only lay the values out anew",
        )


@rule
def tokenizer_leaves_its_input_alone(subject: Subject) -> None:
    """Neither `tokenize` nor `detokenize` changes what it is given."""
    tokenizer = subject.modality.tokenizer
    for latent, sample in _latents(subject):
        kept = latent.clone()
        tokens = tokenizer.tokenize(latent)
        kept_tokens = tokens.clone()
        tokenizer.detokenize(tokens, sample.grid)
        demand(
            torch.equal(latent, kept) and torch.equal(tokens, kept_tokens),
            "tokenizing or detokenizing changes its input",
            "work on a copy; write nothing in place",
        )


@rule
def wrong_shapes_are_refused(subject: Subject) -> None:
    """A latent with other channels or axes, or an empty one, or too few tokens, is refused, never
    cut or padded.
    """
    tokenizer = subject.modality.tokenizer
    sample = subject.samples[0]
    latent, tokens = sample.latent, tokenizer.tokenize(sample.latent)
    attempts = {
        "a latent with one channel more": lambda: tokenizer.tokenize(
            torch.cat([latent, latent[:1]])
        ),
        "a batch of one latent": lambda: tokenizer.tokenize(latent[None]),
        "a latent without frames": lambda: tokenizer.tokenize(latent[:, 0]),
        "a latent of no height": lambda: tokenizer.tokenize(latent[:, :, :0]),
        "one token too few": lambda: tokenizer.detokenize(tokens[:-1], sample.grid),
        "tokens of another size": lambda: tokenizer.detokenize(tokens[:, :-1], sample.grid),
    }
    remedy = "raise ValueError with the shapes"
    for what, attempt in attempts.items():
        try:
            attempt()
        except (LuminaError, ValueError, TypeError, RuntimeError):  # torch's and einops' the last
            continue
        except Exception as error:
            is_of_shapes = type(error).__module__.partition(".")[0] in SHAPE_CHECKERS
            demand(is_of_shapes, f"{what} raises {type(error).__name__}", remedy)
            continue
        demand(False, f"{what} is accepted", remedy)


@rule
def positions_differ(subject: Subject) -> None:
    """Neighbours along an axis have different positions; frames may have features instead."""
    for sample in subject.samples:
        grid = sample.grid
        sizes = {"frames": grid.frames, "rows": grid.rows, "columns": grid.columns}
        for (axis, size), step in zip(sizes.items(), grid.step, strict=True):
            demand(
                step >= 0 and step < float("inf"),
                f"the step along {axis} is {step}",
                "give a number of 0 or more",
            )
            is_told = axis == "frames" and bool(feature_dims("", subject.modality))
            demand(
                size == 1 or step > 0 or is_told,
                f"{size} {axis} have a step of 0, so the network cannot tell them apart",
                "give the axis a step, or frames features",
            )


@rule
def separators_are_counted_and_dropped(subject: Subject) -> None:
    """With separators a sequence has one [nextline] per row and one [nextframe] between frames, and
    without either the tokens come back the same.
    """
    tokenizer = subject.modality.tokenizer
    for latent, sample in _latents(subject):
        grid, tokens = sample.grid, tokenizer.tokenize(latent)
        source = layout(grid, True).source
        lines, breaks = int((source == NEXTLINE).sum()), int((source == NEXTFRAME).sum())
        wanted = (grid.frames * grid.rows, grid.frames - 1)
        demand(
            (lines, breaks) == wanted and len(source) == grid.num_positions(True),
            f"{grid} has {lines} [nextline] and {breaks} [nextframe]",
            f"it should have {wanted}",
        )
        for separators in (True, False):
            one = TokenSample(subject.name, grid, tokens)
            (back,) = unpack(pack([one], separators=separators))
            demand(
                torch.equal(back, tokens),
                f"tokens of {grid} come back changed from a batch",
                "let grid() say how many rows and columns there are",
            )


def _latents(subject: Subject) -> Iterator[tuple[Tensor, Sample]]:
    """A latent of each size, every value another."""
    for sample in subject.samples:
        values = torch.arange(sample.latent.numel()) / 7  # no few bits hold them
        yield values.reshape(sample.latent.shape), sample


def _cells(latent: Tensor, count: int) -> Iterator[tuple[int, ...]]:
    """Some cells of a latent, the first and the last among them."""
    picks = torch.randint(latent.numel(), (count,), generator=seeded(2)).tolist()
    for number in {0, latent.numel() - 1, *picks}:
        yield tuple(int(place) for place in torch.unravel_index(torch.tensor(number), latent.shape))

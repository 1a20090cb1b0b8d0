"""Rules about training: steps, batches with others, media and options from files."""

from contextlib import suppress

import torch

from lumina_core.data.pool import encode_sample
from lumina_core.errors import LuminaError
from lumina_core.modality import SizeLimits, feature_dims
from lumina_core.plugins import host
from lumina_core.sequence import TokenSample
from lumina_core.testing.rules import builds_on, reason_and_place, rule
from lumina_core.testing.samples import Sample
from lumina_core.testing.subject import Subject, subject_of
from lumina_core.testing.tiny_backbone import tiny_backbone, velocity_of
from lumina_core.testing.verdicts import BrokenRuleError, NotApplicableError, demand
from lumina_core.training.init_from import PROJECTIONS

TOLERANCE = 1e-4  # of a velocity in float32 beside other samples
MAX_ASPECT = 100.0  # that no sample reaches


@rule
def trains_a_step(subject: Subject) -> None:
    """A tiny backbone trains on the world for two steps, and every projection of it learns."""
    demand(
        not any(one.latent.requires_grad for one in subject.samples),
        "encode gives latents that need a gradient",
        "encode under torch.no_grad()",
    )
    run = subject.trained
    demand(run.num_skipped == 0, "a loss was not finite", "encode finite latents")
    weights = run.networks["backbone"].state_dict()
    for name in ("inputs", "outputs"):
        found = [
            value for key, value in weights.items() if key.startswith(f"{name}.{subject.name}")
        ]
        demand(
            found and all(bool(value.isfinite().all()) for value in found),
            f"the {name} of {subject.name} are missing or not finite",
            "keep token_dim the same at every size",
        )
    items = _tokens(subject)
    backbone = tiny_backbone(
        {subject.name: items[0].tokens.shape[1]}, feature_dims(subject.name, subject.modality)
    )
    backbone.train().requires_grad_(True)
    torch.cat([one.flatten() for one in velocity_of(backbone, items)]).square().mean().backward()
    for kind in PROJECTIONS:
        for key, value in getattr(backbone, kind).named_parameters():
            demand(
                value.grad is not None and value.grad.any(),
                f"{kind}.{key} does not learn: its gradient is zero",
                "give tokens and features that are not always zero",
            )


@rule
def batch_mates_do_not_matter(subject: Subject) -> None:
    """In a packed batch with others a sample gets the velocity that it gets alone."""
    items = _tokens(subject)
    backbone = tiny_backbone(
        {subject.name: items[0].tokens.shape[1]}, feature_dims(subject.name, subject.modality)
    )
    together = velocity_of(backbone, items)
    for one, item, found in zip(subject.samples, items, together, strict=True):
        parts = subject.new_modality()  # which have seen no other
        own = encode_sample(subject.name, parts, one.media, one.options, one.caption).tokens
        (alone,) = velocity_of(backbone, [own])
        difference = (alone - found).abs().max().item()
        demand(
            difference <= TOLERANCE,
            f"beside others the velocity of {item.grid} differs by {difference:.1e}",
            "let tokens and features depend on their own sample alone",
        )


@rule
def trains_beside_other_modalities(subject: Subject) -> None:
    """In one batch with samples of every other installed modality it trains a step."""
    items = _tokens(subject)[:2]
    dims = {subject.name: items[0].tokens.shape[1]}
    features = feature_dims(subject.name, subject.modality)
    left_out = []
    for name in host.installed():
        if name == subject.name:
            continue
        try:
            item, more = _neighbour(name)
        except _NeighbourError as error:
            left_out.append(f"{name} is left out: {error}")
            continue
        dims[name] = item.tokens.shape[1]
        features |= more
        items.append(item)
    if len(dims) == 1:
        raise NotApplicableError(
            "; ".join(["no other modality that can be used is installed", *left_out])
        )
    backbone = tiny_backbone(dims, features).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(backbone.parameters())
    loss = torch.stack([one.square().mean() for one in velocity_of(backbone, items)]).sum()
    loss.backward()
    optimizer.step()
    broken = [key for key, value in backbone.named_parameters() if not value.isfinite().all()]
    demand(
        loss.isfinite() and not broken,
        f"beside {', '.join(list(dims)[1:])} the loss is {loss.item():.3g}, and after a step "
        f"{len(broken)} weights are not finite",
        "give finite tokens, and finite features of feature_dim numbers",
    )


class _NeighbourError(Exception):
    """Another modality breaks by itself: its own contract tells."""


def _neighbour(name: str) -> tuple[TokenSample, dict[str, int]]:
    """A sample of another modality, and the number of its features."""
    with subject_of(name) as other:
        try:
            return _tokens(other)[0], feature_dims(name, other.modality)
        except (NotApplicableError, LuminaError) as error:
            raise _NeighbourError(str(error)) from error
        except (Exception, SystemExit) as error:
            place = reason_and_place(error, other)
            if not place:
                raise
            raise _NeighbourError(place) from error


@rule
def files_fit_the_limits_of_a_run(subject: Subject) -> None:
    """`fit` brings media from a file to a legal size within the limits, and refuses what is too
    small or whose sides are too unequal.
    """
    modality = subject.modality
    largest = max(subject.samples, key=lambda one: one.grid.num_patches)
    count = largest.grid.num_patches
    for max_tokens in (count, max(count // 2, 1), 10 * count):
        limits = SizeLimits(1, max_tokens, MAX_ASPECT)
        try:
            media = modality.fit(largest.media, limits)
        except LuminaError as error:
            demand(
                max_tokens < count and "\n" not in str(error),
                f"media of {count} tokens do not fit into {max_tokens}: {error}",
                "accept what is within the limits",
            )
            continue
        encoded = modality.vae.encode(media)
        channels, frames, height, width = encoded.shape
        grid = modality.tokenizer.grid((channels, frames, height, width))
        demand(
            grid.num_patches <= max_tokens,
            f"media fitted to {max_tokens} tokens have {grid.num_patches}",
            "make them smaller, or refuse them",
        )
        demand(
            max_tokens < count or grid == largest.grid,
            f"media of {largest.grid} within the limits become {grid}",
            "leave media alone that are legal and within the limits",
        )
    _fits_what_is_cut(subject, largest)
    _refuses_unequal_sides(subject, largest)
    try:
        modality.fit(largest.media, SizeLimits(count + 1, 10 * count, MAX_ASPECT))
    except LuminaError:
        return
    demand(False, "media below min_tokens are accepted", "refuse them by a LuminaError")


def _fits_what_is_cut(subject: Subject, largest: Sample) -> None:
    """Media that are shorter by one along an axis, as files are, become legal or are refused."""
    modality, count = subject.modality, largest.grid.num_patches
    shapes = zip(*(one.media.shape for one in subject.samples), strict=True)
    for axis, sizes in enumerate(shapes):
        size = largest.media.shape[axis] - 1
        if len(set(sizes)) == 1 or size < 1:
            continue
        with suppress(LuminaError):
            media = modality.fit(
                largest.media.narrow(axis, 0, size), SizeLimits(1, count, MAX_ASPECT)
            )
            try:
                channels, frames, height, width = modality.vae.encode(media).shape
                modality.tokenizer.grid((channels, frames, height, width))
            except (LuminaError, ValueError) as error:
                raise BrokenRuleError(
                    f"media shorter by one along axis {axis} are fitted to {tuple(media.shape)}: "
                    f"{error}; bring them to a whole number of tokens"
                ) from error


def _refuses_unequal_sides(subject: Subject, largest: Sample) -> None:
    """Media that have sides are refused where one is longer than `max_aspect` times the other.

    Those have sides whose last two axes are as the rows and the columns of their tokens.
    """
    grid, shape = largest.grid, largest.media.shape
    is_plane = len(shape) > 2 and min(grid.rows, grid.columns) > 1
    if not is_plane or shape[-2] * grid.columns != shape[-1] * grid.rows:
        return
    strip = largest.media.narrow(-1, 0, shape[-1] // 2)
    aspect = max(strip.shape[-2:]) / min(strip.shape[-2:])
    if aspect == 1:
        strip, aspect = largest.media, max(shape[-2:]) / min(shape[-2:])
    with suppress(LuminaError):
        subject.modality.fit(strip, SizeLimits(1, grid.num_patches, (1 + aspect) / 2))
        demand(
            False,
            f"media of {tuple(strip.shape)} are accepted with max_aspect={(1 + aspect) / 2:g}",
            "refuse them by a LuminaError",
        )


@rule
@builds_on("files_hold_the_media")
def trains_on_files(subject: Subject) -> None:
    """Files that were written are read as training data: the request's options tell their grid."""
    first = subject.kinds()[0][0]
    for suffix, one in subject.kinds(every=True):
        if suffix == first:
            _trains_on_a_file(subject, suffix, one)


def _trains_on_a_file(subject: Subject, suffix: str, one: Sample) -> None:
    modality = subject.modality
    path = subject.written(suffix, one)
    media = modality.read(path, one.options)
    options = modality.described(path, media, one.options)
    found = encode_sample(subject.name, modality, media, options, one.caption)
    demand(
        found.tokens.grid == one.grid,
        f"a file of {one.grid} is trained on as {found.tokens.grid}",
        "read what was written",
    )


def _tokens(subject: Subject) -> list[TokenSample]:
    return [one.tokens for one in subject.captioned()]

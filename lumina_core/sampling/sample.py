"""From prompts to media in memory: noise -> guided velocity -> solver -> latent -> media.

Pure functions of explicit requests: nothing is written onto a module, so threads may share a model.
On a CPU each sample is a batch of its own: matrix kernels round differently for different numbers
of rows, and a sample must not depend on its batch mates to the bit.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core.backbone.network import Network
from lumina_core.checkpoints.model import Model
from lumina_core.errors import LuminaError
from lumina_core.flow.settings import ADAPTIVE, GuidanceConfig
from lumina_core.flow.solver import OnStep, Velocity, integrate
from lumina_core.modality import Media
from lumina_core.sampling.coarse import coarser_options, enlarged_tokens
from lumina_core.sampling.regions import asked_of, asked_without
from lumina_core.sampling.request import Request, num_patches, num_positions, sampling_at
from lumina_core.sampling.settings import Sampling
from lumina_core.sampling.velocity import GuidedVelocity
from lumina_core.text.frozen import FrozenTextEncoder
from lumina_core.text.settings import Text

Watch = Callable[[Callable[[], list[Media]]], None]
"""Called as watch(media) at each evaluation of a batch: media() gives the media that the flow would
lead to from there in one straight step, at the cost of decoding them."""

NUM_TEXTS_AHEAD = 512  # encoded at once; the features of the longest take a megabyte each


@dataclass(frozen=True)
class Sampled:
    """One medium, and what it cost."""

    media: Media
    network_evaluations: int
    """Backbone evaluations of this sample; a guided step counts 2."""


def batches(model: Model, requests: Sequence[Request], sampling: Sampling) -> list[list[Request]]:
    """Requests that are computed together, in their order.

    On a CPU, and by an adaptive solver, whose steps depend on the error of the whole batch, each is
    alone; else as many of the same steps as the budget holds, where a guided sample counts twice.
    """
    copies = 2 if sampling.guidance.is_on and not sampling.guidance.in_turn else 1
    is_alone = model.device.type == "cpu" or sampling.solver.name in ADAPTIVE
    groups: list[list[Request]] = []
    total = 0
    for request in requests:
        length = copies * num_positions(model, request.options)
        is_mixed = bool(groups) and (
            _passes(model, request, sampling) != _passes(model, groups[-1][0], sampling)
        )
        if not groups or is_alone or is_mixed or total + length > sampling.token_budget:
            groups.append([])
            total = 0
        groups[-1].append(request)
        total += length
    return groups


def in_turn(
    model: Model, groups: Sequence[list[Request]], guidance: GuidanceConfig
) -> Iterator[list[Request]]:
    """The batches one after the other, the texts of many encoded before the first of these.

    So a large frozen encoder has left the memory when the backbone runs, and no more features wait
    than fit beside it.
    """
    encoder = model.text_encoder
    num_encoded = 0
    for number, group in enumerate(groups):
        if isinstance(encoder, FrozenTextEncoder) and number == num_encoded:
            texts: list[Text] = []
            while num_encoded < len(groups) and len(texts) < NUM_TEXTS_AHEAD:
                texts += _texts(groups[num_encoded], guidance, model.backbone)
                num_encoded += 1
            encoder.encode_ahead(list(map(model.read_as, texts)), cache=model.text_cache)
        yield group


def _texts(requests: Sequence[Request], guidance: GuidanceConfig, network: Network) -> list[Text]:
    """Every text that the backbone will need."""
    asked = [asked_of(request, network) for request in requests]
    if guidance.is_on:
        asked += [asked_without(request, network) for request in requests]
    return [text for each in asked for text in each.needed]


def sample(model: Model, requests: Sequence[Request], sampling: Sampling) -> list[Sampled]:
    """Make one medium per request.

    Args:
        model: the checkpoint.
        requests: what to make; any mix of sizes.
        sampling: solver, guidance and scaling, the same for all.

    Returns:
        Media in the order of the requests. Sample by sample the same, whatever else is asked.
    """
    found = in_turn(model, batches(model, requests, sampling), sampling.guidance)
    return [item for batch in found for item in sample_batch(model, batch, sampling)]


def sample_batch(
    model: Model,
    requests: Sequence[Request],
    sampling: Sampling,
    *,
    on_step: OnStep | None = None,
    watch: Watch | None = None,
) -> list[Sampled]:
    """Make the media of one of the `batches`.

    Args:
        model: the checkpoint.
        requests: computed together.
        sampling: solver, guidance and scaling.
        on_step: called as on_step(step, total) after each step, those of a sample begun small
            included; may raise to cancel.
        watch: sees the samples as they come about, but not those begun small.

    Raises:
        LuminaError: the numbers ran over, as they can in half precision.
    """
    velocity, state, evaluations = _followed(model, requests, sampling, on_step, watch)
    return [Sampled(item, evaluations) for item in velocity.media(state)]


def sample_latents(
    model: Model, requests: Sequence[Request], sampling: Sampling
) -> list[Float[Tensor, "channels frames height width"]]:
    """The latents of a batch, as `sample_batch` decodes them."""
    velocity, state, _ = _followed(model, requests, sampling)
    return velocity.latents(state)


@torch.no_grad()  # not inference_mode: it remembers layouts, which training could not use then
def _followed(
    model: Model,
    requests: Sequence[Request],
    sampling: Sampling,
    on_step: OnStep | None = None,
    watch: Watch | None = None,
) -> "tuple[GuidedVelocity, Tensor, int]":
    """The velocity of a batch, the state that it leads to, and the evaluations of each sample."""
    evaluations = 0
    if _begins_small(model, requests[0], sampling):
        requests, evaluations = _begun_small(model, requests, sampling, _of_both(on_step, 0))
        on_step = _of_both(on_step, 1)
    velocity = GuidedVelocity(model, requests, sampling)
    state = integrate(
        velocity if watch is None else _watched(velocity, watch),
        velocity.x_0,
        velocity.solver,
        on_step=on_step,
        times=velocity.times,
        noise=velocity.noise,
    )
    if not state.isfinite().all():
        raise LuminaError(
            "the sample is not finite: its numbers ran over; use dtype=float32, and rope_scaling "
            "and guidance nearer to their defaults"
        )
    return velocity, state, evaluations + velocity.num_evaluations


def _watched(velocity: "GuidedVelocity", watch: Watch) -> Velocity:
    """The velocity; each evaluation shows x + (1 - t) v, its estimate of where the flow ends."""

    def follow(t: float, x: Tensor) -> Tensor:
        v = velocity(t, x)
        watch(lambda: velocity.media(x + (1 - t) * v))
        return v

    return follow


def _begins_small(model: Model, request: Request, sampling: Sampling) -> bool:
    above = sampling.coarse.above
    if above is None or request.given is not None:
        return False
    return num_positions(model, request.options) > above


def _passes(model: Model, request: Request, sampling: Sampling) -> list[Any]:
    """How each pass over a sample is made: there are two where it begins small."""
    sizes = [request.options]
    if _begins_small(model, request, sampling):
        sizes.append(_small_options(model, request, sampling))
    ways = [sampling_at(model, options, sampling) for options in sizes]
    lengths = [num_patches(model, options) for options in sizes]
    return [(way, way.solver.at_length(length)) for way, length in zip(ways, lengths, strict=True)]


def _small_options(model: Model, request: Request, sampling: Sampling) -> Any:
    length = num_positions(model, request.options)
    return coarser_options(model, request.options, length, sampling.coarse)


def _begun_small(
    model: Model, requests: Sequence[Request], sampling: Sampling, on_step: OnStep | None
) -> tuple[list[Request], int]:
    """The requests with what they start from, and the evaluations that this cost each."""
    coarse = sampling.coarse
    small = [replace(r, options=_small_options(model, r, sampling)) for r in requests]
    once = replace(sampling, coarse=replace(coarse, above=None))
    made = sample_batch(model, small, once, on_step=on_step)
    begun = [
        replace(r, given=enlarged_tokens(model, item.media, r.options, coarse))
        for r, item in zip(requests, made, strict=True)
    ]
    return begun, made[0].network_evaluations


def _of_both(on_step: OnStep | None, num_before: int) -> OnStep | None:
    """Count the steps of one of two passes, which have equally many, as steps of both.

    Args:
        on_step: is told the steps of both.
        num_before: passes that are over.
    """
    if on_step is None:
        return None
    return lambda step, total: on_step(num_before * total + step, 2 * total)

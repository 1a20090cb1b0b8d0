"""From prompts to media in memory: noise -> guided velocity -> solver -> latent -> media.

Pure functions of explicit requests: nothing is written onto a module, so threads may share a model.
On a CPU each sample is a batch of its own: matrix kernels round differently for different numbers
of rows, and a sample must not depend on its batch mates to the bit.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lumina_core.backbone.flag_dit import Context
from lumina_core.checkpoint import Model
from lumina_core.coarse import coarser_options, enlarged_tokens
from lumina_core.command_records import Sampling
from lumina_core.conditioning import GivenTokens
from lumina_core.decoder import Media
from lumina_core.errors import LuminaError, printable
from lumina_core.flow.guidance import GuidanceConfig, guided, is_guided_at
from lumina_core.flow.path import interpolate
from lumina_core.flow.solver import integrate
from lumina_core.frozen_text import FrozenTextEncoder
from lumina_core.keys import ADAPTIVE
from lumina_core.runtime import seeded
from lumina_core.sequence import TokenBatch, TokenSample, pack, unpack
from lumina_core.terminal import about
from lumina_core.tokenizer import channel_mask

NUM_TEXTS_AHEAD = 512  # encoded at once; the features of the longest take a megabyte each
MAX_SHOWN = 60  # characters of a prompt in a note about its sample


@dataclass(frozen=True)
class Request:
    """One sample to make."""

    prompt: str
    negative_prompt: str
    seed: int
    options: Any
    """Of the modality: what size the medium has."""
    given: GivenTokens | None = None
    """What the medium is made from, beside the prompt."""


def sampling_of(config: Sampling) -> Sampling:
    """The part of a command's configuration that says how samples are made."""
    return Sampling(**{field.name: getattr(config, field.name) for field in fields(Sampling)})


@dataclass(frozen=True)
class Sampled:
    """One medium, and what it cost."""

    media: Media
    network_evaluations: int
    """Backbone evaluations of this sample; a guided step counts 2."""


def batches(model: Model, requests: Sequence[Request], sampling: Sampling) -> list[list[Request]]:
    """Requests that are computed together, in their order.

    On a CPU, and by an adaptive solver, whose steps depend on the error of the whole batch, each is
    alone; else as many as the budget holds, where a guided sample counts twice.
    """
    copies = 1 if sampling.guidance.scale == 1 else 2
    is_alone = model.device.type == "cpu" or sampling.solver.name in ADAPTIVE
    groups: list[list[Request]] = []
    total = 0
    for request in requests:
        length = copies * num_positions(model, request.options)
        is_mixed = bool(groups) and (
            _begins_small(model, request, sampling) != _begins_small(model, groups[-1][0], sampling)
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
            texts: list[str] = []
            while num_encoded < len(groups) and len(texts) < NUM_TEXTS_AHEAD:
                texts += _texts(groups[num_encoded], guidance)
                num_encoded += 1
            encoder.encode_ahead(texts, cache=model.text_cache)
        yield group


def _texts(requests: Sequence[Request], guidance: GuidanceConfig) -> list[str]:
    """Every text that the backbone will need."""
    negative = [request.negative_prompt for request in requests if guidance.scale != 1]
    return [request.prompt for request in requests] + negative


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
    on_step: Callable[[int, int], None] | None = None,
) -> list[Sampled]:
    """Make the media of one of the `batches`.

    Args:
        model: the checkpoint.
        requests: computed together.
        sampling: solver, guidance and scaling.
        on_step: called as on_step(step, total) after each step, those of a sample begun small
            included; may raise to cancel.

    Raises:
        LuminaError: the numbers ran over, as they can in half precision.
    """
    velocity, state, evaluations = _followed(model, requests, sampling, on_step)
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
    on_step: Callable[[int, int], None] | None = None,
) -> "tuple[GuidedVelocity, Tensor, int]":
    """The velocity of a batch, the state that it leads to, and the evaluations of each sample."""
    evaluations = 0
    if _begins_small(model, requests[0], sampling):
        requests, evaluations = _begun_small(model, requests, sampling, _of_both(on_step, 0))
        on_step = _of_both(on_step, 1)
    velocity = GuidedVelocity(model, requests, sampling)
    state = integrate(
        velocity, velocity.x_0, sampling.solver, on_step=on_step, start=velocity.start
    )
    if not state.isfinite().all():
        raise LuminaError(
            "the sample is not finite: its numbers ran over; use dtype=float32, and rope_scaling "
            "and guidance nearer to their defaults"
        )
    return velocity, state, evaluations + velocity.num_evaluations


def _limited(sample: TokenSample, sampling: Sampling) -> TokenSample:
    """The sample with positions that reach no farther than those of training."""
    grid = sample.grid
    if sampling.longest_side is not None:
        grid = grid.shrunk(sampling.longest_side)
    return replace(sample, grid=replace(grid, position_limit=sampling.position_limit))


def _begins_small(model: Model, request: Request, sampling: Sampling) -> bool:
    above = sampling.coarse.above
    if above is None or request.given is not None:
        return False
    return num_positions(model, request.options) > above


def _begun_small(
    model: Model,
    requests: Sequence[Request],
    sampling: Sampling,
    on_step: Callable[[int, int], None] | None,
) -> tuple[list[Request], int]:
    """The requests with what they start from, and the evaluations that this cost each."""
    coarse = sampling.coarse
    small = [
        replace(
            r, options=coarser_options(model, r.options, num_positions(model, r.options), coarse)
        )
        for r in requests
    ]
    once = replace(sampling, coarse=replace(coarse, above=None))
    made = sample_batch(model, small, once, on_step=on_step)
    begun = [
        replace(r, given=enlarged_tokens(model, item.media, r.options, coarse))
        for r, item in zip(requests, made, strict=True)
    ]
    return begun, made[0].network_evaluations


def _of_both(
    on_step: Callable[[int, int], None] | None, num_before: int
) -> Callable[[int, int], None] | None:
    """Count the steps of one of two passes, which have equally many, as steps of both.

    Args:
        on_step: is told the steps of both.
        num_before: passes that are over.
    """
    if on_step is None:
        return None
    return lambda step, total: on_step(num_before * total + step, 2 * total)


def first_tokens(model: Model, request: Request) -> TokenSample:
    """Where the flow starts: noise, which depends on seed and size alone, and what is given."""
    tokenizer = model.modality.tokenizer
    shape = latent_shape(model, request.options)
    tokens = tokenizer.tokenize(torch.randn(shape, generator=seeded(request.seed)))
    grid, given = tokenizer.grid(shape), request.given
    features = model.modality.features(request.options, grid)
    if given is None:
        return TokenSample(model.name, grid, tokens.to(model.device), features=features)
    mixed = interpolate(tokens.flatten(), given.tokens.flatten(), given.start).view_as(tokens)
    tokens = torch.where(given.known[:, None], given.tokens, mixed)
    tokens = tokens.to(model.device)
    return TokenSample(model.name, grid, tokens, known=given.known, features=features)


def latent_shape(model: Model, options: Any) -> tuple[int, int, int, int]:
    """Shape of the latent of a medium with these options.

    Raises:
        LuminaError: the modality has no medium of that size.
    """
    return model.modality.vae.latent_shape(model.modality.media_shape(options))


def num_positions(model: Model, options: Any) -> int:
    """Positions of a sample with these options, separators included."""
    grid = model.modality.tokenizer.grid(latent_shape(model, options))
    return grid.num_positions(model.backbone.config.separators)


class GuidedVelocity:
    """v(t, x) of one batch, t from 0 (noise) to 1 (data); x is the tokens of its samples, end to
    end. Holds what is computed once, and counts evaluations.
    """

    def __init__(self, model: Model, requests: Sequence[Request], sampling: Sampling) -> None:
        self._model = model
        self._requests = requests
        self._backbone = model.backbone
        self._guidance = sampling.guidance
        samples = [_limited(first_tokens(model, request), sampling) for request in requests]
        self._is_led = any(item.known is not None for item in samples)
        starts = {request.given.start if request.given else 0.0 for request in requests}
        if len(starts) > 1:
            raise ValueError(f"one batch has one start, got {sorted(starts)}")
        self.start = starts.pop()
        """Time at which the flow starts; above 0 it starts from something that is given."""
        self.num_evaluations = 0

        def prepared(items: list[TokenSample], texts: list[str]) -> tuple[TokenBatch, Context]:
            batch = pack(items, separators=model.backbone.config.separators)
            features, lengths = model.text_features(texts)
            context = model.backbone.prepare(
                batch,
                features,
                lengths,
                scaling=sampling.rope_scaling,
                proportional_base=sampling.proportional_attention,
                attention=model.attention,
            )
            return batch, context

        prompts = [request.prompt for request in requests]
        self.batch, self._context = prepared(samples, prompts)
        if sampling.guidance.scale != 1:
            pairs = [text for r in requests for text in (r.prompt, r.negative_prompt)]
            twice = [item for item in samples for _ in range(2)]
            self._double, self._double_context = prepared(twice, pairs)
            self._first, self._second, self._both = _pair_indices(self.batch)
            self._mask = _guided_elements(model, samples, requests, sampling.guidance)

    @property
    def x_0(self) -> Float[Tensor, "element"]:
        """Where the flow starts: noise, which follows from the seeds, and what is given."""
        return self.batch.state

    def latents(self, x: Float[Tensor, "element"]) -> list[Tensor]:
        """The latent of each sample at a state of the flow."""
        tokens = unpack(self.batch.with_state(x))
        tokenizer = self._model.modality.tokenizer
        return [tokenizer.detokenize(*pair) for pair in zip(tokens, self.batch.grids, strict=True)]

    @torch.no_grad()
    def media(self, x: Float[Tensor, "element"]) -> list[Media]:
        """The medium of each sample at a state of the flow."""
        media = []
        for latent, request in zip(self.latents(x), self._requests, strict=True):
            with about(f"{printable(request.prompt, MAX_SHOWN)!r}, seed {request.seed}"):
                media.append(self._model.modality.decode(latent, request.options))
        return media

    def __call__(self, t: float, x: Float[Tensor, "element"]) -> Float[Tensor, "element"]:
        """The guided velocity where guidance acts, the conditional one elsewhere."""
        if not is_guided_at(t, self._guidance):
            self.num_evaluations += 1
            return self._evaluate(self.batch.with_state(x), t, self._context)
        self.num_evaluations += 2
        both = self._evaluate(self._double.with_state(x[self._both]), t, self._double_context)
        conditional, unconditional = both[self._first], both[self._second]
        return guided(conditional, unconditional, self._guidance.scale, channel_mask=self._mask)

    def _evaluate(self, batch: TokenBatch, t: float, context: Context) -> Float[Tensor, "element"]:
        time = torch.full((batch.num_samples,), t, device=batch.state.device)
        velocity = self._backbone(batch, batch.segment_time(time), context)
        return velocity * batch.unknown if self._is_led else velocity


def _pair_indices(
    batch: TokenBatch,
) -> tuple[Int[Tensor, "element"], Int[Tensor, "element"], Int[Tensor, "twice"]]:
    """Elements of the first and second copies in a batch of pairs, and where each comes from."""
    counts = batch.element_counts.tolist()
    own = torch.arange(sum(counts), device=batch.state.device).split(counts)
    both = torch.cat([part for part in own for _ in range(2)])
    copies = torch.arange(2 * sum(counts), device=batch.state.device)
    parts = copies.split([count for count in counts for _ in range(2)])
    return torch.cat(parts[::2]), torch.cat(parts[1::2]), both


def _guided_elements(
    model: Model,
    samples: Sequence[TokenSample],
    requests: Sequence[Request],
    guidance: GuidanceConfig,
) -> Tensor | None:
    """Which elements belong to the guided channels; None: all."""
    if guidance.channels is None:
        return None
    shapes = [latent_shape(model, request.options) for request in requests]
    if guidance.channels > shapes[0][0]:
        raise LuminaError(
            f"guidance.channels={guidance.channels} is more than the {shapes[0][0]} channels of "
            "the latent; use null for all of them"
        )
    masks = [channel_mask(model.modality.tokenizer, shape, guidance.channels) for shape in shapes]
    return torch.cat([mask.flatten() for mask in masks]).to(samples[0].tokens.device)


def media_sha256(media: Tensor) -> str:
    """Hash of a medium before any container: its type, shape and bytes."""
    array = media.detach().cpu().contiguous()
    header = f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}\n"
    return hashlib.sha256(header.encode() + array.numpy().tobytes()).hexdigest()

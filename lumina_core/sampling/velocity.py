"""The guided velocity of a batch: two evaluations where guidance acts, one elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lumina_core.backbone.settings import NO_SCALING
from lumina_core.checkpoints.model import Model
from lumina_core.errors import LuminaError, printable
from lumina_core.flow.guidance import end_of_guidance, guided, is_guided_at, renormalised
from lumina_core.flow.path import interpolate
from lumina_core.flow.settings import GuidanceConfig
from lumina_core.flow.solver import TIME_COUNT, times_of
from lumina_core.modality import Media, Tokenizer
from lumina_core.runtime import seeded
from lumina_core.sampling.regions import Asked, asked_of, asked_without, regions_of
from lumina_core.sampling.request import Request, latent_shape, sampling_at
from lumina_core.sampling.settings import Sampling
from lumina_core.sequence import TokenBatch, TokenSample, unpack
from lumina_core.terminal import about

MAX_SHOWN = 60  # characters of a prompt in a note about its sample


def _limited(sample: TokenSample, sampling: Sampling) -> TokenSample:
    """The sample with positions that reach no farther than those of training."""
    grid = sample.grid
    if sampling.longest_side is not None:
        grid = grid.shrunk(sampling.longest_side)
    return replace(sample, grid=replace(grid, position_limit=sampling.position_limit))


def noise_of(model: Model, request: Request) -> Iterator[Float[Tensor, "patch token_dim"]]:
    """Noise of a sample, by its seed and size alone: where the flow starts, then for its steps."""
    generator, shape = seeded(request.seed), latent_shape(model, request.options)
    while True:
        yield model.modality.tokenizer.tokenize(torch.randn(shape, generator=generator))


def first_tokens(model: Model, request: Request) -> TokenSample:
    """Where the flow starts: noise, which depends on seed and size alone, and what is given."""
    tokenizer = model.modality.tokenizer
    shape = latent_shape(model, request.options)
    tokens = next(noise_of(model, request))
    grid, given = tokenizer.grid(shape), request.given
    features = model.modality.features(request.options, grid)
    if given is None:
        return TokenSample(model.name, grid, tokens.to(model.device), features=features)
    mixed = interpolate(tokens.flatten(), given.tokens.flatten(), given.start).view_as(tokens)
    tokens = torch.where(given.known[:, None], given.tokens, mixed)
    tokens = tokens.to(model.device)
    return TokenSample(model.name, grid, tokens, known=given.known, features=features)


def check_network(model: Model, sampling: Sampling) -> None:
    """Refuse what the network of another package does not have: settings of our own alone.

    Raises:
        LuminaError: one is asked for; says which.
    """
    if model.config is not None:
        return
    usual = {
        "rope_scaling": NO_SCALING,
        "longest_side": None,
        "position_limit": None,
        "proportional_attention": None,
    }
    asked = [key for key, value in usual.items() if getattr(sampling, key) != value]
    if model.attention != "auto":
        asked.append("attention")
    if asked:
        raise LuminaError(
            f"{asked[0]} is for the networks of this project, and this model has that of another "
            f"package; leave {asked[0]} out"
        )


class GuidedVelocity:
    """v(t, x) of one batch, t from 0 (noise) to 1 (data); x is the tokens of its samples, end to
    end. Holds what is computed once, and counts evaluations.
    """

    def __init__(self, model: Model, requests: Sequence[Request], sampling: Sampling) -> None:
        ways = {sampling_at(model, request.options, sampling) for request in requests}
        if len(ways) > 1:
            raise ValueError("one batch has one way of sampling, got sizes that need several")
        sampling = ways.pop()
        check_network(model, sampling)
        self._model = model
        self._requests = requests
        self._backbone = model.backbone
        self._guidance = sampling.guidance
        samples = [_limited(first_tokens(model, request), sampling) for request in requests]
        self._is_led = any(item.known is not None for item in samples)
        starts = {request.given.start if request.given else 0.0 for request in requests}
        if len(starts) > 1:
            raise ValueError(f"one batch has one start, got {sorted(starts)}")
        start = starts.pop()  # above 0 it starts from something that is given
        solvers = {sampling.solver.at_length(item.grid.num_patches) for item in samples}
        if len(solvers) > 1:
            shifts = sorted(solver.shift for solver in solvers)
            raise ValueError(f"one batch has one shift, got {shifts}")
        self.solver = solvers.pop()
        """The solver of these samples: its shift is a number."""
        is_counted = model.backbone.time_scale == TIME_COUNT
        self.times = times_of(self.solver, start, is_counted=is_counted)
        """Between which a fixed-step solver steps."""
        self._noise = [islice(noise_of(model, request), 1, None) for request in requests]
        self._end_of_guidance = end_of_guidance(self.times, self._guidance.share_of_steps)
        self.num_evaluations = 0

        def prepared(items: list[TokenSample], asked: Sequence[Asked]) -> tuple[TokenBatch, Any]:
            batch = model.backbone.pack(items)
            features, lengths = model.text_features([text for each in asked for text in each.texts])
            is_plain = all(each.is_plain for each in asked)
            regions = None if is_plain else regions_of(model, batch, asked)
            context = model.ready_backbone().prepare(
                batch,
                features,
                lengths,
                scaling=sampling.rope_scaling,
                proportional_base=sampling.proportional_attention,
                attention=model.attention,
                regions=regions,
            )
            return batch, context

        self.batch, self._context = prepared(
            samples, [asked_of(each, self._backbone) for each in requests]
        )
        if sampling.guidance.is_on and sampling.guidance.in_turn:
            without = [asked_without(each, self._backbone) for each in requests]
            self._without, self._without_context = prepared(samples, without)
        elif sampling.guidance.is_on:
            both = asked_of, asked_without
            pairs = [texts(each, self._backbone) for each in requests for texts in both]
            twice = [item for item in samples for _ in range(2)]
            self._double, self._double_context = prepared(twice, pairs)
            self._first, self._second, self._both = _pair_indices(self.batch)
        if sampling.guidance.is_on:
            self._mask = _guided_elements(model, samples, requests, sampling.guidance)

    @property
    def x_0(self) -> Float[Tensor, "element"]:
        """Where the flow starts: noise, which follows from the seeds, and what is given."""
        return self.batch.state

    def noise(self) -> Float[Tensor, "element"]:
        """Fresh noise of each sample, which follows from its seed; what is given stays."""
        fresh = torch.cat([next(each).flatten() for each in self._noise]).to(self.x_0)
        return torch.where(self.batch.unknown, fresh, self.x_0)

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
        if not (is_guided_at(t, self._guidance) and t < self._end_of_guidance):
            self.num_evaluations += 1
            return self._evaluate(self.batch.with_state(x), t, self._context)
        self.num_evaluations += 2
        conditional, unconditional = self._pair(t, x)
        config = self._guidance
        velocity = guided(
            *(conditional, unconditional, config.scale), rule=config.rule, channel_mask=self._mask
        )
        if config.renormalise == "none":
            return velocity
        pairs = zip(self.latents(velocity), self.latents(conditional), strict=True)
        latents = [renormalised(*pair, config) for pair in pairs]
        tokenizer = self._model.modality.tokenizer
        return torch.cat([tokenizer.tokenize(latent).flatten() for latent in latents])

    def _pair(self, t: float, x: Float[Tensor, "element"]) -> tuple[Tensor, Tensor]:
        """The velocities with the prompts and without them."""
        if self._guidance.in_turn:
            conditional = self._evaluate(self.batch.with_state(x), t, self._context)
            return conditional, self._evaluate(
                self._without.with_state(x), t, self._without_context
            )
        both = self._evaluate(self._double.with_state(x[self._both]), t, self._double_context)
        return both[self._first], both[self._second]

    def _evaluate(self, batch: TokenBatch, t: float, context: Any) -> Float[Tensor, "element"]:
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


def channel_mask(
    tokenizer: Tokenizer, latent_shape: tuple[int, ...], channels: int
) -> Bool[Tensor, "patch token_dim"]:
    """Which elements of the tokens hold the first `channels` channels of the latent.

    Args:
        tokenizer: of the modality.
        latent_shape: (channels, frames, height, width).
        channels: how many channels are marked.

    Returns:
        True where an element of the tokens is marked.
    """
    latent = torch.zeros(latent_shape)
    latent[:channels] = 1
    return tokenizer.tokenize(latent).bool()

import copy
from dataclasses import replace

import pytest
import torch

from lumina_core import LuminaError
from lumina_core.config.compose import compose_options
from lumina_core.sampling import request as sampling_request
from lumina_core.sampling import velocity as sampling_velocity
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.given import GivenTokens
from lumina_core.sampling.request import Request, media_sha256
from lumina_core.sampling.sample import sample, sample_batch
from lumina_core.sampling.velocity import channel_mask, first_tokens


@pytest.fixture(scope="module")
def request_():
    options = replace(compose_options("image"), height=32, width=48)
    return Request("a red circle", "", 3, options)


@pytest.fixture(scope="module")
def settings():
    values = compose_sampling("image")
    return replace(
        values,
        solver=replace(values.solver, name="euler", num_steps=3),
        guidance=replace(values.guidance, scale=3.0, interval=(0.0, 1.0), channels=None),
    )


@pytest.fixture(scope="module")
def model(tiny_model):
    """With weights that make text and noise matter; three steps of training hardly move them."""
    generator = torch.Generator().manual_seed(0)
    backbone = copy.deepcopy(tiny_model.backbone)
    for name, weight in backbone.named_parameters():
        if any(part in name for part in ("modulation", "outputs", "pooled_linear")):
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return replace(tiny_model, backbone=backbone, placed=None)


@pytest.fixture
def flow(model, settings, request_):
    """The latent tokens of a request with changed guidance."""

    def state(request=request_, **guidance):
        changed = replace(settings, guidance=replace(settings.guidance, **guidance))
        with torch.no_grad():
            velocity = sampling_velocity.GuidedVelocity(model, [request], changed)
            found = velocity(0.3, velocity.x_0)
        return found, velocity.num_evaluations

    return state


def test_a_modality_may_decode_as_the_options_say(model, request_, settings):
    class Decoding:
        def __getattr__(self, name):
            return getattr(model.modality, name)

        def decode(self, latent, options):
            return model.modality.vae.decode(latent)[:, :, : options.width - 5]

    (whole,) = sample(model, [request_], settings)
    (found,) = sample(replace(model, modality=Decoding()), [request_], settings)
    assert torch.equal(found.media, whole.media[:, :, :43])


@pytest.mark.parametrize("solver", ["euler", "ping_pong"])
def test_a_sample_does_not_depend_on_its_batch_mates(solver, model, request_, settings):
    settings = replace(settings, solver=replace(settings.solver, name=solver))
    options = request_.options
    others = [
        replace(request_, seed=4, prompt="four grey crosses"),
        replace(request_, seed=5, options=replace(options, height=64)),
        replace(request_, seed=6, prompt="", negative_prompt="a blue star"),
    ]
    (alone,) = sample(model, [request_], settings)
    together = sample(model, [*others, request_, request_], settings)
    assert torch.equal(alone.media, together[3].media)
    assert torch.equal(alone.media, together[4].media)
    assert [tuple(item.media.shape) for item in together[:2]] == [(3, 32, 48), (3, 64, 48)]
    for one, item in zip(others, together, strict=False):
        assert torch.equal(sample(model, [one], settings)[0].media, item.media)
    assert len({media_sha256(item.media) for item in together}) == 4


def test_a_longest_side_moves_the_positions_of_longer_samples_only(model, request_, settings):
    square = replace(request_, options=replace(request_.options, width=32))
    grid = first_tokens(model, request_).grid
    side = max(grid.rows, grid.columns) * grid.common_step

    def hashes(longest_side):
        changed = replace(settings, longest_side=longest_side)
        return [media_sha256(s.media) for s in sample(model, [request_, square], changed)]

    plain, exact, shorter = hashes(None), hashes(side), hashes(0.9 * side)
    assert plain == exact
    assert plain[1] == shorter[1]  # a square reaches two thirds of it
    assert plain[0] != shorter[0]


def test_a_position_limit_changes_samples_that_reach_beyond_it_only(model, request_, settings):
    grid = first_tokens(model, request_).grid
    sides = zip((grid.rows, grid.columns), grid.step[1:], strict=True)
    farthest = max((side + 1) / 2 * step for side, step in sides)  # that of a [nextline]

    def made(limit):
        return media_sha256(
            sample(model, [request_], replace(settings, position_limit=limit))[0].media
        )

    assert made(farthest) == made(None) != made(0.5 * farthest)


def test_samples_depend_on_seed_prompt_and_size(model, request_, settings):
    changed = [
        request_,
        replace(request_, seed=4),
        replace(request_, prompt="a blue star"),
        replace(request_, negative_prompt="a blue star"),
    ]
    hashes = [media_sha256(item.media) for item in sample(model, changed, settings)]
    assert len(set(hashes)) == 4
    assert hashes == [media_sha256(item.media) for item in sample(model, changed, settings)]


def test_noise_depends_on_seed_and_size_alone(model, request_):
    first = first_tokens(model, request_).tokens
    torch.manual_seed(9)
    assert torch.equal(first, first_tokens(model, replace(request_, prompt="x")).tokens)
    assert not torch.equal(first, first_tokens(model, replace(request_, seed=4)).tokens)


def test_scale_one_is_the_conditional_velocity(flow):
    conditional, evaluations = flow(scale=1.0)
    assert evaluations == 1
    torch.testing.assert_close(flow(scale=1.0 + 1e-6)[0], conditional, atol=1e-4, rtol=0)


def test_guidance_is_a_line_through_both_velocities(flow, request_):
    conditional, _ = flow(scale=1.0)
    unconditional, _ = flow(replace(request_, prompt=request_.negative_prompt), scale=1.0)
    guided, evaluations = flow(scale=3.0)
    assert evaluations == 2
    expected = unconditional + 3 * (conditional - unconditional)
    torch.testing.assert_close(guided, expected, atol=1e-4, rtol=1e-4)


def test_a_negative_prompt_equal_to_the_prompt_cancels_guidance(flow, request_):
    same = replace(request_, negative_prompt=request_.prompt)
    torch.testing.assert_close(flow(same, scale=5.0)[0], flow(scale=1.0)[0], atol=1e-4, rtol=1e-4)


def test_guidance_acts_within_its_interval_only(flow):
    conditional, _ = flow(scale=1.0)
    outside, evaluations = flow(scale=3.0, interval=(0.5, 1.0))
    assert torch.equal(outside, conditional)
    assert evaluations == 1
    assert not torch.equal(flow(scale=3.0, interval=(0.0, 0.5))[0], conditional)


def test_guidance_acts_on_its_channels_only(flow, model, request_):
    shape = sampling_request.latent_shape(model, request_.options)
    mask = channel_mask(model.modality.tokenizer, shape, 3).flatten()
    conditional, everywhere = flow(scale=1.0)[0], flow(scale=3.0)[0]
    some = flow(scale=3.0, channels=3)[0]
    assert torch.equal(some[mask], everywhere[mask])
    torch.testing.assert_close(some[~mask], conditional[~mask], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(everywhere[~mask], conditional[~mask], atol=1e-2)
    assert torch.equal(flow(scale=3.0, channels=4)[0], everywhere)
    with pytest.raises(LuminaError, match=r"guidance\.channels=5 is more than the 4"):
        flow(scale=3.0, channels=5)


def test_evaluations_are_counted_per_sample(model, request_, settings):
    def evaluations(solver, **guidance):
        changed = replace(
            settings,
            solver=replace(settings.solver, name=solver),
            guidance=replace(settings.guidance, **guidance),
        )
        return [item.network_evaluations for item in sample(model, [request_] * 2, changed)]

    assert evaluations("euler") == [6, 6]
    assert evaluations("heun", scale=1.0) == [6, 6]
    assert evaluations("euler", interval=(0.5, 1.0)) == [4, 4]  # steps start at 0, 1/3 and 2/3
    adaptive = evaluations("dopri5", scale=1.0)
    assert adaptive[0] == adaptive[1] > 6


def test_on_step_counts_and_cancels(model, request_, settings):
    class CancelledError(Exception):
        pass

    seen = []

    def on_step(step, total):
        seen.append((step, total))
        if len(seen) == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        sample_batch(model, [request_], settings, on_step=on_step)
    assert seen == [(1, 3), (2, 3)]


def test_media_may_be_worked_on(model, request_, settings):
    media = sample(model, [request_], settings)[0].media
    assert media.dtype == torch.uint8
    assert not media.is_inference()
    media += 1


def test_media_sha256_tells_type_and_shape_apart():
    zeros = torch.zeros(2, 3, dtype=torch.uint8)
    variants = [zeros, zeros.T, zeros.to(torch.int8), zeros + 1]
    assert len({media_sha256(item) for item in variants}) == 4
    assert media_sha256(zeros) == media_sha256(torch.zeros(3, 2, dtype=torch.uint8).T)


@pytest.fixture
def led(model, request_):
    """The request with its left half given."""
    first = first_tokens(model, request_)
    known = torch.arange(first.grid.num_patches) % first.grid.columns < 3
    tokens = torch.randn(first.tokens.shape, generator=torch.Generator().manual_seed(8))
    return replace(request_, given=GivenTokens(tokens, known, 0.25, {}))


@pytest.mark.parametrize("solver", ["euler", "ping_pong"])
def test_known_tokens_stay_and_lead_the_others(solver, model, request_, settings, led, monkeypatch):
    settings = replace(settings, solver=replace(settings.solver, name=solver))
    monkeypatch.setattr(model.modality.vae, "decode", lambda latent: latent)
    tokenizer = model.modality.tokenizer

    def tokens(request):
        return tokenizer.tokenize(sample(model, [request], settings)[0].media)

    known, found = led.given.known, tokens(led)
    assert torch.equal(found[known], led.given.tokens[known])
    assert not torch.equal(found[~known], tokens(request_)[~known])
    other = replace(led.given, tokens=led.given.tokens.where(~known[:, None], 0.0))
    assert not torch.equal(found[~known], tokens(replace(led, given=other))[~known])


def test_the_flow_starts_between_noise_and_what_is_given(model, request_, led):
    noise, mixed = first_tokens(model, request_).tokens, first_tokens(model, led).tokens
    expected = 0.75 * noise + 0.25 * led.given.tokens
    unknown = ~led.given.known
    torch.testing.assert_close(mixed[unknown], expected[unknown])
    assert torch.equal(mixed[~unknown], led.given.tokens[~unknown])


def test_a_batch_with_two_starts_is_a_fault(model, request_, settings, led):
    with pytest.raises(ValueError, match="one start"):
        sample_batch(model, [led, request_], settings)

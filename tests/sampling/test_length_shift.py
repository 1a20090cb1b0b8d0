"""A shift by the length of the sample: each sample has its own steps, alone or in a batch."""

from dataclasses import replace
from math import exp

import pytest
import torch
from formula_backbone import with_formula

from lumina_core import LuminaError, load
from lumina_core.config.compose import compose_options
from lumina_core.flow.settings import GuidanceConfig, SolverConfig
from lumina_core.flow.solver import time_grid
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.request import Request, num_patches
from lumina_core.sampling.sample import batches, sample
from lumina_core.sampling.settings import CoarseConfig
from lumina_core.sampling.velocity import GuidedVelocity

BY_LENGTH = (8.0, 0.5, 64.0, 1.15)


@pytest.fixture
def model(tiny_model, monkeypatch):
    return with_formula(tiny_model, monkeypatch)


def request(height, width=32):
    return Request("a ring", "", 3, replace(compose_options("image"), height=height, width=width))


def sampling(shift=BY_LENGTH, num_steps=5, **changes):
    solver = SolverConfig(num_steps=num_steps, shift=shift)
    guidance = GuidanceConfig(scale=1.0)
    return replace(compose_sampling("image"), solver=solver, guidance=guidance, **changes)


def times(model, requests, asked):
    model.backbone.times.clear()
    sample(model, requests, asked)
    return torch.tensor(model.backbone.times).float()


@pytest.mark.parametrize("height", [32, 64, 96])
def test_a_sample_has_the_times_of_its_length(model, height):
    asked = request(height)
    length = num_patches(model, asked.options)
    shift = exp(0.5 + 0.65 * (length - 8) / 56)
    found = times(model, [asked], sampling())
    torch.testing.assert_close(found, torch.tensor(time_grid(5, shift)[:-1]).float())
    torch.testing.assert_close(found, times(model, [asked], sampling(shift)))


def test_samples_of_different_lengths_stand_in_different_batches(model, monkeypatch):
    on_gpu = with_formula(model, monkeypatch, "cuda")
    asked = [request(32), request(32), request(64), request(32, 64), request(32)]
    sizes = [len(group) for group in batches(on_gpu, asked, sampling())]
    assert sizes == [2, 2, 1]  # 32 x 64 and 64 x 32 are as long as one another
    assert len(batches(on_gpu, asked, sampling(2.0))) == 1


def test_samples_that_begin_small_stand_with_those_of_the_same_first_steps(model, monkeypatch):
    on_gpu = with_formula(model, monkeypatch, "cuda")
    coarse = CoarseConfig(above=20, tokens=10)
    asked = [request(64, 96), request(64, 96), request(48, 128), request(32)]
    groups = batches(on_gpu, asked, sampling(coarse=coarse))
    assert [len(group) for group in groups] == [2, 1, 1]


def test_a_batch_of_two_lengths_is_a_fault(model):
    with pytest.raises(ValueError, match="one batch has one shift"):
        GuidedVelocity(model, [request(32), request(64)], sampling())


def test_a_share_of_the_steps_ends_where_those_of_the_length_do(model):
    asked = sampling()
    asked = replace(asked, guidance=GuidanceConfig(scale=3.0, share_of_steps=0.4))
    for height in (32, 96):
        found = times(model, [request(height)], asked)
        assert len(found) == 5
        velocity = GuidedVelocity(model, [request(height)], asked)
        grid = time_grid(5, velocity.solver.shift)
        with torch.no_grad():
            for number, t in enumerate(grid[:-1]):
                before = velocity.num_evaluations
                velocity(t, velocity.x_0)
                assert velocity.num_evaluations - before == (2 if number < 2 else 1)


def test_a_shift_by_length_is_written_as_four_numbers():
    words = ["modality=image", "prompt=a ring"]
    config = compose_run([*words, "solver.shift=[256,0.5,4096,1.15]"])
    assert config.solver.shift == (256.0, 0.5, 4096.0, 1.15)
    with pytest.raises(LuminaError, match=r"solver\.shift must be a list of 4 values"):
        compose_run([*words, "solver.shift=[256,0.5]"])
    with pytest.raises(LuminaError, match=r"solver\.shift is \[64\.0, 0\.5, 8\.0, 1\.15\]; set"):
        compose_run([*words, "solver.shift=[64,0.5,8,1.15]"])


def test_a_file_says_how_its_shift_follows_from_its_length(at_checkpoint, work):
    model = load(at_checkpoint[1].removeprefix("checkpoint="))
    small = {"height": 32, "width": 32, "num_steps": 3}
    (item,) = model.generate("a ring", shift=BY_LENGTH, **small)
    item.save("a.png")
    assert item.request["solver"]["shift"] == BY_LENGTH
    (again,) = model.generate(repeat="a.png")
    assert again.request["solver"] == item.request["solver"]
    assert again.media_sha256 == item.media_sha256

"""Sizes larger than all of training are scaled as the released demos do, once and in the file."""

from dataclasses import replace
from math import sqrt

import pytest
import torch
from formula_backbone import with_formula
from pipeline_pictures import PROMPT

from lumina_core import load
from lumina_core.backbone.rope import rope_tables, table_at
from lumina_core.backbone.settings import BackboneConfig, RopeScaling
from lumina_core.config.compose import compose_options
from lumina_core.flow.settings import SolverConfig
from lumina_core.flow.solver import integrate
from lumina_core.records import build, told
from lumina_core.sampling.compose import compose_run, compose_sampling
from lumina_core.sampling.generate import generate_batches
from lumina_core.sampling.prompt_file import PromptLine
from lumina_core.sampling.prompt_notes import file_notes, request_notes
from lumina_core.sampling.request import Request, describe
from lumina_core.sampling.resolution import at_size, size_notes
from lumina_core.sampling.sample import batches, sample
from lumina_core.sampling.settings import CoarseConfig, Sampling, sampling_of
from lumina_core.sampling.velocity import GuidedVelocity

COMMON = {"hidden_size": 32, "num_heads": 4, "separators": False}
FLAG_DIT = BackboneConfig(**COMMON, rope="sequence")
NEXT_DIT = BackboneConfig(**COMMON, rope="alternating", sandwich=True)
JOINT = BackboneConfig(**COMMON, rope="concatenated", text="joint", rope_dims=(4, 2, 2))
IMAGE_NET = BackboneConfig(**COMMON, rope="alternating", text="label", num_classes=3)
OWN = BackboneConfig(**COMMON, rope="axial", rope_dims=(0, 4, 4))
TRAINED = Sampling(trained_patches=4096)
SEVERAL = [(32, 32), (64, 64), (32, 64), (96, 64)]


def patches(width, height):
    return (width // 16) * (height // 16)


@pytest.mark.parametrize(("width", "height"), [(1664, 1664), (2048, 1024), (1040, 1024)])
def test_flag_dit_takes_ntk_by_the_ratio_of_patches(width, height):
    found = at_size(TRAINED, patches(width, height), FLAG_DIT)
    ratio = (width / 16) * (height / 16) / (1024 / 16) ** 2
    assert found.rope_scaling == RopeScaling(ntk=ratio)
    assert found.proportional_attention == (1024 // 16) ** 2 + 2 * (1024 // 16)


@pytest.mark.parametrize(("width", "height"), [(1536, 1536), (2048, 1024), (4096, 2048)])
def test_next_dit_is_aware_of_time(width, height):
    found = at_size(TRAINED, patches(width, height), NEXT_DIT)
    factor = sqrt(width * height / 1024**2)
    assert found.rope_scaling == RopeScaling(factor, factor, 0.3)
    assert found.proportional_attention == (1024 // 16) ** 2


def test_positions_of_next_dit_are_those_of_diffusers():
    from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina

    config = replace(NEXT_DIT, hidden_size=48, rope_theta=10_000.0)
    scaling = at_size(replace(TRAINED, trained_patches=16), 24, config).rope_scaling
    grid = torch.stack(torch.meshgrid(torch.arange(6), torch.arange(4), indexing="ij"), dim=-1)
    places = torch.nn.functional.pad(grid.reshape(-1, 2), (1, 0)).float()
    tables = rope_tables(places, config, scaling)
    factor = sqrt(24 / 16)
    for t, factors in ((0.29, (factor, 1.0)), (0.31, (1.0, factor))):
        linear, ntk = factors
        wanted = get_2d_rotary_pos_embed_lumina(12, 6, 4, linear_factor=linear, ntk_factor=ntk)
        found = table_at(tables, torch.full((24,), t))[:, 0]
        torch.testing.assert_close(found, wanted.reshape(24, 6).to(found.dtype))


@torch.no_grad()
def test_a_large_picture_of_next_dit_is_that_of_its_pipeline(tiny_pipeline):
    folder, pipeline = tiny_pipeline("lumina_next")  # for pictures of 64 x 64: 16 patches
    # a base of 24 patches is neutral: the pipeline scales attention to the text, too
    asked = {"height": 64, "width": 96, "solver.num_steps": 2, "proportional_attention": 24}
    velocity = load(folder).velocity(PROMPT, trained_patches=16, **asked)
    end = integrate(velocity, velocity.x_0, velocity.solver)
    noise, latent = (velocity.latents(x)[0][None, :, 0] for x in (velocity.x_0, end))
    words = {"proportional_attn": False, "clean_caption": False, "sigmas": [1.0, 0.5]}
    words |= {"scaling_watershed": 0.3, "latents": noise.clone(), "output_type": "latent"}
    wanted = pipeline(PROMPT, height=64, width=96, num_inference_steps=2, **words).images
    assert wanted.std() > 0.1
    assert (latent - wanted).abs().max() < 1e-5
    plain = load(folder).velocity(PROMPT, **asked)
    other = integrate(plain, plain.x_0, plain.solver)
    assert (other - end).abs().max() > 1e-2


@pytest.mark.parametrize("config", [FLAG_DIT, NEXT_DIT, JOINT, IMAGE_NET, OWN])
def test_nothing_changes_at_sizes_of_training(config):
    for asked in (TRAINED, Sampling()):
        for length in (1, 1024, 4096):
            assert at_size(asked, length, config) is asked
            assert not list(size_notes(asked, length, config))
    assert at_size(Sampling(), 9216, config) == Sampling()  # nobody knows what was trained


@pytest.mark.parametrize("config", [JOINT, IMAGE_NET, OWN])
def test_a_family_without_scaling_is_told_of(config):
    assert at_size(TRAINED, 9216, config) is TRAINED
    (note,) = size_notes(TRAINED, 9216, config)
    assert "9216 patches are more than the 4096 of training" in note and "by hand" in note
    by_hand = replace(TRAINED, rope_scaling=RopeScaling(linear=2.0))
    assert not list(size_notes(by_hand, 9216, config))


@pytest.mark.parametrize("config", [FLAG_DIT, NEXT_DIT])
def test_what_is_set_by_hand_wins(config):
    scaled = at_size(TRAINED, 9216, config)
    own = replace(TRAINED, rope_scaling=RopeScaling(linear=1.5))
    assert at_size(own, 9216, config).rope_scaling == RopeScaling(linear=1.5)
    assert at_size(own, 9216, config).proportional_attention == scaled.proportional_attention
    own = replace(TRAINED, proportional_attention=99)
    assert at_size(own, 9216, config).proportional_attention == 99
    assert at_size(own, 9216, config).rope_scaling == scaled.rope_scaling
    off = replace(TRAINED, resolution="none")
    assert at_size(off, 9216, config) is off
    assert not list(size_notes(off, 9216, config))


def test_what_is_chosen_is_told_in_one_line_and_can_be_written_by_hand():
    (note,) = size_notes(TRAINED, 8192, NEXT_DIT)
    keys = dict(word.rstrip(";").split("=") for word in note.split() if "=" in word)
    assert keys.pop("resolution") == "none"
    words = [f"{key}={value}" for key, value in keys.items()]
    asked = compose_run(["modality=image", "prompt=a", "resolution=none", *words])
    chosen = at_size(TRAINED, 8192, NEXT_DIT)
    assert asked.rope_scaling == chosen.rope_scaling
    assert asked.proportional_attention == chosen.proportional_attention == 4096


def test_a_request_holds_what_was_chosen_as_plain_settings():
    chosen = at_size(TRAINED, 8192, NEXT_DIT)
    values = told(chosen)
    assert (values["resolution"], values["proportional_attention"]) == ("none", 4096)
    assert build(Sampling, values) == chosen
    assert at_size(chosen, 8192, NEXT_DIT) is chosen  # made again, it is not chosen again
    assert "resolution" not in told(TRAINED) and "trained_patches" not in told(Sampling())


@pytest.fixture
def model(tiny_model, monkeypatch):
    return with_formula(tiny_model, monkeypatch, rope="alternating")


def request(height, width):
    return Request("a ring", "", 3, replace(compose_options("image"), height=height, width=width))


def asked(**changes):
    solver = SolverConfig(num_steps=2)
    return replace(compose_sampling("image"), solver=solver, trained_patches=32, **changes)


@pytest.mark.parametrize(("height", "width"), SEVERAL)
def test_the_network_computes_what_the_file_says(model, height, width):
    one = request(height, width)
    sample(model, [one], asked())
    written = describe(model, one, asked(), "float32")
    given = model.backbone.asked
    assert given["scaling"] == build(RopeScaling, written["rope_scaling"])
    assert given["proportional_base"] == written["proportional_attention"]
    factor = max(1.0, sqrt((height // 8) * (width // 8) / 32))
    assert given["scaling"].linear == pytest.approx(factor)
    assert (written.get("resolution") == "none") == (factor > 1)


def test_sizes_that_are_scaled_apart_stand_in_batches_apart(model, monkeypatch):
    on_gpu = with_formula(model, monkeypatch, "cuda", rope="alternating")
    mixed = [request(*size) for size in ((32, 32), (32, 64), (64, 64), (128, 32), (96, 64))]
    assert [len(group) for group in batches(on_gpu, mixed, asked())] == [2, 2, 1]
    assert len(batches(on_gpu, mixed, asked(resolution="none"))) == 1
    with pytest.raises(ValueError, match="one way of sampling"):
        GuidedVelocity(model, [request(32, 32), request(64, 64)], asked())


def test_a_sample_that_begins_small_is_scaled_in_its_second_pass_alone(model, monkeypatch):
    seen = []
    prepare = type(model.backbone).prepare

    def recording(self, *args, **given):
        seen.append(given["scaling"])
        return prepare(self, *args, **given)

    monkeypatch.setattr(type(model.backbone), "prepare", recording)
    sampling = asked(coarse=CoarseConfig(above=40, tokens=20))
    sample(
        model, [request(64, 64)], replace(sampling, guidance=replace(sampling.guidance, scale=1.0))
    )
    assert seen == [RopeScaling(), RopeScaling(sqrt(2), sqrt(2), 0.3)]


def composed(*words):
    base = ["modality=image", "prompt=a ring", "solver.num_steps=2", "trained_patches=32"]
    return compose_run([*base, *words])


def test_a_file_made_again_is_made_alike(model, work):
    config = composed("modality.height=64", "modality.width=64")
    model_notes = list(request_notes(config, model))
    assert sum("64 patches are more than the 32 of training" in note for note in model_notes) == 1
    (item,) = generate_batches(model, [[request(64, 64)]], config)
    item.save("a.png")
    again = compose_run(["repeat=a.png"])
    assert (again.resolution, again.trained_patches) == ("none", 32)
    assert sampling_of(again).rope_scaling == RopeScaling(sqrt(2), sqrt(2), 0.3)
    assert not any("patches" in note for note in request_notes(replace(again, repeat=None), model))
    (second,) = generate_batches(model, [[request(64, 64)]], again)
    assert second.media_sha256 == item.media_sha256
    assert second.request == item.request
    plain = replace(config, resolution="none")
    assert next(generate_batches(model, [[request(64, 64)]], plain)).request != item.request


def test_sizes_in_a_file_of_prompts_are_told_of_by_line(model, work):
    lines = [
        PromptLine(number, composed(f"modality.height={height}", f"modality.width={width}"))
        for number, (height, width) in enumerate(SEVERAL, 1)
    ]
    notes = [note for note in file_notes(work / "a.txt", model, lines) if "patches" in note]
    places = [note.split(": ")[1].rpartition("line ")[2] for note in notes]
    assert places == ["2", "4"] and "96 patches" in notes[1]

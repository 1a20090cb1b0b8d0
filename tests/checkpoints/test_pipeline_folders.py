"""Folders of diffusers, run here: the picture is that of the pipeline which wrote them."""

from functools import cache
from math import sqrt

import numpy as np
import pytest
from PIL import Image
from pipeline_pictures import NUM_STEPS, PROMPT, theirs

import lumina_core
from lumina_core.cli.main import main
from lumina_core.flow.solver import integrate
from tiny_pipelines import PIPELINES

SCALES = {"lumina2": (1.0, 4.0), "z_image": (0.0, 4.0), "lumina_next": (1.0, 4.0)}
"""Without and with guidance, as the pipelines and we count."""


@pytest.fixture(scope="module")
def opened(tiny_pipeline):
    """Our model and the pipeline of each family."""

    @cache
    def both(family):
        folder, pipeline = tiny_pipeline(family)
        return lumina_core.load(folder, **{"solver.num_steps": NUM_STEPS}), pipeline

    return both


def settings_of(family, size, scale):
    """What a user would write beside the prompt."""
    settings = {"guidance.scale": scale, "height": size[0], "width": size[1]}
    if family == "lumina_next":  # as its pipeline does beyond the 64 pixels of its training
        settings["rope_scaling.linear"] = sqrt(size[0] * size[1]) / 64
        settings["proportional_attention"] = None
    return settings


@pytest.mark.parametrize("family", PIPELINES)
@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
@pytest.mark.parametrize("is_guided", [False, True])
def test_a_pipeline_folder_gives_the_pipelines_own_picture(opened, family, size, is_guided):
    model, pipeline = opened(family)
    scale = SCALES[family][is_guided]
    settings = settings_of(family, size, scale)
    velocity = model.velocity(PROMPT, **settings)
    end = integrate(
        velocity, velocity.x_0, velocity.solver, times=velocity.times
    )  # as a request of `run` is followed
    noise, latent = (velocity.latents(x)[0][None, :, 0] for x in (velocity.x_0, end))
    wanted, picture = theirs(pipeline, family, noise, scale)
    assert wanted.std() > 0.1
    assert (latent - wanted).abs().max().item() < 1e-5
    made = np.asarray(velocity.media(end)[0], int).transpose(1, 2, 0)
    assert np.abs(made - picture).max() <= 1


@pytest.mark.parametrize("family", PIPELINES)
def test_infer_makes_the_picture_of_a_pipeline_folder(tiny_pipeline, opened, family, tmp_path):
    words = [f"modality.{key}=64" for key in ("height", "width")]
    words += [f"solver.num_steps={NUM_STEPS}", f"out={tmp_path / 'a.png'}"]
    assert main(["infer", f"checkpoint={tiny_pipeline(family).folder}", PROMPT, *words]) == 0
    item = opened(family)[0].generate(PROMPT, height=64, width=64)[0]
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(picture, item.array.transpose(1, 2, 0)) or np.array_equal(
            picture, item.array
        )

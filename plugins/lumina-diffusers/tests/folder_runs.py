"""A tiny folder of diffusers, asked as `run` asks it; and what makes two of its paths alike."""

import json

import torch

from lumina_core.runtime import seeded
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.generate import all_requests, generate_each, load_model
from lumina_core.sampling.sample import sample_latents
from lumina_core.sampling.settings import sampling_of
from lumina_core.sampling.velocity import GuidedVelocity
from tiny_wan import NEGATIVE, PROMPT, STEPS

EXACT = 1e-5
SEED = 3
OTHER_TEXT = ["seed=9", "prompt=the sun sets", "negative_prompt="]


def words_for(folder, *others, modality="video"):
    """Of `run`: everything but the prompt."""
    asked = [
        f"+modality={modality}",
        f"checkpoint={folder}",
        f"negative_prompt={NEGATIVE}",
        "device=cpu",
    ]
    return [*asked, *STEPS, *others]


def asked_of(folder, *others, modality="video"):
    words = words_for(folder, f"prompt={PROMPT}", f"seed={SEED}", *others, modality=modality)
    return compose_run([word.removeprefix("+") for word in words])


def latent_of(config):
    model = load_model(config)
    (latent,) = sample_latents(model, all_requests(model, [config]), sampling_of(config))
    return latent


def noise(shape):
    return torch.randn(shape, generator=seeded(SEED))


def assert_same_path(ours, reference):
    assert (ours - reference).abs().max() < EXACT
    assert (reference - noise(reference.shape)).abs().max() > 0.5  # else it would show nothing


def assert_same_clip(config, frames, num_ties=0):
    """Every pixel of ours is theirs.

    Args:
        config: of the run.
        frames: of the pipeline, between 0 and 1.
        num_ties: pixels that may be rounded the other way, as they stand between two levels.
    """
    (made,) = generate_each(load_model(config), [config])
    clip = torch.from_numpy(255 * frames).permute(0, 3, 1, 2)
    assert (made.media - clip).abs().max() < 0.5 + 1e-3
    assert (made.media != clip.round()).sum() <= num_ties
    assert clip.std() > 1
    assert made.network_evaluations == 2 * config.solver.num_steps


def assert_has_the_weights(network_class, about, count):
    """The network of a config has the names and shapes that diffusers has for it.

    Args:
        network_class: of ours.
        about: of a manifest.
        count: of all weights together.

    Returns:
        The shapes, by name.
    """
    network = network_class.made(about, None)
    shapes = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
    assert sum(weight.numel() for weight in network.parameters()) == count
    assert all(weight.is_meta for weight in network.parameters())
    reference = {}
    for folder, config in about["configs"].items():
        with torch.device("meta"):
            made = network_class.part_class(folder)(**config)
        reference |= {f"{folder}.{k}": tuple(v.shape) for k, v in made.state_dict().items()}
    assert shapes == reference
    return shapes


def change(path, **values):
    """Change values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def assert_each_as_alone(configs):
    """The clips of a batch have the velocity that each has alone; there are several."""
    model, sampling = load_model(configs[0]), sampling_of(configs[0])
    requests = all_requests(model, configs)
    together = GuidedVelocity(model, requests, sampling)
    velocity = together.latents(together(0.3, together.x_0))
    for request, found in zip(requests, velocity, strict=True):
        alone = GuidedVelocity(model, [request], sampling)
        (wanted,) = alone.latents(alone(0.3, alone.x_0))
        assert (found - wanted).abs().max() < EXACT
        assert wanted.abs().max() > 0.1

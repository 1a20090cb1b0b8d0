"""The tiny pipelines of released families can show a difference."""

import pytest
import torch

from tiny_pipelines import PIPELINES


@pytest.fixture(params=sorted(PIPELINES))
def pipeline(request, tiny_pipeline):
    return tiny_pipeline(request.param).pipeline


def latents(pipeline, prompt):
    noise = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    words = {"clean_caption": False} if hasattr(pipeline, "_clean_caption") else {}
    words |= {"height": 64, "width": 96, "num_inference_steps": 1, "guidance_scale": 4.0}
    return pipeline(prompt, latents=noise, output_type="latent", **words).images


def test_tiny_pipelines_have_no_weight_of_zero(pipeline):
    weights = [*pipeline.transformer.parameters(), *pipeline.text_encoder.parameters()]
    assert all((weight != 0).all() for weight in weights)


def test_tiny_pipelines_answer_what_a_parity_test_can_see(pipeline):
    answers = []
    hook = pipeline.transformer.register_forward_hook(lambda _, __, out: answers.append(out[0]))
    circle = latents(pipeline, "a red circle")
    hook.remove()
    assert torch.stack([*answers[0]]).std() > 0.1
    assert (latents(pipeline, "a blue square") - circle).abs().max() > 0.01

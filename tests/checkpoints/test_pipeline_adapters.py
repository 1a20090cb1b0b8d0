"""A pipeline folder with an adapter gives the picture that its pipeline gives with it."""

import numpy as np
import pytest
from pipeline_pictures import NUM_STEPS, PROMPT, theirs
from small_adapters import with_adapter, write_comfyui, write_kohya, write_peft

import lumina_core
from lumina_core.flow.solver import integrate

diffusers = pytest.importorskip("diffusers")
peft = pytest.importorskip("peft")
SETTINGS = {"r": 2, "lora_alpha": 3}
SIZE = {"height": 64, "width": 96, "num_steps": NUM_STEPS, "guidance.scale": 4.0}


def written(folder, style, pipeline, model, parts):
    """The adapter of a model, in one of the styles that people have."""
    if style == "comfyui":
        return write_comfyui(folder / "a.safetensors", parts, SETTINGS["lora_alpha"])
    if style == "kohya":
        return write_kohya(folder / "a.safetensors", parts, SETTINGS["lora_alpha"])
    if style == "peft":
        return write_peft(folder / "a", parts, **SETTINGS)
    pipeline.save_lora_weights(
        folder,
        transformer_lora_layers=peft.get_peft_model_state_dict(model),
        transformer_lora_adapter_metadata=model.peft_config["default"].to_dict(),
    )
    return folder / "pytorch_lora_weights.safetensors"


def pictures(family, folder, pipeline, adapters, **more):
    """Latents and pictures, ours and those of the pipeline, from the same noise."""
    model = lumina_core.load(folder, adapters=adapters, **SIZE, **more)
    velocity = model.velocity(PROMPT)
    end = integrate(velocity, velocity.x_0, velocity.solver, times=velocity.times)
    noise, latent = (velocity.latents(x)[0][None, :, 0] for x in (velocity.x_0, end))
    wanted, picture = theirs(pipeline, family, noise, SIZE["guidance.scale"])
    made = np.asarray(velocity.media(end)[0], int).transpose(1, 2, 0)
    return latent, wanted, made, picture


@pytest.mark.parametrize(
    ("family", "style"),
    [
        *(("z_image", style) for style in ("diffusers", "comfyui", "kohya", "peft")),
        *(("lumina2", style) for style in ("diffusers", "kohya")),
    ],
)
def test_a_pipeline_with_an_adapter_gives_its_own_picture(tiny_pipeline, tmp_path, family, style):
    folder, plain = tiny_pipeline(family)
    changed = type(plain).from_pretrained(folder)
    changed.set_progress_bar_config(disable=True)
    model, parts = with_adapter(changed.transformer, **SETTINGS)
    file = written(tmp_path, style, changed, model.base_model.model, parts)
    if style == "diffusers":  # as its users do it
        changed = type(plain).from_pretrained(folder)
        changed.set_progress_bar_config(disable=True)
        changed.load_lora_weights(str(file))
    else:
        changed.transformer = model.base_model.model
    latent, wanted, made, picture = pictures(family, folder, changed, [file])
    assert wanted.std() > 0.1
    assert (latent - wanted).abs().max().item() < 1e-5
    assert np.abs(made - picture).max() <= 1
    if style == "comfyui":
        unchanged, *_ = pictures(family, folder, plain, [f"{file}:0"])
        assert (unchanged - wanted).abs().max() > 0.1
        apart, *_ = pictures(family, folder, changed, [file], merge_adapters=False)
        assert (apart - wanted).abs().max().item() < 1e-5

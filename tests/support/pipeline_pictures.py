"""What the pipelines of diffusers make of our noise, in as many steps as we take."""

import numpy as np
import torch

PROMPT = "a red circle and a blue square"
NUM_STEPS = 2
PIPELINE_WORDS = {
    "lumina2": {"cfg_trunc_ratio": 0.25},
    "z_image": {},
    # it scales attention to the text, too, and ends its steps elsewhere, unlike the release
    "lumina_next": {"clean_caption": False, "proportional_attn": False, "sigmas": [1.0, 0.5]},
}
"""By family, how its pipeline does what the description of the model says."""


@torch.no_grad()
def theirs(pipeline, family, noise, scale):
    """The latent and the picture that the pipeline makes of our noise in as many steps."""
    words = {"num_inference_steps": NUM_STEPS, "guidance_scale": scale, **PIPELINE_WORDS[family]}
    height, width = (8 * side for side in noise.shape[-2:])
    latent = pipeline(
        PROMPT, height=height, width=width, latents=noise.clone(), output_type="latent", **words
    ).images
    config = pipeline.vae.config
    scaled = latent / config.scaling_factor + (config.shift_factor or 0)
    picture = pipeline.image_processor.postprocess(pipeline.vae.decode(scaled).sample)[0]
    return latent, np.asarray(picture, int)

"""A pipeline of LTX-Video in diffusers' own layout: tiny and random."""

import diffusers
import torch
from transformers import T5Config, T5EncoderModel

from tiny_wan import TEXT_DIM, randomised, sized, text_parts

CHANNELS, HEIGHT, WIDTH, FRAMES, FPS = 4, 64, 96, 17, 12
LATENT = (CHANNELS, 3, 2, 3)
SIZES = [*sized(HEIGHT, WIDTH, FRAMES), f"modality.fps={FPS}"]
SCHEDULER = {"use_dynamic_shifting": True, "base_shift": 0.95, "max_shift": 2.05}
SCHEDULER |= {"base_image_seq_len": 1024, "max_image_seq_len": 4096, "shift_terminal": 0.1}


def transformer():
    sizes = {"in_channels": CHANNELS, "out_channels": CHANNELS, "num_attention_heads": 2}
    sizes |= {"attention_head_dim": 12, "cross_attention_dim": 24, "num_layers": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return randomised(diffusers.LTXVideoTransformer3DModel(**sizes, caption_channels=TEXT_DIM))


def autoencoder():
    levels = (True, True, True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = diffusers.AutoencoderKLLTXVideo(
            latent_channels=CHANNELS,
            block_out_channels=(8, 8, 8),
            layers_per_block=(1, 1, 1, 1),
            spatio_temporal_scaling=levels,
            down_block_types=("LTXVideoDownBlock3D",) * 3,
            decoder_block_out_channels=(8, 8, 8),
            decoder_layers_per_block=(1, 1, 1, 1),
            decoder_spatio_temporal_scaling=levels,
        ).eval()
    made.latents_mean += 0.1
    made.latents_std *= 2
    return made


def pipeline(of=diffusers.LTXPipeline, scheduler=None):
    """The whole of it, with the scheduler of the releases unless another one is given."""
    tokenizer, encoder = text_parts(T5EncoderModel, T5Config)
    own = diffusers.FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    made = of(scheduler or own, autoencoder(), encoder, tokenizer, transformer())
    made.set_progress_bar_config(disable=True)
    return made

"""A pipeline of LongCat-AudioDiT in diffusers' own layout: tiny and random."""

import diffusers
import torch

from tiny_wan import TEXT_DIM, randomised, text_parts

CHANNELS, RATE, STRIDE, COLUMNS = 4, 24_000, 8, 12
SECONDS = COLUMNS * STRIDE / RATE
LATENT = (CHANNELS, 1, 1, COLUMNS)
SIZES = [f"modality.seconds={SECONDS}"]


def transformer(**changes):
    sizes = {"dit_dim": 32, "dit_depth": 2, "dit_heads": 2, "dit_text_dim": TEXT_DIM}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = diffusers.LongCatAudioDiTTransformer(**sizes | {"latent_dim": CHANNELS} | changes)
        return randomised(made)


def autoencoder():
    sizes = {"channels": 8, "c_mults": [1, 2], "strides": [2, 4], "latent_dim": CHANNELS}
    sizes |= {"encoder_latent_dim": 2 * CHANNELS, "downsampling_ratio": STRIDE}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomised(diffusers.LongCatAudioDiTVae(**sizes, sample_rate=RATE))


def pipeline(scheduler=None):
    """The whole of it, with the scheduler that it makes for itself unless another is given."""
    tokenizer, encoder = text_parts()
    made = diffusers.LongCatAudioDiTPipeline(
        autoencoder(), encoder, tokenizer, transformer(), scheduler
    )
    made.set_progress_bar_config(disable=True)
    return made

"""Tiny random autoencoders of waveforms, as diffusers writes them."""

import diffusers
import torch


def randomised(model, seed=0):
    """The model, none of whose weights leaves something out: none is 0 throughout."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.abs().max() < 1e-3:
            weight.data.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.eval().requires_grad_(False)


def oobleck(**changes):
    sizes = {"encoder_hidden_size": 8, "downsampling_ratios": [2, 4], "channel_multiples": [1, 2]}
    sizes |= {"decoder_channels": 8, "decoder_input_channels": 4, "audio_channels": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomised(diffusers.AutoencoderOobleck(**sizes | {"sampling_rate": 8000} | changes))


def same(**changes):
    sizes = {"patch_size": 4, "encoder_channels": 8, "encoder_c_mults": [2]}
    sizes |= {"encoder_strides": [4], "encoder_transformer_depths": [2], "latent_dim": 4}
    sizes |= {"dim_heads": 8, "sampling_rate": 8000}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomised(diffusers.AutoencoderSAME(**sizes | changes))


def longcat(**changes):
    sizes = {"in_channels": 2, "channels": 8, "c_mults": [1, 2], "strides": [2, 4]}
    sizes |= {"latent_dim": 4, "encoder_latent_dim": 8, "downsampling_ratio": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomised(diffusers.LongCatAudioDiTVae(**sizes | {"sample_rate": 8000} | changes))

"""A pipeline of Stable Audio 3 in diffusers' own layout: tiny and random."""

import diffusers
import torch
from transformers import T5GemmaConfig, T5GemmaEncoderModel

from tiny_wan import TEXT_DIM, WORDS, randomised, text_parts

CHANNELS, RATE, STRIDE, SECONDS = 4, 44_100, 16, 0.01
LATENT = (CHANNELS, 1, 1, 28)
SIZES = [f"modality.seconds={SECONDS}"]


def transformer(**changes):
    sizes = {"io_channels": CHANNELS, "embed_dim": 24, "depth": 2, "num_heads": 2}
    sizes |= {"cond_token_dim": TEXT_DIM, "global_cond_dim": TEXT_DIM, "num_memory_tokens": 3}
    sizes |= {"local_add_cond_dim": CHANNELS + 1, "timestep_features_dim": 16}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return randomised(diffusers.StableAudio3DiTModel(**sizes | changes))


def duration_embedder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        sizes = {"output_dim": TEXT_DIM, "fourier_dim": 16}
        return randomised(diffusers.StableAudio3DurationEmbedder(**sizes))


def autoencoder():
    sizes = {"patch_size": 4, "encoder_channels": 8, "encoder_c_mults": [2], "dim_heads": 8}
    sizes |= {"encoder_strides": [4], "encoder_transformer_depths": [2], "latent_dim": CHANNELS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return randomised(diffusers.AutoencoderSAME(**sizes))


def text_encoder():
    sizes = {"vocab_size": len(WORDS) + 3, "hidden_size": TEXT_DIM, "intermediate_size": 32}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    sizes |= {"head_dim": 8, "query_pre_attn_scalar": 8}
    halves = {"encoder": dict(sizes), "decoder": dict(sizes)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = T5GemmaConfig(**halves, is_encoder_decoder=False, vocab_size=sizes["vocab_size"])
        return T5GemmaEncoderModel(config).eval()


def pipeline(scheduler=None, **parts):
    """The whole of it, with the scheduler of the base models unless another one is given."""
    own = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1)
    usual = {"vae": autoencoder(), "text_encoder": text_encoder(), "tokenizer": text_parts()[0]}
    usual |= {"duration_embedder": duration_embedder(), "transformer": transformer()}
    made = diffusers.StableAudio3Pipeline(scheduler=scheduler or own, **usual | parts)
    made.set_progress_bar_config(disable=True)
    return made

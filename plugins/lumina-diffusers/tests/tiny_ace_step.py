"""A pipeline of ACE-Step 1.5 turbo in diffusers' own layout: tiny and random."""

import diffusers
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from tiny_wan import TEXT_DIM, randomised

CHANNELS, COLUMNS = 4, 11
SECONDS = COLUMNS / 25
LATENT = (CHANNELS, 1, 1, COLUMNS)
SIZES = [f"modality.seconds={SECONDS}"]
END = "<|endoftext|>"
BLOCKS = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
BLOCKS |= {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4}


def transformer(**changes):
    sizes = {"num_hidden_layers": 2, "in_channels": 3 * CHANNELS, "is_turbo": True}
    sizes |= {"audio_acoustic_hidden_dim": CHANNELS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return randomised(diffusers.AceStepTransformer1DModel(**BLOCKS | sizes | changes))


def condition_encoder():
    sizes = {"text_hidden_dim": TEXT_DIM, "timbre_hidden_dim": CHANNELS}
    sizes |= {"num_lyric_encoder_hidden_layers": 2, "num_timbre_encoder_hidden_layers": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        made = randomised(diffusers.AceStepConditionEncoder(**BLOCKS | sizes))
        made.silence_latent.copy_(torch.randn(made.silence_latent.shape))
        return made


def autoencoder():
    """As it is made: with random snakes five levels amplify rounding a hundred thousand times."""
    sizes = {"encoder_hidden_size": 8, "downsampling_ratios": [2, 4, 4, 6, 10]}
    sizes |= {"channel_multiples": [1, 1, 1, 1, 1], "decoder_channels": 4}
    sizes |= {"decoder_input_channels": CHANNELS, "audio_channels": 2, "sampling_rate": 48_000}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return diffusers.AutoencoderOobleck(**sizes).eval()


def tokenizer(adds_end):
    """Of bytes; Qwen's for embeddings puts a mark behind every text."""
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {END: 0} | {sign: number for number, sign in enumerate(signs, 1)}
    raw = Tokenizer(models.BPE(vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.add_special_tokens([END])
    if adds_end:
        raw.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", special_tokens=[(END, 0)]
        )
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token=END, eos_token=END)


def text_encoder():
    sizes = {"vocab_size": 260, "hidden_size": TEXT_DIM, "intermediate_size": 32, "head_dim": 8}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return Qwen3Model(Qwen3Config(**sizes)).eval()


def pipeline(adds_end=False, **changes):
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1)
    parts = {"vae": autoencoder(), "text_encoder": text_encoder(), "scheduler": scheduler}
    parts |= {"tokenizer": tokenizer(adds_end), "condition_encoder": condition_encoder()}
    made = diffusers.AceStepPipeline(**parts | {"transformer": transformer()} | changes)
    made.set_progress_bar_config(disable=True)
    return made

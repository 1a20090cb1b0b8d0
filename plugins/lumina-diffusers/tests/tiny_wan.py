"""Pipelines of Wan in diffusers' own layout: tiny, random, and whole enough for `run`."""

import diffusers
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

TEXT_DIM, SHIFT, NUM_STEPS, SCALE = 16, 3.0, 4, 4.0
CHANNELS, HEIGHT, WIDTH, FRAMES = 4, 16, 32, 9
LATENT = (CHANNELS, 3, 4, 8)
PROMPT, NEGATIVE = "a red fox runs over snow", "old hills"
WORDS = f"{PROMPT} while the sun sets slowly behind {NEGATIVE}".split()
ASKED = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": SCALE}
ASKED |= {"num_inference_steps": NUM_STEPS}  # of a pipeline
STEPS = [f"solver.num_steps={NUM_STEPS}", f"guidance.scale={SCALE}"]


def sized(height, width, frames):
    """Words of `run`."""
    return [f"modality.height={height}", f"modality.width={width}", f"modality.frames={frames}"]


SIZES = sized(HEIGHT, WIDTH, FRAMES)


def randomised(model, seed=0):
    """The model, none of whose weights leaves something out: none is 0 or 1 throughout."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.ndim < 2 and weight.abs().max() in (0, 1):
            weight.data.add_(0.1 * noise)
        elif weight.abs().max() == 0:
            weight.data.copy_(noise * weight.shape[-1] ** -0.5)
    return model.eval().requires_grad_(False)


def transformer(seed=1, **changes):
    sizes = {"patch_size": (1, 2, 2), "num_attention_heads": 2, "attention_head_dim": 12}
    sizes |= {"in_channels": CHANNELS, "out_channels": CHANNELS, "text_dim": TEXT_DIM}
    sizes |= {"freq_dim": 32, "ffn_dim": 32, "num_layers": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return randomised(diffusers.WanTransformer3DModel(**sizes | changes))


def autoencoder(**changes):
    sizes = {"base_dim": 4, "z_dim": CHANNELS, "num_res_blocks": 1, "dim_mult": [1, 2, 2]}
    sizes |= {"temperal_downsample": [True, True]}
    sizes |= {"latents_mean": [0.1] * CHANNELS, "latents_std": [2.0] * CHANNELS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return diffusers.AutoencoderKLWan(**sizes | changes).eval()


def text_parts(model=UMT5EncoderModel, config=UMT5Config):
    """A tokenizer of whole words, and an encoder."""
    vocabulary = ["<pad>", "</s>", "<unk>", *dict.fromkeys(WORDS)]
    raw = Tokenizer(models.WordLevel({w: n for n, w in enumerate(vocabulary)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    sizes = {"vocab_size": len(vocabulary), "d_model": TEXT_DIM, "d_kv": 8, "d_ff": 32}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return tokenizer, model(config(**sizes, num_layers=2, num_heads=2)).eval()


def pipeline(of=diffusers.WanPipeline, **changes):
    """The whole of it, with FlowMatchEuler; parts may be exchanged."""
    tokenizer, encoder = text_parts()
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": encoder,
        "vae": autoencoder(),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        "transformer": transformer(),
    }
    made = of(**parts | changes)
    made.set_progress_bar_config(disable=True)
    return made


class EvenTimes(diffusers.FlowMatchEulerDiscreteScheduler):
    """Their scheduler on our even times."""

    def set_timesteps(self, num_inference_steps=None, device=None, **_):
        count = num_inference_steps
        super().set_timesteps(sigmas=[1 - n / count for n in range(count)], device=device)

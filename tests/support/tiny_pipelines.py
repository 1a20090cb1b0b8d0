"""Whole tiny pipelines of released families, made by the libraries' own classes, for parity.

Each function writes what a hub holds of such a model, with `save_pretrained`, and returns the
pipeline that wrote it: float32, on the CPU, quiet. 64x96 pixels are 8x12 latents of 4 channels. All
weights of transformer and text encoder are redrawn and none is zero, for a fresh transformer
answers exactly 0. The weights are the same each time. diffusers is imported on use.

The fixture `tiny_pipeline` makes each once per session; it belongs to all tests, so write into a
copy of its folder, and give lumina_next `clean_caption=False`, or it warns.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

SYSTEM_PROMPT = (
    "You are an assistant designed to generate superior images with the superior degree of "
    "image-text alignment based on textual prompts or user prompts."
)
CORPUS = (
    f"{SYSTEM_PROMPT} <Prompt Start> ",
    "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n",
    "a red circle and a blue square on the left of a white ring",
    "a photo of a cat on a chair, soft light, best quality",
    "blurry, low quality, bad hands",
)
"""What the tokenizers learn their parts of words from."""

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}
"""
"""Qwen3's, as far as it concerns messages of a user alone."""

TEXT_DIM = 20
TEXT = {
    "hidden_size": TEXT_DIM,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}
FLUX_LATENTS = {"scaling_factor": 0.3611, "shift_factor": 0.1159}
SDXL_LATENTS = {"scaling_factor": 0.13025}


class TinyPipeline(NamedTuple):
    """A pipeline and the folder that it wrote."""

    folder: Path
    pipeline: Any


def lumina2_pipeline(folder: Path) -> Any:
    """Write a tiny Lumina-Image-2.0: Gemma-2, joint text, static shift 6.

    Args:
        folder: written; made where it is missing.

    Returns:
        The Lumina2Pipeline.
    """
    from diffusers import Lumina2Pipeline, Lumina2Transformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    transformer = Lumina2Transformer2DModel(
        sample_size=8,
        in_channels=4,
        hidden_size=48,
        num_layers=2,
        num_refiner_layers=2,
        num_attention_heads=4,
        num_kv_heads=2,
        multiple_of=16,
        axes_dim_rope=(4, 4, 4),
        axes_lens=(300, 64, 64),
        cap_feat_dim=TEXT_DIM,
    )
    tokenizer = gemma_tokenizer()
    config = Gemma2Config(vocab_size=len(tokenizer), query_pre_attn_scalar=8, **TEXT)
    return _written(
        Lumina2Pipeline,
        folder,
        transformer=randomise(transformer, seed=1),
        text_encoder=randomise(Gemma2Model(config), seed=2),
        tokenizer=tokenizer,
        latents=FLUX_LATENTS,
        shift=6.0,
    )


def z_image_pipeline(folder: Path) -> Any:
    """Write a tiny Z-Image: Qwen3 with its chat template, joint text, streams padded to 32.

    Args:
        folder: written; made where it is missing.

    Returns:
        The ZImagePipeline.
    """
    from diffusers import ZImagePipeline, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=64,
        n_layers=2,
        n_refiner_layers=2,
        n_heads=4,
        n_kv_heads=4,
        cap_feat_dim=TEXT_DIM,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
    )
    tokenizer = qwen_tokenizer()
    config = Qwen3Config(vocab_size=len(tokenizer), **TEXT)
    return _written(
        ZImagePipeline,
        folder,
        transformer=randomise(transformer, seed=3),
        text_encoder=randomise(Qwen3Model(config), seed=4),
        tokenizer=tokenizer,
        latents=FLUX_LATENTS,
        shift=6.0,
    )


def lumina_next_pipeline(folder: Path) -> Any:
    """Write a tiny Lumina-Next: Gemma, cross-attention, query weights tied as in the release.

    Args:
        folder: written; made where it is missing.

    Returns:
        The LuminaPipeline.
    """
    from diffusers import LuminaNextDiT2DModel, LuminaPipeline
    from transformers import GemmaConfig, GemmaModel

    transformer = LuminaNextDiT2DModel(
        sample_size=8,
        in_channels=4,
        hidden_size=48,
        num_layers=2,
        num_attention_heads=4,
        num_kv_heads=2,
        multiple_of=16,
        cross_attention_dim=TEXT_DIM,
    )
    randomise(transformer, seed=5)
    for block in transformer.layers:
        block.attn2.to_q.load_state_dict(block.attn1.to_q.state_dict())
        block.attn2.norm_q.load_state_dict(block.attn1.norm_q.state_dict())
    tokenizer = gemma_tokenizer()
    config = GemmaConfig(vocab_size=len(tokenizer), **TEXT)
    return _written(
        LuminaPipeline,
        folder,
        transformer=transformer,
        text_encoder=randomise(GemmaModel(config), seed=6),
        tokenizer=tokenizer,
        latents=SDXL_LATENTS,
        shift=1.0,
    )


PIPELINES = {
    "lumina2": lumina2_pipeline,
    "z_image": z_image_pipeline,
    "lumina_next": lumina_next_pipeline,
}


def randomise(model: Any, seed: int) -> Any:
    """Redraw every weight of a model, so that each of them shows in the output.

    Args:
        model: changed in place.
        seed: of the weights.

    Returns:
        The model, in evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        is_norm = "norm" in name and weight.ndim == 1 and name.endswith("weight")
        weight.data = 0.08 * drawn + 1 if is_norm else _scale(name, weight) * drawn
    return model.eval()


def gemma_tokenizer() -> Any:
    """A Gemma tokenizer: <bos> before a text, parts of words, bytes for what it does not know."""
    from transformers import GemmaTokenizer

    marks = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = [f"▁{word}" for text in CORPUS for word in text.split()]
    vocabulary, merges = _parts(words, marks, 460)
    return GemmaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True, padding_side="right")


def qwen_tokenizer() -> Any:
    """A Qwen2 tokenizer: parts of words over bytes, the marks of a chat, and its template."""
    from tokenizers import pre_tokenizers
    from transformers import Qwen2Tokenizer

    split = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer.pre_tokenize_str
    words = [word for text in CORPUS for word, _ in split(text)]
    vocabulary, merges = _parts(words, sorted(pre_tokenizers.ByteLevel.alphabet()), 400)
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=merges, eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _parts(
    words: list[str], first: list[str], size: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary of so many parts, `first` in front, and the merges that make them."""
    from tokenizers import Tokenizer, models, trainers

    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator(words, trainer)
    made = json.loads(tokenizer.to_str())["model"]
    return made["vocab"], [tuple(pair) for pair in made["merges"]]


def _scale(name: str, weight: torch.Tensor) -> float:
    """Standard deviation: so small that nothing saturates, so large that the output moves."""
    return 1.0 if "embed_tokens" in name else 0.08 if weight.ndim == 1 else weight.shape[-1] ** -0.5


def _written(
    pipeline_class: Any,
    folder: Path,
    *,
    transformer: nn.Module,
    text_encoder: nn.Module,
    tokenizer: Any,
    latents: dict[str, float],
    shift: float,
) -> Any:
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKL(
            latent_channels=4,
            block_out_channels=(4, 4, 4, 4),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=2,
            use_quant_conv="shift_factor" not in latents,
            use_post_quant_conv="shift_factor" not in latents,
            **latents,
        )
    pipeline = pipeline_class(
        transformer=transformer,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
    return pipeline

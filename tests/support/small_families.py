"""Small networks of released families by diffusers' own classes, and what they and ours compute."""

from importlib import import_module

import torch
from released import randomise, read

from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.media.patches import PatchTokenizer
from lumina_core.sequence import TokenSample, unpack

TOLERANCE = 1e-5
TOKENIZER = PatchTokenizer(4, (1, 2, 2), lambda frames, rows, columns: (1.0, 1.0, 1.0))
SIZES = [(8, 12), (8, 16)]
TEXT_LENGTHS = [9, 37]  # one of them crosses a multiple of 32
TIMES = [0.3, 0.8]
NO_WEIGHT_TELLS = {"z_image": {"rope_dims": (4, 4, 4)}, "lumina_image_2": {}, "next_dit": {}}
SMALL = {
    "lumina_image_2": dict(
        in_channels=4, hidden_size=48, num_layers=3, num_refiner_layers=2, num_attention_heads=4,
        num_kv_heads=2, multiple_of=16, axes_dim_rope=(4, 4, 4), axes_lens=(64, 32, 32),
        cap_feat_dim=20,
    ),
    "z_image": dict(
        in_channels=4, dim=48, n_layers=3, n_refiner_layers=2, n_heads=4, n_kv_heads=4,
        cap_feat_dim=20, axes_dims=[4, 4, 4], axes_lens=[128, 32, 32],
    ),
    "next_dit": dict(
        sample_size=8, in_channels=4, hidden_size=48, num_layers=3, num_attention_heads=4,
        num_kv_heads=2, multiple_of=16, cross_attention_dim=20,
    ),
}  # fmt: skip


def original(family, **sizes):
    return getattr(import_module("diffusers"), FAMILIES[family].diffusers_class)(**sizes)


def small(family):
    """Of diffusers, random."""
    model = randomise(original(family, **SMALL[family]))
    if family == "next_dit":  # the release has one tensor for both
        for block in model.layers:
            block.attn2.to_q.load_state_dict(block.attn1.to_q.state_dict())
            block.attn2.norm_q.load_state_dict(block.attn1.norm_q.state_dict())
    return model


def inputs():
    generator = torch.Generator().manual_seed(1)
    latents = [torch.randn(4, 1, *size, generator=generator) for size in SIZES]
    texts = [torch.randn(length, 20, generator=generator) for length in TEXT_LENGTHS]
    return latents, texts


@torch.no_grad()
def answers(family, model):
    """Of diffusers' class, each latent alone, its text padded where the class wants a mask."""
    latents, texts = inputs()
    found = []
    for latent, text, time in zip(latents, texts, TIMES, strict=True):
        t = torch.tensor([time])
        if family == "z_image":
            found.append(model([latent], t, [text]).sample[0])
            continue
        padded = torch.nn.functional.pad(text, (0, 0, 0, 4))[None]
        mask = (torch.arange(padded.shape[1]) < len(text)).long()[None]
        more = {}
        if family == "next_dit":
            from diffusers.models.embeddings import get_2d_rotary_pos_embed_lumina

            rotary = get_2d_rotary_pos_embed_lumina(12, 384, 384)
            more = {"image_rotary_emb": rotary, "cross_attention_kwargs": {}}
        velocity = model(latent[:, 0][None], t, padded, mask, **more).sample[0]
        found.append(velocity[:4, None])  # of Next-DiT without sigma
    return found


@torch.no_grad()
def velocities(model):
    """Of our backbone, the latents in one batch."""
    latents, texts = inputs()
    grids = [TOKENIZER.grid(tuple(latent.shape)) for latent in latents]
    batch = model.pack(
        [
            TokenSample("image", grid, TOKENIZER.tokenize(latent))
            for grid, latent in zip(grids, latents, strict=True)
        ]
    )
    context = model.prepare(batch, torch.cat(texts), TEXT_LENGTHS)
    tokens = unpack(batch.with_state(model(batch, torch.tensor(TIMES), context)))
    return [TOKENIZER.detokenize(*pair) for pair in zip(tokens, grids, strict=True)]


def distance(ours, theirs):
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


def read_small(family, model, **changes):
    changes = NO_WEIGHT_TELLS[family] | changes
    return read(family, "diffusers", model.state_dict(), channels=4, **changes).eval()

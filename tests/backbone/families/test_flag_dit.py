"""Released weights give the released velocities, and what does not fit is named."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from released import read
from safetensors import safe_open

from lumina_core.backbone.settings import NO_SCALING, RopeScaling
from lumina_core.errors import LuminaError
from lumina_core.flow.guidance import guided
from lumina_core.media.patches import PatchTokenizer
from lumina_core.sampling.velocity import channel_mask
from lumina_core.sequence import TokenSample, pack, unpack

GOLDEN = Path(__file__).parent / "golden"
TOLERANCE = 1e-5
TOKENIZER = PatchTokenizer(4, (1, 2, 2), lambda frames, rows, columns: (1.0, 1.0, 1.0))
GUIDED_CHANNELS = 3  # of the released image models


def read_flag_dit(weights, **changes):
    return read("flag_dit", "released", weights, **changes)


@dataclass
class Case:
    weights: dict
    latents: list
    velocities: list
    time: torch.Tensor
    captions: list
    call: dict | None


def golden(name):
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        call = json.loads(file.metadata()["cfg"])
    prefix = "weight/"
    numbers = range(len(tensors["time"]))
    mask = tensors["caption_mask"].bool()
    return Case(
        weights={k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)},
        latents=[tensors[f"latent/{i}"][:, None] for i in numbers],
        velocities=[tensors[f"velocity/{i}"][:, None] for i in numbers],
        time=tensors["time"],
        captions=[tensors["caption_features"][i][mask[i]] for i in numbers],
        call=call,
    )


@torch.no_grad()
def velocities(case, scaling=NO_SCALING, proportional_base=None):
    """Tokens of each sample's velocity."""
    model = read_flag_dit(case.weights)
    grids = [TOKENIZER.grid(tuple(latent.shape)) for latent in case.latents]
    samples = [
        TokenSample("image", grid, TOKENIZER.tokenize(latent))
        for grid, latent in zip(grids, case.latents, strict=True)
    ]
    batch = pack(samples, separators=model.config.separators)
    context = model.prepare(
        batch,
        torch.cat(case.captions),
        [len(caption) for caption in case.captions],
        scaling=scaling,
        proportional_base=proportional_base,
    )
    return unpack(batch.with_state(model(batch, case.time, context))), grids


@pytest.mark.parametrize("name", ["flag_dit_square", "flag_dit_mixed_sizes"])
def test_velocity_is_the_released_one(name):
    case = golden(name)
    for tokens, grid, expected in zip(*velocities(case), case.velocities, strict=True):
        assert expected.abs().max() > 0.1
        velocity = TOKENIZER.detokenize(tokens, grid)
        torch.testing.assert_close(velocity, expected, atol=TOLERANCE, rtol=0)


def test_guided_velocity_beyond_the_trained_size_is_the_released_one():
    case = golden("flag_dit_guided_extrapolated")
    scaling = RopeScaling(case.call["rope_scaling_factor"], case.call["ntk_factor"], None)
    tokens, grids = velocities(case, scaling, case.call["base_seqlen"])
    conditional, unconditional = (item.flatten() for item in tokens)
    mask = channel_mask(TOKENIZER, tuple(case.latents[0].shape), GUIDED_CHANNELS).flatten()
    scale = case.call["cfg_scale"]
    first = guided(conditional, unconditional, scale, channel_mask=mask)
    # the released call returns the guided channels twice, each with the rest of its own half
    second = torch.where(mask, first, unconditional)
    for velocity, expected in zip((first, second), case.velocities, strict=True):
        latent = TOKENIZER.detokenize(velocity.view(grids[0].num_patches, -1), grids[0])
        torch.testing.assert_close(latent, expected, atol=TOLERANCE, rtol=0)


def released_weights(
    *, depth=3, heads=4, kv_heads=2, ffn=100, text=20, condition=12, outputs=32, qk_norm=True
):
    """A state dict of these sizes, its shapes as the released key list has them; no value is 0."""
    hidden, kv, inputs = 32, 32 // heads * kv_heads, 16
    shapes = {
        "x_embedder.weight": (hidden, inputs),
        "x_embedder.bias": (hidden,),
        "t_embedder.mlp.0.weight": (condition, 256),
        "t_embedder.mlp.0.bias": (condition,),
        "t_embedder.mlp.2.weight": (condition, condition),
        "t_embedder.mlp.2.bias": (condition,),
        "cap_embedder.0.weight": (text,),
        "cap_embedder.0.bias": (text,),
        "cap_embedder.1.weight": (condition, text),
        "cap_embedder.1.bias": (condition,),
        "final_layer.linear.weight": (outputs, hidden),
        "final_layer.linear.bias": (outputs,),
        "final_layer.adaLN_modulation.1.weight": (2 * hidden, condition),
        "final_layer.adaLN_modulation.1.bias": (2 * hidden,),
        "eol_token": (hidden,),
        "pad_token": (hidden,),
    }
    for i in range(depth):
        shapes |= {
            f"layers.{i}.attention.wq.weight": (hidden, hidden),
            f"layers.{i}.attention.wk.weight": (kv, hidden),
            f"layers.{i}.attention.wv.weight": (kv, hidden),
            f"layers.{i}.attention.wo.weight": (hidden, hidden),
            f"layers.{i}.attention.wk_y.weight": (kv, text),
            f"layers.{i}.attention.wv_y.weight": (kv, text),
            f"layers.{i}.attention.gate": (heads,),
            f"layers.{i}.feed_forward.w1.weight": (ffn, hidden),
            f"layers.{i}.feed_forward.w2.weight": (hidden, ffn),
            f"layers.{i}.feed_forward.w3.weight": (ffn, hidden),
            f"layers.{i}.adaLN_modulation.1.weight": (6 * hidden, condition),
            f"layers.{i}.adaLN_modulation.1.bias": (6 * hidden,),
            f"layers.{i}.attention_norm.weight": (hidden,),
            f"layers.{i}.ffn_norm.weight": (hidden,),
            f"layers.{i}.attention_y_norm.weight": (text,),
        }
        for name, size in (("q_norm", hidden), ("k_norm", kv), ("ky_norm", kv)):
            if qk_norm:
                shapes[f"layers.{i}.attention.{name}.weight"] = (size,)
                shapes[f"layers.{i}.attention.{name}.bias"] = (size,)
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def test_sizes_follow_from_the_shapes():
    config = read_flag_dit(released_weights()).config
    assert config.token_dims == {"image": 16}
    assert (config.hidden_size, config.depth) == (32, 3)
    assert (config.num_heads, config.kv_heads) == (4, 2)
    assert (config.text_dim, config.condition_dim) == (20, 12)
    assert config.qk_norm
    assert config.learn_sigma
    assert config.separators


@pytest.mark.parametrize("ffn", [1, 7, 84, 85, 86, 128, 1000])  # int(8 * 32 / 3) = 85
def test_any_feed_forward_width_is_met(ffn):
    model = read_flag_dit(released_weights(ffn=ffn))
    assert model.config.ffn_dim == ffn
    assert model.blocks[0].feed_forward.w1.weight.shape == (ffn, 32)


def test_switches_follow_from_the_names():
    assert not read_flag_dit(released_weights(qk_norm=False)).config.qk_norm
    assert not read_flag_dit(released_weights(outputs=16)).config.learn_sigma


def test_what_no_shape_tells_is_an_argument():
    model = read_flag_dit(
        released_weights(), modality="photo", channels=16, rope_theta=50.0, norm_eps=1e-3
    )
    assert model.config.token_dims == {"photo": 16}
    assert (model.config.rope_theta, model.config.norm_eps) == (50.0, 1e-3)
    assert model.final_norm.eps == 1e-6  # not norm_eps, as released


@pytest.mark.parametrize("halves", [1, 2])
def test_patch_elements_are_reordered(halves):
    weights = released_weights(outputs=16 * halves)
    columns = torch.arange(16.0).expand(32, 16)  # released: channel, row, column
    rows = torch.arange(16.0 * halves)  # released: row, column, then all channels of both halves
    weights["x_embedder.weight"] = columns
    weights["final_layer.linear.bias"] = rows
    weights["final_layer.linear.weight"] = rows[:, None].expand(-1, 32)
    model = read_flag_dit(weights)
    ours = [(h, w, c) for h in range(2) for w in range(2) for c in range(4)]
    read = [c * 4 + h * 2 + w for h, w, c in ours]
    written = [
        (h * 2 + w) * 4 * halves + half * 4 + c for half in range(halves) for h, w, c in ours
    ]
    assert model.inputs["image"].weight[5].tolist() == read
    assert model.outputs["image"].bias.tolist() == written
    assert model.outputs["image"].weight[:, 5].tolist() == written


def test_every_weight_arrives_and_nextframe_copies_eol_token():
    weights = released_weights()
    model = read_flag_dit(weights)
    ours = sorted(p.double().sum().item() for n, p in model.named_parameters() if n != "nextframe")
    theirs = sorted(w.double().sum().item() for k, w in weights.items() if k != "pad_token")
    assert ours == pytest.approx(theirs)
    assert torch.equal(model.nextframe, weights["eol_token"])
    assert model.nextframe is not model.nextline
    assert all(p.requires_grad and p.device.type == "cpu" for p in model.parameters())


def test_weights_keep_their_dtype():
    weights = {key: weight.bfloat16() for key, weight in released_weights().items()}
    assert {p.dtype for p in read_flag_dit(weights).parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "key",
    [
        "x_embedder.weight",
        "t_embedder.mlp.2.bias",
        "layers.0.attention.gate",
        "layers.1.attention.k_norm.bias",
        "layers.2.feed_forward.w3.weight",
    ],
)
def test_missing_key_is_named(key):
    weights = released_weights()
    del weights[key]
    with pytest.raises(LuminaError, match=f"lacks tensors: {key}") as caught:
        read_flag_dit(weights)
    assert "\n" not in str(caught.value)


def test_unexpected_keys_are_named_and_counted():
    weights = released_weights()
    for i in range(3):
        for norm in ("attention_norm1", "ffn_norm1"):
            weights[f"layers.{i}.{norm}.weight"] = torch.ones(32)
    with pytest.raises(
        LuminaError, match=r"has unknown tensors: layers\.0\.attention_norm1\.weight, .* 3 more"
    ):
        read_flag_dit(weights)


@pytest.mark.parametrize(
    "key",
    ["layers.1.attention.wk.weight", "layers.0.feed_forward.w2.weight", "cap_embedder.1.weight"],
)
def test_wrong_shape_is_named(key):
    weights = released_weights()
    weights[key] = weights[key][:, 1:]
    with pytest.raises(LuminaError, match=f"{key} has shape .* expected"):
        read_flag_dit(weights)


def test_channels_must_fit_the_input():
    with pytest.raises(LuminaError, match="tokens of 16 elements are no square patches of 3"):
        read_flag_dit(released_weights(), channels=3)


def test_head_of_another_width_is_refused():
    with pytest.raises(LuminaError, match=r"final_layer\.linear\.weight has shape \[24, 32\]"):
        read_flag_dit(released_weights(outputs=24))

"""Adapters of others give here what they give in diffusers and peft, or are refused in one line."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_adapters import adapt, with_adapter, write_comfyui, write_kohya, write_peft
from small_families import SMALL, TOLERANCE, answers, distance, read_small, small, velocities
from torch import nn

from lumina_core.backbone.families.layouts import backbone_of, pieces
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.checkpoints.adapter_files import open_adapter
from lumina_core.checkpoints.adapters import Adapters, layers_of, read_adapters
from lumina_core.checkpoints.adapters import adapt as adapt_weights
from lumina_core.checkpoints.placement import Placed, Placement
from lumina_core.errors import LuminaError

diffusers = pytest.importorskip("diffusers")
peft = pytest.importorskip("peft")
ALPHA, RANK = 5, 3
CPU = torch.device("cpu")
TIED = {"next_dit": ("attn1.to_q", "attn2.to_q")}
STYLES = [
    ("lumina_image_2", "peft"),
    ("lumina_image_2", "kohya"),
    ("next_dit", "peft"),
    ("next_dit", "kohya"),
    ("z_image", "peft"),
    ("z_image", "kohya"),
    ("z_image", "comfyui"),
    ("z_image", "kohya fused"),
    ("z_image", "unfused"),
]


@pytest.fixture(scope="module", params=[False, True], ids=["lora", "dora"])
def is_dora(request):
    return request.param


@pytest.fixture(scope="module")
def trained(is_dora):
    """By family: the plain network, what it answers with an adapter of peft, and its tensors."""
    found = {}
    for family in SMALL:
        model, parts = with_adapter(
            small(family),
            without=TIED.get(family, ()),
            r=RANK,
            lora_alpha=ALPHA,
            use_dora=is_dora,
        )
        found[family] = small(family), answers(family, model.base_model.model), parts
    return found


def written(folder, style, parts):
    if style == "peft":
        is_dora = "magnitude" in next(iter(parts.values()))
        return write_peft(folder / "peft", parts, r=RANK, lora_alpha=ALPHA, use_dora=is_dora)
    path = folder / f"{style}.safetensors"
    if style in ("comfyui", "kohya fused"):
        return write_comfyui(path, parts, ALPHA, flat=style != "comfyui")
    if style == "unfused":
        return write_kohya(path, parts, ALPHA, prefix="diffusion_model.", flat=False)
    return write_kohya(path, parts, ALPHA)


@pytest.mark.parametrize(("family", "style"), STYLES)
def test_an_adapter_of_peft_gives_its_velocity_here(trained, tmp_path, family, style):
    network, expected, parts = trained[family]
    file = written(tmp_path, style, parts)
    assert distance(answers(family, network), expected) > 0.1
    for merge in (True, False):
        ours, _ = adapt(read_small(family, network), family, (file, 1.0), merge=merge)
        assert distance(velocities(ours), expected) < TOLERANCE


def pipeline_of(name, transformer):
    """With nothing but a transformer."""
    others = dict.fromkeys(("scheduler", "vae", "text_encoder", "tokenizer"))
    return getattr(diffusers, name)(transformer=transformer, **others)


@pytest.mark.parametrize("style", ["kohya fused", "unfused", "kohya"])
def test_diffusers_reads_the_files_of_these_tests_alike(trained, is_dora, tmp_path, style):
    if is_dora:
        return  # it leaves out dora_scale
    _, expected, parts = trained["z_image"]
    theirs = small("z_image")
    pipeline_of("ZImagePipeline", theirs).load_lora_weights(str(written(tmp_path, style, parts)))
    assert distance(answers("z_image", theirs), expected) < TOLERANCE


@pytest.mark.parametrize(
    ("family", "pipeline"), [("z_image", "ZImagePipeline"), ("lumina_image_2", "Lumina2Pipeline")]
)
def test_a_file_that_diffusers_writes_gives_what_diffusers_loads(
    is_dora, tmp_path, family, pipeline
):
    settings = {"r": 2, "lora_alpha": 3, "use_dora": is_dora, "use_rslora": True}
    model, _ = with_adapter(small(family), seed=4, **settings)
    getattr(diffusers, pipeline).save_lora_weights(
        tmp_path,
        transformer_lora_layers=peft.get_peft_model_state_dict(model.base_model.model),
        transformer_lora_adapter_metadata=model.peft_config["default"].to_dict(),
    )
    theirs = small(family)
    file = tmp_path / "pytorch_lora_weights.safetensors"
    pipeline_of(pipeline, theirs).load_lora_weights(str(file))
    expected = answers(family, theirs)
    assert distance(answers(family, small(family)), expected) > 0.1
    for path in (file, tmp_path):
        ours, _ = adapt(read_small(family, small(family)), family, (path, 1.0))
        assert distance(velocities(ours), expected) < TOLERANCE


def test_alpha_and_rank_of_single_layers_are_those_of_peft(tmp_path):
    model, _ = with_adapter(
        small("z_image"),
        r=3,
        lora_alpha=4,
        use_rslora=True,
        alpha_pattern={"layers.0.attention.to_q": 9, "w2": 2},
        rank_pattern={"w2": 5, "layers.1.attention.to_k": 1},
    )
    model.save_pretrained(tmp_path)
    expected = answers("z_image", model.base_model.model)
    ours, _ = adapt(read_small("z_image", small("z_image")), "z_image", (tmp_path, 1.0))
    assert distance(velocities(ours), expected) < TOLERANCE


def stored_weights(layout, config):
    """Random weights of a family as a layout stores them, and its linear layers."""
    generator = torch.Generator().manual_seed(0)
    shapes = {}
    for piece in pieces(config, layout, 4):
        shapes |= dict.fromkeys((piece.stored, *layout.twins(piece.stored)), piece.stored_shape)
    weights = {k: torch.randn(shape, generator=generator) for k, shape in shapes.items()}
    for name in weights:
        for twin in layout.twins(name):
            weights[twin] = weights[name]
    return weights


LAYOUTS = [(family, name) for family in FAMILIES for name in FAMILIES[family].layouts]
SETTINGS = {
    "next_dit_imagenet": {"num_classes": 3},
    "lumina_image_2": {"rope_dims": (4, 4, 4), "refiners": 1, "ffn_size": 20},
    "z_image": {"rope_dims": (4, 4, 4), "refiners": 1, "ffn_size": 20},
}


@pytest.mark.parametrize(("family", "name"), LAYOUTS)
def test_an_adapter_does_to_our_layers_what_it_does_to_stored_ones(tmp_path, family, name):
    layout = FAMILIES[family].layouts[name]
    config = BackboneConfig(
        **{"token_dims": {"image": 16}, "hidden_size": 48, "depth": 1, "num_heads": 4},
        **{"num_kv_heads": 2, "text_dim": 10, "learn_sigma": family == "flag_dit"},
        **{**FAMILIES[family].switches, **SETTINGS.get(family, {})},
    )
    weights = stored_weights(layout, config)
    plain = backbone_of(weights, config, layout, 4, "the file")
    linear = {k for k, v in plain.named_modules() if isinstance(v, nn.Linear)}
    names = {
        twin
        for piece in pieces(config, layout, 4)
        if piece.name.removesuffix(".weight") in linear and piece.name.endswith(".weight")
        for twin in (piece.stored, *layout.twins(piece.stored))
    }
    generator = torch.Generator().manual_seed(1)
    parts, changed = {}, dict(weights)
    for key in sorted(names):
        rows, columns = weights[key].shape
        part = {
            "down": torch.randn(2, columns, generator=generator),
            "up": torch.randn(rows, 2, generator=generator),
            "magnitude": torch.randn(rows, generator=generator),
        }
        for twin in layout.twins(key):
            part = parts.get(twin.removesuffix(".weight"), part)
        parts[key.removesuffix(".weight")] = part
        turned = weights[key] + ALPHA / 2 * part["up"] @ part["down"]
        changed[key] = part["magnitude"][:, None] * turned / turned.norm(dim=1, keepdim=True)
    for twin, other in ((a, b) for a in names for b in layout.twins(a)):
        changed[other] = changed[twin]
        parts[other.removesuffix(".weight")] = parts[twin.removesuffix(".weight")]
    expected = backbone_of(changed, config, layout, 4, "the file").state_dict()
    file = write_kohya(tmp_path / "all.safetensors", parts, ALPHA)
    for path in (file, write_peft(tmp_path / "all", parts, lora_alpha=ALPHA)):
        ours, _ = adapt(backbone_of(weights, config, layout, 4, "it"), family, (path, 1.0))
        for key, weight in ours.state_dict().items():
            torch.testing.assert_close(weight, expected[key], atol=1e-5, rtol=1e-5)


@pytest.fixture
def network():
    return read_small("z_image", small("z_image"))


def lora_file(path, *, layer="layers.0.attention.to_q", rows=48, columns=48, rank=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    down = 0.1 * torch.randn(rank, columns, generator=generator)
    up = 0.1 * torch.randn(rows, rank, generator=generator)
    key = f"transformer.{layer}"
    save_file({f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}, path)
    return path


def test_strength_scales_and_adapters_add_up(network, tmp_path):
    files = [lora_file(tmp_path / f"{seed}.safetensors", seed=seed) for seed in (0, 1)]
    parts = [open_adapter(file).changes["layers.0.attention.to_q"] for file in files]
    before = network.blocks[0].attention.wq.weight.clone()
    ours, used = adapt(network, "z_image", (files[0], 0.5), (files[1], -2.0))
    wanted = before + 0.5 * parts[0].up @ parts[0].down - 2 * parts[1].up @ parts[1].down
    torch.testing.assert_close(ours.blocks[0].attention.wq.weight.data, wanted)
    assert [(each.name, each.strength) for each in used] == [
        ("0.safetensors", 0.5),
        ("1.safetensors", -2.0),
    ]


def test_strength_0_changes_nothing(trained, tmp_path):
    network, _, parts = trained["z_image"]
    file = written(tmp_path, "peft", parts)
    plain = read_small("z_image", network).state_dict()
    merged, _ = adapt(read_small("z_image", network), "z_image", (file, 0.0))
    assert all(torch.equal(weight, plain[key]) for key, weight in merged.state_dict().items())
    apart, _ = adapt(read_small("z_image", network), "z_image", (file, 0.0), merge=False)
    assert distance(velocities(apart), velocities(merged)) == 0


def test_merging_rounds_once_and_leaves_other_weights_where_they_are(network, tmp_path):
    file = lora_file(tmp_path / "one.safetensors")
    part = open_adapter(file).changes["layers.0.attention.to_q"]
    stored = network.blocks[0].attention.wq.weight.clone()
    places = {name: weight.data_ptr() for name, weight in network.named_parameters()}
    layers = layers_of(network, "image", "z_image", 4)
    changes = dict(read_adapters(Adapters(((file, 1.0),)), layers).changes)
    adapt_weights(network, changes, merge=True, device=CPU, dtype=torch.bfloat16)
    assert not changes
    merged = network.blocks[0].attention.wq.weight
    assert torch.equal(merged, (stored + part.up @ part.down).bfloat16())
    moved = [name for name, w in network.named_parameters() if w.data_ptr() != places[name]]
    assert moved == ["blocks.0.attention.wq.weight"]


def test_weights_in_8_bits_are_adapted_beside_or_before(network, tmp_path):
    pytest.importorskip("torchao")
    file = lora_file(tmp_path / "one.safetensors")
    part = open_adapter(file).changes["layers.0.attention.to_q"]
    exact = network.blocks[0].attention.wq.weight.clone()
    x = torch.randn(5, 48, generator=torch.Generator().manual_seed(0))
    found = {}
    for name, files, merge in (
        ("plain", (), True),
        ("apart", (file,), False),
        ("in", (file,), True),
    ):
        own = read_small("z_image", small("z_image"))
        adapters = Adapters(tuple((each, 1.0) for each in files), merge)
        changes = read_adapters(adapters, layers_of(own, "image", "z_image", 4))
        placed = Placed(own, Placement(CPU, torch.float32, quantise="int8"), changes)
        linear = placed.backbone().blocks[0].attention.wq
        assert type(linear.weight) is not nn.Parameter
        found[name] = linear(x)
    added = x @ part.down.T @ part.up.T
    assert (found["apart"] - found["plain"] - added).abs().max() < 1e-5
    rounding = (x @ exact.T - found["plain"]).abs().max()
    assert (found["in"] - x @ exact.T - added).abs().max() < 3 * rounding < added.abs().max()


def test_a_tied_layer_is_adapted_in_both_places_alike(tmp_path):
    def tied(second):
        parts = {}
        for number in (1, 2):
            generator = torch.Generator().manual_seed(number if second == "other" else 0)
            part = {
                "down": torch.randn(2, 48, generator=generator) / 10,
                "up": torch.randn(48, 2, generator=generator) / 10,
            }
            parts |= {f"layers.{i}.attn{number}.to_q": part for i in range(3)}
        if second is None:
            parts = {name: part for name, part in parts.items() if "attn1" in name}
        return write_kohya(tmp_path / f"{second}.safetensors", parts, 2)

    theirs = small("next_dit")
    for layer in theirs.layers:
        part = load_file(tied("same"))
        down, up = (part[f"lora_unet_layers_0_attn1_to_q.lora_{x}.weight"] for x in ("down", "up"))
        for attention in (layer.attn1, layer.attn2):
            attention.to_q.weight.data += up @ down
    ours, _ = adapt(read_small("next_dit", small("next_dit")), "next_dit", (tied("same"), 1.0))
    assert distance(velocities(ours), answers("next_dit", theirs)) < TOLERANCE
    for second, message in ((None, "and not layers_0_attn2_to_q"), ("other", "differently")):
        with pytest.raises(LuminaError, match=message):
            adapt(read_small("next_dit", small("next_dit")), "next_dit", (tied(second), 1.0))


def test_our_own_names_are_known_without_a_family(network, tmp_path):
    file = lora_file(tmp_path / "own.safetensors", layer="blocks.0.attention.wq")
    before = network.blocks[0].attention.wq.weight.clone()
    ours, _ = adapt(network, "", (file, 1.0))
    assert not torch.equal(ours.blocks[0].attention.wq.weight, before)


def changed(file, change):
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def dropped(file, end):
    changed(file, lambda t: t.pop(next(key for key in t if key.endswith(end))))


def added(file, name, value):
    changed(file, lambda t: t.update({f"transformer.layers.0.attention.to_q.{name}": value}))


def peft_folder(folder, **settings):
    file = lora_file(folder / "x.safetensors")
    tensors = {
        k.replace("transformer.", "base_model.model."): v for k, v in load_file(file).items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    if settings:
        (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def picture(folder):
    path = folder / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    return path


def pickled(folder):
    path = folder / "lora.pt"
    torch.save({"a": torch.zeros(1)}, path)
    return path


def pickled_under_another_name(folder):
    return pickled(folder).rename(folder / "lora.safetensors")


def lora(change=None, *arguments, **about):
    def make(folder):
        file = lora_file(folder / "lora.safetensors", **about)
        if change is not None:
            change(file, *arguments)
        return file

    return make


def empty(file):
    save_file({}, file)


def truncated(file):
    file.write_bytes(file.read_bytes()[:-40])


def bytes_of_json(folder):
    peft_folder(folder, r=2)
    (folder / "adapter_config.json").write_bytes(b"\xff{")
    return folder


WRONG = {
    "no file": (lambda folder: folder / "none.safetensors", "there is no adapter"),
    "no adapter in a folder": (lambda folder: folder, "holds no adapter_model.safetensors"),
    "a picture": (picture, "is no adapter; name a .safetensors file"),
    "a pickle": (pickled, "may execute what it holds"),
    "a pickle of another name": (pickled_under_another_name, "cannot be read"),
    "truncated": (lora(truncated), "cannot be read"),
    "nothing in it": (lora(empty), "holds no adapter"),
    "a layer of another model": (lora(layer="blocks.0.cross.to_q"), "lacks: blocks.0.cross.to_q"),
    "a layer of the text encoder": (lora(layer="text_encoder.q"), "lacks: text_encoder.q"),
    "a norm": (lora(layer="layers.0.attention.norm_q"), "lacks: layers.0.attention.norm_q"),
    "another width": (lora(columns=40), r"is for a layer of \[48, 40\], .* is \[48, 48\]"),
    "another height": (lora(rows=40), r"is for a layer of \[40, 48\]"),
    "half of it": (lora(dropped, "lora_B.weight"), "no up part beside it"),
    "ranks that differ": (lora(added, "lora_B.weight", torch.ones(48, 5)), "do not match"),
    "down of three axes": (lora(added, "lora_A.weight", torch.ones(2, 48, 1)), "do not match"),
    "a LoHa": (lora(added, "hada_w1_a", torch.ones(2, 2)), r"no LoRA or DoRA: \S*hada_w1_a"),
    "a bias": (lora(added, "lora_B.bias", torch.ones(48)), r"no LoRA or DoRA: \S*lora_B.bias"),
    "twice": (lora(added, "lora_down.weight", torch.ones(2, 48)), "adapts a layer twice"),
    "alpha is a list": (lora(added, "alpha", torch.ones(2)), "alpha is no number"),
    "alpha is nan": (lora(added, "alpha", torch.tensor(torch.nan)), "alpha is no number"),
    "magnitude of inputs": (lora(added, "dora_scale", torch.ones(1, 48)), "each of 48 outputs"),
    "whole numbers": (
        lora(added, "lora_A.weight", torch.ones(2, 48, dtype=torch.int8)),
        "lora_A.weight has type I8",
    ),
    "a foreign name": (lora(layer="a\x1b[31m\nb"), r"no LoRA or DoRA: transformer\.a\ufffd"),
    "peft without alpha": (lambda folder: peft_folder(folder), "says no alpha"),
    "another method": (lambda f: peft_folder(f, peft_type="LOKR"), "is of a LOKR"),
    "weights changed": (
        lambda f: peft_folder(f, r=2, lora_alpha=2, init_lora_weights="pissa_niter_4"),
        "init_lora_weights=pissa_niter_4",
    ),
    "another rank": (lambda f: peft_folder(f, r=4, lora_alpha=2), "has rank 2, and .* says 4"),
    "alpha is a text": (
        lambda f: peft_folder(f, r=2, lora_alpha="2"),
        "lora_alpha is 2, no number",
    ),
    "alpha is too large": (lambda f: peft_folder(f, r=2, lora_alpha=10**400), "no number"),
    "no magnitudes": (
        lambda f: peft_folder(f, r=2, lora_alpha=2, use_dora=True),
        "no magnitude part beside it",
    ),
    "a pattern": (
        lambda f: peft_folder(f, r=2, lora_alpha=2, alpha_pattern={"(a+)+": 1}),
        "no other patterns",
    ),
    "settings of another kind": (lambda f: peft_folder(f, a=1) and settings_list(f), "no settings"),
    "no JSON": (bytes_of_json, "adapter_config.json cannot be read"),
}


def settings_list(folder):
    (folder / "adapter_config.json").write_text("[1]")
    return folder


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_is_refused_in_one_line(network, tmp_path, kind):
    make, message = WRONG[kind]
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    with pytest.raises(LuminaError, match=message) as refusal:
        adapt(network, "z_image", (make(tmp_path), 1.0))
    assert "\n" not in str(refusal.value) and str(refusal.value).isprintable()
    assert str(tmp_path) in str(refusal.value)
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())

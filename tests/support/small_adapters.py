"""Adapters in tests: made by peft, and written in the styles in which people have them."""

import json

import torch
from safetensors.torch import save_file
from torch import nn

from lumina_core.backbone.low_rank import LowRank
from lumina_core.checkpoints.adapters import Adapters, layers_of, read_adapters
from lumina_core.checkpoints.placement import Placed, Placement

FLAT = "lora_unet_"
STD = 0.1  # of the weights of adapters: their outputs move, and do not run away
SUFFIXES = {"down": "lora_A.weight", "up": "lora_B.weight", "magnitude": "lora_magnitude_vector"}


def with_adapter(network, *, seed=1, without=(), **settings):
    """A network of diffusers with a random adapter of peft on each linear layer.

    Args:
        network: changed in place.
        seed: of the adapter.
        without: ends of names of layers that get none.
        settings: of peft's LoraConfig.

    Returns:
        The model of peft around it, and by the name of each layer its tensors: down, up and maybe
        magnitude.
    """
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    linears = [name for name, m in network.named_modules() if isinstance(m, nn.Linear)]
    settings.setdefault("target_modules", [n for n in linears if not n.endswith(tuple(without))])
    model = get_peft_model(network, LoraConfig(**settings))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in network.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        if "lora_magnitude" in name:
            weight.data *= 1 + 0.3 * drawn
        elif "lora_" in name:
            weight.data = STD * drawn
    parts = {}
    for name, weight in get_peft_model_state_dict(model).items():
        for kind, suffix in SUFFIXES.items():
            if name.endswith(suffix):
                layer = name.removeprefix("base_model.model.").removesuffix(f".{suffix}")
                parts.setdefault(layer, {})[kind] = weight.detach().clone()
    return model.eval(), parts


def write_kohya(path, parts, alpha, *, prefix=FLAT, flat=True):
    """lora_down, lora_up, alpha and dora_scale, with underscores for dots."""
    tensors = {}
    for name, part in parts.items():
        layer = prefix + (name.replace(".", "_") if flat else name)
        tensors[f"{layer}.lora_down.weight"] = part["down"].clone()
        tensors[f"{layer}.lora_up.weight"] = part["up"].clone()
        tensors[f"{layer}.alpha"] = torch.tensor(float(part.get("alpha", alpha)))
        if "magnitude" in part:
            tensors[f"{layer}.dora_scale"] = part["magnitude"][:, None].clone()
    save_file(tensors, path)
    return path


def write_comfyui(path, parts, alpha, *, flat=False):
    """The same for the layers of a single file: q, k and v are one, and their parts do not meet."""
    fused = {}
    for name, part in parts.items():
        block, _, last = name.rpartition(".")
        if last == "to_q":
            three = [parts[f"{block}.to_{letter}"] for letter in "qkv"]
            joined = {
                "down": torch.cat([each["down"] for each in three]),
                "up": torch.block_diag(*(each["up"] for each in three)),
                "alpha": 3 * alpha,
            }
            if "magnitude" in part:
                joined["magnitude"] = torch.cat([each["magnitude"] for each in three])
            fused[f"{block}.qkv"] = joined
        elif last not in ("to_k", "to_v"):
            fused[name.replace(".to_out.0", ".out")] = part
    return write_kohya(path, fused, alpha, prefix=FLAT if flat else "diffusion_model.", flat=flat)


def write_peft(folder, parts, **settings):
    """A folder as peft's save_pretrained writes it."""
    folder.mkdir()
    tensors = {
        f"base_model.model.{layer}.{SUFFIXES[kind]}": tensor.clone()
        for layer, part in parts.items()
        for kind, tensor in part.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **settings}))
    return folder


def adapt(backbone, family, *files, merge=True):
    """Change a small backbone of a family: files, each with its strength."""
    layers = layers_of(backbone, "image", family, 4)
    found = read_adapters(Adapters(files, merge), layers)
    where = Placement(torch.device("cpu"), torch.float32)
    return Placed(backbone, where, found).backbone(), found.used


def random_changes(backbone, layers, *, is_dora=False, rank=2, scale=1.5, seed=0):
    """Random changes of layers of ours, as a training leaves them."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return STD * torch.randn(*shape, generator=generator)

    found = {}
    for name in layers:
        weight = backbone.get_submodule(name).weight
        rows, columns = weight.shape
        norm = weight.float().norm(dim=1) * (1 + drawn(rows)) if is_dora else None
        found[name] = LowRank(drawn(rank, columns), drawn(rows, rank), scale, norm)
    return found

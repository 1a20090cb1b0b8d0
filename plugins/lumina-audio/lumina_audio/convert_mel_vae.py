"""Brings the 1-D mel VAE of the released audio models into a folder for `modality.vae`.

    python -m lumina_audio.convert_mel_vae FILE FOLDER

FILE is a checkpoint of Lightning: that of the VAE by itself (maa2.ckpt), or of the whole model, in
which its weights are `first_stage_model.*` beside `scale_factor`, the multiplier of its latents.
Without that, latents are left as they are. The architecture follows from the shapes of the weights.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from lumina_audio.mel_autoencoder import WEIGHTS, MelAutoencoder, check_weights, shape_from
from lumina_audio.mel_vae import empty_mel_vae
from lumina_core import LuminaError, atomic_folder
from lumina_core.terminal import show, tell

PREFIX = "first_stage_model."  # in a checkpoint of the whole model
TRAINING = "loss."  # what only the training of the VAE needs, in a checkpoint of its own
SCALE = "scale_factor"
MAX_REASON = 200  # characters of what torch says
OPTIONS = "modality.mel_range=[-1,1] modality.patch=[4,1]"  # what such an autoencoder needs


def convert_mel_vae(file: Path, folder: Path) -> float:
    """Write the folder that `modality.vae` takes.

    Args:
        file: a checkpoint of Lightning.
        folder: a new one.

    Returns:
        The multiplier of the latents, 1 where the file has none.

    Raises:
        LuminaError: the file cannot be read or holds another model, or the folder exists.
    """
    if folder.exists():
        raise LuminaError(f"{folder} exists already; choose another folder")
    state = read_state(file)
    prefix = PREFIX if any(key.startswith(PREFIX) for key in state) else ""
    weights = {
        key.removeprefix(prefix): weight.float().contiguous()
        for key, weight in state.items()
        if key.startswith(prefix) and not key.startswith(TRAINING) and key != SCALE
    }
    config = config_of(file, weights, state.get(SCALE, torch.ones(())))
    check_weights(file, weights, empty_mel_vae(shape_from(config)))
    with atomic_folder(folder) as made:
        (made / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(weights, made / WEIGHTS)
    return config["scaling_factor"]


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint; runs nothing that stands in it.

    Raises:
        LuminaError: it cannot be read, or holds no tensors by name.
    """
    try:
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise LuminaError(
            f"{file} cannot be read as weights alone: {reason[:MAX_REASON]}; where it "
            "holds more, save its state_dict by itself"
        ) from error
    state = found.get("state_dict", found) if isinstance(found, dict) else None
    if not isinstance(state, dict):
        raise LuminaError(f"{file} holds no state_dict; give a checkpoint of Lightning")
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}


def config_of(file: Path, weights: Mapping[str, Tensor], scale: Tensor) -> dict[str, Any]:
    """The config.json of the folder; the architecture follows from the shapes of the weights.

    Raises:
        LuminaError: they are not those of a 1-D VAE of mel spectrograms.
    """
    try:
        ch, num_mels, kernel_size = weights["encoder.conv_in.weight"].shape
        levels = range(len(_numbers(weights, r"encoder\.down\.(\d+)\.")))
        config = {
            "_class_name": MelAutoencoder.kind,
            "in_channels": num_mels,
            "z_channels": weights["decoder.conv_in.weight"].shape[1],
            "embed_dim": weights["post_quant_conv.weight"].shape[1],
            "ch": ch,
            "ch_mult": [
                weights[f"encoder.down.{level}.block.0.conv1.weight"].shape[0] // ch
                for level in levels
            ],
            "num_res_blocks": len(_numbers(weights, r"encoder\.down\.0\.block\.(\d+)\.")),
            "kernel_size": kernel_size,
            "down_layers": _numbers(weights, r"encoder\.down\.(\d+)\.downsample\."),
            "scaling_factor": float(scale),
            "shift_factor": None,
        }
    except (KeyError, IndexError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise LuminaError(
            f"{file} holds no 1-D VAE of mel spectrograms ({error}); give one whose weights are "
            f"encoder.*, decoder.*, quant_conv.* and post_quant_conv.*, also as {PREFIX}*"
        ) from error
    for key, wanted in MelAutoencoder(file).faults(config):
        raise LuminaError(
            f"{file} holds no 1-D VAE of mel spectrograms: {key} is {config[key]}, not {wanted}"
        )
    return config


def _numbers(weights: Mapping[str, Tensor], pattern: str) -> list[int]:
    """The numbers that stand in the names of weights at a place, each once, in order."""
    return sorted({int(found[1]) for key in weights if (found := re.match(pattern, key))})


def main(words: list[str]) -> int:
    """Convert, say what was made; 2 after a mistake of the user."""
    try:
        if len(words) != 2:
            raise LuminaError("use python -m lumina_audio.convert_mel_vae FILE FOLDER")
        scale = convert_mel_vae(Path(words[0]), Path(words[1]))
    except LuminaError as error:
        tell(f"error: {error}")
        return 2
    show(f"{words[1]}: latents are multiplied by {scale:.6g}; use it with {OPTIONS}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Adapters in files of others: LoRA and DoRA in the words of diffusers, ComfyUI, kohya and peft.

    transformer.layers.0.attention.to_q.lora_A.weight           diffusers
    diffusion_model.layers.0.attention.qkv.lora_down.weight     ComfyUI, which knows lora_A as well
    lora_unet_layers_0_attention_qkv.lora_down.weight           kohya
    base_model.model.layers.0.attention.to_q.lora_A.weight      peft

Beside it stand lora_B or lora_up, and maybe `alpha` and `dora_scale` or `lora_magnitude_vector`.
peft has alpha in adapter_config.json, diffusers in the header of the file. Where nothing tells
alpha it is the rank, as for diffusers and ComfyUI. Which layers these are says adapters.py.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lumina_core.backbone.low_rank import LowRank
from lumina_core.checkpoints.newest import checkpoint_folder
from lumina_core.checkpoints.stored import MAX_NAME, PICKLES, Stored, open_weights
from lumina_core.errors import LuminaError, printable, why
from lumina_core.files.hashes import known_sha256
from lumina_core.files.reading import parse_json, read_json

CONFIG, SAFE = "adapter_config.json", ".safetensors"
FILES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")
"""What peft and diffusers write into a folder."""
STYLES = ("peft", "diffusers", "comfyui")
"""In whose keys adapters are written."""
HEADER = "lora_adapter_metadata"
"""Where diffusers has peft's settings in the header of a file."""
PEFT = "base_model.model."
PREFIXES = (
    *(PEFT, "model.diffusion_model.", "diffusion_model.", "transformer.", "unet."),
    *("lora_unet_", "lora_transformer_", "lycoris_"),
)
"""Before the name of a layer; after the last three its dots are underscores."""
DOWN, UP, ALPHA, MAGNITUDE = "down", "up", "alpha", "magnitude"
_SUFFIXES = {
    DOWN: re.compile(r"(.+)\.(lora_A|lora_down|lora\.down)(\.\w+)?\.weight"),
    UP: re.compile(r"(.+)\.(lora_B|lora_up|lora\.up)(\.\w+)?\.weight"),
    ALPHA: re.compile(r"(.+)\.alpha"),
    MAGNITUDE: re.compile(r"(.+)\.(dora_scale|lora_magnitude_vector(\.\w+){0,2})"),
}
_LAYER = re.compile(r"\^?([\w.-]+)")
_CHANGES_WEIGHTS = ("pissa", "corda", "olora", "loftq", "lora_ga")
"""Beginnings of a training by peft that change the weights of the model, too."""
LARGEST = 1e9  # alphas and ranks are far below, and a longer number is no float
MAX_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class AdapterFile:
    """What an adapter does, by its own names of the layers without prefixes."""

    path: Path
    sha256: str
    """Of the file; beside settings that of what `sha256sum` prints of both files."""
    changes: Mapping[str, LowRank]


@dataclass(frozen=True)
class _Settings:
    """What peft's settings say; where there are none, nothing."""

    place: str = ""
    alpha: float | None = None
    rank: int | None = None
    alphas: Mapping[str, float] | None = None
    """Of layers that differ, by the end of their name."""
    ranks: Mapping[str, int] | None = None
    is_rank_stabilised: bool = False
    is_dora: bool = False

    def of(self, layer: str, values: Mapping[str, Any] | None, usual: Any) -> Any:
        """The value of a layer."""
        for name, value in (values or {}).items():
            if f".{layer}".endswith(f".{name}"):
                return value
        return usual


def open_adapter(path: Path) -> AdapterFile:
    """Read an adapter.

    Args:
        path: a safetensors file, or a folder that peft, diffusers or `train` wrote.

    Raises:
        LuminaError: it cannot be read, or holds something else than LoRA and DoRA of whole layers.
    """
    file = _file_of(path)
    config = file.parent / CONFIG
    has_config = file.name == FILES[0] and config.exists()
    stored = open_weights(file)
    if has_config:
        settings = _settings(_read(config), str(config))
    elif (header := _header(file)) is not None:
        settings = _settings(header, f"the header of {file}")
    else:
        settings = _Settings()
    parts = _parts(stored)
    has_alpha = settings.alpha is not None or any(ALPHA in part for part in parts.values())
    if not has_alpha and any(name.startswith(PEFT) for name in stored.tensors):
        raise LuminaError(
            f"{file} is written by peft and says no alpha; it is lora_alpha in {CONFIG}, which "
            f"belongs beside {FILES[0]}"
        )
    return AdapterFile(
        path,
        adapter_sha256(path),
        {layer: _change(layer, part, stored, settings) for layer, part in parts.items()},
    )


def adapter_sha256(path: Path) -> str:
    """Hash of what `open_adapter` reads.

    Raises:
        LuminaError: it cannot be read.
    """
    file = _file_of(path)
    config = file.parent / CONFIG
    try:
        if file.name != FILES[0] or not config.exists():
            return known_sha256(file)
        listing = (f"{known_sha256(each)}  {each.name}\n" for each in (config, file))
        return hashlib.sha256("".join(listing).encode()).hexdigest()
    except OSError as error:
        raise LuminaError(f"{path} cannot be read: {why(error)}") from error


def _file_of(path: Path) -> Path:
    """The file of weights that a path means; of a training that of its newest checkpoint."""
    if path.is_dir():
        path = checkpoint_folder(path)
        for name in FILES:
            if (path / name).exists():
                return path / name
        raise LuminaError(f"{path} holds no {' and no '.join(FILES)}; name a file")
    if path.suffix in PICKLES:
        raise LuminaError(
            f"{path} may execute what it holds when it is read; adapters are read from {SAFE} alone"
        )
    if not path.exists():
        raise LuminaError(f"there is no adapter {path}; name a file or folder")
    if path.suffix != SAFE:
        raise LuminaError(f"{path} is no adapter; name a {SAFE} file, or a folder that holds one")
    return path


def _header(file: Path) -> Any:
    """Settings of peft that diffusers wrote into the header of a file."""
    try:
        with safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get(HEADER)
        return None if text is None else parse_json(text)
    except (OSError, SafetensorError, ValueError) as error:
        raise LuminaError(f"{HEADER} in {file} cannot be read: {why(error)}") from error


def _read(config: Path) -> Any:
    try:
        return read_json(config)
    except (OSError, ValueError) as error:
        raise LuminaError(f"{config} cannot be read: {why(error)}; copy it again") from error


def _settings(content: Any, place: str) -> _Settings:
    """Settings of peft, checked; diffusers has the name of the network before each.

    Args:
        content: as it was read.
        place: where it stands, for messages.
    """
    if not isinstance(content, dict):
        raise LuminaError(f"{place} holds no settings of peft; copy it again")
    found = {name.removeprefix("transformer."): value for name, value in content.items()}
    kind, begun = found.get("peft_type", "LORA"), found.get("init_lora_weights")
    if kind != "LORA":
        raise LuminaError(
            f"{place} is of a {printable(str(kind), MAX_NAME)}; LoRA and DoRA are read"
        )
    if isinstance(begun, str) and begun.lower().startswith(_CHANGES_WEIGHTS):
        raise LuminaError(
            f"{place} says init_lora_weights={printable(begun, MAX_NAME)}, which changed the "
            "weights of the model, too; save it again as a plain LoRA, as the page of peft says"
        )
    return _Settings(
        place,
        _number(found, "lora_alpha", place),
        _number(found, "r", place),
        _of_layers(found, "alpha_pattern", place),
        _of_layers(found, "rank_pattern", place),
        found.get("use_rslora") is True,
        found.get("use_dora") is True,
    )


def _number(found: Mapping[str, Any], name: str, place: str) -> Any:
    """A number above 0; None where there is none."""
    value = found.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (is_number and 0 < value < LARGEST):
        return value
    raise LuminaError(
        f"{place}: {printable(name, MAX_NAME)} is {printable(str(value), MAX_NAME)}, no number "
        "above 0"
    )


def _of_layers(found: Mapping[str, Any], key: str, place: str) -> dict[str, Any]:
    """Numbers of single layers, which peft finds by patterns; whole ends of names are read."""
    values = found.get(key) or {}
    if not isinstance(values, dict):
        raise LuminaError(f"{place}: {key} holds no layers")
    named = {}
    for pattern in values:
        match = _LAYER.fullmatch(pattern)
        if match is None:
            raise LuminaError(
                f"{place}: {key} has {printable(pattern, MAX_NAME)!r}; the names of layers are "
                "read, and no other patterns"
            )
        named[match[1]] = _number(values, pattern, place)
    return named


def _parts(stored: Stored) -> dict[str, dict[str, str]]:
    """The names of the tensors of each layer: down, up, alpha and magnitude."""
    parts: dict[str, dict[str, str]] = {}
    strange = []
    for name in stored.tensors:
        for kind, suffix in _SUFFIXES.items():
            if match := suffix.fullmatch(name):
                layer = parts.setdefault(_without_prefix(match[1]), {})
                if kind in layer:
                    raise LuminaError(
                        f"{stored.path} adapts a layer twice: {shown_names([layer[kind], name])}"
                    )
                layer[kind] = name
                break
        else:
            strange.append(name)
    if strange:
        raise LuminaError(
            f"{stored.path} holds tensors that belong to no LoRA or DoRA: {shown_names(strange)}"
        )
    if not parts:
        raise LuminaError(f"{stored.path} holds no adapter; give a file with LoRA or DoRA")
    return parts


def _without_prefix(layer: str) -> str:
    for prefix in PREFIXES:
        layer = layer.removeprefix(prefix)
    return layer


def shown_names(names: list[str]) -> str:
    """Foreign names in a message, the first few."""
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(printable(name, MAX_NAME) for name in names[:MAX_SHOWN]) + more


def _change(layer: str, part: Mapping[str, str], stored: Stored, settings: _Settings) -> LowRank:
    """What an adapter does to one layer, its tensors checked against each other."""
    shown = printable(layer, MAX_NAME)
    wanted = (DOWN, UP, MAGNITUDE) if settings.is_dora else (DOWN, UP)
    if missing := [kind for kind in wanted if kind not in part]:
        there = shown_names(list(part.values()))
        raise LuminaError(
            f"{stored.path} has {there}, and no {missing[0]} part beside it; copy it again"
        )
    down, up = (stored.read(part[kind]) for kind in (DOWN, UP))
    if down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1] or not len(down):
        raise LuminaError(
            f"{stored.path}: {shown} has ranks that do not match: down is "
            f"{list(down.shape)} and up is {list(up.shape)}, wanted [rank, input] and "
            "[output, rank]"
        )
    rank = len(down)
    told = settings.of(layer, settings.ranks, settings.rank)
    if told not in (None, rank):
        raise LuminaError(
            f"{stored.path}: {shown} has rank {rank}, and {settings.place} says {told:g}"
        )
    usual = rank if settings.alpha is None else settings.alpha
    alpha = settings.of(layer, settings.alphas, usual)
    if ALPHA in part:
        alpha = _alpha(stored, part[ALPHA])
    magnitude = stored.read(part[MAGNITUDE]) if MAGNITUDE in part else None
    if magnitude is not None:
        if magnitude.numel() != len(up) or magnitude.shape[:1] != up.shape[:1]:
            raise LuminaError(
                f"{stored.path}: {printable(part[MAGNITUDE], MAX_NAME)} is "
                f"{list(magnitude.shape)}, wanted one number for each of {len(up)} outputs"
            )
        magnitude = magnitude.flatten()
    scale = alpha / (sqrt(rank) if settings.is_rank_stabilised else rank)
    return LowRank(down, up, scale, magnitude)


def _alpha(stored: Stored, name: str) -> float:
    """A whole number as well, in whatever type."""
    value = stored.tensors[name].take(slice(None))
    if value.numel() != 1 or not isfinite(value.item()):
        raise LuminaError(f"{stored.path}: {printable(name, MAX_NAME)} is no number; copy it again")
    return float(value.item())

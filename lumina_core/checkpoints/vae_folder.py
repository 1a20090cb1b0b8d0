"""Finds the autoencoder that `modality.vae` names: the demo's, a known one, a folder or a hub id.

A plugin describes the autoencoders it knows in conf/vae/NAME.yaml, an extension in
conf/vae/MODALITY/NAME.yaml: where they are (`hub_id`), and some keys of their config.json. The
folder's own config.json is what is used; the description only refuses a folder that is another
autoencoder than its name says.
"""

import json
import shutil
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lumina_core.autoencoder.networks import FramewiseAutoencoder, read_config
from lumina_core.checkpoints.newest import DEMO, checkpoint_folder
from lumina_core.errors import LuminaError, nearest, reason_of
from lumina_core.files.hashes import known_sha256
from lumina_core.files.reading import open_regular
from lumina_core.hub import check_whole, local_folder
from lumina_core.modality import Modality, has_weights
from lumina_core.plugins import demos, host
from lumina_core.plugins.parts import make_modality
from lumina_core.plugins.yaml_files import read_yaml

SUBFOLDER = "vae"  # of a diffusers pipeline, and of a checkpoint of ours
WEIGHTS = (
    "diffusion_pytorch_model.safetensors",  # without the .fp16 variants beside it
    "diffusion_pytorch_model-*.safetensors",
)
FILES = ("config.json", *WEIGHTS, "diffusion_pytorch_model.safetensors.index.json")
"""What an autoencoder is made of; released folders hold more, which is neither fetched nor kept."""

WRITERS = ("_name_or_path", "_diffusers_version")  # in config.json; they change no latent
ARCHITECTURE = "architecture"
"""Block of a description with what config.json says beside: for plans, where it is not here."""


def find_vae(modality: str, vae: str, *, download: bool) -> Path:
    """The diffusers folder that `modality.vae` names.

    Args:
        modality: whose demo and whose conf/vae are looked at.
        vae: demo, a name in conf/vae, a folder (of an autoencoder, a pipeline, a checkpoint or a
            training), or a hub id.
        download: fetch a hub id that is not there yet.

    Raises:
        LuminaError: there is no such autoencoder, or a known name leads to another one.
    """
    if vae == DEMO:
        demo = demos.demo_folder(modality)
        if demo is None:
            raise demos.lack_of_demo(modality, "give modality.vae=FOLDER")
        return _checked(demo, modality, vae)
    yaml = host.vae_files(modality).get(vae)
    if yaml is None:
        return _checked(_local(modality, vae, download=download), modality, vae)
    hub_id, facts = described_vae(yaml)
    folder = _checked(_local(modality, hub_id, download=download), modality, vae)
    config = {**FramewiseAutoencoder.defaults, **read_config(folder)}
    for key, value in facts.items():
        own = config.get(key)
        if own != value and (own or value):  # no shift is a shift of 0
            raise LuminaError(
                f"the autoencoder in {folder} has {key} {own}, but {vae!r} has {value}; "
                "give modality.vae=FOLDER to use it as it is"
            )
    return folder


def modality_with_vae(name: str, options: Any, *, download: bool) -> Modality:
    """The parts of a modality, with the autoencoder that its options name, if they name one.

    Args:
        name: of the modality.
        options: the plugin's own dataclass.
        download: as `find_vae`.

    Raises:
        LuminaError: it cannot be used, or its autoencoder is not there.
    """
    folder = find_vae(name, options.vae, download=download) if has_weights(options) else None
    return make_modality(name, options, folder)


def described_vae(yaml: Path) -> tuple[str, dict[str, Any]]:
    """Where an autoencoder is that a plugin describes, and what its config.json should say.

    Raises:
        LuminaError: the description cannot be read, or does not say where.
    """
    facts = read_yaml(yaml)
    if not isinstance(facts.get("hub_id"), str):
        raise LuminaError(f"{yaml} names no hub_id, say to the author of the plugin")
    facts.pop(ARCHITECTURE, None)
    return facts.pop("hub_id"), facts


def described_config(yaml: Path) -> dict[str, Any] | None:
    """The config.json of an autoencoder that is not here; None where nothing says all of it.

    Raises:
        LuminaError: the description cannot be read.
    """
    architecture = read_yaml(yaml).get(ARCHITECTURE)
    return {**described_vae(yaml)[1], **architecture} if isinstance(architecture, dict) else None


def vae_sha256(folder: Path) -> str:
    """Hash of an autoencoder: of what its config.json says, but for who wrote it, and its weights.

    Raises:
        LuminaError: it is gone.
    """
    config = {k: v for k, v in read_config(folder).items() if k not in WRITERS}
    weights = [path for pattern in WEIGHTS for path in sorted(folder.glob(pattern))]
    hashes = [known_sha256(path) for path in weights]
    return sha256(json.dumps([config, hashes], sort_keys=True).encode()).hexdigest()


def copy_vae(folder: Path, target: Path) -> None:
    """Copy an autoencoder, and nothing that lies beside it, into a new folder.

    Raises:
        LuminaError: it is gone since it was read.
    """
    found = [path for pattern in FILES for path in folder.glob(pattern)]
    check_whole("autoencoder", folder, found)
    target.mkdir(parents=True)
    for path in found:
        shutil.copyfile(path, target / path.name)


def has_same_weights(stored: Path, own: Path, *, skip: tuple[str, ...] = ()) -> bool:
    """Whether two autoencoders are the same, once the second is cast to the dtype of the first.

    Args:
        stored: an autoencoder in a checkpoint, which may have cast its weights.
        own: another folder.
        skip: beginnings of the names of weights that do not count.

    Raises:
        LuminaError: one of them cannot be read.
    """
    try:
        with ExitStack() as files:
            first, second = (_weights(folder, files, skip) for folder in (stored, own))
            return first.keys() == second.keys() and all(
                _is_cast(first[key].get_tensor(key), second[key].get_tensor(key)) for key in first
            )
    except (OSError, SafetensorError) as error:
        raise LuminaError(
            f"the autoencoders in {stored} and {own} cannot be compared: {reason_of(error)}"
        ) from error


def _weights(folder: Path, files: ExitStack, skip: tuple[str, ...]) -> dict[str, Any]:
    """The file of each weight."""
    paths = [path for pattern in WEIGHTS for path in sorted(folder.glob(pattern))]
    for path in paths:
        files.enter_context(open_regular(path))  # else a pipe would be waited for
    opened = [files.enter_context(safe_open(path, framework="pt")) for path in paths]
    names = [(key, file) for file in opened for key in file.keys()]  # noqa: SIM118, no mapping
    return {key: file for key, file in names if not key.startswith(skip)}


def _is_cast(stored: Tensor, own: Tensor) -> bool:
    return stored.shape == own.shape and torch.equal(stored, own.to(stored.dtype))


def _local(modality: str, name: str, *, download: bool) -> Path:
    wanted = FILES + tuple(f"{SUBFOLDER}/{name}" for name in FILES)
    try:
        return local_folder(name, download=download, files=wanted)
    except LuminaError as error:
        names = sorted(host.vae_files(modality))
        hint = nearest(name, [DEMO, *names])
        known = ", ".join([DEMO, *names])
        raise LuminaError(
            f"modality.vae: {error}. Known by name: {known}, a folder or a hub id.{hint}"
        ) from error


def _checked(folder: Path, modality: str, vae: str) -> Path:
    """The folder itself, or the autoencoder in that of a pipeline, a checkpoint or a training."""
    checkpoint = checkpoint_folder(folder)
    found = [checkpoint / part for part in (SUBFOLDER, f"{SUBFOLDER}/{modality}")]
    if checkpoint == folder:  # the config.json of a training holds its settings
        found.insert(0, folder)
    for candidate in found:
        if (candidate / "config.json").is_file():
            return candidate
    raise LuminaError(
        f"no autoencoder in {folder}; give modality.vae=FOLDER of diffusers, or download=true if "
        f"{vae!r} is an id of the hub"
    )

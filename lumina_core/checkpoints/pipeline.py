"""Writes what a pipeline of diffusers holds beside the weights of its transformer.

The chat template of a tokenizer is made anew from how our reading writes a prompt out: templates
of others are programs, which nobody copies here.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lumina_core.backbone.families.layouts import Family
from lumina_core.checkpoints.formats import CONFIG, PIPELINE, SCHEDULER_CONFIG, TRANSFORMER
from lumina_core.checkpoints.manifest import TEXT_ENCODER, VAE, recommended
from lumina_core.checkpoints.vae_folder import copy_vae
from lumina_core.errors import LuminaError
from lumina_core.files.reading import read_json
from lumina_core.flow.scheduler import SCHEDULER, scheduler_of_solver
from lumina_core.text.folder import encoder_files
from lumina_core.text.settings import PLACE

TOKENIZER = "tokenizer"
CLASSES = {
    "lumina_image_2": "Lumina2Pipeline",
    "z_image": "ZImagePipeline",
    "next_dit": "LuminaPipeline",
}
"""Of the pipelines, by family."""


class Parts(NamedTuple):
    """Folders of the rest of a model; None where one is not on this disk."""

    vae: Path | None
    text_encoder: Path | None


def write_pipeline(
    folder: Path,
    family: Family,
    manifest: Mapping[str, Any],
    config: Mapping[str, Any],
    parts: Parts,
) -> Path:
    """Write everything but the weights of the transformer.

    Args:
        folder: empty.
        family: of the network.
        manifest: of the model.
        config: of the transformer.
        parts: without them only the transformer is written.

    Returns:
        The folder for the weights.

    Raises:
        LuminaError: a config of a part cannot be read.
    """
    if parts.vae is None or parts.text_encoder is None:
        _write(folder / CONFIG, config)
        return folder
    transformer = folder / TRANSFORMER
    transformer.mkdir()
    _write(transformer / CONFIG, config)
    copy_vae(parts.vae, folder / VAE)
    about = manifest["text_encoder"]
    _copy_encoder(folder, parts.text_encoder)
    if about.get("template_for") == "all":  # written out, as the tokenizer of a chat does it
        (folder / TOKENIZER / "chat_template.jinja").write_text(_chat_of(about["template"]))
    (folder / SCHEDULER_CONFIG).parent.mkdir()
    (modality,) = manifest["modalities"]
    solver = recommended(manifest, modality).get("solver")
    _write(folder / SCHEDULER_CONFIG, scheduler_of_solver(solver or {}))
    index = {
        "_class_name": CLASSES[family.name],
        "scheduler": ["diffusers", SCHEDULER],
        TEXT_ENCODER: ["transformers", _architecture(folder / TEXT_ENCODER / CONFIG)],
        TOKENIZER: ["transformers", _class_of_tokenizer(folder / TOKENIZER)],
        TRANSFORMER: ["diffusers", str(family.diffusers_class)],
        VAE: ["diffusers", "AutoencoderKL"],
    }
    _write(folder / PIPELINE, index)
    return transformer


def _copy_encoder(folder: Path, encoder: Path) -> None:
    """Weights into one folder, the tokenizer into another."""
    for path in encoder_files(encoder):
        is_of_weights = path.name == CONFIG or ".safetensors" in path.name
        target = folder / (TEXT_ENCODER if is_of_weights else TOKENIZER)
        target.mkdir(exist_ok=True)
        shutil.copyfile(path, target / path.name)


def _chat_of(template: str) -> str:
    """A chat template that writes one message of a user as a reading does."""
    head, _, tail = template.partition(PLACE)
    return f"{{{{ {json.dumps(head)} + messages[0].content + {json.dumps(tail)} }}}}"


def _architecture(path: Path) -> str:
    names = _config(path).get("architectures")
    name = names[0] if isinstance(names, list) and names else None
    return _class_name(name, path)


def _class_of_tokenizer(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    return _class_name(_config(path).get("tokenizer_class"), path)


def _class_name(name: Any, path: Path) -> str:
    if not (isinstance(name, str) and name.isidentifier()):
        raise LuminaError(f"{path} names no class, which a pipeline of diffusers needs")
    return name


def _config(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise LuminaError(f"{path} cannot be read: {error}; copy it again") from error
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")

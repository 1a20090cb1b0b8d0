"""Generate any modality from text with one flow-based diffusion transformer.

Public names are loaded when they are first used (PEP 562), so that `import lumina_core` costs
nothing and a plugin's entry module may import from here.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Decoder": "modality",
    "FramewiseAutoencoder": "autoencoder.networks",
    "FramewiseVAE": "autoencoder.framewise",
    "Given": "modality",
    "Grid": "sequence",
    "LuminaError": "errors",
    "Modality": "modality",
    "ModalitySpec": "modality",
    "Options": "records",
    "PatchTokenizer": "media.patches",
    "Settings": "records",
    "SizeLimits": "modality",
    "Tokenizer": "modality",
    "VAE": "modality",
    "World": "modality",
    "atomic_folder": "files.writing",
    "atomic_write": "files.writing",
    "built_within": "files.weights",
    "evaluate": "evaluation.evaluate",
    "fit_frames": "media.fitting",
    "fit_together": "media.fitting",
    "generate": "sampling.python_api",
    "hookimpl": "plugins.hookspecs",
    "load": "sampling.python_api",
    "local_folder": "hub",
    "nearest": "errors",
    "open_regular": "files.reading",
    "parse_json": "files.reading",
    "quiet": "runtime",
    "read_json": "files.reading",
    "reason_of": "errors",
    "resized": "media.fitting",
    "setting": "records",
    "train": "training.command",
}

__all__ = ["__version__", *_HOME]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lumina_core' has no attribute {name!r}")
    return getattr(import_module(f"lumina_core.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

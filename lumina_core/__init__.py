"""Generate any modality from text with one flow-based diffusion transformer.

Public names are loaded when they are first used (PEP 562), so that `import lumina_core` costs
nothing and a plugin's entry module may import from here.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Decoder": "decoder",
    "FramewiseAutoencoder": "autoencoder",
    "FramewiseVAE": "frames",
    "Given": "modality",
    "Grid": "sequence",
    "LuminaError": "errors",
    "Modality": "modality",
    "ModalitySpec": "modality",
    "Options": "records",
    "PatchTokenizer": "tokenizer",
    "Settings": "records",
    "SizeLimits": "modality",
    "Tokenizer": "modality",
    "VAE": "modality",
    "World": "modality",
    "atomic_folder": "files",
    "atomic_write": "files",
    "built_within": "weight_files",
    "fit_frames": "fitting",
    "fit_together": "fitting",
    "generate": "python_api",
    "hookimpl": "hookspecs",
    "load": "python_api",
    "local_folder": "hub",
    "nearest": "errors",
    "open_regular": "files",
    "parse_json": "files",
    "quiet": "runtime",
    "read_json": "files",
    "reason_of": "errors",
    "resized": "fitting",
    "setting": "records",
}

__all__ = ["__version__", *_HOME]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lumina_core' has no attribute {name!r}")
    return getattr(import_module(f"lumina_core.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

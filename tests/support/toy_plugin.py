"""The source of a small working plugin, from which tests write good and bad ones."""

MODALITIES, EXTENSIONS = "lumina_core.modalities", "lumina_core.extensions"
PLUGIN = """
from lumina_core import ModalitySpec, hookimpl

@hookimpl
def lumina_modality():
    return ModalitySpec(
        options="{package}.options:Options", modality="{package}.toy:Toy", api={api}
    )
"""
OPTIONS = """
from dataclasses import dataclass

from lumina_core import setting

@dataclass(frozen=True)
class Options:
    height: int = setting(32, "of the toy", unit="pixels")
    ratio: float = setting(1.0, "height over width")
    patch_size: int = setting(2, "of a token", unit="cells", fixed=True)
    vae: str = setting("demo", "which autoencoder")
    sizes: tuple[int, ...] | None = setting(None, "a list of sizes")

    def __post_init__(self):
        if self.height < 1:
            raise ValueError("height must be at least 1")
"""
YAML = """
sampling:
  solver: {name: midpoint, num_steps: 10, shift: 3.0}
  guidance:
    scale: 2
training:
  token_budget: 512
  time: {mean: -0.7}
"""

GIVEN = """
@dataclass(frozen=True)
class Given:
    image: str | None = setting(None, "picture to begin with", file=True)
    frames: int | None = setting(None, "how many of it", unit="frames")
"""

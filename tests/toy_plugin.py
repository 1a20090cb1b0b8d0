"""The source of a small working plugin, from which tests write good and bad ones."""

PLUGIN = """
from lumina_core import ModalitySpec, hookimpl

@hookimpl
def lumina_modality():
    return ModalitySpec(
        summary="Toys", options="{package}.options:Options", modality="{package}.toy:Toy", api={api}
    )
"""
OPTIONS = """
from dataclasses import dataclass, field

@dataclass(frozen=True)
class Options:
    height: int
    ratio: float
    patch_size: int = field(metadata={"architecture": True})
    vae: str
    sizes: tuple[int, ...] | None

    def __post_init__(self):
        if self.height < 1:
            raise ValueError("height must be at least 1")
"""
YAML = """
height: 32       # [pixels] of the toy
ratio: 1         # height over width
patch_size: 2    # [cells] of a token
vae: demo        # which autoencoder
sizes: null      # a list of sizes
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
    image: str | None = field(metadata={"file": True})
    frames: int | None
"""
GIVEN_YAML = """
condition:
  image: null      # picture to begin with
  frames: null     # [frames] how many of it
"""

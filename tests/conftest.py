import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from lumina_core import host

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
height: 32       # pixels
ratio: 1         # height over width
patch_size: 2    # cells of a token
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

WriteDistribution = Callable[..., Path]


@pytest.fixture
def write_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteDistribution:
    """Write fake installed distributions, visible to the host of this process and of children."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    for switch in ("LUMINA_BLOCK", "LUMINA_ONLY", "LUMINA_STRICT"):
        monkeypatch.delenv(switch, raising=False)
    before = set(sys.modules)

    def entry_points() -> list[metadata.EntryPoint]:
        found = metadata.distributions(path=[str(site)])
        return [point for each in found for point in each.entry_points if point.group == host.GROUP]

    monkeypatch.setattr(host, "installed_entry_points", entry_points)

    def write(
        package: str, modality: str, source: str | None = None, api: str = "(1, 0)", **files: str
    ) -> Path:
        module = package.replace("-", "_")
        info = site / f"{module}-0.1.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\nSummary: About {package}\n"
        (info / "METADATA").write_text(about)
        (info / "entry_points.txt").write_text(f"[{host.GROUP}]\n{modality} = {module}.plugin\n")
        folder = site / module
        (folder / "conf" / "modality").mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        text = PLUGIN.format(package=module, api=api) if source is None else source
        (folder / "plugin.py").write_text(text)
        (folder / "options.py").write_text(files.get("options", OPTIONS))
        (folder / "toy.py").write_text(files.get("toy", "class Toy: ...\n"))
        (folder / "conf" / "modality" / f"{modality}.yaml").write_text(files.get("yaml", YAML))
        return folder

    yield write
    host.forget()
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(site) in sys.modules[name].__file__:
            del sys.modules[name]

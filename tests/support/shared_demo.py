"""One checkpoint of the four modalities as a package of its own ships it, and fewer plugins."""

import shutil
import sys
from pathlib import Path

import torch
from new_packages import declare

from lumina_core.checkpoints.folder import export
from lumina_core.cli.main import main
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import MODALITY
from lumina_core.testing.fixtures import tiny_words

ROOT = Path(__file__).parents[2]
ADVICE = {
    "image": {"coarse": {"above": 132}, "longest_side": 9.0},
    "audio": {"position_limit": 3.0},
}
"""How the checkpoint recommends to sample."""


def train_joint(out: Path) -> Path:
    """A checkpoint of all shipped modalities after one step, as it is shipped."""
    names = ",".join(host.SHIPPED)
    words = [f"+modality=[{names}]", f"out={out / 'run'}", *tiny_words(), "token_budget=700"]
    rope = "backbone.rope_dims=[4,4,4,2,2]"  # of no modality alone
    small = [f"data.{name}.max_tokens=150" for name in ("image", "video", "multiview")]
    assert main(["train", *words, *small, rope, "max_steps=1"]) == 0
    export(out / "run", out / "joint", torch.bfloat16, ADVICE)
    return out / "joint"


def install(joint: Path, site: Path, names: tuple[str, ...], monkeypatch) -> Path:
    """Let there be the package with the checkpoint and the plugins of some modalities alone.

    Args:
        joint: the checkpoint.
        site: where packages are looked for.
        names: of the modalities, whose plugins ship no demo of their own.
        monkeypatch: of pytest.

    Returns:
        The checkpoint in the package.
    """
    for name in names:
        declare(ROOT / "plugins" / f"lumina-{name}", site)
    declare(ROOT / "plugins" / "lumina-demo", site)
    folder = shutil.copytree(joint, site / "lumina_demo" / "demo")
    (site / "lumina_demo" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "lumina_demo", raising=False)  # of the environment
    hide_own_demos(monkeypatch)
    host.forget()
    return folder


def hide_own_demos(monkeypatch) -> None:
    """Let plugins of modalities ship no demo."""
    found = host.data_folder

    def without(plugin, folder):
        return None if (plugin.kind, folder) == (MODALITY, "demo") else found(plugin, folder)

    monkeypatch.setattr(host, "data_folder", without)

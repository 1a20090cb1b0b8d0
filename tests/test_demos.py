"""What holds for the demo checkpoint of every shipped modality, be it its own or a shared one."""

import pytest

from lumina_core.checkpoints import manifest as checkpoint
from lumina_core.plugins import demos, host

MAX_BYTES = 16e6


@pytest.mark.parametrize("name", host.SHIPPED)
def test_every_shipped_modality_has_a_demo(name):
    folder = demos.demo_folder(name)
    assert folder is not None, f"no demo of {name}: neither its plugin nor lumina-demo has one"
    assert name in checkpoint.read_manifest(folder)["modalities"]


@pytest.mark.parametrize("name", host.SHIPPED)
def test_a_demo_is_small_and_whole(name):
    demo = demos.demo_folder(name)
    files = [path for path in demo.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    assert not list(demo.rglob("state"))
    manifest = checkpoint.read_manifest(demo)
    checkpoint.verify(demo, manifest)
    names = {path.relative_to(demo).as_posix() for path in files}
    assert names == {*manifest["files"], checkpoint.MANIFEST}

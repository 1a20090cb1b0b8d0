"""What holds for the demo checkpoint of every installed modality."""

import pytest

from lumina_core.checkpoints import manifest as checkpoint
from lumina_core.plugins import host

MAX_BYTES = 12e6


@pytest.fixture(params=host.installed())
def demo(request):
    folder = host.demo_folder(request.param)
    if folder is None or not (folder / checkpoint.MANIFEST).is_file():
        pytest.skip("no demo checkpoint")
    return folder


@pytest.mark.parametrize("name", host.SHIPPED)
def test_every_shipped_modality_has_a_demo(name):
    assert checkpoint.read_manifest(host.demo_folder(name))["modalities"].keys() == {name}


def test_a_demo_is_small_and_whole(demo):
    files = [path for path in demo.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    assert not list(demo.rglob("state"))
    manifest = checkpoint.read_manifest(demo)
    checkpoint.verify(demo, manifest)
    names = {path.relative_to(demo).as_posix() for path in files}
    assert names == {*manifest["files"], checkpoint.MANIFEST}

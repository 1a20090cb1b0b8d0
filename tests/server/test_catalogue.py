from lumina_core.plugins import demos, host
from lumina_core.server.catalogue import served_models
from lumina_core.server.settings import ServeConfig


def test_a_checkpoint_is_called_as_its_folder_from_within_it(tiny_checkpoint, monkeypatch):
    monkeypatch.chdir(tiny_checkpoint)
    assert list(served_models(ServeConfig(checkpoint=(".",)))) == [tiny_checkpoint.name]


def test_without_a_checkpoint_every_demo_is_served():
    names = [name for name in host.installed() if demos.demo_folder(name) is not None]
    assert list(served_models(ServeConfig())) == names != []

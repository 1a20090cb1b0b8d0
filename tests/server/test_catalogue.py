from lumina_core.plugins import demos, host
from lumina_core.server.catalogue import served_models
from lumina_core.server.settings import ServeConfig


def test_a_checkpoint_is_called_as_its_folder_from_within_it(tiny_checkpoint, monkeypatch):
    monkeypatch.chdir(tiny_checkpoint)
    assert list(served_models(ServeConfig(checkpoint=(".",)))) == [tiny_checkpoint.name]


def test_the_most_samples_that_are_described_are_as_many_as_are_taken(waiting):
    settings = waiting.get("/v1/media").json()["data"][0]["settings"]
    (most,) = [each["most"] for each in settings if each["key"] == "num_samples"]
    body = {"prompt": "a star", "num_steps": 1, "num_samples": most}
    assert waiting.post("/v1/media/image", json=body).status_code == 202
    refused = waiting.post("/v1/media/image", json=body | {"num_samples": most + 1})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "num_samples")


def test_without_a_checkpoint_every_demo_is_served():
    names = [name for name in host.installed() if demos.demo_folder(name) is not None]
    assert list(served_models(ServeConfig())) == names != []

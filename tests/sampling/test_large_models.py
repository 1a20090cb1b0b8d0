"""Large models on small machines: what is in memory when, and what files say of 8-bit weights."""

from importlib import util
from pathlib import Path

import pytest

import lumina_core
from lumina_core.checkpoints import model as checkpoint_model
from lumina_core.checkpoints.placement import Placement
from lumina_core.plugins import demos
from lumina_core.sampling import generate as sampling_generate
from lumina_core.sampling.file_request import read_request
from lumina_core.text import frozen
from lumina_core.text.frozen import FrozenTextEncoder

needs_torchao = pytest.mark.skipif(util.find_spec("torchao") is None, reason="needs torchao")


@pytest.fixture(autouse=True)
def new_process():
    """Nothing is in memory yet."""
    sampling_generate._KEPT.clear()
    yield
    sampling_generate._KEPT.clear()


def test_the_text_encoder_is_gone_before_the_backbone_comes(make, work, monkeypatch):
    """The larger of the two decides how much memory a run needs, not their sum."""
    seen, put, read = [], Placement.put, FrozenTextEncoder._weights
    encoders = []

    def noted(self, backbone):
        seen.append(("backbone", [encoder._encoder for encoder in encoders]))
        put(self, backbone)

    def weights(self):
        encoders.append(self)
        seen.append(("text encoder", len(self._features)))
        return read(self)

    monkeypatch.setattr(frozen, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(Placement, "put", noted)
    monkeypatch.setattr(FrozenTextEncoder, "_weights", weights)
    make("a star", "guidance.scale=2", "negative_prompt=a ring", "num_samples=3")
    assert seen == [("text encoder", 0), ("text encoder", 1), ("backbone", [None, None])]


def test_offload_on_a_cpu_is_refused_before_anything_is_read(ask, work, clean_refusal, monkeypatch):
    monkeypatch.setattr(checkpoint_model, "opened", None)
    message = clean_refusal(*ask("a star", "offload=blocks"))
    assert "offload=blocks" in message
    assert "use offload=none" in message
    message = clean_refusal(*ask("a star", "offload=layers"))
    assert "choose one of none, blocks" in message


@needs_torchao
def test_a_file_says_that_its_weights_had_8_bits_and_is_made_again(make, work):
    trained = f"checkpoint={demos.demo_folder('image')}"  # the tiny one answers about 0
    exact, rounded = make("a star", trained), make("a star", trained, "quantise=int8")
    (exact,), (rounded,) = exact["files"], rounded["files"]
    assert exact["media_sha256"] != rounded["media_sha256"]
    requests = [read_request(Path(file["path"])) for file in (exact, rounded)]
    assert [request.get("quantise") for request in requests] == [None, "int8"]
    (again,) = make(f"repeat={rounded['path']}", trained)["files"]
    assert again["media_sha256"] == rounded["media_sha256"]
    (back,) = make(f"repeat={rounded['path']}", trained, "quantise=none")["files"]
    assert back["media_sha256"] == exact["media_sha256"]


@needs_torchao
def test_python_reads_the_weights_anew_where_their_bits_change(ask, tiny_checkpoint):
    model = lumina_core.load(tiny_checkpoint, device="cpu", num_steps=2, height=32, width=32)
    rounded = model.with_settings(quantise="int8")
    assert rounded.checkpoint.backbone is not model.checkpoint.backbone
    (item,) = rounded.generate("a star")
    assert item.settings["quantise"] == "int8"
    assert "quantise" not in model.generate("a star")[0].settings

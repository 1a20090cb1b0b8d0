"""A model by its name from end to end: described, fetched, made something with, and used again."""

import json

import numpy as np
import pytest
from hub_server import serving
from huggingface_hub import constants
from PIL import Image

from lumina_core.cli.main import main

PROMPT = "a red circle and a blue square"
SMALL = ["modality.height=64", "modality.width=64", "solver.num_steps=2", "device=cpu"]
MODEL = """
meaning: nothing in particular
prompt: a red circle
modality: image
family: z_image
layout: diffusers
hub_id: owner/tiny
licence: {name: MIT}
backbone: {folder: transformer, num_parameters: 300_000, num_bytes: 1_200_000}
text_encoder:
  hub_id: owner/tower
  folder: text_encoder
  tokenizer: tokenizer
  num_parameters: 30_000
  num_bytes: 120_000
  template: "<|im_start|>user\\n{prompt}<|im_end|>\\n<|im_start|>assistant\\n"
  template_for: all
  hidden_state: -2
  max_tokens: 512
vae: {folder: vae, num_parameters: 30_000, num_bytes: 120_000}
options: {patch_size: 2}
trained:
  - {height: 64, width: 96}
sampling:
  solver: {num_steps: 8, shift: 6.0}
  guidance: {scale: 4.0, rule: added}
"""


@pytest.fixture
def hub(tiny_pipeline, monkeypatch, tmp_path):
    """A hub with a tiny Z-Image, its text encoder in a repository of its own, and empty caches."""
    folder = tiny_pipeline("z_image").folder
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    tower = {name: each for name, each in files.items() if name.startswith(("text", "token"))}
    with serving() as found:
        found.files["owner/tiny"] = {k: v for k, v in files.items() if k not in tower}
        found.files["owner/tower"] = tower
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield found


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A package with the description of the model, beside the plugins that are installed."""
    package = tmp_path / "site" / "lumina_corner"
    info = tmp_path / "site" / "lumina_corner-0.1.dist-info"
    (package / "conf/model").mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "conf/model/tiny.yaml").write_text(MODEL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lumina-corner\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[lumina_core.extensions]\ncorner = lumina_corner\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    from lumina_core.plugins import host

    host.forget()
    yield package
    host.forget()


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_named_model_is_fetched_and_makes_what_its_folder_makes(
    hub, shop, tiny_pipeline, work, capsys
):
    folder = tiny_pipeline("z_image").folder
    words = [PROMPT, *SMALL, "guidance.scale=4", "guidance.rule=added"]
    assert main(["infer", f"checkpoint={folder}", *words, "out=folder.png"]) == 0
    capsys.readouterr()
    assert main(["infer", "checkpoint=tiny", *words, "out=a.png"]) == 2
    refusal = capsys.readouterr().err
    assert "tiny is not on this disk: 1.4 MB from owner/tiny under MIT" in refusal
    assert refusal.count("\n") == 1
    assert not hub.asked
    assert not (work / "a.png").exists()
    assert main(["infer", "checkpoint=tiny", "download=true", *words, "out=a.png"]) == 0
    assert np.array_equal(picture("a.png"), picture("folder.png"))
    hub.asked.clear()
    assert main(["infer", "checkpoint=tiny", *words, "out=b.png"]) == 0
    assert not hub.asked
    assert np.array_equal(picture("b.png"), picture("a.png"))


def test_a_named_model_says_how_it_is_sampled(hub, shop, work, capsys):
    assert main(["infer", "checkpoint=tiny", "download=true", PROMPT, "device=cpu"]) == 0
    capsys.readouterr()
    made = next(work.rglob("*.png"))
    assert picture(made).shape == (64, 96, 3)
    assert main(["info", str(made), "--json"]) == 0
    request = json.loads(capsys.readouterr().out)
    assert (request["solver"]["num_steps"], request["solver"]["shift"]) == (8, 6.0)
    assert (request["guidance"]["scale"], request["guidance"]["rule"]) == (4.0, "added")


def test_an_id_of_the_hub_is_fetched_only_when_told(hub, work, capsys, tiny_pipeline):
    hub.files["owner/whole"] = hub.files["owner/tiny"] | hub.files["owner/tower"]
    words = [PROMPT, *SMALL, "out=a.png"]
    assert main(["infer", "checkpoint=owner/whole", *words]) == 2
    assert "give download=true" in capsys.readouterr().err
    assert not hub.asked
    assert main(["infer", "checkpoint=owner/whole", "download=true", *words]) == 0
    assert picture("a.png").shape == (64, 64, 3)


def test_a_gated_text_encoder_is_told_before_anything_is_fetched(hub, shop, work, capsys):
    hub.gated.add("owner/tower")
    assert main(["infer", "checkpoint=tiny", "download=true", PROMPT]) == 2
    error = capsys.readouterr().err
    assert "owner/tower is for those who accept its licence" in error
    assert "hf auth login" in error
    assert not hub.fetched()

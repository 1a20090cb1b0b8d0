"""A released model is trained further: its settings, latents and text encoder come with it."""

import pytest
import torch
from PIL import Image
from pipeline_pictures import PROMPT, theirs

import lumina_core
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.checkpoints.formats import source_of
from lumina_core.checkpoints.manifest import read_manifest
from lumina_core.checkpoints.model import backbone_config
from lumina_core.checkpoints.released import read_backbone
from lumina_core.cli.main import main
from lumina_core.flow.solver import integrate
from lumina_core.training import start
from lumina_core.training.compose import compose_train

WORDS = (
    "token_budget=100", "data=folder", "data.pool_size=4", "data.min_tokens=4",
    "data.max_tokens=64", "device=cpu",
    "optimizer.warmup_steps=1", "num_threads=1", "sample_every=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of four pictures with their captions."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(("red", "green", "blue", "white")):
        Image.new("RGB", (64, 48), colour).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a {colour} picture")
    return folder


def words(source, pictures, out, *more):
    begin = [f"init_from={source}", f"data.path={pictures}", f"out={out}"]
    return ["+modality=image", *WORDS, *begin, *more]


def test_a_released_model_gives_what_its_weights_fix(tiny_pipeline, pictures, tmp_path):
    pipeline = tiny_pipeline("z_image")
    config = compose_train(words(pipeline.folder, pictures, tmp_path / "out", "max_steps=2"))
    source = source_of(pipeline.folder)
    fixed = backbone_config(source.manifest)
    for name in ("hidden_size", "depth", "rope_dims", *FAMILIES["z_image"].switches):
        assert getattr(config.backbone, name) == getattr(fixed, name), name
    run = start.start(config)
    expected = read_backbone(source, fixed).state_dict()
    for name, weight in run.model.backbone.state_dict().items():
        assert torch.equal(weight, expected[name].float()), name
    assert run.model.family == "z_image"


def test_two_steps_change_it_and_its_checkpoint_keeps_the_family(tiny_pipeline, pictures, tmp_path):
    pipeline = tiny_pipeline("z_image")
    assert main(["train", *words(pipeline.folder, pictures, tmp_path / "out", "max_steps=2")]) == 0
    newest = tmp_path / "out" / "checkpoints" / "step-0000002"
    manifest = read_manifest(newest)
    assert (manifest["family"], manifest["backbone"]["text"]) == ("z_image", "joint")
    assert main(["train", "resume=true", f"out={tmp_path / 'out'}", "max_steps=3"]) == 0
    made = [f"checkpoint={newest}", "modality.height=32", "modality.width=32", "device=cpu"]
    picture = tmp_path / "made.png"
    assert main(["run", "a red cat", *made, "solver.num_steps=2", f"out={picture}"]) == 0
    assert picture.is_file()


def test_what_was_trained_goes_back_to_diffusers(tiny_pipeline, pictures, tmp_path):
    import diffusers

    pipeline = tiny_pipeline("z_image")
    begin = words(pipeline.folder, pictures, tmp_path / "out", "max_steps=2")
    assert main(["train", *begin, "optimizer.learning_rate=0.01"]) == 0
    assert main(["convert", str(tmp_path / "out"), str(tmp_path / "back"), "--to=diffusers"]) == 0
    settings = {"solver.num_steps": 2, "guidance.scale": 4.0}
    model = lumina_core.load(tmp_path / "out", **settings, height=64, width=64)
    velocity = model.velocity(PROMPT)
    end = integrate(velocity, velocity.x_0, velocity.solver, times=velocity.times)
    noise, latent = (velocity.latents(x)[0][None, :, 0] for x in (velocity.x_0, end))
    loaded = diffusers.ZImagePipeline.from_pretrained(tmp_path / "back")
    loaded.set_progress_bar_config(disable=True)
    found, _ = theirs(loaded, "z_image", noise, 4.0)
    before, _ = theirs(pipeline.pipeline, "z_image", noise, 4.0)
    assert (found - latent).abs().max() < 1e-5
    assert (found - before).abs().max() > 1e-3


def test_a_model_of_classes_is_not_trained_on(pictures, tmp_path, refusal, class_model):
    error = refusal("train", *words(class_model, pictures, tmp_path / "out"))
    assert "numbers of classes" in error


def test_an_adapter_that_was_trained_here_changes_the_picture_of_diffusers_alike(
    tiny_pipeline, pictures, tmp_path
):
    pytest.importorskip("peft")
    import diffusers

    pipeline, out = tiny_pipeline("z_image"), tmp_path / "out"
    adapter = ["adapter=lora", "adapter.rank=2", "adapter.alpha=3", "optimizer.learning_rate=0.01"]
    targets = "adapter.targets=[attention,feed_forward,text,modulation,projections]"
    assert (
        main(["train", *words(pipeline.folder, pictures, out, "max_steps=2", *adapter, targets)])
        == 0
    )
    file = tmp_path / "mine.safetensors"
    assert main(["convert", str(out), str(file), "--to=diffusers"]) == 0
    settings = {"solver.num_steps": 2, "guidance.scale": 2.0}
    model = lumina_core.load(pipeline.folder, adapters=[str(out)], **settings, height=64, width=64)
    velocity = model.velocity(PROMPT)
    end = integrate(velocity, velocity.x_0, velocity.solver, times=velocity.times)
    noise, latent = (velocity.latents(x)[0][None, :, 0] for x in (velocity.x_0, end))
    loaded = diffusers.ZImagePipeline.from_pretrained(pipeline.folder)
    loaded.set_progress_bar_config(disable=True)
    before, _ = theirs(loaded, "z_image", noise, 2.0)
    loaded.load_lora_weights(str(file))
    found, _ = theirs(loaded, "z_image", noise, 2.0)
    assert (found - latent).abs().max() < 1e-5
    assert (found - before).abs().max() > 1e-3

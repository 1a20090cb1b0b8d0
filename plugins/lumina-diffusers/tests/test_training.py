"""An adapter is trained on a network of diffusers, which stays as it is."""

import json
import shutil
from functools import partial
from types import SimpleNamespace

import diffusers
import pytest
import tiny_ltx
import torch
from folder_runs import SEED, asked_of, latent_of, noise
from safetensors.torch import load_file
from test_wan22 import LARGE, SIZE, SMALL, pipeline_of
from torch import nn

import lumina_core
import tiny_wan
from lumina_core.checkpoints.model import Model
from lumina_core.cli.main import main
from lumina_core.data.source import CaptionedSample
from lumina_core.runtime import seeded
from lumina_core.sequence import TokenSample
from lumina_core.training import start
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import Drawn, drawn_loss
from lumina_core.training.step import training_step
from tiny_wan import PROMPT, sized

pytest.importorskip("peft")
EVERY_ROLE = ("attention", "feed_forward", "text", "modulation", "projections")
FAST = ["optimizer.learning_rate=0.02", "optimizer.warmup_steps=0", "max_steps=20"]
TIMES = 4  # losses of so many steps are averaged
MADE = {
    "wan": (tiny_wan.pipeline, tiny_wan.SIZES),
    "ltx": (tiny_ltx.pipeline, tiny_ltx.SIZES),
    "wan22_5b": (partial(pipeline_of, SMALL), sized(*SIZE[SMALL])),
    "wan22_14b": (partial(pipeline_of, LARGE), sized(*SIZE[LARGE])),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """By name the folder of a tiny model, and one of two clips with captions."""
    place, found = tmp_path_factory.mktemp("models"), {}

    def of(name):
        if name not in found:
            make, sizes = MADE[name]
            make().save_pretrained(place / name)
            clips = place / f"clips_{name}"
            clips.mkdir()
            for number, caption in enumerate((PROMPT, "the sun sets slowly")):
                asked = [f"seed={number}", "solver.num_steps=1", "device=cpu", *sizes]
                words = ["+modality=video", f"checkpoint={place / name}", *asked]
                assert main(["run", *words, caption, f"out={clips / f'{number}.mp4'}"]) == 0
                (clips / f"{number}.txt").write_text(caption)
            found[name] = SimpleNamespace(folder=place / name, clips=clips, sizes=sizes)
        return found[name]

    return of


def words(model, out, *more):
    data = ["data=folder", f"data.path={model.clips}", "data.min_tokens=4", "data.max_tokens=64"]
    data += ["data.pool_size=2", "data.refresh_per_step=0", "token_budget=200"]
    own = [f"init_from={model.folder}", "adapter=lora", "adapter.rank=4", f"out={out}"]
    beside = ["device=cpu", "log_every=1", "sample_every=0", "max_steps=2"]
    return ["+modality=video", *own, *data, *beside, *model.sizes, *more]


def losses(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines]


def asked(model, *more):
    return asked_of(model.folder, *model.sizes, *more)


@pytest.mark.parametrize("name", MADE)
def test_an_adapter_lowers_the_loss_and_run_uses_it(models, tmp_path, name):
    model, out = models(name), tmp_path / "out"
    given = ["condition_share=0.5"] if name == "wan22_5b" else []
    targets = f"adapter.targets=[{','.join(EVERY_ROLE)}]"
    assert main(["train", *words(model, out, *FAST, targets, *given)]) == 0
    found = losses(out)
    assert sum(found[-TIMES:]) < 0.9 * sum(found[:TIMES])
    plain, adapted = latent_of(asked(model)), latent_of(asked(model, f"adapters=[{out}]"))
    assert (plain - adapted).abs().max() > 0.05


def test_the_model_stays_to_the_bit_and_only_the_adapter_learns(models, tmp_path):
    model = models("wan")
    config = compose_train(words(model, tmp_path / "out", *FAST))
    run = start.start(config)
    before = {k: v.clone() for k, v in run.networks.state_dict().items()}
    for _ in range(3):
        training_step(run, config)
    after = run.networks.state_dict()
    changed = {k for k in after if not torch.equal(after[k], before[k])}
    assert changed and all("lora_" in key and ".attn1." in key for key in changed)
    stored = load_file(model.folder / "transformer" / "diffusion_pytorch_model.safetensors")
    kept = {k.replace(".base_layer", ""): v for k, v in after.items() if "lora_" not in k}
    assert all(torch.equal(kept[f"backbone.transformer.{k}"], v) for k, v in stored.items())
    assert len(kept) == len(stored)


def test_the_loss_is_that_of_the_trainers_of_diffusers(models, tmp_path):
    model = lumina_core.load(models("wan").folder, device="cpu").checkpoint
    model.ready_backbone()
    latent = noise(tiny_wan.LATENT)
    tokenizer = model.modality.tokenizer
    tokens = TokenSample("video", tokenizer.grid(latent.shape), tokenizer.tokenize(latent))
    other = torch.randn(latent.shape, generator=seeded(SEED + 1))
    x_0, sigma = tokenizer.tokenize(other).flatten(), 0.7
    drawn = Drawn([CaptionedSample(tokens, PROMPT)], torch.tensor([1 - sigma]), x_0)
    ours = drawn_loss(model, drawn)
    pipeline = tiny_wan.pipeline()
    text, _ = pipeline.encode_prompt(
        PROMPT, do_classifier_free_guidance=False, max_sequence_length=512
    )
    noisy = (1 - sigma) * latent + sigma * other
    made = pipeline.transformer(noisy[None], torch.tensor([1000 * sigma]), text, return_dict=False)
    theirs = (made[0] - (other - latent)).square().mean()
    assert abs(ours.item() - theirs.item()) < 1e-5
    assert theirs > 0.1


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_every_linear_layer_has_the_role_that_it_has_in_ours(models, name):
    network = lumina_core.load(models(name).folder, device="cpu").checkpoint.backbone
    linears = [k for k, each in network.named_modules() if isinstance(each, nn.Linear)]
    roles = {key: network.role_of(f"{key}.weight") for key in linears}
    assert set(roles.values()) <= set(EVERY_ROLE)
    for key, role in roles.items():
        assert (role == "attention") == (".attn1." in key)
        assert (role == "feed_forward") == (".ffn." in key or ".ff." in key)
        assert role != "text" or ".attn2." in key or "text" in key or "caption" in key


def test_in_the_keys_of_diffusers_it_does_the_same_there(models, tmp_path):
    model, out = models("wan"), tmp_path / "out"
    assert main(["train", *words(model, out, *FAST, "adapter.alpha=3", "max_steps=3")]) == 0
    file, folder = tmp_path / "mine.safetensors", tmp_path / "peft"
    assert main(["convert", str(out), str(file), "--to=diffusers"]) == 0
    assert main(["convert", str(out), str(folder), "--to=peft"]) == 0
    wanted = latent_of(asked(model, f"adapters=[{out}]"))
    for each in (file, folder):
        assert (latent_of(asked(model, f"adapters=[{each}]")) - wanted).abs().max() < 1e-5
    name = "base_model.model.blocks.0.attn1.to_q.lora_A.weight"
    assert name in load_file(folder / "adapter_model.safetensors")
    pipeline = diffusers.WanPipeline.from_pretrained(model.folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(file))
    sizes = {"height": tiny_wan.HEIGHT, "width": tiny_wan.WIDTH, "num_frames": tiny_wan.FRAMES}
    asked_for = {**tiny_wan.ASKED, **sizes, "latents": noise(tiny_wan.LATENT)[None]}
    theirs = pipeline(**asked_for, output_type="latent").frames[0]
    assert (theirs - wanted).abs().max() < 1e-5
    assert (latent_of(asked(model)) - wanted).abs().max() > 1e-3


def test_a_resumed_adapter_equals_an_uninterrupted_one_to_the_bit(models, tmp_path):
    model = models("ltx")
    for name in ("whole", "part"):
        asked_for = words(model, tmp_path / name, *FAST, "max_steps=4", "save_every=2")
        assert main(["train", *asked_for]) == 0
    shutil.rmtree(tmp_path / "part" / "checkpoints" / "step-0000004")
    assert main(["train", "resume=true", f"out={tmp_path / 'part'}"]) == 0
    newest = "checkpoints/step-0000004/adapter_model.safetensors"
    one, other = (load_file(tmp_path / name / newest) for name in ("whole", "part"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_times_are_drawn_as_the_model_steps_unless_somebody_says_otherwise(models, tmp_path):
    config = compose_train(words(models("wan"), tmp_path))
    assert (config.time.distribution, config.time.shift) == ("uniform", tiny_wan.SHIFT)
    assert (config.optimizer.name, config.condition_share) == ("adamw", 0)
    assert not config.backbone.separators
    other = compose_train(words(models("wan"), tmp_path, "time=logit_normal", "time.mean=1"))
    assert (other.time.distribution, other.time.mean, other.time.shift) == ("logit_normal", 1, 1)
    by_length = compose_train(words(models("ltx"), tmp_path))
    assert (by_length.time.distribution, by_length.time.shift) == ("uniform", 1)


@pytest.mark.parametrize("name", ["wan", "ltx"])
def test_recomputed_blocks_and_half_precision_give_the_first_loss(models, tmp_path, name):
    model = models(name)
    found = {}
    for setting in ("seed=0", "activation_checkpointing=blocks", "dtype=bfloat16"):
        config = compose_train(words(model, tmp_path / "out", setting))
        run = start.start(config)
        found[setting] = [training_step(run, config)["loss"] for _ in range(2)]
    plain, again, half = found.values()
    assert plain == again
    assert plain == pytest.approx(half, rel=0.03)
    assert plain != half


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("adapter=none", "of which an adapter is trained and not the weights; give adapter=lora"),
        ("backbone.depth=3", "backbone.depth is fixed by init_from="),
        ("compile=true", "compile is for the networks of this project"),
        ("attention=sdpa", "attention is for the networks of this project"),
        ("adapter.targets=[norms]", "adapter.targets has norms, and this network has no linear"),
        ("adapter.rank=25", "adapter.rank=25 is above 24"),
        ("freeze=[text]", "freeze has no effect with adapter=lora"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(models, tmp_path, capsys, setting, said):
    model = models("wan")
    capsys.readouterr()
    assert main(["train", *words(model, tmp_path / "out", setting)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_several_ranks_are_refused_in_one_line(models, tmp_path):
    config = compose_train(words(models("wan"), tmp_path / "out"))
    with pytest.raises(lumina_core.LuminaError, match="2 ranks are for the networks of this") as at:
        start.check_packaged(config, 2)
    assert "\n" not in str(at.value)


@pytest.mark.parametrize(
    ("name", "style", "said"),
    [
        ("wan", "comfyui", "for which comfyui has no names; --to takes peft, diffusers"),
        ("wan22_14b", "diffusers", "the adapter changes transformer_2, too"),
    ],
)
def test_what_no_other_program_has_a_name_for_is_refused(
    models, tmp_path, capsys, name, style, said
):
    out = tmp_path / "out"
    assert main(["train", *words(models(name), out, "max_steps=1")]) == 0
    capsys.readouterr()
    assert main(["convert", str(out), str(tmp_path / "a.safetensors"), f"--to={style}"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_training_in_python_gives_its_model(models, tmp_path):
    asked_for = [word for word in words(models("wan"), tmp_path / "out") if "modality=" not in word]
    settings = dict(word.split("=", 1) for word in asked_for)
    run = lumina_core.train("video", **settings)
    assert isinstance(run.model(device="cpu").checkpoint, Model)
    assert [each.name for each in run.model(device="cpu").checkpoint.adapters] == ["out"]

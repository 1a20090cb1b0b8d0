"""Several modalities in one model: trained together, gone on with, and each of them used."""

import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from states import STATE_FILE

import lumina_core
from lumina_core import LuminaError
from lumina_core.checkpoints.folder import export
from lumina_core.checkpoints.manifest import read_manifest
from lumina_core.cli.main import main
from lumina_core.plugins import host
from lumina_core.testing.fixtures import tiny_words
from lumina_core.training import start, step
from lumina_core.training.compose import compose_train
from lumina_core.training.loss import drawn_loss
from lumina_core.training.pool import build_source

STATE = f"checkpoints/step-0000004/{STATE_FILE}"
SMALL = ["solver.num_steps=1", "modality.seconds=1.0"]


@pytest.fixture(scope="module")
def words(tiny_vae, small_vocabulary):
    """The words of a small training of pictures and sounds; later ones win."""
    own = [f"modality.image.vae={tiny_vae}", "data.image.max_tokens=100", "device=cpu"]

    def of(out, *more):
        modalities = ["+modality=[image,audio]", f"out={out}"]
        return [*modalities, *own, *tiny_words(), "token_budget=500", "max_steps=4", *more]

    return of


@pytest.fixture(scope="module")
def run_folder(words, tmp_path_factory):
    """The folder of a training of four steps, with all that one can measure."""
    out = tmp_path_factory.mktemp("joint") / "run"
    more = ["save_every=2", "sample_every=4", "num_sample_prompts=1", "validate_every=2"]
    more += ["num_validation_samples=2", "evaluate_every=4", "num_evaluation_prompts=1"]
    assert main(["train", *words(out, *more)]) == 0
    return out


COMPUTED = ("step", "loss", "gradient_norm", "loss_of", "loss_at", "token_share")
MEASURED = ("validation_loss", "evaluation")


def without_times(entries):
    return [{k: v for k, v in e.items() if k in (*COMPUTED, *MEASURED)} for e in entries]


def test_a_joint_run_says_of_each_modality_how_it_does(run_folder, metrics):
    entries = metrics(run_folder)
    (*steps, last) = [entry for entry in entries if "loss" in entry]
    assert [entry["step"] for entry in (*steps, last)] == [1, 2, 3, 4]
    for entry in (*steps, last):
        assert entry["loss_of"].keys() == {"image", "audio"}
        assert sum(entry["token_share"].values()) == pytest.approx(1)
    assert [e["validation_loss"].keys() for e in entries if "validation_loss" in e] == [
        {"image": 0, "audio": 0}.keys()
    ] * 2
    (found,) = [entry["evaluation"] for entry in entries if "evaluation" in entry]
    assert {name: each["num_prompts"] for name, each in found.items()} == {"image": 1, "audio": 1}
    for name in ("image", "audio"):
        Image.open(run_folder / "samples" / f"step-0000004-{name}.png").verify()


def test_a_joint_run_goes_on_to_the_bit(run_folder, tmp_path, metrics):
    part = tmp_path / "part"
    shutil.copytree(run_folder, part)
    shutil.rmtree(part / "checkpoints" / "step-0000004")
    (part / "samples" / "step-0000004-audio.png").unlink()
    sheets = {p.name: p.read_bytes() for p in (run_folder / "samples").iterdir()}
    assert main(["train", "resume=true", f"out={part}"]) == 0
    assert (part / STATE).read_bytes() == (run_folder / STATE).read_bytes()
    assert without_times(metrics(part)) == without_times(metrics(run_folder))
    assert {p.name: p.read_bytes() for p in (part / "samples").iterdir()} == sheets
    assert read_manifest(part / "checkpoints" / "step-0000004") == read_manifest(
        run_folder / "checkpoints" / "step-0000004"
    )


def test_a_joint_run_is_gone_on_with_as_it_was(run_folder, tmp_path, words, refusal):
    out = tmp_path / "run"
    shutil.copytree(run_folder, out)
    go_on = ["train", "resume=true", f"out={out}"]
    assert "is of modality 'image,audio', not 'image'" in refusal(*go_on, "+modality=image")
    assert "not 'image,video'" in refusal(*go_on, "+modality=[image,video]")
    more = [*go_on, "max_steps=5"]
    assert "mixing.audio=0.5, this run has mixing.audio=0.25" in refusal(*more, "mixing.image=1.5")
    assert "data.audio.pool_size=4, this run has data.audio.pool_size=5" in refusal(
        *more, "data.audio.pool_size=5"
    )
    assert "condition_share.audio=0.2, this run has condition_share.audio=0.3" in refusal(
        *more, "condition_share.audio=0.3"
    )
    kept = json.loads((out / "config.json").read_text())
    alike = {"condition_share": 0.2, "time": kept["time"]["image"]}  # as an older version wrote it
    (out / "config.json").write_text(json.dumps(kept | alike))
    assert main([*more, "+modality=[audio,image]"]) == 0  # in whichever order
    assert main(["train", *words(out, "max_steps=1", "overwrite=true")]) == 0
    assert not list((out / "samples").iterdir())


@pytest.mark.parametrize(("name", "size"), [("image", "modality.height=32"), ("audio", SMALL[1])])
def test_each_modality_of_a_joint_checkpoint_is_made_and_measured(run_folder, name, size, tmp_path):
    where = [f"+modality={name}", f"checkpoint={run_folder}", "device=cpu", SMALL[0]]
    assert main(["run", *where, size, f"out={tmp_path}/made", "json=true", "a red circle"]) == 0
    assert main(["evaluate", *where, "num_prompts=1", f"out={tmp_path}/e.json"]) == 0
    written = next((tmp_path / "made").parent.glob("made*"))
    assert written.stat().st_size > 0


def test_data_that_cannot_be_used_names_its_modality(words, refusal, tmp_path):
    lost = [f"data.{name}={value}" for name, value in (("image", "folder"), ("image.path", "/no"))]
    own = [word for word in words(tmp_path / "run") if not word.startswith("data.image.")]
    assert "image: data.path=/no is no folder" in refusal("train", *own, *lost)


def test_one_of_the_modalities_of_a_checkpoint_is_chosen(run_folder, refusal):
    error = refusal("run", f"checkpoint={run_folder}", "a star")
    assert "was trained on image, audio; choose one: +modality=image" in error
    both = ["+modality=[image,audio]", f"checkpoint={run_folder}"]
    assert "run takes one modality, and +modality=[image,audio] names 2" in refusal("run", *both)
    assert "evaluate takes one modality" in refusal("evaluate", *both)
    assert "train-vae takes one modality" in refusal("train-vae", both[0])
    assert "plan counts one modality, not image, audio" in refusal("plan", "train", both[0])
    with pytest.raises(LuminaError, match="is of image, audio, modality is None; choose one"):
        lumina_core.load(run_folder)


def test_a_joint_checkpoint_is_shown_and_shipped(run_folder, tmp_path, capsys):
    assert main(["info", str(run_folder)]) == 0
    told = capsys.readouterr().out
    assert "modalities.image.token_dim: " in told
    assert "modalities.audio.token_dim: " in told
    assert "training.mixing.image: 0.5" in told
    export(run_folder, tmp_path / "small", torch.bfloat16)
    assert sorted(p.name for p in (tmp_path / "small" / "vae").iterdir()) == ["audio", "image"]
    lumina_core.load(tmp_path / "small", modality="audio")


def test_a_modality_whose_plugin_is_missing_keeps_no_other_from_being_made(
    run_folder, monkeypatch, refusal, tmp_path
):
    monkeypatch.setenv("LUMINA_BLOCK", "audio")
    host.forget()
    where = [f"checkpoint={run_folder}", "device=cpu", SMALL[0]]
    made = ["modality.height=32", f"out={tmp_path}/a", "a red circle"]
    assert main(["run", "+modality=image", *where, *made]) == 0
    assert main(["info", str(run_folder)]) == 0
    assert "audio" in refusal("run", "+modality=audio", *where, "a beep")
    error = refusal("train", "resume=true", f"out={run_folder}", "max_steps=9")
    assert "'audio'" in error
    host.forget()


def test_a_sample_has_the_same_loss_alone_as_among_other_modalities(words, tmp_path):
    config = compose_train(words(tmp_path / "out"))
    run = start.start(config)
    with torch.no_grad():
        for weight in run.networks.parameters():  # a fresh model predicts 0 whatever it is given
            if not weight.any():
                weight.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
    run.mixture.advance(0)
    (batch,) = step.loaded(run.mixture, run.mixture.pick(0).batches)
    assert [pick.modality for pick, _ in batch] == sorted(
        (pick.modality for pick, _ in batch), reverse=True
    )
    assert {pick.modality for pick, _ in batch} == {"image", "audio"}
    together = drawn_loss(run.model, step.drawn_batch(batch, config, 0))
    alone = [drawn_loss(run.model, step.drawn_batch([each], config, 0)) for each in batch]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_what_a_checkpoint_knows_is_taken_and_new_modalities_begin_anew(
    run_folder, tiny_checkpoint, words, tmp_path, tiny_vae, capsys
):
    def started(first, whole=words):
        config = compose_train(whole(tmp_path / "out", f"init_from={first}"))
        weights = dict(start.start(config).model.backbone.state_dict())
        return weights, capsys.readouterr().err

    joint, _ = started(run_folder)
    stored = load_file(run_folder / "checkpoints" / "step-0000004" / "backbone.safetensors")
    assert stored.keys() == joint.keys()
    assert all(torch.equal(stored[key], joint[key]) for key in stored)

    single = load_file(tiny_checkpoint / "backbone.safetensors")
    grown, told = started(tiny_checkpoint)
    assert "was trained on image; the projections of audio begin anew" in told
    assert all(torch.equal(single[key], grown[key]) for key in single)
    assert grown.keys() - single.keys() == {
        f"{k}.audio.{w}" for k in ("inputs", "outputs") for w in ("weight", "bias")
    }

    def of_audio(*given):
        return ["+modality=audio", f"out={given[0]}", *tiny_words(), *given[1:]]

    alone, told = started(run_folder, of_audio)
    assert "begin anew" not in told
    assert {key for key in alone if ".image." in key} == set()
    assert all(torch.equal(stored[key], alone[key]) for key in alone)


def test_python_trains_several_modalities(tmp_path, tiny_vae, small_vocabulary):
    keys = dict(word.split("=", 1) for word in tiny_words()) | {
        "modality.image.vae": str(tiny_vae),
        "mixing.image": 0.25,
        "data.image.max_tokens": 100,
        "token_budget": 500,
        "max_steps": 2,
    }
    run = lumina_core.train(["image", "audio"], out=tmp_path / "run", **keys)
    assert (run.modality, run.step, len(run.losses)) == ("image", 2, 2)
    shares = json.loads((tmp_path / "run" / "config.json").read_text())["mixing"]
    assert shares == {"image": 0.25, "audio": 0.75}
    assert run.model("audio", device="cpu").modality == "audio"
    with pytest.raises(LuminaError, match="token_budget=40 is shorter"):
        lumina_core.train(["image", "audio"], out=tmp_path / "b", token_budget=40, hop_length=256)
    with pytest.raises(LuminaError, match=r"unknown key 'hop'.*modality=..?image,audio..? --help"):
        lumina_core.train(["image", "audio"], hop=3)
    with pytest.raises(LuminaError, match="give a list of texts"):
        lumina_core.train(["image", 3])


def test_each_modality_names_what_it_leaves_out_in_a_file_of_its_own(words, tmp_path, tiny_model):
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGB", (32, 32)).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("a picture")
    (folder / "c.png").write_bytes(b"broken")
    more = ["data.image=folder", f"data.image.path={folder}", "data.image.max_quarantined=0.5"]
    given = [word for word in words(out, *more) if not word.startswith("data.image.max_tokens")]
    source = build_source(compose_train(given), "image", tiny_model.modality)
    source.advance(0)
    assert "c.png" in (out / "image-quarantine.jsonl").read_text()
    assert main(["train", *given, "max_steps=1"]) == 0  # a list of an earlier try is in no way
    assert not (out / "quarantine.jsonl").exists()

import errno
import json
import os
import random
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from checkpoint_edits import edit_manifest, read, refusal
from lumina_core import LuminaError
from lumina_core.checkpoints import differences
from lumina_core.checkpoints import folder as checkpoint_folder
from lumina_core.checkpoints import manifest as checkpoints_manifest
from lumina_core.checkpoints import model as checkpoint_model
from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.files import hashes
from lumina_core.files.hashes import sha256_of
from lumina_core.files.writing import atomic_folder
from lumina_core.sampling.compose import compose_sampling
from lumina_core.sampling.request import Request
from lumina_core.sampling.sample import sample

CPU = torch.device("cpu")


def replace_backbone(folder, weights):
    save_file(weights, folder / "backbone.safetensors")
    edit_manifest(
        folder, files={"backbone.safetensors": sha256_of(folder / "backbone.safetensors")}
    )


def test_a_checkpoint_of_another_machines_attention_backend_is_read_here(
    checkpoint_copy, tiny_training, capsys
):
    """Older checkpoints name the backend of their training, which may want a GPU."""
    manifest = checkpoints_manifest.read_manifest(checkpoint_copy)
    assert "attention" not in manifest["backbone"]
    plain = read(checkpoint_copy)
    edit_manifest(checkpoint_copy, backbone={**manifest["backbone"], "attention": "varlen"})
    older = read(checkpoint_copy)
    assert (
        differences.differences(checkpoints_manifest.read_manifest(checkpoint_copy), [plain]) == []
    )
    options = replace(compose_options("image"), height=32, width=32)
    requests = [Request("a star", "", 3, options)]
    settings = compose_sampling("image")
    settings = replace(settings, solver=replace(settings.solver, num_steps=2))
    made = [sample(model, requests, settings)[0].media for model in (plain, older)]
    assert torch.equal(*made)
    out = checkpoint_copy.parent / "out"
    shutil.copytree(checkpoint_copy, out / "checkpoints" / "step-0000003")
    assert main(["train", *tiny_training(out, "resume=true", "max_steps=4")]) == 0
    newest = checkpoints_manifest.read_manifest(out / "checkpoints" / "step-0000004")
    assert "attention" not in newest["backbone"]
    assert "warning" not in capsys.readouterr().err


def test_resume_takes_another_attention_backend(tiny_training, tiny_checkpoint, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tiny_checkpoint, out / "checkpoints" / tiny_checkpoint.name)
    words = tiny_training(out, "resume=true", "max_steps=4", "attention=sdpa")
    assert main(["train", *words]) == 0


@pytest.mark.parametrize("command", ["run", "train", "evaluate"])
def test_an_attention_backend_that_cannot_run_here_is_refused_at_once(
    command, at_checkpoint, tiny_training, clean_refusal
):
    where = tiny_training("out") if command == "train" else at_checkpoint
    prompt = ["a star"] if command == "run" else []
    for name, reason in (
        ("varlen", "attention=varlen needs a CUDA device"),
        ("xformers", "attention=xformers needs the xformers package and a CUDA device"),
        ("flash", "attention is 'flash'; choose one of auto, sdpa, varlen, xformers."),
    ):
        assert reason in clean_refusal(command, *where, f"attention={name}", *prompt)


def save(folder, model):
    contents = checkpoint_folder.contents_of(
        [model], summary={"step": 1}, sampling={}, dtype=torch.float32
    )
    weights = {f"backbone.{name}": value for name, value in model.backbone.state_dict().items()}
    with atomic_folder(folder) as temporary:
        checkpoint_folder.fill(temporary, contents, weights)


def test_save_then_load_gives_the_same_weights(tiny_model, tmp_path):
    save(tmp_path / "again", tiny_model)
    again = read(tmp_path / "again")
    first, second = (model.backbone.state_dict() for model in (tiny_model, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    first, second = (model.text_encoder.encode(["a star"])[0] for model in (tiny_model, again))
    assert torch.equal(first, second)
    assert again.backbone.config == tiny_model.backbone.config
    with pytest.raises(LuminaError, match="exists already"):
        save(tmp_path / "again", again)


def test_manifest_names_no_place_of_this_machine(tiny_checkpoint):
    text = (tiny_checkpoint / "lumina.json").read_text()
    for inside in ("text_encoder/", "vae/image/", "state/"):
        text = text.replace(inside, "")
    assert "/" not in text


def test_any_changed_byte_is_refused(checkpoint_copy):
    choice = random.Random(0)
    names = sorted(path for path in checkpoint_copy.rglob("*") if path.is_file())
    for path in names:
        whole = path.read_bytes()
        places = choice.sample(range(len(whole)), 60 if path.name == "lumina.json" else 2)
        for place in places:
            flipped = whole[place] ^ (1 << choice.randrange(8))
            path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
            hashes._sha256_once.cache_clear()
            refusal(checkpoint_copy)
        path.write_bytes(whole)
    read(checkpoint_copy)


def test_any_missing_file_is_refused(checkpoint_copy, tmp_path):
    for path in sorted(path for path in checkpoint_copy.rglob("*") if path.is_file()):
        path.rename(tmp_path / "away")
        assert "is missing" in refusal(checkpoint_copy)
        (tmp_path / "away").rename(path)
    shutil.rmtree(checkpoint_copy / "state")
    read(checkpoint_copy)  # older checkpoints have none
    assert "nowhere: it does not exist; name a folder" in refusal(tmp_path / "nowhere")


def test_weights_are_read_strictly(checkpoint_copy):
    weights = load_file(checkpoint_copy / "backbone.safetensors")
    name = next(iter(weights))
    for wrong in (
        {**weights, "extra": torch.zeros(1)},
        {key: weights[key] for key in weights if key != name},
        {**weights, name: torch.zeros(1)},
    ):
        replace_backbone(checkpoint_copy, wrong)
        message = refusal(checkpoint_copy)
        assert "does not fit its manifest" in message
        assert name in message or "extra" in message


def test_a_pickle_in_place_of_weights_is_never_read(checkpoint_copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    path = checkpoint_copy / "backbone.safetensors"
    torch.save({"a": Evil()}, path)
    edit_manifest(checkpoint_copy, files={path.name: sha256_of(path)})
    assert "does not fit its manifest" in refusal(checkpoint_copy)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "vae/../../x"])
def test_a_manifest_reaches_nothing_outside_its_folder(checkpoint_copy, tmp_path, name):
    (tmp_path / "x").write_text("")
    edit_manifest(checkpoint_copy, files={name: "0"})
    assert "outside its folder" in refusal(checkpoint_copy)


def test_a_foreign_manifest_is_refused(checkpoint_copy):
    path = checkpoint_copy / "lumina.json"
    manifest = json.loads(path.read_text())
    for text in ("", "[]", "{", "null", '{"format": 1}'):
        path.write_text(text)
        refusal(checkpoint_copy)
    path.write_text(json.dumps(manifest | {"format": 3}))
    assert "checkpoint format 3 (int), this version reads 1 to 2" in refusal(checkpoint_copy)
    path.write_text(json.dumps(manifest | {"extra": 2}))
    assert "was edited" in refusal(checkpoint_copy)


def test_a_manifest_without_a_seal_is_refused(checkpoint_copy):
    manifest = checkpoints_manifest.read_manifest(checkpoint_copy)
    del manifest["sha256"]
    (checkpoint_copy / "lumina.json").write_text(json.dumps(manifest))
    assert "is damaged or was edited" in refusal(checkpoint_copy)


def test_a_file_that_the_manifest_does_not_list_is_refused(checkpoint_copy):
    (checkpoint_copy / "vae" / "image" / "other.safetensors").write_bytes(b"")
    assert "other.safetensors is no part of the checkpoint" in refusal(checkpoint_copy)


def test_another_modality_is_refused(tiny_checkpoint):
    with pytest.raises(LuminaError, match="knows image, not 'video'"):
        checkpoint_model.load(tiny_checkpoint, "video", None, device=CPU, dtype=torch.float32)


def test_a_verified_file_is_hashed_once(checkpoint_copy, monkeypatch):
    manifest = checkpoints_manifest.read_manifest(checkpoint_copy)
    seen = []
    monkeypatch.setattr(hashes, "sha256_of", lambda path: seen.append(path) or "?")
    hashes._sha256_once.cache_clear()
    with pytest.raises(LuminaError, match="damaged"):
        checkpoints_manifest.verify(checkpoint_copy, manifest)
    monkeypatch.undo()
    hashes._sha256_once.cache_clear()
    checkpoints_manifest.verify(checkpoint_copy, manifest)
    before = hashes._sha256_once.cache_info().misses
    checkpoints_manifest.verify(checkpoint_copy, manifest)
    assert hashes._sha256_once.cache_info().misses == before == len(manifest["files"])
    (checkpoint_copy / "backbone.safetensors").touch()
    checkpoints_manifest.verify(checkpoint_copy, manifest)
    assert hashes._sha256_once.cache_info().misses == before + 1


def test_the_memory_of_hashes_survives_a_change_of_folder(checkpoint_copy, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere" / checkpoint_copy.name
    shutil.copytree(checkpoint_copy, other)
    whole = (other / "backbone.safetensors").read_bytes()
    status = (checkpoint_copy / "backbone.safetensors").stat()
    (other / "backbone.safetensors").write_bytes(whole[:-1] + b"?")
    os.utime(other / "backbone.safetensors", ns=(status.st_atime_ns, status.st_mtime_ns))
    relative = type(tmp_path)(checkpoint_copy.name)
    manifest = checkpoints_manifest.read_manifest(checkpoint_copy)
    monkeypatch.chdir(checkpoint_copy.parent)
    checkpoints_manifest.verify(relative, manifest)
    monkeypatch.chdir(other.parent)
    with pytest.raises(LuminaError, match="damaged"):
        checkpoints_manifest.verify(relative, manifest)


def test_export_is_whole_small_and_generates(tiny_checkpoint, tmp_path):
    target = tmp_path / "demo"
    checkpoint_folder.export(tiny_checkpoint, target, torch.bfloat16)
    exported = {path.relative_to(target).as_posix() for path in target.rglob("*.*")}
    assert exported == {
        path.relative_to(tiny_checkpoint).as_posix()
        for path in tiny_checkpoint.rglob("*.*")
        if path.parent.name != "state"
    }
    for path in target.rglob("*.safetensors"):
        stored = load_file(path)
        source = load_file(tiny_checkpoint / path.relative_to(target))
        assert all(torch.equal(stored[key], source[key].bfloat16()) for key in source)
    model = read(target)
    options = compose_options("image")
    (made,) = sample(model, [Request("a star", "", 0, options)], compose_sampling("image"))
    assert made.media.shape == (3, options.height, options.width)
    assert {value.dtype for value in model.backbone.state_dict().values()} == {torch.float32}
    with pytest.raises(LuminaError, match="exists already"):
        checkpoint_folder.export(tiny_checkpoint, target, torch.bfloat16)


def test_export_refuses_a_damaged_source(checkpoint_copy, tmp_path):
    path = checkpoint_copy / "text_encoder" / "config.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(LuminaError, match="damaged"):
        checkpoint_folder.export(checkpoint_copy, tmp_path / "demo", torch.bfloat16)
    assert not (tmp_path / "demo").exists()


def test_a_disk_that_fills_while_copying_is_one_line(tiny_model, tmp_path, monkeypatch):
    def no_space(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", no_space)
    with pytest.raises(LuminaError) as raised:
        save(tmp_path / "a", tiny_model)
    assert str(raised.value) == f"{tmp_path / 'a'} cannot be written: No space left on device"
    assert os.listdir(tmp_path) == []

"""Training on a folder of pictures, some of which cannot be used."""

import json
import shutil

import pytest
from PIL import Image, ImageDraw

from lumina_core.checkpoints import manifest as checkpoints
from lumina_core.checkpoints.newest import finished
from lumina_core.cli.main import main
from lumina_core.training.compose import compose_train
from lumina_core.training.pool import build_source

COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 220)}


BROKEN = {"cut.png", "empty.png", "word.png", "small.png", "long.png"}


def write_set(folder, suffixes):
    """Pictures of several kinds, sizes and proportions with captions; five cannot be used."""
    folder.mkdir()
    sizes = [(64, 64), (48, 80), (150, 70), (90, 40), (33, 61), (400, 300)]
    for number in range(24):
        name, colour = list(COLOURS.items())[number % 3]
        width, height = sizes[number % len(sizes)]
        picture = Image.new("RGB", (width, height), "white")
        box = (width // 4, height // 4, 3 * width // 4, 3 * height // 4)
        ImageDraw.Draw(picture).ellipse(box, fill=colour)
        mode = ["RGB", "RGBA", "P", "L"][number % 4]
        suffix = suffixes[number % len(suffixes)]
        is_flat = suffix in (".jpg", ".jpeg") and mode in ("RGBA", "P")
        path = folder / f"{number:02}{suffix}"
        picture.convert("RGB" if is_flat else mode).save(path)
        path.with_suffix(".txt").write_text(f"a {name} circle")
    for name in BROKEN:
        size = {"small.png": (9, 9), "long.png": (900, 30)}.get(name, (64, 64))
        Image.new("RGB", size, "red").save(folder / name)
        (folder / name).with_suffix(".txt").write_text("a red circle")
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:-40])
    (folder / "empty.png").write_bytes(b"")
    (folder / "word.txt").write_bytes(b"a caf\xe9")


@pytest.fixture
def pictures(tmp_path):
    """The words of a run on such a folder."""
    write_set(tmp_path / "set", (".png",))
    return ["data=folder", f"data.path={tmp_path / 'set'}", "data.max_tokens=64"]


@pytest.fixture
def whole_and_killed(tiny_training, tmp_path):
    """Train two equal runs, the second as if killed before its last checkpoint; their folders."""

    def result(last, *words):
        whole, killed = tmp_path / "whole", tmp_path / "killed"
        for out in (whole, killed):
            assert main(["train", *tiny_training(out, *words)]) == 0
        shutil.rmtree(killed / last)
        return whole, killed

    return result


def test_a_folder_of_files_trains_a_checkpoint_that_runs(
    tiny_training, tmp_path, capsys, losses, refusal
):
    from lumina_image.picture_files import PictureDecoder

    out, data = tmp_path / "out", tmp_path / "set"
    write_set(data, PictureDecoder.suffixes)
    words = tiny_training(
        *(out, "data=folder", f"data.path={data}", "max_steps=200", "data.min_tokens=16"),
        *("data.max_tokens=64", "data.max_aspect=3", "data.max_quarantined=0.2"),
        *("data.pool_size=40", "optimizer.learning_rate=0.003", "sample_every=200"),
        "num_sample_prompts=2",
    )
    assert main(["train", *words]) == 0
    captured = capsys.readouterr()
    newest = json.loads(captured.out)["checkpoint"]
    assert captured.err.startswith(f"warning: 5 items of {data} are left out so far")
    entries = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    reasons = {entry["path"]: entry["reason"] for entry in entries}
    assert reasons.keys() == BROKEN
    assert "cannot be read as a picture" in reasons["cut.png"]
    assert "UTF-8" in reasons["word.png"]
    found = list(losses(out).values())
    assert len(found) == 200
    assert sum(found[-20:]) < 0.8 * sum(found[:20])
    picture = tmp_path / "picture.png"
    words = ["+modality=image", f"checkpoint={newest}", f"out={picture}", "device=cpu"]
    assert main(["run", *words, "solver.num_steps=2", "a red circle"]) == 0
    assert Image.open(picture).size == (64, 64)
    assert (out / "samples" / "step-0000200.png").exists()
    text = (tmp_path / newest / "lumina.json").read_text()
    assert (str(data) in text, '"num_quarantined": 5' in text) == (False, True)
    more = ["data=folder", f"data.path={data}", "data.pool_size=40"]
    words = tiny_training(tmp_path / "other", *more)
    assert "more than data.max_quarantined=0.1; one is " in refusal("train", *words)


@pytest.mark.parametrize("more", [[], ["data.max_quarantined=1"]], ids=["broken", "none fits"])
def test_a_refused_run_deletes_nothing_of_the_one_before(
    tiny_training, pictures, tmp_path, capsys, files_below, more
):
    out = tmp_path / "out"
    words = tiny_training(out, "max_steps=1")
    assert main(["train", *words]) == 0
    before = files_below(out)
    for path in (tmp_path / "set").glob("*.png"):
        path.write_bytes(b"x")
    capsys.readouterr()
    assert main(["train", *words, *pictures, "overwrite=true", *more]) == 2
    assert "can be used" in capsys.readouterr().err.splitlines()[-1].replace("cannot", "can")
    (out / "quarantine.jsonl").unlink()
    assert files_below(out) == before


def test_a_refused_first_run_leaves_the_folder_free(tiny_training, pictures, tmp_path, refusal):
    words = tiny_training(tmp_path / "out", *pictures)
    assert "cannot be used" in refusal("train", *words, "data.max_quarantined=0")
    assert main(["train", *words, "data.max_quarantined=0.5"]) == 0


def test_resumed_run_on_files_equals_an_uninterrupted_one(
    tiny_training, pictures, whole_and_killed, losses
):
    words = [*pictures, "data.max_quarantined=0.5", "data.pool_size=6", "data.refresh_per_step=2"]
    words += ["max_steps=6", "save_every=3"]
    last = "checkpoints/step-0000006"
    whole, killed = whole_and_killed(last, *words)
    assert main(["train", *tiny_training(killed, *words, "resume=true")]) == 0
    assert losses(whole) == losses(killed)
    assert checkpoints.read_manifest(whole / last) == checkpoints.read_manifest(killed / last)


def test_a_resumed_run_counts_only_what_it_left_out_so_far(
    tiny_training, pictures, tmp_path, refusal
):
    more = [*pictures, "data.max_quarantined=0.5", "data.pool_size=4", "data.refresh_per_step=4"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def counts(out):
        found = [checkpoints.read_manifest(path) for path in finished(out / "checkpoints")]
        return [manifest["training"]["data"]["num_quarantined"] for manifest in found]

    assert main(["train", *tiny_training(whole, *more, "max_steps=6", "save_every=1")]) == 0
    assert main(["train", *tiny_training(killed, *more, "max_steps=1")]) == 0
    names = (whole / "quarantine.jsonl").read_bytes()
    (killed / "quarantine.jsonl").write_bytes(names)  # as if it was killed at the sixth step
    words = tiny_training(killed, *more, "save_every=1", "resume=true")
    assert main(["train", *words, "max_steps=6"]) == 0
    assert counts(killed) == counts(whole)
    assert counts(whole)[1] < counts(whole)[-1]
    assert (killed / "quarantine.jsonl").read_bytes() == names
    (tmp_path / "set" / "03.txt").write_text("a picture of something else")
    error = refusal("train", *words, "max_steps=7")
    assert "files with other names or captions than those of data.path" in error


@pytest.mark.parametrize("is_mended", [True, False], ids=["mended", "allowed"])
def test_a_run_that_its_quarantine_stopped_is_resumed(
    tiny_training, tiny_model, tmp_path, capsys, losses, is_mended
):
    data, out = tmp_path / "set", tmp_path / "out"
    write_set(data, (".png",))
    for name in BROKEN:
        (data / name).unlink()
    more = ["data=folder", f"data.path={data}", "data.max_tokens=64", "data.max_quarantined=0.04"]
    more += ["data.pool_size=4", "data.refresh_per_step=2", "max_steps=11", "save_every=5"]
    words = tiny_training(out, *more)
    order = build_source(compose_train(words), "image", tiny_model.modality)._order(0)
    pictures = sorted(data.glob("*.png"))
    spoilt = [pictures[place] for place in order[-2:]]  # read after the first steps
    wholes = [path.read_bytes() for path in spoilt]
    for path in spoilt:
        path.write_bytes(b"")
    assert main(["train", *words]) == 2
    assert "Replace them under the same names" in capsys.readouterr().err.splitlines()[-1]
    for path, whole in zip(spoilt, wholes if is_mended else (), strict=False):
        path.write_bytes(whole)
    begun = max(losses(out))
    more = [] if is_mended else ["data.max_quarantined=0.5"]
    assert main(["train", *words, "resume=true", *more]) == 0
    assert 5 <= begun < max(losses(out)) == 11


def test_a_run_on_files_that_began_with_a_checkpoint_is_resumed(
    tiny_training,
    tiny_checkpoint,
    pictures,
    whole_and_killed,
    tmp_path,
    losses,
    files_below,
    refusal,
):
    (tmp_path / "set" / "03.txt").write_text("a zebra circle")  # a new word
    words = [*pictures, "data.max_quarantined=0.5", "max_steps=4", "save_every=2"]
    last, begin = "checkpoints/step-0000004", f"init_from={tiny_checkpoint}"
    whole, killed = whole_and_killed(last, *words, begin)
    words = tiny_training(killed, *words, "resume=true")
    assert "leave out init_from" in refusal("train", *words, "init_from=demo")
    assert main(["train", *words]) == 0
    assert losses(whole) == losses(killed)
    assert files_below(whole / last) == files_below(killed / last)

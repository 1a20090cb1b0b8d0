"""Training from a cache of shards, of an indexed folder, or of several: a stream, as from them."""

import json
import os
import shutil
from collections import Counter

import pytest
import torch
from PIL import Image
from streams import LIMITS, build_stream, make_index, train_words, words_of, write_shards
from tars import picture, record, write_tar

from lumina_core.checkpoints.newest import finished
from lumina_core.cli.main import main
from lumina_core.data.caches.reading import Cache
from lumina_core.text import frozen


@pytest.fixture
def shards(tmp_path, tiny_vae):
    """Indexed shards of sixteen pictures, one of which has two captions."""
    folder = write_shards(tmp_path / "set")
    two = ("a.png", picture(60)), ("a.json", record(caption=["first", "second"]))
    write_tar(folder / "9.tar", two)
    make_index(tiny_vae, folder)
    return folder


@pytest.fixture
def cache(tiny_vae, tmp_path):
    """Make a cache of a data set; gives its folder."""

    def make(path, *more, name="cache", kind="shards"):
        words = words_of(tiny_vae, path, "shard_megabytes=0.01", *more, kind=kind)
        out = tmp_path / name
        assert main(["cache", "+modality=image", f"out={out}", *words]) == 0
        return out

    return make


def cached_words(vae, folder, out, *more):
    """The words of the same training from a cache."""
    words = train_words(vae, folder, out)
    others = ("data=", "data.path", "data.num_workers", *(word.split("=")[0] for word in LIMITS))
    kept = [word for word in words if not word.startswith(others)]
    return [*kept, "data=cache", f"data.path={folder}", *more]


def refuse(*args, **more):
    raise AssertionError("something was encoded")


MORE = ("max_steps=8", "log_every=1", "gradient_accumulation=2", "validate_every=4")
HELD = "num_validation_samples=2"


def test_a_cache_of_shards_gives_their_losses_to_the_bit(
    shards, cache, tiny_vae, tmp_path, metrics, monkeypatch
):
    from lumina_image.image import ImageVAE

    folder = cache(shards)
    names = ("step", "loss", "gradient_norm", "loss_of", "loss_at", "validation_loss")

    def measured(out):
        return [{k: line[k] for k in names if k in line} for line in metrics(out)]

    assert main(["train", *train_words(tiny_vae, shards, tmp_path / "files", *MORE, HELD)]) == 0
    monkeypatch.setattr(ImageVAE, "encode", refuse)
    shutil.move(shards, tmp_path / "away")
    assert main(["train", *cached_words(tiny_vae, folder, tmp_path / "cached", *MORE, HELD)]) == 0
    wanted = measured(tmp_path / "files")
    assert sum("loss" in line for line in wanted) == 8
    assert measured(tmp_path / "cached") == wanted
    weights = [
        finished(tmp_path / name / "checkpoints")[-1].joinpath("backbone.safetensors").read_bytes()
        for name in ("files", "cached")
    ]
    assert weights[0] == weights[1]


def test_a_cached_stream_gives_each_item_once_and_its_captions_in_turn(
    shards, cache, tiny_vae, tiny_model, tmp_path
):
    words = train_words(tiny_vae, shards, tmp_path / "out")
    files = build_stream(tiny_model.modality, words)
    words = cached_words(tiny_vae, cache(shards), tmp_path / "out")
    cached = build_stream(tiny_model.modality, words)
    for stream in (files, cached):
        stream.advance(0)
    given = [cached.get(place) for place in range(34)]
    for place, sample in enumerate(given):
        wanted = files.get(place)
        assert sample.caption == wanted.caption
        assert torch.equal(sample.tokens.tokens, wanted.tokens.tokens)
        assert cached.num_positions(place) == files.num_positions(place)
    for epoch, caption in ((given[:17], "first"), (given[17:], "second")):
        assert Counter(sample.caption for sample in epoch)[caption] == 1
        assert len({sample.caption for sample in epoch}) == 17
    files.close()


def test_a_folder_with_an_index_is_cached_as_a_stream(cache, tiny_vae, tiny_model, tmp_path):
    folder = tmp_path / "pictures"
    for place in ("a", "b"):
        (folder / place).mkdir(parents=True)
        for number in range(3):
            path = folder / place / f"{number}.png"
            Image.new("RGB", (32, 32), (number * 50, ord(place), 0)).save(path)
            path.with_suffix(".txt").write_text(f"{place} {number}")
    make_index(tiny_vae, folder, kind="folder")
    made = cache(folder, "data.stream=true", kind="folder")
    assert Cache(made).counts == [0, 3, 3]  # the folder itself holds none
    stream = build_stream(tiny_model.modality, cached_words(tiny_vae, made, tmp_path / "out"))
    assert {stream.get(place).caption for place in range(6)} == {
        f"{place} {number}" for place in "ab" for number in range(3)
    }


def test_several_caches_of_streams_are_one_and_kinds_are_not_mixed(
    shards, cache, tiny_vae, tiny_model, tmp_path, refusal
):
    folder = tmp_path / "several"
    for name in ("one", "two"):
        shutil.move(cache(shards, name=name), folder / name)
    words = cached_words(tiny_vae, folder, tmp_path / "out")
    stream = build_stream(tiny_model.modality, words)
    counted = Counter(stream.get(place).tokens.tokens.sum().item() for place in range(34))
    assert set(counted.values()) == {2}
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (32, 32)).save(pictures / "a.png")
    (pictures / "a.txt").write_text("black")
    shutil.move(cache(pictures, kind="folder"), folder / "three")
    assert "some are of a stream, as of shards, and some are not" in refusal("train", *words)


def test_what_changed_since_it_was_indexed_is_left_out_and_named(
    shards, cache, tiny_vae, tiny_model, tmp_path
):
    """Its latents are not there; lengths and places of the others stay."""
    tar = shards / "1.tar"
    status, content = tar.stat(), tar.read_bytes()
    place = content.index(picture(7))
    tar.write_bytes(content[: place + 40] + b"x" + content[place + 41 :])
    os.utime(tar, ns=(status.st_atime_ns, status.st_mtime_ns))
    made = cache(shards)
    (line,) = [json.loads(each) for each in (made / "quarantine.jsonl").read_text().splitlines()]
    assert line["path"] == "1.tar/00007.png"
    assert "its content is not that of the index" in line["reason"]
    stream = build_stream(tiny_model.modality, cached_words(tiny_vae, made, tmp_path / "out"))
    lengths = [stream.num_positions(place) for place in range(17)]
    assert lengths.count(None) == 1
    captions = [stream.get(n).caption for n, length in enumerate(lengths) if length is not None]
    assert "picture 7" not in captions
    assert len(captions) == 16


def test_features_of_all_captions_of_a_stream_are_kept(
    shards, cache, encoder_folders, tiny_vae, tmp_path, monkeypatch
):
    path = encoder_folders["gemma_2b"]
    words = ["text_encoder=gemma_2b", f"text_encoder.path={path}", "text_encoder.dtype=float32"]
    folder = cache(shards, *words)
    assert Cache(folder).manifest["num_texts"] == 16 + 2 + 1
    monkeypatch.setattr(frozen, "read_weights", refuse)
    words = cached_words(tiny_vae, folder, tmp_path / "out", "max_steps=6")
    assert main(["train", *(word for word in words if not word.startswith("text_encoder"))]) == 0

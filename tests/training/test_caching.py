"""The command `cache`: what it encodes, what it finds again, and what it survives."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from on_ranks import on_ranks
from PIL import Image

from damage import limited_files
from lumina_core.cli.main import main
from lumina_core.data.caches.reading import Cache
from lumina_core.data.caches.store import Store
from lumina_core.data.listing import list_folder
from lumina_core.data.pool import encode_sample
from lumina_core.training import caching

SIZES = [(32, 32), (48, 32), (24, 40)]


def write_picture(path, number, caption=None):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", SIZES[number % 3], (20 * number, 99, 7 * number)).save(path)
    path.with_suffix(".txt").write_text(caption or f"picture {number % 4}")


@pytest.fixture
def pictures(tmp_path):
    """Twelve different pictures of three sizes, with four different captions."""
    for number in range(12):
        write_picture(tmp_path / "set" / f"{number:02}.png", number)
    return tmp_path / "set"


@pytest.fixture
def words(tiny_vae, pictures, tmp_path):
    """The words of a cache of them in small files; later words win."""
    return [
        *("cache", "+modality=image", f"modality.vae={tiny_vae}", f"out={tmp_path / 'cache'}"),
        *("data=folder", f"data.path={pictures}", "data.min_tokens=4", "shard_megabytes=0.004"),
    ]


@pytest.fixture
def cache(words, capsys):
    """Run it with further words; gives what it printed."""

    def run(*more):
        capsys.readouterr()
        assert main([*words, *more]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def out(tmp_path):
    return tmp_path / "cache"


def contents(out):
    """The files of a cache by their names, but for those that are hidden."""
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_a_cache_holds_what_a_training_would_encode(cache, out, pictures, tiny_model):
    printed = cache()
    assert (printed["num_samples"], printed["num_encoded"]) == (12, 12)
    assert printed["num_bytes"] == sum(len(content) for content in contents(out).values())
    found, items = Cache(out), list_folder(pictures, (".png",)).items
    assert len(found) == len(items) == 12
    assert len(found.manifest["latents"]) > 2
    for number, item in enumerate(items):
        told = found.item(number)
        assert (told.name, told.caption, told.reason) == (item.name, item.caption, "")
        modality = tiny_model.modality
        media = modality.read(item.path, modality.options)
        wanted = encode_sample("image", modality, media, modality.options, item.caption).tokens
        given = found.tokens(number)
        assert given.grid == wanted.grid
        assert torch.equal(given.tokens, wanted.tokens)
        assert (given.modality, given.features) == ("image", None)


def test_what_is_there_is_not_encoded_again(cache, out, pictures, monkeypatch):
    cache()
    before = contents(out)
    assert cache()["num_encoded"] == 0
    assert contents(out) == before
    write_picture(pictures / "00a.png", 13)  # new, in the middle of the others
    write_picture(pictures / "03.png", 14)  # another picture under a name that is there
    (pictures / "05.png").unlink()
    (pictures / "05.txt").unlink()
    (pictures / "07.txt").write_text("another caption")
    shutil.copy(pictures / "01.png", pictures / "zz.png")
    (pictures / "zz.txt").write_text("the same picture")
    calls = []
    monkeypatch.setattr(
        caching, "encode_sample", lambda *args: calls.append(args) or encode_sample(*args)
    )
    printed = cache()
    assert (printed["num_samples"], printed["num_encoded"], len(calls)) == (13, 2, 2)
    found = Cache(out)
    names = [path.name for path in sorted(pictures.glob("*.png"))]
    assert [found.item(number).name for number in range(13)] == names
    assert torch.equal(found.tokens(2).tokens, found.tokens(12).tokens)
    assert found.item(names.index("07.png")).caption == "another caption"


def test_only_what_the_manifest_names_is_kept(cache, out, pictures):
    cache()
    for path in pictures.glob("*.png"):
        write_picture(path, int(path.stem) + 1, "moved on")
    cache("shard_megabytes=1")
    kinds = ("latents", "texts", "index", "lookup")
    manifest = json.loads((out / "cache.json").read_text())
    named = {name for kind in kinds for name in manifest[kind]}
    assert contents(out).keys() == named | {"cache.json"}


def test_a_killed_cache_goes_on_after_its_last_file(words, out, cache, tmp_path, capsys):
    """Killed at moments from the first file to the last; what it makes in the end is the same."""
    whole = cache(f"out={tmp_path / 'whole'}")
    counts = []
    for seconds in (0.02, 0.05, 0.1, 0.2, 0.4):
        child = os.fork()
        if child == 0:  # torch and all else is imported already
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os._exit(main(words))
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        store = out.is_dir() and [path for path in out.glob("latents-*")]
        counts.append(len(store or []))
    assert counts == sorted(counts)
    cache()
    first, second = (Cache(folder) for folder in (out, tmp_path / "whole"))
    assert len(first) == whole["num_samples"]
    for number in range(len(first)):
        assert first.item(number) == second.item(number)
        assert torch.equal(first.tokens(number).tokens, second.tokens(number).tokens)


def test_a_table_that_was_written_before_the_end_is_kept(cache, words, out, monkeypatch, capsys):
    flush, calls = Store.flush, []

    def interrupted(store):
        calls.append(store)
        if len(calls) == 3:
            raise KeyboardInterrupt
        flush(store)

    monkeypatch.setattr(Store, "flush", interrupted)
    assert main(words) == 130
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith("before its end; whole files are kept, go on with the same command")
    monkeypatch.undo()
    assert {path.name.partition("-")[0] for path in out.iterdir()} == {"latents"}
    num_kept = sum(1 for _ in out.iterdir())
    assert num_kept == 2
    assert cache()["num_encoded"] < 12


def test_a_full_disk_is_one_line_and_loses_nothing(words, out, cache, refusal):
    with limited_files(3000):
        assert "cannot be written: File too large" in refusal(*words)
    assert not list(out.glob("*"))
    cache()
    before = contents(out)
    with limited_files(500):
        assert "cannot be written: File too large" in refusal(*words)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("word", "differing"),
    [
        ("data.max_tokens=9", "limits.max_tokens is 256, not 9"),
        ("store_dtype=bfloat16", "dtype is float32, not bfloat16"),
        ("modality.vae={other_vae}", "autoencoder.latents_mean is [9.0, 9.0, 9.0, 9.0]"),
    ],
)
def test_what_was_encoded_otherwise_is_only_replaced_when_asked(
    cache, words, out, other_vae, refusal, word, differing
):
    word = word.format(other_vae=other_vae)
    cache(word) if "vae" in word else cache()
    before = contents(out)
    error = refusal(*words) if "vae" in word else refusal(*words, word)
    assert differing in error
    assert "or encode it anew with overwrite=true" in error
    assert contents(out) == before
    cache(*([] if "vae" in word else [word]), "overwrite=true")
    assert not contents(out).keys() & before.keys() - {"cache.json"}
    assert len(Cache(out)) == 12


def test_items_that_cannot_be_used_are_named_and_counted(cache, words, out, pictures, refusal):
    (pictures / "04.png").write_bytes((pictures / "04.png").read_bytes()[:40])
    (pictures / "06.txt").unlink()
    printed = cache("data.max_quarantined=0.2")
    assert (printed["num_samples"], printed["num_unusable"]) == (10, 1)
    lines = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert {line["path"] for line in lines} == {"04.png", "06.png"}
    error = refusal(*words)
    assert "17% of the items" in error
    assert "data.max_quarantined=0.1" in error
    for path in pictures.glob("*.png"):
        path.write_bytes(b"")
    assert "cannot be used" in refusal(*words, "data.max_quarantined=1")
    for path in pictures.glob("*.txt"):
        path.unlink()
    assert "none of its 12 items can be used" in refusal(*words)


def test_samples_of_a_world_are_those_of_a_training(words, out, cache, tiny_model):
    from lumina_core.training.compose import compose_train
    from lumina_core.training.pool import build_source

    word = [each for each in words if not each.startswith("data")][1:]
    more = ["data=synthetic", "data.max_tokens=64", "num_samples=5", "seed=3"]
    assert main(["cache", *word, *more]) == 0
    found = Cache(out)
    config = compose_train([*word[:2], *more[:2], "seed=3"])
    pool = build_source(config, "image", tiny_model.modality)
    for number in range(5):
        wanted = pool.draw(number)
        assert found.item(number).caption == wanted.caption
        assert torch.equal(found.tokens(number).tokens, wanted.tokens.tokens)


def test_a_request_for_a_cache_is_refused_in_one_line(words, refusal, tmp_path, pictures):
    start = words[:3]
    assert "num_samples=1000" in refusal(*start, f"out={tmp_path / 'x'}")
    assert "data.pool_size has no effect in cache" in refusal(*words, "data.pool_size=4")
    assert "num_samples=3 is for samples of a world" in refusal(*words, "num_samples=3")
    assert f"{pictures} holds '00.png', which is no part of a cache" in refusal(
        *words, f"out={pictures}"
    )
    assert "is a file; choose a folder" in refusal(*words, f"out={pictures / '00.png'}")
    assert not (tmp_path / "x").exists()
    assert sorted(Path(tmp_path / "set").glob(".*")) == []


def test_two_ranks_encode_what_one_does(words, cache, out, tmp_path, pictures):
    (pictures / "05.png").write_bytes(b"broken")
    done = on_ranks("lumina_core", *words, f"out={tmp_path / 'two'}", module=True)
    assert done.returncode == 0, done.stderr
    (printed,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    single = cache()
    for key in ("num_samples", "num_unusable", "num_encoded"):
        assert printed[key] == single[key]
    first, second = Cache(out), Cache(tmp_path / "two")
    for number in range(12):
        assert first.item(number) == second.item(number)
        if not first.item(number).reason:
            assert torch.equal(first.tokens(number).tokens, second.tokens(number).tokens)
    assert contents(tmp_path / "two").keys() >= {"cache.json", "quarantine.jsonl"}

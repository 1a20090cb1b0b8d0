import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from lumina_core import LuminaError, SizeLimits
from lumina_core.data.file_pool import QUARANTINE
from lumina_core.data.mixture import Mixture
from lumina_core.data.settings import FilesConfig
from lumina_core.media.fitting import fitted_size
from lumina_core.runtime import seeded
from lumina_core.training import pool as source
from lumina_core.training.compose import compose_train
from lumina_core.training.pool import build_source

LIMITS = "data.min_tokens=4 data.max_tokens=16 data.max_aspect=4"


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures, each of its own grey, captioned with its number."""
    for number in range(12):
        write_picture(tmp_path / "set" / f"{number:02}.png", (32, 24), number)
    return tmp_path / "set"


def write_picture(path, size, number):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, (20 * number,) * 3).save(path)
    path.with_suffix(".txt").write_text(f"picture {number}")


@pytest.fixture
def build(tiny_training, tiny_model, tmp_path):
    """Build the pool of a folder with the settings given, and count what is encoded."""

    def build_(folder, *words, pool_size=100, refresh=0, is_resumed=False):
        numbers = [f"data.pool_size={pool_size}", f"data.refresh_per_step={refresh}"]
        more = ["data=folder", f"data.path={folder}", *LIMITS.split(), *numbers, *words]
        config = compose_train(tiny_training(tmp_path / "out", *more))
        return build_source(replace(config, resume=is_resumed), "image", tiny_model.modality)

    return build_


def captions(pool):
    return [None if sample is None else sample.caption for sample in pool._samples]


def quarantine(tmp_path):
    lines = (tmp_path / "out" / QUARANTINE).read_text().splitlines()
    return {entry["path"]: entry["reason"] for entry in map(json.loads, lines)}


def test_a_set_that_fits_is_encoded_once(build, folder, tiny_model, monkeypatch):
    calls = []
    encode = tiny_model.modality.vae.encode
    monkeypatch.setattr(
        tiny_model.modality.vae, "encode", lambda media: calls.append(1) or encode(media)
    )
    pool = build(folder, refresh=3)
    for step in (0, 1, 2, 50):
        pool.advance(step)
    assert len(calls) == 12
    assert sorted(captions(pool)) == sorted(f"picture {number}" for number in range(12))
    picked = Mixture({"image": pool}, {"image": 1}, 300).pick(4).batches[0]
    assert {pool.get(pick.number).tokens.grid.num_patches for pick in picked} == {12}


def test_a_larger_set_goes_through_every_item_in_each_epoch(build, folder):
    pool = build(folder, pool_size=4, refresh=2)
    seen = []
    for step in range(17):
        pool.advance(step)
        seen += captions(pool) if step == 0 else captions(pool)[-2:]
    everything = sorted(f"picture {number}" for number in range(12))
    epochs = [seen[start : start + 12] for start in (0, 12, 24)]
    assert [sorted(epoch) for epoch in epochs] == [everything] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_files_set_aside_for_validation_are_never_trained_on(build, folder, tmp_path):
    words = ("validate_every=5", "num_validation_samples=3")
    pool, again = build(folder, *words), build(folder, *words)
    pool.advance(0)
    held = [pool.held_out(number).caption for number in range(3)]
    assert held == [again.held_out(number).caption for number in range(3)]
    assert sorted(captions(pool) + held) == sorted(f"picture {number}" for number in range(12))
    assert not set(held) & set(pool.vocabulary_captions(seeded(0)))
    assert (pool.summary()["num_items"], pool.summary()["num_held"]) == (9, 3)
    held = [build(folder, *words, "seed=5").held_out(number).caption for number in range(3)]
    assert held != [again.held_out(number).caption for number in range(3)]


def test_a_file_with_two_captions_is_set_aside_whole(build, folder, tmp_path):
    lines = [
        json.dumps({"file_name": f"{number:02}.png", "text": f"{word} {number}"})
        for number in range(12)
        for word in ("picture", "square")
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    pool = build(folder, "validate_every=5", "num_validation_samples=3")
    held = {item.name for item in pool._held}
    assert (len(held), len(pool._held), len(pool._items)) == (3, 6, 18)
    assert not held & {item.name for item in pool._items}


def test_a_set_must_be_larger_than_what_is_set_aside(build, folder):
    with pytest.raises(LuminaError, match="num_validation_samples=12 are set aside"):
        build(folder, "validate_every=5", "num_validation_samples=12")


def test_files_pool_depends_on_seed_and_step_alone(build, folder):
    pools = [build(folder, *words, pool_size=4, refresh=2) for words in ([], [], ["seed=1"])]
    for step in range(8):
        pools[0].advance(step)
    for pool in pools[1:]:
        pool.advance(7)
    assert captions(pools[0]) == captions(pools[1]) != captions(pools[2])
    for first, second in zip(pools[0]._samples, pools[1]._samples, strict=True):
        assert torch.equal(first.tokens.tokens, second.tokens.tokens)


def test_what_cannot_be_used_is_named_once(build, folder, tmp_path, capsys):
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:60])
    (folder / "04.png").write_bytes(b"")
    (folder / "05.txt").unlink()
    write_picture(folder / "06.png", (15, 15), 6)
    write_picture(folder / "07.png", (200, 40), 7)
    pool = build(folder, "data.max_quarantined=0.5", pool_size=4, refresh=2)
    for step in range(20):
        pool.advance(step)
    reasons = quarantine(tmp_path)
    assert reasons.keys() == {f"0{number}.png" for number in range(3, 8)}
    assert "cannot be read as a picture" in reasons["03.png"]
    assert "cannot be read as a picture" in reasons["04.png"]
    assert "no caption" in reasons["05.png"]
    assert "too small" in reasons["06.png"]
    assert "max_aspect" in reasons["07.png"]
    assert len((tmp_path / "out" / QUARANTINE).read_text().splitlines()) == 5
    assert pool.summary()["num_quarantined"] == 5
    err = capsys.readouterr().err
    assert err.startswith("warning: ")
    assert err.count("\n") == 1


def test_texts_without_a_medium_are_named_but_are_no_items(build, folder, tmp_path, capsys):
    (folder / "README.txt").write_text("about these pictures")
    (folder / "list.txt").write_text("a list")
    (folder / "list.json").write_text("{}")
    pool = build(folder, "data.max_quarantined=0")
    pool.advance(0)
    reasons = quarantine(tmp_path)
    assert reasons.keys() == {"README.txt", "list.txt"}
    assert reasons["README.txt"] == "it lies beside no medium"
    assert "list.json cannot be read as a picture: it is none of PNG" in reasons["list.txt"]
    assert sorted(captions(pool)) == sorted(f"picture {number}" for number in range(12))
    assert "2 items" in capsys.readouterr().err


def test_a_resumed_run_goes_on_with_its_quarantine(build, folder, tmp_path):
    (folder / "03.png").write_bytes(b"")
    build(folder, "data.max_quarantined=0.5").advance(0)
    with (tmp_path / "out" / QUARANTINE).open("ab") as file:
        file.write(b'{bad"}\n{"pa"}\n[1]\n{"path": 5, "a": "b"}\n\xff\xfe"}\n{"path": "cut')
    pool = build(folder, "data.max_quarantined=0.5", is_resumed=True)
    pool.restore({"num_quarantined": 1})
    pool.advance(3)
    assert quarantine(tmp_path).keys() == {"03.png"}
    assert pool.summary()["num_quarantined"] == 1


def test_a_new_run_begins_its_quarantine_anew(build, folder, tmp_path):
    path = tmp_path / "out" / QUARANTINE
    path.parent.mkdir()
    path.write_text('{"path": "old.png", "reason": "x"}\n')
    build(folder).advance(0)
    assert not path.exists()
    path.mkdir()
    with pytest.raises(LuminaError, match="cannot be replaced"):
        build(folder).advance(0)
    pool = build(folder, is_resumed=True)
    pool.restore({"num_quarantined": 1})
    with pytest.raises(LuminaError, match="move it away"):
        pool.advance(0)


@pytest.mark.parametrize("kind", ["captions", "pictures", "both"])
def test_too_many_broken_items_end_the_run(build, folder, tmp_path, kind):
    broken = {"captions": ("txt", "txt"), "pictures": ("png", "png"), "both": ("txt", "png")}[kind]
    for number, suffix in enumerate(broken):
        (folder / f"0{number}.{suffix}").write_bytes(b"")
    build(folder, "data.max_quarantined=0.17").advance(0)  # 2 of 12 are 0.167
    with pytest.raises(LuminaError, match=r"17% of the items of data\.path=.*0\.16; one is 0") as e:
        build(folder, "data.max_quarantined=0.16").advance(0)
    assert "\n" not in str(e.value)
    assert quarantine(tmp_path).keys() == {"00.png", "01.png"}


@pytest.mark.parametrize("has_metadata", [False, True])
def test_every_kind_of_file_that_is_read_is_used(build, tmp_path, has_metadata):
    names = ["0.png", "1.gif", "2.tif", "3.BMP", "4.tiff", "5.webp", "6.jpg"]
    for number, name in enumerate(names):
        write_picture(tmp_path / "set" / name, (32, 24), number)
    if has_metadata:
        records = [{"file_name": name, "text": f"picture {name[0]}"} for name in names]
        path = tmp_path / "set" / "metadata.jsonl"
        path.write_text("\n".join(json.dumps(record) for record in records))
    pool = build(tmp_path / "set", "data.max_quarantined=0")
    pool.advance(0)
    assert sorted(captions(pool)) == [f"picture {number}" for number in range(7)]


def test_a_decoder_that_names_no_other_kinds_reads_what_it_writes(
    build, folder, tiny_model, monkeypatch
):
    write_picture(folder / "12.gif", (32, 24), 12)
    (folder / "12.txt").unlink()  # else the text would tell that it is a medium
    assert build(folder)._skipped.keys() == {"12.gif"}
    monkeypatch.delattr(type(tiny_model.modality.decoder.part), "read_suffixes")
    assert not build(folder)._skipped


@pytest.mark.parametrize("num_held", [0, 3])
def test_files_set_aside_count_as_files(build, folder, num_held):
    (folder / "00.png").write_bytes(b"")
    (folder / "01.txt").unlink()
    aside = ["validate_every=1", f"num_validation_samples={num_held}"] if num_held else []

    def read_all(most):
        pool = build(folder, f"data.max_quarantined={most}", *aside)
        pool.advance(0)
        for number in range(num_held):
            pool.held_out(number)

    read_all(0.17)  # 2 of 12 are 0.167
    with pytest.raises(LuminaError, match="17% of the items"):
        read_all(0.16)


def test_a_budget_holds_a_sample_of_full_size_with_its_separators(build, folder):
    build(folder, "token_budget=24")  # 8 rows of 2 tokens and a separator
    with pytest.raises(LuminaError, match="one sample of up to 24 positions"):
        build(folder, "token_budget=23")
    build(folder, "token_budget=16", "backbone.separators=false")
    for rows, columns in ((8, 2), (2, 8), (4, 4), (1, 4), (5, 3)):
        size = fitted_size(rows * 8, columns * 8, 8, SizeLimits(1, 16, 4.0))
        assert size[0] // 8 * (size[1] // 8 + 1) <= 24


@pytest.fixture
def describing(tiny_model, monkeypatch):
    """Pictures whose folder says their height in size.json, which is a feature of the frame."""
    decoder, modality = type(tiny_model.modality.decoder.part), type(tiny_model.modality.part)
    read = decoder.read
    seen = []

    def described(self, path, media, options):
        seen.append((path.name, tuple(media.shape), options))
        if not path.is_dir():
            return options
        try:
            return replace(options, **json.loads((path / "size.json").read_text()))
        except ValueError as error:
            raise LuminaError(f"{path / 'size.json'} is no JSON") from error

    def features(self, options, grid):
        return torch.tensor([[float(options.height)]])

    monkeypatch.setattr(
        decoder, "read", lambda self, path: read(self, path / "0.png" if path.is_dir() else path)
    )
    monkeypatch.setattr(decoder, "folder_files", ("size.json",), raising=False)
    monkeypatch.setattr(modality, "feature_dim", 1, raising=False)
    monkeypatch.setattr(modality, "features", features, raising=False)
    monkeypatch.setattr(modality, "described", described, raising=False)
    return seen


def make_described(folder, name, text):
    write_picture(folder / name / "0.png", (40, 40), 3)
    (folder / name / "size.json").write_text(text)
    (folder / f"{name}.txt").write_text(name)


def test_a_medium_says_its_own_options(build, folder, describing, tmp_path):
    make_described(folder, "chair v1.0", '{"height": 72}')
    make_described(folder, "broken", "{")
    pool = build(folder, "data.max_quarantined=0.5", "modality.height=64")
    pool.advance(0)
    found = {sample.caption: sample.tokens.features for sample in pool._samples if sample}
    assert found.pop("chair v1.0").tolist() == [[72]]
    assert found.keys() == {f"picture {number}" for number in range(12)}
    assert all(features.tolist() == [[64]] for features in found.values())
    assert quarantine(tmp_path) == {"broken": f"{folder / 'broken' / 'size.json'} is no JSON"}
    # of the medium as it is in its file, 40 x 40, before it is fitted
    assert ("chair v1.0", (3, 40, 40)) in [(name, shape) for name, shape, _ in describing]
    assert {options.height for *_, options in describing} == {64}


def test_a_path_to_one_medium_is_refused(build, folder, describing):
    make_described(folder, "chair", "{}")
    with pytest.raises(LuminaError, match=f"name the folder that holds it: data.path={folder}"):
        build(folder / "chair")


def test_a_sample_longer_than_the_budget_is_left_out(build, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "longest_fitted", lambda *_: 0)  # as of one with many frames
    write_picture(folder / "00.png", (32, 32), 0)  # 16 tokens and 4 separators
    pool = build(folder, "token_budget=19")
    pool.advance(0)
    assert "20 positions are more than token_budget=19" in quarantine(tmp_path)["00.png"]
    assert len(Mixture({"image": pool}, {"image": 1}, 19).pick(0).batches[0]) == 1


def test_a_file_that_goes_away_is_left_out(build, folder, tmp_path):
    pool = build(folder)
    (folder / "02.png").unlink()
    pool.advance(0)
    assert quarantine(tmp_path).keys() == {"02.png"}


def test_captions_are_those_of_the_data(build, folder):
    pool = build(folder)
    found = pool.captions(5, seeded(0))
    assert len(set(found)) == 5
    assert set(found) < {f"picture {number}" for number in range(12)}
    assert len(pool.captions(4000, seeded(0))) == 12


def test_a_new_vocabulary_knows_every_caption(build, folder):
    found = build(folder, pool_size=4).vocabulary_captions(seeded(0))
    assert sorted(found) == sorted(f"picture {number}" for number in range(12))


def test_the_summary_names_no_path(build, folder):
    pool = build(folder)
    pool.advance(0)
    assert str(folder) not in json.dumps(pool.summary())
    assert pool.summary()["num_items"] == 12


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.path=null", "data=folder needs to know where: data.path=FOLDER"),
        ("data.path=/nowhere", "data.path=/nowhere is no folder"),
        (
            "data.max_tokens=301",
            "sample of up to 330 positions; set token_budget=330 or more, or a smaller data",
        ),
        ("modality.height=33", "modality.height=33 is not a multiple of 8 pixels"),
    ],
)
def test_a_pool_of_nothing_is_one_line(build, folder, word, message):
    with pytest.raises(LuminaError, match=message) as raised:
        build(folder, word)
    assert "\n" not in str(raised.value)


def test_a_set_without_one_usable_item_is_one_line(build, folder):
    for path in folder.glob("*.txt"):
        path.unlink()
    with pytest.raises(LuminaError, match=r"none of its 12 items can be used; .* 00\.png"):
        build(folder)


def test_a_pool_of_broken_files_is_one_line(build, folder):
    for path in folder.glob("*.png"):
        path.write_bytes(b"")
    pool = build(folder, "data.max_quarantined=1")
    pool.advance(0)
    with pytest.raises(LuminaError, match="none of the samples at hand can be used"):
        next(pool.numbers(0, 0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pool_size", 0), ("refresh_per_step", 5), ("min_tokens", 0), ("min_tokens", 65),
        ("max_aspect", 0.5), ("max_aspect", float("nan")), ("max_quarantined", 1.5),
        ("max_quarantined", -0.1),
    ],
)  # fmt: skip
def test_impossible_settings_of_files_are_refused(key, value):
    config = FilesConfig(path="x", pool_size=4, refresh_per_step=1, min_tokens=4, max_tokens=64)
    with pytest.raises(LuminaError, match=rf"data\.{key}( is |=){value}"):
        replace(config, **{key: value})

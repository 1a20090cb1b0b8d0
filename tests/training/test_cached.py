"""Training from a cache: as from the files themselves, without what encoded them."""

import json
import shutil

import pytest
import torch
from PIL import Image

from lumina_core.checkpoints.newest import finished
from lumina_core.cli.main import main
from lumina_core.data.caches.reading import Cache
from lumina_core.text import frozen
from lumina_core.training.compose import compose_train

SIZES = [(32, 32), (48, 32), (24, 40)]


@pytest.fixture
def pictures(tmp_path):
    """Twelve pictures of three sizes, one of them broken, with four captions."""
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(12):
        path = folder / f"{number:02}.png"
        Image.new("RGB", SIZES[number % 3], (20 * number, 99, 7 * number)).save(path)
        path.with_suffix(".txt").write_text(
            f"a {['red', 'blue', 'green', 'white'][number % 4]} one"
        )
    (folder / "05.png").write_bytes(b"\x89PNG")
    return folder


@pytest.fixture
def cache(tiny_vae, pictures, tmp_path):
    """Make a cache of them with further words; gives its folder."""

    def make(*words):
        out = tmp_path / "cache"
        start = ["cache", "+modality=image", f"modality.vae={tiny_vae}", f"out={out}"]
        data = [
            "data=folder",
            f"data.path={pictures}",
            "data.min_tokens=4",
            "shard_megabytes=0.004",
        ]
        assert main([*start, *data, *words]) == 0
        return out

    return make


def from_files(pictures):
    return ["data=folder", f"data.path={pictures}", "data.min_tokens=4"]


def from_cache(folder):
    return ["data=cache", f"data.path={folder}"]


def untimed(lines):
    """What a log has that no clock and no other process decides."""
    names = ("step", "loss", "gradient_norm", "loss_of", "loss_at", "validation_loss")
    return [{name: line[name] for name in names if name in line} for line in lines]


@pytest.fixture
def trained(tiny_training, tmp_path, metrics):
    """Train with the words given; gives what was measured of each step, and the checkpoint."""
    count = []

    def train(*words):
        out = tmp_path / f"run-{len(count)}"
        count.append(out)
        assert main(["train", *tiny_training(out, *words)]) == 0
        return untimed(metrics(out)), finished(out / "checkpoints")[-1]

    return train


@pytest.fixture
def no_encoding(monkeypatch):
    """No medium and no text is encoded from now on."""
    from lumina_image.image import ImageVAE

    def refuse(*args, **more):
        raise AssertionError("something was encoded")

    return lambda: [
        monkeypatch.setattr(ImageVAE, "encode", refuse),
        monkeypatch.setattr(frozen, "read_weights", refuse),
    ]


MORE = ("max_steps=8", "gradient_accumulation=2", "validate_every=4", "num_validation_samples=2")


@pytest.mark.parametrize("pool", [(), ("data.pool_size=4", "data.refresh_per_step=1")])
def test_a_cache_gives_the_losses_of_its_files_to_the_bit(
    trained, cache, pictures, no_encoding, metrics, pool
):
    folder = cache()
    wanted, first = trained(*from_files(pictures), *MORE, *pool)
    no_encoding()
    given, second = trained(*from_cache(folder), *MORE, *pool)
    assert sum("loss" in entry for entry in wanted) == 8
    assert sum("validation_loss" in entry for entry in wanted) == 2
    assert given == wanted
    weights = [(path / "backbone.safetensors").read_bytes() for path in (first, second)]
    assert weights[0] == weights[1]
    assert (second / "vae" / "image" / "config.json").is_file()


def frozen_words(folder):
    return ["text_encoder=gemma_2b", f"text_encoder.path={folder}", "text_encoder.dtype=float32"]


def test_the_weights_of_a_frozen_text_encoder_are_not_read(
    trained, cache, pictures, encoder_folders, no_encoding
):
    """Sheets of samples and validation are made, too: from captions that are there."""
    words = frozen_words(encoder_folders["gemma_2b"])
    sheets = ["sample_every=4", "num_sample_prompts=2"]
    folder = cache(*words)
    assert Cache(folder).manifest["num_texts"] == 5  # that of no caption among them
    wanted, _ = trained(*from_files(pictures), *words, *MORE, *sheets)
    no_encoding()
    given, checkpoint = trained(*from_cache(folder), *MORE, *sheets)
    assert given == wanted
    about = json.loads((checkpoint / "lumina.json").read_text())["text_encoder"]
    assert about["template"] == "{prompt}"
    assert len(list(checkpoint.parents[1].glob("samples/*.png"))) == 2


def test_what_a_cache_was_made_with_is_taken_from_it(cache, encoder_folders, tiny_vae, tmp_path):
    folder = cache(*frozen_words(encoder_folders["gemma_2b"]), "text_encoder.max_tokens=9")
    start = ["+modality=image", f"out={tmp_path / 'out'}", *from_cache(folder)]
    config = compose_train(start)
    assert config.options.vae == str(tiny_vae)
    assert config.text_encoder.path == str(encoder_folders["gemma_2b"])
    assert config.text_encoder.max_tokens == 9
    assert not config.text_encoder.trainable
    assert compose_train([*start, "text_encoder=tiny"]).text_encoder.trainable
    assert compose_train([*start, "modality.vae=demo"]).options.vae == "demo"


@pytest.fixture
def refused(refusal, tiny_training, tmp_path):
    """The line that refuses a training with these words; nothing is written."""

    def line(*words):
        error = refusal("train", *tiny_training(tmp_path / "no", *words))
        assert not [path for path in (tmp_path / "no").rglob("*") if path.is_file()]
        return error

    return line


def test_a_run_with_another_encoder_is_refused(cache, refused, encoder_folders, other_vae):
    words = frozen_words(encoder_folders["gemma_2b"])
    folder = cache(*words)
    start = from_cache(folder)
    error = refused(*start, f"modality.vae={other_vae}")
    assert f"the latents in {folder} are not those of this run: autoencoder.latents_mean" in error
    error = refused(*start, "modality.patch_size=1")
    assert "options.patch_size is 2, not 1" in error
    error = refused(*start, *words, "text_encoder.max_tokens=7")
    assert (
        f"the text features in {folder} are not those of this run: text_encoder.max_tokens" in error
    )
    error = refused(*start, *words, f"text_encoder.path={encoder_folders['llama2_7b']}")
    assert "text_encoder.sha256 is" in error


def test_a_damaged_file_ends_a_run_in_one_line(cache, refused, refusal):
    folder = cache()
    start, whole = from_cache(folder), {path: path.read_bytes() for path in folder.iterdir()}
    for kind in ("latents", "index"):
        paths = list(folder.glob(f"{kind}-*"))  # all: the first that is read is one of them
        for path in paths:
            path.write_bytes(whole[path][:-1] + bytes([whole[path][-1] ^ 1]))
        told = "is damaged: its sha256 differs; make it anew with the same `cache`"
        error = refused(*start)
        assert any(f"{path} {told}" in error for path in paths)
        for path in paths:
            path.unlink()
        error = refused(*start)
        assert any(f"{path} is missing" in error for path in paths)
        for path in paths:
            path.write_bytes(whole[path])
    manifest = folder / "cache.json"
    manifest.write_bytes(whole[manifest].replace(b'"folder"', b'"follow"'))
    assert "cache.json is damaged: it was edited, or lost something" in refused(*start)
    manifest.write_bytes(whole[manifest][:-5])
    assert "it is no valid JSON" in refused(*start)
    manifest.unlink()
    assert "it is unfinished, for cache.json is missing" in refused(*start)
    assert "name a folder that `cache` wrote" in refused(*from_cache(folder / "nowhere"))
    assert "data=cache needs to know where" in refused("data=cache")


def test_several_caches_are_trained_on_as_one(trained, cache, tmp_path, refused, pictures):
    folder = tmp_path / "caches"
    for name in ("first", "second"):
        shutil.move(cache(), folder / name)
    _, checkpoint = trained(*from_cache(folder))
    data = json.loads((checkpoint / "lumina.json").read_text())["training"]["data"]
    assert data["num_items"] == 24
    assert data["encoding"]["limits"]["min_tokens"] == 4
    shutil.move(cache("store_dtype=bfloat16"), folder / "third")
    assert "were not encoded alike: dtype is float32, not bfloat16" in refused(*from_cache(folder))


def test_a_cache_in_bfloat16_gives_rounded_latents(cache, tmp_path):
    cache("store_dtype=bfloat16", f"out={tmp_path / 'half'}")
    whole, half = Cache(cache()), Cache(tmp_path / "half")
    for number in (0, 1, 2):
        first, second = whole.tokens(number), half.tokens(number)
        assert second.tokens.dtype == torch.float32
        assert torch.equal(first.tokens.bfloat16().float(), second.tokens)


def test_a_run_goes_on_from_a_cache(trained, cache, tiny_training, tmp_path, metrics):
    words = [*from_cache(cache()), "max_steps=6", "save_every=3", "data.pool_size=4"]
    wanted, _ = trained(*words)
    out = tmp_path / "run-0"
    shutil.rmtree(out / "checkpoints" / "step-0000006")
    assert main(["train", "resume=true", f"out={out}"]) == 0
    assert untimed(metrics(out)) == wanted


def test_info_tells_of_a_cache_and_shows_its_samples(cache, other_vae, tmp_path, capsys, refusal):
    folder, sheet = cache(), tmp_path / "sheet.png"
    capsys.readouterr()
    assert main(["info", str(folder), "--json", "--sheet", str(sheet)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["modality"], told["num_samples"], told["num_unusable"]) == ("image", 11, 1)
    assert told["encoding"]["autoencoder"].keys() >= {"sha256", "latents_mean"}
    assert told["latents"]["bytes"] == sum(p.stat().st_size for p in folder.glob("latents-*"))
    with Image.open(sheet) as picture:
        assert min(picture.size) > 300
    assert main(["info", str(folder), f"--sheet={tmp_path / 'again.png'}"]) == 0
    assert (tmp_path / "again.png").read_bytes() == sheet.read_bytes()
    assert "data.name: folder" in capsys.readouterr().out.splitlines()
    assert "is none; leave it out" in refusal("info", str(other_vae), "--sheet", "x.png")


def test_a_sheet_of_another_autoencoder_is_refused(cache, other_vae, tiny_vae, tmp_path, refusal):
    named = shutil.copytree(tiny_vae, tmp_path / "named")
    folder = cache(f"modality.vae={named}")
    shutil.copy(other_vae / "config.json", named / "config.json")
    error = refusal("info", str(folder), "--sheet", str(tmp_path / "sheet.png"))
    assert f"{named} is not the autoencoder of {folder}: latents_mean is" in error
    assert not (tmp_path / "sheet.png").exists()

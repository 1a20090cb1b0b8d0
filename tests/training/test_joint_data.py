"""Several modalities that are trained together on shards and on caches."""

import shutil

import pytest
from streams import LIMITS, make_index, words_of, write_shards

from lumina_core.cli.main import main
from lumina_core.testing.subject import TINY

FIGURES = ("step", "loss", "gradient_norm", "loss_of", "token_share")


@pytest.fixture
def trained(tiny_vae, tmp_path, metrics, small_vocabulary):
    """Train pictures and sounds for some steps; gives the figures of each step."""

    def run(name, data, *more):
        own = [word for word in TINY if not word.startswith("data")]
        sizes = ("token_budget=600", "max_steps=4", "log_every=1", "save_every=2", "num_threads=1")
        words = ["+modality=[image,audio]", *own, *sizes, f"modality.image.vae={tiny_vae}"]
        data = [word.replace("data", f"data.{name}", 1) for name in data for word in data[name]]
        assert main(["train", f"out={tmp_path / name}", *words, *data, *more]) == 0
        return [{key: line[key] for key in FIGURES} for line in metrics(tmp_path / name)]

    return run


def cached(out, *words):
    """The words of a training from a cache, which is made."""
    assert main(["cache", f"out={out}", "device=cpu", *words]) == 0
    return ["data=cache", f"data.path={out}"]


def test_shards_and_caches_are_trained_together_to_the_bit(trained, tiny_vae, tmp_path):
    shards = write_shards(tmp_path / "set")
    make_index(tiny_vae, shards)
    shuffled = "data.shuffle_window=4"
    files = ["data=shards", f"data.path={shards}", *LIMITS, "data.num_workers=0", shuffled]
    sounds = cached(tmp_path / "sounds", "+modality=audio", "num_samples=5")
    first = trained("files", {"image": files, "audio": sounds})
    pictures = cached(tmp_path / "pictures", "+modality=image", *words_of(tiny_vae, shards))
    shutil.rmtree(shards)
    again = trained("caches", {"image": [*pictures, shuffled], "audio": sounds})
    assert len(first) == 4 and first == again
    assert set(first[0]["loss_of"]) == {"image", "audio"}
    assert all(line["token_share"]["image"] == pytest.approx(0.5, abs=0.2) for line in first)
    shutil.rmtree(tmp_path / "caches" / "checkpoints" / "step-0000004")
    assert main(["train", "resume=true", f"out={tmp_path / 'caches'}"]) == 0

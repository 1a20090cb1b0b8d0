"""Streams of the tiny modality of images over shards of numbered pictures."""

from pathlib import Path

from tars import numbered, write_tar

from lumina_core.cli.main import main
from lumina_core.testing.subject import TINY
from lumina_core.training.compose import compose_train
from lumina_core.training.pool import build_source

LIMITS = ("data.min_tokens=4", "data.max_tokens=16")


def write_shards(folder: Path, counts=(5, 7, 4)) -> Path:
    """Shards of pictures that are numbered through."""
    first = 0
    for number, count in enumerate(counts):
        write_tar(folder / f"{number}.tar", numbered(first, first + count))
        first += count
    return folder


def words_of(vae, path, *more, kind="shards"):
    """What `index` and `train` have in common."""
    return [f"modality.vae={vae}", f"data={kind}", f"data.path={path}", *LIMITS, *more]


def make_index(vae, path, *more, **kind):
    words = words_of(vae, path, "data.num_workers=0", *more, **kind)
    assert main(["index", "+modality=image", *words]) == 0


def train_words(vae, path, out, *more):
    """The words of a small training from shards."""
    own = [word for word in TINY if not word.startswith("data.")]
    sizes = ("token_budget=120", "data.num_workers=0", "data.shuffle_window=4", "num_threads=1")
    return ["+modality=image", f"out={out}", *own, *words_of(vae, path, *sizes), *more]


def build_stream(modality, words):
    return build_source(compose_train(words), "image", modality)

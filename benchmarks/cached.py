"""Training from a cache beside training from the files themselves: losses, speed and size.

    python benchmarks/cached.py [FOLDER] [pairs=3] [KEY=VALUE ...]

Without FOLDER it draws 600 pictures of 256 x 256 of the world of pictures into a temporary folder.
Further words are those of `train`. Each pair trains once from the files and once from the cache,
in this process, one after the other, and the order changes from pair to pair. A pool of 128 that
takes 8 new samples per step, so files are encoded throughout, as where a data set is large.

Prints for each pair the seconds from the first step to the last, and whether all losses are equal;
then the median of the steps per second, and the bytes of files, cache and cache in bfloat16.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from lumina_core.cli.main import main
from lumina_core.config.compose import compose_options
from lumina_core.media.pictures import as_image
from lumina_core.plugins import host
from lumina_core.runtime import seeded

NUM_PICTURES, SIDE, NUM_STEPS = 600, 256, 24
TRAINING = (
    *("+modality=image", f"max_steps={NUM_STEPS}", "token_budget=2900", "log_every=1"),
    *("sample_every=0", "save_every=0", "num_threads=2", "data.pool_size=128"),
    *("data.pool_start=128", "data.refresh_per_step=8"),
)


def draw(folder: Path) -> None:
    """Write pictures of the world with their captions."""
    options = replace(compose_options("image"), height=SIDE, width=SIDE)
    world = host.modality_class("image")(options, Path()).world
    for number in range(NUM_PICTURES):
        generator = seeded(0, number)
        caption = world.caption(world.splits[0], generator)
        path = folder / f"{number:04}.png"
        as_image(world.draw(caption, options, generator)).save(path)
        path.with_suffix(".txt").write_text(caption)


def trained(out: Path, *words: str) -> tuple[float, list[float]]:
    """Seconds from the first step to the last, and all losses."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["train", f"out={out}", *TRAINING, *words]) == 0
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return sum(line["seconds"] for line in lines[1:]), [line["loss"] for line in lines]


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(work: Path, data: Path, pairs: int, words: list[str]) -> None:
    """Make the caches and train."""
    files = ["data=folder", f"data.path={data}"]
    for name in ("float32", "bfloat16"):
        started = time.perf_counter()
        more = [f"out={work / name}", f"store_dtype={name}", "num_threads=2"]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            assert main(["cache", "+modality=image", *files, *more]) == 0
        print(f"cached in {name}: {time.perf_counter() - started:.1f} s", flush=True)
    cache = ["data=cache", f"data.path={work / 'float32'}"]
    found: dict[str, list[float]] = {"files": [], "cache": []}
    for pair in range(pairs):
        losses = []
        kinds = [("files", files), ("cache", cache)]
        for kind, source in kinds[:: 1 if pair % 2 else -1]:
            seconds, each = trained(work / f"{kind}-{pair}", *source, *words)
            found[kind].append((NUM_STEPS - 1) / seconds)
            losses.append(each)
        told = {kind: round(rates[-1], 3) for kind, rates in found.items()}
        print(json.dumps({"steps_per_second": told, "equal": losses[0] == losses[1]}), flush=True)
    sizes = {name: size_of(work / name) for name in ("float32", "bfloat16")}
    rates = {kind: round(median(each), 3) for kind, each in found.items()}
    print(json.dumps({"median": rates, "bytes": {"files": size_of(data), **sizes}}))


if __name__ == "__main__":
    words = sys.argv[1:]
    pairs = next((int(word[6:]) for word in words if word.startswith("pairs=")), 3)
    folders = [Path(word) for word in words if "=" not in word]
    others = [word for word in words if "=" in word and not word.startswith("pairs=")]
    with tempfile.TemporaryDirectory() as place:
        data = folders[0] if folders else Path(place) / "pictures"
        if not folders:
            data.mkdir()
            draw(data)
        measure(Path(place), data, pairs, others)

"""What the index of a very large data set costs: seconds and memory, of a made-up one.

    python benchmarks/index.py [items=100000000] [shards=10000] [folder=FOLDER]

Writes an index of so many items in a temporary folder (90 bytes an item) and uses it as a training
does. Prints the seconds to write it, to open it with its order, to look at all lengths and to set
media aside; look-ups per second from the middle of an epoch; and MiB of memory that this took,
without the pages of the file, which the system takes back when it needs them.
"""

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from lumina_core.data.index import (
    CONTENT_BYTES,
    VERSION,
    About,
    Index,
    Shard,
    write_index,
)
from lumina_core.data.order import Order, set_aside

KIB_PER_MIB = 1024
NAME, CAPTION = b"000000000.jpg", b"a photo of a small red house by a lake"
WINDOW, NUM_HELD = 65536, 1000
NUM_LOOK_UPS = 100_000


def column(number: int, num_items: int, name: str) -> np.ndarray:
    """A column of one made-up shard."""
    counts = np.arange(1, num_items + 1)
    if name == "content":
        random = np.random.default_rng(number)
        return random.integers(0, 256, (num_items, CONTENT_BYTES), np.uint8)
    if name == "grid":
        rows = 16 + counts % 48
        return np.stack([np.ones_like(rows), rows, 80 - rows], axis=1)
    texts = {"captions": CAPTION, "names": NAME}
    if name in texts:
        return np.frombuffer(texts[name] * num_items, np.uint8)
    widths = {"offset": 1024, "size": 1, "captions_end": len(CAPTION), "name_end": len(NAME)}
    return widths[name] * counts


def make(path: Path, num_items: int, num_shards: int) -> None:
    """Write the index."""
    each = num_items // num_shards
    shards = tuple(Shard(f"{number:05}.tar", each, 1, 1) for number in range(num_shards))
    about = About(VERSION, "shards", "image", {}, 0, "0" * 64, shards)
    write_index(path, about, [partial(column, number, each) for number in range(num_shards)])


def own_memory() -> float:
    """MiB of this process without pages of files."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / KIB_PER_MIB


def measure(path: Path) -> dict[str, float]:
    """Use an index as a training does; seconds, look-ups per second, and MiB."""
    before, found = own_memory(), {}

    def timed(name: str, begun: float) -> None:
        found[name] = time.perf_counter() - begun

    begun = time.perf_counter()
    index = Index(path)
    order = Order([shard.num_items for shard in index.about.shards], 0, WINDOW)
    timed("open_seconds", begun)
    found["open_mib"] = own_memory() - before
    first = order.num_items // 2
    begun = time.perf_counter()
    order.at(first)
    timed("first_look_up_seconds", begun)
    begun = time.perf_counter()
    for place in range(first, first + NUM_LOOK_UPS):
        index.num_positions(order.at(place).item, True)
    found["lengths_per_second"] = NUM_LOOK_UPS / (time.perf_counter() - begun)
    begun = time.perf_counter()
    for place in range(first, first + NUM_LOOK_UPS):
        index.captions(order.at(place).item)
    found["captions_per_second"] = NUM_LOOK_UPS / (time.perf_counter() - begun)
    begun = time.perf_counter()
    index.num_longer(1024, True)
    timed("all_lengths_seconds", begun)
    begun = time.perf_counter()
    set_aside(index.content, NUM_HELD, 0)
    timed("set_aside_seconds", begun)
    found["used_mib"] = own_memory() - before
    return found


def main() -> None:
    """Make an index and measure it."""
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    num_items, num_shards = int(words.get("items", 10**8)), int(words.get("shards", 10**4))
    with tempfile.TemporaryDirectory(dir=words.get("folder")) as folder:
        path = Path(folder, "made-up.index")
        begun = time.perf_counter()
        make(path, num_items, num_shards)
        told = {"write_seconds": time.perf_counter() - begun, "gib": path.stat().st_size / 2**30}
        print(json.dumps({k: round(v, 4) for k, v in {**told, **measure(path)}.items()}, indent=1))


if __name__ == "__main__":
    main()

import json

import numpy as np
import pytest

from lumina_core import LuminaError
from lumina_core.data.index import (
    COLUMNS,
    About,
    Index,
    Indexed,
    Shard,
    columns_of,
    digest_of,
    write_index,
)
from lumina_core.data.order import Order


def item(number):
    captions = tuple(f"a {word} {number}" for word in ("dög", "cat")[: 1 + number % 2])
    content = bytes([number]) * 16
    return Indexed(
        f"{number}.png", captions, 512 * number, 100 + number, (1, number + 1, 2), content
    )


def about(*counts):
    shards = tuple(Shard(f"{n}.tar", count, 99, n) for n, count in enumerate(counts))
    return About(1, "shards", "image", {"options": {"patch_size": 2}}, 3, "0" * 64, shards)


@pytest.fixture
def path(tmp_path):
    """An index of seven items in three shards, one of which is empty."""
    parts = [
        columns_of([item(n) for n in range(4)]),
        columns_of([]),
        columns_of([item(4), item(5)]),
    ]
    path = tmp_path / "x.index"
    write_index(path, about(4, 0, 2), [part.__getitem__ for part in parts])
    return path


def test_index_gives_back_every_item(path):
    index = Index(path)
    assert index.about == about(4, 0, 2)
    assert [index.item(n) for n in range(len(index))] == [item(n) for n in range(6)]
    assert [index.shard_of(n).name for n in range(6)] == ["0.tar"] * 4 + ["2.tar"] * 2
    assert index.captions(3) == ["a dög 3", "a cat 3"]
    assert index.content[5].tolist() == [5] * 16


def test_index_knows_the_length_with_and_without_separators(path):
    index = Index(path)
    assert [index.num_positions(n, False) for n in range(3)] == [2, 4, 6]
    assert [index.num_positions(n, True) for n in range(3)] == [3, 6, 9]


def test_columns_are_mapped_and_not_read(path):
    content = Index(path).content
    assert not content.flags.owndata


def test_the_hash_of_columns_tells_items_apart():
    one, other = columns_of([item(1)]), columns_of([item(2)])
    assert digest_of(one) == digest_of(columns_of([item(1)])) != digest_of(other)


def test_the_number_of_longer_items_is_that_of_their_lengths(path, monkeypatch):
    monkeypatch.setattr("lumina_core.data.index._SCANNED", 4)
    index = Index(path)
    for separators in (False, True):
        lengths = [index.num_positions(n, separators) for n in range(len(index))]
        for limit in (1, 6, 9, 100):
            assert index.num_longer(limit, separators) == sum(each > limit for each in lengths)


def own_memory():
    """Bytes of this process without pages of files."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def test_a_large_index_needs_no_memory_of_its_size(tmp_path):
    each, num_shards, path = 10_000, 40, tmp_path / "large.index"
    rows = 1 + np.arange(each) % 50
    part = columns_of([item(0)]) | {
        "offset": np.arange(each),
        "size": np.full(each, 9),
        "captions_end": 30 * np.arange(1, each + 1),
        "name_end": 9 * np.arange(1, each + 1),
        "grid": np.stack([np.ones(each, np.int64), rows, rows], axis=1),
        "content": np.random.default_rng(0).integers(0, 256, (each, 16), np.uint8),
        "captions": np.frombuffer(b"a" * 30 * each, np.uint8),
        "names": np.frombuffer(b"n" * 9 * each, np.uint8),
    }
    write_index(path, about(*[each] * num_shards), [part.__getitem__] * num_shards)
    size = path.stat().st_size
    assert size > 30 * 2**20
    before = own_memory()
    index = Index(path)
    order = Order([shard.num_items for shard in index.about.shards], 0, 4096)
    first = 3 * each * num_shards // 2
    items = [order.at(place).item for place in range(first, first + 20_000)]
    lengths = {index.num_positions(number, True) for number in items}
    assert len(set(items)) == 20_000
    assert lengths == {side * (side + 1) for side in range(1, 51)}
    assert index.captions(items[-1]) == ["a" * 30]
    assert own_memory() - before < size // 4


def damaged(content, what):
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    told = json.loads(header["__metadata__"]["lumina_index"])
    if what == "cut":
        return content[:-1]
    if what == "text":
        return b"no safetensors"
    if what == "version":
        told["version"] = 2
    if what == "counts":
        told["shards"][0][1] += 1
    if what == "lacking":
        del header["size"]
    header["__metadata__"] = {} if what == "other" else {"lumina_index": json.dumps(told)}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


@pytest.mark.parametrize("what", ["cut", "text", "version", "counts", "lacking", "other"])
def test_a_damaged_index_is_one_line(path, what):
    path.write_bytes(damaged(path.read_bytes(), what))
    with pytest.raises(LuminaError, match="make it with the command index") as raised:
        Index(path)
    assert "\n" not in str(raised.value)


def test_no_index_is_one_line(tmp_path):
    with pytest.raises(LuminaError, match=r"there is no index .*none; make it with"):
        Index(tmp_path / "none")


def test_larger_numbers_stand_first_so_that_columns_are_aligned():
    sizes = {"I64": 8, "I32": 4, "U8": 1}
    widths = [sizes[column.dtype] for column in COLUMNS.values()]
    assert widths == sorted(widths, reverse=True)
    assert set(columns_of([])) == set(COLUMNS)
    assert all(isinstance(column, np.ndarray) for column in columns_of([]).values())

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
    write_index(path, about(4, 0, 2), [lambda part=part: part for part in parts])
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

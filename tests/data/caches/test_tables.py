"""Tables of a cache: what is written comes back, and damage is seen."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from damage import corrupted, limited_files
from lumina_core import LuminaError
from lumina_core.data.caches.names import table_name
from lumina_core.data.caches.reading import grid_of, grid_row
from lumina_core.data.caches.store import Store
from lumina_core.data.caches.tables import as_bytes, as_text, open_table, write_table
from lumina_core.files.hashes import sha256_of
from lumina_core.sequence import Grid

KEYS = [bytes([number]) * 32 for number in range(4)]
TEXTS = ["", "a red circle", "Müller's ☃\nstar", "\udcff"]
ABOUT = {"modality": "image", "limits": {"max_tokens": 4}}


def columns():
    generator = torch.Generator().manual_seed(3)
    tokens = [torch.randn(length, 3, generator=generator) for length in (2, 0, 5, 1)]
    halves = [rows.bfloat16() for rows in tokens]
    return {"tokens": tokens, "halves": halves, "text": [as_bytes(text) for text in TEXTS]}


@pytest.fixture
def table(tmp_path):
    """The path of a table of four rows."""
    return tmp_path / write_table(tmp_path, "latents", KEYS, columns(), ABOUT).name


def test_a_table_gives_back_every_row(table):
    found = open_table(table)
    assert [found.key(row) for row in range(len(found))] == KEYS
    assert found.about == ABOUT
    for name, rows in columns().items():
        for row, wanted in enumerate(rows):
            given = found.at(name, row)
            assert given.dtype == wanted.dtype
            assert torch.equal(given, wanted)
    assert [as_text(found.at("text", row)) for row in range(4)] == TEXTS


def test_the_name_of_a_table_is_its_content(table, tmp_path):
    again = write_table(tmp_path / "other", "latents", KEYS, columns(), ABOUT)
    assert again.name == table.name
    other = write_table(tmp_path / "other", "latents", KEYS, columns(), {**ABOUT, "modality": "x"})
    assert other.name != table.name


def test_a_damaged_table_is_refused_in_one_line(table):
    whole = table.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(40):
        damaged = corrupted(whole, rng, 500)
        if damaged != whole:
            table.write_bytes(damaged)
            with pytest.raises(
                LuminaError, match=r"damaged: its sha256 differs; make it anew"
            ) as e:
                open_table(table)
            assert "\n" not in str(e.value)
    table.write_bytes(whole)
    assert len(open_table(table)) == 4
    with pytest.raises(LuminaError, match="its sha256 differs"):
        open_table(table, "0" * 64)
    with pytest.raises(LuminaError, match="is missing; make it anew"):
        open_table(table.with_name("latents-0000000000000000.safetensors"))


def test_a_table_that_a_stranger_wrote_is_refused(tmp_path):
    """Its hash is right; its rows lie outside of its columns."""
    keys, ends = torch.zeros(2, 32, dtype=torch.uint8), torch.tensor([1, 3])
    tokens = torch.zeros(3, 2)
    right = {"sha256": keys, "tokens": tokens, "tokens.ends": ends}
    wrong = [
        {"tokens": tokens, "tokens.ends": ends},
        {**right, "sha256": keys.float()},
        {**right, "sha256": keys[:0], "tokens.ends": ends[:0]},
        {**right, "sha256": keys[:, :8].clone()},
        {**right, "tokens.ends": torch.tensor([1, 4])},
        {**right, "tokens.ends": torch.tensor([-1, 3])},
        {**right, "tokens.ends": ends.float()},
        {**right, "tokens.ends": ends[1:].clone()},
        {"sha256": keys, "tokens": tokens},
        {**right, "others.ends": ends.clone()},
    ]
    about = {"about": json.dumps(ABOUT)}
    for tensors, told in [(right, {}), *((each, about) for each in wrong)]:
        with pytest.raises(LuminaError, match="is damaged"):
            open_table(saved(tmp_path, tensors, told))
    assert len(open_table(saved(tmp_path, right, about))) == 2


def saved(folder, tensors, about):
    """A file of safetensors under the name that a table of this content has."""
    save_file(tensors, folder / "new", about)
    return shutil.move(folder / "new", folder / table_name("latents", sha256_of(folder / "new")))


def test_a_grid_comes_back_to_the_last_bit():
    grids = [
        Grid(1, 2, 3, (0.1, 1 / 3, 8.0)),
        Grid(7, 1, 1, (0.0, 2.0, 1e-9), (0.0, 0.5, 1.0), 0.7, 4 / 3),
    ]
    assert [grid_of(grid_row(grid)) for grid in grids] == grids


def test_a_store_writes_at_a_size_and_finds_what_it_wrote(tmp_path):
    store = Store(tmp_path, "latents", ABOUT, max_bytes=100)
    for number in range(10):
        store.add(bytes([number]) * 32, {"tokens": torch.full((2, 4), float(number))})
        assert bytes([number]) * 32 in store
    store.flush()
    assert len(store.files) == 3
    again = Store(tmp_path, "latents", ABOUT, max_bytes=100)
    assert again.places == store.places
    assert again.files == store.files
    file, row = again.places[bytes([7]) * 32]
    assert torch.equal(open_table(tmp_path / file).at("tokens", row), torch.full((2, 4), 7.0))


def test_a_store_tells_of_tables_that_were_made_otherwise(tmp_path, table):
    store = Store(tmp_path, "latents", {**ABOUT, "limits": {"max_tokens": 8}}, max_bytes=100)
    assert not store.places
    assert store.other == (table, "limits.max_tokens is 4, not 8")
    assert table.is_file()


def test_a_store_deletes_a_damaged_table(tmp_path, table, capsys):
    table.write_bytes(table.read_bytes()[:-1])
    assert not Store(tmp_path, "latents", ABOUT, max_bytes=100).places
    assert not table.exists()
    assert capsys.readouterr().err.startswith(f"note: {table} is damaged")


def test_a_full_disk_leaves_no_table(tmp_path):
    store = Store(tmp_path / "cache", "latents", ABOUT, max_bytes=10**6)
    store.add(KEYS[0], {"tokens": torch.zeros(500, 4)})
    with limited_files(2000), pytest.raises(LuminaError, match="cannot be written: File too large"):
        store.flush()
    assert not list((tmp_path / "cache").iterdir())

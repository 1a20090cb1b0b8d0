import json
import os
import shutil
from pathlib import Path

import pytest
from tars import numbered, picture, record, write_tar

from lumina_core.cli.main import main
from lumina_core.data import indexing
from lumina_core.data.index import Index

LIMITS = "data.min_tokens=4 data.max_tokens=16 data.num_workers=0"


@pytest.fixture
def shards(tmp_path):
    """Three shards of four pictures each."""
    folder = tmp_path / "set"
    for number in range(3):
        write_tar(folder / f"{number}.tar", numbered(4 * number, 4 * number + 4))
    return folder


@pytest.fixture
def make(tiny_vae, capsys):
    """Call `index` on data, and give its code, its JSON and what it says beside."""

    def make_(path, *words):
        given = ["index", "+modality=image", f"modality.vae={tiny_vae}", f"data.path={path}"]
        code = main([*given, *LIMITS.split(), *words])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return make_


def items_of(path):
    index = Index(path)
    return [index.item(number) for number in range(len(index))]


def test_index_holds_every_item_of_shards(make, shards):
    code, told, _ = make(shards)
    beside = shards.with_name("set.lumina-index.image.safetensors")
    assert (code, told) == (0, {"index": str(beside), "num_items": 12, "num_left_out": 0})
    items = items_of(beside)
    assert [item.captions for item in items] == [(f"picture {n}",) for n in range(12)]
    assert {item.grid for item in items} == {(1, 3, 4)}
    index = Index(beside)
    assert [(shard.name, shard.num_items) for shard in index.about.shards] == [
        (f"{number}.tar", 4) for number in range(3)
    ]
    for number, item in enumerate(items):
        content = (shards / index.shard_of(number).name).read_bytes()
        assert content[item.offset : item.offset + item.size] == picture(number)
    made = [path.name for path in shards.parent.iterdir() if "index" in path.name]
    assert made == [beside.name]  # no part, no lock, no empty quarantine


def test_index_with_processes_is_the_same_file(make, shards, tmp_path):
    for number, name in ((0, "a"), (2, "b")):
        make(shards, f"data.index={tmp_path / name}", f"data.num_workers={number}")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_index_names_what_it_leaves_out(make, shards):
    write_tar(
        shards / "sub" / "3.tar",
        [*numbered(12, 14), ("x.png", b"none"), ("x.txt", b"x"), ("small.png", picture(1, (8, 8))),
         ("small.txt", b"small"), ("lone.txt", b"lone")],
    )  # fmt: skip
    (shards / "4.tar").write_bytes(b"none")
    code, told, err = make(shards, "data.max_quarantined=0.2")
    assert (code, told["num_items"], told["num_left_out"]) == (0, 14, 3)
    quarantine = shards.parent / "set.lumina-index.image.safetensors.quarantine.jsonl"
    assert f"warning: 3 items are left out; {quarantine} says why" in err
    entries = [json.loads(line) for line in quarantine.read_text().splitlines()]
    reasons = {entry["path"]: entry["reason"] for entry in entries}
    assert set(reasons) == {"4.tar", "sub/3.tar/x.png", "sub/3.tar/small.png", "sub/3.tar/lone.txt"}
    assert reasons["sub/3.tar/x.png"].startswith("sub/3.tar/x.png cannot be read as a picture")
    assert "it is too small: 8 x 8 pixels" in reasons["sub/3.tar/small.png"]
    assert "/dev/shm" not in quarantine.read_text()


def test_index_warns_of_a_shard_that_is_cut_short(make, shards):
    path = shards / "1.tar"
    path.write_bytes(path.read_bytes()[:2000])  # within the second picture
    code, told, err = make(shards)
    assert (code, told["num_left_out"]) == (0, 0)
    assert told["num_items"] < 12
    assert "warning: cut short or damaged: 1.tar; only what stands before is in the index" in err
    (line,) = Path(f"{told['index']}.quarantine.jsonl").read_text().splitlines()
    assert json.loads(line)["path"] == "1.tar"


def test_too_much_left_out_is_one_line_and_loses_nothing(make, shards, monkeypatch):
    write_tar(shards / "3.tar", [("x.png", b"none"), ("x.txt", b"x")])
    code, told, err = make(shards, "data.max_quarantined=0.05")
    assert (code, told) == (2, None)
    assert "1 of 13 items of data.path=" in err
    assert err.count("\n") == 1
    monkeypatch.setattr(indexing, "decoded", None)  # nothing is measured again
    code, told, _ = make(shards, "data.max_quarantined=0.1")
    assert (code, told["num_items"]) == (0, 12)


def test_a_stopped_index_goes_on_where_it_was(make, shards, monkeypatch):
    calls = []
    measure = indexing.decoded

    def stop_at_seven(*words):
        calls.append(words)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return measure(*words)

    monkeypatch.setattr(indexing, "decoded", stop_at_seven)
    code, _, err = make(shards)
    assert code == 130
    assert "what was measured is kept, give the same command again" in err
    code, told, _ = make(shards)
    assert (code, told["num_items"]) == (0, 12)
    assert len(calls) == 7 + 8  # one shard was done
    beside = shards.with_name("set.lumina-index.image.safetensors")
    first = beside.read_bytes()
    make(shards, "overwrite=true")
    assert beside.read_bytes() == first
    assert not beside.with_name(f"{beside.name}.parts").exists()


def test_parts_of_other_options_or_data_are_not_taken(make, shards, monkeypatch):
    calls = []
    measure = indexing.decoded
    monkeypatch.setattr(indexing, "decoded", lambda *w: calls.append(1) or measure(*w))
    monkeypatch.setattr(indexing, "_written", lambda *words: indexing.Made(0, 0, shards))
    monkeypatch.setattr(shutil, "rmtree", lambda *words, **more: None)
    make(shards)
    make(shards)
    assert len(calls) == 12
    make(shards, "data.max_tokens=12")
    assert len(calls) == 24
    os.utime(shards / "1.tar", (1, 1))
    make(shards)
    assert len(calls) == 28


def test_a_folder_and_a_manifest_can_be_indexed(make, tmp_path):
    folder = tmp_path / "pictures"
    for number in range(5):
        path = folder / ("sub" if number % 2 else "") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
        path.with_suffix(".txt").write_text(f"picture {number}")
    (folder / "none.png").write_bytes(picture(9))
    code, told, _ = make(folder, "data=folder", "data.max_quarantined=0.5")
    assert (code, told["num_items"], told["num_left_out"]) == (0, 5, 1)
    of_folder = items_of(told["index"])
    assert [item.name for item in of_folder] == [
        "0.png",
        "2.png",
        "4.png",
        "sub/1.png",
        "sub/3.png",
    ]
    lines = [
        record(path=f"pictures/{item.name}", captions=[*item.captions, "more"])
        for item in of_folder
    ]
    (tmp_path / "set.jsonl").write_bytes(b"\n".join(lines))
    code, told, _ = make(tmp_path / "set.jsonl", "data=manifest")
    assert told["index"] == str(tmp_path / "set.jsonl.lumina-index.image.safetensors")
    of_manifest = items_of(told["index"])
    assert [item.name for item in of_manifest] == [f"pictures/{item.name}" for item in of_folder]
    assert [item.content for item in of_manifest] == [item.content for item in of_folder]
    assert of_manifest[0].captions == ("picture 0", "more")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.path=null"], "data=shards needs to know where: data.path=FOLDER"),
        (["data.path=/nowhere"], "data.path=/nowhere leads to no shard"),
        (["data=manifest"], "data=manifest wants a .jsonl"),
        (["data=folder", "data.index={folder}/x"], "choose a place outside of it"),
        (["data=synthetic"], "data=synthetic is unknown; choose one of folder, manifest, shards"),
        (["data.pool_size=3"], "unknown key 'data.pool_size'"),
        (["data.num_workers=-1"], "data.num_workers is -1"),
    ],
)
def test_what_cannot_be_indexed_is_one_line(make, shards, words, message):
    code, told, err = make(shards, *(word.format(folder=shards) for word in words))
    assert (code, told) == (2, None)
    assert message in err
    assert err.count("\n") == 1


def test_an_index_is_not_replaced_unasked(make, shards):
    _, told, _ = make(shards)
    code, _, err = make(shards)
    assert code == 2
    assert err.startswith(f"error: data.index={told['index']} exists already; replace it with")
    assert err.count("\n") == 1


def test_a_pattern_names_shards(make, shards):
    code, told, _ = make(f"{shards}/[01].tar")
    assert (code, told["num_items"]) == (0, 8)
    assert told["index"] == str(shards.with_name("set.lumina-index.image.safetensors"))

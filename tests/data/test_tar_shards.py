import os
import tarfile

import pytest
from tars import HARD_LINK, LINK, record, write_tar

from lumina_core import LuminaError
from lumina_core.data.folder_contents import Kinds
from lumina_core.data.tar_shards import CUT, MAX_HEADER_BYTES, folder_files, scan

KINDS = Kinds((".png", ".views"), (".views",), ("cameras.json",))


def scanned(tmp_path, *members, **more):
    return scan(write_tar(tmp_path / "0.tar", members, **more), KINDS)


def captions(found):
    return {entry.name: entry.captions for entry in found.entries}


def test_members_of_one_key_are_an_item(tmp_path):
    path = write_tar(
        tmp_path / "0.tar",
        [
            ("0001.png", b"one"), ("0001.txt", b"a  red\n circle"), ("0001.cls", b"7"),
            ("a/b/0001.json", record(caption="a cat", width=3)), ("a/b/0001.PNG", b"other"),
            ("0002.json", record(caption=["a dog", "an animal"])), ("0002.png", b"two!"),
            ("0003.png", b"3"), ("0003.txt", b"text first"), ("0003.json", record(caption=None)),
            (".hidden.png", b""), ("./0004.png", b"4"), ("./0004.txt", b"four"),
            ("chair v1.0.png", b"5"), ("chair v1.0.txt", b"a chair"),
            ("0006.png", b"6"), ("0006.mask.png", b"66"), ("0006.txt", b"six"),
        ],
    )  # fmt: skip
    found = scan(path, KINDS)
    assert captions(found) == {
        "0001.png": ("a red circle",),
        "a/b/0001.PNG": ("a cat",),
        "0002.png": ("a dog", "an animal"),
        "0003.png": ("text first",),
        "0004.png": ("four",),
        "chair v1.0.png": ("a chair",),
        "0006.png": ("six",),
    }
    content = path.read_bytes()
    contents = [content[e.offset : e.offset + e.size] for e in found.entries]
    assert contents == [b"one", b"other", b"two!", b"3", b"4", b"5", b"6"]
    assert found.skipped == found.lone == {}


def test_what_cannot_be_used_is_named(tmp_path):
    found = scanned(
        tmp_path,
        ("none.png", b""),
        ("lone.txt", b"x"),
        ("twice.png", b"1"), ("twice.txt", b"x"), ("twice.png", b"2"),
        ("texts.png", b"1"), ("texts.txt", b"x"), ("texts.txt", b"y"),
        ("empty.png", b""), ("empty.txt", b" "),
        ("list.png", b""), ("list.json", b"[1]"),
        ("broken.png", b""), ("broken.json", b"{"),
        ("number.png", b""), ("number.json", record(caption=7)),
        ("long.png", b""), ("long.txt", b"x" * 70_000),
        ("link.png", LINK), ("link.txt", b"x"),
        ("hard.png", HARD_LINK), ("hard.txt", b"x"),
        ("told.png", b""), ("told.txt", LINK),
        ("good.png", b""), ("good.txt", b"good"),
    )  # fmt: skip
    assert captions(found) == {"good.png": ("good",)}
    assert found.lone == {"lone.txt": "it lies beside no medium"}
    reasons = {name.split(".")[0]: reason for name, reason in found.skipped.items()}
    assert {name: reason.split(":")[0] for name, reason in reasons.items()} == {
        "none": "it has no caption",
        "twice": "its key 'twice', which ends at the first dot, has 2 media",
        "texts": "it has 2 captions texts.txt and texts.txt",
        "empty": "its caption is empty",
        "list": "its caption list.json is no record",
        "broken": "Expecting property name enclosed in double quotes",
        "number": "its caption is no text but int",
        "long": "its caption long.txt has more than 65536 bytes",
        "link": "link.png is a link or no plain file, and is not followed",
        "hard": "hard.png is a link or no plain file, and is not followed",
        "told": "told.txt is a link or no plain file, and is not followed",
    }


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_read(tmp_path, form):
    stem = "dög-" + "x" * 200
    members = [(f"{stem}.png", b"content"), (f"{stem}.txt", b"long")]
    path = write_tar(tmp_path / "0.tar", members, form=form)
    (entry,) = scan(path, KINDS).entries
    assert (entry.name, entry.captions) == (f"{stem}.png", ("long",))
    assert path.read_bytes()[entry.offset : entry.offset + entry.size] == b"content"


def test_absolute_names_are_names(tmp_path):
    found = scanned(tmp_path, ("/etc/x.png", b"1"), ("/etc/x.txt", b"x"), ("../y.png", b"2"),
                    ("../y.txt", b"y"))  # fmt: skip
    assert captions(found) == {"/etc/x.png": ("x",), "../y.png": ("y",)}


def test_what_is_whole_in_a_cut_shard_is_used(tmp_path):
    members = [("1.txt", b"one"), ("1.png", b"1" * 600), ("2.txt", b"two"), ("2.png", b"2" * 600)]
    whole = write_tar(tmp_path / "0.tar", members).read_bytes()
    numbers = {}
    for length in range(512, 5632, 100):
        (tmp_path / "0.tar").write_bytes(whole[:length])
        found = scan(tmp_path / "0.tar", KINDS)
        numbers[length] = len(found.entries)
        assert found.lone.get("") == CUT
    assert numbers[512] == 0
    assert numbers[2212] == 1  # 600 bytes of the first picture end at 2136
    assert numbers[4612] == 1
    assert numbers[4712] == 2
    assert "" not in scanned(tmp_path, *members).lone


def test_a_damaged_header_ends_a_shard(tmp_path):
    members = [("1.png", b"1"), ("1.txt", b"one"), ("2.png", b"2"), ("2.txt", b"two")]
    content = bytearray(write_tar(tmp_path / "0.tar", members).read_bytes())
    content[2048:2148] = b"?" * 100
    (tmp_path / "0.tar").write_bytes(content)
    found = scan(tmp_path / "0.tar", KINDS)
    assert captions(found) == {"1.png": ("one",)}
    assert found.lone == {"": CUT}


def test_a_header_claims_no_memory(tmp_path):
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, MAX_HEADER_BYTES + 1
    good = write_tar(tmp_path / "0.tar", [("1.png", b"1"), ("1.txt", b"one")]).read_bytes()[:2048]
    with (tmp_path / "0.tar").open("wb") as file:
        file.write(good + member.tobuf())
        file.truncate(4 * MAX_HEADER_BYTES)
    assert scan(tmp_path / "0.tar", KINDS).lone == {"": CUT}


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8b" + b"0" * 2000, b"x" * 5000])
def test_a_shard_that_is_no_tar_is_one_line(tmp_path, content):
    (tmp_path / "0.tar").write_bytes(content)
    with pytest.raises(LuminaError, match="it is no plain tar file"):
        scan(tmp_path / "0.tar", KINDS)


def test_a_pipe_is_no_shard(tmp_path):
    os.mkfifo(tmp_path / "0.tar")
    with pytest.raises(LuminaError, match="no regular file"):
        scan(tmp_path / "0.tar", KINDS)


def test_folders_that_are_media_are_one_item(tmp_path):
    path = write_tar(
        tmp_path / "0.tar",
        [
            ("chair/cameras.json", b"{}"), ("chair/0.png", b"0"),
            ("table.views/a/1.png", b"1"),
            ("chair/sub/1.png", b"11"),
            ("chair.txt", b"a chair"), ("table.json", record(caption="a table")),
            ("bad/cameras.json", b"{}"), ("bad/0.png", LINK), ("bad.txt", b"x"),
            ("none/cameras.json", b"{}"),
        ],
    )  # fmt: skip
    found = scan(path, KINDS)
    assert captions(found) == {"chair/": ("a chair",), "table.views/": ("a table",)}
    assert found.skipped == {
        "bad/": "bad/0.png is a link or no plain file, and is not followed",
        "none/": "it has no caption: there is no none.txt or none.json in its shard",
    }
    content = path.read_bytes()
    files = {
        entry.name: {
            str(name): inner
            for name, inner in folder_files(
                content[entry.offset : entry.offset + entry.size], entry.name
            )
        }
        for entry in found.entries
    }
    assert files == {
        "chair/": {"cameras.json": b"{}", "0.png": b"0", "sub/1.png": b"11"},
        "table.views/": {"a/1.png": b"1"},
    }


def test_a_file_of_a_folder_leads_nowhere_else(tmp_path):
    members = [("chair/cameras.json", b"{}"), ("chair/../../x.png", b"0"), ("chair.txt", b"x")]
    content = write_tar(tmp_path / "0.tar", members).read_bytes()
    with pytest.raises(LuminaError, match="leads out of its folder"):
        list(folder_files(content, "chair/"))

import json
import os
from unicodedata import normalize

import pytest

from lumina_core import LuminaError
from lumina_core.data.listing import list_folder
from lumina_core.data.manifests import list_manifest


def write(path, content=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def captions(listing):
    return {item.name: item.caption for item in listing.items}


def lines(*records):
    return "\n".join(json.dumps(record) for record in records)


def test_folder_pairs_files_with_text_files_of_their_name(tmp_path):
    for name in ("b.png", "a.PNG", "sub/c.jpg", "notes.md", ".hidden.png", ".cache/d.png"):
        write(tmp_path / name)
    write(tmp_path / "a.txt", "\ufeffa  red\n circle\n")
    write(tmp_path / "b.txt", "Müller's ☃")
    write(tmp_path / "sub/c.txt", "a cat")
    listing = list_folder(tmp_path, (".png", ".jpg"))
    assert captions(listing) == {
        "a.PNG": "a red circle",
        "b.png": "Müller's ☃",
        "sub/c.jpg": "a cat",
    }
    assert [item.name for item in listing.items] == ["a.PNG", "b.png", "sub/c.jpg"]
    assert all(item.path.is_file() for item in listing.items)
    assert listing.skipped == {}


def test_folder_names_files_without_a_usable_caption(tmp_path):
    for name in ("good", "none", "empty", "binary", "folder"):
        write(tmp_path / f"{name}.png")
    write(tmp_path / "good.txt", "a cat")
    write(tmp_path / "empty.txt", " \n")
    write(tmp_path / "binary.txt", b"caf\xe9")
    (tmp_path / "folder.txt").mkdir()
    listing = list_folder(tmp_path, (".png",))
    assert captions(listing) == {"good.png": "a cat"}
    assert listing.skipped == {
        "none.png": "it has no caption: there is no none.txt beside it",
        "empty.png": "its caption is empty",
        "binary.png": "its caption in binary.txt is no valid UTF-8",
        "folder.png": "it has no caption: there is no folder.txt beside it",
    }


def test_metadata_of_a_folder_tells_the_captions_alone(tmp_path):
    for name in ("a.png", "b.png", "sub/c.png", "d.png"):
        write(tmp_path / name)
    write(tmp_path / "b.txt", "not read")
    write(tmp_path.parent / "outside.png")
    records = [
        {"file_name": "sub/c.png", "text": "a cat"},
        {"file_name": "a.png", "text": "a dog"},
        {"file_name": "a.png", "text": "an animal"},
        {"file_name": "d.png", "text": 7},
        {"file_name": "../outside.png", "text": "x"},
        {"file_name": "gone.png", "text": "x"},
    ]
    write(tmp_path / "metadata.jsonl", lines(*records) + "\n\n{broken\n")
    listing = list_folder(tmp_path, (".png",))
    assert [(item.name, item.caption) for item in listing.items] == [
        ("a.png", "a dog"), ("a.png", "an animal"), ("sub/c.png", "a cat"),
    ]  # fmt: skip
    assert "it is no JSON" in listing.skipped.pop("metadata.jsonl:8")
    assert listing.skipped == {
        "b.png": "no line of metadata.jsonl tells its caption",
        "d.png": "its caption is no text but int",
        "../outside.png": "its path leads out of the folder, which only a manifest may",
        "gone.png": "there is no such file in the folder",
    }


def test_what_never_ends_is_no_caption_and_no_manifest(tmp_path):
    write(tmp_path / "a.png")
    for name in ("a.txt", "set.jsonl"):
        os.mkfifo(tmp_path / name)
    skipped = list_folder(tmp_path, (".png",)).skipped
    assert skipped == {"a.png": "its caption in a.txt cannot be read: it is no regular file"}
    with pytest.raises(LuminaError, match="it is no regular file"):
        list_manifest(tmp_path / "set.jsonl")


@pytest.mark.parametrize("name", ["metadata.jsonl", "set.jsonl"])
def test_no_name_is_both_used_and_left_out(tmp_path, name):
    write(tmp_path / "a.png")
    write(tmp_path / "b.png")
    good, empty, none = ({"path": "a.png", "text": "a cat"}, {"path": "a.png", "text": " "}, {})
    twice = [{"path": "b.png", "text": ""}, {"path": "b.png"}]
    write(tmp_path / name, lines(empty, good, none, empty, *twice))
    is_folder = name == "metadata.jsonl"
    listing = list_folder(tmp_path, (".png",)) if is_folder else list_manifest(tmp_path / name)
    assert captions(listing) == {"a.png": "a cat"}
    assert listing.skipped.keys() == {"b.png", *(f"{name}:{number}" for number in (1, 3, 4))}
    assert listing.skipped[f"{name}:4"] == "its caption is empty"


def test_manifest_starts_at_its_own_folder(tmp_path):
    write(tmp_path / "set.jsonl", lines(
        {"path": "a/b.png", "caption": "a cat"}, {"path": "/elsewhere/c.png", "caption": "a dog"}
    ))  # fmt: skip
    first, second = list_manifest(tmp_path / "set.jsonl").items
    assert (first.path, first.caption) == (tmp_path / "a/b.png", "a cat")
    assert str(second.path) == "/elsewhere/c.png"


def test_manifest_reads_every_form_of_lumina(tmp_path):
    talk = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "one"}]
    records = [
        {"image": "1.png", "conversations": talk},
        {"image": "2.png", "conversations": [*talk, {"from": "gpt", "value": "two"}]},
        {"path": "3.png", "prompt": "three"},
        {"image": "4.png", "caption": "four"},
        {"image_path": "5.png", "super_high_quality_caption": "five"},
        {"image_url": "6.png", "caption": "six"},
    ]
    words = ("one", "two", "three", "four", "five", "six")
    wanted = {f"{number}.png": word for number, word in enumerate(words, start=1)}
    write(tmp_path / "set.json", json.dumps(records))
    write(tmp_path / "set.jsonl", lines(*records))
    for name in ("set.json", "set.jsonl"):
        assert captions(list_manifest(tmp_path / name)) == wanted


def test_manifest_names_records_that_cannot_be_used(tmp_path):
    deep = "[" * 100_000
    text = lines(
        {"path": "good.png", "caption": "a cat"}, 5, {"caption": "x"}, {"path": 3, "caption": "x"},
        {"path": "none.png"}, {"path": "half.png", "caption": "\ud800"},
        {"path": "\udcff.png", "caption": "x"}, {"path": "talk.png", "conversations": [5]},
    )  # fmt: skip
    write(tmp_path / "set.jsonl", text.encode() + b"\n\xff\n" + deep.encode())
    listing = list_manifest(tmp_path / "set.jsonl")
    assert captions(listing) == {"good.png": "a cat"}
    assert listing.skipped.keys() == {
        *(f"set.jsonl:{number}" for number in (2, 3, 4, 7, 9, 10)),
        *("none.png", "half.png", "talk.png"),
    }
    assert listing.skipped["half.png"] == "its caption is no valid text"
    assert "it names no file" in listing.skipped["set.jsonl:3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("set.jsonl", None, "cannot be read: No such file"),
        ("set.jsonl", "", "is empty"),
        ("set.json", "[", "is no JSON"),
        ("set.json", "[" * 100_000, "is no JSON"),
        ("set.json", "{}", "holds no list"),
        ("set.json", b"\xff", "is no JSON"),
        ("set.txt", "", "wants a .jsonl, .json, .parquet, .yaml or .yml file"),
        ("set.yaml", "", "has no META: a list of manifests"),
        ("set.yaml", "META: [{path: a.jsonl, rat: 1}]", "META 1 has the key 'rat'; known are path"),
        ("set.yaml", "META: [{path: a.jsonl}, {root: x}]", "META 2 has no path"),
        ("set.yaml", "META: [{path: a.txt}]", "a.txt is none of .jsonl"),
        ("set.yaml", "META: [{path: a.jsonl, ratio: 0}]", "ratio is 0; set a share above 0"),
        ("set.yaml", "META: [{path: a.jsonl, root: 3}]", "root is no text"),
        ("set.yaml", "META: [{path: a.jsonl}]", "a.jsonl cannot be read: No such file"),
        ("set.yaml", None, "is no file"),
        ("set.parquet", "x" * 20, "is no Parquet"),
    ],
)
def test_a_manifest_that_is_none_is_one_line(tmp_path, name, content, message):
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(LuminaError, match=message) as raised:
        list_manifest(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_none_is_one_line(tmp_path):
    write(tmp_path / "sub/a.txt")
    with pytest.raises(LuminaError, match="is no folder"):
        list_folder(tmp_path / "nowhere", (".png",))
    with pytest.raises(LuminaError, match=r"holds no file that ends in \.png or \.jpg"):
        list_folder(tmp_path, (".png", ".jpg"))


@pytest.fixture
def objects(tmp_path):
    """Folders of views, one in a folder of its own suffix, and pictures beside them."""
    for name in ("chair v1.0", "deep/lamp", "vase.views", ".trash/old"):
        for file in ("cameras.json", "0.png", "parts/cameras.json", "parts/1.png"):
            write(tmp_path / name / file)
    for name in ("plain/b.png", "cameras.json.d/c.png", "a.png"):
        write(tmp_path / name)
    return tmp_path


KINDS = ((".png", ".views"), (".views",), ("cameras.json", "views.json"))


def test_a_file_makes_the_folder_in_which_it_is_one_medium(objects):
    texts = ("chair v1.0", "deep/lamp", "vase", "plain/b", "cameras.json.d/c", "a")
    for text in (*texts, "chair v1", "chair v1.0/0", "vase.views"):
        write(objects / f"{text}.txt", f"of {text}")
    listing = list_folder(objects, *KINDS)
    assert captions(listing) == {
        "a.png": "of a",
        "cameras.json.d/c.png": "of cameras.json.d/c",
        "chair v1.0": "of chair v1.0",
        "deep/lamp": "of deep/lamp",
        "plain/b.png": "of plain/b",
        "vase.views": "of vase",
    }
    assert [item.name for item in listing.items] == sorted(captions(listing))
    assert [item.path for item in listing.items if item.path.is_dir()] == [
        objects / name for name in ("chair v1.0", "deep/lamp", "vase.views")
    ]
    assert not listing.skipped


def test_a_folder_without_a_usable_caption_is_named(objects):
    write(objects / "deep/lamp.txt", "a lamp")
    listing = list_folder(objects, *KINDS)
    assert captions(listing) == {"deep/lamp": "a lamp"}
    assert listing.skipped["chair v1.0"] == (
        "it has no caption: there is no chair v1.0.txt beside it"
    )
    assert listing.skipped["vase.views"] == "it has no caption: there is no vase.txt beside it"


def test_metadata_names_folders_of_media(objects):
    records = [
        {"file_name": "chair v1.0", "text": "a chair"},
        {"file_name": "deep/lamp/", "text": "a lamp"},
        {"file_name": "deep/lamp/0.png", "text": "a part"},
        {"file_name": "plain", "text": "no medium"},
    ]
    write(objects / "metadata.jsonl", lines(*records))
    listing = list_folder(objects, *KINDS)
    assert captions(listing) == {"chair v1.0": "a chair", "deep/lamp": "a lamp"}
    part = "it is a part of deep/lamp, which is one medium"
    assert listing.skipped["deep/lamp/0.png"] == part
    assert listing.skipped["plain"] == "it is a folder, and no medium"
    assert listing.skipped["vase.views"] == "no line of metadata.jsonl tells its caption"


def test_a_linked_folder_is_a_medium(objects, tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    (folder / "chair").symlink_to(objects / "chair v1.0")
    write(folder / "chair.txt", "a chair")
    assert captions(list_folder(folder, *KINDS)) == {"chair": "a chair"}


def test_one_medium_is_no_folder_of_them(objects):
    folder = objects / "chair v1.0"
    with pytest.raises(LuminaError, match=r"is one medium, for it holds cameras\.json") as raised:
        list_folder(folder, *KINDS)
    assert str(raised.value).endswith(f"name the folder that holds it: data.path={objects}")
    with pytest.raises(LuminaError, match=r"ends in \.gif and no folder with cameras\.json;"):
        list_folder(objects / "plain", (".gif",), (), ("cameras.json",))


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
def test_metadata_of_a_sub_folder_tells_of_what_is_below(tmp_path, name):
    for file in ("train/a.png", "train/deep/b.png", "train/c.png", "test/a.png", "e.png", "f.png"):
        write(tmp_path / file)
    write(tmp_path / "train/c.txt", "not read")
    write(tmp_path / "e.txt", "an e")
    rows = [("a.png", "an a"), ("deep/b.png", 'a "b", a c'), ("gone.png", "x"), ("a.png", "")]
    texts = {
        "metadata.jsonl": lines(*({"file_name": file, "text": text} for file, text in rows)),
        "metadata.csv": "\ufefftext,file_name\n"
        + "".join('"{}",{}\n'.format(text.replace('"', '""'), file) for file, text in rows),
    }
    write(tmp_path / "train" / name, texts[name])
    write(tmp_path / "test/metadata.jsonl", lines({"file_name": "a.png", "text": "another a"}))
    listing = list_folder(tmp_path, (".png",))
    assert captions(listing) == {
        "e.png": "an e",
        "test/a.png": "another a",
        "train/a.png": "an a",
        "train/deep/b.png": 'a "b", a c',
    }
    assert [item.name for item in listing.items] == sorted(captions(listing))
    number = 4 if name == "metadata.jsonl" else 5
    assert listing.skipped == {
        "f.png": "it has no caption: there is no f.txt beside it",
        "train/c.png": f"no line of train/{name} tells its caption",
        "train/gone.png": "there is no such file in the folder",
        f"train/{name}:{number}": "its caption is empty",
    }
    assert not listing.lone_texts


def test_both_kinds_of_metadata_count_and_the_nearest_is_named(tmp_path):
    for file in ("a.png", "b.png", "sub/c.png", "sub/d.png"):
        write(tmp_path / file)
    records = [{"file_name": "a.png", "text": "an a"}, {"file_name": "sub/c.png", "text": "a c"}]
    write(tmp_path / "metadata.jsonl", lines(*records))
    write(tmp_path / "metadata.csv", 'file_name,text\nb.png,"a b\nin two lines"\n')
    write(tmp_path / "sub/metadata.csv", "file_name;text\nc.png;x\n")
    write(tmp_path / "sub/metadata.parquet")
    listing = list_folder(tmp_path, (".png",))
    assert captions(listing) == {"a.png": "an a", "b.png": "a b in two lines", "sub/c.png": "a c"}
    assert "it names no file" in listing.skipped.pop("sub/metadata.csv:2")
    assert listing.skipped == {
        "sub/d.png": "no line of sub/metadata.csv tells its caption",
        "sub/metadata.parquet": "it is not read; write it as metadata.jsonl or metadata.csv",
    }


def test_a_table_that_is_damaged_names_its_rows(tmp_path):
    for name in ("a", "b", "c", "d"):
        write(tmp_path / f"{name}.png")
    long = "x" * (2 << 20)
    text = f'file_name,text\na.png,an a\nb.png,"{long}"\nc.png,caf\xe9\n\n{long}\nd.png\n'
    write(tmp_path / "metadata.csv", text.encode("latin-1"))
    listing = list_folder(tmp_path, (".png",))
    assert captions(listing) == {"a.png": "an a"}
    assert "it is no row of a table: field larger" in listing.skipped["metadata.csv:3"]
    assert "it is no row of a table: field larger" in listing.skipped["metadata.csv:6"]
    assert listing.skipped["c.png"] == "its caption is no valid text"
    assert listing.skipped["d.png"] == "it has no caption"
    assert listing.skipped["b.png"] == "no line of metadata.csv tells its caption"


def test_metadata_may_name_files_of_any_suffix_and_hidden_ones(tmp_path):
    names = ["a.jfif", "b.xyz", "c", "d.png", ".e.png"]
    for name in names:
        write(tmp_path / name)
    write(tmp_path / "metadata.jsonl", lines(*({"file_name": n, "text": f"a {n}"} for n in names)))
    listing = list_folder(tmp_path, (".png",))
    assert captions(listing) == {name: f"a {name}" for name in names}
    assert not listing.skipped


COMPOSED, APART = (normalize(form, "é") for form in ("NFC", "NFD"))


def test_names_of_other_systems_are_understood(tmp_path):
    for name in (f"d{APART}/{COMPOSED}.png", "train/b.PNG", "c.png"):
        write(tmp_path / name)
    records = [
        {"file_name": f"d{COMPOSED}/{APART}.png", "text": "an e"},
        {"file_name": f"d{APART}\\{COMPOSED}.png", "text": "the same"},
        {"file_name": "train\\b.png", "text": "a b"},
        {"file_name": "..\\c.png", "text": "x"},
        {"file_name": str(tmp_path / "c.png"), "text": "x"},
    ]
    write(tmp_path / "metadata.jsonl", lines(*records))
    listing = list_folder(tmp_path, (".png",))
    assert [(item.name, item.caption) for item in listing.items] == [
        (f"d{APART}/{COMPOSED}.png", "an e"),
        (f"d{APART}/{COMPOSED}.png", "the same"),
        ("train/b.PNG", "a b"),
    ]
    out = "its path leads out of the folder, which only a manifest may"
    for name in ("..\\c.png", str(tmp_path / "c.png")):
        assert listing.skipped[name] == out
    assert listing.skipped["c.png"] == "no line of metadata.jsonl tells its caption"
    write(tmp_path / "set.jsonl", lines(*records))
    paths = [item.path for item in list_manifest(tmp_path / "set.jsonl").items]
    assert paths[:3] == [tmp_path / f"d{APART}/{COMPOSED}.png"] * 2 + [tmp_path / "train/b.PNG"]
    assert paths[4] == tmp_path / "c.png"


def test_texts_of_other_systems_are_found(tmp_path):
    for name in (f"{APART}.png", "b.png", "c.png", "d.png"):
        write(tmp_path / name)
    for name in (f"{COMPOSED}.txt", "b.TXT", "c.png.txt", "d.txt", "d.png.txt"):
        write(tmp_path / name, f"of {name}")
    listing = list_folder(tmp_path, (".png",))
    assert captions(listing) == {
        f"{APART}.png": f"of {COMPOSED}.txt",
        "b.png": "of b.TXT",
        "c.png": "of c.png.txt",
        "d.png": "of d.txt",
    }
    assert listing.lone_texts.keys() == {"d.png.txt"}


def test_two_spellings_of_a_name_are_two_media(tmp_path):
    for name in (COMPOSED, APART):
        write(tmp_path / f"{name}.png")
        write(tmp_path / f"{name}.txt", f"of {len(name)}")
    assert captions(list_folder(tmp_path, (".png",))) == {
        f"{COMPOSED}.png": "of 1",
        f"{APART}.png": "of 2",
    }


def test_a_text_makes_a_medium_of_a_file_of_any_name(tmp_path):
    for name in ("a.jfif", "b", "c.json", "d.json", "d.xyz", "f.png", "f.json", "g.md"):
        write(tmp_path / name)
    for name in "abcdef":
        write(tmp_path / f"{name}.txt", f"of {name}")
    asked = []

    def check(path):
        asked.append(path.name)
        if path.suffix == ".json":
            raise LuminaError(f"{path} is none")

    listing = list_folder(tmp_path, (".png",), check=check)
    assert captions(listing) == {"a.jfif": "of a", "b": "of b", "f.png": "of f"}
    assert sorted(asked) == ["a.jfif", "b", "c.json"]
    assert not listing.skipped
    assert listing.lone_texts == {
        "c.txt": f"{tmp_path / 'c.json'} is none",
        "d.txt": "it lies beside no medium, but several files of its name: d.json, d.xyz",
        "e.txt": "it lies beside no medium",
    }


def test_linked_folders_are_followed_but_none_twice(tmp_path):
    folder, other = tmp_path / "set", tmp_path / "other"
    for file in (folder / "z/a.png", other / "b.png", other / "deep/c.png"):
        write(file)
        write(file.with_suffix(".txt"), file.stem)
    (folder / "linked").symlink_to(other)
    (folder / "again").symlink_to(folder / "z")
    (folder / "z/up").symlink_to(folder)
    (other / "round").symlink_to(other / "deep")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "nowhere.png").symlink_to(folder / "nothing")
    listing = list_folder(folder, (".png",))
    assert captions(listing) == {"linked/b.png": "b", "linked/deep/c.png": "c", "z/a.png": "a"}
    assert listing.skipped.keys() == {"nowhere.png"}
    records = [{"file_name": name, "text": name} for name in ("again/a.png", "linked/b.png")]
    write(folder / "metadata.jsonl", lines(*records))
    listing = list_folder(folder, (".png",))
    assert captions(listing) == {"again/a.png": "again/a.png", "linked/b.png": "linked/b.png"}
    assert listing.skipped.keys() == {"linked/deep/c.png", "nowhere.png"}


def test_a_link_to_a_folder_that_holds_the_data_is_named_and_not_followed(tmp_path):
    folder = tmp_path / "home/set"
    for name in ("home/set/a.png", "home/letter.png", "home/other/b.png"):
        write(tmp_path / name)
        write((tmp_path / name).with_suffix(".txt"), "a caption")
    (folder / "up").symlink_to("..")
    (folder / "root").symlink_to("/")
    (tmp_path / "by-a-link").symlink_to(folder)
    reason = "the folder cannot be read: it is a link to a folder that holds this one"
    for place in (folder, tmp_path / "by-a-link"):
        listing = list_folder(place, (".png",))
        assert captions(listing) == {"a.png": "a caption"}
        assert listing.skipped == {"up": reason, "root": reason}


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.png")
    write(tmp_path / "a.txt", "an a")
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_folder(tmp_path, (".png",))
    assert captions(listing) == {"a.png": "an a"}
    assert listing.skipped == {"closed": "the folder cannot be read: Permission denied"}


def test_pictures_that_run_put_beside_media_are_no_items(tmp_path):
    for name in ("a.gif", "a.gif-preview.png", "a-sheet.png", "b-sheet.png", "c-preview.png"):
        write(tmp_path / name)
    write(tmp_path / "a.txt", "a star")
    others = {"b-sheet.png", "c-preview.png"}
    assert list_folder(tmp_path, (".gif", ".png")).skipped.keys() == others
    write(tmp_path / "a-sheet.txt", "a sheet")
    listing = list_folder(tmp_path, (".gif", ".png"))
    assert captions(listing) == {"a.gif": "a star", "a-sheet.png": "a sheet"}
    write(tmp_path / "metadata.jsonl", lines({"file_name": "a.gif", "text": "a star"}))
    listing = list_folder(tmp_path, (".gif", ".png"))
    assert captions(listing) == {"a.gif": "a star"}
    assert listing.skipped.keys() == others

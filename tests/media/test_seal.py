"""Every file that is written tells whether it is still whole, whatever its kind."""

import ctypes
import json
import platform
import zlib
from pathlib import Path

import pytest
from PIL import Image
from small_media import KINDS, made, modality_of

from damage import flipped
from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.media import seal
from lumina_core.media.seal import CHANGED, DAMAGED, check_undamaged, state_of
from lumina_core.modality import Decoder
from lumina_core.sampling.file_request import request_inside
from lumina_core.sampling.generate import Generated
from lumina_core.sampling.request import media_sha256

MESHES = (".glb", ".ply")  # are not read back
UNSEALED = (".ogg",)  # each page of it has a checksum


def write(name, path, **changes):
    media, request = made(name)
    sha256, modality = media_sha256(media), modality_of(name)
    item = Generated(media, modality.options, request | changes, sha256, 0, modality.decoder)
    return item.save(path)


def contents(name, path):
    """What a reader of a file gets: media, unless it is a mesh, and the request. May refuse."""
    modality = modality_of(name)
    check_undamaged(path)
    media = None if path.suffix in MESHES else modality.read(path, modality.options)
    hash_ = path.read_bytes() if media is None else media_sha256(media)
    return hash_, request_inside(path, {name: modality.decoder})


@pytest.mark.parametrize(("name", "suffix"), KINDS)
def test_each_damaged_bit_is_refused_or_changes_nothing(tmp_path, name, suffix, capfd):
    path = write(name, tmp_path / f"a{suffix}")
    whole = contents(name, path)
    files = [path] if path.is_file() else sorted(path.iterdir())
    num_flips, num_refused = 60 // len(files) + 1, 0
    for number, file in enumerate(files):
        before = file.read_bytes()
        for data in flipped(before, num_flips, seed=number):
            file.write_bytes(data)
            try:
                assert contents(name, path) == whole
            except LuminaError as error:
                num_refused += 1
                assert path.name in str(error) and "\n" not in str(error)
        file.write_bytes(before)
    assert num_refused > 0.9 * num_flips * len(files)
    assert contents(name, path) == whole
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "suffix"), KINDS)
def test_the_request_of_each_kind_holds_its_seal(tmp_path, name, suffix):
    path = write(name, tmp_path / f"a{suffix}", prompt="grün, " + 300 * "一")
    found = modality_of(name).decoder.read_metadata(path)
    media, request = made(name)
    hash_, length = found["seal"]["file"].removeprefix("lumina-sha256:").split(":")
    assert (set(hash_ + length) == {"0"}) == (suffix in UNSEALED)
    if path.is_file() and suffix not in UNSEALED:
        assert int(length) == path.stat().st_size
    wanted = json.loads(json.dumps({**request, "prompt": "grün, " + 300 * "一"}))
    assert request_inside(path, {name: modality_of(name).decoder}) == {
        **wanted, "media_sha256": media_sha256(media)
    }  # fmt: skip
    assert state_of(path) is None
    again = write(name, tmp_path / f"b{suffix}", prompt="grün, " + 300 * "一")
    for file in [path] if path.is_file() else path.iterdir():
        twin = again if path.is_file() else again / file.name
        assert twin.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("name", "suffix"), [kind for kind in KINDS if kind[1] not in UNSEALED])
def test_a_file_of_another_length_was_changed_by_somebody(tmp_path, name, suffix):
    path = write(name, tmp_path / f"a{suffix}")
    file = path if path.is_file() else path / "0001.png"
    file.write_bytes(file.read_bytes() + b"more")
    assert state_of(path) == CHANGED
    check_undamaged(path)


@pytest.mark.parametrize("name", ["video", "multiview"])
def test_a_folder_of_which_a_file_is_missing_or_exchanged_is_not_whole(tmp_path, name):
    path = write(name, tmp_path / {"video": "a.frames", "multiview": "a.views"}[name])
    *_, last = sorted(path.glob("*.png"))
    hidden = path / ".DS_Store"
    hidden.write_bytes(b"a file manager's")
    assert state_of(path) is None
    last.rename(last.with_name("kept"))
    last.write_bytes(bytes(last.with_name("kept").stat().st_size))
    last.with_name("kept").unlink()
    assert state_of(path) == DAMAGED
    last.unlink()
    assert state_of(path) == CHANGED


def test_a_folder_that_holds_made_files_was_not_changed(tmp_path):
    for number in range(2):
        write("image", tmp_path / "made" / f"{number}.png")
        assert state_of(tmp_path / "made") is None
    (tmp_path / "made" / "1.png").write_bytes(b"mine")
    assert state_of(tmp_path / "made") is None


def test_a_folder_whose_frames_changed_places_is_damaged(tmp_path, refusal):
    path = write("video", tmp_path / "a.frames")
    first, second, *_ = sorted(path.glob("*.png"))
    first.rename(path / "kept")
    second.rename(first)
    (path / "kept").rename(second)
    assert f"{path} {DAMAGED}" in refusal("info", str(path))


def test_what_was_written_without_a_seal_is_read_as_before(tmp_path, capsys):
    for name, suffix in KINDS:
        media, request = made(name)
        path = tmp_path / f"{name}{suffix}"
        modality_of(name).decoder.write(media, path, request, modality_of(name).options)
        assert state_of(path) is None
        wanted = json.loads(json.dumps(request))
        assert request_inside(path, {name: modality_of(name).decoder}) == wanted
    assert main(["info", str(tmp_path / "audio.wav"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["modality"] == "audio"


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "another"},
        {"seed": 6},
        {"seal": {}},
        {"seal": None},
        {"seal": {"file": "lumina-sha256:", "request": ""}},
        {"media_sha256": "another"},
        {"more": 1},
    ],
)
def test_a_request_that_is_not_the_sealed_one_is_refused(tmp_path, change):
    path = write("audio", tmp_path / "a.wav")
    found = modality_of("audio").decoder.read_metadata(path)
    with pytest.raises(LuminaError, match=r"a\.wav carries a damaged request; make the file again"):
        seal.request_of(path, found | change)


def test_a_seal_under_a_damaged_name_is_none(tmp_path):
    path = write("audio", tmp_path / "a.wav")
    found = modality_of("audio").decoder.read_metadata(path)
    found["sea|"] = found.pop("seal")
    with pytest.raises(LuminaError, match="carries a damaged request"):
        seal.request_of(path, found)


def test_a_prompt_that_looks_like_a_seal_harms_nothing(tmp_path):
    blank = "lumina-sha256:" + "0" * 64 + ":" + "0" * 12
    path = write("audio", tmp_path / "a.wav", prompt=blank)
    assert state_of(path) is None  # which of the two is the seal cannot be told
    assert request_inside(path, {"audio": modality_of("audio").decoder})["prompt"] == blank


class Checked(Decoder):
    """A decoder whose format has a checksum that the core does not know, or is compressed."""

    suffixes = (".bin",)
    read = preview = None

    def __init__(self, pack=lambda data: data, unpack=lambda data: data):
        self.pack, self.unpack = pack, unpack

    def write(self, media, path, metadata, options):
        data = self.pack(json.dumps(metadata).encode())
        path.write_bytes(zlib.crc32(data).to_bytes(4, "big") + data)

    def read_metadata(self, path):
        data = path.read_bytes()
        assert zlib.crc32(data[4:]).to_bytes(4, "big") == data[:4]
        return json.loads(self.unpack(data[4:]))


@pytest.mark.parametrize("decoder", [Checked(), Checked(zlib.compress, zlib.decompress)])
def test_a_format_that_bears_no_seal_is_left_whole(tmp_path, decoder):
    media, request = made("image")
    path = Generated(media, None, request, "abc", 0, decoder).save(tmp_path / "a.bin")
    found = decoder.read_metadata(path)
    assert set(found["seal"]["file"].removeprefix("lumina-sha256:")) == {"0", ":"}
    assert seal.request_of(path, found) == json.loads(
        json.dumps({**request, "media_sha256": "abc"})
    )
    assert state_of(path) is None


def damage(path):
    """Change a bit of the pixels of a JPEG."""
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def damage_request(path):
    path.write_bytes(path.read_bytes().replace(b'"prompt": "a star"', b'"prompt": "a stir"'))


def test_info_shows_the_request_of_a_damaged_file_and_fails(make, work, capsys, refusal):
    make("a star", "out=a.jpg")
    whole = Path("a.jpg").read_bytes()
    damage(Path("a.jpg"))
    capsys.readouterr()
    for words in (["info", "a.jpg"], ["info", "a.jpg", "--json"]):
        assert main(words) == 2
        captured = capsys.readouterr()
        assert "a star" in captured.out
        assert captured.err.startswith("error: a.jpg is damaged: ")
        assert captured.err.count("\n") == 1
    Path("a.jpg").write_bytes(whole)
    damage_request(Path("a.jpg"))
    assert "a.jpg carries a damaged request" in refusal("info", "a.jpg")
    Path("a.jpg").write_bytes(whole + b"more")
    assert main(["info", "a.jpg"]) == 0
    assert capsys.readouterr().err == f"note: a.jpg {CHANGED}\n"


def test_a_damaged_file_is_made_again_from_a_whole_request_alone(
    make, work, capsys, clean_refusal, tiny_checkpoint
):
    first = make("a star", "out=a.jpg")["files"][0]
    damage(Path("a.jpg"))
    words = ["run", "repeat=a.jpg", f"checkpoint={tiny_checkpoint}", "json=true"]
    assert main([*words, "out=b.jpg"]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"note: a.jpg {DAMAGED}; its request is whole\n"
    assert json.loads(captured.out)["files"][0]["sha256"] == first["sha256"]
    damage_request(Path("b.jpg"))
    words[1] = "repeat=b.jpg"
    assert "b.jpg carries a damaged request" in clean_refusal(*words, "out=c.jpg")


def test_a_damaged_file_is_no_condition(make, work, capsys, ask, clean_refusal):
    make("a star", "out=a.jpg")
    words = ["a ring", "condition.image=a.jpg", "condition.strength=0.5", "out=b.png"]
    whole = Path("a.jpg").read_bytes()
    damage(Path("a.jpg"))
    assert "a.jpg is damaged: " in clean_refusal(*ask(*words))
    Path("a.jpg").write_bytes(whole + b"more")
    capsys.readouterr()
    assert main(ask(*words)) == 0
    assert f"note: a.jpg {CHANGED}\n" in capsys.readouterr().err


def test_a_damaged_file_is_left_out_of_training(make, work, tiny_training):
    for number in range(4):
        make("a star", f"out=set/{number}.jpg", f"seed={number}")
        Path(f"set/{number}.txt").write_text("a star")
    damage(Path("set/2.jpg"))
    words = ["data=folder", "data.path=set", "data.max_quarantined=1", "validate_every=0"]
    assert main(["train", *tiny_training(work / "out", *words, "max_steps=1")]) == 0
    (line,) = (work / "out" / "quarantine.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["path"] == "2.jpg"
    assert "is damaged: " in entry["reason"]


def test_a_gallery_tells_what_is_damaged(make, work, capsys):
    for name in ("a", "b", "c"):
        make("a star", f"out=made/{name}.jpg")
    damage(Path("made/b.jpg"))
    damage_request(Path("made/c.jpg"))
    Image.new("RGB", (8, 8)).save("made/other.png")
    capsys.readouterr()
    assert main(["gallery", "made"]) == 0
    without, broken, faulty = capsys.readouterr().err.splitlines()
    assert without == "note: files without a request are not shown (1)"
    assert broken.startswith(
        "note: files that cannot be read are not shown (1); the first: made/c.jpg carries a damaged"
    )
    assert faulty.startswith(
        "note: 1 files are not as they were made; the first: made/b.jpg is damaged"
    )
    page = Path("made/index.html").read_text()
    assert page.count("<figure>") == 2
    assert page.count("b.jpg is damaged: ") == 1
    assert "media_sha256" not in page
    Path("made/a.jpg").unlink()
    Path("made/b.jpg").unlink()
    assert main(["gallery", "made"]) == 2
    assert "made/c.jpg carries a damaged request" in capsys.readouterr().err


def test_a_prompt_file_never_keeps_a_damaged_file(make, work, ask, clean_refusal):
    Path("p.txt").write_text("a star\n")
    words = ("prompt_file=p.txt", "out=made")
    first = make(*words)["files"][0]
    path = Path(first["path"])
    whole = path.read_bytes()
    Image.open(path).save(path)  # by another program, and without its request
    assert "carries no request, or a damaged one" in clean_refusal(*ask(*words))
    path.write_bytes(whole + b"more")
    assert f"{path} {CHANGED}; use overwrite=true" in clean_refusal(*ask(*words))
    again = make(*words, "overwrite=true")["files"][0]
    assert again == first
    assert make(*words)["files"][0] == first | {"skipped": True}


def test_evaluation_seals_the_files_that_it_keeps(at_checkpoint, work):
    words = ["num_prompts=1", "splits=[trained]", "solver.num_steps=1", "guidance.scale=1"]
    assert main(["evaluate", *at_checkpoint, *words, "out=kept"]) == 0
    (path,) = Path("kept/trained").iterdir()
    assert request_inside(path, {"image": modality_of("image").decoder})["media_sha256"]
    path.write_bytes(path.read_bytes() + b"more")
    assert state_of(path) == CHANGED


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="fills memory as glibc can")
@pytest.mark.parametrize("name", ["video", "multiview"])
def test_bytes_of_mp4_do_not_depend_on_what_lay_in_memory(tmp_path, name):
    libc, fill = ctypes.CDLL(None), -6  # M_PERTURB
    try:
        written = []
        for byte in range(1, 256, 30):
            assert libc.mallopt(fill, byte)
            written.append(write(name, tmp_path / f"{byte}.mp4").read_bytes())
    finally:
        libc.mallopt(fill, 0)
    assert len(set(written)) == 1

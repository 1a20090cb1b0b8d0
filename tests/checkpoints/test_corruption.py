import random
import shutil

import pytest
from states import STATE_FILE

from lumina_core.cli.main import main

NUM_CORRUPTIONS = 100


def flip(path, other, choice):
    whole = bytearray(path.read_bytes())
    whole[choice.randrange(len(whole))] ^= 1 << choice.randrange(8)
    path.write_bytes(whole)


def truncate(path, other, choice):
    path.write_bytes(path.read_bytes()[: choice.randrange(path.stat().st_size)])


def extend(path, other, choice):
    path.write_bytes(path.read_bytes() + choice.randbytes(choice.randrange(1, 99)))


def overwrite(path, other, choice):
    path.write_bytes(choice.randbytes(path.stat().st_size))


def empty(path, other, choice):
    path.write_bytes(b"")


def delete(path, other, choice):
    path.unlink()


def swap(path, other, choice):
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


def become_a_folder(path, other, choice):
    path.unlink()
    path.mkdir()


CORRUPTIONS = (flip, truncate, extend, overwrite, empty, delete, swap, become_a_folder)


def damaged(source, folder, number):
    """A copy with one random corruption, and what it was."""
    choice = random.Random(number)
    corrupt = CORRUPTIONS[number % len(CORRUPTIONS)]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    path, other = choice.sample(paths, 2)
    corrupt(path, other, choice)
    return f"{corrupt.__name__} {path.relative_to(folder)} ({other.name})"


def assert_refused(words, capsys, what):
    capsys.readouterr()
    code = main(words)
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, ""), what
    assert captured.err.startswith("error: "), what
    assert captured.err.count("\n") == 1, what


def test_a_hundred_corruptions_are_refused_with_one_line_each(tiny_checkpoint, tmp_path, capsys):
    folder, out = tmp_path / "checkpoint", tmp_path / "out.png"
    words = ["run", "+modality=image", "a star", f"checkpoint={folder}", f"out={out}"]
    for number in range(NUM_CORRUPTIONS):
        what = damaged(tiny_checkpoint, folder, number)
        assert_refused(words, capsys, what)
        assert not out.exists(), what


@pytest.mark.parametrize("corrupt", [flip, truncate, overwrite, empty, delete, become_a_folder])
def test_a_run_is_not_resumed_from_a_corrupt_state(
    tiny_training, tiny_checkpoint, tmp_path, capsys, corrupt
):
    out = tmp_path / "out"
    folder = out / "checkpoints" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, folder)
    corrupt(folder / STATE_FILE, None, random.Random(0))
    words = ["train", *tiny_training(out, "resume=true", "max_steps=4")]
    assert_refused(words, capsys, corrupt.__name__)
    assert [path.name for path in (out / "checkpoints").iterdir()] == [tiny_checkpoint.name]

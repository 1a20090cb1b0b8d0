"""What decoders share: faults of other libraries in one line, requests as comments."""

import json

import pytest

from lumina_core import LuminaError
from lumina_core.media.containers import comment_with, metadata_in, reading, writing


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\n lines  of it"), "two lines of it"),
        (ValueError(), "ValueError"),
        (OSError(28, "No space left on device", "elsewhere"), "No space left on device"),
        (LuminaError("it is empty"), "it is empty"),
        (RuntimeError("x" * 9000), "x" * 297 + "..."),
    ],
)
def test_a_fault_is_one_line_with_the_name_of_the_file(tmp_path, error, reason):
    path = tmp_path / "a.wav"
    path.write_bytes(b"")
    with pytest.raises(LuminaError) as caught, reading(path, "a sound"):
        raise error
    assert str(caught.value) == f"{path} cannot be read as a sound: {reason}"
    with pytest.raises(LuminaError) as caught, writing(path):
        raise error
    assert str(caught.value) == f"{path} cannot be written: {reason}"


def test_a_message_that_names_the_file_is_left_alone(tmp_path):
    with pytest.raises(LuminaError) as caught, writing(tmp_path / "a.wav"):
        raise LuminaError(f"{tmp_path / 'a.wav'} is full")
    assert str(caught.value) == f"{tmp_path / 'a.wav'} is full"


def test_what_is_no_file_is_not_read(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.wav"):
        with pytest.raises(LuminaError, match="is no file; give a sound"), reading(path, "a sound"):
            raise AssertionError("not reached")
    with reading(tmp_path, "a clip", folders=True):
        pass


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    path = tmp_path / ("x" * 1000)
    with pytest.raises(LuminaError, match="File name too long"), reading(path, "a sound"):
        raise AssertionError("not reached")


def test_an_interrupt_passes(tmp_path):
    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "a.wav"):
        raise KeyboardInterrupt


def test_a_comment_gives_its_request_back(tmp_path):
    request = {"prompt": "grün, 一", "options": {"seconds": 2.5}}
    comment = comment_with(request)
    assert comment.isascii()
    assert metadata_in(comment, tmp_path) == request
    assert metadata_in("Made by another program", tmp_path) is None
    assert metadata_in(json.dumps(request), tmp_path) is None


@pytest.mark.parametrize("text", ['{"prompt"', "[1]", "3", "[" * 100_000])
def test_a_broken_request_is_refused_by_name(tmp_path, text):
    path = tmp_path / "a.wav"
    with pytest.raises(LuminaError, match=r"a\.wav carries a broken request: "):
        metadata_in("lumina " + text, path)

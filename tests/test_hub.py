import fnmatch
import socket

import huggingface_hub
import pytest
from huggingface_hub import constants

from lumina_core import LuminaError
from lumina_core.hub import FILES, local_folder

COMMIT = "0" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and a machine without network."""

    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_is_itself(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    for download in (False, True):
        assert local_folder(str(tmp_path / "model"), download=download) == tmp_path / "model"
    assert local_folder("~/model", download=False) == tmp_path / "model"


def test_a_hub_id_is_its_snapshot_in_the_cache(cache):
    repository = cache / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    assert local_folder("owner/name", download=False) == snapshot


@pytest.mark.parametrize("name", ["owner/name", "name"])
def test_what_is_not_there_is_not_fetched_unasked(cache, name):
    with pytest.raises(LuminaError) as error:
        local_folder(name, download=False)
    assert repr(name) in one_line(error)
    assert "give download=true or a folder" in str(error.value)


@pytest.mark.parametrize("download", [False, True])
def test_a_path_that_is_not_there_is_no_hub_id(cache, tmp_path, download):
    with pytest.raises(LuminaError, match="no folder and no id") as error:
        local_folder(str(tmp_path / "a" / "b"), download=download)
    one_line(error)


def test_download_takes_no_pickle_and_no_code(cache, monkeypatch, tmp_path):
    asked = {}

    def snapshot_download(name, **words):
        asked.update(words, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert local_folder("owner/name", download=True) == tmp_path
    assert (asked["name"], asked["local_files_only"]) == ("owner/name", False)
    names = ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.model"]
    evil = ["pytorch_model.bin", "model.py", "a.pt", "original/consolidated.00.pth", "a.pkl"]
    taken = [n for n in names + evil if any(fnmatch.fnmatch(n, p) for p in asked["allow_patterns"])]
    assert taken == names
    assert asked["allow_patterns"] == list(FILES)


def test_a_refused_download_is_one_line(cache, monkeypatch):
    def snapshot_download(name, **words):
        raise OSError("401\nthe model is gated")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(LuminaError, match="cannot be downloaded: 401 the model is gated") as error:
        local_folder("owner/name", download=True)
    one_line(error)

import socket

import pytest
from huggingface_hub import constants

from lumina_core import LuminaError, fetching
from lumina_core.hub import FILES, local_folder
from lumina_core.hub_cache import is_hub_id

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
    asked = []

    def fetch(wants):
        asked.extend(wants)
        return [tmp_path]

    monkeypatch.setattr(fetching, "fetch", fetch)
    assert local_folder("owner/name", download=True) == tmp_path
    assert asked == [fetching.Want("owner/name", files=FILES)]
    names = ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.model"]
    evil = ["pytorch_model.bin", "model.py", "a.pt", "original/consolidated.00.pth", "a.pkl"]
    assert [name for name in names + evil if asked[0].takes(name, asked[0].files)] == names


@pytest.mark.parametrize(
    "name", ["a/b/c", "a//b", "../b", "a/..", "a/b--c", "", "/a", "a/b\n", "a b/c", "a/" + "b" * 97]
)
def test_what_is_no_id_of_the_hub_is_told(cache, name):
    assert not is_hub_id(name)


@pytest.mark.parametrize("name", ["google/gemma-2b", "gpt2", "black-forest-labs/FLUX.1-dev"])
def test_an_id_of_the_hub_is_one(cache, name):
    assert is_hub_id(name)

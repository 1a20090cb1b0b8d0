"""What is fetched of a hub that answers as the real one does, and what becomes of its refusals."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from hub_server import COMMIT, TOKEN, serving
from huggingface_hub import constants

from lumina_core import LuminaError, fetching, terminal
from lumina_core.fetching import UnreachableError, Want, fetch
from lumina_core.hub import local_folder
from lumina_core.hub_cache import gap_in, snapshot

WEIGHTS = os.urandom(300_000)
FILES = {
    "model_index.json": b"{}",
    "transformer/config.json": b'{"a": 1}',
    "transformer/model.safetensors": WEIGHTS,
    "transformer/model.bin": b"a pickle",
    "code.py": b"import os",
}
WANT = Want("owner/name", folder="transformer", files=("*.json", "*.safetensors"))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one repository, an empty cache and nobody logged in."""
    with serving() as found:
        found.files["owner/name"] = dict(FILES)
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between tries of its client
        yield found


def refused(*wants, kind=LuminaError):
    with pytest.raises(kind) as error:
        fetch(wants)
    assert "\n" not in str(error.value)
    return str(error.value)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_wanted_is_fetched_and_nothing_else(hub):
    (folder,) = fetch([WANT])
    wanted = ("transformer/config.json", "transformer/model.safetensors")
    assert contents(folder) == {name: FILES[name] for name in wanted}
    assert sorted(hub.fetched()) == [f"/owner/name/resolve/{COMMIT}/{name}" for name in wanted]
    assert snapshot("owner/name") == folder == snapshot("owner/name", COMMIT)


def test_of_a_pipeline_no_second_copy_in_one_file_is_fetched(hub):
    hub.files["owner/name"]["all-in-one.safetensors"] = WEIGHTS * 2
    folder = local_folder("owner/name", download=True)
    assert sorted(contents(folder)) == [
        *("model_index.json", "transformer/config.json", "transformer/model.safetensors")
    ]
    del hub.files["owner/name"]["model_index.json"]
    assert "all-in-one.safetensors" in contents(local_folder("owner/name", download=True))


def test_what_is_there_is_not_fetched_again(hub):
    fetch([WANT])
    hub.asked.clear()
    fetch([WANT, Want("owner/name", folder="", files=("*.json",))])
    assert list(hub.fetched()) == [f"/owner/name/resolve/{COMMIT}/model_index.json"]


def test_a_download_goes_on_where_the_connection_broke(hub):
    hub.cut["transformer/model.safetensors"] = 100_000
    path = f"/owner/name/resolve/{COMMIT}/transformer/model.safetensors"
    text = refused(WANT, kind=UnreachableError)
    assert "what was fetched stays" in text
    assert snapshot("owner/name") is None
    hub.cut.clear()
    hub.asked.clear()
    (folder,) = fetch([WANT])
    assert (folder / "transformer/model.safetensors").read_bytes() == WEIGHTS
    gets = [(asked, part) for method, asked, part in hub.asked if method == "GET"]
    assert [part for asked, part in gets if asked == path] == ["bytes=100000-"]


def test_a_download_that_is_interrupted_says_that_it_goes_on(hub, monkeypatch):
    def interrupt(file, target, count):
        target.write(WEIGHTS[:5000])
        raise KeyboardInterrupt

    whole = fetching._fetch_rest
    monkeypatch.setattr(fetching, "_fetch_rest", interrupt)
    with pytest.raises(KeyboardInterrupt) as error:
        fetch([WANT._replace(files=("*.safetensors",))])
    assert error.value.__notes__ == [f"({fetching.STAYS})"]
    monkeypatch.setattr(fetching, "_fetch_rest", whole)
    (folder,) = fetch([WANT])
    assert ("GET", "bytes=5000-") in {(method, part) for method, _, part in hub.asked}
    assert (folder / "transformer/model.safetensors").read_bytes() == WEIGHTS


def test_a_connection_that_breaks_once_is_taken_up_at_once(hub):
    broken = []

    class Once(dict):
        def get(self, name, default):
            if name == "transformer/model.safetensors" and not broken:
                broken.append(name)
                return 4096
            return default

    hub.cut = Once()
    (folder,) = fetch([WANT])
    assert broken
    assert (folder / "transformer/model.safetensors").read_bytes() == WEIGHTS


def test_a_content_that_several_files_have_is_fetched_once(hub):
    hub.files["owner/name"]["transformer/copy.safetensors"] = WEIGHTS
    (folder,) = fetch([WANT])
    assert (folder / "transformer/copy.safetensors").read_bytes() == WEIGHTS
    assert sum(path.endswith(".safetensors") for path in hub.fetched()) == 1


def test_other_streams_end_where_one_fails(hub, monkeypatch):
    begun, ended = Event(), []

    def slow(file, target, count):
        if file.name.endswith("config.json"):
            begun.wait(60)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            while True:
                begun.set()
                target.write(b"x")
                count(1)
        except fetching._OverError:
            ended.append(file.name)
            raise

    monkeypatch.setattr(fetching, "_fetch_rest", slow)
    assert "No space left" in refused(WANT)
    assert ended == ["transformer/model.safetensors"]


def test_a_server_that_knows_no_parts_of_files_is_asked_for_the_whole(hub):
    hub.cut["transformer/model.safetensors"] = 100_000
    refused(WANT)
    hub.cut.clear()
    hub.ranges = False
    (folder,) = fetch([WANT])
    assert (folder / "transformer/model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"x" * len(WEIGHTS), "300000 bytes of 300000"), (WEIGHTS[:-5], "299995 bytes of 300000")],
    ids=["hash", "size"],
)
def test_a_damaged_file_is_noticed_and_fetched_anew(hub, content, reason):
    hub.lies["transformer/model.safetensors"] = content
    assert reason in refused(WANT)
    assert not list(Path(constants.HF_HUB_CACHE).rglob("snapshots/*/*/model.safetensors"))
    hub.lies.clear()
    (folder,) = fetch([WANT])
    assert (folder / "transformer/model.safetensors").read_bytes() == WEIGHTS


def test_a_small_file_is_verified_by_the_hash_of_git(hub):
    hub.lies["transformer/config.json"] = b'{"a": 2}'
    assert "config.json of owner/name came damaged" in refused(WANT)


def test_a_begun_file_that_is_too_long_is_thrown_away(hub):
    begun = Path(constants.HF_HUB_CACHE) / "models--owner--name" / "blobs"
    begun.mkdir(parents=True)
    digest = hub.digest(WEIGHTS)
    (begun / f"{digest}.incomplete").write_bytes(WEIGHTS + b"more")
    assert "300004 bytes of 300000" in refused(WANT)
    (folder,) = fetch([WANT])
    assert (folder / "transformer/model.safetensors").read_bytes() == WEIGHTS


def test_a_gated_repository_says_what_to_do(hub, monkeypatch):
    hub.files["google/gemma"] = {"model.safetensors": WEIGHTS}
    hub.gated.add("google/gemma")
    text = refused(WANT, Want("google/gemma"))
    assert "https://huggingface.co/google/gemma" in text
    assert "hf auth login" in text
    assert not hub.fetched()  # of the other one neither
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    assert refused(Want("google/gemma")) == text
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    folder = fetch([Want("google/gemma")])[0]
    assert contents(folder) == {"model.safetensors": WEIGHTS}


def test_what_the_hub_refuses_is_one_line(hub):
    assert "knows no such model" in refused(Want("owner/other"))
    assert "no such revision" in refused(Want("owner/name", "v2"))
    text = refused(Want("owner/name", folder="transformer", files=("*.pth",), needed=("a.pth",)))
    assert "no file transformer/a.pth" in text
    assert "code.py" in text
    hub.broken.add("owner/name")
    assert "the hub answers 500" in refused(WANT)


def test_names_that_leave_the_cache_are_refused(hub):
    hub.files["owner/name"]["../../evil.json"] = b"{}"
    assert "'../../evil.json'" in refused(WANT)


def test_a_small_disk_is_told_before_anything_is_fetched(hub, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    text = refused(WANT)
    assert "0.3 MB are to be fetched" in text
    assert "HF_HOME" in text
    assert not hub.fetched()


def test_a_disk_that_fills_is_one_line(hub, monkeypatch):
    def fill(*words):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(fetching, "_fetch_rest", fill)
    assert "No space left on device; make room" in refused(WANT)


def test_what_was_fetched_is_used_without_network(hub, monkeypatch):
    folder = local_folder("owner/name", download=True)
    hub.asked.clear()
    assert local_folder("owner/name", download=False) == folder
    assert not hub.asked
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert local_folder("owner/name", download=True) == folder
    (folder / "transformer/model-00001-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(UnreachableError, match="cannot be downloaded"):
        local_folder("owner/name", download=True)
    with pytest.raises(LuminaError, match="nor a whole model"):
        local_folder("owner/name", download=False)


def test_a_gap_is_a_part_that_a_name_or_an_index_tells_of(tmp_path):
    (tmp_path / "a").mkdir()
    assert gap_in(tmp_path) is None
    for place in (1, 3):
        (tmp_path / f"a/model-0000{place}-of-00003.safetensors").touch()
    assert gap_in(tmp_path) == "a/model-00002-of-00003.safetensors"
    (tmp_path / "a/model-00002-of-00003.safetensors").touch()
    assert gap_in(tmp_path) is None
    (tmp_path / "a/model.safetensors.index.json").write_text('{"weight_map": {"w": "b.bin"}}')
    assert gap_in(tmp_path) == "a/b.bin"


def test_bars_of_the_hub_stay_as_they_were(hub, capfd):
    from huggingface_hub.utils import are_progress_bars_disabled

    before = are_progress_bars_disabled()
    fetch([WANT])
    assert are_progress_bars_disabled() == before
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_how_far_it_is(hub, monkeypatch, capsys):
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "120")
    fetch([WANT])
    out, err = capsys.readouterr()
    assert "owner/name: transformer/model.safetensors" in err
    assert "300.0/300.0 kB" in err
    assert out == ""


def test_the_endpoint_of_the_environment_is_used(hub, tmp_path):
    code = "from lumina_core import local_folder; print(local_folder('owner/name', download=True))"
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(tmp_path / "home")
    assert "code.py" not in contents(folder)

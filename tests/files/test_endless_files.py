"""Pipes and devices in the place of files: one line at once, wherever a file is named."""

import os
import signal
from pathlib import Path

import pytest

from lumina_core import LuminaError
from lumina_core.checkpoints.vae_folder import has_same_weights
from lumina_core.plugins import host
from lumina_core.sampling.file_request import decoders, request_inside
from lumina_core.sampling.prompt_file import read_prompts
from lumina_core.text.frozen import read_features

MODALITIES = ("audio", "image", "multiview", "video")
MAX_SECONDS = 300  # before the alarm; reading what never ends takes for ever


@pytest.fixture(autouse=True)
def alarm():
    def ring(number, frame):
        raise AssertionError("it reads what never ends")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(MAX_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["pipe", "device"])
def endless(request, tmp_path):
    """Put what never ends in the place of a file."""

    def put(path: Path) -> Path:
        path.unlink(missing_ok=True)
        os.mkfifo(path) if request.param == "pipe" else path.symlink_to("/dev/zero")
        return path

    return put


@pytest.mark.parametrize("modality", MODALITIES)
def test_no_medium_is_read_from_what_never_ends(endless, tmp_path, modality):
    found = decoders()
    for suffix in found[modality].suffixes:
        path = endless(tmp_path / f"file{suffix}")
        for read in (found[modality].read, found[modality].read_metadata):
            with pytest.raises(LuminaError) as raised:
                read(path)
            assert "\n" not in str(raised.value)
        with pytest.raises(LuminaError, match="is no file"):
            request_inside(path, found)


def test_no_autoencoders_are_compared_by_what_never_ends(endless, tmp_path):
    endless(tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(LuminaError, match="cannot be compared"):
        has_same_weights(tmp_path, tmp_path)


def test_no_views_are_read_from_what_never_ends(endless, tmp_path):
    for name in ("cameras.json", "transforms.json", "transforms_train.json"):
        folder = tmp_path / f"{name}.views"
        folder.mkdir()
        endless(folder / name)
        with pytest.raises(LuminaError):
            decoders()["multiview"].read(folder)


def test_no_checkpoint_is_read_from_what_never_ends(endless, tmp_path, work, refusal):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    endless(folder / "lumina.json")
    said = "lumina.json cannot be read (it is no regular file)"
    for words in (
        ["run", "+modality=image", f"checkpoint={folder}", "a prompt"],
        ["evaluate", "+modality=image", f"checkpoint={folder}"],
        ["train", "+modality=image", f"init_from={folder}", "out=new"],
        ["info", str(folder)],
    ):
        assert said in refusal(*words)


def test_no_words_name_what_never_ends(endless, tmp_path, work, refusal):
    path = endless(tmp_path / "file.png")
    run = ["run", "+modality=image"]
    for words in (
        ["run", f"repeat={path}"],
        [*run, f"prompt_file={path}"],
        [*run, "a red circle", f"condition.image={path}"],
        ["evaluate", "+modality=image", f"compare={path}"],
        ["train", "+modality=image", "data=manifest", f"data.path={endless(tmp_path / 'a.jsonl')}"],
        ["info", str(path)],
    ):
        refusal(*words)


def test_no_kept_features_are_read_from_what_never_ends(endless, tmp_path):
    assert read_features(endless(tmp_path / "a.safetensors")) is None


def test_no_settings_of_a_plugin_are_read_from_what_never_ends(endless, toy, refusal):
    endless(toy / "conf/modality/toy.yaml")
    assert "toy.yaml" in refusal("run", "+modality=toy", "a prompt")


def test_a_line_of_prompts_that_is_too_deep_is_named(tmp_path):
    from lumina_core.sampling.compose import compose_run

    config = compose_run(["+modality=image", "prompt=x"])
    for levels in (40, 900, 100_000):
        nested = "[" * levels + "]" * levels
        (tmp_path / "a.jsonl").write_text(f'{{"prompt": "x", "height": {nested}}}')
        with pytest.raises(LuminaError, match="line 1: no valid JSON: ") as raised:
            read_prompts(tmp_path / "a.jsonl", config)
        assert "\n" not in str(raised.value)


def test_every_modality_is_asked(tmp_path):
    assert set(MODALITIES) <= set(host.installed())
